//! Why the numbers of each variant can be believed, or not.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::grid::{Grid, without_empty_columns};
use super::words;
use crate::findings::Finished;
use crate::measure::rows::LinkRow;
use crate::report::figure::Data;
use crate::trial::Backend;

/// A row for each variant and backend: validity, checkers, links, saturation; then the remarks.
pub fn evidence(data: &Data<'_>) -> Markup {
    let remarks = words::remarks(data);
    html! {
        (grid(data).html("evidence"))
        @if !remarks.is_empty() {
            ul { @for remark in &remarks { li { (remark) } } }
        }
        p.quiet {
            "Two checkers judged every history. "
            @if data.backend == Backend::Live { "The probe measured every link before each live trial." }
        }
    }
}

fn grid(data: &Data<'_>) -> Grid {
    let mut groups: BTreeMap<(usize, &str), Vec<&Finished>> = BTreeMap::new();
    for ended in &data.results.finished {
        groups.entry((ended.trial.variant, ended.backend.name())).or_default().push(ended);
    }
    let headers = [
        ("variant", false),
        ("backend", false),
        ("valid", true),
        ("clients", false),
        ("logs", false),
        ("links within tolerance", true),
        ("worst link error at p50 (us)", true),
        ("saturated", true),
        ("no idle core (% of the window)", true),
        ("late datagrams at p99 (us)", true),
    ];
    let row = |((_, backend), trials): ((usize, &str), Vec<&Finished>)| {
        let valid = trials.iter().filter(|ended| ended.row.valid).count();
        let links = last_links(data, &trials);
        let within = links.iter().filter(|row| row.is_within).count();
        let worst = links.iter().filter_map(|row| row.error_ns_p50).map(i64::unsigned_abs).max();
        let late = trials.iter().filter_map(|ended| ended.row.link_late_ns_p99).max();
        let saturated = trials.iter().filter(|ended| ended.row.saturated == Some(true)).count();
        let no_idle_core =
            trials.iter().filter_map(|ended| ended.row.no_idle_core_share).max_by(f64::total_cmp);
        let micros =
            |ns: Option<u64>| ns.map_or_else(String::new, |ns| format!("{:.0}", ns as f64 / 1e3));
        vec![
            trials[0].row.variant.clone(),
            backend.to_owned(),
            format!("{valid}/{}", trials.len()),
            words_of(&trials, |ended| &ended.row.clients_verdict),
            words_of(&trials, |ended| &ended.row.logs_verdict),
            if links.is_empty() { String::new() } else { format!("{within}/{}", links.len()) },
            micros(worst),
            format!("{saturated}/{}", trials.len()),
            no_idle_core.map_or_else(String::new, |share| format!("{:.0}", share * 100.0)),
            if backend == "live" { micros(late) } else { String::new() },
        ]
    };
    let rows = groups.into_iter().map(row).collect();
    let headers = headers.map(|(header, is_number)| (header.to_owned(), is_number)).to_vec();
    without_empty_columns(Grid {
        caption: "Evidence, over all trials of a variant".to_owned(),
        headers,
        rows,
        variant: Some(0),
    })
}

/// The links of these trials, as the last attempt of the probe found them.
fn last_links<'d>(data: &'d Data<'_>, trials: &[&Finished]) -> Vec<&'d LinkRow> {
    let is_of = |row: &&LinkRow| {
        row.attempt == row.attempt_count
            && trials.iter().any(|it| it.row.trial == row.trial && it.backend.name() == row.backend)
    };
    data.links.iter().filter(is_of).collect()
}

/// Each verdict with how often it was given, where there are several.
fn words_of(trials: &[&Finished], of: impl Fn(&Finished) -> &String) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for ended in trials {
        *counts.entry(of(ended)).or_default() += 1;
    }
    counts.remove("");
    let is_one = counts.len() == 1;
    let word = |(word, count): (&str, usize)| {
        if is_one { word.to_owned() } else { format!("{word} {count}") }
    };
    counts.into_iter().map(word).collect::<Vec<_>>().join(", ")
}

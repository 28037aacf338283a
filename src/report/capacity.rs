//! The tables of a search for the highest rate: what was found, and latency against throughput.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::table::{self, Column, Table, Width, milliseconds};
use crate::measure::rows::{CapacityRow, KneeRow};
use crate::measure::store;
use crate::time::Span;

/// The tables of a search.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Its steps.
    pub steps: Vec<CapacityRow>,
    /// What it found.
    pub knees: Vec<KneeRow>,
}

/// Reads the two tables of a results folder; `None` if its run searched nothing.
pub fn read(folder: &Path) -> Result<Option<Searched>, store::Error> {
    let steps = store::read_csv_if_there(&folder.join("capacity.csv"))?;
    let knees = store::read_csv_if_there(&folder.join("knees.csv"))?;
    Ok(steps.zip(knees).map(|(steps, knees)| Searched { steps, knees }))
}

/// Writes both tables with their legends.
pub fn write(
    steps: &[CapacityRow],
    knees: &[KneeRow],
    width: Width,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}\n\n{}\n", curves(steps, knees).fit(width), curve_legend(knees, width))?;
    writeln!(out, "{}\n\n{}\n", found(knees).fit(width), definition(knees, width))
}

/// A line for each trial, from the lowest rate to the highest.
fn curves(steps: &[CapacityRow], knees: &[KneeRow]) -> Table {
    let mut rows = Vec::new();
    for knee in knees {
        let is_of = |step: &&CapacityRow| step.variant == knee.variant && is_at(step, &knee.point);
        let mut of_curve: Vec<&CapacityRow> = steps.iter().filter(is_of).collect();
        of_curve.sort_by(|one, other| {
            let rates = one.asked_per_s.total_cmp(&other.asked_per_s);
            rates.then(one.repetition.cmp(&other.repetition))
        });
        rows.extend(of_curve.into_iter().map(|step| cells(step, &knee.point)));
    }
    let has_idle = steps.iter().any(|step| step.no_idle_core_share.is_some());
    let columns = vec![
        Column::name("point").only_if(is_swept(knees)),
        Column::name("variant"),
        Column::number("trial").rank(1),
        Column::number("asked/s"),
        Column::number("offered/s").rank(2),
        Column::number("achieved/s"),
        Column::number("p50-floor"),
        Column::number("p99"),
        Column::number("p99.9").rank(4),
        Column::number("no idle core").rank(3).only_if(has_idle),
        Column::text("held"),
    ];
    Table::new(columns, rows)
}

/// Whether the label of a step is that of this point and its rate.
fn is_at(step: &CapacityRow, point: &str) -> bool {
    let (rest, _) = step.point.rsplit_once("rate_per_s=").unwrap_or((&step.point, ""));
    rest.trim_end() == point
}

fn cells(step: &CapacityRow, point: &str) -> Vec<String> {
    let share = step.no_idle_core_share.map(|share| format!("{:.0} %", share * 100.0));
    let held = if step.held { "yes".into() } else { format!("no: {}", step.miss_codes) };
    vec![
        point.to_owned(),
        step.variant.clone(),
        step.trial.to_string(),
        rate(Some(step.asked_per_s)),
        rate(step.offered_per_s),
        rate(step.achieved_per_s),
        milliseconds(step.above_floor_ns_p50),
        milliseconds(step.latency_ns_p99),
        milliseconds(step.latency_ns_p999),
        share.unwrap_or_else(|| "-".into()),
        held,
    ]
}

/// A line for each search.
fn found(knees: &[KneeRow]) -> Table {
    let rows = knees.iter().map(|knee| {
        vec![
            knee.point.clone(),
            knee.variant.clone(),
            end(knee.held_per_s, knee.held_count, knee.held_trial_count),
            end(knee.missed_per_s, knee.missed_count, knee.missed_trial_count),
            knee.verdict.clone(),
            milliseconds(knee.above_floor_ns_p50),
            milliseconds(knee.latency_ns_p99),
            rate(knee.most_achieved_per_s),
        ]
    });
    let columns = vec![
        Column::name("point").only_if(is_swept(knees)),
        Column::name("variant"),
        Column::number("held/s"),
        Column::number("missed/s"),
        Column::text("verdict"),
        Column::number("p50-floor").rank(2),
        Column::number("p99").rank(3),
        Column::number("most/s").rank(1),
    ];
    Table::new(columns, rows.collect())
}

fn is_swept(knees: &[KneeRow]) -> bool {
    knees.iter().any(|knee| !knee.point.is_empty())
}

/// `12.34k (3/3)`: a rate, and how many of its trials agree.
fn end(per_s: Option<f64>, agreed: u32, count: u32) -> String {
    match per_s {
        None => "-".into(),
        Some(_) => format!("{} ({agreed}/{count})", rate(per_s)),
    }
}

/// A rate as it is read: whole from a hundred on.
pub fn rate(per_s: Option<f64>) -> String {
    match per_s {
        None => "-".into(),
        Some(per_s) if per_s >= 100.0 => format!("{per_s:.0}"),
        Some(per_s) => format!("{per_s:.1}"),
    }
}

fn curve_legend(knees: &[KneeRow], width: Width) -> String {
    let backends: BTreeSet<&str> = knees.iter().map(|knee| knee.backend.as_str()).collect();
    let of_machine = if backends.contains("live") {
        "; no idle core: for at least this share of the window no core was idle; saturated: the machine was full in \
         another way, which `notes` in trials.csv has"
    } else {
        ""
    };
    let text = format!(
        "a line for each trial; latencies in ms, from the intended start to the reply, of all clients and all \
         operations of the load together; p50-floor: the median of what they took beyond the floors of their \
         regions, which is what the load adds; p99: - with fewer than 1,000 operations, and where it falls among \
         operations that were never answered; held: no: achieved: less than 99 % of what was offered{of_machine}"
    );
    table::legend(&text, width)
}

/// What the knee is, in one sentence, and the words of its table.
fn definition(knees: &[KneeRow], width: Width) -> String {
    let Some(first) = knees.first() else { return String::new() };
    let limit = first.limit_ns_p99.map(|limit| format!(", its p99 is at most {}", Span(limit)));
    let text = format!(
        "the capacity lies between the highest rate that was held and the lowest above it that was missed, which \
         are at most {:.0} % apart: a rate is held if its trial is valid and complete, had 100 operations, at least \
         99 % of what was offered was achieved{}, and the machine was not saturated in another way that counts; \
         (2/3): so many of the trials at that rate say so; confirmed: all of them do; most/s: the most that was \
         achieved in any trial, its latency whatever it was; p50-floor, p99: at the rate that was held, its trials merged",
        first.within_share * 100.0,
        limit.unwrap_or_default(),
    );
    table::legend(&text, width)
}

/// Whether the repeats of the two ends of a search say the same to the last digit, so that they confirm nothing.
fn is_repeated_in_vain(steps: &[CapacityRow], knee: &KneeRow) -> bool {
    let measured = |step: &CapacityRow| {
        let latencies = [step.latency_ns_p50, step.latency_ns_p90, step.latency_ns_p99];
        (step.offered_per_s, step.achieved_per_s, latencies, step.latency_ns_p999)
    };
    let ends =
        [(knee.held_per_s, knee.held_trial_count), (knee.missed_per_s, knee.missed_trial_count)];
    let is_vain = |(per_s, count): (Option<f64>, u32)| {
        let is_of = |step: &&CapacityRow| {
            step.variant == knee.variant
                && is_at(step, &knee.point)
                && per_s.is_some_and(|per_s| (step.asked_per_s - per_s).abs() < 1e-6 * per_s)
        };
        let found: Vec<_> = steps.iter().filter(is_of).map(measured).collect();
        count > 1 && found.len() > 1 && found.windows(2).all(|two| two[0] == two[1])
    };
    ends.into_iter().all(is_vain)
}

/// What a search says beside its table, a sentence for each that came to no interval that can be relied on.
pub fn remarks(steps: &[CapacityRow], knees: &[KneeRow]) -> Vec<String> {
    let remark = |knee: &KneeRow| {
        let name = match knee.point.as_str() {
            "" => knee.variant.clone(),
            point => format!("{} {point}", knee.variant),
        };
        let held = rate(knee.held_per_s);
        let text = match knee.verdict.as_str() {
            "not-confirmed" => {
                "the repeats contradict the search: the machine changed meanwhile, or the knee is no sharp one; \
                 repeat it on a quiet machine, or with a longer --step-duration"
                    .to_owned()
            }
            "once" => "nothing was repeated, so noise may have decided; give --repeats".to_owned(),
            "not-reached" => format!("{held}/s is held, and the search goes no further; raise --to"),
            "none" => format!(
                "not even {}/s was held, and nothing lower was tried (a longer --step-duration lets the search go \
                 lower); capacity.csv says why in its column `miss_codes`",
                rate(knee.missed_per_s)
            ),
            "unfinished" => "the search did not end".to_owned(),
            "confirmed" if is_repeated_in_vain(steps, knee) => {
                "the repeats are one trial over again, to the last digit: nothing in it is left to chance, so they \
                 confirm nothing; take `poisson` arrivals, or links with jitter"
                    .to_owned()
            }
            _ => return None,
        };
        Some(format!("{name}: {text}"))
    };
    knees.iter().filter_map(remark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(trial: u32, asked_per_s: f64, miss_codes: &str) -> CapacityRow {
        CapacityRow {
            trial,
            variant: "flex-4-2-with-a-long-name".into(),
            point: format!("mode=fsync rate_per_s={asked_per_s}"),
            backend: "live".into(),
            stage: "ramp".into(),
            asked_per_s,
            repetition: 1,
            held: miss_codes.is_empty(),
            miss_codes: miss_codes.into(),
            offered_per_s: Some(asked_per_s - 0.5),
            achieved_per_s: Some(asked_per_s - 1.0),
            latency_ns_p50: Some(1_234_567),
            above_floor_ns_p50: Some(234_567),
            latency_ns_p90: Some(2_234_567),
            latency_ns_p99: Some(812_345_678),
            latency_ns_p999: None,
            no_idle_core_share: Some(0.873),
        }
    }

    fn knee(verdict: &str) -> KneeRow {
        KneeRow {
            point: "mode=fsync".into(),
            variant: "flex-4-2-with-a-long-name".into(),
            backend: "live".into(),
            verdict: verdict.into(),
            held_per_s: Some(100_000.0),
            held_count: 2,
            held_trial_count: 3,
            missed_per_s: Some(104_500.0),
            missed_count: 3,
            missed_trial_count: 3,
            most_achieved_per_s: Some(103_000.4),
            latency_ns_p50: Some(1_234_567),
            above_floor_ns_p50: Some(234_567),
            latency_ns_p99: Some(9_234_567),
            limit_ns_p99: Some(10_000_000),
            within_share: 0.05,
        }
    }

    fn text(steps: &[CapacityRow], knees: &[KneeRow], width: Width) -> String {
        let mut text = Vec::new();
        write(steps, knees, width, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn both_tables_fit_into_80_columns() {
        let steps = [step(2, 200_000.0, "achieved;p99"), step(1, 100_000.0, "")];
        let text = text(&steps, &[knee("confirmed")], Width::Columns(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word} is not in {text}"));
        assert!(at("100000") < at("200000"), "rates rise: {text}");
        assert!(at("no: achieved;p99") < at("100000 (2/3)"), "{text}");
        assert!(text.contains("104500 (3/3)") && text.contains("at most 10.00ms"), "{text}");
    }

    #[test]
    fn a_step_stands_with_the_knee_of_its_point() {
        let mut other = step(3, 300.0, "");
        other.point = "mode=memory rate_per_s=300".into();
        let mut alone = step(4, 400.0, "");
        alone.point = "rate_per_s=400".into();
        assert!(is_at(&step(1, 100.0, ""), "mode=fsync") && !is_at(&other, "mode=fsync"));
        assert!(is_at(&alone, "") && !is_at(&alone, "mode=fsync"));
        let text = text(&[step(1, 100.0, ""), other], &[knee("once")], Width::Whole);
        assert!(!text.contains(" 300 "), "{text}");
    }

    #[test]
    fn each_verdict_but_a_confirmed_one_is_explained() {
        assert_eq!(remarks(&[], &[knee("confirmed")]), Vec::<String>::new());
        for (verdict, word) in [
            ("not-confirmed", "contradict"),
            ("once", "--repeats"),
            ("not-reached", "--to"),
            ("none", "not even 104500/s"),
            ("unfinished", "did not end"),
        ] {
            let said = remarks(&[], &[knee(verdict)]);
            assert!(said[0].contains(word) && said[0].contains("mode=fsync"), "{said:?}");
        }
    }

    #[test]
    fn repeats_that_are_equal_to_the_last_digit_confirm_nothing() {
        let at = |trial, per_s, codes| step(trial, per_s, codes);
        let mut steps = vec![at(1, 100_000.0, ""), at(2, 104_500.0, "achieved")];
        steps.extend([at(3, 100_000.0, ""), at(4, 104_500.0, "achieved"), at(5, 300.0, "")]);
        let said = remarks(&steps, &[knee("confirmed")]);
        assert!(said[0].contains("one trial over again"), "{said:?}");
        steps[3].latency_ns_p99 = Some(812_345_679);
        assert_eq!(remarks(&steps, &[knee("confirmed")]), Vec::<String>::new());
    }
}

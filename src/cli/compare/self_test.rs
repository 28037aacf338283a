//! `flexpaxos compare --self-test`: how often the test raises a false alarm on the trials of a run.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::show::unreadable;
use crate::cli::{Exit, Failure};
use crate::compare::REPEATS_MIN;
use crate::compare::self_test::{Alarms, Intervals, draw, student};
use crate::measure::Quantity;
use crate::report::folder::{Results, intervals};
use crate::report::table::{self, Width, counted, table};

/// Draws for each series.
const DRAWS: u32 = 1_000;

/// More false alarms than this are too many.
const SHARE_MAX: f64 = 0.065;

/// What is drawn: the median, and the percentile of the tail that an interval's operations bear.
const QUANTITIES: [(Quantity, f64); 2] = [(Quantity::P50, 0.5), (Quantity::P90, 0.9)];

pub(super) fn run(
    folders: &[PathBuf],
    results: &[Results],
    width: Width,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let mut series: BTreeMap<String, Intervals> = BTreeMap::new();
    for (folder, results) in folders.iter().zip(results) {
        collect(folder, results, &mut series)?;
    }
    let mut rows = Vec::new();
    let mut is_loud = false;
    for (quantity, share) in QUANTITIES {
        let mut all = Alarms::default();
        let mut shares = Vec::new();
        for (number, intervals) in series.values().enumerate() {
            let alarms = draw(intervals, share, DRAWS, number as u64, student);
            shares.extend(alarms.share());
            all.draw_count += alarms.draw_count;
            all.alarm_count += alarms.alarm_count;
        }
        let Some(found) = all.share() else { continue };
        shares.sort_by(f64::total_cmp);
        is_loud |= found > SHARE_MAX;
        rows.push(vec![
            quantity.code().to_owned(),
            shares.len().to_string(),
            all.draw_count.to_string(),
            format!("{:.2}", found * 100.0),
            format!("{:.1} to {:.1}", shares[0] * 100.0, shares[shares.len() - 1] * 100.0),
        ]);
    }
    if rows.is_empty() {
        let help = format!(
            "it needs {REPEATS_MIN} valid trials of a variant, each of eight seconds or more, with interval logs"
        );
        return Err(Failure::request("there is nothing to draw from", help));
    }
    let header = ["what", "series", "draws", "alarms %", "of a series %"];
    writeln!(out, "{}", table(&header, &[1, 2, 3, 4], &rows).fit(width))?;
    let legend = format!(
        "false alarms of Student's t at 5 %, over {} of each series (a variant, client region and operation at \
         a point), in which chance gives every interval of every trial to one of two sides: expected are 5 %, \
         and above {:.1} % is too many",
        counted(DRAWS as usize, "draw"),
        SHARE_MAX * 100.0
    );
    writeln!(out, "\n{}", table::legend(&legend, width))?;
    Ok(if is_loud { Exit::World } else { Exit::Done })
}

/// Adds the intervals of every valid trial of a folder.
fn collect(
    folder: &Path,
    results: &Results,
    series: &mut BTreeMap<String, Intervals>,
) -> Result<(), Failure> {
    for ended in results.finished.iter().filter(|ended| ended.row.valid) {
        let of_trial = intervals(folder, ended).map_err(|error| unreadable(&error))?;
        for (tag, values) in of_trial {
            let name = format!(
                "{} {} {} {} {tag}",
                folder.display(),
                ended.backend.name(),
                ended.row.point,
                ended.row.variant
            );
            series.entry(name).or_default().repeats.insert(ended.trial.repeat, values);
        }
    }
    Ok(())
}

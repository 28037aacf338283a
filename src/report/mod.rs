//! The tables that a person reads, and what stands below them.
//!
//! | file | content |
//! |---|---|
//! | [`capacity`] | the highest rate that was held, and latency against throughput |
//! | [`comparison`] | a line for each variant, client region and kind of operation |
//! | [`side_by_side`] | the same predicted, simulated and measured |
//! | [`failover`] | the cost of every fault |
//! | [`notes`] | the remarks about all trials, a line for each kind |
//! | [`judged`] | the verdicts on the histories, in one line |
//! | [`summary`] | the comparison for programs |
//! | [`table`] | columns, figures and folded text |
//! | [`outline`] | the lines of the tables |
//! | [`verdicts`] | differences with their intervals, and predictions judged |
//! | [`figure`] | the figures, as data and drawn |
//! | [`page`] | one page with everything that a folder says |
//! | [`export`] | the figures for a paper: SVG, PDF, tables and programs that draw them |
//! | [`folder`], [`origin`] | reads a results folder |

pub mod capacity;
pub mod comparison;
pub mod export;
pub mod failover;
pub mod figure;
pub mod folder;
pub mod judged;
pub mod notes;
pub mod origin;
pub mod outline;
pub mod page;
pub mod side_by_side;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
pub mod verdicts;

use std::io::{self, Write};

use crate::findings::Finished;
use outline::Outline;
use table::Width;

/// Writes all tables of these trials as they fit, with their legends, and what did not recover from a fault.
pub fn write_tables(
    outline: &Outline,
    finished: &[Finished],
    is_of_both: bool,
    width: Width,
    out: &mut dyn Write,
) -> io::Result<()> {
    if !finished.is_empty() {
        if is_of_both {
            let table = side_by_side::side_by_side(outline, finished).fit(width);
            writeln!(out, "{table}\n\n{}\n", side_by_side::legend(width))?;
        }
        let table = comparison::comparison(outline, finished).fit(width);
        writeln!(out, "{table}\n\n{}", comparison::legend(finished, width))?;
        if let Some(tables) = failover::tables(outline, finished) {
            for table in tables {
                writeln!(out, "\n{}", table.fit(width))?;
            }
            writeln!(out, "\n{}", failover::legend(width))?;
        }
    }
    let unrecovered = failover::unrecovered(outline, finished);
    let unrecovered = unrecovered.into_iter().map(|line| format!("NOT RECOVERED: {line}"));
    let waits = failover::waits(outline, finished);
    let waits = waits.into_iter().map(|line| format!("CLIENT WAIT: {line}"));
    for text in unrecovered.chain(waits) {
        writeln!(out, "{}", table::line(&text, width))?;
    }
    Ok(())
}

//! The tables that a person reads, and what stands below them.
//!
//! | file | content |
//! |---|---|
//! | [`comparison`] | a line for each variant, client region and kind of operation |
//! | [`side_by_side`] | the same predicted, simulated and measured |
//! | [`failover`] | the cost of every fault |
//! | [`judged`] | the verdicts on the histories, in one line |
//! | [`table`] | columns, figures and folded text |
//! | [`outline`] | the lines of the tables |
//! | [`folder`] | reads a results folder |

pub mod comparison;
pub mod failover;
pub mod folder;
pub mod judged;
pub mod outline;
pub mod side_by_side;
pub mod table;

use std::io::{self, Write};

use crate::findings::Finished;
use outline::Outline;

/// Writes all tables of these trials, with their legends, and what did not recover from a fault.
pub fn write_tables(
    outline: &Outline,
    finished: &[Finished],
    is_of_both: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    if !finished.is_empty() {
        if is_of_both {
            writeln!(out, "{}\n", side_by_side::side_by_side(outline, finished))?;
        }
        writeln!(out, "{}", comparison::comparison(outline, finished))?;
        writeln!(out, "\n{}", comparison::legend(finished))?;
        if let Some([protocol, clients]) = failover::tables(outline, finished) {
            writeln!(out, "\n{protocol}\n\n{clients}\n\n{}", failover::legend())?;
        }
    }
    for line in failover::unrecovered(outline, finished) {
        writeln!(out, "NOT RECOVERED: {line}")?;
    }
    for line in failover::waits(outline, finished) {
        writeln!(out, "CLIENT WAIT: {line}")?;
    }
    Ok(())
}

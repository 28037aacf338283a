//! The schema of every results CSV: one struct a table, one field a column, and nothing else is.
//!
//! | file | content |
//! |---|---|
//! | one for each row struct | its columns; the doc comment of a field is the documentation of the column |
//! | [`columns`] | every column of every table with its type and unit, made from those structs |
//! | [`documentation`](mod@documentation) | the same as a page for people and as JSON |
//!
//! A column is a plain number in the unit that its name ends with, the aggregate after the unit.
//! `None` is written as nothing: it was not measured, or it falls among operations that were never
//! answered, which is not zero.
//! Every table begins with the columns of [`TrialKey`] and ends with a column for each key that the
//! experiment sweeps ([`swept_columns`]), which no struct can name.
//! A change here is a change of [`SCHEMA_VERSION`]; the tests hold the headers, the units and the names.

mod capacity;
pub mod columns;
mod comparison;
pub mod documentation;
mod flag;
mod history;
mod latency;
mod link;
mod member;
mod percentile;
mod phase;
mod recovery;
mod summary;
mod timeline;
mod trial;

pub use capacity::{CapacityRow, KneeRow};
pub use columns::{ColumnRow, swept_columns};
pub use comparison::{ComparisonRow, ExpectationRow};
pub use documentation::{documentation, schema};
pub use flag::{Flag, Note};
pub use history::HistoryRow;
pub use latency::LatencyRow;
pub use link::LinkRow;
pub use member::MemberRow;
pub use percentile::PercentileRow;
pub use phase::PhaseRow;
pub use recovery::RecoveryRow;
pub use summary::SummaryRow;
pub use timeline::TimelineRow;
pub use trial::TrialRow;

use serde::Serializer;

/// The version of all tables, written into the manifest.
pub const SCHEMA_VERSION: u32 = 9;

/// The oldest version whose tables this program reads: later ones added columns that may be empty and tables
/// that not every run has, and nothing else.
pub const SCHEMA_VERSION_MIN: u32 = 7;

/// What the rows of one trial begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialKey {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
}

/// A number to three decimals: what lies behind them is noise, and a table should be readable.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn thousandths<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e3).round() / 1e3)
}

/// The same for a number that may not have been measured; one that is not finite was not.
#[expect(clippy::ref_option, reason = "serde asks for this signature")]
fn option_thousandths<S: Serializer>(
    value: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value.filter(|value| value.is_finite()) {
        Some(value) => serializer.serialize_some(&((value * 1e3).round() / 1e3)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;

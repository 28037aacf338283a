//! Why a table is no profile.

use crate::topology::error::{Error, RowProblem};

use super::Unit;

/// Why a table is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line or the file itself.
    #[error(transparent)]
    Table(#[from] Error),
    /// A column that every table of rows must have.
    #[error(
        "{file}:{line}: no column is {what}; found are {found}: give it one of the names {known}, or say `--square` if the regions are in the first line and the first column"
    )]
    Column {
        /// The file.
        file: String,
        /// The line of the header.
        line: usize,
        /// What is looked for.
        what: &'static str,
        /// The columns.
        found: String,
        /// The names that it may have.
        known: String,
    },
    /// A header that contradicts the command line.
    #[error(
        "{file}: column {column:?} is in {stated}, and `--unit` says {said}: leave `--unit` out"
    )]
    Unit {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// Its unit.
        stated: Unit,
        /// That of the command line.
        said: Unit,
    },
    /// Percentiles that cannot be made percentiles of round trips.
    #[error(
        "{file}: column {column:?} is of one-way delays: their extremes and percentiles are not those of round trips; leave the column out"
    )]
    OneWay {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A figure that is none.
    #[error(
        "{file}:{line}: {column} = {text:?} is no figure: write digits with a point for decimals, no separator of thousands and no unit"
    )]
    Figure {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// Its column.
        column: String,
        /// What stands there.
        text: String,
    },
    /// A square whose first line and first column are not of the same regions.
    #[error("{file}: this is no square: {problem}")]
    NotSquare {
        /// The file.
        file: String,
        /// Where it is none.
        problem: String,
    },
    /// Pairs that are given more than once.
    #[error(
        "{file}: given more than once: {pairs}; keep one row of each, such as those of one time"
    )]
    Repeated {
        /// The file.
        file: String,
        /// The pairs with their lines.
        pairs: String,
    },
}

/// The error for a line of a file.
pub(super) fn at(file: &str, line: usize, problem: RowProblem) -> ImportError {
    Error::Row { file: file.to_owned(), line, problem: Box::new(problem) }.into()
}

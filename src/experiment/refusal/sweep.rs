//! What is wrong with a sweep, and what to change.

use miette::Diagnostic;

/// Why a sweep cannot be run.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// No table, and no list of tables.
    #[error("the sweep is no table")]
    #[diagnostic(help(
        "write the keys of the file with lists of values, such as `durability.mode = \
         [\"memory\", \"fsync\"]`"
    ))]
    NoTable,
    /// No key at all.
    #[error("the sweep is empty")]
    #[diagnostic(help(
        "write the keys of the file with lists of values, such as `durability.mode = \
         [\"memory\", \"fsync\"]`"
    ))]
    Empty,
    /// A key without a value.
    #[error("`sweep.{path}` has no item")]
    #[diagnostic(help("give at least one"))]
    NoValue {
        /// The key.
        path: String,
    },
    /// A value where values are wanted.
    #[error("`sweep.{path}` is one value, and no list")]
    #[diagnostic(help("write a list, `[1, 2, 4]`, or a range, `{{ from = 1, to = 4 }}`"))]
    NoList {
        /// The key.
        path: String,
    },
    /// Something that all points have in common.
    #[error("`{key}` cannot be swept")]
    #[diagnostic(help("it belongs to the whole experiment: give it outside"))]
    OfTheWhole {
        /// The key.
        key: String,
    },
    /// A key that no range has.
    #[error("unknown key `{key}`")]
    #[diagnostic(help("a range has `from`, `to` and, if it is not 1, `step`"))]
    RangeKey {
        /// The key.
        key: String,
    },
    /// A range without a beginning or an end.
    #[error("a range without `{key}`")]
    #[diagnostic(help("a range has `from`, `to` and, if it is not 1, `step`"))]
    RangeEnd {
        /// The key.
        key: &'static str,
    },
    /// A range of something else.
    #[error("`{key}` of a range is no number")]
    #[diagnostic(help("give a number without quotes, or list the values"))]
    NoNumber {
        /// The key.
        key: &'static str,
    },
    /// A range in the wrong direction, or without a step.
    #[error("the range from {from} to {to} in steps of {step} never arrives")]
    #[diagnostic(help("exchange its ends, or change the step"))]
    RangeEndless {
        /// Where it begins.
        from: String,
        /// Where it should end.
        to: String,
        /// Its step.
        step: String,
    },
    /// A range of too many values.
    #[error("the range has more than {most} values")]
    #[diagnostic(help("raise the step"))]
    RangeLength {
        /// How many are allowed.
        most: usize,
    },
    /// No variant or fault has the table in which a value is swept.
    #[error("no {list} has {}", if parent.is_empty() { "been given".to_owned() } else { format!("`{parent}`") })]
    #[diagnostic(help(
        "a value is swept in every {list} that has the table around it: write that table there"
    ))]
    NoElement {
        /// `variant` or `fault`.
        list: String,
        /// The table.
        parent: String,
    },
    /// The sweep gives one kind and the file another.
    #[error("the sweep sets `{path}`, but the file has `{before}` there")]
    #[diagnostic(help(
        "exactly one kind is wanted: write this one in the file, or sweep `{}` as a whole",
        parent(.path)
    ))]
    OtherKind {
        /// What the sweep sets.
        path: String,
        /// The kind in the file.
        before: String,
    },
    /// More trials than anybody waits for.
    #[error("these are {count} trials, more than {most}")]
    #[diagnostic(help("leave some values out, or lower `trials`"))]
    TooManyTrials {
        /// How many there would be.
        count: usize,
        /// How many are allowed.
        most: usize,
    },
}

/// The key around this one.
fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(parent, _)| parent)
}

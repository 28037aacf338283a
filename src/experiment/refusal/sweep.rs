//! What is wrong with a sweep, and what to change.

/// Why a sweep cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No table, and no list of tables.
    #[error("the sweep is no table")]
    NoTable,
    /// No key at all.
    #[error("the sweep is empty")]
    Empty,
    /// A key without a value.
    #[error("`sweep.{path}` has no item")]
    NoValue {
        /// The key.
        path: String,
    },
    /// A value where values are wanted.
    #[error("`sweep.{path}` is one value, and no list")]
    NoList {
        /// The key.
        path: String,
    },
    /// Something that all points have in common.
    #[error("`{key}` cannot be swept")]
    OfTheWhole {
        /// The key.
        key: String,
    },
    /// A key that no range has.
    #[error("unknown key `{key}`")]
    RangeKey {
        /// The key.
        key: String,
    },
    /// A range without a beginning or an end.
    #[error("a range without `{key}`")]
    RangeEnd {
        /// The key.
        key: &'static str,
    },
    /// A range of something else.
    #[error("`{key}` of a range is no number")]
    NoNumber {
        /// The key.
        key: &'static str,
    },
    /// A range in the wrong direction, or without a step.
    #[error("the range from {from} to {to} in steps of {step} never arrives")]
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
    RangeLength {
        /// How many are allowed.
        most: usize,
    },
    /// No variant or fault has the table in which a value is swept.
    #[error("no {list} has {}", if parent.is_empty() { "been given".to_owned() } else { format!("`{parent}`") })]
    NoElement {
        /// `variant` or `fault`.
        list: String,
        /// The table.
        parent: String,
    },
    /// The sweep gives one kind and the file another.
    #[error("the sweep sets `{path}`, but the file has `{before}` there")]
    OtherKind {
        /// What the sweep sets.
        path: String,
        /// The kind in the file.
        before: String,
    },
    /// More trials than anybody waits for.
    #[error("these are {count} trials, more than {most}")]
    TooManyTrials {
        /// How many there would be.
        count: usize,
        /// How many are allowed.
        most: usize,
    },
}

impl Error {
    /// The line that says what to change.
    pub fn help(&self) -> String {
        match self {
            Self::NoTable | Self::Empty => {
                "write the keys of the file with lists of values, such as \
                 `durability.mode = [\"memory\", \"fsync\"]`"
            }
            Self::NoValue { .. } => "give at least one",
            Self::NoList { .. } => "write a list, `[1, 2, 4]`, or a range, `{ from = 1, to = 4 }`",
            Self::OfTheWhole { .. } => "it belongs to the whole experiment: give it outside",
            Self::RangeKey { .. } | Self::RangeEnd { .. } => {
                "a range has `from`, `to` and, if it is not 1, `step`"
            }
            Self::NoNumber { .. } => "give a number without quotes, or list the values",
            Self::RangeEndless { .. } => "exchange its ends, or change the step",
            Self::RangeLength { .. } => "raise the step",
            Self::NoElement { list, .. } => {
                return format!(
                    "a value is swept in every {list} that has the table around it: write that \
                     table there"
                );
            }
            Self::OtherKind { path, .. } => {
                let (parent, _) = path.rsplit_once('.').unwrap_or((path, ""));
                return format!(
                    "exactly one kind is wanted: write this one in the file, or sweep `{parent}` \
                     as a whole"
                );
            }
            Self::TooManyTrials { .. } => "leave some values out, or lower `trials`",
        }
        .to_owned()
    }
}

//! What can be wrong with a profile, or with the use of one.

use std::fmt;

use super::region::NameProblem;

/// Why there is no profile, or no delay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a built-in name nor a file.
    #[error(
        "{name:?} is neither a latency profile nor a file{}: give one of {known}, or the path of a CSV file that begins with `from,to,rtt_ms`",
        did_you_mean(near.as_slice())
    )]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// The known names that resemble it most.
        near: Vec<String>,
        /// All known names, in one text.
        known: String,
    },
    /// `uniform:` without a usable round trip.
    #[error("{name:?} names no round trip: write one like `uniform:20ms`")]
    Uniform {
        /// What was asked for.
        name: String,
        /// What is wrong with the text after the colon.
        #[source]
        source: humantime::DurationError,
    },
    /// `uniform:` with a round trip that nobody has.
    #[error("{name:?} is a round trip of more than an hour: write one like `uniform:20ms`")]
    TooLong {
        /// What was asked for.
        name: String,
    },
    /// The file is no text, or in an encoding that is not ours.
    #[error(
        "{path}:{line}: this is not UTF-8: save the file as UTF-8, or convert it, such as with `iconv -f latin1 -t utf-8`"
    )]
    Encoding {
        /// Its path.
        path: String,
        /// The first line that cannot be read, from 1.
        line: usize,
    },
    /// The file could not be read.
    #[error(
        "cannot read the latency profile {path}: give the path of a CSV file, or a built-in name"
    )]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of a CSV file makes no sense.
    #[error("{file}:{line}: {problem}")]
    Row {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: Box<RowProblem>,
    },
    /// The profile does not have these regions.
    #[error(
        "latency profile {profile} has no region {}; `flexpaxos profiles {profile}` lists its {known_count} regions",
        listed(regions.as_slice(), "; no region ")
    )]
    UnknownRegions {
        /// The profile.
        profile: String,
        /// The regions asked for.
        regions: Vec<UnknownRegion>,
        /// How many it has.
        known_count: usize,
    },
    /// The profile has the regions, but not the round trips between them.
    #[error(
        "latency profile {profile} has no row {}: add it (a row is one direction, a link needs both), or choose other regions",
        listed(&arrows(pairs), ", nor ")
    )]
    MissingPairs {
        /// The profile.
        profile: String,
        /// (from, to) of every row that is needed and absent.
        pairs: Vec<(String, String)>,
    },
}

/// What is wrong with one line of a CSV file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RowProblem {
    /// The first line is no header.
    #[error(
        "the header begins with {found:?}: it must begin with `from,to,rtt_ms`; `flexpaxos profiles import --help` reads square matrices and other columns, units and delimiters"
    )]
    Header {
        /// What it begins with.
        found: String,
    },
    /// There is a header and nothing else, or nothing at all.
    #[error("the file has no row: add one line `from,to,rtt_ms` for each direction of each pair")]
    NoRow,
    /// A quote that does not end on its line.
    #[error(
        "a quote is not closed, or something follows it: a quote inside quotes is written twice"
    )]
    OpenQuote,
    /// A column without a meaning.
    #[error(
        "column {column:?} is unknown{}: known are from, to, rtt_ms, min_ms, max_ms, percentiles such as p90_ms and p99.9_ms, and avg_ms and mdev_ms, which are not used; `flexpaxos profiles import` reads other names and units",
        did_you_mean(near.as_slice())
    )]
    UnknownColumn {
        /// Its name.
        column: String,
        /// What it may have meant.
        near: Vec<String>,
    },
    /// Two columns say the same thing.
    #[error("column {column:?} repeats an earlier column: remove one")]
    RepeatedColumn {
        /// The later one.
        column: String,
    },
    /// A percentile at or beyond the ends.
    #[error(
        "column {column:?} is no percentile: use p1_ms to p99.9_ms, or min_ms and max_ms for the extremes"
    )]
    Percentile {
        /// The column.
        column: String,
    },
    /// Too few fields, or too many.
    #[error(
        "the row has {found} fields where the header has {expected}: give as many, and write numbers with a point and without separators of thousands"
    )]
    FieldCount {
        /// The fields of the row.
        found: usize,
        /// The fields of the header.
        expected: usize,
    },
    /// A region whose name some table would lose.
    #[error("the region {name:?} in column {column:?}: {problem}")]
    Region {
        /// The column.
        column: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// Not a number, or none that a round trip can have.
    #[error(
        "{column} = {text:?} is no round trip: give milliseconds, a number from 0 to 3600000 (an hour)"
    )]
    Number {
        /// The column.
        column: String,
        /// What stands there.
        text: String,
    },
    /// The pair had its row.
    #[error("the row {from} -> {to} was given at line {first} already: remove one")]
    Duplicate {
        /// The origin.
        from: String,
        /// The destination.
        to: String,
        /// The line of the first.
        first: usize,
    },
    /// A higher percentile is lower.
    #[error(
        "{high} = {high_ms} is less than {low} = {low_ms}: percentiles must ascend (rtt_ms stands for the median unless there is a column p50_ms)"
    )]
    Descending {
        /// The column of the lower percentile.
        low: String,
        /// Its text.
        low_ms: String,
        /// The column of the higher percentile.
        high: String,
        /// Its text.
        high_ms: String,
    },
}

/// A region that a profile does not have, and those of its regions that resemble it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRegion {
    /// What was asked for.
    pub region: String,
    /// Known ones, the nearest first.
    pub near: Vec<String>,
}

/// `"us-east" (did you mean us-east-1 or us-east-2?)`.
impl fmt::Display for UnknownRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.region, did_you_mean(&self.near))
    }
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!(" (did you mean {}?)", near.join(" or "))
}

fn listed<T: ToString>(items: &[T], separator: &str) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(separator)
}

fn arrows(pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().map(|(from, to)| format!("{from} -> {to}")).collect()
}

//! A table of round trips between regions, read from CSV and written as CSV.
//!
//! The header begins with `from,to,rtt_ms`.
//! Further columns named `min_ms` or `p` and a number (`p90_ms`, `p99.9_ms`) are the distribution;
//! `rtt_ms` is its median unless the row has a `p50_ms`.
//! `max_ms` must ascend too but is never drawn: one outlier is no percentile.
//! `avg_ms` and `mdev_ms`, which sources publish too, are not used.
//! An empty field of those is "not measured"; any other column is an error, because whoever wrote it
//! expected it to count.
//! Blank lines and lines that begin with `#` are skipped; quotes and spaces around a field are taken off.
//!
//! The row of a region with itself is the round trip between two nodes in it.
//! Where there is none, two nodes in that region have no delay between them.
//!
//! Every line is checked here, so a profile that exists is well formed.
//! What is absent stays absent: no row is derived from another one.
//! What is [written](Matrix::to_csv) is read as an equal table.

use std::collections::BTreeMap;

use crate::nearest::resembling;
use crate::time::Span;

use super::error::{Error, RowProblem};
use super::fields::{Record, records, written};
use super::region::check_name;

/// The median's place in a distribution.
const MEDIAN: f64 = 0.5;

/// The longest round trip accepted: beyond an hour the unit was another one.
pub(super) const MAX_MS: f64 = 3_600_000.0;

/// Columns that sources publish and that say nothing of how delays are drawn.
const UNUSED: [&str; 2] = ["avg_ms", "mdev_ms"];

/// Round trips by (from, to), as indices into the sorted regions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    regions: Vec<String>,
    rows: BTreeMap<(usize, usize), Row>,
    columns: Vec<String>,
    unused: Vec<String>,
}

/// (probability, round trip), ascending.
type Quantiles = Vec<(f64, Span)>;

/// One direction of one pair.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The figure of `rtt_ms`.
    pub(super) rtt: Span,
    /// The distribution of the round trip: (probability, round trip), ascending, never empty.
    pub(super) quantiles: Quantiles,
    /// The figure of `max_ms`.
    max: Option<Span>,
    /// The figures of the columns that are not used.
    unused: Vec<Option<Span>>,
}

/// What the header says of the columns after the first three.
pub(super) struct Header {
    field_count: usize,
    /// The columns of the distribution by ascending probability, `rtt_ms` among them.
    levels: Vec<Level>,
    /// The places of the columns that are not used.
    unused: Vec<(String, usize)>,
}

struct Level {
    probability: f64,
    column: String,
    index: usize,
}

/// A row as it stands in the file.
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) row: Row,
}

impl Matrix {
    /// Reads a table; `file` is for the messages.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let read = || {
            let records = records(text, ',')?;
            let (first, rest) = records.split_first().ok_or((1, RowProblem::NoRow))?;
            let header = Header::parse(&first.fields).map_err(|problem| (first.line, problem))?;
            let line =
                |record: &Record| header.row(record).map_err(|problem| (record.line, problem));
            let lines: Vec<Line> = rest.iter().map(line).collect::<Result<_, _>>()?;
            if lines.is_empty() {
                return Err((first.line, RowProblem::NoRow));
            }
            Self::from_lines(&header, lines)
        };
        read().map_err(|(line, problem)| Error::Row {
            file: file.to_owned(),
            line,
            problem: Box::new(problem),
        })
    }

    /// The table as text that [`Self::parse`] reads; only the rows of one region if it is named.
    pub(super) fn to_csv(&self, from: Option<&str>) -> String {
        let has_median = self.rows.values().any(|row| row.quantile(MEDIAN) != Some(row.rtt));
        let columns: Vec<(&str, f64)> = self
            .columns
            .iter()
            .map(String::as_str)
            .filter(|column| *column != "rtt_ms" && (has_median || !is_median(column)))
            .filter_map(|column| Some((column, probability(column).ok()??)))
            .collect();
        let names: Vec<&str> = columns
            .iter()
            .map(|(column, _)| *column)
            .chain(self.unused.iter().map(String::as_str))
            .collect();
        let mut text = [&["from", "to", "rtt_ms"], &names[..]].concat().join(",") + "\n";
        for (origin, to, row) in self.rows() {
            if from.is_some_and(|from| from != origin) {
                continue;
            }
            let mut fields = vec![written(origin), written(to), milliseconds(row.rtt)];
            let levels = columns.iter().map(|(_, probability)| {
                if *probability < 1.0 { row.quantile(*probability) } else { row.max }
            });
            let figures = levels.chain(row.unused.iter().copied());
            fields.extend(figures.map(|span| span.map(milliseconds).unwrap_or_default()));
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        text
    }

    /// The row, or `None` if a region or the pair is absent.
    pub(super) fn row(&self, from: &str, to: &str) -> Option<&Row> {
        self.rows.get(&(self.index(from)?, self.index(to)?))
    }

    /// The regions, sorted.
    pub(super) fn regions(&self) -> &[String] {
        &self.regions
    }

    pub(super) fn has_region(&self, region: &str) -> bool {
        self.index(region).is_some()
    }

    /// The columns of the distribution, in ascending order.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The columns that are not used.
    pub(super) fn unused(&self) -> &[String] {
        &self.unused
    }

    /// Every row, by its regions.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str, &Row)> {
        let name = |index: usize| self.regions[index].as_str();
        self.rows.iter().map(move |((from, to), row)| (name(*from), name(*to), row))
    }

    /// Takes away the rows of regions with themselves.
    pub(super) fn without_diagonal(mut self) -> Self {
        self.rows.retain(|(from, to), _| from != to);
        self
    }

    fn index(&self, region: &str) -> Option<usize> {
        self.regions.binary_search_by(|known| known.as_str().cmp(region)).ok()
    }

    /// The table of these lines; with an error the number of the line.
    pub(super) fn from_lines(
        header: &Header,
        lines: Vec<Line>,
    ) -> Result<Self, (usize, RowProblem)> {
        let mut regions: Vec<String> =
            lines.iter().flat_map(|line| [line.from.clone(), line.to.clone()]).collect();
        regions.sort_unstable();
        regions.dedup();
        let columns = header.levels.iter().map(|level| level.column.clone()).collect();
        let unused = header.unused.iter().map(|(column, _)| column.clone()).collect();
        let mut matrix = Self { regions, rows: BTreeMap::new(), columns, unused };
        let mut first_lines = BTreeMap::new();
        for Line { number, from, to, row } in lines {
            let known = "every region of a row was collected above";
            let pair = (matrix.index(&from).expect(known), matrix.index(&to).expect(known));
            if let Some(first) = first_lines.insert(pair, number) {
                return Err((number, RowProblem::Duplicate { from, to, first }));
            }
            matrix.rows.insert(pair, row);
        }
        Ok(matrix)
    }
}

impl Row {
    fn quantile(&self, probability: f64) -> Option<Span> {
        self.quantiles.iter().find(|level| is(level.0, probability)).map(|level| level.1)
    }
}

impl Header {
    pub(super) fn parse(names: &[String]) -> Result<Self, RowProblem> {
        if names.len() < 3 || names[..3] != ["from", "to", "rtt_ms"] {
            let found = names[..names.len().min(3)].join(",");
            return Err(RowProblem::Header { found });
        }
        let mut header = Self { field_count: names.len(), levels: Vec::new(), unused: Vec::new() };
        for (index, name) in names.iter().enumerate().skip(3) {
            match probability(name)? {
                Some(probability) => header.add(probability, name, index)?,
                None if names[..index].contains(name) => {
                    return Err(RowProblem::RepeatedColumn { column: name.clone() });
                }
                None if UNUSED.contains(&name.as_str()) => {
                    header.unused.push((name.clone(), index));
                }
                None => return Err(unknown(name)),
            }
        }
        if header.levels.iter().all(|level| !is(level.probability, MEDIAN)) {
            header.add(MEDIAN, "rtt_ms", 2)?;
        }
        header.levels.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        Ok(header)
    }

    fn add(&mut self, probability: f64, column: &str, index: usize) -> Result<(), RowProblem> {
        let column = column.to_owned();
        if self.levels.iter().any(|level| is(level.probability, probability)) {
            return Err(RowProblem::RepeatedColumn { column });
        }
        self.levels.push(Level { probability, column, index });
        Ok(())
    }

    pub(super) fn row(&self, Record { line, fields }: &Record) -> Result<Line, RowProblem> {
        if fields.len() != self.field_count {
            let (found, expected) = (fields.len(), self.field_count);
            return Err(RowProblem::FieldCount { found, expected });
        }
        for (column, name) in [("from", &fields[0]), ("to", &fields[1])] {
            check_name(name).map_err(|problem| {
                let name = name.clone();
                RowProblem::Region { column, name, problem }
            })?;
        }
        let unused = self.unused.iter().map(|(column, index)| match fields[*index].as_str() {
            "" => Ok(None),
            text => round_trip(column, text).map(Some),
        });
        let unused = unused.collect::<Result<_, _>>()?;
        let rtt = round_trip("rtt_ms", &fields[2])?;
        let (quantiles, max) = self.quantiles(fields)?;
        let (from, to) = (fields[0].clone(), fields[1].clone());
        Ok(Line { number: *line, from, to, row: Row { rtt, quantiles, max, unused } })
    }

    fn quantiles(&self, fields: &[String]) -> Result<(Quantiles, Option<Span>), RowProblem> {
        let (mut quantiles, mut max) = (Vec::new(), None);
        let mut below: Option<(&str, &str, Span)> = None;
        for level in &self.levels {
            let (column, text) = match fields[level.index].as_str() {
                "" if is(level.probability, MEDIAN) => ("rtt_ms", fields[2].as_str()),
                "" => continue,
                text => (level.column.as_str(), text),
            };
            let span = round_trip(column, text)?;
            if let Some((low, low_ms, low_span)) = below
                && low_span > span
            {
                return Err(RowProblem::Descending {
                    low: low.to_owned(),
                    low_ms: low_ms.to_owned(),
                    high: column.to_owned(),
                    high_ms: text.to_owned(),
                });
            }
            below = Some((column, text, span));
            if level.probability < 1.0 {
                quantiles.push((level.probability, span));
            } else {
                max = Some(span);
            }
        }
        Ok((quantiles, max))
    }
}

/// The place of a column in the distribution; `None` for a column that is not of it.
fn probability(column: &str) -> Result<Option<f64>, RowProblem> {
    let percent: Option<f64> = match column {
        "min_ms" => return Ok(Some(0.0)),
        "max_ms" => return Ok(Some(1.0)),
        _ => column
            .strip_prefix('p')
            .and_then(|rest| rest.strip_suffix("_ms"))
            .and_then(|digits| digits.parse().ok()),
    };
    match percent {
        Some(percent) if percent > 0.0 && percent < 100.0 => Ok(Some(percent / 100.0)),
        Some(_) => Err(RowProblem::Percentile { column: column.to_owned() }),
        None => Ok(None),
    }
}

fn is_median(column: &str) -> bool {
    probability(column).is_ok_and(|place| place.is_some_and(|place| is(place, MEDIAN)))
}

/// The error for a column that has no meaning, with those that it may have meant.
fn unknown(column: &str) -> RowProblem {
    let lower = column.to_lowercase();
    let digits: String =
        lower.trim_start_matches('p').chars().take_while(char::is_ascii_digit).collect();
    let is_percentile = lower.starts_with('p') && !digits.is_empty();
    let is_other_unit = ["_us", "_ns", "_s"].iter().any(|unit| lower.ends_with(unit));
    let known = ["rtt_ms", "min_ms", "max_ms", "avg_ms", "mdev_ms", "p50_ms", "p90_ms", "p99_ms"];
    let near = match () {
        // Another unit is no slip: the figures would have to change too.
        () if is_other_unit => Vec::new(),
        () if known.contains(&lower.as_str()) => vec![lower],
        () if is_percentile => vec![format!("p{digits}_ms")],
        () => resembling(&lower, known),
    };
    RowProblem::UnknownColumn { column: column.to_owned(), near }
}

/// Whether two columns have the same place.
fn is(a: f64, b: f64) -> bool {
    a.total_cmp(&b).is_eq()
}

fn round_trip(column: &str, text: &str) -> Result<Span, RowProblem> {
    match text.parse::<f64>() {
        Ok(ms) if (0.0..=MAX_MS).contains(&ms) => Ok(Span::from_millis_f64(ms)),
        _ => Err(RowProblem::Number { column: column.to_owned(), text: text.to_owned() }),
    }
}

/// To the nanosecond, with no digit more than that takes.
pub(super) fn milliseconds(span: Span) -> String {
    let text = format!("{}.{:06}", span.0 / 1_000_000, span.0 % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;

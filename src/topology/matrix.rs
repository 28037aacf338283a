//! A table of round trips between regions, read from CSV.
//!
//! The header begins with `from,to,rtt_ms`.
//! Further columns named `min_ms` or `p` and a number (`p90_ms`, `p99.9_ms`) are the distribution;
//! `rtt_ms` is its median unless the row has a `p50_ms`.
//! `max_ms` must ascend too but is never drawn: one outlier is no percentile.
//! An empty field of those is "not measured"; all other columns, such as `avg_ms`, are not used.
//! Blank lines and lines that begin with `#` are skipped, quotes around a field are taken off; a
//! field cannot contain a comma.
//!
//! Every line is checked here, so a profile that exists is well formed.
//! What is absent stays absent: no row is derived from another one.

use std::collections::BTreeMap;

use crate::time::Span;

use super::error::{Error, RowProblem};

/// The median's place in a distribution.
const MEDIAN: f64 = 0.5;

/// The longest round trip accepted: beyond an hour the unit was another one.
const MAX_MS: f64 = 3_600_000.0;

/// Round trips by (from, to), as indices into the sorted regions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    regions: Vec<String>,
    rows: BTreeMap<(usize, usize), Row>,
    columns: Vec<String>,
    ignored: Vec<String>,
}

/// One direction of one pair.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The figure of `rtt_ms`.
    pub(super) rtt: Span,
    /// The distribution of the round trip: (probability, round trip), ascending, never empty.
    pub(super) quantiles: Vec<(f64, Span)>,
}

/// What the header says of the columns after the first three.
struct Header {
    field_count: usize,
    /// The columns of the distribution by ascending probability, `rtt_ms` among them.
    levels: Vec<Level>,
    ignored: Vec<String>,
}

struct Level {
    probability: f64,
    column: String,
    index: usize,
}

/// A row as it stands in the file.
struct Line {
    number: usize,
    from: String,
    to: String,
    row: Row,
}

impl Matrix {
    /// Reads a table; `file` is for the messages.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let at = |line: usize| {
            move |problem| Error::Row { file: file.to_owned(), line, problem: Box::new(problem) }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let (number, first) = lines.next().ok_or_else(|| at(1)(RowProblem::NoRow))?;
        let header = Header::parse(&fields(first)).map_err(at(number))?;
        let mut rows = Vec::new();
        for (number, line) in lines {
            rows.push(header.row(number, &fields(line)).map_err(at(number))?);
        }
        if rows.is_empty() {
            return Err(at(number)(RowProblem::NoRow));
        }
        Self::from_lines(&header, rows).map_err(|(line, problem)| at(line)(problem))
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

    /// The columns that were not used.
    pub(super) fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Every row, by its regions.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str, &Row)> {
        let name = |index: usize| self.regions[index].as_str();
        self.rows.iter().map(move |((from, to), row)| (name(*from), name(*to), row))
    }

    fn index(&self, region: &str) -> Option<usize> {
        self.regions.binary_search_by(|known| known.as_str().cmp(region)).ok()
    }

    fn from_lines(header: &Header, lines: Vec<Line>) -> Result<Self, (usize, RowProblem)> {
        let mut regions: Vec<String> =
            lines.iter().flat_map(|line| [line.from.clone(), line.to.clone()]).collect();
        regions.sort_unstable();
        regions.dedup();
        let columns = header.levels.iter().map(|level| level.column.clone()).collect();
        let ignored = header.ignored.clone();
        let mut matrix = Self { regions, rows: BTreeMap::new(), columns, ignored };
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

impl Header {
    fn parse(names: &[&str]) -> Result<Self, RowProblem> {
        if names.len() < 3 || names[..3] != ["from", "to", "rtt_ms"] {
            let found = names[..names.len().min(3)].join(",");
            return Err(RowProblem::Header { found });
        }
        let mut header = Self { field_count: names.len(), levels: Vec::new(), ignored: Vec::new() };
        for (index, name) in names.iter().enumerate().skip(3) {
            match probability(name)? {
                Some(probability) => header.add(probability, name, index)?,
                None => header.ignored.push((*name).to_owned()),
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

    fn row(&self, number: usize, fields: &[&str]) -> Result<Line, RowProblem> {
        if fields.len() != self.field_count {
            let (found, expected) = (fields.len(), self.field_count);
            return Err(RowProblem::FieldCount { found, expected });
        }
        for (column, index) in [("from", 0), ("to", 1)] {
            if fields[index].is_empty() {
                return Err(RowProblem::NoRegion { column });
            }
        }
        let rtt = round_trip("rtt_ms", fields[2])?;
        let quantiles = self.quantiles(fields)?;
        let (from, to) = (fields[0].to_owned(), fields[1].to_owned());
        Ok(Line { number, from, to, row: Row { rtt, quantiles } })
    }

    fn quantiles(&self, fields: &[&str]) -> Result<Vec<(f64, Span)>, RowProblem> {
        let mut quantiles = Vec::new();
        let mut below: Option<(&str, &str, Span)> = None;
        for level in &self.levels {
            let (column, text) = match fields[level.index] {
                "" if is(level.probability, MEDIAN) => ("rtt_ms", fields[2]),
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
            }
        }
        Ok(quantiles)
    }
}

/// The place of a column in the distribution; `None` for a column that is not used.
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

fn fields(line: &str) -> Vec<&str> {
    line.split(',').map(unquoted).collect()
}

/// Spreadsheets put quotes around names.
fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Matrix::parse("t.csv", text).unwrap_err().to_string()
    }

    fn quantiles(text: &str) -> Vec<(f64, Span)> {
        Matrix::parse("t.csv", text).unwrap().row("a", "b").unwrap().quantiles.clone()
    }

    fn ms(ms: u64) -> Span {
        Span::from_millis(ms)
    }

    #[test]
    fn a_plain_table_keeps_what_it_says_and_nothing_else() {
        // Asymmetric, far from metric, and without one direction of (b, c).
        let text = "from,to,rtt_ms\na,b,1.5\nb,a,2\na,c,900\nc,a,900\nb,c,0\n";
        let matrix = Matrix::parse("t.csv", text).unwrap();
        assert_eq!(matrix.regions(), ["a", "b", "c"]);
        assert_eq!(matrix.row("a", "b").unwrap().rtt, Span(1_500_000));
        assert_eq!(matrix.row("b", "a").unwrap().rtt, ms(2));
        assert_eq!(matrix.row("b", "c").unwrap().rtt, Span::ZERO);
        assert_eq!(matrix.row("c", "b"), None);
        assert_eq!(matrix.row("a", "a"), None);
        assert_eq!(matrix.rows().count(), 5);
    }

    #[test]
    fn comments_blank_lines_quotes_and_windows_endings_are_read_over() {
        let text =
            "\u{feff}# mine\r\n\r\n\"from\",\"to\",\"rtt_ms\"\r\n\"a\",\"b\", 3 \r\n\r\n# end\r\n";
        assert_eq!(quantiles(text), [(0.5, ms(3))]);
        assert!(refused("# c\n\nfrom,to,rtt_ms\n\na,b,x\n").starts_with("t.csv:5: rtt_ms = \"x\""));
    }

    #[test]
    fn percentile_columns_may_stand_in_any_order() {
        let text = "from,to,rtt_ms,p90_ms,avg_ms,p99.5_ms,p10_ms,min_ms\na,b,5,8,77,9,4,1\n";
        assert_eq!(
            quantiles(text),
            [(0.0, ms(1)), (0.1, ms(4)), (0.5, ms(5)), (0.9, ms(8)), (0.995, ms(9))]
        );
        let matrix = Matrix::parse("t.csv", text).unwrap();
        assert_eq!(matrix.columns().join(" "), "min_ms p10_ms rtt_ms p90_ms p99.5_ms");
        assert_eq!(matrix.ignored(), ["avg_ms"]);
    }

    #[test]
    fn the_maximum_is_checked_and_never_drawn() {
        assert_eq!(quantiles("from,to,rtt_ms,max_ms\na,b,5,70\n"), [(0.5, ms(5))]);
        assert!(refused("from,to,rtt_ms,max_ms\na,b,5,4\n").contains("max_ms = 4 is less than"));
    }

    #[test]
    fn a_median_column_stands_before_rtt_ms_where_it_is_not_empty() {
        let text = "from,to,rtt_ms,p50_ms,p90_ms\na,b,9,5,8\n";
        assert_eq!(quantiles(text), [(0.5, ms(5)), (0.9, ms(8))]);
        assert_eq!(Matrix::parse("t.csv", text).unwrap().row("a", "b").unwrap().rtt, ms(9));
        let text = "from,to,rtt_ms,p50_ms,p90_ms\na,b,7,,8\n";
        assert_eq!(quantiles(text), [(0.5, ms(7)), (0.9, ms(8))]);
    }

    #[test]
    fn an_empty_percentile_is_not_measured_rather_than_zero() {
        assert_eq!(quantiles("from,to,rtt_ms,p10_ms,p90_ms\na,b,5,,\n"), [(0.5, ms(5))]);
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        let cases = [
            ("", "t.csv:1: the file has no row"),
            ("from,to,rtt_ms\n", "t.csv:1: the file has no row"),
            ("a,b,3\n", "t.csv:1: the header begins with \"a,b,3\": it must begin with"),
            ("from,to\na,b\n", "t.csv:1: the header begins with \"from,to\""),
            ("from,to,rtt_ms\na,b\n", "t.csv:2: the row has 2 fields where the header has 3"),
            ("from,to,rtt_ms\na,b,1,2\n", "t.csv:2: the row has 4 fields"),
            ("from,to,rtt_ms\na,,1\n", "t.csv:2: the region in column \"to\" is empty"),
            ("from,to,rtt_ms\na,b,1\na,c,\n", "t.csv:3: rtt_ms = \"\" is no round trip"),
            ("from,to,rtt_ms\na,b,-1\n", "t.csv:2: rtt_ms = \"-1\""),
            ("from,to,rtt_ms\na,b,NaN\n", "t.csv:2: rtt_ms = \"NaN\""),
            ("from,to,rtt_ms\na,b,inf\n", "t.csv:2: rtt_ms = \"inf\""),
            ("from,to,rtt_ms\na,b,64000000\n", "t.csv:2: rtt_ms = \"64000000\""),
            ("from,to,rtt_ms,p90_ms\na,b,1,x\n", "t.csv:2: p90_ms = \"x\""),
            (
                "from,to,rtt_ms\na,b,1\nb,a,1\na,b,1\n",
                "t.csv:4: the row a -> b was given at line 2",
            ),
            ("from,to,rtt_ms,p90_ms\na,b,9,8\n", "t.csv:2: p90_ms = 8 is less than rtt_ms = 9"),
            ("from,to,rtt_ms,p10_ms\na,b,9,10\n", "t.csv:2: rtt_ms = 9 is less than p10_ms = 10"),
            ("from,to,rtt_ms,p90_ms,p90_ms\na,b,1,2,3\n", "t.csv:1: column \"p90_ms\" repeats"),
            ("from,to,rtt_ms,p100_ms\na,b,1,2\n", "t.csv:1: column \"p100_ms\" is no percentile"),
            ("from,to,rtt_ms,p0_ms\na,b,1,0\n", "t.csv:1: column \"p0_ms\" is no percentile"),
        ];
        for (text, expected) in cases {
            assert!(refused(text).starts_with(expected), "{text:?}: {}", refused(text));
        }
    }
}

//! From the tables that people have to a profile.
//!
//! | shape | what it looks like |
//! |---|---|
//! | rows | a header, and one line for each direction of a pair, with columns of many names |
//! | square | the regions in the first line and in the first column, a figure in each cell |
//!
//! The delimiter is found out: a comma, a semicolon or a tab.
//! Nothing is guessed that changes figures: the unit and whether delays are one-way must be said where
//! the header does not, and what was taken for what is in [`Imported::notes`].

mod error;
mod table;

use std::fmt;

use crate::time::Span;

use super::error::{Error, RowProblem};
use super::fields::records;
use super::matrix::{Matrix, milliseconds};
use super::profile::{Profile, utf8};
pub use error::ImportError;
use error::at;
use table::{Table, rows, square};

/// The unit of the figures in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

/// What the user says of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The unit of columns that do not say theirs; milliseconds if `None`.
    pub unit: Option<Unit>,
    /// Whether figures are delays in one direction, and not round trips.
    pub is_one_way: bool,
    /// Whether it is a square of regions.
    pub is_square: bool,
    /// Whether a figure is that of both directions where the other one is absent.
    pub is_symmetric: bool,
}

/// A table that became a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The profile.
    pub profile: Profile,
    /// What was taken for what, a sentence each.
    pub notes: Vec<String>,
    /// What looks wrong, a sentence each.
    pub warnings: Vec<String>,
}

/// Makes a profile of a file's bytes; `file` is its path, for messages.
pub fn import(file: &str, bytes: Vec<u8>, shape: Shape) -> Result<Imported, ImportError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::Encoding { path: file.to_owned(), line: 1 }.into());
    }
    let text = utf8(file, bytes)?;
    let delimiter = delimiter(&text);
    let records = records(&text, delimiter).map_err(|(line, problem)| at(file, line, problem))?;
    let Some((first, rest)) = records.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err(at(file, 1, RowProblem::NoRow));
    };
    let mut table = if shape.is_square {
        square(file, first, rest, shape)?
    } else {
        rows(file, first, rest, shape)?
    };
    let name = match delimiter {
        '\t' => "a tab",
        ';' => "a semicolon",
        _ => "a comma",
    };
    table.notes.push(format!("fields are separated by {name}"));
    let (matrix, filled_count) = table.matrix(file, shape)?;
    let Table { mut notes, .. } = table;
    notes.push(if shape.is_one_way {
        "figures are one-way delays: a row is twice its figure, because a link has half of its row"
            .to_owned()
    } else {
        "figures are round trips: a link has half of its row in each direction".to_owned()
    });
    if filled_count > 0 {
        notes.push(format!("{filled_count} rows are those of the other direction"));
    }
    notes.push(diagonal(&matrix));
    let count = matrix.rows().count();
    notes.push(format!("{} regions, {count} rows", matrix.regions().len()));
    let warnings = [missing(&matrix, shape), unlikely(&matrix)].into_iter().flatten().collect();
    Ok(Imported { profile: Profile::of_matrix(file, matrix), notes, warnings })
}

/// The sign that the first line has most often, outside of quotes.
fn delimiter(text: &str) -> char {
    let lines = text.split(['\n', '\r']);
    let first = lines.into_iter().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let outside: String = first.unwrap_or_default().split('"').step_by(2).collect();
    // Of equals the comma.
    [';', '\t', ','].into_iter().max_by_key(|sign| outside.matches(*sign).count()).unwrap_or(',')
}

/// What is known of two nodes in one region.
fn diagonal(matrix: &Matrix) -> String {
    let count = matrix.rows().filter(|(from, to, _)| from == to).count();
    match count {
        0 => "no region has a round trip within it: two nodes of one have no delay".to_owned(),
        _ if count == matrix.regions().len() => {
            "every region has a round trip within it, between two of its nodes".to_owned()
        }
        _ => format!("{count} regions have a round trip within them, between two of their nodes"),
    }
}

/// All pairs without a row.
fn missing(matrix: &Matrix, shape: Shape) -> Option<String> {
    let regions = matrix.regions();
    let mut pairs = Vec::new();
    let mut is_halved = true;
    for from in regions {
        for to in regions {
            if from != to && matrix.row(from, to).is_none() {
                pairs.push(format!("{from} -> {to}"));
                is_halved &= matrix.row(to, from).is_some();
            }
        }
    }
    if pairs.is_empty() {
        return None;
    }
    let remedy = if is_halved && !shape.is_symmetric {
        "`--symmetric` takes the other direction for them"
    } else {
        "an experiment that needs one of them is refused"
    };
    Some(format!("{} pairs have no row: {}; {remedy}", pairs.len(), pairs.join(", ")))
}

/// Whether the figures look like those of another unit.
fn unlikely(matrix: &Matrix) -> Option<String> {
    let mut spans: Vec<Span> =
        matrix.rows().filter(|(from, to, _)| from != to).map(|(_, _, row)| row.rtt).collect();
    spans.sort_unstable();
    let (median, most) = (spans.get(spans.len() / 2)?, spans.last()?);
    // Light goes half around the Earth and back in 200 ms of fibre; within a data centre a round trip
    // takes tens of microseconds.
    let guess = if *median > Span::from_millis(1_500) {
        "a smaller unit, such as `--unit us`"
    } else if *most < Span::from_micros(20) {
        "a larger unit, such as `--unit s`"
    } else if *most < Span::from_millis(1) {
        "a larger unit, such as `--unit s`, unless all of them are in one data centre"
    } else {
        return None;
    };
    let (median, most) = (milliseconds(*median), milliseconds(*most));
    Some(format!(
        "half of the round trips are longer than {median} ms, the longest is {most} ms: this looks like {guess}"
    ))
}

impl Unit {
    /// So many milliseconds.
    const fn ms(self) -> f64 {
        match self {
            Self::Ns => 1e-6,
            Self::Us => 1e-3,
            Self::Ms => 1.0,
            Self::S => 1e3,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ns => "ns",
            Self::Us => "us",
            Self::Ms => "ms",
            Self::S => "s",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: Shape =
        Shape { unit: None, is_one_way: false, is_square: true, is_symmetric: false };

    fn imported(text: &str, shape: Shape) -> Imported {
        import("t.csv", text.as_bytes().to_vec(), shape).unwrap()
    }

    #[track_caller]
    fn check(text: &str, shape: Shape, expected: &str) {
        let found = imported(text, shape);
        assert_eq!(found.profile.to_csv(None).unwrap(), expected, "{text}");
        assert_eq!(found.warnings, [""; 0], "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, shape: Shape, phrases: &[&str]) {
        let error = import("t.csv", text.as_bytes().to_vec(), shape).unwrap_err().to_string();
        for phrase in phrases {
            assert!(error.contains(phrase), "{phrase:?} is missing in {error}");
        }
    }

    #[test]
    fn a_square_becomes_one_row_a_direction() {
        let expected = "from,to,rtt_ms\n\
            ap,ap,0.2\nap,eu,120\nap,us,191\neu,ap,121\neu,eu,0.3\neu,us,82\n\
            us,ap,190\nus,eu,81.5\nus,us,0.2\n";
        check(",us,eu,ap\nus,0.2,81.5,190\neu,82,0.3,121\nap,191,120,0.2\n", SQUARE, expected);
        // Another order of lines, another delimiter, quotes, and a name in the corner.
        let text = "ms;\"us\";eu;ap\n\"ap\"; 191;120;0.2\nus;0.2;81.5;190\neu;82;0.3;121\n";
        check(text, SQUARE, expected);
        let text = text.replace(';', "\t").replace('\n', "\r");
        check(&text, SQUARE, expected);
    }

    #[test]
    fn zeros_of_a_region_with_itself_and_empty_cells_are_no_rows() {
        let half = Shape { is_symmetric: true, ..SQUARE };
        let expected = "from,to,rtt_ms\na,b,5\nb,a,5\n";
        check(",a,b\na,0,5\nb,,0\n", half, expected);
        check(",a,b\na,-,5\nb,n/a,-\n", half, expected);
        let found = imported(",a,b\na,0,5\nb,,0\n", half);
        assert!(found.notes.contains(&"1 rows are those of the other direction".to_owned()));
    }

    #[test]
    fn rows_are_read_under_the_names_that_tables_have() {
        // The columns of WonderNetwork's pings.
        let text = "\"source\",\"destination\",\"timestamp\",\"min\",\"avg\",\"max\",\"mdev\"\n\
            \"Paris\",\"Lyon\",\"2020-07-19 00:05:02\",\"5.5\",\"6\",\"9.25\",\"0.3\"\n\
            \"Lyon\",\"Paris\",\"2020-07-19 00:05:02\",\"5\",\"6.5\",\"9\",\"0.2\"\n";
        let expected = "from,to,rtt_ms,min_ms,max_ms\nLyon,Paris,6.5,5,9\nParis,Lyon,6,5.5,9.25\n";
        check(text, Shape::default(), expected);
        let notes = imported(text, Shape::default()).notes.join("\n");
        assert!(notes.contains("from source, to destination, figures avg as rtt_ms"), "{notes}");
        assert!(notes.contains("not used: timestamp, mdev"), "{notes}");
        let us = "src;dst;latency (us);p99_us\na;b;1500;2500\nb;a;1400;2000\n";
        let expected = "from,to,rtt_ms,p99_ms\na,b,1.5,2.5\nb,a,1.4,2\n";
        check(us, Shape::default(), expected);
    }

    #[test]
    fn units_and_one_way_delays_are_converted_exactly() {
        let text = "from,to,delay\na,b,0.015\nb,a,0.016\n";
        let shape = Shape { unit: Some(Unit::S), is_one_way: true, ..Shape::default() };
        check(text, shape, "from,to,rtt_ms\na,b,30\nb,a,32\n");
        // The emulated link has the delay that the table says.
        let profile = imported(text, shape).profile;
        let delay = profile.one_way("a", "b", crate::topology::Jitter::None).unwrap();
        assert_eq!(delay.median(), Span::from_millis(15));
        let us = Shape { unit: Some(Unit::Us), ..SQUARE };
        check(",a,b\na,0,81500\nb,82000.5,0\n", us, "from,to,rtt_ms\na,b,81.5\nb,a,82.0005\n");
    }

    #[test]
    fn every_missing_pair_is_named_at_once() {
        let found = imported("from,to,rtt\na,b,5\nb,c,5\nc,a,5\n", Shape::default());
        let [warning] = &found.warnings[..] else { panic!("{found:?}") };
        assert!(warning.contains("3 pairs have no row: a -> c, b -> a, c -> b"), "{warning}");
        assert!(warning.contains("`--symmetric`"), "{warning}");
        let symmetric = Shape { is_symmetric: true, ..Shape::default() };
        assert_eq!(imported("from,to,rtt\na,b,5\n", symmetric).warnings, [""; 0]);
    }

    #[test]
    fn figures_of_another_unit_are_warned_of() {
        let warned = |from_a: &str, unit| {
            let text = format!("from,to,rtt\na,b,{from_a}\nb,a,{from_a}\n");
            imported(&text, Shape { unit: Some(unit), ..Shape::default() }).warnings.join("")
        };
        assert!(warned("81500", Unit::Ms).contains("`--unit us`"));
        assert!(warned("0.0815", Unit::Ms).contains("`--unit s`"));
        assert!(warned("0.01", Unit::Ms).contains("`--unit s`"));
        for (figure, unit) in [("81.5", Unit::Ms), ("81500", Unit::Us), ("0.0815", Unit::S)] {
            assert_eq!(warned(figure, unit), "", "{figure}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_its_place() {
        let any = Shape::default();
        check_refused("from,to,rtt_ms\n", any, &["t.csv:1", "no row"]);
        check_refused("from,to\na,b\n", any, &["t.csv:1", "the round trip", "from, to", "rtt"]);
        check_refused(",a,b\na,0,5\nb,5,0\n", any, &["no column is the region", "`--square`"]);
        check_refused("from,to,rtt\na,b,1,234\n", any, &["t.csv:2", "4 fields", "thousands"]);
        check_refused("from,to,rtt\na,b,\"1,234\"\n", any, &["t.csv:2", "1,234", "thousands"]);
        check_refused("from;to;rtt\na;b;81,5\n", any, &["t.csv:2", "81,5", "a point"]);
        check_refused("from,to,rtt\na,b,81.5ms\n", any, &["81.5ms", "no unit"]);
        check_refused("from,to,rtt\na,b,-1\n", any, &["t.csv:2", "-1"]);
        check_refused("from,to,rtt\n=a,b,1\n", any, &["t.csv:2", "formula"]);
        check_refused("from,to,rtt\n\"a,b,1\n", any, &["t.csv:2", "not closed"]);
        let us = Shape { unit: Some(Unit::Us), ..any };
        check_refused("from,to,rtt_ms\na,b,1\n", us, &["rtt_ms", "is in ms", "says us"]);
        let one_way = Shape { is_one_way: true, ..any };
        check_refused("from,to,delay,p99\na,b,1,2\n", one_way, &["p99", "one-way"]);
        check_refused(",a,b\na,0,5\n", SQUARE, &["no square", "no line begins with b"]);
        check_refused(",a,b\na,0,5\nc,5,0\n", SQUARE, &["begins with b", "no column is c"]);
        check_refused(",a,b\na,0\nb,5,0\n", SQUARE, &["line 2 has 2 fields", "3"]);
    }

    #[test]
    fn rows_that_stand_twice_are_all_named() {
        let text = "from,to,rtt\na,b,81.5\nb,a,80\na,b,81.7\nb,a,80\n";
        let phrases = ["a -> b (lines 2 and 4), b -> a (lines 3 and 5)", "keep one"];
        check_refused(text, Shape::default(), &phrases);
        check_refused(",a,b\na,0,5\nb,5,0\na,0,6\n", SQUARE, &["a -> b (lines 2 and 4)"]);
    }

    #[test]
    fn other_encodings_are_said_to_be_that() {
        let latin1 = b"from,to,rtt\nb,c,1\nS\xe3o Paulo,b,81.5\n".to_vec();
        let error = import("t.csv", latin1, Shape::default()).unwrap_err().to_string();
        assert!(error.contains("t.csv:3: this is not UTF-8"), "{error}");
        let utf16 = [0xff, 0xfe, b'f', 0, b'r', 0].to_vec();
        let error = import("t.csv", utf16, Shape::default()).unwrap_err().to_string();
        assert!(error.contains("t.csv:1: this is not UTF-8"), "{error}");
    }
}

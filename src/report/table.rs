//! Plain columns on stdout, which a person reads and `awk` splits, and folded text.
//!
//! A table that is wider than its terminal leaves whole columns out, the least important first, and names
//! them in a line below. A row is never broken over two lines, and a number is never cut.

use std::collections::BTreeSet;
use std::fmt;

use comfy_table::CellAlignment;
use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, wrap};

use crate::measure::Figure;
use crate::time::Span;

/// A line below the header and nothing else, in the order of comfy-table's presets.
const HEADER_LINE: &str = "     ─             ";

/// The space between two columns.
const GAP: usize = 2;

/// A name is not shortened below this.
const NAME_MIN: usize = 5;

/// The width that running text is folded to.
const TEXT_WIDTH: usize = 78;

/// The width that text below a table is folded to where the terminal is not narrower.
const LEGEND_WIDTH: usize = 100;

/// How much room a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// As much as it takes: a file, a pipe, or a user who wants to see everything.
    Whole,
    /// A terminal of so many columns.
    Columns(usize),
}

impl Width {
    const fn most(self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Columns(most) => most,
        }
    }
}

/// The head of a column, and what may happen to it where there is little room.
#[derive(Clone, Debug)]
pub struct Column {
    header: String,
    kind: Kind,
    /// The least is left out first; a column without one stays.
    rank: Option<u8>,
    /// Whether the table has this column at all.
    is_there: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Text that may be shortened in its middle, as long as no two cells become the same.
    Name,
    /// Text that stays as it is.
    Text,
    /// Stands to the right, and stays as it is.
    Number,
}

impl Column {
    /// A column of names: they may be shortened where leaving out columns is not enough.
    pub fn name(header: impl Into<String>) -> Self {
        Self::new(header, Kind::Name)
    }

    /// A column of words.
    pub fn text(header: impl Into<String>) -> Self {
        Self::new(header, Kind::Text)
    }

    /// A column of numbers.
    pub fn number(header: impl Into<String>) -> Self {
        Self::new(header, Kind::Number)
    }

    fn new(header: impl Into<String>, kind: Kind) -> Self {
        Self { header: header.into(), kind, rank: None, is_there: true }
    }

    /// The column may be left out: those of rank 1 before those of rank 2, and all of one rank together.
    #[must_use]
    pub fn rank(self, rank: u8) -> Self {
        Self { rank: Some(rank), ..self }
    }

    /// The table has this column only if it is needed; its cells are dropped too.
    #[must_use]
    pub fn only_if(self, is_there: bool) -> Self {
        Self { is_there, ..self }
    }
}

/// A table of text; printed with [`fmt::Display`] it is whole.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// The table with these columns; every row has a cell for each of them.
    pub fn new(columns: Vec<Column>, rows: Vec<Vec<String>>) -> Self {
        let is_there: Vec<bool> = columns.iter().map(|column| column.is_there).collect();
        let keep = |row: Vec<String>| {
            debug_assert_eq!(row.len(), is_there.len(), "{row:?}");
            row.into_iter().zip(&is_there).filter_map(|(cell, is_there)| is_there.then_some(cell))
        };
        let rows = rows.into_iter().map(|row| keep(row).collect()).collect();
        Self { columns: columns.into_iter().filter(|column| column.is_there).collect(), rows }
    }

    /// The table as it fits, and a line below it that names the columns that were left out or shortened.
    ///
    /// What remains may still be wider than a very narrow terminal.
    pub fn fit(&self, width: Width) -> String {
        let most = width.most();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut left_out: Vec<&str> = Vec::new();
        let ranks: Vec<Option<u8>> = (0..self.columns.len()).map(|it| self.rank(it)).collect();
        while self.width(&shown, &self.rows) > most {
            let Some(least) = shown.iter().filter_map(|column| ranks[*column]).min() else { break };
            let is_least = |column: &usize| ranks[*column] == Some(least);
            for column in shown.iter().filter(|column| is_least(column)) {
                let header = self.columns[*column].header.as_str();
                if !left_out.contains(&header) {
                    left_out.push(header);
                }
            }
            shown.retain(|column| !is_least(column));
        }
        let mut rows = self.rows.clone();
        let shortened = self.shorten(&shown, &mut rows, most);
        let text = self.draw(&shown, &rows);
        let said = [("left out", left_out), ("shortened", shortened)];
        let said = said.into_iter().filter(|(_, headers)| !headers.is_empty());
        let said: Vec<String> =
            said.map(|(word, headers)| format!("{word}: {}", headers.join(", "))).collect();
        if said.is_empty() {
            return text;
        }
        format!("{text}\n{}", legend(&format!("{} (--wide shows all)", said.join("; ")), width))
    }

    /// When a column is left out, if it may be: before all others if it holds no figure.
    fn rank(&self, column: usize) -> Option<u8> {
        let is_empty = self.rows.iter().all(|row| row[column] == "-");
        self.columns[column].rank.map(|rank| if is_empty { 0 } else { rank })
    }

    /// Shortens names until the rows fit or no name can lose another letter; the headers of these columns.
    fn shorten(&self, shown: &[usize], rows: &mut [Vec<String>], most: usize) -> Vec<&str> {
        let mut shortened: BTreeSet<usize> = BTreeSet::new();
        let mut stuck: BTreeSet<usize> = BTreeSet::new();
        while self.width(shown, rows) > most {
            let names = shown.iter().copied().filter(|column| {
                self.columns[*column].kind == Kind::Name && !stuck.contains(column)
            });
            // The widest; of two that are as wide the first.
            let widest = names.rev().max_by_key(|column| self.column_width(*column, rows));
            let Some(column) = widest else { break };
            let limit = self.column_width(column, rows) - 1;
            let cells = |rows: &[Vec<String>]| -> BTreeSet<String> {
                rows.iter().map(|row| row[column].clone()).collect()
            };
            let is_too_short =
                limit < NAME_MIN || limit < display_width(&self.columns[column].header);
            let whole = cells(&self.rows);
            let short: BTreeSet<String> = whole.iter().map(|cell| cut(cell, limit)).collect();
            if is_too_short || short.len() < whole.len() {
                stuck.insert(column);
                continue;
            }
            for (row, whole) in rows.iter_mut().zip(&self.rows) {
                row[column] = cut(&whole[column], limit);
            }
            shortened.insert(column);
        }
        shortened.into_iter().map(|column| self.columns[column].header.as_str()).collect()
    }

    /// The width of these columns and of the gaps between them.
    fn width(&self, shown: &[usize], rows: &[Vec<String>]) -> usize {
        let gaps = GAP * shown.len().saturating_sub(1);
        gaps + shown.iter().map(|column| self.column_width(*column, rows)).sum::<usize>()
    }

    fn column_width(&self, column: usize, rows: &[Vec<String>]) -> usize {
        let cells = rows.iter().map(|row| display_width(&row[column]));
        cells.fold(display_width(&self.columns[column].header), usize::max)
    }

    fn draw(&self, shown: &[usize], rows: &[Vec<String>]) -> String {
        let mut table = comfy_table::Table::new();
        let pick = |row: &Vec<String>| -> Vec<String> {
            shown.iter().map(|column| row[*column].clone()).collect()
        };
        let headers: Vec<&str> =
            shown.iter().map(|column| self.columns[*column].header.as_str()).collect();
        table.load_preset(HEADER_LINE).set_header(headers).add_rows(rows.iter().map(pick));
        for (place, column) in shown.iter().enumerate() {
            let Some(drawn) = table.column_mut(place) else { continue };
            let is_last = place + 1 == shown.len();
            drawn.set_padding((0, if is_last { 0 } else { 2 }));
            if self.columns[*column].kind == Kind::Number {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fit(Width::Whole))
    }
}

/// A text of at most this width: the middle of a longer one gives way to a `…`.
fn cut(text: &str, most: usize) -> String {
    if display_width(text) <= most {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let kept = most.saturating_sub(1);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let head = letters.iter().take(head);
    head.chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

/// A table of these rows; columns in `right` hold numbers and stand to the right, and none is left out.
pub fn table(header: &[&str], right: &[usize], rows: &[Vec<String>]) -> Table {
    let column = |(place, header): (usize, &&str)| {
        if right.contains(&place) { Column::number(*header) } else { Column::text(*header) }
    };
    Table::new(header.iter().enumerate().map(column).collect(), rows.to_vec())
}

/// Nanoseconds as milliseconds; `-` where there are none.
pub fn milliseconds(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "-".into(), |ns| Span(ns).milliseconds())
}

/// A figure in milliseconds; `>` before one of which only that it is more is known.
pub fn figure(figure: Option<Figure>) -> String {
    match figure {
        None => "-".into(),
        Some(Figure::Known(span)) => span.milliseconds(),
        Some(Figure::Above(span)) => format!(">{}", span.milliseconds()),
    }
}

/// How far a figure is above a floor, in milliseconds.
pub fn over(figure: Option<Figure>, floor: Option<Span>) -> String {
    let Some(floor) = floor else { return "-".into() };
    let signed = |span: Span| {
        let ms = span.as_millis_f64() - floor.as_millis_f64();
        if ms.abs() < 1000.0 { format!("{ms:+.2}") } else { format!("{ms:+.0}") }
    };
    match figure {
        None => "-".into(),
        Some(Figure::Known(span)) => signed(span),
        Some(Figure::Above(span)) => format!(">{}", signed(span)),
    }
}

/// What stands below a table, folded between words; a narrow terminal folds it more.
pub fn legend(text: &str, width: Width) -> String {
    fold_to(width.most().min(LEGEND_WIDTH), text, 0)
}

/// A sentence of its own: one line, which a terminal folds between words with the rest indented.
pub fn line(text: &str, width: Width) -> String {
    match width {
        Width::Whole => text.to_owned(),
        Width::Columns(most) => fold_to(most.saturating_sub(2).max(1), text, 2),
    }
}

/// Running text, folded between words; the lines after the first are indented like it.
pub fn fold(text: &str, indent: usize) -> String {
    fold_to(TEXT_WIDTH.saturating_sub(indent), text, indent)
}

pub(in crate::report) fn fold_to(most: usize, text: &str, indent: usize) -> String {
    let options = Options::new(most)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    wrap(&text, options).join(&format!("\n{:indent$}", ""))
}

/// `1 variant`, `3 variants`.
pub fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with two names and four numbers, of which three may be left out.
    fn sample() -> Table {
        let columns = vec![
            Column::name("variant"),
            Column::name("client"),
            Column::number("p50"),
            Column::number("p99").rank(3),
            Column::number("rate").rank(2),
            Column::number("least").rank(1),
            Column::number("most").rank(1),
            Column::text("valid"),
        ];
        let row = |variant: &str, client: &str| {
            let cells =
                [variant, client, "139.36", "141.02", "158.1/158.1", "130.0", "150.0", "3/3*"];
            cells.map(str::to_owned).to_vec()
        };
        let regions = ["ap-southeast-1", "ap-southeast-2"];
        Table::new(columns, regions.map(|region| row("majority-of-five", region)).into())
    }

    /// The header of a fitted table, and its line about what is not there.
    #[track_caller]
    fn check(most: usize, header: &str, said: &str) {
        let text = sample().fit(Width::Columns(most));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| display_width(line) <= most), "{text}");
        let words = lines[0].split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words, header, "{text}");
        assert_eq!(lines[4..].join(" "), said, "{text}");
        let cells = |line: &str| line.split_whitespace().count();
        assert!(lines[2..4].iter().all(|line| cells(line) == cells(header)), "{text}");
    }

    #[test]
    fn columns_are_left_out_by_rank_until_the_table_fits() {
        let all = "variant client p50 p99 rate least most valid";
        check(200, all, "");
        // Its exact width: 16, 14, 6, 6, 11, 5, 5 and 5, and seven gaps.
        check(82, all, "");
        check(81, "variant client p50 p99 rate valid", "left out: least, most (--wide shows all)");
        let said = "left out: least, most, rate (--wide shows all)";
        check(60, "variant client p50 p99 valid", said);
        check(
            54,
            "variant client p50 valid",
            "left out: least, most, rate, p99 (--wide shows all)",
        );
        assert_eq!(sample().to_string(), sample().fit(Width::Whole));
    }

    #[test]
    fn a_column_without_a_figure_is_left_out_first() {
        let columns = vec![
            Column::text("variant"),
            Column::number("rate").rank(1),
            Column::number("p99").rank(8),
        ];
        let rows = vec![["multi", "100", "-"].map(str::to_owned).to_vec()];
        let text = Table::new(columns, rows).fit(Width::Columns(15));
        assert!(text.starts_with("variant  rate\n") && text.contains("left out: p99"), "{text}");
    }

    #[test]
    fn names_are_shortened_last_and_stay_different() {
        let text = sample().fit(Width::Columns(40));
        let rows: Vec<&str> = text.lines().skip(2).take(2).collect();
        assert!(rows.iter().all(|row| display_width(row) <= 40 && row.contains('…')), "{text}");
        // Numbers are whole.
        assert!(rows.iter().all(|row| row.ends_with("139.36  3/3*")), "{text}");
        let clients: BTreeSet<&str> =
            rows.iter().map(|row| row.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(clients.len(), 2, "{text}");
        let said = text.lines().skip(4).collect::<Vec<_>>().join(" ");
        assert!(said.ends_with("; shortened: variant, client (--wide shows all)"), "{said}");
    }

    #[test]
    fn names_that_differ_in_their_middle_alone_stay_whole() {
        let rows = ["aaaaaaa-1-aaaaaaa", "aaaaaaa-2-aaaaaaa"].map(|name| vec![name.to_owned()]);
        let text = Table::new(vec![Column::name("client")], rows.into()).fit(Width::Columns(9));
        assert!(text.contains("aaaaaaa-1-aaaaaaa") && !text.contains('…'), "{text}");
    }

    #[test]
    fn a_column_that_is_not_needed_is_dropped_with_its_cells() {
        let columns = vec![Column::text("a"), Column::text("b").only_if(false), Column::text("c")];
        let rows = vec![["1", "2", "3"].map(str::to_owned).to_vec()];
        let text = Table::new(columns, rows).to_string();
        assert_eq!(text, "a  c\n────\n1  3");
    }

    #[test]
    fn text_is_folded_between_words_and_indented() {
        let folded = fold(&"word ".repeat(40), 4);
        // The caller prints as much before the first line.
        assert!(folded.lines().skip(1).all(|line| line.chars().count() <= TEXT_WIDTH));
        assert!(folded.lines().next().unwrap().chars().count() + 4 <= TEXT_WIDTH);
        assert!(folded.lines().skip(1).all(|line| line.starts_with("    word")));
        assert_eq!(folded.split_whitespace().count(), 40);
    }

    #[test]
    fn a_sentence_is_folded_on_a_terminal_alone() {
        let text = "word ".repeat(40).trim_end().to_owned();
        assert_eq!(line(&text, Width::Whole), text);
        let folded = line(&text, Width::Columns(30));
        assert!(folded.lines().all(|line| line.len() <= 30), "{folded}");
        assert!(folded.lines().skip(1).all(|line| line.starts_with("  word")), "{folded}");
        let below = legend(&text, Width::Columns(30));
        assert!(below.lines().all(|line| line.len() <= 30), "{below}");
        assert!(legend(&text, Width::Whole).lines().all(|line| line.len() <= LEGEND_WIDTH));
    }

    #[test]
    fn a_figure_says_whether_it_is_known() {
        let ms = Span::from_millis;
        let said = |latency| (figure(latency), over(latency, Some(ms(20))));
        let of = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(said(None), of("-", "-"));
        assert_eq!(said(Some(Figure::Known(ms(21)))), of("21.00", "+1.00"));
        assert_eq!(said(Some(Figure::Known(ms(5)))), of("5.000", "-15.00"));
        assert_eq!(said(Some(Figure::Above(ms(1040)))), of(">1040", ">+1020"));
    }

    #[test]
    fn a_table_has_one_line_for_each_row_and_two_for_its_header() {
        let rows = [["a", "1"], ["b", "20"]].map(|row| row.map(str::to_owned).to_vec());
        let text = table(&["name", "count"], &[1], &rows).to_string();
        let columns: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(columns.len(), 4, "{text}");
        assert_eq!(columns[3], ["b", "20"]);
    }
}

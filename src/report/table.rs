//! What is printed on stdout: plain columns that a person reads and `awk` splits, and folded text.

use comfy_table::{CellAlignment, Table};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, wrap};

use crate::measure::Figure;
use crate::time::Span;

/// A line below the header and nothing else, in the order of comfy-table's presets.
const HEADER_LINE: &str = "     ─             ";

/// The width that running text is folded to.
const TEXT_WIDTH: usize = 78;

/// The width that a table should have at most.
const TABLE_WIDTH: usize = 100;

/// A table of these rows; columns in `right` hold numbers and stand to the right.
pub fn table(header: &[&str], right: &[usize], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_preset(HEADER_LINE).set_header(header).add_rows(rows);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
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

/// What stands below a table, folded between words to the width that a table should have at most.
pub fn legend(text: &str) -> String {
    fold_to(TABLE_WIDTH, text, 0)
}

/// Running text, folded between words; the lines after the first are indented like it.
pub fn fold(text: &str, indent: usize) -> String {
    fold_to(TEXT_WIDTH, text, indent)
}

fn fold_to(most: usize, text: &str, indent: usize) -> String {
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

    #[test]
    fn text_is_folded_between_words_and_indented() {
        let folded = fold(&"word ".repeat(40), 4);
        assert!(folded.lines().all(|line| line.trim_start().chars().count() <= TEXT_WIDTH));
        assert!(folded.lines().skip(1).all(|line| line.starts_with("    word")));
        assert_eq!(folded.split_whitespace().count(), 40);
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

//! What is printed on stdout: plain columns that a person reads and `awk` splits, and folded text.

use comfy_table::{CellAlignment, Table};

/// A line below the header and nothing else, in the order of comfy-table's presets.
const HEADER_LINE: &str = "     ─             ";

/// The width that running text is folded to.
const TEXT_WIDTH: usize = 78;

/// A table of these rows; columns in `right` hold numbers and stand to the right.
pub(super) fn table(header: &[&str], right: &[usize], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_preset(HEADER_LINE).set_header(header).add_rows(rows);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Running text, folded between words; the lines after the first are indented like it.
pub(super) fn fold(text: &str, indent: usize) -> String {
    let mut folded = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let letters = word.chars().count();
        if width > 0 && width + 1 + letters > TEXT_WIDTH {
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            width = 0;
        } else if width > 0 {
            folded.push(' ');
            width += 1;
        }
        folded.push_str(word);
        width += letters;
    }
    folded
}

/// `1 variant`, `3 variants`.
pub(super) fn counted(count: usize, thing: &str) -> String {
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
    fn a_table_has_one_line_for_each_row_and_two_for_its_header() {
        let rows = [["a", "1"], ["b", "20"]].map(|row| row.map(str::to_owned).to_vec());
        let text = table(&["name", "count"], &[1], &rows).to_string();
        let columns: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(columns.len(), 4, "{text}");
        assert_eq!(columns[3], ["b", "20"]);
    }
}

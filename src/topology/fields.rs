//! The fields of a table in text, as people have them: line ends of any system, blank lines, comments,
//! spaces around a field, and quotes.
//!
//! A field in quotes may have the delimiter in it, and two quotes stand for one; it ends on its line,
//! because no name has a line break.

use super::error::RowProblem;

/// One line of a table that is neither blank nor a comment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// Its line in the file, from 1.
    pub(super) line: usize,
    /// Its fields, without the quotes and the spaces around them.
    pub(super) fields: Vec<String>,
}

/// The records of a text; a line that cannot be read is named.
pub(super) fn records(text: &str, delimiter: char) -> Result<Vec<Record>, (usize, RowProblem)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Old spreadsheets end lines with a carriage return alone.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(line, text)| match fields(text, delimiter) {
            Some(fields) => Ok(Record { line, fields }),
            None => Err((line, RowProblem::OpenQuote)),
        })
        .collect()
}

/// The fields of a line; `None` if a quote is not closed.
fn fields(line: &str, delimiter: char) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let field =
            rest.trim_start_matches(|letter: char| letter.is_whitespace() && letter != delimiter);
        let (text, after) = if let Some(quoted) = field.strip_prefix('"') {
            unquoted(quoted, delimiter)?
        } else {
            let end = field.find(delimiter).unwrap_or(field.len());
            (field[..end].trim().to_owned(), &field[end..])
        };
        fields.push(text);
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None => return Some(fields),
        }
    }
}

/// A field whose first quote is taken off, and what follows it; `None` without a quote that ends it.
fn unquoted(field: &str, delimiter: char) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut rest = field;
    loop {
        let (before, after) = rest.split_once('"')?;
        text.push_str(before);
        let Some(next) = after.strip_prefix('"') else {
            let after = after
                .trim_start_matches(|letter: char| letter.is_whitespace() && letter != delimiter);
            let is_end = after.is_empty() || after.starts_with(delimiter);
            return is_end.then(|| (text.trim().to_owned(), after));
        };
        text.push('"');
        rest = next;
    }
}

/// A field as it is written, so that it is read as it was by us and by others.
///
/// A region that is called NA is quoted: readers that know the difference then take it for a text.
pub(super) fn written(field: &str) -> String {
    let is_plain = !field.contains([',', '"']) && !field.starts_with('#') && field != "NA";
    if is_plain { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Vec<String>> {
        records(text, ',').unwrap().into_iter().map(|record| record.fields).collect()
    }

    #[test]
    fn fields_are_those_that_a_spreadsheet_wrote() {
        for (line, expected) in [
            ("a,b", vec!["a", "b"]),
            (" a , b ", vec!["a", "b"]),
            ("a,,", vec!["a", "", ""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("a, \"b, c\" ,d", vec!["a", "b, c", "d"]),
            ("\"a\"\"b\",c", vec!["a\"b", "c"]),
            ("a\"b,c", vec!["a\"b", "c"]),
        ] {
            assert_eq!(read(line), [expected], "{line}");
        }
        let fields = |text, delimiter| records(text, delimiter).unwrap().remove(0).fields;
        assert_eq!(fields("a;b,c;d", ';'), ["a", "b,c", "d"]);
        assert_eq!(fields("a\t\tb", '\t'), ["a", "", "b"]);
    }

    #[test]
    fn line_ends_of_every_system_are_counted_alike() {
        for text in ["a\n\n#c\nb\n", "a\r\n\r\n#c\r\nb\r\n", "a\r\r#c\rb", "\u{feff}a\n \n#\nb"] {
            let found = records(text, ',').unwrap();
            let lines: Vec<usize> = found.iter().map(|record| record.line).collect();
            assert_eq!(lines, [1, 4], "{text:?}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_is_named_with_its_line() {
        for text in ["a\n\"b,c\n", "a\n\"b\"c,d\n"] {
            assert_eq!(records(text, ','), Err((2, RowProblem::OpenQuote)), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for name in ["a", "a,b", "a\"b", "\"", "#a", "NA", "Saõ Novo", "a;b", "=1"] {
            assert_eq!(read(&format!("{},1", written(name))), [[name, "1"]], "{name}");
        }
        assert_eq!(written("NA"), "\"NA\"");
    }
}

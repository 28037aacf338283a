//! Text in the file: strings as TOML writes them, and running text in lines.

use textwrap::{Options, WordSeparator, WordSplitter, wrap};

/// The width of running text.
const WIDTH: usize = 96;

/// A key with running text, folded between words.
pub(crate) fn prose(key: &str, text: &str) -> String {
    let options = Options::new(WIDTH)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let text = escaped(text);
    format!("{key} = \"\"\"\n{}\"\"\"\n", wrap(&text, options).join(" \\\n"))
}

/// A TOML string of this text.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// The text as it stands between the quotes of a TOML string.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => escaped.extend(['\\', letter]),
            _ if letter.is_control() => {
                // Every control character of Unicode has four digits.
                escaped.extend(format!("\\u{:04x}", u32::from(letter)).chars());
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that a TOML reader finds.
    fn read(key: &str, toml: &str) -> String {
        let table: toml::Table = toml::from_str(toml).unwrap();
        table[key].as_str().unwrap().to_owned()
    }

    #[test]
    fn quoted_text_is_read_back() {
        for text in ["us-east-1", "a\"b", "C:\\new", "two\nlines\ttab", "\u{85}\u{7f}", "😀"] {
            assert_eq!(read("key", &format!("key = {}", quoted(text))), text);
        }
    }

    #[test]
    fn prose_is_folded_and_read_back_as_one_line() {
        let text = ["a word of \"prose\" and C:\\new"; 20].join(" ");
        let toml = prose("key", &text);
        assert!(toml.lines().count() > 5 && toml.lines().all(|line| line.chars().count() <= 100));
        assert_eq!(read("key", &toml), text);
    }
}

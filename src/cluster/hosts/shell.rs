//! Commands as a shell on a host reads them.
//!
//! ssh hands one text to the user's login shell, which may be any.
//! All that is said to it is `exec /bin/sh -c '…'`, which every shell reads alike.

use std::path::Path;

/// A text that runs this script with `/bin/sh`, whatever shell reads it.
pub(super) fn script(text: &str) -> String {
    format!("exec /bin/sh -c {}", quoted(text))
}

/// One word for a shell, whatever it holds.
pub(in crate::cluster) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A path as a person types it: quoted only if it has to be.
pub fn typed(path: &Path) -> String {
    let word = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./%+:,=@".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) { word } else { quoted(&word) }
}

/// The words of a command that a user gives as one text: separated by blanks, and quoted as in a shell.
pub fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (Some('\''), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, '\\') => {
                let next = letters.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    if words.is_empty() { Err("it is empty") } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["", "plain", "it's", "$HOME `id` \"x\" \\ *", "a\nb"] {
            let text = script(&format!("printf %s {}", quoted(word)));
            let output = Command::new("/bin/sh").arg("-c").arg(&text).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_path_is_quoted_only_if_it_has_to_be() {
        let check = |path: &str, said: &str| assert_eq!(typed(Path::new(path)), said);
        check("results/a-b_1", "results/a-b_1");
        check("my results/it's", r"'my results/it'\''s'");
    }

    #[test]
    fn a_command_is_split_as_a_shell_splits_it() {
        let check = |text: &str, expected: &[&str]| assert_eq!(words(text).unwrap(), expected);
        check("ssh -F conf", &["ssh", "-F", "conf"]);
        check(
            r#" ssh  -o 'A b' -o "C \"d" e\ f '' "#,
            &["ssh", "-o", "A b", "-o", "C \"d", "e f", ""],
        );
        for text in ["", "  ", "ssh 'a", "ssh a\\"] {
            assert!(words(text).is_err(), "{text:?}");
        }
    }
}

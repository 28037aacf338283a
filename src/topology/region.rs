//! What a region may be called.
//!
//! A name goes into tables, file contents and other people's programs, so those that break there are
//! refused before anything runs.
//! Letters of any language, spaces inside, quotes, commas and most signs are fine: every format that we
//! write quotes or escapes them.

/// The longest name, in characters.
pub const NAME_MAX: usize = 100;

/// Why a region cannot have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Nothing.
    #[error("a region needs a name")]
    Empty,
    /// White space that is lost when a table is read.
    #[error("it has white space at an end: programs that trim would read another name")]
    Edge,
    /// A control character, or something else that ends a line.
    #[error("it has a line break, a tab or another control character")]
    Control,
    /// The sign that separates names in a field of our tables.
    #[error("it has a `;`, which separates the names of regions in `trials.csv`")]
    Separator,
    /// A text that a spreadsheet calculates.
    #[error("it begins with `{first}`: a spreadsheet would take it for a formula")]
    Formula {
        /// The first character.
        first: char,
    },
    /// More than a table shows.
    #[error("it has {count} characters, and {NAME_MAX} are the most")]
    Long {
        /// How many.
        count: usize,
    },
}

/// Refuses a name that no table could carry.
pub fn check_name(name: &str) -> Result<(), NameProblem> {
    let count = name.chars().count();
    // Two separators of lines and paragraphs are no control characters to Unicode.
    let is_control = |letter: char| letter.is_control() || "\u{2028}\u{2029}".contains(letter);
    match name.chars().next() {
        None => Err(NameProblem::Empty),
        _ if name.chars().any(is_control) => Err(NameProblem::Control),
        _ if name.trim() != name => Err(NameProblem::Edge),
        _ if name.contains(';') => Err(NameProblem::Separator),
        Some(first) if "=+-@".contains(first) => Err(NameProblem::Formula { first }),
        _ if count > NAME_MAX => Err(NameProblem::Long { count }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_places_are_fine_in_any_language() {
        let long = "x".repeat(NAME_MAX);
        for name in [
            "us-east-1",
            "Porto Alto",
            "Saõ Novo",
            "a,b",
            "a\"b",
            "Tag=x",
            "#a",
            "a:b",
            "../x",
            "NA",
            "😀",
            "a\u{a0}b",
            "7",
            &long,
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_name_that_some_table_would_lose_is_refused_with_the_reason() {
        let long = "x".repeat(NAME_MAX + 1);
        for (name, problem) in [
            ("", NameProblem::Empty),
            (" a", NameProblem::Edge),
            ("a\u{a0}", NameProblem::Edge),
            ("a\nb", NameProblem::Control),
            ("a\r", NameProblem::Control),
            ("a\tb", NameProblem::Control),
            ("a\u{2028}b", NameProblem::Control),
            ("a;b", NameProblem::Separator),
            ("=1+1", NameProblem::Formula { first: '=' }),
            ("-x", NameProblem::Formula { first: '-' }),
            (&long, NameProblem::Long { count: NAME_MAX + 1 }),
        ] {
            assert_eq!(check_name(name), Err(problem), "{name:?}");
        }
    }
}

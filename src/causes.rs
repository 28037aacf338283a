//! An error and its causes, on one line.

use std::error::Error;

/// The text of an error and of what caused it, one after the other; a cause that the text before it ends
/// with is not said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("cannot read a")]
        Short { source: std::io::Error },
        #[error("cannot read a: {source}")]
        Long { source: std::io::Error },
    }

    #[test]
    fn a_cause_is_said_once_whether_or_not_the_error_quotes_it() {
        let io = || std::io::Error::other("no such file");
        assert_eq!(chain(&Failed::Short { source: io() }), "cannot read a: no such file");
        assert_eq!(chain(&Failed::Long { source: io() }), "cannot read a: no such file");
        assert_eq!(chain(&io()), "no such file");
    }
}

//! How a command ends: its exit code, and what its user is told.

use std::io;
use std::process::ExitCode;

use miette::{Diagnostic, MietteDiagnostic, MietteHandlerOpts, Report};
use textwrap::{WordSeparator, WordSplitter};

use crate::causes::chain;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// The world failed: a port, a disk, a process.
    World = 1,
    /// The request made no sense; clap ends with the same code.
    Request = 2,
    /// A member was lost, and the results are partial.
    Partial = 3,
    /// The members never all joined.
    NeverJoined = 4,
    /// A safety violation was found.
    Unsafe = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended before it was done.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to print before it, one after the other.
    pub before: Vec<Report>,
    /// What to print.
    pub report: Report,
}

impl Failure {
    /// A failure with its own diagnostic.
    pub fn new(exit: Exit, diagnostic: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self { exit, before: Vec::new(), report: Report::new(diagnostic) }
    }

    /// The request made no sense; `help` says what to change.
    pub fn request(message: impl Into<String>, help: impl Into<String>) -> Self {
        let diagnostic = MietteDiagnostic::new(message).with_help(help);
        Self::new(Exit::Request, diagnostic)
    }

    /// The world failed; `help` says what to do next.
    pub fn world(error: &dyn std::error::Error, help: impl Into<String>) -> Self {
        Self::new(Exit::World, MietteDiagnostic::new(chain(error)).with_help(help))
    }
}

/// Writing the answer failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::world(&error, "the answer could not be written to stdout: give it another place")
    }
}

/// Writing comma-separated values failed: on a stream, so the reason is the stream's.
impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => error.into(),
            other => io::Error::other(format!("{other:?}")).into(),
        }
    }
}

/// The experiment file is wrong.
impl From<crate::experiment::file::Error> for Failure {
    fn from(error: crate::experiment::file::Error) -> Self {
        let (before, last) = error.apart();
        let before = before.into_iter().map(Report::new).collect();
        Self { before, ..Self::new(Exit::Request, last) }
    }
}

/// A key of the experiment cannot be set.
impl From<crate::experiment::file::Unset> for Failure {
    fn from(error: crate::experiment::file::Unset) -> Self {
        Self::new(Exit::Request, error)
    }
}

/// Sets how diagnostics are drawn: folded between words, so that a name of a region, with its hyphens,
/// stays whole.
pub fn draw_whole_words() {
    // Only a second call fails, and then the handler is there.
    let _ = miette::set_hook(Box::new(|_| {
        let options = MietteHandlerOpts::new()
            .break_words(false)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        Box::new(options.build())
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_failure_of_the_world() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.exit, Exit::World);
    }
}

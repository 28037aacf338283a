//! An experiment file: its text, what it says, and what is wrong with it.
//!
//! A [`File`] is the experiment as typed, with the place of every value in the text.
//! What is wrong, here or later in the plan, is a [`Mistake`], and all of them are shown as one
//! [`Error`]: for each a caret under the place, and a line that says what to change.

mod control;
pub use control::Control;
mod document;
pub(in crate::experiment) use document::{Document, Key, Value, dotted};
mod election;
pub use election::{Election, ElectionMode};
mod emulation;
pub use emulation::Emulation;
mod expect;
pub use expect::Expect;
mod explain;
mod fault;
pub use fault::*;
mod forms;
pub use forms::{Client, Length, Member, Replicas};
mod host;
pub use host::Host;
mod log;
pub use log::Log;
mod mend;
pub(in crate::experiment) use mend::{Doubts, Reading};
mod overrides;
pub use overrides::{Assignment, Unset};
mod quorums;
pub use quorums::{GroupCounts, Line, Quorum, Quorums, Sets};
mod schema;
pub use schema::schema;
mod sections;
pub use sections::*;
mod spanned;
pub use spanned::Spanned;
mod transport;
pub use transport::*;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::refusal::Refused;
use explain::explain;

/// So many mistakes of one file are shown at most.
const SHOWN_MAX: usize = 20;

/// The text of an experiment file, and where it was read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's path, as given.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Something that is wrong with the text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The place, in bytes; `0..0` where the whole file lacks something.
    pub at: Range<usize>,
    /// What is wrong there.
    pub message: String,
    /// What to change.
    pub help: Option<String>,
}

/// Why an experiment file cannot be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// It could not be read at all.
    #[error("cannot read the experiment file {}", path.display())]
    #[diagnostic(help("give the path of a TOML file, such as experiments/quickstart.toml"))]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{message}")]
    Wrong {
        /// What is wrong.
        message: String,
        /// The whole text.
        #[source_code]
        text: Arc<NamedSource<String>>,
        /// The place; none where the whole file lacks something.
        #[label("here")]
        at: Option<SourceSpan>,
        /// What to change.
        #[help]
        help: Option<String>,
    },
    /// Several things in it are wrong.
    #[error("{}", counted(*count, shown.len(), path))]
    Several {
        /// The path given.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// The first of them, in the order of the text.
        #[related]
        shown: Vec<Error>,
    },
    /// How many things are wrong, after they were said.
    #[error("{message}")]
    Total {
        /// What is said.
        message: String,
    },
}

impl Error {
    /// The mistakes one by one, and what is said after them: how many they are.
    ///
    /// One alone is all that is said.
    pub fn apart(self) -> (Vec<Self>, Self) {
        match self {
            Self::Several { path, count, shown } => {
                let message = counted(count, shown.len(), &path);
                (shown, Self::Total { message })
            }
            one => (Vec::new(), one),
        }
    }
}

/// `3 mistakes in experiments/mine.toml`, and how many of them are not shown.
fn counted(count: usize, shown: usize, path: &Path) -> String {
    let all = format!("{count} mistakes in {}", path.display());
    match count - shown {
        0 => all,
        more => format!("{all}, {more} more than are shown"),
    }
}

impl Source {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(source) => Err(Error::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// The folder of the file: paths inside it are relative to this.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The experiment's name: that of the file, without its ending.
    pub fn name(&self) -> String {
        let stem = self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.unwrap_or_else(|| "experiment".to_owned())
    }

    /// What the text says, without its sweep.
    pub fn parse(&self) -> Result<File, Error> {
        let mut document = Document::parse(self)?;
        document.take_sweep();
        let Reading { file, mistakes, .. } = document.read();
        match file {
            Some(file) if mistakes.is_empty() => Ok(file),
            _ => Err(self.wrong(mistakes)),
        }
    }

    /// What the TOML reader refused.
    fn explained(&self, error: &toml::de::Error) -> Mistake {
        let at = error.span().unwrap_or(0..0);
        let found = self.text.get(at.clone()).unwrap_or_default();
        let (message, help) = explain(error.message(), found);
        Mistake { at, message, help }
    }

    /// The error that shows what the plan refused.
    pub fn refused(&self, refused: &Refused) -> Error {
        self.wrong(vec![refused.into()])
    }

    /// The error that shows these mistakes, of which there is one at least, in the order of the text.
    pub fn wrong(&self, mut mistakes: Vec<Mistake>) -> Error {
        mistakes.sort_by_key(|mistake| (mistake.at.start, mistake.at.end));
        let count = mistakes.len();
        let name = self.path.display().to_string();
        let text = NamedSource::new(&name, self.text.clone()).with_language("toml");
        let text = Arc::new(text);
        let shown = mistakes.into_iter().take(SHOWN_MAX).map(|Mistake { at, message, help }| {
            let text = Arc::clone(&text);
            if at == (0..0) {
                // What is absent stands nowhere: a caret would be under what happens to be first.
                return Error::Wrong {
                    message: format!("{name}: {message}"),
                    text,
                    at: None,
                    help,
                };
            }
            Error::Wrong { message, text, at: Some(at.into()), help }
        });
        let mut shown: Vec<Error> = shown.collect();
        match (count, shown.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                shown.extend(last);
                Error::Several { path: self.path.clone(), count, shown }
            }
        }
    }
}

impl From<&Refused> for Mistake {
    fn from(Refused { at, error }: &Refused) -> Self {
        let help = error.help().map(|help| help.to_string());
        Self { at: at.clone(), message: error.to_string(), help }
    }
}

#[cfg(test)]
mod tests;

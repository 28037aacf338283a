//! An experiment file: its text, what it says, and what is wrong with it.
//!
//! A [`File`] is the experiment as typed, with the place of every value in the text.
//! What is wrong, here or later in the plan, is shown as an [`Error`]: a caret under the place, and
//! a line that says what to change.
//! This file alone turns messages of the TOML reader, which speak of Rust, into the language of the
//! experiment file.

mod document;
pub(in crate::experiment) use document::{Document, Key, Value, dotted};
mod election;
pub use election::{Election, ElectionMode};
mod emulation;
pub use emulation::Emulation;
mod fault;
pub use fault::*;
mod log;
pub use log::Log;
mod sections;
pub use sections::*;
mod transport;
pub use transport::*;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::refusal::Refused;
use crate::nearest::nearest;

/// The text of an experiment file, and where it was read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's path, as given.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
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
        /// The place.
        #[label("here")]
        at: SourceSpan,
        /// What to change.
        #[help]
        help: Option<String>,
    },
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
        document.read()
    }

    /// The error that shows what the TOML reader refused.
    fn explained(&self, error: &toml::de::Error) -> Error {
        let at = error.span().unwrap_or(0..0);
        let found = self.text.get(at.clone()).unwrap_or_default();
        let (message, help) = explain(error.message(), found);
        self.wrong(at, message, help)
    }

    /// The error that shows what the plan refused.
    pub fn refused(&self, refused: &Refused) -> Error {
        let Refused { at, error } = refused;
        self.wrong(at.clone(), error.to_string(), error.help().map(|help| help.to_string()))
    }

    /// The error that points at a place in this file.
    pub fn wrong(&self, at: Range<usize>, message: String, help: Option<String>) -> Error {
        let text = NamedSource::new(self.path.display().to_string(), self.text.clone())
            .with_language("toml");
        Error::Wrong { message, text: Arc::new(text), at: at.into(), help }
    }
}

impl Error {
    /// The same error, of one point of a sweep; a point without a name is the whole experiment.
    #[must_use]
    pub fn at_point(mut self, label: &str) -> Self {
        if let Self::Wrong { message, .. } = &mut self
            && !label.is_empty()
        {
            *message = format!("{message} (at {label})");
        }
        self
    }
}

/// What the TOML reader's `message` about the text `found` means, and what to change.
fn explain(message: &str, found: &str) -> (String, Option<String>) {
    if message.starts_with("unknown field") {
        let (name, known) = names(message);
        return (format!("unknown key `{name}`"), Some(suggest(&name, &known, "known keys here")));
    }
    if let Some(rest) = message.strip_prefix("unexpected keys in table: ") {
        let (unknown, known) = rest.split_once(", available keys: ").unwrap_or((rest, ""));
        let name = unknown.split(", ").next().unwrap_or_default();
        let known: Vec<String> =
            known.split(", ").filter(|key| !key.is_empty()).map(str::to_owned).collect();
        return (format!("unknown key `{name}`"), Some(suggest(name, &known, "known keys here")));
    }
    if message.starts_with("unknown variant") {
        let (name, known) = names(message);
        return (format!("unknown value `{name}`"), Some(suggest(&name, &known, "allowed")));
    }
    if message.starts_with("missing field") {
        let (name, _) = names(message);
        return (format!("`{name}` is missing"), Some(add(&name)));
    }
    if message.starts_with("invalid type: unit variant") {
        let kind = found.trim_matches(['"', '\'']);
        return (
            format!("`{kind}` stands alone, but it is a table with its own settings"),
            Some(format!("write `{{ {kind} = {} }}`", settings_of(kind))),
        );
    }
    if message.starts_with("wanted exactly 1 element") {
        let help = "write one kind with its settings, such as `{ majority = {} }`";
        return ("exactly one kind is wanted here".to_owned(), Some(help.to_owned()));
    }
    if message.starts_with("invalid type: map, expected a sequence") {
        let name = found.trim_matches(['[', ']']);
        return (
            format!("`{name}` is a list of tables"),
            Some(format!("write its heading with two brackets: `[[{name}]]`")),
        );
    }
    if message.starts_with("wanted string or table") {
        let help = "give a name in quotes, or a kind with its settings, as in `{ majority = {} }`";
        return (format!("`{found}` does not fit here"), Some(help.to_owned()));
    }
    if message.contains("is no length of time") {
        let (head, _) = message.split_once(": ").unwrap_or((message, ""));
        let help = "write a number and its unit in quotes: \"2s\", \"250ms\" or \"1m 30s\"";
        return (head.to_owned(), Some(help.to_owned()));
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "another"));
            return (format!("{found} does not fit here"), Some(wanted(expected)));
        }
    }
    (message.to_owned(), None)
}

/// The names between backticks: the one at fault, and those expected.
fn names(message: &str) -> (String, Vec<String>) {
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    (names.next().unwrap_or_default(), names.collect())
}

/// The known name that `name` may have meant, and all of them.
fn suggest(name: &str, known: &[String], introduction: &str) -> String {
    let guess = nearest(name, known).map(|near| format!("did you mean `{near}`? "));
    let all = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("{}{introduction}: {all}", guess.unwrap_or_default())
}

/// What to add for a key that is missing.
fn add(name: &str) -> String {
    match name {
        "question" => "add `question = \"…\"`: what the experiment is to find out".to_owned(),
        "prediction" => {
            "add `prediction = \"…\"`: what you expect, and what would refute it".to_owned()
        }
        "topology" | "workload" => format!("add a `[{name}]` section"),
        "variant" => "add at least one `[[variant]]` section".to_owned(),
        "duration" => "add `duration = \"10s\"`: the time that is measured".to_owned(),
        _ => format!("add `{name} = …` to this table"),
    }
}

/// The settings of a kind, as one would type them.
fn settings_of(kind: &str) -> &'static str {
    match kind {
        "multi" => "{ leader = \"…\" }",
        "counts" => "{ phase1 = …, phase2 = … }",
        "dual" => "{ phase2 = … }",
        "explicit" => "{ phase1 = [[…]], phase2 = [[…]] }",
        "poisson" | "fixed" => "{ rate_per_s = … }",
        "closed" => "{ clients = … }",
        "uniform" => "{ count = … }",
        "zipf" => "{ count = …, exponent = … }",
        _ => "{}",
    }
}

/// What the TOML reader expected, in words.
fn wanted(expected: &str) -> String {
    match expected {
        "a string" => "give a text in quotes".to_owned(),
        "f64" => "give a number, without quotes".to_owned(),
        "usize" | "u32" | "u64" => "give a whole number from 0 up, without quotes".to_owned(),
        "a boolean" => "give `true` or `false`, without quotes".to_owned(),
        "a sequence" => "give a list: `[…, …]`".to_owned(),
        other => {
            let other = other.strip_prefix("struct ").map_or(other, |_| "a table: `{ … }`");
            format!("give {other}")
        }
    }
}

#[cfg(test)]
mod tests;

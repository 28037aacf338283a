//! `flexpaxos profiles import`: a profile of a table that is none yet.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::{Exit, Failure};
use crate::causes::chain;
use crate::topology::{self, Shape};

/// Makes a profile of a table of latencies.
///
/// It reads rows (columns such as from, to, rtt, or source, destination, min, avg, max) or a square of
/// regions, separated by commas, semicolons or tabs.
/// What it took for what goes to stderr, and so does every pair that is missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos profiles import pings.csv > mine.csv            columns by name, in milliseconds
  flexpaxos profiles import matrix.csv --square --unit us --out mine.csv
  flexpaxos profiles import delays.csv --one-way --symmetric --out mine.csv")]
pub(super) struct Import {
    /// The table.
    file: PathBuf,

    /// The unit of the figures, where the header does not say it; milliseconds if absent.
    #[arg(long, value_enum)]
    unit: Option<Unit>,

    /// The figures are delays in one direction, and not round trips.
    #[arg(long)]
    one_way: bool,

    /// The regions are in the first line and in the first column.
    #[arg(long)]
    square: bool,

    /// A figure is that of both directions where the other one is absent.
    #[arg(long)]
    symmetric: bool,

    /// Writes the profile to this file, which must be new; to stdout if absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl Import {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let name = self.file.display().to_string();
        let bytes = fs::read(&self.file).map_err(|error| {
            Failure::request(
                format!("cannot read the table {name}: {error}"),
                "give the path of a text file with latencies",
            )
        })?;
        let imported = topology::import(&name, bytes, self.shape()).map_err(|error| {
            Failure::request(
                chain(&error),
                "`flexpaxos profiles import --help` has the shapes that are read",
            )
        })?;
        for note in &imported.notes {
            eprintln!("{name}: {note}");
        }
        for warning in &imported.warnings {
            eprintln!("warning: {warning}");
        }
        let text = imported.profile.to_csv(None).unwrap_or_default();
        let Some(path) = &self.out else {
            out.write_all(text.as_bytes())?;
            return Ok(Exit::Done);
        };
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            let path = path.display();
            if error.kind() == io::ErrorKind::AlreadyExists {
                let message = format!("the file {path} exists, and is not overwritten");
                return Failure::request(message, "choose another with --out, or remove it");
            }
            Failure::request(format!("cannot write {path}: {error}"), "choose another with --out")
        })?;
        eprintln!("written to {}", path.display());
        Ok(Exit::Done)
    }

    fn shape(&self) -> Shape {
        Shape {
            unit: self.unit.map(|unit| match unit {
                Unit::Ns => topology::Unit::Ns,
                Unit::Us => topology::Unit::Us,
                Unit::Ms => topology::Unit::Ms,
                Unit::S => topology::Unit::S,
            }),
            is_one_way: self.one_way,
            is_square: self.square,
            is_symmetric: self.symmetric,
        }
    }
}

//! `flexpaxos verify`: the histories of a results folder, checked again.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};
use crate::deployment::MemberName;
use crate::findings::evidence::Piece;
use crate::history::{Verdict, oracle};
use crate::run::review::{Error, Review, Reviewed};
use crate::time::Span;

/// Checks the histories of a results folder again: the logs of replicas against what clients were told,
/// and whether what clients saw is linearizable.
///
/// It prints a line a trial with the verdicts of both judges, and what was found; it writes nothing.
/// Histories that are missing, cut off or changed since the run make a trial INCOMPLETE, and so do
/// acknowledged operations that are in no log. It ends with 5 if something was violated, with 1 if a history
/// cannot be read, and with 3 if something else could not be known.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos verify results/quickstart/2026-01-01T00-00-00Z
  flexpaxos verify results/quickstart/2026-01-01T00-00-00Z --trial 3")]
pub(super) struct Verify {
    /// The results folder.
    folder: PathBuf,

    /// Only this trial, from 1.
    #[arg(long, value_name = "NUMBER")]
    trial: Option<u32>,
}

impl Verify {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let review = Review::open(&self.folder, self.trial).map_err(|error| refused(&error))?;
        let mut exit = Exit::Done;
        for reviewed in review.trials() {
            exit = worse(exit, print(&reviewed, out)?);
            // Each takes its time: what is known is said.
            out.flush()?;
        }
        Ok(exit)
    }
}

/// The line of a trial, and a line for everything that was found.
fn print(reviewed: &Reviewed, out: &mut dyn Write) -> Result<Exit, Failure> {
    let Reviewed { trial, backend, variant, findings } = reviewed;
    let mut name = format!("trial {trial} ({})", backend.name());
    if let Some(variant) = variant {
        name = format!("{name} {variant}");
    }
    let (exit, word) = match () {
        () if !findings.violations.is_empty() => (Exit::Unsafe, "VIOLATED"),
        () if !findings.unfit.is_empty() => (Exit::World, "UNREADABLE"),
        () if reviewed.is_partial() => (Exit::Partial, "INCOMPLETE"),
        () if findings.allowance.may_miss > Span::ZERO => (Exit::Done, "stale-bounded"),
        () => (Exit::Done, "linearizable"),
    };
    let clients = findings.seen.as_ref().map(seen_counts).unwrap_or_default();
    let logs = findings.verdict.as_ref().map(|verdict| log_counts(verdict, &findings.files));
    writeln!(
        out,
        "{name}: {word}; clients: {}{clients}; logs: {}{}",
        findings.clients_verdict(),
        findings.logs_verdict(),
        logs.unwrap_or_default()
    )?;
    for violation in &findings.violations {
        writeln!(out, "{name} VIOLATION: {violation}")?;
    }
    let kept = findings.violations.len() as u64;
    if let Some(count) = findings.violation_count().filter(|count| *count > kept) {
        writeln!(out, "{name} VIOLATION: and {} more", count - kept)?;
    }
    let notes = findings.notes.iter().map(|note| &note.text);
    for line in findings.unfit.iter().chain(notes) {
        writeln!(out, "{name} {line}")?;
    }
    for gap in findings.gaps.iter() {
        writeln!(out, "{name} INCOMPLETE: {gap}")?;
    }
    Ok(exit)
}

/// What clients saw, and how it was judged.
fn seen_counts(seen: &oracle::Verdict) -> String {
    let oracle::Verdict { operation_count, unknown_count, key_count, .. } = seen;
    let mut text = format!(
        ", {operation_count} operations ({unknown_count} unknown) on {key_count} keys: {} by their slots, {} by \
         search",
        seen.witnessed_count, seen.searched_count
    );
    let others = [
        (seen.violation_count, "keys violated"),
        (seen.undecided_count, "undecided"),
        (seen.unverified_count, "unverified"),
        (seen.cut_count, "histories of clients cut off"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        text = format!("{text}, {count} {what}");
    }
    text
}

/// What the logs of replicas hold.
fn log_counts(verdict: &Verdict, files: &[Piece]) -> String {
    let Verdict { slot_count, acknowledged_count, unlogged_count, .. } = verdict;
    let logs = || files.iter().filter(|piece| matches!(piece.member, MemberName::Replica(_)));
    let mut text = format!(
        ", {} of {acknowledged_count} acknowledged operations in {slot_count} slots of {} logs",
        acknowledged_count - unlogged_count,
        logs().count()
    );
    let cut = logs().filter(|piece| !piece.is_whole).count();
    if cut > 0 {
        text = format!("{text}, {cut} of them cut off");
    }
    text
}

/// A violation outweighs everything, then what cannot be read.
const fn worse(one: Exit, other: Exit) -> Exit {
    const fn weight(exit: Exit) -> u8 {
        match exit {
            Exit::Unsafe => 3,
            Exit::World => 2,
            Exit::Partial => 1,
            _ => 0,
        }
    }
    if weight(other) > weight(one) { other } else { one }
}

/// What to do about a folder or a trial without histories.
pub(super) fn refused(error: &Error) -> Failure {
    let (exit, help) = match error {
        Error::NoHistories { .. } => (
            Exit::Request,
            "name a results folder with a `histories` folder; committed references come without \
             histories: make them again with scripts/reproduce.sh",
        ),
        Error::NoTrial { .. } => (Exit::Request, "name one of these trials"),
        Error::Folder { .. } | Error::Table(_) => {
            (Exit::World, "the folder must be readable, as `run` left it")
        }
    };
    Failure { exit, ..Failure::world(error, help) }
}

//! Whether a trial may have numbers at all: its history, and the network it was promised.

use std::fs::File;
use std::io::{BufReader, Read};

use crate::cluster::Outcome;
use crate::history::{Check, Options, Verdict};
use crate::runtime::replica::MemberName;
use crate::runtime::storage::Tail;
use crate::time::Span;

/// A link that is later than this in the median did not have the latency that was asked for.
const LATE_P50_MAX: Span = Span::from_millis(1);
/// A link that is later than this at the 99th percentile is worth a flag.
const LATE_P99_MAX: Span = Span::from_millis(1);

/// What was found out about a trial.
#[derive(Debug)]
pub struct Findings {
    /// What the check of the histories counted; `None` if they could not be read.
    pub verdict: Option<Verdict>,
    /// Violations of safety, as sentences.
    pub violations: Vec<String>,
    /// Other reasons why the numbers cannot be believed, as sentences: the injected network was not
    /// the one asked for, or a history could not be read.
    pub unfit: Vec<String>,
    /// What else to know, as words.
    pub flags: Vec<String>,
}

impl Findings {
    /// Whether the trial's numbers can be believed.
    pub const fn is_valid(&self) -> bool {
        self.violations.is_empty() && self.unfit.is_empty()
    }
}

/// Checks what came of a trial.
pub(super) fn verify(members: &[MemberName], outcome: &Outcome) -> Findings {
    let mut findings = Findings {
        verdict: None,
        violations: outcome.violations.clone(),
        unfit: Vec::new(),
        flags: Vec::new(),
    };
    match check_history(members, outcome) {
        Ok(verdict) => {
            let told = verdict.violations.iter().map(ToString::to_string);
            findings.violations.extend(told);
            findings.verdict = Some(verdict);
        }
        Err(error) => findings.unfit.push(format!("a history cannot be read: {error}")),
    }
    check_network(outcome, &mut findings);
    for (member, recoveries) in &outcome.recoveries {
        for recovery in recoveries {
            if let Tail::Torn { segment, offset, lost_bytes } = &recovery.tail {
                let segment = segment.display();
                let text = format!(
                    "{member} cut a torn frame of {lost_bytes} bytes at {offset} of {segment}"
                );
                findings.flags.push(text);
            }
        }
    }
    for (member, reason) in &outcome.lost {
        findings.flags.push(format!("lost {member} ({reason})"));
    }
    findings
}

/// Why a history was not checked.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    History(#[from] crate::history::Error),
}

fn check_history(members: &[MemberName], outcome: &Outcome) -> Result<Verdict, Unreadable> {
    let mut check = Check::new(Options::default());
    for member in members {
        let paths = outcome.files.get(member).map_or(&[][..], Vec::as_slice);
        let mut files: Vec<Box<dyn Read>> = Vec::new();
        for path in paths {
            files.push(Box::new(BufReader::with_capacity(1 << 20, File::open(path)?)));
        }
        if files.is_empty() {
            // It was lost with all it had: the check must know that something is missing.
            files.push(Box::new(std::io::empty()));
        }
        for file in files {
            match member {
                MemberName::Client(_) => check.add_client(file)?,
                MemberName::Replica(_) => check.add_replica(file)?,
            }
        }
    }
    Ok(check.finish()?)
}

/// A run that could not inject the latency it was asked for says so.
fn check_network(outcome: &Outcome, findings: &mut Findings) {
    for (member, report) in &outcome.reports {
        if let Some(drops) = report.kernel_drop_count.filter(|drops| *drops > 0) {
            let text = format!("{member}: the kernel dropped {drops} datagrams for want of buffer");
            findings.unfit.push(text);
        }
        let Some(emulation) = &report.emulation else { continue };
        let counts = [
            (emulation.dropped, "datagrams dropped by a full link"),
            (emulation.send_errors, "datagrams that the kernel refused"),
            (emulation.early, "datagrams released too early"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            findings.unfit.push(format!("{member}: {count} {what}"));
        }
        if emulation.unknown_destination > 0 {
            // Every member has a link to each of its peers, so this was a stranger.
            let count = emulation.unknown_destination;
            findings.flags.push(format!("{member} left {count} datagrams to strangers unsent"));
        }
        let late = |quantile: Option<Span>, limit| quantile.filter(|late| *late > limit);
        if let Some(late) = late(emulation.lateness_p50, LATE_P50_MAX) {
            findings.unfit.push(format!("{member}: half of its datagrams left {late} late"));
        } else if let Some(late) = late(emulation.lateness_p99, LATE_P99_MAX) {
            findings.flags.push(format!("late links at {member} (p99 {late})"));
        }
    }
}

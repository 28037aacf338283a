//! Whether a trial may have numbers at all: its history, and the network it was promised.

use std::fs::File;
use std::io::BufReader;

use crate::cluster::Outcome;
use crate::history::{Check, Options, Verdict};
use crate::runtime::replica::MemberName;
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
    /// Reasons why the injected network was not the one asked for, as sentences.
    pub network: Vec<String>,
    /// What else to know, as words.
    pub flags: Vec<String>,
}

impl Findings {
    /// Whether the trial's numbers can be believed.
    pub const fn is_valid(&self) -> bool {
        self.violations.is_empty() && self.network.is_empty()
    }
}

/// Checks what came of a trial.
pub(super) fn verify(outcome: &Outcome) -> Findings {
    let mut findings = Findings {
        verdict: None,
        violations: outcome.violations.clone(),
        network: Vec::new(),
        flags: Vec::new(),
    };
    match check_history(outcome) {
        Ok(verdict) => {
            let told = verdict.violations.iter().map(ToString::to_string);
            findings.violations.extend(told);
            findings.verdict = Some(verdict);
        }
        Err(error) => findings.violations.push(format!("a history cannot be read: {error}")),
    }
    check_network(outcome, &mut findings);
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

fn check_history(outcome: &Outcome) -> Result<Verdict, Unreadable> {
    let mut check = Check::new(Options::default());
    for (member, paths) in &outcome.files {
        for path in paths {
            let file = BufReader::with_capacity(1 << 20, File::open(path)?);
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
            findings.network.push(text);
        }
        let Some(emulation) = &report.emulation else { continue };
        let counts = [
            (emulation.dropped, "datagrams dropped by a full link"),
            (emulation.unknown_destination, "datagrams to somebody without a link"),
            (emulation.send_errors, "datagrams that the kernel refused"),
            (emulation.early, "datagrams released too early"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            findings.network.push(format!("{member}: {count} {what}"));
        }
        let late = |quantile: Option<Span>, limit| quantile.filter(|late| *late > limit);
        if let Some(late) = late(emulation.lateness_p50, LATE_P50_MAX) {
            findings.network.push(format!("{member}: half of its datagrams left {late} late"));
        } else if let Some(late) = late(emulation.lateness_p99, LATE_P99_MAX) {
            findings.flags.push(format!("late links at {member} (p99 {late})"));
        }
    }
}

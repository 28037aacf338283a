//! What came of a simulated trial, in the words of a live one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::deployment::MemberName;
use crate::protocol::Progress;
use crate::runtime::machine::Usage;
use crate::runtime::replica::{Recovery, Report as ReplicaReport};
use crate::runtime::storage::Tail;
use crate::sim;
use crate::trial::{Outcome, Report, RoleReport};

/// Why the outcome of a simulated trial could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct Unwritten {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The outcome of a trial; its histories are written to the folder `work`.
pub(super) fn outcome(simulated: sim::Outcome, work: &Path) -> Result<Outcome, Unwritten> {
    let mut outcome = Outcome::default();
    let unwritten = |path: &Path, source| Unwritten { path: path.to_owned(), source };
    fs::create_dir_all(work).map_err(|source| unwritten(work, source))?;
    for (member, segments) in simulated.histories {
        for (start, bytes) in segments.iter().enumerate() {
            let path = work.join(format!("{member}.{start}"));
            fs::write(&path, bytes).map_err(|source| unwritten(&path, source))?;
            outcome.files.entry(member).or_default().push(path);
        }
    }
    for (id, replica) in simulated.replicas {
        let member = MemberName::Replica(id);
        let recovery = |record_count: &usize| Recovery {
            group_count: *record_count,
            has_checkpoint: false,
            tail: Tail::Clean,
            progress: Progress::default(),
        };
        outcome.recoveries.insert(member, replica.starts.iter().map(recovery).collect());
        outcome.milestones.insert(member, replica.phases.milestones.clone());
        let report = ReplicaReport {
            phases: replica.phases,
            sync_count: replica.sync_count,
            executed_below: replica.executed_below,
            ..ReplicaReport::default()
        };
        if !replica.is_down {
            outcome.reports.insert(member, report_of(RoleReport::Replica(report)));
        }
    }
    for (id, client) in simulated.clients {
        outcome.reports.insert(MemberName::Client(id), report_of(RoleReport::Client(client)));
    }
    if let Some(sim::Processors { cores, used }) = simulated.processors {
        outcome.core_count = Some(usize::from(cores));
        for (member, used) in used {
            if let Some(report) = outcome.reports.get_mut(&member) {
                // It is known of no memory.
                report.usage = Some(Usage { cpu_s: used.0 as f64 / 1e9, memory_peak_bytes: 0 });
            }
        }
    }
    outcome.injected = simulated.injected;
    outcome.violations.extend(simulated.violation);
    Ok(outcome)
}

/// A report without what only real members have.
const fn report_of(role: RoleReport) -> Report {
    Report {
        role,
        emulation: None,
        refused_count: 0,
        kernel_drop_count: None,
        usage: None,
        watched: None,
        file_count: 0,
    }
}

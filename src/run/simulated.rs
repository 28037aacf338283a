//! What came of a simulated trial, in the words of a live one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

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

/// The folder that histories are written to while the trial goes on.
#[derive(Debug)]
pub(super) struct Histories {
    folder: PathBuf,
    files: BTreeMap<(MemberName, usize), File>,
    /// Why one of them could not be written: then none is any more.
    failed: Option<Unwritten>,
}

impl Histories {
    pub(super) fn begin(folder: &Path) -> Result<Rc<RefCell<Self>>, Unwritten> {
        let unwritten = |source| Unwritten { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(unwritten)?;
        let folder = folder.to_owned();
        Ok(Rc::new(RefCell::new(Self { folder, files: BTreeMap::new(), failed: None })))
    }

    fn path(&self, member: MemberName, start: usize) -> PathBuf {
        self.folder.join(format!("{member}.{start}"))
    }

    /// Whether one of them could not be written.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Why one of them could not be written, if one could not.
    pub(super) fn check(&mut self) -> Result<(), Unwritten> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn append(&mut self, member: MemberName, start: usize, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let path = self.path(member, start);
        let written = match self.files.entry((member, start)) {
            Entry::Occupied(file) => file.into_mut().write_all(bytes),
            Entry::Vacant(none) => {
                File::create(&path).and_then(|file| none.insert(file).write_all(bytes))
            }
        };
        self.failed = written.err().map(|source| Unwritten { path, source });
    }
}

impl sim::Spool for Rc<RefCell<Histories>> {
    fn take(&mut self, member: MemberName, start: usize, block: &[u8]) {
        self.borrow_mut().append(member, start, block);
    }
}

/// The outcome of a trial; the ends of its histories are written behind what is there.
pub(super) fn outcome(
    simulated: sim::Outcome,
    histories: &RefCell<Histories>,
) -> Result<Outcome, Unwritten> {
    let mut outcome = Outcome::default();
    let mut histories = histories.borrow_mut();
    for (member, segments) in simulated.histories {
        for (start, bytes) in segments.iter().enumerate() {
            histories.append(member, start, bytes);
            let path = histories.path(member, start);
            outcome.files.entry(member).or_default().push(path);
        }
    }
    histories.check()?;
    drop(histories);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClientId;
    use crate::sim::Spool;

    #[test]
    fn a_history_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut histories = Histories::begin(folder.path()).unwrap();
        let [fine, taken] = [0, 1].map(|id| MemberName::Client(ClientId(id)));
        // Its file cannot be made.
        fs::create_dir(folder.path().join("c1.0")).unwrap();
        histories.take(fine, 0, b"one");
        histories.take(fine, 0, b"two");
        assert!(!histories.borrow().has_failed());
        histories.take(taken, 0, b"one");
        assert!(histories.borrow().has_failed());
        let failed = histories.borrow_mut().check().unwrap_err();
        assert_eq!(failed.path, folder.path().join("c1.0"));
        assert_eq!(fs::read(folder.path().join("c0.0")).unwrap(), b"onetwo");
        // A folder below a file.
        let below = folder.path().join("c0.0").join("below");
        assert_eq!(Histories::begin(&below).unwrap_err().path, below);
    }
}

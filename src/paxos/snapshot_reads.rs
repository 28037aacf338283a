//! Snapshot reads (Corbett et al., *Spanner*, OSDI 2012, section 4.1.3; here with any phase-1 and phase-2 quorums): any
//! replica with a state machine answers alone, from the state at a time.
//!
//! When a read arrives, the replica takes `t = shown + ε − staleness`, with ε the bound of all clocks: the latest that
//! the true time can be, less the staleness. It waits until its *safe time*, the stamp of the last slot that it has
//! executed, has reached t: stamps rise with the slots (`multi/stamps.rs`), so every later slot is later than t. It answers
//! with what stood under the key at t.
//! A replica never goes back: t is at least that of any read before. Where it knows the state of a later time only,
//! because it started again or took the state of another replica, it answers from that one.
//!
//! A client may say how much of the log it has seen. Then t is also no earlier than the stamp of the last slot of that, and the
//! replica waits until it has executed it: the client reads its own writes, and never less than it has read before (the
//! session guarantees of Terry et al., PDIS 1994).
//!
//! # What a read may miss
//!
//! Let *s* be the stamp of a write that a read misses: s > t ≥ the time of its arrival − staleness.
//! - With a commit wait the client of the write was told after s. So it was told less than the staleness before the read
//!   began; and with a staleness of zero not before.
//! - Without, s is at most 2 ε above the time at which the write was proposed (and a nanosecond for each entry proposed in
//!   the same moment). So the client was told less than the staleness + 2 ε before the read began.
//!
//! The same must hold of a write that an earlier read has seen. With a commit wait a replica therefore answers only when
//! the stamp of the value that it answers with has surely passed: with a staleness of 2 ε or more it always has.
//! Without, that read was of a time at most 2 ε ahead of its answer.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::versions::{Seen, Versions};
use crate::command::{Command, RequestId};
use crate::protocol::{Reply, Slot, SnapshotTerms};
use crate::time::Time;

/// The reads of a replica that are of a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SnapshotReads {
    terms: SnapshotTerms,
    /// How the state was.
    pub(super) versions: Versions,
    /// The latest time that any read was of.
    latest: Time,
    open: BTreeMap<RequestId, Read>,
    /// The times that they are of.
    waiting: BTreeSet<(Time, RequestId)>,
    /// Those whose time has come, by the slot below which everything must be executed.
    behind: BTreeSet<(Slot, RequestId)>,
}

/// A read without an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Read {
    key: u64,
    /// What it is of.
    time: Time,
    /// Its client has seen everything below this slot.
    since: Slot,
}

impl SnapshotReads {
    /// Those of a replica that has never run.
    pub(super) fn new(terms: SnapshotTerms) -> Self {
        Self {
            terms,
            versions: Versions::default(),
            latest: Time::ZERO,
            open: BTreeMap::new(),
            waiting: BTreeSet::new(),
            behind: BTreeSet::new(),
        }
    }

    /// The time that a read is of which arrives now.
    fn time(&mut self, shown: Time) -> Time {
        let latest = shown + self.terms.bound;
        self.latest = self.latest.max(Time(latest.0.saturating_sub(self.terms.staleness.0)));
        self.latest
    }

    /// Forgets those that their client awaits no more.
    fn settle(&mut self, command: &Command) {
        let of = |sequence| RequestId { client: command.request.client, sequence };
        let settled = self.open.extract_if(of(0)..of(command.settled_below), |_, _| true);
        for (request, Read { time, since, .. }) in settled {
            self.waiting.remove(&(time, request));
            self.behind.remove(&(since, request));
        }
    }

    /// Takes one out of which nothing is missing, with its key and its time.
    fn pop_ready(&mut self) -> Option<(RequestId, u64, Time)> {
        let safe_time = self.versions.safe_time();
        while let Some((_, request)) = self.waiting.first().copied().filter(|it| it.0 <= safe_time)
        {
            self.waiting.pop_first();
            self.behind.insert((self.open[&request].since, request));
        }
        let (since, request) = *self.behind.first()?;
        if since > self.versions.end() {
            return None;
        }
        self.behind.pop_first();
        let Read { key, time, .. } = self.open.remove(&request).expect("one that waits is open");
        Some((request, key, time.max(self.versions.stamp_below(since))))
    }

    /// Forgets how the state was before any read that may come; `passed` has surely passed, where answers wait for that.
    fn forget(&mut self, shown: Time, passed: Option<Time>) {
        let next = self.time(shown);
        let waiting = self.waiting.first().map(|(time, _)| *time);
        let behind = self.behind.iter().map(|(_, request)| self.open[request].time).min();
        let first = [waiting, behind].into_iter().flatten().fold(next, Time::min);
        self.versions.forget_before(passed.map_or(first, |passed| passed.min(first)));
    }

    /// Lets every read be of the time that the replica has come to: for a negative control.
    pub(super) fn hasten(&mut self) {
        let safe_time = self.versions.safe_time();
        for (request, Read { time, .. }) in &mut self.open {
            if *time > safe_time {
                self.waiting.remove(&(*time, *request));
                *time = safe_time;
                self.waiting.insert((*time, *request));
            }
        }
    }
}

impl Context<'_> {
    /// A client reads, for the first time or again.
    ///
    /// A replica without a state machine cannot answer, and names nobody: each client knows who can.
    pub(super) fn read_snapshot(&mut self, command: &Command) {
        let (request, key) = (command.request, command.operation.key());
        if !self.config.is_learner() {
            self.effects.replies.push(Reply::NotLeader { request, leader: None });
            return;
        }
        let Some(reads) = self.snapshot_reads.as_mut() else { return };
        reads.settle(command);
        let time = reads.time(self.shown);
        if let Entry::Vacant(new) = reads.open.entry(request) {
            let since = Slot(command.operation.since());
            new.insert(Read { key, time, since });
            reads.waiting.insert((time, request));
        }
    }

    /// Answers the reads whose time has come.
    pub(super) fn answer_snapshot_reads(&mut self) {
        while let Some((request, key, time)) =
            self.snapshot_reads.as_mut().and_then(SnapshotReads::pop_ready)
        {
            let Some(reads) = self.snapshot_reads.as_ref() else { return };
            let newest = self.learner.machine().value(key);
            let Seen { below, value, stamp } = reads.versions.at(time, key, newest);
            self.tell(Some(stamp), Reply::Read { request, below, value });
        }
        let passed = self.commit_wait.as_ref().map(|wait| wait.passed(self.shown));
        if let Some(reads) = self.snapshot_reads.as_mut() {
            reads.forget(self.shown, passed);
        }
    }

    /// The state of another replica is installed, or its own was found again after a crash.
    pub(super) fn restart_versions(&mut self) {
        if let Some(reads) = self.snapshot_reads.as_mut() {
            reads.versions.restart(self.learner.executed_below(), self.learner.newest);
        }
    }

    /// What the next slot to execute will replace, where versions are kept.
    pub(super) fn replaced_next(&self) -> Option<(u64, Option<bytes::Bytes>)> {
        self.snapshot_reads.as_ref()?;
        self.learner.replaced_next()
    }

    /// A slot was executed.
    pub(super) fn keep_version(
        &mut self,
        slot: Slot,
        stamp: Option<Time>,
        written: Option<(u64, Option<bytes::Bytes>)>,
    ) {
        if let Some(reads) = self.snapshot_reads.as_mut() {
            reads.versions.execute(slot, stamp, written, self.is_safe);
        }
    }
}

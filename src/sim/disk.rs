//! The disk of one replica: which of its records would be found again after a crash.
//!
//! One sync at a time: it makes durable what was given before it began, and what is given meanwhile
//! waits for the next one.
//! A checkpoint is written beside the log and stands for records that were given before it.
//! It is durable when it is written and those records are durable, whichever is later; a crash before
//! that loses the checkpoint and no record.
//! The disk keeps values, not bytes; what it would take to encode them is no part of virtual time.

use crate::deployment::{Durability, Unsynced};
use crate::driver::Ticket;
use crate::time::{Span, Time};

/// A checkpoint that is not durable.
#[derive(Debug)]
struct Unfinished<C> {
    /// The last of the records that it stands for.
    last: u64,
    /// Nothing on a disk that is write-only.
    state: Option<Box<C>>,
}

/// The disk of one replica.
///
/// Records are numbered from 1, in the order in which they were given.
#[derive(Debug)]
pub(super) struct Disk<R, C> {
    durability: Durability,
    /// Nobody will read it again, so nothing is kept; all else is as if it were.
    is_write_only: bool,
    checkpoint: Option<Box<C>>,
    /// Durable and behind the checkpoint, each with its number; nothing while it is write-only.
    records: Vec<(u64, R)>,
    /// Given and not durable, the oldest first; nothing while it is write-only.
    pending: Vec<(u64, R)>,
    /// The number of the last record that was given, and of the last that is durable.
    given: u64,
    durable: u64,
    /// The last record that a checkpoint stands for: one given, and one that is durable.
    checkpoint_given: u64,
    checkpoint_durable: u64,
    /// The checkpoint that is being written, or was and waits for its records.
    writing: Option<Unfinished<C>>,
    is_written: bool,
    /// The checkpoint that is written next.
    next: Option<Unfinished<C>>,
    /// The sync under way, if there is one.
    sync: Option<Sync>,
    since_checkpoint: u64,
    sync_count: u64,
}

/// A sync under way.
#[derive(Clone, Copy, Debug)]
struct Sync {
    began_at: Time,
    /// It covers what was given before.
    covers: u64,
    /// How many of `pending` that is.
    record_count: usize,
}

/// What a replica that starts finds.
pub(super) struct Found<R, C> {
    pub(super) checkpoint: Option<C>,
    pub(super) records: Vec<R>,
}

/// What a crash did to what was not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Records that are gone.
    pub(super) lost_count: u64,
    /// Whether one of them left a torn end behind it.
    pub(super) is_torn: bool,
    /// Whether a checkpoint was not finished.
    pub(super) lost_checkpoint: bool,
}

impl<R: Clone, C: Clone> Disk<R, C> {
    pub(super) const fn new(durability: Durability) -> Self {
        Self {
            durability,
            is_write_only: false,
            checkpoint: None,
            records: Vec::new(),
            pending: Vec::new(),
            given: 0,
            durable: 0,
            checkpoint_given: 0,
            checkpoint_durable: 0,
            writing: None,
            is_written: false,
            next: None,
            sync: None,
            since_checkpoint: 0,
            sync_count: 0,
        }
    }

    /// From now on nothing is kept: for a replica that never starts again.
    pub(super) const fn set_write_only(&mut self) {
        self.is_write_only = true;
    }

    /// Takes records; what is given is empty afterwards.
    pub(super) fn give(&mut self, records: &mut Vec<R>) {
        if self.durability == Durability::Memory || records.is_empty() {
            records.clear();
            return;
        }
        let first = self.given + 1;
        self.given += records.len() as u64;
        self.since_checkpoint += records.len() as u64;
        if self.is_write_only {
            records.clear();
        } else {
            self.pending.extend((first..).zip(records.drain(..)));
        }
    }

    /// Takes a checkpoint, which stands for all records so far; its ticket is higher than that of any before.
    pub(super) fn give_checkpoint(&mut self, checkpoint: impl FnOnce() -> C) -> Ticket {
        if self.given == self.checkpoint_given {
            // As on a real disk, a record that says nothing tells it from the one before.
            self.given += 1;
        }
        self.checkpoint_given = self.given;
        self.since_checkpoint = 0;
        let state = (!self.is_write_only).then(|| Box::new(checkpoint()));
        // One that this one replaces is not written.
        self.next = Some(Unfinished { last: self.given, state });
        Ticket(self.given)
    }

    /// Begins to write a checkpoint, unless one is under way or there is none; whether it did.
    pub(super) fn begin_checkpoint(&mut self) -> bool {
        if self.writing.is_some() || self.next.is_none() {
            return false;
        }
        (self.writing, self.is_written) = (self.next.take(), false);
        true
    }

    /// The checkpoint is written.
    pub(super) fn finish_checkpoint(&mut self) {
        self.is_written = true;
        self.replace_records();
    }

    /// The checkpoint takes the place of the records that it stands for, when it is durable and they are.
    fn replace_records(&mut self) {
        let (is_written, durable) = (self.is_written, self.durable);
        let is_whole = |writing: &mut Unfinished<C>| is_written && writing.last <= durable;
        if let Some(Unfinished { last, state }) = self.writing.take_if(is_whole) {
            self.checkpoint_durable = last;
            self.checkpoint = state;
            let covered = self.records.partition_point(|(number, _)| *number <= last);
            self.records.drain(..covered);
        }
    }

    /// Whether another checkpoint is worth it: none is on its way, and so many records came since the last.
    pub(super) const fn is_checkpoint_due(&self, records: u64) -> bool {
        self.checkpoint_durable == self.checkpoint_given && self.since_checkpoint >= records
    }

    /// The ticket of the newest durable checkpoint.
    pub(super) const fn checkpointed(&self) -> Ticket {
        Ticket(self.checkpoint_durable)
    }

    /// What waits for all that was given so far waits for this.
    pub(super) const fn given(&self) -> Ticket {
        Ticket(self.given)
    }

    /// What waits for this, or less, need not wait any more.
    pub(super) const fn durable(&self) -> Ticket {
        Ticket(self.durable)
    }

    /// Whether there is something to sync, and no sync under way.
    pub(super) const fn is_sync_due(&self) -> bool {
        self.sync.is_none() && self.given != self.durable
    }

    /// Begins a sync, unless one is under way or there is nothing to do; whether it did.
    pub(super) fn begin(&mut self, now: Time) -> bool {
        if !self.is_sync_due() {
            return false;
        }
        let record_count = self.pending.len();
        self.sync = Some(Sync { began_at: now, covers: self.given, record_count });
        true
    }

    /// The sync is over: how long it took.
    pub(super) fn finish(&mut self, now: Time) -> Span {
        let Some(Sync { began_at, covers, record_count }) = self.sync.take() else {
            return Span::ZERO;
        };
        self.durable = covers;
        self.sync_count += 1;
        self.keep(record_count);
        self.replace_records();
        now.since(began_at)
    }

    /// The oldest of what is pending is on the disk.
    fn keep(&mut self, count: usize) {
        self.records.extend(self.pending.drain(..count));
    }

    /// The replica crashes.
    pub(super) fn crash(&mut self, unsynced: Unsynced) -> Damage {
        let unsynced_count = self.pending.len();
        let kept_count = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Torn => unsynced_count / 2,
            Unsynced::Written => unsynced_count,
        };
        self.keep(kept_count);
        let lost_count = self.pending.len() as u64;
        let lost_checkpoint = self.checkpoint_given > self.checkpoint_durable;
        self.pending.clear();
        (self.sync, self.writing, self.next) = (None, None, None);
        self.checkpoint_given = self.checkpoint_durable;
        self.durable = self.given;
        self.since_checkpoint = self.records.len() as u64;
        if self.durability == Durability::Memory {
            self.checkpoint = None;
            self.records.clear();
        }
        let is_torn = unsynced == Unsynced::Torn && lost_count > 0;
        Damage { lost_count, is_torn, lost_checkpoint }
    }

    /// What is there to start from.
    pub(super) fn read(&self) -> Found<R, C> {
        assert!(!self.is_write_only || self.given == 0, "a disk that kept nothing is read");
        let records = self.records.iter().map(|(_, record)| record.clone()).collect();
        Found { checkpoint: self.checkpoint.as_deref().cloned(), records }
    }

    pub(super) const fn sync_count(&self) -> u64 {
        self.sync_count
    }
}

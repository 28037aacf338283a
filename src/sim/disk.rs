//! The disk of one replica: which of its records would be found again after a crash.
//!
//! One sync at a time: it makes durable what was given before it began, and what is given meanwhile
//! waits for the next one.
//! It keeps values, not bytes; what it would take to encode them is no part of virtual time.

use crate::deployment::{Durability, Unsynced};
use crate::driver::Ticket;
use crate::time::{Span, Time};

/// Something given to the disk.
#[derive(Debug)]
enum Item<R, C> {
    Record(R),
    /// It takes the place of all that was given before it.
    Checkpoint(Option<Box<C>>),
}

/// The disk of one replica.
#[derive(Debug)]
pub(super) struct Disk<R, C> {
    durability: Durability,
    /// Nobody will read it again, so nothing is kept; all else is as if it were.
    is_write_only: bool,
    checkpoint: Option<Box<C>>,
    records: Vec<R>,
    /// Given and not durable, the oldest first; nothing while it is write-only, but for checkpoints.
    pending: Vec<Item<R, C>>,
    /// How many things were given to the disk, and how many of them are durable.
    given: u64,
    durable: u64,
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
    /// How much of `pending` that is.
    item_count: usize,
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
        self.given += records.len() as u64;
        self.since_checkpoint += records.len() as u64;
        if self.is_write_only {
            records.clear();
        } else {
            self.pending.extend(records.drain(..).map(Item::Record));
        }
    }

    /// Takes a checkpoint.
    pub(super) fn give_checkpoint(&mut self, checkpoint: impl FnOnce() -> C) {
        self.given += 1;
        self.since_checkpoint = 0;
        let checkpoint = (!self.is_write_only).then(|| Box::new(checkpoint()));
        self.pending.push(Item::Checkpoint(checkpoint));
    }

    /// Records given since the last checkpoint.
    pub(super) const fn since_checkpoint(&self) -> u64 {
        self.since_checkpoint
    }

    /// What waits for all that was given so far waits for this.
    pub(super) const fn given(&self) -> Ticket {
        Ticket(self.given)
    }

    /// What waits for this, or less, need not wait any more.
    pub(super) const fn durable(&self) -> Ticket {
        Ticket(self.durable)
    }

    /// Begins a sync, unless one is under way or there is nothing to do; whether it did.
    pub(super) fn begin(&mut self, now: Time) -> bool {
        if self.sync.is_some() || self.given == self.durable {
            return false;
        }
        let item_count = self.pending.len();
        self.sync = Some(Sync { began_at: now, covers: self.given, item_count });
        true
    }

    /// The sync is over: how long it took.
    pub(super) fn finish(&mut self, now: Time) -> Span {
        let Some(Sync { began_at, covers, item_count }) = self.sync.take() else {
            return Span::ZERO;
        };
        self.durable = covers;
        self.sync_count += 1;
        self.keep(item_count);
        now.since(began_at)
    }

    /// The oldest of what is pending is on the disk.
    fn keep(&mut self, item_count: usize) {
        for item in self.pending.drain(..item_count) {
            match item {
                Item::Record(record) => self.records.push(record),
                Item::Checkpoint(checkpoint) => {
                    self.records.clear();
                    self.checkpoint = checkpoint;
                }
            }
        }
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
        self.pending.clear();
        self.sync = None;
        self.durable = self.given;
        self.since_checkpoint = self.records.len() as u64;
        if self.durability == Durability::Memory {
            self.checkpoint = None;
            self.records.clear();
        }
        Damage { lost_count, is_torn: unsynced == Unsynced::Torn && lost_count > 0 }
    }

    /// What is there to start from.
    pub(super) fn read(&self) -> Found<R, C> {
        assert!(!self.is_write_only || self.given == 0, "a disk that kept nothing is read");
        Found { checkpoint: self.checkpoint.as_deref().cloned(), records: self.records.clone() }
    }

    pub(super) const fn sync_count(&self) -> u64 {
        self.sync_count
    }
}

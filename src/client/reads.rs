//! Whom a session asks for its reads, where these take another way than its writes: any replica with a state machine
//! may answer one, so the nearest is asked first; where replicas answer for ranges of keys, the nearest of that range.
//!
//! The session turns to another replica for the keys of a range for one reason alone: the newest read of these keys
//! that it sent is overdue. Hints do not count, because these reads need no leader, and the session's writes choose
//! their replica independently.
//!
//! The nearest replica may only have been slow when the session gave it up. So while the session asks another one, it
//! sends a read to the nearest as well, once in each time-out; if the nearest answers one of them first, the session
//! returns to it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Outstanding, Session};
use crate::history::Kind;
use crate::quorum::NodeId;
use crate::time::Time;

/// Whom a session asks for its reads, by the first key of each range that is asked elsewhere.
#[derive(Debug)]
pub(super) struct Readers(BTreeMap<u64, Reader>);

/// Whom it asks for the keys of one range.
#[derive(Debug)]
struct Reader {
    /// The nearest first.
    targets: Vec<NodeId>,
    /// The place in it that is asked now.
    target: usize,
    /// When the newest read was sent that this one has answered.
    heard_of: Option<Time>,
    /// When the nearest was given up, or was last asked as well since then.
    tried_at: Time,
}

impl Readers {
    /// In this order, from each key on; `None` if reads go where writes go.
    pub(super) fn new(targets: BTreeMap<u64, Vec<NodeId>>) -> Option<Self> {
        let reader = |targets| Reader { targets, target: 0, heard_of: None, tried_at: Time::ZERO };
        let readers = targets.into_iter().map(|(from, targets)| (from, reader(targets)));
        let readers: BTreeMap<u64, Reader> = readers.collect();
        (!readers.is_empty()).then_some(Self(readers))
    }

    fn of(&self, key: u64) -> &Reader {
        let found = self.0.range(..=key).next_back();
        found.expect("every key is in a range").1
    }

    fn of_mut(&mut self, key: u64) -> &mut Reader {
        let found = self.0.range_mut(..=key).next_back();
        found.expect("every key is in a range").1
    }

    /// It answered a read of this key that was last sent then.
    pub(super) fn hear(&mut self, from: NodeId, key: u64, sent_at: Time) {
        let reader = self.of_mut(key);
        if from == reader.target() {
            reader.heard_of = reader.heard_of.max(Some(sent_at));
        } else if from == reader.targets[0] {
            reader.target = 0;
            reader.heard_of = Some(sent_at);
        }
    }

    /// The first key of the range of a key.
    fn range_of(&self, key: u64) -> u64 {
        *self.0.range(..=key).next_back().expect("every key is in a range").0
    }

    /// These reads are overdue, each of a key and last sent then: the ranges in which another one is asked now, by their
    /// first keys.
    fn give_up(&mut self, now: Time, overdue: impl Iterator<Item = (u64, Time)>) -> BTreeSet<u64> {
        let mut newest: BTreeMap<u64, Time> = BTreeMap::new();
        for (key, sent_at) in overdue {
            let known = newest.entry(self.range_of(key)).or_insert(sent_at);
            *known = sent_at.max(*known);
        }
        newest.retain(|from, newest| self.of_mut(*from).give_up(now, *newest));
        newest.into_keys().collect()
    }
}

impl Reader {
    fn target(&self) -> NodeId {
        self.targets[self.target]
    }

    /// The newest of the reads that are overdue was sent then: if whoever was asked has answered nothing that was sent
    /// later, another one is asked: whether that is so.
    fn give_up(&mut self, now: Time, newest: Time) -> bool {
        let is_silent = self.heard_of.is_none_or(|heard| heard <= newest);
        if is_silent {
            if self.target == 0 {
                self.tried_at = now;
            }
            self.target = (self.target + 1) % self.targets.len();
            self.heard_of = None;
        }
        is_silent
    }
}

impl Session {
    /// Whom it asks for an operation on this key.
    pub(super) fn target_of(&self, kind: Kind, key: u64) -> NodeId {
        match &self.readers {
            Some(readers) if kind == Kind::Read => readers.of(key).target(),
            _ => self.target(),
        }
    }

    /// Whether operations of this kind are asked where writes are.
    pub(super) fn follows_writes(&self, kind: Kind) -> bool {
        kind == Kind::Write || self.readers.is_none()
    }

    /// The nearest, if a read of this key should be asked of it as well.
    pub(super) fn also_asked(&mut self, now: Time, kind: Kind, key: u64) -> Option<NodeId> {
        let reader = self.readers.as_mut().filter(|_| kind == Kind::Read)?.of_mut(key);
        let is_due = reader.target != 0 && reader.tried_at + self.settings.retry_after <= now;
        is_due.then(|| {
            reader.tried_at = now;
            reader.targets[0]
        })
    }

    /// Of operations that are overdue, takes the reads out that go their own way, and asks for them again; if it gives
    /// up whom it asks, for all its reads.
    pub(super) fn retry_reads(&mut self, now: Time, overdue: &mut Vec<u64>) {
        if self.readers.is_none() {
            return;
        }
        let of = |open: &Outstanding| (open.operation.key(), open.sent_at);
        let mut reads: BTreeMap<u64, (u64, Time)> = BTreeMap::new();
        for sequence in overdue.iter() {
            let open = self.unanswered(*sequence).filter(|open| open.kind == Kind::Read);
            reads.extend(open.map(|open| (*sequence, of(open))));
        }
        overdue.retain(|sequence| !reads.contains_key(sequence));
        let Some(readers) = &mut self.readers else { return };
        let given_up = readers.give_up(now, reads.values().copied());
        let Some(readers) = &self.readers else { return };
        let is_left = |open: &Outstanding| {
            open.kind == Kind::Read && given_up.contains(&readers.range_of(open.operation.key()))
        };
        let mut again: BTreeSet<u64> = reads.into_keys().collect();
        again.extend(self.open(is_left, usize::MAX));
        self.ask_again(now, &again.into_iter().collect::<Vec<_>>());
    }

    /// There is a new connection to the replica that it asks for its reads: what was sent before may be lost.
    pub(super) fn reconnect_reads(&mut self, now: Time, replica: NodeId) {
        let Some(readers) = &self.readers else { return };
        let is_of_it = |open: &Outstanding| {
            open.kind == Kind::Read && readers.of(open.operation.key()).target() == replica
        };
        let open = self.open(is_of_it, usize::MAX);
        self.ask_again(now, &open);
    }
}

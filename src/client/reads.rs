//! Whom a session asks for its reads, where these take another way than its writes: any replica with a state machine
//! may answer one, so the nearest is asked first.
//!
//! The replica that is asked for reads changes for one reason alone: it has not answered what was sent to it last
//! when that is overdue. No hint counts, because there is no leader to be hinted at, and the writes of the session
//! neither follow nor lead it.

use std::collections::BTreeSet;

use super::Session;
use crate::history::Kind;
use crate::quorum::NodeId;
use crate::time::Time;

/// Whom a session asks for its reads.
#[derive(Debug)]
pub(super) struct Readers {
    /// The nearest first.
    targets: Vec<NodeId>,
    /// The place in it that is asked now.
    target: usize,
    /// When the newest read was sent that this one has answered.
    heard_of: Option<Time>,
}

impl Readers {
    /// In this order; `None` if reads go where writes go.
    pub(super) fn new(targets: Vec<NodeId>) -> Option<Self> {
        (!targets.is_empty()).then_some(Self { targets, target: 0, heard_of: None })
    }

    fn target(&self) -> NodeId {
        self.targets[self.target]
    }

    /// It answered a read that was last sent then.
    pub(super) fn hear(&mut self, from: NodeId, sent_at: Time) {
        if from == self.target() {
            self.heard_of = self.heard_of.max(Some(sent_at));
        }
    }

    /// The newest of the reads that are overdue was sent then: if whoever was asked has answered nothing that was sent
    /// later, another one is asked.
    fn give_up(&mut self, newest: Time) {
        if self.heard_of.is_none_or(|heard| heard <= newest) {
            self.target = (self.target + 1) % self.targets.len();
            self.heard_of = None;
        }
    }
}

impl Session {
    /// Whom it asks for an operation.
    pub(super) fn target_of(&self, kind: Kind) -> NodeId {
        match &self.readers {
            Some(readers) if kind == Kind::Read => readers.target(),
            _ => self.target(),
        }
    }

    /// Whether operations of this kind are asked where writes are.
    pub(super) fn follows_writes(&self, kind: Kind) -> bool {
        kind == Kind::Write || self.readers.is_none()
    }

    /// Of operations that are overdue, takes the reads out that go their own way, and asks for them again.
    pub(super) fn retry_reads(&mut self, now: Time, overdue: &mut Vec<u64>) {
        if self.readers.is_none() {
            return;
        }
        let is_read = |session: &mut Self, sequence: u64| {
            session.unanswered(sequence).is_some_and(|open| open.kind == Kind::Read)
        };
        let reads: BTreeSet<u64> =
            overdue.iter().copied().filter(|sequence| is_read(self, *sequence)).collect();
        overdue.retain(|sequence| !reads.contains(sequence));
        let sent = reads.iter().filter_map(|sequence| Some(self.unanswered(*sequence)?.sent_at));
        let sent: Vec<Time> = sent.collect();
        if let (Some(newest), Some(readers)) = (sent.into_iter().max(), &mut self.readers) {
            readers.give_up(newest);
        }
        self.ask_again(now, &reads.into_iter().collect::<Vec<_>>());
    }

    /// There is a new connection to the replica that it asks for its reads: what was sent before may be lost.
    pub(super) fn reconnect_reads(&mut self, now: Time, replica: NodeId) {
        if self.readers.as_ref().is_some_and(|readers| readers.target() == replica) {
            let open = self.open(|open| open.kind == Kind::Read, usize::MAX);
            self.ask_again(now, &open);
        }
    }
}

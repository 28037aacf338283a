//! What the parts of a replica share while it handles one input, and what any of them may do with it:
//! number a ballot, send both phases, answer as an acceptor, execute what is chosen.
//!
//! Nothing here knows which proposer runs.

use super::Effects;
use super::acceptor::{Acceptor, Promise};
use super::catch_up::CatchUp;
use super::commit_wait::CommitWait;
use super::granted::Granted;
use super::learner::Learner;
use super::message::{Message, Record, Report};
use super::reads::Reads;
use super::requests::{Awaiting, Requests};
use super::snapshot_reads::SnapshotReads;
use super::trimming::Trimming;
use super::wire::Wire;
use crate::command::Execution;
use crate::protocol::{Advance, Ballot, Config, Executed, Note, Reply, Rounds, Scope, Slot, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::time::Time;

/// What every part may use, borrowed for one input.
pub(super) struct Context<'a> {
    pub(super) now: Time,
    /// What the clock shows that replicas compare.
    pub(super) shown: Time,
    pub(super) config: &'a Config,
    /// Whether every phase-1 quorum meets every phase-2 quorum; if not, the check must find out.
    pub(super) is_safe: bool,
    pub(super) acceptor: &'a mut Acceptor,
    pub(super) learner: &'a mut Learner,
    pub(super) rounds: &'a mut Rounds,
    pub(super) requests: &'a mut Requests,
    pub(super) reads: &'a mut Reads,
    pub(super) granted: &'a mut Granted,
    pub(super) snapshot_reads: &'a mut Option<SnapshotReads>,
    pub(super) commit_wait: &'a mut Option<CommitWait>,
    pub(super) catch_up: &'a mut CatchUp,
    pub(super) trimming: &'a mut Trimming,
    pub(super) wire: &'a mut Wire,
    pub(super) effects: &'a mut Effects,
}

impl Context<'_> {
    /// Makes durable that the rounds below `below` may be used, and tells this replica when they are.
    pub(super) fn reserve_rounds(&mut self, below: u64) {
        self.effects.records.push(Record::Rounds { below });
        let myself = NodeSet::only(self.config.id);
        self.effects.send_durable(myself, Message::Reserved { below }, |_, _| false);
    }

    /// A ballot above `seen`, whose round no earlier life of this proposer used.
    pub(super) fn new_ballot(&mut self, seen: Ballot) -> Ballot {
        let round = self.rounds.above(seen.round);
        if let Some(below) = self.rounds.reserve(round) {
            self.reserve_rounds(below);
        }
        Ballot { round, proposer: self.config.id }
    }

    /// Phase 1a, for the first time or again: it never leaves before its round is durably reserved.
    ///
    /// What is proposed at the ballot need not wait: it follows a promise, which follows this.
    pub(super) fn send_phase1a(
        &mut self,
        to: NodeSet,
        ballot: Ballot,
        scope: Scope,
        quorum: Option<NodeSet>,
    ) {
        let myself = self.config.id;
        let others = to.without(myself);
        let phase1a = Message::Phase1a { ballot, scope, quorum };
        if self.rounds.is_durable(ballot.round) {
            self.effects.send(others, phase1a);
        } else if !others.is_empty() {
            self.effects.send_durable(others, phase1a, |_, _| false);
        }
        if to.contains(myself) {
            self.handle_phase1a(myself, ballot, scope, quorum);
        }
    }

    /// Phase 2a, for the first time or again: the others need not wait for the proposer's own disk;
    /// its own vote does.
    #[inline]
    pub(super) fn send_phase2a(
        &mut self,
        to: NodeSet,
        ballot: Ballot,
        slot: Slot,
        value: Value,
        chosen_below: Slot,
    ) {
        let myself = self.config.id;
        let phase2a = Message::Phase2a { ballot, slot, value: value.clone(), chosen_below };
        self.effects.send(to.without(myself), phase2a);
        if to.contains(myself) {
            self.handle_phase2a(myself, ballot, slot, value);
        }
    }

    /// Prepare (Paxos made simple, phase 1b): promise, and report every vote in the scope
    /// that finds room.
    pub(super) fn handle_phase1a(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        scope: Scope,
        quorum: Option<NodeSet>,
    ) {
        if !self.config.is_acceptor() {
            return;
        }
        let (Scope::Only(slot) | Scope::From(slot)) = scope;
        if matches!(scope, Scope::Only(_)) {
            if let Some(value) = self.learner.value(slot) {
                // What is chosen needs no vote any more; this also answers a proposer that is behind.
                let values = vec![value.clone()];
                self.effects.send(NodeSet::only(from), self.values_message(slot, values));
                return;
            }
            if slot < self.acceptor.first() {
                self.answer_trimmed(from, slot, self.acceptor.first());
                return;
            }
        }
        let room = self.config.retention.bytes_at_once();
        match self.acceptor.handle_phase1a(ballot, scope, quorum, room) {
            Ok(promise) => {
                self.effects.records.extend(promise.record);
                let Promise { votes, announced, reported_below, .. } = promise;
                let trimmed_below = self.trimmed_below();
                let newest = self.acceptor.newest().max(self.learner.newest);
                let granted = self.granted.clone();
                let report =
                    Report { votes, announced, trimmed_below, reported_below, newest, granted };
                let report = Box::new(report);
                let message = Message::Phase1b { ballot, scope, report };
                self.effects.send_durable(NodeSet::only(from), message, |_, _| false);
            }
            Err(refusal) => {
                let refused = Message::Refused { ballot, promised: refusal.promised, slot };
                self.effects.send(NodeSet::only(from), refused);
            }
        }
    }

    /// The leader of `ballot` is there: promises it, unless a higher one is promised, which is told then.
    pub(super) fn follow(&mut self, ballot: Ballot, quorum: Option<NodeSet>) -> Result<(), Ballot> {
        let record = self.acceptor.follow(ballot, quorum)?;
        self.effects.records.extend(record);
        Ok(())
    }

    /// Whether it knows what may be chosen in each slot below `below`: it has executed the slot, knows it to be chosen, or
    /// has voted there at this ballot or above.
    pub(super) fn knows_all_below(&self, below: Slot, ballot: Ballot) -> bool {
        let voted = |slot| self.acceptor.vote(slot).is_some_and(|vote| vote.ballot >= ballot);
        let mut slots = (self.learner.executed_below().0..below.0).map(Slot);
        slots.all(|slot| voted(slot) || self.learner.value(slot).is_some())
    }

    /// The slot after the last one that writes this key, of those that this replica voted in, or knows to be chosen,
    /// and has not executed; the first that is not executed, if there is none.
    pub(super) fn end_of_writes(&self, key: u64) -> Slot {
        let from = self.learner.executed_below();
        let writes = |value: &Value| {
            let operation = value.command().map(|command| &command.operation);
            operation.is_some_and(|operation| !operation.is_read() && operation.key() == key)
        };
        let values = self.acceptor.voted_from(from).chain(self.learner.chosen.range(from));
        let written = values.filter(|(_, value)| writes(value)).map(|(slot, _)| slot);
        written.max().map_or(from, Slot::next)
    }

    /// Accept (Paxos made simple, phase 2b): vote unless a higher ballot is promised.
    ///
    /// An observer keeps the value, for it will be told whether it is chosen; that is no vote, so nobody is told and
    /// nothing made durable.
    #[inline]
    pub(super) fn handle_phase2a(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        slot: Slot,
        value: Value,
    ) {
        if !self.config.is_acceptor() {
            if slot >= self.acceptor.first() {
                self.acceptor.handle_phase2a(ballot, slot, value).ok();
            }
            return;
        }
        if slot < self.acceptor.first() {
            self.refuse_trimmed(from, ballot, slot);
            return;
        }
        match self.acceptor.handle_phase2a(ballot, slot, value) {
            Ok(record) => {
                self.effects.records.extend(record);
                let vote = Message::Phase2b { ballot, first: slot, last: slot };
                self.effects.send_durable(NodeSet::only(from), vote, extend_votes);
            }
            Err(refusal) => {
                let refused = Message::Refused { ballot, promised: refusal.promised, slot };
                self.effects.send(NodeSet::only(from), refused);
            }
        }
    }

    /// Executes what is chosen, in slot order, and answers for own proposals.
    pub(super) fn execute(&mut self) {
        loop {
            let replaced = self.replaced_next();
            let Some((slot, value, execution)) = self.learner.execute_next() else { break };
            let applied = matches!(execution, Some(Execution::Applied(_)));
            let stamp = value.stamp();
            self.keep_version(slot, stamp, replaced.filter(|_| applied));
            let command = value.into_command();
            self.effects.executed.push(Advance::Executed(Executed { slot, command, applied }));
            if let Some(own) = self.requests.awaiting.remove(slot) {
                let Awaiting { request, queueing, phase1, phase2, chosen_at } = own;
                let reply = self.now.since(chosen_at);
                self.effects.notes.push(Note::Committed { queueing, phase1, phase2, reply });
                if let Some(outcome) = execution.and_then(Execution::outcome) {
                    let reply = Reply::Executed { request, slot, outcome };
                    self.tell_executed(stamp, reply);
                }
            }
        }
        self.requests.awaiting.forget_below(self.learner.executed_below());
    }
}

/// Votes for consecutive slots at one ballot travel as one message.
#[inline]
fn extend_votes(last: &mut Message, next: &Message) -> bool {
    let Message::Phase2b { ballot, last: end, .. } = last else { return false };
    let Message::Phase2b { ballot: next_ballot, first, last: next_end } = next else {
        return false;
    };
    if ballot != next_ballot || *first != end.next() {
        return false;
    }
    *end = *next_end;
    true
}

//! How replicas learn what others know to be chosen.
//!
//! A proposer tells that slots are chosen, without their values: whoever voted at its ballot has them.
//! Whoever has not asks for them, and a replica that was restarted asks for everything it missed.
//! What is forgotten cannot be taught value by value: `snapshot.rs`.
//! Counting votes is not done here, nor execution.

use super::Effects;
use super::ballot::Ballot;
use super::message::{Message, Value};
use super::replica::{Proposer, Replica, TimerKind};
use super::snapshot::Fetching;
use crate::protocol::Slot;
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// An answer to a replica that is behind ends with the value that passes this: a frame of modest size.
const ANSWER_BYTES: usize = 1 << 20;

impl Replica {
    /// The proposer of `ballot` knows every slot from `first` to before `below` to be chosen.
    ///
    /// What a proposer proposes at its ballot in a slot is what was chosen at a lower one, if
    /// anything was (Flexible Paxos, section 4), and it gives up when a higher one chose otherwise;
    /// so a vote of ours at that ballot holds the value.
    pub(super) fn handle_chosen(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        below: Slot,
        effects: &mut Effects,
    ) {
        let mut first = first.max(self.learner.executed_below());
        // In Multi-Paxos every proposal repeats the news; what was asked for is not looked at again.
        let is_asked_for =
            matches!(self.proposer, Proposer::Multi(_)) && first < self.learning_below;
        if is_asked_for {
            first = self.learning_below;
        }
        let mut missing = None;
        for slot in (first.0..below.0).map(Slot) {
            if self.learner.is_chosen(slot) {
                continue;
            }
            match self.acceptor.vote(slot) {
                Some(vote) if vote.ballot == ballot => {
                    let value = vote.value.clone();
                    self.learn(now, slot, value, effects);
                }
                _ => missing = missing.or(Some(slot)),
            }
        }
        match missing {
            _ if is_asked_for => self.learning_below = self.learning_below.max(below),
            Some(slot) => self.ask(now, from, slot, below, effects),
            None => {}
        }
        self.execute(now, effects);
    }

    pub(super) fn handle_learn(
        &mut self,
        from: NodeId,
        first: Slot,
        below: Slot,
        effects: &mut Effects,
    ) {
        if self.answer_trimmed(from, first, self.learner.first(), effects) {
            return;
        }
        // What leaves at once has left within half a time-out.
        let timing = self.config.timing;
        let span = Span(timing.retransmit_after.0 / 2);
        let room = timing.capacity.bytes_within(span, ANSWER_BYTES).max(1);
        let values = self.learner.values(first, below, room);
        effects.send(NodeSet::only(from), self.values_message(first, values));
    }

    pub(super) fn values_message(&self, first: Slot, values: Vec<Value>) -> Message {
        Message::Values { first, values, executed_below: self.learner.executed_below() }
    }

    pub(super) fn handle_values(
        &mut self,
        now: Time,
        from: NodeId,
        first: Slot,
        values: Vec<Value>,
        executed_below: Slot,
        effects: &mut Effects,
    ) {
        self.is_rejoining = false;
        // One that teaches nothing is not asked after: each would double all questions that follow.
        let mut has_taught = false;
        for (slot, value) in (first.0..).map(Slot).zip(values) {
            if !self.learner.is_chosen(slot) {
                self.learn(now, slot, value, effects);
                has_taught = true;
            }
        }
        self.execute(now, effects);
        if has_taught && self.learner.executed_below() < executed_below {
            self.ask(now, from, self.learner.executed_below(), executed_below, effects);
        }
        if self.is_to_campaign && self.learner.executed_below() >= executed_below {
            self.is_to_campaign = false;
            self.campaign(now, effects);
        }
    }

    /// Asks for chosen values; another replica, if they do not come before a time-out.
    pub(super) fn ask(
        &mut self,
        now: Time,
        from: NodeId,
        first: Slot,
        below: Slot,
        effects: &mut Effects,
    ) {
        self.learning_below = self.learning_below.max(below);
        (self.asked, self.taught_at) = (Some(from), now);
        effects.send(NodeSet::only(from), Message::Learn { first, below });
        arm_catch_up(self.config.timing.retransmit_after, effects);
    }

    pub(super) fn everything_after_execution(&self) -> Message {
        Message::Learn { first: self.learner.executed_below(), below: Slot(u64::MAX) }
    }

    /// Asks again for what did not come: the next replica, for all of them would answer with the same
    /// values. One that was restarted, and heard of nobody yet, asks everybody.
    pub(super) fn catch_up_again(&mut self, now: Time, effects: &mut Effects) {
        let is_behind = self.learner.executed_below() < self.learning_below;
        if !self.is_rejoining && !is_behind {
            (self.fetching, self.asked) = (Fetching::default(), None);
            return;
        }
        let timing = self.config.timing;
        if !self.fetching.has_stalled() {
            arm_catch_up(timing.retransmit_after, effects);
            return;
        }
        let to = if self.is_rejoining { self.config.others() } else { self.next_teacher() };
        effects.send(to, self.everything_after_execution());
        arm_catch_up(timing.patience(now.since(self.taught_at)), effects);
    }

    /// Whom to ask after the one that was asked last, the nearest after the farthest.
    fn next_teacher(&mut self) -> NodeSet {
        let others = self.config.nearest_first.iter().filter(|node| **node != self.config.id);
        let mut others = others.copied();
        let first = others.clone().next();
        let asked = self.asked;
        let next = others.by_ref().find(|node| Some(*node) == asked).and(others.next()).or(first);
        self.asked = next;
        next.map_or(NodeSet::EMPTY, NodeSet::only)
    }
}

/// After so long, what did not come is asked for again.
pub(super) fn arm_catch_up(after: Span, effects: &mut Effects) {
    effects.set_timer(TimerKind::CatchUp.id(), after, Span::ZERO);
}

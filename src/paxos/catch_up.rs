//! How replicas learn what others know to be chosen.
//!
//! A proposer tells that slots are chosen, without their values: whoever voted at its ballot has them.
//! Whoever has not asks for them, and a replica that was restarted asks for everything it missed.
//! What is forgotten cannot be taught value by value: `snapshot.rs`.
//! Counting votes is not done here, nor execution.

use super::context::Context;
use super::message::Message;
use super::proposer::Proposer;
use super::snapshot::{Fetching, Lent};
use super::timer::TimerKind;
use crate::protocol::{Ballot, Config, Slot, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// What a replica that is behind has asked for, and what it lends to others that are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CatchUp {
    /// The end of the slots that were asked for: until they are executed, they are asked for again.
    pub(super) learning_below: Slot,
    /// Whom it asked for them last.
    pub(super) asked: Option<NodeId>,
    /// When it did, or was taught something since.
    pub(super) taught_at: Time,
    /// The state that it was sent so far, or waits for.
    pub(super) fetching: Fetching,
    /// The state that others are being sent.
    pub(super) lent: Option<Lent>,
    /// It was restarted and has not yet heard how far the others are.
    pub(super) is_rejoining: bool,
}

impl CatchUp {
    /// Whom to ask after the one that was asked last, the nearest after the farthest.
    fn next_teacher(&mut self, config: &Config) -> NodeSet {
        let teachers = config.teachers();
        let others = config.nearest_first.iter().filter(|node| teachers.contains(**node));
        let mut others = others.copied();
        let first = others.clone().next();
        let asked = self.asked;
        let next = others.by_ref().find(|node| Some(*node) == asked).and(others.next()).or(first);
        self.asked = next;
        next.map_or(NodeSet::EMPTY, NodeSet::only)
    }
}

impl Context<'_> {
    /// One that was restarted asks everybody who may know for all that it missed.
    pub(super) fn rejoin(&mut self) {
        if self.catch_up.is_rejoining {
            self.effects.send(self.config.teachers(), self.everything_after_execution());
            self.catch_up.taught_at = self.now;
            self.arm_catch_up(self.config.timing.retransmit_after);
        }
    }

    pub(super) fn handle_learn(&mut self, from: NodeId, first: Slot, below: Slot) {
        if !self.config.is_learner() {
            return;
        }
        if self.answer_trimmed(from, first, self.learner.first()) {
            return;
        }
        // What leaves at once has left within half a time-out.
        let timing = self.config.timing;
        let span = Span(timing.retransmit_after.0 / 2);
        let bounds = self.config.bounds;
        let room = timing.capacity.bytes_within(span, bounds.answer_bytes).max(1);
        // What lies behind the horizon of who asks it could not remember.
        let below = below.min(Slot(first.0.saturating_add(bounds.horizon)));
        let values = self.learner.values(first, below, room);
        self.effects.send(NodeSet::only(from), self.values_message(first, values));
    }

    pub(super) fn values_message(&self, first: Slot, values: Vec<Value>) -> Message {
        Message::Values { first, values, executed_below: self.learner.executed_below() }
    }

    /// Asks for chosen values; another replica, if they do not come before a time-out.
    pub(super) fn ask(&mut self, from: NodeId, first: Slot, below: Slot) {
        let catch_up = &mut *self.catch_up;
        catch_up.learning_below = catch_up.learning_below.max(below);
        (catch_up.asked, catch_up.taught_at) = (Some(from), self.now);
        self.effects.send(NodeSet::only(from), Message::Learn { first, below });
        self.arm_catch_up(self.config.timing.retransmit_after);
    }

    /// Asks for what lies before the horizon: `from` knows a slot to be chosen that lies beyond it.
    pub(super) fn ask_up_to(&mut self, from: NodeId, horizon: Slot) {
        if self.config.is_learner() && self.catch_up.learning_below < horizon {
            self.ask(from, self.learner.executed_below(), horizon);
        }
    }

    /// Asks everybody who may know for what lies below `below`, of which a witness said that it is chosen.
    ///
    /// A witness forgets only what enough others have executed (`trimming.rs`), and does not say who they are.
    pub(super) fn ask_all(&mut self, below: Slot) {
        if self.catch_up.learning_below < below {
            self.catch_up.learning_below = below;
            (self.catch_up.asked, self.catch_up.taught_at) = (None, self.now);
            self.effects.send(self.config.teachers(), self.everything_after_execution());
            self.arm_catch_up(self.config.timing.retransmit_after);
        }
    }

    pub(super) fn everything_after_execution(&self) -> Message {
        Message::Learn { first: self.learner.executed_below(), below: Slot(u64::MAX) }
    }

    /// Asks again for what did not come: the next replica, for all of them would answer with the same
    /// values. One that was restarted, and heard of nobody yet, asks everybody.
    pub(super) fn catch_up_again(&mut self) {
        let catch_up = &mut *self.catch_up;
        let is_behind = self.learner.executed_below() < catch_up.learning_below;
        if !catch_up.is_rejoining && !is_behind {
            (catch_up.fetching, catch_up.asked) = (Fetching::default(), None);
            return;
        }
        let timing = self.config.timing;
        if !catch_up.fetching.has_stalled() {
            self.arm_catch_up(timing.retransmit_after);
            return;
        }
        let is_rejoining = catch_up.is_rejoining;
        let to =
            if is_rejoining { self.config.teachers() } else { catch_up.next_teacher(self.config) };
        let waited = self.now.since(catch_up.taught_at);
        self.effects.send(to, self.everything_after_execution());
        self.arm_catch_up(timing.patience(waited));
    }

    /// After so long, what did not come is asked for again.
    pub(super) fn arm_catch_up(&mut self, after: Span) {
        self.effects.set_timer(TimerKind::CatchUp.id(), after, Span::ZERO);
    }
}

/// What is learned of others may be an own proposal, or stand in the way of one.
impl Proposer {
    /// The proposer of `ballot` knows every slot from `first` to before `below` to be chosen.
    ///
    /// What a proposer proposes at its ballot in a slot is what was chosen at a lower one, if
    /// anything was (Flexible Paxos, section 4), and it gives up when a higher one chose otherwise;
    /// so a vote of ours at that ballot holds the value.
    pub(super) fn handle_chosen(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        below: Slot,
    ) {
        if !context.config.is_learner() {
            return;
        }
        let mut first = first.max(context.learner.executed_below());
        // In Multi-Paxos every proposal repeats the news; what was asked for is not looked at again.
        let asked_below = context.catch_up.learning_below;
        let is_asked_for = matches!(self, Self::Multi(_)) && first < asked_below;
        if is_asked_for {
            first = asked_below;
        }
        let mut missing = None;
        for slot in (first.0..below.0).map(Slot) {
            if context.learner.is_chosen(slot) {
                continue;
            }
            match context.acceptor.vote(slot) {
                Some(vote) if vote.ballot == ballot => {
                    let value = vote.value.clone();
                    if let Self::Multi(multi) = self {
                        multi.vouch(ballot, &value);
                    }
                    self.learn(context, slot, value);
                }
                _ => missing = missing.or(Some(slot)),
            }
        }
        match missing {
            _ if is_asked_for => {
                context.catch_up.learning_below = context.catch_up.learning_below.max(below);
            }
            Some(slot) => context.ask(from, slot, below),
            None => {}
        }
        self.execute(context);
    }

    pub(super) fn handle_values(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        first: Slot,
        values: Vec<Value>,
        executed_below: Slot,
    ) {
        context.catch_up.is_rejoining = false;
        // One that teaches nothing is not asked after: each would double all questions that follow.
        let mut has_taught = false;
        for (slot, value) in (first.0..).map(Slot).zip(values) {
            if !context.learner.is_chosen(slot) {
                self.learn(context, slot, value);
                has_taught = true;
            }
        }
        self.execute(context);
        if has_taught && context.learner.executed_below() < executed_below {
            context.ask(from, context.learner.executed_below(), executed_below);
        }
        if context.learner.executed_below() >= executed_below {
            self.note_level(context);
        }
    }
}

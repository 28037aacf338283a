//! The proposer of classic Paxos: every write runs both phases for one slot.
//!
//! Any replica proposes. Two that want one slot race; the loser backs off for a random, growing
//! time and tries a higher ballot, or takes the next slot when its slot went to the other's value.
//! One proposer may have several slots open at once.

use std::collections::BTreeMap;

use super::context::Context;
use super::message::{Message, Vote};
use super::requests::{Awaiting, Place};
use super::timer::TimerKind;
use crate::command::Command;
use crate::protocol::{Ballot, Config, Note, Scope, Slot, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// A proposer of single slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Classic {
    attempts: BTreeMap<Slot, Attempt>,
    /// The first slot that nobody is known to use.
    next: Slot,
    /// Where execution stood when the watch for holes began.
    watched: Option<Slot>,
}

/// One own proposal for one slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Attempt {
    /// What is to be proposed; `None` fills a hole with a no-op.
    command: Option<Command>,
    submitted: Time,
    /// When the first message of the first attempt at any slot left.
    started: Time,
    ballot: Ballot,
    stage: Stage,
    /// When the first message of this stage left.
    stage_since: Time,
    /// Acceptors that promised a higher ballot.
    refused_by: NodeSet,
    /// The highest ballot any of them promised.
    seen: Ballot,
    /// Lost races so far.
    lost_count: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage {
    Phase1 { promises: NodeSet, highest: Option<Vote> },
    Phase2 { value: Value, votes: NodeSet },
    BackingOff,
}

/// The back-off stops doubling after this many lost races: 64 round trips.
const BACKOFF_DOUBLINGS: u32 = 6;

impl Classic {
    /// Own commands go behind a slot that somebody else uses.
    pub(super) fn note_slot_in_use(&mut self, slot: Slot) {
        self.next = self.next.max(slot.next());
    }

    /// A client's command: both phases, for the first slot that looks free.
    pub(super) fn submit(&mut self, context: &mut Context<'_>, command: Command) {
        if !context.is_retry(&command) {
            self.open_attempt(context, Some(command), (context.now, context.now), 0);
        }
    }

    fn open_attempt(
        &mut self,
        context: &mut Context<'_>,
        command: Option<Command>,
        times: (Time, Time),
        lost_count: u32,
    ) {
        let slot = self.next.max(context.learner.end());
        self.open_attempt_at(context, slot, command, times, lost_count);
    }

    fn open_attempt_at(
        &mut self,
        context: &mut Context<'_>,
        slot: Slot,
        command: Option<Command>,
        (submitted, started): (Time, Time),
        lost_count: u32,
    ) {
        self.note_slot_in_use(slot);
        if let Some(command) = &command {
            context.requests.put(command, Place::Slot(slot));
        }
        let attempt = Attempt {
            command,
            submitted,
            started,
            ballot: Ballot::NONE,
            stage: Stage::BackingOff,
            stage_since: context.now,
            refused_by: NodeSet::EMPTY,
            seen: Ballot::NONE,
            lost_count,
        };
        let attempt = self.attempts.entry(slot).insert_entry(attempt).into_mut();
        attempt.start_phase1(context, slot);
    }

    /// A promise for one slot: with a phase-1 quorum, phase 2 proposes what was reported, else the own command.
    pub(super) fn handle_phase1b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        slot: Slot,
        votes: Vec<(Slot, Vote)>,
    ) {
        let Some(attempt) = self.attempts.get_mut(&slot) else { return };
        let Stage::Phase1 { promises, highest } = &mut attempt.stage else { return };
        // A late promise of an older ballot says nothing about this one.
        if attempt.ballot != ballot || !promises.insert(from) {
            return;
        }
        for (_, vote) in votes {
            if highest.as_ref().is_none_or(|known| known.ballot < vote.ballot) {
                *highest = Some(vote);
            }
        }
        if !context.config.quorums.is_phase1(*promises) {
            return;
        }
        // The vote of the highest ballot is what may have been chosen (Paxos made simple, P2c).
        let value = match (highest.take(), &attempt.command) {
            (Some(vote), _) => vote.value,
            (None, Some(command)) => Value::from(command.clone()),
            (None, None) => Value::Noop,
        };
        attempt.refused_by = NodeSet::EMPTY;
        attempt.stage = Stage::Phase2 { value: value.clone(), votes: NodeSet::EMPTY };
        attempt.stage_since = context.now;
        let contacts = attempt.contacts(context.config, Config::phase2_contacts);
        let after = context.config.timing.retransmit_after;
        send_phase2a(context, contacts, ballot, slot, value, after);
    }

    /// Votes: a slot with a phase-2 quorum of distinct acceptors at the attempt's ballot is chosen.
    pub(super) fn handle_phase2b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        last: Slot,
    ) {
        // Only what is attempted is looked at, however long the range.
        let open = self.attempts.range(first..).take_while(|(slot, _)| **slot <= last);
        for slot in open.map(|(slot, _)| *slot).collect::<Vec<_>>() {
            let Some(attempt) = self.attempts.get_mut(&slot) else { continue };
            let Stage::Phase2 { value, votes, .. } = &mut attempt.stage else { continue };
            if attempt.ballot != ballot {
                continue;
            }
            votes.insert(from);
            if context.config.quorums.is_phase2(*votes) {
                let value = value.clone();
                let chosen = Message::Chosen { ballot, first: slot, below: slot.next() };
                context.effects.send(context.config.others(), chosen);
                self.learn(context, slot, value);
            }
        }
        self.execute(context);
    }

    /// A refusal: when no quorum is left that could grant the ballot, back off at random.
    pub(super) fn handle_refused(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
        slot: Slot,
    ) {
        let Some(attempt) = self.attempts.get_mut(&slot) else { return };
        if attempt.ballot != ballot {
            return;
        }
        attempt.seen = attempt.seen.max(promised);
        attempt.refused_by.insert(from);
        let willing = context.config.everybody().difference(attempt.refused_by);
        let may_succeed = match attempt.stage {
            Stage::Phase1 { .. } => context.config.quorums.is_phase1(willing),
            Stage::Phase2 { .. } => context.config.quorums.is_phase2(willing),
            Stage::BackingOff => return,
        };
        if !may_succeed {
            attempt.back_off(context, slot);
        }
    }

    /// The time-out or the back-off of the attempt at `slot` is over.
    ///
    /// Each time that nobody answers it waits as long as it has waited in all, up to a bound.
    pub(super) fn attempt_again(&mut self, context: &mut Context<'_>, slot: Slot) {
        let (everybody, acceptors) = (context.config.everybody(), context.config.acceptors());
        let Some(attempt) = self.attempts.get_mut(&slot) else { return };
        let ballot = attempt.ballot;
        let patience = context.config.timing.patience(context.now.since(attempt.stage_since));
        match &attempt.stage {
            Stage::BackingOff => attempt.start_phase1(context, slot),
            // Some refused and the others are silent: only a higher ballot helps. Rivals that are refused
            // time out alike, so without a random wait in between they may do so for ever.
            _ if !attempt.refused_by.is_empty() => attempt.back_off(context, slot),
            Stage::Phase1 { promises, .. } => {
                let missing = acceptors.difference(*promises);
                context.effects.notes.push(Note::Retransmitted);
                context.send_phase1a(missing, ballot, Scope::Only(slot), None);
                arm_attempt(context, patience, slot);
            }
            Stage::Phase2 { value, votes } => {
                let missing = everybody.difference(*votes);
                context.effects.notes.push(Note::Retransmitted);
                send_phase2a(context, missing, ballot, slot, value.clone(), patience);
            }
        }
    }

    /// `slot` is chosen with `value`.
    pub(super) fn learn(&mut self, context: &mut Context<'_>, slot: Slot, value: Value) {
        self.settle(context, slot, &value);
        context.learner.learn(slot, value, context.is_safe);
    }

    /// `slot` is chosen: an own command is answered when it executes, or moves to another slot.
    fn settle(&mut self, context: &mut Context<'_>, slot: Slot, value: &Value) {
        self.note_slot_in_use(slot);
        let Some(attempt) = self.attempts.remove(&slot) else { return };
        let Some(command) = attempt.command else { return };
        if value.command() != Some(&command) {
            context.effects.notes.push(Note::RaceLost);
            let times = (attempt.submitted, attempt.started);
            self.open_attempt(context, Some(command), times, attempt.lost_count);
            return;
        }
        let now = context.now;
        let phase2_since = match attempt.stage {
            Stage::Phase2 { .. } => attempt.stage_since,
            // It was adopted and finished by another proposer.
            Stage::Phase1 { .. } | Stage::BackingOff => now,
        };
        let awaiting = Awaiting {
            request: command.request,
            queueing: attempt.started.since(attempt.submitted),
            phase1: Some(phase2_since.since(attempt.started)),
            phase2: now.since(phase2_since),
            chosen_at: now,
        };
        context.requests.awaiting.insert(slot, awaiting);
    }

    /// Executes what is chosen.
    pub(super) fn execute(&mut self, context: &mut Context<'_>) {
        context.execute();
        self.watch_for_holes(context);
    }

    /// The state of another replica is installed, in which the slots below `below` are executed: own
    /// commands that were to go there take later slots, and execute once however often they are chosen.
    pub(super) fn pass_over(&mut self, context: &mut Context<'_>, below: Slot) {
        self.next = self.next.max(below);
        let later = self.attempts.split_off(&below);
        let passed = std::mem::replace(&mut self.attempts, later);
        for Attempt { command, submitted, started, lost_count, .. } in passed.into_values() {
            if command.is_some() {
                self.open_attempt(context, command, (submitted, started), lost_count);
            }
        }
    }

    /// A chosen slot behind one that is not: somebody may have died with the slot in hand.
    fn watch_for_holes(&mut self, context: &mut Context<'_>) {
        let after = context.config.timing.fill_after;
        if context.learner.has_gap() && self.watched.is_none() {
            self.watched = Some(context.learner.executed_below());
            context.effects.set_timer(TimerKind::Fill.id(), after, after);
        }
    }

    /// Proposes no-ops for the holes that have blocked execution since the watch began; an observer, which proposes
    /// nothing, asks the others for them.
    pub(super) fn fill_holes(&mut self, context: &mut Context<'_>) {
        let executed_below = context.learner.executed_below();
        let end = context.learner.end();
        let is_stuck = self.watched.take() == Some(executed_below);
        if is_stuck && !context.config.is_candidate() {
            let learn = Message::Learn { first: executed_below, below: end };
            context.effects.send(context.config.teachers(), learn);
        } else if is_stuck {
            for slot in (executed_below.0..end.0).map(Slot) {
                let is_open = self.attempts.contains_key(&slot);
                if !is_open && !context.learner.is_chosen(slot) {
                    let times = (context.now, context.now);
                    self.open_attempt_at(context, slot, None, times, 0);
                }
            }
        }
        self.watch_for_holes(context);
    }
}

impl Attempt {
    /// Whom it contacts: after a lost race everybody.
    ///
    /// A quorum with a dead replica in it costs a time-out before others are asked, and rivals do not
    /// wait for that: thrifty ones that began anew with the same few would lose to one another for ever.
    fn contacts(&self, config: &Config, first: fn(&Config, NodeSet) -> NodeSet) -> NodeSet {
        let everybody = config.everybody();
        if self.lost_count > 0 { everybody } else { first(config, everybody) }
    }

    /// Phase 1a at a ballot above every one seen in this slot.
    fn start_phase1(&mut self, context: &mut Context<'_>, slot: Slot) {
        let promised = context.acceptor.promised(slot);
        let ballot = context.new_ballot(self.seen.max(promised).max(self.ballot));
        self.ballot = ballot;
        self.refused_by = NodeSet::EMPTY;
        self.stage = Stage::Phase1 { promises: NodeSet::EMPTY, highest: None };
        self.stage_since = context.now;
        let contacts = self.contacts(context.config, Config::phase1_contacts);
        context.send_phase1a(contacts, ballot, Scope::Only(slot), None);
        arm_attempt(context, context.config.timing.retransmit_after, slot);
    }

    /// A race is lost: the next attempt begins after a random time, twice as long after each one lost.
    fn back_off(&mut self, context: &mut Context<'_>, slot: Slot) {
        self.stage = Stage::BackingOff;
        let backoff = context.config.timing.backoff.times(1 << self.lost_count);
        self.lost_count = (self.lost_count + 1).min(BACKOFF_DOUBLINGS);
        context.effects.notes.push(Note::RaceLost);
        context.effects.set_timer(TimerKind::Attempt(slot).id(), backoff, backoff);
    }
}

/// Phase 2a, and what is to be done when no quorum has voted for so long after it has left.
///
/// A ballot of one slot says nothing of others.
fn send_phase2a(
    context: &mut Context<'_>,
    to: NodeSet,
    ballot: Ballot,
    slot: Slot,
    value: Value,
    after: Span,
) {
    let left = context.wire.put(context.now, &value, to, context.config);
    context.send_phase2a(to, ballot, slot, value, Slot::ZERO);
    arm_attempt(context, left.since(context.now) + after, slot);
}

fn arm_attempt(context: &mut Context<'_>, after: Span, slot: Slot) {
    context.effects.set_timer(TimerKind::Attempt(slot).id(), after, Span::ZERO);
}

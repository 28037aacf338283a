//! The proposer of classic Paxos: every write runs both phases for one slot.
//!
//! Any replica proposes. Two that want one slot race; the loser backs off for a random, growing
//! time and tries a higher ballot, or takes the next slot when its slot went to the other's value.
//! One proposer may have several slots open at once.

use std::collections::BTreeMap;

use super::Effects;
use super::ballot::Ballot;
use super::config::Config;
use super::message::{Message, Scope, Value, Vote};
use super::replica::{Awaiting, Proposer, Replica, TimerKind};
use super::requests::Place;
use crate::command::Command;
use crate::protocol::{Note, Slot};
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

impl Attempt {
    /// Whom it contacts: after a lost race everybody.
    ///
    /// A quorum with a dead replica in it costs a time-out before others are asked, and rivals do not
    /// wait for that: thrifty ones that began anew with the same few would lose to one another for ever.
    fn contacts(&self, config: &Config, first: fn(&Config, NodeSet) -> NodeSet) -> NodeSet {
        let everybody = config.everybody();
        if self.lost_count > 0 { everybody } else { first(config, everybody) }
    }
}

/// The back-off stops doubling after this many lost races: 64 round trips.
const BACKOFF_DOUBLINGS: u32 = 6;

impl Classic {
    /// Own commands go behind a slot that somebody else uses.
    pub(super) fn note_slot_in_use(&mut self, slot: Slot) {
        self.next = self.next.max(slot.next());
    }
}

impl Replica {
    fn classic(&mut self) -> &mut Classic {
        match &mut self.proposer {
            Proposer::Classic(classic) => classic,
            Proposer::Multi(_) => unreachable!("only the proposer of classic Paxos comes here"),
        }
    }

    /// A client's command: both phases, for the first slot that looks free.
    pub(super) fn submit_classic(&mut self, now: Time, command: Command, effects: &mut Effects) {
        if !self.is_retry(&command, effects) {
            self.open_attempt(now, Some(command), (now, now), 0, effects);
        }
    }

    fn open_attempt(
        &mut self,
        now: Time,
        command: Option<Command>,
        times: (Time, Time),
        lost_count: u32,
        effects: &mut Effects,
    ) {
        let learned_end = self.learner.end();
        let classic = self.classic();
        let slot = classic.next.max(learned_end);
        classic.next = slot.next();
        self.open_attempt_at(now, slot, command, times, lost_count, effects);
    }

    fn open_attempt_at(
        &mut self,
        now: Time,
        slot: Slot,
        command: Option<Command>,
        (submitted, started): (Time, Time),
        lost_count: u32,
        effects: &mut Effects,
    ) {
        if let Some(command) = &command {
            self.requests.put(command, Place::Slot(slot));
        }
        let attempt = Attempt {
            command,
            submitted,
            started,
            ballot: Ballot::NONE,
            stage: Stage::BackingOff,
            stage_since: now,
            refused_by: NodeSet::EMPTY,
            seen: Ballot::NONE,
            lost_count,
        };
        self.classic().attempts.insert(slot, attempt);
        self.start_phase1(now, slot, effects);
    }

    /// Phase 1a at a ballot above every one seen in this slot.
    fn start_phase1(&mut self, now: Time, slot: Slot, effects: &mut Effects) {
        let promised = self.acceptor.promised(slot);
        let Some(attempt) = self.classic().attempts.get(&slot) else { return };
        let seen = attempt.seen.max(promised).max(attempt.ballot);
        let ballot = self.new_ballot(seen, effects);
        let Proposer::Classic(classic) = &mut self.proposer else { return };
        let Some(attempt) = classic.attempts.get_mut(&slot) else { return };
        attempt.ballot = ballot;
        attempt.refused_by = NodeSet::EMPTY;
        (attempt.stage, attempt.stage_since) =
            (Stage::Phase1 { promises: NodeSet::EMPTY, highest: None }, now);
        let contacts = attempt.contacts(&self.config, Config::phase1_contacts);
        self.send_phase1a(contacts, ballot, Scope::Only(slot), None, effects);
        arm_attempt(self.config.timing.retransmit_after, slot, effects);
    }

    /// A promise for one slot: with a phase-1 quorum, phase 2 proposes what was reported, else the own command.
    pub(super) fn handle_phase1b_one(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        slot: Slot,
        votes: Vec<(Slot, Vote)>,
        effects: &mut Effects,
    ) {
        let Proposer::Classic(classic) = &mut self.proposer else { return };
        let Some(attempt) = classic.attempts.get_mut(&slot) else { return };
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
        if !self.config.quorums.is_phase1(*promises) {
            return;
        }
        // The vote of the highest ballot is what may have been chosen (Paxos made simple, P2c).
        let value = match (highest.take(), &attempt.command) {
            (Some(vote), _) => vote.value,
            (None, Some(command)) => Value::Command(command.clone()),
            (None, None) => Value::Noop,
        };
        attempt.refused_by = NodeSet::EMPTY;
        attempt.stage = Stage::Phase2 { value: value.clone(), votes: NodeSet::EMPTY };
        attempt.stage_since = now;
        let contacts = attempt.contacts(&self.config, Config::phase2_contacts);
        let after = self.config.timing.retransmit_after;
        let after = self.put_on_wire(now, &value, contacts).since(now) + after;
        self.send_phase2a(contacts, ballot, slot, value, effects);
        arm_attempt(after, slot, effects);
    }

    /// Votes: a slot with a phase-2 quorum of distinct acceptors at the attempt's ballot is chosen.
    pub(super) fn handle_phase2b_classic(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        last: Slot,
        effects: &mut Effects,
    ) {
        // Only what is attempted is looked at, however long the range.
        let open = self.classic().attempts.range(first..).take_while(|(slot, _)| **slot <= last);
        for slot in open.map(|(slot, _)| *slot).collect::<Vec<_>>() {
            let Proposer::Classic(classic) = &mut self.proposer else { return };
            let Some(attempt) = classic.attempts.get_mut(&slot) else { continue };
            let Stage::Phase2 { value, votes, .. } = &mut attempt.stage else { continue };
            if attempt.ballot != ballot {
                continue;
            }
            votes.insert(from);
            if self.config.quorums.is_phase2(*votes) {
                let value = value.clone();
                let chosen = Message::Chosen { ballot, first: slot, below: slot.next() };
                effects.send(self.config.others(), chosen);
                self.learn(now, slot, value, effects);
            }
        }
        self.execute(now, effects);
    }

    /// A refusal: when no quorum is left that could grant the ballot, back off at random.
    pub(super) fn handle_refused_classic(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
        slot: Slot,
        effects: &mut Effects,
    ) {
        let Proposer::Classic(classic) = &mut self.proposer else { return };
        let Some(attempt) = classic.attempts.get_mut(&slot) else { return };
        if attempt.ballot != ballot {
            return;
        }
        attempt.seen = attempt.seen.max(promised);
        attempt.refused_by.insert(from);
        let willing = self.config.everybody().difference(attempt.refused_by);
        let may_succeed = match attempt.stage {
            Stage::Phase1 { .. } => self.config.quorums.is_phase1(willing),
            Stage::Phase2 { .. } => self.config.quorums.is_phase2(willing),
            Stage::BackingOff => return,
        };
        if may_succeed {
            return;
        }
        self.back_off(slot, effects);
    }

    /// A race is lost: the next attempt begins after a random time, twice as long after each one lost.
    fn back_off(&mut self, slot: Slot, effects: &mut Effects) {
        let least = self.config.timing.backoff;
        let Some(attempt) = self.classic().attempts.get_mut(&slot) else { return };
        attempt.stage = Stage::BackingOff;
        let backoff = least.times(1 << attempt.lost_count);
        attempt.lost_count = (attempt.lost_count + 1).min(BACKOFF_DOUBLINGS);
        effects.notes.push(Note::RaceLost);
        effects.set_timer(TimerKind::Attempt(slot).id(), backoff, backoff);
    }

    /// The time-out or the back-off of the attempt at `slot` is over.
    ///
    /// Each time that nobody answers it waits as long as it has waited in all, up to a bound.
    pub(super) fn attempt_again(&mut self, now: Time, slot: Slot, effects: &mut Effects) {
        let everybody = self.config.everybody();
        let timing = self.config.timing;
        let Some(attempt) = self.classic().attempts.get(&slot) else { return };
        let ballot = attempt.ballot;
        let patience = timing.patience(now.since(attempt.stage_since));
        match &attempt.stage {
            Stage::BackingOff => self.start_phase1(now, slot, effects),
            // Some refused and the others are silent: only a higher ballot helps. Rivals that are refused
            // time out alike, so without a random wait in between they may do so for ever.
            _ if !attempt.refused_by.is_empty() => self.back_off(slot, effects),
            Stage::Phase1 { promises, .. } => {
                let missing = everybody.difference(*promises);
                effects.notes.push(Note::Retransmitted);
                self.send_phase1a(missing, ballot, Scope::Only(slot), None, effects);
                arm_attempt(patience, slot, effects);
            }
            Stage::Phase2 { value, votes } => {
                let (missing, value) = (everybody.difference(*votes), value.clone());
                effects.notes.push(Note::Retransmitted);
                let after = self.put_on_wire(now, &value, missing).since(now) + patience;
                self.send_phase2a(missing, ballot, slot, value, effects);
                arm_attempt(after, slot, effects);
            }
        }
    }

    /// `slot` is chosen: an own command is answered when it executes, or moves to another slot.
    pub(super) fn settle_attempt(
        &mut self,
        now: Time,
        slot: Slot,
        value: &Value,
        effects: &mut Effects,
    ) {
        self.classic().note_slot_in_use(slot);
        let Some(attempt) = self.classic().attempts.remove(&slot) else { return };
        let Some(command) = attempt.command else { return };
        if value.command() != Some(&command) {
            effects.notes.push(Note::RaceLost);
            let times = (attempt.submitted, attempt.started);
            self.open_attempt(now, Some(command), times, attempt.lost_count, effects);
            return;
        }
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
        self.awaiting.insert(slot, awaiting);
    }

    /// The state of another replica is installed, in which the slots below `below` are executed: own
    /// commands that were to go there take later slots, and execute once however often they are chosen.
    pub(super) fn pass_over_attempts(&mut self, now: Time, below: Slot, effects: &mut Effects) {
        let classic = self.classic();
        classic.next = classic.next.max(below);
        let later = classic.attempts.split_off(&below);
        let passed = std::mem::replace(&mut classic.attempts, later);
        for Attempt { command, submitted, started, lost_count, .. } in passed.into_values() {
            if command.is_some() {
                self.open_attempt(now, command, (submitted, started), lost_count, effects);
            }
        }
    }

    /// A chosen slot behind one that is not: somebody may have died with the slot in hand.
    pub(super) fn watch_for_holes(&mut self, effects: &mut Effects) {
        let (has_gap, executed_below) = (self.learner.has_gap(), self.learner.executed_below());
        let after = self.config.timing.fill_after;
        let classic = self.classic();
        if has_gap && classic.watched.is_none() {
            classic.watched = Some(executed_below);
            effects.set_timer(TimerKind::Fill.id(), after, after);
        }
    }

    /// Proposes no-ops for the holes that have blocked execution since the watch began.
    pub(super) fn fill_holes(&mut self, now: Time, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let end = self.learner.end();
        let watched = self.classic().watched.take();
        if watched == Some(executed_below) {
            for slot in (executed_below.0..end.0).map(Slot) {
                let is_open = self.classic().attempts.contains_key(&slot);
                if !is_open && !self.learner.is_chosen(slot) {
                    self.open_attempt_at(now, slot, None, (now, now), 0, effects);
                }
            }
        }
        self.watch_for_holes(effects);
    }
}

fn arm_attempt(after: Span, slot: Slot, effects: &mut Effects) {
    effects.set_timer(TimerKind::Attempt(slot).id(), after, Span::ZERO);
}

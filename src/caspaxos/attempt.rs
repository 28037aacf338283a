//! What a proposer is at with one key: both phases, back-off, and the promise for the next command.
//!
//! One command of a key is under way at a time; the others wait for it.
//! Two proposers of one key race; the loser backs off for a random, growing time and tries a higher ballot.

use std::collections::VecDeque;

use super::message::{Message, Vote};
use super::register::{Known, State};
use super::replica::Context;
use crate::command::Command;
use crate::protocol::{Ballot, Config, Note, Reply, TimerId};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// The back-off stops doubling after this many lost races: 64 round trips.
const BACKOFF_DOUBLINGS: u32 = 6;

/// What a proposer is at with one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Attempt {
    key: u64,
    /// The commands that wait, the first of them under way.
    queue: VecDeque<Waiting>,
    ballot: Ballot,
    stage: Stage,
    /// When the first message of this stage left.
    stage_since: Time,
    /// Acceptors that refused the ballot, or the one that carried it.
    refused_by: NodeSet,
    /// The highest ballot any of them promised.
    seen: Ballot,
    /// Lost races so far.
    lost_count: u32,
}

/// A command that waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Waiting {
    command: Command,
    submitted: Time,
    /// When it came to be the first.
    started: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage {
    /// Nothing is promised.
    Idle,
    /// Phase 1.
    Preparing {
        promises: NodeSet,
        /// The reported vote of the highest ballot.
        highest: Option<Vote>,
        /// The ballot whose votes promise this one too, if it was asked for like that.
        carried_by: Option<Ballot>,
    },
    /// A phase-1 quorum has promised, and this is the state to go on from.
    Ready { base: State },
    /// Phase 2.
    Proposing {
        state: State,
        votes: NodeSet,
        /// The ballot to be promised with the votes, and who did.
        next: Option<Ballot>,
        promises: NodeSet,
    },
    /// A race is lost.
    BackingOff,
}

impl Attempt {
    /// An attempt at ballots above `used`.
    pub(super) const fn new(key: u64, now: Time, used: Ballot) -> Self {
        Self {
            key,
            queue: VecDeque::new(),
            ballot: Ballot::NONE,
            stage: Stage::Idle,
            stage_since: now,
            refused_by: NodeSet::EMPTY,
            seen: used,
            lost_count: 0,
        }
    }

    /// Whether nothing is under way and nothing is promised: it may be forgotten.
    pub(super) fn is_over(&self) -> bool {
        self.queue.is_empty() && self.stage == Stage::Idle
    }

    /// The highest ballot that it used or saw.
    pub(super) fn highest(&self) -> Ballot {
        self.ballot.max(self.seen)
    }

    /// A client's command: one that waits here already is not asked for again.
    pub(super) fn submit(&mut self, context: &mut Context<'_>, command: Command) {
        if self.queue.iter().any(|waiting| waiting.command.request == command.request) {
            return;
        }
        let is_first = self.queue.is_empty();
        self.queue.push_back(Waiting { command, submitted: context.now, started: None });
        if is_first && matches!(self.stage, Stage::Preparing { .. }) {
            // Promises that came with votes were not waited for.
            self.arm(context, context.config.timing.retransmit_after);
        }
        self.go_on(context);
    }

    /// Begins what can be begun.
    fn go_on(&mut self, context: &mut Context<'_>) {
        if let Some(first) = self.queue.front_mut() {
            first.started.get_or_insert(context.now);
        }
        match &self.stage {
            Stage::Idle if !self.queue.is_empty() => self.prepare(context),
            Stage::Ready { .. } => self.propose(context),
            Stage::Preparing { .. } if !self.may_prepare(context.config) => {
                self.stage = Stage::Idle;
                self.go_on(context);
            }
            _ => {}
        }
    }

    /// Whether so few refused that the rest may still be a phase-1 quorum.
    fn may_prepare(&self, config: &Config) -> bool {
        config.quorums.is_phase1(config.everybody().difference(self.refused_by))
    }

    /// Phase 1a at a ballot above every one seen for this key.
    fn prepare(&mut self, context: &mut Context<'_>) {
        let seen = self.seen.max(self.ballot).max(context.acceptor.promised(self.key));
        self.ballot = context.new_ballot(seen);
        self.refused_by = NodeSet::EMPTY;
        self.enter(
            context.now,
            Stage::Preparing { promises: NodeSet::EMPTY, highest: None, carried_by: None },
        );
        let to = self.contacts(context.config, Config::phase1_contacts);
        context.send_phase1a(to, self.key, self.ballot);
        self.arm(context, context.config.timing.retransmit_after);
    }

    /// A promise: with a phase-1 quorum, the state of the highest ballot is what to go on from.
    pub(super) fn handle_phase1b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        vote: Option<Vote>,
    ) {
        let Stage::Preparing { promises, highest, .. } = &mut self.stage else { return };
        // A late promise of an older ballot says nothing about this one.
        if self.ballot != ballot || !promises.insert(from) {
            return;
        }
        if let Some(vote) = vote
            && highest.as_ref().is_none_or(|known| known.ballot < vote.ballot)
        {
            *highest = Some(vote);
        }
        self.count_promises(context);
    }

    fn count_promises(&mut self, context: &mut Context<'_>) {
        let Stage::Preparing { promises, highest, .. } = &mut self.stage else { return };
        if context.config.quorums.is_phase1(*promises) {
            let base = highest.take().map(|vote| vote.state).unwrap_or_default();
            self.stage = Stage::Ready { base };
        }
        self.go_on(context);
    }

    /// Phase 2a: the first command that waits is applied to the state, unless it was before.
    ///
    /// A command that the state holds already changes nothing, so the proposer proposes the state as it is: it may
    /// answer only what is chosen.
    fn propose(&mut self, context: &mut Context<'_>) {
        let Stage::Ready { base } = &self.stage else { return };
        let state = loop {
            let Some(first) = self.queue.front() else {
                if !context.is_carrying {
                    self.enter(context.now, Stage::Idle);
                }
                return;
            };
            match base.known(first.command.request) {
                Known::Settled => drop(self.queue.pop_front()),
                Known::Answered(..) => break base.clone(),
                Known::New => {
                    break base.after(&first.command, context.executed_below(self.key));
                }
            }
        };
        if let Some(first) = self.queue.front_mut() {
            first.started.get_or_insert(context.now);
        }
        let next = context.is_carrying.then(|| context.durable_ballot(self.ballot)).flatten();
        self.refused_by = NodeSet::EMPTY;
        let (votes, promises) = (NodeSet::EMPTY, NodeSet::EMPTY);
        self.enter(context.now, Stage::Proposing { state, votes, next, promises });
        let mut to = self.contacts(context.config, Config::phase2_contacts);
        if next.is_some() {
            to = to.union(self.contacts(context.config, Config::phase1_contacts));
        }
        self.send_phase2a(context, to);
        self.arm(context, context.config.timing.retransmit_after);
    }

    fn send_phase2a(&self, context: &mut Context<'_>, to: NodeSet) {
        let Stage::Proposing { state, next, .. } = &self.stage else { return };
        let (key, ballot, state, next) = (self.key, self.ballot, state.clone(), *next);
        context.effects.send(to, Message::Phase2a { key, ballot, state, next });
    }

    /// A vote, and perhaps a promise of the next ballot.
    pub(super) fn handle_phase2b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        promised: Option<Ballot>,
    ) {
        match &mut self.stage {
            Stage::Proposing { votes, next, promises, .. } if self.ballot == ballot => {
                votes.insert(from);
                if promised.is_some() && promised == *next {
                    promises.insert(from);
                }
                if context.config.quorums.is_phase2(*votes) {
                    self.conclude(context);
                }
            }
            Stage::Preparing { promises, carried_by, .. }
                if *carried_by == Some(ballot) && promised == Some(self.ballot) =>
            {
                promises.insert(from);
                self.count_promises(context);
            }
            _ => {}
        }
    }

    /// The state is chosen: the client is answered, the others are told, and the next command begins.
    fn conclude(&mut self, context: &mut Context<'_>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        let Stage::Proposing { state, next, promises, .. } = stage else { return };
        let ballot = self.ballot;
        let (key, slot) = (self.key, state.last().0);
        context.effects.send(context.config.others(), Message::Chosen { key, ballot, slot });
        context.learn(key, &state);
        // The first one, and whatever else was applied before, at other proposers perhaps.
        let is_known =
            |waiting: &Waiting| !matches!(state.known(waiting.command.request), Known::New);
        let (answered, left): (VecDeque<Waiting>, _) =
            std::mem::take(&mut self.queue).into_iter().partition(is_known);
        self.queue = left;
        for waiting in &answered {
            self.answer(context, waiting, &state);
        }
        self.lost_count = 0;
        self.stage_since = context.now;
        if let Some(next) = next {
            // Who promised it voted for this state last, before that.
            self.ballot = next;
            let highest = Some(Vote { ballot, state });
            self.stage = Stage::Preparing { promises, highest, carried_by: Some(ballot) };
            if !self.queue.is_empty() {
                self.arm(context, context.config.timing.retransmit_after);
            }
            self.count_promises(context);
        } else {
            self.go_on(context);
        }
    }

    fn answer(&self, context: &mut Context<'_>, first: &Waiting, state: &State) {
        let Waiting { command, submitted, started } = first;
        let started = started.unwrap_or(*submitted);
        context.effects.notes.push(Note::Committed {
            queueing: started.since(*submitted),
            phase1: (self.stage_since > started).then(|| self.stage_since.since(started)),
            phase2: context.now.since(self.stage_since),
            reply: Span::ZERO,
        });
        if let Known::Answered(slot, outcome) = state.known(command.request) {
            let (request, outcome) = (command.request, outcome.clone());
            context.effects.replies.push(Reply::Executed { request, slot, outcome });
        }
    }

    /// A refusal: when no quorum is left that could grant the ballot, back off at random.
    pub(super) fn handle_refused(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
    ) {
        let is_ours = match &self.stage {
            Stage::Preparing { carried_by, .. } => {
                self.ballot == ballot || *carried_by == Some(ballot)
            }
            Stage::Proposing { .. } => self.ballot == ballot,
            Stage::Idle | Stage::Ready { .. } | Stage::BackingOff => false,
        };
        if !is_ours {
            return;
        }
        self.seen = self.seen.max(promised);
        self.refused_by.insert(from);
        let willing = context.config.everybody().difference(self.refused_by);
        let may_succeed = match self.stage {
            Stage::Proposing { .. } => context.config.quorums.is_phase2(willing),
            _ => context.config.quorums.is_phase1(willing),
        };
        if may_succeed {
            return;
        }
        if self.queue.is_empty() {
            self.enter(context.now, Stage::Idle);
        } else {
            self.back_off(context);
        }
    }

    /// The time-out or the back-off is over.
    ///
    /// When nobody answers, the attempt asks again, and then waits as long as it has waited in all, up to a bound.
    pub(super) fn handle_timer(&mut self, context: &mut Context<'_>) {
        if self.queue.is_empty() {
            return;
        }
        let everybody = context.config.everybody();
        let patience = context.config.timing.patience(context.now.since(self.stage_since));
        match &self.stage {
            Stage::Idle | Stage::Ready { .. } => {}
            Stage::BackingOff => self.prepare(context),
            // Some refused and the others are silent: only a higher ballot helps. Rivals that are refused
            // time out alike, so without a random wait in between they may do so for ever.
            _ if !self.refused_by.is_empty() => self.back_off(context),
            Stage::Preparing { promises, .. } => {
                let missing = everybody.difference(*promises);
                context.effects.notes.push(Note::Retransmitted);
                context.send_phase1a(missing, self.key, self.ballot);
                self.arm(context, patience);
            }
            Stage::Proposing { votes, .. } => {
                let missing = everybody.difference(*votes);
                context.effects.notes.push(Note::Retransmitted);
                self.send_phase2a(context, missing);
                self.arm(context, patience);
            }
        }
    }

    /// A race is lost: the next attempt begins after a random time, twice as long after each one lost.
    fn back_off(&mut self, context: &mut Context<'_>) {
        self.stage = Stage::BackingOff;
        let backoff = context.config.timing.backoff.times(1 << self.lost_count);
        self.lost_count = (self.lost_count + 1).min(BACKOFF_DOUBLINGS);
        context.effects.notes.push(Note::RaceLost);
        context.effects.set_timer(TimerId(self.key), backoff, backoff);
    }

    /// Whom it contacts: after a lost race everybody.
    fn contacts(&self, config: &Config, first: fn(&Config, NodeSet) -> NodeSet) -> NodeSet {
        let everybody = config.everybody();
        if self.lost_count > 0 { everybody } else { first(config, everybody) }
    }

    fn enter(&mut self, now: Time, stage: Stage) {
        self.stage = stage;
        self.stage_since = now;
    }

    fn arm(&self, context: &mut Context<'_>, after: Span) {
        context.effects.set_timer(TimerId(self.key), after, Span::ZERO);
    }
}

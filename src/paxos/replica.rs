//! The replica: acceptor, proposer and learner composed, one input at a time.
//!
//! This file dispatches, and holds the roles that classic and Multi-Paxos share.
//! What a proposer does is in `classic.rs` and `multi.rs`; how one that is behind learns, in
//! `catch_up.rs` and `snapshot.rs`.

use std::collections::BTreeMap;

use super::acceptor::{Acceptor, Promise};
use super::ballot::{Ballot, Rounds};
use super::catch_up::arm_catch_up;
use super::classic::Classic;
use super::config::{Config, Election, Mode};
use super::impossible;
use super::learner::Learner;
use super::message::{Checkpoint, Message, Record, Scope, Value};
use super::multi::{Multi, Promised};
use super::requests::Requests;
use super::settle::Settling;
use super::snapshot::{Fetching, Lent};
use super::window::Window;
use super::{Effects, Input};
use crate::command::{ClientId, Command, RequestId};
use crate::protocol::{Advance, Executed, Note, Protocol, Reply, Slot, Statement, TimerId};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// One replica: all three roles and the state machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    pub(super) config: Config,
    pub(super) acceptor: Acceptor,
    pub(super) learner: Learner,
    pub(super) rounds: Rounds,
    pub(super) proposer: Proposer,
    /// Own proposals that are chosen and wait for the slots before them.
    pub(super) awaiting: Window<Awaiting>,
    /// Slots below this are durably executed, by replica; the least of them may be forgotten.
    executed: BTreeMap<NodeId, Slot>,
    /// Slots below this every replica has durably executed.
    forgettable_below: Slot,
    /// Slots below this are durably executed here.
    pub(super) durable_below: Slot,
    /// The requests that it proposed, and where.
    pub(super) requests: Requests,
    /// All that it was given to send before has left then, as far as it knows how fast it sends.
    pub(super) sent_until: Time,
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
    /// The ballot that is being settled, where each has a phase-2 quorum of its own.
    pub(super) settling: Settling,
    /// Whether every phase-1 quorum meets every phase-2 quorum; if not, the check must find out.
    pub(super) is_safe: bool,
    /// It was restarted and has not yet heard how far the others are.
    pub(super) is_rejoining: bool,
    /// It leads as soon as it has learned what it missed.
    pub(super) is_to_campaign: bool,
}

/// The most slots that one input makes a replica forget.
const FORGOTTEN_AT_ONCE: u64 = 256;

/// Slots this far behind the last one executed here are not remembered yet.
///
/// What is known of slots is kept densely, so one far slot would cost the memory of all before it.
/// Who is that far behind is told what is chosen first; until then such messages are as good as lost.
const HORIZON: u64 = 1 << 20;

/// The proposer of one of the two modes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "a replica has one, and reaches for it with every message"
)]
pub(super) enum Proposer {
    Classic(Classic),
    Multi(Multi),
}

/// When the stages of an own proposal were over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Awaiting {
    pub(super) request: RequestId,
    pub(super) queueing: Span,
    pub(super) phase1: Option<Span>,
    pub(super) phase2: Span,
    pub(super) chosen_at: Time,
}

/// The meaning of a timer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerKind {
    /// Multi-Paxos: look for proposals without a quorum.
    Retransmit,
    /// Multi-Paxos: tell what was chosen, if no proposal carried it.
    Announce,
    /// Ask again for chosen values.
    CatchUp,
    /// Classic: look whether execution is blocked by a hole.
    Fill,
    /// Where leaders are elected: whoever listens asks itself whether it still hears one.
    Election,
    /// Where leaders are elected: a leader says that it is there.
    Heartbeat,
    /// Multi-Paxos: a leader looks whether another ballot of its own would serve it better.
    Renew,
    /// Classic: an attempt's time-out or back-off is over.
    Attempt(Slot),
}

impl TimerKind {
    pub(super) fn id(self) -> TimerId {
        TimerId(match self {
            Self::Retransmit => 0,
            Self::Announce => 1,
            Self::CatchUp => 2,
            Self::Fill => 3,
            Self::Election => 4,
            Self::Heartbeat => 5,
            Self::Renew => 6,
            Self::Attempt(slot) => 7 + slot.0,
        })
    }

    fn of(id: TimerId) -> Self {
        match id.0 {
            0 => Self::Retransmit,
            1 => Self::Announce,
            2 => Self::CatchUp,
            3 => Self::Fill,
            4 => Self::Election,
            5 => Self::Heartbeat,
            6 => Self::Renew,
            other => Self::Attempt(Slot(other - 7)),
        }
    }
}

impl Replica {
    /// A replica that has never run.
    pub fn new(config: Config) -> Self {
        let proposer = match config.mode {
            Mode::Classic => Proposer::Classic(Classic::default()),
            Mode::Multi { leader } => Proposer::Multi(Multi::new(leader, config.election)),
        };
        let is_safe = config.quorums.disjoint().is_none();
        Self {
            config,
            is_safe,
            acceptor: Acceptor::default(),
            learner: Learner::default(),
            rounds: Rounds::after(0),
            proposer,
            awaiting: Window::default(),
            executed: BTreeMap::new(),
            requests: Requests::default(),
            sent_until: Time::ZERO,
            learning_below: Slot::ZERO,
            asked: None,
            taught_at: Time::ZERO,
            fetching: Fetching::default(),
            lent: None,
            settling: Settling::default(),
            is_rejoining: false,
            is_to_campaign: false,
            forgettable_below: Slot::ZERO,
            durable_below: Slot::ZERO,
        }
    }

    /// Its acceptor.
    pub const fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// The value known to be chosen in `slot`, while it is remembered.
    pub fn chosen(&self, slot: Slot) -> Option<&Value> {
        self.learner.value(slot)
    }

    /// Whether it finished phase 1 over all slots and still holds its ballot.
    pub fn is_leader(&self) -> bool {
        matches!(&self.proposer, Proposer::Multi(multi) if multi.is_leading())
    }

    fn start(&mut self, now: Time, effects: &mut Effects) {
        let below = self.rounds.reserve_first_block();
        effects.records.push(Record::Rounds { below });
        self.send_when_reserved(below, effects);
        if self.is_rejoining {
            effects.send(self.config.others(), self.everything_after_execution());
            self.taught_at = now;
            arm_catch_up(self.config.timing.retransmit_after, effects);
        }
        self.listen(now, effects);
        // What was settled before a crash is known to be chosen.
        self.execute(now, effects);
        if matches!(self.config.mode, Mode::Multi { leader } if leader == self.config.id) {
            // Who is behind would be told every vote since; it learns what is chosen first.
            // Where leaders are elected, another may lead by now: it listens first.
            let is_elected = self.config.election != Election::Fixed;
            self.is_to_campaign = self.is_rejoining && !is_elected;
            if !self.is_rejoining {
                self.campaign(now, effects);
            }
        }
    }

    fn send_when_reserved(&self, below: u64, effects: &mut Effects) {
        let myself = NodeSet::only(self.config.id);
        effects.send_durable(myself, Message::Reserved { below }, |_, _| false);
    }

    /// A ballot above `seen`, whose round no earlier life of this proposer used.
    pub(super) fn new_ballot(&mut self, seen: Ballot, effects: &mut Effects) -> Ballot {
        let round = self.rounds.above(seen.round);
        if let Some(below) = self.rounds.reserve(round) {
            effects.records.push(Record::Rounds { below });
            self.send_when_reserved(below, effects);
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
        effects: &mut Effects,
    ) {
        let myself = self.config.id;
        let others = to.without(myself);
        let phase1a = Message::Phase1a { ballot, scope, quorum };
        if self.rounds.is_durable(ballot.round) {
            effects.send(others, phase1a);
        } else if !others.is_empty() {
            effects.send_durable(others, phase1a, |_, _| false);
        }
        if to.contains(myself) {
            self.handle_phase1a(myself, ballot, scope, quorum, effects);
        }
    }

    /// Phase 2a, for the first time or again: the others need not wait for the proposer's own disk;
    /// its own vote does.
    pub(super) fn send_phase2a(
        &mut self,
        to: NodeSet,
        ballot: Ballot,
        slot: Slot,
        value: Value,
        effects: &mut Effects,
    ) {
        let myself = self.config.id;
        // A ballot of classic Paxos says nothing of other slots.
        let chosen_below = match self.proposer {
            Proposer::Multi(_) => self.learner.executed_below(),
            Proposer::Classic(_) => Slot::ZERO,
        };
        let phase2a = Message::Phase2a { ballot, slot, value: value.clone(), chosen_below };
        effects.send(to.without(myself), phase2a);
        if to.contains(myself) {
            self.handle_phase2a(myself, ballot, slot, value, effects);
        }
    }

    fn handle_message(&mut self, now: Time, from: NodeId, message: Message, effects: &mut Effects) {
        self.listen_to(now, from, &message, effects);
        let horizon = self.horizon();
        match message {
            Message::Phase1a { scope: Scope::Only(slot), .. } if slot >= horizon => {}
            Message::Phase1a { ballot, scope, quorum } => {
                self.handle_phase1a(from, ballot, scope, quorum, effects);
            }
            Message::Phase1b { votes, .. }
                if votes.last().is_some_and(|(slot, _)| *slot >= horizon) =>
            {
                // To lead from so far behind is to fill every slot between: the sender knows what
                // is chosen in them, and will be asked for its promise again.
                effects.send(NodeSet::only(from), self.everything_after_execution());
            }
            Message::Phase1b { ballot, scope, votes, announced, trimmed_below, reported_below } => {
                match (&self.proposer, scope) {
                    (Proposer::Multi(_), Scope::From(first)) => {
                        let promised =
                            Promised { first, votes, announced, trimmed_below, reported_below };
                        self.handle_phase1b_all(now, from, ballot, promised, effects);
                    }
                    (Proposer::Classic(_), Scope::Only(slot)) => {
                        self.handle_phase1b_one(now, from, ballot, slot, votes, effects);
                    }
                    _ => {}
                }
            }
            Message::Phase2a { ballot, slot, value, chosen_below } => {
                if slot < horizon {
                    self.handle_phase2a(from, ballot, slot, value, effects);
                }
                let chosen_below = chosen_below.min(horizon);
                self.handle_chosen(now, from, ballot, Slot::ZERO, chosen_below, effects);
            }
            Message::Phase2b { ballot, first, last } => match self.proposer {
                Proposer::Multi(_) => {
                    self.handle_phase2b_multi(now, from, ballot, first, last, effects);
                }
                Proposer::Classic(_) => {
                    self.handle_phase2b_classic(now, from, ballot, first, last, effects);
                }
            },
            Message::Refused { ballot, promised, slot } => match self.proposer {
                Proposer::Multi(_) => {
                    self.handle_refused_multi(now, from, ballot, promised, effects);
                }
                Proposer::Classic(_) => {
                    self.handle_refused_classic(from, ballot, promised, slot, effects);
                }
            },
            Message::Chosen { ballot, first, below } => {
                self.note_ballot(ballot);
                self.handle_chosen(now, from, ballot, first, below.min(horizon), effects);
            }
            Message::Learn { first, below } => self.handle_learn(from, first, below, effects),
            Message::Values { first, values, .. }
                if first.0.saturating_add(values.len() as u64) > horizon.0 => {}
            Message::Values { first, values, executed_below } => {
                self.handle_values(now, from, first, values, executed_below, effects);
            }
            Message::Trimmed { below } => self.handle_trimmed(now, from, below, effects),
            Message::Fetch { executed_below, begun } => {
                self.handle_fetch(from, executed_below, begun, effects);
            }
            Message::Snapshot { executed_below, part, part_count, content } => {
                let place = (part, part_count);
                self.handle_snapshot(now, from, executed_below, place, content, effects);
            }
            Message::Executed { below } => self.handle_executed(from, below),
            Message::Heartbeat { ballot, chosen_below } => {
                self.note_ballot(ballot);
                self.handle_heartbeat(now, from, ballot, chosen_below, effects);
            }
            Message::HeartbeatAck { ballot } => self.handle_heartbeat_ack(from, ballot),
            Message::PreVote { ballot, executed_below } => {
                self.handle_pre_vote(now, from, ballot, executed_below, effects);
            }
            Message::PreVoteGranted { ballot, announced } => {
                self.handle_pre_vote_granted(now, from, ballot, announced, effects);
            }
            Message::Settle { ballot, below } => self.handle_settle(ballot, below, effects),
            Message::Settled { ballot } => self.handle_settled(from, ballot, effects),
            Message::Reserved { below } => self.rounds.confirm(below),
        }
    }

    /// Nothing is remembered of this slot and later ones yet.
    fn horizon(&self) -> Slot {
        Slot(self.learner.executed_below().0.saturating_add(HORIZON))
    }

    /// Prepare (Paxos made simple, phase 1b): promise, and report every vote in the scope
    /// that finds room.
    pub(super) fn handle_phase1a(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        scope: Scope,
        quorum: Option<NodeSet>,
        effects: &mut Effects,
    ) {
        let (Scope::Only(slot) | Scope::From(slot)) = scope;
        if matches!(scope, Scope::Only(_)) {
            self.note_slot_in_use(slot);
            if let Some(value) = self.learner.value(slot) {
                // What is chosen needs no vote any more; this also answers a proposer that is behind.
                let values = vec![value.clone()];
                effects.send(NodeSet::only(from), self.values_message(slot, values));
                return;
            }
            if slot < self.acceptor.first() {
                self.answer_trimmed(from, slot, self.acceptor.first(), effects);
                return;
            }
        }
        self.note_ballot(ballot);
        let room = self.config.retention.bytes_at_once();
        match self.acceptor.handle_phase1a(ballot, scope, quorum, room) {
            Ok(promise) => {
                effects.records.extend(promise.record);
                let Promise { votes, announced, reported_below, .. } = promise;
                let trimmed_below = self.trimmed_below();
                let message = Message::Phase1b {
                    ballot,
                    scope,
                    votes,
                    announced,
                    trimmed_below,
                    reported_below,
                };
                effects.send_durable(NodeSet::only(from), message, |_, _| false);
            }
            Err(refusal) => {
                let refused = Message::Refused { ballot, promised: refusal.promised, slot };
                effects.send(NodeSet::only(from), refused);
            }
        }
    }

    /// Accept (Paxos made simple, phase 2b): vote unless a higher ballot is promised.
    pub(super) fn handle_phase2a(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        slot: Slot,
        value: Value,
        effects: &mut Effects,
    ) {
        self.note_slot_in_use(slot);
        if slot < self.acceptor.first() {
            self.refuse_trimmed(from, ballot, slot, effects);
            return;
        }
        self.note_ballot(ballot);
        match self.acceptor.handle_phase2a(ballot, slot, value) {
            Ok(record) => {
                effects.records.extend(record);
                let vote = Message::Phase2b { ballot, first: slot, last: slot };
                effects.send_durable(NodeSet::only(from), vote, extend_votes);
            }
            Err(refusal) => {
                let refused = Message::Refused { ballot, promised: refusal.promised, slot };
                effects.send(NodeSet::only(from), refused);
            }
        }
    }

    fn handle_executed(&mut self, from: NodeId, below: Slot) {
        let known = self.executed.entry(from).or_default();
        *known = (*known).max(below);
        if self.executed.len() < self.config.quorums.n() {
            return;
        }
        self.forgettable_below = self.executed.values().min().copied().unwrap_or_default();
    }

    /// Forgets a little of what may be forgotten: a million slots at once would stall the replica for
    /// tens of milliseconds.
    fn forget_some(&mut self) {
        let first = self.acceptor.first();
        let forgettable_below = self.forgettable_below.max(self.retained_from());
        if first < forgettable_below {
            let below = forgettable_below.min(Slot(first.0 + FORGOTTEN_AT_ONCE));
            self.acceptor.forget_below(below);
            self.learner.forget_below(below);
        }
    }

    /// `slot` is chosen with `value`.
    pub(super) fn learn(&mut self, now: Time, slot: Slot, value: Value, effects: &mut Effects) {
        match self.proposer {
            Proposer::Classic(_) => self.settle_attempt(now, slot, &value, effects),
            Proposer::Multi(_) => self.settle_proposal(now, slot, &value, effects),
        }
        self.learner.learn(slot, value, self.is_safe);
    }

    /// Executes what is chosen, in slot order, and answers for own proposals.
    pub(super) fn execute(&mut self, now: Time, effects: &mut Effects) {
        while let Some((slot, value, execution)) = self.learner.execute_next() {
            let applied = matches!(execution, Some(crate::command::Execution::Applied(_)));
            let command = value.into_command();
            effects.executed.push(Advance::Executed(Executed { slot, command, applied }));
            if let Some(own) = self.awaiting.remove(slot) {
                let Awaiting { request, queueing, phase1, phase2, chosen_at } = own;
                let reply = now.since(chosen_at);
                effects.notes.push(Note::Committed { queueing, phase1, phase2, reply });
                if let Some(outcome) = execution.and_then(crate::command::Execution::outcome) {
                    effects.replies.push(Reply::Executed { request, slot, outcome });
                }
            }
        }
        self.awaiting.forget_below(self.learner.executed_below());
        match self.proposer {
            Proposer::Classic(_) => self.watch_for_holes(effects),
            Proposer::Multi(_) => {
                self.lead_when_level(now, effects);
                self.note_recovery(now, effects);
                self.settle_when_level(effects);
                if self.is_leader() {
                    // What let execution go on may have been taught by another: that is news as well.
                    self.arm_announce(effects);
                }
            }
        }
    }

    fn submit(&mut self, now: Time, command: Command, effects: &mut Effects) {
        match self.proposer {
            Proposer::Classic(_) => self.submit_classic(now, command, effects),
            Proposer::Multi(_) => self.submit_multi(now, command, effects),
        }
    }

    fn handle_timer(&mut self, now: Time, timer: TimerId, effects: &mut Effects) {
        match TimerKind::of(timer) {
            TimerKind::Retransmit => self.retransmit(now, effects),
            TimerKind::Announce => self.announce(effects),
            TimerKind::CatchUp => self.catch_up_again(now, effects),
            TimerKind::Election => self.doubt(now, effects),
            TimerKind::Heartbeat => self.beat(now, effects),
            TimerKind::Renew => self.renew(now, effects),
            TimerKind::Fill => self.fill_holes(now, effects),
            TimerKind::Attempt(slot) => self.attempt_again(now, slot, effects),
        }
    }

    /// A higher ballot of somebody else is in use.
    fn note_ballot(&mut self, ballot: Ballot) {
        if let Proposer::Multi(multi) = &mut self.proposer
            && ballot.proposer != self.config.id
        {
            multi.note_rival(ballot);
        }
    }

    /// Somebody proposes in `slot`: own commands go behind it.
    fn note_slot_in_use(&mut self, slot: Slot) {
        if let Proposer::Classic(classic) = &mut self.proposer {
            classic.note_slot_in_use(slot);
        }
    }
}

/// Votes for consecutive slots at one ballot travel as one message.
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

impl Protocol for Replica {
    type Message = Message;
    type Record = Record;
    type Checkpoint = Checkpoint;

    fn handle(&mut self, now: Time, input: Input, effects: &mut Effects) {
        let before = [effects.sends.len(), effects.durable_sends.len(), effects.replies.len()];
        match input {
            Input::Start => self.start(now, effects),
            Input::Message { from, message } => self.handle_message(now, from, message, effects),
            Input::Request(command) => self.submit(now, command, effects),
            Input::Campaign => match self.proposer {
                Proposer::Multi(_) => self.campaign(now, effects),
                Proposer::Classic(_) => {}
            },
            Input::Timer(timer) => self.handle_timer(now, timer, effects),
            Input::Checkpointed(below) => {
                self.durable_below = self.durable_below.max(below);
                self.settle_when_level(effects);
                self.handle_executed(self.config.id, below);
                effects.send(self.config.others(), Message::Executed { below });
            }
        }
        self.forget_some();
        self.count_sent(now, before, effects);
    }

    fn check_message(&self, from: NodeId, message: &Message) -> Result<(), String> {
        message.check(from, &self.config).map_err(|why| why.to_string())
    }

    fn check_command(&self, from: ClientId, command: &Command) -> Result<(), String> {
        impossible::check_request(from, command).map_err(|why| why.to_string())
    }

    fn statement(message: &Message) -> Statement<'_> {
        message.statement()
    }

    fn recorded(record: &Record) -> Statement<'_> {
        record.statement()
    }

    fn promised(&self, slot: Slot) -> Ballot {
        self.acceptor.promised(slot)
    }

    fn voted(&self, slot: Slot) -> Option<Ballot> {
        self.acceptor.vote(slot).map(|vote| vote.ballot)
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            acceptor: self.acceptor.clone(),
            rounds_below: self.rounds.reserved_below(),
            learner: self.learner.clone(),
        }
    }

    fn recover(&mut self, checkpoint: Option<Checkpoint>, records: Vec<Record>) {
        let has_lived = checkpoint.is_some() || !records.is_empty();
        self.is_rejoining = has_lived && !self.config.others().is_empty();
        let mut rounds_below = 0;
        if let Some(checkpoint) = checkpoint {
            self.acceptor = checkpoint.acceptor;
            rounds_below = checkpoint.rounds_below;
            self.learner = checkpoint.learner;
            self.durable_below = self.learner.executed_below();
        }
        let mut learned = BTreeMap::new();
        for record in records {
            match record {
                Record::Rounds { below } => rounds_below = rounds_below.max(below),
                Record::Learned { slot, value } => drop(learned.insert(slot, value)),
                Record::Settled { below, .. } => {
                    self.acceptor.recover(record);
                    self.recover_settled(below, &learned);
                }
                _ => self.acceptor.recover(record),
            }
        }
        self.rounds = Rounds::after(rounds_below);
    }

    fn executed_below(&self) -> Slot {
        self.learner.executed_below()
    }

    fn leadership(&self) -> Option<u64> {
        // Ballots in their order, as numbers: a round above 2^56 is never reached.
        self.leading().map(|ballot| ballot.round << 8 | u64::from(ballot.proposer.0))
    }

    fn announced(&self) -> Option<NodeSet> {
        self.own_quorum()
    }
}

//! The replica: acceptor, proposer and learner composed, one input at a time.
//!
//! This file owns the parts and dispatches; what a part does is in its own file.

use std::collections::BTreeMap;

use super::acceptor::Acceptor;
use super::catch_up::CatchUp;
use super::checkpoint::Checkpoint;
use super::commit_wait::CommitWait;
use super::context::Context;
use super::granted::Granted;
use super::learner::Learner;
use super::message::{Message, Record};
use super::mode::{self, Mode};
use super::multi::Multi;
use super::proposer::Proposer;
use super::reads::Reads;
use super::requests::Requests;
use super::snapshot_reads::SnapshotReads;
use super::timer::TimerKind;
use super::trimming::Trimming;
use super::wire::Wire;
use super::{Effects, Input};
use crate::command::{ClientId, Command};
use crate::protocol::{
    Assignment, Ballot, Config, Order, Position, Progress, Protocol, Reply, Rounds, Scope, Slot,
    Statement, Value,
};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::{Now, Time};

/// One replica: all three roles and the state machine, or the part of them that its configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    config: Config,
    /// Whether every phase-1 quorum meets every phase-2 quorum; if not, the check must find out.
    is_safe: bool,
    acceptor: Acceptor,
    pub(super) learner: Learner,
    proposer: Proposer,
    /// The rounds that it may use.
    rounds: Rounds,
    /// The requests that it proposed, and where.
    requests: Requests,
    /// How reads are answered.
    read_mode: mode::Reads,
    /// Those that it has not answered yet, beside the log.
    reads: Reads,
    /// What it granted to responders.
    granted: Granted,
    /// Those that are of a time, where reads are.
    snapshot_reads: Option<SnapshotReads>,
    /// What clients are not told yet, where that waits for the clock.
    commit_wait: Option<CommitWait>,
    /// What it asks of those ahead, and lends to those behind.
    pub(super) catch_up: CatchUp,
    /// What it may forget.
    trimming: Trimming,
    /// How much it sends, where that is limited.
    wire: Wire,
}

impl Replica {
    /// A replica that has never run.
    pub fn new(mode: Mode, config: Config) -> Self {
        Self {
            is_safe: config.quorums.disjoint().is_none(),
            acceptor: Acceptor::default(),
            learner: Learner::default(),
            proposer: Proposer::new(mode, &config),
            rounds: Rounds::after(0),
            requests: Requests::default(),
            read_mode: mode.reads(),
            reads: Reads::default(),
            granted: Granted::default(),
            snapshot_reads: mode.snapshot().map(SnapshotReads::new),
            commit_wait: mode.commit_wait().map(CommitWait::new),
            catch_up: CatchUp::default(),
            trimming: Trimming::default(),
            wire: Wire::default(),
            config,
        }
    }

    /// The quorum table.
    pub const fn quorums(&self) -> &QuorumSystem {
        &self.config.quorums
    }

    /// As if its leader had adopted nothing: for a negative control.
    pub(crate) fn forget_adopted(&mut self) {
        if let Proposer::Multi(multi) = &mut self.proposer {
            multi.forget_adopted();
        }
    }

    /// As if nobody responded alone, so that no write waits for that: for a negative control. What it was, if it leads.
    pub(crate) fn replace_roster(&mut self, roster: NodeSet) -> Option<NodeSet> {
        match &mut self.proposer {
            Proposer::Multi(multi) if multi.is_leading() => Some(multi.replace_roster(roster)),
            _ => None,
        }
    }

    /// As if other replicas answered for a key: for a negative control. Whose keys are whose, if anybody answers alone.
    pub(crate) fn replace_assignment(&mut self, at: Assignment) -> Option<Assignment> {
        match &mut self.proposer {
            Proposer::Multi(multi) => multi.replace_assignment(at),
            Proposer::Classic(_) => None,
        }
    }

    /// As if everybody had granted it something at this stamp: for a negative control.
    pub(crate) fn pretend_grants(&mut self, ballot: Ballot, stamp: Time) {
        let everybody = self.config.everybody();
        if let Proposer::Multi(multi) = &mut self.proposer {
            multi.pretend_grants(everybody, ballot, stamp);
        }
    }

    /// Answers the reads of all keys, whatever may be written to them: for a negative control.
    pub(crate) fn respond_regardless(&mut self, now: Now, effects: &mut Effects) {
        let (proposer, mut context) = self.parts(now, effects);
        if let Proposer::Multi(multi) = proposer {
            multi.respond_below(&mut context, Slot(u64::MAX));
        }
    }

    /// As if its leader had heard of no stamp: for a negative control.
    pub(crate) const fn forget_stamps(&mut self) {
        if let Proposer::Multi(multi) = &mut self.proposer {
            multi.forget_stamps();
        }
    }

    /// As if its safe time had come to that of every read: for a negative control.
    pub(crate) fn hasten_reads(&mut self) {
        if let Some(reads) = &mut self.snapshot_reads {
            reads.hasten();
        }
    }

    /// What clients are not told yet, to be told at once: for a negative control.
    pub(crate) fn take_held(&mut self, is_taken: impl Fn(&Reply) -> bool) -> Vec<Reply> {
        self.commit_wait.as_mut().map(|wait| wait.take(is_taken)).unwrap_or_default()
    }

    /// Its acceptor.
    pub const fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// Whether it keeps a state machine; a witness does not.
    pub fn is_learner(&self) -> bool {
        self.config.is_learner()
    }

    /// Slots below this are executed.
    pub fn executed_below(&self) -> Slot {
        self.learner.executed_below()
    }

    /// Whether it finished phase 1 over all slots and still holds its ballot.
    pub fn is_leader(&self) -> bool {
        self.proposer.is_leading()
    }

    /// Leads with the ballot with which `before` did, though it has given that up: for a negative control.
    pub(crate) fn lead_on(&mut self, before: &Self) {
        if let (Proposer::Multi(multi), Some(before)) =
            (&mut self.proposer, before.proposer.multi())
        {
            multi.lead_on(before);
        }
    }

    /// The proposer, and what it shares with the other parts.
    fn parts<'a>(
        &'a mut self,
        now: Now,
        effects: &'a mut Effects,
    ) -> (&'a mut Proposer, Context<'a>) {
        let context = Context {
            now: now.at,
            shown: now.shown,
            config: &self.config,
            is_safe: self.is_safe,
            acceptor: &mut self.acceptor,
            learner: &mut self.learner,
            rounds: &mut self.rounds,
            requests: &mut self.requests,
            reads: &mut self.reads,
            granted: &mut self.granted,
            snapshot_reads: &mut self.snapshot_reads,
            commit_wait: &mut self.commit_wait,
            catch_up: &mut self.catch_up,
            trimming: &mut self.trimming,
            wire: &mut self.wire,
            effects,
        };
        (&mut self.proposer, context)
    }

    /// What was chosen below `below` is known again from the votes, and from what was recorded besides.
    fn recover_settled(&mut self, below: Slot, learned: &BTreeMap<Slot, Value>) {
        for slot in (self.learner.executed_below().0..below.0).map(Slot) {
            let voted = || self.acceptor.vote(slot).map(|vote| &vote.value);
            let Some(value) = learned.get(&slot).or_else(voted).cloned() else { return };
            self.learner.learn(slot, value, self.is_safe);
        }
        self.trimming.note_durable(below);
    }
}

impl Proposer {
    fn handle_start(&mut self, context: &mut Context<'_>) {
        if context.config.is_candidate() {
            let below = context.rounds.reserve_first_block();
            context.reserve_rounds(below);
        }
        context.rejoin();
        self.start(context);
    }

    /// A message that may have taken any time; nothing is remembered of slots beyond the horizon yet.
    #[inline]
    fn handle_message(&mut self, context: &mut Context<'_>, from: NodeId, message: Message) {
        if let Self::Multi(multi) = self {
            multi.listen_to(context, from, &message);
        }
        let is_learner = context.config.is_learner();
        let known =
            if is_learner { context.learner.executed_below() } else { context.acceptor.end() };
        let horizon = Slot(known.0.saturating_add(context.config.bounds.horizon));
        match message {
            Message::Phase1a { scope: Scope::Only(slot), .. } if slot >= horizon => {}
            Message::Phase1a { ballot, scope, quorum } => {
                self.note_proposal(context, ballot, scope);
                context.handle_phase1a(from, ballot, scope, quorum);
            }
            Message::Phase1b { report, .. }
                if report.votes.last().is_some_and(|(slot, _)| *slot >= horizon) =>
            {
                // To lead from so far behind is to fill every slot between: the sender knows what
                // is chosen in them, and will be asked for its promise again. A witness does not.
                let is_witness = context.config.quorums.witnesses().contains(from);
                let to = if is_witness { context.config.teachers() } else { NodeSet::only(from) };
                context.effects.send(to, context.everything_after_execution());
            }
            Message::Phase1b { ballot, scope, report } => {
                self.handle_phase1b(context, from, ballot, scope, *report);
            }
            Message::Phase2a { ballot, slot, value, chosen_below } => {
                if slot < horizon {
                    self.note_proposal(context, ballot, Scope::Only(slot));
                    context.handle_phase2a(from, ballot, slot, value);
                }
                self.handle_chosen(context, from, ballot, Slot::ZERO, chosen_below.min(horizon));
            }
            Message::Phase2b { ballot, first, last } => {
                self.handle_phase2b(context, from, ballot, first, last);
            }
            Message::Refused { ballot, promised, slot } => {
                self.handle_refused(context, from, ballot, promised, slot);
            }
            Message::Chosen { ballot, first, below } => {
                if let Self::Multi(multi) = self {
                    multi.note_ballot(ballot, context.config);
                }
                if first < horizon {
                    self.handle_chosen(context, from, ballot, first, below.min(horizon));
                } else {
                    context.ask_up_to(from, horizon);
                }
            }
            Message::Values { first, values, .. }
                if first.0.saturating_add(values.len() as u64) > horizon.0 => {}
            Message::Values { first, values, executed_below } => {
                self.handle_values(context, from, first, values, executed_below);
            }
            Message::Snapshot { executed_below, begin, next, content, newest } => {
                let received = (*content, newest);
                self.handle_snapshot(context, from, executed_below, (begin, next), received);
            }
            Message::Heartbeat { ballot, chosen_below } => {
                if let Self::Multi(multi) = self {
                    multi.note_ballot(ballot, context.config);
                }
                context.handle_heartbeat(from, ballot, chosen_below);
                self.handle_chosen(context, from, ballot, Slot::ZERO, chosen_below.min(horizon));
            }
            Message::Learn { first, below } => context.handle_learn(from, first, below),
            Message::Trimmed { below } => context.handle_trimmed(from, below),
            Message::Fetch { executed_below, begun } => {
                context.handle_fetch(from, executed_below, begun);
            }
            Message::Executed { below } => {
                context.trimming.handle_executed(from, below, context.config);
            }
            Message::AskEnd { request } => context.handle_ask_end(from, request),
            Message::End { request, below, announced } => {
                context.handle_end(from, request, below, announced);
            }
            Message::Renew { ballot, quorum, to, fresh } => {
                if let Self::Multi(multi) = self {
                    multi.note_ballot(ballot, context.config);
                    multi.handle_renew(context, from, (ballot, quorum), (to, fresh));
                }
            }
            Message::Grant { ballot, stamp } => {
                if let Self::Multi(multi) = self {
                    multi.handle_grant(context, from, ballot, stamp);
                }
            }
            Message::Reserved { below } => context.rounds.confirm(below),
            Message::HeartbeatAck { .. }
            | Message::PreVote { .. }
            | Message::PreVoteGranted { .. }
            | Message::Settle { .. }
            | Message::Settled { .. } => {
                if let Self::Multi(multi) = self {
                    multi.handle_message(context, from, message);
                }
            }
        }
    }

    /// A checkpoint is durable in which every slot below `below` is executed; of a witness, votes and promises only.
    fn handle_checkpointed(&mut self, context: &mut Context<'_>, below: Slot) {
        if !context.config.is_learner() {
            return;
        }
        context.trimming.note_durable(below);
        if let Self::Multi(multi) = self {
            multi.settle_when_level(context);
        }
        context.trimming.handle_executed(context.config.id, below, context.config);
        context.effects.send(context.config.others(), Message::Executed { below });
    }

    #[inline]
    fn handle_input(&mut self, context: &mut Context<'_>, input: Input) {
        match input {
            Input::Start => self.handle_start(context),
            Input::Message { from, message } => self.handle_message(context, from, message),
            Input::Request(command) => self.submit(context, command),
            Input::Campaign => {
                if let Self::Multi(multi) = self {
                    multi.campaign(context);
                }
            }
            Input::Timer(timer) => match TimerKind::of(timer) {
                TimerKind::CatchUp => context.catch_up_again(),
                TimerKind::Read => {
                    context.read_again();
                    if let Self::Multi(multi) = self {
                        multi.hand_reads_over(context);
                    }
                }
                TimerKind::CommitWait => context.end_commit_wait(),
                timer => self.handle_timer(context, timer),
            },
            Input::Checkpointed(progress) => {
                self.handle_checkpointed(context, Slot(progress.0));
            }
        }
    }
}

impl Protocol for Replica {
    type Message = Message;
    type Record = Record;
    type Checkpoint = Checkpoint;

    const ORDER: Order = Order::Total;

    #[inline]
    fn handle(&mut self, now: Now, input: Input, effects: &mut Effects) {
        let before = [effects.sends.len(), effects.durable_sends.len(), effects.replies.len()];
        let read_mode = self.read_mode;
        let (proposer, mut context) = self.parts(now, effects);
        match input {
            Input::Request(command)
                if read_mode.are_beside_the_log() && command.operation.is_read() =>
            {
                proposer.read(&mut context, read_mode, &command);
            }
            input => proposer.handle_input(&mut context, input),
        }
        context.answer_reads();
        context.answer_snapshot_reads();
        context.tell_passed();
        if let Proposer::Multi(multi) = proposer {
            multi.answer_reads(&mut context);
            multi.respond(&mut context);
        }
        self.trimming.forget_some(&self.config, &mut self.acceptor, &mut self.learner);
        self.wire.count_sent(now.at, before, effects, &self.config);
    }

    fn check_message(&self, from: NodeId, message: &Message) -> Result<(), String> {
        message.check(from, &self.config).map_err(|why| why.to_string())
    }

    fn check_command(&self, from: ClientId, command: &Command) -> Result<(), String> {
        command.check_request(from).map_err(|why| why.to_string())
    }

    fn statement(message: &Message) -> Statement<'_> {
        message.statement()
    }

    fn recorded(record: &Record) -> Statement<'_> {
        record.statement()
    }

    fn promised(&self, position: Position) -> Ballot {
        self.acceptor.promised(position.slot)
    }

    fn promised_highest(&self) -> Ballot {
        self.acceptor.promised_highest()
    }

    fn voted(&self, position: Position) -> Option<Ballot> {
        self.acceptor.vote(position.slot).map(|vote| vote.ballot)
    }

    fn chosen(&self, position: Position) -> Option<&Value> {
        self.learner.value(position.slot)
    }

    /// The checkpoint leaves out the slots that the replica may forget once it is durable.
    fn checkpoint(&self) -> Checkpoint {
        let (mut acceptor, mut learner) = (self.acceptor.clone(), self.learner.clone());
        let below = Trimming::forgettable_with(&self.config, learner.executed_below());
        acceptor.forget_below(below);
        learner.forget_below(below);
        Checkpoint { acceptor, rounds_below: self.rounds.reserved_below(), learner }
    }

    fn recover(&mut self, checkpoint: Option<Checkpoint>, records: Vec<Record>) {
        let has_lived = checkpoint.is_some() || !records.is_empty();
        let has_teachers = self.config.is_learner() && !self.config.teachers().is_empty();
        self.catch_up.is_rejoining = has_lived && has_teachers;
        let mut rounds_below = 0;
        if let Some(checkpoint) = checkpoint {
            self.acceptor = checkpoint.acceptor;
            rounds_below = checkpoint.rounds_below;
            self.learner = checkpoint.learner;
            self.trimming.note_durable(self.learner.executed_below());
        }
        if let Some(reads) = &mut self.snapshot_reads {
            reads.versions.restart(self.learner.executed_below(), self.learner.newest);
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

    fn progress(&self) -> Progress {
        Progress(self.executed_below().0)
    }

    fn leadership(&self) -> Option<u64> {
        // Ballots in their order, as numbers: a round above 2^56 is never reached.
        self.proposer
            .multi()
            .and_then(Multi::leading_ballot)
            .map(|ballot| ballot.round << 8 | u64::from(ballot.proposer.0))
    }

    fn refused_by(&self) -> NodeSet {
        self.proposer.multi().map_or(NodeSet::EMPTY, Multi::refused_by)
    }

    fn announced(&self) -> Option<NodeSet> {
        self.proposer.multi().and_then(Multi::own_quorum)
    }

    fn stored(&self) -> Option<u64> {
        Some(self.learner.machine().digest())
    }
}

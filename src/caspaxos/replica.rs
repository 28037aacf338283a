//! The replica: acceptor and proposer composed, and what it knows to be chosen.

use std::collections::BTreeMap;

use super::acceptor::Acceptor;
use super::attempt::Attempt;
use super::message::{Checkpoint, Message, Record, Vote};
use super::mode::Mode;
use super::register::State;
use super::{Effects, Input};
use crate::command::{ClientId, Command};
use crate::protocol::{
    Advance, Ballot, Config, Executed, Log, Order, Position, Progress, Protocol, Rounds, Slot,
    Statement,
};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Now, Time};

/// One replica of every register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    config: Config,
    mode: Mode,
    acceptor: Acceptor,
    /// What it proposes, or may propose without asking, by key.
    attempts: BTreeMap<u64, Attempt>,
    /// By key: the highest ballot of an attempt that is over, or seen by it. Its own acceptor need not have been
    /// asked, so that does not know it.
    used: BTreeMap<u64, Ballot>,
    /// The rounds that it may use.
    rounds: Rounds,
    learned: Learned,
}

/// What a replica knows to be chosen, since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Learned {
    /// By key: the slots below this are executed or passed over.
    below: BTreeMap<u64, Slot>,
    /// Commands executed.
    count: u64,
}

/// What a proposer may use, borrowed for one input.
pub(super) struct Context<'a> {
    pub(super) now: Time,
    pub(super) config: &'a Config,
    /// Whether votes promise the next ballot too.
    pub(super) is_carrying: bool,
    pub(super) acceptor: &'a Acceptor,
    rounds: &'a mut Rounds,
    learned: &'a mut Learned,
    pub(super) effects: &'a mut Effects,
}

impl Context<'_> {
    /// A ballot above `seen`, whose round no earlier life of this proposer used.
    pub(super) fn new_ballot(&mut self, seen: Ballot) -> Ballot {
        let round = self.rounds.above(seen.round);
        if let Some(below) = self.rounds.reserve(round) {
            reserve_rounds(self.config.id, below, self.effects);
        }
        Ballot { round, proposer: self.config.id }
    }

    /// The same, unless its round is not durably reserved yet.
    pub(super) fn durable_ballot(&mut self, seen: Ballot) -> Option<Ballot> {
        let ballot = self.new_ballot(seen);
        self.rounds.is_durable(ballot.round).then_some(ballot)
    }

    /// Phase 1a, for the first time or again: it never leaves before its round is durably reserved.
    pub(super) fn send_phase1a(&mut self, to: NodeSet, key: u64, ballot: Ballot) {
        let phase1a = Message::Phase1a { key, ballot };
        if self.rounds.is_durable(ballot.round) {
            self.effects.send(to, phase1a);
        } else if !to.is_empty() {
            self.effects.send_durable(to, phase1a, |_, _| false);
        }
    }

    /// The slots of a key below this are executed here, or passed over.
    pub(super) fn executed_below(&self, key: u64) -> Slot {
        self.learned.below.get(&key).copied().unwrap_or_default()
    }

    /// A state is chosen, and with it all that led to it: executes what it carries.
    pub(super) fn learn(&mut self, key: u64, state: &State) {
        self.learned.learn(key, state, self.effects);
    }
}

impl Learned {
    fn learn(&mut self, key: u64, state: &State, effects: &mut Effects) {
        let below = self.below.entry(key).or_default();
        let first = *below;
        for (slot, value) in state.carried.iter().filter(|(slot, _)| *slot >= first) {
            let (slot, command) = (*slot, value.clone().into_command());
            self.count += 1;
            effects.executed.push(Advance::Executed(Executed { slot, command, applied: true }));
        }
        *below = (*below).max(state.below);
    }
}

/// Makes durable that the rounds below `below` may be used, and tells this replica when they are.
fn reserve_rounds(myself: NodeId, below: u64, effects: &mut Effects) {
    effects.records.push(Record::Rounds { below });
    effects.send_durable(NodeSet::only(myself), Message::Reserved { below }, |_, _| false);
}

impl Replica {
    /// A replica that has never run.
    pub fn new(mode: Mode, config: Config) -> Self {
        Self {
            config,
            mode,
            acceptor: Acceptor::default(),
            attempts: BTreeMap::new(),
            used: BTreeMap::new(),
            rounds: Rounds::after(0),
            learned: Learned::default(),
        }
    }

    /// The last vote for a key.
    pub fn vote(&self, key: u64) -> Option<&Vote> {
        self.acceptor.vote(key)
    }

    /// Does something with the attempt for a key, which begins with it if there is none.
    fn with_attempt(
        &mut self,
        now: Time,
        key: u64,
        effects: &mut Effects,
        act: impl FnOnce(&mut Attempt, &mut Context<'_>),
    ) {
        let mut context = Context {
            now,
            config: &self.config,
            is_carrying: self.mode.proposer.is_some(),
            acceptor: &self.acceptor,
            rounds: &mut self.rounds,
            learned: &mut self.learned,
            effects,
        };
        let used = self.used.get(&key).copied().unwrap_or_default();
        let attempt = self.attempts.entry(key).or_insert_with(|| Attempt::new(key, now, used));
        act(attempt, &mut context);
        if attempt.is_over() {
            let highest = attempt.highest();
            self.attempts.remove(&key);
            if highest > Ballot::NONE {
                self.used.insert(key, highest);
            }
        }
    }

    fn handle_message(&mut self, now: Time, from: NodeId, message: Message, effects: &mut Effects) {
        match message {
            Message::Phase1a { key, ballot } => {
                self.acceptor.handle_phase1a(from, key, ballot, effects);
            }
            Message::Phase2a { key, ballot, state, next } => {
                let proposal = Vote { ballot, state };
                self.acceptor.handle_phase2a(from, key, proposal, next, effects);
            }
            Message::Phase1b { key, ballot, vote } => {
                self.with_attempt(now, key, effects, |attempt, context| {
                    attempt.handle_phase1b(context, from, ballot, vote);
                });
            }
            Message::Phase2b { key, ballot, next, .. } => {
                self.with_attempt(now, key, effects, |attempt, context| {
                    attempt.handle_phase2b(context, from, ballot, next);
                });
            }
            Message::Refused { key, ballot, promised } => {
                self.with_attempt(now, key, effects, |attempt, context| {
                    attempt.handle_refused(context, from, ballot, promised);
                });
            }
            Message::Chosen { key, ballot, .. } => {
                if let Some(state) = self.acceptor.voted_at(key, ballot) {
                    self.learned.learn(key, state, effects);
                }
            }
            Message::Reserved { below } => self.rounds.confirm(below),
        }
    }
}

impl Protocol for Replica {
    type Message = Message;
    type Record = Record;
    type Checkpoint = Checkpoint;

    const ORDER: Order = Order::PerKey;

    fn handle(&mut self, now: Now, input: Input, effects: &mut Effects) {
        let now = now.at;
        match input {
            Input::Start => {
                let below = self.rounds.reserve_first_block();
                reserve_rounds(self.config.id, below, effects);
            }
            Input::Message { from, message } => self.handle_message(now, from, message, effects),
            Input::Request(command) => {
                let key = command.operation.key();
                self.with_attempt(now, key, effects, |attempt, context| {
                    attempt.submit(context, command);
                });
            }
            Input::Timer(timer) => {
                if self.attempts.contains_key(&timer.0) {
                    self.with_attempt(now, timer.0, effects, Attempt::handle_timer);
                }
            }
            // Nobody leads, and nothing that others rely on is forgotten.
            Input::Campaign | Input::Checkpointed(_) => {}
        }
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
        match position.log {
            Log::Whole => Ballot::NONE,
            Log::Of(key) => self.acceptor.promised(key),
        }
    }

    fn voted(&self, position: Position) -> Option<Ballot> {
        match position.log {
            Log::Whole => None,
            // A vote for a key takes the place of all before, whatever their slots.
            Log::Of(key) => self.acceptor.vote(key).map(|vote| vote.ballot),
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        let rounds_below = self.rounds.reserved_below();
        Checkpoint { acceptor: self.acceptor.clone(), rounds_below }
    }

    fn recover(&mut self, checkpoint: Option<Checkpoint>, records: Vec<Record>) {
        let mut rounds_below = 0;
        if let Some(checkpoint) = checkpoint {
            self.acceptor = checkpoint.acceptor;
            self.acceptor.restore();
            rounds_below = checkpoint.rounds_below;
        }
        for record in records {
            if let Record::Rounds { below } = record {
                rounds_below = rounds_below.max(below);
            }
            self.acceptor.recover(record);
        }
        self.rounds = Rounds::after(rounds_below);
    }

    fn progress(&self) -> Progress {
        Progress(self.learned.count)
    }
}

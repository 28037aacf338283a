//! Replicas that break one rule each: the negative controls of every checker.
//!
//! A checker that has never failed has shown nothing.
//! So each rule that a protocol rests on, and each failure seen in a published system, can be broken on
//! purpose, and whoever looks for violations must find it.
//!
//! A [`Saboteur`] is a replica with a dishonest hand around it: it edits what goes in and what comes out,
//! and implements nothing of the protocol a second time.
//! What the hand does to the messages of a protocol is in the file of that protocol, as [`Breakable`].
//! Without a rule to break it passes everything through unchanged.
//! What a broken replica does next may trip an assertion of the core; [`quietly`](crate::quiet::quietly) turns that into a
//! value.

mod caspaxos;
mod paxos;
mod rule;

pub use rule::{Breaks, Error, Rule};

use std::fmt::Debug;
use std::hash::Hash;

use crate::command::{ClientId, Command};
use crate::protocol::{
    Ballot, Config, Effects, Envelope, Input, Order, Position, Progress, Protocol, Statement, Value,
};
use crate::quorum::{NodeId, NodeSet};
use crate::time::Now;

/// A protocol with rules that can be broken.
pub trait Breakable: Protocol + Clone + Debug + Ord + Hash + Send + Sync + 'static {
    /// What the dishonest hand remembers.
    type Hand: Clone + Debug + Ord + Hash + Send + Sync;

    /// The rules that its replicas can break, besides those of every protocol ([`Rule::COMMON`]).
    const RULES: &'static [Rule];

    /// The hand of a replica that has never run.
    fn hand(config: &Config) -> Self::Hand;

    /// Handles an input as a replica does that breaks one of [`Self::RULES`].
    fn handle_broken(
        &mut self,
        rule: Rule,
        hand: &mut Self::Hand,
        now: Now,
        input: Input<Self::Message>,
        effects: &mut Effects<Self::Message, Self::Record>,
    );

    /// Changes a record before it is recovered.
    #[expect(unused_variables, reason = "the names of parameters are their documentation")]
    fn falsify(rule: Rule, record: &mut Self::Record) {}

    /// Changes a checkpoint before it is written.
    #[expect(unused_variables, reason = "the names of parameters are their documentation")]
    fn falsify_checkpoint(rule: Rule, checkpoint: &mut Self::Checkpoint) {}
}

/// A replica that breaks one rule, or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Saboteur<P: Breakable> {
    replica: P,
    rule: Option<Rule>,
    hand: P::Hand,
}

impl<P: Breakable> Saboteur<P> {
    /// A replica that has never run, of this configuration, and breaks `rule`, or none.
    ///
    /// [`Rule::DisjointQuorums`] is broken by the configuration: give it [`Rule::quorums`]. Rules with a
    /// [`Rule::driver_defect`] are broken by the driver.
    pub fn new(replica: P, config: &Config, rule: Option<Rule>) -> Self {
        Self { replica, rule, hand: P::hand(config) }
    }

    /// The replica inside.
    pub const fn replica(&self) -> &P {
        &self.replica
    }
}

impl<P: Breakable> Protocol for Saboteur<P> {
    type Message = P::Message;
    type Record = P::Record;
    type Checkpoint = P::Checkpoint;

    const ORDER: Order = P::ORDER;

    fn handle(
        &mut self,
        now: Now,
        input: Input<P::Message>,
        effects: &mut Effects<P::Message, P::Record>,
    ) {
        match self.rule.filter(|rule| P::RULES.contains(rule)) {
            None => self.replica.handle(now, input, effects),
            Some(rule) => self.replica.handle_broken(rule, &mut self.hand, now, input, effects),
        }
        if self.rule == Some(Rule::AsksBeforeReserving) {
            let asks = |envelope: &mut Envelope<P::Message>| {
                matches!(P::statement(&envelope.message), Statement::Asks { .. })
            };
            effects.sends.extend(effects.durable_sends.extract_if(.., asks));
        }
    }

    fn check_message(&self, from: NodeId, message: &P::Message) -> Result<(), String> {
        self.replica.check_message(from, message)
    }

    fn check_command(&self, from: ClientId, command: &Command) -> Result<(), String> {
        self.replica.check_command(from, command)
    }

    fn statement(message: &P::Message) -> Statement<'_> {
        P::statement(message)
    }

    fn recorded(record: &P::Record) -> Statement<'_> {
        P::recorded(record)
    }

    fn promised(&self, position: Position) -> Ballot {
        self.replica.promised(position)
    }

    fn promised_highest(&self) -> Ballot {
        self.replica.promised_highest()
    }

    fn voted(&self, position: Position) -> Option<Ballot> {
        self.replica.voted(position)
    }

    fn chosen(&self, position: Position) -> Option<&Value> {
        self.replica.chosen(position)
    }

    fn checkpoint(&self) -> P::Checkpoint {
        let mut checkpoint = self.replica.checkpoint();
        if let Some(rule) = self.rule {
            P::falsify_checkpoint(rule, &mut checkpoint);
        }
        checkpoint
    }

    /// What is forgotten is forgotten from the records; what a checkpoint holds stays.
    fn recover(&mut self, checkpoint: Option<P::Checkpoint>, mut records: Vec<P::Record>) {
        let is_forgotten = |statement: Statement<'_>| match self.rule {
            Some(Rule::ForgetsPromise) => matches!(statement, Statement::Promises { .. }),
            Some(Rule::ForgetsVote) => matches!(statement, Statement::Vote { .. }),
            Some(Rule::ForgetsReservation) => statement == Statement::Reserves,
            _ => false,
        };
        records.retain(|record| !is_forgotten(P::recorded(record)));
        if let Some(rule) = self.rule {
            for record in &mut records {
                P::falsify(rule, record);
            }
        }
        self.replica.recover(checkpoint, records);
    }

    fn progress(&self) -> Progress {
        self.replica.progress()
    }

    fn leadership(&self) -> Option<u64> {
        self.replica.leadership()
    }

    fn refused_by(&self) -> NodeSet {
        self.replica.refused_by()
    }

    fn announced(&self) -> Option<NodeSet> {
        self.replica.announced()
    }

    fn stored(&self) -> Option<u64> {
        self.replica.stored()
    }
}

#[cfg(test)]
mod tests;

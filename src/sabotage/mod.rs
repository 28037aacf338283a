//! Replicas that break one rule each: the negative controls of every checker.
//!
//! A checker that has never failed has shown nothing.
//! So each rule that Paxos rests on, and each failure seen in a published system, can be broken on
//! purpose, and whoever looks for violations must find it.
//!
//! A [`Saboteur`] is a [`Replica`] with a dishonest hand around it: it edits what goes in and what
//! comes out, and implements nothing of the protocol a second time.
//! Without a rule to break it passes everything through unchanged.
//! What a broken replica does next may trip an assertion of the core; [`quietly`](crate::quiet::quietly) turns that into a
//! value.

mod edit;
mod rule;

pub use rule::{Breaks, Error, Rule};

use std::collections::BTreeSet;

use crate::command::{ClientId, Command};
use crate::paxos::{Ballot, Checkpoint, Config, Effects, Input, Message, Record, Replica};
use crate::protocol::{Protocol, Slot, Statement};
use crate::quorum::{NodeId, NodeSet};
use crate::time::Time;

/// A replica that breaks one rule, or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Saboteur {
    replica: Replica,
    rule: Option<Rule>,
    /// Of `fixed-prefix-thrifty-stall`: the only receivers of a Phase2a.
    prefix: NodeSet,
    /// Of `forgets-announced-early`: everybody.
    everybody: NodeSet,
    /// Of `hole-in-log`: the proposals that left already.
    proposed: BTreeSet<(Ballot, Slot)>,
}

impl Saboteur {
    /// A replica that has never run and breaks `rule`, or none.
    ///
    /// [`Rule::DisjointQuorums`] is broken by the configuration: give it [`Rule::quorums`]. Rules with a
    /// [`Rule::driver_defect`] are broken by the driver.
    pub fn new(config: Config, rule: Option<Rule>) -> Self {
        let prefix = config.quorums.phase2().first_in(&config.nearest_first);
        let prefix = prefix.unwrap_or_else(|| config.everybody());
        let everybody = config.everybody();
        let replica = Replica::new(config);
        Self { replica, rule, prefix, everybody, proposed: BTreeSet::new() }
    }

    /// The replica inside.
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The rule it breaks.
    pub const fn rule(&self) -> Option<Rule> {
        self.rule
    }
}

impl Protocol for Saboteur {
    type Message = Message;
    type Record = Record;
    type Checkpoint = Checkpoint;

    fn handle(&mut self, now: Time, mut input: Input, effects: &mut Effects) {
        match self.rule {
            Some(Rule::SkipsAdoption) => edit::clear_reported(&mut input),
            Some(Rule::IgnoresAnnouncedQuorums) => edit::clear_announced(&mut input),
            Some(Rule::CountsPartialPromise) => edit::complete_promise(&mut input),
            Some(Rule::ReusesTrimmedSlot) => edit::clear_trimmed(&mut input),
            Some(Rule::OverstatesSnapshot) => edit::understate(&mut input),
            _ => {}
        }
        // Effects may hold those of earlier inputs: what is edited once only begins here.
        let first_send = effects.sends.len();
        let settled = match &input {
            Input::Message { message: Message::Settle { ballot, .. }, .. } => Some(*ballot),
            _ => None,
        };
        self.replica.handle(now, input, effects);
        match self.rule {
            Some(Rule::TrimmedSlotLostWrite) => {
                edit::trim_reports(effects, self.replica.executed_below());
            }
            Some(Rule::OverstatesSnapshot) => edit::overstate(effects, first_send),
            Some(Rule::FixedPrefixThriftyStall) => edit::narrow_proposals(effects, self.prefix),
            Some(Rule::HoleInLog) => {
                edit::propose_once(effects, first_send, &mut self.proposed);
            }
            Some(Rule::NeverRenews) if self.replica.is_leader() => {
                edit::drop_pre_votes(effects, first_send);
            }
            Some(Rule::ForgetsAnnouncedEarly) => {
                if let Some(ballot) = settled {
                    for from in self.everybody.iter() {
                        let message = Message::Settled { ballot };
                        self.replica.handle(now, Input::Message { from, message }, effects);
                    }
                }
            }
            None
            | Some(
                Rule::DisjointQuorums
                | Rule::ForgetsPromise
                | Rule::ForgetsVote
                | Rule::ForgetsReservation
                | Rule::SendsBeforePersist
                | Rule::ForgetsTimers
                | Rule::SkipsAdoption
                | Rule::IgnoresAnnouncedQuorums
                | Rule::NeverRenews
                | Rule::CountsPartialPromise
                | Rule::ReusesTrimmedSlot,
            ) => {}
        }
    }

    fn check_message(&self, from: NodeId, message: &Message) -> Result<(), String> {
        self.replica.check_message(from, message)
    }

    fn check_command(&self, from: ClientId, command: &Command) -> Result<(), String> {
        self.replica.check_command(from, command)
    }

    fn statement(message: &Message) -> Statement<'_> {
        Replica::statement(message)
    }

    fn recorded(record: &Record) -> Statement<'_> {
        Replica::recorded(record)
    }

    fn promised(&self, slot: Slot) -> Ballot {
        self.replica.promised(slot)
    }

    fn voted(&self, slot: Slot) -> Option<Ballot> {
        self.replica.voted(slot)
    }

    fn checkpoint(&self) -> Checkpoint {
        self.replica.checkpoint()
    }

    /// What is forgotten is forgotten from the records; what a checkpoint holds stays.
    fn recover(&mut self, checkpoint: Option<Checkpoint>, mut records: Vec<Record>) {
        match self.rule {
            Some(Rule::ForgetsPromise) => {
                records.retain(|record| !matches!(record, Record::Promise { .. }));
            }
            Some(Rule::ForgetsVote) => {
                records.retain(|record| !matches!(record, Record::Vote { .. }));
            }
            Some(Rule::ForgetsReservation) => {
                records.retain(|record| !matches!(record, Record::Rounds { .. }));
            }
            _ => {}
        }
        self.replica.recover(checkpoint, records);
    }

    fn executed_below(&self) -> Slot {
        self.replica.executed_below()
    }

    fn leadership(&self) -> Option<u64> {
        self.replica.leadership()
    }

    fn announced(&self) -> Option<NodeSet> {
        self.replica.announced()
    }
}

#[cfg(test)]
mod tests;

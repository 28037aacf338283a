//! Which value is chosen in which slot.
//!
//! A value is chosen when a phase-2 quorum has voted for it at one ballot, durably or by having told so
//! (Paxos made simple, section 2.2); nobody in the system needs to know it.

use std::collections::BTreeMap;

use super::{Finding, Invariant};
use crate::protocol::{Ballot, Slot, Value};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Memory {
    /// All votes: a second value at one ballot is found whenever it shows.
    #[default]
    Whole,
    /// Only what may still contradict the future, so that different pasts become one state.
    Least,
}

/// The votes for one value at one ballot in one slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tally {
    /// `None` if only the vote is known, not its value.
    value: Option<Value>,
    voters: NodeSet,
}

/// What is known of a slot in which a value is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Chosen {
    /// The value.
    Value(Value),
    /// The ballot of the votes; their value was not known then, but may be by now.
    At(Ballot),
}

/// A value that a phase-2 quorum has just voted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Where.
    pub slot: Slot,
    /// The ballot of the votes.
    pub ballot: Ballot,
    /// The value, if it is known.
    pub value: Option<Value>,
    /// Who voted.
    pub by: NodeSet,
}

/// All votes of a run, and the values that are chosen by them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Votes {
    memory: Memory,
    chosen: BTreeMap<Slot, Chosen>,
    tallies: BTreeMap<(Slot, Ballot), Tally>,
    /// The phase-2 quorum of each ballot, where each has its own.
    announced: BTreeMap<Ballot, NodeSet>,
}

impl Votes {
    /// No votes yet.
    pub fn new(memory: Memory) -> Self {
        Self { memory, ..Self::default() }
    }

    /// A proposer announced the phase-2 quorum of its ballot.
    pub fn announce(&mut self, ballot: Ballot, quorum: NodeSet) {
        self.announced.insert(ballot, quorum);
    }

    /// A value is proposed: whoever votes at this ballot votes for it.
    pub fn propose(&mut self, slot: Slot, ballot: Ballot, value: &Value) -> Result<(), Finding> {
        self.tally(slot, ballot, Some(value)).map(drop)
    }

    /// An acceptor voted, durably or by having told so; what is chosen by it for the first time.
    pub fn vote(
        &mut self,
        quorums: &QuorumSystem,
        voter: NodeId,
        (slot, ballot): (Slot, Ballot),
        value: Option<&Value>,
    ) -> Result<Option<Choice>, Finding> {
        let is_settled = value.is_some() && self.chosen(slot) == value;
        if is_settled && self.memory == Memory::Least {
            return Ok(None);
        }
        let announced = self.announced.get(&ballot).copied();
        let tally = self.tally(slot, ballot, value)?;
        if !tally.voters.insert(voter) && is_settled {
            return Ok(None);
        }
        let Tally { value, voters: by } = tally.clone();
        if !quorums.is_phase2_at(by, announced) {
            return Ok(None);
        }
        if self.chosen.contains_key(&slot) {
            return match (self.chosen(slot), &value) {
                (Some(chosen), Some(value)) if chosen != value => Err(Finding::new(
                    Invariant::ChosenStaysChosen,
                    format!("{slot} was chosen with {chosen}, and now at {ballot} with {value}"),
                )),
                _ => Ok(None),
            };
        }
        if self.memory == Memory::Least {
            self.tallies.retain(|(other, _), tally| *other != slot || tally.value != value);
        }
        self.chosen.insert(slot, value.clone().map_or(Chosen::At(ballot), Chosen::Value));
        Ok(Some(Choice { slot, ballot, value, by }))
    }

    /// A replica knows or executes `value` as the one that is chosen in `slot`.
    pub fn learned(&self, learner: NodeId, slot: Slot, value: &Value) -> Result<(), Finding> {
        let (invariant, how) = match self.chosen(slot) {
            None if self.chosen.contains_key(&slot) => return Ok(()),
            Some(chosen) if chosen == value => return Ok(()),
            Some(chosen) => (
                Invariant::Agreement,
                format!("{learner} learned {value} in {slot}, where {chosen} is chosen"),
            ),
            None => (
                Invariant::Validity,
                format!("{learner} learned {value} in {slot}, where nothing is chosen"),
            ),
        };
        Err(Finding::new(invariant, how))
    }

    /// The value that is chosen in `slot`, if one is and it is known.
    pub fn chosen(&self, slot: Slot) -> Option<&Value> {
        match self.chosen.get(&slot)? {
            Chosen::Value(value) => Some(value),
            Chosen::At(ballot) => self.tallies.get(&(slot, *ballot))?.value.as_ref(),
        }
    }

    /// Every slot in which a value is chosen.
    pub fn all_chosen(&self) -> impl Iterator<Item = (Slot, Option<&Value>)> {
        self.chosen.keys().map(|slot| (*slot, self.chosen(*slot)))
    }

    /// Whether `value` was proposed or voted for in `slot` at a lower ballot.
    pub fn is_older(&self, slot: Slot, ballot: Ballot, value: &Value) -> bool {
        let below = self.tallies.range((slot, Ballot::NONE)..(slot, ballot));
        below.into_iter().any(|(_, tally)| tally.value.as_ref() == Some(value))
    }

    fn tally(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        value: Option<&Value>,
    ) -> Result<&mut Tally, Finding> {
        let empty = || Tally { value: value.cloned(), voters: NodeSet::EMPTY };
        let tally = self.tallies.entry((slot, ballot)).or_insert_with(empty);
        match (&tally.value, value) {
            (Some(known), Some(value)) if known != value => {
                let how = format!("{slot} at {ballot}: votes for {known} and for {value}");
                return Err(Finding::new(Invariant::Agreement, how));
            }
            (None, Some(value)) => tally.value = Some(value.clone()),
            _ => {}
        }
        Ok(tally)
    }
}

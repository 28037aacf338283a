//! Which value is chosen at which position.
//!
//! A value is chosen when a phase-2 quorum has voted for it at one ballot, durably or by having told so
//! (Paxos made simple, section 2.2); nobody in the system needs to know it.

use std::collections::BTreeMap;

use super::{Finding, Invariant};
use crate::protocol::{Ballot, Position, Slot, Value};
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

/// The votes for one value at one ballot at one position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tally {
    /// `None` if only the vote is known, not its value.
    value: Option<Value>,
    /// What is chosen with it, in earlier slots of its log.
    carried: Vec<(Slot, Value)>,
    voters: NodeSet,
}

/// A value that is proposed or voted for.
#[derive(Clone, Copy, Debug)]
pub struct Proposed<'a> {
    /// The value.
    pub value: &'a Value,
    /// What is chosen with it, in earlier slots of its log.
    pub carried: &'a [(Slot, Value)],
}

impl<'a> From<&'a Value> for Proposed<'a> {
    fn from(value: &'a Value) -> Self {
        Self { value, carried: &[] }
    }
}

/// What is known of a position at which a value is chosen.
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
    pub position: Position,
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
    chosen: BTreeMap<Position, Chosen>,
    tallies: BTreeMap<(Position, Ballot), Tally>,
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
    pub fn propose(
        &mut self,
        position: Position,
        ballot: Ballot,
        proposed: Proposed<'_>,
    ) -> Result<(), Finding> {
        self.tally(position, ballot, Some(proposed)).map(drop)
    }

    /// An acceptor voted, durably or by having told so; what is chosen by it for the first time.
    pub fn vote(
        &mut self,
        quorums: &QuorumSystem,
        voter: NodeId,
        (position, ballot): (Position, Ballot),
        proposed: Option<Proposed<'_>>,
    ) -> Result<Option<Choice>, Finding> {
        let value = proposed.map(|it| it.value);
        let is_settled = value.is_some() && self.chosen(position) == value;
        if is_settled && self.memory == Memory::Least {
            return Ok(None);
        }
        let announced = self.announced.get(&ballot).copied();
        let tally = self.tally(position, ballot, proposed)?;
        if !tally.voters.insert(voter) && is_settled {
            return Ok(None);
        }
        let Tally { value, carried, voters: by } = tally.clone();
        if !quorums.is_phase2_at(by, announced) {
            return Ok(None);
        }
        if self.chosen.contains_key(&position) {
            return match (self.chosen(position), &value) {
                (Some(chosen), Some(value)) if chosen != value => Err(Finding::new(
                    Invariant::ChosenStaysChosen,
                    format!(
                        "{position} was chosen with {chosen}, and now at {ballot} with {value}"
                    ),
                )),
                _ => Ok(None),
            };
        }
        if self.memory == Memory::Least {
            self.tallies.retain(|(other, _), tally| *other != position || tally.value != value);
        }
        self.chosen.insert(position, value.clone().map_or(Chosen::At(ballot), Chosen::Value));
        for (slot, value) in carried {
            self.choose_carried(Position { slot, ..position }, value)?;
        }
        Ok(Some(Choice { position, ballot, value, by }))
    }

    /// A value is chosen because one is that carries it.
    fn choose_carried(&mut self, position: Position, value: Value) -> Result<(), Finding> {
        match self.chosen(position) {
            Some(chosen) if *chosen != value => Err(Finding::new(
                Invariant::ChosenStaysChosen,
                format!(
                    "{position} was chosen with {chosen}, and now with a later slot as {value}"
                ),
            )),
            _ => {
                self.chosen.insert(position, Chosen::Value(value));
                Ok(())
            }
        }
    }

    /// A replica knows or executes `value` as the one that is chosen in `position`.
    pub fn learned(
        &self,
        learner: NodeId,
        position: Position,
        value: &Value,
    ) -> Result<(), Finding> {
        let (invariant, how) = match self.chosen(position) {
            None if self.chosen.contains_key(&position) => return Ok(()),
            // What a replica executed it tells without the stamp.
            Some(chosen) if chosen.command() == value.command() => return Ok(()),
            Some(chosen) => (
                Invariant::Agreement,
                format!("{learner} learned {value} in {position}, where {chosen} is chosen"),
            ),
            None => (
                Invariant::Validity,
                format!("{learner} learned {value} in {position}, where nothing is chosen"),
            ),
        };
        Err(Finding::new(invariant, how))
    }

    /// The value that is chosen in `position`, if one is and it is known.
    pub fn chosen(&self, position: Position) -> Option<&Value> {
        match self.chosen.get(&position)? {
            Chosen::Value(value) => Some(value),
            Chosen::At(ballot) => self.tallies.get(&(position, *ballot))?.value.as_ref(),
        }
    }

    /// Every position in which a value is chosen.
    pub fn all_chosen(&self) -> impl Iterator<Item = (Position, Option<&Value>)> {
        self.chosen.keys().map(|position| (*position, self.chosen(*position)))
    }

    /// Whether `value` was proposed or voted for in `position` at a lower ballot.
    pub fn is_older(&self, position: Position, ballot: Ballot, value: &Value) -> bool {
        let below = self.tallies.range((position, Ballot::NONE)..(position, ballot));
        below.into_iter().any(|(_, tally)| tally.value.as_ref() == Some(value))
    }

    fn tally(
        &mut self,
        position: Position,
        ballot: Ballot,
        proposed: Option<Proposed<'_>>,
    ) -> Result<&mut Tally, Finding> {
        let empty = || Tally { value: None, carried: Vec::new(), voters: NodeSet::EMPTY };
        let tally = self.tallies.entry((position, ballot)).or_insert_with(empty);
        let Some(Proposed { value, carried }) = proposed else { return Ok(tally) };
        match &tally.value {
            Some(known) if known != value => {
                let how = format!("{position} at {ballot}: votes for {known} and for {value}");
                return Err(Finding::new(Invariant::Agreement, how));
            }
            Some(_) => {}
            None => {
                tally.value = Some(value.clone());
                tally.carried = carried.to_vec();
            }
        }
        Ok(tally)
    }
}

//! What is watched while a run goes on: promises, votes, and what is chosen by them.
//!
//! It sees what replicas tell, not what they are: a promise or a vote counts from the moment it was
//! told, and what was told once is held against its acceptor for the rest of the run.
//! What clients saw and what was executed is judged at the end, by the check of histories.

use std::collections::{BTreeMap, BTreeSet};

use super::property::{Property, Violation};
use crate::command::{Command, RequestId};
use crate::paxos::{Acceptor, Ballot, Message, Record, Scope, Value};
use crate::protocol::{Executed, Reply, Slot};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::Time;

/// The verdict on one thing that happened.
pub(super) type Verdict = Result<(), Violation>;

/// What is known of a run from what its replicas told.
#[derive(Debug)]
pub(super) struct Watch {
    quorums: QuorumSystem,
    slots: Vec<SlotFacts>,
    /// What each acceptor told, and may not be without.
    told: Vec<Told>,
    /// The part of it that waited for the disk, as it must: it is told in the order of its ballots.
    released: Vec<Told>,
    /// By replica: it told that the slots below are durably executed.
    durable_below: Vec<Slot>,
    /// What a replica has durably executed it may forget, whatever the others have.
    is_own_forgettable: bool,
    /// Requests without an answer.
    outstanding: BTreeSet<RequestId>,
    /// By client: how many requests it issued.
    issued: Vec<u64>,
    /// By replica: the highest ballot of its Phase1a, in all its lives and in those before the last crash.
    asked: Vec<Ballot>,
    asked_before_crash: Vec<Ballot>,
    /// The phase-2 quorum of each ballot, where each has its own.
    announced: BTreeMap<Ballot, NodeSet>,
    /// When the last slot of all was chosen.
    end_chosen_at: Option<Time>,
    /// The slot in which the leader of each ballot first proposed each request, if leaders propose.
    proposed: Option<BTreeMap<(Ballot, RequestId), Slot>>,
}

/// What is known of one slot.
#[derive(Clone, Debug, Default)]
struct SlotFacts {
    ballots: Vec<Votes>,
    chosen: Option<Chosen>,
}

/// The votes of one slot at one ballot.
#[derive(Clone, Debug)]
struct Votes {
    ballot: Ballot,
    /// What was proposed or voted for; none yet if only the vote was heard of.
    value: Option<Value>,
    /// Acceptors that voted, durably or not.
    given_by: NodeSet,
    /// Acceptors that told their vote.
    told_by: NodeSet,
}

/// A value that a phase-2 quorum told its votes for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) slot: Slot,
    pub(super) ballot: Ballot,
    pub(super) value: Option<Value>,
    pub(super) by: NodeSet,
}

/// What an acceptor told, and must never take back.
#[derive(Clone, Debug, Default)]
struct Told {
    /// The highest ballot promised in all slots.
    promised: Ballot,
    /// The highest ballot promised or voted at, by slot.
    slots: Vec<Ballot>,
    /// The highest ballot voted at, by slot.
    votes: Vec<Ballot>,
}

impl Watch {
    pub(super) fn new(
        quorums: &QuorumSystem,
        client_count: usize,
        is_own_forgettable: bool,
        has_leaders: bool,
    ) -> Self {
        let n = quorums.n();
        Self {
            quorums: quorums.clone(),
            slots: Vec::new(),
            told: vec![Told::default(); n],
            released: vec![Told::default(); n],
            durable_below: vec![Slot::ZERO; n],
            is_own_forgettable,
            outstanding: BTreeSet::new(),
            issued: vec![0; client_count],
            asked: vec![Ballot::NONE; n],
            asked_before_crash: vec![Ballot::NONE; n],
            announced: BTreeMap::new(),
            end_chosen_at: None,
            proposed: has_leaders.then(BTreeMap::new),
        }
    }

    /// Requests without an answer.
    pub(super) const fn outstanding(&self) -> &BTreeSet<RequestId> {
        &self.outstanding
    }

    /// When the last slot of all was chosen, if any was.
    pub(super) const fn end_chosen_at(&self) -> Option<Time> {
        self.end_chosen_at
    }

    /// A client asks, for the first time or again.
    pub(super) fn asked(&mut self, command: &Command) {
        let issued = &mut self.issued[command.request.client.0 as usize];
        if command.request.sequence >= *issued {
            *issued = command.request.sequence + 1;
            self.outstanding.insert(command.request);
        }
    }

    /// A client is told.
    pub(super) fn answered(&mut self, reply: &Reply) {
        if let Reply::Executed { request, .. } = reply {
            self.outstanding.remove(request);
        }
    }

    /// An acceptor gives votes to its disk.
    pub(super) fn recorded(&mut self, by: NodeId, records: &[Record]) -> Verdict {
        for record in records {
            if let Record::Vote { slot, vote } = record {
                let votes = self.votes(*slot, vote.ballot);
                votes.given_by.insert(by);
                votes.set_value(*slot, &vote.value)?;
            }
        }
        Ok(())
    }

    /// A message that waited for the disk may leave: it must not take back what left before.
    pub(super) fn released(
        &mut self,
        now: Time,
        by: NodeId,
        message: &Message,
        chosen: &mut Vec<Chosen>,
    ) -> Verdict {
        let forgettable_below = self.forgettable_below(by);
        let released = &mut self.released[usize::from(by.0)];
        match message {
            Message::Phase1b { ballot, scope, .. } => {
                released.check_promise(by, *ballot, *scope, forgettable_below)?;
                released.promise(*ballot, *scope);
            }
            Message::Phase2b { ballot, first, last } => {
                for slot in (first.0..=last.0).map(Slot) {
                    released.check_vote(by, *ballot, slot)?;
                    released.vote(*ballot, slot);
                }
            }
            _ => {}
        }
        self.told(now, by, message, chosen)
    }

    /// A message leaves; a slot that is chosen by it is added to `chosen`.
    pub(super) fn told(
        &mut self,
        now: Time,
        by: NodeId,
        message: &Message,
        chosen: &mut Vec<Chosen>,
    ) -> Verdict {
        match message {
            Message::Phase1a { ballot, quorum, .. } => {
                if let Some(quorum) = quorum {
                    self.announced.insert(*ballot, *quorum);
                }
                self.check_ballot(by, *ballot)
            }
            Message::Phase1b { ballot, scope, .. } => {
                self.told[usize::from(by.0)].promise(*ballot, *scope);
                Ok(())
            }
            Message::Phase2a { ballot, slot, value, .. } => {
                self.check_proposed_once(by, *ballot, *slot, value)?;
                self.votes(*slot, *ballot).set_value(*slot, value)
            }
            Message::Phase2b { ballot, first, last } => {
                for slot in (first.0..=last.0).map(Slot) {
                    self.told[usize::from(by.0)].vote(*ballot, slot);
                    self.count(now, by, *ballot, slot, chosen)?;
                }
                Ok(())
            }
            Message::Executed { below } => {
                let known = &mut self.durable_below[usize::from(by.0)];
                *known = (*known).max(*below);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A proposer asks for promises: never at a ballot that it may have used before a crash.
    fn check_ballot(&mut self, by: NodeId, ballot: Ballot) -> Verdict {
        let place = usize::from(by.0);
        self.asked[place] = self.asked[place].max(ballot);
        if ballot > self.asked_before_crash[place] {
            return Ok(());
        }
        let sentence = format!("{by} used {ballot} before it crashed, and asks with it again");
        Err(Violation { property: Property::BallotsUnique, sentence })
    }

    /// A leader proposes a value: a command that it did not adopt has one slot at its ballot, however
    /// often its client asks.
    fn check_proposed_once(
        &mut self,
        by: NodeId,
        ballot: Ballot,
        slot: Slot,
        value: &Value,
    ) -> Verdict {
        let (Some(proposed), Some(command)) = (&mut self.proposed, value.command()) else {
            return Ok(());
        };
        let before = self.slots.get(place(slot)).into_iter().flat_map(|facts| &facts.ballots);
        let is_it = |votes: &Votes| votes.ballot < ballot && votes.value.as_ref() == Some(value);
        if before.into_iter().any(is_it) {
            return Ok(());
        }
        let first = *proposed.entry((ballot, command.request)).or_insert(slot);
        if first == slot {
            return Ok(());
        }
        let what = named(Some(value));
        let sentence = format!("{by} proposed {what} in {first} and again in {slot}, at {ballot}");
        Err(Violation { property: Property::ProposedOnce, sentence })
    }

    /// A replica executes a slot: a phase-2 quorum must have voted for what it executes.
    pub(super) fn executed(&mut self, by: NodeId, executed: &Executed) -> Verdict {
        let Executed { slot, command, .. } = executed;
        let is_it = |value: &Value| value.command() == command.as_ref();
        let quorums = &self.quorums;
        let facts = self.slots.get(place(*slot));
        let mut ballots = facts.into_iter().flat_map(|facts| &facts.ballots);
        let is_chosen = |votes: &Votes| {
            let announced = self.announced.get(&votes.ballot).copied();
            votes.value.as_ref().is_some_and(is_it)
                && quorums.is_phase2_at(votes.given_by, announced)
        };
        if ballots.any(is_chosen) {
            return Ok(());
        }
        let value = command.clone().map_or(Value::Noop, Value::Command);
        let what = named(Some(&value));
        let sentence = format!("{slot}: {by} executed {what}, for which no phase-2 quorum voted");
        Err(Violation { property: Property::ChosenStaysChosen, sentence })
    }

    /// A replica has started again: its acceptor must hold all that it told.
    ///
    /// It has executed the slots below `executed_below`.
    pub(super) fn restarted(
        &mut self,
        replica: NodeId,
        acceptor: &Acceptor,
        executed_below: Slot,
    ) -> Verdict {
        self.asked_before_crash[usize::from(replica.0)] = self.asked[usize::from(replica.0)];
        // What every replica has durably executed may be forgotten; a single one tells nobody.
        let forgettable_below = if self.durable_below.len() == 1 {
            executed_below
        } else {
            // It starts from a checkpoint, of which it may have had no time to tell.
            let known = &mut self.durable_below[usize::from(replica.0)];
            *known = (*known).max(executed_below);
            self.forgettable_below(replica)
        };
        let told = &self.told[usize::from(replica.0)];
        let beyond = Slot(told.slots.len() as u64);
        let forgotten = (forgettable_below.0..=beyond.0).map(Slot).find(|slot| {
            let least = told.promised.max(at(&told.slots, *slot));
            acceptor.promised(*slot) < least
        });
        if let Some(slot) = forgotten {
            let least = told.promised.max(at(&told.slots, slot));
            return Err(fell(format!(
                "{replica} told that it promised {least} in {slot}, and restarts with {}",
                acceptor.promised(slot)
            )));
        }
        let lost = (forgettable_below.0..beyond.0).map(Slot).find(|slot| {
            let ballot = acceptor.vote(*slot).map_or(Ballot::NONE, |vote| vote.ballot);
            ballot < at(&told.votes, *slot)
        });
        match lost {
            Some(slot) => Err(fell(format!(
                "{replica} told that it voted at {} in {slot}, and restarts without that vote",
                at(&told.votes, slot)
            ))),
            None => Ok(()),
        }
    }

    /// Every replica, or this one, told that it has durably executed the slots below: who forgets what
    /// was promised there takes nothing back, for nobody will ever propose there, or it will not vote.
    fn forgettable_below(&self, by: NodeId) -> Slot {
        if self.is_own_forgettable {
            return self.durable_below[usize::from(by.0)];
        }
        self.durable_below.iter().min().copied().unwrap_or_default()
    }

    /// A vote is told: with those of a phase-2 quorum the value is chosen, and no other may ever be.
    fn count(
        &mut self,
        now: Time,
        by: NodeId,
        ballot: Ballot,
        slot: Slot,
        chosen: &mut Vec<Chosen>,
    ) -> Verdict {
        let announced = self.announced.get(&ballot).copied();
        let votes = self.votes(slot, ballot);
        votes.given_by.insert(by);
        if !votes.told_by.insert(by) {
            return Ok(());
        }
        let (told_by, value) = (votes.told_by, votes.value.clone());
        if !self.quorums.is_phase2_at(told_by, announced) {
            return Ok(());
        }
        let is_end = self.slots.len() == place(slot) + 1;
        let known = &mut self.slots[place(slot)].chosen;
        if let Some(first) = known {
            return first.compare(ballot, value.as_ref());
        }
        let news = Chosen { slot, ballot, value, by: told_by };
        chosen.push(news.clone());
        *known = Some(news);
        if is_end {
            self.end_chosen_at = Some(now);
        }
        Ok(())
    }

    fn votes(&mut self, slot: Slot, ballot: Ballot) -> &mut Votes {
        let place = place(slot);
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, SlotFacts::default);
            // The last slot is another one, and not chosen yet.
            self.end_chosen_at = None;
        }
        let ballots = &mut self.slots[place].ballots;
        let index = ballots.iter().position(|votes| votes.ballot == ballot);
        let index = index.unwrap_or_else(|| {
            let (given_by, told_by) = (NodeSet::EMPTY, NodeSet::EMPTY);
            ballots.push(Votes { ballot, value: None, given_by, told_by });
            ballots.len() - 1
        });
        &mut ballots[index]
    }
}

impl Votes {
    fn set_value(&mut self, slot: Slot, value: &Value) -> Verdict {
        match &self.value {
            None => self.value = Some(value.clone()),
            Some(known) if known == value => {}
            Some(known) => {
                let (ballot, known, other) = (self.ballot, named(Some(known)), named(Some(value)));
                let sentence = format!("{slot}: two values at {ballot}: {known} and {other}");
                return Err(Violation { property: Property::ChosenStaysChosen, sentence });
            }
        }
        Ok(())
    }
}

impl Chosen {
    fn compare(&self, ballot: Ballot, value: Option<&Value>) -> Verdict {
        let (Some(known), Some(value)) = (&self.value, value) else { return Ok(()) };
        if known == value {
            return Ok(());
        }
        let Self { slot, ballot: first, .. } = self;
        let (known, value) = (named(Some(known)), named(Some(value)));
        let sentence = format!("{slot}: {known} was chosen at {first}, and {value} at {ballot}");
        Err(Violation { property: Property::ChosenStaysChosen, sentence })
    }
}

impl Told {
    fn check_promise(
        &self,
        by: NodeId,
        ballot: Ballot,
        scope: Scope,
        forgettable_below: Slot,
    ) -> Verdict {
        let least = match scope {
            Scope::Only(slot) if slot < forgettable_below => self.promised,
            Scope::Only(slot) => self.promised.max(at(&self.slots, slot)),
            Scope::From(slot) => {
                let first = place(slot.max(forgettable_below));
                let later = self.slots.iter().skip(first).copied();
                later.fold(self.promised, Ballot::max)
            }
        };
        if ballot < least {
            return Err(fell(format!("{by} promised {ballot} {scope} after it told {least}")));
        }
        Ok(())
    }

    fn check_vote(&self, by: NodeId, ballot: Ballot, slot: Slot) -> Verdict {
        let least = self.promised.max(at(&self.slots, slot));
        if ballot < least {
            return Err(fell(format!("{by} voted at {ballot} in {slot} after it told {least}")));
        }
        Ok(())
    }

    fn promise(&mut self, ballot: Ballot, scope: Scope) {
        match scope {
            Scope::Only(slot) => raise(&mut self.slots, slot, ballot),
            Scope::From(_) => self.promised = self.promised.max(ballot),
        }
    }

    fn vote(&mut self, ballot: Ballot, slot: Slot) {
        raise(&mut self.slots, slot, ballot);
        raise(&mut self.votes, slot, ballot);
    }
}

/// `x=1 (c0, request 3)`.
pub(super) fn named(value: Option<&Value>) -> String {
    match value {
        None => "something".to_owned(),
        Some(Value::Noop) => "no-op".to_owned(),
        Some(Value::Command(command)) => {
            let RequestId { client, sequence } = command.request;
            format!("{command} (c{}, request {sequence})", client.0)
        }
    }
}

fn fell(sentence: String) -> Violation {
    Violation { property: Property::PromisesNeverFall, sentence }
}

fn place(slot: Slot) -> usize {
    usize::try_from(slot.0).expect("the slots of a run fit in memory")
}

fn at(ballots: &[Ballot], slot: Slot) -> Ballot {
    ballots.get(place(slot)).copied().unwrap_or(Ballot::NONE)
}

fn raise(ballots: &mut Vec<Ballot>, slot: Slot, ballot: Ballot) {
    let place = place(slot);
    if ballots.len() <= place {
        ballots.resize(place + 1, Ballot::NONE);
    }
    ballots[place] = ballots[place].max(ballot);
}

#[cfg(test)]
mod tests;

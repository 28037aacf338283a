//! What has happened for good: votes cast, values chosen, writes acknowledged and applied.
//!
//! A value is chosen when a phase-2 quorum has voted for it at one ballot, durably or by having told
//! so; nobody in the system needs to know it.
//! Only what may still contradict the future is kept, so that different pasts become one state.

use std::collections::BTreeMap;

use super::claim::Claim;
use crate::command::{Command, RequestId};
use crate::paxos::{Ballot, Value, Vote};
use crate::protocol::{Executed, Slot};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};

/// Something false, and how.
pub(super) type Finding = (Claim, String);

/// The votes for one value at one ballot in one slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tally {
    value: Value,
    voters: NodeSet,
}

/// The past, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    pub(super) chosen: BTreeMap<Slot, Value>,
    /// Votes for values that are not chosen in their slot.
    tallies: BTreeMap<(Slot, Ballot), Tally>,
    /// The slot that each acknowledged write was said to be in.
    acknowledged: BTreeMap<RequestId, Slot>,
    /// The slot in which each request changed the state machine.
    applied: BTreeMap<RequestId, Slot>,
    /// What was executed first in each slot.
    executed: BTreeMap<Slot, Value>,
}

impl Ledger {
    /// An acceptor voted, durably or by having told so.
    pub(super) fn vote(
        &mut self,
        quorums: &QuorumSystem,
        voter: NodeId,
        slot: Slot,
        vote: &Vote,
    ) -> Option<Finding> {
        let Vote { ballot, value } = vote;
        let chosen = self.chosen.get(&slot);
        if chosen == Some(value) {
            return None;
        }
        let empty = || Tally { value: value.clone(), voters: NodeSet::EMPTY };
        let tally = self.tallies.entry((slot, *ballot)).or_insert_with(empty);
        if tally.value != *value {
            let how = format!("{slot} at {ballot}: votes for {} and for {value}", tally.value);
            return Some((Claim::Agreement, how));
        }
        tally.voters.insert(voter);
        if !quorums.is_phase2(tally.voters) {
            return None;
        }
        if let Some(chosen) = chosen {
            let how = format!("{slot} was chosen with {chosen}, and now at {ballot} with {value}");
            return Some((Claim::ChosenStays, how));
        }
        self.tallies.retain(|(other, _), tally| *other != slot || tally.value != *value);
        self.chosen.insert(slot, value.clone());
        None
    }

    /// A replica knows `value` to be chosen in `slot`.
    pub(super) fn learned(&self, learner: NodeId, slot: Slot, value: &Value) -> Option<Finding> {
        match self.chosen.get(&slot) {
            Some(chosen) if chosen == value => None,
            Some(chosen) => {
                let how = format!("{learner} learned {value} in {slot}, where {chosen} is chosen");
                Some((Claim::Agreement, how))
            }
            None => {
                let how = format!("{learner} learned {value} in {slot}, where nothing is chosen");
                Some((Claim::Validity, how))
            }
        }
    }

    /// A replica executed a slot; `is_asked` says whether a client has asked for the command.
    pub(super) fn executed(
        &mut self,
        replica: NodeId,
        entry: &Executed,
        is_asked: bool,
    ) -> Vec<Finding> {
        let Executed { slot, command, applied } = entry;
        let value = command.clone().map_or(Value::Noop, Value::Command);
        let mut findings: Vec<Finding> = self.learned(replica, *slot, &value).into_iter().collect();
        if command.is_some() && !is_asked {
            let how = format!("{replica} executed {value} in {slot}, and nobody asked for it");
            findings.push((Claim::Validity, how));
        }
        let first = self.executed.entry(*slot).or_insert_with(|| value.clone());
        if *first != value {
            let how = format!("{replica} executed {value} in {slot}, another one {first}");
            findings.push((Claim::SamePrefix, how));
        }
        findings.extend(self.is_lost(replica, *slot, command.as_ref()));
        if let (Some(command), true) = (command, applied) {
            let first = *self.applied.entry(command.request).or_insert(*slot);
            if first != *slot {
                let how = format!("{command} is applied in {first} and again in {slot}");
                findings.push((Claim::AcknowledgedOnce, how));
            }
        }
        findings
    }

    /// Another value is executed where an acknowledged write is.
    fn is_lost(&self, replica: NodeId, slot: Slot, command: Option<&Command>) -> Option<Finding> {
        let (request, _) = self.acknowledged.iter().find(|(_, told)| **told == slot)?;
        if command.is_some_and(|command| command.request == *request) {
            return None;
        }
        let RequestId { client, sequence } = request;
        let how = format!(
            "{replica} executed something else in {slot}, where write {sequence} of c{} was \
             acknowledged",
            client.0
        );
        Some((Claim::AcknowledgedOnce, how))
    }

    /// A client was told that its write is in `slot`.
    pub(super) fn acknowledged(&mut self, request: RequestId, slot: Slot) -> Option<Finding> {
        let is_there = match self.chosen.get(&slot) {
            Some(Value::Command(command)) => command.request == request,
            Some(Value::Noop) | None => false,
        };
        self.acknowledged.entry(request).or_insert(slot);
        (!is_there).then(|| {
            let RequestId { client, sequence } = request;
            let how =
                format!("write {sequence} of c{} was acknowledged and is not in {slot}", client.0);
            (Claim::AcknowledgedOnce, how)
        })
    }
}

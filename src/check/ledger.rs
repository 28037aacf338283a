//! What has happened for good: votes cast, values chosen, writes acknowledged and applied.
//!
//! A value is chosen when a phase-2 quorum has voted for it at one ballot, durably or by having told
//! so; nobody in the system needs to know it.
//! Only what may still contradict the future is kept, so that different pasts become one state.

use std::collections::BTreeMap;

use super::claim::Claim;
use crate::command::{Command, KeyValue, RequestId};
use crate::paxos::{Ballot, Value, Vote};
use crate::protocol::{Executed, Installed, Slot};
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
    /// The phase-2 quorum of each ballot, where each has its own.
    announced: BTreeMap<Ballot, NodeSet>,
    /// The slot that each acknowledged write was said to be in.
    acknowledged: BTreeMap<RequestId, Slot>,
    /// The slot in which each request changed the state machine.
    applied: BTreeMap<RequestId, Slot>,
    /// What was executed first in each slot.
    executed: BTreeMap<Slot, Value>,
}

impl Ledger {
    /// A proposer announced the phase-2 quorum of its ballot.
    pub(super) fn announced(&mut self, ballot: Ballot, quorum: NodeSet) {
        self.announced.insert(ballot, quorum);
    }

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
        if !quorums.is_phase2_at(tally.voters, self.announced.get(ballot).copied()) {
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

    /// A replica took a state from another one: it is what the chosen values lead to.
    pub(super) fn installed(&self, replica: NodeId, state: &Installed) -> Option<Finding> {
        let Installed { below, digest } = state;
        let mut machine = KeyValue::default();
        for slot in (0..below.0).map(Slot) {
            match self.chosen.get(&slot) {
                Some(Value::Command(command)) => drop(machine.execute(command)),
                Some(Value::Noop) => {}
                None => {
                    let how =
                        format!("{replica} took a state with {slot}, where nothing is chosen");
                    return Some((Claim::SamePrefix, how));
                }
            }
        }
        (machine.digest() != *digest).then(|| {
            let how = format!("{replica} took a state below {below} that no log leads to");
            (Claim::SamePrefix, how)
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClientId, Operation};

    const FIRST: Ballot = Ballot { round: 1, proposer: NodeId(0) };
    const SECOND: Ballot = Ballot { round: 2, proposer: NodeId(1) };

    fn command(client: u32) -> Command {
        let request = RequestId { client: ClientId(client), sequence: 0 };
        Command { request, settled_below: 0, operation: Operation::Get { key: client.into() } }
    }

    fn vote(ledger: &mut Ledger, voter: u8, ballot: Ballot, client: u32) -> Option<Claim> {
        let vote = Vote { ballot, value: Value::Command(command(client)) };
        let majority = QuorumSystem::majority(3);
        ledger.vote(&majority, NodeId(voter), Slot::ZERO, &vote).map(|(claim, _)| claim)
    }

    fn execute(ledger: &mut Ledger, slot: u64, client: u32, is_asked: bool) -> Vec<Claim> {
        let entry = Executed { slot: Slot(slot), command: Some(command(client)), applied: true };
        let findings = ledger.executed(NodeId(2), &entry, is_asked);
        findings.into_iter().map(|(claim, _)| claim).collect()
    }

    /// Slot 0 is chosen with the command of client 0.
    fn chosen() -> Ledger {
        let mut ledger = Ledger::default();
        assert_eq!(vote(&mut ledger, 0, FIRST, 0), None);
        assert!(ledger.chosen.is_empty());
        assert_eq!(vote(&mut ledger, 1, FIRST, 0), None);
        assert_eq!(ledger.chosen.len(), 1);
        ledger
    }

    #[test]
    fn a_value_is_chosen_by_a_quorum_at_one_ballot() {
        let mut ledger = Ledger::default();
        assert_eq!(vote(&mut ledger, 0, FIRST, 0), None);
        assert_eq!(vote(&mut ledger, 0, FIRST, 0), None);
        assert_eq!(vote(&mut ledger, 1, SECOND, 0), None);
        assert!(ledger.chosen.is_empty());
        assert_eq!(vote(&mut ledger, 2, FIRST, 1), Some(Claim::Agreement));
    }

    #[test]
    fn a_second_choice_is_found_and_the_same_again_is_none() {
        let mut ledger = chosen();
        assert_eq!(vote(&mut ledger, 2, SECOND, 0), None);
        assert_eq!(vote(&mut ledger, 1, SECOND, 1), None);
        assert_eq!(vote(&mut ledger, 0, SECOND, 1), Some(Claim::ChosenStays));
    }

    #[test]
    fn what_is_learned_is_what_is_chosen() {
        let ledger = chosen();
        let learned = |slot, client| {
            let value = Value::Command(command(client));
            ledger.learned(NodeId(2), Slot(slot), &value).map(|(claim, _)| claim)
        };
        assert_eq!(learned(0, 0), None);
        assert_eq!(learned(0, 1), Some(Claim::Agreement));
        assert_eq!(learned(1, 1), Some(Claim::Validity));
    }

    #[test]
    fn what_is_executed_was_asked_for_and_is_the_same_everywhere() {
        let mut ledger = chosen();
        assert_eq!(execute(&mut ledger, 0, 0, true), []);
        assert_eq!(execute(&mut ledger, 0, 0, false), [Claim::Validity]);
        assert_eq!(execute(&mut ledger, 0, 1, true), [Claim::Agreement, Claim::SamePrefix]);
    }

    #[test]
    fn an_acknowledged_write_is_there_and_applied_once() {
        let mut ledger = chosen();
        let request = |client| command(client).request;
        assert_eq!(ledger.acknowledged(request(0), Slot::ZERO), None);
        let lost = ledger.acknowledged(request(1), Slot::ZERO).map(|(claim, _)| claim);
        assert_eq!(lost, Some(Claim::AcknowledgedOnce));
        assert_eq!(execute(&mut ledger, 0, 0, true), []);
        let twice = execute(&mut ledger, 1, 0, true);
        assert_eq!(twice, [Claim::Validity, Claim::AcknowledgedOnce]);
    }
}

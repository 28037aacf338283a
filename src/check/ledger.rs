//! What has happened for good: values chosen, writes acknowledged and applied.
//!
//! Only what may still contradict the future is kept, so that different pasts become one state.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::command::{Command, KeyValue, RequestId};
use crate::monitor::{Finding, Invariant, Memory, Votes};
use crate::protocol::{Executed, Installed, Order, Position, Slot, Value};
use crate::quorum::NodeId;

/// The past, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    pub(super) votes: Votes,
    /// Where each acknowledged write was said to be.
    acknowledged: BTreeMap<RequestId, Position>,
    /// Where each request changed the state machine.
    applied: BTreeMap<RequestId, Position>,
    /// What was executed first at each position.
    executed: BTreeMap<Position, Value>,
    /// A read that was answered saw every slot below this.
    read_below: Slot,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            votes: Votes::new(Memory::Least),
            acknowledged: BTreeMap::new(),
            applied: BTreeMap::new(),
            executed: BTreeMap::new(),
            read_below: Slot::ZERO,
        }
    }
}

impl Ledger {
    /// A replica executed a slot; `is_asked` says whether a client has asked for the command.
    pub(super) fn executed(
        &mut self,
        order: Order,
        replica: NodeId,
        entry: &Executed,
        is_asked: bool,
    ) -> Vec<Finding> {
        let Executed { slot, command, applied } = entry;
        let value = command.clone().map_or(Value::Noop, Value::Command);
        let position = order.position(*slot, command.as_deref());
        let learned = self.votes.learned(replica, position, &value);
        let mut findings: Vec<Finding> = learned.err().into_iter().collect();
        if command.is_some() && !is_asked {
            let how = format!("{replica} executed {value} in {position}, and nobody asked for it");
            findings.push(Finding::new(Invariant::Validity, how));
        }
        let first = self.executed.entry(position).or_insert_with(|| value.clone());
        if *first != value {
            let how = format!("{replica} executed {value} in {position}, another one {first}");
            findings.push(Finding::new(Invariant::SamePrefix, how));
        }
        findings.extend(self.is_lost(replica, position, command.as_deref()));
        if let (Some(command), true) = (command, applied) {
            let first = *self.applied.entry(command.request).or_insert(position);
            if first != position {
                let how = format!("{command} is applied in {first} and again in {position}");
                findings.push(Finding::new(Invariant::ExactlyOnce, how));
            }
        }
        findings
    }

    /// A replica took a state from another one: it is what the chosen values lead to.
    pub(super) fn installed(&self, replica: NodeId, state: &Installed) -> Option<Finding> {
        let Installed { below, digest } = state;
        let mut machine = KeyValue::default();
        for slot in (0..below.0).map(Slot) {
            let Some(value) = self.votes.chosen(Position::of(slot)) else {
                let how = format!("{replica} took a state with {slot}, where nothing is chosen");
                return Some(Finding::new(Invariant::SamePrefix, how));
            };
            if let Some(command) = value.command() {
                machine.execute(command);
            }
        }
        (machine.digest() != *digest).then(|| {
            let how = format!("{replica} took a state below {below} that no log leads to");
            Finding::new(Invariant::SamePrefix, how)
        })
    }

    /// Another value is executed where an acknowledged write is.
    fn is_lost(
        &self,
        replica: NodeId,
        position: Position,
        command: Option<&Command>,
    ) -> Option<Finding> {
        let (request, _) = self.acknowledged.iter().find(|(_, told)| **told == position)?;
        if command.is_some_and(|command| command.request == *request) {
            return None;
        }
        let RequestId { client, sequence } = request;
        let how = format!(
            "{replica} executed something else in {position}, where write {sequence} of c{} was \
             acknowledged",
            client.0
        );
        Some(Finding::new(Invariant::ExactlyOnce, how))
    }

    /// What clients were told so far is about slots below this.
    pub(super) fn ended_below(&self) -> Slot {
        let last = self.acknowledged.values().map(|told| told.slot.next()).max();
        last.unwrap_or_default().max(self.read_below)
    }

    /// A client was told what it read beside the log: it had to see every slot below the first bound, and is said to
    /// have seen every one below the second.
    pub(super) fn read(
        &mut self,
        request: RequestId,
        key: u64,
        (must_see, below): (Slot, Slot),
        value: Option<&Bytes>,
    ) -> Option<Finding> {
        let reader = format!("read {} of c{}", request.sequence, request.client.0);
        let finding = |how| Some(Finding::new(Invariant::Linearizability, how));
        if below < must_see {
            return finding(format!(
                "{reader} saw nothing from {below} on, and what ended before it is below {must_see}"
            ));
        }
        self.read_below = self.read_below.max(below);
        let mut machine = KeyValue::default();
        for slot in (0..below.0).map(Slot) {
            let position = Position::of(slot);
            // Who answers may have executed the slot in the same turn, of which the observer hears afterwards.
            let value = self.executed.get(&position).or_else(|| self.votes.chosen(position));
            let Some(value) = value else {
                return finding(format!("{reader} saw {slot}, in which nothing is chosen"));
            };
            if let Some(command) = value.command() {
                machine.execute(command);
            }
        }
        if machine.value(key) == value {
            return None;
        }
        finding(format!("{reader} did not read what the slots below {below} wrote"))
    }

    /// A client was told that its write is at `position`.
    pub(super) fn acknowledged(
        &mut self,
        request: RequestId,
        position: Position,
    ) -> Option<Finding> {
        let chosen = self.votes.chosen(position).and_then(Value::command);
        let is_there = chosen.is_some_and(|command| command.request == request);
        self.acknowledged.entry(request).or_insert(position);
        (!is_there).then(|| {
            let RequestId { client, sequence } = request;
            let how = format!(
                "write {sequence} of c{} was acknowledged and is not in {position}",
                client.0
            );
            Finding::new(Invariant::ExactlyOnce, how)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClientId, Operation};
    use crate::protocol::Ballot;
    use crate::quorum::QuorumSystem;

    fn command(client: u32) -> Command {
        let request = RequestId { client: ClientId(client), sequence: 0 };
        Command { request, settled_below: 0, operation: Operation::Get { key: client.into() } }
    }

    fn execute(ledger: &mut Ledger, slot: u64, client: u32, is_asked: bool) -> Vec<Invariant> {
        let entry =
            Executed { slot: Slot(slot), command: Some(command(client).into()), applied: true };
        let findings = ledger.executed(Order::Total, NodeId(2), &entry, is_asked);
        findings.into_iter().map(|finding| finding.invariant).collect()
    }

    /// Slot 0 is chosen with the command of client 0.
    fn chosen() -> Ledger {
        let mut ledger = Ledger::default();
        let ballot = Ballot { round: 1, proposer: NodeId(0) };
        let (majority, value) = (QuorumSystem::majority(3), Value::from(command(0)));
        for voter in [0, 1] {
            let at = (Position::default(), ballot);
            ledger.votes.vote(&majority, NodeId(voter), at, Some((&value).into())).unwrap();
        }
        ledger
    }

    #[test]
    fn what_is_executed_was_asked_for_and_is_the_same_everywhere() {
        let mut ledger = chosen();
        assert_eq!(execute(&mut ledger, 0, 0, true), []);
        assert_eq!(execute(&mut ledger, 0, 0, false), [Invariant::Validity]);
        assert_eq!(execute(&mut ledger, 0, 1, true), [Invariant::Agreement, Invariant::SamePrefix]);
    }

    #[test]
    fn an_acknowledged_write_is_there_and_applied_once() {
        let mut ledger = chosen();
        let request = |client| command(client).request;
        assert_eq!(ledger.acknowledged(request(0), Position::default()), None);
        let lost =
            ledger.acknowledged(request(1), Position::default()).map(|finding| finding.invariant);
        assert_eq!(lost, Some(Invariant::ExactlyOnce));
        assert_eq!(execute(&mut ledger, 0, 0, true), []);
        let twice = execute(&mut ledger, 1, 0, true);
        assert_eq!(twice, [Invariant::Validity, Invariant::ExactlyOnce]);
    }
}

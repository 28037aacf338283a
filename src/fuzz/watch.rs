//! Watches a run while it goes on: promises, votes, and the values that votes choose.
//!
//! The watch sees only messages and records. A promise or a vote counts from the moment at which the
//! acceptor tells it, and binds the acceptor for the rest of the run.
//! The check of histories judges at the end what clients saw and what replicas executed.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Operation, RequestId, entry_digest};
use crate::history;
use crate::monitor::{Choice, Finding, Invariant, Memory, Proposed, Told, Votes};
use crate::protocol::{Ballot, Executed, Order, Position, Protocol, Reply, Slot, Statement, Value};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::Time;

/// The verdict on one thing that happened.
pub(super) type Verdict = Result<(), Finding>;

/// What is known of a run from what its replicas told.
#[derive(Debug)]
pub(super) struct Watch {
    order: Order,
    quorums: QuorumSystem,
    votes: Votes,
    /// What each replica told, and may not be without.
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
    /// The last slot for which anybody proposed or voted, where there is one order.
    last_slot: Option<Slot>,
    /// When that slot was chosen.
    end_chosen_at: Option<Time>,
    /// The slot in which the leader of each ballot first proposed each request, if leaders propose.
    proposed: Option<BTreeMap<(Ballot, RequestId), Slot>>,
    /// What the log says that replicas store.
    stored: Stored,
}

/// What replicas store by the log alone: the last write on each key of those that were executed, each request once.
///
/// It shares no code with the state machine of the replicas.
#[derive(Debug, Default)]
struct Stored {
    values: BTreeMap<u64, u32>,
    applied: BTreeSet<RequestId>,
    /// The digest of the values after so many slots; nothing was executed after none.
    digests: Vec<u64>,
}

impl Stored {
    /// The digest of what is stored when every slot below `below` is executed; none, if nobody executed so far.
    fn digest(&self, below: Slot) -> Option<u64> {
        let count = usize::try_from(below.0).ok()?;
        if count == 0 { Some(0) } else { self.digests.get(count - 1).copied() }
    }

    /// A replica executes a slot: the first one to do so executed all before it, or took them from others that did.
    fn execute(&mut self, executed: &Executed) {
        if executed.slot.0 != self.digests.len() as u64 {
            return;
        }
        let mut digest = self.digests.last().copied().unwrap_or_default();
        if let Some(command) = &executed.command
            && self.applied.insert(command.request)
            && let Operation::Put { key, value } = &command.operation
        {
            let entry = history::digest(value);
            let before = self.values.insert(*key, entry);
            let before = before.map_or(0, |before| entry_digest(*key, before));
            digest = digest.wrapping_sub(before).wrapping_add(entry_digest(*key, entry));
        }
        self.digests.push(digest);
    }
}

impl Watch {
    pub(super) fn new(
        order: Order,
        quorums: &QuorumSystem,
        client_count: usize,
        is_own_forgettable: bool,
        has_leaders: bool,
    ) -> Self {
        let n = quorums.n();
        Self {
            order,
            quorums: quorums.clone(),
            votes: Votes::new(Memory::Whole),
            told: vec![Told::default(); n],
            released: vec![Told::default(); n],
            durable_below: vec![Slot::ZERO; n],
            is_own_forgettable,
            outstanding: BTreeSet::new(),
            issued: vec![0; client_count],
            last_slot: None,
            end_chosen_at: None,
            proposed: has_leaders.then(BTreeMap::new),
            stored: Stored::default(),
        }
    }

    /// A replica that has executed every slot below `below` stores what has this digest: it must be what these wrote.
    pub(super) fn check_stored(&self, id: NodeId, below: Slot, stored: u64) -> Verdict {
        if self.stored.digest(below) == Some(stored) {
            return Ok(());
        }
        let how = format!(
            "{id} has executed every slot below {}, and does not store what they wrote",
            below.0
        );
        Err(Finding::new(Invariant::Agreement, how))
    }

    /// Requests without an answer.
    pub(super) const fn outstanding(&self) -> &BTreeSet<RequestId> {
        &self.outstanding
    }

    /// When the last slot of all was chosen, if it was.
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
        if reply.is_answer() {
            self.outstanding.remove(&reply.request());
        }
    }

    /// An acceptor gives votes to its disk; a vote counts when it is told, and this is its value.
    pub(super) fn recorded(&mut self, record: &Statement<'_>) -> Verdict {
        match record {
            Statement::Vote { ballot, position, value, carried } => {
                self.propose(*position, *ballot, Proposed { value, carried })
            }
            _ => Ok(()),
        }
    }

    /// A message that waited for the disk may leave: it must not take back what left before.
    pub(super) fn released(
        &mut self,
        now: Time,
        by: NodeId,
        statement: &Statement<'_>,
        chosen: &mut Vec<Choice>,
    ) -> Verdict {
        let forgettable_below = self.forgettable_below(by);
        let released = &mut self.released[usize::from(by.0)];
        released.check_order(by, statement, forgettable_below)?;
        released.tell(by, statement)?;
        self.told(now, by, statement, chosen)
    }

    /// A message leaves; a slot that is chosen by it is added to `chosen`.
    pub(super) fn told(
        &mut self,
        now: Time,
        by: NodeId,
        statement: &Statement<'_>,
        chosen: &mut Vec<Choice>,
    ) -> Verdict {
        self.told[usize::from(by.0)].tell(by, statement)?;
        match *statement {
            Statement::Asks { ballot, quorum: Some(quorum), .. } => {
                self.votes.announce(ballot, quorum);
            }
            Statement::Proposes { ballot, position, value, carried, .. } => {
                self.check_proposed_once(by, ballot, position, value)?;
                self.propose(position, ballot, Proposed { value, carried })?;
            }
            Statement::Voted { ballot, log, first, last, .. } => {
                for slot in (first.0..=last.0).map(Slot) {
                    let position = Position { log, slot };
                    self.reach(slot);
                    let choice = self.votes.vote(&self.quorums, by, (position, ballot), None)?;
                    if choice.is_some() && self.last_slot == Some(slot) {
                        self.end_chosen_at = Some(now);
                    }
                    chosen.extend(choice);
                }
            }
            Statement::Executed { below } => {
                let known = &mut self.durable_below[usize::from(by.0)];
                *known = (*known).max(below);
            }
            _ => {}
        }
        Ok(())
    }

    fn propose(&mut self, position: Position, ballot: Ballot, proposed: Proposed<'_>) -> Verdict {
        self.reach(position.slot);
        self.votes.propose(position, ballot, proposed)
    }

    /// A slot is used; a last one that is new is not chosen yet.
    fn reach(&mut self, slot: Slot) {
        if self.order == Order::Total && self.last_slot.is_none_or(|last| last < slot) {
            self.last_slot = Some(slot);
            self.end_chosen_at = None;
        }
    }

    /// A leader proposes a value: a command that it did not adopt has one slot at its ballot, however
    /// often its client asks.
    fn check_proposed_once(
        &mut self,
        by: NodeId,
        ballot: Ballot,
        position: Position,
        value: &Value,
    ) -> Verdict {
        let slot = position.slot;
        let (Some(proposed), Some(command)) = (&mut self.proposed, value.command()) else {
            return Ok(());
        };
        if self.votes.is_older(position, ballot, value) {
            return Ok(());
        }
        let first = *proposed.entry((ballot, command.request)).or_insert(slot);
        if first == slot {
            return Ok(());
        }
        let what = named(Some(value));
        let how = format!("{by} proposed {what} in {first} and again in {slot}, at {ballot}");
        Err(Finding::new(Invariant::ProposedOnce, how))
    }

    /// A replica executes a slot: a phase-2 quorum must have told its votes for what it executes.
    pub(super) fn executed(&mut self, by: NodeId, executed: &Executed) -> Verdict {
        if self.order == Order::Total {
            self.stored.execute(executed);
        }
        let value = executed.command.clone().map_or(Value::Noop, Value::Command);
        let position = self.order.position(executed.slot, executed.command.as_deref());
        self.votes.learned(by, position, &value)
    }

    /// A replica has started again: its acceptor must hold all that it told.
    ///
    /// It has executed as far as its disk tells.
    pub(super) fn restarted(&mut self, replica: NodeId, acceptor: &impl Protocol) -> Verdict {
        let executed_below = self.order.executed_below(acceptor.progress());
        // What every replica has durably executed may be forgotten; a single one tells nobody.
        let forgettable_below = if self.quorums.n() == 1 {
            executed_below
        } else {
            // It starts from a checkpoint, of which it may have had no time to tell.
            let known = &mut self.durable_below[usize::from(replica.0)];
            *known = (*known).max(executed_below);
            self.forgettable_below(replica)
        };
        let told = &mut self.told[usize::from(replica.0)];
        told.crash();
        told.check_kept(replica, acceptor, forgettable_below)
    }

    /// Every replica, or this one, told that it has durably executed the slots below: who forgets what
    /// was promised there takes nothing back, for nobody will ever propose there, or it will not vote.
    ///
    /// A witness has executed nothing; it may also forget the slots below which a member of every phase-1 quorum is.
    fn forgettable_below(&self, by: NodeId) -> Slot {
        let durable_below = |node: NodeId| self.durable_below[usize::from(node.0)];
        let learners = self.quorums.learners();
        if self.is_own_forgettable && learners.contains(by) {
            return durable_below(by);
        }
        let by_all = learners.iter().map(durable_below).min().unwrap_or_default();
        let is_enough = |below: &Slot| {
            let behind = |node: &NodeId| !learners.contains(*node) || durable_below(*node) < *below;
            let behind = NodeSet::all(self.quorums.n()).iter().filter(behind).collect();
            !self.quorums.is_phase1(behind)
        };
        let by_enough = learners.iter().map(durable_below).filter(is_enough).max();
        by_enough.filter(|_| self.is_own_forgettable).map_or(by_all, |below| below.max(by_all))
    }
}

/// `x=1 (c0, request 3)`.
pub(super) fn named(value: Option<&Value>) -> String {
    match value {
        None => "something".to_owned(),
        Some(value) => value.command().map_or("no-op".to_owned(), |command| {
            let RequestId { client, sequence } = command.request;
            format!("{command} (c{}, request {sequence})", client.0)
        }),
    }
}

#[cfg(test)]
mod tests;

//! The host of a driver in a state: messages go into flight, and a choice makes records durable.

use std::sync::Arc;

use super::Step;
use crate::check::cover::Cover;
use crate::check::event::Event;
use crate::check::spent::is_spent;
use crate::check::state::{Disk, Packet, Pending};
use crate::driver::{Host, Ticket};
use crate::monitor::Told;
use crate::paxos::{Message, Record};
use crate::protocol::{
    Advance, Ballot, Envelope, Note, Protocol, Reply, Scope, Slot, Statement, Value,
};
use crate::quorum::{NodeId, NodeSet};
use crate::sabotage::Saboteur;
use crate::time::Span;

/// One replica during one action.
pub(super) struct CheckHost<'s, 'w> {
    step: &'s mut Step<'w>,
    id: NodeId,
    disk: &'s mut Disk,
    told: &'s mut Told,
}

impl<'s, 'w> CheckHost<'s, 'w> {
    pub(super) const fn new(
        step: &'s mut Step<'w>,
        id: NodeId,
        disk: &'s mut Disk,
        told: &'s mut Told,
    ) -> Self {
        Self { step, id, disk, told }
    }

    /// Notes the promises and votes that the replica tells others; a vote counts when it is told.
    fn note_told(&mut self, message: &Message) {
        let statement = Saboteur::statement(message);
        let result = self.told.tell(self.id, &statement);
        self.step.note(result.err());
        let seen = &mut self.step.state.seen;
        match statement {
            Statement::Asks { ballot, quorum: Some(quorum), .. } => {
                self.step.ledger().votes.announce(ballot, quorum);
            }
            Statement::Promises { is_partial: true, scope: Scope::From(_), .. } => {
                seen.note(Cover::ReportedInPart);
            }
            Statement::Voted { ballot, first, last } => {
                self.count_pending_votes(ballot, first, last);
            }
            Statement::Refuses { .. } => seen.note(Cover::Refused),
            Statement::Teaches { count: 1.. } => seen.note(Cover::Taught),
            Statement::Proposes { value: Value::Command(command), .. }
                if self.step.world.is_classic()
                    && self.step.world.home(command.request.client) != self.id =>
            {
                seen.note(Cover::Adopted);
            }
            Statement::Proposes { value: Value::Noop, .. } => seen.note(Cover::HoleFilled),
            _ => {}
        }
    }

    /// Votes that are told before they are durable; durable ones count already.
    fn count_pending_votes(&mut self, told: Ballot, first: Slot, last: Slot) {
        for pending in &self.disk.pending {
            if let Pending::Record(record) = pending
                && let Statement::Vote { ballot, slot, value } = Saboteur::recorded(record)
                && (first..=last).contains(&slot)
                && ballot == told
            {
                self.step.vote(self.id, (slot, ballot), value);
            }
        }
    }
}

impl Host<Saboteur> for CheckHost<'_, '_> {
    fn send(&mut self, to: NodeSet, message: Message) {
        let from = self.id;
        self.note_told(&message);
        self.step.tell(|| Event::Sent { from, to, message: message.clone() });
        for to in to.iter() {
            let packet = Packet { from, to, message: message.clone() };
            if !is_spent(self.step.world, &self.step.state, &packet) {
                self.step.state.network.insert(Arc::new(packet));
            }
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.step.reply(self.id, reply);
    }

    /// Where a replica cannot crash and no checkpoint is on its way, records are durable at once.
    fn persist(&mut self, records: &mut Vec<Record>) -> Ticket {
        let can_lose = self.step.world.may_crash(&self.step.state, self.id);
        let waits = can_lose || !self.disk.pending.is_empty();
        for record in records.drain(..).map(Pending::Record) {
            if waits {
                self.disk.pending.push(record);
            } else {
                self.step.keep(self.id, self.disk, record);
            }
        }
        Ticket(self.disk.pending.len() as u64)
    }

    /// When it is durable is a choice: until then the others cannot rely on it.
    fn checkpoint(&mut self, replica: &Saboteur) -> Ticket {
        self.disk.pending.push(Pending::Checkpoint(Box::new(replica.checkpoint())));
        Ticket(self.disk.pending.len() as u64)
    }

    /// All that is pending becomes durable together.
    fn durable(&mut self) -> Ticket {
        Ticket(if self.disk.pending.is_empty() { u64::MAX } else { 0 })
    }

    /// Time stands still: every timer is due at once, and which one runs out is a choice.
    fn draw(&mut self, _: Span) -> Span {
        Span::ZERO
    }

    fn advance(&mut self, advance: Advance) {
        match advance {
            Advance::Executed(entry) => self.step.execute(self.id, entry),
            Advance::Installed(state) => self.step.install(self.id, state),
        }
    }

    fn note(&mut self, note: Note) {
        self.step.hear(self.id, note);
    }

    fn released(&mut self, envelope: &Envelope<Message>) {
        self.note_told(&envelope.message);
    }
}

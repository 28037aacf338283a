//! The host of a driver in a state: messages go into flight, and a choice makes records durable.

use std::sync::Arc;

use super::Step;
use crate::check::event::Event;
use crate::check::spent::is_spent;
use crate::check::state::{Disk, Packet, Writing};
use crate::driver::{Host, Ticket};
use crate::monitor::{Proposed, Told};
use crate::protocol::{Advance, Ballot, Envelope, Note, Protocol, Reply, Scope, Statement, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::registry::{Cover, Registration};
use crate::sabotage::Saboteur;
use crate::time::Span;

/// One replica during one action.
pub(super) struct CheckHost<'s, 'w, P: Registration> {
    step: &'s mut Step<'w, P>,
    id: NodeId,
    disk: &'s mut Disk<P>,
    told: &'s mut Told,
}

impl<'s, 'w, P: Registration> CheckHost<'s, 'w, P> {
    pub(super) const fn new(
        step: &'s mut Step<'w, P>,
        id: NodeId,
        disk: &'s mut Disk<P>,
        told: &'s mut Told,
    ) -> Self {
        Self { step, id, disk, told }
    }

    /// Notes the promises and votes that the replica tells others; a vote counts when it is told.
    fn note_told(&mut self, message: &P::Message) {
        let statement = P::statement(message);
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
            voted @ Statement::Voted { ballot, .. } => self.count_pending_votes(ballot, &voted),
            Statement::Refuses { .. } => seen.note(Cover::Refused),
            Statement::Teaches { count: 1.. } => seen.note(Cover::Taught),
            Statement::Proposes { value: Value::Noop, .. } => seen.note(Cover::HoleFilled),
            Statement::Proposes { value, carried, .. }
                if self.step.world.first_leader().is_none()
                    && carried.iter().map(|(_, value)| value).chain([value]).any(|value| {
                        let client = value.command().map(|command| command.request.client);
                        client.is_some_and(|client| self.step.world.home(client) != self.id)
                    }) =>
            {
                seen.note(Cover::Adopted);
            }
            _ => {}
        }
    }

    /// Votes that are told before they are durable; durable ones count already.
    fn count_pending_votes(&mut self, told: Ballot, voted: &Statement<'_>) {
        for record in &self.disk.pending {
            if let Statement::Vote { ballot, position, value, carried } = P::recorded(record)
                && voted.concerns(position)
                && ballot == told
            {
                self.step.vote(self.id, (position, ballot), Proposed { value, carried });
            }
        }
    }
}

impl<P: Registration> Host<Saboteur<P>> for CheckHost<'_, '_, P> {
    fn send(&mut self, to: NodeSet, message: P::Message) {
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

    /// Where a replica cannot crash, records are durable at once.
    fn persist(&mut self, records: &mut Vec<P::Record>) -> Ticket {
        let can_lose = self.step.world.may_crash(&self.step.state, self.id);
        let waits = can_lose || !self.disk.pending.is_empty();
        for record in records.drain(..) {
            if waits {
                self.disk.pending.push(record);
            } else {
                self.step.keep(self.id, self.disk, record);
            }
        }
        Ticket(self.disk.pending.len() as u64)
    }

    /// When it is durable is a choice: until then the others cannot rely on it.
    fn checkpoint(&mut self, replica: &Saboteur<P>) -> Ticket {
        let record_count = self.disk.records.len() + self.disk.pending.len();
        let state = Some(Box::new(replica.checkpoint()));
        // One that is being written and is not durable is replaced.
        self.disk.writing = Some(Writing { record_count, state });
        Ticket(self.disk.pending.len() as u64 + 1)
    }

    /// Records may become durable long before it.
    fn checkpointed(&mut self) -> Ticket {
        Ticket(if self.disk.writing.is_none() { u64::MAX } else { 0 })
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

    fn released(&mut self, envelope: &Envelope<P::Message>) {
        self.note_told(&envelope.message);
    }
}

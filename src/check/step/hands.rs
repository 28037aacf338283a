//! What the driver of a replica asks of its host, carried out in a state: messages go into flight, and a choice
//! makes records durable.

use super::Step;
use crate::check::event::Event;
use crate::check::memo::Call;
use crate::check::state::{Disk, Packet, Shared, Writing};
use crate::monitor::{Finding, Invariant, Proposed, Told};
use crate::protocol::{Advance, Ballot, Scope, Statement};
use crate::quorum::{NodeId, NodeSet};
use crate::registry::{Cover, Registration};

/// One replica during one action.
pub(super) struct Hands<'s, 'w, P: Registration> {
    step: &'s mut Step<'w, P>,
    id: NodeId,
    disk: &'s mut Disk<P>,
    told: &'s mut Told,
    /// The leader that it hears, where that is a matter of choice.
    hears: Option<NodeId>,
}

impl<'s, 'w, P: Registration> Hands<'s, 'w, P> {
    pub(super) const fn new(
        step: &'s mut Step<'w, P>,
        id: NodeId,
        disk: &'s mut Disk<P>,
        (told, hears): (&'s mut Told, Option<NodeId>),
    ) -> Self {
        Self { step, id, disk, told, hears }
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
            Statement::Grants { ballot } => self.check_grant(ballot),
            Statement::Refuses { .. } => seen.note(Cover::Refused),
            Statement::Teaches { count: 1.. } => seen.note(Cover::Taught),
            Statement::Proposes { value, .. } if value.command().is_none() => {
                seen.note(Cover::HoleFilled);
            }
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

    /// Whoever hears a leader lets nobody else come before it.
    fn check_grant(&mut self, ballot: Ballot) {
        if let Some(leader) = self.hears.filter(|leader| *leader != ballot.proposer) {
            let how = format!("{} grants {ballot} a pre-vote while it hears {leader}", self.id);
            self.step.note(Some(Finding::new(Invariant::LeaderHeard, how)));
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

    /// Carries out one call.
    pub(super) fn carry_out(&mut self, call: &Call<P>) {
        match call {
            Call::Send { to, message, packets } => self.send(*to, message, packets),
            Call::Released(message) => self.note_told(message),
            Call::Reply(reply) => self.step.reply(self.id, reply),
            Call::Persist(records) => self.persist(records),
            Call::Checkpoint(state) => {
                let record_count = self.disk.records.len() + self.disk.pending.len();
                // One that is being written and is not durable is replaced.
                self.disk.writing = Some(Writing { record_count, state: Some(state.clone()) });
            }
            Call::Advance(Advance::Executed(entry)) => self.step.execute(self.id, entry),
            Call::Advance(Advance::Installed(state)) => self.step.install(self.id, *state),
            Call::Note(note) => self.step.hear(self.id, *note),
        }
    }

    fn send(&mut self, to: NodeSet, message: &P::Message, packets: &[Shared<Packet<P>>]) {
        let from = self.id;
        self.note_told(message);
        self.step.tell(|| Event::Sent { from, to, message: message.clone() });
        self.step.sent.extend_from_slice(packets);
    }

    /// Where a replica cannot crash, records are durable at once.
    fn persist(&mut self, records: &[P::Record]) {
        let can_lose = self.step.world.may_crash(&self.step.state, self.id);
        let waits = can_lose || !self.disk.pending.is_empty();
        for record in records.iter().cloned() {
            if waits {
                self.disk.pending.push(record);
            } else {
                self.step.keep(self.id, self.disk, record);
            }
        }
    }
}

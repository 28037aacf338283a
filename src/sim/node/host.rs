//! The host of a driver in virtual time: messages leave one after the other, and a sync takes its time.

use rand::RngExt;
use serde::Serialize;

use super::Body;
use crate::command::RequestId;
use crate::deployment::Durability;
use crate::driver::{Host, Ticket};
use crate::protocol::{Advance, Answer, Envelope, Note, Protocol, Reply};
use crate::quorum::{NodeId, NodeSet};
use crate::sim::fabric::Fabric;
use crate::sim::machine::Member;
use crate::time::{Span, Time};

/// One replica during one turn.
pub(super) struct SimHost<'a, P: Protocol> {
    body: &'a mut Body<P>,
    fabric: &'a mut Fabric<P>,
    /// When the processor has put the last message so far on the wire.
    pub(super) leaves_at: Time,
}

impl<'a, P: Protocol> SimHost<'a, P> {
    pub(super) fn new(body: &'a mut Body<P>, fabric: &'a mut Fabric<P>) -> Self {
        let leaves_at = fabric.now;
        Self { body, fabric, leaves_at }
    }

    fn answer(&mut self, answer: Answer) {
        if self.fabric.machine.is_some() {
            self.pack(&answer);
            self.body.outbox.push(Outgoing::Answer(answer));
            return;
        }
        self.depart(&answer);
        self.fabric.answer(self.body.settings.id, self.leaves_at, answer);
    }

    /// The processor puts one more message on the wire.
    #[inline]
    fn depart<T: Serialize>(&mut self, message: &T) {
        let takes = self.fabric.time_to_send(message);
        if takes > Span::ZERO {
            self.leaves_at = self.leaves_at + takes;
            self.body.departures.push((self.leaves_at, self.fabric.queue.sequence()));
        }
    }

    /// The processor makes one more message ready, which leaves at the end of the turn.
    fn pack<T: Serialize>(&mut self, message: &T) {
        self.leaves_at = self.leaves_at + self.fabric.time_to_send(message);
    }

    /// The end of a turn on a shared machine: a packet for each receiver, one after the other.
    pub(super) fn send_packets(&mut self) {
        let id = self.body.settings.id;
        let mut outbox = std::mem::take(&mut self.body.outbox);
        while let Some(to) = outbox.first().map(Outgoing::to) {
            let takes = self.fabric.time_of_packet(Member::Replica(id), to);
            self.leaves_at = self.leaves_at + takes;
            self.body.departures.push((self.leaves_at, self.fabric.queue.sequence()));
            for outgoing in outbox.extract_if(.., |outgoing| outgoing.to() == to) {
                match outgoing {
                    Outgoing::Message(to, message) => {
                        self.fabric.send(id, to, self.leaves_at, message);
                    }
                    Outgoing::Answer(answer) => self.fabric.answer(id, self.leaves_at, answer),
                }
            }
        }
        self.body.outbox = outbox;
    }
}

/// What leaves a replica at the end of a turn.
pub(super) enum Outgoing<M> {
    Message(NodeId, M),
    Answer(Answer),
}

impl<M> Outgoing<M> {
    const fn to(&self) -> Member {
        match self {
            Self::Message(to, _) => Member::Replica(*to),
            Self::Answer(answer) => Member::Client(answer.request().client),
        }
    }
}

impl<P: Protocol> Host<P> for SimHost<'_, P> {
    /// One clone for each receiver but the last, which takes the message itself.
    #[inline]
    fn send(&mut self, to: NodeSet, message: P::Message) {
        let id = self.body.settings.id;
        if self.fabric.machine.is_some() {
            for receiver in to.iter() {
                self.pack(&message);
                self.body.outbox.push(Outgoing::Message(receiver, message.clone()));
            }
            return;
        }
        let mut receivers = to.iter();
        let mut next = receivers.next();
        while let Some(receiver) = next {
            next = receivers.next();
            self.depart(&message);
            if next.is_some() {
                self.fabric.send(id, receiver, self.leaves_at, message.clone());
            } else {
                self.fabric.send(id, receiver, self.leaves_at, message);
                return;
            }
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.answer(Answer::Reply(reply));
    }

    fn answer_control(&mut self, request: RequestId) {
        self.answer(Answer::Control(request));
    }

    fn persist(&mut self, records: &mut Vec<P::Record>) -> Ticket {
        if let Some(observer) = &mut self.fabric.observer {
            observer.recorded(self.fabric.now, self.body.settings.id, records);
        }
        self.body.disk.give(records);
        self.body.disk.given()
    }

    fn checkpoint(&mut self, replica: &P) -> Ticket {
        let ticket = self.body.disk.give_checkpoint(|| replica.checkpoint());
        self.body.begin_checkpoint(self.fabric);
        ticket
    }

    fn checkpointed(&mut self) -> Ticket {
        self.body.disk.checkpointed()
    }

    fn flush(&mut self) {
        self.body.begin_sync(self.fabric);
    }

    fn durable(&mut self) -> Ticket {
        self.body.disk.durable()
    }

    fn is_checkpoint_due(&self) -> bool {
        self.body.disk.is_checkpoint_due(self.body.settings.checkpoint_records)
    }

    fn draw(&mut self, longest: Span) -> Span {
        Span(self.body.random.random_range(0..=longest.0))
    }

    fn advance(&mut self, advance: Advance) {
        let (now, id) = (self.fabric.now, self.body.settings.id);
        if let Some(observer) = &mut self.fabric.observer {
            match &advance {
                Advance::Executed(executed) => observer.executed(now, id, executed),
                Advance::Installed(installed) => observer.installed(now, id, installed),
            }
        }
        let Fabric { logs, spool, .. } = &mut *self.fabric;
        logs.write(id, &advance, spool.as_deref_mut());
    }

    fn note(&mut self, note: Note) {
        let (now, counts) = (self.fabric.now, &mut self.fabric.counts);
        match note {
            Note::Committed { .. }
            | Note::Waited { .. }
            | Note::Suspected { .. }
            | Note::Campaigning
            | Note::Following { .. }
            | Note::Recovered { .. }
            | Note::Resigned => {}
            Note::Leading { .. } => counts.leaderships += 1,
            Note::SnapshotSent => counts.snapshots_sent += 1,
            Note::SnapshotInstalled { .. } => counts.snapshots_installed += 1,
            Note::RaceLost => counts.races_lost += 1,
            Note::Retransmitted => counts.retransmissions += 1,
        }
        if let Some(observer) = &mut self.fabric.observer {
            observer.noted(now, self.body.settings.id, &note);
        }
        let _ = self.body.phases.note(now, &note);
    }

    fn released(&mut self, envelope: &Envelope<P::Message>) {
        if let Some(observer) = &mut self.fabric.observer {
            observer.released(self.fabric.now, self.body.settings.id, envelope);
        }
    }
}

impl<P: Protocol> Body<P> {
    /// What the driver is told about itself.
    pub(super) fn driver_settings(&self) -> crate::driver::Settings {
        crate::driver::Settings {
            id: self.settings.id,
            has_disk: self.settings.durability == Durability::Fsync,
            retained_slots: self.settings.retained_slots,
            clock: self.settings.clock,
            defect: self.settings.broken_driver,
        }
    }
}

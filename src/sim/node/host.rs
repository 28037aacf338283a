//! The host of a driver in virtual time: messages leave one after the other, and a sync takes its time.

use rand::RngExt;
use serde::Serialize;

use super::Body;
use crate::command::RequestId;
use crate::deployment::Durability;
use crate::driver::{Host, Ticket};
use crate::protocol::{Advance, Answer, Envelope, Note, Order, Protocol, Reply};
use crate::quorum::NodeSet;
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
        if let Some(machine) = &mut fabric.machine {
            machine.begin_packets();
        }
        Self { body, fabric, leaves_at }
    }

    fn answer(&mut self, answer: Answer) {
        self.depart(&answer, Member::Client(answer.request().client));
        self.fabric.answer(self.body.settings.id, self.leaves_at, answer);
    }

    /// The processor puts one more message on the wire.
    #[inline]
    fn depart<T: Serialize>(&mut self, message: &T, to: Member) {
        let from = Member::Replica(self.body.settings.id);
        let takes = self.fabric.time_to_send(message, from, to);
        if takes > Span::ZERO {
            self.leaves_at = self.leaves_at + takes;
            self.body.departures.push((self.leaves_at, self.fabric.queue.sequence()));
        }
    }
}

impl<P: Protocol> Host<P> for SimHost<'_, P> {
    /// One clone for each receiver but the last, which takes the message itself.
    #[inline]
    fn send(&mut self, to: NodeSet, message: P::Message) {
        let id = self.body.settings.id;
        let mut receivers = to.iter();
        let mut next = receivers.next();
        while let Some(receiver) = next {
            next = receivers.next();
            self.depart(&message, Member::Replica(receiver));
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
        let digests = (P::ORDER == Order::Total).then_some(&mut self.fabric.digests);
        self.body.log.write(&advance, digests);
        if let Some(spool) = &mut self.fabric.spool {
            self.body.log.spill(id, spool.as_mut());
        }
    }

    fn note(&mut self, note: Note) {
        let (now, counts) = (self.fabric.now, &mut self.fabric.counts);
        match note {
            Note::Committed { .. }
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

//! What all members of a world share: the clock, the event queue, the network, and whoever watches.

use serde::Serialize;

use super::link::wire_bytes;
use super::log::Logs;
use super::machine::{Machine, Member};
use super::network::SimNetwork;
use super::observer::{Observer, Sent};
use super::outcome::Counts;
use super::queue::Queue;
use super::settings::Service;
use super::spool::Spool;
use crate::command::{Ask, ClientId};
use crate::link::Fate;
use crate::protocol::{Answer, Protocol};
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// The part of a world that is not a member of it.
///
/// Of control operations no observer hears: observers watch the protocol.
pub(super) struct Fabric<P: Protocol> {
    pub(super) now: Time,
    pub(super) queue: Queue,
    pub(super) network: SimNetwork<P::Message>,
    pub(super) service: Service,
    /// What members share, if they do.
    pub(super) machine: Option<Machine>,
    pub(super) counts: Counts,
    pub(super) observer: Option<Box<dyn Observer<P>>>,
    pub(super) logs: Logs,
    /// Where histories go, unless they stay with their writers.
    pub(super) spool: Option<Box<dyn Spool>>,
}

impl<P: Protocol> Fabric<P> {
    /// Processor time for the bytes of a message at one of its ends.
    #[inline]
    pub(super) fn time_of<T: Serialize>(&self, message: &T) -> Span {
        // Whoever asks for no such time does not pay for the encoding.
        if self.service.mebibyte == Span::ZERO {
            return Span::ZERO;
        }
        self.service.of_bytes(wire_bytes(message))
    }

    /// A member has a processor of a shared machine from now on until then.
    pub(super) fn note_use(&mut self, member: Member, until: Time) {
        if let Some(machine) = &mut self.machine {
            machine.note_use(member, self.now, until);
        }
    }

    /// Processor time for sending a message, beside that of its packet.
    #[inline]
    pub(super) fn time_to_send<T: Serialize>(&self, message: &T) -> Span {
        self.service.send + self.time_of(message)
    }

    /// Processor time for all that one member sends to another in one turn, beside that of the messages.
    pub(super) fn time_of_packet(&self, from: Member, to: Member) -> Span {
        let is_emulated = || self.network.is_emulated(from, to);
        self.machine.as_ref().map_or(Span::ZERO, |machine| machine.sends(is_emulated()))
    }

    /// A replica sends to another one.
    #[inline]
    pub(super) fn send(&mut self, from: NodeId, to: NodeId, at: Time, message: P::Message) {
        self.counts.messages_sent += 1;
        if self.observer.is_some() {
            self.send_observed(from, to, at, message);
            return;
        }
        let fate = self.network.send((from, to), at, message, &mut self.queue);
        self.count(fate);
    }

    #[cold]
    fn send_observed(&mut self, from: NodeId, to: NodeId, at: Time, message: P::Message) {
        let copy = message.clone();
        let fate = self.network.send((from, to), at, message, &mut self.queue);
        self.count(fate);
        if let Some(observer) = &mut self.observer {
            observer.sent(&sent(from, to, &copy, at, fate));
        }
    }

    /// A client asks a replica.
    pub(super) fn ask(&mut self, from: ClientId, to: NodeId, at: Time, ask: Ask) {
        let copy = self.observer.is_some().then(|| ask.clone());
        let ends = (from.0 as usize, to);
        let fate = self.network.ask(ends, at, ask, &mut self.queue);
        self.count(fate);
        if let (Some(observer), Some(Ask::Command(copy))) = (&mut self.observer, copy) {
            observer.asked(&sent(from, to, &copy, at, fate));
        }
    }

    /// A replica answers a client.
    pub(super) fn answer(&mut self, from: NodeId, at: Time, answer: Answer) {
        let to = answer.request().client;
        let copy = self.observer.is_some().then(|| answer.clone());
        let fate = self.network.answer((from, to.0 as usize), at, answer, &mut self.queue);
        self.count(fate);
        if let (Some(observer), Some(Answer::Reply(copy))) = (&mut self.observer, copy) {
            observer.answered(&sent(from, to, &copy, at, fate));
        }
    }

    #[inline]
    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Arrives(_) => {}
            Fate::Twice(..) => self.counts.duplicated += 1,
            Fate::Lost => self.counts.lost += 1,
            Fate::QueueFull => self.counts.queue_dropped += 1,
        }
    }
}

fn sent<F, T, M>(from: F, to: T, message: &M, sent_at: Time, fate: Fate) -> Sent<'_, F, T, M> {
    let arrives_at = match fate {
        Fate::Arrives(at) => Some(at),
        Fate::Twice(at, again_at) => Some(at.min(again_at)),
        Fate::Lost | Fate::QueueFull => None,
    };
    let is_duplicated = matches!(fate, Fate::Twice(..));
    Sent { from, to, message, sent_at, arrives_at, is_duplicated }
}

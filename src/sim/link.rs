//! A directed link of the simulator: [what becomes of each message](crate::link), what its
//! [connection](super::connection) makes of that, and the messages that are under way.
//!
//! What is under way waits here in the order of arrival, and only the first of it is in the event
//! queue.

use std::collections::VecDeque;

use serde::Serialize;

use super::connection::Connection;
use super::queue::{Event, Queue, Source};
use crate::link::{Carried, Conditions, Fate, Link as Model};
use crate::time::{Span, Time};

/// What the envelope of a message takes on the wire beside its encoding, for links of finite
/// bandwidth: 20 bytes of IPv4, 8 of UDP, 11 of a short QUIC header, 16 of authentication tag, 8 of a
/// stream frame's header, and 4 of our own frame's length.
///
/// Messages that share a datagram share this, and one of many datagrams needs it for each; neither is
/// counted.
pub const OVERHEAD_BYTES: u64 = 67;

/// The least time on a link, where the profile says none: without it a closed loop on links without
/// delay would never end.
pub const LEAST_DELAY: Span = Span(100);

/// A message on its way.
#[derive(Debug)]
struct InFlight<T> {
    arrives_at: Time,
    sequence: u64,
    message: T,
}

/// A directed link and what is under way on it.
#[derive(Debug)]
pub(super) struct Link<T> {
    under_way: VecDeque<InFlight<T>>,
    /// The event of the first one, if the queue holds one.
    armed: Option<Event>,
    source: Source,
    model: Model,
    carrier: Option<Box<Carrier<T>>>,
    /// How often a message was lost and sent again, and how often one waited at its sender.
    pub(super) mended: Mended,
    /// Whether a live link would be delayed by an emulation.
    pub(super) is_emulated: bool,
}

/// What a connection mended of what its link did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mended {
    pub(super) lost: u64,
    pub(super) queue_dropped: u64,
}

/// The connection on a link.
#[derive(Debug)]
struct Carrier<T> {
    connection: Connection,
    round_trip: Span,
    /// Nothing has arrived since then.
    severed_at: Option<Time>,
    /// What it was given since.
    held: Vec<T>,
    held_bytes: u64,
}

impl<T> Link<T> {
    pub(super) fn new(
        model: Model,
        source: Source,
        connection: Option<Connection>,
        round_trip: Span,
    ) -> Self {
        let (severed_at, held, held_bytes) = (None, Vec::new(), 0);
        let carrier = connection.map(|connection| {
            Box::new(Carrier { connection, round_trip, severed_at, held, held_bytes })
        });
        let mended = Mended::default();
        let is_emulated = round_trip > Span::ZERO;
        Self {
            under_way: VecDeque::new(),
            armed: None,
            source,
            model,
            carrier,
            mended,
            is_emulated,
        }
    }

    /// What it does from `now` on; if it is whole again, what its connection holds is sent again, each
    /// message when it has passed what `leave` says.
    pub(super) fn set_conditions(
        &mut self,
        now: Time,
        conditions: Conditions,
        mut leave: impl FnMut(Time, &T) -> Time,
        queue: &mut Queue,
    ) where
        T: Serialize,
    {
        self.model.set_conditions(conditions);
        let is_severed = self.model.is_severed();
        let Some(carrier) = &mut self.carrier else { return };
        if is_severed {
            carrier.severed_at = carrier.severed_at.or(Some(now));
            return;
        }
        let Some(since) = carrier.severed_at.take() else { return };
        carrier.held_bytes = 0;
        let held = std::mem::take(&mut carrier.held);
        if now.since(since) > carrier.connection.idle_timeout {
            return;
        }
        let again_at = now + carrier.round_trip;
        for message in held {
            let at = leave(again_at, &message);
            self.carry(at, message, queue);
        }
    }

    /// Its connection is lost, and all that it holds.
    pub(super) fn disconnect(&mut self) {
        if let Some(carrier) = &mut self.carrier {
            (carrier.held, carrier.held_bytes) = (Vec::new(), 0);
        }
    }

    /// What a connection makes of a message: it holds it, or sends it until it arrives.
    #[cold]
    fn carry(&mut self, at: Time, message: T, queue: &mut Queue) -> Fate
    where
        T: Serialize,
    {
        let Some(carrier) = &mut self.carrier else { return Fate::Lost };
        let Connection { is_ordered, window_bytes, idle_timeout } = carrier.connection;
        if let Some(since) = carrier.severed_at {
            let bytes = wire_bytes(&message);
            if at.since(since) > idle_timeout {
                (carrier.held, carrier.held_bytes) = (Vec::new(), 0);
            } else if carrier.held_bytes + bytes <= window_bytes {
                carrier.held_bytes += bytes;
                carrier.held.push(message);
            }
            return Fate::Lost;
        }
        let again_after = Connection::mends_after(carrier.round_trip);
        let bytes = || wire_bytes(&message);
        let fate = self.model.send_until_carried(at, bytes, again_after, is_ordered, window_bytes);
        let Some(Carried { arrives_at, lost_count, has_waited }) = fate else {
            return Fate::QueueFull;
        };
        self.mended.lost += lost_count;
        self.mended.queue_dropped += u64::from(has_waited);
        self.insert(arrives_at, message, queue);
        Fate::Arrives(arrives_at)
    }

    /// Takes a message that is sent `at`.
    #[inline]
    pub(super) fn send(&mut self, at: Time, message: T, queue: &mut Queue) -> Fate
    where
        T: Clone + Serialize,
    {
        match self.model.send_plain(at) {
            Some(arrives_at) => {
                self.append(arrives_at, message, queue);
                Fate::Arrives(arrives_at)
            }
            None => self.send_under_conditions(at, message, queue),
        }
    }

    #[cold]
    fn send_under_conditions(&mut self, at: Time, message: T, queue: &mut Queue) -> Fate
    where
        T: Clone + Serialize,
    {
        if self.carrier.is_some() {
            return self.carry(at, message, queue);
        }
        let fate = self.model.send(at, || wire_bytes(&message));
        match fate {
            Fate::Arrives(arrives_at) => self.insert(arrives_at, message, queue),
            Fate::Twice(arrives_at, again_at) => {
                self.insert(arrives_at, message.clone(), queue);
                self.insert(again_at, message, queue);
            }
            Fate::Lost | Fate::QueueFull => {}
        }
        fate
    }

    /// Puts a message behind all others.
    #[inline]
    fn append(&mut self, arrives_at: Time, message: T, queue: &mut Queue) {
        let sequence = queue.sequence();
        self.under_way.push_back(InFlight { arrives_at, sequence, message });
        if self.armed.is_none() {
            self.arm(queue);
        }
    }

    /// Puts a message behind those that arrive before it.
    fn insert(&mut self, arrives_at: Time, message: T, queue: &mut Queue) {
        let sequence = queue.sequence();
        let place = self.under_way.partition_point(|before| before.arrives_at <= arrives_at);
        self.under_way.insert(place, InFlight { arrives_at, sequence, message });
        if place == 0 {
            self.arm(queue);
        }
    }

    /// The first message may be another one: an event of an earlier first is not known again.
    fn arm(&mut self, queue: &mut Queue) {
        self.armed = self.head();
        if let Some(event) = self.armed {
            queue.push_event(event);
        }
    }

    fn head(&self) -> Option<Event> {
        let first = self.under_way.front()?;
        Some(Event::new(first.arrives_at, first.sequence, self.source))
    }

    /// Whether `event` is that of the first message.
    pub(super) fn is_armed_for(&self, event: Event) -> bool {
        self.armed == Some(event)
    }

    /// Takes the first message if it arrives at `now`.
    #[inline]
    pub(super) fn receive(&mut self, now: Time) -> Option<T> {
        if self.under_way.front()?.arrives_at > now {
            return None;
        }
        self.under_way.pop_front().map(|first| first.message)
    }

    /// The event of the message that is now the first; its caller puts it into the queue.
    #[inline]
    pub(super) fn rearm(&mut self) -> Option<Event> {
        self.armed = self.head();
        self.armed
    }

    /// Takes out what was given from this sequence number on: its sender stopped before it left.
    pub(super) fn recall(&mut self, from: u64, queue: &mut Queue) -> u64 {
        let before = self.under_way.len();
        self.under_way.retain(|message| message.sequence < from);
        let recalled_count = (before - self.under_way.len()) as u64;
        if recalled_count > 0 {
            self.arm(queue);
        }
        recalled_count
    }
}

/// What a message takes on a wire of finite bandwidth.
pub(super) fn wire_bytes<T: Serialize>(message: &T) -> u64 {
    let bytes = postcard::experimental::serialized_size(message)
        .expect("every message of a protocol has an encoding");
    bytes as u64 + OVERHEAD_BYTES
}

//! A directed link: how long a message takes, and what else happens to it on the way.
//!
//! A link is first in, first out unless it is told to reorder.
//! What is under way waits here in the order of arrival, and only the first of it is in the event
//! queue.
//! What is lost is lost when it is sent: what is under way when a link is cut still arrives.

use std::collections::VecDeque;

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::Serialize;

use super::queue::{Event, Queue, Source};
use super::random::{Purpose, of_link};
use crate::deployment::MemberName;
use crate::time::{Span, Time};
use crate::topology::Delay;

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

/// What a link does besides delaying.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    pub(super) is_cut: bool,
    /// Added to every delay.
    pub(super) slow: Span,
    /// The share lost.
    pub(super) loss: f64,
    /// The share that arrives twice.
    pub(super) duplication: f64,
    /// The most that is added to a single message, which may overtake.
    pub(super) reordering: Span,
    pub(super) bandwidth_bits_per_s: Option<u64>,
}

impl Conditions {
    /// Whether it only delays, in order.
    fn is_plain(&self) -> bool {
        *self == Self { slow: self.slow, ..Self::default() }
    }
}

/// What became of a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives.
    Arrives(Time),
    /// It arrives, and once more.
    Twice(Time),
    Lost,
}

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
    /// Nothing that is sent later arrives before this.
    arrives_after: Time,
    slow: Span,
    is_plain: bool,
    /// If every message takes as long.
    constant: Option<Span>,
    rest: Box<Rest>,
}

/// What a link without faults and jitter does not look at.
#[derive(Debug)]
struct Rest {
    delay: Delay,
    conditions: Conditions,
    /// A message that was sent before is on the wire until then.
    wire_free_at: Time,
    delays: Pcg64,
    losses: Pcg64,
    duplications: Pcg64,
    reorderings: Pcg64,
}

impl<T> Link<T> {
    pub(super) fn new(
        seed: u64,
        from: MemberName,
        to: MemberName,
        delay: &Delay,
        source: Source,
    ) -> Self {
        let stream = |purpose| of_link(seed, purpose, from, to);
        Self {
            under_way: VecDeque::new(),
            armed: None,
            source,
            arrives_after: Time::ZERO,
            slow: Span::ZERO,
            is_plain: true,
            constant: delay.is_constant().then(|| delay.median().max(LEAST_DELAY)),
            rest: Box::new(Rest {
                delay: delay.clone(),
                conditions: Conditions::default(),
                wire_free_at: Time::ZERO,
                delays: stream(Purpose::Delay),
                losses: stream(Purpose::Loss),
                duplications: stream(Purpose::Duplication),
                reorderings: stream(Purpose::Reordering),
            }),
        }
    }

    /// What it does from now on.
    pub(super) fn set_conditions(&mut self, conditions: Conditions) {
        self.is_plain = conditions.is_plain();
        self.slow = conditions.slow;
        self.rest.conditions = conditions;
    }

    /// Takes a message that is sent `at`.
    #[inline]
    pub(super) fn send(&mut self, at: Time, message: T, queue: &mut Queue) -> Fate
    where
        T: Clone + Serialize,
    {
        if !self.is_plain {
            return self.send_under_conditions(at, message, queue);
        }
        let arrives_at = (at + self.delay() + self.slow).max(self.arrives_after);
        self.arrives_after = arrives_at;
        self.append(arrives_at, message, queue);
        Fate::Arrives(arrives_at)
    }

    #[cold]
    fn send_under_conditions(&mut self, at: Time, message: T, queue: &mut Queue) -> Fate
    where
        T: Clone + Serialize,
    {
        let conditions = self.rest.conditions;
        if conditions.is_cut {
            return Fate::Lost;
        }
        // The bits take their time on the wire also when they are lost behind it.
        let at = match conditions.bandwidth_bits_per_s {
            None => at,
            Some(bits_per_s) => {
                let start = at.max(self.rest.wire_free_at);
                self.rest.wire_free_at = start + transmission(&message, bits_per_s);
                self.rest.wire_free_at
            }
        };
        if is_drawn(&mut self.rest.losses, conditions.loss) {
            return Fate::Lost;
        }
        let is_twice = is_drawn(&mut self.rest.duplications, conditions.duplication);
        if is_twice {
            self.deliver(at, message.clone(), queue);
        }
        let arrives_at = self.deliver(at, message, queue);
        if is_twice { Fate::Twice(arrives_at) } else { Fate::Arrives(arrives_at) }
    }

    fn deliver(&mut self, at: Time, message: T, queue: &mut Queue) -> Time {
        let arrives_at = at + self.delay() + self.slow;
        match self.rest.conditions.reordering {
            Span::ZERO => {
                let arrives_at = arrives_at.max(self.arrives_after);
                self.arrives_after = arrives_at;
                self.append(arrives_at, message, queue);
                arrives_at
            }
            Span(spread) => {
                let arrives_at = arrives_at + Span(self.rest.reorderings.random_range(0..=spread));
                self.arrives_after = self.arrives_after.max(arrives_at);
                self.insert(arrives_at, message, queue);
                arrives_at
            }
        }
    }

    #[inline]
    fn delay(&mut self) -> Span {
        match self.constant {
            Some(delay) => delay,
            None => self.rest.delay.quantile(self.rest.delays.random()).max(LEAST_DELAY),
        }
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

fn is_drawn(stream: &mut Pcg64, share: f64) -> bool {
    share > 0.0 && stream.random_bool(share)
}

/// How long a message takes to be put on the wire.
pub(super) fn transmission<T: Serialize>(message: &T, bits_per_s: u64) -> Span {
    let bytes = postcard::experimental::serialized_size(message)
        .expect("every message of a protocol has an encoding");
    let bits = (bytes as u64 + OVERHEAD_BYTES) * 8;
    Span(bits.saturating_mul(1_000_000_000).div_ceil(bits_per_s.max(1)))
}

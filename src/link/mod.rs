//! A directed link: what becomes of a datagram that is sent, in every world that has links.
//!
//! The simulator and the live emulation ask the same [`Link`], with a time, and are told when the
//! datagram arrives; carrying it until then is theirs.
//! Live it is a datagram below QUIC that is lost, doubled and limited; QUIC sends again what was lost,
//! drops what comes twice, and fills datagrams as it likes.
//! In the simulator it is a message of the protocol, which a connection sends until it arrives
//! ([`Link::send_until_carried`]), or which is on its own.
//!
//! | room | what is in it |
//! |---|---|
//! | [`Conditions`] | what the link does besides delaying; they may change at any time |
//! | `delays` | how long: the fitted distribution, correlated in time |
//! | `losses` | which are lost, alone or in runs |
//! | [`Wire`] | bandwidth, and what waits for it |
//! | [`streams`] | where chance comes from |
//!
//! In the order in which a datagram meets them: a cut, the wire and its queue, loss, duplication, delay,
//! reordering.
//! A link is first in, first out unless it is told to reorder, as a route through the Internet nearly
//! is: nothing arrives before what was sent before it.
//! What is lost is lost when it is sent: what is under way when a link is cut still arrives.
//! Any number of datagrams are under way at once: a delay is not a rate.
//!
//! Pure: it reads no clock and sends nothing.

mod conditions;
pub use conditions::Conditions;
mod delays;
pub use delays::CORRELATION;
mod losses;
pub mod streams;
#[cfg(test)]
mod tests;
mod wire;
pub use wire::Wire;

use rand::RngExt;
use rand_pcg::Pcg64;

use crate::time::{Span, Time};
use crate::topology::Delay;
use delays::Delays;
use losses::Losses;
use streams::Purpose;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives(Time),
    /// It arrives, and once more.
    Twice(Time, Time),
    /// It is lost: drawn, or the link is cut.
    Lost,
    /// The queue for the wire has no room for it.
    QueueFull,
}

/// When a message arrives that is sent until it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Then.
    pub arrives_at: Time,
    /// How often it was lost on the way.
    pub lost_count: u64,
    /// Whether the queue of the wire had no room for it, so that it waited at its sender.
    pub has_waited: bool,
}

/// A directed link.
#[derive(Clone, Debug)]
pub struct Link {
    /// Nothing that is sent later arrives before this, unless it is told to reorder.
    arrives_after: Time,
    slow: Span,
    /// Whether it only delays, in order.
    is_plain: bool,
    /// If every datagram takes as long.
    constant: Option<Span>,
    rest: Box<Rest>,
}

/// What a link without faults and jitter does not look at.
#[derive(Clone, Debug)]
struct Rest {
    delays: Delays,
    conditions: Conditions,
    sweep: Option<Sweep>,
    wire: Wire,
    losses: Losses,
    duplications: Pcg64,
    reorderings: Pcg64,
}

/// A time in which the delay goes through its distribution.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    from: Time,
    until: Time,
}

/// How near a sweep comes to the ends of the distribution, where a Weibull has no quantile.
const SWEEP_EDGE: f64 = 0.0005;

impl Link {
    /// A link that only delays.
    ///
    /// `seed` and `id`, see [`streams::id`], fix all its draws; `correlation` is how long its delay is
    /// remembered, and no delay is shorter than `least`.
    pub fn new(seed: u64, id: u64, delay: Delay, correlation: Span, least: Span) -> Self {
        let stream = |purpose| streams::of_link(seed, purpose, id);
        let delays = Delays::new(delay, correlation, least, stream(Purpose::Delay));
        Self {
            arrives_after: Time::ZERO,
            slow: Span::ZERO,
            is_plain: true,
            constant: delays.constant(),
            rest: Box::new(Rest {
                delays,
                conditions: Conditions::default(),
                sweep: None,
                wire: Wire::default(),
                losses: Losses::new(stream(Purpose::Loss)),
                duplications: stream(Purpose::Duplication),
                reorderings: stream(Purpose::Reordering),
            }),
        }
    }

    /// The distribution of its delay.
    pub fn delay(&self) -> &Delay {
        self.rest.delays.delay()
    }

    /// Another distribution from now on; what is slow now stays slow for as long.
    pub fn set_delay(&mut self, delay: Delay) {
        self.rest.delays.set(delay);
        self.constant = self.rest.delays.constant();
    }

    /// What it does besides delaying.
    pub fn conditions(&self) -> &Conditions {
        &self.rest.conditions
    }

    /// What it does from now on; what is under way stays.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.slow = conditions.slow;
        self.rest.conditions = conditions;
        self.is_plain = self.rest.sweep.is_none() && conditions.is_plain();
    }

    /// Goes through its distribution once: what is sent at the share u of the time between `from` and
    /// `until` is delayed by Q(u).
    ///
    /// So what is sent evenly in that time has the percentiles asked for, without the noise of chance;
    /// and because the delay only rises, being first in, first out delays nothing further.
    /// Meanwhile nothing is lost, doubled, reordered, or limited by bandwidth: it is the delay that is
    /// measured then.
    /// A link that is cut stays cut, and one that does nothing but delay by a constant has nothing to go
    /// through.
    pub fn sweep(&mut self, from: Time, until: Time) {
        let is_due = from < until && !(self.constant.is_some() && self.rest.conditions.is_plain());
        self.rest.sweep = is_due.then_some(Sweep { from, until });
        self.is_plain = self.rest.sweep.is_none() && self.rest.conditions.is_plain();
    }

    /// Whether it has nothing to do at all: no delay, no conditions, no sweep.
    pub fn is_idle(&self) -> bool {
        self.is_plain && self.slow == Span::ZERO && self.constant == Some(Span::ZERO)
    }

    /// When a datagram that is sent `at` arrives, if the link only delays; else it must be
    /// [sent](Self::send).
    #[inline]
    pub fn send_plain(&mut self, at: Time) -> Option<Time> {
        if !self.is_plain {
            return None;
        }
        let delay = match self.constant {
            Some(delay) => delay,
            None => self.rest.delays.draw(at),
        };
        Some(self.in_order(at + delay + self.slow))
    }

    /// What becomes of a datagram that is sent `at`, and is of so many bytes on the wire.
    pub fn send(&mut self, at: Time, bytes: impl FnOnce() -> u64) -> Fate {
        if let Some(arrives_at) = self.send_plain(at) {
            return Fate::Arrives(arrives_at);
        }
        if self.rest.conditions.is_cut {
            return Fate::Lost;
        }
        if let Some(sweep) = self.rest.sweep {
            if sweep.from <= at && at < sweep.until {
                let delay = self.rest.delays.at(sweep.share(at));
                return Fate::Arrives(self.in_order(at + delay + self.slow));
            }
            if at >= sweep.until {
                self.rest.sweep = None;
                self.is_plain = self.rest.conditions.is_plain();
            }
        }
        self.send_under_conditions(at, bytes)
    }

    /// Whether nothing that is sent arrives.
    pub fn is_severed(&self) -> bool {
        self.rest.conditions.is_cut || self.rest.conditions.loss >= 1.0
    }

    /// When a message arrives that is sent `at` and, each time that it is lost, again so much later;
    /// copies are dropped, and where it `is_ordered` it waits for what was sent before it.
    ///
    /// `None` if more than `window_bytes` wait for the wire.
    ///
    /// # Panics
    /// If the link is severed: then it never arrives.
    pub fn send_until_carried(
        &mut self,
        at: Time,
        bytes: impl FnOnce() -> u64,
        again_after: Span,
        is_ordered: bool,
        window_bytes: u64,
    ) -> Option<Carried> {
        assert!(!self.is_severed(), "what is sent on a severed link never arrives");
        let Rest { conditions, wire, losses, delays, reorderings, .. } = &mut *self.rest;
        let (mut left_at, mut has_waited) = (at, false);
        if let Some(bits_per_s) = conditions.bandwidth_bits_per_s {
            (left_at, has_waited) = wire.pass_or_wait(
                at,
                bytes(),
                bits_per_s,
                conditions.queue_bytes_max,
                window_bytes,
            )?;
        }
        let mut lost_count = 0;
        while losses.draw(conditions) {
            lost_count += 1;
        }
        let disorder = match conditions.reordering {
            Span::ZERO => Span::ZERO,
            Span(spread) => Span(reorderings.random_range(0..=spread)),
        };
        let late = again_after.times(lost_count) + disorder;
        let arrives_at = left_at + delays.draw(left_at) + self.slow;
        let arrives_at = if is_ordered {
            self.in_order(arrives_at + late)
        } else {
            self.in_order(arrives_at) + late
        };
        Some(Carried { arrives_at, lost_count, has_waited })
    }

    fn send_under_conditions(&mut self, at: Time, bytes: impl FnOnce() -> u64) -> Fate {
        let Rest { conditions, wire, losses, duplications, .. } = &mut *self.rest;
        let mut at = at;
        // The bits take their time on the wire also when they are lost behind it.
        if let Some(bits_per_s) = conditions.bandwidth_bits_per_s {
            match wire.pass(at, bytes(), bits_per_s, conditions.queue_bytes_max) {
                Some(passed_at) => at = passed_at,
                None => return Fate::QueueFull,
            }
        }
        if losses.draw(conditions) {
            return Fate::Lost;
        }
        let share = conditions.duplication;
        if share > 0.0 && duplications.random_bool(share) {
            return Fate::Twice(self.deliver(at), self.deliver(at));
        }
        Fate::Arrives(self.deliver(at))
    }

    fn deliver(&mut self, at: Time) -> Time {
        let arrives_at = at + self.rest.delays.draw(at) + self.slow;
        match self.rest.conditions.reordering {
            Span::ZERO => self.in_order(arrives_at),
            Span(spread) => {
                let arrives_at = arrives_at + Span(self.rest.reorderings.random_range(0..=spread));
                self.arrives_after = self.arrives_after.max(arrives_at);
                arrives_at
            }
        }
    }

    #[inline]
    fn in_order(&mut self, arrives_at: Time) -> Time {
        self.arrives_after = self.arrives_after.max(arrives_at);
        self.arrives_after
    }
}

impl Sweep {
    /// How much of the time is over, without the very ends.
    fn share(self, at: Time) -> f64 {
        let share = at.since(self.from).0 as f64 / self.until.since(self.from).0 as f64;
        share.clamp(SWEEP_EDGE, 1.0 - SWEEP_EDGE)
    }
}

//! The links of one member: for each destination, how long a datagram to it travels.
//!
//! A link is directed, and the way back is the other member's.
//! It is first in, first out, as a route through the Internet nearly is: a datagram is due at its own
//! draw of the delay, but never before the one sent before it.
//! Any number of datagrams travel at once: a delay is not a rate.
//! A link that holds too much drops, as a router does.
//! A destination that has no link is refused and counted, so the emulation cannot be off unnoticed.
//!
//! Pure: it is given the time, and says when a datagram is due; releasing it then is the
//! [`releaser`](super::releaser)'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;
use rand_pcg::Pcg64;

use crate::time::{Span, Time};
use crate::topology::Delay;

/// The most that one link holds.
///
/// The defaults are more than the send window of a connection, so only a mistake reaches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Self { datagrams: 1 << 18, bytes: 256 << 20 }
    }
}

/// The links from one member to all it may send to.
#[derive(Debug)]
pub struct Links {
    seed: u64,
    limit: Limit,
    table: BTreeMap<SocketAddr, Link>,
}

#[derive(Debug)]
struct Link {
    delay: Delay,
    stream: Pcg64,
    /// When the datagram admitted last is due.
    last_due: Time,
    load: Arc<Load>,
}

/// What a link holds now; whoever releases a datagram takes it off.
#[derive(Debug, Default)]
struct Load {
    datagrams: AtomicU64,
    bytes: AtomicU64,
}

/// Why a datagram is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No link leads to its destination.
    Unknown,
    /// The link holds its limit.
    Full,
}

/// The place of datagrams on a link, which is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    load: Arc<Load>,
    datagrams: u64,
    bytes: u64,
}

impl Links {
    /// No links yet; `seed` and a link's stream number fix all its draws.
    pub fn new(seed: u64) -> Self {
        Self { seed, limit: Limit::default(), table: BTreeMap::new() }
    }

    /// The same with another limit for each link.
    #[must_use]
    pub fn with_limit(self, limit: Limit) -> Self {
        Self { limit, ..self }
    }

    /// Sets the link to `destination`; what already travels on it keeps its place.
    ///
    /// No two links of one deployment may have one `stream_id`, or they would jitter in step.
    pub fn set(&mut self, destination: SocketAddr, delay: Delay, stream_id: u64) {
        let stream = Pcg64::new(self.seed.into(), stream_id.into());
        if let Some(link) = self.table.get_mut(&canonical(destination)) {
            link.delay = delay;
            link.stream = stream;
            return;
        }
        let link = Link { delay, stream, last_due: Time::ZERO, load: Arc::default() };
        self.table.insert(canonical(destination), link);
    }

    /// Lets the link that led to `old` lead to `new`, where its member restarted; its draws go on.
    /// False if there is no such link.
    pub fn replace(&mut self, old: SocketAddr, new: SocketAddr) -> bool {
        let Some(link) = self.table.remove(&canonical(old)) else { return false };
        self.table.insert(canonical(new), link);
        true
    }

    /// Takes the link away: what is sent there from now on is refused.
    pub fn remove(&mut self, destination: SocketAddr) -> bool {
        self.table.remove(&canonical(destination)).is_some()
    }

    /// The median delay of the link to `destination`.
    pub fn median(&self, destination: SocketAddr) -> Option<Span> {
        self.table.get(&canonical(destination)).map(|link| link.delay.median())
    }

    /// Whether a datagram may skip the queue: its link has no delay and holds nothing.
    pub fn bypasses(&self, destination: SocketAddr) -> bool {
        let link = self.table.get(&canonical(destination));
        link.is_some_and(|link| link.delay.is_zero() && link.load.is_empty())
    }

    /// Takes a datagram of so many bytes, and says when it is due.
    pub fn admit(
        &mut self,
        now: Time,
        destination: SocketAddr,
        bytes: usize,
    ) -> Result<(Time, Place), Refusal> {
        let link = self.table.get_mut(&canonical(destination)).ok_or(Refusal::Unknown)?;
        let draw = link.delay.quantile(uniform(&mut link.stream));
        let place = Place::take(&link.load, bytes as u64, self.limit).ok_or(Refusal::Full)?;
        link.last_due = link.last_due.max(now + draw);
        Ok((link.last_due, place))
    }
}

impl Load {
    fn is_empty(&self) -> bool {
        self.datagrams.load(Ordering::Acquire) == 0
    }
}

impl Place {
    /// Takes a place for one datagram. Only the holder of the links calls this, so what is read
    /// here can but shrink until it is added to.
    fn take(load: &Arc<Load>, bytes: u64, limit: Limit) -> Option<Self> {
        let fits = load.datagrams.load(Ordering::Acquire) < limit.datagrams
            && load.bytes.load(Ordering::Acquire) + bytes <= limit.bytes;
        fits.then(|| {
            load.datagrams.fetch_add(1, Ordering::AcqRel);
            load.bytes.fetch_add(bytes, Ordering::AcqRel);
            Self { load: Arc::clone(load), datagrams: 1, bytes }
        })
    }

    /// Makes this the place of both, which must be on one link.
    pub(super) fn join(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.load, &other.load), "places of two links cannot be one");
        self.datagrams += std::mem::take(&mut other.datagrams);
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// How many datagrams have this place.
    pub(super) fn datagrams(&self) -> u64 {
        self.datagrams
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.load.datagrams.fetch_sub(self.datagrams, Ordering::AcqRel);
    }
}

/// An IPv4 address, also where a dual-stack socket writes it as IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The next number of the stream in [0, 1): its highest 53 bits.
fn uniform(stream: &mut Pcg64) -> f64 {
    (stream.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Time = Time(1_000_000_000);

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn ms(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    fn jitter() -> Delay {
        Delay::weibull(ms(10), 15e6, 1.0)
    }

    fn links(delay: Delay) -> Links {
        let mut links = Links::new(1);
        links.set(address(1), delay, 7);
        links
    }

    fn due(links: &mut Links, now: Time) -> Time {
        links.admit(now, address(1), 100).unwrap().0
    }

    /// Scenario delay-line-as-pipe: one message at a time caps a link at 1/latency messages.
    #[test]
    fn a_delay_is_not_a_rate() {
        let mut links = links(Delay::constant(ms(50)));
        let travelling: Vec<_> =
            (0..1000).map(|_| links.admit(SECOND, address(1), 1452).unwrap()).collect();
        assert!(travelling.iter().all(|(due, _)| *due == SECOND + ms(50)));
    }

    /// Scenario delay-reorders: one sleep a message lets a later one overtake.
    #[test]
    fn jitter_never_reorders_a_link() {
        let mut links = links(jitter());
        let sent: Vec<_> = (0..1000).map(|i| SECOND + Span::from_micros(i * 100)).collect();
        let due: Vec<_> = sent.iter().map(|now| due(&mut links, *now)).collect();
        assert!(due.is_sorted());
        let travelled: Vec<_> = sent.iter().zip(&due).map(|(sent, due)| due.since(*sent)).collect();
        assert!(travelled.iter().all(|span| *span >= ms(10)));
        assert!(travelled.iter().any(|span| *span != travelled[0]), "there was no jitter");
    }

    #[test]
    fn far_apart_datagrams_have_the_asked_distribution() {
        let mut links = links(jitter());
        let travelled = (0..10_000).map(|i| {
            let now = SECOND + ms(1000).times(i);
            due(&mut links, now).since(now)
        });
        let mut travelled: Vec<_> = travelled.collect();
        travelled.sort_unstable();
        for (index, exact) in [(2_500, 14.32), (5_000, 20.4), (7_500, 30.79)] {
            let found = travelled[index].as_millis_f64();
            assert!((found / exact - 1.0).abs() < 0.05, "{index}: {found}");
        }
    }

    #[test]
    fn the_seed_and_the_stream_fix_all_draws() {
        let draws = |seed, stream| {
            let mut links = Links::new(seed);
            links.set(address(1), jitter(), stream);
            (0..20).map(|i| due(&mut links, SECOND + ms(200).times(i))).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, 7), draws(1, 7));
        assert_ne!(draws(1, 7), draws(1, 8));
        assert_ne!(draws(1, 7), draws(2, 7));
    }

    /// Scenario delay-silently-off: what no link was set for does not travel at all.
    #[test]
    fn a_destination_without_a_link_is_refused() {
        let mut links = links(Delay::zero());
        assert!(links.bypasses(address(1)));
        assert!(!links.bypasses(address(2)));
        assert_eq!(links.admit(SECOND, address(2), 1).unwrap_err(), Refusal::Unknown);
        assert!(links.remove(address(1)));
        assert!(!links.bypasses(address(1)));
        assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Unknown);
    }

    /// Scenario delay-one-way-only, the half of it that is here: a link has its own direction's delay.
    #[test]
    fn every_destination_has_its_own_delay_and_order() {
        let mut links = links(Delay::constant(ms(80)));
        links.set(address(2), Delay::constant(ms(10)), 8);
        assert_eq!(due(&mut links, SECOND), SECOND + ms(80));
        assert_eq!(links.admit(SECOND, address(2), 1).unwrap().0, SECOND + ms(10));
        assert_eq!(links.median(address(1)), Some(ms(80)));
        assert_eq!(links.median(address(3)), None);
    }

    #[test]
    fn a_full_link_drops_until_something_is_released() {
        let mut links =
            links(Delay::constant(ms(5))).with_limit(Limit { datagrams: 2, bytes: 1000 });
        let (_, first) = links.admit(SECOND, address(1), 400).unwrap();
        let (_, second) = links.admit(SECOND, address(1), 400).unwrap();
        assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Full);
        drop(first);
        assert_eq!(links.admit(SECOND, address(1), 601).unwrap_err(), Refusal::Full);
        let (_, mut both) = links.admit(SECOND, address(1), 600).unwrap();
        both.join(second);
        assert_eq!(both.datagrams(), 2);
        drop(both);
        assert!(links.admit(SECOND, address(1), 1000).is_ok());
    }

    #[test]
    fn only_an_empty_link_without_delay_is_bypassed() {
        let mut links = links(Delay::constant(ms(5)));
        assert!(!links.bypasses(address(1)));
        let (due, place) = links.admit(SECOND, address(1), 100).unwrap();
        links.set(address(1), Delay::zero(), 7);
        assert!(!links.bypasses(address(1)), "it would overtake what travels");
        assert_eq!(links.admit(SECOND, address(1), 100).unwrap().0, due);
        drop(place);
        assert!(links.bypasses(address(1)));
    }

    #[test]
    fn a_member_that_restarts_elsewhere_keeps_its_link() {
        let mut links = links(Delay::constant(ms(5)));
        assert!(links.replace(address(1), address(9)));
        assert!(!links.replace(address(1), address(9)));
        assert_eq!(links.admit(SECOND, address(9), 1).unwrap().0, SECOND + ms(5));
        assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Unknown);
    }

    #[test]
    fn a_mapped_ipv4_address_is_the_same_destination() {
        let mut links = links(Delay::constant(ms(5)));
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), 1);
        assert!(links.admit(SECOND, mapped, 1).is_ok());
    }
}

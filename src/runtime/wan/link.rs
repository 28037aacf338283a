//! The links of one member: for each destination, what becomes of a datagram, and how much is on its
//! way there.
//!
//! What a link does is said once for all worlds, in [`crate::link`]; here it is done to UDP datagrams.
//! Each directed link is a model of its own, and the way back is the other member's; what a replica
//! sends to all of them may have to pass one uplink first.
//!
//! Beside what is asked for there is a limit for safety: a link that holds too much drops, and because
//! nobody asked for that, a trial in which it happens is not valid.
//! A destination that has no link is refused and counted, so the emulation cannot be off unnoticed.
//!
//! Pure: it is given the time, and says when a datagram is due; releasing it then is the
//! [`releaser`](super::releaser)'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::deployment::Network;
use crate::link::{Conditions, Fate, Link as Model, Wire};
use crate::runtime::coalescer::Coalescer;
use crate::time::{Span, Time};
use crate::topology::Delay;

/// What a datagram has around it on a wire of limited bandwidth: 20 bytes of IPv4 and 8 of UDP.
pub const OVERHEAD_BYTES: u64 = 28;

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
    network: Network,
    uplink: Wire,
    /// While all links sweep, the uplink is not limited either.
    sweep: Option<(Time, Time)>,
    coalescer: Coalescer,
    table: BTreeMap<SocketAddr, Link>,
}

#[derive(Debug)]
struct Link {
    model: Model,
    /// When the last of what was admitted is due.
    last_due: Time,
    /// When that is released.
    last_release: Time,
    load: Arc<Load>,
}

/// What a link holds now; whoever releases a datagram takes it off.
#[derive(Debug, Default)]
struct Load {
    datagrams: AtomicU64,
    bytes: AtomicU64,
}

/// A datagram that is carried.
#[derive(Debug)]
pub struct Admitted {
    /// When it is due.
    pub due: Time,
    /// When it is released: then, or under load a little later, together with others.
    pub release: Time,
    /// Its place on the link.
    pub place: Place,
    /// Whether it overtakes one that was sent before.
    pub overtakes: bool,
    /// If it arrives twice, when its copy is due, and the place of that; a link that holds its limit
    /// with the datagram itself makes no copy.
    pub again: Option<(Time, Place)>,
}

/// Why a datagram is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No link leads to its destination.
    Unknown,
    /// The link holds its limit, by mistake.
    Full,
    /// It is lost, as was asked for.
    Lost,
    /// The queue of a wire has no room, as was asked for.
    QueueFull,
}

/// The place of datagrams on a link, which is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    load: Arc<Load>,
    datagrams: u64,
    bytes: u64,
}

impl Links {
    /// No links yet; `seed` and a link's number fix all its draws.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            limit: Limit::default(),
            network: Network::default(),
            uplink: Wire::default(),
            sweep: None,
            coalescer: Coalescer::new(Span::ZERO),
            table: BTreeMap::new(),
        }
    }

    /// The same with another limit for each link.
    #[must_use]
    pub fn with_limit(self, limit: Limit) -> Self {
        Self { limit, ..self }
    }

    /// The same with links that, when they are set, do this besides delaying.
    #[must_use]
    pub fn with_network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// The same, where under load datagrams that are due within so long leave together.
    #[must_use]
    pub fn with_quantum(self, quantum: Span) -> Self {
        Self { coalescer: Coalescer::new(quantum), ..self }
    }

    /// Sets the delay of the link to `destination`, which is new, or keeps all else: what already
    /// travels on it, its conditions, and where its draws are.
    ///
    /// `id` is that of [`streams::id`](crate::link::streams::id): no two links of one deployment may
    /// have one, or they would jitter in step.
    pub fn set(&mut self, destination: SocketAddr, delay: Delay, id: u64) {
        if let Some(link) = self.table.get_mut(&canonical(destination)) {
            link.model.set_delay(delay);
            return;
        }
        let mut model = Model::new(self.seed, id, delay, self.network.correlation, Span::ZERO);
        model.set_conditions(self.network.conditions);
        let (last_due, last_release) = (Time::ZERO, Time::ZERO);
        let link = Link { model, last_due, last_release, load: Arc::default() };
        self.table.insert(canonical(destination), link);
    }

    /// What the link to `destination` does from now on besides delaying; what travels on it stays.
    /// False if there is no such link.
    pub fn set_conditions(&mut self, destination: SocketAddr, conditions: Conditions) -> bool {
        let link = self.table.get_mut(&canonical(destination));
        link.map(|link| link.model.set_conditions(conditions)).is_some()
    }

    /// Lets the delay of every link go through its distribution once: see
    /// [`Link::sweep`](Model::sweep).
    pub fn sweep(&mut self, from: Time, until: Time) {
        self.sweep = Some((from, until));
        self.table.values_mut().for_each(|link| link.model.sweep(from, until));
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
        self.table.get(&canonical(destination)).map(|link| link.model.delay().median())
    }

    /// Whether a datagram may skip the queue: its link does nothing and holds nothing.
    pub fn bypasses(&self, destination: SocketAddr) -> bool {
        let link = self.table.get(&canonical(destination));
        let is_idle = link.is_some_and(|link| link.model.is_idle() && link.load.is_empty());
        is_idle && self.network.uplink_bits_per_s.is_none()
    }

    /// Takes a datagram of so many bytes, and says when it is due.
    pub fn admit(
        &mut self,
        now: Time,
        destination: SocketAddr,
        bytes: usize,
    ) -> Result<Admitted, Refusal> {
        let link = self.table.get_mut(&canonical(destination)).ok_or(Refusal::Unknown)?;
        let (bytes, wire_bytes) = (bytes as u64, bytes as u64 + OVERHEAD_BYTES);
        let place = Place::take(&link.load, bytes, self.limit).ok_or(Refusal::Full)?;
        let is_sweeping = self.sweep.is_some_and(|(from, until)| from <= now && now < until);
        let at = match self.network.uplink_bits_per_s {
            Some(bits_per_s) if !is_sweeping => {
                let queue_bytes_max = self.network.conditions.queue_bytes_max;
                let passed = self.uplink.pass(now, wire_bytes, bits_per_s, queue_bytes_max);
                passed.ok_or(Refusal::QueueFull)?
            }
            _ => now,
        };
        let (due, again_due) = match link.model.send(at, || wire_bytes) {
            Fate::Arrives(due) => (due, None),
            Fate::Twice(due, again_due) => (due, Some(again_due)),
            Fate::Lost => return Err(Refusal::Lost),
            Fate::QueueFull => return Err(Refusal::QueueFull),
        };
        let overtakes = due < link.last_due;
        if due != link.last_due {
            self.coalescer.count(now);
        }
        let mut release = self.coalescer.put_off(due, due.since(now));
        if !overtakes {
            // Also where nothing is put off any more.
            release = release.max(link.last_release);
            link.last_release = release;
        }
        link.last_due = link.last_due.max(due).max(again_due.unwrap_or_default());
        let again =
            again_due.and_then(|due| Some((due, Place::take(&link.load, bytes, self.limit)?)));
        Ok(Admitted { due, release, place, overtakes, again })
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
        links.admit(now, address(1), 100).unwrap().due
    }

    /// Scenario delay-line-as-pipe: one message at a time caps a link at 1/latency messages.
    #[test]
    fn a_delay_is_not_a_rate() {
        let mut links = links(Delay::constant(ms(50)));
        let travelling: Vec<_> =
            (0..1000).map(|_| links.admit(SECOND, address(1), 1452).unwrap()).collect();
        assert!(travelling.iter().all(|sent| sent.due == SECOND + ms(50)));
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
        assert_eq!(links.admit(SECOND, address(2), 1).unwrap().due, SECOND + ms(10));
        assert_eq!(links.median(address(1)), Some(ms(80)));
        assert_eq!(links.median(address(3)), None);
    }

    /// Under load what is due within a quantum leaves together, in its order, also when the load ends.
    #[test]
    fn under_load_datagrams_leave_together_and_in_order() {
        let quantum = Span::from_micros(128);
        let mut links = links(jitter()).with_quantum(quantum);
        links.set(address(2), Delay::constant(ms(10)), 8);
        let mut seen: [Vec<Admitted>; 2] = Default::default();
        let mut now = SECOND;
        // Twenty thousand a second, and then a hundred.
        for number in 0..2_100 {
            for (port, seen) in (1..).zip(&mut seen) {
                seen.push(links.admit(now, address(port), 100).unwrap());
            }
            let gap = if number < 2_000 { Span::from_micros(50) } else { ms(10) };
            now = now + gap;
        }
        for seen in seen {
            assert!(seen.iter().all(|it| it.due <= it.release && it.release < it.due + quantum));
            assert!(seen.is_sorted_by_key(|it| it.release));
            let late = |seen: &[Admitted]| seen.iter().filter(|it| it.release > it.due).count();
            assert!(late(&seen[1_000..2_000]) > 900, "{}", late(&seen[1_000..2_000]));
            assert_eq!(late(&seen[2_005..]), 0);
            let mut instants: Vec<Time> = seen[1_000..2_000].iter().map(|it| it.release).collect();
            instants.dedup();
            assert!(instants.len() < 400, "{}", instants.len());
        }
    }

    #[test]
    fn a_full_link_drops_until_something_is_released() {
        let mut links =
            links(Delay::constant(ms(5))).with_limit(Limit { datagrams: 2, bytes: 1000 });
        let first = links.admit(SECOND, address(1), 400).unwrap().place;
        let second = links.admit(SECOND, address(1), 400).unwrap().place;
        assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Full);
        drop(first);
        assert_eq!(links.admit(SECOND, address(1), 601).unwrap_err(), Refusal::Full);
        let mut both = links.admit(SECOND, address(1), 600).unwrap().place;
        both.join(second);
        assert_eq!(both.datagrams(), 2);
        drop(both);
        assert!(links.admit(SECOND, address(1), 1000).is_ok());
    }

    #[test]
    fn only_an_empty_link_without_delay_is_bypassed() {
        let mut links = links(Delay::constant(ms(5)));
        assert!(!links.bypasses(address(1)));
        let Admitted { due, place, .. } = links.admit(SECOND, address(1), 100).unwrap();
        links.set(address(1), Delay::zero(), 7);
        assert!(!links.bypasses(address(1)), "it would overtake what travels");
        assert_eq!(links.admit(SECOND, address(1), 100).unwrap().due, due);
        drop(place);
        assert!(links.bypasses(address(1)));
    }

    #[test]
    fn a_member_that_restarts_elsewhere_keeps_its_link() {
        let mut links = links(Delay::constant(ms(5)));
        assert!(links.replace(address(1), address(9)));
        assert!(!links.replace(address(1), address(9)));
        assert_eq!(links.admit(SECOND, address(9), 1).unwrap().due, SECOND + ms(5));
        assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Unknown);
    }

    #[test]
    fn a_mapped_ipv4_address_is_the_same_destination() {
        let mut links = links(Delay::constant(ms(5)));
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), 1);
        assert!(links.admit(SECOND, mapped, 1).is_ok());
    }
    fn conditions(conditions: Conditions) -> Network {
        Network { conditions, ..Network::default() }
    }

    fn links_under(network: Network) -> Links {
        let mut links = Links::new(1).with_network(network);
        links.set(address(1), Delay::constant(ms(5)), 7);
        links
    }

    #[test]
    fn what_is_lost_on_purpose_is_told_from_what_a_mistake_drops() {
        let mut links = links_under(conditions(Conditions { loss: 1.0, ..Conditions::default() }));
        assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Lost);
        let mut links = links.with_limit(Limit { datagrams: 0, bytes: 0 });
        assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Full);
    }

    #[test]
    fn what_is_lost_or_finds_no_room_takes_no_place() {
        let limit = Limit { datagrams: 1, bytes: 1000 };
        let lossy = Conditions { loss: 1.0, ..Conditions::default() };
        let mut links = links_under(conditions(lossy)).with_limit(limit);
        for _ in 0..3 {
            assert_eq!(links.admit(SECOND, address(1), 1).unwrap_err(), Refusal::Lost);
        }
    }

    #[test]
    fn a_copy_has_a_place_of_its_own() {
        let twice = Conditions { duplication: 1.0, ..Conditions::default() };
        let limit = Limit { datagrams: 3, bytes: 1000 };
        let mut links = links_under(conditions(twice)).with_limit(limit);
        let sent = links.admit(SECOND, address(1), 100).unwrap();
        assert_eq!(sent.again.as_ref().unwrap().0, SECOND + ms(5));
        let last = links.admit(SECOND, address(1), 100).unwrap();
        assert!(last.again.is_none(), "there are three places");
        assert_eq!(links.admit(SECOND, address(1), 100).unwrap_err(), Refusal::Full);
    }

    #[test]
    fn what_overtakes_is_said_to() {
        let reordering = Conditions { reordering: ms(30), ..Conditions::default() };
        let mut links = links_under(conditions(reordering));
        let sent: Vec<_> = (0..100).map(|_| links.admit(SECOND, address(1), 1).unwrap()).collect();
        let overtaking = sent.iter().filter(|sent| sent.overtakes).count();
        assert!((50..100).contains(&overtaking), "{overtaking}");
        assert!(!sent[0].overtakes);
        assert!(links.set_conditions(address(1), Conditions::default()));
        assert!(!links.admit(SECOND, address(1), 1).unwrap().overtakes);
        assert!(!links.set_conditions(address(2), Conditions::default()), "there is no such link");
    }

    /// 125 bytes with 28 around them take 1224 us at a megabit a second.
    #[test]
    fn all_that_a_member_sends_passes_its_uplink() {
        let uplink = Network { uplink_bits_per_s: Some(1_000_000), ..Network::default() };
        let mut links = links_under(uplink);
        links.set(address(2), Delay::zero(), 8);
        assert!(!links.bypasses(address(2)), "the uplink is on its way");
        let wire = Span::from_micros(1224);
        let mut due = |at, port| links.admit(at, address(port), 125).unwrap().due;
        assert_eq!(due(SECOND, 1), SECOND + wire + ms(5));
        assert_eq!(due(SECOND, 2), SECOND + wire.times(2));
        links.sweep(SECOND + ms(10), SECOND + ms(20));
        let mut due = |at, port| links.admit(at, address(port), 125).unwrap().due;
        assert_eq!(due(SECOND + ms(10), 2), SECOND + ms(10), "a sweep measures the delay");
    }

    #[test]
    fn a_link_set_again_keeps_its_conditions_and_its_draws() {
        let lossy = Conditions { loss: 0.5, ..Conditions::default() };
        let fates = |is_set_again: bool| {
            let mut links = links_under(conditions(lossy));
            let is_carried = |links: &mut Links| links.admit(SECOND, address(1), 1).is_ok();
            let mut fates: Vec<bool> = (0..20).map(|_| is_carried(&mut links)).collect();
            if is_set_again {
                links.set(address(1), Delay::constant(ms(4)), 7);
            }
            fates.extend((0..20).map(|_| is_carried(&mut links)));
            fates
        };
        assert_eq!(fates(true), fates(false));
        assert!(fates(true).contains(&true) && fates(true).contains(&false));
    }
}

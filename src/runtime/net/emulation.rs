//! The emulated wide area of one member: its outgoing links, and the thread that delays by them.
//!
//! It works on UDP datagrams, below QUIC, so that handshakes, acknowledgements, loss recovery and
//! congestion control all live in the emulated network.
//! Each member delays what it sends; a round trip is delayed once each way.
//! What travels is held by the sender: a member that is killed takes it along.
//! What a link loses, doubles, reorders or limits because it was asked to is counted apart from what is
//! dropped by mistake.
//!
//! It knows of QUIC only the types of its UDP library, so the next version's socket trait concerns
//! `socket.rs` alone.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::udp::Transmit;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::lateness::TOLERANCE;
use super::link::{Admitted, Links, Refusal};
use super::outlet::{Counters, Outlet};
use super::releaser::{Releaser, Scheduling};
use super::run::{Header, Run};
use super::sabotage::{Rule, Saboteur};
use crate::link::Conditions;
use crate::runtime::clock;
use crate::time::{Span, Time};
use crate::topology::Delay;

/// The links of one member at work.
#[derive(Debug)]
pub struct Emulation {
    links: Mutex<Links>,
    releaser: Arc<Releaser>,
    counters: Arc<Counters>,
    /// Breaks it on purpose.
    saboteur: Option<Mutex<Saboteur>>,
}

/// What the emulation did; a valid run has zero from `dropped` to `early`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmulationReport {
    /// Datagrams released after their delay.
    pub datagrams: u64,
    /// Datagrams of links without delay, sent at once.
    pub bypassed: u64,
    /// Datagrams lost as was asked for.
    pub lost: u64,
    /// Datagrams for which the queue of a wire had no room, as was asked for.
    pub queue_dropped: u64,
    /// Datagrams that were sent twice, as was asked for.
    pub duplicated: u64,
    /// Datagrams that overtook another one, as was asked for.
    pub reordered: u64,
    /// Datagrams dropped by a link that held its limit, by mistake.
    pub dropped: u64,
    /// Datagrams dropped because no link leads to their destination.
    pub unknown_destination: u64,
    /// Datagrams that the kernel refused.
    pub send_errors: u64,
    /// Times that a full socket made the thread wait.
    pub blocked: u64,
    /// Datagrams released before they were due.
    pub early: u64,
    /// The median time from due to release; `None` if nothing was released.
    pub lateness_p50: Option<Span>,
    /// Its 99th percentile.
    pub lateness_p99: Option<Span>,
    /// The longest.
    pub lateness_max: Option<Span>,
    /// The scheduling that the thread obtained.
    pub scheduling: Scheduling,
}

impl Emulation {
    /// These links, delayed by this thread, which other members of the process may share.
    pub fn new(links: Links, releaser: Arc<Releaser>) -> Self {
        let counters = Arc::default();
        Self { links: Mutex::new(links), releaser, counters, saboteur: None }
    }

    /// The same, broken on purpose.
    #[must_use]
    pub fn broken(self, rule: Rule) -> Self {
        Self { saboteur: Some(Mutex::new(Saboteur::new(rule))), ..self }
    }

    /// Sets the link to `destination`: see [`Links::set`].
    pub fn set(&self, destination: SocketAddr, delay: Delay, id: u64) {
        self.links().set(destination, delay, id);
    }

    /// What the link to `destination` does from now on: see [`Links::set_conditions`].
    pub fn set_conditions(&self, destination: SocketAddr, conditions: Conditions) -> bool {
        self.links().set_conditions(destination, conditions)
    }

    /// Lets the delay of every link go through its distribution once: see [`Links::sweep`].
    pub fn sweep(&self, from: Time, until: Time) {
        self.links().sweep(from, until);
    }

    /// Lets the link to `old` lead to `new`: see [`Links::replace`].
    pub fn replace(&self, old: SocketAddr, new: SocketAddr) -> bool {
        self.links().replace(old, new)
    }

    /// Takes the link away: see [`Links::remove`].
    pub fn remove(&self, destination: SocketAddr) -> bool {
        self.links().remove(destination)
    }

    /// The round trip to a destination whose way back is like the way there.
    pub fn expected_rtt(&self, destination: SocketAddr) -> Option<Span> {
        self.links().median(destination).map(|delay| delay.times(2))
    }

    /// What was done so far.
    pub fn report(&self) -> EmulationReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        EmulationReport {
            datagrams: read(&counters.released),
            bypassed: read(&counters.bypassed),
            lost: read(&counters.lost),
            queue_dropped: read(&counters.queue_dropped),
            duplicated: read(&counters.duplicated),
            reordered: read(&counters.reordered),
            dropped: read(&counters.dropped),
            unknown_destination: read(&counters.unknown_destination),
            send_errors: read(&counters.send_errors),
            blocked: read(&counters.blocked),
            early: read(&counters.early),
            lateness_p50: counters.lateness.quantile(0.5),
            lateness_p99: counters.lateness.quantile(0.99),
            lateness_max: counters.lateness.max(),
            scheduling: self.releaser.scheduling().clone(),
        }
    }

    /// How many datagrams were released so far, and how many of them later than [`TOLERANCE`].
    pub fn released_and_late(&self) -> (u64, u64) {
        (self.counters.released.load(Ordering::Relaxed), self.counters.lateness.late_count())
    }

    /// The sending side of a socket of this member.
    pub(super) fn outlet(&self, socket: &UdpSocket) -> std::io::Result<Arc<Outlet>> {
        Outlet::new(socket, Arc::clone(&self.counters)).map(Arc::new)
    }

    /// Carries what QUIC wants to send; it never blocks, and what cannot be carried is counted.
    pub(super) fn send(&self, outlet: &Arc<Outlet>, transmit: &Transmit<'_>) {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let bypasses = self.links().bypasses(transmit.destination);
        // Should the socket be full, the releaser waits for it.
        if bypasses && outlet.send(transmit).is_ok() {
            let datagrams = transmit.contents.len().div_ceil(size) as u64;
            self.counters.bypassed.fetch_add(datagrams, Ordering::Relaxed);
            return;
        }
        // The links are held until the runs are queued: two tasks must not swap what is sent first.
        let mut links = self.links();
        let runs = self.runs(&mut links, clock::now(), outlet, transmit, size);
        self.releaser.push(runs);
    }

    /// Carries a transmission as if it had been sent at this instant, which may be yet to come.
    pub(super) fn send_at(&self, at: Time, outlet: &Arc<Outlet>, transmit: &Transmit<'_>) {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut links = self.links();
        let runs = self.runs(&mut links, at, outlet, transmit, size);
        self.releaser.push(runs);
    }

    /// Cuts a transmission into datagrams, admits each, and joins those due at one instant.
    fn runs(
        &self,
        links: &mut Links,
        now: Time,
        outlet: &Arc<Outlet>,
        transmit: &Transmit<'_>,
        segment_size: usize,
    ) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::with_capacity(1);
        for segment in transmit.contents.chunks(segment_size) {
            let admitted = match links.admit(now, transmit.destination, segment.len()) {
                Ok(admitted) => admitted,
                Err(refusal) => {
                    self.count(refusal);
                    continue;
                }
            };
            let Admitted { due, place, overtakes, again } = admitted;
            self.counters.reordered.fetch_add(overtakes.into(), Ordering::Relaxed);
            self.counters.duplicated.fetch_add(again.is_some().into(), Ordering::Relaxed);
            for (due, place) in [Some((due, place)), again].into_iter().flatten() {
                let due = self.edited(now, transmit.destination, due);
                match runs.last_mut() {
                    // Nothing follows a segment that is shorter than the others.
                    Some(run) if run.due == due && run.contents.len() % segment_size == 0 => {
                        run.contents.extend_from_slice(segment);
                        run.place.join(place);
                    }
                    _ => {
                        let mut contents = self.releaser.buffer();
                        contents.extend_from_slice(segment);
                        let header = Header::of(transmit);
                        let (sequence, outlet) = (0, Arc::clone(outlet));
                        let run =
                            Run { due, sequence, contents, segment_size, header, place, outlet };
                        runs.push(run);
                    }
                }
            }
        }
        runs
    }

    /// When a datagram leaves: when it is due, unless this is broken.
    fn edited(&self, now: Time, destination: SocketAddr, due: Time) -> Time {
        let Some(saboteur) = &self.saboteur else { return due };
        let mut saboteur = saboteur.lock().unwrap_or_else(PoisonError::into_inner);
        saboteur.due(now, destination, due)
    }

    fn count(&self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Unknown => &self.counters.unknown_destination,
            Refusal::Full => &self.counters.dropped,
            Refusal::Lost => &self.counters.lost,
            Refusal::QueueFull => &self.counters.queue_dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The links; a thread that panicked while it held them left them whole.
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, IoSliceMut};
    use std::thread;
    use std::time::Duration;

    use quinn::udp::{EcnCodepoint, RecvMeta, UdpSocketState};

    use super::super::link::{Limit, OVERHEAD_BYTES};
    use super::super::releaser::Precision;
    use super::*;
    use crate::deployment::Network;

    const PAYLOAD: usize = 100;

    /// A member: its socket, its emulation, and the sending side of both.
    struct Member {
        socket: UdpSocket,
        emulation: Emulation,
        outlet: Arc<Outlet>,
    }

    impl Member {
        fn new(links: Links) -> Self {
            let releaser = Arc::new(Releaser::start(Precision::default()).unwrap());
            let emulation = Emulation::new(links, releaser);
            let (socket, _) = receiver();
            let outlet = emulation.outlet(&socket).unwrap();
            Self { socket, emulation, outlet }
        }

        /// Sends datagrams numbered from `first`, each with the time of sending, in one call.
        fn send(&self, to: SocketAddr, first: u64, count: u64) {
            let mut contents = Vec::new();
            for number in first..first + count {
                contents.extend_from_slice(&number.to_le_bytes());
                contents.extend_from_slice(&clock::now().0.to_le_bytes());
                contents.resize(contents.len() + PAYLOAD - 16, number.to_le_bytes()[0]);
            }
            // The last may be shorter than the others.
            contents.truncate(contents.len() - 10);
            self.emulation.send(
                &self.outlet,
                &Transmit {
                    destination: to,
                    ecn: Some(EcnCodepoint::Ect0),
                    contents: &contents,
                    segment_size: (count > 1).then_some(PAYLOAD),
                    src_ip: None,
                },
            );
        }
    }

    fn receiver() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// The number of the next datagram, when it was sent, and its length.
    fn receive(socket: &UdpSocket) -> (u64, Time, usize) {
        // A datagram that never comes fails the test rather than hanging it.
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut bytes = [0; 2000];
        let (length, _) = socket.recv_from(&mut bytes).unwrap();
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let sent_at = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
        assert!(bytes[16..length].iter().all(|byte| *byte == number.to_le_bytes()[0]));
        (number, Time(sent_at), length)
    }

    fn links(to: SocketAddr, delay: Delay) -> Links {
        let mut links = Links::new(1);
        links.set(to, delay, 1);
        links
    }

    #[test]
    fn segments_arrive_whole_in_order_and_never_early() {
        let (socket, address) = receiver();
        let delay = Span::from_millis(3);
        let member = Member::new(links(address, Delay::constant(delay)));
        // The usual receive buffer holds some 250 small datagrams.
        for call in 0..10 {
            member.send(address, call * 10, 10);
        }
        for number in 0..100 {
            let (received, sent_at, length) = receive(&socket);
            assert!(clock::now() >= sent_at + delay, "{number} was early");
            assert_eq!((received, length), (number, PAYLOAD - 10 * usize::from(number % 10 == 9)));
        }
        let report = member.emulation.report();
        assert_eq!((report.datagrams, report.early, report.send_errors), (100, 0, 0));
        assert!(report.lateness_p50 <= report.lateness_p99);
        assert!(report.lateness_p99 <= report.lateness_max && report.lateness_max.is_some());
    }

    #[test]
    fn the_marks_of_a_packet_survive_the_delay() {
        let (socket, address) = receiver();
        let state = UdpSocketState::new((&socket).into()).unwrap();
        let member = Member::new(links(address, Delay::constant(Span::from_millis(1))));
        member.send(address, 0, 10);
        let mut bytes = vec![0; 1 << 16];
        let mut meta = [RecvMeta::default()];
        let received = loop {
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            match state.recv((&socket).into(), &mut buffers, &mut meta) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                received => break received.unwrap(),
            }
        };
        let RecvMeta { addr, len, stride, ecn, .. } = meta[0];
        assert_eq!((received, addr), (1, member.socket.local_addr().unwrap()));
        assert!(matches!(ecn, Some(EcnCodepoint::Ect0)));
        // One send of all segments; a kernel that does not coalesce gives the first.
        assert!((len, stride) == (10 * PAYLOAD - 10, PAYLOAD) || len == PAYLOAD, "{len} {stride}");
    }

    #[test]
    fn jitter_keeps_the_order_and_nothing_is_early() {
        let (socket, address) = receiver();
        let least = Span::from_micros(200);
        let delay = Delay::weibull(least, 300e3, 1.0);
        let member = Member::new(links(address, delay));
        for call in 0..33 {
            member.send(address, call * 3, 3);
        }
        for number in 0..99 {
            let (received, sent_at, _) = receive(&socket);
            assert!(clock::now() >= sent_at + least);
            assert_eq!(received, number);
        }
        assert_eq!(member.emulation.report().early, 0);
    }

    #[test]
    fn each_direction_has_its_own_delay() {
        let (left, right) = (Member::new(Links::new(1)), Member::new(Links::new(2)));
        let (there, back) = (Span::from_millis(2), Span::from_millis(1));
        let address = |member: &Member| member.socket.local_addr().unwrap();
        left.emulation.set(address(&right), Delay::constant(there), 1);
        right.emulation.set(address(&left), Delay::constant(back), 2);
        let start = clock::now();
        left.send(address(&right), 1, 1);
        receive(&right.socket);
        assert!(clock::now() >= start + there);
        right.send(address(&left), 2, 1);
        assert_eq!(receive(&left.socket).0, 2);
        assert!(clock::now() >= start + there + back);
    }

    #[test]
    fn a_link_without_delay_is_bypassed() {
        let (socket, address) = receiver();
        let member = Member::new(links(address, Delay::zero()));
        member.send(address, 0, 5);
        for number in 0..5 {
            assert_eq!(receive(&socket).0, number);
        }
        let report = member.emulation.report();
        assert_eq!((report.bypassed, report.datagrams, report.lateness_max), (5, 0, None));
    }

    #[test]
    fn what_has_no_link_or_no_place_is_dropped_and_counted() {
        let (socket, address) = receiver();
        let limit = Limit { datagrams: 4, bytes: 1 << 20 };
        let member =
            Member::new(links(address, Delay::constant(Span::from_millis(1))).with_limit(limit));
        let (_, unknown) = receiver();
        member.send(unknown, 0, 3);
        member.send(address, 0, 10);
        for number in 0..4 {
            assert_eq!(receive(&socket).0, number);
        }
        let report = member.emulation.report();
        assert_eq!((report.unknown_destination, report.dropped), (3, 6));
        assert_eq!((report.datagrams, report.bypassed), (4, 0));
    }

    fn network(conditions: Conditions) -> Network {
        Network { conditions, ..Network::default() }
    }

    fn links_under(to: SocketAddr, conditions: Conditions) -> Links {
        let mut links = Links::new(1).with_network(network(conditions));
        links.set(to, Delay::zero(), 1);
        links
    }

    #[test]
    fn what_is_asked_for_is_done_and_counted_apart_from_mistakes() {
        let (socket, address) = receiver();
        let twice = Conditions { duplication: 1.0, ..Conditions::default() };
        let member = Member::new(links_under(address, twice));
        // The last is shorter than the others, and its copy stays whole.
        member.send(address, 0, 3);
        for number in [0, 0, 1, 1, 2, 2] {
            let (received, _, length) = receive(&socket);
            assert_eq!((received, length), (number, PAYLOAD - 10 * usize::from(number == 2)));
        }
        let lost = Conditions { loss: 1.0, ..Conditions::default() };
        assert!(member.emulation.set_conditions(address, lost));
        member.send(address, 3, 4);
        let healed = Conditions::default();
        assert!(member.emulation.set_conditions(address, healed));
        member.send(address, 7, 1);
        assert_eq!(receive(&socket).0, 7);
        let report = member.emulation.report();
        assert_eq!((report.lost, report.duplicated, report.reordered), (4, 3, 0));
        assert_eq!((report.dropped, report.queue_dropped), (0, 0));
    }

    #[test]
    fn a_full_queue_drops_what_a_router_would() {
        let (socket, address) = receiver();
        let size = PAYLOAD as u64 + OVERHEAD_BYTES;
        let member = Member::new(links_under(
            address,
            Conditions {
                // A tenth of a second for each.
                bandwidth_bits_per_s: Some(size * 80),
                queue_bytes_max: Some(2 * size),
                ..Conditions::default()
            },
        ));
        member.send(address, 0, 10);
        // One is on the wire, and with it one waits.
        for number in 0..2 {
            assert_eq!(receive(&socket).0, number);
        }
        let report = member.emulation.report();
        assert_eq!((report.queue_dropped, report.dropped, report.lost), (8, 0, 0));
    }

    #[test]
    fn while_it_sweeps_a_lossy_link_only_delays() {
        let (socket, address) = receiver();
        let lossy = Conditions { loss: 1.0, ..Conditions::default() };
        let member = Member::new(links_under(address, lossy));
        let now = clock::now();
        member.emulation.sweep(now, now + Span::from_millis(3_600_000));
        member.send(address, 0, 3);
        for number in 0..3 {
            assert_eq!(receive(&socket).0, number);
        }
        assert_eq!(member.emulation.report().lost, 0);
    }

    #[test]
    fn a_datagram_that_the_kernel_refuses_is_counted() {
        let (_socket, address) = receiver();
        let member = Member::new(links(address, Delay::zero()));
        let contents = &vec![0; 70_000];
        let transmit = Transmit {
            destination: address,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: None,
        };
        member.emulation.send(&member.outlet, &transmit);
        assert_eq!(member.emulation.report().send_errors, 1);
    }

    #[test]
    fn a_releaser_that_is_dropped_forgets_what_it_holds() {
        let (_socket, address) = receiver();
        let member = Member::new(links(address, Delay::constant(Span::from_millis(1 << 30))));
        member.send(address, 0, 10);
        let Member { emulation, outlet, .. } = member;
        assert_eq!(Arc::strong_count(&outlet), 2);
        drop(emulation);
        assert_eq!(Arc::strong_count(&outlet), 1);
    }
}

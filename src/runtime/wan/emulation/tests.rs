//! Tests of [`emulation`](super).

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
    let transmit =
        Transmit { destination: address, ecn: None, contents, segment_size: None, src_ip: None };
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

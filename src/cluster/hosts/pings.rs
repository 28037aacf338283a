//! Round trips of datagrams between hosts, as their supervisors measure them.
//!
//! Each supervisor has one UDP socket: it answers the pings of the others, and sends its own.
//! A round trip begins and ends on one host, so it needs no other clock than that of this host.
//! It includes the wake-ups of both supervisors: some tens of microseconds.
//! A datagram carries the token of its measurement; a socket answers no other.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Buf, BufMut};
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::channel::FromHost;
use crate::runtime::clock;
use crate::time::{Span, Time};

/// A ping without an answer is lost after this time.
pub(super) const LOST_AFTER: Span = Span::from_millis(2_000);

/// A supervisor says this often what it has measured.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// The payload of a datagram: about that of a small write with its headers.
const BYTES: usize = 128;

const REQUEST: u8 = 0;
const ANSWER: u8 = 1;

/// Whom a supervisor pings, and how often.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PingOrder {
    /// The sockets of the others; a peer is known by its place here.
    pub(super) peers: Vec<SocketAddr>,
    /// From one ping to a peer to the next.
    pub(super) period: Span,
    /// How many pings each peer gets.
    pub(super) rounds: u64,
}

/// What a supervisor has measured since it last said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pinged {
    /// The place of the peer in the order.
    pub(super) peer: u32,
    /// The round trips.
    pub(super) round_trips: Vec<Span>,
    /// Pings without an answer.
    pub(super) lost_count: u64,
}

/// A datagram, as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Datagram {
    kind: u8,
    peer: u32,
    number: u64,
}

impl Datagram {
    fn read(mut bytes: &[u8], token: u64) -> Option<Self> {
        if bytes.len() != BYTES || bytes.get_u64() != token {
            return None;
        }
        Some(Self { kind: bytes.get_u8(), peer: bytes.get_u32(), number: bytes.get_u64() })
    }

    fn write(self, token: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.put_u64(token);
        bytes.put_u8(self.kind);
        bytes.put_u32(self.peer);
        bytes.put_u64(self.number);
        bytes.resize(BYTES, 0);
        bytes
    }
}

/// The socket of one measurement, on the address on which members listen.
pub(super) async fn open(address: IpAddr) -> std::io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind((address, 0)).await?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Answers pings, and sends those that are ordered; until nobody can order any more.
pub(super) async fn serve(
    socket: UdpSocket,
    token: u64,
    mut orders: UnboundedReceiver<PingOrder>,
    news: UnboundedSender<FromHost>,
) {
    let mut pings: Option<Pings> = None;
    let mut report = interval(REPORT_INTERVAL);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = [0; 2 * BYTES];
    loop {
        let next = pings.as_ref().and_then(Pings::next_at);
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                // An error says that an earlier datagram found no socket: its answer is missing.
                let Ok((length, from)) = received else { continue };
                match Datagram::read(&buffer[..length], token) {
                    Some(datagram) if datagram.kind == REQUEST => {
                        let answer = Datagram { kind: ANSWER, ..datagram }.write(token);
                        // A full buffer loses it, as a network would.
                        let _ = socket.try_send_to(&answer, from);
                    }
                    Some(datagram) => {
                        if let Some(pings) = &mut pings {
                            pings.hear(datagram, clock::own());
                        }
                    }
                    None => {}
                }
            }
            order = orders.recv() => match order {
                Some(order) => pings = Some(Pings::new(order)),
                None => return,
            },
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let Some(pings) = &mut pings {
                    pings.send(&socket, token);
                }
            }
            _ = report.tick() => {
                let Some(measured) = &mut pings else { continue };
                // Should nobody read it any more, the end of the orders ends this.
                let _ = news.send(FromHost::Pinged(measured.take(clock::own())));
                if measured.is_done() {
                    pings = None;
                    let _ = news.send(FromHost::PingsDone);
                }
            }
        }
    }
}

/// The pings of one order.
struct Pings {
    peers: Vec<Peer>,
    started: Instant,
    /// From a ping to one peer to that to the next peer.
    gap: Duration,
    step: u32,
    steps: u32,
}

struct Peer {
    address: SocketAddr,
    /// Pings without an answer yet, and when they were sent.
    open: BTreeMap<u64, Time>,
    round_trips: Vec<Span>,
}

impl Pings {
    fn new(PingOrder { peers, period, rounds }: PingOrder) -> Self {
        let count = u32::try_from(peers.len()).unwrap_or(u32::MAX);
        let peer = |address| Peer { address, open: BTreeMap::new(), round_trips: Vec::new() };
        Self {
            peers: peers.into_iter().map(peer).collect(),
            started: Instant::now(),
            gap: Duration::from(period) / count.max(1),
            step: 0,
            steps: count.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX)),
        }
    }

    /// When the next ping is due, if there is one.
    fn next_at(&self) -> Option<Instant> {
        (self.step < self.steps).then(|| self.started + self.gap * self.step)
    }

    /// Sends all that are due.
    fn send(&mut self, socket: &UdpSocket, token: u64) {
        while self.next_at().is_some_and(|at| at <= Instant::now()) {
            let count = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
            let (peer, number) = (self.step % count, u64::from(self.step / count));
            self.step += 1;
            let link = &mut self.peers[peer as usize];
            let datagram = Datagram { kind: REQUEST, peer, number }.write(token);
            link.open.insert(number, clock::own());
            // What cannot be sent has no answer either, and is lost.
            let _ = socket.try_send_to(&datagram, link.address);
        }
    }

    fn hear(&mut self, Datagram { peer, number, .. }: Datagram, now: Time) {
        let Some(link) = self.peers.get_mut(peer as usize) else { return };
        // One that comes twice, or too late, counts once.
        if let Some(sent_at) = link.open.remove(&number) {
            link.round_trips.push(now.since(sent_at));
        }
    }

    /// What was measured since it was last taken.
    fn take(&mut self, now: Time) -> Vec<Pinged> {
        let links = (0..).zip(&mut self.peers);
        let measured = links.map(|(peer, link)| {
            let open_count = link.open.len();
            link.open.retain(|_, sent_at| now.since(*sent_at) < LOST_AFTER);
            let lost_count = (open_count - link.open.len()) as u64;
            Pinged { peer, round_trips: std::mem::take(&mut link.round_trips), lost_count }
        });
        measured.filter(|it| it.lost_count > 0 || !it.round_trips.is_empty()).collect()
    }

    /// Whether every ping is sent, and answered or lost, and told.
    fn is_done(&self) -> bool {
        let is_told = |link: &Peer| link.open.is_empty() && link.round_trips.is_empty();
        self.step == self.steps && self.peers.iter().all(is_told)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    const TOKEN: u64 = 7;

    /// Lets one socket ping another `rounds` times; all that was said, up to its end.
    async fn pinged(peer_token: u64, rounds: u64) -> Vec<Pinged> {
        let home = IpAddr::from([127, 0, 0, 1]);
        let (peer, address) = open(home).await.unwrap();
        let (_keep, peer_orders) = unbounded_channel();
        tokio::spawn(serve(peer, peer_token, peer_orders, unbounded_channel().0));
        let (socket, _) = open(home).await.unwrap();
        let (sender, orders) = unbounded_channel();
        let (news, mut said) = unbounded_channel();
        let serving = tokio::spawn(serve(socket, TOKEN, orders, news));
        let period = Span::from_millis(1);
        sender.send(PingOrder { peers: vec![address], period, rounds }).unwrap();
        let mut all = Vec::new();
        loop {
            match said.recv().await.unwrap() {
                FromHost::Pinged(some) => all.extend(some),
                FromHost::PingsDone => break,
                other => panic!("{other:?}"),
            }
        }
        drop(sender);
        serving.await.unwrap();
        all
    }

    fn counts(all: &[Pinged]) -> (usize, u64) {
        let answered = all.iter().map(|it| it.round_trips.len()).sum();
        (answered, all.iter().map(|it| it.lost_count).sum())
    }

    #[tokio::test]
    async fn every_ping_is_answered_or_lost_and_counted_once() {
        let (answered, strangers) = tokio::join!(pinged(TOKEN, 40), pinged(TOKEN + 1, 5));
        let (count, lost) = counts(&answered);
        assert_eq!(count as u64 + lost, 40);
        assert!(count > 0 && answered.iter().flat_map(|it| &it.round_trips).all(|it| it.0 > 0));
        assert_eq!(counts(&strangers), (0, 5), "another measurement gets no answer");
    }

    #[test]
    fn what_comes_twice_or_too_late_counts_once() {
        let order = PingOrder {
            peers: vec![([127, 0, 0, 1], 9).into()],
            period: Span::from_millis(1),
            rounds: 2,
        };
        let mut pings = Pings::new(order);
        pings.step = pings.steps;
        let at = |ms: u64| Time(1_000_000_000) + Span::from_millis(ms);
        for number in 0..2 {
            pings.peers[0].open.insert(number, at(0));
        }
        let answer = |number| Datagram { kind: ANSWER, peer: 0, number };
        pings.hear(answer(0), at(30));
        pings.hear(answer(0), at(31));
        pings.hear(Datagram { peer: 9, ..answer(1) }, at(31));
        assert!(!pings.is_done());
        let round_trips = vec![Span::from_millis(30)];
        assert_eq!(pings.take(at(100)), [Pinged { peer: 0, round_trips, lost_count: 0 }]);
        let lost = Pinged { peer: 0, round_trips: Vec::new(), lost_count: 1 };
        assert_eq!(pings.take(at(2_000)), [lost]);
        pings.hear(answer(1), at(2_001));
        assert!(pings.is_done() && pings.take(at(9_000)).is_empty());
    }

    #[test]
    fn a_datagram_of_another_measurement_is_none() {
        let datagram = Datagram { kind: REQUEST, peer: 3, number: 5 };
        let bytes = datagram.write(TOKEN);
        assert_eq!(Datagram::read(&bytes, TOKEN), Some(datagram));
        assert_eq!(Datagram::read(&bytes, TOKEN + 1), None);
        assert_eq!(Datagram::read(&bytes[1..], TOKEN), None);
    }
}

//! The probe: every directed link of a member, measured through the path that its messages take.
//!
//! Between the forming of the mesh and the first operation, the streams of a member belong to a
//! [`Prober`].
//! It sends frames with the time of sending through each of them and writes down how old those of
//! the others are when its event loop comes to them: the delay line, the socket, QUIC, its
//! encryption, framing and the wake-up of the event loop are all in the number, as in a trial.
//! Then the streams go to the replica or the load generator.
//! Times of two members are compared: on one host they read one clock, and between hosts what is said is as good
//! as their clocks are aligned. A frame may then seem to arrive before it was sent; [`Heard::early`] keeps that.
//!
//! What is sent shows the ways in which a delay line can be wrong:
//! a steady row of frames more often than a delay, where a link that carries one at a time falls
//! behind; two flushes right after one another; a frame of several datagrams; and trains of QUIC
//! datagrams with numbers, because a stream hides what overtook what.
//! The rounds of a link are unevenly spaced, and no two links begin theirs at once.
//!
//! It measures and does not judge.
//! The rate is low, so what it sees is a path whose event loops sleep in between.
//! Under load, wake-ups are rarer and queues longer: that is a cost of the deployment and not of the
//! network, and what a trial's latencies have beyond their floors tells it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedReceiver;

use super::alarm::{self, Alarm};
use super::clock;
use super::mesh::{Attached, Mesh};
use super::stream::{Closed, Stream};
use crate::deployment::MemberName;
use crate::measure::confidence_ranks;
use crate::seed::scramble;
use crate::time::{Span, Time};

/// The padding of a frame of several datagrams.
const LONG_FRAME_BYTES: usize = 8 * 1200;

/// Datagrams of a train, sent at once, and the bytes of each: no two fit into one packet.
const TRAIN_LENGTH: u32 = 4;
const TRAIN_BYTES: usize = 1000;

/// The rounds repeat their kinds after so many.
const CYCLE: u32 = 16;

/// When a probe is, and how much of it: what all members are told alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which probe of the trial: what an earlier one left behind does not count.
    pub run: u32,
    /// The beginning of the first round.
    pub from: Time,
    /// From the beginning of one round to that of the next.
    pub period: Span,
    /// How many rounds.
    pub rounds: u32,
    /// Whatever has not come by then is given up.
    pub deadline: Time,
}

/// What a round of a link consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// One frame.
    Single,
    /// Two frames, each flushed by itself.
    Pair,
    /// One frame of several datagrams.
    Long,
    /// A train of datagrams, and a frame.
    Train,
}

impl Order {
    /// When the last round is over.
    pub fn until(&self) -> Time {
        self.from + self.period.times(self.rounds.into())
    }

    /// Frames that each link carries.
    pub fn frame_count(&self) -> u32 {
        self.rounds + self.count(Round::Pair)
    }

    /// Datagrams that each link carries in trains.
    fn train_count(&self) -> u32 {
        self.count(Round::Train) * TRAIN_LENGTH
    }

    fn count(&self, kind: Round) -> u32 {
        let kinds = |rounds| (0..rounds).filter(|round| Round::of(*round) == kind).count();
        let count = |rounds| u32::try_from(kinds(rounds)).unwrap_or(u32::MAX);
        count(CYCLE) * (self.rounds / CYCLE) + count(self.rounds % CYCLE)
    }

    /// How long after the first link of the deployment this one begins its rounds: the links take turns
    /// within the first half of a period.
    pub fn offset(&self, link: usize, link_count: usize) -> Span {
        let (link, link_count) = (link as u64, link_count.max(1) as u64);
        Span(self.period.0 / 2 / link_count * link)
    }

    /// When a round of a link begins: within half a period from `offset` on, and so within its period.
    fn due(&self, offset: Span, round: u32) -> Time {
        let spread = scramble(u64::from(round)) >> 32;
        let wobble = Span(((self.period.0 / 2).saturating_mul(spread)) >> 32);
        self.from + offset + self.period.times(u64::from(round)) + wobble
    }
}

impl Round {
    const fn of(number: u32) -> Self {
        match number % CYCLE {
            3 | 11 => Self::Pair,
            7 => Self::Long,
            13 => Self::Train,
            _ => Self::Single,
        }
    }
}

/// What a member heard of one of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The sender.
    pub from: MemberName,
    /// Frames that it sent.
    pub sent_count: u32,
    /// Frames that came in time.
    pub heard_count: u32,
    /// What was added to each of the times below, because some frame would else have arrived before it was
    /// sent; zero on one clock.
    pub early: Span,
    /// The median of how long they took.
    pub p50: Span,
    /// The 99th percentile of that.
    pub p99: Span,
    /// The lower end of the 95 % interval of the 99th percentile: so many frames cannot tell a tail
    /// that reaches further from one bad moment.
    pub p99_low: Span,
    /// Datagrams that it sent in trains.
    pub train_count: u32,
    /// Of those, how many came after one that was sent later.
    pub overtaken_count: u32,
    /// Of those, how many never came.
    pub lost_count: u32,
}

impl Heard {
    /// How long frames took at the median, in nanoseconds, as the two clocks say.
    pub fn median_ns(&self) -> i64 {
        signed(self.p50) - signed(self.early)
    }

    /// The same with every frame so many nanoseconds later, or earlier; none arrives before it was sent.
    #[must_use]
    pub fn moved(&self, by_ns: i64) -> Self {
        let by = by_ns - signed(self.early);
        let moved = |Span(at): Span| Span(at.saturating_add_signed(by));
        let (p50, p99, p99_low) = (moved(self.p50), moved(self.p99), moved(self.p99_low));
        Self { early: Span::ZERO, p50, p99, p99_low, ..*self }
    }

    /// Whether everything that was sent in frames has come.
    pub fn is_whole(&self) -> bool {
        self.heard_count == self.sent_count
    }
}

/// What is sent in a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Frame {
    run: u32,
    sent_at: Time,
    padding: Bytes,
}

/// Measures all links of one member once.
#[derive(Debug)]
pub struct Prober {
    order: Order,
    mesh: Mesh,
    attached: UnboundedReceiver<Attached>,
    links: BTreeMap<MemberName, Link>,
    alarm: Alarm,
}

/// Both directions between this member and one other.
#[derive(Debug, Default)]
struct Link {
    offset: Span,
    stream: Option<Stream>,
    /// The next round to be sent.
    round: u32,
    /// Whether the second frame of a pair is still to be sent.
    owes_twin: bool,
    /// The number of the next datagram of a train.
    next_number: u32,
    /// How old the frames were that came, in nanoseconds: below zero where clocks are not aligned so well.
    ages: Vec<i64>,
    train_count: u32,
    overtaken_count: u32,
    /// One more than the greatest number in a train that came.
    highest: u32,
}

impl Prober {
    /// A probe of the links to these peers, whose rounds begin so much after those of the first of
    /// the deployment; streams come through `attached`, which is that of `mesh`.
    pub fn new(
        order: Order,
        offsets: impl IntoIterator<Item = (MemberName, Span)>,
        mesh: Mesh,
        attached: UnboundedReceiver<Attached>,
    ) -> Result<Self, alarm::Error> {
        let link = |(peer, offset)| (peer, Link { offset, ..Link::default() });
        let links = offsets.into_iter().map(link).collect();
        Ok(Self { order, mesh, attached, links, alarm: Alarm::new()? })
    }

    /// Measures; the streams then wait where they came from, in the order of the peers.
    pub async fn run(mut self) -> (Vec<Heard>, UnboundedReceiver<Attached>) {
        poll_fn(|cx| self.turn(cx)).await;
        let Self { order, mesh, attached, links, .. } = self;
        let mut heard = Vec::new();
        for (member, mut link) in links {
            heard.push(link.heard(member, &order));
            if let Some(stream) = link.stream {
                mesh.give_back(Attached { member: member.to_string(), stream });
            }
        }
        (heard, attached)
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(Attached { member, stream })) = self.attached.poll_recv(cx) {
            let link = MemberName::parse(&member).and_then(|member| self.links.get_mut(&member));
            if let Some(link) = link {
                link.stream = Some(stream);
            }
        }
        for link in self.links.values_mut() {
            if link.receive(&self.order, cx).is_err() {
                // It is dialled again, and what was on its way is missing.
                link.stream = None;
            }
        }
        let mut next = Some(self.order.deadline);
        let mut owes_twin = false;
        for link in self.links.values_mut() {
            if let Some(due) = link.send(&self.order) {
                next = next.min(Some(due));
            }
            owes_twin |= link.owes_twin;
            if let Some(stream) = &mut link.stream {
                // A stream that is lost here is found and dropped by the next read from it.
                let _ = stream.flush(cx);
            }
        }
        if self.links.values().all(|link| link.is_done(&self.order)) {
            return Poll::Ready(());
        }
        if clock::now() >= self.order.deadline {
            return Poll::Ready(());
        }
        self.alarm.set(next);
        if self.alarm.poll_due(cx).is_ready() || owes_twin {
            // The connection sends what was flushed before this task has its next turn.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Link {
    fn receive(&mut self, order: &Order, cx: &mut Context<'_>) -> Result<(), Closed> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let received = stream.receive(cx);
        let now = clock::now();
        while let Some(frame) = stream.next::<Frame>()? {
            if frame.run == order.run {
                self.ages.push(age(now, frame.sent_at));
            }
        }
        while let Some(mut datagram) = stream.next_datagram(cx) {
            if let (Ok(run), Ok(number)) = (datagram.try_get_u32(), datagram.try_get_u32())
                && run == order.run
            {
                self.train_count += 1;
                self.overtaken_count += u32::from(number < self.highest);
                self.highest = self.highest.max(number.saturating_add(1));
            }
        }
        received
    }

    /// Sends what is due; when the next round is, if there is one.
    fn send(&mut self, order: &Order) -> Option<Time> {
        if std::mem::take(&mut self.owes_twin) {
            self.put(order, 0);
        }
        while self.round < order.rounds {
            let due = order.due(self.offset, self.round);
            // One round a turn: the frames of two are not to leave as one.
            if due > clock::now() || self.owes_twin {
                return Some(due);
            }
            match Round::of(self.round) {
                Round::Single => self.put(order, 0),
                Round::Long => self.put(order, LONG_FRAME_BYTES),
                Round::Pair => {
                    self.put(order, 0);
                    self.owes_twin = true;
                }
                Round::Train => {
                    self.put_train(order);
                    self.put(order, 0);
                }
            }
            self.round += 1;
        }
        None
    }

    fn put(&mut self, order: &Order, padding: usize) {
        let Some(stream) = &mut self.stream else { return };
        let padding = Bytes::from(vec![0; padding]);
        let frame = Frame { run: order.run, sent_at: clock::now(), padding };
        stream.put_message(&frame).expect("a frame of the probe is short");
    }

    fn put_train(&mut self, order: &Order) {
        let Some(stream) = &self.stream else { return };
        for _ in 0..TRAIN_LENGTH {
            let mut datagram = BytesMut::with_capacity(TRAIN_BYTES);
            datagram.put_u32(order.run);
            datagram.put_u32(self.next_number);
            datagram.resize(TRAIN_BYTES, 0);
            self.next_number += 1;
            stream.send_datagram(datagram.freeze());
        }
    }

    /// Whether everything is sent and everything has come.
    fn is_done(&self, order: &Order) -> bool {
        let is_sent = self.round == order.rounds && !self.owes_twin;
        is_sent && self.ages.len() == order.frame_count() as usize
    }

    fn heard(&mut self, from: MemberName, order: &Order) -> Heard {
        self.ages.sort_unstable();
        let early = Span(self.ages.first().map_or(0, |least| least.min(&0).unsigned_abs()));
        let ages: Vec<Span> =
            self.ages.iter().map(|age| Span(early.0.saturating_add_signed(*age))).collect();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let carries_datagrams = self.stream.as_ref().is_some_and(Stream::carries_datagrams);
        let train_count = if carries_datagrams { order.train_count() } else { 0 };
        Heard {
            from,
            sent_count: order.frame_count(),
            heard_count: count(self.ages.len()),
            early,
            p50: percentile(&ages, 50),
            p99: percentile(&ages, 99),
            p99_low: lower_end(&ages),
            train_count,
            overtaken_count: self.overtaken_count,
            lost_count: train_count.saturating_sub(self.train_count),
        }
    }
}

/// How long ago something was sent, as two clocks say.
fn age(Time(now): Time, Time(sent_at): Time) -> i64 {
    let age = i128::from(now) - i128::from(sent_at);
    i64::try_from(age).unwrap_or(if age > 0 { i64::MAX } else { i64::MIN })
}

fn signed(Span(nanoseconds): Span) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(i64::MAX)
}

/// The least of these, in ascending order, that so many of a hundred do not exceed.
fn percentile(ages: &[Span], percent: usize) -> Span {
    let rank = (ages.len() * percent).div_ceil(100);
    ages.get(rank.saturating_sub(1)).copied().unwrap_or(Span::ZERO)
}

/// The lower end of the 95 % interval of the 99th percentile of these, in ascending order.
fn lower_end(ages: &[Span]) -> Span {
    let (low, _) = confidence_ranks(ages.len() as u64, 0.99);
    let index = low.and_then(|rank| usize::try_from(rank - 1).ok()).unwrap_or(0);
    ages.get(index).copied().unwrap_or(Span::ZERO)
}

#[cfg(test)]
mod tests;

//! The load generator of one client region: it issues operations, times them, and asks again.
//!
//! Latency runs from the intended start, so an open loop that falls behind does not hide it
//! (coordinated omission).
//! A request that is not answered is sent again with its number; one without an answer at the end
//! is unknown, never forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedReceiver;

use super::MemberName;
use super::alarm::{self, Alarm};
use super::clock;
use super::encoder::Encoder;
use super::mesh::Attached;
use super::net::frame;
use super::spool::{self, Spool};
use super::stream::{Closed, Stream};
use crate::command::{ClientId, Command, Operation, Outcome, RequestId};
use crate::history::{ClientWriter, Issued, Kind, Returned, digest};
use crate::measure::{OperationKind, Recorder, Recording, Window};
use crate::protocol::Reply;
use crate::quorum::NodeId;
use crate::time::{Span, Time};
use crate::workload::Generator;

/// The length of an interval of the timeline.
const INTERVAL: Span = Span::from_millis(1000);

/// Operations begun in one wake-up before the connections are looked at again.
const BURST: usize = 4096;

/// When a trial does what, in the time of [`clock::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The first operation is issued.
    pub warmup_from: Time,
    /// From here on, operations are measured by their intended start.
    pub measure_from: Time,
    /// The last operation is issued.
    pub measure_until: Time,
    /// Answers are waited for until here.
    pub drain_until: Time,
}

impl Schedule {
    /// Operations intended in it are measured.
    pub const fn window(&self) -> Window {
        Window { from: self.measure_from, to: self.measure_until }
    }
}

/// What a load generator is told about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which it is.
    pub id: ClientId,
    /// The replicas in the order in which they are asked; the first is the leader or the nearest.
    pub targets: Vec<NodeId>,
    /// A request without an answer for so long is sent again.
    pub retry_after: Span,
    /// The least latency the links allow: acknowledgements are counted that much later.
    pub floor: Span,
    /// When it does what.
    pub schedule: Schedule,
    /// The file that takes the history.
    pub output: PathBuf,
}

/// Why a load generator stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The history.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The timer.
    #[error(transparent)]
    Alarm(#[from] alarm::Error),
    /// The thread that encodes what was recorded.
    #[error("cannot start a thread: raise the limit of processes (ulimit -u)")]
    Thread(#[source] std::io::Error),
    /// A request that is too long to be sent.
    #[error("cannot encode a request; lower value_bytes")]
    Encode(#[from] frame::Error),
}

/// What others may look at while it runs.
#[derive(Debug, Default)]
pub struct Status {
    /// Operations issued.
    pub issued: AtomicU64,
    /// Operations answered.
    pub acknowledged: AtomicU64,
    /// It will issue no more, and has all answers or waits no longer.
    pub is_drained: AtomicBool,
    /// It is to stop.
    pub finish: AtomicBool,
    /// Wakes the loop to look at `finish`.
    pub waker: atomic_waker::AtomicWaker,
}

impl Status {
    /// Asks the loop to end.
    pub fn finish(&self) {
        self.finish.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// What a load generator has to say at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Latencies of the operations intended in the window.
    pub recording: Recording,
    /// All operations issued, warm-up included.
    pub issued_count: u64,
    /// All operations answered.
    pub acknowledged_count: u64,
    /// Operations without an answer.
    pub unknown_count: u64,
    /// Operations whose intended start lies in the window.
    pub offered_count: u64,
    /// Answers that came in the window, moved by the floor.
    pub achieved_count: u64,
    /// Requests sent again.
    pub retried_count: u64,
    /// Requests that a replica sent on to the leader.
    pub redirected_count: u64,
    /// Frames that did not decode.
    pub undecodable_count: u64,
}

/// An operation without an answer yet.
#[derive(Debug)]
struct Outstanding {
    intended_at: Time,
    sent_at: Time,
    kind: Kind,
    operation: Operation,
    /// It was sent on by a replica that does not propose, once since it was last asked for.
    is_redirected: bool,
}

/// One load generator and the replicas it talks to.
#[derive(Debug)]
pub struct ClientLoop {
    settings: Settings,
    generator: Generator,
    attached: UnboundedReceiver<Attached>,
    streams: BTreeMap<NodeId, Stream>,
    /// The place in `targets` that is asked now.
    target: usize,
    /// The sequence number of the front of `outstanding`: all before are answered.
    settled_below: u64,
    outstanding: VecDeque<Option<Outstanding>>,
    outstanding_count: usize,
    /// Of an open loop: the next intended start.
    next_arrival: Option<Time>,
    /// Of a closed loop: how many may be outstanding.
    limit: Option<usize>,
    next_retry: Time,
    alarm: Alarm,
    recorder: Recorder,
    encoder: Encoder,
    history: ClientWriter,
    spool: Spool,
    status: Arc<Status>,
    report: Report,
    failure: Option<Error>,
}

impl ClientLoop {
    /// A load generator that begins by itself at the start of its schedule.
    pub fn open(
        settings: Settings,
        mut generator: Generator,
        attached: UnboundedReceiver<Attached>,
        status: Arc<Status>,
    ) -> Result<Self, Error> {
        let limit = generator.outstanding().map(|limit| limit as usize);
        let start = settings.schedule.warmup_from;
        let next_arrival = generator.next_gap().map(|gap| start + gap);
        let report = Report {
            recording: Recording::new(settings.schedule.window(), INTERVAL),
            issued_count: 0,
            acknowledged_count: 0,
            unknown_count: 0,
            offered_count: 0,
            achieved_count: 0,
            retried_count: 0,
            redirected_count: 0,
            undecodable_count: 0,
        };
        let recorder = Recorder::new(settings.schedule.window(), INTERVAL);
        let encoder = Encoder::start(&recorder).map_err(Error::Thread)?;
        Ok(Self {
            recorder,
            encoder,
            generator,
            attached,
            streams: BTreeMap::new(),
            target: 0,
            settled_below: 0,
            outstanding: VecDeque::new(),
            outstanding_count: 0,
            next_arrival,
            limit,
            next_retry: start + settings.retry_after,
            alarm: Alarm::new()?,
            history: ClientWriter::new(settings.id),
            spool: Spool::append(&settings.output)?,
            status,
            report,
            failure: None,
            settings,
        })
    }

    /// Runs until it is asked to finish.
    pub async fn run(mut self) -> Result<Report, Error> {
        poll_fn(|cx| self.turn(cx)).await;
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.report.unknown_count = self.outstanding_count as u64;
        self.report.recording = self.encoder.finish(self.recorder);
        self.spool.write(self.history.finish());
        self.spool.finish()?;
        Ok(self.report)
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.status.waker.register(cx.waker());
        if self.status.finish.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.take_attached(cx);
        let mut is_busy = self.receive(cx);
        let now = clock::now();
        is_busy |= self.issue(now);
        self.retry(now);
        self.recorder.advance(now);
        self.encoder.take_from(&mut self.recorder);
        self.flush(cx);
        self.arm(cx, now);
        self.publish(now);
        if self.failure.is_some() {
            return Poll::Ready(());
        }
        if is_busy {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn take_attached(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(Attached { member, stream })) = self.attached.poll_recv(cx) {
            let Some(MemberName::Replica(id)) = MemberName::parse(&member) else { continue };
            self.streams.insert(id, stream);
            if id == self.settings.targets[self.target] {
                // What was sent on the stream before it may never have arrived.
                let open = self.unanswered_since(Time(u64::MAX));
                self.ask_again(clock::now(), &open);
            }
        }
    }

    /// Takes in the answers; true if a stream may hold more.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        let mut streams = std::mem::take(&mut self.streams);
        streams.retain(|_, stream| match self.drain(stream, cx) {
            Ok(count) => {
                is_busy |= count == BURST;
                true
            }
            Err(closed) => {
                self.report.undecodable_count += u64::from(closed == Closed::Undecodable);
                false
            }
        });
        self.streams = streams;
        is_busy
    }

    fn drain(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Result<usize, Closed> {
        let received = stream.receive(cx);
        let now = clock::now();
        for count in 0..BURST {
            match stream.next::<Reply>()? {
                Some(reply) => self.handle_reply(now, reply),
                None => return received.map(|()| count),
            }
        }
        Ok(BURST)
    }

    fn handle_reply(&mut self, now: Time, reply: Reply) {
        match reply {
            Reply::Executed { request, slot, outcome } => {
                let Some(done) = self.settle(request) else { return };
                let digest = match &outcome {
                    Outcome::Stored => None,
                    Outcome::Read(value) => value.as_deref().map(digest),
                };
                let returned = Returned { sequence: request.sequence, at: now, slot, digest };
                self.history.returned(&returned);
                self.take_history_block();
                self.report.acknowledged_count += 1;
                let operation = match done.kind {
                    Kind::Write => OperationKind::Write,
                    Kind::Read => OperationKind::Read,
                };
                self.recorder.record(operation, done.intended_at, now);
                let schedule = &self.settings.schedule;
                let floor = self.settings.floor;
                let counted = schedule.measure_from + floor..schedule.measure_until + floor;
                self.report.achieved_count += u64::from(counted.contains(&now));
            }
            Reply::NotLeader { request, leader } => self.redirect(now, request, leader),
        }
    }

    /// Takes an operation out that is answered; `None` for a second answer.
    fn settle(&mut self, request: RequestId) -> Option<Outstanding> {
        let offset = request.sequence.checked_sub(self.settled_below)?;
        let done = self.outstanding.get_mut(usize::try_from(offset).ok()?)?.take()?;
        self.outstanding_count -= 1;
        while let Some(None) = self.outstanding.front() {
            self.outstanding.pop_front();
            self.settled_below += 1;
        }
        Some(done)
    }

    /// Asks the leader, once: should two replicas name one another, the next retry goes on.
    fn redirect(&mut self, now: Time, request: RequestId, leader: Option<NodeId>) {
        self.report.redirected_count += 1;
        let leader = leader.and_then(|id| self.settings.targets.iter().position(|it| *it == id));
        let Some(leader) = leader else { return };
        self.target = leader;
        match self.unanswered(request.sequence) {
            Some(open) if !open.is_redirected => open.is_redirected = true,
            _ => return,
        }
        self.send_again(now, request.sequence);
    }

    /// The operation of this number, if it has no answer yet.
    fn unanswered(&mut self, sequence: u64) -> Option<&mut Outstanding> {
        let offset = sequence.checked_sub(self.settled_below)?;
        self.outstanding.get_mut(usize::try_from(offset).ok()?)?.as_mut()
    }

    fn send_again(&mut self, now: Time, sequence: u64) {
        let Some(open) = self.unanswered(sequence) else { return };
        open.sent_at = now;
        let operation = open.operation.clone();
        self.send(sequence, operation);
    }

    /// The first operations that have no answer and were last sent at `sent_at` or before.
    fn unanswered_since(&self, sent_at: Time) -> Vec<u64> {
        (self.settled_below..)
            .zip(&self.outstanding)
            .filter(|(_, open)| open.as_ref().is_some_and(|open| open.sent_at <= sent_at))
            .map(|(sequence, _)| sequence)
            .take(BURST)
            .collect()
    }

    fn ask_again(&mut self, now: Time, sequences: &[u64]) {
        for sequence in sequences {
            self.report.retried_count += 1;
            if let Some(open) = self.unanswered(*sequence) {
                open.is_redirected = false;
            }
            self.send_again(now, *sequence);
        }
    }

    /// Issues what is due; true if more is.
    fn issue(&mut self, now: Time) -> bool {
        let Schedule { warmup_from, measure_until, .. } = self.settings.schedule;
        if now < warmup_from {
            return false;
        }
        for _ in 0..BURST {
            let intended_at = match (self.next_arrival, self.limit) {
                (Some(arrival), _) if arrival <= now && arrival < measure_until => {
                    self.next_arrival = self.generator.next_gap().map(|gap| arrival + gap);
                    arrival
                }
                (None, Some(limit)) if self.outstanding_count < limit && now < measure_until => now,
                _ => return false,
            };
            self.begin(now, intended_at);
        }
        true
    }

    fn begin(&mut self, now: Time, intended_at: Time) {
        let operation = self.generator.next_operation();
        let sequence = self.settled_below + self.outstanding.len() as u64;
        let (kind, key, digest) = match &operation {
            Operation::Put { key, value } => (Kind::Write, *key, digest(value)),
            Operation::Get { key } => (Kind::Read, *key, 0),
        };
        self.history.invoke(&Issued { sequence, intended_at, kind, key, digest });
        self.take_history_block();
        self.report.issued_count += 1;
        self.report.offered_count +=
            u64::from(self.settings.schedule.window().contains(intended_at));
        self.send(sequence, operation.clone());
        let open = Outstanding { intended_at, sent_at: now, kind, operation, is_redirected: false };
        self.outstanding.push_back(Some(open));
        self.outstanding_count += 1;
    }

    fn send(&mut self, sequence: u64, operation: Operation) {
        let request = RequestId { client: self.settings.id, sequence };
        let command = Command { request, settled_below: self.settled_below, operation };
        let target = self.settings.targets[self.target];
        // Without a stream the request is lost, and a retry follows.
        let Some(stream) = self.streams.get_mut(&target) else { return };
        if let Err(error) = stream.put_message(&command) {
            self.failure.get_or_insert(error.into());
        }
    }

    /// Sends again what has waited too long, to the next replica in the order.
    fn retry(&mut self, now: Time) {
        if now < self.next_retry {
            return;
        }
        let patience = self.settings.retry_after;
        self.next_retry = now + patience;
        let overdue = self.unanswered_since(Time(now.0.saturating_sub(patience.0)));
        if !overdue.is_empty() {
            self.target = (self.target + 1) % self.settings.targets.len();
            self.ask_again(now, &overdue);
        }
    }

    fn take_history_block(&mut self) {
        if let Some(block) = self.history.take_block() {
            self.spool.write(block);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        for stream in self.streams.values_mut() {
            // A stream that is lost here is found and dropped by the next read from it.
            let _ = stream.flush(cx);
        }
    }

    fn arm(&mut self, cx: &mut Context<'_>, now: Time) {
        let Schedule { warmup_from, measure_until, drain_until, .. } = self.settings.schedule;
        let start = (now < warmup_from).then_some(warmup_from);
        let arrival = self.next_arrival.filter(|arrival| *arrival < measure_until);
        let edge = [measure_until, drain_until].into_iter().find(|edge| *edge > now);
        let retry = (self.outstanding_count > 0).then_some(self.next_retry);
        self.alarm.set(start.or(arrival.into_iter().chain(edge).chain(retry).min()));
        if self.alarm.poll_due(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn publish(&mut self, now: Time) {
        let schedule = self.settings.schedule;
        self.status.issued.store(self.report.issued_count, Ordering::Relaxed);
        self.status.acknowledged.store(self.report.acknowledged_count, Ordering::Relaxed);
        let is_quiet = now >= schedule.measure_until && self.outstanding_count == 0;
        if is_quiet || now >= schedule.drain_until {
            self.status.is_drained.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Arrival, Keys, Workload};

    fn open(folder: &std::path::Path) -> ClientLoop {
        let workload = Workload {
            arrival: Arrival::Closed { clients: 3 },
            keys: Keys::Uniform { count: 4 },
            value_bytes: 8,
            reads: 0.0,
        };
        let [warmup_from, measure_from, measure_until, drain_until] =
            [0, 0, 1_000, 2_000].map(Time);
        let settings = Settings {
            id: ClientId(0),
            targets: vec![NodeId(0), NodeId(1), NodeId(2)],
            retry_after: Span(100),
            floor: Span::ZERO,
            schedule: Schedule { warmup_from, measure_from, measure_until, drain_until },
            output: folder.join("history"),
        };
        let (_, attached) = tokio::sync::mpsc::unbounded_channel();
        let generator = Generator::new(&workload, 0, 1, 1);
        ClientLoop::open(settings, generator, attached, Arc::default()).unwrap()
    }

    fn sent_at(client: &ClientLoop) -> Vec<u64> {
        client.outstanding.iter().flatten().map(|open| open.sent_at.0).collect()
    }

    fn send_on(client: &mut ClientLoop, now: u64, sequence: u64, leader: u8) {
        let request = RequestId { client: ClientId(0), sequence };
        let leader = Some(NodeId(leader));
        client.handle_reply(Time(now), Reply::NotLeader { request, leader });
    }

    #[tokio::test]
    async fn every_request_that_is_sent_on_reaches_the_leader() {
        let folder = tempfile::tempdir().unwrap();
        let mut client = open(folder.path());
        assert!(!client.issue(Time(1)));
        assert_eq!(sent_at(&client), [1, 1, 1]);
        // The leader is silent: the next one is asked, and sends all of them on.
        client.retry(Time(200));
        assert_eq!((client.target, sent_at(&client)), (1, vec![200; 3]));
        for sequence in 0..3 {
            send_on(&mut client, 210, sequence, 0);
        }
        assert_eq!((client.target, sent_at(&client)), (0, vec![210; 3]));
    }

    #[tokio::test]
    async fn a_request_that_is_sent_in_circles_waits_for_its_next_retry() {
        let folder = tempfile::tempdir().unwrap();
        let mut client = open(folder.path());
        client.issue(Time(1));
        send_on(&mut client, 10, 0, 1);
        send_on(&mut client, 20, 0, 0);
        send_on(&mut client, 30, 0, 1);
        assert_eq!(sent_at(&client), [10, 1, 1]);
        client.retry(Time(150));
        send_on(&mut client, 160, 0, 1);
        assert_eq!(sent_at(&client), [160, 150, 150]);
    }
}

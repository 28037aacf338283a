//! The load generator of one client region: it carries what its [`Session`] hands out over QUIC.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::sync::mpsc::UnboundedReceiver;

use super::alarm::{self, Alarm};
use super::clock;
use super::coalescer::Coalescer;
use super::encoder::Encoder;
use super::mesh::Attached;
use super::net::frame;
use super::spool::{self, Spool};
use super::stream::{Closed, Stream};
use crate::client::{BURST, Report, Session};
use crate::deployment::MemberName;
use crate::protocol::Answer;
use crate::quorum::NodeId;
use crate::time::Span;

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
    /// Writes answered since the measurement began.
    pub measured_writes: AtomicU64,
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

/// One load generator and the replicas it talks to.
#[derive(Debug)]
pub struct ClientLoop {
    session: Session,
    attached: UnboundedReceiver<Attached>,
    streams: BTreeMap<NodeId, Stream>,
    alarm: Alarm,
    coalescer: Coalescer,
    encoder: Encoder,
    spool: Spool,
    status: Arc<Status>,
    undecodable_count: u64,
    failure: Option<Error>,
}

impl ClientLoop {
    /// A load generator for `session`, whose history goes to the file `output`; under load, operations that
    /// are due within a quantum begin together.
    pub fn open(
        mut session: Session,
        output: &Path,
        attached: UnboundedReceiver<Attached>,
        status: Arc<Status>,
        quantum: Span,
    ) -> Result<Self, Error> {
        Ok(Self {
            encoder: Encoder::start(session.recorder()).map_err(Error::Thread)?,
            session,
            attached,
            streams: BTreeMap::new(),
            alarm: Alarm::new()?,
            coalescer: Coalescer::new(quantum),
            spool: Spool::append(output)?,
            status,
            undecodable_count: 0,
            failure: None,
        })
    }

    /// Runs until it is asked to finish.
    pub async fn run(mut self) -> Result<Report, Error> {
        poll_fn(|cx| self.turn(cx)).await;
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let (report, recorder, history) = self.session.finish(clock::now());
        let recording = self.encoder.finish(recorder);
        self.spool.write(history);
        self.spool.finish()?;
        Ok(Report { recording, undecodable_count: self.undecodable_count, ..report })
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.status.waker.register(cx.waker());
        if self.status.finish.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.take_attached(cx);
        let mut is_busy = self.receive(cx);
        let now = clock::now();
        let before = self.session.issued_count();
        is_busy |= self.session.issue(now);
        if self.session.issued_count() > before {
            self.coalescer.count(now);
        }
        self.session.retry(now);
        self.send();
        self.session.recorder().advance(now);
        self.encoder.take_from(self.session.recorder());
        while let Some(block) = self.session.take_history_block() {
            self.spool.write(block);
        }
        self.flush(cx);
        let wake = self.session.next_wake(now);
        self.alarm.set(wake.map(|at| self.coalescer.put_off(at, self.session.floor())));
        if self.alarm.poll_due(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        self.status.issued.store(self.session.issued_count(), Ordering::Relaxed);
        self.status.acknowledged.store(self.session.acknowledged_count(), Ordering::Relaxed);
        self.status.measured_writes.store(self.session.measured_writes(), Ordering::Relaxed);
        if self.session.is_drained(now) {
            self.status.is_drained.store(true, Ordering::Relaxed);
        }
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
            self.session.reconnect(clock::now(), id);
        }
    }

    /// Takes in the answers; true if a stream may hold more.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        let mut streams = std::mem::take(&mut self.streams);
        streams.retain(|id, stream| match self.drain(*id, stream, cx) {
            Ok(count) => {
                is_busy |= count == BURST;
                true
            }
            Err(closed) => {
                self.undecodable_count += u64::from(closed == Closed::Undecodable);
                false
            }
        });
        self.streams = streams;
        is_busy
    }

    fn drain(
        &mut self,
        from: NodeId,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<usize, Closed> {
        let received = stream.receive(cx);
        let now = clock::now();
        for count in 0..BURST {
            match stream.next::<Answer>()? {
                Some(answer) => self.session.handle_answer(now, from, answer),
                None => return received.map(|()| count),
            }
        }
        Ok(BURST)
    }

    fn send(&mut self) {
        for (target, ask) in self.session.take_asks() {
            // Without a stream the request is lost, and a retry follows.
            let Some(stream) = self.streams.get_mut(&target) else { continue };
            if let Err(error) = stream.put_message(&ask) {
                self.failure.get_or_insert(error.into());
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        for stream in self.streams.values_mut() {
            // A stream that is lost here is found and dropped by the next read from it.
            let _ = stream.flush(cx);
        }
    }
}

//! The streams, the disk and the log files of one replica: what its driver acts on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tokio::sync::mpsc::UnboundedSender;

use super::{Error, Offence, Report, Settings, Status};
use crate::command::{ClientId, RequestId};
use crate::deployment::{Durability, MemberName};
use crate::driver::{Host, Ticket};
use crate::history::ChosenWriter;
use crate::measure::{Milestone, PhaseRecorder, Window};
use crate::protocol::{Advance, Answer, Note, Progress, Protocol, Reply};
use crate::quorum::{NodeId, NodeSet};
use crate::runtime::alarm::Alarm;
use crate::runtime::net::frame;
use crate::runtime::spool::Spool;
use crate::runtime::storage::{Pieces, Store};
use crate::runtime::stream::{Closed, Stream};
use crate::time::{Span, Time};

/// Of what never becomes durable.
const NEVER: Ticket = Ticket(u64::MAX);

/// Everything that one replica talks to.
#[derive(Debug)]
pub(super) struct Io {
    pub(super) settings: Settings,
    pub(super) replicas: BTreeMap<NodeId, Stream>,
    pub(super) clients: BTreeMap<ClientId, Stream>,
    /// Members that sent something impossible: the loop takes nothing from them any more.
    banned: BTreeSet<MemberName>,
    pub(super) store: Store,
    alarm: Alarm,
    random: Pcg64,
    scratch: BytesMut,
    /// The length of the last group of records: the next is about as long.
    group_bytes: usize,
    chosen: ChosenWriter,
    /// When the last of it was handed to the spool.
    chosen_kept_at: Time,
    spool: Spool,
    pub(super) status: Arc<Status>,
    pub(super) phases: PhaseRecorder,
    /// Where each milestone is reported at once.
    pub(super) milestones: Option<UnboundedSender<Milestone>>,
    report: Report,
    sync_spans: Vec<Span>,
    pub(super) failure: Option<Error>,
}

/// A replica that is killed loses so much of the log that the check reads, and what is in no other log was
/// chosen for nobody to see: with many kills in a run some of it would be lost everywhere.
const KEEP_CHOSEN_AFTER: Span = Span::from_millis(100);

/// The same during one wake-up.
pub(super) struct LiveHost<'a, 'cx> {
    io: &'a mut Io,
    now: Time,
    cx: &'a mut Context<'cx>,
}

impl Io {
    /// Without streams; `chosen` takes what the replica executes.
    pub(super) fn new(
        store: Store,
        settings: Settings,
        status: Arc<Status>,
        chosen: ChosenWriter,
    ) -> Result<Self, Error> {
        Ok(Self {
            replicas: BTreeMap::new(),
            clients: BTreeMap::new(),
            banned: BTreeSet::new(),
            store,
            alarm: Alarm::new()?,
            random: Pcg64::seed_from_u64(settings.seed),
            scratch: BytesMut::new(),
            group_bytes: 0,
            chosen,
            chosen_kept_at: Time::ZERO,
            spool: Spool::append(&settings.output)?,
            status,
            phases: PhaseRecorder::new(Window { from: Time::ZERO, to: Time::ZERO }),
            milestones: None,
            report: Report::default(),
            sync_spans: Vec::new(),
            failure: None,
            settings,
        })
    }

    /// The host of the driver in a wake-up at `now`.
    pub(super) const fn host<'a, 'cx>(
        &'a mut self,
        now: Time,
        cx: &'a mut Context<'cx>,
    ) -> LiveHost<'a, 'cx> {
        LiveHost { io: self, now, cx }
    }

    /// A member has dialled.
    pub(super) fn attach(&mut self, member: &str, stream: Stream) {
        match MemberName::parse(member) {
            // Dropping the stream ends the connection.
            Some(name) if self.banned.contains(&name) => {}
            Some(MemberName::Replica(id)) => {
                let before = self.replicas.insert(id, stream);
                self.lose(before, Closed::Gone);
            }
            Some(MemberName::Client(id)) => {
                let before = self.clients.insert(id, stream);
                self.lose(before, Closed::Gone);
            }
            None => {}
        }
    }

    /// Keeps the evidence against a member, and listens to it no more.
    pub(super) fn ban(&mut self, member: MemberName, offence: Option<Offence>) {
        let Some(offence) = offence else { return };
        self.banned.insert(member);
        self.report.offence_count += 1;
        self.status.offend(offence);
    }

    pub(super) fn lose(&mut self, stream: Option<Stream>, closed: Closed) {
        self.report.undecodable_count += u64::from(closed == Closed::Undecodable);
        self.report.dropped_count += stream.map_or(0, |stream| stream.dropped_count());
    }

    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        // A stream that is lost here is found and dropped by the next read from it.
        let streams = self.replicas.values_mut().chain(self.clients.values_mut());
        for stream in streams {
            let _ = stream.flush(cx);
        }
    }

    /// Wakes the task when the driver has something to do next.
    pub(super) fn arm(&mut self, next: Option<Time>, cx: &mut Context<'_>) {
        self.alarm.set(next);
        if self.alarm.poll_due(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// The report, once the loop has ended; the replica has executed so far.
    pub(super) fn finish(mut self, progress: Progress) -> Result<Report, Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.report.sync_count = self.store.sync_count();
        self.report.disk_peak_bytes = self.store.disk_bytes_peak();
        self.report.executed_below = progress.0;
        let streams = self.replicas.values().chain(self.clients.values());
        self.report.dropped_count += streams.map(Stream::dropped_count).sum::<u64>();
        self.report.phases = self.phases.finish();
        self.spool.write(self.chosen.finish());
        self.spool.finish()?;
        Ok(self.report)
    }

    fn answer(&mut self, answer: &Answer) {
        let Some(stream) = self.clients.get_mut(&answer.request().client) else { return };
        if let Err(source) = stream.put_message(answer) {
            self.fail(Error::Encode { id: self.settings.id, source });
        }
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }
}

impl<P: Protocol> Host<P> for LiveHost<'_, '_> {
    /// Encodes once, and puts the frame behind the others for each receiver.
    fn send(&mut self, to: NodeSet, message: P::Message) {
        let io = &mut *self.io;
        io.scratch.clear();
        if let Err(source) = frame::encode(&mut io.scratch, &message) {
            io.fail(Error::Encode { id: io.settings.id, source });
            return;
        }
        for id in to.iter() {
            // Without a stream the message is lost, which the protocol is made for.
            if let Some(stream) = io.replicas.get_mut(&id) {
                stream.put(&io.scratch);
            }
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.io.answer(&Answer::Reply(reply));
    }

    fn answer_control(&mut self, request: RequestId) {
        self.io.answer(&Answer::Control(request));
    }

    fn persist(&mut self, records: &mut Vec<P::Record>) -> Ticket {
        let io = &mut *self.io;
        let mut ticket = Ticket::default();
        if io.settings.durability == Durability::Fsync {
            let room = Vec::with_capacity(io.group_bytes * 5 / 4);
            match postcard::to_extend(records, room) {
                Ok(group) => {
                    io.group_bytes = group.len();
                    ticket = Ticket(io.store.append(group).0);
                }
                Err(source) => {
                    io.fail(Error::Record { id: io.settings.id, source });
                    ticket = NEVER;
                }
            }
        }
        records.clear();
        ticket
    }

    /// It is encoded and written on another thread: here it only begins to share what it holds.
    fn checkpoint(&mut self, replica: &P) -> Ticket {
        let state = replica.checkpoint();
        let write = move |file: &mut Pieces<'_>| {
            postcard::to_io(&state, file).map(|_| ()).map_err(io::Error::other)
        };
        Ticket(self.io.store.checkpoint(Box::new(write)).0)
    }

    fn checkpointed(&mut self) -> Ticket {
        Ticket(self.io.store.checkpointed().0)
    }

    fn durable(&mut self) -> Ticket {
        let io = &mut *self.io;
        while let Poll::Ready(durable) = io.store.poll_durable(self.cx) {
            if let Err(error) = durable {
                // Nothing that is not known to be durable may leave.
                io.fail(error.into());
                return Ticket::default();
            }
        }
        io.store.take_sync_spans(&mut io.sync_spans);
        for span in io.sync_spans.drain(..) {
            io.phases.persisted(self.now, span);
        }
        Ticket(io.store.durable().0)
    }

    fn is_checkpoint_due(&self) -> bool {
        self.io.store.is_checkpoint_due()
    }

    fn draw(&mut self, longest: Span) -> Span {
        Span(self.io.random.random_range(0..=longest.0))
    }

    fn advance(&mut self, advance: Advance) {
        let io = &mut *self.io;
        io.chosen.advance(&advance);
        let full = io.chosen.take_block();
        let is_old = self.now.since(io.chosen_kept_at) >= KEEP_CHOSEN_AFTER;
        if let Some(block) = full.or_else(|| is_old.then(|| io.chosen.cut_block())) {
            io.spool.write(block);
            io.chosen_kept_at = self.now;
        }
    }

    fn note(&mut self, note: Note) {
        if let Some(milestone) = self.io.phases.note(self.now, &note)
            && let Some(milestones) = &self.io.milestones
        {
            // Whoever listened may be gone; the recording has it too.
            let _ = milestones.send(milestone);
        }
    }
}

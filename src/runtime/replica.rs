//! The event loop of one replica: the driver of a [`Protocol`] over QUIC and a disk.
//!
//! One task, no channel on the way of a message: drain what has arrived, handle each, one persist
//! for the batch, send what waited for it; what need not wait goes at once.
//! Its single obligation to the protocol is [`Effects::durable_sends`]: they are kept back until
//! the store says that every record before them is durable.

mod report;
pub use report::{Offence, Recovery, Report, Status};
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::alarm::{self, Alarm};
use super::clock;
use super::mesh::Attached;
use super::net::frame;
use super::spool::{self, Spool};
use super::storage::{self, Disk, Options, Owner, Store, Ticket};
use super::stream::{Closed, Stream};
use crate::command::{ClientId, Command};
use crate::deployment::{Durability, MemberName};
use crate::history::ChosenWriter;
use crate::measure::{Milestone, PhaseRecorder, Window};
use crate::paxos;
use crate::protocol::{Advance, Effects, Envelope, Input, Protocol, Reply, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};
use crate::timers::Timers;
use crate::workload;

/// A checkpoint is written when the log behind the last one has grown by this much.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// A replica that keeps so many executed slots makes a checkpoint after ten times as many, at the latest:
/// nothing is forgotten without one.
const CHECKPOINT_RETENTIONS: u64 = 10;

/// A replica without a disk tells the others this often how far it has executed.
const PROGRESS_INTERVAL: Span = Span::from_millis(100);

/// Messages of a burst that are handled before the next look at the disk and the connections.
const BURST: usize = 4096;

/// What a workload asks for is never called impossible.
const _: () = assert!(workload::MAX_VALUE_BYTES <= paxos::VALUE_BYTES_MAX);

/// What a replica is told about itself, beside its protocol's configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which it is.
    pub id: NodeId,
    /// Whether it survives a crash.
    pub durability: Durability,
    /// Its own folder, for the acceptor's log.
    pub folder: PathBuf,
    /// The deployment, by a number that no other has: a log of another one is refused.
    pub deployment: u64,
    /// It ran before, so its log must be there.
    pub has_run: bool,
    /// How its disk is broken on purpose.
    pub broken_disk: Option<storage::Defect>,
    /// The file that takes the log of what it executed.
    pub output: PathBuf,
    /// So many executed slots it keeps for others, if it forgets any.
    pub retained_slots: Option<u64>,
    /// Of its random stream, from which the spread of timers is drawn.
    pub seed: u64,
}

/// Why a replica stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The log of what was executed.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The timer.
    #[error(transparent)]
    Alarm(#[from] alarm::Error),
    /// A record that cannot be written down.
    #[error("cannot encode what {id} has to make durable")]
    Record {
        /// Which replica.
        id: NodeId,
        /// Why.
        source: postcard::Error,
    },
    /// A message that is too long to be sent.
    #[error("cannot encode what {id} has to send; lower value_bytes")]
    Encode {
        /// Which replica.
        id: NodeId,
        /// Why.
        source: frame::Error,
    },
    /// What is on disk is no state of this protocol.
    #[error(
        "{id} cannot read what its acceptor log holds: it was written by another version; \
         choose an empty folder"
    )]
    Decode {
        /// Which replica.
        id: NodeId,
        /// Why.
        source: postcard::Error,
    },
}

/// One replica and everything it talks to.
#[derive(Debug)]
pub struct ReplicaLoop<P: Protocol> {
    protocol: P,
    settings: Settings,
    effects: Effects<P::Message, P::Record>,
    /// Where streams come from, once it runs.
    attached: Option<UnboundedReceiver<Attached>>,
    replicas: BTreeMap<NodeId, Stream>,
    clients: BTreeMap<ClientId, Stream>,
    /// Members that sent something impossible: they are not listened to any more.
    banned: BTreeSet<MemberName>,
    store: Store,
    /// Sends that wait for a ticket, in order.
    waiting: VecDeque<(Ticket, Vec<Envelope<P::Message>>)>,
    /// The ticket of the last group.
    last_ticket: Ticket,
    /// Checkpoints on their way to the disk, and what they hold executed.
    checkpoints: VecDeque<(Ticket, Slot)>,
    /// The next checkpoint is made when the slots below this are executed, if not sooner.
    next_checkpoint: Option<Slot>,
    /// Messages to itself.
    loopback: VecDeque<P::Message>,
    timers: Timers,
    alarm: Alarm,
    next_progress: Time,
    random: Pcg64,
    scratch: BytesMut,
    chosen: ChosenWriter,
    spool: Spool,
    status: Arc<Status>,
    phases: PhaseRecorder,
    /// Who is told of each milestone at once.
    milestones: Option<UnboundedSender<Milestone>>,
    report: Report,
    sync_spans: Vec<Span>,
    failure: Option<Error>,
}

impl<P: Protocol> ReplicaLoop<P> {
    /// Opens the store and gives the protocol back what was durable: it is ready to run.
    pub fn open(
        mut protocol: P,
        settings: Settings,
        status: Arc<Status>,
    ) -> Result<(Self, Recovery), Error> {
        let id = settings.id;
        let owner = Owner { deployment: settings.deployment, replica: id.0.into() };
        let disk = settings.broken_disk.map_or_else(Disk::default, Disk::with);
        let options = Options {
            owner: Some(owner),
            must_exist: settings.has_run,
            disk: disk.slowed_by(Arc::clone(&status.slow_disk_ns)),
            ..Options::default()
        };
        let folder = settings.folder.join("acceptor");
        let (store, recovered) = Store::open_with(settings.durability, &folder, options)?;
        let decode = |source| Error::Decode { id, source };
        let checkpoint = recovered
            .checkpoint
            .as_deref()
            .map(postcard::from_bytes::<P::Checkpoint>)
            .transpose()
            .map_err(decode)?;
        let mut records = Vec::new();
        for group in &recovered.groups {
            records.extend(postcard::from_bytes::<Vec<P::Record>>(group).map_err(decode)?);
        }
        let recovery = Recovery {
            group_count: recovered.groups.len(),
            has_checkpoint: checkpoint.is_some(),
            tail: recovered.tail,
            executed_below: Slot::ZERO,
        };
        protocol.recover(checkpoint, records);
        let first = protocol.executed_below();
        let recovery = Recovery { executed_below: first, ..recovery };
        let last_ticket = store.durable();
        let replica = Self {
            protocol,
            effects: Effects::default(),
            attached: None,
            replicas: BTreeMap::new(),
            clients: BTreeMap::new(),
            banned: BTreeSet::new(),
            store,
            waiting: VecDeque::new(),
            last_ticket,
            checkpoints: VecDeque::new(),
            next_checkpoint: next_checkpoint(settings.retained_slots, first),
            loopback: VecDeque::new(),
            timers: Timers::default(),
            alarm: Alarm::new()?,
            next_progress: clock::now() + PROGRESS_INTERVAL,
            random: Pcg64::seed_from_u64(settings.seed),
            scratch: BytesMut::new(),
            chosen: ChosenWriter::new(id, first),
            spool: Spool::append(&settings.output)?,
            status,
            phases: PhaseRecorder::new(Window { from: Time::ZERO, to: Time::ZERO }),
            milestones: None,
            report: Report::default(),
            sync_spans: Vec::new(),
            failure: None,
            settings,
        };
        Ok((replica, recovery))
    }

    /// Tells `milestones` what it says of leadership as it does: a recording dies with its process.
    #[must_use]
    pub fn telling(mut self, milestones: UnboundedSender<Milestone>) -> Self {
        self.milestones = Some(milestones);
        self
    }

    /// Runs with the streams that come through `attached` until it is asked to finish, or cannot go
    /// on; operations that arrive in `window` are measured.
    pub async fn run(
        mut self,
        window: Window,
        attached: UnboundedReceiver<Attached>,
    ) -> Result<Report, Error> {
        self.attached = Some(attached);
        self.phases = PhaseRecorder::new(window);
        self.give(clock::now(), Input::Start);
        poll_fn(|cx| self.turn(cx)).await;
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.report.sync_count = self.store.sync_count();
        self.report.executed_below = self.protocol.executed_below().0;
        let streams = self.replicas.values().chain(self.clients.values());
        self.report.dropped_count += streams.map(Stream::dropped_count).sum::<u64>();
        self.report.phases = self.phases.finish();
        self.spool.write(self.chosen.finish());
        self.spool.finish()?;
        Ok(self.report)
    }

    /// One wake-up: everything that can be done now is done, and then the connections go on.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.status.waker.register(cx.waker());
        if self.status.finish.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.obey();
        self.take_attached(cx);
        let mut is_busy = self.receive(cx);
        let now = clock::now();
        while let Some(timer) = self.timers.pop_due(now) {
            self.give(now, Input::Timer(timer));
        }
        self.tell_progress(now);
        // In memory a group is durable at once, and may release messages to itself.
        loop {
            self.carry_out(now);
            self.release(cx);
            if self.loopback.is_empty() {
                break;
            }
            is_busy = true;
            while let Some(message) = self.loopback.pop_front() {
                self.give(now, Input::Message { from: self.settings.id, message });
            }
        }
        self.flush(cx);
        self.arm(cx);
        self.status.executed_below.store(self.protocol.executed_below().0, Ordering::Relaxed);
        self.status.leadership.store(self.protocol.leadership().unwrap_or(0), Ordering::Relaxed);
        let announced = self.protocol.announced().map_or(0, NodeSet::mask);
        self.status.announced.store(announced, Ordering::Relaxed);
        if self.failure.is_some() {
            return Poll::Ready(());
        }
        if is_busy {
            // Let the connections send; what arrives meanwhile is the next batch.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Takes what it is told from outside.
    fn obey(&mut self) {
        if self.status.campaign.load(Ordering::Relaxed) {
            self.status.campaign.store(false, Ordering::Relaxed);
            self.give(clock::now(), Input::Campaign);
        }
    }

    fn give(&mut self, now: Time, input: Input<P::Message>) {
        self.protocol.handle(now, input, &mut self.effects);
    }

    fn take_attached(&mut self, cx: &mut Context<'_>) {
        while let Some(Poll::Ready(Some(Attached { member, stream }))) =
            self.attached.as_mut().map(|attached| attached.poll_recv(cx))
        {
            match MemberName::parse(&member) {
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
    }

    /// Handles what has arrived; true if a stream may hold more.
    ///
    /// While too much waits for the disk nothing is taken in, so that a flood waits at its sender; the
    /// disk wakes the loop when it is ready for more.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.store.is_congested() {
            return false;
        }
        let mut is_busy = false;
        let now = clock::now();
        let mut lost_replicas = Vec::new();
        for (id, stream) in &mut self.replicas {
            let member = MemberName::Replica(*id);
            self.status.handle(Some(member));
            let handled = drain(stream, cx, |message: P::Message| {
                if let Err(reason) = self.protocol.check_message(*id, &message) {
                    return Err(Offence::new(member, &message, reason));
                }
                let input = Input::Message { from: *id, message };
                self.protocol.handle(now, input, &mut self.effects);
                Ok(())
            });
            match handled {
                Ok(count) => is_busy |= count == BURST,
                Err(lost) => lost_replicas.push((*id, lost)),
            }
        }
        let mut lost_clients = Vec::new();
        for (id, stream) in &mut self.clients {
            let member = MemberName::Client(*id);
            self.status.handle(Some(member));
            let handled = drain(stream, cx, |command: Command| {
                if let Err(reason) = self.protocol.check_command(*id, &command) {
                    return Err(Offence::new(member, &command, reason));
                }
                self.protocol.handle(now, Input::Request(command), &mut self.effects);
                Ok(())
            });
            match handled {
                Ok(count) => is_busy |= count == BURST,
                Err(lost) => lost_clients.push((*id, lost)),
            }
        }
        self.status.handle(None);
        for (id, Lost { closed, offence }) in lost_replicas {
            let stream = self.replicas.remove(&id);
            self.lose(stream, closed);
            self.ban(MemberName::Replica(id), offence);
        }
        for (id, Lost { closed, offence }) in lost_clients {
            let stream = self.clients.remove(&id);
            self.lose(stream, closed);
            self.ban(MemberName::Client(id), offence);
        }
        is_busy
    }

    /// Keeps the evidence against a member, and listens to it no more.
    fn ban(&mut self, member: MemberName, offence: Option<Offence>) {
        let Some(offence) = offence else { return };
        self.banned.insert(member);
        self.report.offence_count += 1;
        self.status.offend(offence);
    }

    fn lose(&mut self, stream: Option<Stream>, closed: Closed) {
        self.report.undecodable_count += u64::from(closed == Closed::Undecodable);
        self.report.dropped_count += stream.map_or(0, |stream| stream.dropped_count());
    }

    /// Carries out the effects so far: one group of records for all of them.
    fn carry_out(&mut self, now: Time) {
        let mut effects = std::mem::take(&mut self.effects);
        for envelope in effects.sends.drain(..) {
            self.send(envelope);
        }
        if !effects.records.is_empty() {
            match self.settings.durability {
                Durability::Memory => {}
                Durability::Fsync => self.persist(&effects.records),
            }
            effects.records.clear();
        }
        if !effects.durable_sends.is_empty() {
            let envelopes = std::mem::take(&mut effects.durable_sends);
            self.waiting.push_back((self.last_ticket, envelopes));
        }
        for timer in effects.timers.drain(..) {
            let spread = match timer.spread.0 {
                0 => 0,
                spread => self.random.random_range(0..=spread),
            };
            self.timers.set(timer.id, now + timer.after + Span(spread));
        }
        for reply in effects.replies.drain(..) {
            self.answer(&reply);
        }
        let mut is_installed = false;
        for advance in effects.executed.drain(..) {
            is_installed |= matches!(advance, Advance::Installed(_));
            self.write_down(&advance);
        }
        if is_installed && self.settings.durability == Durability::Fsync {
            // Nothing waits for it; but a crash before the next one would have it sent again.
            self.checkpoint();
        }
        for note in effects.notes.drain(..) {
            if let Some(milestone) = self.phases.note(now, &note)
                && let Some(milestones) = &self.milestones
            {
                // Whoever listened may be gone; the recording has it too.
                let _ = milestones.send(milestone);
            }
        }
        // Handed back empty, so that its buffers are used again.
        self.effects = effects;
    }

    fn persist(&mut self, records: &[P::Record]) {
        match postcard::to_stdvec(records) {
            Ok(group) => self.last_ticket = self.store.append(group),
            Err(source) => {
                self.fail(Error::Record { id: self.settings.id, source });
            }
        }
        let executed_below = self.protocol.executed_below();
        let is_due = self.next_checkpoint.is_some_and(|slot| executed_below >= slot);
        if is_due || self.store.bytes_since_checkpoint() > CHECKPOINT_BYTES {
            self.checkpoint();
        }
    }

    fn checkpoint(&mut self) {
        match postcard::to_stdvec(&self.protocol.checkpoint()) {
            Ok(state) => {
                self.last_ticket = self.store.checkpoint(state);
                let executed_below = self.protocol.executed_below();
                self.next_checkpoint =
                    next_checkpoint(self.settings.retained_slots, executed_below);
                self.checkpoints.push_back((self.last_ticket, executed_below));
            }
            Err(source) => {
                self.fail(Error::Record { id: self.settings.id, source });
            }
        }
    }

    /// Sends what waited for records that are durable now.
    fn release(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(durable) = self.store.poll_durable(cx) {
            if let Err(error) = durable {
                self.fail(error.into());
                return;
            }
        }
        let durable = self.store.durable();
        while self.waiting.front().is_some_and(|(ticket, _)| *ticket <= durable) {
            let Some((_, envelopes)) = self.waiting.pop_front() else { break };
            for envelope in envelopes {
                self.send(envelope);
            }
        }
        while self.checkpoints.front().is_some_and(|(ticket, _)| *ticket <= durable) {
            let Some((_, executed_below)) = self.checkpoints.pop_front() else { break };
            self.give(clock::now(), Input::Checkpointed(executed_below));
        }
        self.store.take_sync_spans(&mut self.sync_spans);
        let now = clock::now();
        for span in self.sync_spans.drain(..) {
            self.phases.persisted(now, span);
        }
    }

    /// Without a disk, what is executed is all there is to lose: it is told now and then.
    fn tell_progress(&mut self, now: Time) {
        if self.settings.durability == Durability::Memory && now >= self.next_progress {
            self.next_progress = now + PROGRESS_INTERVAL;
            let executed_below = self.protocol.executed_below();
            self.give(now, Input::Checkpointed(executed_below));
        }
    }

    /// Encodes once, and puts the frame behind the others for each receiver.
    fn send(&mut self, envelope: Envelope<P::Message>) {
        let Envelope { to, message } = envelope;
        let others = to.without(self.settings.id);
        if !others.is_empty() {
            self.scratch.clear();
            if let Err(source) = frame::encode(&mut self.scratch, &message) {
                self.fail(Error::Encode { id: self.settings.id, source });
                return;
            }
            for id in others.iter() {
                // Without a stream the message is lost, which the protocol is made for.
                if let Some(stream) = self.replicas.get_mut(&id) {
                    stream.put(&self.scratch);
                }
            }
        }
        if to.contains(self.settings.id) {
            self.loopback.push_back(message);
        }
    }

    fn answer(&mut self, reply: &Reply) {
        let Some(stream) = self.clients.get_mut(&reply.request().client) else { return };
        if let Err(source) = stream.put_message(reply) {
            self.fail(Error::Encode { id: self.settings.id, source });
        }
    }

    fn write_down(&mut self, advance: &Advance) {
        self.chosen.advance(advance);
        if let Some(block) = self.chosen.take_block() {
            self.spool.write(block);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        // A stream that is lost here is found and dropped by the next read from it.
        let streams = self.replicas.values_mut().chain(self.clients.values_mut());
        for stream in streams {
            let _ = stream.flush(cx);
        }
    }

    /// Sees to it that the task wakes for the next timer.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let progress = match self.settings.durability {
            Durability::Memory => Some(self.next_progress),
            Durability::Fsync => None,
        };
        let next = self.timers.next().into_iter().chain(progress).min();
        self.alarm.set(next);
        if self.alarm.poll_due(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }
}

/// When a replica that has executed the slots below `executed_below` makes its next checkpoint.
fn next_checkpoint(retained_slots: Option<u64>, executed_below: Slot) -> Option<Slot> {
    let more = retained_slots?.saturating_add(1).saturating_mul(CHECKPOINT_RETENTIONS);
    Some(Slot(executed_below.0.saturating_add(more)))
}

/// A stream that is of no more use, and what its peer did to deserve it.
struct Lost {
    closed: Closed,
    offence: Option<Offence>,
}

impl From<Closed> for Lost {
    fn from(closed: Closed) -> Self {
        Self { closed, offence: None }
    }
}

/// Handles the messages of one stream, a burst at most; how many there were.
///
/// With the first that is impossible the stream is over, and nothing behind it is handled.
fn drain<T: serde::de::DeserializeOwned>(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    mut handle: impl FnMut(T) -> Result<(), Offence>,
) -> Result<usize, Lost> {
    let received = stream.receive(cx);
    for count in 0..BURST {
        let Some(message) = stream.next()? else { return Ok(received.map(|()| count)?) };
        if let Err(offence) = handle(message) {
            return Err(Lost { closed: stream.refuse(), offence: Some(offence) });
        }
    }
    Ok(BURST)
}

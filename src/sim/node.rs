//! One replica in virtual time: the driver of a [`Protocol`] on a simulated processor and disk.
//!
//! It does what the live event loop does: everything that has arrived is handled, what need not wait
//! leaves at once, the records of the batch are given to the disk together, and what waits for them
//! leaves when they are durable.
//! Without service times everything that arrives at one instant is one batch.
//! Its inbox is first in, first out: what arrives in the instant in which the processor gets free is
//! handled after what has waited for that.

mod life;

use std::collections::VecDeque;

use rand::RngExt;
use rand_pcg::Pcg64;

use super::disk::{Disk, Ticket};
use super::fabric::Fabric;
use super::log::Log;
use super::queue::{Event, Kind, Source};
use crate::deployment::Durability;
use crate::link::streams::{self, Purpose};
use crate::measure::{PhaseRecorder, Window};
use crate::protocol::{Advance, Effects, Envelope, Input, Note, Protocol, Slot};
use crate::quorum::NodeId;
use crate::time::{Span, Time};
use crate::timers::Timers;
use crate::topology::Site;

/// A replica without a disk tells the others this often how far it has executed.
const PROGRESS_INTERVAL: Span = Span::from_millis(100);

/// What a replica is told about itself.
pub(super) struct Settings {
    pub(super) id: NodeId,
    pub(super) durability: Durability,
    pub(super) seed: u64,
    /// Commands that are measured.
    pub(super) window: Window,
    /// A checkpoint is made after so many records.
    pub(super) checkpoint_records: u64,
}

/// One replica, with its processor, its disk, its timers, and what it leaves in writing.
pub(super) struct Node<P: Protocol> {
    settings: Settings,
    /// None while it is down.
    protocol: Option<P>,
    effects: Effects<P::Message, P::Record>,
    /// What arrives is handled at once: it is up, neither paused nor busy, and nothing older waits.
    is_open: bool,
    /// It is to have a turn at the end of this instant.
    pub(super) is_dirty: bool,
    is_paused: bool,
    work: Work,
    /// What arrived while it was not open.
    inbox: VecDeque<Input<P::Message>>,
    loopback: VecDeque<P::Message>,
    disk: Disk<P::Record, P::Checkpoint>,
    slow_disk: Span,
    /// Sends that wait for the disk, in order.
    waiting: VecDeque<(Ticket, Vec<Envelope<P::Message>>)>,
    /// The slots below are durably executed, and the protocol is to be told.
    checkpointed: Option<Slot>,
    timers: Timers,
    random: Pcg64,
    armed: Armed,
    /// When each message that is being sent leaves, and the next sequence number before it was given
    /// to its link.
    departures: Vec<(Time, u64)>,
    log: Log,
    phases: PhaseRecorder,
    starts: Vec<usize>,
    executed_below: Slot,
}

/// What the processor is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Work {
    #[default]
    Idle,
    /// Taking in so many of the inbox.
    Receiving(usize),
    Sending,
    /// It finished taking in so many of the inbox while it was paused.
    Stalled(usize),
}

/// The events of a replica that the queue holds; any other of the same kind is out of date.
#[derive(Clone, Copy, Debug, Default)]
struct Armed {
    timer: Option<Event>,
    processor: Option<Event>,
    disk: Option<Event>,
    progress: Option<Event>,
}

impl<P: Protocol> Node<P> {
    /// A replica that has never run.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            protocol: None,
            effects: Effects::default(),
            is_open: false,
            is_dirty: false,
            is_paused: false,
            work: Work::Idle,
            inbox: VecDeque::new(),
            loopback: VecDeque::new(),
            disk: Disk::new(settings.durability),
            slow_disk: Span::ZERO,
            waiting: VecDeque::new(),
            checkpointed: None,
            timers: Timers::default(),
            random: streams::of_member(settings.seed, Purpose::Timers, Site::Replica(settings.id)),
            armed: Armed::default(),
            departures: Vec::new(),
            log: Log::default(),
            phases: PhaseRecorder::new(settings.window),
            starts: Vec::new(),
            executed_below: Slot::ZERO,
            settings,
        }
    }

    pub(super) const fn protocol(&self) -> Option<&P> {
        self.protocol.as_ref()
    }

    pub(super) fn executed_below(&self) -> Slot {
        self.protocol.as_ref().map_or(self.executed_below, Protocol::executed_below)
    }

    pub(super) const fn set_write_only_disk(&mut self) {
        self.disk.set_write_only();
    }

    pub(super) const fn set_checkpoint_records(&mut self, records: u64) {
        self.settings.checkpoint_records = records;
    }

    pub(super) const fn set_slow_disk(&mut self, by: Span) {
        self.slow_disk = by;
    }

    /// Something arrives, and is handled now or waits; false if nobody is there to take it.
    #[inline]
    pub(super) fn arrive(&mut self, now: Time, input: Input<P::Message>) -> bool {
        let Some(protocol) = &mut self.protocol else { return false };
        if self.is_open {
            protocol.handle(now, input, &mut self.effects);
        } else {
            self.inbox.push_back(input);
        }
        true
    }

    fn give(&mut self, now: Time, input: Input<P::Message>) {
        if let Some(protocol) = &mut self.protocol {
            protocol.handle(now, input, &mut self.effects);
        }
    }

    /// Everything that can be done now is done.
    pub(super) fn turn(&mut self, fabric: &mut Fabric<P>) {
        self.is_dirty = false;
        if self.protocol.is_none() || self.is_paused || self.work != Work::Idle {
            return;
        }
        let count = self.inbox.len();
        if count > 0 && fabric.service.receive > Span::ZERO {
            self.work = Work::Receiving(count);
            let until = fabric.now + fabric.service.receive.times(count as u64);
            self.armed.processor = Some(fabric.queue.push(until, self.source(Kind::Processor)));
        } else {
            self.take_in(count, fabric.now);
            self.finish_turn(fabric);
        }
        self.open(fabric);
    }

    fn open(&mut self, fabric: &Fabric<P>) {
        self.is_open = self.protocol.is_some()
            && !self.is_paused
            && self.work == Work::Idle
            && self.inbox.is_empty()
            && fabric.service.receive == Span::ZERO;
    }

    fn take_in(&mut self, count: usize, now: Time) {
        for _ in 0..count {
            let Some(input) = self.inbox.pop_front() else { break };
            self.give(now, input);
        }
    }

    /// Timers, effects, what the disk released, and messages to itself, until nothing is left.
    fn finish_turn(&mut self, fabric: &mut Fabric<P>) {
        let now = fabric.now;
        while let Some(timer) = self.timers.pop_due(now) {
            fabric.counts.events += 1;
            self.give(now, Input::Timer(timer));
        }
        let mut leaves_at = now;
        loop {
            self.carry_out(&mut leaves_at, fabric);
            self.release(&mut leaves_at, fabric);
            if self.loopback.is_empty() && self.checkpointed.is_none() {
                break;
            }
            while let Some(message) = self.loopback.pop_front() {
                self.give(now, Input::Message { from: self.settings.id, message });
            }
            if let Some(executed_below) = self.checkpointed.take() {
                self.give(now, Input::Checkpointed(executed_below));
            }
        }
        self.arm_timer(fabric);
        if leaves_at > now {
            self.work = Work::Sending;
            self.armed.processor = Some(fabric.queue.push(leaves_at, self.source(Kind::Processor)));
        }
        if let (Some(observer), Some(protocol)) = (&mut fabric.observer, &self.protocol) {
            observer.turned(now, self.settings.id, protocol);
        }
    }

    fn arm_timer(&mut self, fabric: &mut Fabric<P>) {
        let Some(next) = self.timers.next() else { return };
        if self.armed.timer.is_none_or(|armed| armed.at() > next) {
            self.armed.timer = Some(fabric.queue.push(next, self.source(Kind::Timer)));
        }
    }

    /// Carries out the effects so far: one group of records for all of them.
    ///
    /// Each buffer is taken only if something is in it, and handed back empty, to be used again.
    fn carry_out(&mut self, leaves_at: &mut Time, fabric: &mut Fabric<P>) {
        if !self.effects.sends.is_empty() {
            let mut sends = std::mem::take(&mut self.effects.sends);
            for envelope in sends.drain(..) {
                self.send(envelope, leaves_at, fabric);
            }
            self.effects.sends = sends;
        }
        if !self.effects.records.is_empty() {
            self.persist(fabric);
        }
        if !self.effects.durable_sends.is_empty() {
            self.hold_back(leaves_at, fabric);
        }
        for timer in self.effects.timers.drain(..) {
            let spread = match timer.spread.0 {
                0 => 0,
                spread => self.random.random_range(0..=spread),
            };
            self.timers.set(timer.id, fabric.now + timer.after + Span(spread));
        }
        if !self.effects.replies.is_empty() {
            let mut replies = std::mem::take(&mut self.effects.replies);
            for reply in replies.drain(..) {
                self.depart(leaves_at, fabric);
                fabric.answer(self.settings.id, *leaves_at, reply);
            }
            self.effects.replies = replies;
        }
        let mut is_installed = false;
        for advance in self.effects.executed.drain(..) {
            if let Some(observer) = &mut fabric.observer {
                match &advance {
                    Advance::Executed(it) => observer.executed(fabric.now, self.settings.id, it),
                    Advance::Installed(it) => observer.installed(fabric.now, self.settings.id, it),
                }
            }
            is_installed |= matches!(advance, Advance::Installed(_));
            self.log.write(&advance);
        }
        if is_installed && self.settings.durability == Durability::Fsync {
            self.checkpoint(fabric);
        }
        for note in self.effects.notes.drain(..) {
            match note {
                Note::Committed { .. }
                | Note::Suspected { .. }
                | Note::Campaigning
                | Note::Following { .. }
                | Note::Recovered { .. }
                | Note::Resigned => {}
                Note::Leading { .. } => fabric.counts.leaderships += 1,
                Note::SnapshotSent { .. } => fabric.counts.snapshots_sent += 1,
                Note::SnapshotInstalled { .. } => fabric.counts.snapshots_installed += 1,
                Note::RaceLost => fabric.counts.races_lost += 1,
                Note::Retransmitted => fabric.counts.retransmissions += 1,
            }
            if let Some(observer) = &mut fabric.observer {
                observer.noted(fabric.now, self.settings.id, &note);
            }
            let _ = self.phases.note(fabric.now, &note);
        }
    }

    /// Keeps back what waits for the disk, unless nothing is on its way there.
    fn hold_back(&mut self, leaves_at: &mut Time, fabric: &mut Fabric<P>) {
        let mut envelopes = std::mem::take(&mut self.effects.durable_sends);
        if self.waiting.is_empty() && self.disk.durable() == self.disk.given() {
            for envelope in envelopes.drain(..) {
                self.send_released(envelope, leaves_at, fabric);
            }
            self.effects.durable_sends = envelopes;
        } else {
            self.waiting.push_back((self.disk.given(), envelopes));
        }
    }

    fn persist(&mut self, fabric: &mut Fabric<P>) {
        if let Some(observer) = &mut fabric.observer {
            observer.recorded(fabric.now, self.settings.id, &self.effects.records);
        }
        self.disk.give(&mut self.effects.records);
        if self.disk.since_checkpoint() >= self.settings.checkpoint_records {
            self.checkpoint(fabric);
        } else {
            self.begin_sync(fabric);
        }
    }

    fn checkpoint(&mut self, fabric: &mut Fabric<P>) {
        if let Some(protocol) = &self.protocol {
            self.disk.give_checkpoint(protocol.executed_below(), || protocol.checkpoint());
        }
        self.begin_sync(fabric);
    }

    fn begin_sync(&mut self, fabric: &mut Fabric<P>) {
        if !self.disk.begin(fabric.now) {
            return;
        }
        match fabric.service.sync + self.slow_disk {
            Span::ZERO => self.finish_sync(fabric),
            takes => {
                let event = fabric.queue.push(fabric.now + takes, self.source(Kind::Disk));
                self.armed.disk = Some(event);
            }
        }
    }

    fn finish_sync(&mut self, fabric: &mut Fabric<P>) {
        let (took, checkpointed) = self.disk.finish(fabric.now);
        self.phases.persisted(fabric.now, took);
        self.checkpointed = checkpointed.or(self.checkpointed);
        if let Some(observer) = &mut fabric.observer {
            observer.synced(fabric.now, self.settings.id);
        }
    }

    /// Sends what waited for records that are durable now.
    fn release(&mut self, leaves_at: &mut Time, fabric: &mut Fabric<P>) {
        let durable = self.disk.durable();
        while self.waiting.front().is_some_and(|(ticket, _)| *ticket <= durable) {
            let Some((_, envelopes)) = self.waiting.pop_front() else { break };
            for envelope in envelopes {
                self.send_released(envelope, leaves_at, fabric);
            }
        }
    }

    fn send_released(
        &mut self,
        envelope: Envelope<P::Message>,
        leaves_at: &mut Time,
        fabric: &mut Fabric<P>,
    ) {
        if let Some(observer) = &mut fabric.observer {
            observer.released(fabric.now, self.settings.id, &envelope);
        }
        self.send(envelope, leaves_at, fabric);
    }

    #[inline]
    fn send(
        &mut self,
        envelope: Envelope<P::Message>,
        leaves_at: &mut Time,
        fabric: &mut Fabric<P>,
    ) {
        let id = self.settings.id;
        let Envelope { to, message } = envelope;
        let mut receivers = to.without(id).iter();
        let mut next = receivers.next();
        if to.contains(id) {
            if next.is_none() {
                self.loopback.push_back(message);
                return;
            }
            self.loopback.push_back(message.clone());
        }
        // One clone for each receiver but the last, which takes the message itself.
        while let Some(receiver) = next {
            next = receivers.next();
            self.depart(leaves_at, fabric);
            if next.is_some() {
                fabric.send(id, receiver, *leaves_at, message.clone());
            } else {
                fabric.send(id, receiver, *leaves_at, message);
                return;
            }
        }
    }

    /// The processor puts one more message on the wire.
    #[inline]
    fn depart(&mut self, leaves_at: &mut Time, fabric: &mut Fabric<P>) {
        if fabric.service.send > Span::ZERO {
            *leaves_at = *leaves_at + fabric.service.send;
            self.departures.push((*leaves_at, fabric.queue.sequence()));
        }
    }

    /// An event of this replica; whether it is to have a turn.
    pub(super) fn wake(&mut self, event: Event, fabric: &mut Fabric<P>) -> bool {
        let kind = event.source().kind;
        let armed = match kind {
            Kind::Timer => &mut self.armed.timer,
            Kind::Processor => &mut self.armed.processor,
            Kind::Disk => &mut self.armed.disk,
            _ => &mut self.armed.progress,
        };
        if *armed != Some(event) {
            return false;
        }
        *armed = None;
        match kind {
            Kind::Timer => {}
            Kind::Processor => self.finish_work(fabric),
            Kind::Disk => {
                self.finish_sync(fabric);
                if !self.is_paused {
                    self.begin_sync(fabric);
                }
            }
            _ => {
                // Without a disk, what is executed is all there is to lose.
                self.checkpointed = Some(self.executed_below());
                self.arm_progress(fabric);
            }
        }
        true
    }

    /// The processor is free again.
    fn finish_work(&mut self, fabric: &mut Fabric<P>) {
        if self.is_paused
            && let Work::Receiving(count) = self.work
        {
            // What it has taken in it handles when it goes on.
            self.work = Work::Stalled(count);
            return;
        }
        let work = std::mem::take(&mut self.work);
        self.departures.clear();
        if let Work::Receiving(count) = work {
            self.take_in(count, fabric.now);
            self.finish_turn(fabric);
        }
        self.open(fabric);
    }

    fn arm_progress(&mut self, fabric: &mut Fabric<P>) {
        let next = fabric.now + PROGRESS_INTERVAL;
        self.armed.progress = Some(fabric.queue.push(next, self.source(Kind::Progress)));
    }

    const fn source(&self, kind: Kind) -> Source {
        Source { kind, index: self.settings.id.0 as u16 }
    }
}

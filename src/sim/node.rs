//! One replica in virtual time: the [host](crate::driver::Host) of a driver on a simulated processor and
//! disk.
//!
//! Without service times everything that arrives at one instant is one batch.
//! Its inbox is first in, first out: what arrives in the instant in which the processor gets free is
//! handled after what has waited for that.

mod host;
mod life;
mod shared;

use std::collections::VecDeque;
use std::ops::Add;

use rand_pcg::Pcg64;
use serde::Serialize;

use super::disk::Disk;
use super::fabric::Fabric;
use super::machine::Member;
use super::queue::{Event, Kind, Source};
use crate::command::Ask;
use crate::deployment::Durability;
use crate::driver::{self, Driver};
use crate::link::streams::{self, Purpose};
use crate::measure::{PhaseRecorder, Window};
use crate::protocol::{Input, Progress, Protocol};
use crate::quorum::NodeId;
use crate::time::{Clock, Span, Time};
use crate::topology::Site;
use host::{Outgoing, SimHost};
use shared::Writer;

/// What a replica is told about itself.
pub(super) struct Settings {
    pub(super) id: NodeId,
    pub(super) durability: Durability,
    pub(super) seed: u64,
    /// Commands that are measured.
    pub(super) window: Window,
    /// A checkpoint is made after so many records.
    pub(super) checkpoint_records: u64,
    /// How many executed slots it keeps for others, if it forgets any.
    pub(super) retained_slots: Option<u64>,
    /// What its clock shows.
    pub(super) clock: Clock,
    /// How its driver is broken on purpose.
    pub(super) broken_driver: Option<driver::Defect>,
}

/// One replica, with its processor, its disk, its timers, and what it leaves in writing.
pub(super) struct Node<P: Protocol> {
    /// None while it is down.
    driver: Option<Driver<P>>,
    /// What arrives is handled at once: it is up, neither paused nor busy, and nothing older waits.
    is_open: bool,
    /// It is to have a turn at the end of this instant.
    pub(super) is_dirty: bool,
    is_paused: bool,
    work: Work,
    /// What arrived while it was not open.
    inbox: VecDeque<Arrival<P::Message>>,
    body: Body<P>,
    starts: Vec<usize>,
    progress: Progress,
}

/// What reaches a replica from outside.
pub(super) enum Arrival<M> {
    /// What its protocol is given.
    Input(Input<M>),
    /// What a client asks.
    Ask(Ask),
}

impl<M> Arrival<M> {
    #[inline]
    fn give<P: Protocol<Message = M>>(self, now: Time, driver: &mut Driver<P>) {
        match self {
            Self::Input(input) => driver.handle(now, input),
            Self::Ask(ask) => driver.ask(now, ask),
        }
    }

    /// Whose message it is, if it is one.
    const fn sender(&self) -> Option<Member> {
        match self {
            Self::Input(Input::Message { from, .. }) => Some(Member::Replica(*from)),
            Self::Input(_) => None,
            Self::Ask(ask) => Some(Member::asking(ask)),
        }
    }

    /// Processor time for its bytes.
    fn time_of_bytes<P: Protocol<Message = M>>(&self, fabric: &Fabric<P>) -> Span
    where
        M: Serialize,
    {
        match self {
            Self::Input(Input::Message { message, .. }) => fabric.time_of(message),
            Self::Input(_) => Span::ZERO,
            Self::Ask(ask) => fabric.time_of(ask),
        }
    }
}

/// What the driver of a replica acts on.
struct Body<P: Protocol> {
    settings: Settings,
    disk: Disk<P::Record, P::Checkpoint>,
    slow_disk: Span,
    random: Pcg64,
    armed: Armed,
    /// When each message that is being sent leaves, and the next sequence number before it was given
    /// to its link.
    departures: Vec<(Time, u64)>,
    /// On a shared machine: what leaves at the end of the turn.
    outbox: Vec<Outgoing<P::Message>>,
    /// On a shared machine: since when it has a processor.
    running_since: Time,
    phases: PhaseRecorder,
    /// What its log is at on a shared machine.
    writer: Writer,
    /// There is something to do that is neither in the inbox nor a timer.
    is_roused: bool,
    /// How often timers have run out since when.
    expiries: (Time, u32),
}

/// So often a replica's timers may run out within a millisecond: more is a timer that it sets again and again.
const MOST_EXPIRIES: u32 = 100_000;
const MILLISECOND: Span = Span::from_millis(1);

impl<P: Protocol> Body<P> {
    /// A timer runs out.
    ///
    /// # Panics
    ///
    /// If that happens so often that virtual time hardly goes on.
    fn watch_timers(&mut self, now: Time) {
        if now.since(self.expiries.0) >= MILLISECOND {
            self.expiries = (now, 0);
        }
        self.expiries.1 += 1;
        let id = self.settings.id;
        assert!(self.expiries.1 <= MOST_EXPIRIES, "a timer of {id} runs out again and again");
    }
}

/// What the processor is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Work {
    #[default]
    Idle,
    /// Waiting for a processor of the machine that all share.
    Waiting,
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
    checkpoint: Option<Event>,
}

impl<P: Protocol> Node<P> {
    /// A replica that has never run.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            driver: None,
            is_open: false,
            is_dirty: false,
            is_paused: false,
            work: Work::Idle,
            inbox: VecDeque::new(),
            starts: Vec::new(),
            progress: Progress::default(),
            body: Body {
                disk: Disk::new(settings.durability),
                slow_disk: Span::ZERO,
                random: streams::of_member(
                    settings.seed,
                    Purpose::Timers,
                    Site::Replica(settings.id),
                ),
                armed: Armed::default(),
                departures: Vec::new(),
                outbox: Vec::new(),
                running_since: Time::ZERO,
                writer: Writer::Idle,
                is_roused: false,
                expiries: (Time::ZERO, 0),
                phases: PhaseRecorder::new(settings.window),
                settings,
            },
        }
    }

    pub(super) fn protocol(&self) -> Option<&P> {
        self.driver.as_ref().map(Driver::protocol)
    }

    /// How far it has executed; while it is down, had.
    pub(super) fn progress(&self) -> Progress {
        self.protocol().map_or(self.progress, Protocol::progress)
    }

    pub(super) const fn set_write_only_disk(&mut self) {
        self.body.disk.set_write_only();
    }

    pub(super) const fn set_checkpoint_records(&mut self, records: u64) {
        self.body.settings.checkpoint_records = records;
    }

    pub(super) const fn set_slow_disk(&mut self, by: Span) {
        self.body.slow_disk = by;
    }

    /// From the next start on, its driver is broken.
    pub(super) const fn set_broken_driver(&mut self, defect: driver::Defect) {
        self.body.settings.broken_driver = Some(defect);
    }

    /// Something arrives, and is handled now or waits; false if nobody is there to take it.
    #[inline]
    pub(super) fn arrive(&mut self, now: Time, input: Input<P::Message>) -> bool {
        let Some(driver) = &mut self.driver else { return false };
        if self.is_open {
            driver.handle(now, input);
        } else {
            self.inbox.push_back(Arrival::Input(input));
        }
        true
    }

    /// The same of what a client asks.
    #[inline]
    pub(super) fn ask(&mut self, now: Time, ask: Ask) -> bool {
        let Some(driver) = &mut self.driver else { return false };
        if self.is_open {
            driver.ask(now, ask);
        } else {
            self.inbox.push_back(Arrival::Ask(ask));
        }
        true
    }

    /// Everything that can be done now is done.
    pub(super) fn turn(&mut self, fabric: &mut Fabric<P>) {
        self.is_dirty = false;
        if self.driver.is_none() || self.is_paused || self.work != Work::Idle {
            return;
        }
        if fabric.machine.is_some() {
            return self.ask_for_processor(fabric);
        }
        let count = self.inbox.len();
        if count > 0 && !fabric.service.receives_at_once() {
            self.work = Work::Receiving(count);
            let bytes = self.inbox.iter().map(|arrival| arrival.time_of_bytes(fabric));
            let takes = bytes.fold(fabric.service.receive.times(count as u64), Span::add);
            let until = fabric.now + takes;
            let source = self.body.source(Kind::Processor);
            self.body.armed.processor = Some(fabric.queue.push(until, source));
        } else {
            self.take_in(count, fabric.now);
            self.finish_turn(fabric);
        }
        self.open(fabric);
    }

    fn open(&mut self, fabric: &Fabric<P>) {
        self.is_open = self.driver.is_some()
            && !self.is_paused
            && self.work == Work::Idle
            && self.inbox.is_empty()
            && fabric.service.receives_at_once()
            && fabric.machine.is_none();
    }

    fn take_in(&mut self, count: usize, now: Time) {
        let Some(driver) = &mut self.driver else { return };
        for arrival in self.inbox.drain(..count.min(self.inbox.len())) {
            arrival.give(now, driver);
        }
    }

    /// Timers, effects, what the disk released, and messages to itself, until nothing is left.
    fn finish_turn(&mut self, fabric: &mut Fabric<P>) {
        let Some(driver) = &mut self.driver else { return };
        let now = fabric.now;
        self.body.is_roused = false;
        fabric.counts.events += driver.fire_due(now);
        let mut host = SimHost::new(&mut self.body, fabric);
        driver.settle(now, &mut host);
        host.send_packets();
        let leaves_at = host.leaves_at;
        self.body.arm_timer(driver.next_due(), fabric);
        if leaves_at > now {
            self.work = Work::Sending;
            fabric.note_use(Member::Replica(self.body.settings.id), leaves_at);
            let source = self.body.source(Kind::Processor);
            self.body.armed.processor = Some(fabric.queue.push(leaves_at, source));
        }
        if let Some(observer) = &mut fabric.observer {
            observer.turned(now, self.body.settings.id, driver.protocol());
        }
    }

    /// An event of this replica; whether it is to have a turn.
    pub(super) fn wake(&mut self, event: Event, fabric: &mut Fabric<P>) -> bool {
        let armed = match event.source().kind {
            Kind::Timer => &mut self.body.armed.timer,
            Kind::Processor => &mut self.body.armed.processor,
            Kind::Checkpoint => &mut self.body.armed.checkpoint,
            _ => &mut self.body.armed.disk,
        };
        if *armed != Some(event) {
            return false;
        }
        *armed = None;
        match event.source().kind {
            Kind::Timer => self.body.watch_timers(event.at()),
            Kind::Processor => self.finish_work(fabric),
            Kind::Checkpoint => {
                self.body.is_roused = true;
                self.body.finish_checkpoint(fabric);
            }
            _ if self.body.writer == Writer::Working => {
                self.body.finish_writing(fabric);
                return false;
            }
            _ => {
                self.body.is_roused = true;
                self.body.finish_sync(fabric);
                if !self.is_paused {
                    self.body.begin_sync(fabric);
                }
            }
        }
        true
    }

    /// The processor is free again.
    fn finish_work(&mut self, fabric: &mut Fabric<P>) {
        if self.is_paused
            && let Work::Receiving(count) = self.work
        {
            // What it has taken in it handles when it goes on; on a shared machine it takes it in once more.
            self.work = Work::Stalled(count);
            self.release_processor(fabric);
            return;
        }
        let work = std::mem::take(&mut self.work);
        self.body.departures.clear();
        if let Work::Receiving(count) = work {
            self.take_in(count, fabric.now);
            self.finish_turn(fabric);
        }
        self.release_processor(fabric);
        self.open(fabric);
    }
}

impl<P: Protocol> Body<P> {
    fn arm_timer(&mut self, next: Option<Time>, fabric: &mut Fabric<P>) {
        let Some(next) = next else { return };
        if self.armed.timer.is_none_or(|armed| armed.at() > next) {
            self.armed.timer = Some(fabric.queue.push(next, self.source(Kind::Timer)));
        }
    }

    fn begin_sync(&mut self, fabric: &mut Fabric<P>) {
        if !self.disk.is_sync_due() {
            return;
        }
        if fabric.machine.is_some() {
            return self.ask_for_writer(fabric);
        }
        self.disk.begin(fabric.now);
        match fabric.service.sync + self.slow_disk {
            Span::ZERO => self.finish_sync(fabric),
            takes => {
                let event = fabric.queue.push(fabric.now + takes, self.source(Kind::Disk));
                self.armed.disk = Some(event);
            }
        }
    }

    /// It takes no time of the processor, and no sync waits for it.
    fn begin_checkpoint(&mut self, fabric: &mut Fabric<P>) {
        if !self.disk.begin_checkpoint() {
            return;
        }
        match fabric.service.checkpoint + self.slow_disk {
            Span::ZERO => self.disk.finish_checkpoint(),
            takes => {
                let event = fabric.queue.push(fabric.now + takes, self.source(Kind::Checkpoint));
                self.armed.checkpoint = Some(event);
            }
        }
    }

    fn finish_checkpoint(&mut self, fabric: &mut Fabric<P>) {
        self.disk.finish_checkpoint();
        self.begin_checkpoint(fabric);
    }

    fn finish_sync(&mut self, fabric: &mut Fabric<P>) {
        let took = self.disk.finish(fabric.now);
        if let Some(machine) = &mut fabric.machine {
            machine.release_disk();
            self.writer = Writer::Idle;
        }
        // The one before may have waited for these records.
        self.begin_checkpoint(fabric);
        self.phases.persisted(fabric.now, took);
        if let Some(observer) = &mut fabric.observer {
            observer.synced(fabric.now, self.settings.id);
        }
    }

    const fn source(&self, kind: Kind) -> Source {
        Source { kind, index: self.settings.id.0 as u16 }
    }
}

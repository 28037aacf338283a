//! The one driver of a [`Protocol`], without I/O: it carries out the effects of one replica.
//!
//! A [`Host`] is where the driver runs: an event loop over QUIC and a disk ([`crate::runtime`]),
//! virtual time ([`crate::sim`]), or the model checker ([`crate::check`]).
//! A host moves bytes, keeps the disk and reads the clock; the driver decides when a message may leave,
//! when a timer is due, when a checkpoint is made, and in which order a replica gets its inputs.
//! So a fault of the driver is a fault in every host, and the simulator and the model checker run the
//! driver that runs live.
//!
//! The driver has a single obligation to the protocol: an envelope of
//! [`Effects::durable_sends`](crate::protocol::Effects::durable_sends) leaves only after every record
//! given so far is on stable storage.
//!
//! A control operation of a client ([`Ask::Control`]) is the driver's own: it answers it as soon as the host
//! lets it act, and neither the replica nor the disk ever hears of it.
//! So what a host takes to answer one is what it adds to every command, whatever the quorums are.
//!
//! [`Defect`] breaks the driver on purpose, as a negative control.

mod timers;

use std::collections::VecDeque;

use crate::command::{Ask, RequestId};
use crate::protocol::{
    Advance, Effects, Envelope, Input, Note, Progress, Protocol, Reply, TimerId,
};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Clock, Span, Time};
use timers::Timers;

/// A replica without a disk tells the others this often how far it has executed.
const PROGRESS_INTERVAL: Span = Span::from_millis(100);

/// A replica that keeps so many executed slots makes a checkpoint after ten times as many, at the latest:
/// without a checkpoint it can forget nothing.
const CHECKPOINT_RETENTIONS: u64 = 10;

/// How much a host was given to make durable when something began to wait for it.
///
/// A larger ticket covers every smaller one; 0 covers nothing and is always durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where a driver runs: the network, the disk, the clients and the random numbers of one replica.
pub trait Host<P: Protocol> {
    /// Sends a message to other replicas; it may be lost.
    fn send(&mut self, to: NodeSet, message: P::Message);

    /// Answers a client.
    fn reply(&mut self, reply: Reply);

    /// Answers a control operation; nobody asks for one where a host's clients do not.
    #[expect(unused_variables, reason = "the names of parameters are their documentation")]
    fn answer_control(&mut self, request: RequestId) {}

    /// Gives records to the disk and leaves the vector empty.
    ///
    /// Returns the ticket that covers them; [`Ticket::default`] without a disk.
    fn persist(&mut self, records: &mut Vec<P::Record>) -> Ticket;

    /// Gives a checkpoint to the disk: it replaces all records before it.
    ///
    /// Returns the ticket that covers it, which is higher than that of any checkpoint before.
    fn checkpoint(&mut self, replica: &P) -> Ticket;

    /// The highest ticket whose checkpoint is on stable storage; the same as [`Self::durable`] where checkpoints
    /// become durable in turn with records.
    fn checkpointed(&mut self) -> Ticket {
        self.durable()
    }

    /// The driver has given the disk all that it has for now.
    fn flush(&mut self) {}

    /// The highest ticket whose records are on stable storage.
    fn durable(&mut self) -> Ticket;

    /// Whether so much was written since the last checkpoint that another one is due.
    fn is_checkpoint_due(&self) -> bool {
        false
    }

    /// A random time from zero to `longest`.
    fn draw(&mut self, longest: Span) -> Span;

    /// The state machine of the replica went on.
    fn advance(&mut self, advance: Advance);

    /// The replica reports something about its work.
    fn note(&mut self, note: Note);

    /// A message that depends on records is about to leave, perhaps to the replica itself.
    #[expect(unused_variables, reason = "the names of parameters are their documentation")]
    fn released(&mut self, envelope: &Envelope<P::Message>) {}
}

/// A fault of the driver itself: the negative controls of every host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// A message that depends on a record leaves before the record is durable.
    SendsBeforePersist,
    /// No timer is ever set.
    ForgetsTimers,
    /// A control operation is answered only when everything given to the disk is durable.
    HoldsControls,
}

/// What the hosts of one replica may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which replica it is.
    pub id: NodeId,
    /// Whether the host has a disk.
    ///
    /// Without one a replica that stops has forgotten everything, so whatever it has executed counts as
    /// durable: the driver tells the protocol so every 100 ms.
    pub has_disk: bool,
    /// How many executed slots the replica keeps for others, if it forgets any.
    pub retained_slots: Option<u64>,
    /// What its clock shows.
    pub clock: Clock,
    /// How the driver is broken on purpose.
    pub defect: Option<Defect>,
}

/// One replica that runs: its protocol, and the effects that still have to be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Driver<P: Protocol> {
    id: NodeId,
    protocol: P,
    effects: Effects<P::Message, P::Record>,
    /// Messages that wait for the disk, in order, each with the ticket that it waits for.
    waiting: VecDeque<(Ticket, Envelope<P::Message>)>,
    /// The ticket of what was given to the disk last, until it is durable.
    last: Ticket,
    /// Checkpoints on their way to the disk, and how far the replica had executed when they were made.
    checkpoints: VecDeque<(Ticket, Progress)>,
    /// A checkpoint is due when the replica has executed so far.
    next_checkpoint: Option<Progress>,
    /// So many executed slots lie between two checkpoints at most.
    checkpoint_interval: Option<u64>,
    /// Messages of the replica to itself.
    loopback: VecDeque<P::Message>,
    /// Control operations to be answered.
    controls: Vec<RequestId>,
    timers: Timers,
    /// Without a disk: when the protocol is told of its progress next.
    next_progress: Option<Time>,
    has_disk: bool,
    clock: Clock,
    /// It has given the disk a record: from then on a checkpoint is made with one.
    has_persisted: bool,
    defect: Option<Defect>,
}

/// What a crash leaves of a driver.
#[derive(Debug)]
pub struct Wreck<P: Protocol> {
    /// The last state of the replica.
    pub protocol: P,
    /// Records that the driver had not given to the disk yet.
    pub records: Vec<P::Record>,
    /// Messages that waited for the disk and will never leave.
    pub withheld_count: u64,
}

impl<P: Protocol> Driver<P> {
    /// A replica that has recovered what its disk held; its first input is [`Input::Start`], given here.
    pub fn start(now: Time, protocol: P, settings: &Settings) -> Self {
        let Settings { id, has_disk, retained_slots, clock, defect } = *settings;
        let interval = |slots: u64| slots.saturating_add(1).saturating_mul(CHECKPOINT_RETENTIONS);
        let mut driver = Self {
            id,
            effects: Effects::default(),
            waiting: VecDeque::new(),
            last: Ticket::default(),
            checkpoints: VecDeque::new(),
            next_checkpoint: None,
            checkpoint_interval: retained_slots.filter(|_| has_disk).map(interval),
            loopback: VecDeque::new(),
            controls: Vec::new(),
            timers: Timers::default(),
            next_progress: (!has_disk).then_some(now + PROGRESS_INTERVAL),
            has_disk,
            clock,
            has_persisted: false,
            defect,
            protocol,
        };
        driver.plan_checkpoint();
        driver.handle(now, Input::Start);
        driver
    }

    /// The replica.
    pub const fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Gives the replica one input; its effects wait for [`Self::settle`].
    #[inline]
    pub fn handle(&mut self, now: Time, input: Input<P::Message>) {
        self.protocol.handle(self.clock.now(now), input, &mut self.effects);
    }

    /// Takes what a client asks: a command for the replica, or a control operation, which [`Self::settle`]
    /// answers.
    #[inline]
    pub fn ask(&mut self, now: Time, ask: Ask) {
        match ask {
            Ask::Command(command) => self.handle(now, Input::Request(command)),
            Ask::Control(request) => self.controls.push(request),
        }
    }

    /// Gives the replica every timer that is due at `now`; how many there were.
    pub fn fire_due(&mut self, now: Time) -> u64 {
        let mut count = 0;
        while let Some(timer) = self.timers.pop_due(now) {
            count += 1;
            self.handle(now, Input::Timer(timer));
        }
        if self.next_progress.is_some_and(|at| at <= now) {
            self.next_progress = Some(now + PROGRESS_INTERVAL);
            let progress = self.protocol.progress();
            self.handle(now, Input::Checkpointed(progress));
        }
        count
    }

    /// Lets a timer run out, whenever it is due; false if it is not set.
    pub fn fire(&mut self, now: Time, timer: TimerId) -> bool {
        let is_set = self.timers.remove(timer);
        if is_set {
            self.handle(now, Input::Timer(timer));
        }
        is_set
    }

    /// Timers that are set, by name, and when each is due.
    pub fn timers(&self) -> impl Iterator<Item = (TimerId, Time)> {
        self.timers.iter()
    }

    /// When [`Self::fire_due`] has something to do next.
    pub fn next_due(&self) -> Option<Time> {
        self.timers.next().into_iter().chain(self.next_progress).min()
    }

    /// Whether a message waits for the disk.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Answers control operations, carries out all effects, releases what the disk has made durable, and gives
    /// the replica what it sent to itself, until nothing is left to do. True if the replica sent anything to
    /// itself.
    #[inline]
    pub fn settle(&mut self, now: Time, host: &mut impl Host<P>) -> bool {
        self.answer_controls(host);
        let mut has_looped = false;
        loop {
            self.carry_out(now, host);
            self.release(now, host);
            if self.loopback.is_empty() && self.effects.is_empty() {
                return has_looped;
            }
            has_looped |= !self.loopback.is_empty();
            while let Some(message) = self.loopback.pop_front() {
                let from = self.id;
                self.handle(now, Input::Message { from, message });
            }
        }
    }

    /// Makes a checkpoint now.
    pub fn checkpoint(&mut self, host: &mut impl Host<P>) {
        self.last = self.last.max(host.checkpoint(&self.protocol));
        self.checkpoints.push_back((self.last, self.protocol.progress()));
        self.plan_checkpoint();
    }

    /// The replica stops here, between a record and what waits for it.
    pub fn crash(self) -> Wreck<P> {
        let Self { protocol, effects, waiting, .. } = self;
        let withheld_count = (waiting.len() + effects.durable_sends.len()) as u64;
        Wreck { protocol, records: effects.records, withheld_count }
    }

    /// Answers every control operation, before anything else is done: nothing can hold it up.
    fn answer_controls(&mut self, host: &mut impl Host<P>) {
        if self.controls.is_empty() {
            return;
        }
        let is_held = self.defect == Some(Defect::HoldsControls) && self.last > host.durable();
        if !is_held {
            self.controls.drain(..).for_each(|request| host.answer_control(request));
        }
    }

    /// One group of records for all effects so far.
    ///
    /// Each buffer is taken only if something is in it, and handed back empty, to be used again.
    fn carry_out(&mut self, now: Time, host: &mut impl Host<P>) {
        if !self.effects.sends.is_empty() {
            let mut sends = std::mem::take(&mut self.effects.sends);
            sends.drain(..).for_each(|envelope| self.send(envelope, host));
            self.effects.sends = sends;
        }
        if !self.effects.records.is_empty() {
            self.persist(host);
        }
        if !self.effects.durable_sends.is_empty() {
            self.hold_back(host);
        }
        for timer in self.effects.timers.drain(..) {
            let spread = if timer.spread.0 == 0 { timer.spread } else { host.draw(timer.spread) };
            if self.defect != Some(Defect::ForgetsTimers) {
                self.timers.set(timer.id, now + timer.after + spread);
            }
        }
        self.effects.replies.drain(..).for_each(|reply| host.reply(reply));
        let mut is_installed = false;
        for advance in self.effects.executed.drain(..) {
            is_installed |= matches!(advance, Advance::Installed(_));
            host.advance(advance);
        }
        // An observer executes and records nothing, so no record brings its checkpoint about.
        let is_overdue = !self.has_persisted && self.is_checkpoint_due();
        if (is_installed || is_overdue) && self.has_disk {
            // Nothing waits for it; but a crash before the next one would have it sent again.
            self.checkpoint(host);
            host.flush();
        }
        self.effects.notes.drain(..).for_each(|note| host.note(note));
    }

    fn persist(&mut self, host: &mut impl Host<P>) {
        self.last = self.last.max(host.persist(&mut self.effects.records));
        self.has_persisted = true;
        if self.has_disk && (self.is_checkpoint_due() || host.is_checkpoint_due()) {
            self.checkpoint(host);
        }
        host.flush();
    }

    /// Whether it has executed so much since the last checkpoint that another one is due.
    ///
    /// Where the disk is slow, checkpoints would pile up: the next one is made when the last one is durable.
    fn is_checkpoint_due(&self) -> bool {
        let progress = self.protocol.progress();
        self.checkpoints.is_empty() && self.next_checkpoint.is_some_and(|next| progress >= next)
    }

    /// Keeps back the messages that depend on records, unless all of those are durable.
    fn hold_back(&mut self, host: &mut impl Host<P>) {
        let mut envelopes = std::mem::take(&mut self.effects.durable_sends);
        let is_durable = self.waiting.is_empty() && self.last <= host.durable();
        if is_durable || self.defect == Some(Defect::SendsBeforePersist) {
            for envelope in envelopes.drain(..) {
                host.released(&envelope);
                self.send(envelope, host);
            }
        } else {
            let last = self.last;
            self.waiting.extend(envelopes.drain(..).map(|envelope| (last, envelope)));
        }
        self.effects.durable_sends = envelopes;
    }

    /// Sends the messages whose records are durable now, and tells the protocol of durable checkpoints.
    fn release(&mut self, now: Time, host: &mut impl Host<P>) {
        let durable = host.durable();
        while let Some((_, envelope)) = self.waiting.pop_front_if(|(ticket, _)| *ticket <= durable)
        {
            host.released(&envelope);
            self.send(envelope, host);
        }
        if !self.checkpoints.is_empty() {
            let checkpointed = host.checkpointed();
            while let Some((_, progress)) =
                self.checkpoints.pop_front_if(|(ticket, _)| *ticket <= checkpointed)
            {
                self.handle(now, Input::Checkpointed(progress));
            }
        }
        if self.last <= durable {
            // A host may count from the beginning once nothing is on its way to the disk.
            self.last = Ticket::default();
        }
    }

    #[inline]
    fn send(&mut self, envelope: Envelope<P::Message>, host: &mut impl Host<P>) {
        let Envelope { to, message } = envelope;
        let others = to.without(self.id);
        let is_own = to.contains(self.id);
        if others.is_empty() {
            self.loopback.extend(is_own.then_some(message));
            return;
        }
        if is_own {
            self.loopback.push_back(message.clone());
        }
        host.send(others, message);
    }

    fn plan_checkpoint(&mut self) {
        let progress = self.protocol.progress();
        let after = |slots: u64| Progress(progress.0.saturating_add(slots));
        self.next_checkpoint = self.checkpoint_interval.map(after);
    }
}

#[cfg(test)]
mod tests;

//! One client region in virtual time: it carries what its [`Session`] hands out over the network.

use std::ops::Add;

use super::fabric::Fabric;
use super::machine::Member;
use super::queue::{Event, Kind, Source};
use crate::client::{Report, Schedule, Session};
use crate::command::{Ask, ClientId};
use crate::deployment::{Deployment, MemberName};
use crate::history;
use crate::measure::Recording;
use crate::protocol::{Answer, Protocol};
use crate::quorum::NodeId;
use crate::time::Time;

/// The load generator of one client region.
#[derive(Debug)]
pub(super) struct Client {
    id: ClientId,
    session: Session,
    /// It is to have a turn at the end of this instant.
    pub(super) is_dirty: bool,
    armed: Option<Event>,
    recording: Recording,
    history: Vec<u8>,
    /// What it does on a machine that it shares, and what has arrived there that it has not taken in.
    work: Work,
    inbox: Vec<(NodeId, Answer)>,
    /// Since when it has a processor.
    running_since: Time,
}

/// What a client is at on a machine that it shares with all other members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Idle,
    /// Waiting for a processor.
    Waiting,
    /// Taking in so many answers.
    Receiving(usize),
    Sending,
}

impl Client {
    pub(super) fn new(id: ClientId, deployment: &Deployment, schedule: Schedule) -> Self {
        let mut session = Session::of(deployment, id, schedule);
        let recorder = session.recorder();
        let recording = Recording::new(recorder.window(), recorder.interval_length());
        Self {
            id,
            session,
            is_dirty: false,
            armed: None,
            recording,
            history: Vec::new(),
            work: Work::Idle,
            inbox: Vec::new(),
            running_since: Time::ZERO,
        }
    }

    pub(super) fn is_drained(&self, now: Time) -> bool {
        self.session.is_drained(now)
    }

    /// Writes answered so far since the measurement began.
    pub(super) const fn measured_writes(&self) -> u64 {
        self.session.measured_writes()
    }

    /// An answer arrives.
    #[inline]
    pub(super) fn handle_answer(&mut self, now: Time, from: NodeId, answer: Answer) {
        self.session.handle_answer(now, from, answer);
    }

    /// There is a new connection to a replica that was started again.
    pub(super) fn reconnect(&mut self, now: Time, replica: NodeId) {
        self.session.reconnect(now, replica);
    }

    /// Whether this event is the one it waits for: then it is to have a turn.
    pub(super) fn wake(&mut self, event: Event) -> bool {
        let is_due = self.armed == Some(event);
        if is_due {
            self.armed = None;
        }
        is_due
    }

    /// It issues one operation that its plan does not have.
    pub(super) fn issue_another<P: Protocol>(&mut self, fabric: &mut Fabric<P>) -> history::Kind {
        let kind = self.session.issue_another(fabric.now);
        self.send(fabric);
        kind
    }

    /// Everything that can be done now is done.
    pub(super) fn turn<P: Protocol>(&mut self, fabric: &mut Fabric<P>) {
        self.is_dirty = false;
        if fabric.machine.is_some() {
            return self.ask_for_processor(fabric);
        }
        self.send(fabric);
    }

    /// It issues what is due, and sends; when the last of it has left.
    fn send<P: Protocol>(&mut self, fabric: &mut Fabric<P>) -> Time {
        let now = fabric.now;
        while self.session.issue(now) {}
        self.session.retry(now);
        let mut leaves_at = now;
        if fabric.machine.is_some() {
            leaves_at = self.send_packets(fabric);
        } else {
            for (replica, ask) in self.session.take_asks() {
                fabric.ask(self.id, replica, now, ask);
            }
        }
        let recorder = self.session.recorder();
        recorder.advance(now);
        while let Some(mut interval) = recorder.take_interval() {
            self.recording.add(&interval);
            interval.clear();
            recorder.recycle(interval);
        }
        while let Some(block) = self.session.take_history_block() {
            match &mut fabric.spool {
                Some(spool) => spool.take(MemberName::Client(self.id), 0, &block),
                None => self.history.extend_from_slice(&block),
            }
        }
        self.arm(fabric);
        leaves_at
    }

    /// What it asks on a machine that it shares leaves in a packet for each replica; when the last has left.
    fn send_packets<P: Protocol>(&mut self, fabric: &mut Fabric<P>) -> Time {
        let mut asks: Vec<(NodeId, Ask)> = self.session.take_asks().collect();
        let messages = asks.iter().map(|(_, ask)| fabric.time_to_send(ask));
        let mut leaves_at = messages.fold(fabric.now, Add::add);
        while let Some(to) = asks.first().map(|(to, _)| *to) {
            let packet = fabric.time_of_packet(Member::Client(self.id), Member::Replica(to));
            leaves_at = leaves_at + packet;
            for (_, ask) in asks.extract_if(.., |(replica, _)| *replica == to) {
                fabric.ask(self.id, to, leaves_at, ask);
            }
        }
        leaves_at
    }

    /// An answer arrives on a machine that it shares, and waits there for its turn.
    pub(super) fn arrive(&mut self, from: NodeId, answer: Answer) {
        self.inbox.push((from, answer));
    }

    /// It waits for a processor, if it has something to do and none yet.
    fn ask_for_processor<P: Protocol>(&mut self, fabric: &mut Fabric<P>) {
        if self.work != Work::Idle {
            return;
        }
        if !self.has_work(fabric.now) {
            return self.arm(fabric);
        }
        self.work = Work::Waiting;
        if let Some(machine) = &mut fabric.machine {
            machine.ask(Member::Client(self.id));
        }
    }

    fn has_work(&self, now: Time) -> bool {
        !self.inbox.is_empty() || self.session.next_wake(now).is_some_and(|at| at <= now)
    }

    /// It has a processor, and begins to take in what has arrived.
    pub(super) fn run<P: Protocol>(&mut self, fabric: &mut Fabric<P>) -> bool {
        self.running_since = fabric.now;
        self.begin_turn(fabric, false)
    }

    /// The same; whether it is awake from the turn before.
    fn begin_turn<P: Protocol>(&mut self, fabric: &mut Fabric<P>, is_awake: bool) -> bool {
        let Fabric { machine: Some(machine), service, .. } = fabric else { return false };
        let senders = self.inbox.iter().map(|(from, _)| Some(Member::Replica(*from)));
        let takes = machine.takes_in(service, is_awake, senders);
        let bytes = self.inbox.iter().map(|(_, answer)| fabric.time_of(answer));
        let until = fabric.now + bytes.fold(takes, Add::add);
        self.work = Work::Receiving(self.inbox.len());
        fabric.note_use(Member::Client(self.id), until);
        fabric.queue.push(until, self.source(Kind::Load));
        true
    }

    /// It has finished what it was at, and is to have a turn.
    pub(super) fn finish_work<P: Protocol>(&mut self, fabric: &mut Fabric<P>) {
        let now = fabric.now;
        if let Work::Receiving(count) = self.work {
            for (from, answer) in self.inbox.drain(..count) {
                self.session.handle_answer(now, from, answer);
            }
            let leaves_at = self.send(fabric);
            if leaves_at > now {
                self.work = Work::Sending;
                fabric.note_use(Member::Client(self.id), leaves_at);
                fabric.queue.push(leaves_at, self.source(Kind::Load));
                return;
            }
        }
        self.work = Work::Idle;
        let has_work = self.has_work(now);
        let Some(machine) = &mut fabric.machine else { return };
        if has_work && machine.goes_on(self.running_since, now) {
            self.begin_turn(fabric, true);
        } else {
            machine.release();
        }
    }

    fn source(&self, kind: Kind) -> Source {
        let index = u16::try_from(self.id.0).expect("there are fewer clients than links");
        Source { kind, index }
    }

    fn arm<P: Protocol>(&mut self, fabric: &mut Fabric<P>) {
        let Some(next) = self.session.next_wake(fabric.now) else { return };
        // One that comes too early arms the next.
        if self.armed.is_none_or(|armed| armed.at() > next) {
            self.armed = Some(fabric.queue.push(next, self.source(Kind::Client)));
        }
    }

    /// What it has to say, and its history.
    pub(super) fn finish(mut self, now: Time) -> (Report, Vec<u8>) {
        let (report, recorder, end) = self.session.finish(now);
        self.recording.finish(recorder);
        self.history.extend_from_slice(&end);
        (Report { recording: self.recording, ..report }, self.history)
    }
}

//! One client region in virtual time: it carries what its [`Session`] hands out over the network.

use super::fabric::Fabric;
use super::queue::{Event, Kind, Source};
use crate::client::{Report, Schedule, Session};
use crate::command::ClientId;
use crate::deployment::Deployment;
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
}

impl Client {
    pub(super) fn new(id: ClientId, deployment: &Deployment, schedule: Schedule) -> Self {
        let mut session = Session::of(deployment, id, schedule);
        let recorder = session.recorder();
        let recording = Recording::new(recorder.window(), recorder.interval_length());
        Self { id, session, is_dirty: false, armed: None, recording, history: Vec::new() }
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
    pub(super) fn issue_another<P: Protocol>(&mut self, fabric: &mut Fabric<P>) {
        self.session.issue_another(fabric.now);
        self.turn(fabric);
    }

    /// Everything that can be done now is done.
    pub(super) fn turn<P: Protocol>(&mut self, fabric: &mut Fabric<P>) {
        self.is_dirty = false;
        let now = fabric.now;
        while self.session.issue(now) {}
        self.session.retry(now);
        for (replica, ask) in self.session.take_asks() {
            fabric.ask(self.id, replica, ask);
        }
        let recorder = self.session.recorder();
        recorder.advance(now);
        while let Some(mut interval) = recorder.take_interval() {
            self.recording.add(&interval);
            interval.clear();
            recorder.recycle(interval);
        }
        while let Some(block) = self.session.take_history_block() {
            self.history.extend_from_slice(&block);
        }
        self.arm(fabric);
    }

    fn arm<P: Protocol>(&mut self, fabric: &mut Fabric<P>) {
        let Some(next) = self.session.next_wake(fabric.now) else { return };
        // One that comes too early arms the next.
        if self.armed.is_none_or(|armed| armed.at() > next) {
            let index = u16::try_from(self.id.0).expect("there are fewer clients than links");
            self.armed = Some(fabric.queue.push(next, Source { kind: Kind::Client, index }));
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

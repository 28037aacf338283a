//! A replica on a machine that it shares with all other members.

use std::ops::Add;

use super::{Arrival, Body, Node, Work};
use crate::protocol::Protocol;
use crate::sim::fabric::Fabric;
use crate::sim::machine::Member;
use crate::sim::queue::Kind;
use crate::time::{Span, Time};

/// What the thread that writes the log of a replica is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Writer {
    #[default]
    Idle,
    /// Waiting for a processor since then.
    Waiting(Time),
    /// It has one, for as long as a sync keeps it busy.
    Working,
    WaitingForDisk,
    Syncing,
}

impl<P: Protocol> Node<P> {
    /// It waits for a processor, if it has something to do.
    pub(super) fn ask_for_processor(&mut self, fabric: &mut Fabric<P>) {
        if !self.has_work(fabric.now) {
            return;
        }
        self.work = Work::Waiting;
        if let Some(machine) = &mut fabric.machine {
            machine.ask(self.member());
        }
    }

    fn has_work(&self, now: Time) -> bool {
        let Some(driver) = &self.driver else { return false };
        let is_timer_due = || driver.next_due().is_some_and(|due| due <= now);
        !self.inbox.is_empty() || self.body.is_roused || is_timer_due()
    }

    /// It has a processor, and begins to take in what has arrived; false if it has no use for one.
    pub(in crate::sim) fn run(&mut self, fabric: &mut Fabric<P>) -> bool {
        if self.is_paused {
            // It asks again when it goes on.
            self.work = Work::Idle;
            return false;
        }
        self.body.running_since = fabric.now;
        self.begin_turn(fabric, false)
    }

    /// It begins to take in what has arrived; whether it is awake from the turn before.
    fn begin_turn(&mut self, fabric: &mut Fabric<P>, is_awake: bool) -> bool {
        let Fabric { machine: Some(machine), service, .. } = fabric else { return false };
        let takes = machine.takes_in(service, is_awake, self.inbox.iter().map(Arrival::sender));
        let bytes = self.inbox.iter().map(|arrival| arrival.time_of_bytes(fabric));
        let until = fabric.now + bytes.fold(takes, Add::add);
        self.work = Work::Receiving(self.inbox.len());
        fabric.note_use(self.member(), until);
        let source = self.body.source(Kind::Processor);
        self.body.armed.processor = Some(fabric.queue.push(until, source));
        true
    }

    /// Its log has a processor, and begins to write what it was given; false if there is nothing.
    pub(in crate::sim) fn run_log(&mut self, fabric: &mut Fabric<P>) -> bool {
        let body = &mut self.body;
        let asked_at = match std::mem::take(&mut body.writer) {
            Writer::Waiting(since) => since,
            _ => fabric.now,
        };
        // What it waited for a processor is part of its time.
        if self.is_paused || !body.disk.begin(asked_at) {
            return false;
        }
        let Some(machine) = &fabric.machine else { return false };
        let until = fabric.now + machine.costs().sync;
        body.writer = Writer::Working;
        fabric.note_use(Member::Log(body.settings.id), until);
        body.armed.disk = Some(fabric.queue.push(until, body.source(Kind::Disk)));
        true
    }

    /// It has the disk.
    pub(in crate::sim) fn run_disk(&mut self, fabric: &mut Fabric<P>) {
        self.body.sync_together(fabric);
    }

    /// Gives its processor back, unless it still sends, or has the next turn at once.
    pub(super) fn release_processor(&mut self, fabric: &mut Fabric<P>) {
        let now = fabric.now;
        let Some(machine) = &mut fabric.machine else { return };
        if let Work::Stalled(_) = self.work {
            self.work = Work::Idle;
        }
        if self.work != Work::Idle {
            return;
        }
        let has_work = !self.is_paused && self.has_work(now);
        if has_work && machine.goes_on(self.body.running_since, now) {
            self.begin_turn(fabric, true);
        } else {
            machine.release();
        }
    }

    /// It crashes: what it has and what it waits for goes to others.
    pub(super) fn leave_machine(&mut self, fabric: &mut Fabric<P>) {
        let member = self.member();
        let Some(machine) = &mut fabric.machine else { return };
        match self.work {
            Work::Idle | Work::Stalled(_) => {}
            Work::Waiting => machine.withdraw(member),
            Work::Receiving(_) | Work::Sending => machine.release(),
        }
        let id = self.body.settings.id;
        match std::mem::take(&mut self.body.writer) {
            Writer::Idle => {}
            Writer::Waiting(_) => machine.withdraw(Member::Log(id)),
            Writer::Working => machine.release(),
            Writer::WaitingForDisk => machine.withdraw_from_disk(id),
            Writer::Syncing => machine.release_disk(),
        }
    }

    const fn member(&self) -> Member {
        Member::Replica(self.body.settings.id)
    }
}

impl<P: Protocol> Body<P> {
    /// Its log waits for a processor.
    pub(super) fn ask_for_writer(&mut self, fabric: &mut Fabric<P>) {
        if let Some(machine) = &mut fabric.machine
            && self.writer == Writer::Idle
        {
            self.writer = Writer::Waiting(fabric.now);
            machine.ask(Member::Log(self.settings.id));
        }
    }

    /// Its log gives the processor back, and has the disk sync.
    pub(super) fn finish_writing(&mut self, fabric: &mut Fabric<P>) {
        let Some(machine) = &mut fabric.machine else { return };
        machine.release();
        if machine.ask_for_disk(self.settings.id) {
            self.sync_together(fabric);
        } else {
            self.writer = Writer::WaitingForDisk;
        }
    }

    /// The disk syncs for what is left of the time of a sync.
    fn sync_together(&mut self, fabric: &mut Fabric<P>) {
        let Some(machine) = &fabric.machine else { return };
        let takes = fabric.service.sync.0.saturating_sub(machine.costs().sync.0);
        let until = fabric.now + Span(takes) + self.slow_disk;
        self.writer = Writer::Syncing;
        self.armed.disk = Some(fabric.queue.push(until, self.source(Kind::Disk)));
    }
}

//! A replica on a machine that it shares with all other members.

use std::ops::Add;

use super::{Arrival, Node, Work};
use crate::protocol::Protocol;
use crate::sim::fabric::Fabric;
use crate::sim::machine::Member;
use crate::sim::queue::Kind;

impl<P: Protocol> Node<P> {
    /// It waits for a processor, if it has something to do.
    pub(super) fn ask_for_processor(&mut self, fabric: &mut Fabric<P>) {
        let Some(driver) = &self.driver else { return };
        let is_timer_due = || driver.next_due().is_some_and(|due| due <= fabric.now);
        if self.inbox.is_empty() && !self.is_roused && !is_timer_due() {
            return;
        }
        self.work = Work::Waiting;
        if let Some(machine) = &mut fabric.machine {
            machine.ask(self.member());
        }
    }

    /// It has a processor, and begins to take in what has arrived; false if it has no use for one.
    pub(in crate::sim) fn run(&mut self, fabric: &mut Fabric<P>) -> bool {
        if self.is_paused {
            // It asks again when it goes on.
            self.work = Work::Idle;
            return false;
        }
        let sync_count = std::mem::take(&mut self.body.ended_syncs);
        let Fabric { machine: Some(machine), service, .. } = fabric else { return false };
        let senders = self.inbox.iter().map(Arrival::sender);
        let takes = machine.takes_in(service, senders, sync_count);
        let bytes = self.inbox.iter().map(|arrival| arrival.time_of_bytes(fabric));
        let until = fabric.now + bytes.fold(takes, Add::add);
        self.work = Work::Receiving(self.inbox.len());
        let source = self.body.source(Kind::Processor);
        self.body.armed.processor = Some(fabric.queue.push(until, source));
        true
    }

    /// It has the disk, and begins a sync if there is still one to be made.
    pub(in crate::sim) fn run_disk(&mut self, fabric: &mut Fabric<P>) {
        if !self.is_paused && self.body.disk.is_sync_due() {
            self.body.sync(fabric);
        } else if let Some(machine) = &mut fabric.machine {
            machine.release_disk();
        }
    }

    /// Gives its processor back, unless it still sends.
    pub(super) fn release_processor(&mut self, fabric: &mut Fabric<P>) {
        let Some(machine) = &mut fabric.machine else { return };
        if let Work::Stalled(_) = self.work {
            self.work = Work::Idle;
        }
        if self.work == Work::Idle {
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
        machine.withdraw_from_disk(self.body.settings.id);
        if self.body.armed.disk.is_some() {
            machine.release_disk();
        }
        self.body.ended_syncs = 0;
    }

    const fn member(&self) -> Member {
        Member::Replica(self.body.settings.id)
    }
}

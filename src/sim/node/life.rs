//! How a replica starts, crashes, pauses, goes on and ends.

use super::{Armed, Node, Work};
use crate::deployment::Unsynced;
use crate::driver::{Driver, Wreck};
use crate::protocol::Protocol;
use crate::sim::disk::Found;
use crate::sim::fabric::Fabric;
use crate::sim::outcome::ReplicaReport;

impl<P: Protocol> Node<P> {
    /// Starts it, for the first time or again, on what its disk holds; it is to have a turn.
    pub(in crate::sim) fn start(&mut self, mut protocol: P, fabric: &mut Fabric<P>) {
        let (id, body) = (self.body.settings.id, &mut self.body);
        let Found { checkpoint, records } = body.disk.read();
        let record_count = records.len();
        protocol.recover(checkpoint, records);
        fabric.logs.begin(id, protocol.progress());
        if let Some(observer) = &mut fabric.observer
            && !self.starts.is_empty()
        {
            observer.restarted(fabric.now, id, &protocol, record_count);
        }
        self.starts.push(record_count);
        self.driver = Some(Driver::start(fabric.now, protocol, &body.driver_settings()));
        body.is_roused = true;
        self.open(fabric);
    }

    /// Stops it: all that is not on its disk is gone.
    pub(in crate::sim) fn crash(&mut self, unsynced: Unsynced, fabric: &mut Fabric<P>) {
        let Some(driver) = self.driver.take() else { return };
        let (id, body) = (self.body.settings.id, &mut self.body);
        if let Some(observer) = &mut fabric.observer {
            observer.crashed(fabric.now, id, driver.protocol());
        }
        // At this instant, between the persist and what waits for it.
        let Wreck { protocol, mut records, withheld_count } = driver.crash();
        self.progress = protocol.progress();
        body.disk.give(&mut records);
        let damage = body.disk.crash(unsynced);
        let counts = &mut fabric.counts;
        counts.crashes += 1;
        counts.records_lost += damage.lost_count;
        counts.torn += u64::from(damage.is_torn);
        counts.checkpoints_lost += u64::from(damage.lost_checkpoint);
        counts.withheld += withheld_count;
        counts.missed += self.inbox.len() as u64;
        let left = body.departures.partition_point(|(leaves_at, _)| *leaves_at <= fabric.now);
        if let Some((_, sequence)) = body.departures.get(left) {
            counts.missed += fabric.network.recall(id, *sequence, &mut fabric.queue);
        }
        fabric.network.disconnect(id);
        self.leave_machine(fabric);
        let body = &mut self.body;
        body.departures.clear();
        body.armed = Armed::default();
        fabric.logs.end(id);
        self.inbox.clear();
        self.work = Work::Idle;
        (self.is_open, self.is_paused) = (false, false);
    }

    /// It does nothing until it goes on.
    pub(in crate::sim) const fn pause(&mut self) {
        (self.is_paused, self.is_open) = (true, false);
    }

    /// It goes on; it is to have a turn.
    pub(in crate::sim) fn resume(&mut self, fabric: &mut Fabric<P>) {
        (self.is_paused, self.body.is_roused) = (false, true);
        if self.driver.is_none() {
            return;
        }
        if let Work::Stalled(count) = self.work {
            self.work = Work::Idle;
            self.take_in(count, fabric.now);
            self.finish_turn(fabric);
        }
        self.body.begin_sync(fabric);
        self.open(fabric);
    }

    /// What it has to say.
    pub(in crate::sim) fn finish(self) -> ReplicaReport {
        ReplicaReport {
            sync_count: self.body.disk.sync_count(),
            executed_below: self.progress().0,
            is_down: self.driver.is_none(),
            phases: self.body.phases.finish(),
            starts: self.starts,
        }
    }
}

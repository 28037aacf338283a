//! How a replica starts, crashes, pauses, goes on and ends.

use super::{Armed, Node, Work};
use crate::deployment::{Durability, Unsynced};
use crate::protocol::{Input, Protocol};
use crate::sim::disk::Found;
use crate::sim::fabric::Fabric;
use crate::sim::outcome::ReplicaReport;

impl<P: Protocol> Node<P> {
    /// Starts it, for the first time or again, on what its disk holds; it is to have a turn.
    pub(in crate::sim) fn start(&mut self, mut protocol: P, fabric: &mut Fabric<P>) {
        let Found { checkpoint, records } = self.disk.read();
        let record_count = records.len();
        protocol.recover(checkpoint, records);
        self.log.begin(self.settings.id, protocol.executed_below());
        if let Some(observer) = &mut fabric.observer
            && !self.starts.is_empty()
        {
            observer.restarted(fabric.now, self.settings.id, &protocol, record_count);
        }
        self.starts.push(record_count);
        self.protocol = Some(protocol);
        if self.settings.durability == Durability::Memory {
            self.arm_progress(fabric);
        }
        self.open(fabric);
        self.give(fabric.now, Input::Start);
    }

    /// Stops it: all that is not on its disk is gone. False if it is down already.
    pub(in crate::sim) fn crash(&mut self, unsynced: Unsynced, fabric: &mut Fabric<P>) -> bool {
        let Some(protocol) = self.protocol.take() else { return false };
        if let Some(observer) = &mut fabric.observer {
            observer.crashed(fabric.now, self.settings.id, &protocol);
        }
        self.executed_below = protocol.executed_below();
        // At this instant, between the persist and what waits for it.
        let mut effects = std::mem::take(&mut self.effects);
        self.disk.give(&mut effects.records);
        let damage = self.disk.crash(unsynced);
        let waiting = self.waiting.drain(..).map(|(_, envelopes)| envelopes.len()).sum::<usize>();
        let counts = &mut fabric.counts;
        counts.crashes += 1;
        counts.records_lost += damage.lost_count;
        counts.torn += u64::from(damage.is_torn);
        counts.withheld += (waiting + effects.durable_sends.len()) as u64;
        counts.missed += self.inbox.len() as u64;
        let left = self.departures.partition_point(|(leaves_at, _)| *leaves_at <= fabric.now);
        if let Some((_, sequence)) = self.departures.get(left) {
            counts.missed += fabric.network.recall(self.settings.id, *sequence, &mut fabric.queue);
        }
        fabric.network.disconnect(self.settings.id);
        self.departures.clear();
        self.inbox.clear();
        self.loopback.clear();
        self.timers.clear();
        self.armed = Armed::default();
        self.work = Work::Idle;
        self.checkpointed = None;
        (self.is_open, self.is_paused) = (false, false);
        self.log.end();
        true
    }

    /// It does nothing until it goes on; false if it is down.
    pub(in crate::sim) const fn pause(&mut self) -> bool {
        if self.protocol.is_none() {
            return false;
        }
        (self.is_paused, self.is_open) = (true, false);
        true
    }

    /// It goes on; it is to have a turn.
    pub(in crate::sim) fn resume(&mut self, fabric: &mut Fabric<P>) {
        self.is_paused = false;
        if self.protocol.is_none() {
            return;
        }
        if let Work::Stalled(count) = self.work {
            self.work = Work::Idle;
            self.take_in(count, fabric.now);
            self.finish_turn(fabric);
        }
        self.begin_sync(fabric);
        self.open(fabric);
    }

    /// What it has to say, and the logs of all its starts.
    pub(in crate::sim) fn finish(mut self) -> (ReplicaReport, Vec<Vec<u8>>) {
        let report = ReplicaReport {
            sync_count: self.disk.sync_count(),
            executed_below: self.executed_below().0,
            is_down: self.protocol.is_none(),
            phases: self.phases.finish(),
            starts: self.starts,
        };
        self.log.end();
        (report, self.log.into_segments())
    }
}

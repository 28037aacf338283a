//! Faults: what each does to the world, and what is planned besides them.
//!
//! An [`Injector`] says which begin and end.
//! One that waits for writes or for a leader is looked at after every instant.

use std::collections::BTreeMap;

use super::client::Client;
use super::fabric::Fabric;
use super::network::node;
use super::node::Node;
use super::queue::{Kind, Queue, Source};
use super::world::World;
use crate::client::Schedule;
use crate::deployment::{
    Deployment, FaultKind, Injector, Leader, Members, Order, Unsynced, disk_delay,
};
use crate::protocol::Order::Total;
use crate::protocol::{Input, Protocol};
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// Something planned for the world that is no fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Planned {
    /// Everybody starts.
    Begin,
    /// A client has a new connection to a replica that was started again.
    Reconnect { client: usize, replica: NodeId },
}

/// What is planned, and the faults.
#[derive(Debug)]
pub(super) struct Agenda {
    pub(super) faults: Injector,
    planned: BTreeMap<(Time, u64), Planned>,
}

impl Agenda {
    /// From the first instant on.
    pub(super) fn new(deployment: &Deployment, schedule: &Schedule, queue: &mut Queue) -> Self {
        let mut faults = Injector::new(deployment.faults.clone(), deployment.aim());
        faults.start(schedule.measure_from, schedule.measure_until);
        let mut agenda = Self { faults, planned: BTreeMap::new() };
        agenda.plan(Time::ZERO, Planned::Begin, queue);
        agenda.faults.times().for_each(|at| wake(at, queue));
        agenda
    }

    fn plan(&mut self, at: Time, planned: Planned, queue: &mut Queue) {
        let sequence = queue.sequence();
        self.planned.insert((at, sequence), planned);
        wake(at, queue);
    }

    /// Whether nothing is planned any more.
    pub(super) fn is_empty(&self) -> bool {
        self.planned.is_empty() && self.faults.is_over()
    }

    fn pop_due(&mut self, now: Time) -> Option<Planned> {
        let entry = self.planned.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

/// The agenda is looked at then.
fn wake(at: Time, queue: &mut Queue) {
    queue.push(at, Source { kind: Kind::Agenda, index: 0 });
}

/// What members of a world say.
struct Seen<'a, P: Protocol> {
    nodes: &'a [Node<P>],
    clients: &'a [Client],
}

impl<P: Protocol> Members for Seen<'_, P> {
    fn written(&self) -> u64 {
        self.clients.iter().map(Client::measured_writes).sum()
    }

    fn leader(&self) -> Option<Leader> {
        let nodes = self.nodes.iter().enumerate();
        let leading = nodes.filter_map(|(index, replica)| {
            let protocol = replica.protocol()?;
            let leader = Leader { id: node(index), announced: protocol.announced() };
            Some((protocol.leadership()?, leader))
        });
        leading.max().map(|(_, leader)| leader)
    }

    fn is_lost(&self, _: NodeId) -> bool {
        false
    }

    fn executed(&self, replica: NodeId) -> Option<u64> {
        let protocol = self.nodes[index(replica)].protocol()?;
        (P::ORDER == Total).then(|| protocol.progress().0)
    }

    fn furthest(&self) -> Option<u64> {
        (0..self.nodes.len()).filter_map(|number| self.executed(node(number))).max()
    }
}

impl<P: Protocol> World<P> {
    /// Does what is planned for now.
    pub(super) fn follow_agenda(&mut self) {
        let now = self.fabric.now;
        while let Some(order) = self.agenda.faults.next_due(now, &seen(&self.nodes, &self.clients))
        {
            self.carry_out(order);
        }
        while let Some(planned) = self.agenda.pop_due(now) {
            match planned {
                Planned::Begin => self.begin(),
                Planned::Reconnect { client, replica } => self.reconnect(client, replica),
            }
        }
    }

    /// Carries out the faults that waited for what is so now.
    pub(super) fn watch(&mut self) {
        let now = self.fabric.now;
        while let Some(order) =
            self.agenda.faults.next_awaited(now, &seen(&self.nodes, &self.clients))
        {
            self.carry_out(order);
        }
    }

    /// Notes who has caught up with the others.
    pub(super) fn note_progress(&mut self) {
        self.agenda.faults.note_progress(self.fabric.now, &seen(&self.nodes, &self.clients));
    }

    /// A fault of nobody's schedule begins now.
    pub(super) fn begin_injected(&mut self, kind: FaultKind, lasts: Option<Span>) {
        let seen = seen(&self.nodes, &self.clients);
        if let Some(order) = self.agenda.faults.inject(self.fabric.now, (kind, lasts), &seen) {
            self.carry_out(order);
        }
    }

    /// Ends every fault that is active, and forgets those that are to come.
    pub(super) fn end_all(&mut self) {
        let ended = self.agenda.faults.end_all(self.fabric.now);
        self.apply();
        for kind in ended {
            self.restore(kind);
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Begin { kind, ends_at } => {
                self.begin_fault(kind);
                if let Some(at) = ends_at {
                    wake(at, &mut self.fabric.queue);
                }
            }
            Order::End(kind) => {
                self.apply();
                self.restore(kind);
            }
        }
    }

    fn begin_fault(&mut self, kind: FaultKind) {
        let counts = &mut self.fabric.counts;
        match kind {
            FaultKind::Crash { replica, unsynced } => {
                self.nodes[index(replica)].crash(unsynced, &mut self.fabric);
            }
            FaultKind::FullDisk { replica } => {
                self.nodes[index(replica)].crash(Unsynced::Lost, &mut self.fabric);
            }
            FaultKind::Pause { replica } => {
                self.nodes[index(replica)].pause();
                counts.pauses += 1;
            }
            FaultKind::Campaign { replica } => return self.campaign(replica),
            FaultKind::Partition { .. } | FaultKind::Cut { .. } => counts.partitions += 1,
            FaultKind::Slow { .. }
            | FaultKind::Lose { .. }
            | FaultKind::Duplicate { .. }
            | FaultKind::Reorder { .. }
            | FaultKind::SlowDisk { .. } => counts.degradations += 1,
        }
        self.apply();
    }

    /// A replica is as before a fault that has ended.
    fn restore(&mut self, ended: FaultKind) {
        match ended {
            FaultKind::Crash { replica, .. } | FaultKind::FullDisk { replica } => {
                self.restart(replica);
            }
            FaultKind::Pause { replica } => {
                self.nodes[index(replica)].resume(&mut self.fabric);
                self.mark(index(replica));
            }
            _ => {}
        }
    }

    /// Makes links and disks what the active faults make of them.
    fn apply(&mut self) {
        let Fabric { now, network, queue, .. } = &mut self.fabric;
        network.set_conditions(*now, &self.agenda.faults.active(), queue);
        for (number, replica) in self.nodes.iter_mut().enumerate() {
            replica.set_slow_disk(disk_delay(self.agenda.faults.active(), node(number)));
        }
    }

    /// Tells a replica to lead.
    fn campaign(&mut self, replica: NodeId) {
        self.nodes[index(replica)].arrive(self.fabric.now, Input::Campaign);
        self.fabric.counts.campaigns += 1;
        if let Some(observer) = &mut self.fabric.observer {
            observer.campaigned(self.fabric.now, replica);
        }
        self.mark(index(replica));
    }

    fn restart(&mut self, replica: NodeId) {
        self.fabric.counts.restarts += 1;
        self.start(replica);
        // A new connection takes a round trip.
        for client in 0..self.clients.len() {
            let at = self.fabric.now + self.round_trip(client, replica);
            let reconnect = Planned::Reconnect { client, replica };
            self.agenda.plan(at, reconnect, &mut self.fabric.queue);
        }
    }

    fn reconnect(&mut self, client: usize, replica: NodeId) {
        if self.is_alive(replica) {
            self.clients[client].reconnect(self.fabric.now, replica);
            self.mark_client(client);
        }
    }
}

const fn seen<'a, P: Protocol>(nodes: &'a [Node<P>], clients: &'a [Client]) -> Seen<'a, P> {
    Seen { nodes, clients }
}

pub(super) fn index(replica: NodeId) -> usize {
    usize::from(replica.0)
}

//! Faults: what is planned, what lasts, and what each does to the world.
//!
//! A fault that is triggered by progress, or concerns whoever leads while nobody does, is looked at after
//! every instant.

use std::collections::BTreeMap;

use super::client::Client;
use super::fabric::Fabric;
use super::network::node;
use super::queue::{Kind, Queue, Source};
use super::world::World;
use crate::deployment::{Aim, Deployment, Harm, Leader, Scheduled, Struck, Trigger};
use crate::protocol::{Input, Protocol};
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// A fault that lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active {
    number: u64,
    pub(super) harm: Harm,
    /// Its place among those that struck, if it was in the schedule.
    struck: Option<usize>,
}

/// Something planned for the world.
#[derive(Clone, Copy, Debug)]
pub(super) enum Planned {
    /// Everybody starts.
    Begin,
    /// The fault of this place in the schedule is due.
    Fault(usize),
    /// The fault of this number ends.
    Heal(u64),
    /// A client has a new connection to a replica that was started again.
    Reconnect { client: usize, replica: NodeId },
}

/// What is planned, and what lasts.
#[derive(Debug)]
pub(super) struct Agenda {
    schedule: Vec<Scheduled>,
    aim: Aim,
    planned: BTreeMap<(Time, u64), Planned>,
    /// Faults of the schedule that wait for progress, or for a leader.
    watched: Vec<usize>,
    active: Vec<Active>,
    struck: Vec<Struck>,
    strike_count: u64,
}

impl Agenda {
    pub(super) fn new(deployment: &Deployment) -> Self {
        Self {
            schedule: deployment.faults.clone(),
            aim: deployment.aim(),
            planned: BTreeMap::new(),
            watched: Vec::new(),
            active: Vec::new(),
            struck: Vec::new(),
            strike_count: 0,
        }
    }

    pub(super) fn plan(&mut self, at: Time, planned: Planned, queue: &mut Queue) {
        let sequence = queue.sequence();
        self.planned.insert((at, sequence), planned);
        queue.push(at, Source { kind: Kind::Agenda, index: 0 });
    }

    pub(super) fn plan_faults(&mut self, from: Time, queue: &mut Queue) {
        for fault in 0..self.schedule.len() {
            match self.schedule[fault].trigger {
                Trigger::At(after) => self.plan(from + after, Planned::Fault(fault), queue),
                Trigger::AfterWrites(_) => self.watched.push(fault),
            }
        }
    }

    /// Whether nothing is planned any more.
    pub(super) fn is_empty(&self) -> bool {
        self.planned.is_empty()
    }

    /// Whether a fault waits for something else than an instant.
    pub(super) const fn is_watching(&self) -> bool {
        !self.watched.is_empty()
    }

    /// The faults of the schedule that struck.
    pub(super) fn into_struck(self) -> Vec<Struck> {
        self.struck
    }

    fn pop_due(&mut self, now: Time) -> Option<Planned> {
        let entry = self.planned.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// A fault is over.
    fn end(&mut self, active: &Active, now: Time) {
        if let Some(place) = active.struck {
            self.struck[place].ended_at = Some(now);
        }
    }
}

impl<P: Protocol> World<P> {
    /// Does what is planned for now.
    pub(super) fn follow_agenda(&mut self) {
        while let Some(planned) = self.agenda.pop_due(self.fabric.now) {
            match planned {
                Planned::Begin => self.begin(),
                Planned::Fault(fault) => {
                    if !self.strike_those_meant(fault) {
                        self.agenda.watched.push(fault);
                    }
                }
                Planned::Heal(number) => self.heal(|active| active.number == number),
                Planned::Reconnect { client, replica } => self.reconnect(client, replica),
            }
        }
    }

    /// Strikes with the faults that waited for what is so now; after the measured time with none.
    pub(super) fn watch(&mut self) {
        let mut watched = std::mem::take(&mut self.agenda.watched);
        if self.fabric.now >= self.schedule().measure_until {
            return;
        }
        let written = self.clients.iter().map(Client::measured_writes).sum::<u64>();
        watched.retain(|fault| {
            let is_due = match self.agenda.schedule[*fault].trigger {
                Trigger::At(_) => true,
                Trigger::AfterWrites(count) => written >= count,
            };
            !(is_due && self.strike_those_meant(*fault))
        });
        self.agenda.watched = watched;
    }

    /// A fault of the schedule begins now; false if nobody leads and it is about whoever does.
    fn strike_those_meant(&mut self, fault: usize) -> bool {
        let leader = self.leader();
        let Agenda { schedule, aim, .. } = &self.agenda;
        let Scheduled { harm, heals_after, .. } = &schedule[fault];
        let heals_after = *heals_after;
        let Some(harms) = aim.harms(harm, leader) else { return false };
        for harm in harms {
            self.strike(harm, heals_after, Some(fault));
        }
        true
    }

    /// Who leads: of those that say so, the one with the highest ballot.
    fn leader(&self) -> Option<Leader> {
        let nodes = self.nodes.iter().enumerate();
        let leading = nodes.filter_map(|(index, replica)| {
            let protocol = replica.protocol()?;
            let leader = Leader { id: node(index), announced: protocol.announced() };
            Some((protocol.leadership()?, leader))
        });
        leading.max().map(|(_, leader)| leader)
    }

    /// A fault begins now, that of this place in the schedule or one of nobody's.
    pub(super) fn strike(&mut self, harm: Harm, heals_after: Option<Span>, fault: Option<usize>) {
        let number = self.agenda.strike_count;
        self.agenda.strike_count += 1;
        let now = self.fabric.now;
        let counts = &mut self.fabric.counts;
        match harm {
            Harm::Crash { replica, unsynced } => {
                // One that is down already comes back when its first crash says so.
                if !self.nodes[index(replica)].crash(unsynced, &mut self.fabric) {
                    return;
                }
                let is_pause = |active: &mut Active| matches!(active.harm, Harm::Pause { replica: paused } if paused == replica);
                let pauses: Vec<Active> = self.agenda.active.extract_if(.., is_pause).collect();
                for pause in &pauses {
                    self.agenda.end(pause, now);
                }
            }
            Harm::Pause { replica } => {
                if !self.nodes[index(replica)].pause() {
                    return;
                }
                counts.pauses += 1;
            }
            Harm::Campaign { replica } => {
                if self.campaign(replica) {
                    let at = now;
                    let campaign = |fault| Struck { fault, harm, at, ended_at: Some(at) };
                    self.agenda.struck.extend(fault.map(campaign));
                }
                return;
            }
            Harm::Partition { .. } | Harm::Cut { .. } => counts.partitions += 1,
            Harm::Slow { .. }
            | Harm::Lose { .. }
            | Harm::Duplicate { .. }
            | Harm::Reorder { .. }
            | Harm::SlowDisk { .. } => counts.degradations += 1,
        }
        let struck = fault.map(|fault| {
            self.agenda.struck.push(Struck { fault, harm, at: now, ended_at: None });
            self.agenda.struck.len() - 1
        });
        self.agenda.active.push(Active { number, harm, struck });
        self.apply();
        if let Some(after) = heals_after {
            self.agenda.plan(now + after, Planned::Heal(number), &mut self.fabric.queue);
        }
    }

    /// Ends the faults of which `is_over` says so.
    fn heal(&mut self, is_over: impl Fn(&Active) -> bool) {
        let (over, last): (Vec<Active>, Vec<Active>) =
            self.agenda.active.drain(..).partition(is_over);
        self.agenda.active = last;
        self.apply();
        for active in over {
            self.agenda.end(&active, self.fabric.now);
            match active.harm {
                Harm::Crash { replica, .. } => self.restart(replica),
                Harm::Pause { replica } => self.resume(replica),
                _ => {}
            }
        }
    }

    /// Ends every fault that lasts, and forgets those that are planned.
    pub(super) fn heal_everything(&mut self) {
        let is_fault = |planned: &Planned| matches!(planned, Planned::Fault(_) | Planned::Heal(_));
        self.agenda.watched.clear();
        self.agenda.planned.retain(|_, planned| !is_fault(planned));
        self.heal(|_| true);
    }

    /// Makes links and disks what the faults that last make of them.
    fn apply(&mut self) {
        let Fabric { now, network, queue, .. } = &mut self.fabric;
        network.set_conditions(*now, &self.agenda.active, queue);
        for (number, replica) in self.nodes.iter_mut().enumerate() {
            let slow = self.agenda.active.iter().filter_map(|active| match active.harm {
                Harm::SlowDisk { replica, by } if replica == node(number) => Some(by),
                _ => None,
            });
            replica.set_slow_disk(slow.fold(Span::ZERO, |sum, by| sum + by));
        }
    }

    /// Tells a replica to lead; false if it is down.
    fn campaign(&mut self, replica: NodeId) -> bool {
        let is_told = self.nodes[index(replica)].arrive(self.fabric.now, Input::Campaign);
        if is_told {
            self.fabric.counts.campaigns += 1;
            if let Some(observer) = &mut self.fabric.observer {
                observer.campaigned(self.fabric.now, replica);
            }
            self.mark(index(replica));
        }
        is_told
    }

    fn resume(&mut self, replica: NodeId) {
        let is_pause = |active: &Active| matches!(active.harm, Harm::Pause { replica: paused } if paused == replica);
        if !self.agenda.active.iter().any(is_pause) {
            self.nodes[index(replica)].resume(&mut self.fabric);
            self.mark(index(replica));
        }
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

pub(super) fn index(replica: NodeId) -> usize {
    usize::from(replica.0)
}

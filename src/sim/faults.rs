//! Faults: what is planned, what lasts, and what each does to the world.

use std::collections::BTreeMap;

use super::network::node;
use super::queue::{Kind, Queue, Source};
use super::world::World;
use crate::deployment::{Fault, Harm, Struck};
use crate::protocol::{Input, Protocol};
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// A fault that lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active {
    number: u64,
    pub(super) harm: Harm,
}

/// Something planned for the world.
#[derive(Clone, Copy, Debug)]
pub(super) enum Planned {
    /// Everybody starts.
    Begin,
    Strike {
        harm: Harm,
        heals_after: Option<Span>,
    },
    /// The fault of this number ends.
    Heal(u64),
    /// A client has a new connection to a replica that was started again.
    Reconnect {
        client: usize,
        replica: NodeId,
    },
}

/// What is planned, and what lasts.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    planned: BTreeMap<(Time, u64), Planned>,
    active: Vec<Active>,
    struck_count: u64,
    /// What struck, in its order.
    pub(super) struck: Vec<Struck>,
}

impl Agenda {
    pub(super) fn plan(&mut self, at: Time, planned: Planned, queue: &mut Queue) {
        let sequence = queue.sequence();
        self.planned.insert((at, sequence), planned);
        queue.push(at, Source { kind: Kind::Agenda, index: 0 });
    }

    pub(super) fn plan_faults(&mut self, from: Time, faults: &[Fault], queue: &mut Queue) {
        for Fault { at, harm, heals_after } in faults {
            let strike = Planned::Strike { harm: *harm, heals_after: *heals_after };
            self.plan(from + *at, strike, queue);
        }
    }

    fn note_struck(&mut self, number: u64, harm: Harm, at: Time, ended_at: Option<Time>) {
        let fault = usize::try_from(number).expect("there are few faults");
        self.struck.push(Struck { fault, harm, at, ended_at });
    }

    fn note_ended(&mut self, number: u64, now: Time) {
        let struck = self.struck.iter_mut().find(|struck| struck.fault as u64 == number);
        if let Some(struck) = struck {
            struck.ended_at = Some(now);
        }
    }

    /// Whether nothing is planned any more.
    pub(super) fn is_empty(&self) -> bool {
        self.planned.is_empty()
    }

    fn pop_due(&mut self, now: Time) -> Option<Planned> {
        let entry = self.planned.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

impl<P: Protocol> World<P> {
    /// Does what is planned for now.
    pub(super) fn follow_agenda(&mut self) {
        while let Some(planned) = self.agenda.pop_due(self.fabric.now) {
            match planned {
                Planned::Begin => self.begin(),
                Planned::Strike { harm, heals_after } => self.strike(harm, heals_after),
                Planned::Heal(number) => self.heal(|active| active.number == number),
                Planned::Reconnect { client, replica } => self.reconnect(client, replica),
            }
        }
    }

    /// A fault begins now.
    pub(super) fn strike(&mut self, harm: Harm, heals_after: Option<Span>) {
        let number = self.agenda.struck_count;
        self.agenda.struck_count += 1;
        let counts = &mut self.fabric.counts;
        match harm {
            Harm::Crash { replica, unsynced } => {
                // One that is down already comes back when its first crash says so.
                if !self.nodes[index(replica)].crash(unsynced, &mut self.fabric) {
                    return;
                }
                let is_pause = |harm: &Harm| matches!(harm, Harm::Pause { replica: paused } if *paused == replica);
                self.agenda.active.retain(|active| !is_pause(&active.harm));
            }
            Harm::Pause { replica } => {
                if !self.nodes[index(replica)].pause() {
                    return;
                }
                counts.pauses += 1;
            }
            Harm::Campaign { replica } => {
                let ended_at = Some(self.fabric.now);
                self.agenda.note_struck(number, harm, self.fabric.now, ended_at);
                self.campaign(replica);
                return;
            }
            Harm::Partition { .. } | Harm::Cut { .. } => counts.partitions += 1,
            Harm::Slow { .. }
            | Harm::Lose { .. }
            | Harm::Duplicate { .. }
            | Harm::Reorder { .. }
            | Harm::SlowDisk { .. } => counts.degradations += 1,
        }
        self.agenda.note_struck(number, harm, self.fabric.now, None);
        self.agenda.active.push(Active { number, harm });
        self.apply();
        if let Some(after) = heals_after {
            let at = self.fabric.now + after;
            self.agenda.plan(at, Planned::Heal(number), &mut self.fabric.queue);
        }
    }

    /// Ends the faults of which `is_over` says so.
    fn heal(&mut self, is_over: impl Fn(&Active) -> bool) {
        let (over, last): (Vec<Active>, Vec<Active>) =
            self.agenda.active.drain(..).partition(is_over);
        self.agenda.active = last;
        self.apply();
        for active in over {
            self.agenda.note_ended(active.number, self.fabric.now);
            match active.harm {
                Harm::Crash { replica, .. } => self.restart(replica),
                Harm::Pause { replica } => self.resume(replica),
                _ => {}
            }
        }
    }

    /// Ends every fault that lasts, and forgets those that are planned.
    pub(super) fn heal_everything(&mut self) {
        let is_fault =
            |planned: &Planned| matches!(planned, Planned::Strike { .. } | Planned::Heal(_));
        self.agenda.planned.retain(|_, planned| !is_fault(planned));
        self.heal(|_| true);
    }

    /// Makes links and disks what the faults that last make of them.
    fn apply(&mut self) {
        self.fabric.network.set_conditions(&self.agenda.active);
        for (number, replica) in self.nodes.iter_mut().enumerate() {
            let slow = self.agenda.active.iter().filter_map(|active| match active.harm {
                Harm::SlowDisk { replica, by } if replica == node(number) => Some(by),
                _ => None,
            });
            replica.set_slow_disk(slow.fold(Span::ZERO, |sum, by| sum + by));
        }
    }

    fn campaign(&mut self, replica: NodeId) {
        if self.nodes[index(replica)].arrive(self.fabric.now, Input::Campaign) {
            self.fabric.counts.campaigns += 1;
            if let Some(observer) = &mut self.fabric.observer {
                observer.campaigned(self.fabric.now, replica);
            }
            self.mark(index(replica));
        }
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

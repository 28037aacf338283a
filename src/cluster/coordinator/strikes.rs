//! Faults of a live trial: members are killed, paused and started again, and told what else they suffer.
//!
//! What is done to links and disks every member does to itself: it is told all that lasts, whenever that
//! changes.
//! The instant of a fault is that at which the coordinator signals, or says it; members on one host hear
//! it some tens of microseconds later.
//! How much was written, and who leads, is what members said last.

use super::Coordinator;
use crate::cluster::error::Error;
use crate::cluster::member::Presence;
use crate::cluster::wire::{Status, ToAgent};
use crate::deployment::{Aim, Deployment, Harm, Leader, MemberName, Struck, Trigger};
use crate::quorum::NodeId;
use crate::runtime::clock;
use crate::time::{Span, Time};

/// The faults of a trial, as they come about.
#[derive(Debug)]
pub(super) struct Faults {
    aim: Aim,
    /// Those of the schedule that have not struck, by their places in it.
    pending: Vec<usize>,
    active: Vec<Active>,
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug)]
struct Active {
    harm: Harm,
    /// Its place among those that struck.
    struck: usize,
    heals_at: Option<Time>,
}

impl Faults {
    pub(super) fn of(deployment: &Deployment) -> Self {
        let pending = (0..deployment.faults.len()).collect();
        Self { aim: deployment.aim(), pending, active: Vec::new() }
    }

    /// What members are to suffer now.
    pub(super) fn lasting(&self) -> Vec<Harm> {
        self.active.iter().map(|active| active.harm).filter(is_suffered).collect()
    }

    /// Whether none is to come, and none that lasts is to end.
    pub(super) fn are_over(&self) -> bool {
        self.pending.is_empty() && self.active.iter().all(|active| active.heals_at.is_none())
    }

    fn is_paused(&self, replica: NodeId) -> bool {
        let is_pause = |active: &Active| active.harm == Harm::Pause { replica };
        self.active.iter().any(is_pause)
    }
}

/// Whether a member does it to itself, and is told.
const fn is_suffered(harm: &Harm) -> bool {
    harm.is_of_links() || matches!(harm, Harm::SlowDisk { .. })
}

impl Coordinator<'_> {
    /// Begins and ends the faults that are due.
    pub(super) async fn strike(&mut self) -> Result<(), Error> {
        let Some(schedule) = self.schedule else { return Ok(()) };
        let now = clock::now();
        let faults = &self.deployment.faults;
        for fault in std::mem::take(&mut self.faults.pending) {
            let is_due = match faults[fault].trigger {
                Trigger::At(after) => schedule.measure_from + after <= now,
                Trigger::AfterWrites(count) => self.measured_writes() >= count,
            };
            let harms = is_due.then(|| self.faults.aim.harms(&faults[fault].harm, self.leader()));
            match harms.flatten() {
                Some(harms) => {
                    for harm in harms {
                        self.begin(fault, harm, faults[fault].heals_after).await;
                    }
                }
                None if now < schedule.measure_until => self.faults.pending.push(fault),
                // Nobody wrote so much, or nobody led: it never strikes.
                None => {}
            }
        }
        let is_over = |active: &mut Active| active.heals_at.is_some_and(|at| at <= now);
        let over: Vec<Active> = self.faults.active.extract_if(.., is_over).collect();
        self.end(&over).await
    }

    /// When the next fault begins or ends, of those of which that is known.
    pub(super) fn next_strike(&self) -> Option<Time> {
        let from = self.schedule?.measure_from;
        let begin = self.faults.pending.iter().filter_map(|fault| {
            match self.deployment.faults[*fault].trigger {
                // One that is due already waits for somebody to lead.
                Trigger::At(after) => Some(from + after).filter(|at| *at > clock::now()),
                Trigger::AfterWrites(_) => None,
            }
        });
        begin.chain(self.faults.active.iter().filter_map(|active| active.heals_at)).min()
    }

    /// Ends what lasts to the end, before replicas hand over what they have; who is down stays so.
    ///
    /// Clients end first: what they would be answered from now on is no part of the trial.
    pub(super) async fn relieve(&mut self) -> Result<(), Error> {
        self.faults.pending.clear();
        let is_crash = |active: &Active| matches!(active.harm, Harm::Crash { .. });
        if self.faults.active.iter().all(is_crash) {
            return Ok(());
        }
        let clients = self.expected(|_| true);
        let clients: Vec<MemberName> =
            clients.into_iter().filter(|name| matches!(name, MemberName::Client(_))).collect();
        for name in &clients {
            self.tell(*name, &ToAgent::Finish).await;
        }
        let deadline = clock::now() + self.timeouts.collect;
        let has_ended = |all: &Self, name: &MemberName| {
            all.has_handed_over(*name) || !all.members[name].is_expected()
        };
        self.until(deadline, |all| clients.iter().all(|name| has_ended(all, name))).await?;
        for active in std::mem::take(&mut self.faults.active) {
            if let Harm::Pause { replica } = active.harm {
                self.launcher.resume(MemberName::Replica(replica));
            }
        }
        self.tell_all(&ToAgent::Suffer(Vec::new())).await;
        Ok(())
    }

    /// One harm of a fault begins, unless it cannot.
    async fn begin(&mut self, fault: usize, harm: Harm, heals_after: Option<Span>) {
        let at = clock::now();
        let has_begun = match harm {
            // One that is down already comes back when its first crash says so.
            Harm::Crash { replica, .. } => self.kill(replica),
            Harm::Pause { replica } => {
                let name = MemberName::Replica(replica);
                self.is_up(name) && self.launcher.pause(name)
            }
            Harm::Campaign { replica } => {
                let name = MemberName::Replica(replica);
                if self.is_up(name) {
                    self.tell(name, &ToAgent::Campaign).await;
                    self.outcome.struck.push(Struck { fault, harm, at, ended_at: Some(at) });
                }
                return;
            }
            _ => true,
        };
        if !has_begun {
            return;
        }
        let struck = self.outcome.struck.len();
        self.outcome.struck.push(Struck { fault, harm, at, ended_at: None });
        let heals_at = heals_after.map(|after| at + after);
        self.faults.active.push(Active { harm, struck, heals_at });
        if is_suffered(&harm) {
            self.tell_all(&ToAgent::Suffer(self.faults.lasting())).await;
        }
    }

    /// These are over, and are active no more.
    async fn end(&mut self, over: &[Active]) -> Result<(), Error> {
        for active in over {
            self.outcome.struck[active.struck].ended_at = Some(clock::now());
            match active.harm {
                Harm::Crash { replica, .. } => {
                    let name = MemberName::Replica(replica);
                    if let Some(member) = self.members.get_mut(&name) {
                        member.turn(Presence::Returning);
                    }
                    self.launch(name)?;
                }
                Harm::Pause { replica } if !self.faults.is_paused(replica) => {
                    self.launcher.resume(MemberName::Replica(replica));
                }
                _ => {}
            }
        }
        if over.iter().any(|active| is_suffered(&active.harm)) {
            self.tell_all(&ToAgent::Suffer(self.faults.lasting())).await;
        }
        Ok(())
    }

    /// Kills a replica; false if it is down. What it was paused by ends with it.
    fn kill(&mut self, replica: NodeId) -> bool {
        let name = MemberName::Replica(replica);
        if !self.is_up(name) {
            return false;
        }
        if let Some(member) = self.members.get_mut(&name) {
            member.turn(Presence::Down);
            (member.session, member.send) = (None, None);
            member.status = Status::default();
        }
        let at = clock::now();
        self.launcher.kill(name);
        let is_pause = |active: &mut Active| active.harm == Harm::Pause { replica };
        for pause in self.faults.active.extract_if(.., is_pause) {
            self.outcome.struck[pause.struck].ended_at = Some(at);
        }
        true
    }

    /// Whether a member is there, or on its way.
    fn is_up(&self, name: MemberName) -> bool {
        let member = self.members.get(&name);
        member.is_some_and(|member| !matches!(member.presence, Presence::Down | Presence::Lost))
    }

    /// Writes answered since the measurement began, as clients said last.
    fn measured_writes(&self) -> u64 {
        self.members.values().map(|member| member.status.measured_writes).sum()
    }

    /// Who leads: of those that said so last, the one with the highest ballot.
    fn leader(&self) -> Option<Leader> {
        let leading = self.members.iter().filter_map(|(name, member)| match name {
            MemberName::Replica(id) => {
                let Status { leadership, announced, .. } = member.status;
                Some((leadership?, Leader { id: *id, announced }))
            }
            MemberName::Client(_) => None,
        });
        leading.max().map(|(_, leader)| leader)
    }
}

//! Faults of a live trial, as an [`Injector`] orders them: members are killed, paused and started again,
//! and told which faults of links and disks are active.
//!
//! Faults of links and disks every member applies to itself: it is told all that are active, whenever that
//! changes.
//! The instant of a fault is that at which the coordinator signals, or says it; members on one host hear
//! it some tens of microseconds later.
//! How much was written, and who leads, is what members said last.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::cluster::error::Error;
use crate::cluster::member::{Member, Presence};
use crate::cluster::wire::{Status, ToAgent};
use crate::deployment::{FaultKind, Leader, MemberName, Members, Order, is_disk_full};
use crate::quorum::NodeId;
use crate::runtime::clock;

/// Whether a member applies it to itself, and is told.
const fn is_told(kind: &FaultKind) -> bool {
    let is_of_disk = matches!(kind, FaultKind::SlowDisk { .. } | FaultKind::FullDisk { .. });
    kind.is_of_links() || is_of_disk
}

/// What members said last.
struct Said<'a> {
    members: &'a BTreeMap<MemberName, Member>,
    /// Whether replicas execute slots in order.
    has_slots: bool,
}

impl Members for Said<'_> {
    fn written(&self) -> u64 {
        self.members.values().map(|member| member.status.measured_writes).sum()
    }

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

    fn is_lost(&self, replica: NodeId) -> bool {
        let member = self.members.get(&MemberName::Replica(replica));
        member.is_none_or(|member| member.presence == Presence::Lost)
    }

    fn executed(&self, replica: NodeId) -> Option<u64> {
        let member = self.members.get(&MemberName::Replica(replica)).filter(|_| self.has_slots)?;
        member.session.map(|_| member.status.executed_below)
    }

    fn furthest(&self) -> Option<u64> {
        let replicas = self.members.keys().filter_map(|name| match name {
            MemberName::Replica(id) => self.executed(*id),
            MemberName::Client(_) => None,
        });
        replicas.max()
    }
}

impl Coordinator<'_> {
    /// Begins and ends the faults that are due.
    pub(super) async fn follow_faults(&mut self) -> Result<(), Error> {
        while let Some(order) = self.next_order() {
            self.carry_out(order).await?;
        }
        if self.faults.is_catching_up() {
            let said = Said { members: &self.members, has_slots: self.has_slots() };
            self.faults.note_progress(clock::now(), &said);
        }
        Ok(())
    }

    fn next_order(&mut self) -> Option<Order> {
        let has_slots = self.has_slots();
        let (now, said) = (clock::now(), Said { members: &self.members, has_slots });
        let due = self.faults.next_due(now, &said);
        due.or_else(|| self.faults.next_awaited(now, &said))
    }

    /// The active faults that members apply to themselves.
    pub(super) fn told(&self) -> Vec<FaultKind> {
        self.faults.active().copied().filter(is_told).collect()
    }

    /// Ends what lasts to the end, before replicas hand over what they have; who is down stays so.
    ///
    /// Clients end first: what they would be answered from now on is no part of the trial.
    pub(super) async fn relieve(&mut self) -> Result<(), Error> {
        self.faults.cancel();
        if self.faults.active().all(|kind| kind.stopped().is_some()) {
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
        for kind in self.faults.abandon() {
            if let FaultKind::Pause { replica } = kind {
                self.launcher.resume(MemberName::Replica(replica));
            }
        }
        self.tell_all(&ToAgent::Faults(Vec::new())).await;
        Ok(())
    }

    async fn carry_out(&mut self, order: Order) -> Result<(), Error> {
        let (Order::Begin { kind, .. } | Order::End(kind)) = order;
        let is_begin = matches!(order, Order::Begin { .. });
        match kind {
            FaultKind::Crash { replica, .. } if is_begin => self.kill(MemberName::Replica(replica)),
            FaultKind::Crash { replica, .. } => self.bring_back(MemberName::Replica(replica))?,
            FaultKind::Pause { replica } if is_begin => {
                self.launcher.pause(MemberName::Replica(replica));
            }
            FaultKind::Pause { replica } => self.launcher.resume(MemberName::Replica(replica)),
            FaultKind::FullDisk { replica } if !is_begin => {
                self.tell_all(&ToAgent::Faults(self.told())).await;
                let name = MemberName::Replica(replica);
                // One that needed no room in this time never stopped.
                if self.members.get(&name).is_some_and(|member| member.presence == Presence::Down) {
                    self.bring_back(name)?;
                }
            }
            FaultKind::Campaign { replica } => {
                self.tell(MemberName::Replica(replica), &ToAgent::Campaign).await;
            }
            _ => self.tell_all(&ToAgent::Faults(self.told())).await,
        }
        Ok(())
    }

    /// Whether a fault of the schedule fills the disk of this member, or did.
    pub(super) fn is_filled(&self, name: MemberName) -> bool {
        let MemberName::Replica(id) = name else { return false };
        is_disk_full(self.faults.records().iter().map(|injected| &injected.kind), id)
    }

    /// A replica has stopped because a fault of the schedule filled its disk; it comes back when there is room.
    pub(super) fn stop_filled(&mut self, name: MemberName) -> Result<(), Error> {
        self.kill(name);
        let MemberName::Replica(id) = name else { return Ok(()) };
        // It may have needed room just before there was some again, and have noticed after that.
        if is_disk_full(self.faults.active(), id) { Ok(()) } else { self.bring_back(name) }
    }

    fn bring_back(&mut self, name: MemberName) -> Result<(), Error> {
        if let Some(member) = self.members.get_mut(&name) {
            member.turn(Presence::Returning);
        }
        self.launch(name)
    }

    fn kill(&mut self, name: MemberName) {
        if let Some(member) = self.members.get_mut(&name) {
            member.turn(Presence::Down);
            (member.session, member.send) = (None, None);
            member.status = Status::default();
        }
        self.launcher.kill(name);
    }
}

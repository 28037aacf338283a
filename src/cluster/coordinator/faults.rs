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
use crate::deployment::{FaultKind, Leader, MemberName, Members, Order};
use crate::quorum::NodeId;
use crate::runtime::clock;

/// Whether a member applies it to itself, and is told.
const fn is_told(kind: &FaultKind) -> bool {
    kind.is_of_links() || matches!(kind, FaultKind::SlowDisk { .. })
}

/// What members said last.
struct Said<'a>(&'a BTreeMap<MemberName, Member>);

impl Members for Said<'_> {
    fn written(&self) -> u64 {
        self.0.values().map(|member| member.status.measured_writes).sum()
    }

    fn leader(&self) -> Option<Leader> {
        let leading = self.0.iter().filter_map(|(name, member)| match name {
            MemberName::Replica(id) => {
                let Status { leadership, announced, .. } = member.status;
                Some((leadership?, Leader { id: *id, announced }))
            }
            MemberName::Client(_) => None,
        });
        leading.max().map(|(_, leader)| leader)
    }

    fn is_lost(&self, replica: NodeId) -> bool {
        let member = self.0.get(&MemberName::Replica(replica));
        member.is_none_or(|member| member.presence == Presence::Lost)
    }
}

impl Coordinator<'_> {
    /// Begins and ends the faults that are due.
    pub(super) async fn follow_faults(&mut self) -> Result<(), Error> {
        while let Some(order) = self.next_order() {
            self.carry_out(order).await?;
        }
        Ok(())
    }

    fn next_order(&mut self) -> Option<Order> {
        let (now, said) = (clock::now(), Said(&self.members));
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
        if self.faults.active().all(|kind| matches!(kind, FaultKind::Crash { .. })) {
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
            FaultKind::Crash { replica, .. } => {
                let name = MemberName::Replica(replica);
                if let Some(member) = self.members.get_mut(&name) {
                    member.turn(Presence::Returning);
                }
                self.launch(name)?;
            }
            FaultKind::Pause { replica } if is_begin => {
                self.launcher.pause(MemberName::Replica(replica));
            }
            FaultKind::Pause { replica } => self.launcher.resume(MemberName::Replica(replica)),
            FaultKind::Campaign { replica } => {
                self.tell(MemberName::Replica(replica), &ToAgent::Campaign).await;
            }
            _ => self.tell_all(&ToAgent::Faults(self.told())).await,
        }
        Ok(())
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

//! Faults of a live trial: a process is killed, and started again.

use super::Coordinator;
use crate::cluster::error::Error;
use crate::cluster::member::Presence;
use crate::cluster::wire::Status;
use crate::deployment::{Fault, Harm, MemberName, Struck};
use crate::quorum::NodeId;
use crate::runtime::clock;
use crate::time::Time;

/// One half of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Strike {
    /// With the number of its fault.
    Kill(usize, NodeId),
    Restart(usize, NodeId),
}

impl Coordinator<'_> {
    /// Says when each fault strikes, in a trial that is measured from this instant.
    pub(super) fn schedule_strikes(&mut self, measure_from: Time) {
        for (fault, Fault { at, harm, heals_after }) in self.deployment.faults.iter().enumerate() {
            // `new` refused what cannot be done to processes.
            let Harm::Crash { replica, .. } = harm else { continue };
            let killed_at = measure_from + *at;
            self.faults.push((killed_at, Strike::Kill(fault, *replica)));
            let restart = Strike::Restart(fault, *replica);
            let restart = heals_after.map(|after| (killed_at + after, restart));
            self.faults.extend(restart);
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// Carries out the faults that are due.
    pub(super) fn strike(&mut self) -> Result<(), Error> {
        while self.faults.first().is_some_and(|(at, _)| *at <= clock::now()) {
            match self.faults.remove(0).1 {
                Strike::Kill(fault, replica) => {
                    let name = MemberName::Replica(replica);
                    let harm = self.deployment.faults[fault].harm;
                    let struck = Struck { fault, harm, at: clock::now(), ended_at: None };
                    self.outcome.struck.push(struck);
                    if let Some(member) = self.members.get_mut(&name) {
                        member.turn(Presence::Down);
                        (member.session, member.send) = (None, None);
                        member.status = Status::default();
                    }
                    self.launcher.kill(name);
                }
                Strike::Restart(fault, replica) => {
                    let name = MemberName::Replica(replica);
                    let of_it = |struck: &&mut Struck| struck.fault == fault;
                    if let Some(struck) = self.outcome.struck.iter_mut().find(of_it) {
                        struck.ended_at = Some(clock::now());
                    }
                    if let Some(member) = self.members.get_mut(&name) {
                        member.turn(Presence::Returning);
                    }
                    self.launch(name)?;
                }
            }
        }
        Ok(())
    }
}

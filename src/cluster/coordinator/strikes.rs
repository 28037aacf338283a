//! Faults of a live trial: a process is killed, and started again.

use super::Coordinator;
use crate::cluster::error::Error;
use crate::cluster::member::Presence;
use crate::cluster::wire::Status;
use crate::deployment::{Fault, Harm, MemberName};
use crate::runtime::clock;
use crate::time::Time;

/// One half of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Strike {
    Kill(MemberName),
    Restart(MemberName),
}

impl Coordinator<'_> {
    /// Says when each fault strikes, in a trial that is measured from this instant.
    pub(super) fn schedule_strikes(&mut self, measure_from: Time) {
        for Fault { at, harm, heals_after } in &self.deployment.faults {
            // `new` refused what cannot be done to processes.
            let Harm::Crash { replica, .. } = harm else { continue };
            let member = MemberName::Replica(*replica);
            let killed_at = measure_from + *at;
            self.faults.push((killed_at, Strike::Kill(member)));
            let restart = heals_after.map(|after| (killed_at + after, Strike::Restart(member)));
            self.faults.extend(restart);
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// Carries out the faults that are due.
    pub(super) fn strike(&mut self) -> Result<(), Error> {
        while self.faults.first().is_some_and(|(at, _)| *at <= clock::now()) {
            match self.faults.remove(0).1 {
                Strike::Kill(name) => {
                    if let Some(member) = self.members.get_mut(&name) {
                        member.turn(Presence::Down);
                        (member.session, member.send) = (None, None);
                        member.status = Status::default();
                    }
                    self.launcher.kill(name);
                }
                Strike::Restart(name) => {
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

//! Hosts that are lost, and what that means for a trial: its end, or, for an expendable host, that it goes on.

use super::Coordinator;
use crate::cluster::error::Error;
use crate::deployment::MemberName;
use crate::runtime::clock;
use crate::time::Span;

/// Beyond the time in which a host is silent, it is declared lost by then.
const VERDICT_MAX: Span = Span::from_millis(1_000);

impl Coordinator<'_> {
    /// Waits until it is known whether the expendable hosts of lost members are lost too: the connection of a
    /// member may tell of it a little before that of its host does.
    pub(super) async fn await_hosts(&mut self) -> Result<(), Error> {
        let is_open = |all: &Self, name: &MemberName| {
            all.launcher.is_expendable(*name) && !all.outcome.expended.contains(name)
        };
        let are_known = |all: &Self| !all.outcome.lost.keys().any(|name| is_open(all, name));
        let deadline = clock::now() + self.launcher.silence() + VERDICT_MAX;
        self.until(deadline, are_known).await?;
        Ok(())
    }

    /// Loses all members of a host that is lost, whatever they were to do.
    pub(super) fn note_lost_hosts(&mut self) {
        for name in self.members.keys().copied().collect::<Vec<_>>() {
            let Some(reason) = self.launcher.host_lost(name) else { continue };
            if self.has_handed_over(name) {
                continue;
            }
            if self.launcher.is_expendable(name) {
                self.outcome.expended.insert(name);
            } else {
                self.lost_host.get_or_insert_with(|| reason.clone());
            }
            // The end of its own connection may be the cause known so far.
            self.outcome.lost.insert(name, reason.clone());
            self.lose(name, &reason);
        }
    }

    /// The first member that was lost, but for those on expendable hosts.
    pub(super) fn unexpected_loss(&self) -> Option<(&MemberName, &String)> {
        self.outcome.lost.iter().find(|(name, _)| !self.launcher.is_expendable(**name))
    }
}

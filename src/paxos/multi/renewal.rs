//! A leader that runs phase 1 again, above a ballot that stands in its way or for a better quorum.
//!
//! Two things make a leader slow, or stop it, although its ballot is good and nobody else leads:
//!
//! - An acceptor promised a candidate that came to nothing. It refuses this leader for ever, for a promise
//!   is never taken back; only a ballot above that promise gets its votes again.
//! - The phase-2 quorum that its ballot announced has a member that does not vote, or is not the
//!   nearest any more of those who do. A ballot keeps its quorum; only another ballot has another one.
//!
//! So a leader renews its leadership: it asks who would promise a higher ballot (a pre-vote, as in
//! `election.rs`), leads on meanwhile, and campaigns when those are enough to end phase 1.
//! A leader that still has a phase-2 quorum, where no phase-1 quorum is up, thus loses nothing.
//! Phase 1 pauses writes for one round trip to its quorum; what is in flight is proposed again.
//!
//! # Rivals
//!
//! A refusal may come of a candidate that is alive and about to lead.
//! So a leader waits for a time-out after a refusal, and a random time as long again; a candidate that
//! succeeds is heard of meanwhile, and the leader gives up.
//! One that does not succeed loses its promises to the renewed ballot, and campaigns again by command or
//! by election only, where a pre-vote keeps it from deposing a leader that others hear.
//! Two leaders that hear each other do not renew in turns for ever: phase-1 quorums meet phase-2 quorums, so
//! only one of them has a phase-2 quorum, and what it proposes or announces tells the other.
//! Two that were both told to lead and do not hear each other may; an election leaves only one.

use super::{Multi, State};
use crate::paxos::Effects;
use crate::paxos::replica::{Proposer, Replica, TimerKind};
use crate::quorum::NodeSet;
use crate::time::Time;

impl Replica {
    /// Whether another ballot would get votes that this one does not get.
    pub(in crate::paxos) fn needs_renewal(&self) -> bool {
        let Proposer::Multi(Multi { state, .. }) = &self.proposer else { return false };
        let State::Leading { quorum, refused_by, .. } = state else { return false };
        let well = self.well();
        // Where too few are left to choose from, those who grant another ballot are asked for their votes.
        let is_worse = |announced| self.best_quorum(well).is_none_or(|best| best != announced);
        !refused_by.is_empty() || quorum.is_some_and(is_worse)
    }

    /// The phase-2 quorum that a ballot would announce, where each has its own, if enough acceptors vote.
    fn best_quorum(&self, well: NodeSet) -> Option<NodeSet> {
        self.config.announced_quorum(well).filter(|_| self.config.quorums.is_phase2(well))
    }

    /// Of a leader that asked who would promise another ballot: whether those who would are worth it.
    ///
    /// The first to answer may be enough for phase 1 and not be those whose votes are wanted.
    /// Where too few are known to vote, those who grant must be a phase-2 quorum, and another one than that
    /// of this ballot unless somebody refuses it: the same members would only have to begin again.
    pub(in crate::paxos) fn is_worth_renewal(&self, granted: NodeSet) -> bool {
        if !self.needs_renewal() {
            return false;
        }
        let best = self.best_quorum(self.well()).or_else(|| self.best_quorum(granted));
        let is_another = !self.refused_by().is_empty() || best != self.own_quorum();
        match best {
            Some(best) => best.is_subset(granted) && is_another,
            None => !self.config.quorums.announces(),
        }
    }

    /// Of a leader: whether a member of the phase-2 quorum of its ballot does not vote.
    fn is_held_up(&self) -> bool {
        self.own_quorum().is_some_and(|quorum| !quorum.is_subset(self.well()))
    }

    /// Something is news of who votes: a leader may do better with another ballot.
    ///
    /// One that waits for votes has waited for a time-out already, and asks at once.
    pub(in crate::paxos) fn review(&mut self, now: Time, effects: &mut Effects) {
        if !self.needs_renewal() {
            return;
        }
        let is_held_up = self.is_held_up();
        let State::Leading { renewal, is_renewal_armed, refused_by, .. } = &self.multi().state
        else {
            return;
        };
        let is_at_once = is_held_up && refused_by.is_empty() && renewal.is_none();
        if is_at_once {
            self.renew(now, effects);
        } else if !is_renewal_armed {
            self.arm_renewal(effects);
        }
    }

    fn arm_renewal(&mut self, effects: &mut Effects) {
        let after = self.config.timing.retransmit_after;
        if let State::Leading { is_renewal_armed, .. } = &mut self.multi().state {
            *is_renewal_armed = true;
            effects.set_timer(TimerKind::Renew.id(), after, after);
        }
    }

    /// Asks who would promise a higher ballot, and again after a time-out as long as that is needed.
    pub(in crate::paxos) fn renew(&mut self, now: Time, effects: &mut Effects) {
        if let State::Leading { renewal, is_renewal_armed, .. } = &mut self.multi().state {
            *is_renewal_armed = false;
            if let Some(granted) = renewal.take().map(|canvass| canvass.granted) {
                self.suspect_all_but(granted);
            }
        }
        if self.needs_renewal() {
            self.arm_renewal(effects);
            self.canvass(now, effects);
        }
    }
}

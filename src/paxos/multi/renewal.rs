//! A leader that runs phase 1 again, above a ballot that stands in its way or for a better quorum.
//!
//! Three things make a leader slow, or stop it, although its ballot is good and nobody else leads:
//!
//! - An acceptor promised a candidate that came to nothing. It refuses this leader for ever, for a promise
//!   is never taken back; only a ballot above that promise gets its votes again.
//! - The phase-2 quorum that its ballot announced has a member that does not vote, or is not the
//!   nearest any more of those who do. A ballot keeps its quorum; only another ballot has another one.
//! - A responder of its roster does not answer any more, or one outside of it answers again (`roster.rs`).
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
use crate::paxos::context::Context;
use crate::paxos::timer::TimerKind;
use crate::protocol::Config;
use crate::quorum::NodeSet;

impl Multi {
    /// Whether another ballot would get votes that this one does not get.
    fn needs_renewal(&self, config: &Config) -> bool {
        let Some(leading) = self.leading() else { return false };
        let well = self.well(config);
        // Where too few are left to choose from, those who grant another ballot are asked for their votes.
        let is_worse = |announced| best_quorum(config, well).is_none_or(|best| best != announced);
        !leading.refused_by.is_empty()
            || leading.quorum.is_some_and(is_worse)
            || self.needs_roster()
    }

    /// Of a leader that asked who would promise another ballot: whether those who would are worth it.
    ///
    /// The first to answer may be enough for phase 1 and not be those whose votes are wanted.
    /// Where too few are known to vote, those who grant must be a phase-2 quorum, and another one than that
    /// of this ballot unless somebody refuses it: the same members would only have to begin again.
    pub(super) fn is_worth_renewal(&self, config: &Config, granted: NodeSet) -> bool {
        if !self.needs_renewal(config) {
            return false;
        }
        let best = best_quorum(config, self.well(config)).or_else(|| best_quorum(config, granted));
        let is_refused = !self.refused_by().is_empty();
        let is_another = is_refused || best != self.own_quorum() || self.needs_roster();
        match best {
            Some(best) => best.is_subset(granted) && is_another,
            None => !config.quorums.announces(),
        }
    }

    /// Something is news of who votes: a leader may do better with another ballot.
    ///
    /// One that waits for the vote of a member of its announced quorum has waited for a time-out already,
    /// and asks at once.
    pub(super) fn review(&mut self, context: &mut Context<'_>) {
        let config = context.config;
        if !self.needs_renewal(config) {
            return;
        }
        let Some(leading) = self.leading() else { return };
        let is_held_up = leading.quorum.is_some_and(|quorum| !quorum.is_subset(self.well(config)));
        if is_held_up && leading.refused_by.is_empty() && leading.renewal.is_none() {
            self.renew(context);
        } else if !leading.is_renewal_armed {
            self.arm_renewal(context);
        }
    }

    fn arm_renewal(&mut self, context: &mut Context<'_>) {
        let after = context.config.timing.retransmit_after;
        if let State::Leading(leading) = &mut self.state {
            leading.is_renewal_armed = true;
            context.effects.set_timer(TimerKind::Renew.id(), after, after);
        }
    }

    /// Asks who would promise a higher ballot, and again after a time-out as long as that is needed.
    pub(super) fn renew(&mut self, context: &mut Context<'_>) {
        if let State::Leading(leading) = &mut self.state {
            leading.is_renewal_armed = false;
            if let Some(canvass) = leading.renewal.take() {
                self.health.suspect_all_but(canvass.granted, context.config);
            }
        }
        if self.needs_renewal(context.config) {
            self.arm_renewal(context);
            self.canvass(context);
        }
    }
}

/// The phase-2 quorum that a ballot would announce, where each has its own, if enough acceptors vote.
fn best_quorum(config: &Config, well: NodeSet) -> Option<NodeSet> {
    config.announced_quorum(well).filter(|_| config.quorums.is_phase2(well))
}

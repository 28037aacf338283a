//! Who votes: a leader judges acceptors by the votes that it asked them for, and by nothing else.
//!
//! A replica whose disk hangs sends heartbeats and acknowledgements like any other, and no vote.
//! So an acceptor is suspected when a vote of it is outstanding for a time-out in which it gave no other,
//! and the suspicion ends with a vote that comes within a time-out.
//! A thrifty leader passes over suspects, and a ballot that announces its phase-2 quorum announces one
//! without them.
//! A suspect would then be asked for nothing and stay one; so once in a time-out a proposal goes to the
//! suspects too, as a probe.
//! Late votes prove nothing: a disk that takes a second for each sync answers every probe late.
//! Only where those who are left are no phase-2 quorum does any vote end a suspicion: a leader that
//! suspected all of them, itself included, would otherwise never find a quorum to go on with.
//!
//! Where everybody is asked and any quorum decides, nobody waits for a particular acceptor, and nobody
//! is judged.

use super::State;
use crate::paxos::Effects;
use crate::paxos::config::SendPolicy;
use crate::paxos::replica::{Proposer, Replica};
use crate::protocol::Slot;
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// What a leader knows of who votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Health {
    /// Those whose votes are outstanding for too long, and those who did not answer when it campaigned.
    suspects: NodeSet,
    /// When each acceptor voted last, by its number; never, where the list ends before.
    voted_at: Vec<Time>,
    /// The last proposal that went to suspects as well, and when.
    probe: Option<(Slot, Time)>,
}

impl Health {
    /// Of those who have not voted for a proposal sent at `sent`, which is overdue: suspects those who have
    /// voted for nothing since.
    pub(super) fn suspect_late(&mut self, missing: NodeSet, sent: Time) {
        let has_voted = |node: NodeId| {
            let voted_at = self.voted_at.get(usize::from(node.0));
            voted_at.is_some_and(|voted_at| *voted_at > sent)
        };
        let late = missing.iter().filter(|node| !has_voted(*node));
        self.suspects = self.suspects.union(late.collect());
    }

    /// A vote for slots up to `last`: whether it ends a suspicion. `has_quorum` says whether those who are
    /// not suspected are enough for phase 2.
    fn hear(
        &mut self,
        now: Time,
        from: NodeId,
        last: Slot,
        timeout: Span,
        has_quorum: bool,
    ) -> bool {
        let place = usize::from(from.0);
        if self.voted_at.len() <= place && now > Time::ZERO {
            self.voted_at.resize(place + 1, Time::ZERO);
        }
        if let Some(voted_at) = self.voted_at.get_mut(place) {
            *voted_at = now;
        }
        let is_in_time = |(slot, sent): (Slot, Time)| slot <= last && now.since(sent) <= timeout;
        let is_proof = !has_quorum || self.probe.is_some_and(is_in_time);
        let is_cleared = self.suspects.contains(from) && is_proof;
        if is_cleared {
            self.suspects = self.suspects.without(from);
        }
        is_cleared
    }

    /// The suspects, if it is time to send them a proposal: the one for `slot`.
    fn probe(&mut self, now: Time, slot: Slot, timeout: Span) -> NodeSet {
        let is_pending = self.probe.is_some_and(|(_, sent)| now.since(sent) < timeout);
        if self.suspects.is_empty() || is_pending {
            return NodeSet::EMPTY;
        }
        self.probe = Some((slot, now));
        self.suspects
    }
}

impl Replica {
    /// Whether this proposer asks particular acceptors for their votes, so that it matters who votes.
    pub(super) fn judges_health(&self) -> bool {
        self.config.send == SendPolicy::Quorum || self.config.quorums.is_per_ballot()
    }

    /// Acceptors that may be expected to vote at the ballot that it leads with, or campaigns for.
    pub(in crate::paxos) fn well(&self) -> NodeSet {
        let suspects = match &self.proposer {
            Proposer::Multi(multi) => multi.health.suspects,
            Proposer::Classic(_) => NodeSet::EMPTY,
        };
        self.config.everybody().difference(suspects).difference(self.refused_by())
    }

    /// Begins a campaign: who led before goes on with what it knows, and what anybody else knows is out of
    /// date; to it, those who did not answer are suspects.
    pub(super) fn begin_health(&mut self, allies: NodeSet) {
        let multi = self.multi();
        // What was sent at an older ballot is no probe: votes for it are not looked at.
        multi.health.probe = None;
        if multi.state == State::Idle {
            multi.health = Health::default();
            self.suspect_all_but(allies);
        }
    }

    /// Those who did not answer are suspected until they vote.
    pub(in crate::paxos) fn suspect_all_but(&mut self, answered: NodeSet) {
        if self.judges_health() {
            let others = self.config.everybody().difference(answered);
            let health = &mut self.multi().health;
            health.suspects = health.suspects.union(others);
        }
    }

    /// The suspects that the proposal for `slot` goes to as well.
    pub(super) fn probed(&mut self, now: Time, slot: Slot) -> NodeSet {
        let timeout = self.config.timing.retransmit_after;
        self.multi().health.probe(now, slot, timeout)
    }

    /// An acceptor voted at the ballot that it leads with, in slots up to `last`.
    pub(super) fn note_vote(&mut self, now: Time, from: NodeId, last: Slot, effects: &mut Effects) {
        let timeout = self.config.timing.retransmit_after;
        if !self.judges_health() {
            return;
        }
        let has_quorum = self.config.quorums.is_phase2(self.well());
        if self.multi().health.hear(now, from, last, timeout, has_quorum) {
            self.review(now, effects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Span = Span::from_millis(100);
    const R1: NodeId = NodeId(1);

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    fn suspected() -> Health {
        let mut health = Health::default();
        health.suspect_late(NodeSet::only(R1), at(10));
        assert_eq!(health.suspects, NodeSet::only(R1));
        health
    }

    #[test]
    fn one_lost_message_makes_no_suspect_of_who_votes() {
        let mut health = Health::default();
        health.hear(at(50), R1, Slot(7), TIMEOUT, true);
        health.suspect_late(NodeSet::only(R1), at(49));
        assert_eq!(health.suspects, NodeSet::EMPTY);
        health.suspect_late(NodeSet::only(R1), at(50));
        assert_eq!(health.suspects, NodeSet::only(R1));
    }

    #[test]
    fn only_a_timely_vote_for_a_probe_ends_a_suspicion() {
        let mut health = suspected();
        // The vote that was outstanding comes at last, and then the one for a probe, too late.
        assert!(!health.hear(at(2_000), R1, Slot(3), TIMEOUT, true));
        assert_eq!(health.probe(at(2_001), Slot(9), TIMEOUT), NodeSet::only(R1));
        assert!(!health.hear(at(2_050), R1, Slot(8), TIMEOUT, true));
        assert!(!health.hear(at(2_102), R1, Slot(9), TIMEOUT, true));
        assert_eq!(health.probe(at(2_102), Slot(12), TIMEOUT), NodeSet::only(R1));
        assert!(health.hear(at(2_202), R1, Slot(12), TIMEOUT, true));
        assert_eq!(health.suspects, NodeSet::EMPTY);
    }

    #[test]
    fn any_vote_ends_a_suspicion_where_no_quorum_is_left() {
        let mut health = suspected();
        assert!(!health.hear(at(2_000), R1, Slot(3), TIMEOUT, true));
        assert!(health.hear(at(2_000), R1, Slot(3), TIMEOUT, false));
        assert_eq!(health.suspects, NodeSet::EMPTY);
    }

    #[test]
    fn suspects_are_probed_once_in_a_time_out() {
        let mut health = suspected();
        assert_eq!(health.probe(at(200), Slot(4), TIMEOUT), NodeSet::only(R1));
        assert_eq!(health.probe(at(299), Slot(5), TIMEOUT), NodeSet::EMPTY);
        assert_eq!(health.probe(at(300), Slot(6), TIMEOUT), NodeSet::only(R1));
        assert_eq!(Health::default().probe(at(200), Slot(4), TIMEOUT), NodeSet::EMPTY);
    }
}

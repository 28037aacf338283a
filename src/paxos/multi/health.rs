//! Who votes: a leader judges acceptors by the votes that it asked them for, and by nothing else.
//!
//! A replica whose disk hangs sends heartbeats and acknowledgements like any other, and no vote.
//! So an acceptor is suspected when a vote of it is outstanding for a time-out in which it gave no other,
//! and the suspicion ends with a vote that comes within a time-out.
//! Where every disk takes longer than that, nobody is slow: the leader waits for twice as long as the
//! fastest phase-2 quorum took that voted late.
//! Otherwise it would suspect each quorum in turn, and never see the votes of any.
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

use std::collections::BTreeMap;

use super::Multi;
use crate::paxos::context::Context;
use crate::protocol::{Config, SendPolicy, Slot};
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
    /// Of those who vote late, how long that took the last time, or since when they are waited for.
    late: BTreeMap<NodeId, Late>,
}

/// An acceptor that voted late, or still has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Late {
    Asked(Time),
    Took(Span),
}

impl Health {
    /// Those that are not expected to vote.
    pub(super) const fn suspects(&self) -> NodeSet {
        self.suspects
    }

    /// Of those who have not voted for a proposal sent last at `sent`, which is overdue, and the moments
    /// when each was asked: suspects those who have voted for nothing since.
    pub(super) fn suspect_late(
        &mut self,
        missing: impl Iterator<Item = (NodeId, Time)>,
        sent: Time,
    ) {
        for (node, asked_at) in missing {
            let voted_at = self.voted_at.get(usize::from(node.0));
            if voted_at.is_some_and(|voted_at| *voted_at > sent) {
                continue;
            }
            let is_news = self.suspects.insert(node);
            if is_news && asked_at > Time::ZERO {
                self.late.insert(node, Late::Asked(asked_at));
            }
        }
    }

    /// How long the fastest phase-2 quorum takes, if it is late; where none is left, the slowest of those
    /// that voted.
    fn lateness(&self, is_phase2: impl Fn(NodeSet) -> bool, everybody: NodeSet) -> Span {
        if self.late.is_empty() {
            return Span::ZERO;
        }
        let took = |node: NodeId| match self.late.get(&node) {
            None if self.suspects.contains(node) => None,
            None => Some((Span::ZERO, node)),
            Some(Late::Asked(_)) => None,
            Some(Late::Took(span)) => Some((*span, node)),
        };
        let mut voting: Vec<(Span, NodeId)> = everybody.iter().filter_map(took).collect();
        voting.sort_unstable();
        let mut met = NodeSet::EMPTY;
        let last = voting.iter().find(|(_, node)| {
            met.insert(*node);
            is_phase2(met)
        });
        last.or(voting.last()).map_or(Span::ZERO, |(took, _)| *took)
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
        let took = self.measure(now, from);
        let is_in_time = |(slot, sent): (Slot, Time)| slot <= last && now.since(sent) <= timeout;
        let is_proof = !has_quorum
            || took.is_some_and(|took| took <= timeout)
            || self.probe.is_some_and(is_in_time);
        let is_cleared = self.suspects.contains(from) && is_proof;
        if is_cleared {
            self.suspects = self.suspects.without(from);
        }
        is_cleared
    }

    /// A vote of one who is waited for: how long it took.
    pub(super) fn measure(&mut self, now: Time, from: NodeId) -> Option<Span> {
        let late = self.late.get_mut(&from)?;
        let Late::Asked(asked_at) = *late else { return None };
        let took = now.since(asked_at);
        *late = Late::Took(took);
        Some(took)
    }

    /// A vote that took so long: what was late may be in time again.
    fn time(&mut self, from: NodeId, took: Span, timeout: Span) {
        if let Some(late @ Late::Took(_)) = self.late.get_mut(&from) {
            if took <= timeout {
                self.late.remove(&from);
            } else {
                *late = Late::Took(took);
            }
        }
    }

    /// The suspects, if it is time to send them a proposal: the one for `slot`.
    pub(super) fn probe(&mut self, now: Time, slot: Slot, config: &Config) -> NodeSet {
        let timeout = self.vote_timeout(config);
        self.probe_after(now, slot, timeout)
    }

    fn probe_after(&mut self, now: Time, slot: Slot, timeout: Span) -> NodeSet {
        let is_pending = self.probe.is_some_and(|(_, sent)| now.since(sent) < timeout);
        if self.suspects.is_empty() || is_pending {
            return NodeSet::EMPTY;
        }
        self.probe = Some((slot, now));
        self.suspects
    }

    /// Whether a proposer asks particular acceptors for their votes, so that it matters who votes.
    pub(super) fn is_judged(config: &Config) -> bool {
        config.send == SendPolicy::Quorum || config.quorums.announces()
    }

    /// Begins a campaign: who led before goes on with what it knows, and what anybody else knows is out of
    /// date; to it, those who did not answer are suspects.
    pub(super) fn begin(&mut self, was_idle: bool, allies: NodeSet, config: &Config) {
        // What was sent at an older ballot is no probe: votes for it are not looked at.
        self.probe = None;
        if was_idle {
            *self = Self::default();
            self.suspect_all_but(allies, config);
        }
    }

    /// Those who did not answer are suspected until they vote.
    pub(super) fn suspect_all_but(&mut self, answered: NodeSet, config: &Config) {
        if Self::is_judged(config) {
            self.suspects = self.suspects.union(config.acceptors().difference(answered));
        }
    }

    /// How long a vote may be outstanding: a time-out, or twice as long as the fastest quorum takes.
    pub(super) fn vote_timeout(&self, config: &Config) -> Span {
        let is_phase2 = |nodes: NodeSet| config.quorums.is_phase2(nodes);
        let late = self.lateness(is_phase2, config.everybody());
        config.timing.retransmit_after.max(late.times(2))
    }
}

impl Multi {
    /// Acceptors that may be expected to vote at the ballot that it leads with, or campaigns for.
    pub(super) fn well(&self, config: &Config) -> NodeSet {
        config.acceptors().difference(self.health.suspects).difference(self.refused_by())
    }

    /// An acceptor voted at the ballot that it leads with, in slots up to `last`.
    pub(super) fn note_vote(&mut self, context: &mut Context<'_>, from: NodeId, last: Slot) {
        let (now, config) = (context.now, context.config);
        if !Health::is_judged(config) {
            return;
        }
        if let Some(asked_at) = self.in_flight.get(last).and_then(|it| it.asked_at(from)) {
            self.health.time(from, now.since(asked_at), config.timing.retransmit_after);
        }
        let timeout = self.health.vote_timeout(config);
        let has_quorum = config.quorums.is_phase2(self.well(config));
        if self.health.hear(now, from, last, timeout, has_quorum) {
            self.review(context);
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
        health.suspect_late([(R1, at(10))].into_iter(), at(10));
        assert_eq!(health.suspects, NodeSet::only(R1));
        health
    }

    #[test]
    fn one_lost_message_makes_no_suspect_of_who_votes() {
        let mut health = Health::default();
        health.hear(at(50), R1, Slot(7), TIMEOUT, true);
        health.suspect_late([(R1, at(49))].into_iter(), at(49));
        assert_eq!(health.suspects, NodeSet::EMPTY);
        health.suspect_late([(R1, at(50))].into_iter(), at(50));
        assert_eq!(health.suspects, NodeSet::only(R1));
    }

    #[test]
    fn only_a_timely_vote_for_a_probe_ends_a_suspicion() {
        let mut health = suspected();
        // The vote that was outstanding comes at last, and then the one for a probe, too late.
        assert!(!health.hear(at(2_000), R1, Slot(3), TIMEOUT, true));
        assert_eq!(health.probe_after(at(2_001), Slot(9), TIMEOUT), NodeSet::only(R1));
        assert!(!health.hear(at(2_050), R1, Slot(8), TIMEOUT, true));
        assert!(!health.hear(at(2_102), R1, Slot(9), TIMEOUT, true));
        assert_eq!(health.probe_after(at(2_102), Slot(12), TIMEOUT), NodeSet::only(R1));
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
        assert_eq!(health.probe_after(at(200), Slot(4), TIMEOUT), NodeSet::only(R1));
        assert_eq!(health.probe_after(at(299), Slot(5), TIMEOUT), NodeSet::EMPTY);
        assert_eq!(health.probe_after(at(300), Slot(6), TIMEOUT), NodeSet::only(R1));
        assert_eq!(Health::default().probe_after(at(200), Slot(4), TIMEOUT), NodeSet::EMPTY);
    }

    /// Phase 2 by any two of three.
    fn lateness(health: &Health) -> Span {
        health.lateness(|nodes| nodes.len() >= 2, NodeSet::all(3))
    }

    #[test]
    fn where_a_quorum_is_late_its_time_counts_and_not_the_time_out() {
        let mut health = Health::default();
        health.suspect_late(NodeSet::all(3).iter().map(|node| (node, at(10))), at(60));
        assert_eq!(lateness(&health), Span::ZERO, "nobody has voted");
        assert!(health.hear(at(260), NodeId(0), Slot(3), TIMEOUT, false));
        assert!(health.hear(at(310), R1, Slot(3), TIMEOUT, false));
        assert_eq!(lateness(&health), Span::from_millis(300));
        // What is late by the time-out is not by twice what the fastest quorum takes.
        assert!(health.hear(at(400), NodeId(2), Slot(3), Span::from_millis(600), true));
        assert_eq!(lateness(&health), Span::from_millis(300), "the two fastest");
        // Two that are fast again make the third one late.
        health.time(NodeId(0), Span::from_millis(101), TIMEOUT);
        assert_eq!(lateness(&health), Span::from_millis(300));
        health.time(NodeId(0), TIMEOUT, TIMEOUT);
        health.time(R1, TIMEOUT, TIMEOUT);
        assert_eq!(lateness(&health), Span::ZERO);
    }

    #[test]
    fn a_vote_at_a_finished_ballot_tells_how_late_its_acceptor_is() {
        let mut health = suspected();
        assert_eq!(health.measure(at(90), R1), Some(Span::from_millis(80)));
        assert_eq!(health.suspects, NodeSet::only(R1));
        assert_eq!(health.measure(at(95), R1), None, "it was told once");
    }

    #[test]
    fn one_slow_disk_of_three_makes_no_quorum_late() {
        let mut health = suspected();
        assert!(!health.hear(at(2_000), R1, Slot(3), TIMEOUT, true));
        assert_eq!(health.late[&R1], Late::Took(Span::from_millis(1_990)));
        assert_eq!(lateness(&health), Span::ZERO);
    }
}

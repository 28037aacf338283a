//! Who campaigns in Multi-Paxos, and when: a failure detector, a pre-vote, and a leader's own doubt.
//!
//! A leader is heard of by its heartbeats and proposals.
//! A replica that has heard of none for its time-out, and a random time more, asks everybody whether
//! they would promise (a pre-vote: Ongaro's thesis, section 9.6), and runs phase 1 only if a phase-1
//! quorum hears of no leader either.
//! Every phase-1 quorum meets every phase-2 quorum, so a leader that some phase-2 quorum hears is not
//! deposed by one who does not hear it: what a majority does for majorities, that condition does for
//! any quorums.
//! Where each ballot announces a phase-2 quorum of its own, those who grant report what was announced, and
//! the pre-vote must meet that too.
//! The other way round, a leader whom no phase-2 quorum answers resigns: it is heard, and of no use.
//! A leader that would rather lead with a higher ballot asks in the same way (`multi/renewal.rs`), also
//! where leaders are not elected; those who follow it grant that.
//!
//! None of this is needed for safety, which is phase 1's alone; it can be wrong about who is alive.
//! A hand-over by command ([`crate::protocol::Input::Campaign`]) asks nobody.

use super::Effects;
use super::announced::Announced;
use super::ballot::Ballot;
use super::config::{Detector, Election};
use super::message::{Message, Scope};
use super::replica::{Proposer, Replica, TimerKind};
use crate::protocol::{Note, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// What a replica knows of leaders by listening.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Watch {
    detector: Detector,
    /// When it last heard of a leader, or promised a candidate.
    heard_at: Time,
    /// The leader it heard of last, until it suspects it.
    following: Option<NodeId>,
    /// Its own pre-vote.
    pub(super) canvass: Option<Canvass>,
    /// It has said that it hears of no leader.
    is_suspecting: bool,
    /// Its own campaigns since it last heard of a leader.
    campaign_count: u32,
    /// Of a leader: who has answered since when.
    answered: NodeSet,
    answered_since: Time,
}

/// A pre-vote under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Canvass {
    /// The ballot that would be promised.
    ballot: Ballot,
    pub(super) granted: NodeSet,
    /// The phase-2 quorums of lower ballots that must be met, where each has its own.
    announced: Announced,
}

/// The random wait stops doubling after so many campaigns that led to nothing.
const WAIT_DOUBLINGS: u32 = 3;

/// Who is behind by more than this is taught before it is granted a pre-vote: its promises would report
/// every vote since.
const LAG_MAX: u64 = 4096;

impl Watch {
    /// What a replica that has just started knows; nothing, where nobody listens.
    pub(super) fn new(election: Election) -> Option<Self> {
        let Election::Timeout(detector) = election else { return None };
        Some(Self {
            detector,
            heard_at: Time::ZERO,
            following: None,
            canvass: None,
            is_suspecting: false,
            campaign_count: 0,
            answered: NodeSet::EMPTY,
            answered_since: Time::ZERO,
        })
    }

    /// Whom clients are sent to.
    pub(super) const fn following(&self) -> Option<NodeId> {
        self.following
    }

    /// A leader, or a candidate that deserves its time.
    fn hear(&mut self, now: Time) {
        self.heard_at = now;
        self.canvass = None;
    }

    fn silence(&self, now: Time) -> Span {
        now.since(self.heard_at)
    }

    fn hears_a_leader(&self, now: Time) -> bool {
        self.silence(now) < self.detector.timeout()
    }

    /// The random wait before the next election.
    fn spread(&self) -> Span {
        self.detector.spread.times(1 << self.campaign_count.min(WAIT_DOUBLINGS))
    }
}

impl Replica {
    fn watch(&mut self) -> Option<&mut Watch> {
        match &mut self.proposer {
            Proposer::Multi(multi) => multi.watch.as_mut(),
            Proposer::Classic(_) => None,
        }
    }

    /// Begins to listen for a leader: when it starts, and when it leads or campaigns no more.
    pub(super) fn listen(&mut self, now: Time, effects: &mut Effects) {
        let Some(watch) = self.watch() else { return };
        watch.hear(now);
        let (after, spread) = (watch.detector.timeout(), watch.spread());
        effects.set_timer(TimerKind::Election.id(), after, spread);
    }

    /// Who sends this leads, or may soon.
    ///
    /// What is below a promise says nothing: its sender can have no vote of this replica any more.
    pub(super) fn listen_to(
        &mut self,
        now: Time,
        from: NodeId,
        message: &Message,
        effects: &mut Effects,
    ) {
        let promised = self.acceptor.promised_everywhere();
        let (ballot, leads) = match message {
            Message::Heartbeat { ballot, .. }
            | Message::Phase2a { ballot, .. }
            | Message::Chosen { ballot, .. } => (*ballot, true),
            Message::Phase1a { ballot, scope: Scope::From(_), .. } => (*ballot, false),
            _ => return,
        };
        if ballot < promised || ballot.proposer != from {
            return;
        }
        let is_rival = self.is_rival(ballot);
        if let Some(watch) = self.watch() {
            watch.hear(now);
            if leads {
                (watch.is_suspecting, watch.campaign_count) = (false, 0);
                if watch.following != Some(from) {
                    watch.following = Some(from);
                    effects.notes.push(Note::Following { leader: from });
                }
            }
        }
        if leads && is_rival {
            // It has the promises of a phase-1 quorum, so no phase-2 quorum is left for a lower ballot.
            self.give_up(now, effects);
        }
    }

    /// The time-out of one who listens, and the random wait after it, are over.
    pub(super) fn doubt(&mut self, now: Time, effects: &mut Effects) {
        let is_leader = self.is_leader();
        let is_idle = self.is_idle();
        let retry_after = self.config.timing.backoff;
        let Some(watch) = self.watch() else { return };
        if is_leader {
            return;
        }
        if watch.hears_a_leader(now) {
            let rest = Span(watch.detector.timeout().0 - watch.silence(now).0);
            let spread = watch.spread();
            effects.set_timer(TimerKind::Election.id(), rest, spread);
            return;
        }
        let (retry_after, spread) = (retry_after.max(watch.detector.heartbeat), watch.spread());
        effects.set_timer(TimerKind::Election.id(), retry_after, spread);
        if is_idle {
            if !watch.is_suspecting {
                effects.notes.push(Note::Suspected { silence: watch.silence(now) });
            }
            (watch.is_suspecting, watch.following) = (true, None);
            self.canvass(now, effects);
        }
    }

    fn pre_vote(&mut self) -> Option<&mut Option<Canvass>> {
        match &mut self.proposer {
            Proposer::Multi(multi) => multi.pre_vote(),
            Proposer::Classic(_) => None,
        }
    }

    /// Asks who would promise.
    pub(super) fn canvass(&mut self, now: Time, effects: &mut Effects) {
        let ballot = self.next_ballot();
        let granted = NodeSet::only(self.config.id);
        let prevote = Message::PreVote { ballot, executed_below: self.learner.executed_below() };
        effects.send(self.config.others(), prevote);
        let announced = self.acceptor.announced().below(ballot);
        if let Some(canvass) = self.pre_vote() {
            *canvass = Some(Canvass { ballot, granted, announced });
        }
        self.count_grants(now, effects);
    }

    /// Would this replica promise? Not while it hears of another leader, or leads.
    ///
    /// The answer waits for the disk as a promise would: whoever has a disk that hangs could not promise.
    pub(super) fn handle_pre_vote(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        executed_below: Slot,
        effects: &mut Effects,
    ) {
        let promised = self.acceptor.promised_highest();
        let (is_leader, own_executed_below) = (self.is_leader(), self.learner.executed_below());
        let announced = self.acceptor.announced().below(ballot);
        let follows_another = self
            .watch()
            .is_some_and(|watch| watch.hears_a_leader(now) && watch.following != Some(from));
        if is_leader || follows_another || !matches!(self.proposer, Proposer::Multi(_)) {
            return;
        }
        if ballot == promised {
            // It has campaigned meanwhile.
            return;
        }
        let message = if ballot < promised {
            Message::Refused { ballot, promised, slot: executed_below }
        } else if own_executed_below.0 > executed_below.0.saturating_add(LAG_MAX) {
            self.handle_learn(from, executed_below, own_executed_below, effects);
            return;
        } else {
            let granted = Message::PreVoteGranted { ballot, announced };
            effects.send_durable(NodeSet::only(from), granted, |_, _| false);
            return;
        };
        effects.send(NodeSet::only(from), message);
    }

    /// Another replica would promise.
    pub(super) fn handle_pre_vote_granted(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        announced: Announced,
        effects: &mut Effects,
    ) {
        let Some(Some(canvass)) = self.pre_vote() else { return };
        if canvass.ballot == ballot && canvass.granted.insert(from) {
            canvass.announced.merge(announced);
            self.count_grants(now, effects);
        }
    }

    /// The ballot of the pre-vote is not high enough; a higher one is tried at once.
    pub(super) fn handle_refused_pre_vote(
        &mut self,
        now: Time,
        ballot: Ballot,
        effects: &mut Effects,
    ) {
        let Some(Some(canvass)) = self.pre_vote() else { return };
        if canvass.ballot == ballot && self.next_ballot() > ballot {
            self.canvass(now, effects);
        }
    }

    fn count_grants(&mut self, now: Time, effects: &mut Effects) {
        let Some(Some(Canvass { granted, announced, .. })) = self.pre_vote().cloned() else {
            return;
        };
        let is_called_for = self.is_idle() || self.is_worth_renewal(granted);
        if is_called_for && self.config.quorums.is_phase1_over(granted, announced.quorums()) {
            self.campaign_with(now, granted, effects);
        }
    }

    /// This replica campaigns: it gives itself as much time as it would give another.
    pub(super) fn begin_campaign(&mut self, now: Time, effects: &mut Effects) {
        if let Some(watch) = self.watch() {
            watch.hear(now);
            watch.following = None;
            watch.campaign_count = watch.campaign_count.saturating_add(1);
            effects.notes.push(Note::Campaigning);
        }
    }

    /// This replica leads: from now on it is heard.
    pub(super) fn begin_heartbeats(&mut self, now: Time, effects: &mut Effects) {
        let Some(watch) = self.watch() else { return };
        (watch.is_suspecting, watch.campaign_count) = (false, 0);
        (watch.answered, watch.answered_since) = (NodeSet::EMPTY, now);
        self.send_heartbeat(effects);
    }

    /// A leader's heartbeat, unless for too long no phase-2 quorum has answered that refused nothing.
    pub(super) fn beat(&mut self, now: Time, effects: &mut Effects) {
        let (myself, is_leader, quorum) = (self.config.id, self.is_leader(), self.own_quorum());
        let refused_by = self.refused_by();
        let Some(watch) = self.watch().filter(|_| is_leader) else { return };
        if now.since(watch.answered_since) >= watch.detector.timeout() {
            let answered = watch.answered.with(myself).difference(refused_by);
            (watch.answered, watch.answered_since) = (NodeSet::EMPTY, now);
            if !self.config.quorums.is_phase2_at(answered, quorum) {
                let voting = answered.intersection(self.well());
                if quorum.is_some() && self.config.quorums.is_phase2(voting) {
                    // Enough others answer: a new ballot, with a phase-2 quorum among them.
                    self.suspect_all_but(answered);
                    self.campaign_with(now, answered, effects);
                    return;
                }
                effects.notes.push(Note::Resigned);
                self.give_up(now, effects);
                return;
            }
        }
        self.send_heartbeat(effects);
    }

    fn send_heartbeat(&mut self, effects: &mut Effects) {
        let (leading, others) = (self.leading(), self.config.others());
        let chosen_below = self.learner.executed_below();
        let (Some(ballot), Some(watch)) = (leading, self.watch()) else { return };
        let heartbeat = watch.detector.heartbeat;
        effects.send(others, Message::Heartbeat { ballot, chosen_below });
        self.ask_to_settle(effects);
        effects.set_timer(TimerKind::Heartbeat.id(), heartbeat, Span::ZERO);
    }

    /// A leader says that it is there; it is told that it was heard, or that it leads no more.
    pub(super) fn handle_heartbeat(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        chosen_below: Slot,
        effects: &mut Effects,
    ) {
        let promised = self.acceptor.promised_everywhere();
        let message = if ballot < promised {
            Message::Refused { ballot, promised, slot: chosen_below }
        } else {
            Message::HeartbeatAck { ballot }
        };
        effects.send(NodeSet::only(from), message);
        self.handle_chosen(now, from, ballot, Slot::ZERO, chosen_below, effects);
    }

    /// A follower hears this leader.
    pub(super) fn handle_heartbeat_ack(&mut self, from: NodeId, ballot: Ballot) {
        if self.leading() == Some(ballot)
            && let Some(watch) = self.watch()
        {
            watch.answered.insert(from);
        }
    }
}

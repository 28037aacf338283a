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
//! A leader that would rather lead with a higher ballot asks in the same way (`renewal.rs`), also
//! where leaders are not elected; those who follow it grant that.
//!
//! None of this is needed for safety, which is phase 1's alone; it can be wrong about who is alive.
//! A hand-over by command ([`crate::protocol::Input::Campaign`]) asks nobody.

use super::{Multi, State};
use crate::paxos::announced::Announced;
use crate::paxos::context::Context;
use crate::paxos::message::Message;
use crate::paxos::timer::TimerKind;
use crate::protocol::{Ballot, Detector, Election, Note, Scope, Slot};
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
    canvass: Option<Canvass>,
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

    /// Begins to listen for a leader: when it starts, and when it leads or campaigns no more.
    fn listen(&mut self, context: &mut Context<'_>) {
        self.hear(context.now);
        let timeout = self.detector.timeout();
        if context.config.is_candidate() {
            context.effects.set_timer(TimerKind::Election.id(), timeout, self.spread());
        }
    }

    /// A leader, or a candidate that deserves its time.
    fn hear(&mut self, now: Time) {
        self.heard_at = now;
        self.canvass = None;
    }

    /// Clients are sent to this leader.
    fn follow(&mut self, context: &mut Context<'_>, leader: NodeId) {
        self.forgive();
        if self.following != Some(leader) {
            self.following = Some(leader);
            context.effects.notes.push(Note::Following { leader });
        }
    }

    /// Somebody leads: what came of campaigns before does not matter any more.
    fn forgive(&mut self) {
        (self.is_suspecting, self.campaign_count) = (false, 0);
    }

    /// No leader is heard of.
    fn suspect(&mut self, context: &mut Context<'_>) {
        if !self.is_suspecting {
            context.effects.notes.push(Note::Suspected { silence: self.silence(context.now) });
        }
        (self.is_suspecting, self.following) = (true, None);
    }

    /// Of a leader: who has answered for a time-out, if that is over, which begins another one.
    fn take_answered(&mut self, now: Time) -> Option<NodeSet> {
        if now.since(self.answered_since) < self.detector.timeout() {
            return None;
        }
        self.answered_since = now;
        Some(std::mem::take(&mut self.answered))
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

impl Context<'_> {
    /// A leader says that it is there; it is told that it was heard, or that it leads no more.
    pub(in crate::paxos) fn handle_heartbeat(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        chosen_below: Slot,
    ) {
        if !self.config.is_acceptor() {
            return;
        }
        let promised = self.acceptor.promised_everywhere();
        let message = if ballot < promised {
            Message::Refused { ballot, promised, slot: chosen_below }
        } else {
            Message::HeartbeatAck { ballot }
        };
        self.effects.send(NodeSet::only(from), message);
    }
}

impl Multi {
    pub(super) fn listen(&mut self, context: &mut Context<'_>) {
        if let Some(watch) = &mut self.watch {
            watch.listen(context);
        }
    }

    /// Who sends this leads, or may soon.
    ///
    /// What is below a promise says nothing: its sender can have no vote of this replica any more.
    pub(in crate::paxos) fn listen_to(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        message: &Message,
    ) {
        let (ballot, leads) = match message {
            Message::Heartbeat { ballot, .. }
            | Message::Phase2a { ballot, .. }
            | Message::Renew { ballot, .. }
            | Message::Chosen { ballot, .. } => (*ballot, true),
            Message::Phase1a { ballot, scope: Scope::From(_), .. } => (*ballot, false),
            _ => return,
        };
        if ballot < context.acceptor.promised_everywhere() || ballot.proposer != from {
            return;
        }
        if let Some(watch) = &mut self.watch {
            watch.hear(context.now);
            if leads {
                watch.follow(context, from);
            }
        }
        if leads && self.state != State::Idle && ballot > self.last {
            // It has the promises of a phase-1 quorum, so no phase-2 quorum is left for a lower ballot.
            self.note_ballot(ballot, context.config);
            self.give_up(context);
        }
        if leads && self.state == State::Idle {
            self.forget_absent();
        }
    }

    /// The time-out of one who listens, and the random wait after it, are over.
    pub(super) fn doubt(&mut self, context: &mut Context<'_>) {
        let (is_leader, is_idle) = (self.is_leading(), self.state == State::Idle);
        let Some(watch) = self.watch.as_mut().filter(|_| !is_leader) else { return };
        if watch.hears_a_leader(context.now) {
            let rest = Span(watch.detector.timeout().0 - watch.silence(context.now).0);
            context.effects.set_timer(TimerKind::Election.id(), rest, watch.spread());
            return;
        }
        let retry_after = context.config.timing.backoff.max(watch.detector.heartbeat);
        context.effects.set_timer(TimerKind::Election.id(), retry_after, watch.spread());
        if is_idle {
            let suspected = watch.following;
            watch.suspect(context);
            self.miss_leader(suspected, context.now);
            self.canvass(context);
        }
    }

    /// The pre-vote under way: of a leader, or of one who hears of none.
    fn pre_vote(&mut self) -> Option<&mut Option<Canvass>> {
        match &mut self.state {
            State::Leading(leading) => Some(&mut leading.renewal),
            State::Idle | State::Preparing(_) => {
                self.watch.as_mut().map(|watch| &mut watch.canvass)
            }
        }
    }

    /// A ballot above every one that this replica knows of; it is not used before it is reserved.
    fn next_ballot(&self, context: &Context<'_>) -> Ballot {
        let round = self.highest_ballot(context).round;
        Ballot { round: context.rounds.above(round), proposer: context.config.id }
    }

    /// Asks who would promise.
    pub(super) fn canvass(&mut self, context: &mut Context<'_>) {
        let ballot = self.next_ballot(context);
        let granted = NodeSet::only(context.config.id);
        let executed_below = context.learner.executed_below();
        let prevote = Message::PreVote { ballot, executed_below };
        let others = context.config.acceptors().without(context.config.id);
        context.effects.send(others, prevote);
        let announced = context.acceptor.announced().below(ballot);
        if let Some(canvass) = self.pre_vote() {
            *canvass = Some(Canvass { ballot, granted, announced });
        }
        self.count_grants(context);
    }

    /// Would this replica promise? Not while it hears of another leader, or leads.
    ///
    /// The answer waits for the disk as a promise would: whoever has a disk that hangs could not promise.
    pub(super) fn handle_pre_vote(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        executed_below: Slot,
    ) {
        if !context.config.is_acceptor() {
            return;
        }
        let promised = context.acceptor.promised_highest();
        let own_executed_below = context.learner.executed_below();
        let follows_another = self.watch.as_ref().is_some_and(|watch| {
            watch.hears_a_leader(context.now) && watch.following != Some(from)
        });
        // At an equal ballot it has campaigned meanwhile.
        if self.is_leading() || follows_another || ballot == promised {
            return;
        }
        if ballot < promised {
            let refused = Message::Refused { ballot, promised, slot: executed_below };
            context.effects.send(NodeSet::only(from), refused);
        } else if own_executed_below.0 > executed_below.0.saturating_add(context.config.bounds.lag)
        {
            context.handle_learn(from, executed_below, own_executed_below);
        } else {
            let announced = Box::new(context.acceptor.announced().below(ballot));
            let granted = Message::PreVoteGranted { ballot, announced };
            context.effects.send_durable(NodeSet::only(from), granted, |_, _| false);
        }
    }

    /// Another replica would promise.
    pub(super) fn handle_pre_vote_granted(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        announced: Announced,
    ) {
        let Some(Some(canvass)) = self.pre_vote() else { return };
        if canvass.ballot == ballot && canvass.granted.insert(from) {
            canvass.announced.merge(announced);
            self.count_grants(context);
        }
    }

    /// The ballot of the pre-vote is not high enough; a higher one is tried at once.
    pub(super) fn handle_refused_pre_vote(&mut self, context: &mut Context<'_>, ballot: Ballot) {
        let Some(Some(canvass)) = self.pre_vote() else { return };
        if canvass.ballot == ballot {
            self.canvass(context);
        }
    }

    fn count_grants(&mut self, context: &mut Context<'_>) {
        let config = context.config;
        let Some(Some(canvass)) = self.pre_vote() else { return };
        let granted = canvass.granted;
        let is_over = config.quorums.is_phase1_over(granted, canvass.announced.quorums());
        if is_over && (self.state == State::Idle || self.is_worth_renewal(config, granted)) {
            self.campaign_with(context, granted);
        }
    }

    /// This replica campaigns: it gives itself as much time as it would give another.
    pub(super) fn begin_campaign(&mut self, context: &mut Context<'_>) {
        if let Some(watch) = &mut self.watch {
            watch.hear(context.now);
            watch.following = None;
            watch.campaign_count = watch.campaign_count.saturating_add(1);
            context.effects.notes.push(Note::Campaigning);
        }
    }

    /// This replica leads: from now on it is heard.
    pub(super) fn begin_heartbeats(&mut self, context: &mut Context<'_>) {
        let Some(watch) = &mut self.watch else { return };
        watch.forgive();
        (watch.answered, watch.answered_since) = (NodeSet::EMPTY, context.now);
        self.send_heartbeat(context);
    }

    /// A leader's heartbeat, unless for too long no phase-2 quorum has answered that refused nothing.
    pub(super) fn beat(&mut self, context: &mut Context<'_>) {
        let config = context.config;
        let (is_leader, quorum) = (self.is_leading(), self.own_quorum());
        let refused_by = self.refused_by();
        let Some(watch) = self.watch.as_mut().filter(|_| is_leader) else { return };
        if let Some(answered) = watch.take_answered(context.now) {
            let answered = answered.with(config.id).difference(refused_by);
            if !config.quorums.is_phase2_at(answered, quorum) {
                let voting = answered.intersection(self.well(config));
                if quorum.is_some() && config.quorums.is_phase2(voting) {
                    // Enough others answer: a new ballot, with a phase-2 quorum among them.
                    self.health.suspect_all_but(answered, config);
                    self.campaign_with(context, answered);
                    return;
                }
                context.effects.notes.push(Note::Resigned);
                self.give_up(context);
                return;
            }
        }
        self.send_heartbeat(context);
    }

    fn send_heartbeat(&mut self, context: &mut Context<'_>) {
        let chosen_below = context.learner.executed_below();
        let (Some(ballot), Some(watch)) = (self.leading_ballot(), &self.watch) else { return };
        let heartbeat = watch.detector.heartbeat;
        let message = Message::Heartbeat { ballot, chosen_below };
        context.effects.send(context.config.others(), message);
        self.ask_to_settle(context);
        context.effects.set_timer(TimerKind::Heartbeat.id(), heartbeat, Span::ZERO);
    }

    /// A follower hears this leader.
    pub(super) fn handle_heartbeat_ack(&mut self, from: NodeId, ballot: Ballot) {
        if self.leading_ballot() == Some(ballot)
            && let Some(watch) = &mut self.watch
        {
            watch.answered.insert(from);
        }
    }
}

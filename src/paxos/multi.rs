//! The proposer of Multi-Paxos: phase 1 once over all slots, then one round trip a write.
//!
//! A leader is a proposer that finished phase 1 and still holds its ballot.
//! When it begins to lead it proposes again whatever its phase-1 quorum reports, fills the holes
//! between with no-ops, and from then on gives each command the next slot without waiting for the
//! one before.
//! Who campaigns is not decided here, but in `election.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Effects;
use super::ballot::Ballot;
use super::config::{Election, SendPolicy};
use super::election::Watch;
use super::message::{Message, Scope, Value, Vote};
use super::replica::{Awaiting, Proposer, Replica, TimerKind};
use super::window::Window;
use crate::command::Command;
use crate::protocol::{Note, Reply, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// A proposer over all slots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Multi {
    /// Who leads, as far as this replica knows.
    hint: NodeId,
    /// The highest ballot of somebody else.
    rival: Ballot,
    /// The last own ballot: a new phase 1 never repeats it, for it may have proposed values.
    last: Ballot,
    state: State,
    /// The slot of the next command.
    next: Slot,
    /// Own proposals without a phase-2 quorum.
    in_flight: Window<Proposal>,
    /// Commands that wait for the end of phase 1, and when they came.
    queue: VecDeque<(Time, Command)>,
    /// Every replica was told that the slots below this are chosen.
    announced_below: Slot,
    is_announce_armed: bool,
    is_retransmit_armed: bool,
    /// Of a thrifty leader: those who let a proposal wait for a time-out, and were not heard of since.
    silent: NodeSet,
    /// Of what was adopted or filled when it began to lead: the end, and since when; until it is executed.
    recovering: Option<(Slot, Time)>,
    /// What it hears of leaders, where they are elected.
    pub(super) watch: Option<Watch>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum State {
    Idle,
    Preparing(Preparing),
    Leading {
        ballot: Ballot,
        /// Its phase-2 quorum, where each ballot has its own.
        quorum: Option<NodeSet>,
        /// Acceptors that promised a higher ballot.
        refused_by: NodeSet,
    },
}

/// A phase 1 under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Preparing {
    ballot: Ballot,
    from: Slot,
    /// The phase-2 quorum that it announces, where each ballot has its own.
    quorum: Option<NodeSet>,
    /// Those announced at lower ballots, as far as any promise reported them.
    announced: BTreeSet<NodeSet>,
    promises: NodeSet,
    refused_by: NodeSet,
    /// When the promises were those of a phase-1 quorum.
    granted_at: Option<Time>,
    /// No promise says anything of the slots below this, which are chosen; and who says so.
    trimmed: (Slot, NodeId),
    /// The vote of the highest ballot in each slot that any promise reported.
    reported: BTreeMap<Slot, Vote>,
    since: Time,
}

/// What a promise for all slots reports.
pub(super) struct Reported {
    pub(super) votes: Vec<(Slot, Vote)>,
    pub(super) quorums: Vec<(Ballot, NodeSet)>,
    pub(super) trimmed_below: Slot,
}

/// A phase 2 under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Proposal {
    value: Value,
    votes: NodeSet,
    submitted: Time,
    proposed: Time,
    sent: Time,
}

/// The most proposals sent again at once: the rest follow with the next time-out.
const RETRANSMIT_LIMIT: usize = 1024;

impl Multi {
    /// A proposer that takes `leader` for the leader until it hears of another.
    pub(super) fn new(leader: NodeId, election: Election) -> Self {
        Self {
            hint: leader,
            rival: Ballot::NONE,
            last: Ballot::NONE,
            state: State::Idle,
            next: Slot::ZERO,
            in_flight: Window::default(),
            queue: VecDeque::new(),
            announced_below: Slot::ZERO,
            is_announce_armed: false,
            is_retransmit_armed: false,
            silent: NodeSet::EMPTY,
            recovering: None,
            watch: Watch::new(election),
        }
    }

    pub(super) fn is_leading(&self) -> bool {
        matches!(self.state, State::Leading { .. })
    }

    /// Whom clients that ask here are sent to; nobody, where leaders are elected and none is heard of.
    fn leader_of(&self, myself: NodeId) -> Option<NodeId> {
        let leader = match &self.watch {
            Some(watch) => watch.following(),
            None => Some(self.hint),
        };
        leader.filter(|leader| *leader != myself)
    }

    /// Another proposer uses `ballot`: clients that ask here are sent to the highest.
    pub(super) fn note_rival(&mut self, ballot: Ballot) {
        if ballot > self.rival {
            self.rival = ballot;
            let own = if self.state == State::Idle { Ballot::NONE } else { self.last };
            if ballot > own {
                self.hint = ballot.proposer;
            }
        }
    }
}

impl Replica {
    fn multi(&mut self) -> &mut Multi {
        match &mut self.proposer {
            Proposer::Multi(multi) => multi,
            Proposer::Classic(_) => unreachable!("only the proposer of Multi-Paxos comes here"),
        }
    }

    /// The highest ballot that this replica knows of.
    fn highest_ballot(&mut self) -> Ballot {
        let promised = self.acceptor.promised_highest();
        let multi = self.multi();
        multi.rival.max(multi.last).max(promised)
    }

    /// A ballot above every one that this replica knows of; it is not used before it is reserved.
    pub(super) fn next_ballot(&mut self) -> Ballot {
        let round = self.highest_ballot().round;
        Ballot { round: self.rounds.above(round), proposer: self.config.id }
    }

    /// The phase-2 quorum of the ballot that it leads with, if that has its own.
    pub(super) fn own_quorum(&self) -> Option<NodeSet> {
        match &self.proposer {
            Proposer::Multi(Multi { state: State::Leading { quorum, .. }, .. }) => *quorum,
            _ => None,
        }
    }

    /// Who refused a proposal of the ballot that it leads with, itself perhaps: its own acceptor may have
    /// promised another.
    pub(super) fn refused_by(&self) -> NodeSet {
        match &self.proposer {
            Proposer::Multi(Multi { state: State::Leading { refused_by, .. }, .. }) => *refused_by,
            _ => NodeSet::EMPTY,
        }
    }

    /// The ballot that it leads with.
    pub(super) fn leading(&self) -> Option<Ballot> {
        match &self.proposer {
            Proposer::Multi(Multi { state: State::Leading { ballot, .. }, .. }) => Some(*ballot),
            _ => None,
        }
    }

    /// Whether it neither leads nor runs phase 1.
    pub(super) fn is_idle(&self) -> bool {
        matches!(&self.proposer, Proposer::Multi(Multi { state: State::Idle, .. }))
    }

    /// Whether `ballot` is above the one that it leads or runs phase 1 with.
    pub(super) fn is_rival(&self, ballot: Ballot) -> bool {
        !self.is_idle() && matches!(&self.proposer, Proposer::Multi(multi) if ballot > multi.last)
    }

    /// Starts phase 1 over every slot that is not executed here (Paxos made simple, section 3).
    ///
    /// # Panics
    /// In classic mode, which has no leader.
    pub fn campaign(&mut self, now: Time, effects: &mut Effects) {
        self.campaign_with(now, self.config.everybody(), effects);
    }

    /// The same, with a phase-2 quorum of its own among `allies` if it can be, where each ballot has one.
    pub(super) fn campaign_with(&mut self, now: Time, allies: NodeSet, effects: &mut Effects) {
        let seen = self.highest_ballot();
        let ballot = self.new_ballot(seen, effects);
        self.begin_campaign(now, effects);
        let from = self.learner.executed_below();
        let myself = self.config.id;
        let quorum = self.config.announced_quorum(allies);
        let multi = self.multi();
        multi.hint = myself;
        multi.last = ballot;
        multi.state = State::Preparing(Preparing {
            ballot,
            from,
            quorum,
            announced: BTreeSet::new(),
            promises: NodeSet::EMPTY,
            refused_by: NodeSet::EMPTY,
            granted_at: None,
            trimmed: (Slot::ZERO, myself),
            reported: BTreeMap::new(),
            since: now,
        });
        let contacts = self.config.phase1_contacts(allies);
        self.send_phase1a(contacts, ballot, Scope::From(from), quorum, effects);
        self.arm_retransmit(effects);
    }

    /// A promise for all slots: with a phase-1 quorum of them the proposer leads.
    pub(super) fn handle_phase1b_all(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        reported: Reported,
        effects: &mut Effects,
    ) {
        let Reported { votes, quorums, trimmed_below } = reported;
        let State::Preparing(preparing) = &mut self.multi().state else { return };
        // A late promise of an older ballot says nothing about this one.
        if ballot != preparing.ballot || !preparing.promises.insert(from) {
            return;
        }
        for (slot, vote) in votes {
            let known = preparing.reported.get(&slot);
            if known.is_none_or(|known| known.ballot < vote.ballot) {
                preparing.reported.insert(slot, vote);
            }
        }
        preparing.announced.extend(quorums.into_iter().map(|(_, quorum)| quorum));
        preparing.trimmed = preparing.trimmed.max((trimmed_below, from));
        self.lead_when_level(now, effects);
    }

    /// With a phase-1 quorum it leads, as soon as it has executed every slot that one of them trimmed.
    ///
    /// Those slots are chosen and nobody reports with what, so nothing may be proposed there (why that
    /// is enough: `snapshot.rs`); it could not answer for later ones before it has executed them.
    pub(super) fn lead_when_level(&mut self, now: Time, effects: &mut Effects) {
        let Proposer::Multi(Multi { state: State::Preparing(preparing), .. }) = &mut self.proposer
        else {
            return;
        };
        let announced = preparing.announced.iter().copied();
        if !self.config.quorums.is_phase1_over(preparing.promises, announced) {
            return;
        }
        preparing.granted_at = preparing.granted_at.or(Some(now));
        let (trimmed_below, trimmed_by) = preparing.trimmed;
        if self.learner.executed_below() >= trimmed_below {
            self.lead(now, effects);
        } else {
            self.handle_trimmed(trimmed_by, trimmed_below, effects);
        }
    }

    /// Begins to lead: adopts what was reported, fills holes, proposes what waited.
    ///
    /// Any slot in which a value was or may yet be chosen at a lower ballot is reported by a member
    /// of this phase-1 quorum, because it meets every phase-2 quorum; the vote of the highest ballot
    /// is the value that is safe (Paxos made simple, P2c).
    /// In the other slots the choice is free: an own proposal that is still open, else a no-op.
    fn lead(&mut self, now: Time, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let learned_end = self.learner.end();
        let multi = self.multi();
        let State::Preparing(preparing) = std::mem::replace(&mut multi.state, State::Idle) else {
            unreachable!("only a proposer in phase 1 begins to lead")
        };
        let Preparing { ballot, from, quorum, mut reported, since, granted_at, .. } = preparing;
        multi.state = State::Leading { ballot, quorum, refused_by: NodeSet::EMPTY };
        let mut own = std::mem::take(&mut multi.in_flight);
        let reported_end = reported.last_key_value().map_or(from, |(slot, _)| slot.next());
        let end = reported_end.max(learned_end).max(own.end()).max(executed_below);
        multi.next = end;
        multi.in_flight.forget_below(executed_below);
        multi.recovering = multi.watch.is_some().then_some((end, granted_at.unwrap_or(now)));
        let (mut adopted_count, mut filled_count) = (0, 0);
        for slot in (from.max(executed_below).0..end.0).map(Slot) {
            if self.learner.is_chosen(slot) {
                continue;
            }
            let open = own.remove(slot);
            let submitted = open.as_ref().map_or(now, |proposal| proposal.submitted);
            let value = match (reported.remove(&slot), open) {
                (Some(vote), _) => {
                    adopted_count += 1;
                    vote.value
                }
                (None, Some(proposal)) => proposal.value,
                (None, None) => {
                    filled_count += 1;
                    Value::Noop
                }
            };
            self.propose(now, slot, value, submitted, effects);
        }
        let phase1 = granted_at.unwrap_or(now).since(since);
        effects.notes.push(Note::Leading { phase1, adopted_count, filled_count });
        while let Some((submitted, command)) = self.multi().queue.pop_front() {
            self.propose_next(now, command, submitted, effects);
        }
        // What an earlier leader told may have been lost with it.
        self.multi().announced_below = Slot::ZERO;
        self.arm_announce(effects);
        self.begin_heartbeats(now, effects);
        self.note_recovery(now, effects);
    }

    /// Says once that everything adopted or filled is executed.
    pub(super) fn note_recovery(&mut self, now: Time, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let Proposer::Multi(multi) = &mut self.proposer else { return };
        if let Some((end, since)) = multi.recovering
            && executed_below >= end
        {
            multi.recovering = None;
            effects.notes.push(Note::Recovered { transfer: now.since(since) });
        }
    }

    /// A client's command: proposed, queued behind phase 1, or sent on to the leader.
    pub(super) fn submit_multi(&mut self, now: Time, command: Command, effects: &mut Effects) {
        let (myself, is_to_campaign) = (self.config.id, self.is_to_campaign);
        let multi = self.multi();
        match multi.state {
            State::Leading { .. } => self.propose_next(now, command, now, effects),
            State::Preparing(_) => multi.queue.push_back((now, command)),
            State::Idle if is_to_campaign => multi.queue.push_back((now, command)),
            State::Idle => {
                let leader = multi.leader_of(myself);
                effects.replies.push(Reply::NotLeader { request: command.request, leader });
            }
        }
    }

    fn propose_next(
        &mut self,
        now: Time,
        command: Command,
        submitted: Time,
        effects: &mut Effects,
    ) {
        let multi = self.multi();
        let slot = multi.next;
        multi.next = slot.next();
        self.propose(now, slot, Value::Command(command), submitted, effects);
    }

    /// Whom a proposal goes to first: a thrifty leader passes over those who let a proposal wait.
    fn phase2_contacts(&mut self) -> NodeSet {
        let (everybody, own_quorum) = (self.config.everybody(), self.own_quorum());
        let hopeful = everybody.difference(self.multi().silent);
        match (self.config.send, own_quorum) {
            (SendPolicy::Quorum, Some(quorum)) => quorum,
            _ => self.config.phase2_contacts(hopeful),
        }
    }

    /// A replica is heard of: a thrifty leader may count on it again.
    pub(super) fn note_alive(&mut self, from: NodeId) {
        if let Proposer::Multi(multi) = &mut self.proposer {
            multi.silent = multi.silent.without(from);
        }
    }

    /// Phase 2a at the ballot this replica leads with.
    fn propose(
        &mut self,
        now: Time,
        slot: Slot,
        value: Value,
        submitted: Time,
        effects: &mut Effects,
    ) {
        let chosen_below = self.learner.executed_below();
        let others = self.config.others();
        let contacts = self.phase2_contacts();
        let is_thrifty = !others.is_subset(contacts);
        let multi = self.multi();
        let State::Leading { ballot, .. } = multi.state else {
            unreachable!("only a leader proposes")
        };
        let proposal = Proposal {
            value: value.clone(),
            votes: NodeSet::EMPTY,
            submitted,
            proposed: now,
            sent: now,
        };
        multi.in_flight.insert(slot, proposal);
        if !is_thrifty {
            multi.announced_below = multi.announced_below.max(chosen_below);
        }
        self.send_phase2a(contacts, ballot, slot, value, effects);
        self.arm_retransmit(effects);
    }

    /// Votes: a slot with a phase-2 quorum of distinct acceptors at this ballot is chosen.
    pub(super) fn handle_phase2b_multi(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        last: Slot,
        effects: &mut Effects,
    ) {
        let multi = self.multi();
        let quorum = match &multi.state {
            State::Leading { ballot: own, quorum, .. } if *own == ballot => *quorum,
            _ => return,
        };
        // What is not in flight needs no vote: it is not even looked at.
        let (first, end) = (first.max(multi.in_flight.first()), multi.in_flight.end());
        for slot in (first.0..end.0.min(last.0.saturating_add(1))).map(Slot) {
            let Proposer::Multi(multi) = &mut self.proposer else { return };
            let Some(proposal) = multi.in_flight.get_mut(slot) else { continue };
            proposal.votes.insert(from);
            if self.config.quorums.is_phase2_at(proposal.votes, quorum) {
                let value = proposal.value.clone();
                self.learn(now, slot, value, effects);
            }
        }
        self.execute(now, effects);
        self.forget_finished();
    }

    /// A refusal: the ballot is given up when no quorum is left that could still grant it.
    ///
    /// With flexible quorums one refusal proves little: the leader may keep a phase-2 quorum that
    /// the refusing acceptor is not in.
    pub(super) fn handle_refused_multi(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
        effects: &mut Effects,
    ) {
        let Proposer::Multi(multi) = &mut self.proposer else { return };
        let everybody = self.config.everybody();
        if multi.state == State::Idle && multi.watch.is_some() {
            multi.rival = multi.rival.max(promised);
            self.handle_refused_pre_vote(now, ballot, effects);
            return;
        }
        let is_over = match &mut multi.state {
            State::Preparing(preparing) if preparing.ballot == ballot => {
                preparing.refused_by.insert(from);
                let willing = everybody.difference(preparing.refused_by);
                let announced = preparing.announced.iter().copied();
                !self.config.quorums.is_phase1_over(willing, announced)
            }
            State::Leading { ballot: own, quorum, refused_by } if *own == ballot => {
                refused_by.insert(from);
                !self.config.quorums.is_phase2_at(everybody.difference(*refused_by), *quorum)
            }
            _ => return,
        };
        multi.rival = multi.rival.max(promised);
        if is_over {
            self.give_up(now, effects);
        }
    }

    /// Gives up the ballot; who waited for phase 1 is sent on.
    ///
    /// Open proposals stay: they may yet be chosen, and then their clients are answered.
    pub(super) fn give_up(&mut self, now: Time, effects: &mut Effects) {
        let myself = self.config.id;
        self.listen(now, effects);
        let multi = self.multi();
        multi.state = State::Idle;
        multi.recovering = None;
        if multi.rival > multi.last {
            multi.hint = multi.rival.proposer;
        }
        let leader = multi.leader_of(myself);
        effects.notes.push(Note::RaceLost);
        for (_, command) in std::mem::take(&mut multi.queue) {
            effects.replies.push(Reply::NotLeader { request: command.request, leader });
        }
    }

    /// `slot` is chosen: if it was proposed here, its client is answered when it executes.
    ///
    /// A leader has proposed in every slot below its next one that it does not know to be chosen;
    /// so if this is news, and not of its own proposal, then it is news of a rival.
    pub(super) fn settle_proposal(
        &mut self,
        now: Time,
        slot: Slot,
        value: &Value,
        effects: &mut Effects,
    ) {
        let proposal = self.multi().in_flight.remove(slot);
        if self.is_leader() && proposal.as_ref().is_none_or(|proposal| proposal.value != *value) {
            // Not the own phase 2 chose this, so a higher ballot did, and a phase-1 quorum has
            // promised it: no phase-2 quorum is left. To lead on would be wrong, not only idle:
            // "chosen below" would vouch for votes at this ballot in slots where it lost.
            self.give_up(now, effects);
        }
        let Some(proposal) = proposal else { return };
        let Some(command) = proposal.value.command() else { return };
        let request = command.request;
        if proposal.value != *value {
            // A deposed leader's command lost its slot; its client asks again elsewhere.
            let myself = self.config.id;
            let leader = self.multi().leader_of(myself);
            effects.replies.push(Reply::NotLeader { request, leader });
            return;
        }
        let awaiting = Awaiting {
            request,
            queueing: proposal.proposed.since(proposal.submitted),
            phase1: None,
            phase2: now.since(proposal.proposed),
            chosen_at: now,
        };
        self.awaiting.insert(slot, awaiting);
    }

    /// The state of another replica is installed, in which the slots below `below` are executed.
    ///
    /// Whether own proposals there were chosen is not known: whoever asked for one is sent on, and
    /// finds out by asking again.
    /// A leader that passed over one of them gives up its ballot, for "chosen below" would vouch for
    /// votes at this ballot in slots where it may have lost; it runs phase 1 again, unless it knows
    /// of a rival.
    pub(super) fn pass_over_proposals(&mut self, now: Time, below: Slot, effects: &mut Effects) {
        let was_leading = self.is_leader();
        if was_leading {
            self.give_up(now, effects);
        }
        let myself = self.config.id;
        let multi = self.multi();
        let leader = multi.leader_of(myself);
        let is_preparing = matches!(multi.state, State::Preparing(_));
        let passed: Vec<Proposal> = multi.in_flight.take_below(below).collect();
        for Proposal { value, submitted, .. } in passed {
            let Value::Command(command) = value else { continue };
            if is_preparing {
                multi.queue.push_back((submitted, command));
            } else {
                effects.replies.push(Reply::NotLeader { request: command.request, leader });
            }
        }
        if was_leading && multi.rival < multi.last {
            self.campaign(now, effects);
        }
    }

    fn forget_finished(&mut self) {
        let executed_below = self.learner.executed_below();
        self.multi().in_flight.forget_below(executed_below);
    }

    pub(super) fn arm_announce(&mut self, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let after = self.config.timing.announce_after;
        let multi = self.multi();
        if executed_below > multi.announced_below && !multi.is_announce_armed {
            multi.is_announce_armed = true;
            effects.set_timer(TimerKind::Announce.id(), after, Span::ZERO);
        }
    }

    /// Tells everybody what is chosen, if no proposal carried the news meanwhile.
    pub(super) fn announce(&mut self, effects: &mut Effects) {
        let below = self.learner.executed_below();
        let others = self.config.others();
        let multi = self.multi();
        multi.is_announce_armed = false;
        let State::Leading { ballot, .. } = multi.state else { return };
        if below > multi.announced_below {
            multi.announced_below = below;
            effects.send(others, Message::Chosen { ballot, first: Slot::ZERO, below });
        }
    }

    fn arm_retransmit(&mut self, effects: &mut Effects) {
        let after = self.config.timing.retransmit_after;
        let multi = self.multi();
        if !multi.is_retransmit_armed {
            multi.is_retransmit_armed = true;
            effects.set_timer(TimerKind::Retransmit.id(), after, Span::ZERO);
        }
    }

    /// Sends again, to everybody who has not answered, what has no quorum after a time-out.
    ///
    /// The first attempt may have gone to the nearest quorum only; one of its members may be down
    /// for good, so the second never repeats that choice.
    pub(super) fn retransmit(&mut self, now: Time, effects: &mut Effects) {
        let timeout = self.config.timing.retransmit_after;
        let everybody = self.config.everybody();
        self.forget_finished();
        let contacts = match self.config.send {
            SendPolicy::All => NodeSet::EMPTY,
            SendPolicy::Quorum => self.phase2_contacts(),
        };
        let multi = self.multi();
        multi.is_retransmit_armed = false;
        match &mut multi.state {
            State::Idle => return,
            State::Preparing(preparing) => {
                let missing = everybody.difference(preparing.promises);
                let (ballot, quorum) = (preparing.ballot, preparing.quorum);
                let scope = Scope::From(preparing.from);
                effects.notes.push(Note::Retransmitted);
                self.send_phase1a(missing, ballot, scope, quorum, effects);
            }
            State::Leading { ballot, .. } => {
                let ballot = *ballot;
                let overdue: Vec<Slot> = multi
                    .in_flight
                    .range(Slot::ZERO)
                    .filter(|(_, proposal)| now.since(proposal.sent) >= timeout)
                    .map(|(slot, _)| slot)
                    .take(RETRANSMIT_LIMIT)
                    .collect();
                for slot in overdue {
                    let multi = self.multi();
                    let Some(proposal) = multi.in_flight.get_mut(slot) else { continue };
                    proposal.sent = now;
                    multi.silent = multi.silent.union(contacts.difference(proposal.votes));
                    let missing = everybody.difference(proposal.votes);
                    let value = proposal.value.clone();
                    self.send_phase2a(missing, ballot, slot, value, effects);
                    effects.notes.push(Note::Retransmitted);
                }
            }
        }
        let multi = self.multi();
        let is_open = multi.in_flight.range(Slot::ZERO).next().is_some();
        if is_open || matches!(multi.state, State::Preparing(_)) {
            self.arm_retransmit(effects);
        }
    }
}

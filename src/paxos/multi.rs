//! The proposer of Multi-Paxos: phase 1 once over all slots, then one round trip a write.
//!
//! A leader is a proposer that finished phase 1 and still holds its ballot.
//! When it begins to lead it proposes again whatever its phase-1 quorum reports, fills the holes
//! between with no-ops, and from then on gives each command the next slot without waiting for the
//! one before.
//! Who campaigns is not decided here.

use std::collections::{BTreeMap, VecDeque};

use super::Effects;
use super::ballot::Ballot;
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
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum State {
    Idle,
    Preparing(Preparing),
    Leading {
        ballot: Ballot,
        /// Acceptors that promised a higher ballot.
        refused_by: NodeSet,
    },
}

/// A phase 1 under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Preparing {
    ballot: Ballot,
    from: Slot,
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
    pub(super) fn new(leader: NodeId) -> Self {
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
        }
    }

    pub(super) fn is_leading(&self) -> bool {
        matches!(self.state, State::Leading { .. })
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

    /// Starts phase 1 over every slot that is not executed here (Paxos made simple, section 3).
    ///
    /// # Panics
    /// In classic mode, which has no leader.
    pub fn campaign(&mut self, now: Time, effects: &mut Effects) {
        let multi = self.multi();
        let seen = multi.rival.max(multi.last).max(self.acceptor.promised_highest());
        let ballot = self.new_ballot(seen, effects);
        let from = self.learner.executed_below();
        let myself = self.config.id;
        let multi = self.multi();
        multi.hint = myself;
        multi.last = ballot;
        multi.state = State::Preparing(Preparing {
            ballot,
            from,
            promises: NodeSet::EMPTY,
            refused_by: NodeSet::EMPTY,
            granted_at: None,
            trimmed: (Slot::ZERO, myself),
            reported: BTreeMap::new(),
            since: now,
        });
        let contacts = self.config.phase1_contacts();
        self.send_phase1a(contacts, ballot, Scope::From(from), effects);
        self.arm_retransmit(effects);
    }

    /// A promise for all slots: with a phase-1 quorum of them the proposer leads.
    pub(super) fn handle_phase1b_all(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        votes: Vec<(Slot, Vote)>,
        trimmed_below: Slot,
        effects: &mut Effects,
    ) {
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
        if !self.config.quorums.is_phase1(preparing.promises) {
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
        let Preparing { ballot, from, mut reported, since, granted_at, .. } = preparing;
        multi.state = State::Leading { ballot, refused_by: NodeSet::EMPTY };
        let mut own = std::mem::take(&mut multi.in_flight);
        let reported_end = reported.last_key_value().map_or(from, |(slot, _)| slot.next());
        let end = reported_end.max(learned_end).max(own.end()).max(executed_below);
        multi.next = end;
        multi.in_flight.forget_below(executed_below);
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
                let leader = Some(multi.hint).filter(|hint| *hint != myself);
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
        let contacts = self.config.phase2_contacts();
        let others = self.config.others();
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
        if others.is_subset(contacts) {
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
        match &mut self.multi().state {
            State::Leading { ballot: own, .. } if *own == ballot => {}
            _ => return,
        }
        for slot in (first.0..=last.0).map(Slot) {
            let Proposer::Multi(multi) = &mut self.proposer else { return };
            let Some(proposal) = multi.in_flight.get_mut(slot) else { continue };
            proposal.votes.insert(from);
            if self.config.quorums.is_phase2(proposal.votes) {
                let value = proposal.value.clone();
                self.learn(now, slot, value, effects);
            }
        }
        self.execute(now, effects);
        self.forget_finished();
        self.arm_announce(effects);
    }

    /// A refusal: the ballot is given up when no quorum is left that could still grant it.
    ///
    /// With flexible quorums one refusal proves little: the leader may keep a phase-2 quorum that
    /// the refusing acceptor is not in.
    pub(super) fn handle_refused_multi(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
        effects: &mut Effects,
    ) {
        let Proposer::Multi(multi) = &mut self.proposer else { return };
        let everybody = self.config.everybody();
        let is_over = match &mut multi.state {
            State::Preparing(preparing) if preparing.ballot == ballot => {
                preparing.refused_by.insert(from);
                !self.config.quorums.is_phase1(everybody.difference(preparing.refused_by))
            }
            State::Leading { ballot: own, refused_by } if *own == ballot => {
                refused_by.insert(from);
                !self.config.quorums.is_phase2(everybody.difference(*refused_by))
            }
            _ => return,
        };
        multi.rival = multi.rival.max(promised);
        if is_over {
            self.give_up(effects);
        }
    }

    /// Gives up the ballot; who waited for phase 1 is sent on.
    ///
    /// Open proposals stay: they may yet be chosen, and then their clients are answered.
    fn give_up(&mut self, effects: &mut Effects) {
        let myself = self.config.id;
        let multi = self.multi();
        multi.state = State::Idle;
        if multi.rival > multi.last {
            multi.hint = multi.rival.proposer;
        }
        let leader = Some(multi.hint).filter(|hint| *hint != myself);
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
            self.give_up(effects);
        }
        let Some(proposal) = proposal else { return };
        let Some(command) = proposal.value.command() else { return };
        let request = command.request;
        if proposal.value != *value {
            // A deposed leader's command lost its slot; its client asks again elsewhere.
            let leader = Some(self.multi().hint).filter(|hint| *hint != self.config.id);
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
            self.give_up(effects);
        }
        let myself = self.config.id;
        let multi = self.multi();
        let leader = Some(multi.hint).filter(|hint| *hint != myself);
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

    fn arm_announce(&mut self, effects: &mut Effects) {
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
        let multi = self.multi();
        multi.is_retransmit_armed = false;
        match &mut multi.state {
            State::Idle => return,
            State::Preparing(preparing) => {
                let missing = everybody.difference(preparing.promises);
                let (ballot, scope) = (preparing.ballot, Scope::From(preparing.from));
                effects.notes.push(Note::Retransmitted);
                self.send_phase1a(missing, ballot, scope, effects);
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
                    let Some(proposal) = self.multi().in_flight.get_mut(slot) else { continue };
                    proposal.sent = now;
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

//! Phase 2: a command proposed, its votes counted, its client answered, and the others told.

use super::State;
use crate::command::Command;
use crate::paxos::Effects;
use crate::paxos::ballot::Ballot;
use crate::paxos::config::SendPolicy;
use crate::paxos::message::{Message, Value};
use crate::paxos::replica::{Awaiting, Proposer, Replica, TimerKind};
use crate::paxos::requests::Place;
use crate::protocol::{Reply, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// A phase 2 under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Proposal {
    pub(super) value: Value,
    pub(super) votes: NodeSet,
    pub(super) submitted: Time,
    pub(super) proposed: Time,
    /// When it has left, the last time that it was sent.
    pub(super) sent: Time,
    /// Whom it was sent to first.
    pub(super) contacts: NodeSet,
    /// When it was sent again for the first time, to everybody who had not voted.
    pub(super) sent_to_all: Option<Time>,
}

impl Replica {
    pub(super) fn propose_next(
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

    /// Whom a proposal goes to first: a thrifty leader passes over those who refuse or do not vote.
    pub(super) fn phase2_contacts(&mut self) -> NodeSet {
        match (self.config.send, self.own_quorum()) {
            (SendPolicy::Quorum, Some(quorum)) => quorum,
            _ => self.config.phase2_contacts(self.well()),
        }
    }

    /// Phase 2a at the ballot this replica leads with.
    pub(super) fn propose(
        &mut self,
        now: Time,
        slot: Slot,
        value: Value,
        submitted: Time,
        effects: &mut Effects,
    ) {
        let chosen_below = self.learner.executed_below();
        let others = self.config.others();
        let contacts = self.phase2_contacts().union(self.probed(now, slot));
        let is_thrifty = !others.is_subset(contacts);
        let sent = self.put_on_wire(now, &value, contacts);
        if let Value::Command(command) = &value {
            self.requests.put(command, Place::Slot(slot));
        }
        let multi = self.multi();
        let State::Leading { ballot, .. } = multi.state else {
            unreachable!("only a leader proposes")
        };
        let proposal = Proposal {
            value: value.clone(),
            votes: NodeSet::EMPTY,
            submitted,
            proposed: now,
            sent,
            contacts,
            sent_to_all: None,
        };
        multi.in_flight.insert(slot, proposal);
        if !is_thrifty {
            multi.announced_below = multi.announced_below.max(chosen_below);
        }
        self.send_phase2a(contacts, ballot, slot, value, effects);
        let after = sent.since(now) + self.config.timing.retransmit_after;
        self.arm_retransmit(after, Span::ZERO, effects);
    }

    /// Votes: a slot with a phase-2 quorum of distinct acceptors at this ballot is chosen.
    pub(in crate::paxos) fn handle_phase2b_multi(
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
            _ => {
                self.note_late_vote(now, from, ballot);
                return;
            }
        };
        self.note_vote(now, from, last, effects);
        let multi = self.multi();
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
        if matches!(&self.proposer, Proposer::Multi(multi) if multi.resending.is_under_way()) {
            self.send_again(now, effects);
        }
    }

    /// `slot` is chosen: if it was proposed here, its client is answered when it executes.
    ///
    /// A leader has proposed in every slot below its next one that it does not know to be chosen;
    /// so if this is news, and not of its own proposal, then it is news of a rival.
    pub(in crate::paxos) fn settle_proposal(
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
        self.multi().resending.acknowledge(slot, proposal.value.size());
        let Some(command) = proposal.value.command() else { return };
        let request = command.request;
        if proposal.value != *value {
            self.requests.lose(request, slot);
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
    pub(in crate::paxos) fn pass_over_proposals(
        &mut self,
        now: Time,
        below: Slot,
        effects: &mut Effects,
    ) {
        let was_leading = self.is_leader();
        if was_leading {
            self.give_up(now, effects);
        }
        let myself = self.config.id;
        let multi = self.multi();
        let leader = multi.leader_of(myself);
        let is_preparing = matches!(multi.state, State::Preparing(_));
        let is_rival_known = multi.rival >= multi.last;
        let passed: Vec<Proposal> = multi.in_flight.take_below(below).collect();
        for Proposal { value, submitted, .. } in passed {
            let Value::Command(command) = value else { continue };
            if is_preparing {
                self.queue(submitted, command);
            } else {
                effects.replies.push(Reply::NotLeader { request: command.request, leader });
            }
        }
        if was_leading && !is_rival_known {
            self.campaign(now, effects);
        }
    }

    pub(super) fn forget_finished(&mut self) {
        let executed_below = self.learner.executed_below();
        self.multi().in_flight.forget_below(executed_below);
    }

    pub(in crate::paxos) fn arm_announce(&mut self, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let after = self.config.timing.announce_after;
        let multi = self.multi();
        if executed_below > multi.announced_below && !multi.is_announce_armed {
            multi.is_announce_armed = true;
            effects.set_timer(TimerKind::Announce.id(), after, Span::ZERO);
        }
    }

    /// Tells everybody what is chosen, if no proposal carried the news meanwhile.
    pub(in crate::paxos) fn announce(&mut self, effects: &mut Effects) {
        let below = self.learner.executed_below();
        let others = self.config.others();
        let multi = self.multi();
        multi.is_announce_armed = false;
        let State::Leading { ballot, .. } = multi.state else { return };
        if below > multi.announced_below {
            multi.announced_below = below;
            effects.send(others, Message::Chosen { ballot, first: Slot::ZERO, below });
        }
        self.ask_to_settle(effects);
    }
}

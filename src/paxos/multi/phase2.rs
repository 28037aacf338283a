//! Phase 2: a command proposed, its votes counted, its client answered, and the others told.

use std::sync::Arc;

use super::roster::has_all_votes;
use super::{Multi, State};
use crate::command::Command;
use crate::paxos::context::Context;
use crate::paxos::message::Message;
use crate::paxos::requests::{Awaiting, Place};
use crate::paxos::timer::TimerKind;
use crate::protocol::{Ballot, Config, Reply, SendPolicy, Slot, Value};
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

impl Multi {
    /// A command in the next slot, or nothing to execute.
    pub(super) fn propose_next(
        &mut self,
        context: &mut Context<'_>,
        ballot: Ballot,
        command: impl Into<Option<Command>>,
        submitted: Time,
    ) {
        let slot = self.next;
        self.next = slot.next();
        let value = self.fresh(context, slot, command.into());
        self.propose(context, ballot, slot, value, submitted);
    }

    /// Whether the next slot is one that the others would remember, also if they have executed less than this replica:
    /// what is chosen they are told with a later proposal. So half of what they remember is used.
    ///
    /// A leader that no quorum hears would go on beyond that otherwise. Whoever leads next needs to be told what it
    /// voted for, and would take that for news of a log that is far ahead.
    pub(super) fn has_room(&self, context: &Context<'_>) -> bool {
        let horizon = context.config.bounds.horizon;
        self.next.0 < context.learner.executed_below().0.saturating_add((horizon / 2).max(1))
    }

    /// Proposes the commands that wait, as far as there is room.
    pub(super) fn propose_queued(&mut self, context: &mut Context<'_>) {
        let Some(ballot) = self.leading_ballot() else { return };
        while self.has_room(context)
            && let Some((submitted, command)) = self.queue.pop_front()
        {
            match context.requests.place(command.request) {
                None | Some(Place::Queue) => {
                    self.propose_next(context, ballot, command, submitted);
                }
                // A promise reported it, or its client awaits no answer.
                Some(Place::Slot(_) | Place::Settled) => {
                    context.is_retry(&command);
                }
            }
        }
    }

    /// Whom a proposal goes to first: a thrifty leader passes over those who refuse or do not vote.
    ///
    /// The whole roster is among them, whatever the key: a responder executes every slot before it can execute those
    /// of its own keys.
    pub(super) fn phase2_contacts(&self, config: &Config) -> NodeSet {
        let quorum = match (config.send, self.own_quorum()) {
            (SendPolicy::Quorum, Some(quorum)) => quorum,
            _ => config.phase2_contacts(self.well(config)),
        };
        quorum.union(self.roster())
    }

    /// Phase 2a at the ballot this replica leads with.
    pub(super) fn propose(
        &mut self,
        context: &mut Context<'_>,
        ballot: Ballot,
        slot: Slot,
        value: Value,
        submitted: Time,
    ) {
        let (now, config) = (context.now, context.config);
        let chosen_below = context.learner.executed_below();
        let probed = self.health.probe(now, slot, config);
        let contacts = self.phase2_contacts(config).union(probed);
        let is_thrifty = !config.others().is_subset(contacts);
        let sent = context.wire.put(now, &value, contacts, config);
        if let Some(command) = value.command() {
            context.requests.put(command, Place::Slot(slot));
        }
        let proposal = Proposal {
            value: value.clone(),
            votes: NodeSet::EMPTY,
            submitted,
            proposed: now,
            sent,
            contacts,
            sent_to_all: None,
        };
        self.in_flight.insert(slot, proposal);
        if !is_thrifty {
            self.announced_below = self.announced_below.max(chosen_below);
        }
        context.send_phase2a(contacts, ballot, slot, value, chosen_below);
        let after = sent.since(now) + config.timing.retransmit_after;
        self.arm_retransmit(context, after, Span::ZERO);
    }

    /// Votes: a slot with a phase-2 quorum of distinct acceptors at this ballot is chosen; where there are responders,
    /// it is taken for that when each of these that answers for its key has voted too.
    pub(in crate::paxos) fn handle_phase2b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        last: Slot,
    ) {
        let quorum = match &self.state {
            State::Leading(leading) if leading.ballot == ballot => leading.quorum,
            _ => {
                // That tells how late its acceptor is.
                if ballot.proposer == context.config.id {
                    self.health.measure(context.now, from);
                }
                return;
            }
        };
        self.note_vote(context, from, last);
        // What is not in flight needs no vote: it is not even looked at.
        let (first, end) = (first.max(self.in_flight.first()), self.in_flight.end());
        for slot in (first.0..end.0.min(last.0.saturating_add(1))).map(Slot) {
            let Some(proposal) = self.in_flight.get_mut(slot) else { continue };
            proposal.votes.insert(from);
            if has_all_votes(context.config, quorum, self.responders.as_ref(), proposal) {
                let value = proposal.value.clone();
                if !self.withholds(context, slot) && !self.awaits_responders(context) {
                    self.learn_own(context, slot, value);
                }
            }
        }
        self.execute(context);
        self.forget_finished(context);
        if self.resending.is_under_way() {
            self.send_again(context);
        }
    }

    /// `slot` is chosen: if it was proposed here, its client is answered when it executes.
    ///
    /// A leader has proposed in every slot below its next one that it does not know to be chosen;
    /// so if this is news, and not of its own proposal, then it is news of a rival.
    pub(super) fn finish(&mut self, context: &mut Context<'_>, slot: Slot, value: &Value) {
        let proposal = self.in_flight.remove(slot);
        if self.is_leading() && proposal.as_ref().is_none_or(|proposal| proposal.value != *value) {
            // Not the own phase 2 chose this, so a higher ballot did, and a phase-1 quorum has
            // promised it: no phase-2 quorum is left. To lead on would be wrong, not only idle:
            // "chosen below" would vouch for votes at this ballot in slots where it lost.
            self.give_up(context);
        }
        let Some(proposal) = proposal else { return };
        self.resending.acknowledge(slot, proposal.value.size());
        let Some(command) = proposal.value.command() else { return };
        let request = command.request;
        if proposal.value != *value {
            context.requests.lose(request, slot);
            // A deposed leader's command lost its slot; its client asks again elsewhere.
            let leader = self.leader_of(context.config.id);
            context.effects.replies.push(Reply::NotLeader { request, leader });
            return;
        }
        let awaiting = Awaiting {
            request,
            queueing: proposal.proposed.since(proposal.submitted),
            phase1: None,
            phase2: context.now.since(proposal.proposed),
            chosen_at: context.now,
        };
        context.requests.awaiting.insert(slot, awaiting);
    }

    /// The state of another replica is installed, in which the slots below `below` are executed.
    ///
    /// Whether own proposals there were chosen is not known: whoever asked for one is sent on, and
    /// finds out by asking again.
    /// A leader that passed over one of them gives up its ballot, for "chosen below" would vouch for
    /// votes at this ballot in slots where it may have lost; it runs phase 1 again, unless it knows
    /// of a rival.
    pub(in crate::paxos) fn pass_over(&mut self, context: &mut Context<'_>, below: Slot) {
        let was_leading = self.is_leading();
        if was_leading {
            self.give_up(context);
        }
        let leader = self.leader_of(context.config.id);
        let is_preparing = matches!(self.state, State::Preparing(_));
        let is_rival_known = self.rival >= self.last;
        let passed: Vec<Proposal> = self.in_flight.take_below(below).collect();
        for Proposal { value, submitted, .. } in passed {
            let Some(command) = value.into_command() else { continue };
            if is_preparing {
                self.queue(context, Arc::unwrap_or_clone(command), submitted);
            } else {
                context.effects.replies.push(Reply::NotLeader { request: command.request, leader });
            }
        }
        if was_leading && !is_rival_known {
            self.campaign(context);
        }
    }

    pub(super) fn forget_finished(&mut self, context: &Context<'_>) {
        self.in_flight.forget_below(context.learner.executed_below());
    }

    pub(super) fn arm_announce(&mut self, context: &mut Context<'_>) {
        if context.learner.executed_below() > self.announced_below && !self.is_announce_armed {
            self.is_announce_armed = true;
            let after = context.config.timing.announce_after;
            context.effects.set_timer(TimerKind::Announce.id(), after, Span::ZERO);
        }
    }

    /// Tells everybody what is chosen, if no proposal carried the news meanwhile.
    pub(super) fn announce(&mut self, context: &mut Context<'_>) {
        self.is_announce_armed = false;
        let Some(ballot) = self.leading_ballot() else { return };
        let below = context.learner.executed_below();
        if below > self.announced_below {
            self.announced_below = below;
            let chosen = Message::Chosen { ballot, first: Slot::ZERO, below };
            context.effects.send(context.config.others(), chosen);
        }
        self.ask_to_settle(context);
    }
}

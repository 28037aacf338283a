//! The proposer of Multi-Paxos: phase 1 once over all slots, then one round trip a write.
//!
//! A leader is a proposer that finished phase 1 and still holds its ballot.
//! When it begins to lead it proposes again whatever its phase-1 quorum reports, fills the holes
//! between with no-ops, and from then on gives each command the next slot without waiting for the
//! one before.
//! Here is what both phases share; `election.rs` decides who campaigns.

mod election;
mod health;
mod lease;
mod phase1;
mod phase2;
mod renewal;
mod resend;
mod responders;
mod roster;
mod settle;
mod stamps;

use std::collections::VecDeque;

use super::context::Context;
use super::message::Message;
use super::mode::Reads;
use super::requests::Place;
use super::timer::TimerKind;
use super::window::Window;
use crate::command::Command;
use crate::protocol::{Ballot, Config, Election, Note, Reply, Slot, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

use election::{Canvass, Watch};
use health::Health;
use lease::Lease;
use phase1::Preparing;
use phase2::Proposal;
use resend::Resending;
use roster::Responders;
use settle::Settling;
use stamps::Stamps;

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
    /// Commands that wait for the end of phase 1 or for a slot, and when they came.
    queue: VecDeque<(Time, Command)>,
    /// Every replica was told that the slots below this are chosen.
    announced_below: Slot,
    is_announce_armed: bool,
    is_retransmit_armed: bool,
    /// What is overdue and waits for room.
    resending: Resending,
    /// Who votes, as far as its own proposals tell.
    health: Health,
    /// Of what was adopted or filled when it began to lead: the end, and since when; until it is executed.
    recovering: Option<(Slot, Time)>,
    /// What it hears of leaders, where they are elected.
    watch: Option<Watch>,
    /// The ballot that is being settled, where each has a phase-2 quorum of its own.
    settling: Settling,
    /// It leads as soon as it has learned what it missed.
    is_to_campaign: bool,
    /// What it knows of its lease, where leaders hold one.
    lease: Option<Lease>,
    /// What it knows of responders, where there are any.
    responders: Option<Responders>,
    /// What it knows of commit timestamps, where leaders give them.
    stamps: Option<Stamps>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum State {
    Idle,
    Preparing(Preparing),
    Leading(Leading),
}

/// A ballot that this replica leads with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Leading {
    ballot: Ballot,
    /// Its phase-2 quorum, where each ballot has its own.
    quorum: Option<NodeSet>,
    /// Acceptors that promised a higher ballot.
    refused_by: NodeSet,
    /// Who would promise another ballot of this leader, while it asks.
    renewal: Option<Canvass>,
    is_renewal_armed: bool,
    /// What it adopted or filled lies below this slot, if that must be settled.
    settle_below: Option<Slot>,
    is_settle_asked: bool,
}

impl Multi {
    /// A proposer that takes `leader` for the leader until it hears of another.
    ///
    /// With a commit wait, no clock is off by more than `commit_wait`.
    pub(super) fn new(
        leader: NodeId,
        election: Election,
        reads: Reads,
        commit_wait: Option<Span>,
    ) -> Self {
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
            resending: Resending::default(),
            health: Health::default(),
            recovering: None,
            watch: Watch::new(election),
            settling: Settling::default(),
            is_to_campaign: false,
            lease: Lease::new(reads),
            responders: Responders::new(reads),
            stamps: Stamps::new(reads, commit_wait),
        }
    }

    fn leading(&self) -> Option<&Leading> {
        match &self.state {
            State::Leading(leading) => Some(leading),
            State::Idle | State::Preparing(_) => None,
        }
    }

    pub(super) fn is_leading(&self) -> bool {
        self.leading().is_some()
    }

    /// The ballot that it leads with.
    pub(super) fn leading_ballot(&self) -> Option<Ballot> {
        self.leading().map(|leading| leading.ballot)
    }

    /// The phase-2 quorum of the ballot that it leads with, if that has its own.
    pub(super) fn own_quorum(&self) -> Option<NodeSet> {
        self.leading()?.quorum
    }

    /// Who refused a proposal of the ballot that it leads with.
    pub(super) fn refused_by(&self) -> NodeSet {
        self.leading().map_or(NodeSet::EMPTY, |leading| leading.refused_by)
    }

    /// Takes back that it gave up the ballot with which `before` led: for a negative control.
    pub(super) fn lead_on(&mut self, before: &Self) {
        self.state = before.state.clone();
    }

    /// Whom clients that ask here are sent to; nobody, where leaders are elected and none is heard of.
    fn leader_of(&self, myself: NodeId) -> Option<NodeId> {
        let leader = match &self.watch {
            Some(watch) => watch.following(),
            None => Some(self.hint),
        };
        leader.filter(|leader| *leader != myself)
    }

    /// A ballot is in use: clients that ask here are sent to the highest of somebody else.
    pub(super) fn note_ballot(&mut self, ballot: Ballot, config: &Config) {
        if ballot.proposer != config.id && ballot > self.rival {
            self.rival = ballot;
            let own = if self.state == State::Idle { Ballot::NONE } else { self.last };
            if ballot > own {
                self.hint = ballot.proposer;
            }
        }
    }

    /// The highest ballot that this replica knows of.
    fn highest_ballot(&self, context: &Context<'_>) -> Ballot {
        self.rival.max(self.last).max(context.acceptor.promised_highest())
    }

    /// The replica has started: the leader of the configuration campaigns.
    pub(super) fn start(&mut self, context: &mut Context<'_>) {
        self.listen(context);
        self.remember_grants(context);
        self.execute(context);
        // Nobody has been heard of yet: the hint is the leader of the configuration.
        if self.hint == context.config.id {
            // Who is behind would be told every vote since; it learns what is chosen first.
            // Where leaders are elected, another may lead by now: it listens first.
            let is_elected = context.config.election != Election::Fixed;
            let is_rejoining = context.catch_up.is_rejoining;
            self.is_to_campaign = is_rejoining && !is_elected;
            if !is_rejoining {
                self.campaign(context);
            }
        }
    }

    /// The replica has learned what it missed.
    pub(super) fn note_level(&mut self, context: &mut Context<'_>) {
        if std::mem::take(&mut self.is_to_campaign) {
            self.campaign(context);
        }
    }

    /// What only leaders, and those who elect or settle one, tell each other.
    pub(super) fn handle_message(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        message: Message,
    ) {
        match message {
            Message::HeartbeatAck { ballot } => self.handle_heartbeat_ack(from, ballot),
            Message::PreVote { ballot, executed_below } => {
                self.handle_pre_vote(context, from, ballot, executed_below);
            }
            Message::PreVoteGranted { ballot, announced } => {
                self.handle_pre_vote_granted(context, from, ballot, *announced);
            }
            Message::Settle { ballot, below } => {
                self.settling.handle_settle(context, ballot, below);
            }
            Message::Settled { ballot } => self.settling.handle_settled(context, from, ballot),
            _ => {}
        }
    }

    pub(super) fn handle_timer(&mut self, context: &mut Context<'_>, timer: TimerKind) {
        match timer {
            TimerKind::Retransmit => self.retransmit(context),
            TimerKind::Announce => self.announce(context),
            TimerKind::Election => self.doubt(context),
            TimerKind::Heartbeat => self.beat(context),
            TimerKind::Renew => self.renew(context),
            TimerKind::Silence => {
                self.end_silence(context);
                self.end_wait_for_responders(context);
            }
            TimerKind::Roster => self.renew_leases(context),
            TimerKind::SafeTime => self.advance_safe_time(context),
            TimerKind::CatchUp
            | TimerKind::Read
            | TimerKind::CommitWait
            | TimerKind::Fill
            | TimerKind::Attempt(_) => {}
        }
    }

    /// A client's command: proposed, queued behind phase 1, or sent on to the leader.
    pub(super) fn submit(&mut self, context: &mut Context<'_>, command: Command) {
        if self.state == State::Idle && !self.is_to_campaign {
            let leader = self.leader_of(context.config.id);
            context.effects.replies.push(Reply::NotLeader { request: command.request, leader });
        } else if !context.is_retry(&command) {
            match self.leading_ballot() {
                Some(ballot) if self.queue.is_empty() && self.has_room(context) => {
                    self.propose_next(context, ballot, command, context.now);
                }
                _ => self.queue(context, command, context.now),
            }
        }
    }

    /// A command waits for the end of phase 1, or for a slot that the others would remember.
    fn queue(&mut self, context: &mut Context<'_>, command: Command, submitted: Time) {
        context.requests.put(&command, Place::Queue);
        self.queue.push_back((submitted, command));
    }

    /// `slot` is chosen with `value`.
    pub(super) fn learn(&mut self, context: &mut Context<'_>, slot: Slot, value: Value) {
        self.finish(context, slot, &value);
        context.learner.learn(slot, value, context.is_safe);
    }

    /// Executes what is chosen, and does what had to wait for that.
    pub(super) fn execute(&mut self, context: &mut Context<'_>) {
        context.execute();
        self.lead_when_level(context);
        self.note_recovery(context);
        self.settle_when_level(context);
        if self.is_leading() {
            self.propose_queued(context);
            // What let execution go on may have been taught by another: that is news as well.
            self.arm_announce(context);
        }
    }

    /// Says once that everything adopted or filled is executed and clients may be told, and then asks everybody to
    /// settle that.
    fn note_recovery(&mut self, context: &mut Context<'_>) {
        if self.leading().is_some_and(|leading| !leading.is_settle_asked) {
            self.ask_to_settle(context);
        }
        if let Some((end, since)) = self.recovering
            && context.learner.executed_below() >= end
            && !self.is_silent(context)
        {
            self.recovering = None;
            context.effects.notes.push(Note::Recovered { transfer: context.now.since(since) });
        }
    }

    /// Asks everybody to settle its ballot, once everything that it adopted is executed.
    fn ask_to_settle(&mut self, context: &mut Context<'_>) {
        let State::Leading(leading) = &mut self.state else { return };
        let Some(below) = leading.settle_below else { return };
        leading.is_settle_asked |= context.learner.executed_below() >= below;
        if leading.is_settle_asked {
            self.settling.ask(context, leading.ballot, below);
        }
    }

    /// Settles the ballot that it was asked to settle, if it has executed enough for that.
    pub(super) fn settle_when_level(&mut self, context: &mut Context<'_>) {
        self.settling.settle_when_level(context);
    }

    /// A refusal: the ballot is given up when no quorum is left that could still grant it.
    ///
    /// With flexible quorums one refusal proves little: the leader may keep a phase-2 quorum that
    /// the refusing acceptor is not in.
    /// A ballot with an announced quorum needs another ballot when one member refuses, which a renewal
    /// finds; it is given up when those who refuse are enough for a rival to lead.
    pub(super) fn handle_refused(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
    ) {
        let (quorums, everybody) = (&context.config.quorums, context.config.everybody());
        let is_pre_vote = match &self.state {
            State::Idle => self.watch.is_some(),
            State::Preparing(_) => false,
            State::Leading(leading) => ballot > leading.ballot,
        };
        if is_pre_vote {
            self.rival = self.rival.max(promised);
            self.handle_refused_pre_vote(context, ballot);
            return;
        }
        let is_over = match &mut self.state {
            State::Preparing(preparing) if preparing.ballot == ballot => {
                preparing.refused_by.insert(from);
                let willing = everybody.difference(preparing.refused_by);
                !quorums.is_phase1_over(willing, preparing.announced.quorums())
            }
            State::Leading(leading) if leading.ballot == ballot => {
                leading.refused_by.insert(from);
                match leading.quorum {
                    Some(_) => quorums.is_phase1(leading.refused_by),
                    None => !quorums.is_phase2(everybody.difference(leading.refused_by)),
                }
            }
            _ => return,
        };
        self.rival = self.rival.max(promised);
        if is_over {
            self.give_up(context);
        } else {
            self.review(context);
        }
    }

    /// Gives up the ballot; who waited for phase 1 is sent on.
    ///
    /// Open proposals stay: they may yet be chosen, and then their clients are answered.
    fn give_up(&mut self, context: &mut Context<'_>) {
        self.listen(context);
        context.requests.clear();
        self.state = State::Idle;
        self.resending = Resending::default();
        self.recovering = None;
        self.end_lease(context);
        self.end_roster();
        if self.rival > self.last {
            self.hint = self.rival.proposer;
        }
        let leader = self.leader_of(context.config.id);
        context.effects.notes.push(Note::RaceLost);
        for (_, command) in std::mem::take(&mut self.queue) {
            context.effects.replies.push(Reply::NotLeader { request: command.request, leader });
        }
    }

    fn arm_retransmit(&mut self, context: &mut Context<'_>, after: Span, spread: Span) {
        if !self.is_retransmit_armed {
            self.is_retransmit_armed = true;
            context.effects.set_timer(TimerKind::Retransmit.id(), after, spread);
        }
    }

    /// Sends again, to everybody who has not answered, what has no quorum after a time-out.
    fn retransmit(&mut self, context: &mut Context<'_>) {
        self.forget_finished(context);
        self.is_retransmit_armed = false;
        let after = match &self.state {
            State::Idle => None,
            State::Preparing(_) => self.prepare_again(context),
            State::Leading(_) => self.propose_overdue(context),
        };
        if let Some(after) = after {
            self.arm_retransmit(context, after, Span::ZERO);
        }
    }
}

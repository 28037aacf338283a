//! The proposer of Multi-Paxos: phase 1 once over all slots, then one round trip a write.
//!
//! A leader is a proposer that finished phase 1 and still holds its ballot.
//! When it begins to lead it proposes again whatever its phase-1 quorum reports, fills the holes
//! between with no-ops, and from then on gives each command the next slot without waiting for the
//! one before.
//! Here is what both phases share; who campaigns is not decided here, but in `election.rs`.

mod health;
mod phase1;
mod phase2;
mod renewal;
mod resend;

use std::collections::VecDeque;

use super::Effects;
use super::ballot::Ballot;
use super::config::Election;
use super::election::{Canvass, Watch};
use super::replica::{Proposer, Replica, TimerKind};
use super::requests::Place;
use super::window::Window;
use crate::command::Command;
use crate::protocol::{Note, Reply, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

use health::Health;
use phase1::Preparing;
pub(super) use phase1::Promised;
use phase2::Proposal;
use resend::Resending;

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
    /// What is overdue and waits for room.
    resending: Resending,
    /// Who votes, as far as its own proposals tell.
    health: Health,
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
        /// Who would promise another ballot of this leader, while it asks.
        renewal: Option<Canvass>,
        is_renewal_armed: bool,
        /// What it adopted or filled lies below this slot, if that must be settled.
        settle_below: Option<Slot>,
        is_settle_asked: bool,
    },
}

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
            resending: Resending::default(),
            health: Health::default(),
            recovering: None,
            watch: Watch::new(election),
        }
    }

    pub(super) fn is_leading(&self) -> bool {
        matches!(self.state, State::Leading { .. })
    }

    /// The pre-vote under way: of a leader, or of one who hears of none.
    pub(super) fn pre_vote(&mut self) -> Option<&mut Option<Canvass>> {
        match &mut self.state {
            State::Leading { renewal, .. } => Some(renewal),
            State::Idle | State::Preparing(_) => {
                self.watch.as_mut().map(|watch| &mut watch.canvass)
            }
        }
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
    pub fn refused_by(&self) -> NodeSet {
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

    /// The ballot that it leads with and that is to be settled, and below which slot.
    pub(super) fn ballot_to_settle(&mut self) -> Option<(Ballot, Slot)> {
        match &mut self.proposer {
            Proposer::Multi(Multi {
                state: State::Leading { ballot, settle_below, is_settle_asked, .. },
                ..
            }) => {
                *is_settle_asked |=
                    settle_below.is_some_and(|below| self.learner.executed_below() >= below);
                settle_below.filter(|_| *is_settle_asked).map(|below| (*ballot, below))
            }
            _ => None,
        }
    }

    /// Says once that everything adopted or filled is executed, and then asks everybody to settle that.
    pub(super) fn note_recovery(&mut self, now: Time, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let Proposer::Multi(multi) = &mut self.proposer else { return };
        if matches!(multi.state, State::Leading { is_settle_asked: false, .. }) {
            self.ask_to_settle(effects);
        }
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
        if multi.state == State::Idle && !is_to_campaign {
            let leader = multi.leader_of(myself);
            effects.replies.push(Reply::NotLeader { request: command.request, leader });
        } else if !self.is_retry(&command, effects) {
            if self.is_leader() {
                self.propose_next(now, command, now, effects);
            } else {
                self.queue(now, command);
            }
        }
    }

    /// A command waits for the end of phase 1.
    fn queue(&mut self, submitted: Time, command: Command) {
        self.requests.put(&command, Place::Queue);
        self.multi().queue.push_back((submitted, command));
    }

    /// A refusal: the ballot is given up when no quorum is left that could still grant it.
    ///
    /// With flexible quorums one refusal proves little: the leader may keep a phase-2 quorum that
    /// the refusing acceptor is not in.
    /// A ballot with an announced quorum needs another ballot when one member refuses, which a renewal
    /// finds; it is given up when those who refuse are enough for a rival to lead.
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
        let is_pre_vote = match &multi.state {
            State::Idle => multi.watch.is_some(),
            State::Preparing(_) => false,
            State::Leading { ballot: own, .. } => ballot > *own,
        };
        if is_pre_vote {
            multi.rival = multi.rival.max(promised);
            self.handle_refused_pre_vote(now, ballot, effects);
            return;
        }
        let is_over = match &mut multi.state {
            State::Preparing(preparing) if preparing.ballot == ballot => {
                preparing.refused_by.insert(from);
                let willing = everybody.difference(preparing.refused_by);
                let announced = preparing.announced.quorums();
                !self.config.quorums.is_phase1_over(willing, announced)
            }
            State::Leading { ballot: own, quorum, refused_by, .. } if *own == ballot => {
                refused_by.insert(from);
                match quorum {
                    Some(_) => self.config.quorums.is_phase1(*refused_by),
                    None => !self.config.quorums.is_phase2(everybody.difference(*refused_by)),
                }
            }
            _ => return,
        };
        multi.rival = multi.rival.max(promised);
        if is_over {
            self.give_up(now, effects);
        } else {
            self.review(now, effects);
        }
    }

    /// Gives up the ballot; who waited for phase 1 is sent on.
    ///
    /// Open proposals stay: they may yet be chosen, and then their clients are answered.
    pub(super) fn give_up(&mut self, now: Time, effects: &mut Effects) {
        let myself = self.config.id;
        self.listen(now, effects);
        self.requests.clear();
        let multi = self.multi();
        multi.state = State::Idle;
        multi.resending = Resending::default();
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

    fn arm_retransmit(&mut self, after: Span, spread: Span, effects: &mut Effects) {
        let multi = self.multi();
        if !multi.is_retransmit_armed {
            multi.is_retransmit_armed = true;
            effects.set_timer(TimerKind::Retransmit.id(), after, spread);
        }
    }

    /// Sends again, to everybody who has not answered, what has no quorum after a time-out.
    pub(super) fn retransmit(&mut self, now: Time, effects: &mut Effects) {
        self.forget_finished();
        let multi = self.multi();
        multi.is_retransmit_armed = false;
        let after = match &multi.state {
            State::Idle => None,
            State::Preparing(_) => self.prepare_again(now, effects),
            State::Leading { .. } => self.propose_overdue(now, effects),
        };
        if let Some(after) = after {
            self.arm_retransmit(after, Span::ZERO, effects);
        }
    }
}

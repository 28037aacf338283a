//! Reads beside the log: quorum reads (Charapko, Ailijiang, Demirbas, *Linearizable quorum reads in Paxos*, 2019), for any phase-1 quorums.
//!
//! The replica that a client asks need not lead. It asks a phase-1 quorum for the end of what each member voted for or
//! knows to be chosen, waits until it has executed every slot below the highest of these ends, and answers from its
//! own state machine. So a read takes no slot, no disk and no leader, and its price is that of the phase-1 quorum.
//!
//! # Why it is linearizable
//!
//! - *It sees every write that was acknowledged before it began.* Such a write is chosen: a phase-2 quorum voted for
//!   it. The phase-1 quorum asked meets that one, and the member in both answered after its vote, so the end that it
//!   tells lies behind the slot. A member that has forgotten the vote has executed the slot, or knows that it is
//!   chosen, and its end lies behind the slot too.
//! - *It sees what any read before it saw.* What that one saw was executed, so it was chosen before it was answered,
//!   and the point above holds for it.
//! - *It sees nothing that is not chosen*, because it answers from what is executed.
//!
//! Where each ballot announces a phase-2 quorum of its own, the answers tell what was announced, and the replica asks
//! on until it has met all of that, as a phase 1 does (`announced.rs`).
//!
//! An answer names the request and nothing else. That is enough: a late answer to the same request, even of one that
//! this replica asked before it crashed, was given after the request was made.
//!
//! A slot that somebody voted for and that is not chosen holds the read up until a leader has settled what is in it:
//! a read of this kind does not depend on the leader, but on the outcome of the last write.

use std::collections::{BTreeMap, BTreeSet};

use super::announced::Announced;
use super::context::Context;
use super::message::Message;
use super::timer::TimerKind;
use crate::command::{Command, RequestId};
use crate::protocol::{Note, Reply, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// The reads that a replica has not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Reads {
    open: BTreeMap<RequestId, Read>,
    /// Those that know below which slot everything must be executed, by that slot.
    waiting: BTreeSet<(Slot, RequestId)>,
    is_armed: bool,
}

/// A read without an answer yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Read {
    key: u64,
    /// Who answered.
    answered: NodeSet,
    /// The phase-2 quorums that must be met, where each ballot has its own.
    announced: Announced,
    /// The highest end that any of them told.
    below: Slot,
    /// Whether they are enough.
    is_waiting: bool,
    /// When it was begun, or the others were asked again.
    asked_at: Time,
}

impl Reads {
    /// Takes one out that has seen enough, if everything that it must see is executed.
    fn pop_ready(&mut self, executed_below: Slot) -> Option<(RequestId, u64)> {
        let (below, request) = *self.waiting.first()?;
        if below > executed_below {
            return None;
        }
        self.waiting.pop_first();
        let read = self.open.remove(&request).expect("one that waits is open");
        Some((request, read.key))
    }

    /// Forgets those that their client awaits no more.
    fn settle(&mut self, command: &Command) {
        let of = |sequence| RequestId { client: command.request.client, sequence };
        let settled = self.open.range(of(0)..of(command.settled_below));
        let settled: Vec<RequestId> = settled.map(|(request, _)| *request).collect();
        for request in settled {
            if let Some(read) = self.open.remove(&request) {
                self.waiting.remove(&(read.below, request));
            }
        }
    }
}

impl Context<'_> {
    /// A client reads beside the log, for the first time or again.
    ///
    /// A replica without a state machine cannot answer, and names nobody: each client knows who can.
    pub(super) fn begin_read(&mut self, command: &Command) {
        let (request, key) = (command.request, command.operation.key());
        if !self.config.is_learner() {
            self.effects.replies.push(Reply::NotLeader { request, leader: None });
            return;
        }
        self.reads.settle(command);
        if let Some(read) = self.reads.open.get_mut(&request) {
            // Its client has waited for long, so whoever was asked first did not answer.
            if !read.is_waiting {
                read.asked_at = self.now;
                let others = self.config.acceptors().difference(read.answered);
                self.send_ask_end(others, request);
            }
            return;
        }
        let read = Read {
            key,
            answered: NodeSet::EMPTY,
            announced: Announced::default(),
            below: Slot::ZERO,
            is_waiting: false,
            asked_at: self.now,
        };
        self.reads.open.insert(request, read);
        self.send_ask_end(self.config.phase1_contacts(self.config.acceptors()), request);
        self.arm_reads(self.config.timing.retransmit_after);
    }

    fn send_ask_end(&mut self, to: NodeSet, request: RequestId) {
        let myself = self.config.id;
        self.effects.send(to.without(myself), Message::AskEnd { request });
        if to.contains(myself) {
            self.handle_ask_end(myself, request);
        }
    }

    /// How far does the log go, as far as this acceptor knows?
    ///
    /// Nothing must be durable before it answers: a vote that it may still forget was not counted by anybody.
    pub(super) fn handle_ask_end(&mut self, from: NodeId, request: RequestId) {
        if !self.config.is_acceptor() {
            return;
        }
        let below = self.acceptor.end().max(self.learner.end());
        let announced = self.acceptor.announced().clone();
        if from == self.config.id {
            self.handle_end(from, request, below, announced);
        } else {
            self.effects.send(NodeSet::only(from), Message::End { request, below, announced });
        }
    }

    pub(super) fn handle_end(
        &mut self,
        from: NodeId,
        request: RequestId,
        below: Slot,
        announced: Announced,
    ) {
        let Some(read) = self.reads.open.get_mut(&request).filter(|read| !read.is_waiting) else {
            return;
        };
        read.answered.insert(from);
        read.announced.merge(announced);
        read.below = read.below.max(below);
        let quorums = &self.config.quorums;
        read.is_waiting = quorums.is_phase1_over(read.answered, read.announced.quorums());
        if read.is_waiting {
            self.reads.waiting.insert((read.below, request));
        }
    }

    /// Answers the reads that have seen enough.
    pub(super) fn answer_reads(&mut self) {
        let below = self.learner.executed_below();
        while let Some((request, key)) = self.reads.pop_ready(below) {
            let value = self.learner.machine().value(key).cloned();
            self.effects.replies.push(Reply::Read { request, below, value });
        }
    }

    /// Asks everybody who has not answered again, and those ahead for what holds up reads.
    pub(super) fn read_again(&mut self) {
        self.reads.is_armed = false;
        let patience = self.config.timing.retransmit_after;
        let now = self.now;
        let is_overdue = |read: &Read| now.since(read.asked_at) >= patience;
        let reads = self.reads.open.iter_mut();
        let overdue: Vec<(RequestId, bool, NodeSet)> = reads
            .filter(|(_, read)| is_overdue(read))
            .map(|(request, read)| {
                read.asked_at = now;
                (*request, read.is_waiting, read.answered)
            })
            .collect();
        if !overdue.is_empty() {
            self.effects.notes.push(Note::Retransmitted);
        }
        for (request, _, answered) in overdue.iter().filter(|(_, is_waiting, _)| !is_waiting) {
            self.send_ask_end(self.config.acceptors().difference(*answered), *request);
        }
        if overdue.iter().any(|(_, is_waiting, _)| *is_waiting) {
            // The news that the slot is chosen was lost, or nobody knows of it yet.
            self.effects.send(self.config.teachers(), self.everything_after_execution());
        }
        let oldest = self.reads.open.values().map(|read| read.asked_at).min();
        if let Some(oldest) = oldest {
            self.arm_reads(Span(patience.0.saturating_sub(now.since(oldest).0)));
        }
    }

    pub(super) fn arm_reads(&mut self, after: Span) {
        if !self.reads.is_armed {
            self.reads.is_armed = true;
            self.effects.set_timer(TimerKind::Read.id(), after, Span::ZERO);
        }
    }
}

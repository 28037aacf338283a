//! Settling a ballot, so that the phase-2 quorums announced at lower ones are forgotten.
//!
//! What is settled when, and why quorums may be forgotten then, is argued in `announced.rs`.
//! Here are the messages: the leader asks ([`Message::Settle`]); who has executed what it adopted makes
//! that durable and tells everybody ([`Message::Settled`]); who has heard that of a phase-1 quorum
//! forgets.
//!
//! To make durable that slots are executed is cheap: the acceptor has voted for nearly all of the chosen
//! values, and those votes are on its disk already.
//! The others are recorded ([`Record::Learned`]), and then the end of them ([`Record::Settled`]).
//! So no checkpoint is needed, which may come thousands of slots later.
//!
//! A leader asks again, with its heartbeats and announcements, until a phase-1 quorum has answered;
//! whoever was not reached keeps the announcements, and a phase 1 that hears of them also hears that
//! they are forgotten.

use crate::paxos::context::Context;
use crate::paxos::message::{Message, Record};
use crate::protocol::{Ballot, Slot};
use crate::quorum::{NodeId, NodeSet};

/// What a replica was asked to settle, and who has settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Settling {
    /// It is to settle this ballot when it has executed every slot below this one.
    asked: Option<(Ballot, Slot)>,
    /// The highest ballot that anybody has settled, and who has.
    ballot: Ballot,
    settled_by: NodeSet,
}

impl Settling {
    /// A leader has executed everything it adopted: asks everybody to settle its ballot, as long as no
    /// phase-1 quorum has.
    pub(super) fn ask(&mut self, context: &mut Context<'_>, ballot: Ballot, below: Slot) {
        let is_settled = context.acceptor.announced().forgotten_below() >= ballot;
        if is_settled {
            return;
        }
        let is_counted = self.ballot == ballot;
        let settled_by = if is_counted { self.settled_by } else { NodeSet::EMPTY };
        let candidates = context.config.quorums.candidates();
        let others = candidates.without(context.config.id).difference(settled_by);
        context.effects.send(others, Message::Settle { ballot, below });
        if !settled_by.contains(context.config.id) {
            self.handle_settle(context, ballot, below);
        }
    }

    /// The leader of `ballot` has executed every slot below `below`, and nothing it adopted lies behind.
    pub(super) fn handle_settle(&mut self, context: &mut Context<'_>, ballot: Ballot, below: Slot) {
        if context.config.quorums.announces() {
            self.asked = self.asked.max(Some((ballot, below)));
            self.settle_when_level(context);
        }
    }

    /// Settles the ballot that it was asked to settle, as soon as it has executed what it must have.
    pub(super) fn settle_when_level(&mut self, context: &mut Context<'_>) {
        let Some((ballot, below)) = self.asked else { return };
        if context.acceptor.promised_highest() > ballot {
            // Who promised more has told that proposer nothing of this.
            self.asked = None;
            return;
        }
        if context.learner.executed_below() < below {
            return;
        }
        if !context.acceptor.has_settled(ballot) {
            // A state that was taken from another replica is durable with the next checkpoint.
            let Some(learned) = learned_only(context, below) else { return };
            context.effects.records.extend(learned);
            context.effects.records.push(context.acceptor.settle(ballot, below));
        }
        self.asked = None;
        let settled = Message::Settled { ballot };
        context.effects.send_durable(context.config.everybody(), settled, |_, _| false);
    }

    /// A replica has settled `ballot`: when a phase-1 quorum has, it may forget.
    pub(super) fn handle_settled(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
    ) {
        if ballot < self.ballot {
            return;
        }
        if ballot > self.ballot {
            self.settled_by = NodeSet::EMPTY;
        }
        self.ballot = ballot;
        self.settled_by.insert(from);
        if context.config.quorums.is_phase1(self.settled_by) {
            context.effects.records.extend(context.acceptor.forget_announced(ballot));
        }
    }
}

/// The chosen values below `below` that are neither in a checkpoint nor voted for; `None` if one of
/// them is not remembered.
fn learned_only(context: &Context<'_>, below: Slot) -> Option<Vec<Record>> {
    let mut learned = Vec::new();
    for slot in (context.trimming.durable_below().0..below.0).map(Slot) {
        let value = context.learner.value(slot)?;
        if context.acceptor.vote(slot).is_none_or(|vote| vote.value != *value) {
            learned.push(Record::Learned { slot, value: value.clone() });
        }
    }
    Some(learned)
}

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

use std::collections::BTreeMap;

use super::Effects;
use super::ballot::Ballot;
use super::message::{Message, Record, Value};
use super::replica::Replica;
use crate::protocol::Slot;
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

impl Replica {
    /// Of a leader that has executed everything it adopted: asks everybody to settle its ballot, as long
    /// as no phase-1 quorum has.
    pub(super) fn ask_to_settle(&mut self, effects: &mut Effects) {
        let Some((ballot, below)) = self.ballot_to_settle() else { return };
        let is_settled = self.acceptor.announced().forgotten_below() >= ballot;
        if is_settled {
            return;
        }
        let is_counted = self.settling.ballot == ballot;
        let settled_by = if is_counted { self.settling.settled_by } else { NodeSet::EMPTY };
        let others = self.config.others().difference(settled_by);
        effects.send(others, Message::Settle { ballot, below });
        if !settled_by.contains(self.config.id) {
            self.handle_settle(ballot, below, effects);
        }
    }

    /// The leader of `ballot` has executed every slot below `below`, and nothing it adopted lies behind.
    pub(super) fn handle_settle(&mut self, ballot: Ballot, below: Slot, effects: &mut Effects) {
        if self.config.quorums.announces() {
            self.settling.asked = self.settling.asked.max(Some((ballot, below)));
            self.settle_when_level(effects);
        }
    }

    /// Settles the ballot that it was asked to settle, as soon as it has executed what it must have.
    pub(super) fn settle_when_level(&mut self, effects: &mut Effects) {
        let Some((ballot, below)) = self.settling.asked else { return };
        if self.acceptor.promised_highest() > ballot {
            // Who promised more has told that proposer nothing of this.
            self.settling.asked = None;
            return;
        }
        if self.learner.executed_below() < below {
            return;
        }
        if !self.acceptor.has_settled(ballot) {
            // A state that was taken from another replica is durable with the next checkpoint.
            let Some(learned) = self.learned_only(below) else { return };
            effects.records.extend(learned);
            effects.records.push(self.acceptor.settle(ballot, below));
        }
        self.settling.asked = None;
        let settled = Message::Settled { ballot };
        effects.send_durable(self.config.everybody(), settled, |_, _| false);
    }

    /// The chosen values below `below` that are neither in a checkpoint nor voted for; `None` if one of
    /// them is not remembered.
    fn learned_only(&self, below: Slot) -> Option<Vec<Record>> {
        let mut learned = Vec::new();
        for slot in (self.durable_below.0..below.0).map(Slot) {
            let value = self.learner.value(slot)?;
            if self.acceptor.vote(slot).is_none_or(|vote| vote.value != *value) {
                learned.push(Record::Learned { slot, value: value.clone() });
            }
        }
        Some(learned)
    }

    /// A replica has settled `ballot`: when a phase-1 quorum has, it may forget.
    pub(super) fn handle_settled(&mut self, from: NodeId, ballot: Ballot, effects: &mut Effects) {
        if ballot < self.settling.ballot {
            return;
        }
        if ballot > self.settling.ballot {
            self.settling.settled_by = NodeSet::EMPTY;
        }
        self.settling.ballot = ballot;
        self.settling.settled_by.insert(from);
        if self.config.quorums.is_phase1(self.settling.settled_by) {
            effects.records.extend(self.acceptor.forget_announced(ballot));
        }
    }

    /// What was chosen below `below` is known again from the votes, and from what was recorded besides.
    pub(super) fn recover_settled(&mut self, below: Slot, learned: &BTreeMap<Slot, Value>) {
        for slot in (self.learner.executed_below().0..below.0).map(Slot) {
            let voted = || self.acceptor.vote(slot).map(|vote| &vote.value);
            let Some(value) = learned.get(&slot).or_else(voted).cloned() else { return };
            self.learner.learn(slot, value, self.is_safe);
        }
        self.durable_below = self.durable_below.max(below);
    }
}

//! The acceptor: for each key the highest ballot promised and the last vote, and when to give either.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Effects;
use super::message::{Message, Record, Vote};
use super::register::State;
use crate::protocol::Ballot;
use crate::quorum::{NodeId, NodeSet};

/// The registers of one acceptor.
///
/// Copies share what neither has changed since: a checkpoint begins in the time of the blocks, not of the
/// registers, and a change copies one block at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Acceptor {
    /// By the key over [`BLOCK`]: the registers of a block, by key.
    blocks: BTreeMap<u64, Arc<BTreeMap<u64, Register>>>,
}

/// The keys of a block.
const BLOCK: u64 = 64;

/// What an acceptor keeps of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Register {
    /// The highest ballot promised, or voted at.
    promised: Ballot,
    vote: Option<Vote>,
    /// Since its last vote it has promised nothing but the ballot that came with it, and was not started again:
    /// to tell that vote once more takes nothing back.
    is_repeatable: bool,
}

impl Acceptor {
    /// The highest ballot promised for a key.
    pub(super) fn promised(&self, key: u64) -> Ballot {
        self.register(key).map_or(Ballot::NONE, |register| register.promised)
    }

    /// The last vote for a key.
    pub(super) fn vote(&self, key: u64) -> Option<&Vote> {
        self.register(key)?.vote.as_ref()
    }

    fn register(&self, key: u64) -> Option<&Register> {
        self.blocks.get(&(key / BLOCK))?.get(&key)
    }

    /// The register of a key, to change; it begins empty.
    fn open(&mut self, key: u64) -> &mut Register {
        Arc::make_mut(self.blocks.entry(key / BLOCK).or_default()).entry(key).or_default()
    }

    /// Prepare: promises a ballot above every other, and reports the last vote.
    ///
    /// Asked again for the ballot that it promised last, it answers again. One that it has voted at is past
    /// that: its proposer has a phase-1 quorum.
    pub(super) fn handle_phase1a(
        &mut self,
        from: NodeId,
        key: u64,
        ballot: Ballot,
        effects: &mut Effects,
    ) {
        let register = self.open(key);
        if ballot < register.promised {
            refuse(from, key, ballot, register.promised, effects);
            return;
        }
        if register.vote.as_ref().is_some_and(|vote| vote.ballot == ballot) {
            return;
        }
        register.is_repeatable = false;
        if ballot > register.promised {
            register.promised = ballot;
            effects.records.push(Record::Promise { key, ballot });
        }
        let promise = Message::Phase1b { key, ballot, vote: register.vote.clone() };
        effects.send_durable(NodeSet::only(from), promise, |_, _| false);
    }

    /// Accept: votes unless a higher ballot is promised, and promises the next one.
    ///
    /// Asked again for its last vote it tells it again, unless it has told somebody of a higher ballot since.
    ///
    /// # Panics
    /// If it has voted for another state at this ballot.
    pub(super) fn handle_phase2a(
        &mut self,
        from: NodeId,
        key: u64,
        proposal: Vote,
        next: Option<Ballot>,
        effects: &mut Effects,
    ) {
        let register = self.open(key);
        let (ballot, slot) = (proposal.ballot, proposal.state.last().0);
        match &register.vote {
            Some(vote) if vote.ballot == ballot && register.may_repeat(ballot, next) => assert!(
                vote.state == proposal.state,
                "two states at ballot {ballot}: {} and {}",
                vote.state,
                proposal.state
            ),
            _ if ballot < register.promised => {
                refuse(from, key, ballot, register.promised, effects);
                return;
            }
            _ => {
                register.promised = next.unwrap_or(ballot);
                register.vote = Some(proposal.clone());
                register.is_repeatable = true;
                let promised = register.promised;
                effects.records.push(Record::Vote { key, vote: proposal, promised });
            }
        }
        let next = next.filter(|next| register.promised == *next);
        let vote = Message::Phase2b { key, ballot, slot, next };
        effects.send_durable(NodeSet::only(from), vote, |_, _| false);
    }

    /// The state that it has voted for at a ballot.
    pub(super) fn voted_at(&self, key: u64, ballot: Ballot) -> Option<&State> {
        self.vote(key).filter(|vote| vote.ballot == ballot).map(|vote| &vote.state)
    }

    /// What a checkpoint held: none of it may be told again as if nothing had happened since.
    pub(super) fn restore(&mut self) {
        for block in self.blocks.values_mut() {
            for register in Arc::make_mut(block).values_mut() {
                register.is_repeatable = false;
            }
        }
    }

    /// Restores one record that was durable; no vote of an earlier life is repeatable.
    pub(super) fn recover(&mut self, record: Record) {
        match record {
            Record::Rounds { .. } => {}
            Record::Promise { key, ballot } => {
                let register = self.open(key);
                register.promised = register.promised.max(ballot);
            }
            Record::Vote { key, vote, promised } => {
                let register = self.open(key);
                register.promised = register.promised.max(promised);
                register.vote = Some(vote);
            }
        }
    }
}

impl Register {
    /// Whether a vote at this ballot, which promised `next` too, may be told again.
    fn may_repeat(&self, ballot: Ballot, next: Option<Ballot>) -> bool {
        self.promised == ballot || (self.is_repeatable && next == Some(self.promised))
    }
}

fn refuse(to: NodeId, key: u64, ballot: Ballot, promised: Ballot, effects: &mut Effects) {
    effects.send(NodeSet::only(to), Message::Refused { key, ballot, promised });
}

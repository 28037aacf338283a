//! Which slots a replica forgets, and when; why it may is argued in `snapshot.rs`.
//!
//! A witness executes nothing and has no state to send, so it may not forget a vote as soon as a full replica may: its
//! vote may be all that a new leader has to learn a value from.
//! It forgets what every replica with a state machine has durably executed.
//! Where replicas forget more, it forgets a slot that replicas *E* have durably executed, if the others hold no phase-1
//! quorum: then any phase 1 that ends was promised by a member of *E*, which is up and can teach the slot.
//! Otherwise a phase 1 could end among those that have neither the vote nor the state, and its leader would wait for
//! a member of *E* for ever. The rule is broken on purpose as `witness-forgets-early` ([`crate::sabotage::Rule`]).

use std::collections::BTreeMap;

use super::acceptor::Acceptor;
use super::learner::Learner;
use crate::protocol::{Config, Slot};
use crate::quorum::{NodeId, NodeSet};

/// What is known of how far the replicas have durably executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Trimming {
    /// Slots below this are durably executed, by replica with a state machine; the least of them may be forgotten.
    executed: BTreeMap<NodeId, Slot>,
    /// Slots below this may be forgotten here for the sake of what others have executed.
    forgettable_below: Slot,
    /// Slots below this are durably executed here.
    durable_below: Slot,
}

impl Trimming {
    /// Slots below this are durably executed here.
    pub(super) const fn durable_below(&self) -> Slot {
        self.durable_below
    }

    /// This replica has durably executed every slot below `below`.
    pub(super) fn note_durable(&mut self, below: Slot) {
        self.durable_below = self.durable_below.max(below);
    }

    /// A replica has durably executed every slot below `below`.
    pub(super) fn handle_executed(&mut self, from: NodeId, below: Slot, config: &Config) {
        let known = self.executed.entry(from).or_default();
        *known = (*known).max(below);
        let by_all = self.executed_by_all(config);
        let by_enough =
            if config.is_learner() { Slot::ZERO } else { self.executed_by_enough(config) };
        self.forgettable_below = self.forgettable_below.max(by_all).max(by_enough);
    }

    /// Slots below this every replica with a state machine has durably executed.
    fn executed_by_all(&self, config: &Config) -> Slot {
        let is_known = self.executed.len() == config.quorums.learners().len();
        self.executed.values().min().copied().filter(|_| is_known).unwrap_or_default()
    }

    /// Of a witness: slots below this are durably executed by a member of every phase-1 quorum, and lie far enough
    /// behind.
    fn executed_by_enough(&self, config: &Config) -> Slot {
        if config.retention.slots.is_none() {
            return Slot::ZERO;
        }
        let mut by_progress: Vec<(Slot, NodeId)> =
            self.executed.iter().map(|(node, below)| (*below, *node)).collect();
        by_progress.sort_unstable();
        let mut others: NodeSet = config.everybody();
        let found = by_progress.into_iter().rev().find(|(_, node)| {
            others = others.without(*node);
            !config.quorums.is_phase1(others)
        });
        found.map_or(Slot::ZERO, |(below, _)| Self::forgettable_with(config, below))
    }

    /// Forgets a little of what may be forgotten.
    #[inline]
    pub(super) fn forget_some(
        &self,
        config: &Config,
        acceptor: &mut Acceptor,
        learner: &mut Learner,
    ) {
        let first = acceptor.first();
        let retained_from = self.retained_from(config, learner.executed_below());
        let forgettable_below = self.forgettable_below.max(retained_from);
        if first < forgettable_below {
            let below = forgettable_below.min(Slot(first.0 + config.bounds.forgotten_at_once));
            acceptor.forget_below(below);
            if config.is_learner() {
                learner.forget_below(below);
            }
        }
    }

    /// The slots below this are forgotten here, whatever the other replicas have.
    fn retained_from(&self, config: &Config, executed_below: Slot) -> Slot {
        Self::forgettable_with(config, executed_below).min(self.durable_below)
    }

    /// The slots below this may be forgotten once it is durable that those below `executed_below` are executed.
    pub(super) fn forgettable_with(config: &Config, executed_below: Slot) -> Slot {
        let Some(slots) = config.retention.slots else { return Slot::ZERO };
        Slot(executed_below.0.saturating_sub(slots))
    }
}

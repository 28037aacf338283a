//! Which slots a replica forgets, and when; why it may is argued in `snapshot.rs`.

use std::collections::BTreeMap;

use super::acceptor::Acceptor;
use super::learner::Learner;
use crate::protocol::{Config, Slot};
use crate::quorum::NodeId;

/// What is known of how far the replicas have durably executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Trimming {
    /// Slots below this are durably executed, by replica; the least of them may be forgotten.
    executed: BTreeMap<NodeId, Slot>,
    /// Slots below this every replica has durably executed.
    forgettable_below: Slot,
    /// Slots below this are durably executed here.
    durable_below: Slot,
}

/// The most slots that one input makes a replica forget.
const FORGOTTEN_AT_ONCE: u64 = 256;

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
        if self.executed.len() < config.quorums.n() {
            return;
        }
        self.forgettable_below = self.executed.values().min().copied().unwrap_or_default();
    }

    /// Forgets a little of what may be forgotten: a million slots at once would stall the replica for
    /// tens of milliseconds.
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
            let below = forgettable_below.min(Slot(first.0 + FORGOTTEN_AT_ONCE));
            acceptor.forget_below(below);
            learner.forget_below(below);
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

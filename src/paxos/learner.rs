//! The learner: which values are known to be chosen, and their execution in slot order.
//!
//! It does not count votes; it is told that a slot is chosen.
//! It keeps what it executed for a while, to teach those behind; whoever is farther behind is given
//! the state machine as it is.

use bytes::Bytes;

use super::window::SharedWindow;
use crate::command::{Execution, KeyValue, Operation};
use crate::protocol::{Slot, Value};
use crate::time::Time;

/// What a replica knows to be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Learner {
    /// The values, until they are forgotten.
    pub(super) chosen: SharedWindow<Value>,
    pub(super) executed_below: Slot,
    pub(super) machine: KeyValue,
    /// The newest stamp of what is executed.
    pub(super) newest: Option<Time>,
}

impl Learner {
    /// `value` is chosen in `slot`.
    ///
    /// # Panics
    /// If another value was chosen there, unless the quorums are known not to intersect
    /// (`is_safe` is false): then the first one stays, and the check of the run finds the other.
    #[inline]
    pub(super) fn learn(&mut self, slot: Slot, value: Value, is_safe: bool) {
        if let Some(known) = self.chosen.get(slot) {
            assert!(!is_safe || *known == value, "{slot} chosen twice: {known:?} and {value:?}");
            return;
        }
        self.chosen.insert(slot, value);
    }

    /// What the next slot in order will replace, if it is known to be chosen and writes: the key, and what stands there.
    pub(super) fn replaced_next(&self) -> Option<(u64, Option<Bytes>)> {
        match &self.chosen.get(self.executed_below)?.command()?.operation {
            Operation::Put { key, .. } => Some((*key, self.machine.value(*key).cloned())),
            Operation::Get { .. } | Operation::GetSince { .. } => None,
        }
    }

    /// Executes the next slot in order, if it is known to be chosen.
    #[inline]
    pub(super) fn execute_next(&mut self) -> Option<(Slot, Value, Option<Execution>)> {
        let slot = self.executed_below;
        let value = self.chosen.get(slot)?.clone();
        let execution = value.command().map(|command| self.machine.execute(command));
        self.executed_below = slot.next();
        self.newest = self.newest.max(value.stamp());
        Some((slot, value, execution))
    }

    /// The value chosen in `slot`, if it is known and not yet forgotten.
    pub(super) fn value(&self, slot: Slot) -> Option<&Value> {
        self.chosen.get(slot)
    }

    /// Whether `slot` is known to be chosen, executed and forgotten slots included.
    #[inline]
    pub(super) fn is_chosen(&self, slot: Slot) -> bool {
        slot < self.executed_below || self.chosen.get(slot).is_some()
    }

    /// Every slot below this is executed.
    pub(super) const fn executed_below(&self) -> Slot {
        self.executed_below
    }

    /// The slot after the last one known to be chosen.
    pub(super) fn end(&self) -> Slot {
        self.chosen.end().max(self.executed_below)
    }

    /// Whether a slot is chosen behind one that is not known to be.
    pub(super) fn has_gap(&self) -> bool {
        self.end() > self.executed_below
    }

    /// The values of slots below this are forgotten.
    pub(super) fn first(&self) -> Slot {
        self.chosen.first()
    }

    /// The state machine, in which every slot below [`Self::executed_below`] is executed.
    pub(super) const fn machine(&self) -> &KeyValue {
        &self.machine
    }

    /// Takes the state machine of another replica, in which every slot below `below` is executed.
    ///
    /// `newest` is the newest stamp of what led to it.
    pub(super) fn install(&mut self, below: Slot, machine: KeyValue, newest: Option<Time>) {
        assert!(below > self.executed_below, "a state below {below} takes back what is executed");
        self.machine = machine;
        self.newest = self.newest.max(newest);
        self.executed_below = below;
        self.chosen.forget_below(below);
    }

    /// Consecutive chosen values from `first` to before `below`, until they fill `bytes`.
    pub(super) fn values(&self, first: Slot, below: Slot, bytes: usize) -> Vec<Value> {
        let mut filled = 0;
        (first.0..below.0)
            .map(Slot)
            .map_while(|slot| self.chosen.get(slot))
            .take_while(|value| {
                let has_room = filled < bytes;
                filled += value.size();
                has_room
            })
            .cloned()
            .collect()
    }

    /// Forgets the values below `slot`, which are durably executed here.
    pub(super) fn forget_below(&mut self, slot: Slot) {
        assert!(slot <= self.executed_below, "{slot} is forgotten before it is executed");
        self.chosen.forget_below(slot);
    }
}

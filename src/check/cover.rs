//! The invariants that a check watches, and the events that it has reached.

use std::hash::{Hash, Hasher};

use crate::monitor::Invariant;
use crate::registry::Cover;

/// The invariants of a small deployment, in the order in which they are reported.
///
/// Linearizability is said of reads that have no slot of their own; of what has one, the others say it together.
pub const INVARIANTS: [Invariant; 11] = [
    Invariant::Agreement,
    Invariant::Validity,
    Invariant::ChosenStaysChosen,
    Invariant::ExactlyOnce,
    Invariant::PromisesKept,
    Invariant::BallotsUnique,
    Invariant::LeaderHeard,
    Invariant::SamePrefix,
    Invariant::Linearizability,
    Invariant::Assertions,
    Invariant::Progress,
];

/// The events on the way to a state.
///
/// They are no part of the state: two ways with other events lead to one state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Covers(u16);

impl Covers {
    pub(super) fn note(&mut self, cover: Cover) {
        self.0 |= 1 << cover as u16;
    }

    /// Those of another state, too.
    pub(super) const fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) const fn has(self, cover: Cover) -> bool {
        self.0 >> cover as u16 & 1 == 1
    }
}

impl PartialEq for Covers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Covers {}

impl Hash for Covers {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

//! A stretch of the log in memory: what is known of each slot from some slot on.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::protocol::Slot;

/// Values by slot, from `first` on; what lies before is forgotten for good.
///
/// Slots are dense in steady state, so this is an array that moves, not a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Window<T> {
    first: Slot,
    entries: VecDeque<Option<T>>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { first: Slot::ZERO, entries: VecDeque::new() }
    }
}

impl<T> Window<T> {
    /// The first slot that is not forgotten.
    pub(super) fn first(&self) -> Slot {
        self.first
    }

    /// The slot after the last one that was ever set.
    pub(super) fn end(&self) -> Slot {
        Slot(self.first.0 + self.entries.len() as u64)
    }

    /// What is known of `slot`.
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(self.offset(slot)?)?.as_ref()
    }

    /// What is known of `slot`, to change.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let offset = self.offset(slot)?;
        self.entries.get_mut(offset)?.as_mut()
    }

    /// Sets `slot`; a forgotten slot stays forgotten.
    pub(super) fn insert(&mut self, slot: Slot, value: T) {
        let Some(offset) = self.offset(slot) else { return };
        while self.entries.len() <= offset {
            self.entries.push_back(None);
        }
        self.entries[offset] = Some(value);
    }

    /// Takes what is known of `slot` out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let offset = self.offset(slot)?;
        self.entries.get_mut(offset)?.take()
    }

    /// Forgets every slot below `slot`.
    pub(super) fn forget_below(&mut self, slot: Slot) {
        while self.first < slot {
            if self.entries.pop_front().is_none() {
                self.first = slot;
                return;
            }
            self.first = self.first.next();
        }
    }

    /// The known slots from `from` on, ascending.
    pub(super) fn range(&self, from: Slot) -> impl Iterator<Item = (Slot, &T)> {
        let skip = self.offset(from).unwrap_or(0);
        let first = self.first.0;
        self.entries
            .iter()
            .enumerate()
            .skip(skip)
            .filter_map(move |(offset, entry)| Some((Slot(first + offset as u64), entry.as_ref()?)))
    }

    fn offset(&self, slot: Slot) -> Option<usize> {
        let offset = slot.0.checked_sub(self.first.0)?;
        Some(usize::try_from(offset).expect("slots in memory are fewer than addresses"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_slot_stays_forgotten() {
        let mut window = Window::default();
        window.insert(Slot(2), 'c');
        window.forget_below(Slot(2));
        window.insert(Slot(1), 'b');
        assert_eq!(window.get(Slot(1)), None);
        assert_eq!(window.get(Slot(2)), Some(&'c'));
        window.forget_below(Slot(9));
        assert_eq!((window.first(), window.end()), (Slot(9), Slot(9)));
    }

    #[test]
    fn the_range_skips_what_is_not_known() {
        let mut window = Window::default();
        window.insert(Slot(1), 'b');
        window.insert(Slot(4), 'e');
        assert_eq!(window.range(Slot(0)).collect::<Vec<_>>(), [(Slot(1), &'b'), (Slot(4), &'e')]);
        assert_eq!(window.range(Slot(2)).collect::<Vec<_>>(), [(Slot(4), &'e')]);
        assert_eq!(window.remove(Slot(4)), Some('e'));
        assert_eq!(window.end(), Slot(5));
    }
}

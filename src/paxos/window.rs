//! A stretch of the log in memory: what is known of each slot from some slot on.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::protocol::Slot;

/// Values by slot, from `first` on; what lies before is forgotten for good.
///
/// Slots are dense in steady state, so this is an array that moves, not a tree.
/// One that was away for long hears of slots far ahead of its own: those are in a tree until the
/// slots between are known or passed over, for an array would have to reach there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Window<T> {
    first: Slot,
    entries: VecDeque<Option<T>>,
    /// What lies at least [`REACH`] behind the end of `entries`, or did when it was set.
    far: BTreeMap<Slot, T>,
}

/// The array grows by at most so many slots at once.
const REACH: usize = 4096;

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { first: Slot::ZERO, entries: VecDeque::new(), far: BTreeMap::new() }
    }
}

impl<T> Window<T> {
    /// The first slot that is not forgotten.
    pub(super) fn first(&self) -> Slot {
        self.first
    }

    /// The slot after the last one that was ever set.
    pub(super) fn end(&self) -> Slot {
        let far = self.far.last_key_value().map(|(slot, _)| slot.next());
        far.unwrap_or(Slot(self.first.0 + self.entries.len() as u64))
    }

    /// What is known of `slot`.
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        match self.entries.get(self.offset(slot)?) {
            Some(entry) => entry.as_ref(),
            None if self.far.is_empty() => None,
            None => self.far.get(&slot),
        }
    }

    /// What is known of `slot`, to change.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let offset = self.offset(slot)?;
        match self.entries.get_mut(offset) {
            Some(entry) => entry.as_mut(),
            None => self.far.get_mut(&slot),
        }
    }

    /// Sets `slot`; a forgotten slot stays forgotten.
    pub(super) fn insert(&mut self, slot: Slot, value: T) {
        let Some(offset) = self.offset(slot) else { return };
        if !self.far.is_empty() {
            self.draw_near();
        }
        if offset >= self.entries.len() + REACH {
            self.far.insert(slot, value);
            return;
        }
        self.set(offset, value);
        if !self.far.is_empty() {
            self.draw_near();
        }
    }

    /// Takes what is known of `slot` out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let offset = self.offset(slot)?;
        match self.entries.get_mut(offset) {
            Some(entry) => entry.take(),
            None => self.far.remove(&slot),
        }
    }

    /// Forgets every slot below `slot`.
    pub(super) fn forget_below(&mut self, slot: Slot) {
        self.take_below(slot).for_each(drop);
    }

    /// Forgets every slot below `slot`, and gives what was known of them, ascending.
    pub(super) fn take_below(&mut self, slot: Slot) -> impl Iterator<Item = T> {
        std::iter::from_fn(move || {
            while self.first < slot {
                match self.entries.pop_front() {
                    Some(entry) => {
                        self.first = self.first.next();
                        if entry.is_some() {
                            return entry;
                        }
                    }
                    None => match self.far.first_entry().filter(|entry| *entry.key() < slot) {
                        Some(entry) => return Some(entry.remove()),
                        None => self.first = slot,
                    },
                }
            }
            None
        })
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
            .chain(self.far.range(from..).map(|(slot, value)| (*slot, value)))
    }

    fn set(&mut self, offset: usize, value: T) {
        while self.entries.len() <= offset {
            self.entries.push_back(None);
        }
        self.entries[offset] = Some(value);
    }

    /// Moves what is in reach now to the array.
    fn draw_near(&mut self) {
        while let Some((slot, _)) = self.far.first_key_value()
            && let Some(offset) = self.offset(*slot)
            && offset < self.entries.len() + REACH
            && let Some((_, value)) = self.far.pop_first()
        {
            self.set(offset, value);
        }
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

    /// What is known of a slot does not depend on where it is kept.
    #[test]
    fn slots_far_ahead_take_no_room_for_those_between() {
        let mut window = Window::default();
        let far = 1 << 40;
        for slot in [0, 1, far, far + 1, far + 9000, 2] {
            window.insert(Slot(slot), slot);
        }
        assert!(window.entries.len() < 10);
        assert_eq!(window.end(), Slot(far + 9001));
        assert_eq!(window.get(Slot(far)), Some(&far));
        assert_eq!(window.get(Slot(far - 1)), None);
        assert_eq!(window.get_mut(Slot(far + 1)), Some(&mut (far + 1)));
        let known: Vec<u64> = window.range(Slot(1)).map(|(slot, _)| slot.0).collect();
        assert_eq!(known, [1, 2, far, far + 1, far + 9000]);
        assert_eq!(window.remove(Slot(far + 1)), Some(far + 1));

        // The slots between are passed over.
        assert_eq!(window.take_below(Slot(far + 1)).collect::<Vec<_>>(), [0, 1, 2, far]);
        assert_eq!((window.first(), window.end()), (Slot(far + 1), Slot(far + 9001)));
        window.insert(Slot(far + 5000), far + 5000);
        window.insert(Slot(far + 3000), far + 3000);
        assert!(window.far.is_empty(), "what is in reach is in the array");
        let known: Vec<u64> = window.range(Slot(0)).map(|(slot, _)| slot.0).collect();
        assert_eq!(known, [far + 3000, far + 5000, far + 9000]);
        window.forget_below(Slot(u64::MAX));
        assert_eq!((window.first(), window.range(Slot(0)).count()), (Slot(u64::MAX), 0));
    }
}

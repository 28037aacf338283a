//! A stretch of the log in memory: what is known of each slot from some slot on.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::chunks::Chunks;
use crate::protocol::Slot;

/// Values by slot, from `first` on; what lies before is forgotten for good.
///
/// Slots are dense in steady state, so this is an array that moves, not a tree.
/// One that was away for long hears of slots far ahead of its own: those are in a tree until the
/// slots between are known or passed over, for an array would have to reach there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Window<T, A = VecDeque<Option<T>>> {
    first: Slot,
    /// The array from `first` on.
    near: A,
    /// What lies at least [`REACH`] behind the end of the array, or did when it was set.
    far: BTreeMap<Slot, T>,
}

/// A window whose copies share what neither has changed since: a checkpoint has one.
pub(super) type SharedWindow<T> = Window<T, Chunks<T>>;

impl<T: Clone> SharedWindow<T> {
    /// The same stretch with other values; a slot is not known where there is none.
    pub(super) fn map<U: Clone>(
        &self,
        mut change: impl FnMut(Slot, &T) -> Option<U>,
    ) -> SharedWindow<U> {
        let mut mapped = SharedWindow::default();
        mapped.forget_below(self.first);
        for (slot, entry) in (self.first.0..).map(Slot).zip(self.near.iter_from(0)) {
            mapped.near.push(entry.as_ref().and_then(|value| change(slot, value)));
        }
        let far = self.far.iter();
        mapped.far = far.filter_map(|(slot, value)| Some((*slot, change(*slot, value)?))).collect();
        mapped
    }
}

/// The array grows by at most so many slots at once.
const REACH: u64 = 4096;

/// An array that grows at its end and shrinks at its front.
pub(super) trait Array<T> {
    /// How many entries it has.
    fn len(&self) -> usize;

    /// An entry, if it is there and known.
    fn get(&self, index: usize) -> Option<&T>;

    /// An entry, to change; `None` beyond the end.
    fn entry(&mut self, index: usize) -> Option<&mut Option<T>>;

    /// Puts an entry behind the last.
    fn push(&mut self, entry: Option<T>);

    /// Takes the first entry out.
    fn pop(&mut self) -> Option<T>;

    /// Forgets the first so many entries, which are there.
    fn forget(&mut self, count: usize);

    /// Forgets all; `first` is the number of the next entry, by which equal arrays are laid out alike.
    fn clear(&mut self, first: u64);

    /// The entries from one on.
    fn iter_from<'a>(&'a self, index: usize) -> impl Iterator<Item = &'a Option<T>>
    where
        T: 'a;
}

impl<T> Array<T> for VecDeque<Option<T>> {
    #[inline]
    fn len(&self) -> usize {
        VecDeque::len(self)
    }

    #[inline]
    fn get(&self, index: usize) -> Option<&T> {
        VecDeque::get(self, index)?.as_ref()
    }

    #[inline]
    fn entry(&mut self, index: usize) -> Option<&mut Option<T>> {
        self.get_mut(index)
    }

    #[inline]
    fn push(&mut self, entry: Option<T>) {
        self.push_back(entry);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.pop_front().flatten()
    }

    fn forget(&mut self, count: usize) {
        self.drain(..count);
    }

    fn clear(&mut self, _: u64) {
        VecDeque::clear(self);
    }

    fn iter_from<'a>(&'a self, index: usize) -> impl Iterator<Item = &'a Option<T>>
    where
        T: 'a,
    {
        self.range(index.min(VecDeque::len(self))..)
    }
}

impl<T, A: Default> Default for Window<T, A> {
    fn default() -> Self {
        Self { first: Slot::ZERO, near: A::default(), far: BTreeMap::new() }
    }
}

impl<T, A: Array<T>> Window<T, A> {
    /// The first slot that is not forgotten.
    pub(super) fn first(&self) -> Slot {
        self.first
    }

    /// The slot after the last one that was ever set.
    pub(super) fn end(&self) -> Slot {
        let far = self.far.last_key_value().map(|(slot, _)| slot.next());
        far.unwrap_or(Slot(self.near_end()))
    }

    /// What is known of `slot`.
    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        let index = self.index(slot)?;
        if index < self.near.len() || self.far.is_empty() {
            return self.near.get(index);
        }
        self.far.get(&slot)
    }

    /// What is known of `slot`, to change.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let index = self.index(slot)?;
        if index < self.near.len() {
            return self.near.entry(index)?.as_mut();
        }
        self.far.get_mut(&slot)
    }

    /// Sets `slot`; a forgotten slot stays forgotten.
    #[inline]
    pub(super) fn insert(&mut self, slot: Slot, value: T) {
        let Some(index) = self.index(slot) else { return };
        if !self.far.is_empty() {
            self.draw_near();
        }
        if self.reaches(slot) {
            self.set(index, value);
        } else {
            self.far.insert(slot, value);
        }
        if !self.far.is_empty() {
            self.draw_near();
        }
    }

    /// Takes what is known of `slot` out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let index = self.index(slot)?;
        if index < self.near.len() {
            // Where nothing is known, nothing changes.
            self.near.get(index)?;
            return self.near.entry(index)?.take();
        }
        self.far.remove(&slot)
    }

    /// Forgets every slot below `slot`.
    pub(super) fn forget_below(&mut self, slot: Slot) {
        if slot <= self.first {
            return;
        }
        if !self.far.is_empty() {
            self.far = self.far.split_off(&slot);
        }
        match self.index(slot).filter(|index| *index < self.near.len()) {
            Some(count) => self.near.forget(count),
            None => self.near.clear(slot.0),
        }
        self.first = slot;
    }

    /// Forgets every slot below `slot`, and gives what was known of them, ascending.
    pub(super) fn take_below(&mut self, slot: Slot) -> impl Iterator<Item = T> {
        std::iter::from_fn(move || {
            while self.first < slot {
                if self.near.len() > 0 {
                    self.first = self.first.next();
                    let entry = self.near.pop();
                    if entry.is_some() {
                        return entry;
                    }
                } else if let Some(entry) =
                    self.far.first_entry().filter(|entry| *entry.key() < slot)
                {
                    return Some(entry.remove());
                } else {
                    self.near.clear(slot.0);
                    self.first = slot;
                }
            }
            None
        })
    }

    /// The known slots from `from` on, ascending.
    pub(super) fn range<'a>(&'a self, from: Slot) -> impl Iterator<Item = (Slot, &'a T)>
    where
        T: 'a,
    {
        let from = from.max(self.first);
        let near = self.near.iter_from(self.index(from).unwrap_or_default());
        // In this order no slot behind the last is asked for: there may be none.
        near.zip(from.0..)
            .filter_map(|(entry, slot)| Some((Slot(slot), entry.as_ref()?)))
            .chain(self.far.range(from..).map(|(slot, value)| (*slot, value)))
    }

    /// The slot after the last one in the array.
    fn near_end(&self) -> u64 {
        self.first.0 + self.near.len() as u64
    }

    /// Whether the array may grow to this slot at once.
    fn reaches(&self, slot: Slot) -> bool {
        slot.0 < self.near_end().saturating_add(REACH)
    }

    /// The place of a slot in the array, or where it would be; `None` if it is forgotten.
    #[inline]
    fn index(&self, slot: Slot) -> Option<usize> {
        let index = slot.0.checked_sub(self.first.0)?;
        Some(usize::try_from(index).unwrap_or(usize::MAX))
    }

    /// Sets an entry that the array reaches.
    #[inline]
    fn set(&mut self, index: usize, value: T) {
        if let Some(entry) = self.near.entry(index) {
            *entry = Some(value);
            return;
        }
        while self.near.len() < index {
            self.near.push(None);
        }
        self.near.push(Some(value));
    }

    /// Moves what is in reach now to the array.
    fn draw_near(&mut self) {
        while let Some((slot, _)) = self.far.first_key_value()
            && self.reaches(*slot)
            && let Some((slot, value)) = self.far.pop_first()
            && let Some(index) = self.index(slot)
        {
            self.set(index, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn a_forgotten_slot_stays_forgotten() {
        let mut window = SharedWindow::default();
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
        let mut window = SharedWindow::default();
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
        let mut window = SharedWindow::default();
        let far = 1 << 40;
        for slot in [0, 1, far, far + 1, far + 9000, 2] {
            window.insert(Slot(slot), slot);
        }
        assert_eq!(window.near_end(), 3);
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

    #[test]
    fn a_window_is_a_map_and_a_copy_of_it_stays_as_it_was() {
        is_a_map::<VecDeque<Option<u64>>>();
        is_a_map::<Chunks<u64>>();
    }

    /// That forgets from the front, whatever is asked of it in what order.
    fn is_a_map<A: Array<u64> + Clone + Default>() {
        let mut random = Pcg64::seed_from_u64(1);
        let (mut window, mut map) = (Window::<u64, A>::default(), BTreeMap::new());
        let mut first = 0;
        let mut copies = Vec::new();
        for step in 0..20_000_u64 {
            // Now and then one that the array does not reach.
            let far = if random.random_range(0..50) == 0 { 20_000 } else { 3000 };
            let slot = first + random.random_range(0..far);
            match random.random_range(0..10) {
                0 => assert_eq!(window.remove(Slot(slot)), map.remove(&slot)),
                1 if step % 7 == 0 => {
                    first += random.random_range(0..900);
                    window.forget_below(Slot(first));
                    map = map.split_off(&first);
                }
                1 => {
                    first += random.random_range(0..20);
                    let rest = map.split_off(&first);
                    let taken: Vec<u64> = std::mem::replace(&mut map, rest).into_values().collect();
                    assert_eq!(window.take_below(Slot(first)).collect::<Vec<_>>(), taken);
                }
                2 => assert_eq!(window.get_mut(Slot(slot)), map.get_mut(&slot)),
                3 if step % 50 == 0 => copies.push((window.clone(), map.clone())),
                _ => {
                    window.insert(Slot(slot), step);
                    map.insert(slot, step);
                    // What the array reaches is in no tree.
                    let nearest = window.far.first_key_value();
                    assert!(nearest.is_none_or(|(slot, _)| !window.reaches(*slot)));
                }
            }
            assert_eq!((window.first(), window.get(Slot(slot))), (Slot(first), map.get(&slot)));
        }
        copies.push((window, map));
        assert!(copies.len() > 10, "{}", copies.len());
        for (window, map) in copies {
            let from = window.first().0 + 700;
            let found: Vec<(u64, u64)> =
                window.range(Slot(from)).map(|(slot, value)| (slot.0, *value)).collect();
            assert_eq!(found, map.range(from..).map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            assert_eq!(window.range(Slot::ZERO).count(), map.len());
        }
    }

    /// Two windows with the same values are equal, in whatever order they were filled and emptied.
    #[test]
    fn windows_of_the_same_slots_are_equal() {
        let (mut one, mut other) = (SharedWindow::default(), SharedWindow::default());
        for slot in 0..1300 {
            one.insert(Slot(slot), slot);
        }
        for slot in (0..1300).rev() {
            other.insert(Slot(slot), slot);
        }
        assert_eq!(one, other);
        one.forget_below(Slot(700));
        other.take_below(Slot(700)).for_each(drop);
        assert_eq!(one, other);
        one.forget_below(Slot(1300));
        other.take_below(Slot(1300)).for_each(drop);
        assert_eq!(one, other);
        one.insert(Slot(1301), 5);
        other.insert(Slot(1301), 5);
        assert_eq!((one.clone(), one.end()), (other, Slot(1302)));
    }
}

//! A stretch of the log in memory: what is known of each slot from some slot on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::protocol::Slot;

/// Values by slot, from `first` on; what lies before is forgotten for good.
///
/// Slots are dense in steady state, so this is an array that moves, not a tree.
/// The array is in chunks, which copies share until one of them changes: how long a copy takes depends on
/// the number of chunks, and a change copies one chunk at most.
/// One that was away for long hears of slots far ahead of its own: those are in a tree until the
/// slots between are known or passed over, for an array would have to reach there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Window<T> {
    first: Slot,
    /// The array from `first` on, cut at each multiple of [`CHUNK`].
    ///
    /// There is one chunk at least. All but the last reach to their end, and only the first may be empty.
    chunks: VecDeque<Arc<VecDeque<Option<T>>>>,
    /// What lies at least [`REACH`] behind the end of the array, or did when it was set.
    far: BTreeMap<Slot, T>,
}

/// The slots of a chunk: from one multiple of this number to the next.
const CHUNK: u64 = 512;

/// The array grows by at most so many slots at once.
const REACH: u64 = 4096;

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { first: Slot::ZERO, chunks: [Arc::default()].into(), far: BTreeMap::new() }
    }
}

impl<T: Clone> Window<T> {
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
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        let (chunk, offset) = self.place(slot)?;
        match self.chunks.get(chunk).and_then(|chunk| chunk.get(offset)) {
            Some(entry) => entry.as_ref(),
            None if self.far.is_empty() => None,
            None => self.far.get(&slot),
        }
    }

    /// What is known of `slot`, to change.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let (chunk, offset) = self.place(slot)?;
        if slot.0 < self.near_end() {
            return Arc::make_mut(&mut self.chunks[chunk]).get_mut(offset)?.as_mut();
        }
        self.far.get_mut(&slot)
    }

    /// Sets `slot`; a forgotten slot stays forgotten.
    pub(super) fn insert(&mut self, slot: Slot, value: T) {
        if slot < self.first {
            return;
        }
        if !self.far.is_empty() {
            self.draw_near();
        }
        if !self.reaches(slot) {
            self.far.insert(slot, value);
            return;
        }
        self.set(slot, value);
        if !self.far.is_empty() {
            self.draw_near();
        }
    }

    /// Takes what is known of `slot` out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let (chunk, offset) = self.place(slot)?;
        if slot.0 < self.near_end() {
            // Where nothing is known, the chunk need not be copied.
            self.chunks[chunk][offset].as_ref()?;
            return Arc::make_mut(&mut self.chunks[chunk])[offset].take();
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
        let end = self.near_end();
        let whole = if slot.0 < end { self.place(slot).map_or(0, |(chunk, _)| chunk) } else { 0 };
        self.chunks.drain(..whole);
        let from = if whole == 0 { self.first.0 } else { slot.0 / CHUNK * CHUNK };
        self.first = slot;
        if slot.0 >= end {
            self.clear();
        } else if slot.0 > from {
            let count = usize::try_from(slot.0 - from).expect("a chunk fits in memory");
            Arc::make_mut(&mut self.chunks[0]).drain(..count);
        }
    }

    /// Forgets every slot below `slot`, and gives what was known of them, ascending.
    pub(super) fn take_below(&mut self, slot: Slot) -> impl Iterator<Item = T> {
        std::iter::from_fn(move || {
            while self.first < slot {
                if self.first.0 == self.near_end() {
                    match self.far.first_entry().filter(|entry| *entry.key() < slot) {
                        Some(entry) => return Some(entry.remove()),
                        None => self.first = slot,
                    }
                } else if let Some(entry) = self.take_first() {
                    return Some(entry);
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
        let (skipped, rest) = self.place(from.max(self.first)).unwrap_or_default();
        let first = self.first.0;
        let start = move |number: usize| match number as u64 {
            0 => first,
            number => (first / CHUNK + number) * CHUNK,
        };
        self.chunks
            .iter()
            .enumerate()
            .skip(skipped)
            .flat_map(move |(number, chunk)| (start(number)..).zip(chunk.iter()))
            .skip(rest)
            .filter_map(|(slot, entry)| Some((Slot(slot), entry.as_ref()?)))
            .chain(self.far.range(from..).map(|(slot, value)| (*slot, value)))
    }

    /// The slot after the last one in the array.
    fn near_end(&self) -> u64 {
        let last = self.chunks.len() - 1;
        let start =
            if last == 0 { self.first.0 } else { (self.first.0 / CHUNK + last as u64) * CHUNK };
        start + self.chunks[last].len() as u64
    }

    /// Whether the array may grow to this slot at once.
    fn reaches(&self, slot: Slot) -> bool {
        slot.0 < self.near_end().saturating_add(REACH)
    }

    /// The chunk of a slot, and where in it; `None` if it is forgotten.
    fn place(&self, slot: Slot) -> Option<(usize, usize)> {
        slot.0.checked_sub(self.first.0)?;
        let chunk = slot.0 / CHUNK - self.first.0 / CHUNK;
        let start = if chunk == 0 { self.first.0 } else { slot.0 / CHUNK * CHUNK };
        let [chunk, offset] = [chunk, slot.0 - start]
            .map(|number| usize::try_from(number).expect("chunks are fewer than addresses"));
        Some((chunk, offset))
    }

    /// Sets a slot that is not forgotten and that the array reaches.
    fn set(&mut self, slot: Slot, value: T) {
        let Some((chunk, offset)) = self.place(slot) else { return };
        while self.chunks.len() <= chunk {
            let room = CHUNK - if self.chunks.len() == 1 { self.first.0 % CHUNK } else { 0 };
            let room = usize::try_from(room).expect("a chunk fits in memory");
            if let Some(last) = self.chunks.back_mut().filter(|last| last.len() < room) {
                Arc::make_mut(last).resize_with(room, || None);
            }
            self.chunks.push_back(Arc::default());
        }
        let entries = Arc::make_mut(&mut self.chunks[chunk]);
        while entries.len() <= offset {
            entries.push_back(None);
        }
        entries[offset] = Some(value);
    }

    /// Forgets the first slot, which must be in the array, and returns its value.
    fn take_first(&mut self) -> Option<T> {
        let entry = Arc::make_mut(&mut self.chunks[0]).pop_front().flatten();
        self.first = self.first.next();
        if self.chunks[0].is_empty() && self.chunks.len() > 1 {
            self.chunks.pop_front();
        }
        entry
    }

    /// Empties the array, whose room is kept unless a copy shares it.
    fn clear(&mut self) {
        self.chunks.truncate(1);
        match Arc::get_mut(&mut self.chunks[0]) {
            Some(entries) => entries.clear(),
            None => self.chunks[0] = Arc::default(),
        }
    }

    /// Moves what is in reach now to the array.
    fn draw_near(&mut self) {
        while let Some((slot, _)) = self.far.first_key_value()
            && self.reaches(*slot)
            && let Some((slot, value)) = self.far.pop_first()
        {
            self.set(slot, value);
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

    /// A window in chunks is a map that forgets from the front, whatever is asked of it in what order.
    #[test]
    fn a_window_is_a_map_and_a_copy_of_it_stays_as_it_was() {
        let mut random = Pcg64::seed_from_u64(1);
        let (mut window, mut map, mut first) = (Window::default(), BTreeMap::new(), 0);
        let mut copies = Vec::new();
        for step in 0..20_000_u64 {
            let slot = first + random.random_range(0..3000);
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
        let (mut one, mut other) = (Window::default(), Window::default());
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

//! An array whose copies share what neither of them has changed since.
//!
//! It is in chunks: how long a copy takes depends on their number, and a change copies one chunk at most.
//! So a checkpoint of a long log begins in microseconds, and is written while the log goes on.
//! The last chunk is not shared, so what comes at the end need not ask whether somebody else has it.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::window::Array;

/// The entries of a chunk.
const CHUNK: usize = 512;

/// Entries that come at the end and go at the front.
///
/// Equal entries are laid out alike, so equal arrays are equal values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Chunks<T> {
    /// Entries of the first chunk that are forgotten: empty, and no part of the array.
    skipped: usize,
    /// All full.
    full: VecDeque<Arc<Vec<Option<T>>>>,
    /// The last chunk, which is not full; every copy has its own, for it is the one that changes.
    last: Vec<Option<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { skipped: 0, full: VecDeque::new(), last: Vec::new() }
    }
}

impl<T> Chunks<T> {
    /// The chunk of an entry, and where in it.
    #[inline]
    const fn place(&self, index: usize) -> (usize, usize) {
        let at = self.skipped.saturating_add(index);
        (at / CHUNK, at % CHUNK)
    }

    /// Entries with those that are skipped; none, where there is no chunk.
    #[inline]
    fn len_in_chunks(&self) -> usize {
        self.full.len() * CHUNK + self.last.len()
    }

    /// The chunks that have an entry.
    fn chunks(&self) -> impl Iterator<Item = &[Option<T>]> {
        let last = (!self.last.is_empty()).then_some(&self.last[..]);
        self.full.iter().map(|chunk| &chunk[..]).chain(last)
    }

    /// Drops the first chunk if it is all forgotten, and every chunk if no entry is left.
    fn tidy(&mut self) {
        if self.skipped == CHUNK {
            self.full.pop_front();
            self.skipped = 0;
        }
        if self.len_in_chunks() == self.skipped {
            self.full.clear();
            self.last.clear();
        }
    }
}

/// As a list of chunks, of which all but the last are full.
impl<T: Serialize> Serialize for Chunks<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let chunks: Vec<&[Option<T>]> = self.chunks().collect();
        (self.skipped, chunks).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Chunks<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (skipped, mut chunks) = <(usize, Vec<Vec<Option<T>>>)>::deserialize(deserializer)?;
        let last = chunks.pop_if(|last| last.len() < CHUNK).unwrap_or_default();
        Ok(Self { skipped, full: chunks.into_iter().map(Arc::new).collect(), last })
    }
}

impl<T: Clone> Array<T> for Chunks<T> {
    #[inline]
    fn len(&self) -> usize {
        self.len_in_chunks().saturating_sub(self.skipped)
    }

    #[inline]
    fn get(&self, index: usize) -> Option<&T> {
        let (chunk, offset) = self.place(index);
        let entries = match self.full.get(chunk) {
            Some(chunk) => &chunk[..],
            None if chunk == self.full.len() => &self.last[..],
            None => return None,
        };
        entries.get(offset)?.as_ref()
    }

    #[inline]
    fn entry(&mut self, index: usize) -> Option<&mut Option<T>> {
        let (chunk, offset) = self.place(index);
        if chunk == self.full.len() {
            return self.last.get_mut(offset);
        }
        Arc::make_mut(self.full.get_mut(chunk)?).get_mut(offset)
    }

    #[inline]
    fn push(&mut self, entry: Option<T>) {
        if self.len_in_chunks() == 0 {
            self.last.resize_with(self.skipped, || None);
        }
        self.last.push(entry);
        if self.last.len() == CHUNK {
            let full = std::mem::replace(&mut self.last, Vec::with_capacity(CHUNK));
            self.full.push_back(Arc::new(full));
        }
    }

    fn pop(&mut self) -> Option<T> {
        let entry = self.entry(0)?.take();
        self.skipped += 1;
        self.tidy();
        entry
    }

    fn forget(&mut self, count: usize) {
        let (whole, offset) = self.place(count);
        if whole > 0 {
            self.full.drain(..whole);
            self.skipped = 0;
        }
        if offset > self.skipped {
            let first = self.full.front_mut().map_or(&mut self.last, Arc::make_mut);
            first[self.skipped..offset].fill_with(|| None);
        }
        self.skipped = offset;
        self.tidy();
    }

    fn clear(&mut self, first: u64) {
        self.full.clear();
        self.last.clear();
        self.skipped = usize::try_from(first % CHUNK as u64).expect("a chunk fits in memory");
    }

    fn iter_from<'a>(&'a self, index: usize) -> impl Iterator<Item = &'a Option<T>>
    where
        T: 'a,
    {
        let (chunk, offset) = self.place(index);
        self.chunks().skip(chunk).flatten().skip(offset)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    /// An array in chunks is an array, and a copy of it stays as it was.
    #[test]
    fn chunks_are_an_array_and_copies_stay_as_they_were() {
        let mut random = Pcg64::seed_from_u64(1);
        let (mut chunks, mut array) = (Chunks::default(), VecDeque::new());
        let (mut copies, mut first) = (Vec::new(), 0_u64);
        for step in 0..60_000_u64 {
            let index = random.random_range(0..3000);
            match random.random_range(0..100) {
                0 if array.len() > 2000 => {
                    let count = random.random_range(0..array.len());
                    first += count as u64;
                    Array::forget(&mut array, count);
                    chunks.forget(count);
                }
                1 if step % 50 == 1 => {
                    first += random.random_range(0..2000);
                    Array::clear(&mut array, first);
                    chunks.clear(first);
                }
                2 if step % 20 == 0 => copies.push((chunks.clone(), array.clone())),
                3..10 => {
                    first += u64::from(!array.is_empty());
                    assert_eq!(chunks.pop(), Array::pop(&mut array));
                }
                10..30 => {
                    if let Some(entry) = chunks.entry(index) {
                        *entry = Some(step);
                    }
                    if let Some(entry) = array.entry(index) {
                        *entry = Some(step);
                    }
                }
                _ => {
                    let entry = (step % 3 > 0).then_some(step);
                    Array::push(&mut array, entry);
                    chunks.push(entry);
                }
            }
            assert_eq!(chunks.len(), array.len());
            assert_eq!(chunks.get(index), Array::get(&array, index));
            assert_eq!(chunks.skipped as u64, first % CHUNK as u64);
        }
        copies.push((chunks, array));
        assert!(copies.len() > 10, "{}", copies.len());
        for (chunks, array) in copies {
            for from in [0, 1, 600, 1 << 20] {
                let found: Vec<_> = chunks.iter_from(from).collect();
                assert_eq!(found, array.iter_from(from).collect::<Vec<_>>());
            }
            let mut again = Chunks { skipped: chunks.skipped, ..Chunks::default() };
            for entry in &array {
                again.push(*entry);
            }
            assert_eq!(chunks, again, "equal entries are laid out alike");
            let bytes = postcard::to_allocvec(&chunks).unwrap();
            assert_eq!(postcard::from_bytes::<Chunks<u64>>(&bytes).unwrap(), chunks);
        }
    }
}

//! An array whose copies share what neither of them has changed since.
//!
//! It is in chunks: how long a copy takes depends on their number, and a change copies one chunk at most.
//! So a checkpoint of a long log begins in microseconds, and is written while the log goes on.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::window::Array;

/// The entries of a chunk.
const CHUNK: usize = 512;

/// Entries that come at the end and go at the front.
///
/// Equal entries are laid out alike, so equal arrays are equal values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Chunks<T> {
    /// Entries of the first chunk that are forgotten: empty, and no part of the array.
    skipped: usize,
    /// All but the last are full; without an entry there is no chunk.
    chunks: VecDeque<Arc<Vec<Option<T>>>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { skipped: 0, chunks: VecDeque::new() }
    }
}

impl<T> Chunks<T> {
    /// The chunk of an entry, and where in it.
    #[inline]
    fn place(&self, index: usize) -> (usize, usize) {
        let at = self.skipped.saturating_add(index);
        (at / CHUNK, at % CHUNK)
    }

    /// Drops the first chunk if it is all forgotten, and every chunk if no entry is left.
    fn tidy(&mut self) {
        if self.skipped == CHUNK {
            self.chunks.pop_front();
            self.skipped = 0;
        }
        if self.len_in_chunks() == self.skipped {
            self.chunks.clear();
        }
    }

    #[inline]
    fn len_in_chunks(&self) -> usize {
        self.chunks.back().map_or(self.skipped, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }
}

impl<T: Clone> Array<T> for Chunks<T> {
    #[inline]
    fn len(&self) -> usize {
        self.len_in_chunks() - self.skipped
    }

    #[inline]
    fn get(&self, index: usize) -> Option<&T> {
        let (chunk, offset) = self.place(index);
        self.chunks.get(chunk)?.get(offset)?.as_ref()
    }

    #[inline]
    fn entry(&mut self, index: usize) -> Option<&mut Option<T>> {
        let (chunk, offset) = self.place(index);
        let chunk = self.chunks.get_mut(chunk).filter(|chunk| offset < chunk.len())?;
        Arc::make_mut(chunk).get_mut(offset)
    }

    fn push(&mut self, entry: Option<T>) {
        if let Some(last) = self.chunks.back_mut().filter(|last| last.len() < CHUNK) {
            Arc::make_mut(last).push(entry);
            return;
        }
        let mut chunk = Vec::with_capacity(CHUNK);
        if self.chunks.is_empty() {
            chunk.resize_with(self.skipped, || None);
        }
        chunk.push(entry);
        self.chunks.push_back(Arc::new(chunk));
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
            self.chunks.drain(..whole);
            self.skipped = 0;
        }
        if let Some(first) = self.chunks.front_mut().filter(|_| offset > self.skipped) {
            Arc::make_mut(first)[self.skipped..offset].fill_with(|| None);
        }
        self.skipped = offset;
        self.tidy();
    }

    fn clear(&mut self, first: u64) {
        self.chunks.clear();
        self.skipped = usize::try_from(first % CHUNK as u64).expect("a chunk fits in memory");
    }

    fn iter_from<'a>(&'a self, index: usize) -> impl Iterator<Item = &'a Option<T>>
    where
        T: 'a,
    {
        let (chunk, offset) = self.place(index);
        self.chunks.iter().skip(chunk).flat_map(|chunk| chunk.iter()).skip(offset)
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
        }
    }
}

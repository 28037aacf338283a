//! Hashes that tell states and their parts apart, and results that are kept by them.

use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::{fast, quality};
use hashbrown::{HashMap, HashTable};

/// A hash of 64 bits, the same in every run of one build.
///
/// Of ten million different values, two have the same one with a probability of 3 in a million.
pub(super) fn digest(value: &(impl Hash + ?Sized)) -> u64 {
    quality::FixedState::default().hash_one(value)
}

/// The digests of what a result depends on.
pub(super) type Key = (u64, u64, u64);

/// Results by what they depend on.
///
/// It is of one thread: what it holds is seldom touched by another one, so that no counter of references is fought
/// over. The lock is there for the explorer, whose threads share a world.
#[derive(Debug)]
pub(super) struct Memo<V> {
    kept: Mutex<Kept<V>>,
    /// So many results are young; those that were not asked for since as many others came are forgotten.
    young_max: usize,
}

type Results<V> = HashMap<Key, V, fast::FixedState>;

#[derive(Debug)]
struct Kept<V> {
    young: Results<V>,
    old: Results<V>,
}

impl<V: Clone> Memo<V> {
    /// A memo that keeps up to twice so many results.
    pub(super) fn new(young_max: usize) -> Self {
        Self {
            kept: Mutex::new(Kept { young: Results::default(), old: Results::default() }),
            young_max,
        }
    }

    /// The result that depends on this, if it is kept.
    pub(super) fn known(&self, key: Key) -> Option<V> {
        let mut kept = lock(&self.kept);
        if let Some(known) = kept.young.get(&key) {
            return Some(known.clone());
        }
        let known = kept.old.remove(&key)?;
        kept.young.insert(key, known.clone());
        Some(known)
    }

    /// Keeps a result.
    pub(super) fn keep(&self, key: Key, value: V) {
        let mut kept = lock(&self.kept);
        if kept.young.len() >= self.young_max {
            kept.old = std::mem::take(&mut kept.young);
        }
        kept.young.insert(key, value);
    }

    /// The result that depends on this, which `work` works out.
    pub(super) fn get(&self, key: Key, work: impl FnOnce() -> V) -> V {
        if let Some(known) = self.known(key) {
            return known;
        }
        let value = work();
        self.keep(key, value.clone());
        value
    }
}

/// Threads seldom wait for one another.
const SHARDS: usize = 64;

/// A set of digests that threads share.
#[derive(Debug)]
pub(super) struct Digests {
    shards: [Mutex<HashTable<u64>>; SHARDS],
}

impl Default for Digests {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Digests {
    /// Whether it was not there before.
    pub(super) fn insert(&self, digest: u64) -> bool {
        let mut shard = lock(self.shard(digest));
        let entry = shard.entry(digest, |other| *other == digest, |other| *other);
        let is_new = matches!(entry, hashbrown::hash_table::Entry::Vacant(_));
        entry.or_insert(digest);
        is_new
    }

    /// Whether it is there.
    pub(super) fn contains(&self, digest: u64) -> bool {
        lock(self.shard(digest)).find(digest, |other| *other == digest).is_some()
    }

    /// A table looks at the lowest and the highest bits of a digest; the shard hangs on others.
    fn shard(&self, digest: u64) -> &Mutex<HashTable<u64>> {
        let number = digest >> 40 & (SHARDS as u64 - 1);
        &self.shards[usize::try_from(number).expect("there are few shards")]
    }
}

/// A thread that panicked while it held a lock left what it guards whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_outlives_the_rest() {
        let memo = Memo::new(4);
        memo.keep((0, 0, 0), "kept");
        for number in 1..100 {
            assert_eq!(memo.get((0, 0, 0), || "forgotten"), "kept");
            memo.keep((number, 0, 0), "other");
        }
        assert_eq!(memo.known((1, 0, 0)), None);
        assert_eq!(memo.known((99, 0, 0)), Some("other"));
    }

    #[test]
    fn a_digest_is_new_once() {
        let digests = Digests::default();
        let values = || (0..1000u64).map(|value| digest(&value));
        assert!(values().all(|digest| !digests.contains(digest) && digests.insert(digest)));
        assert!(values().all(|digest| digests.contains(digest) && !digests.insert(digest)));
    }
}

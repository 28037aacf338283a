//! The Pareto front: the points that no other point beats, and how many points share each value.
//!
//! A point is dominated by another one that costs no more by any objective and less by one.
//! Points of equal costs are one entry with their number, and the first of them in a fixed order stands for
//! all: so a front does not depend on the order in which points come, nor on the number of threads.

use super::objective::Key;

/// A point of a search by its numbers; the order tells which of equals stands for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// What tells equals apart first: costs that may be no objectives.
    pub rest: [u64; 8],
    /// Which of the numbers of regions that are searched.
    pub size: usize,
    /// The system among those of this size.
    pub system: usize,
    /// The regions, by their places among the candidates, ascending.
    pub regions: Vec<u8>,
    /// The leader, by its place among the replicas; `None` where nobody leads.
    pub leader: Option<u8>,
}

/// Points of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Their costs.
    pub key: Key,
    /// How many there are.
    pub count: u64,
    /// The first of them; `None` of a value that only another front has met.
    pub first: Option<Candidate>,
}

/// The values that no other value dominates.
#[derive(Clone, Debug, Default)]
pub struct Front {
    entries: Vec<Entry>,
}

fn is_covered(by: &Key, key: &Key) -> bool {
    by.iter().zip(key).all(|(one, other)| one <= other)
}

impl Front {
    /// A front that knows values of another one, and has none of their points.
    pub fn knowing(keys: &[Key]) -> Self {
        let entry = |key: &Key| Entry { key: *key, count: 0, first: None };
        Self { entries: keys.iter().map(entry).collect() }
    }

    /// The values.
    pub fn keys(&self) -> Vec<Key> {
        self.entries.iter().map(|entry| entry.key).collect()
    }

    /// The entries, by their values.
    pub fn into_sorted(mut self) -> Vec<Entry> {
        self.entries.sort_by_key(|entry| entry.key);
        self.entries
    }

    /// Whether some value dominates this one: an equal one does not.
    ///
    /// Of a lower bound: then every point above it is dominated too, and shares its value with none on the
    /// front.
    pub fn dominates(&mut self, key: &Key) -> bool {
        let found =
            self.entries.iter().position(|entry| is_covered(&entry.key, key) && entry.key != *key);
        if let Some(place) = found {
            // What dominates one point dominates the next.
            self.entries.swap(place, place / 2);
        }
        found.is_some()
    }

    /// Takes `count` points of this value, of which `first` makes the first; they may be dominated.
    pub fn offer(&mut self, key: Key, count: u64, first: impl FnOnce() -> Option<Candidate>) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            entry.count += count;
            if let Some(first) = first()
                && entry.first.as_ref().is_none_or(|known| first < *known)
            {
                entry.first = Some(first);
            }
            return;
        }
        if self.dominates(&key) {
            return;
        }
        self.entries.retain(|entry| !is_covered(&key, &entry.key));
        self.entries.push(Entry { key, count, first: first() });
    }

    /// Takes all points of another front.
    pub fn merge(&mut self, other: Self) {
        for Entry { key, count, first } in other.entries {
            if count > 0 {
                self.offer(key, count, || first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(costs: [u64; 2]) -> Key {
        [costs[0], costs[1], 0, 0, 0, 0, 0, 0]
    }

    fn candidate(system: usize) -> Candidate {
        Candidate { rest: [0; 8], size: 0, system, regions: vec![], leader: None }
    }

    fn front(points: &[([u64; 2], usize)]) -> Front {
        let mut front = Front::default();
        for (costs, system) in points {
            front.offer(key(*costs), 1, || Some(candidate(*system)));
        }
        front
    }

    fn said(front: Front) -> Vec<([u64; 2], u64, usize)> {
        let entries = front.into_sorted().into_iter();
        entries
            .map(|it| ([it.key[0], it.key[1]], it.count, it.first.map_or(99, |it| it.system)))
            .collect()
    }

    /// The definition, over all points at once.
    fn by_definition(points: &[([u64; 2], usize)]) -> Vec<([u64; 2], u64, usize)> {
        let beats = |a: [u64; 2], b: [u64; 2]| a[0] <= b[0] && a[1] <= b[1] && a != b;
        let mut values: Vec<[u64; 2]> = points.iter().map(|point| point.0).collect();
        values.sort_unstable();
        values.dedup();
        values.retain(|value| !points.iter().any(|other| beats(other.0, *value)));
        let entry = |value: [u64; 2]| {
            let alike = || points.iter().filter(move |point| point.0 == value);
            let count = alike().count() as u64;
            (value, count, alike().map(|point| point.1).min().unwrap())
        };
        values.into_iter().map(entry).collect()
    }

    #[test]
    fn fronts_are_those_of_the_definition_in_any_order_and_in_parts() {
        let value = |it: usize| [(it * 37 % 20) as u64, (20 - it * 37 % 20 + it % 5 * 2) as u64];
        let points: Vec<([u64; 2], usize)> = (0..200).map(|it| (value(it), it)).collect();
        let expected = by_definition(&points);
        assert!(expected.len() > 1 && expected.iter().any(|entry| entry.1 > 1));
        let backwards: Vec<_> = points.iter().rev().copied().collect();
        assert_eq!(said(front(&points)), expected);
        assert_eq!(said(front(&backwards)), expected);
        let mut merged = front(&points[..77]);
        let mut known = Front::knowing(&merged.keys());
        for (costs, system) in &points[77..] {
            known.offer(key(*costs), 1, || Some(candidate(*system)));
        }
        merged.merge(known);
        assert_eq!(said(merged), expected);
    }

    #[test]
    fn equals_do_not_dominate_one_another() {
        let mut front = front(&[([3, 3], 0)]);
        assert!(!front.dominates(&key([3, 3])));
        assert!(front.dominates(&key([3, 4])) && front.dominates(&key([4, 3])));
        assert!(!front.dominates(&key([2, 4])));
    }
}

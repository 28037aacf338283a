//! What stood under each key at a time: the state machine as it was.
//!
//! The state machine holds what is newest. For each write of the last slots this holds what stood under its key before,
//! so the value at a time is what the first later write of the key replaced.
//! Nothing of it is durable: a replica that starts again, or takes the state of another one, begins with a state of
//! which it knows one moment.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::protocol::Slot;
use crate::time::Time;

/// The last slots, their stamps, and what their writes replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Versions {
    /// The stamp of the last slot before them: how it was earlier than that is not known.
    begin: Time,
    /// The first of them.
    first: Slot,
    /// The stamp of each, and the key that it wrote.
    slots: VecDeque<(Time, Option<u64>)>,
    /// By key, their writes.
    writes: BTreeMap<u64, VecDeque<Write>>,
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Write {
    stamp: Time,
    /// What stood under its key before.
    before: Option<Bytes>,
}

/// What stood under a key at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The first slot that is later.
    pub(super) below: Slot,
    pub(super) value: Option<Bytes>,
    /// The stamp of the write of it; a later one, where that is forgotten.
    pub(super) stamp: Time,
}

impl Versions {
    /// Every slot below this is executed, the last of them with this stamp, and nothing is known of earlier ones.
    pub(super) fn restart(&mut self, below: Slot, newest: Option<Time>) {
        *self = Self { begin: newest.unwrap_or_default(), first: below, ..Self::default() };
    }

    /// The next slot is executed; it wrote this key, under which that stood before.
    ///
    /// # Panics
    /// If its stamp is not later than those before it, unless the quorums are known not to intersect (`is_safe` is
    /// false).
    pub(super) fn execute(
        &mut self,
        slot: Slot,
        stamp: Option<Time>,
        written: Option<(u64, Option<Bytes>)>,
        is_safe: bool,
    ) {
        let before = self.safe_time();
        let stamp = stamp.unwrap_or(before);
        let is_first = slot == Slot::ZERO;
        assert!(
            !is_safe || is_first || stamp > before,
            "{slot}: its stamp is {} ns, and that of the slot before is {} ns",
            stamp.0,
            before.0
        );
        let stamp = stamp.max(before);
        self.slots.push_back((stamp, written.as_ref().map(|(key, _)| *key)));
        if let Some((key, before)) = written {
            self.writes.entry(key).or_default().push_back(Write { stamp, before });
        }
    }

    /// The stamp of the last slot that is executed: every later slot has a later stamp.
    pub(super) fn safe_time(&self) -> Time {
        self.slots.back().map_or(self.begin, |(stamp, _)| *stamp)
    }

    /// Every slot below this is executed.
    pub(super) fn end(&self) -> Slot {
        Slot(self.first.0 + self.slots.len() as u64)
    }

    /// The stamp of the slot before this one, which is executed; a later one, where it is forgotten.
    pub(super) fn stamp_below(&self, slot: Slot) -> Time {
        let place = slot.0.checked_sub(self.first.0 + 1);
        let place = place.and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.slots.get(place)).map_or(self.begin, |(stamp, _)| *stamp)
    }

    /// What stood under a key at this time, or at the first that is known of; `newest` is what stands there now.
    pub(super) fn at(&self, time: Time, key: u64, newest: Option<&Bytes>) -> Seen {
        let time = time.max(self.begin);
        let seen = self.slots.partition_point(|(stamp, _)| *stamp <= time);
        let below = Slot(self.first.0 + seen as u64);
        let (value, stamp) = match self.writes.get(&key) {
            None => (newest.cloned(), None),
            Some(writes) => {
                let seen = writes.partition_point(|write| write.stamp <= time);
                let replaced = writes.get(seen).map(|write| write.before.clone());
                let stamp = seen.checked_sub(1).map(|last| writes[last].stamp);
                (replaced.unwrap_or_else(|| newest.cloned()), stamp)
            }
        };
        Seen { below, value, stamp: stamp.unwrap_or(self.begin) }
    }

    /// Nobody will ask how it was before this time.
    pub(super) fn forget_before(&mut self, time: Time) {
        while let Some((stamp, written)) = self.slots.front().copied().filter(|it| it.0 <= time) {
            self.slots.pop_front();
            self.begin = stamp;
            self.first = self.first.next();
            let Some(key) = written else { continue };
            if let Some(writes) = self.writes.get_mut(&key) {
                writes.pop_front();
                if writes.is_empty() {
                    self.writes.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quiet::quietly;

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be absent")]
    fn text(value: &str) -> Option<Bytes> {
        Some(Bytes::from(value.to_owned()))
    }

    /// x=a at 10, a no-op at 20, x=b at 30, y=c at 40.
    fn versions() -> Versions {
        let mut versions = Versions::default();
        versions.execute(Slot(0), Some(Time(10)), Some((1, None)), true);
        versions.execute(Slot(1), Some(Time(20)), None, true);
        versions.execute(Slot(2), Some(Time(30)), Some((1, text("a"))), true);
        versions.execute(Slot(3), Some(Time(40)), Some((2, None)), true);
        versions
    }

    fn at(versions: &Versions, time: u64) -> (u64, Option<Bytes>, u64) {
        let Seen { below, value, stamp } = versions.at(Time(time), 1, text("b").as_ref());
        (below.0, value, stamp.0)
    }

    #[test]
    fn a_key_is_read_as_it_was_at_a_time() {
        let versions = versions();
        assert_eq!(at(&versions, 9), (0, None, 0));
        assert_eq!(at(&versions, 10), (1, text("a"), 10));
        assert_eq!(at(&versions, 29), (2, text("a"), 10));
        assert_eq!(at(&versions, 30), (3, text("b"), 30));
        assert_eq!(at(&versions, 99), (4, text("b"), 30));
        assert_eq!(versions.safe_time(), Time(40));
        assert_eq!(versions.end(), Slot(4));
        assert_eq!([0, 1, 3, 4].map(|slot| versions.stamp_below(Slot(slot)).0), [0, 10, 30, 40]);
        assert_eq!(versions.at(Time(39), 2, text("c").as_ref()).value, None);
    }

    #[test]
    fn what_is_forgotten_is_read_as_of_the_first_time_that_is_known() {
        let mut versions = versions();
        versions.forget_before(Time(30));
        assert_eq!(versions.slots.len(), 1);
        assert_eq!(versions.writes.len(), 1);
        assert_eq!(at(&versions, 5), (3, text("b"), 30));
        versions.forget_before(Time(99));
        assert!(versions.slots.is_empty() && versions.writes.is_empty());
        assert_eq!(versions.safe_time(), Time(40));
        versions.restart(Slot(9), Some(Time(70)));
        assert_eq!(at(&versions, 50), (9, text("b"), 70));
    }

    #[test]
    fn stamps_that_do_not_rise_are_found() {
        let execute =
            |is_safe| quietly(|| versions().execute(Slot(4), Some(Time(40)), None, is_safe));
        assert!(execute(true).unwrap_err().message.contains("its stamp is 40 ns"));
        // Where quorums need not intersect the check of the run finds it.
        assert!(execute(false).is_ok());
    }
}

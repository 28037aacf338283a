//! The timers of one replica: which is due next, and which are due now.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::TimerId;
use crate::time::Time;

/// Timers by instant and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Timers {
    due: BTreeSet<(Time, TimerId)>,
    by_id: BTreeMap<TimerId, Time>,
}

impl Timers {
    /// Sets a timer, in place of an earlier setting.
    pub(super) fn set(&mut self, id: TimerId, at: Time) {
        if let Some(before) = self.by_id.insert(id, at) {
            self.due.remove(&(before, id));
        }
        self.due.insert((at, id));
    }

    /// The instant of the next one.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes one that is due at `now`, the earliest first.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<TimerId> {
        let (at, id) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        self.by_id.remove(&id);
        Some(id)
    }

    /// Forgets a timer; false if it is not set.
    pub(super) fn remove(&mut self, id: TimerId) -> bool {
        let at = self.by_id.remove(&id);
        at.is_some_and(|at| self.due.remove(&(at, id)))
    }

    /// Every timer and its instant, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TimerId, Time)> {
        self.by_id.iter().map(|(id, at)| (*id, *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_run_out_in_their_order_and_a_new_setting_replaces_the_old() {
        let mut timers = Timers::default();
        timers.set(TimerId(1), Time(30));
        timers.set(TimerId(2), Time(10));
        timers.set(TimerId(1), Time(5));
        assert_eq!(timers.next(), Some(Time(5)));
        assert_eq!(timers.pop_due(Time(4)), None);
        assert_eq!(timers.pop_due(Time(40)), Some(TimerId(1)));
        assert_eq!(timers.pop_due(Time(40)), Some(TimerId(2)));
        assert_eq!(timers.pop_due(Time(40)), None);
        timers.set(TimerId(3), Time(50));
        assert_eq!(timers.iter().collect::<Vec<_>>(), [(TimerId(3), Time(50))]);
        assert!(timers.remove(TimerId(3)) && !timers.remove(TimerId(3)));
        assert_eq!(timers.next(), None);
    }
}

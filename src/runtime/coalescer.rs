//! What is due at many instants is done at few of them, while there is too much of it.
//!
//! Each instant costs a wake-up of somebody, some ten microseconds of processor time: at tens of
//! thousands of them a second, most of what a machine does is waking up.
//! So once there is more than one instant in a quantum, on average, each is put off to the next multiple
//! of the quantum on the clock that all members share, where others wait: never early, and late by less
//! than the quantum. Below that load nothing is put off.
//! Network cards do the same with their interrupts (interrupt moderation).
//!
//! What takes less than [`SHARE`] quanta is put off by less, down to nothing: lateness must not show in
//! what is measured.

use crate::time::{Span, Time};

/// Nothing is put off by more than this part of the time that it takes.
const SHARE: u64 = 64;

/// A grid that is finer than this saves no wake-up.
const STEP_MIN: Span = Span::from_micros(8);

/// The load is looked at anew after this time.
const LOOK: Span = Span::from_millis(10);

/// How far what is due is put off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coalescer {
    quantum: Span,
    /// Since when instants are counted.
    since: Time,
    count: u64,
    is_loaded: bool,
}

impl Coalescer {
    /// Puts off by less than `quantum`; zero is never.
    pub(super) const fn new(quantum: Span) -> Self {
        Self { quantum, since: Time::ZERO, count: 0, is_loaded: false }
    }

    /// There is one more instant at which something is due.
    ///
    /// Where much is put off there are fewer instants afterwards, so half the load keeps it up.
    pub(super) fn count(&mut self, now: Time) {
        let passed = now.since(self.since);
        if passed >= LOOK {
            let enough = if self.is_loaded { passed.0 / 2 } else { passed.0 };
            self.is_loaded = self.quantum.0.saturating_mul(self.count) > enough;
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
    }

    /// When to do what is due at `due` and took, or takes, `span` until then.
    pub(super) fn put_off(&self, due: Time, span: Span) -> Time {
        if !self.is_loaded {
            return due;
        }
        let mut step = self.quantum.0;
        while step > span.0 / SHARE {
            step /= 2;
        }
        if step < STEP_MIN.0 { due } else { Time(due.0.next_multiple_of(step)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTUM: Span = Span::from_micros(128);
    const LONG: Span = Span::from_millis(10);

    /// So many instants a second, for a tenth of one, from `start` on.
    fn load(coalescer: &mut Coalescer, start: Time, per_s: u64) -> Time {
        let gap = Span(1_000_000_000 / per_s);
        let mut now = start;
        while now < start + Span::from_millis(100) {
            coalescer.count(now);
            now = now + gap;
        }
        now
    }

    #[test]
    fn nothing_is_put_off_below_one_instant_in_a_quantum() {
        let mut coalescer = Coalescer::new(QUANTUM);
        let due = Time(1_000_000_001);
        assert_eq!(coalescer.put_off(due, LONG), due);
        let now = load(&mut coalescer, due, 7_000);
        assert_eq!(coalescer.put_off(due, LONG), due);
        let now = load(&mut coalescer, now, 9_000);
        assert_eq!(coalescer.put_off(due, LONG), Time(1_000_064_000));
        // It lowers the load itself.
        let now = load(&mut coalescer, now, 4_500);
        assert_ne!(coalescer.put_off(due, LONG), due);
        let now = load(&mut coalescer, now, 3_500);
        assert_eq!(coalescer.put_off(due, LONG), due);
        load(&mut coalescer, now, 9_000);
        coalescer.count(now + Span::from_millis(5_000));
        assert_eq!(coalescer.put_off(due, LONG), due, "a burst long ago is no load");
    }

    #[test]
    fn what_takes_little_is_put_off_by_little_and_nothing_is_early() {
        let mut coalescer = Coalescer::new(QUANTUM);
        load(&mut coalescer, Time(1), 20_000);
        for (micros, latest) in [(0, 0), (500, 0), (512, 8), (1_000, 8), (5_000, 64), (90_000, 128)]
        {
            let span = Span::from_micros(micros);
            let put_off = (0..1_000).map(|step| {
                let due = Time(1_000_000_000 + step * 777);
                coalescer.put_off(due, span).since(due)
            });
            let longest = put_off.max().unwrap();
            let latest = Span::from_micros(latest);
            assert!(longest <= latest && longest.0 * 100 >= latest.0 * 95, "{micros}: {longest:?}");
        }
        let never = Coalescer { quantum: Span::ZERO, ..coalescer };
        assert_eq!(never.put_off(Time(7), LONG), Time(7));
    }

    #[test]
    fn what_is_due_in_order_is_done_in_order() {
        let mut coalescer = Coalescer::new(QUANTUM);
        load(&mut coalescer, Time(1), 20_000);
        let done: Vec<Time> = (0..1_000)
            .map(|step| coalescer.put_off(Time(1_000_000_000 + step * 1_000), LONG))
            .collect();
        assert!(done.is_sorted());
        assert!(done.iter().all(|at| at.0 % QUANTUM.0 == 0));
    }
}

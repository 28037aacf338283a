//! The recorder of a load generator: one call an operation, a few nanoseconds, and no allocation but
//! one in an interval.
//!
//! Only an operation whose *intended* start lies in the measured window counts.
//! Latencies go into the histogram of the current interval; when an interval is over, its histograms
//! are put aside whole and empty ones take their place, so nothing is summed or encoded on the way.
//! Who owns the recorder takes them and gives them to a [`super::Recording`], on another thread if
//! it likes; the totals are the sum of the intervals.

use serde::{Deserialize, Serialize};

use super::Latencies;
use super::samples::{Packed, Samples};
use crate::time::{Span, Time};

/// What is measured: from `from` up to `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant.
    pub from: Time,
    /// The first instant after.
    pub to: Time,
}

impl Window {
    /// Whether `at` lies in it.
    #[inline]
    pub fn contains(self, at: Time) -> bool {
        self.from <= at && at < self.to
    }

    /// Its length.
    pub const fn length(self) -> Span {
        self.to.since(self.from)
    }
}

/// What kind of operation a latency is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OperationKind {
    /// It stores a value.
    Write,
    /// It reads a value.
    Read,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Write, Self::Read];

    /// The name in rows and tags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// The latencies of the operations that returned within one interval.
#[derive(Clone, Debug)]
pub struct Interval {
    start: Time,
    samples: [Samples; 2],
}

impl Interval {
    fn new() -> Self {
        Self { start: Time::ZERO, samples: [Samples::new(), Samples::new()] }
    }

    /// When it began.
    pub const fn start(&self) -> Time {
        self.start
    }

    /// The latencies of one kind of operation.
    pub fn latencies(&self, operation: OperationKind) -> Latencies {
        self.samples[operation as usize].latencies()
    }

    /// The latencies of one kind of operation as they travel; `None` if there is none.
    pub(super) fn pack(&self, operation: OperationKind) -> Option<Packed> {
        let samples = &self.samples[operation as usize];
        (!samples.is_empty()).then(|| samples.pack())
    }

    /// Forgets all latencies, so that [`Recorder::recycle`] can use the memory again.
    ///
    /// This may touch half a megabyte: do it on the thread that encoded the interval.
    pub fn clear(&mut self) {
        self.samples.iter_mut().for_each(Samples::clear);
    }
}

/// Records the latencies of one client.
#[derive(Debug)]
pub struct Recorder {
    window: Window,
    length: Span,
    current: Interval,
    /// The end of the current interval.
    end: Time,
    full: Vec<Interval>,
    spare: Vec<Interval>,
    returned_count: u64,
}

impl Recorder {
    /// Nothing recorded; intervals of `length` from the start of `window` on.
    ///
    /// # Panics
    /// If `length` is zero.
    pub fn new(window: Window, length: Span) -> Self {
        assert!(length > Span::ZERO, "an interval of no length");
        let mut current = Interval::new();
        current.start = window.from;
        Self {
            window,
            length,
            current,
            end: window.from + length,
            full: Vec::new(),
            spare: vec![Interval::new()],
            returned_count: 0,
        }
    }

    /// An operation returned.
    #[inline]
    pub fn record(&mut self, operation: OperationKind, intended_at: Time, returned_at: Time) {
        self.returned_count += u64::from(self.window.contains(returned_at));
        if !self.window.contains(intended_at) {
            return;
        }
        if returned_at >= self.end {
            self.rotate(returned_at);
        }
        self.current.samples[operation as usize].record(returned_at.since(intended_at));
    }

    /// It is `now`: closes the current interval if it is over although nothing returned since.
    pub fn advance(&mut self, now: Time) {
        if now >= self.end {
            self.rotate(now);
        }
    }

    /// An interval that is over, the oldest first.
    pub fn take_interval(&mut self) -> Option<Interval> {
        (!self.full.is_empty()).then(|| self.full.remove(0))
    }

    /// Takes back the memory of an interval that was cleared.
    ///
    /// # Panics
    /// If it was not cleared: its latencies would be counted twice.
    pub fn recycle(&mut self, interval: Interval) {
        assert!(
            interval.samples.iter().all(Samples::is_empty),
            "an interval is recycled before it is cleared"
        );
        self.spare.push(interval);
    }

    /// How many operations returned within the window, whenever they were intended.
    ///
    /// Divided by the length of the window this is the achieved rate.
    pub const fn returned_count(&self) -> u64 {
        self.returned_count
    }

    /// What is measured.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The length of an interval.
    pub const fn interval_length(&self) -> Span {
        self.length
    }

    /// All intervals that were not taken, the current one last.
    pub fn finish(mut self) -> Vec<Interval> {
        self.full.push(self.current);
        self.full
    }

    #[cold]
    fn rotate(&mut self, now: Time) {
        let mut next = self.spare.pop().unwrap_or_else(Interval::new);
        let index = now.since(self.window.from).0 / self.length.0;
        next.start = self.window.from + self.length.times(index);
        self.end = next.start + self.length;
        self.full.push(std::mem::replace(&mut self.current, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn recorder() -> Recorder {
        let window = Window { from: Time(10 * SECOND), to: Time(20 * SECOND) };
        Recorder::new(window, Span(SECOND))
    }

    fn write(recorder: &mut Recorder, intended_at: u64, latency: u64) {
        let intended_at = Time(intended_at);
        recorder.record(OperationKind::Write, intended_at, intended_at + Span(latency));
    }

    fn count(intervals: &[Interval]) -> Vec<(u64, u64)> {
        let writes = |interval: &Interval| interval.latencies(OperationKind::Write).count();
        intervals.iter().map(|i| (i.start().0 / SECOND, writes(i))).collect()
    }

    #[test]
    fn only_what_was_intended_in_the_window_is_recorded() {
        let mut recorder = recorder();
        for intended_at in [0, 10 * SECOND - 1, 10 * SECOND, 20 * SECOND - 1, 20 * SECOND] {
            write(&mut recorder, intended_at, 5);
        }
        assert_eq!(count(&recorder.finish()), [(10, 1), (20, 1)]);
    }

    #[test]
    fn what_returned_in_the_window_is_counted_whenever_it_was_intended() {
        let mut recorder = recorder();
        write(&mut recorder, 9 * SECOND, 2 * SECOND);
        write(&mut recorder, 9 * SECOND, 12 * SECOND);
        write(&mut recorder, 19 * SECOND, SECOND - 1);
        write(&mut recorder, 19 * SECOND, SECOND);
        assert_eq!(recorder.returned_count(), 2);
    }

    #[test]
    fn a_latency_belongs_to_the_interval_in_which_it_returned() {
        let mut recorder = recorder();
        write(&mut recorder, 10 * SECOND, SECOND / 2);
        write(&mut recorder, 10 * SECOND, SECOND);
        assert_eq!(count(&recorder.take_interval().into_iter().collect::<Vec<_>>()), [(10, 1)]);
        // Nothing returns for three seconds.
        write(&mut recorder, 11 * SECOND, 3 * SECOND);
        recorder.advance(Time(15 * SECOND));
        recorder.advance(Time(15 * SECOND));
        assert_eq!(count(&recorder.finish()), [(11, 1), (14, 1), (15, 0)]);
    }

    #[test]
    fn reads_and_writes_are_apart() {
        let mut recorder = recorder();
        write(&mut recorder, 10 * SECOND, 7);
        recorder.record(OperationKind::Read, Time(10 * SECOND), Time(10 * SECOND + 9));
        let interval = &recorder.finish()[0];
        let max = |operation| interval.latencies(operation).max();
        assert_eq!(max(OperationKind::Write), Some(Span(7)));
        assert_eq!(max(OperationKind::Read), Some(Span(9)));
    }

    #[test]
    fn recycled_memory_starts_empty() {
        let mut recorder = recorder();
        for second in 10..20 {
            write(&mut recorder, second * SECOND, 7);
            if let Some(mut interval) = recorder.take_interval() {
                interval.clear();
                recorder.recycle(interval);
            }
        }
        assert_eq!(count(&recorder.finish()), [(19, 1)]);
    }
}

//! The recorder of a load generator: one call an operation, a few nanoseconds, and no allocation but
//! one in an interval.
//!
//! Only an operation whose *intended* start lies in the measured window has a latency that counts.
//! An interval of the window ends with the window at the latest; what is answered later, in the drain,
//! is in intervals of its own.
//! An operation that is never answered returns in no interval: it is given up at the end, with the time
//! that it was waited for ([`Recorder::give_up`]).
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
    /// It is answered at once, without a quorum: it shows what the way and the host take by themselves.
    ///
    /// It is no part of the load: it counts for no rate, and a closed loop does not wait for it.
    Control,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Control];

    /// Whether it is one of those that the clients' load is made of.
    pub const fn is_load(self) -> bool {
        !matches!(self, Self::Control)
    }

    /// The name in rows and tags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Control => "control",
        }
    }
}

/// The latencies of the operations that returned within one interval.
#[derive(Clone, Debug)]
pub struct Interval {
    start: Time,
    length: Span,
    samples: [Samples; KINDS],
    /// Operations that returned in it and were intended before the window.
    early: [u64; KINDS],
}

const KINDS: usize = OperationKind::ALL.len();

impl Interval {
    fn new() -> Self {
        Self {
            start: Time::ZERO,
            length: Span::ZERO,
            samples: std::array::from_fn(|_| Samples::new()),
            early: [0; KINDS],
        }
    }

    /// When it began.
    pub const fn start(&self) -> Time {
        self.start
    }

    /// How long it is.
    pub const fn length(&self) -> Span {
        self.length
    }

    /// How many operations of one kind returned in it that were intended before the window: they count
    /// for its rate, and their latencies for nothing.
    pub(super) const fn early_count(&self, operation: OperationKind) -> u64 {
        self.early[operation as usize]
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
        self.early = [0; KINDS];
    }
}

/// An operation of the window that was never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub(super) operation: OperationKind,
    pub(super) intended_at: Time,
    pub(super) waited: Span,
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
    given_up: Vec<GivenUp>,
    /// The last return in the window, or the start of the window.
    heard_at: Time,
    longest_silence: Span,
}

impl Recorder {
    /// Nothing recorded; intervals of `length` from the start of `window` on.
    ///
    /// # Panics
    /// If `length` is zero.
    pub fn new(window: Window, length: Span) -> Self {
        assert!(length > Span::ZERO, "an interval of no length");
        let mut recorder = Self {
            window,
            length,
            current: Interval::new(),
            end: window.from,
            full: Vec::new(),
            spare: vec![Interval::new()],
            returned_count: 0,
            given_up: Vec::new(),
            heard_at: window.from,
            longest_silence: Span::ZERO,
        };
        recorder.current = recorder.begin(window.from);
        recorder
    }

    /// An operation returned.
    #[inline]
    pub fn record(&mut self, operation: OperationKind, intended_at: Time, returned_at: Time) {
        let is_in_window = self.window.contains(returned_at);
        if operation.is_load() {
            self.returned_count += u64::from(is_in_window);
            self.hear(returned_at);
        }
        let counts = self.window.contains(intended_at);
        if !counts && !is_in_window {
            return;
        }
        if returned_at >= self.end {
            self.rotate(returned_at);
        }
        if counts {
            self.current.samples[operation as usize].record(returned_at.since(intended_at));
        } else {
            self.current.early[operation as usize] += 1;
        }
    }

    /// An operation has no answer after this time, and is waited for no longer.
    pub fn give_up(&mut self, operation: OperationKind, intended_at: Time, waited: Span) {
        if self.window.contains(intended_at) {
            self.given_up.push(GivenUp { operation, intended_at, waited });
        }
    }

    /// Something returned, so the silence before is over; what lies outside of the window does not count.
    #[inline]
    fn hear(&mut self, at: Time) {
        let until = at.min(self.window.to);
        self.longest_silence = self.longest_silence.max(until.since(self.heard_at));
        self.heard_at = self.heard_at.max(until);
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

    /// How many operations of the load returned within the window, whenever they were intended.
    ///
    /// Divided by the length of the window this is the achieved rate.
    pub const fn returned_count(&self) -> u64 {
        self.returned_count
    }

    /// The longest time within the window in which nothing of the load returned.
    pub fn longest_silence(&self) -> Span {
        self.longest_silence.max(self.window.to.since(self.heard_at))
    }

    /// The operations that were given up, since the last call.
    pub(super) fn take_given_up(&mut self) -> Vec<GivenUp> {
        std::mem::take(&mut self.given_up)
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
        let next = self.begin(now);
        self.full.push(std::mem::replace(&mut self.current, next));
    }

    /// The interval that holds this instant; intervals of the drain are counted from the window's end.
    fn begin(&mut self, now: Time) -> Interval {
        let Window { from, to } = self.window;
        let origin = if now < to { from } else { to };
        let mut next = self.spare.pop().unwrap_or_else(Interval::new);
        next.start = origin + self.length.times(now.since(origin).0 / self.length.0);
        self.end = next.start + self.length;
        if now < to {
            self.end = self.end.min(to);
        }
        next.length = self.end.since(next.start);
        next
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
        let early = |interval: &Interval| interval.early_count(OperationKind::Write);
        assert_eq!(recorder.finish().iter().map(early).collect::<Vec<_>>(), [0, 1, 0, 0]);
    }

    #[test]
    fn a_control_operation_is_recorded_and_is_no_part_of_the_load() {
        let mut recorder = recorder();
        write(&mut recorder, 11 * SECOND, 5);
        let at = Time(15 * SECOND);
        recorder.record(OperationKind::Control, at, at + Span(7));
        assert_eq!(recorder.returned_count(), 1);
        // From the write to the end of the window, whatever the control operation was told between.
        assert_eq!(recorder.longest_silence(), Span(9 * SECOND - 5));
        let of = |kind| move |interval: &Interval| interval.latencies(kind).count();
        let intervals = recorder.finish();
        assert_eq!(intervals.iter().map(of(OperationKind::Control)).sum::<u64>(), 1);
        assert_eq!(intervals.iter().map(of(OperationKind::Write)).sum::<u64>(), 1);
    }

    #[test]
    fn the_last_interval_ends_with_the_window_and_the_drain_follows() {
        let window = Window { from: Time(0), to: Time(5 * SECOND / 2) };
        let mut recorder = Recorder::new(window, Span(SECOND));
        for returned_at in [10, 11, 24, 25, 26, 34, 35].map(|tenths| tenths * SECOND / 10) {
            recorder.record(OperationKind::Write, Time(0), Time(returned_at));
        }
        let intervals = recorder.finish();
        let tenths = |ns: u64| ns * 10 / SECOND;
        let found: Vec<_> = intervals
            .iter()
            .map(|it| {
                let count = it.latencies(OperationKind::Write).count();
                (tenths(it.start().0), tenths(it.length().0), count)
            })
            .collect();
        assert_eq!(found, [(0, 10, 0), (10, 10, 2), (20, 5, 1), (25, 10, 3), (35, 10, 1)]);
    }

    #[test]
    fn the_longest_silence_is_that_within_the_window() {
        let silence = |returned: &[u64]| {
            let mut recorder = recorder();
            for at in returned {
                recorder.record(OperationKind::Write, Time(at * SECOND), Time(at * SECOND));
            }
            recorder.longest_silence().0 / SECOND
        };
        assert_eq!((silence(&[]), silence(&[9]), silence(&[30])), (10, 10, 10));
        assert_eq!((silence(&[1, 12, 14, 19]), silence(&[11, 13, 25])), (5, 7));
    }

    #[test]
    fn only_operations_of_the_window_are_given_up() {
        let mut recorder = recorder();
        for at in [9, 10, 19, 20] {
            recorder.give_up(OperationKind::Read, Time(at * SECOND), Span(SECOND));
        }
        let given_up = recorder.take_given_up();
        let starts: Vec<u64> = given_up.iter().map(|it| it.intended_at.0 / SECOND).collect();
        assert_eq!((starts, recorder.take_given_up().len()), (vec![10, 19], 0));
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

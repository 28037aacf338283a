//! What a client recorded, as it travels and is kept: its intervals, each histogram encoded.
//!
//! Encoded, an interval is a kilobyte or two instead of half a megabyte.
//! The totals are not kept beside the intervals: they are their sum.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::samples::{Packed, Samples};
use super::{Error, Interval, Latencies, OperationKind, Recorder, Window, hlog};
use crate::time::{Span, Time};

/// The intervals of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// What was measured.
    pub window: Window,
    /// The length of an interval; the last one of the window may be shorter.
    pub length: Span,
    /// Operations of the load that returned within the window: [`Recorder::returned_count`].
    pub returned_count: u64,
    /// The longest time within the window in which none did: [`Recorder::longest_silence`].
    pub longest_silence: Span,
    intervals: Vec<Encoded>,
    unanswered: Vec<Unanswered>,
}

/// One histogram of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Encoded {
    start: Time,
    length: Span,
    operation: OperationKind,
    latencies: Packed,
    /// Operations that returned in it and were intended before the window.
    early_count: u64,
}

/// The operations of one kind that were intended in one interval and never answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unanswered {
    /// Which interval of the window, from 0.
    index: u64,
    operation: OperationKind,
    /// How long each was waited for.
    waits: Packed,
}

/// One interval of a timeline: everything that returned in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimelinePoint {
    /// Its start, from the start of the window.
    pub start: Span,
    /// Its length.
    pub length: Span,
    /// How many operations returned in it, whenever they were intended.
    pub returned_count: u64,
    /// The latencies of those that were intended in the window; and without an answer those that were
    /// intended in this interval, because they returned in none.
    pub latencies: Latencies,
}

impl Recording {
    /// Nothing yet.
    pub const fn new(window: Window, length: Span) -> Self {
        Self {
            window,
            length,
            returned_count: 0,
            longest_silence: Span::ZERO,
            intervals: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    /// Adds an interval; empty histograms take no space.
    pub fn add(&mut self, interval: &Interval) {
        for operation in OperationKind::ALL {
            let (latencies, early_count) =
                (interval.pack(operation), interval.early_count(operation));
            if latencies.is_some() || early_count > 0 {
                self.intervals.push(Encoded {
                    start: interval.start(),
                    length: interval.length(),
                    operation,
                    latencies: latencies.unwrap_or_default(),
                    early_count,
                });
            }
        }
    }

    /// Adds all that `recorder` still holds: it records no more.
    pub fn finish(&mut self, mut recorder: Recorder) {
        self.returned_count = recorder.returned_count();
        self.longest_silence = recorder.longest_silence();
        let mut waits: BTreeMap<(u64, OperationKind), Samples> = BTreeMap::new();
        for given_up in recorder.take_given_up() {
            let index = self.index(given_up.intended_at);
            let of = waits.entry((index, given_up.operation)).or_insert_with(Samples::new);
            of.record(given_up.waited);
        }
        let pack = |((index, operation), waits): ((u64, OperationKind), Samples)| Unanswered {
            index,
            operation,
            waits: waits.pack(),
        };
        self.unanswered.extend(waits.into_iter().map(pack));
        recorder.finish().iter().for_each(|interval| self.add(interval));
    }

    /// All latencies of one kind of operation, and those without an answer.
    pub fn total(&self, operation: OperationKind) -> Result<Latencies, Error> {
        let mut total = Latencies::new();
        for interval in self.intervals.iter().filter(|encoded| encoded.operation == operation) {
            interval.latencies.add_to(&mut total)?;
        }
        for unanswered in self.unanswered.iter().filter(|it| it.operation == operation) {
            unanswered.waits.add_unanswered_to(&mut total)?;
        }
        Ok(total)
    }

    /// How many operations of one kind were never answered.
    pub fn unanswered_count(&self, operation: OperationKind) -> Result<u64, Error> {
        let of_kind = self.unanswered.iter().filter(|it| it.operation == operation);
        of_kind.map(|it| it.waits.count()).sum()
    }

    /// One point for every interval of the window, also where nothing returned; what returned after the
    /// window is in none.
    pub fn timeline(
        &self,
        operation: OperationKind,
    ) -> impl Iterator<Item = Result<TimelinePoint, Error>> {
        let mut returned: BTreeMap<u64, Vec<&Encoded>> = BTreeMap::new();
        for encoded in self.intervals.iter().filter(|encoded| encoded.operation == operation) {
            if self.window.contains(encoded.start) {
                returned.entry(self.index(encoded.start)).or_default().push(encoded);
            }
        }
        let mut unanswered: BTreeMap<u64, Vec<&Packed>> = BTreeMap::new();
        for waited in self.unanswered.iter().filter(|waited| waited.operation == operation) {
            unanswered.entry(waited.index).or_default().push(&waited.waits);
        }
        // A histogram is a quarter of a megabyte: there is one at a time.
        (0..).zip(timeline(self.window, self.length)).map(move |(index, mut point)| {
            for encoded in returned.get(&index).into_iter().flatten() {
                encoded.latencies.add_to(&mut point.latencies)?;
                point.returned_count += encoded.early_count;
            }
            point.returned_count += point.latencies.count();
            for waits in unanswered.get(&index).into_iter().flatten() {
                waits.add_unanswered_to(&mut point.latencies)?;
            }
            Ok(point)
        })
    }

    /// The interval of the window that holds this instant, from 0.
    fn index(&self, at: Time) -> u64 {
        at.since(self.window.from).0 / self.length.0.max(1)
    }
}

/// Intervals of this length that fill a window, with nothing in them; the last may be shorter.
pub fn timeline(window: Window, length: Span) -> impl Iterator<Item = TimelinePoint> {
    let (whole, length) = (window.length(), Span(length.0.max(1)));
    (0..whole.0.div_ceil(length.0)).map(move |index| {
        let start = length.times(index);
        let length = length.min(whole - start);
        TimelinePoint { start, length, ..TimelinePoint::default() }
    })
}

/// Writes the interval log of these series: see [`hlog::write`] and [`log_lines`].
pub fn write_log(
    out: impl Write,
    start: Duration,
    series: &[(&str, &Recording)],
) -> Result<(), Error> {
    let mut unanswered = Vec::new();
    for (name, recording) in series {
        for operation in OperationKind::ALL {
            if recording.unanswered_count(operation)? > 0 {
                unanswered.push((tag(name, operation), recording.total(operation)?.waits()));
            }
        }
    }
    hlog::write(out, start, &unanswered, log_lines(series))
}

fn tag(series: &str, operation: OperationKind) -> String {
    format!("{series}:{}", operation.name())
}

/// The lines of an interval log of these series, tagged `series:write` and by the other kinds: forward in
/// time, all series of an interval before the next, so that a reader of a part of the time finds all.
///
/// An operation without an answer is in none of them.
pub fn log_lines<'a>(
    series: &[(&'a str, &'a Recording)],
) -> impl Iterator<Item = Result<hlog::Line, Error>> + use<'a> {
    let of = |(name, recording): &(&'a str, &'a Recording)| {
        let (name, from) = (*name, recording.window.from);
        let answered = recording.intervals.iter().filter(|encoded| !encoded.latencies.is_empty());
        answered.map(move |encoded| (encoded.start.since(from), name, encoded))
    };
    let mut lines: Vec<(Span, &str, &Encoded)> = series.iter().flat_map(of).collect();
    // Those of one start stay in the order of the series.
    lines.sort_by_key(|(start, ..)| *start);
    lines.into_iter().map(|(start, name, encoded)| {
        let tag = tag(name, encoded.operation);
        let latencies = encoded.latencies.latencies()?;
        Ok(hlog::Line { tag, start, length: encoded.length, latencies })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Recorder;

    const SECOND: u64 = 1_000_000_000;

    fn recorded(latencies: &[(u64, u64)]) -> Recording {
        let window = Window { from: Time(SECOND), to: Time(5 * SECOND) };
        let mut recorder = Recorder::new(window, Span(SECOND));
        for (second, latency) in latencies {
            let intended_at = Time(second * SECOND);
            recorder.record(OperationKind::Write, intended_at, intended_at + Span(*latency));
        }
        let mut recording = Recording::new(window, Span(SECOND));
        recording.finish(recorder);
        recording
    }

    #[test]
    fn the_total_is_the_sum_of_the_intervals() {
        let recording = recorded(&[(1, 100), (1, 200), (3, 300)]);
        let mut all = Latencies::new();
        for value in [100, 200, 300] {
            all.record(Span(value));
        }
        assert_eq!(recording.total(OperationKind::Write).unwrap(), all);
        assert!(recording.total(OperationKind::Read).unwrap().is_empty());
        assert_eq!(recording.intervals.len(), 2);
    }

    #[test]
    fn a_recording_travels_as_a_frame() {
        let recording = recorded(&[(1, 100), (4, 300)]);
        let bytes = postcard::to_stdvec(&recording).unwrap();
        assert_eq!(postcard::from_bytes::<Recording>(&bytes).unwrap(), recording);
        assert!(bytes.len() < 1000, "{} bytes", bytes.len());
    }

    fn points(recording: &Recording) -> Vec<TimelinePoint> {
        recording.timeline(OperationKind::Write).map(Result::unwrap).collect()
    }

    #[test]
    fn a_timeline_shows_the_intervals_in_which_nothing_returned() {
        let recording = recorded(&[(1, 100), (1, 200), (1, 300), (3, 400)]);
        let found = points(&recording);
        let counts: Vec<(u64, u64)> =
            found.iter().map(|point| (point.start.0 / SECOND, point.returned_count)).collect();
        assert_eq!(counts, [(0, 3), (1, 0), (2, 1), (3, 0)]);
        let mut reads = recording.timeline(OperationKind::Read);
        assert!(reads.all(|point| point.unwrap().latencies.is_empty()));
    }

    /// Writes every tenth of a second that take 140 ms, over a window of 2.5 s from the first second on.
    fn steady(unanswered_from: u64) -> Recording {
        let window = Window { from: Time(SECOND), to: Time(7 * SECOND / 2) };
        let mut recorder = Recorder::new(window, Span(SECOND));
        for tenth in 0..35 {
            let intended_at = Time(tenth * SECOND / 10);
            if tenth < unanswered_from {
                recorder.record(OperationKind::Write, intended_at, intended_at + Span(140_000_000));
            } else {
                let until = Time(4 * SECOND);
                recorder.give_up(OperationKind::Write, intended_at, until.since(intended_at));
            }
        }
        let mut recording = Recording::new(window, Span(SECOND));
        recording.finish(recorder);
        recording
    }

    #[test]
    fn a_timeline_has_the_rate_of_a_steady_load_in_its_short_last_interval() {
        let found = points(&steady(35));
        let found: Vec<_> =
            found.iter().map(|it| (it.length.0 * 10 / SECOND, it.returned_count)).collect();
        assert_eq!(found, [(10, 10), (10, 10), (5, 5)]);
        // What is answered after the window is in no interval, and has its latency.
        let late = recorded(&[(4, 2 * SECOND)]);
        let found = points(&late);
        assert!(found.len() == 4 && found.iter().all(|it| it.returned_count == 0));
        assert_eq!(late.total(OperationKind::Write).unwrap().count(), 1);
    }

    #[test]
    fn an_unanswered_operation_is_in_the_interval_in_which_it_was_intended() {
        let recording = steady(26);
        let found = points(&recording);
        let found: Vec<_> =
            found.iter().map(|it| (it.returned_count, it.latencies.unanswered_count())).collect();
        assert_eq!(found, [(10, 0), (7, 4), (0, 5)]);
        let total = recording.total(OperationKind::Write).unwrap();
        assert_eq!((total.count(), total.unanswered_count()), (16, 9));
        let bytes = postcard::to_stdvec(&recording).unwrap();
        assert_eq!(postcard::from_bytes::<Recording>(&bytes).unwrap(), recording);
    }

    #[test]
    fn log_lines_of_all_series_go_forward_in_time() {
        let (one, two) = (recorded(&[(1, 100), (3, 200)]), recorded(&[(1, 300), (2, 5), (4, 9)]));
        let lines = log_lines(&[("b", &one), ("a", &two)]);
        let found: Vec<(u64, String)> =
            lines.map(Result::unwrap).map(|line| (line.start.0 / SECOND, line.tag)).collect();
        let expected = [(0, "b"), (0, "a"), (1, "a"), (2, "b"), (3, "a")];
        assert_eq!(found, expected.map(|(at, name)| (at, format!("{name}:write"))));
        // What was intended before the window is in no line.
        assert_eq!(log_lines(&[("a", &steady(10))]).count(), 0);
    }
}

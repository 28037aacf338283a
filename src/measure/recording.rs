//! What a client recorded, as it travels and is kept: its intervals, each histogram encoded.
//!
//! Encoded, an interval is a kilobyte or two instead of half a megabyte.
//! The totals are not kept beside the intervals: they are their sum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::samples::Packed;
use super::{Error, Interval, Latencies, OperationKind, Window, hlog};
use crate::time::{Span, Time};

/// The intervals of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// What was measured.
    pub window: Window,
    /// The length of an interval.
    pub length: Span,
    /// Operations that returned within the window: [`super::Recorder::returned_count`].
    pub returned_count: u64,
    intervals: Vec<Encoded>,
}

/// One histogram of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Encoded {
    start: Time,
    operation: OperationKind,
    latencies: Packed,
}

/// One interval of a timeline: everything that returned in it.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePoint {
    /// Its start, from the start of the window.
    pub start: Span,
    /// The latencies; empty where nothing returned.
    pub latencies: Latencies,
}

impl Recording {
    /// Nothing yet.
    pub const fn new(window: Window, length: Span) -> Self {
        Self { window, length, returned_count: 0, intervals: Vec::new() }
    }

    /// Adds an interval; empty histograms take no space.
    pub fn add(&mut self, interval: &Interval) {
        for operation in OperationKind::ALL {
            if let Some(latencies) = interval.pack(operation) {
                self.intervals.push(Encoded { start: interval.start(), operation, latencies });
            }
        }
    }

    /// All latencies of one kind of operation.
    pub fn total(&self, operation: OperationKind) -> Result<Latencies, Error> {
        let mut total = Latencies::new();
        for interval in self.intervals.iter().filter(|encoded| encoded.operation == operation) {
            interval.latencies.add_to(&mut total)?;
        }
        Ok(total)
    }

    /// Every histogram with its interval's start since the start of the window, for an interval log.
    pub fn intervals(
        &self,
    ) -> impl Iterator<Item = Result<(OperationKind, Span, Latencies), Error>> {
        self.intervals.iter().map(|encoded| {
            let latencies = encoded.latencies.latencies()?;
            Ok((encoded.operation, encoded.start.since(self.window.from), latencies))
        })
    }

    /// The lines of an interval log, tagged `series:write` and `series:read`.
    pub fn lines(&self, series: &str) -> impl Iterator<Item = Result<hlog::Line, Error>> {
        self.intervals().map(move |interval| {
            let (operation, start, latencies) = interval?;
            let tag = format!("{series}:{}", operation.name());
            Ok(hlog::Line { tag, start, length: self.length, latencies })
        })
    }
}

/// The intervals of several clients over one window, merged; one point for every interval up to the
/// last, also where nothing returned.
pub fn timeline(
    recordings: &[&Recording],
    operation: OperationKind,
) -> Result<Vec<TimelinePoint>, Error> {
    let Some(first) = recordings.first() else { return Ok(Vec::new()) };
    let mut parts: BTreeMap<u64, Vec<&Packed>> = BTreeMap::new();
    for recording in recordings {
        for encoded in recording.intervals.iter().filter(|part| part.operation == operation) {
            let index = encoded.start.since(recording.window.from).0 / recording.length.0.max(1);
            parts.entry(index).or_default().push(&encoded.latencies);
        }
    }
    let in_window = first.window.length().0.div_ceil(first.length.0.max(1));
    let count = parts.last_key_value().map_or(0, |(index, _)| index + 1).max(in_window);
    (0..count)
        .map(|index| {
            let mut latencies = Latencies::new();
            for part in parts.get(&index).into_iter().flatten() {
                part.add_to(&mut latencies)?;
            }
            Ok(TimelinePoint { start: first.length.times(index), latencies })
        })
        .collect()
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
        recording.returned_count = recorder.returned_count();
        recorder.finish().iter().for_each(|interval| recording.add(interval));
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
        assert_eq!(recording.intervals().count(), 2);
    }

    #[test]
    fn a_recording_travels_as_a_frame() {
        let recording = recorded(&[(1, 100), (4, 300)]);
        let bytes = postcard::to_stdvec(&recording).unwrap();
        assert_eq!(postcard::from_bytes::<Recording>(&bytes).unwrap(), recording);
        assert!(bytes.len() < 1000, "{} bytes", bytes.len());
    }

    #[test]
    fn a_timeline_shows_the_intervals_in_which_nothing_returned() {
        let one = recorded(&[(1, 100), (1, 200)]);
        let two = recorded(&[(1, 300), (3, 400)]);
        let points = timeline(&[&one, &two], OperationKind::Write).unwrap();
        let counts: Vec<(u64, u64)> =
            points.iter().map(|point| (point.start.0 / SECOND, point.latencies.count())).collect();
        assert_eq!(counts, [(0, 3), (1, 0), (2, 1), (3, 0)]);
        assert_eq!(timeline(&[], OperationKind::Write).unwrap(), []);
    }
}

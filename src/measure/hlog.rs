//! Interval logs: the lossless form of what was measured, which other programs read and merge.
//!
//! The format is `HdrHistogram`'s interval log 1.3: a line an interval, with a tag that names the
//! series (`us-east-1:write`), start and length in seconds, the maximum in milliseconds for the eye,
//! and the histogram in V2 with DEFLATE and base64.
//! Times in it have millisecond precision; the histograms lose nothing.
//! Operations without an answer have no place in this format: a comment at the top counts those of each
//! tag, and whoever computes percentiles ranks so many behind the rest.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, IntervalLogWriterError, LogEntry,
    LogIteratorError, Tag,
};

use super::{Error, Latencies};
use crate::time::Span;

/// Nanoseconds in the unit of the maximum that a line shows.
const MAX_DIVISOR: f64 = 1_000_000.0;

/// One line of an interval log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The series; without commas, spaces and line breaks.
    pub tag: String,
    /// Its start, from the start of the log.
    pub start: Span,
    /// Its length.
    pub length: Span,
    /// What was recorded.
    pub latencies: Latencies,
}

/// Writes an interval log.
///
/// `start` is the time of day of its start since 1970; zero in virtual time.
/// `unanswered` are the tags of which operations were never answered, and how many.
/// Lines go forward in time: a reader of a part of the time stops at the first that is beyond it.
pub fn write(
    mut out: impl Write,
    start: Duration,
    unanswered: &[(String, u64)],
    lines: impl IntoIterator<Item = Result<Line, Error>>,
) -> Result<(), Error> {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[latencies in nanoseconds, from the intended start to the reply]");
    for (tag, count) in unanswered {
        builder.add_comment(&format!(
            "[{tag}: {count} operations were never answered and are in no line; rank them last]"
        ));
    }
    let mut log = builder
        .with_start_time(UNIX_EPOCH + start)
        .with_base_time(UNIX_EPOCH + start)
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(&mut out, &mut serializer)
        .map_err(Error::Write)?;
    let mut last = Span::ZERO;
    for line in lines {
        let line = line?;
        assert!(last <= line.start, "an interval log goes back from {last} to {}", line.start);
        last = line.start;
        let Some(tag) = Tag::new(&line.tag) else { return Err(Error::Tag { tag: line.tag }) };
        let (start, length) = (line.start.into(), line.length.into());
        log.write_histogram(line.latencies.inner(), start, length, Some(tag)).map_err(|error| {
            match error {
                IntervalLogWriterError::IoError(source) => Error::Write(source),
                IntervalLogWriterError::SerializeError(source) => {
                    Error::Write(std::io::Error::other(source))
                }
            }
        })?;
    }
    out.flush().map_err(Error::Write)
}

/// Reads an interval log: its start since 1970, and its lines.
///
/// A line without a tag has an empty one.
pub fn read(text: &[u8]) -> Result<(Duration, Vec<Line>), Error> {
    let mut start = Duration::ZERO;
    let mut lines = Vec::new();
    for entry in IntervalLogIterator::new(text) {
        match entry {
            Ok(LogEntry::StartTime(at)) => start = at,
            Ok(LogEntry::BaseTime(_)) => {}
            Ok(LogEntry::Interval(interval)) => {
                let start_s = interval.start_timestamp().as_secs_f64();
                let bytes = STANDARD
                    .decode(interval.encoded_histogram())
                    .map_err(|source| Error::Base64 { start_s, source })?;
                lines.push(Line {
                    tag: interval.tag().map(|tag| tag.to_string()).unwrap_or_default(),
                    start: interval.start_timestamp().into(),
                    length: interval.duration().into(),
                    latencies: Latencies::decode(&bytes)?,
                });
            }
            Err(LogIteratorError::ParseError { offset }) => return Err(Error::Line { offset }),
        }
    }
    Ok((start, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let line = |tag: &str, second: u64| {
            let mut latencies = Latencies::new();
            (1..500).for_each(|i| latencies.record(Span(i * i * 1000 * (second + 1))));
            let start = Span::from_millis(second * 1000);
            Line { tag: tag.to_owned(), start, length: Span::from_millis(1000), latencies }
        };
        vec![line("us-east-1:write", 0), line("eu-west-1:read", 0), line("us-east-1:write", 1)]
    }

    fn text(lines: Vec<Line>) -> Result<String, Error> {
        let mut out = Vec::new();
        let unanswered = [("eu-west-1:read".to_owned(), 7)];
        let start = Duration::from_millis(1_760_000_000_125);
        write(&mut out, start, &unanswered, lines.into_iter().map(Ok))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_log_comes_back_as_it_was() {
        let text = text(lines()).unwrap();
        let (start, found) = read(text.as_bytes()).unwrap();
        assert_eq!(start, Duration::from_millis(1_760_000_000_125));
        assert_eq!(found, lines());
    }

    #[test]
    fn its_lines_are_what_other_programs_expect() {
        let text = text(lines()).unwrap();
        let found: Vec<&str> = text.lines().map(|line| &line[..line.len().min(40)]).collect();
        assert_eq!(
            found,
            [
                "#[Histogram log format version 1.3]",
                "#[latencies in nanoseconds, from the int",
                "#[eu-west-1:read: 7 operations were neve",
                "#[StartTime: 1760000000.125 (seconds sin",
                "#[BaseTime: 1760000000.125 (seconds sinc",
                "#[MaxValueDivisor: 1000000.000]",
                "Tag=us-east-1:write,0.000,1.000,249.037,",
                "Tag=eu-west-1:read,0.000,1.000,249.037,H",
                "Tag=us-east-1:write,1.000,1.000,498.074,",
            ]
        );
        assert!(text.lines().skip(6).all(|line| line.contains(",HISTFAAA")));
    }

    #[test]
    fn a_tag_that_would_break_its_line_is_refused() {
        let mut lines = lines();
        lines[0].tag = "us east".to_owned();
        assert!(text(lines).unwrap_err().to_string().contains("\"us east\""));
    }

    #[test]
    fn what_is_no_log_is_named_with_its_place() {
        let bad = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(bad("#fine\ntrial,variant\n"), "no interval log line at byte 6");
        assert_eq!(
            bad("Tag=a,1.500,1.000,2.0,!!!\n"),
            "the histogram of the interval at 1.5 s is not base64"
        );
        assert_eq!(bad("Tag=a,1.500,1.000,2.0,AAAA\n"), "3 bytes are not a histogram");
    }
}

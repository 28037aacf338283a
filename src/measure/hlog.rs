//! Interval logs: the lossless form of what was measured, which other programs read and merge.
//!
//! The format is `HdrHistogram`'s interval log 1.3: a line an interval, with a tag that names the
//! series (`us-east-1:write`), start and length in seconds, the maximum in milliseconds for the eye,
//! and the histogram in V2 with DEFLATE and base64.
//! Times in it have millisecond precision; the histograms lose nothing.
//! Operations without an answer have no place in this format: a comment at the top counts those of each
//! tag, and whoever computes percentiles ranks so many behind the rest.
//! A second comment holds for how long each was waited for, as a histogram in the form of the lines.
//!
//! A tag ends at a comma, and readers in several languages split lines at white space too.
//! So those and a few other characters are written as in a URL, `%20` for a space, of each byte in
//! UTF-8; a `%` itself is `%25`.
//! [`read`] undoes it; for a reader of another project the tag is the escaped one.

use std::collections::BTreeMap;
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

/// How the comment begins that holds the waits of a tag.
const WAITS: &str = "[waits ";

/// One line of an interval log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The series; not empty.
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
/// `unanswered` are the tags of which operations were never answered, with their
/// [waits](Latencies::waits).
/// Lines go forward in time: a reader of a part of the time stops at the first that is beyond it.
pub fn write(
    mut out: impl Write,
    start: Duration,
    unanswered: &[(String, Latencies)],
    lines: impl IntoIterator<Item = Result<Line, Error>>,
) -> Result<(), Error> {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[latencies in nanoseconds, from the intended start to the reply]");
    for (tag, waits) in unanswered {
        let (tag, count) = (escaped(tag), waits.count());
        builder.add_comment(&format!(
            "[{tag}: {count} operations were never answered and are in no line; rank them last]"
        ));
        builder.add_comment(&format!("{WAITS}{tag} {}]", STANDARD.encode(waits.encode())));
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
        let text = escaped(&line.tag);
        let tag = Tag::new(&text).filter(|_| !text.is_empty());
        let Some(tag) = tag else { return Err(Error::Tag { tag: line.tag }) };
        let (start, length) = (line.start.into(), line.length.into());
        log.write_histogram(&line.latencies.inner(), start, length, Some(tag)).map_err(
            |error| match error {
                IntervalLogWriterError::IoError(source) => Error::Write(source),
                IntervalLogWriterError::SerializeError(source) => {
                    Error::Write(std::io::Error::other(source))
                }
            },
        )?;
    }
    out.flush().map_err(Error::Write)
}

/// Reads an interval log: its start since 1970, and its lines.
///
/// A line without a tag has an empty one.
pub fn read(text: &[u8]) -> Result<(Duration, Vec<Line>), Error> {
    let mut lines = Vec::new();
    let start = for_each(text, |line| lines.push(line))?;
    Ok((start, lines))
}

/// Reads an interval log, one line at a time: a histogram is a third of a megabyte.
///
/// It returns the start of the log since 1970.
pub fn for_each(text: &[u8], mut take: impl FnMut(Line)) -> Result<Duration, Error> {
    let mut start = Duration::ZERO;
    for entry in IntervalLogIterator::new(text) {
        match entry {
            Ok(LogEntry::StartTime(at)) => start = at,
            Ok(LogEntry::BaseTime(_)) => {}
            Ok(LogEntry::Interval(interval)) => {
                let start_s = interval.start_timestamp().as_secs_f64();
                let bytes = STANDARD
                    .decode(interval.encoded_histogram())
                    .map_err(|source| Error::Base64 { start_s, source })?;
                take(Line {
                    tag: interval.tag().map(|tag| unescaped(&tag)).unwrap_or_default(),
                    start: interval.start_timestamp().into(),
                    length: interval.duration().into(),
                    latencies: Latencies::decode(&bytes)?,
                });
            }
            Err(LogIteratorError::ParseError { offset }) => return Err(Error::Line { offset }),
        }
    }
    Ok(start)
}

/// Reads for how long operations of each tag were waited for that were never answered.
pub fn waits(text: &[u8]) -> Result<BTreeMap<String, Latencies>, Error> {
    let mut found = BTreeMap::new();
    let comments = text.split(|byte| *byte == b'\n').map_while(|line| line.strip_prefix(b"#"));
    for line in comments {
        let line = std::str::from_utf8(line).unwrap_or_default().trim_end();
        let inside = line.strip_prefix(WAITS).and_then(|rest| rest.strip_suffix(']'));
        if let Some((tag, encoded)) = inside.and_then(|inside| inside.split_once(' ')) {
            let bytes = STANDARD
                .decode(encoded)
                .map_err(|source| Error::Base64 { start_s: 0.0, source })?;
            found.insert(unescaped(tag), Latencies::decode(&bytes)?);
        }
    }
    Ok(found)
}

/// A tag without anything that ends it for some reader.
fn escaped(tag: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for letter in tag.chars() {
        if letter.is_control() || letter.is_whitespace() || "%,;=#\"'\\".contains(letter) {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                write!(text, "%{byte:02X}").expect("a string grows");
            }
        } else {
            text.push(letter);
        }
    }
    text
}

/// The tag that was escaped; as it stands if it never was.
fn unescaped(tag: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = tag.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| tag.to_owned())
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
        let mut waits = Latencies::new();
        (0..7).for_each(|second| waits.record(Span::from_millis(1000 * second)));
        let unanswered = [("eu-west-1:read".to_owned(), waits)];
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
        let waits = waits(text.as_bytes()).unwrap();
        assert_eq!(waits.keys().collect::<Vec<_>>(), ["eu-west-1:read"]);
        assert_eq!(
            (waits["eu-west-1:read"].count(), waits["eu-west-1:read"].min()),
            (7, Some(Span(0)))
        );
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
                "#[waits eu-west-1:read HISTFAAAAEd4nAE8A",
                "#[StartTime: 1760000000.125 (seconds sin",
                "#[BaseTime: 1760000000.125 (seconds sinc",
                "#[MaxValueDivisor: 1000000.000]",
                "Tag=us-east-1:write,0.000,1.000,249.037,",
                "Tag=eu-west-1:read,0.000,1.000,249.037,H",
                "Tag=us-east-1:write,1.000,1.000,498.074,",
            ]
        );
        assert!(text.lines().skip(7).all(|line| line.contains(",HISTFAAA")));
    }

    #[test]
    fn tags_with_any_character_come_back_and_keep_their_line() {
        let tags = [
            "Porto Alto:write",
            "Saõ Novo:write",
            "a,b:write",
            "a\"b:read",
            "Tag=x:read",
            "#a:b:write",
            "100%:write",
            "%20:write",
            "a\u{a0}b:write",
            "a\nb\r\t\u{2028}:write",
            "😀:write",
        ];
        let with = |tag: &&str| Line { tag: (*tag).to_owned(), ..lines().remove(0) };
        let text = text(tags.iter().map(with).collect()).unwrap();
        let (_, found) = read(text.as_bytes()).unwrap();
        assert_eq!(found.iter().map(|line| line.tag.as_str()).collect::<Vec<_>>(), tags);
        // Whoever splits at line breaks, commas and white space finds the same fields in each line.
        let written: Vec<&str> = text.lines().filter(|line| line.starts_with("Tag=")).collect();
        assert_eq!(written.len(), tags.len());
        for line in written {
            assert_eq!(line.split(',').count(), 5, "{line}");
            assert_eq!(line.split_whitespace().count(), 1, "{line}");
        }
        assert!(text.contains("Tag=Porto%20Alto:write,0.000,1.000,"), "{text}");
    }

    #[test]
    fn a_tag_of_nothing_is_refused() {
        let mut lines = lines();
        lines[0].tag = String::new();
        assert!(text(lines).unwrap_err().to_string().contains("\"\""));
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

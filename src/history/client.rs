//! The history of one client: every operation it issued, and what it was told.
//!
//! Events stand in the order in which they happened.
//! An operation without a return is *unknown*: it may have taken effect, or not, or not yet.
//! The time of an invocation is its intended start, which is never after its real one; so an order
//! in real time that is concluded from these times is a true one.
//! It is not the whole of it: an operation that stands behind a return began after it, also where its
//! intended start is earlier or the same. [`SessionOrder`] says when it can have begun.

use std::io::Read;

use serde::Serialize;

use super::codec::{CHECK, END, Sink, Source, add_difference, difference};
use super::{Error, Kind};
use crate::command::ClientId;
use crate::protocol::Slot;
use crate::time::Time;

const MAGIC: [u8; 4] = *b"FPXC";
const INVOKE_WRITE: u8 = 1;
const INVOKE_READ: u8 = 2;
const RETURN: u8 = 3;
const RETURN_DIGEST: u8 = 4;
/// The same two for a read beside the log.
const RETURN_BESIDE: u8 = 5;
const RETURN_BESIDE_DIGEST: u8 = 6;
/// The sequence number is one more than the one before it in the same kind of event.
const NEXT: u8 = 0x10;

/// One operation a client issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The client's count of requests.
    pub sequence: u64,
    /// When the client meant to send it.
    pub intended_at: Time,
    /// What it does.
    pub kind: Kind,
    /// Where.
    pub key: u64,
    /// Of the value written; 0 for a read.
    pub digest: u32,
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Returned {
    /// Which request.
    pub sequence: u64,
    /// When the reply arrived.
    pub at: Time,
    /// Where in the log it was executed; of a read beside the log, the first slot that it did not see.
    pub slot: Slot,
    /// It is a read that has no slot of its own: it saw every slot below `slot`, and no other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_beside: bool,
    /// Of the value read; `None` for a key that was never written, and for a write.
    pub digest: Option<u32>,
}

/// When the operations of one client can have begun, by the order of its history.
///
/// A client's operation begins after everything that the client was told before: at the earliest one
/// nanosecond after, the unit of time, where the intended start is not later anyway.
/// The intended start alone would lose this order in two cases: a closed loop begins its next operation
/// in the nanosecond of the answer before, in virtual time always and live now and then; and an open
/// loop that has fallen behind begins operations that were due before that answer.
///
/// Between clients that nanosecond orders what is in order: another client that was told something in
/// the same nanosecond has an operation that had taken effect a message's way earlier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SessionOrder {
    told_at: Option<Time>,
}

impl SessionOrder {
    /// The client was told something.
    pub(super) fn told(&mut self, returned: &Returned) {
        self.told_at = self.told_at.max(Some(returned.at));
    }

    /// When the operation that stands here in the history can have begun.
    pub(super) fn begins_at(self, issued: &Issued) -> Time {
        let behind = self.told_at.map_or(Time::ZERO, |told_at| Time(told_at.0.saturating_add(1)));
        issued.intended_at.max(behind)
    }
}

/// One event of a client's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// It issued an operation.
    Invoke(Issued),
    /// It was told the outcome of one.
    Return(Returned),
}

/// What differences are taken from.
#[derive(Clone, Copy, Debug, Default)]
struct Previous {
    issued: u64,
    returned: u64,
    time: u64,
    slot: u64,
}

/// Writes the history of one client.
#[derive(Debug)]
pub struct ClientWriter {
    sink: Sink,
    previous: Previous,
}

impl ClientWriter {
    /// An empty history.
    pub fn new(client: ClientId) -> Self {
        let mut sink = Sink::begin(MAGIC);
        sink.varint(u64::from(client.0));
        Self { sink, previous: Previous::default() }
    }

    /// An operation is issued.
    pub fn invoke(&mut self, issued: &Issued) {
        let tag = match issued.kind {
            Kind::Write => INVOKE_WRITE,
            Kind::Read => INVOKE_READ,
        };
        let last = std::mem::replace(&mut self.previous.issued, issued.sequence);
        self.open(tag, last, issued.sequence, issued.intended_at);
        self.sink.varint(issued.key);
        if issued.kind == Kind::Write {
            self.sink.word(issued.digest);
        }
    }

    /// An operation returned.
    pub fn returned(&mut self, returned: &Returned) {
        let tag = match (returned.is_beside, returned.digest) {
            (false, None) => RETURN,
            (false, Some(_)) => RETURN_DIGEST,
            (true, None) => RETURN_BESIDE,
            (true, Some(_)) => RETURN_BESIDE_DIGEST,
        };
        let last = std::mem::replace(&mut self.previous.returned, returned.sequence);
        self.open(tag, last, returned.sequence, returned.at);
        self.sink.varint(difference(returned.slot.0, self.previous.slot));
        self.previous.slot = returned.slot.0;
        if let Some(digest) = returned.digest {
            self.sink.word(digest);
        }
    }

    /// The bytes so far if they fill a block: write them behind the ones before.
    pub fn take_block(&mut self) -> Option<Vec<u8>> {
        self.sink.take_block()
    }

    /// The last bytes.
    pub fn finish(self) -> Vec<u8> {
        self.sink.finish()
    }

    fn open(&mut self, tag: u8, last: u64, sequence: u64, at: Time) {
        if sequence == last.wrapping_add(1) {
            self.sink.byte(tag | NEXT);
        } else {
            self.sink.byte(tag);
            self.sink.varint(difference(sequence, last));
        }
        self.sink.varint(difference(at.0, self.previous.time));
        self.previous.time = at.0;
    }
}

/// Reads the history of one client: an iterator of its events.
///
/// It ends after the last event, or after one error.
#[derive(Debug)]
pub struct ClientReader<R> {
    source: Source<R>,
    client: ClientId,
    previous: Previous,
    is_over: bool,
}

impl<R: Read> ClientReader<R> {
    /// Reads the header.
    pub fn new(read: R) -> Result<Self, Error> {
        let mut source = Source::new(read);
        let first = source.byte()?;
        source.header(first, MAGIC, "client history")?;
        let client = u32::try_from(source.varint()?)
            .map_err(|_| source.corrupt("the number of a client is beyond 32 bits"))?;
        Ok(Self { source, client: ClientId(client), previous: Previous::default(), is_over: false })
    }

    /// Whose history it is.
    pub const fn client(&self) -> ClientId {
        self.client
    }

    fn event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let whole = self.source.offset();
            let Some(tag) = self.source.next()? else {
                return Err(Error::Truncated { offset: whole });
            };
            match tag {
                CHECK => self.source.check()?,
                END => {
                    self.source.check()?;
                    return match self.source.next()? {
                        None => Ok(None),
                        Some(_) => Err(self.source.corrupt("bytes after the end")),
                    };
                }
                _ => {
                    return self.body(tag).map(Some).map_err(|error| match error {
                        Error::Truncated { .. } => Error::Truncated { offset: whole },
                        other => other,
                    });
                }
            }
        }
    }

    fn body(&mut self, tag: u8) -> Result<Event, Error> {
        let kind = tag & !NEXT;
        let last = match kind {
            INVOKE_WRITE | INVOKE_READ => self.previous.issued,
            RETURN..=RETURN_BESIDE_DIGEST => self.previous.returned,
            _ => return Err(self.source.corrupt("an unknown event")),
        };
        let sequence = if tag & NEXT == 0 {
            add_difference(last, self.source.varint()?)
        } else {
            last.wrapping_add(1)
        };
        self.previous.time = add_difference(self.previous.time, self.source.varint()?);
        let at = Time(self.previous.time);
        if kind == INVOKE_WRITE || kind == INVOKE_READ {
            self.previous.issued = sequence;
            let key = self.source.varint()?;
            let (kind, digest) = if kind == INVOKE_WRITE {
                (Kind::Write, self.source.word()?)
            } else {
                (Kind::Read, 0)
            };
            return Ok(Event::Invoke(Issued { sequence, intended_at: at, kind, key, digest }));
        }
        self.previous.returned = sequence;
        self.previous.slot = add_difference(self.previous.slot, self.source.varint()?);
        let slot = Slot(self.previous.slot);
        let has_digest = matches!(kind, RETURN_DIGEST | RETURN_BESIDE_DIGEST);
        let digest = if has_digest { Some(self.source.word()?) } else { None };
        let is_beside = matches!(kind, RETURN_BESIDE | RETURN_BESIDE_DIGEST);
        Ok(Event::Return(Returned { sequence, at, slot, is_beside, digest }))
    }
}

impl<R: Read> Iterator for ClientReader<R> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let event = self.event().transpose();
        self.is_over = !matches!(event, Some(Ok(_)));
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(events: &[Event]) -> Vec<u8> {
        let mut writer = ClientWriter::new(ClientId(3));
        let mut bytes = Vec::new();
        for event in events {
            match event {
                Event::Invoke(issued) => writer.invoke(issued),
                Event::Return(returned) => writer.returned(returned),
            }
            bytes.extend(writer.take_block().unwrap_or_default());
        }
        bytes.extend(writer.finish());
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<Event>, Option<Error>) {
        let mut reader = match ClientReader::new(bytes) {
            Ok(reader) => reader,
            Err(error) => return (Vec::new(), Some(error)),
        };
        assert_eq!(reader.client(), ClientId(3));
        let mut events = Vec::new();
        for event in reader.by_ref() {
            match event {
                Ok(event) => events.push(event),
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(reader.next().is_none());
        (events, None)
    }

    /// Writes at 200 a second, each answered 70 ms later.
    fn steady(count: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for sequence in 0..count {
            let intended_at = Time(1_000_000_000 + sequence * 5_012_345);
            events.push(Event::Invoke(Issued {
                sequence,
                intended_at,
                kind: if sequence % 10 == 0 { Kind::Read } else { Kind::Write },
                key: sequence * 31 % 1000,
                digest: if sequence % 10 == 0 { 0 } else { digest_of(sequence) },
            }));
            if let Some(sequence) = sequence.checked_sub(14) {
                events.push(Event::Return(Returned {
                    sequence,
                    at: Time(intended_at.0 + 654_321),
                    slot: Slot(sequence * 3 + 7),
                    is_beside: sequence % 30 == 0,
                    digest: (sequence % 10 == 0).then(|| digest_of(sequence)),
                }));
            }
        }
        events
    }

    fn digest_of(sequence: u64) -> u32 {
        super::super::digest(&sequence.to_le_bytes())
    }

    #[test]
    fn what_is_written_is_read_over_many_blocks() {
        let events = steady(60_000);
        let bytes = write(&events);
        assert!(bytes.len() > 3 * super::super::BLOCK_BYTES);
        let (found, error) = read(&bytes);
        assert!(error.is_none());
        assert_eq!(found, events);
    }

    #[test]
    fn an_operation_takes_at_most_25_bytes() {
        let bytes = write(&steady(10_000)).len();
        assert!(bytes <= 25 * 10_000, "{bytes} bytes for 10000 operations");
    }

    #[test]
    fn a_history_cut_anywhere_gives_its_prefix_and_says_so() {
        let events = steady(40);
        let bytes = write(&events);
        for cut in 0..bytes.len() {
            let (found, error) = read(&bytes[..cut]);
            assert_eq!(found, events[..found.len()]);
            assert!(matches!(error, Some(Error::Truncated { .. })), "cut at {cut}: {error:?}");
        }
    }

    #[test]
    fn a_changed_byte_is_corrupt() {
        let bytes = write(&steady(40));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            // A reader may think the client is another one, or run off the end: never a clean read.
            let clean = ClientReader::new(changed.as_slice())
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            assert!(clean.is_err(), "byte {at} changed unnoticed");
        }
    }

    #[test]
    fn a_foreign_file_and_a_foreign_version_are_named() {
        let error = read(b"trial,variant").1.unwrap();
        assert!(error.to_string().starts_with("not a client history"), "{error}");
        let mut bytes = write(&[]);
        bytes[4] = 9;
        let error = read(&bytes).1.unwrap().to_string();
        assert_eq!(error, "a history of version 9; this program reads version 1");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut framed = write(&[]);
            framed.truncate(6);
            framed.extend(bytes);
            prop_assert!(ClientReader::new(framed.as_slice()).unwrap().count() < 1000);
        }
    }
}

//! The log of one replica: every slot that it executed, in the order in which it did.
//!
//! A log has segments.
//! A replica that starts again writes a segment of its own, in a file of its own or behind the
//! bytes before, and its first slot is the one that its checkpoint leads up to.
//! Within a segment slots follow one another, so they are not written; one that does not follow is
//! written with its number, because showing that is what a log is for.
//! A replica that takes the state of another one passes over slots, and says so, with the digest of
//! that state: to pass over slots without a word is something else.
//!
//! Where each key has an order of its own, a slot is one of its key: slots are written with their numbers, and a
//! replica passes over those that others executed.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Serialize;

use super::codec::{CHECK, END, Sink, Source, add_difference, difference, seal};
use super::{Error, Kind, facts};
use crate::command::{ClientId, RequestId};
use crate::protocol::{Advance, Executed, Installed, Order, Progress, Slot};
use crate::quorum::NodeId;

const MAGIC: [u8; 4] = *b"FPXR";
/// Of a log in which each key has slots of its own.
const MAGIC_PER_KEY: [u8; 4] = *b"FPXK";
const NOOP: u8 = 1;
const WRITE: u8 = 2;
const READ: u8 = 3;
/// The entry after this is of another slot than the next.
const JUMP: u8 = 4;
/// A state was installed instead of an entry.
const INSTALLED: u8 = 5;
const ENTRY: u8 = 0x07;
/// The entry changed the state machine.
const APPLIED: u8 = 0x08;
/// The sequence number is one more than the client's last one in this log.
const NEXT: u8 = 0x10;
/// The client is that of the entry before.
const SAME: u8 = 0x20;

/// One slot that a replica executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The position.
    pub slot: Slot,
    /// What was chosen there; `None` is a no-op.
    pub command: Option<EntryCommand>,
    /// Whether it changed the state machine: false for a repeated request.
    pub applied: bool,
}

impl Entry {
    /// What a log keeps of a slot that was executed.
    pub fn of(executed: &Executed) -> Self {
        let command = executed.command.as_ref().map(|command| {
            let (kind, key, digest) = facts(&command.operation);
            EntryCommand { request: command.request, kind, key, digest }
        });
        Self { slot: executed.slot, command, applied: executed.applied }
    }
}

/// A command as a log keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EntryCommand {
    /// Who asked, and its count.
    pub request: RequestId,
    /// What it does.
    pub kind: Kind,
    /// Where.
    pub key: u64,
    /// Of the value written; 0 for a read.
    pub digest: u32,
}

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// The replica started, and executes from here on.
    Start(Slot),
    /// It executed a slot.
    Entry(Entry),
    /// It took the state of another replica, and goes on behind it.
    Installed(Installed),
}

/// What differences are taken from.
#[derive(Clone, Debug, Default)]
struct Previous {
    slot: u64,
    client: u32,
    sequences: Sequences,
}

/// What an entry changes of that, as it was before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    client: u32,
    /// Of the client of the entry, if it has one.
    sequence: Option<(u32, u64)>,
}

/// Where the header has the number of the replica: behind the magic and the version.
pub(super) const NODE_AT: usize = 5;

/// Makes the first block of a log that of another replica.
pub(super) fn renamed(block: &mut [u8], node: NodeId) {
    block[NODE_AT] = node.0;
    seal(block);
}

/// The last sequence number of each client.
#[derive(Clone, Debug, Default)]
struct Sequences {
    /// Of the first clients, by their numbers.
    first: Vec<u64>,
    /// Of the others; a corrupt log may name any.
    others: BTreeMap<u32, u64>,
}

impl Sequences {
    /// So many clients are among the first.
    const FIRST: u32 = 256;

    #[inline]
    fn of(&mut self, client: u32) -> &mut u64 {
        if client >= Self::FIRST {
            return self.others.entry(client).or_default();
        }
        let place = client as usize;
        if place >= self.first.len() {
            self.first.resize(place + 1, 0);
        }
        &mut self.first[place]
    }
}

/// Writes one segment of the log of one replica.
#[derive(Debug)]
pub struct ChosenWriter {
    sink: Sink,
    previous: Previous,
}

impl ChosenWriter {
    /// A segment of `node`, which has executed all slots below `first`.
    pub fn new(node: NodeId, first: Slot) -> Self {
        Self::with(MAGIC, node, first)
    }

    /// A segment of `node`, which has come so far, of a protocol with this order.
    pub fn begin(order: Order, node: NodeId, progress: Progress) -> Self {
        match order {
            Order::Total => Self::new(node, order.executed_below(progress)),
            Order::PerKey => Self::with(MAGIC_PER_KEY, node, Slot::ZERO),
        }
    }

    fn with(magic: [u8; 4], node: NodeId, first: Slot) -> Self {
        let mut sink = Sink::begin(magic);
        sink.byte(node.0);
        sink.varint(first.0);
        Self { sink, previous: Previous { slot: first.0, ..Previous::default() } }
    }

    /// A slot is executed.
    pub fn entry(&mut self, entry: &Entry) {
        if entry.slot.0 != self.previous.slot {
            self.sink.byte(JUMP);
            self.sink.varint(entry.slot.0);
        }
        self.previous.slot = entry.slot.0.wrapping_add(1);
        let applied = if entry.applied { APPLIED } else { 0 };
        let Some(command) = entry.command else {
            self.sink.byte(NOOP | applied);
            return;
        };
        let kind = match command.kind {
            Kind::Write => WRITE,
            Kind::Read => READ,
        };
        let RequestId { client: ClientId(client), sequence } = command.request;
        let same = if client == self.previous.client { SAME } else { 0 };
        let last = self.previous.sequences.of(client);
        let next = if sequence == last.wrapping_add(1) { NEXT } else { 0 };
        self.sink.byte(kind | applied | same | next);
        if same == 0 {
            self.sink.varint(u64::from(client));
        }
        if next == 0 {
            self.sink.varint(difference(sequence, *last));
        }
        *last = sequence;
        self.previous.client = client;
        self.sink.varint(command.key);
        if command.kind == Kind::Write {
            self.sink.word(command.digest);
        }
    }

    /// The state of another replica is installed.
    pub fn installed(&mut self, Installed { below, digest }: Installed) {
        self.sink.byte(INSTALLED);
        self.sink.varint(below.0);
        self.sink.varint(digest);
        self.previous.slot = below.0;
    }

    /// The state machine went on.
    pub fn advance(&mut self, advance: &Advance) {
        match advance {
            Advance::Executed(executed) => self.entry(&Entry::of(executed)),
            Advance::Installed(installed) => self.installed(*installed),
        }
    }

    /// The bytes so far if they fill a block: write them behind the ones before.
    pub fn take_block(&mut self) -> Option<Vec<u8>> {
        self.sink.take_block()
    }

    /// The bytes of the block that is not full.
    pub(super) fn open(&self) -> &[u8] {
        self.sink.open()
    }

    /// How many they are.
    pub(super) fn open_len(&self) -> usize {
        self.open().len()
    }

    /// What this entry would change.
    pub(super) fn undo_of(&mut self, entry: &Entry) -> Undo {
        let client = self.previous.client;
        let sequence = entry.command.map(|command| {
            let client = command.request.client.0;
            (client, *self.previous.sequences.of(client))
        });
        Undo { client, sequence }
    }

    /// One that has not written these entries, the last first, and goes on with this slot: its open block has these
    /// bytes. If that is the first block, it is of this replica.
    pub(super) fn rewound(
        &self,
        slot: u64,
        undone: impl Iterator<Item = Undo>,
        open: &[u8],
        node: Option<NodeId>,
    ) -> Self {
        let mut previous = Previous { slot, ..self.previous.clone() };
        for Undo { client, sequence } in undone {
            previous.client = client;
            if let Some((client, sequence)) = sequence {
                *previous.sequences.of(client) = sequence;
            }
        }
        let mut open = open.to_vec();
        if let Some(node) = node {
            open[NODE_AT] = node.0;
        }
        Self { sink: Sink::from(&open), previous }
    }

    /// The bytes so far, however few: a process that is killed from now on leaves them, if they are written.
    pub fn cut_block(&mut self) -> Vec<u8> {
        self.sink.cut_block()
    }

    /// The last bytes.
    pub fn finish(self) -> Vec<u8> {
        self.sink.finish()
    }
}

/// Reads the log of one replica: an iterator of its records.
///
/// It ends after the last record, or after one error.
#[derive(Debug)]
pub struct ChosenReader<R> {
    source: Source<R>,
    order: Order,
    node: NodeId,
    previous: Previous,
    /// The start of a segment that is read and not yet given.
    start: Option<Slot>,
    is_cut: bool,
    is_over: bool,
}

impl<R: Read> ChosenReader<R> {
    /// Reads the first header.
    pub fn new(read: R) -> Result<Self, Error> {
        let mut reader = Self {
            source: Source::new(read),
            order: Order::Total,
            node: NodeId(0),
            previous: Previous::default(),
            start: None,
            is_cut: false,
            is_over: false,
        };
        let first = reader.source.byte()?;
        let (order, node) = reader.header(first)?;
        (reader.order, reader.node) = (order, node);
        Ok(reader)
    }

    /// Whose log it is.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Which order its slots are of.
    pub const fn order(&self) -> Order {
        self.order
    }

    /// Whether a segment so far was cut off: what its replica executed last is not in this log.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn header(&mut self, first: u8) -> Result<(Order, NodeId), Error> {
        let magics = [MAGIC, MAGIC_PER_KEY];
        let order = match self.source.header_of(first, &magics, "log of a replica")? {
            0 => Order::Total,
            _ => Order::PerKey,
        };
        let node = NodeId(self.source.byte()?);
        let slot = self.source.varint()?;
        self.previous = Previous { slot, ..Previous::default() };
        self.start = Some(Slot(slot));
        Ok((order, node))
    }

    fn record(&mut self) -> Result<Option<Record>, Error> {
        let mut has_ended = false;
        loop {
            if let Some(slot) = self.start.take() {
                return Ok(Some(Record::Start(slot)));
            }
            let whole = self.source.offset();
            let truncated = |error| match error {
                Error::Truncated { .. } => Error::Truncated { offset: whole },
                other => other,
            };
            let tag = match self.source.next()? {
                Some(tag) => tag,
                None if has_ended => return Ok(None),
                None => return Err(Error::Truncated { offset: whole }),
            };
            match tag {
                b'F' => {
                    self.is_cut |= !has_ended;
                    let (order, node) = self.header(tag).map_err(truncated)?;
                    if (order, node) != (self.order, self.node) {
                        return Err(self.source.corrupt("a segment of another replica"));
                    }
                }
                _ if has_ended => return Err(self.source.corrupt("bytes after the end")),
                CHECK => self.source.check()?,
                END => {
                    self.source.check()?;
                    has_ended = true;
                }
                INSTALLED => return self.installed().map(Some).map_err(truncated),
                _ => return self.entry(tag).map(Some).map_err(truncated),
            }
        }
    }

    fn installed(&mut self) -> Result<Record, Error> {
        let (below, digest) = (Slot(self.source.varint()?), self.source.varint()?);
        self.previous.slot = below.0;
        Ok(Record::Installed(Installed { below, digest }))
    }

    fn entry(&mut self, mut tag: u8) -> Result<Record, Error> {
        if tag == JUMP {
            self.previous.slot = self.source.varint()?;
            tag = self.source.byte()?;
        }
        let slot = Slot(self.previous.slot);
        let applied = tag & APPLIED != 0;
        let kind = match tag & ENTRY {
            NOOP if tag & !(ENTRY | APPLIED) == 0 => {
                self.previous.slot = slot.0.wrapping_add(1);
                return Ok(Record::Entry(Entry { slot, command: None, applied }));
            }
            WRITE if tag < 0x40 => Kind::Write,
            READ if tag < 0x40 => Kind::Read,
            _ => return Err(self.source.corrupt("an unknown entry")),
        };
        if tag & SAME == 0 {
            self.previous.client = u32::try_from(self.source.varint()?)
                .map_err(|_| self.source.corrupt("the number of a client is beyond 32 bits"))?;
        }
        let client = self.previous.client;
        let last = self.previous.sequences.of(client);
        let sequence = if tag & NEXT == 0 {
            add_difference(*last, self.source.varint()?)
        } else {
            last.wrapping_add(1)
        };
        *last = sequence;
        let key = self.source.varint()?;
        let digest = if kind == Kind::Write { self.source.word()? } else { 0 };
        self.previous.slot = slot.0.wrapping_add(1);
        let request = RequestId { client: ClientId(client), sequence };
        let command = Some(EntryCommand { request, kind, key, digest });
        Ok(Record::Entry(Entry { slot, command, applied }))
    }
}

impl<R: Read> Iterator for ChosenReader<R> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let record = self.record().transpose();
        self.is_cut |= matches!(record, Some(Err(Error::Truncated { .. })));
        self.is_over = !matches!(record, Some(Ok(_)));
        record
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest;
    use super::*;
    use proptest::prelude::*;

    fn entries(first: u64, count: u64) -> Vec<Entry> {
        let command = |slot: u64| EntryCommand {
            request: RequestId {
                client: ClientId(u32::try_from(slot % 3).unwrap()),
                sequence: slot / 3,
            },
            kind: if slot.is_multiple_of(5) { Kind::Read } else { Kind::Write },
            key: slot * 17 % 1000,
            digest: if slot.is_multiple_of(5) { 0 } else { digest(&slot.to_le_bytes()) },
        };
        (first..first + count)
            .map(|slot| Entry {
                slot: Slot(slot),
                command: (slot % 11 != 0).then(|| command(slot)),
                applied: slot % 7 != 0,
            })
            .collect()
    }

    fn write(first: u64, entries: &[Entry]) -> Vec<u8> {
        let mut writer = ChosenWriter::new(NodeId(2), Slot(first));
        let mut bytes = Vec::new();
        for entry in entries {
            writer.entry(entry);
            bytes.extend(writer.take_block().unwrap_or_default());
        }
        bytes.extend(writer.finish());
        bytes
    }

    fn records(first: u64, entries: &[Entry]) -> Vec<Record> {
        std::iter::once(Record::Start(Slot(first)))
            .chain(entries.iter().copied().map(Record::Entry))
            .collect()
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, Option<Error>) {
        let reader = match ChosenReader::new(bytes) {
            Ok(reader) => reader,
            Err(error) => return (Vec::new(), Some(error)),
        };
        assert_eq!(reader.node(), NodeId(2));
        let mut records = Vec::new();
        for record in reader {
            match record {
                Ok(record) => records.push(record),
                Err(error) => return (records, Some(error)),
            }
        }
        (records, None)
    }

    #[test]
    fn what_is_written_is_read_over_many_blocks() {
        let log = entries(0, 100_000);
        let bytes = write(0, &log);
        assert!(bytes.len() > 2 * super::super::BLOCK_BYTES);
        assert!(bytes.len() < 10 * log.len(), "{} bytes", bytes.len());
        let (found, error) = read(&bytes);
        assert!(error.is_none());
        assert_eq!(found, records(0, &log));
    }

    #[test]
    fn a_restart_adds_a_segment_behind_an_end_or_behind_a_cut() {
        let (before, after) = (entries(0, 40_000), entries(100, 50));
        let first = write(0, &before);
        let whole = [first.clone(), write(100, &after)].concat();
        let expected = [records(0, &before), records(100, &after)].concat();
        assert_eq!(read(&whole).0, expected);
        assert!(read(&whole).1.is_none());
        let mut reader = ChosenReader::new(whole.as_slice()).unwrap();
        assert!(reader.by_ref().all(|record| record.is_ok()) && !reader.is_cut());

        // A process that dies leaves whole blocks: the second segment follows the checksum of one.
        let mut writer = ChosenWriter::new(NodeId(2), Slot(0));
        let (count, block) = before
            .iter()
            .enumerate()
            .find_map(|(index, entry)| {
                writer.entry(entry);
                writer.take_block().map(|block| (index + 1, block))
            })
            .unwrap();
        let cut = [block, write(100, &after)].concat();
        let (found, error) = read(&cut);
        assert!(error.is_none());
        let mut reader = ChosenReader::new(cut.as_slice()).unwrap();
        assert!(reader.by_ref().all(|record| record.is_ok()) && reader.is_cut());
        assert_eq!(found, [records(0, &before[..count]), records(100, &after)].concat());
    }

    #[test]
    fn a_block_may_be_cut_where_one_likes() {
        let log = entries(0, 100);
        let mut writer = ChosenWriter::new(NodeId(2), Slot(0));
        let mut bytes = Vec::new();
        for (count, entry) in (1..).zip(&log) {
            writer.entry(entry);
            bytes.extend(writer.cut_block());
            // What a process that is killed here leaves.
            assert_eq!(read(&bytes).0, records(0, &log[..count]));
        }
        bytes.extend(writer.finish());
        let (found, error) = read(&bytes);
        assert!(error.is_none());
        assert_eq!(found, records(0, &log));
    }

    #[test]
    fn a_slot_out_of_its_order_keeps_its_number() {
        let mut log = entries(4, 6);
        log.remove(2);
        log.swap(0, 1);
        assert_eq!(read(&write(4, &log)).0, records(4, &log));
    }

    #[test]
    fn an_installed_state_is_read_and_what_follows_it_goes_on_there() {
        let installed = Installed { below: Slot(900), digest: u64::MAX - 3 };
        let (before, after) = (entries(0, 5), entries(900, 5));
        let mut writer = ChosenWriter::new(NodeId(2), Slot(0));
        for entry in &before {
            writer.entry(entry);
        }
        writer.installed(installed);
        for entry in &after {
            writer.entry(entry);
        }
        let mut expected = records(0, &before);
        expected.push(Record::Installed(installed));
        expected.extend(after.iter().copied().map(Record::Entry));
        let bytes = writer.finish();
        assert_eq!(read(&bytes).0, expected);
        // Cut in the middle of it, it was never there.
        let (found, error) = read(&bytes[..bytes.len() - 70]);
        assert!(matches!(error, Some(Error::Truncated { .. })));
        assert_eq!(found, expected[..found.len()]);
    }

    #[test]
    fn a_log_cut_anywhere_gives_its_prefix_and_says_so() {
        let log = entries(0, 40);
        let (bytes, expected) = (write(0, &log), records(0, &log));
        for cut in 0..bytes.len() {
            let (found, error) = read(&bytes[..cut]);
            assert_eq!(found, expected[..found.len()]);
            assert!(matches!(error, Some(Error::Truncated { .. })), "cut at {cut}: {error:?}");
        }
    }

    #[test]
    fn a_changed_byte_is_corrupt() {
        let bytes = write(0, &entries(0, 40));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            let clean = ChosenReader::new(changed.as_slice())
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            assert!(clean.is_err(), "byte {at} changed unnoticed");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut framed = write(0, &[]);
            framed.truncate(7);
            framed.extend(bytes);
            prop_assert!(ChosenReader::new(framed.as_slice()).unwrap().count() < 1000);
        }
    }
}

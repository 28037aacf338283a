//! What all clients saw: one row an operation, 40 bytes, whatever the replicas wrote down.
//!
//! Every row has the exact time of its return, and as its invocation the time at which it can have begun
//! ([`super::SessionOrder`]); an operation whose outcome is unknown never returned.
//! A return that does not belong to an operation is passed over here, because [`super::Check`] names
//! it: its operation stays unknown, which accuses nobody.
//!
//! It judges nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::RangeInclusive;

use super::{ClientReader, Error, Event, Issued, Kind, Returned, SessionOrder};
use crate::command::{ClientId, RequestId};
use crate::protocol::Slot;
use crate::time::{Span, Time};

/// The time of a return that never came.
const NEVER: u64 = u64::MAX;

/// The operations of all clients, in the order in which each issued its own.
#[derive(Debug, Default)]
pub struct Seen {
    rows: Vec<Row>,
    clients: Vec<ClientId>,
    cut_count: u64,
    /// Of which keys, if not of all.
    keys: Option<RangeInclusive<u64>>,
}

/// How many operations clients began on each key: by that they are looked at in parts.
#[derive(Debug, Default)]
pub struct KeyCounts {
    /// Of the first keys, by their numbers.
    first: Vec<u64>,
    others: BTreeMap<u64, u64>,
}

/// Some keys, and how many operations clients began on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    keys: RangeInclusive<u64>,
    operation_count: u64,
}

/// What an operation did, with what it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Write,
    Read,
    /// A read of a key that was never written.
    Missed,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) key: u64,
    /// When it can have begun.
    pub(super) invoked_at: u64,
    returned_at: u64,
    /// Where its client was told that it is, as far as 32 bits hold it.
    slot: u32,
    digest: u32,
    sequence: u32,
    /// Its place among the clients.
    client: u16,
    deed: Deed,
    /// It is a read that has no slot of its own.
    is_beside: bool,
}

impl Seen {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { rows: Vec::new(), clients: Vec::new(), cut_count: 0, keys: None }
    }

    /// Nothing yet, and of all operations only those on these keys, of which there are so many.
    pub fn of(Part { keys, operation_count }: Part) -> Self {
        let room = usize::try_from(operation_count).unwrap_or_default();
        Self { rows: Vec::with_capacity(room), keys: Some(keys), ..Self::new() }
    }

    /// Adds the history of a client, and reads it through.
    ///
    /// One that is cut off, even before its header, counts as cut: what its client did afterwards
    /// nobody knows.
    pub fn add_client(&mut self, read: impl Read) -> Result<(), Error> {
        let reader = match ClientReader::new(read) {
            Ok(reader) => reader,
            Err(Error::Truncated { .. }) => {
                self.cut_count += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let beyond = |reason| Error::Corrupt { offset: 0, reason };
        let client = u16::try_from(self.clients.len())
            .map_err(|_| beyond("more histories of clients than 65536"))?;
        self.clients.push(reader.client());
        let first = self.rows.len();
        let mut session = SessionOrder::default();
        for event in reader {
            match event {
                Ok(Event::Invoke(issued)) => {
                    let sequence = u32::try_from(issued.sequence)
                        .map_err(|_| beyond("a sequence number beyond 32 bits"))?;
                    if self.keys.as_ref().is_none_or(|keys| keys.contains(&issued.key)) {
                        let invoked_at = session.begins_at(&issued);
                        self.rows.push(Row::invoked(client, sequence, invoked_at, &issued));
                    }
                }
                Ok(Event::Return(returned)) => {
                    session.told(&returned);
                    if let Some(row) = find(&mut self.rows[first..], returned.sequence) {
                        row.answer(&returned);
                    }
                }
                Err(Error::Truncated { .. }) => self.cut_count += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many operations were issued.
    pub const fn operation_count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// How many histories were cut off.
    pub const fn cut_count(&self) -> u64 {
        self.cut_count
    }

    /// Every key that clients used, and by how many operations.
    pub fn keys(&self) -> BTreeMap<u64, u64> {
        let mut keys = BTreeMap::new();
        for row in &self.rows {
            *keys.entry(row.key).or_default() += 1;
        }
        keys
    }

    /// Lets every operation return so much later: between two clocks it may have.
    pub(super) fn return_later_by(&mut self, Span(later): Span) {
        for row in self.rows.iter_mut().filter(|row| row.is_answered()) {
            row.returned_at = row.returned_at.saturating_add(later).min(NEVER - 1);
        }
    }

    /// Lets every read that has no slot of its own begin so much earlier.
    pub(super) fn begin_earlier_by(&mut self, Span(earlier): Span) {
        for row in self.rows.iter_mut().filter(|row| row.is_beside) {
            row.invoked_at = row.invoked_at.saturating_sub(earlier);
        }
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows of each key together, in the order of their slots; unknown ones last, and of one slot
    /// writes first.
    pub(super) fn sort_by_key_and_slot(&mut self) {
        let order = |row: &Row| {
            let slot = if row.is_answered() { u64::from(row.slot) } else { NEVER };
            (row.key, slot, row.deed, row.invoked_at)
        };
        self.rows.sort_unstable_by_key(order);
    }

    /// Who asked for the operation of a row, and its count.
    pub(super) fn request(&self, row: &Row) -> RequestId {
        let client = self.clients[usize::from(row.client)];
        RequestId { client, sequence: u64::from(row.sequence) }
    }
}

impl KeyCounts {
    /// Keys below this are counted side by side.
    const FIRST: u64 = 1 << 16;

    /// Counts the operations of a client, as far as its history goes.
    pub fn add_client(&mut self, read: impl Read) -> Result<(), Error> {
        let reader = match ClientReader::new(read) {
            Ok(reader) => reader,
            Err(Error::Truncated { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        for event in reader {
            match event {
                Ok(Event::Invoke(issued)) => *self.of(issued.key) += 1,
                Ok(Event::Return(_)) | Err(Error::Truncated { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn of(&mut self, key: u64) -> &mut u64 {
        let Some(place) = usize::try_from(key).ok().filter(|_| key < Self::FIRST) else {
            return self.others.entry(key).or_default();
        };
        if place >= self.first.len() {
            self.first.resize(place + 1, 0);
        }
        &mut self.first[place]
    }

    /// All keys in parts, ascending, each of so many operations at most; a key is in one part, whatever it has.
    pub fn parts(&self, operations_max: u64) -> Vec<Part> {
        let first = (0..).zip(&self.first).filter(|(_, count)| **count > 0);
        let mut parts: Vec<Part> = Vec::new();
        for (key, count) in first.chain(self.others.iter().map(|(key, count)| (*key, count))) {
            match parts.last_mut() {
                Some(part) if part.operation_count + count <= operations_max => {
                    part.keys = *part.keys.start()..=key;
                    part.operation_count += count;
                }
                _ => parts.push(Part { keys: key..=key, operation_count: *count }),
            }
        }
        parts
    }
}

/// The row of a sequence number among those of one client, which count up.
///
/// Where some rows are left out it is nearer to the end than to the front: few operations are open at a time.
fn find(rows: &mut [Row], sequence: u64) -> Option<&mut Row> {
    let sequence = u32::try_from(sequence).ok()?;
    let offset = sequence.checked_sub(rows.first()?.sequence)? as usize;
    if rows.get(offset).is_some_and(|row| row.sequence == sequence) {
        return rows.get_mut(offset);
    }
    let mut reach = 1;
    while reach < rows.len() && rows[rows.len() - reach].sequence > sequence {
        reach *= 2;
    }
    let from = rows.len().saturating_sub(reach);
    let place = rows[from..].binary_search_by_key(&sequence, |row| row.sequence).ok()?;
    rows.get_mut(from + place)
}

impl Row {
    const fn invoked(client: u16, sequence: u32, invoked_at: Time, issued: &Issued) -> Self {
        let deed = match issued.kind {
            Kind::Write => Deed::Write,
            Kind::Read => Deed::Read,
        };
        Self {
            key: issued.key,
            invoked_at: invoked_at.0,
            returned_at: NEVER,
            slot: 0,
            digest: issued.digest,
            sequence,
            client,
            deed,
            is_beside: false,
        }
    }

    /// The first answer is what the client went by.
    fn answer(&mut self, returned: &Returned) {
        if self.is_answered() {
            return;
        }
        // A reply before the operation can have begun would be of a broken clock, and orders nothing.
        self.returned_at = returned.at.0.max(self.invoked_at);
        self.is_beside = returned.is_beside;
        // A read beside the log stands behind the last slot that it saw.
        let slot = returned.slot.0.saturating_sub(u64::from(returned.is_beside));
        self.slot = u32::try_from(slot).unwrap_or(u32::MAX);
        if self.deed == Deed::Read {
            self.digest = returned.digest.unwrap_or(0);
            self.deed = if returned.digest.is_some() { Deed::Read } else { Deed::Missed };
        }
    }

    pub(super) const fn is_answered(&self) -> bool {
        self.returned_at != NEVER
    }

    pub(super) const fn kind(&self) -> Kind {
        match self.deed {
            Deed::Write => Kind::Write,
            Deed::Read | Deed::Missed => Kind::Read,
        }
    }

    /// What was written, or read if it was answered; `None` is a key without a value.
    pub(super) const fn value(&self) -> Option<u32> {
        match self.deed {
            Deed::Write => Some(self.digest),
            Deed::Read if self.is_answered() => Some(self.digest),
            Deed::Read | Deed::Missed => None,
        }
    }

    /// When its client was told; `None` if it never was.
    pub(super) fn returned_at(&self) -> Option<Time> {
        self.is_answered().then_some(Time(self.returned_at))
    }

    /// Where its client was told that it is.
    pub(super) fn slot(&self) -> Slot {
        Slot(u64::from(self.slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::ClientWriter;

    #[test]
    fn a_row_takes_forty_bytes() {
        assert_eq!(size_of::<Row>(), 40);
    }

    fn write(sequence: u64) -> Issued {
        Issued { sequence, intended_at: Time(100), kind: Kind::Write, key: 1, digest: 7 }
    }

    #[test]
    fn a_return_that_belongs_to_nothing_and_a_second_one_are_passed_over() {
        let mut writer = ClientWriter::new(ClientId(5));
        let returned = |sequence, at| Returned {
            sequence,
            at: Time(at),
            slot: Slot(3),
            is_beside: false,
            digest: None,
        };
        writer.returned(&returned(0, 50));
        writer.invoke(&write(3));
        writer.invoke(&write(5));
        writer.returned(&returned(4, 200));
        writer.returned(&returned(5, 40));
        writer.returned(&returned(5, 300));
        let bytes = writer.finish();
        let mut seen = Seen::new();
        seen.add_client(bytes.as_slice()).unwrap();
        let times: Vec<_> = seen.rows().iter().map(Row::returned_at).collect();
        // A reply from before the operation began is moved to its beginning.
        assert_eq!(times, [None, Some(Time(100))]);
        assert_eq!(seen.request(&seen.rows()[1]).sequence, 5);
        assert_eq!((seen.operation_count(), seen.cut_count()), (2, 0));
    }

    /// Keys of one part have all their rows, and no others.
    #[test]
    fn rows_of_some_keys_are_those_of_all_keys_without_the_others() {
        let mut histories = Vec::new();
        for client in 0..2_u32 {
            let mut writer = ClientWriter::new(ClientId(client));
            for sequence in 0..400 {
                let key = if sequence % 7 == 0 { u64::MAX - sequence % 3 } else { sequence % 11 };
                writer.invoke(&Issued { sequence, key, ..write(0) });
                // The answers of the last eight come in another order, some never.
                for late in (sequence % 8 == 7).then_some([3, 0, 7, 1, 2, 5]).into_iter().flatten()
                {
                    let (sequence, slot) = (sequence - late, Slot(1000 + sequence - late));
                    writer.returned(&Returned {
                        sequence,
                        at: Time(500),
                        slot,
                        is_beside: false,
                        digest: None,
                    });
                }
            }
            histories.push(writer.finish());
        }
        let rows = |mut seen: Seen| -> Vec<_> {
            for history in &histories {
                seen.add_client(history.as_slice()).unwrap();
            }
            let row = |row: &Row| (row.key, row.sequence, row.client, row.returned_at(), row.slot);
            let mut rows: Vec<_> = seen.rows().iter().map(row).collect();
            rows.sort_unstable();
            rows
        };
        let all = rows(Seen::new());
        let mut counts = KeyCounts::default();
        for history in &histories {
            counts.add_client(history.as_slice()).unwrap();
        }
        for operations_max in [0, 1, 100, 799, 800] {
            let parts = counts.parts(operations_max);
            assert_eq!(parts.len() == 1, operations_max == 800);
            assert!(operations_max > 70 || parts.len() == 14, "each key has its own part");
            let sizes: Vec<_> = parts.iter().map(|it| it.operation_count).collect();
            assert!(operations_max < 100 || sizes.iter().all(|size| *size <= operations_max));
            let found: Vec<Vec<_>> = parts.into_iter().map(|it| rows(Seen::of(it))).collect();
            assert!(found.iter().map(|rows| rows.len() as u64).eq(sizes));
            assert_eq!(found.concat(), all, "{operations_max}");
        }
    }

    #[test]
    fn a_history_that_is_cut_off_gives_what_it_holds_and_is_counted() {
        let mut writer = ClientWriter::new(ClientId(5));
        writer.invoke(&write(0));
        let bytes = writer.finish();
        let mut seen = Seen::new();
        seen.add_client(&bytes[..bytes.len() - 3]).unwrap();
        seen.add_client(std::io::empty()).unwrap();
        assert_eq!((seen.operation_count(), seen.cut_count()), (1, 2));
    }
}

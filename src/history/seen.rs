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
}

impl Seen {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { rows: Vec::new(), clients: Vec::new(), cut_count: 0 }
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
                    let invoked_at = session.begins_at(&issued);
                    self.rows.push(Row::invoked(client, sequence, invoked_at, &issued));
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

/// The row of a sequence number among those of one client, which count up.
fn find(rows: &mut [Row], sequence: u64) -> Option<&mut Row> {
    let sequence = u32::try_from(sequence).ok()?;
    let offset = sequence.checked_sub(rows.first()?.sequence)? as usize;
    let is_there = rows.get(offset).is_some_and(|row| row.sequence == sequence);
    let index = if is_there {
        offset
    } else {
        rows.binary_search_by_key(&sequence, |row| row.sequence).ok()?
    };
    rows.get_mut(index)
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
        }
    }

    /// The first answer is what the client went by.
    fn answer(&mut self, returned: &Returned) {
        if self.is_answered() {
            return;
        }
        // A reply before the operation can have begun would be of a broken clock, and orders nothing.
        self.returned_at = returned.at.0.max(self.invoked_at);
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

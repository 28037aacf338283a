//! What all clients issued and were told: one row an operation, 33 bytes each, in columns.
//!
//! Rows are found by sequence number, which a client counts from 0.

use std::collections::BTreeMap;
use std::io::Read;

use super::violation::{Violation, Violations};
use crate::command::{ClientId, RequestId};
use crate::history::{
    ClientReader, EntryCommand, Error, Event, Issued, Kind, Returned, SessionOrder,
};
use crate::protocol::Slot;
use crate::time::Time;

/// A client does not skip this many sequence numbers: a number beyond is no sequence number.
const MAX_SKIP: u64 = 1 << 20;

const ISSUED: u8 = 1;
const READ: u8 = 1 << 1;
const RETURNED: u8 = 1 << 2;
const FOUND: u8 = 1 << 3;
const OCCURRED: u8 = 1 << 4;
const APPLIED: u8 = 1 << 5;
const TOLD: u8 = 1 << 6;
const BESIDE: u8 = 1 << 7;

/// The operations of all clients.
#[derive(Debug, Default)]
pub(super) struct Operations {
    clients: BTreeMap<ClientId, Columns>,
    /// A history had no whole header: nobody knows what some client issued.
    pub(super) is_client_missing: bool,
    pub(super) issued_count: u64,
    pub(super) acknowledged_count: u64,
    pub(super) cut_count: u64,
}

/// The operations of one client, by sequence number.
#[derive(Debug, Default)]
struct Columns {
    /// When it can have begun ([`SessionOrder`]), in nanoseconds.
    begins_at: Vec<u64>,
    /// When its client was told, in nanoseconds; for ever if it was not.
    returned_at: Vec<u64>,
    key: Vec<u64>,
    slot: Vec<u32>,
    /// Of the value written; for a read, of the value that it returned.
    digest: Vec<u32>,
    state: Vec<u8>,
    is_cut: bool,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) request: RequestId,
    pub(super) begins_at: u64,
    /// When its client was told; for ever if it was not.
    pub(super) returned_at: u64,
    key: u64,
    slot: u32,
    digest: u32,
    state: &'a mut u8,
}

/// A read that has no slot of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Beside {
    /// It saw every slot below this, and no other.
    pub(super) below: Slot,
    begins_at: u64,
    pub(super) request: RequestId,
}

/// What is known of a request in a log.
#[derive(Debug)]
pub(super) enum Known<'a> {
    /// Its client issued it.
    Issued(Row<'a>),
    /// Its client may have issued it: its history is cut off.
    Maybe,
    /// Nobody issued it.
    Never,
}

impl Operations {
    pub(super) const fn new() -> Self {
        Self {
            clients: BTreeMap::new(),
            is_client_missing: false,
            issued_count: 0,
            acknowledged_count: 0,
            cut_count: 0,
        }
    }

    pub(super) fn read(
        &mut self,
        read: impl Read,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let reader = match ClientReader::new(read) {
            Ok(reader) => reader,
            Err(Error::Truncated { .. }) => {
                self.is_client_missing = true;
                self.cut_count += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let client = reader.client();
        let columns = self.clients.entry(client).or_default();
        let mut session = SessionOrder::default();
        for event in reader {
            match event {
                Ok(Event::Invoke(issued)) => {
                    self.issued_count += 1;
                    columns.issue(client, &issued, session.begins_at(&issued), violations)?;
                }
                Ok(Event::Return(returned)) => {
                    session.told(&returned);
                    self.acknowledged_count +=
                        u64::from(columns.acknowledge(client, &returned, violations));
                }
                Err(Error::Truncated { .. }) => {
                    columns.is_cut = true;
                    self.cut_count += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn find(&mut self, request: RequestId) -> Known<'_> {
        let Some(columns) = self.clients.get_mut(&request.client) else {
            return if self.is_client_missing { Known::Maybe } else { Known::Never };
        };
        let index = usize::try_from(request.sequence).unwrap_or(usize::MAX);
        if columns.state.get(index).is_some_and(|state| state & ISSUED != 0) {
            return Known::Issued(columns.row(request, index));
        }
        // A client issues in ascending order, so what is missing before the cut was never issued.
        if columns.is_cut && index >= columns.state.len() { Known::Maybe } else { Known::Never }
    }

    /// The reads that have no slot of their own: by the first slot that each did not see, and by their beginnings.
    pub(super) fn beside(&self) -> Vec<Beside> {
        let mut found = Vec::new();
        for (client, columns) in &self.clients {
            let all = (0..).zip(&columns.state).zip(&columns.slot).zip(&columns.begins_at);
            let beside = all.filter(|(((_, state), _), _)| **state & BESIDE != 0);
            found.extend(beside.map(|(((sequence, _), slot), begins_at)| Beside {
                below: Slot(u64::from(*slot)),
                begins_at: *begins_at,
                request: RequestId { client: *client, sequence },
            }));
        }
        found.sort_unstable();
        found
    }

    /// Every operation whose client was told its outcome.
    pub(super) fn for_each_returned(&mut self, mut visit: impl FnMut(Row<'_>)) {
        for (client, columns) in &mut self.clients {
            for index in 0..columns.state.len() {
                if columns.state[index] & RETURNED != 0 {
                    let request = RequestId { client: *client, sequence: index as u64 };
                    visit(columns.row(request, index));
                }
            }
        }
    }
}

impl Columns {
    fn issue(
        &mut self,
        client: ClientId,
        issued: &Issued,
        begins_at: Time,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let length = self.state.len() as u64;
        if issued.sequence >= length + MAX_SKIP {
            let reason = "a sequence number far beyond the ones before";
            return Err(Error::Corrupt { offset: 0, reason });
        }
        let index = usize::try_from(issued.sequence).expect("a table fits in memory");
        if index >= self.state.len() {
            self.resize(index + 1);
        }
        if self.state[index] & ISSUED != 0 {
            violations
                .push(Violation::IssuedTwice(RequestId { client, sequence: issued.sequence }));
            return Ok(());
        }
        self.state[index] = ISSUED | if issued.kind == Kind::Read { READ } else { 0 };
        self.begins_at[index] = begins_at.0;
        self.key[index] = issued.key;
        self.digest[index] = issued.digest;
        Ok(())
    }

    fn acknowledge(
        &mut self,
        client: ClientId,
        returned: &Returned,
        violations: &mut Violations,
    ) -> bool {
        let request = RequestId { client, sequence: returned.sequence };
        let index = usize::try_from(returned.sequence).unwrap_or(usize::MAX);
        let state = self.state.get(index).copied().unwrap_or(0);
        if state & ISSUED == 0 {
            violations.push(Violation::ReturnedUnissued(request));
            return false;
        }
        if state & RETURNED != 0 {
            violations.push(Violation::ReturnedTwice(request));
            return false;
        }
        self.state[index] |= RETURNED;
        self.slot[index] = u32::try_from(returned.slot.0).unwrap_or(u32::MAX);
        // A reply before the operation can have begun would be of a broken clock, and orders nothing.
        self.returned_at[index] = returned.at.0.max(self.begins_at[index]);
        if state & READ != 0 {
            self.state[index] |= if returned.is_beside { BESIDE } else { 0 };
            self.digest[index] = returned.digest.unwrap_or(0);
            self.state[index] |= if returned.digest.is_some() { FOUND } else { 0 };
        }
        true
    }

    fn resize(&mut self, length: usize) {
        self.begins_at.resize(length, 0);
        self.returned_at.resize(length, u64::MAX);
        self.key.resize(length, 0);
        self.slot.resize(length, 0);
        self.digest.resize(length, 0);
        self.state.resize(length, 0);
    }

    fn row(&mut self, request: RequestId, index: usize) -> Row<'_> {
        Row {
            request,
            begins_at: self.begins_at[index],
            returned_at: self.returned_at[index],
            key: self.key[index],
            slot: self.slot[index],
            digest: self.digest[index],
            state: &mut self.state[index],
        }
    }
}

impl Row<'_> {
    /// The command that was issued; a read has no digest.
    pub(super) fn command(&self) -> EntryCommand {
        let kind = self.kind();
        let digest = if kind == Kind::Write { self.digest } else { 0 };
        EntryCommand { request: self.request, kind, key: self.key, digest }
    }

    pub(super) const fn key(&self) -> u64 {
        self.key
    }

    pub(super) const fn kind(&self) -> Kind {
        if *self.state & READ == 0 { Kind::Write } else { Kind::Read }
    }

    pub(super) const fn has_returned(&self) -> bool {
        *self.state & RETURNED != 0
    }

    /// It is a read that has no slot of its own.
    pub(super) const fn is_beside(&self) -> bool {
        *self.state & BESIDE != 0
    }

    /// Where its client was told that it is; of a read beside the log, the first slot that it did not see.
    pub(super) fn told(&self) -> Slot {
        Slot(u64::from(self.slot))
    }

    /// The digest that a read returned.
    pub(super) fn read_digest(&self) -> Option<u32> {
        (*self.state & FOUND != 0).then_some(self.digest)
    }

    pub(super) const fn has_occurred(&self) -> bool {
        *self.state & OCCURRED != 0
    }

    pub(super) const fn is_applied(&self) -> bool {
        *self.state & APPLIED != 0
    }

    /// It occurs in the slot that its client was told.
    pub(super) const fn is_told(&self) -> bool {
        *self.state & TOLD != 0
    }

    pub(super) const fn set_occurred(&mut self) {
        *self.state |= OCCURRED;
    }

    pub(super) const fn set_applied(&mut self) {
        *self.state |= APPLIED;
    }

    pub(super) const fn set_told(&mut self) {
        *self.state |= TOLD;
    }
}

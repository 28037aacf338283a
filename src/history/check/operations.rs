//! What all clients issued and were told.
//!
//! A history is read twice. The first reading says of every request whether it was issued and answered, in one byte
//! each. The second goes beside the logs, as far as they ask, and holds what else is to be known of the operations
//! that they are at: so memory does not grow with a run, but for that byte.
//! What was applied where its client was told is let go of after a while. One that a log shows once more after that
//! is looked up in a third reading, at the end.
//!
//! Reads that have no slot of their own are in no log: the first reading holds what is to be known of each, 64 bytes.
//!
//! Operations are found by sequence number, which a client counts from 0.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

use super::violation::{Violation, Violations};
use crate::command::{ClientId, RequestId};
use crate::history::{
    ClientReader, Entry, EntryCommand, Error, Event, Issued, Kind, Returned, SessionOrder,
};
use crate::protocol::Slot;
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// A client does not skip this many sequence numbers: a number beyond is no sequence number.
const MAX_SKIP: u64 = 1 << 20;

const ISSUED: u8 = 1;
const READ: u8 = 1 << 1;
const RETURNED: u8 = 1 << 2;
const FOUND: u8 = 1 << 3;
const OCCURRED: u8 = 1 << 4;
const APPLIED: u8 = 1 << 5;
const TOLD: u8 = 1 << 6;
/// The second reading has come to its invocation.
const REACHED: u8 = 1 << 7;

/// Opens a history once more.
type Open<'a, R> = Box<dyn Fn() -> Result<R, Error> + 'a>;

/// The operations of all clients.
pub(super) struct Operations<'a, R> {
    clients: BTreeMap<ClientId, Client<'a, R>>,
    /// So many operations of each client are held although nothing more is to be known of them.
    held: usize,
    /// A history had no whole header: nobody knows what some client issued.
    pub(super) is_client_missing: bool,
    pub(super) issued_count: u64,
    pub(super) acknowledged_count: u64,
    pub(super) cut_count: u64,
    /// Reads that have no slot of their own.
    beside: Vec<Beside>,
}

/// The operations of one client.
struct Client<'a, R> {
    /// What is known of each, by sequence number.
    state: Vec<u8>,
    is_cut: bool,
    histories: Vec<Open<'a, R>>,
    /// The second reading: the history that is read now, and those before it that are read.
    reading: Option<(ClientReader<R>, SessionOrder)>,
    begun: usize,
    /// What was read of the operations from this one on, unless it was let go of.
    first: usize,
    rows: VecDeque<Option<Facts>>,
    /// Of those before, what is still to be known.
    apart: BTreeMap<usize, Facts>,
    /// What logs showed once more of operations that were let go of.
    late: Vec<(NodeId, Entry)>,
}

/// What the histories say of one operation.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// When it can have begun ([`SessionOrder`]), in nanoseconds.
    begins_at: u64,
    /// When its client was told, in nanoseconds; for ever if it was not.
    returned_at: u64,
    key: u64,
    slot: u32,
    /// Of the value written; for a read, of the value that it returned.
    digest: u32,
    has_return: bool,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) request: RequestId,
    facts: Facts,
    state: &'a mut u8,
}

/// A read that has no slot of its own, and what its client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Beside {
    /// It saw every slot below this, and no other.
    pub(super) below: Slot,
    pub(super) begins_at: u64,
    /// When it was meant to begin, whatever it may miss.
    pub(super) begun_at: u64,
    pub(super) returned_at: u64,
    pub(super) request: RequestId,
    pub(super) key: u64,
    /// Of the value that it returned.
    pub(super) digest: Option<u32>,
}

/// What is known of a request in a log.
#[derive(Debug)]
pub(super) enum Known<'a> {
    /// Its client issued it.
    Issued(Row<'a>),
    /// Its client issued it, it was applied where its client was told, and it was let go of.
    Settled,
    /// Its client may have issued it: its history is cut off.
    Maybe,
    /// Nobody issued it.
    Never,
}

impl<'a, R: Read> Operations<'a, R> {
    pub(super) const fn new(held: usize) -> Self {
        Self {
            clients: BTreeMap::new(),
            held,
            is_client_missing: false,
            issued_count: 0,
            acknowledged_count: 0,
            cut_count: 0,
            beside: Vec::new(),
        }
    }

    /// The reads that have no slot of their own: by the first slot that each did not see, and by their beginnings.
    ///
    /// Each is taken to have begun so much earlier than it did.
    pub(super) fn take_beside(&mut self, may_miss: Span) -> Vec<Beside> {
        let mut beside = std::mem::take(&mut self.beside);
        for read in &mut beside {
            read.begins_at = read.begins_at.saturating_sub(may_miss.0);
        }
        beside.sort_unstable();
        beside
    }

    /// From now on nothing is let go of: operations are asked for in any order.
    pub(super) const fn hold_all(&mut self) {
        self.held = usize::MAX;
    }

    pub(super) fn read(
        &mut self,
        open: Open<'a, R>,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let reader = match ClientReader::new(open()?) {
            Ok(reader) => reader,
            Err(Error::Truncated { .. }) => {
                self.is_client_missing = true;
                self.cut_count += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let id = reader.client();
        let client = self.clients.entry(id).or_insert_with(Client::new);
        // Reads without an answer so far: when each can have begun, and its key.
        let mut open_reads: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let mut session = SessionOrder::default();
        for event in reader {
            match event {
                Ok(Event::Invoke(issued)) => {
                    self.issued_count += 1;
                    if issued.kind == Kind::Read {
                        let begins_at = session.begins_at(&issued).0;
                        open_reads.entry(issued.sequence).or_insert((begins_at, issued.key));
                    }
                    client.issue(id, &issued, violations)?;
                }
                Ok(Event::Return(returned)) => {
                    session.told(&returned);
                    let is_first = client.acknowledge(id, &returned, violations);
                    self.acknowledged_count += u64::from(is_first);
                    let read = open_reads.remove(&returned.sequence);
                    if let (Some((begins_at, key)), true, true) =
                        (read, is_first, returned.is_beside)
                    {
                        let request = RequestId { client: id, sequence: returned.sequence };
                        client.settle(returned.sequence);
                        self.beside.push(Beside {
                            below: returned.slot,
                            begins_at,
                            begun_at: begins_at,
                            returned_at: returned.at.0.max(begins_at),
                            request,
                            key,
                            digest: returned.digest,
                        });
                    }
                }
                Err(Error::Truncated { .. }) => {
                    client.is_cut = true;
                    self.cut_count += 1;
                }
                Err(error) => return Err(error),
            }
        }
        client.histories.push(open);
        Ok(())
    }

    pub(super) fn find(&mut self, request: RequestId) -> Result<Known<'_>, Error> {
        let Some(client) = self.clients.get_mut(&request.client) else {
            return Ok(if self.is_client_missing { Known::Maybe } else { Known::Never });
        };
        let index = usize::try_from(request.sequence).unwrap_or(usize::MAX);
        if client.state.get(index).is_some_and(|state| state & ISSUED != 0) {
            client.let_go(self.held);
            let facts = client.facts_of(index)?;
            let state = &mut client.state[index];
            return Ok(
                facts.map_or(Known::Settled, |facts| Known::Issued(Row { request, facts, state }))
            );
        }
        // A client issues in ascending order, so what is missing before the cut was never issued.
        let is_maybe = client.is_cut && index >= client.state.len();
        Ok(if is_maybe { Known::Maybe } else { Known::Never })
    }

    /// Of how many operations more than their state is held.
    #[cfg(test)]
    pub(super) fn held_count(&self) -> usize {
        self.clients.values().map(|client| client.rows.len() + client.apart.len()).sum()
    }

    /// A log shows once more what was let go of.
    pub(super) fn note_late(&mut self, node: NodeId, entry: Entry, request: RequestId) {
        if let Some(client) = self.clients.get_mut(&request.client) {
            client.late.push((node, entry));
        }
    }

    /// Compares what logs showed once more with what was issued.
    pub(super) fn compare_late(&mut self, violations: &mut Violations) -> Result<(), Error> {
        self.clients.values_mut().try_for_each(|client| client.compare_late(violations))
    }

    /// Every operation whose client was told its outcome, and that is not where it was told.
    pub(super) fn for_each_untold(&mut self, mut visit: impl FnMut(Row<'_>)) -> Result<(), Error> {
        for (id, client) in &mut self.clients {
            for index in 0..client.state.len() {
                if client.state[index] & (RETURNED | TOLD) == RETURNED {
                    client.let_go(self.held);
                    let request = RequestId { client: *id, sequence: index as u64 };
                    let facts = client.facts_of(index)?.ok_or_else(changed)?;
                    visit(Row { request, facts, state: &mut client.state[index] });
                }
            }
        }
        Ok(())
    }
}

/// Whether nothing more is to be known of an operation with this state.
const fn is_settled(state: u8) -> bool {
    let is_applied = state & (OCCURRED | APPLIED) == OCCURRED | APPLIED;
    is_applied && state & (RETURNED | TOLD) != RETURNED
}

/// What a second reading finds otherwise than the first.
const fn changed() -> Error {
    Error::Corrupt { offset: 0, reason: "it is not what it was when it was read before" }
}

impl<R: Read> Client<'_, R> {
    const fn new() -> Self {
        Self {
            state: Vec::new(),
            is_cut: false,
            histories: Vec::new(),
            reading: None,
            begun: 0,
            first: 0,
            rows: VecDeque::new(),
            apart: BTreeMap::new(),
            late: Vec::new(),
        }
    }

    fn issue(
        &mut self,
        client: ClientId,
        issued: &Issued,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let length = self.state.len() as u64;
        if issued.sequence >= length + MAX_SKIP {
            let reason = "a sequence number far beyond the ones before";
            return Err(Error::Corrupt { offset: 0, reason });
        }
        let index = usize::try_from(issued.sequence).expect("a table fits in memory");
        if index >= self.state.len() {
            self.state.resize(index + 1, 0);
        }
        if self.state[index] & ISSUED != 0 {
            violations
                .push(Violation::IssuedTwice(RequestId { client, sequence: issued.sequence }));
            return Ok(());
        }
        self.state[index] = ISSUED | if issued.kind == Kind::Read { READ } else { 0 };
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
        if state & READ != 0 && returned.digest.is_some() {
            self.state[index] |= FOUND;
        }
        true
    }

    /// Nothing more is to be known of an operation: no log has it.
    fn settle(&mut self, sequence: u64) {
        if let Some(state) = usize::try_from(sequence).ok().and_then(|at| self.state.get_mut(at)) {
            *state |= OCCURRED | APPLIED | TOLD;
        }
    }

    /// What is known of an operation that was issued, once all of it is read; `None` if it was let go of.
    fn facts_of(&mut self, index: usize) -> Result<Option<Facts>, Error> {
        loop {
            let state = self.state[index];
            let facts = self.facts_mut(index).copied();
            if facts.is_none() && state & REACHED != 0 {
                return Ok(None);
            }
            if facts.is_some_and(|facts| facts.has_return || state & RETURNED == 0) {
                return Ok(facts);
            }
            self.read_on()?;
        }
    }

    fn facts_mut(&mut self, index: usize) -> Option<&mut Facts> {
        match index.checked_sub(self.first) {
            Some(place) => self.rows.get_mut(place)?.as_mut(),
            None => self.apart.get_mut(&index),
        }
    }

    /// Lets go of the first operations of which nothing more is to be known, and holds the others of them apart.
    fn let_go(&mut self, held: usize) {
        while self.rows.len() > held {
            let facts = self.rows.pop_front().flatten();
            if let Some(facts) = facts.filter(|_| !is_settled(self.state[self.first])) {
                self.apart.insert(self.first, facts);
            }
            self.first += 1;
        }
        // Of those held apart, the first come to be settled first.
        while let Some(first) = self.apart.first_entry()
            && is_settled(self.state[*first.key()])
        {
            first.remove();
        }
    }

    /// The second reading goes on by one event.
    fn read_on(&mut self) -> Result<(), Error> {
        let event = loop {
            let (reader, session) = match &mut self.reading {
                Some(reading) => reading,
                none => {
                    let open = self.histories.get(self.begun).ok_or_else(changed)?;
                    self.begun += 1;
                    none.insert((ClientReader::new(open()?)?, SessionOrder::default()))
                }
            };
            match reader.next() {
                Some(Ok(Event::Invoke(issued))) => {
                    break Event::Invoke(Issued {
                        intended_at: session.begins_at(&issued),
                        ..issued
                    });
                }
                Some(Ok(Event::Return(returned))) => {
                    session.told(&returned);
                    break Event::Return(returned);
                }
                Some(Err(Error::Truncated { .. })) | None => self.reading = None,
                Some(Err(error)) => return Err(error),
            }
        };
        match event {
            Event::Invoke(issued) => return self.reach(&issued),
            Event::Return(returned) => self.answer(&returned),
        }
        Ok(())
    }

    /// An operation, with the time at which it can have begun.
    fn reach(&mut self, issued: &Issued) -> Result<(), Error> {
        let Issued { sequence, intended_at: Time(begins_at), key, digest, .. } = *issued;
        let index = usize::try_from(sequence).map_err(|_| changed())?;
        let state = self.state.get_mut(index).ok_or_else(changed)?;
        if *state & REACHED != 0 {
            // It was issued twice: the first time counts.
            return Ok(());
        }
        *state |= REACHED;
        let returned_at = u64::MAX;
        let facts = Facts { begins_at, returned_at, key, slot: 0, digest, has_return: false };
        match index.checked_sub(self.first) {
            Some(place) => {
                if place >= self.rows.len() {
                    self.rows.resize(place + 1, None);
                }
                self.rows[place] = Some(facts);
            }
            None => _ = self.apart.insert(index, facts),
        }
        Ok(())
    }

    fn answer(&mut self, returned: &Returned) {
        let index = usize::try_from(returned.sequence).unwrap_or(usize::MAX);
        let state = self.state.get(index).copied().unwrap_or(0);
        let Some(facts) = self.facts_mut(index).filter(|facts| !facts.has_return) else {
            // It belongs to nothing, or is the second one.
            return;
        };
        facts.has_return = true;
        facts.slot = u32::try_from(returned.slot.0).unwrap_or(u32::MAX);
        // A reply before the operation can have begun would be of a broken clock, and orders nothing.
        facts.returned_at = returned.at.0.max(facts.begins_at);
        if state & READ != 0 {
            facts.digest = returned.digest.unwrap_or(0);
        }
    }

    fn compare_late(&mut self, violations: &mut Violations) -> Result<(), Error> {
        let mut late: BTreeMap<u64, Vec<(NodeId, Entry)>> = BTreeMap::new();
        for (node, entry) in self.late.drain(..) {
            if let Some(command) = entry.command {
                late.entry(command.request.sequence).or_default().push((node, entry));
            }
        }
        if late.is_empty() {
            return Ok(());
        }
        for open in &self.histories {
            let reader = ClientReader::new(open()?)?;
            let client = reader.client();
            for event in reader {
                let issued = match event {
                    Ok(Event::Invoke(issued)) => issued,
                    Ok(Event::Return(_)) | Err(Error::Truncated { .. }) => continue,
                    Err(error) => return Err(error),
                };
                let Issued { sequence, kind, key, digest, .. } = issued;
                let request = RequestId { client, sequence };
                let issued = EntryCommand { request, kind, key, digest };
                // It may be issued twice: the first time counts.
                for (node, entry) in late.remove(&sequence).unwrap_or_default() {
                    if entry.command != Some(issued) {
                        violations.push(Violation::Changed { node, entry, issued });
                    }
                }
            }
        }
        Ok(())
    }
}

impl Row<'_> {
    /// The command that was issued; a read has no digest.
    pub(super) fn command(&self) -> EntryCommand {
        let kind = self.kind();
        let digest = if kind == Kind::Write { self.facts.digest } else { 0 };
        EntryCommand { request: self.request, kind, key: self.facts.key, digest }
    }

    pub(super) const fn begins_at(&self) -> u64 {
        self.facts.begins_at
    }

    /// When its client was told; for ever if it was not.
    pub(super) const fn returned_at(&self) -> u64 {
        self.facts.returned_at
    }

    pub(super) const fn key(&self) -> u64 {
        self.facts.key
    }

    pub(super) const fn kind(&self) -> Kind {
        if *self.state & READ == 0 { Kind::Write } else { Kind::Read }
    }

    pub(super) const fn has_returned(&self) -> bool {
        *self.state & RETURNED != 0
    }

    /// Where its client was told that it is.
    pub(super) fn told(&self) -> Slot {
        Slot(u64::from(self.facts.slot))
    }

    /// The digest that a read returned.
    pub(super) fn read_digest(&self) -> Option<u32> {
        (*self.state & FOUND != 0).then_some(self.facts.digest)
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

//! The agreed log, executed again and held against what clients issued and were told.

use std::collections::BTreeMap;
use std::io::Read;

use super::Options;
use super::operations::{Beside, Known, Operations, Row};
use super::staleness::{Missing, Staleness};
use super::violation::{Violation, Violations};
use crate::command::{ClientId, RequestId, entry_digest};
use crate::history::{Entry, EntryCommand, Error, Kind};
use crate::protocol::{Installed, Slot};
use crate::quorum::NodeId;
use crate::time::Span;

/// The state after some slots.
#[derive(Debug)]
pub(super) struct Replay {
    options: Options,
    /// The digest under each key.
    values: Digests,
    /// The digest of all of it.
    state: u64,
    /// No slot so far was lost with a cut-off log: what `values` holds is all there is.
    is_complete: bool,
    /// Of those executed, the operation that began last: of all clients together, and of each client where
    /// their clocks are not the same one.
    latest: BTreeMap<Option<ClientId>, Latest>,
    /// The same of the operations on each key, where there are reads beside the log.
    by_key: Option<BTreeMap<(u64, Option<ClientId>), Version>>,
    /// The same of the operations of each client on each key, where reads may miss something: by what the client was
    /// told, and not by what reads may miss.
    sessions: BTreeMap<(u64, ClientId), Version>,
    /// The reads that have no slot of their own, until it is known what each missed.
    missing: Missing,
    /// Acknowledged requests that have occurred, but not yet in the slot that their clients were told.
    elsewhere: BTreeMap<RequestId, Slot>,
    /// Operations, executed commands and installed states that cannot be judged, because a history was
    /// cut off.
    pub(super) unverified_count: u64,
    /// Those of them that were acknowledged and are in no log.
    pub(super) unlogged_count: u64,
}

/// The digest under each key.
#[derive(Debug, Default)]
struct Digests {
    /// Of the first keys, by their numbers: a workload writes keys from 0 on.
    first: Vec<Option<u32>>,
    others: BTreeMap<u64, u32>,
}

impl Digests {
    /// So many keys are among the first.
    const FIRST: u64 = 1 << 16;

    #[inline]
    fn get(&self, key: u64) -> Option<u32> {
        match usize::try_from(key) {
            Ok(place) if key < Self::FIRST => *self.first.get(place)?,
            _ => self.others.get(&key).copied(),
        }
    }

    /// Puts a digest under a key; the one before.
    #[inline]
    fn insert(&mut self, key: u64, digest: u32) -> Option<u32> {
        let Ok(place) = usize::try_from(key) else { return self.others.insert(key, digest) };
        if key >= Self::FIRST {
            return self.others.insert(key, digest);
        }
        if place >= self.first.len() {
            self.first.resize(place + 1, None);
        }
        self.first[place].replace(digest)
    }
}

/// Of the operations on a key that were executed, those that began last.
#[derive(Clone, Copy, Debug, Default)]
struct Version {
    /// Up to the last write.
    written: Option<Latest>,
    /// Of the reads since: these have no order among one another.
    read: Option<Latest>,
}

impl Version {
    /// The next operation on the key in the order of the log, which had returned then; one that began later and stands
    /// before it, if there is one.
    fn place(&mut self, own: Latest, returned_at: u64, kind: Kind) -> Option<Latest> {
        if kind == Kind::Write {
            let read = self.read.take();
            self.written = read.map_or(self.written, |it| Some(later(self.written, it)));
        }
        let began_last = self.written.filter(|it| returned_at < it.begins_at);
        let of_kind = match kind {
            Kind::Write => &mut self.written,
            Kind::Read => &mut self.read,
        };
        *of_kind = Some(later(*of_kind, own));
        began_last
    }
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    begins_at: u64,
    request: RequestId,
    slot: Slot,
}

impl Replay {
    pub(super) const fn new(options: Options) -> Self {
        Self {
            options,
            values: Digests { first: Vec::new(), others: BTreeMap::new() },
            state: 0,
            is_complete: true,
            latest: BTreeMap::new(),
            by_key: None,
            sessions: BTreeMap::new(),
            missing: Missing::new(),
            elsewhere: BTreeMap::new(),
            unverified_count: 0,
            unlogged_count: 0,
        }
    }

    /// How stale the reads were that have no slot of their own.
    pub(super) fn take_staleness(&mut self) -> Staleness {
        std::mem::replace(&mut self.missing, Missing::new()).finish()
    }

    /// Slots are missing because logs were cut off: reads cannot be judged from here on.
    pub(super) const fn skip(&mut self) {
        self.is_complete = false;
    }

    /// The commands from here on are in an order of their own: they are on another key.
    pub(super) fn begin_register(&mut self) {
        self.is_complete = true;
        self.latest.clear();
    }

    pub(super) fn execute<R: Read>(
        &mut self,
        node: NodeId,
        entry: &Entry,
        operations: &mut Operations<'_, R>,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let Some(command) = entry.command else { return Ok(()) };
        match operations.find(command.request)? {
            Known::Issued(row) => self.judge(node, entry, command, row, violations),
            Known::Settled => {
                let request = command.request;
                if entry.applied {
                    violations.push(Violation::AppliedTwice { slot: entry.slot, request });
                }
                operations.note_late(node, *entry, request);
            }
            Known::Maybe => self.unverified_count += 1,
            Known::Never => violations.push(Violation::NotIssued { node, entry: *entry }),
        }
        if entry.applied && command.kind == Kind::Write {
            let before = self.values.insert(command.key, command.digest);
            let before = before.map_or(0, |before| entry_digest(command.key, before));
            let written = entry_digest(command.key, command.digest);
            self.state = self.state.wrapping_sub(before).wrapping_add(written);
        }
        Ok(())
    }

    /// There are reads that have no slot of their own: order in real time is looked at for each key, too.
    pub(super) fn look_at_keys(&mut self) {
        self.by_key = Some(BTreeMap::new());
    }

    /// Reads that have no slot of their own, which saw what is executed so far and nothing else.
    ///
    /// Those of one place come in the order in which they began, so that none stands before one that it began after.
    /// Each has its place among the operations on its key. Beyond that its place says nothing: a leader may know that
    /// nobody writes a key, and not yet what is in the last slots.
    pub(super) fn look(&mut self, reads: &[Beside], violations: &mut Violations) {
        for read in reads {
            let Beside { below: slot, request, key, digest: returned, .. } = *read;
            let expected = self.values.get(key);
            if self.is_complete && returned != expected {
                violations.push(Violation::StaleRead { slot, request, key, returned, expected });
            }
            self.missing.look(key, read.begun_at);
            // It stands behind the last slot that it saw.
            let slot = Slot(slot.0.saturating_sub(1));
            let own = Latest { begins_at: read.begins_at, request, slot };
            let of_key = (key, Kind::Read);
            let earlier = self.later_beginning_of_key(own, read.returned_at, of_key);
            let told = Latest { begins_at: read.begun_at, ..own };
            let of_session = self.later_beginning_of_session(told, read.returned_at, of_key);
            out_of_order(own, earlier.or(of_session), violations);
        }
    }

    /// Reads of a state that no replica had.
    pub(super) fn look_beyond(
        &mut self,
        reads: &[Beside],
        is_cut: bool,
        violations: &mut Violations,
    ) {
        for Beside { request, below, .. } in reads {
            if is_cut {
                self.unverified_count += 1;
                self.unlogged_count += 1;
            } else {
                let (request, below) = (*request, *below);
                violations.push(Violation::ReadUnfounded { request, below });
            }
        }
    }

    /// States that replicas took from others, up to `slot`; the agreed log so far ends before `end`.
    ///
    /// One of a slot that has passed, taken by a replica that started again, cannot be judged any more.
    pub(super) fn compare(
        &mut self,
        end: Slot,
        slot: Slot,
        installed: &[(NodeId, Installed)],
        violations: &mut Violations,
    ) {
        for (node, Installed { below, digest }) in installed {
            let is_here = (end..=slot).contains(below);
            if !is_here || !self.is_complete {
                self.unverified_count += 1;
            } else if *digest != self.state {
                violations.push(Violation::StateDiffers { node: *node, below: *below });
            }
        }
    }

    /// The end: every acknowledged operation must have occurred, where its client was told.
    ///
    /// `is_excused` says of a slot, and of the key of the operation that was told it, that it may be in the lost
    /// part of a log that was cut off.
    pub(super) fn finish<R: Read>(
        &mut self,
        operations: &mut Operations<'_, R>,
        is_excused: impl Fn(u64, Slot) -> bool,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        operations.compare_late(violations)?;
        let elsewhere = std::mem::take(&mut self.elsewhere);
        operations.for_each_untold(|row| {
            let (request, told) = (row.request, row.told());
            if is_excused(row.key(), told) {
                self.unverified_count += 1;
                self.unlogged_count += 1;
            } else if let Some(executed) = elsewhere.get(&request) {
                violations.push(Violation::WrongSlot { request, told, executed: *executed });
            } else {
                violations.push(Violation::Lost { request, kind: row.kind(), slot: told });
            }
        })
    }

    fn judge(
        &mut self,
        node: NodeId,
        entry: &Entry,
        command: EntryCommand,
        mut row: Row<'_>,
        violations: &mut Violations,
    ) {
        let (slot, request) = (entry.slot, command.request);
        if row.command() != command {
            violations.push(Violation::Changed { node, entry: *entry, issued: row.command() });
        }
        if row.has_returned() && !row.is_told() {
            if row.told() == slot {
                row.set_told();
                self.elsewhere.remove(&request);
            } else {
                self.elsewhere.entry(request).or_insert(slot);
            }
        }
        if entry.applied {
            if row.is_applied() {
                violations.push(Violation::AppliedTwice { slot, request });
            } else if row.has_occurred() {
                violations.push(Violation::AppliedLate { slot, request });
            }
            if command.kind == Kind::Read && !row.is_applied() {
                self.judge_read(slot, command.key, &row, violations);
            }
        } else if !row.has_occurred() && row.has_returned() && self.is_complete {
            // A request that its client gave up may first occur when it is settled; then it is
            // passed over, and nobody was told anything.
            violations.push(Violation::NotApplied { slot, request });
        }
        if entry.applied && !row.is_applied() {
            row.set_applied();
            if command.kind == Kind::Write && row.has_returned() {
                self.missing.write(command.key, row.returned_at());
            }
            let own = Latest { begins_at: row.begins_at(), request, slot };
            let among_all = self.later_beginning(own, row.returned_at());
            let of_key = (row.key(), row.kind());
            let among_key = self.later_beginning_of_key(own, row.returned_at(), of_key);
            let of_session = self.later_beginning_of_session(own, row.returned_at(), of_key);
            out_of_order(own, among_all.or(among_key).or(of_session), violations);
        }
        row.set_occurred();
    }

    fn judge_read(&self, slot: Slot, key: u64, row: &Row<'_>, violations: &mut Violations) {
        let expected = self.values.get(key);
        let returned = row.read_digest();
        if self.is_complete && row.has_returned() && returned != expected {
            let request = row.request;
            violations.push(Violation::StaleRead { slot, request, key, returned, expected });
        }
    }

    /// Slots ascend, so an operation that returned before the latest beginning so far stands too late: before
    /// that of its own client, or of any other one beyond what their clocks may be apart.
    fn later_beginning(&mut self, own: Latest, returned_at: u64) -> Option<Latest> {
        let mut earlier = None;
        for (clock, apart) in self.clocks(own.request.client) {
            let latest = self.latest.entry(clock).or_insert(own);
            if returned_at.saturating_add(apart) < latest.begins_at {
                earlier = earlier.or(Some(*latest));
            }
            *latest = later(Some(*latest), own);
        }
        earlier
    }

    /// The same among the operations on a key, of which a read has a place between two writes and no other.
    fn later_beginning_of_key(
        &mut self,
        own: Latest,
        returned_at: u64,
        (key, kind): (u64, Kind),
    ) -> Option<Latest> {
        let clocks = self.clocks(own.request.client);
        let by_key = self.by_key.as_mut()?;
        let mut earlier = None;
        for (clock, apart) in clocks {
            let version = by_key.entry((key, clock)).or_default();
            earlier = earlier.or(version.place(own, returned_at.saturating_add(apart), kind));
        }
        earlier
    }

    /// The same among the operations of one client, where reads may miss something; without a promise of sessions it is
    /// only counted.
    fn later_beginning_of_session(
        &mut self,
        own: Latest,
        returned_at: u64,
        (key, kind): (u64, Kind),
    ) -> Option<Latest> {
        if self.options.may_miss == Span::ZERO || self.by_key.is_none() {
            return None;
        }
        let version = self.sessions.entry((key, own.request.client)).or_default();
        let earlier = version.place(own, returned_at, kind);
        if !self.options.has_sessions {
            self.missing.note_session(earlier.is_some());
            return None;
        }
        earlier
    }

    /// The clocks by which an operation of this client has an order, and how far apart those of two clients may be:
    /// that of its session, where it is not that of all, and that of all.
    fn clocks(&self, client: ClientId) -> impl Iterator<Item = (Option<ClientId>, u64)> + use<> {
        let Options { is_real_time, clocks_apart: Span(apart), .. } = self.options;
        let has_one_clock = is_real_time && apart == 0;
        let session = (!has_one_clock).then_some((Some(client), 0));
        let all = is_real_time.then_some((None, apart));
        session.into_iter().chain(all)
    }
}

/// An operation stands behind one that began after it had returned, if there is one.
fn out_of_order(own: Latest, earlier: Option<Latest>, violations: &mut Violations) {
    if let Some(Latest { request: other, slot: other_slot, .. }) = earlier {
        let Latest { request, slot, .. } = own;
        violations.push(Violation::RealTime { request, slot, other, other_slot });
    }
}

/// The one of the two that began later; the first of equal ones.
fn later(one: Option<Latest>, other: Latest) -> Latest {
    one.filter(|one| one.begins_at >= other.begins_at).unwrap_or(other)
}

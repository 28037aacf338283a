//! The logs of all replicas, read in lockstep: slot by slot, all that executed it must agree.
//!
//! A replica that took the state of another one goes on behind it; the state itself is looked at when
//! the agreed log is so far.
//! A replica that started again repeats slots which the others have long passed.
//! For it a fingerprint of every agreed slot is kept: 4 bytes each.

use std::io::Read;

use super::violation::{Violation, Violations};
use crate::history::{ChosenReader, Entry, Error, Kind, Record};
use crate::protocol::{Installed, Slot};
use crate::quorum::NodeId;

/// All logs, up to the slot to agree on next.
#[derive(Debug)]
pub(super) struct Logs<R> {
    cursors: Vec<Cursor<R>>,
    position: u64,
    fingerprints: Vec<Run>,
    /// States that were installed and have not been compared, and who took them.
    installed: Vec<(NodeId, Installed)>,
}

/// One log, up to the entry to look at next.
#[derive(Debug)]
struct Cursor<R> {
    reader: ChosenReader<R>,
    expected: u64,
    pending: Option<Entry>,
    is_over: bool,
}

/// A run has so many slots at most: a table that grows is copied, and is twice as large meanwhile.
const RUN_MAX: usize = 1 << 16;

/// The fingerprints of slots that follow one another.
#[derive(Debug)]
struct Run {
    first: u64,
    prints: Vec<u32>,
}

/// What is in the next slot of the agreed log.
#[derive(Debug)]
pub(super) struct Agreed {
    /// Who executed it.
    pub(super) node: NodeId,
    pub(super) entry: Entry,
    /// Slots just before it that are in no log: the first of them.
    pub(super) missing_from: Option<Slot>,
}

impl<R: Read> Logs<R> {
    pub(super) const fn new() -> Self {
        Self { cursors: Vec::new(), position: 0, fingerprints: Vec::new(), installed: Vec::new() }
    }

    pub(super) fn add(&mut self, reader: ChosenReader<R>) {
        self.cursors.push(Cursor { reader, expected: 0, pending: None, is_over: false });
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.cursors.is_empty()
    }

    /// How many logs were cut off, as far as they have been read.
    pub(super) fn cut_count(&self) -> u64 {
        let cut = self.cursors.iter().filter(|cursor| cursor.reader.is_cut()).count();
        cut as u64
    }

    /// The next slot that any replica executed; `None` after the last.
    pub(super) fn next(&mut self, violations: &mut Violations) -> Result<Option<Agreed>, Error> {
        for cursor in &mut self.cursors {
            let installed = &mut self.installed;
            cursor.catch_up(self.position, &self.fingerprints, installed, violations)?;
        }
        let pending =
            || self.cursors.iter().filter_map(|c| c.pending.map(|entry| (c.reader.node(), entry)));
        let Some((node, entry)) = pending().min_by_key(|(_, entry)| entry.slot) else {
            return Ok(None);
        };
        let slot = entry.slot;
        for (second, other) in pending().filter(|(_, other)| other.slot == slot && *other != entry)
        {
            violations.push(Violation::Disagreement {
                slot,
                first: node,
                one: entry,
                second,
                other,
            });
        }
        for cursor in &mut self.cursors {
            cursor.pending.take_if(|pending| pending.slot == slot);
        }
        let missing_from = (slot.0 > self.position).then_some(Slot(self.position));
        self.remember(&entry);
        self.position = slot.0 + 1;
        Ok(Some(Agreed { node, entry, missing_from }))
    }

    /// The states in which exactly the slots below `slot` are executed, or some of them.
    pub(super) fn take_installed(&mut self, slot: Slot) -> Vec<(NodeId, Installed)> {
        self.installed.extract_if(.., |(_, installed)| installed.below <= slot).collect()
    }

    /// The states that are ahead of every log.
    pub(super) fn take_unfounded(&mut self) -> Vec<(NodeId, Installed)> {
        std::mem::take(&mut self.installed)
    }

    fn remember(&mut self, entry: &Entry) {
        let print = fingerprint(entry);
        match self.fingerprints.last_mut() {
            Some(run)
                if run.prints.len() < RUN_MAX
                    && run.first + run.prints.len() as u64 == entry.slot.0 =>
            {
                run.prints.push(print);
            }
            _ => self.fingerprints.push(Run { first: entry.slot.0, prints: vec![print] }),
        }
    }
}

impl<R: Read> Cursor<R> {
    /// Moves to an entry at or above `position`, and compares those below it with what was agreed.
    fn catch_up(
        &mut self,
        position: u64,
        agreed: &[Run],
        installed: &mut Vec<(NodeId, Installed)>,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        while self.pending.is_none() && !self.is_over {
            self.advance(installed, violations)?;
            if let Some(entry) = self.pending.take_if(|entry| entry.slot.0 < position)
                && find(agreed, entry.slot.0).is_some_and(|print| print != fingerprint(&entry))
            {
                violations.push(Violation::Rewritten { node: self.reader.node(), entry });
            }
        }
        Ok(())
    }

    fn advance(
        &mut self,
        installed: &mut Vec<(NodeId, Installed)>,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let node = self.reader.node();
        loop {
            match self.reader.next() {
                Some(Ok(Record::Start(slot))) => self.expected = slot.0,
                Some(Ok(Record::Installed(state))) => {
                    // It takes nothing back: a state is installed only ahead.
                    if state.below.0 <= self.expected {
                        let expected = Slot(self.expected);
                        violations.push(Violation::Order { node, expected, found: state.below });
                    }
                    self.expected = state.below.0;
                    installed.push((node, state));
                }
                Some(Ok(Record::Entry(entry))) if entry.slot.0 == u64::MAX => {
                    let source = Error::Corrupt { offset: 0, reason: "a slot beyond 64 bits" };
                    return Err(Error::Log { node, source: Box::new(source) });
                }
                Some(Ok(Record::Entry(entry))) => {
                    if entry.slot.0 != self.expected {
                        let expected = Slot(self.expected);
                        violations.push(Violation::Order { node, expected, found: entry.slot });
                    }
                    self.expected = entry.slot.0 + 1;
                    self.pending = Some(entry);
                    return Ok(());
                }
                Some(Err(Error::Truncated { .. })) | None => {
                    self.is_over = true;
                    return Ok(());
                }
                Some(Err(source)) => return Err(Error::Log { node, source: Box::new(source) }),
            }
        }
    }
}

/// The fingerprint kept of `slot`; `None` when no log held it.
fn find(agreed: &[Run], slot: u64) -> Option<u32> {
    let run = &agreed[agreed.partition_point(|run| run.first <= slot).checked_sub(1)?];
    run.prints.get(usize::try_from(slot - run.first).ok()?).copied()
}

/// 32 bits that differ when entries do, but for one chance in four billion.
fn fingerprint(entry: &Entry) -> u32 {
    let mut hash = u64::from(entry.applied);
    let mut mix = |word: u64| {
        // The multiplier of PCG and of Knuth's MMIX: any odd number with well-spread bits will do.
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(6_364_136_223_846_793_005);
    };
    if let Some(command) = entry.command {
        mix(u64::from(command.request.client.0) + 1);
        mix(command.request.sequence);
        mix(u64::from(command.digest) << 1 | u64::from(command.kind == Kind::Read));
        mix(command.key);
    }
    mix(entry.slot.0);
    let bytes = hash.to_be_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

//! The oracle by slot: whether a run was correct, from what everybody wrote down.
//!
//! A log gives every operation its place, so nothing is searched: one pass over all logs in
//! lockstep and one over all client histories decide.
//!
//! - All replicas that executed a slot executed the same there, in order, without a gap.
//! - A replica that took the state of another one stores what the log before that slot wrote.
//! - Every executed command is one that its client issued, unchanged, and is applied once.
//! - Every acknowledged operation is in the slot that its client was told.
//! - Every read returned what the log before it wrote; one that has no slot of its own stands between two slots, where
//!   its client was told, among the operations on its key.
//! - An operation that returned before another began stands before it in the log, and a client's
//!   operation begins after everything that the client was told before.
//!
//! Together these say that the run was linearizable, with the log as the witness.
//! Where each key has an order of its own, all of it is said of each key by itself, and of the logs together: a
//! replica may pass over slots that others executed. A run whose keys are linearizable is linearizable.
//!
//! A process that was killed leaves a cut-off history.
//! What cannot be known because of it is counted as unverified and is no violation, but a cut
//! excuses nothing that the other histories show.
//!
//! Memory is 1 byte an operation, 4 a slot, and the keys: histories of clients are read beside the logs, as far as
//! these go. Where each key has an order of its own all operations are held, 40 bytes each; a read that
//! has no slot of its own is held as well, 64 bytes.

mod logs;
mod operations;
mod registers;
mod replay;
mod staleness;
#[cfg(test)]
mod tests;
mod violation;

use std::io::Read;

use super::{ChosenReader, Error};
use crate::protocol::{Log, Order, Slot};
use crate::time::Span;
use logs::Logs;
use operations::Operations;
use registers::Registers;
use replay::Replay;
use violation::Violations;

pub use staleness::Staleness;
pub use violation::Violation;

/// How to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the clocks of all clients are comparable, as they are on one host, so that the order
    /// in real time is checked between clients too, and not only within the session of each.
    pub is_real_time: bool,
    /// How far apart the clocks of two clients may be: an order in real time between two of them counts only
    /// where it is clear in spite of that. Within a session there is one clock.
    pub clocks_apart: Span,
    /// A read that has no slot of its own may miss what was acknowledged less than this before it began: it is judged
    /// as if it had begun so much earlier.
    pub may_miss: Span,
    /// Such a read may not miss what its own client was told before; else that is counted.
    pub has_sessions: bool,
    /// How many violations are kept; all are counted.
    pub kept_violations: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            is_real_time: true,
            clocks_apart: Span::ZERO,
            may_miss: Span::ZERO,
            has_sessions: false,
            kept_violations: 20,
        }
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Slots executed.
    pub slot_count: u64,
    /// Operations that clients issued.
    pub operation_count: u64,
    /// Operations that returned.
    pub acknowledged_count: u64,
    /// Operations that never returned.
    pub unknown_count: u64,
    /// Operations and commands that could not be judged because a history was cut off.
    pub unverified_count: u64,
    /// Slots that are in no log although a later one is, because logs were cut off.
    pub uncovered_count: u64,
    /// Acknowledged operations that are in no log, because logs were cut off: nothing but the client
    /// says that they were executed.
    pub unlogged_count: u64,
    /// How stale the reads were that have no slot of their own.
    pub staleness: Staleness,
    /// Histories and logs that were cut off.
    pub cut_count: u64,
    /// How many violations there are.
    pub violation_count: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Whether nothing was violated.
    pub const fn is_valid(&self) -> bool {
        self.violation_count == 0
    }

    /// Whether nothing was violated, and everything could be judged.
    pub const fn is_spotless(&self) -> bool {
        let unjudged = self.unverified_count + self.uncovered_count + self.unlogged_count;
        self.is_valid() && unjudged == 0 && self.cut_count == 0
    }
}

/// So many operations of each client are held when nothing more is to be known of them: a request that was chosen
/// twice is mostly chosen again before its client has issued so many.
const HELD: usize = 1 << 14;

/// A check under way: give it all histories, then ask for its verdict.
pub struct Check<'a, R> {
    options: Options,
    operations: Operations<'a, R>,
    logs: Logs<R>,
    /// Instead of logs, where each key has an order of its own.
    registers: Option<Registers>,
    /// Logs without a whole header.
    headless_count: u64,
    violations: Violations,
}

impl<'a, R: Read> Check<'a, R> {
    /// A check of nothing yet.
    pub const fn new(options: Options) -> Self {
        Self {
            options,
            operations: Operations::new(HELD),
            logs: Logs::new(),
            registers: None,
            headless_count: 0,
            violations: Violations::new(options.kept_violations),
        }
    }

    /// Adds the history of a client, and reads it through; it is opened again when the logs are compared.
    pub fn add_client(&mut self, open: impl Fn() -> Result<R, Error> + 'a) -> Result<(), Error> {
        self.operations.read(Box::new(open), &mut self.violations)
    }

    /// Adds the log of a replica; one replica may have several, one for each time it was started.
    pub fn add_replica(&mut self, read: R) -> Result<(), Error> {
        let reader = match ChosenReader::new(read) {
            Ok(reader) => reader,
            Err(Error::Truncated { .. }) => {
                self.headless_count += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let is_mixed = match reader.order() {
            Order::Total => self.registers.is_some(),
            Order::PerKey => !self.logs.is_empty(),
        };
        if is_mixed {
            let reason = "logs of one order and of an order for each key";
            let source = Box::new(Error::Corrupt { offset: 0, reason });
            return Err(Error::Log { node: reader.node(), source });
        }
        match reader.order() {
            Order::Total => self.logs.add(reader),
            Order::PerKey => {
                let registers = self.registers.get_or_insert_default();
                registers.read(reader, &mut self.violations)?;
            }
        }
        Ok(())
    }

    /// Reads all logs through and compares.
    pub fn finish(mut self) -> Result<Verdict, Error> {
        let mut replay = Replay::new(self.options);
        let found = match self.registers.take() {
            None => self.replay_logs(&mut replay)?,
            Some(registers) => self.replay_registers(&mut replay, registers)?,
        };
        let Operations { issued_count, acknowledged_count, .. } = self.operations;
        Ok(Verdict {
            slot_count: found.slots,
            operation_count: issued_count,
            acknowledged_count,
            unknown_count: issued_count - acknowledged_count,
            unverified_count: replay.unverified_count,
            uncovered_count: found.uncovered,
            unlogged_count: replay.unlogged_count,
            staleness: replay.take_staleness(),
            cut_count: self.operations.cut_count + found.cut,
            violation_count: self.violations.count,
            violations: self.violations.kept,
        })
    }

    /// Each key by itself.
    fn replay_registers(
        &mut self,
        replay: &mut Replay,
        mut registers: Registers,
    ) -> Result<Replayed, Error> {
        let Self { operations, violations, .. } = self;
        operations.hold_all();
        let slot_count = registers.replay(replay, operations, violations)?;
        let cut_count = self.headless_count + registers.cut_count;
        let is_cut = cut_count > 0;
        let uncovered_count = registers.count_missing(is_cut, &mut self.violations);
        let is_excused = |key, slot| is_cut && registers.is_uncovered(key, slot);
        replay.finish(&mut self.operations, is_excused, &mut self.violations)?;
        Ok(Replayed { slots: slot_count, uncovered: uncovered_count, cut: cut_count })
    }

    /// All slots in their order.
    fn replay_logs(&mut self, replay: &mut Replay) -> Result<Replayed, Error> {
        let mut slot_count = 0;
        let mut end = Slot::ZERO;
        let mut missing: Vec<(Slot, Slot)> = Vec::new();
        let beside = self.operations.take_beside(self.options.may_miss);
        let mut beside = &beside[..];
        if !beside.is_empty() {
            replay.look_at_keys();
        }
        while let Some(agreed) = self.logs.next(&mut self.violations)? {
            if let Some(first) = agreed.missing_from {
                missing.push((first, Slot(agreed.entry.slot.0 - 1)));
                replay.skip();
            }
            slot_count += 1;
            let installed = self.logs.take_installed(agreed.entry.slot);
            replay.compare(end, agreed.entry.slot, &installed, &mut self.violations);
            let seen = beside.partition_point(|read| read.below <= agreed.entry.slot);
            let (looks, later) = beside.split_at(seen);
            replay.look(looks, &mut self.violations);
            beside = later;
            end = agreed.entry.slot.next();
            let Self { operations, violations, .. } = &mut *self;
            replay.execute(agreed.node, &agreed.entry, operations, violations)?;
        }
        let seen = beside.partition_point(|read| read.below <= end);
        let (looks, beyond) = beside.split_at(seen);
        replay.look(looks, &mut self.violations);
        let installed = self.logs.take_installed(end);
        replay.compare(end, end, &installed, &mut self.violations);
        // Only now is it known whether a log was cut off, which explains slots that nobody shows.
        let cut_count = self.headless_count + self.logs.cut_count();
        let is_cut = cut_count > 0;
        for (node, installed) in self.logs.take_unfounded() {
            if is_cut {
                replay.unverified_count += 1;
            } else {
                let below = installed.below;
                self.violations.push(Violation::StateUnfounded { node, below, end });
            }
        }
        replay.look_beyond(beyond, is_cut, &mut self.violations);
        let mut uncovered_count = 0;
        for (first, last) in &missing {
            if is_cut {
                uncovered_count += last.0 - first.0 + 1;
            } else {
                self.violations.push(Violation::Missing {
                    log: Log::Whole,
                    first: *first,
                    last: *last,
                });
            }
        }
        let is_excused = |_, slot: Slot| {
            let is_missing =
                || missing.iter().any(|(first, last)| (*first..=*last).contains(&slot));
            is_cut && (slot >= end || is_missing())
        };
        replay.finish(&mut self.operations, is_excused, &mut self.violations)?;
        Ok(Replayed { slots: slot_count, uncovered: uncovered_count, cut: cut_count })
    }
}

/// What came of executing the logs again.
struct Replayed {
    /// Slots.
    slots: u64,
    /// Slots that are in no log although a later one is.
    uncovered: u64,
    /// Logs that were cut off.
    cut: u64,
}

//! The logs of replicas without a common order: of each key, what was executed in each of its slots.
//!
//! A replica passes over slots that others executed, so a log alone shows little: together they must hold
//! every slot of a key up to its last one.
//! Whole logs are held in memory, about 80 bytes an entry.

use std::collections::BTreeMap;
use std::io::Read;

use super::operations::Operations;
use super::replay::Replay;
use super::violation::{Violation, Violations};
use crate::history::{ChosenReader, Entry, Error, Record};
use crate::protocol::{Log, Slot};
use crate::quorum::NodeId;

/// All logs of registers.
#[derive(Debug, Default)]
pub(super) struct Registers {
    keys: BTreeMap<u64, BTreeMap<Slot, (NodeId, Entry)>>,
    pub(super) cut_count: u64,
    /// Slots of a key that are in no log although a later one is.
    missing: Vec<(u64, Slot, Slot)>,
    /// The slot after the last one of each key.
    ends: BTreeMap<u64, Slot>,
}

impl Registers {
    /// Reads a log through.
    pub(super) fn read<R: Read>(
        &mut self,
        mut reader: ChosenReader<R>,
        violations: &mut Violations,
    ) -> Result<(), Error> {
        let node = reader.node();
        let mut next: BTreeMap<u64, Slot> = BTreeMap::new();
        for record in reader.by_ref() {
            match record {
                Ok(Record::Start(_)) => next.clear(),
                Ok(Record::Entry(entry)) => {
                    let Some(command) = entry.command else {
                        return Err(beyond(node, "a no-op where each key has slots of its own"));
                    };
                    if entry.slot.0 == u64::MAX {
                        return Err(beyond(node, "a slot beyond 64 bits"));
                    }
                    let expected = next.entry(command.key).or_default();
                    if entry.slot < *expected {
                        let (expected, found) = (*expected, entry.slot);
                        violations.push(Violation::Order { node, expected, found });
                    }
                    *expected = entry.slot.next();
                    self.note(node, command.key, entry, violations);
                }
                Ok(Record::Installed(_)) => {
                    return Err(beyond(node, "a state where each key has slots of its own"));
                }
                Err(Error::Truncated { .. }) => {}
                Err(source) => return Err(Error::Log { node, source: Box::new(source) }),
            }
        }
        self.cut_count += u64::from(reader.is_cut());
        Ok(())
    }

    fn note(&mut self, node: NodeId, key: u64, entry: Entry, violations: &mut Violations) {
        let slot = entry.slot;
        let known = self.keys.entry(key).or_default().entry(slot);
        let (first, one) = *known.or_insert((node, entry));
        if one == entry {
            return;
        }
        violations.push(if first == node {
            Violation::Rewritten { node, entry }
        } else {
            Violation::Disagreement { slot, first, one, second: node, other: entry }
        });
    }

    /// Executes every key by itself; how many slots there were.
    pub(super) fn replay<R: Read>(
        &mut self,
        replay: &mut Replay,
        operations: &mut Operations<'_, R>,
        violations: &mut Violations,
    ) -> Result<u64, Error> {
        let mut slot_count = 0;
        for (key, slots) in std::mem::take(&mut self.keys) {
            replay.begin_register();
            let mut end = Slot::ZERO;
            for (slot, (node, entry)) in slots {
                if slot > end {
                    self.missing.push((key, end, Slot(slot.0 - 1)));
                    replay.skip();
                }
                slot_count += 1;
                end = slot.next();
                replay.execute(node, &entry, operations, violations)?;
            }
            self.ends.insert(key, end);
        }
        Ok(slot_count)
    }

    /// Slots that nobody shows: how many, where a log was cut off, which explains them.
    pub(super) fn count_missing(&self, is_cut: bool, violations: &mut Violations) -> u64 {
        if is_cut {
            return self.missing.iter().map(|(_, first, last)| last.0 - first.0 + 1).sum();
        }
        for (key, first, last) in &self.missing {
            let (log, first, last) = (Log::Of(*key), *first, *last);
            violations.push(Violation::Missing { log, first, last });
        }
        0
    }

    /// Whether a slot may be in the lost part of a log.
    pub(super) fn is_uncovered(&self, key: u64, slot: Slot) -> bool {
        let is_behind = self.ends.get(&key).is_none_or(|end| slot >= *end);
        let covers =
            |(of, first, last): &(u64, Slot, Slot)| *of == key && (*first..=*last).contains(&slot);
        is_behind || self.missing.iter().any(covers)
    }
}

fn beyond(node: NodeId, reason: &'static str) -> Error {
    Error::Log { node, source: Box::new(Error::Corrupt { offset: 0, reason }) }
}

#[cfg(test)]
mod tests;

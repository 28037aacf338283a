//! The digests of the commands that replicas execute one after the other, each computed once for all of them.
//!
//! Every replica writes a log, and a log keeps a digest of each value.
//! Replicas that execute the same command hold the same one in memory, so it is known by its place there: nothing
//! else can be in that place while it is remembered.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::command::Command;
use crate::history::facts;
use crate::protocol::Slot;

/// So many commands are remembered at most: a replica that is down executes none.
const REMEMBERED: usize = 8192;

/// The commands that some replicas have executed and others have not, in the order of their slots.
#[derive(Debug)]
pub(super) struct Digests {
    replica_count: usize,
    /// The slot of the first one.
    first: u64,
    known: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    command: Arc<Command>,
    digest: u32,
    /// How many replicas have executed it.
    executed_by: usize,
}

impl Digests {
    pub(super) const fn new(replica_count: usize) -> Self {
        Self { replica_count, first: 0, known: VecDeque::new() }
    }

    /// The digest of what a command writes that one more replica executed in this slot; 0 for a read.
    #[inline]
    pub(super) fn of(&mut self, slot: Slot, command: &Arc<Command>) -> u32 {
        let place = slot.0.wrapping_sub(self.first);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let Some(known) = self.known.get_mut(place) else { return self.add(slot, command) };
        known.executed_by += 1;
        let digest =
            if Arc::ptr_eq(&known.command, command) { known.digest } else { compute(command) };
        if place == 0 {
            self.forget();
        }
        digest
    }

    fn add(&mut self, slot: Slot, command: &Arc<Command>) -> u32 {
        let digest = compute(command);
        let next = self.first + self.known.len() as u64;
        if slot.0 < next {
            // One that was down executes what all others have.
            return digest;
        }
        if slot.0 > next {
            // A slot without a command, or one that was passed over.
            self.known.clear();
        }
        if self.known.is_empty() {
            self.first = slot.0;
        }
        self.known.push_back(Known { command: Arc::clone(command), digest, executed_by: 1 });
        self.forget();
        digest
    }

    /// Forgets what every replica has executed, and the first ones where there are too many.
    fn forget(&mut self) {
        while let Some(first) = self.known.front()
            && (first.executed_by >= self.replica_count || self.known.len() > REMEMBERED)
        {
            self.known.pop_front();
            self.first += 1;
        }
    }
}

fn compute(command: &Command) -> u32 {
    let (_, _, digest) = facts(&command.operation);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClientId, Operation, RequestId};
    use crate::history::digest;

    fn command(sequence: u64) -> Arc<Command> {
        let request = RequestId { client: ClientId(0), sequence };
        let value = sequence.to_le_bytes().to_vec().into();
        let operation = Operation::Put { key: 1, value };
        Arc::new(Command { request, settled_below: 0, operation })
    }

    fn of(digests: &mut Digests, slot: u64, command: &Arc<Command>) {
        let Operation::Put { value, .. } = &command.operation else { unreachable!() };
        assert_eq!(digests.of(Slot(slot), command), digest(value), "slot {slot}");
    }

    #[test]
    fn a_command_is_remembered_until_all_have_executed_it() {
        let mut digests = Digests::new(2);
        let commands: Vec<_> = (0..4).map(command).collect();
        for (slot, command) in (0..).zip(&commands) {
            of(&mut digests, slot, command);
        }
        assert_eq!(digests.known.len(), 4);
        for (slot, command) in (0..3).zip(&commands) {
            of(&mut digests, slot, command);
        }
        assert_eq!((digests.first, digests.known.len()), (3, 1));
        // One that was down executes all of them.
        for (slot, command) in (0..).zip(&commands) {
            of(&mut digests, slot, command);
        }
        assert_eq!(digests.known.len(), 0);
        // Slots are passed over.
        of(&mut digests, 9, &commands[0]);
        of(&mut digests, 7, &commands[1]);
        of(&mut digests, 20, &commands[2]);
        assert_eq!((digests.first, digests.known.len()), (20, 1));
    }

    /// What two replicas executed in one slot is told apart: the check of the run must see it.
    #[test]
    fn another_command_in_the_same_slot_has_its_own_digest() {
        let mut digests = Digests::new(3);
        of(&mut digests, 0, &command(1));
        of(&mut digests, 0, &command(2));
        of(&mut digests, 0, &command(1));
    }

    #[test]
    fn few_are_remembered_where_one_replica_is_down() {
        let mut digests = Digests::new(2);
        let only = command(1);
        for slot in 0..3 * REMEMBERED as u64 {
            of(&mut digests, slot, &only);
        }
        assert_eq!(digests.known.len(), REMEMBERED);
    }
}

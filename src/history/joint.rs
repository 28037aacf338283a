//! The logs of several replicas that execute the same, written once.
//!
//! Replicas of a total order write the same entries.
//! Where one process has all of them, as a simulation does, the replica that executes a slot first encodes its entry,
//! and the others follow: the log of each is a part of one stream of bytes, but for its own number in the header.
//! A replica that executes something else, takes the state of another one, starts again, or is too far behind writes a
//! log of its own from there on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ChosenWriter;
use super::chosen::{Undo, renamed};
use crate::command::Command;
use crate::history::Entry;
use crate::protocol::{Advance, Executed, Order, Progress};
use crate::quorum::NodeId;

/// Whoever is so many slots behind the first one writes a log of its own.
const BEHIND_MAX: usize = 8192;

/// The logs of all replicas of a deployment, a segment of each at a time.
#[derive(Debug)]
pub struct JointLogs {
    order: Order,
    writers: Vec<Writer>,
    stream: Stream,
}

/// How the log of one replica is written.
#[derive(Debug)]
enum Writer {
    /// It is not.
    Closed,
    /// By itself.
    Own(Box<ChosenWriter>),
    /// As the stream, up to before this slot, of which it has given so many blocks away.
    Follows { position: u64, given: usize },
}

/// What the first replica wrote, from the beginning.
#[derive(Debug)]
struct Stream {
    head: ChosenWriter,
    follower_count: usize,
    /// The entries from this slot on, which some follower has not executed.
    first: u64,
    entries: VecDeque<Known>,
    /// How long the open block was before the first of them.
    first_len: usize,
    /// Full blocks, the first of which has this number; each with the slot after its last one.
    first_block: usize,
    blocks: VecDeque<(u64, Vec<u8>)>,
}

/// An entry of the stream.
#[derive(Debug)]
struct Known {
    command: Option<Arc<Command>>,
    applied: bool,
    followed_by: usize,
    /// How long the open block was after it; nothing, if it closed one.
    len: usize,
    undo: Undo,
}

impl JointLogs {
    /// So many replicas, none of which writes a log yet.
    pub fn new(order: Order, replica_count: usize) -> Self {
        let head = ChosenWriter::begin(order, NodeId(0), Progress(0));
        let stream = Stream {
            first_len: head.open_len(),
            head,
            follower_count: 0,
            first: 0,
            entries: VecDeque::new(),
            first_block: 0,
            blocks: VecDeque::new(),
        };
        Self { order, writers: (0..replica_count).map(|_| Writer::Closed).collect(), stream }
    }

    /// A segment of a replica that has come so far; it had none, or has finished it.
    pub fn begin(&mut self, id: NodeId, progress: Progress) {
        let follows = self.order == Order::Total && progress.0 == 0 && self.stream.first == 0;
        self.writers[usize::from(id.0)] = if follows {
            self.stream.follower_count += 1;
            Writer::Follows { position: 0, given: 0 }
        } else {
            Writer::Own(Box::new(ChosenWriter::begin(self.order, id, progress)))
        };
    }

    /// The state machine of a replica went on; nothing, if it has no segment. Its full blocks are to be taken after
    /// that.
    pub fn write(&mut self, id: NodeId, advance: &Advance) {
        let index = usize::from(id.0);
        match &mut self.writers[index] {
            Writer::Closed => {}
            Writer::Own(own) => own.advance(advance),
            Writer::Follows { position, .. } => {
                if let Advance::Executed(executed) = advance
                    && self.stream.follow(*position, executed)
                {
                    *position += 1;
                    self.let_go();
                    return;
                }
                let own = self.leave(index);
                if let Some(mut own) = own {
                    own.advance(advance);
                    self.writers[index] = Writer::Own(own);
                }
            }
        }
    }

    /// The next block of a replica's log that is full, if there is one.
    pub fn take_block(&mut self, id: NodeId) -> Option<Vec<u8>> {
        match &mut self.writers[usize::from(id.0)] {
            Writer::Closed => None,
            Writer::Own(own) => own.take_block(),
            Writer::Follows { position, given } => {
                let place = *given - self.stream.first_block;
                let (end, block) = self.stream.blocks.get(place)?;
                if *end > *position {
                    return None;
                }
                *given += 1;
                let mut block = block.clone();
                if *given == 1 {
                    renamed(&mut block, id);
                }
                Some(block)
            }
        }
    }

    /// The last bytes of the segment of a replica, if it has one.
    pub fn finish(&mut self, id: NodeId) -> Option<Vec<u8>> {
        let index = usize::from(id.0);
        if let Some(own) = self.leave(index) {
            return Some(own.finish());
        }
        match std::mem::replace(&mut self.writers[index], Writer::Closed) {
            Writer::Own(own) => Some(own.finish()),
            Writer::Closed | Writer::Follows { .. } => None,
        }
    }

    /// Forgets what all followers have; those that are too far behind follow no longer.
    fn let_go(&mut self) {
        self.stream.forget();
        while self.stream.entries.len() > BEHIND_MAX {
            let first = self.stream.first;
            for index in 0..self.writers.len() {
                let is_last = |it: &Writer| matches!(it, Writer::Follows { position, .. } if *position == first);
                if is_last(&self.writers[index])
                    && let Some(own) = self.leave(index)
                {
                    self.writers[index] = Writer::Own(own);
                }
            }
        }
    }

    /// A replica follows no longer, if it does: a writer of its own, which goes on where it is.
    fn leave(&mut self, index: usize) -> Option<Box<ChosenWriter>> {
        let Writer::Follows { position, .. } = self.writers[index] else { return None };
        let id = NodeId(u8::try_from(index).expect("a replica has a number"));
        let own = self.stream.at(position, id);
        self.writers[index] = Writer::Closed;
        self.stream.leave(position);
        Some(Box::new(own))
    }
}

impl Stream {
    /// A follower at this slot executes; false if that is not what the stream has there.
    #[inline]
    fn follow(&mut self, position: u64, executed: &Executed) -> bool {
        if executed.slot.0 != position {
            return false;
        }
        let place = self.place(position);
        if let Some(known) = self.entries.get_mut(place) {
            let is_same = known.applied == executed.applied
                && match (&known.command, &executed.command) {
                    (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
                    (one, other) => one.is_none() && other.is_none(),
                };
            known.followed_by += usize::from(is_same);
            return is_same;
        }
        self.append(executed);
        true
    }

    fn append(&mut self, executed: &Executed) {
        let entry = Entry::of(executed);
        let undo = self.head.undo_of(&entry);
        self.head.entry(&entry);
        let mut len = self.head.open_len();
        if let Some(block) = self.head.take_block() {
            // Whoever has executed all of a block has taken it.
            while self.blocks.pop_front_if(|(end, _)| *end <= self.first).is_some() {
                self.first_block += 1;
            }
            self.blocks.push_back((executed.slot.0 + 1, block));
            len = 0;
        }
        let (command, applied) = (executed.command.clone(), executed.applied);
        self.entries.push_back(Known { command, applied, followed_by: 1, len, undo });
    }

    /// The place of a slot among the entries.
    fn place(&self, position: u64) -> usize {
        usize::try_from(position - self.first).expect("an entry is in memory")
    }

    #[inline]
    fn forget(&mut self) {
        let followers = self.follower_count;
        while let Some(known) = self.entries.pop_front_if(|known| known.followed_by >= followers) {
            self.first += 1;
            self.first_len = known.len;
        }
    }

    /// A follower at this slot follows no longer.
    fn leave(&mut self, position: u64) {
        let place = self.place(position);
        self.entries.range_mut(..place).for_each(|known| known.followed_by -= 1);
        self.follower_count -= 1;
        if self.follower_count > 0 {
            self.forget();
        }
    }

    /// The writer of a replica that has written up to this slot and no more.
    fn at(&self, position: u64, id: NodeId) -> ChosenWriter {
        let place = self.place(position);
        let len = match place.checked_sub(1) {
            Some(before) => self.entries[before].len,
            None => self.first_len,
        };
        let full = self.blocks.iter().position(|(end, _)| *end > position);
        let block = full.map_or_else(|| self.head.open(), |index| &self.blocks[index].1[..]);
        let number = self.first_block + full.unwrap_or(self.blocks.len());
        let undone = self.entries.range(place..).rev().map(|known| known.undo);
        let name = (number == 0).then_some(id);
        self.head.rewound(position, undone, &block[..len], name)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::command::{ClientId, Operation, RequestId};
    use crate::history::BLOCK_BYTES;
    use crate::protocol::{Installed, Slot};

    /// What a slot holds: of several clients, with repeated requests and no-ops.
    fn executed(slot: u64) -> Advance {
        let command = |client: u32| {
            let request = RequestId { client: ClientId(client), sequence: slot / 3 };
            let value = slot.to_le_bytes().to_vec().into();
            let operation = Operation::Put { key: slot % 1000, value };
            Arc::new(Command { request, settled_below: 0, operation })
        };
        let client = u32::try_from(slot % 5 * 100).unwrap();
        let command = (!slot.is_multiple_of(7)).then(|| command(client));
        Advance::Executed(Executed { slot: Slot(slot), command, applied: !slot.is_multiple_of(11) })
    }

    /// The logs of replicas, written together and each by itself.
    struct Both {
        joint: JointLogs,
        written: Vec<Vec<u8>>,
        apart: Vec<Option<ChosenWriter>>,
        expected: Vec<Vec<u8>>,
        next: Vec<u64>,
    }

    impl Both {
        fn new(order: Order, count: usize) -> Self {
            let bytes = vec![Vec::new(); count];
            let apart = (0..count).map(|_| None).collect();
            let joint = JointLogs::new(order, count);
            let mut both = Self {
                joint,
                written: bytes.clone(),
                apart,
                expected: bytes,
                next: vec![0; count],
            };
            (0..count).for_each(|index| both.begin(index, order, 0));
            both
        }

        fn id(index: usize) -> NodeId {
            NodeId(u8::try_from(index).unwrap())
        }

        fn begin(&mut self, index: usize, order: Order, from: u64) {
            let (id, progress) = (Self::id(index), Progress(from));
            self.joint.begin(id, progress);
            self.apart[index] = Some(ChosenWriter::begin(order, id, progress));
            self.next[index] = from;
        }

        fn end(&mut self, index: usize) {
            self.written[index].extend(self.joint.finish(Self::id(index)).unwrap());
            self.expected[index].extend(self.apart[index].take().unwrap().finish());
        }

        fn write(&mut self, index: usize, advance: &Advance) {
            self.joint.write(Self::id(index), advance);
            let block = self.joint.take_block(Self::id(index));
            self.written[index].extend(block.unwrap_or_default());
            let apart = self.apart[index].as_mut().unwrap();
            apart.advance(advance);
            self.expected[index].extend(apart.take_block().unwrap_or_default());
        }

        fn step(&mut self, index: usize) {
            self.write(index, &executed(self.next[index]));
            self.next[index] += 1;
        }

        fn follower_count(&self) -> usize {
            let follows = |it: &&Writer| matches!(it, Writer::Follows { .. });
            self.joint.writers.iter().filter(follows).count()
        }

        fn check(mut self) {
            (0..self.next.len()).for_each(|index| self.end(index));
            assert!(self.written == self.expected);
            assert_eq!(self.joint.finish(NodeId(0)), None);
        }
    }

    #[test]
    fn replicas_that_execute_the_same_write_what_each_would_alone() {
        let mut both = Both::new(Order::Total, 4);
        let mut random = Pcg64::seed_from_u64(1);
        for _ in 0..300_000 {
            let index = random.random_range(0..4);
            both.step(index);
        }
        assert!(both.expected[0].len() > 2 * BLOCK_BYTES);
        assert_eq!(both.follower_count(), 4);
        both.check();
    }

    #[test]
    fn whoever_executes_something_else_goes_on_by_itself() {
        for at in [0, 1, 100, 40_000] {
            let mut both = Both::new(Order::Total, 3);
            for slot in 0..50_000 {
                both.step(0);
                both.step(1);
                if slot == at {
                    // Of slots that the stream has, or before it has them.
                    let Advance::Executed(it) = executed(at) else { unreachable!() };
                    let other = Advance::Executed(Executed { applied: !it.applied, ..it });
                    both.write(2, &other);
                    both.next[2] += 1;
                } else {
                    both.step(2);
                }
            }
            assert_eq!(both.follower_count(), 2);
            both.check();
        }
    }

    #[test]
    fn a_jump_a_state_and_a_restart_end_following() {
        let mut both = Both::new(Order::Total, 4);
        (0..30).for_each(|_| (0..4).for_each(|index| both.step(index)));
        both.next[1] += 5;
        both.step(1);
        both.write(2, &Advance::Installed(Installed { below: Slot(60), digest: 7 }));
        both.next[2] = 60;
        both.step(2);
        both.end(3);
        assert_eq!(both.follower_count(), 1);
        (0..10_000).for_each(|_| (0..3).for_each(|index| both.step(index)));
        both.begin(3, Order::Total, 0);
        (0..100).for_each(|_| both.step(3));
        both.check();
    }

    #[test]
    fn whoever_is_far_behind_goes_on_by_itself() {
        let mut both = Both::new(Order::Total, 3);
        for slot in 0..60_000 {
            both.step(0);
            both.step(1);
            if !(10..=40_000).contains(&slot) {
                both.step(2);
            }
        }
        assert_eq!(both.follower_count(), 2);
        assert!(both.joint.stream.entries.len() < 2);
        both.check();
    }

    #[test]
    fn where_each_key_has_an_order_everybody_writes_by_itself() {
        let mut both = Both::new(Order::PerKey, 2);
        assert_eq!(both.follower_count(), 0);
        (0..100).for_each(|_| (0..2).for_each(|index| both.step(index)));
        both.check();
    }
}

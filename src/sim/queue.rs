//! The event queue: what happens next, ordered by (time, sequence number).
//!
//! An entry is sixteen bytes: a time, a sequence number and the number of its source.
//! What an event carries stays with its source, and a source has its next event in the queue and no
//! other: so the queue is as long as there are links and timers, however much is under way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::time::Time;

/// What an event comes from, and which of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) index: u16,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A link between two replicas.
    Link,
    /// A link from a client to a replica.
    Request,
    /// A link from a replica to a client.
    Reply,
    /// The timers of a replica.
    Timer,
    /// The processor of a replica has finished what it was at.
    Processor,
    /// The disk of a replica has finished a sync.
    Disk,
    /// The disk of a replica has written a checkpoint.
    Checkpoint,
    /// A client wants to issue or to ask again.
    Client,
    /// The processor that a client has on a shared machine has finished what it was at.
    Load,
    /// Something planned for the world: faults, and their end.
    Agenda,
}

const KINDS: [Kind; 10] = [
    Kind::Link,
    Kind::Request,
    Kind::Reply,
    Kind::Timer,
    Kind::Processor,
    Kind::Disk,
    Kind::Checkpoint,
    Kind::Client,
    Kind::Load,
    Kind::Agenda,
];

/// An event: 64 bits of time, 44 of sequence number, 4 of kind, 16 of index, in the order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event(u128);

const SOURCE_BITS: u32 = 20;
const INDEX_BITS: u32 = 16;

impl Event {
    pub(super) fn new(at: Time, sequence: u64, source: Source) -> Self {
        let source_number = (source.kind as u64) << INDEX_BITS | u64::from(source.index);
        let low = sequence << SOURCE_BITS | source_number;
        Self(u128::from(at.0) << 64 | u128::from(low))
    }

    pub(super) const fn at(self) -> Time {
        Time((self.0 >> 64) as u64)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the fields of a word")]
    pub(super) const fn source(self) -> Source {
        let low = self.0 as u64;
        Source { kind: KINDS[(low >> INDEX_BITS & 0xf) as usize], index: low as u16 }
    }
}

/// All that is going to happen.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Event>>,
    next: u64,
}

impl Queue {
    /// The next sequence number.
    pub(super) const fn sequence(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Adds an event of `source`, behind those of the same time; who compares events knows it again.
    pub(super) fn push(&mut self, at: Time, source: Source) -> Event {
        let event = Event::new(at, self.sequence(), source);
        self.heap.push(Reverse(event));
        event
    }

    /// Adds an event whose sequence number was drawn before.
    pub(super) fn push_event(&mut self, event: Event) {
        self.heap.push(Reverse(event));
    }

    /// The next event.
    #[inline]
    pub(super) fn peek(&self) -> Option<Event> {
        self.heap.peek().map(|event| event.0)
    }

    /// Takes the next event out.
    pub(super) fn pop(&mut self) {
        self.heap.pop();
    }

    /// Takes the next event out and puts another one in: half the work of doing both.
    pub(super) fn replace(&mut self, event: Event) {
        if let Some(mut top) = self.heap.peek_mut() {
            *top = Reverse(event);
            // Dropped here, which lets it sink to its place.
            let _: PeekMut<'_, _> = top;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_sixteen_bytes_and_keeps_what_it_is_made_of() {
        assert_eq!(size_of::<Reverse<Event>>(), 16);
        for (number, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            let source = Source { kind, index: 65_000 };
            let event = Event::new(Time(u64::MAX - 1), (1 << 44) - 1, source);
            assert_eq!((event.at(), event.source()), (Time(u64::MAX - 1), source));
        }
    }

    #[test]
    fn events_come_by_time_and_then_in_the_order_in_which_they_were_made() {
        let mut queue = Queue::default();
        let source = |index| Source { kind: Kind::Link, index };
        queue.push(Time(20), source(9));
        queue.push(Time(10), source(8));
        queue.push(Time(20), source(1));
        queue.push(Time(10), source(2));
        let mut order = Vec::new();
        while let Some(event) = queue.peek() {
            order.push((event.at().0, event.source().index));
            queue.pop();
        }
        assert_eq!(order, [(10, 8), (10, 2), (20, 9), (20, 1)]);
    }

    #[test]
    fn a_replaced_event_sinks_to_its_place() {
        let mut queue = Queue::default();
        let source = |index| Source { kind: Kind::Timer, index };
        queue.push(Time(10), source(1));
        queue.push(Time(20), source(2));
        queue.replace(Event::new(Time(30), 9, source(3)));
        assert_eq!(queue.peek().map(Event::at), Some(Time(20)));
        queue.pop();
        assert_eq!(queue.peek().map(Event::at), Some(Time(30)));
        assert_eq!(queue.len(), 1);
    }
}

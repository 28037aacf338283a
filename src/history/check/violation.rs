//! What can be wrong with a run, each in one sentence.

use std::fmt;

use crate::command::RequestId;
use crate::history::{Entry, EntryCommand, Kind};
use crate::protocol::{Log, Position, Slot};
use crate::quorum::NodeId;

/// One thing that a correct run cannot show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two replicas executed different things in one slot.
    #[error("{slot}: {first} executed {}, {second} executed {}", Shown(*.one), Shown(*.other))]
    Disagreement {
        /// Where.
        slot: Slot,
        /// One of them.
        first: NodeId,
        /// What it executed.
        one: Entry,
        /// Another.
        second: NodeId,
        /// What that executed.
        other: Entry,
    },
    /// A replica executed a slot again and did not execute what had been agreed there.
    #[error("{}: {node} executed it again, and as {}, which is not what was agreed", .entry.slot, Shown(*.entry))]
    Rewritten {
        /// Who.
        node: NodeId,
        /// What it executed.
        entry: Entry,
    },
    /// A replica executed slots out of their order.
    #[error("{node} executed {found} where {expected} was next")]
    Order {
        /// Who.
        node: NodeId,
        /// What it should have executed.
        expected: Slot,
        /// What it executed.
        found: Slot,
    },
    /// A replica took a state from another one, and it is not what the log leads to.
    #[error(
        "{node} took a state with everything below {below} executed, which does not store what the log wrote before"
    )]
    StateDiffers {
        /// Who.
        node: NodeId,
        /// The slot after the last that is executed in it.
        below: Slot,
    },
    /// A replica took a state from another one that is ahead of what anybody executed.
    #[error(
        "{node} took a state with everything below {below} executed, but nobody executed {end}"
    )]
    StateUnfounded {
        /// Who.
        node: NodeId,
        /// The slot after the last that is executed in it.
        below: Slot,
        /// The first slot that is in no log.
        end: Slot,
    },
    /// Slots that nobody executed before later ones were.
    #[error(
        "{} up to {} are in no replica's log, but {} is",
        at(*.log, *.first), at(*.log, *.last), at(*.log, .last.next())
    )]
    Missing {
        /// Of which log.
        log: Log,
        /// The first of them.
        first: Slot,
        /// The last of them.
        last: Slot,
    },
    /// A command that came from nowhere.
    #[error("{}: {node} executed {}, which that client never issued", .entry.slot, Shown(*.entry))]
    NotIssued {
        /// Who executed it.
        node: NodeId,
        /// What.
        entry: Entry,
    },
    /// A command that is not the one its client issued.
    #[error("{}: {node} executed {}, but its client issued {}", .entry.slot, Shown(*.entry), Asked(*.issued))]
    Changed {
        /// Who executed it.
        node: NodeId,
        /// What.
        entry: Entry,
        /// What the client issued.
        issued: EntryCommand,
    },
    /// One request changed the state machine twice.
    #[error("{slot}: {} is applied a second time", Named(*.request))]
    AppliedTwice {
        /// Where.
        slot: Slot,
        /// Which.
        request: RequestId,
    },
    /// A request that was refused as settled changed the state machine later.
    #[error("{slot}: {} is applied although it was passed over in an earlier slot", Named(*.request))]
    AppliedLate {
        /// Where.
        slot: Slot,
        /// Which.
        request: RequestId,
    },
    /// The first occurrence of an acknowledged request did not change the state machine.
    #[error("{slot}: {} was acknowledged, but its first occurrence is not applied", Named(*.request))]
    NotApplied {
        /// Where.
        slot: Slot,
        /// Which.
        request: RequestId,
    },
    /// An acknowledged operation that no replica executed.
    #[error("{}, a {} acknowledged at {slot}, is in no replica's log", Named(*.request), word(*.kind))]
    Lost {
        /// Which.
        request: RequestId,
        /// What it was.
        kind: Kind,
        /// Where its client was told that it is.
        slot: Slot,
    },
    /// A read of a state that nobody had.
    #[error("{} read a state with everything below {below} executed, and no replica executed so much", Named(*.request))]
    ReadUnfounded {
        /// Which.
        request: RequestId,
        /// The first slot that it is said not to have seen.
        below: Slot,
    },
    /// A client was told a slot that holds something else.
    #[error("{} was acknowledged at {told}, but was executed at {executed}", Named(*.request))]
    WrongSlot {
        /// Which.
        request: RequestId,
        /// What its client was told.
        told: Slot,
        /// Where it is first.
        executed: Slot,
    },
    /// A read that did not return the last value written before it in the log.
    #[error("{slot}: {} read {} under key {key}, but the log holds {} there", Named(*.request), Value(*.returned), Value(*.expected))]
    StaleRead {
        /// Where.
        slot: Slot,
        /// Which.
        request: RequestId,
        /// What was read.
        key: u64,
        /// The digest the client was given.
        returned: Option<u32>,
        /// The digest of what the log holds.
        expected: Option<u32>,
    },
    /// An operation that ended before another began stands behind it in the log.
    #[error("{} returned before {} was issued, but it is at {slot} and the other at {other_slot}", Named(*.request), Named(*.other))]
    RealTime {
        /// The earlier operation.
        request: RequestId,
        /// Where it is.
        slot: Slot,
        /// The later operation.
        other: RequestId,
        /// Where that is.
        other_slot: Slot,
    },
    /// A client used a sequence number twice.
    #[error("{} was issued twice", Named(*.0))]
    IssuedTwice(RequestId),
    /// A client was told the outcome of one operation twice.
    #[error("{} returned twice", Named(*.0))]
    ReturnedTwice(RequestId),
    /// A client was told the outcome of what it never issued.
    #[error("{} returned, but was never issued", Named(*.0))]
    ReturnedUnissued(RequestId),
}

/// The first violations, and how many there are.
#[derive(Debug)]
pub(super) struct Violations {
    pub(super) kept: Vec<Violation>,
    pub(super) count: u64,
    limit: usize,
}

impl Violations {
    pub(super) const fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), count: 0, limit }
    }

    pub(super) fn push(&mut self, violation: Violation) {
        self.count += 1;
        if self.kept.len() < self.limit {
            self.kept.push(violation);
        }
    }
}

struct Named(RequestId);
struct Asked(EntryCommand);
struct Shown(Entry);
struct Value(Option<u32>);

const fn at(log: Log, slot: Slot) -> Position {
    Position { log, slot }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Write => "write",
        Kind::Read => "read",
    }
}

/// `request 5 of client 0`.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} of client {}", self.0.sequence, self.0.client.0)
    }
}

/// `value 0000abcd`, or `no value`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(digest) => write!(f, "value {digest:08x}"),
            None => f.write_str("no value"),
        }
    }
}

/// `request 5 of client 0 (write of value 0000abcd under key 7)`.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EntryCommand { request, kind, key, digest } = self.0;
        match kind {
            Kind::Write => {
                write!(f, "{} (write of value {digest:08x} under key {key})", Named(request))
            }
            Kind::Read => write!(f, "{} (read of key {key})", Named(request)),
        }
    }
}

/// What was asked and whether it was applied.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.command {
            None => f.write_str("a no-op")?,
            Some(command) => write!(f, "{}", Asked(command))?,
        }
        f.write_str(if self.0.applied { ", applied" } else { ", not applied" })
    }
}

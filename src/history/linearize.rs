//! Whether operations on registers are linearizable, by search: the order is not given, it is found.
//!
//! A key is a register, and a history is linearizable if it is for each key alone (Herlihy and Wing
//! 1990, theorem 1), so [`judge`] looks at one key.
//! It is the search of Wing and Gong ("Testing and verifying concurrent objects", 1993): an operation
//! may stand next if nothing that is still to be placed returned before it was invoked; with the memo
//! of Lowe ("Testing for linearizability", 2017): the same set of placed operations with the same value
//! is never tried twice.
//!
//! An operation without a return is unknown: a write may be placed anywhere after its invocation or be
//! left out, a read is left out.
//! Two times that are equal order nothing: an operation that its client began after a return has a later
//! invocation than that return.
//!
//! # What is not tried
//!
//! A register allows more than a memo. Call a value *needed* while reads of it are still to be placed.
//! Each of these moves operations of an order that exists to its front and leaves an order, so nothing
//! is lost by not trying anything else:
//!
//! - A read of the current value that may stand next does: it changes nothing.
//! - A write that nobody reads, when the current value is not needed, does: whatever follows it is
//!   another write.
//! - The only write of its value and all reads of it do, together, when the current value is not needed
//!   and all of them may: whatever follows them is another write.
//! - Of two writes of one value the one that returned first is tried; they can change places.
//! - A needed value that nobody writes again is not overwritten.
//!
//! So the search branches only where one value was written twice: a history whose values all differ is
//! judged without going back once.
//!
//! # Its bound
//!
//! Values that repeat can make any such search exponential in the number of concurrent operations.
//! It has a [`Budget`] of looks: an operation looked at costs one, a configuration remembered sixteen and
//! as many as it has words of 64 bits, so that the budget bounds the memory too. Once it is spent the
//! answer is [`Judgement::Undecided`], which is never taken for a yes.

mod search;
mod shrink;
#[cfg(test)]
mod tests;

use std::fmt;

use super::Kind;
use crate::command::RequestId;
use crate::protocol::Slot;
use crate::time::Time;

pub use shrink::shrink;

/// An operation whose client was told its outcome, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked, and its count.
    pub request: RequestId,
    /// What it does.
    pub kind: Kind,
    /// The digest written, or read; `None` is a key without a value.
    pub value: Option<u32>,
    /// When it may have taken effect at the earliest.
    pub invoked_at: Time,
    /// What its client was told; `None` if nothing.
    pub answer: Option<Answer>,
}

/// That an operation was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it had taken effect at the latest.
    pub returned_at: Time,
    /// Where in the log it is said to be: no more than a hint of what to try first.
    pub slot: Slot,
}

/// How much may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Looks that are left.
    pub looks: u64,
}

impl Budget {
    /// Takes so many looks; false once there are too few.
    const fn spend(&mut self, looks: u64) -> bool {
        let is_enough = looks <= self.looks;
        self.looks = self.looks.saturating_sub(looks);
        is_enough
    }
}

/// What is known of the operations of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// There is an order that explains every read and respects real time.
    Linearizable,
    /// There is none.
    Violated,
    /// The budget was spent before either was known.
    Undecided,
}

/// Judges the operations of one key, which was never written before.
pub fn judge(operations: &[Operation], budget: &mut Budget) -> Judgement {
    search::Search::new(operations).run(budget)
}

/// Operations of one key that no order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Whose register it is.
    pub key: u64,
    /// The fewest that were found, by their invocation.
    pub operations: Vec<Operation>,
    /// Whether the violation goes when any of them does.
    pub is_smallest: bool,
}

/// A sentence, and a line for each operation, up to this many.
const LINES_MAX: usize = 20;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operations, is_smallest } = self;
        write!(f, "key {key} is not linearizable: no order of ")?;
        match operations.len() {
            1 => f.write_str("this operation explains what it read")?,
            count => write!(f, "these {count} operations explains what they read")?,
        }
        if !is_smallest {
            f.write_str(" (fewer may do: the search for them was cut short)")?;
        }
        for operation in operations.iter().take(LINES_MAX) {
            write!(f, "\n  {operation}")?;
        }
        if operations.len() > LINES_MAX {
            write!(f, "\n  and {} more", operations.len() - LINES_MAX)?;
        }
        Ok(())
    }
}

/// `client 0 request 5: write of 0000abcd, 1000 ns to 2000 ns, slot 3`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestId { client, sequence } = self.request;
        let kind = match self.kind {
            Kind::Write => "write of",
            Kind::Read => "read of",
        };
        write!(f, "client {} request {sequence}: {kind} ", client.0)?;
        match self.value {
            Some(digest) => write!(f, "{digest:08x}")?,
            None => f.write_str("no value")?,
        }
        write!(f, ", invoked at {} ns, ", self.invoked_at.0)?;
        match self.answer {
            Some(Answer { returned_at, slot }) => {
                write!(f, "returned at {} ns, {slot}", returned_at.0)
            }
            None => f.write_str("outcome unknown"),
        }
    }
}

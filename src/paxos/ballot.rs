//! Ballots: the names of attempts, and how a proposer never uses one twice.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quorum::NodeId;

/// A ballot, ordered by round and then by proposer (also: proposal number, term, epoch, view).
///
/// Two proposers never share one, because the proposer is part of it.
/// Round 0 belongs to nobody: it is what an acceptor has promised before any phase 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ballot {
    /// The attempt.
    pub round: u64,
    /// Whose attempt.
    pub proposer: NodeId,
}

impl Ballot {
    /// Below every ballot that is ever proposed.
    pub const NONE: Self = Self { round: 0, proposer: NodeId(0) };
}

/// `(3.r1)`.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}.{})", self.round, self.proposer)
    }
}

/// The rounds a proposer may use: each at most once in its life, crashes included.
///
/// Rounds are reserved in blocks on stable storage before the first of a block is used, and a
/// restarted proposer begins behind the block that was reserved last.
/// Its own promise would not do: with flexible quorums a proposer need not be in its own phase-1
/// quorum, so it may have proposed a value at a ballot that its acceptor never made durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rounds {
    /// The lowest round this incarnation may use.
    first: u64,
    /// Rounds below this are asked to be made durable.
    reserved_below: u64,
    /// Rounds below this are known to be durable.
    durable_below: u64,
}

/// What must happen before a round is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing: its reservation is durable.
    Now,
    /// Wait for the records given so far.
    Durable,
    /// Record that rounds below this are reserved, and wait for it.
    Reserve {
        /// The new bound.
        below: u64,
    },
}

impl Rounds {
    /// Rounds in a block: a proposer that loses this many races pays one more sync.
    const BLOCK: u64 = 1024;

    /// The rounds of a proposer that has reserved those below `reserved_below` in earlier lives.
    pub(super) fn after(reserved_below: u64) -> Self {
        Self { first: reserved_below.max(1), reserved_below, durable_below: 0 }
    }

    /// The bound to make durable when the proposer starts.
    pub(super) fn reserve_first_block(&mut self) -> u64 {
        self.reserved_below = self.first + Self::BLOCK;
        self.reserved_below
    }

    /// The lowest round that is this life's own and above `seen`.
    pub(super) fn above(&self, seen: u64) -> u64 {
        self.first.max(seen + 1)
    }

    /// What must happen before `round` is used.
    pub(super) fn use_round(&mut self, round: u64) -> Use {
        assert!(round >= self.first, "round {round} belongs to an earlier life");
        if round < self.durable_below {
            return Use::Now;
        }
        if round < self.reserved_below {
            return Use::Durable;
        }
        self.reserved_below = round + Self::BLOCK;
        Use::Reserve { below: self.reserved_below }
    }

    /// The reservation of rounds below `below` is durable.
    pub(super) fn confirm(&mut self, below: u64) {
        self.durable_below = self.durable_below.max(below);
    }

    /// Every round that this proposer may have used is below this.
    pub(super) fn reserved_below(&self) -> u64 {
        self.reserved_below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballots_are_ordered_by_round_and_then_by_proposer() {
        let ballot = |round, proposer| Ballot { round, proposer: NodeId(proposer) };
        assert!(ballot(1, 9) < ballot(2, 0));
        assert!(ballot(2, 0) < ballot(2, 1));
        assert!(Ballot::NONE < ballot(1, 0));
    }

    #[test]
    fn a_restarted_proposer_begins_above_every_round_it_may_have_used() {
        let mut first = Rounds::after(0);
        let durable = first.reserve_first_block();
        assert_eq!(first.use_round(first.above(0)), Use::Durable);
        first.confirm(durable);
        assert_eq!(first.use_round(first.above(0)), Use::Now);
        let second = Rounds::after(durable);
        assert!(second.above(0) >= durable);
    }

    #[test]
    fn a_round_beyond_the_block_is_reserved_before_its_use() {
        let mut rounds = Rounds::after(0);
        let below = rounds.reserve_first_block();
        rounds.confirm(below);
        let Use::Reserve { below: next } = rounds.use_round(rounds.above(5_000)) else {
            panic!("round 5001 was not reserved");
        };
        assert!(next > 5_001);
        assert_eq!(rounds.use_round(5_001), Use::Durable);
    }
}

//! How a proposer never uses a ballot twice.

/// The rounds a proposer may use: each at most once in its life, crashes included.
///
/// Rounds are reserved in blocks on stable storage before the first of a block is used, and a
/// restarted proposer begins behind the block that was reserved last.
/// Its own promise would not do: with flexible quorums a proposer need not be in its own phase-1
/// quorum, so it may have proposed a value at a ballot that its acceptor never made durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rounds {
    /// The lowest round this incarnation may use.
    first: u64,
    /// Rounds below this are asked to be made durable.
    reserved_below: u64,
    /// Rounds below this are known to be durable.
    durable_below: u64,
}

impl Rounds {
    /// Rounds in a block: a proposer that loses this many races pays one more sync.
    const BLOCK: u64 = 1024;

    /// The rounds of a proposer that has reserved those below `reserved_below` in earlier lives.
    pub fn after(reserved_below: u64) -> Self {
        Self { first: reserved_below.max(1), reserved_below, durable_below: 0 }
    }

    /// The bound to make durable when the proposer starts.
    pub fn reserve_first_block(&mut self) -> u64 {
        self.reserved_below = self.first + Self::BLOCK;
        self.reserved_below
    }

    /// The lowest round that is this life's own and above `seen`.
    pub fn above(&self, seen: u64) -> u64 {
        self.first.max(seen + 1)
    }

    /// The bound to make durable before `round` is used, if it is not asked for already.
    pub fn reserve(&mut self, round: u64) -> Option<u64> {
        assert!(round >= self.first, "round {round} belongs to an earlier life");
        if round < self.reserved_below {
            return None;
        }
        self.reserved_below = round + Self::BLOCK;
        Some(self.reserved_below)
    }

    /// Whether messages of `round` may leave at once.
    pub fn is_durable(&self, round: u64) -> bool {
        round < self.durable_below
    }

    /// The reservation of rounds below `below` is durable.
    pub fn confirm(&mut self, below: u64) {
        self.durable_below = self.durable_below.max(below);
    }

    /// Every round that this proposer may have used is below this.
    pub fn reserved_below(&self) -> u64 {
        self.reserved_below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Ballot;
    use crate::quorum::NodeId;

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
        let round = first.above(0);
        assert_eq!(first.reserve(round), None);
        assert!(!first.is_durable(round));
        first.confirm(durable);
        assert!(first.is_durable(round));
        let second = Rounds::after(durable);
        assert!(second.above(0) >= durable);
    }

    #[test]
    fn a_round_beyond_the_block_is_reserved_before_its_use() {
        let mut rounds = Rounds::after(0);
        let below = rounds.reserve_first_block();
        rounds.confirm(below);
        let round = rounds.above(5_000);
        let next = rounds.reserve(round).expect("round 5001 is beyond the first block");
        assert!(next > round);
        assert!(!rounds.is_durable(round));
        assert_eq!(rounds.reserve(round), None);
    }
}

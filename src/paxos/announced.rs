//! Announced phase-2 quorums, and how one that can no longer matter is forgotten.
//!
//! Where each ballot has a phase-2 quorum of its own, its proposer announces it with its Phase1a, and a
//! phase 1 goes on until it meets every quorum announced at a lower ballot, so that it hears of what
//! may be chosen there.
//! If all announcements were kept, a phase 1 would have to meet the quorums of all leaders that ever
//! were, and would never end when the members of one of them are down.
//!
//! # What is forgotten
//!
//! A ballot *b* is *settled* when a phase-1 quorum *P* has told that it settled *b*; then the quorums
//! of all ballots below *b* are forgotten.
//! The leader of *b* asks everybody to settle *b* when it has executed every slot below *F*, where *F*
//! is the slot behind all that it adopted, filled or knew to be chosen when it began to lead.
//! An acceptor settles *b* if it has promised nothing above *b* and has executed every slot below *F*.
//! It promises *b*, makes durable what it needs to execute these slots again after a crash, and from
//! then on says in each promise that it speaks of no slot below *F*: something is chosen there, so the
//! proposer may propose nothing there (as for trimmed slots, `snapshot.rs`).
//!
//! # Why nothing is lost
//!
//! Let *b* be settled, *a* below *b*, *c* above *b*, and let the phase 1 of *c* be over with the
//! promises of *M*, which meets every quorum reported and not forgotten. Phase-1 quorums are
//! majorities, so two of them meet.
//!
//! 1. *From F on, nothing is chosen at a, and nothing ever will be.* The phase 1 of *b* met the quorum of
//!    *a*, or heard that it is forgotten. In the first case a member of that quorum promised *b*: it
//!    reported its votes at *a*, which all lie below *F*, and votes at *a* no more. In the second case a
//!    ballot *b'* between *a* and *b* is settled, with a slot *F'*. By induction nothing is chosen at *a*
//!    from *F'* on. And *F'* is at most *F*, because *b* heard of *F'* from a member of its phase-1
//!    quorum, and led only when it had executed the slots below.
//! 2. *In the slots below F something is chosen, and c proposes nothing there.* Some member *p* of *M* is in
//!    *P*. It promised *c* after it settled *b*, for it would have refused to settle *b* otherwise. So
//!    its promise of *c* says that it speaks of no slot below *F*, also when it crashed in between.
//! 3. *The values below F are not lost*: all of *P* have them on their disks, and teach them.
//! 4. *An acceptor that hears of the quorum of a after it forgot need not keep it.* To lead, *a* needs the
//!    promises of a majority. One of these acceptors also promised *b* in the phase 1 of *b*. It did so
//!    after it promised *a*, or it would have refused *a*; so it reported the quorum of *a*, as in 1.
//!
//! What counts is that *P* settled *b*, and not that it executed the slots: an acceptor that promised *c*
//! first and executed them later told *c* nothing of *F*.
//! The rule is broken on purpose as `forgets-announced-early` ([`crate::sabotage::Rule`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::protocol::Ballot;
use crate::quorum::NodeSet;

/// The phase-2 quorums that ballots announced, as far as somebody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Announced {
    quorums: BTreeMap<Ballot, NodeSet>,
    /// This ballot is settled: those of ballots below are forgotten.
    forgotten_below: Ballot,
}

impl Announced {
    /// `quorum` is that of `ballot`.
    pub(super) fn insert(&mut self, ballot: Ballot, quorum: NodeSet) {
        if ballot >= self.forgotten_below {
            self.quorums.insert(ballot, quorum);
        }
    }

    /// What another one knows as well.
    pub(super) fn merge(&mut self, other: Self) {
        self.forget_below(other.forgotten_below);
        for (ballot, quorum) in other.quorums {
            self.insert(ballot, quorum);
        }
    }

    /// Forgets the quorums of ballots below `ballot`, which is settled; false if that is known.
    pub(super) fn forget_below(&mut self, ballot: Ballot) -> bool {
        let is_news = ballot > self.forgotten_below;
        if is_news {
            self.forgotten_below = ballot;
            self.quorums = self.quorums.split_off(&ballot);
        }
        is_news
    }

    /// What a phase 1 at `ballot` is told.
    pub(super) fn below(&self, ballot: Ballot) -> Self {
        let quorums = self.quorums.range(..ballot).map(|(ballot, quorum)| (*ballot, *quorum));
        Self { quorums: quorums.collect(), forgotten_below: self.forgotten_below }
    }

    /// The quorums that a phase 1 must meet.
    pub(super) fn quorums(&self) -> impl Iterator<Item = NodeSet> + Clone {
        self.quorums.values().copied()
    }

    /// The same, with the ballots that announced them, ascending.
    pub(super) fn by_ballot(&self) -> impl Iterator<Item = (Ballot, NodeSet)> {
        self.quorums.iter().map(|(ballot, quorum)| (*ballot, *quorum))
    }

    /// This ballot is settled; none is, if it is [`Ballot::NONE`].
    pub const fn forgotten_below(&self) -> Ballot {
        self.forgotten_below
    }

    /// Whether there is no quorum to meet.
    pub fn is_empty(&self) -> bool {
        self.quorums.is_empty()
    }

    /// As if nothing had been announced: for replicas that break this rule on purpose.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::NodeId;

    fn ballot(round: u64) -> Ballot {
        Ballot { round, proposer: NodeId(0) }
    }

    fn announced(rounds: &[u64]) -> Announced {
        let mut announced = Announced::default();
        for round in rounds {
            announced.insert(ballot(*round), NodeSet::from_mask(*round));
        }
        announced
    }

    fn masks(announced: &Announced) -> Vec<u64> {
        announced.quorums().map(NodeSet::mask).collect()
    }

    #[test]
    fn a_phase_one_is_told_of_lower_ballots_only() {
        assert_eq!(masks(&announced(&[1, 2, 3]).below(ballot(3))), [1, 2]);
    }

    #[test]
    fn what_one_knows_to_be_forgotten_nobody_need_meet() {
        let mut first = announced(&[1, 2, 3]);
        let mut second = announced(&[1, 4]);
        assert!(second.forget_below(ballot(3)));
        assert!(!second.forget_below(ballot(2)));
        first.merge(second.clone());
        assert_eq!(masks(&first), [3, 4]);
        second.merge(announced(&[1, 2]));
        assert_eq!(masks(&second), [4]);
        // One that comes late is forgotten already.
        second.insert(ballot(1), NodeSet::from_mask(1));
        assert_eq!(masks(&second), [4]);
    }
}

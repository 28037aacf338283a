//! Whether the two families of a system meet: theorem 1 of Flexible Paxos, its proof and its breach.

use super::diagram::{Diagram, TooLarge, VERTICES_MAX, order};
use super::family::Kind;
use super::{Family, Gate, NodeId, NodeSet, QuorumSystem};

/// Two quorums without a common acceptor: what was chosen in one phase 2 could be missed by phase 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("phase-1 quorum {phase1} and phase-2 quorum {phase2} have no replica in common")]
pub struct Disjoint {
    /// A minimal phase-1 quorum.
    pub phase1: NodeSet,
    /// A minimal phase-2 quorum that it does not meet.
    pub phase2: NodeSet,
}

/// Why a system is safe, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The argument, from `safe:` on.
    pub safe: String,
    /// What this safety costs, from `cost:` on, where it is more than the sizes of quorums tell.
    pub cost: Option<String>,
}

impl QuorumSystem {
    /// Two quorums that do not meet, or `None` when the system is safe (Flexible Paxos, theorem 1).
    pub fn disjoint(&self) -> Option<Disjoint> {
        self.find_disjoint()
            .expect("a system of which it takes too long is refused when it is made")
    }

    /// The same, where it is not known yet whether that can be found out.
    pub(super) fn find_disjoint(&self) -> Result<Option<Disjoint>, TooLarge> {
        if self.announces() {
            // Two majorities meet, and whatever was announced to one of them is met by the next.
            return Ok(None);
        }
        let all = NodeSet::all(self.n);
        // Families are monotone, so if some set holds a phase-1 quorum and misses a phase-2 quorum, minimal
        // ones of either are disjoint.
        let missing = |set: &NodeSet| {
            let phase1 = self.phase1.some_quorum_within(*set)?;
            let phase2 = self.phase2.some_quorum_within(all.difference(phase1))?;
            Some(Disjoint { phase1, phase2 })
        };
        Ok(match (&self.phase1.0, &self.phase2.0) {
            (Kind::Count(q1), Kind::Count(q2)) if q1 + q2 > self.n => None,
            (Kind::Count(q1), Kind::Count(_)) => missing(&NodeSet::all(*q1)),
            (Kind::Sets(q1), _) => q1.iter().find_map(missing),
            (_, Kind::Sets(q2)) => q2.iter().find_map(|set| {
                let phase1 = self.phase1.some_quorum_within(all.difference(*set))?;
                Some(Disjoint { phase1, phase2: *set })
            }),
            (Kind::Gate(one), Kind::Gate(other)) if one.meets_by_weight(other) => None,
            _ => self.split_by_diagram()?.as_ref().and_then(missing),
        })
    }

    /// A set with a phase-1 quorum whose complement has a phase-2 quorum, by the decision diagrams of both.
    fn split_by_diagram(&self) -> Result<Option<NodeSet>, TooLarge> {
        let mut found = Err(TooLarge);
        // The order that keeps the diagram of one small may make that of the other large.
        for by in [&self.phase1, &self.phase2] {
            let order = order(by, self.n);
            let diagram = |family| Diagram::within(family, order.clone(), VERTICES_MAX);
            if let (Some(one), Some(other)) = (diagram(&self.phase1), diagram(&self.phase2)) {
                found = one.split(&other);
            }
            if found.is_ok() {
                break;
            }
        }
        found
    }

    /// Why the system is safe; `None` if it is not.
    pub fn proof(&self) -> Option<Proof> {
        if self.disjoint().is_some() {
            return None;
        }
        if self.announces() {
            return Some(self.proof_by_announcement());
        }
        let since = match (&self.phase1.0, &self.phase2.0) {
            (Kind::Count(q1), Kind::Count(q2)) => format!("since {q1} + {q2} > {}", self.n),
            (Kind::Sets(sets), _) | (_, Kind::Sets(sets)) => format!(
                "since none of the {} quorums listed for one phase leaves a quorum of the other beside it",
                sets.len()
            ),
            (Kind::Gate(one), Kind::Gate(other)) => {
                since(one, other).unwrap_or_else(|| tried(self.phase1 == self.phase2.dual(self.n)))
            }
            _ => tried(self.phase1 == self.phase2.dual(self.n)),
        };
        let safe = format!("safe: every phase-1 quorum meets every phase-2 quorum, {since}");
        Some(Proof { safe, cost: None })
    }

    /// The argument of section 7 of the paper, where a fixed phase-1 quorum need not meet every phase-2
    /// quorum.
    fn proof_by_announcement(&self) -> Proof {
        let (n, q1) = (self.n, self.phase1.min_size());
        let (least, most) = self.phase2.sizes().into_inner();
        let q2 = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let safe = format!(
            "safe: the leader of a ballot announces its phase-2 quorum of {q2} with its phase 1, to {q1} \
             replicas at least. Since {q1} + {q1} > {n}, a later phase 1 hears of every quorum that was \
             announced at a lower ballot, and it ends only when it has met each of them; one is forgotten \
             when a later leader has brought a phase-1 quorum level."
        );
        let cost = format!(
            "cost: a phase 1 may need more than {q1} replicas, and while all {q2} members of an announced \
             quorum are down, no phase 1 ends. When one member is down, writes wait for a new ballot, which \
             announces another quorum."
        );
        Proof { safe, cost: Some(cost) }
    }

    /// The same system, but with a phase-1 quorum that misses a phase-2 quorum.
    ///
    /// A single acceptor has only one quorum, which meets itself: its system stays as it is.
    #[must_use]
    pub fn split(&self) -> Self {
        let n = self.n;
        if n == 1 {
            return self.clone();
        }
        let all = NodeSet::all(n);
        let last = NodeId(u8::try_from(n - 1).expect("there are at most 64 replicas"));
        let most = all.without(last);
        let mut phase2 = self.phase2.clone();
        if !phase2.contains(most) {
            phase2 = Family::of_size(most.len());
        }
        let phase1 = match (&self.phase1.0, &phase2.0) {
            (Kind::Count(_), Kind::Count(size)) => Family::of_size(n - size),
            (phase1, _) => {
                let quorum = phase2.some_quorum_within(most).unwrap_or(most);
                let rest = all.difference(quorum);
                match phase1 {
                    Kind::Sets(sets) => {
                        Family::of_sets(sets.iter().copied().chain([rest]).collect())
                    }
                    Kind::Count(_) => Family::of_sets(vec![rest]),
                    Kind::Gate(gate) => {
                        let rest = Gate::choose(rest.len() as u64, rest);
                        Family::of_gate(Gate::any(vec![gate.clone(), rest]), n)
                    }
                }
            }
        };
        Self::new(n, phase1, phase2).expect("neither family is empty or of strangers")
    }
}

/// Why two gates meet by their weights ([`Gate::meets_by_weight`]).
fn since(one: &Gate, other: &Gate) -> Option<String> {
    if !one.meets_by_weight(other) {
        return None;
    }
    let sum = |one: &Gate, other: &Gate| {
        format!("{} + {} > {}", one.threshold(), other.threshold(), one.total())
    };
    let outer = sum(one, other);
    let mut inner: Vec<String> = Vec::new();
    for ((_, part), (_, of_other)) in one.parts().iter().zip(other.parts()) {
        let sum = sum(part, of_other);
        if part.lone().is_none() && !inner.contains(&sum) {
            inner.push(sum);
        }
    }
    if inner.is_empty() {
        return Some(format!("since {outer}"));
    }
    let inner = inner.join(" or ");
    Some(format!(
        "since {outer} of the parts, and {inner} within each: a part is common, and in it a member"
    ))
}

fn tried(is_dual: bool) -> String {
    if is_dual {
        return "since phase 1 is the dual of phase 2: exactly the sets that meet all of it"
            .to_owned();
    }
    "since no way to give each replica to one of the two leaves a quorum to both (all were tried)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(n: usize, phase1: &[Vec<usize>], phase2: &[Vec<usize>]) -> QuorumSystem {
        QuorumSystem::explicit(n, phase1, phase2).unwrap()
    }

    /// The definition, by brute force over all 2^n masks: unsafe iff some set holds a phase-1
    /// quorum and its complement a phase-2 quorum.
    fn is_unsafe_by_enumeration(system: &QuorumSystem) -> bool {
        let all = NodeSet::all(system.n());
        (0..=all.mask())
            .map(NodeSet::from_mask)
            .any(|set| system.is_phase1(set) && system.is_phase2(all.difference(set)))
    }

    fn check_verdict(system: &QuorumSystem) {
        let verdict = system.disjoint();
        assert_eq!(verdict.is_some(), is_unsafe_by_enumeration(system), "{system:?}");
        if let Some(Disjoint { phase1, phase2 }) = verdict {
            assert!(phase1.intersection(phase2).is_empty());
            assert!(system.is_phase1(phase1) && system.is_phase2(phase2));
        }
    }

    #[test]
    fn counts_are_safe_exactly_when_their_sum_exceeds_n() {
        for n in 1..=7 {
            for q1 in 1..=n {
                for q2 in 1..=n {
                    let system = QuorumSystem::counts(n, q1, q2).unwrap();
                    assert_eq!(system.disjoint().is_none(), q1 + q2 > n);
                    check_verdict(&system);
                }
            }
        }
    }

    #[test]
    fn a_majority_is_safe_for_every_n() {
        for n in 1..=12 {
            check_verdict(&QuorumSystem::majority(n));
            assert_eq!(QuorumSystem::majority(n).disjoint(), None);
        }
    }

    /// The authors' TLA+ model: safe although two phase-2 quorums are disjoint.
    #[test]
    fn four_acceptors_with_disjoint_phase_two_quorums_are_safe() {
        let pairs = system(4, &[vec![0, 1], vec![2, 3]], &[vec![0, 2], vec![1, 3]]);
        check_verdict(&pairs);
        assert_eq!(pairs.disjoint(), None);
    }

    #[test]
    fn phase_two_of_one_needs_phase_one_of_all() {
        assert_eq!(QuorumSystem::counts(5, 5, 1).unwrap().disjoint(), None);
        assert!(QuorumSystem::counts(5, 4, 1).unwrap().disjoint().is_some());
    }

    #[test]
    fn phase_one_may_be_the_smaller() {
        assert_eq!(QuorumSystem::counts(5, 1, 5).unwrap().disjoint(), None);
    }

    #[test]
    fn two_disjoint_explicit_quorums_are_named() {
        let split = system(4, &[vec![0, 1]], &[vec![1, 2], vec![2, 3]]);
        check_verdict(&split);
        let found = split.disjoint().unwrap();
        assert_eq!(
            found.to_string(),
            "phase-1 quorum {0, 1} and phase-2 quorum {2, 3} have no replica in common"
        );
    }

    #[test]
    fn a_count_against_sets_is_judged_like_any_pair() {
        for q in 1..=4 {
            let sets =
                Family::of_sets(vec![NodeSet::from_mask(0b0011), NodeSet::from_mask(0b1100)]);
            check_verdict(&QuorumSystem::new(4, sets.clone(), Family::of_size(q)).unwrap());
            check_verdict(&QuorumSystem::new(4, Family::of_size(q), sets).unwrap());
        }
    }

    #[test]
    fn a_proof_is_there_exactly_when_no_quorums_are_disjoint() {
        let since = |system: &QuorumSystem| {
            let proof = system.proof().unwrap();
            assert_eq!(proof.cost.is_some(), system.announces());
            proof.safe
        };
        assert!(since(&QuorumSystem::counts(5, 4, 2).unwrap()).ends_with("since 4 + 2 > 5"));
        let pairs = system(4, &[vec![0, 1], vec![2, 3]], &[vec![0, 2], vec![1, 3]]);
        assert!(since(&pairs).contains("none of the 2 quorums listed"));
        assert!(since(&QuorumSystem::per_ballot(5, 2).unwrap()).contains("Since 3 + 3 > 5"));
        assert_eq!(QuorumSystem::counts(5, 3, 2).unwrap().proof(), None);
    }

    #[test]
    fn a_split_system_is_unsafe_unless_it_has_one_acceptor() {
        for n in 1..=5 {
            for q2 in 1..=n {
                let split = QuorumSystem::counts(n, n, q2).unwrap().split();
                assert_eq!(split.disjoint().is_some(), n > 1, "{split:?}");
                assert_eq!(
                    QuorumSystem::per_ballot(n, q2).unwrap().split().proof().is_none(),
                    n > 1
                );
            }
        }
    }
}

//! What a quorum system is worth before anything runs: its minimal quorums, and how many crashes
//! each phase survives.
//!
//! Sizes are answered in closed form, everything else by its decision diagram ([`Diagram`]).

use super::family::Kind;
use super::minimal::Minimal;
use super::{Diagram, Family, NodeId, NodeSet, QuorumSystem};

/// How many crashes each phase survives, whichever acceptors they hit: phase 1, then phase 2.
///
/// A phase survives one crash less than its smallest hitting set has members.
/// `None` if the diagram of the family is too large.
///
/// Where each ballot announces a phase-2 quorum of its own, a phase 1 needs one member of it, and the
/// phase 2 of that ballot needs all of them: after one crash a new ballot announces another.
pub fn resilience(system: &QuorumSystem) -> [Option<usize>; 2] {
    let n = system.n();
    let of = |family| family_resilience(family, n);
    if system.announces() {
        let of_one_left = system.phase2().min_size() - 1;
        return [of(system.phase1()).map(|crashes| crashes.min(of_one_left)), Some(0)];
    }
    [of(system.phase1()), of(system.phase2())]
}

fn family_resilience(family: &Family, n: usize) -> Option<usize> {
    match &family.0 {
        Kind::Count(size) => Some(n - size),
        // The phase stops when those that are left contain no quorum: then the crashed ones hit all.
        _ => Diagram::new(family, n)?.fewest_missing()?.checked_sub(1),
    }
}

/// How many minimal quorums there are; `u128` holds every binomial of 64.
///
/// `None` if the diagram of a gate, or of its minimal quorums, is too large.
pub fn minimal_count(family: &Family, n: usize) -> Option<u128> {
    match &family.0 {
        Kind::Count(size) => Some(binomial(n, *size)),
        Kind::Sets(sets) => Some(minimal_sets(sets).len() as u128),
        Kind::Gate(_) => Some(Minimal::new(&Diagram::new(family, n)?)?.count()),
    }
}

/// The first `limit` minimal quorums: no member can be left out of them.
///
/// None where [`minimal_count`] is unknown.
pub fn minimal_quorums(family: &Family, n: usize, limit: usize) -> Vec<NodeSet> {
    match &family.0 {
        Kind::Count(size) => combinations(n, *size).take(limit).collect(),
        Kind::Sets(sets) => minimal_sets(sets).into_iter().take(limit).collect(),
        Kind::Gate(_) => {
            let minimal = Diagram::new(family, n).and_then(|diagram| Minimal::new(&diagram));
            minimal.map(|minimal| minimal.first(limit)).unwrap_or_default()
        }
    }
}

impl Family {
    /// The acceptors that are in some minimal quorum.
    pub(super) fn voters(&self, n: usize) -> NodeSet {
        match &self.0 {
            Kind::Count(_) => NodeSet::all(n),
            Kind::Sets(sets) => minimal_sets(sets).into_iter().fold(NodeSet::EMPTY, NodeSet::union),
            // A diagram asks exactly those that make a difference to some set of others.
            Kind::Gate(gate) => {
                Diagram::new(self, n).map_or_else(|| gate.support(), |diagram| diagram.asked())
            }
        }
    }
}

/// The sets that contain no other one, each once.
fn minimal_sets(sets: &[NodeSet]) -> Vec<NodeSet> {
    let mut minimal: Vec<NodeSet> = Vec::new();
    for set in sets {
        let is_redundant = |other: &NodeSet| other != set && other.is_subset(*set);
        if !sets.iter().any(is_redundant) && !minimal.contains(set) {
            minimal.push(*set);
        }
    }
    minimal
}

/// The sets of `size` of the acceptors 0 to n-1, in the order of their members.
fn combinations(n: usize, size: usize) -> impl Iterator<Item = NodeSet> {
    let mut next: Option<Vec<usize>> = (size <= n).then(|| (0..size).collect());
    std::iter::from_fn(move || {
        let members = next.take()?;
        let set = members.iter().map(|member| node(*member)).collect();
        // The last member that can still move up does, and those after it follow closely.
        let movable = (0..size).rev().find(|place| members[*place] < n - size + place);
        next = movable.map(|place| {
            let mut following = members;
            let first = following[place] + 1;
            for (offset, member) in following[place..].iter_mut().enumerate() {
                *member = first + offset;
            }
            following
        });
        Some(set)
    })
}

fn node(index: usize) -> NodeId {
    NodeId(u8::try_from(index).expect("a set holds at most 64 nodes"))
}

fn binomial(n: usize, k: usize) -> u128 {
    (0..k.min(n - k)).fold(1, |product, step| product * (n - step) as u128 / (step as u128 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_resilience(system: &QuorumSystem, expected: (usize, usize)) {
        assert_eq!(resilience(system), [Some(expected.0), Some(expected.1)], "{system:?}");
    }

    /// The same family with its quorums listed, so that it takes the other path.
    fn listed(family: &Family, n: usize) -> Family {
        Family::of_sets(minimal_quorums(family, n, usize::MAX))
    }

    #[test]
    fn the_resilience_of_published_systems_is_found() {
        check_resilience(&QuorumSystem::majority(9), (4, 4));
        check_resilience(&QuorumSystem::counts(8, 5, 4).unwrap(), (3, 4));
        check_resilience(&QuorumSystem::counts(9, 7, 3).unwrap(), (2, 6));
        let pairs = (&[vec![0, 1], vec![2, 3]], &[vec![0, 2], vec![1, 3]]);
        check_resilience(&QuorumSystem::explicit(4, pairs.0, pairs.1).unwrap(), (1, 1));
    }

    #[test]
    fn rows_and_columns_of_a_grid_survive_two_crashes_each() {
        let rows = [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]];
        let columns = [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5, 8]];
        check_resilience(&QuorumSystem::explicit(9, &rows, &columns).unwrap(), (2, 2));
    }

    #[test]
    fn a_family_with_an_indispensable_member_survives_no_crash() {
        let star = QuorumSystem::explicit(4, &[vec![0, 1], vec![0, 2]], &[vec![0]]).unwrap();
        check_resilience(&star, (0, 0));
    }

    /// The definition: after so many crashes, whichever they are, a phase 1 ends whatever was announced.
    #[test]
    fn a_phase_1_per_ballot_survives_until_an_announced_quorum_is_gone() {
        for n in 1..=6 {
            let all = NodeSet::all(n);
            for q2 in 1..=n {
                let system = QuorumSystem::per_ballot(n, q2).unwrap();
                let announced = minimal_quorums(system.phase2(), n, usize::MAX);
                let survives = |crashes: usize| {
                    minimal_quorums(&Family::of_size(crashes), n, usize::MAX).into_iter().all(
                        |set| {
                            let up = all.difference(set);
                            announced.iter().all(|quorum| system.is_phase1_over(up, [*quorum]))
                        },
                    )
                };
                let most = (0..=n).rev().find(|crashes| survives(*crashes));
                assert_eq!(resilience(&system), [most, Some(0)], "{q2} of {n}");
            }
        }
    }

    #[test]
    fn the_closed_form_and_the_enumeration_agree() {
        for n in 1..=7 {
            for size in 1..=n {
                let count = Family::of_size(size);
                let by_trying = family_resilience(&listed(&count, n), n);
                assert_eq!(family_resilience(&count, n), by_trying);
                assert_eq!(minimal_count(&count, n), minimal_count(&listed(&count, n), n));
            }
        }
    }

    #[test]
    fn families_of_64_acceptors_have_a_resilience() {
        let sets = Family::of_sets(vec![NodeSet::all(3), NodeSet::from_mask(1 << 63)]);
        assert_eq!(family_resilience(&sets, 64), Some(1));
        assert_eq!(family_resilience(&Family::of_size(3), 64), Some(61));
    }

    #[test]
    fn minimal_quorums_leave_out_supersets_and_repetitions() {
        let sets = [0b0011, 0b0111, 0b1100, 0b0011].map(NodeSet::from_mask).to_vec();
        let minimal = [0b0011, 0b1100].map(NodeSet::from_mask);
        assert_eq!(minimal_quorums(&Family::of_sets(sets), 4, 10), minimal);
    }

    #[test]
    fn minimal_quorums_of_a_size_are_all_sets_of_that_size_once() {
        let texts: Vec<String> =
            minimal_quorums(&Family::of_size(2), 3, 10).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["{0, 1}", "{0, 2}", "{1, 2}"]);
        assert_eq!(minimal_quorums(&Family::of_size(4), 9, 1000).len(), 126);
        assert_eq!(minimal_quorums(&Family::of_size(4), 64, 5).len(), 5);
        assert_eq!(minimal_count(&Family::of_size(32), 64), Some(1_832_624_140_942_590_534));
    }
}

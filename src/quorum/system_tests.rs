//! Every family against its definition: all sets of acceptors, tried one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::analysis::{minimal_count, minimal_quorums, resilience};
use super::*;

/// Every family of the published table, with what was computed for it by enumeration.
#[test]
fn published_systems_have_their_sizes_resilience_and_load() {
    let groups = [0b111, 0b111_000, 0b111_000_000].map(NodeSet::from_mask);
    let share = |groups, members| Share { groups: Some(groups), members: Some(members) };
    let grid = QuorumSystem::grid(9, [3, 3], [Line::Row, Line::Column]);
    let hierarchy = QuorumSystem::groups(9, &groups, [Share::default(); 2]);
    let wpaxos = QuorumSystem::groups(9, &groups, [share(3, 2), share(1, 2)]);
    let weighted = QuorumSystem::weighted(&[3, 2, 2, 1, 1], [7, 3]);
    let wall = QuorumSystem::wall(9, &[1, 2, 3, 3]);
    let table = [
        (QuorumSystem::majority(9), [(5, 5), (5, 5)], [4, 4], Some(0.556)),
        (QuorumSystem::counts(8, 5, 4).unwrap(), [(5, 5), (4, 4)], [3, 4], Some(0.5)),
        (QuorumSystem::counts(9, 7, 3).unwrap(), [(7, 7), (3, 3)], [2, 6], Some(0.333)),
        (grid.unwrap(), [(3, 3), (3, 3)], [2, 2], Some(0.333)),
        (hierarchy.unwrap(), [(4, 4), (4, 4)], [3, 3], Some(0.444)),
        (wpaxos.unwrap(), [(6, 6), (2, 2)], [1, 5], Some(0.222)),
        (weighted.unwrap(), [(3, 4), (1, 2)], [0, 2], None),
        (wall.unwrap(), [(3, 4), (3, 4)], [2, 2], Some(0.429)),
    ];
    for (system, sizes, survived, load) in table {
        let found = [system.phase1(), system.phase2()].map(|it| it.sizes().into_inner());
        assert_eq!(found, sizes, "{system:?}");
        assert_eq!(resilience(&system), survived.map(Some), "{system:?}");
        assert_eq!(system.disjoint(), None, "{system:?}");
        if let Some(load) = load {
            let found = Load::new(system.phase2(), system.n()).unwrap().load;
            assert!((found - load).abs() < 6e-4, "{found}: {system:?}");
        }
    }
}

/// All sets of `n` acceptors.
fn all_sets(n: usize) -> impl Iterator<Item = NodeSet> {
    (0..1_u64 << n).map(NodeSet::from_mask)
}

fn minimal_by_trying(n: usize, contains: impl Fn(NodeSet) -> bool) -> Vec<NodeSet> {
    let is_minimal =
        |set: &NodeSet| contains(*set) && set.iter().all(|node| !contains(set.without(node)));
    all_sets(n).filter(is_minimal).collect()
}

/// Everything that is said of a system, against its two predicates alone.
fn check(system: &QuorumSystem, [phase1, phase2]: [&dyn Fn(NodeSet) -> bool; 2]) {
    let n = system.n();
    let all = NodeSet::all(n);
    for set in all_sets(n) {
        assert_eq!(system.is_phase1(set), phase1(set), "{set} in phase 1 of {system:?}");
        assert_eq!(system.is_phase2(set), phase2(set), "{set} in phase 2 of {system:?}");
    }
    let is_unsafe = all_sets(n).any(|set| phase1(set) && phase2(all.difference(set)));
    match system.disjoint() {
        None => assert!(!is_unsafe && system.proof().is_some(), "{system:?}"),
        Some(Disjoint { phase1: one, phase2: other }) => {
            assert!(is_unsafe && system.proof().is_none(), "{system:?}");
            assert!(one.intersection(other).is_empty());
            assert!(phase1(one) && phase2(other), "{one} {other} of {system:?}");
        }
    }
    let mut voters = NodeSet::EMPTY;
    for (index, family) in [system.phase1(), system.phase2()].into_iter().enumerate() {
        voters = voters.union(check_family(family, n));
        let least = all_sets(n).filter(|down| !family.contains(all.difference(*down)));
        let least = least.map(NodeSet::len).min().map(|hitting| hitting - 1);
        assert_eq!(resilience(system)[index], least, "{system:?}");
    }
    assert_eq!(system.voters(), voters, "{system:?}");
    assert_eq!(system.split().disjoint().is_some(), n > 1, "{system:?}");
}

/// What is said of a family by itself; returns who votes.
fn check_family(family: &Family, n: usize) -> NodeSet {
    let all = NodeSet::all(n);
    let expected = minimal_by_trying(n, |set| family.contains(set));
    let mut minimal = minimal_quorums(family, n, usize::MAX);
    minimal.sort_unstable();
    assert_eq!(minimal, expected, "{family}");
    assert_eq!(minimal_count(family, n), Some(expected.len() as u128), "{family}");
    let sizes = || expected.iter().map(|set| set.len());
    assert_eq!(Some(family.min_size()), sizes().min(), "{family}");
    if matches!(family.0, family::Kind::Gate(_)) {
        assert_eq!(Some(*family.sizes().end()), sizes().max(), "{family}");
    }
    let dual = family.dual(n);
    let at = |node: NodeId| [5, 3, 8, 1, 9, 2, 7][usize::from(node.0)];
    let mut order: Vec<NodeId> = all.iter().collect();
    order.sort_by_key(|node| at(*node));
    for set in all_sets(n) {
        let meets_all = expected.iter().all(|quorum| !quorum.intersection(set).is_empty());
        assert_eq!(dual.contains(set), meets_all, "{set} in the dual of {family}");
        let within = |quorum: &&NodeSet| quorum.is_subset(set);
        let last = |quorum: &NodeSet| quorum.iter().map(at).max();
        let complete = expected.iter().filter(within).filter_map(last).min();
        assert_eq!(family.complete_at(set, at), complete, "{family} in {set}");
        let among: Vec<NodeId> = order.iter().copied().filter(|it| set.contains(*it)).collect();
        let first = family.first_in(&among);
        assert_eq!(first.and_then(|quorum| last(&quorum)), complete, "{family} in {set}");
        for found in [first, family.some_quorum_within(set)] {
            assert_eq!(found.is_some(), family.contains(set), "{family} in {set}");
            let is_listed = matches!(family.0, family::Kind::Sets(_));
            assert!(
                found.is_none_or(|it| is_listed || expected.contains(&it)),
                "{family} in {set}"
            );
        }
    }
    expected.into_iter().fold(NodeSet::EMPTY, NodeSet::union)
}

/// Systems that are refused for what they are have no quorums to look at.
fn check_if_any(system: Result<QuorumSystem, Error>, phases: [&dyn Fn(NodeSet) -> bool; 2]) {
    if let Ok(system) = system {
        check(&system, phases);
    }
}

#[test]
fn grids_are_what_their_lines_say() {
    let all = [Line::Row, Line::Column, Line::OneOfEachRow, Line::OneOfEachColumn];
    let holds = |line: Line, columns: usize, n: usize, set: NodeSet| {
        let count = |of: &dyn Fn(usize) -> usize, index: usize| {
            let line: NodeSet =
                all_nodes(n).filter(|node| of(usize::from(node.0)) == index).collect();
            (line.intersection(set).len(), line.len())
        };
        let row = |index| count(&|node| node / columns, index);
        let column = |index| count(&|node| node % columns, index);
        match line {
            Line::Row => (0..n / columns).any(|index| row(index).0 == row(index).1),
            Line::Column => (0..columns).any(|index| column(index).0 == column(index).1),
            Line::OneOfEachRow => (0..n / columns).all(|index| row(index).0 > 0),
            Line::OneOfEachColumn => (0..columns).all(|index| column(index).0 > 0),
        }
    };
    for [rows, columns] in [[1, 1], [1, 3], [2, 2], [2, 3], [3, 2], [6, 1]] {
        let n = rows * columns;
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |it| (*one, *it))) {
            let system = QuorumSystem::grid(n, [rows, columns], [one, other]).unwrap();
            let phases: [&dyn Fn(NodeSet) -> bool; 2] =
                [&|set| holds(one, columns, n, set), &|set| holds(other, columns, n, set)];
            check(&system, phases);
        }
    }
}

fn all_nodes(n: usize) -> impl Iterator<Item = NodeId> {
    NodeSet::all(n).iter()
}

#[test]
fn groups_are_thresholds_of_thresholds() {
    for masks in [&[0b11, 0b1100][..], &[0b101, 0b1010, 0b11_0000], &[0b111, 0b11_1000], &[0b1]] {
        let groups: Vec<NodeSet> = masks.iter().copied().map(NodeSet::from_mask).collect();
        let n = groups.iter().map(|group| group.len()).sum();
        let holds = |set: NodeSet, a: usize, b: usize| {
            groups.iter().filter(|group| group.intersection(set).len() >= b).count() >= a
        };
        let (g, m) = (groups.len(), groups[0].len());
        for (a1, b1) in (1..=g).flat_map(|a| (1..=m).map(move |b| (a, b))) {
            for (a2, b2) in (1..=g).flat_map(|a| (1..=m).map(move |b| (a, b))) {
                let share = |a, b| Share { groups: Some(a), members: Some(b) };
                let system = QuorumSystem::groups(n, &groups, [share(a1, b1), share(a2, b2)]);
                let system = system.unwrap();
                check(&system, [&|set| holds(set, a1, b1), &|set| holds(set, a2, b2)]);
                // The condition by parameters.
                let is_safe = a1 + a2 > g && b1 + b2 > m;
                assert_eq!(system.disjoint().is_none(), is_safe, "{system:?}");
            }
        }
    }
}

/// A binary tree from `root` on: its root and a quorum of one subtree, or quorums of both.
fn tree(root: u8, n: u8, set: NodeSet) -> bool {
    let is_in = set.contains(NodeId(root));
    let below = |child| tree(2 * root + child, n, set);
    if 2 * root + 2 >= n {
        return is_in;
    }
    (is_in && (below(1) || below(2))) || (below(1) && below(2))
}

#[test]
fn walls_trees_and_hierarchies_are_what_the_papers_say() {
    let rows = [0b1, 0b110, 0b11_1000].map(NodeSet::from_mask);
    let wall = |set: NodeSet| {
        (0..3).any(|top| {
            rows[top].is_subset(set)
                && rows[top + 1..].iter().all(|row| !row.intersection(set).is_empty())
        })
    };
    check(&QuorumSystem::wall(6, &[1, 2, 3]).unwrap(), [&wall, &wall]);
    for n in [1, 3, 5, 7] {
        let holds = |set| tree(0, n, set);
        check(&QuorumSystem::tree(usize::from(n), 2).unwrap(), [&holds, &holds]);
    }
    // ZooKeeper: the weights of the groups are 3, 4 and 0.
    let groups = [0b11, 0b1100, 0b1_0000].map(NodeSet::from_mask);
    let weights = [2, 1, 2, 2, 0];
    let of = |set: NodeSet| -> u32 { set.iter().map(|node| weights[usize::from(node.0)]).sum() };
    let holds = |set: NodeSet| {
        let is_met = |group: &&NodeSet| of(group.intersection(set)) * 2 > of(**group);
        groups.iter().filter(is_met).count() == 2
    };
    let system = QuorumSystem::hierarchical(&groups, &weights).unwrap();
    check(&system, [&holds, &holds]);
    assert_eq!(system.voters(), NodeSet::from_mask(0b1101), "a member that is never needed");
}

#[test]
fn even_clusters_may_have_a_smaller_phase_two() {
    let sizes = |q1, q2| QuorumSystem::counts(6, q1, q2).unwrap();
    assert_eq!(sizes(4, 4).disjoint(), None);
    assert_eq!(sizes(4, 3).disjoint(), None);
    assert!(sizes(3, 3).disjoint().is_some());
}

#[test]
fn disjoint_quorums_are_named_in_the_words_of_their_system() {
    let named = |system: QuorumSystem| {
        let Disjoint { phase1, phase2 } = system.disjoint().unwrap();
        let describe =
            |set| system.layout().describe(system.n(), set, &|node: NodeId| node.to_string());
        format!("{} | {}", describe(phase1), describe(phase2))
    };
    let rows = QuorumSystem::grid(6, [2, 3], [Line::Row, Line::Row]).unwrap();
    assert_eq!(named(rows), "row 1 {r0, r1, r2} | row 2 {r3, r4, r5}");
    let groups = [0b111, 0b111_000].map(NodeSet::from_mask);
    let share = |members| Share { groups: Some(2), members: Some(members) };
    let halves = QuorumSystem::groups(6, &groups, [share(1), share(2)]).unwrap();
    let found = named(halves);
    assert!(found.contains("1 of group 1 {") && found.contains("| 2 of group 1 {"), "{found}");
    let weights = QuorumSystem::weighted(&[3, 2, 2, 1, 1], [5, 4]).unwrap();
    assert!(named(weights).contains("of weight 5 | {"));
}

#[test]
fn proofs_say_which_sums_are_large_enough() {
    let since = |system: QuorumSystem| system.proof().unwrap().safe;
    let groups = [0b111, 0b111_000, 0b111_000_000].map(NodeSet::from_mask);
    let halves = QuorumSystem::groups(9, &groups, [Share::default(); 2]).unwrap();
    assert!(since(halves).contains("2 + 2 > 3 of the parts, and 2 + 2 > 3 within each"));
    let weighted = QuorumSystem::weighted(&[3, 2, 2, 1, 1], [7, 3]).unwrap();
    assert!(since(weighted).ends_with("since 7 + 3 > 9"));
    let dual = QuorumSystem::dual(4, Family::of_gate(Gate::choose(2, NodeSet::all(3)), 4)).unwrap();
    assert!(since(dual).contains("2 + 2 > 3"));
    // 5 + 6 is not more than 12, and yet no replicas weigh 5 and leave 6.
    let odd = QuorumSystem::weighted(&[4, 4, 4], [5, 6]).unwrap();
    assert!(since(odd).contains("all were tried"));
}

#[test]
fn parameters_that_are_no_system_are_refused_by_name() {
    let refused = |system: Result<QuorumSystem, Error>| system.unwrap_err().to_string();
    let lines = [Line::Row, Line::Column];
    assert!(refused(QuorumSystem::grid(9, [2, 4], lines)).contains("2 rows of 4 are 8"));
    let groups = [0b11, 0b1100].map(NodeSet::from_mask);
    let share = |groups, members| Share { groups: Some(groups), members: Some(members) };
    let of = |first| refused(QuorumSystem::groups(4, &groups, [first, Share::default()]));
    assert!(of(share(3, 1)).contains("phase1 asks for 3 groups, but there are 2"));
    assert!(of(share(1, 3)).contains("group 1 has 2"));
    let overlap = [0b11, 0b110].map(NodeSet::from_mask);
    assert!(
        refused(QuorumSystem::groups(3, &overlap, [Share::default(); 2])).contains("replica 1")
    );
    assert!(refused(QuorumSystem::groups(3, &[], [Share::default(); 2])).contains("no group"));
    assert!(refused(QuorumSystem::weighted(&[1, 2], [4, 1])).contains("together weigh 3"));
    assert!(refused(QuorumSystem::hierarchical(&groups, &[0; 4])).contains("every weight is 0"));
    assert!(refused(QuorumSystem::wall(4, &[1, 2])).contains("have 3 places"));
    assert!(refused(QuorumSystem::tree(6, 2)).contains("6 replicas are no tree"));
    let never = Family::of_gate(Gate::choose(3, NodeSet::all(2)), 4);
    assert!(refused(QuorumSystem::new(4, never, Family::of_size(4))).contains("could never end"));
}

/// Sums of 40 weights without a pattern are more than can be told apart.
#[test]
fn systems_that_take_too_long_are_refused() {
    let weights: Vec<u32> = (2..42_u64).map(|it| (it.pow(11) % 1_000_003) as u32).collect();
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let half = QuorumSystem::weighted(&weights, [total / 2, total / 2]).unwrap_err();
    assert!(half.to_string().contains("use fewer replicas or smaller weights"), "{half}");
}

#[test]
fn families_of_64_acceptors_are_judged() {
    let zones: Vec<NodeSet> =
        (0..8).map(|zone| (0..8).map(|row| NodeId(8 * row + zone)).collect()).collect();
    let share = |groups, members| Share { groups: Some(groups), members: Some(members) };
    let system = QuorumSystem::groups(64, &zones, [share(6, 5), share(3, 4)]).unwrap();
    assert_eq!(system.disjoint(), None);
    assert_eq!(resilience(&system), [Some(11), Some(29)]);
    assert_eq!(minimal_count(system.phase2(), 64), Some(56 * 70_u128.pow(3)));
    let load = Load::new(system.phase2(), 64).unwrap().load;
    assert!((load - 12.0 / 64.0).abs() < 1e-6, "{load}");
    let broken = QuorumSystem::groups(64, &zones, [share(5, 5), share(3, 4)]).unwrap();
    assert!(broken.disjoint().is_some());
    let grid = QuorumSystem::grid(64, [8, 8], [Line::Row, Line::Column]).unwrap();
    assert_eq!((grid.disjoint(), resilience(&grid)), (None, [Some(7), Some(7)]));
}

fn gates(n: u8) -> impl Strategy<Value = Gate> {
    let leaf = prop_oneof![
        (0..n).prop_map(|node| Gate::node(NodeId(node))),
        (1..=3_u64, 1..1_u64 << n)
            .prop_map(|(count, mask)| Gate::choose(count, NodeSet::from_mask(mask))),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        (1..=5_u64, proptest::collection::vec((0..=3_u32, inner), 1..=4))
            .prop_map(|(threshold, parts)| Gate::weighted(threshold, parts))
    })
}

fn gate_families(n: u8) -> impl Strategy<Value = Family> {
    let all = usize::from(n);
    let nodes: Vec<usize> = (0..all).collect();
    prop_oneof![
        6 => gates(n).prop_map(move |gate| Family::of_gate(gate, all)),
        1 => (1..=all).prop_map(Family::of_size),
        1 => proptest::collection::vec(subsequence(nodes, 1..=all), 1..4).prop_map(|sets| {
            let set = |it: Vec<usize>| it.into_iter().map(|id| NodeId(u8::try_from(id).unwrap()));
            Family::of_sets(sets.into_iter().map(|it| set(it).collect()).collect())
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn systems_of_any_two_families_are_judged_as_by_enumeration(
        (n, one, other) in (1..=6_u8).prop_flat_map(|n| (Just(n), gate_families(n), gate_families(n)))
    ) {
        let holds = [one.clone(), other.clone()];
        let phases: [&dyn Fn(NodeSet) -> bool; 2] =
            [&|set| holds[0].contains(set), &|set| holds[1].contains(set)];
        check_if_any(QuorumSystem::new(usize::from(n), one, other), phases);
    }

    #[test]
    fn weighted_systems_are_judged_as_by_enumeration(
        (weights, one, other) in proptest::collection::vec(0..5_u32, 1..=6)
            .prop_flat_map(|weights| {
                let total = u64::from(weights.iter().sum::<u32>()).max(1);
                (Just(weights), 1..=total, 1..=total)
            })
    ) {
        let weight = |set: NodeSet| -> u64 {
            set.iter().map(|node| u64::from(weights[usize::from(node.0)])).sum()
        };
        let phases: [&dyn Fn(NodeSet) -> bool; 2] =
            [&|set| weight(set) >= one, &|set| weight(set) >= other];
        check_if_any(QuorumSystem::weighted(&weights, [one, other]), phases);
    }
}

/// An expression of ours and the same one of the crate `quoracle`.
#[derive(Clone, Debug)]
enum Twin {
    Node(u8),
    Choose(usize, Vec<Twin>),
}

impl Twin {
    fn gate(&self) -> Gate {
        match self {
            Self::Node(node) => Gate::node(NodeId(*node)),
            Self::Choose(count, parts) => Gate::of(*count as u64, parts.iter().map(Self::gate)),
        }
    }

    fn theirs(&self) -> quoracle::Expr<u8> {
        match self {
            Self::Node(node) => {
                let latency = Duration::from_millis(LATENCIES_MS[usize::from(*node)]);
                quoracle::Node::new(*node).with_latency(latency).into()
            }
            Self::Choose(count, parts) => {
                quoracle::choose(*count, parts.iter().map(Self::theirs).collect()).unwrap()
            }
        }
    }
}

const LATENCIES_MS: [u64; 5] = [5, 3, 8, 1, 2];

fn twins() -> impl Strategy<Value = Twin> {
    (0..5_u8).prop_map(Twin::Node).prop_recursive(2, 8, 3, |inner| {
        proptest::collection::vec(inner, 1..=3).prop_flat_map(|parts| {
            (1..=parts.len(), Just(parts)).prop_map(|(count, parts)| Twin::Choose(count, parts))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn expressions_are_worth_what_others_compute(twin in twins()) {
        use quoracle::{Distribution, Objective, QuorumSystem as Theirs, StrategyLimits};
        let family = Family::of_gate(twin.gate(), 5);
        let theirs = Theirs::from_writes(twin.theirs());
        let sets: BTreeMap<NodeSet, bool> =
            all_sets(5).map(|set| (set, family.contains(set))).collect();
        for (set, is_in) in sets {
            let members = set.iter().map(|node| node.0).collect();
            prop_assert_eq!(theirs.is_write_quorum(&members), is_in);
        }
        let survived = Diagram::new(&family, 5).and_then(|it| it.fewest_missing()).unwrap() - 1;
        prop_assert_eq!(theirs.write_resilience(), survived);
        let writes = Distribution::fixed(0.0).unwrap();
        let none = &StrategyLimits::default();
        let best = theirs.strategy(Objective::Load, Some(&writes), None, none, 0).unwrap();
        let load = best.load(Some(&writes), None).unwrap();
        let ours = Load::new(&family, 5).unwrap().load;
        prop_assert!((load - ours).abs() < 1e-6, "{} {}", load, ours);
        let fastest = theirs.strategy(Objective::Latency, Some(&writes), None, none, 0).unwrap();
        let latency = fastest.latency(Some(&writes), None).unwrap();
        let at = |node: NodeId| LATENCIES_MS[usize::from(node.0)];
        let ours = family.complete_at(NodeSet::all(5), at).unwrap();
        prop_assert_eq!(latency, Duration::from_millis(ours));
    }
}

//! Fronts against exhaustive search: every placement, leader and system, each judged by the closed forms
//! that plan an experiment, and the front by its definition.

mod pruning;

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::families::systems;
use super::objective::{Costs, Key, NEVER};
use super::*;
use crate::protocol::SendPolicy;
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::topology::{Jitter, Links, Profile, median_floor, multi_floor, phase1_span_among};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A made-up table in which many round trips are equal, asymmetric and no metric.
fn random_profile(seed: u64, regions: usize) -> Profile {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut csv = "from,to,rtt_ms\n".to_owned();
    for from in 0..regions {
        for to in (0..regions).filter(|to| *to != from) {
            writeln!(csv, "r-{from},r-{to},{}", random.random_range(0..12) * 10).unwrap();
        }
        writeln!(csv, "r-{from},r-{from},{}", random.random_range(1..3)).unwrap();
    }
    Profile::from_csv("t.csv", &csv).unwrap()
}

fn led() -> Proposers {
    Proposers::of("multi", SendPolicy::All).unwrap()
}

fn search_of<'a>(space: &'a Space, objectives: &[Objective], families: &[Family]) -> Search<'a> {
    let rules = Rules { objectives: objectives.to_vec(), limits: Vec::new() };
    Search { space, rules, families: families.to_vec(), proposers: led() }
}

/// A value of a front and how many points have it.
type Values = Vec<(Key, u64)>;

fn values(search: &Search<'_>) -> Values {
    let found = search.run(&|_, _| false).unwrap();
    found.rows.iter().map(|row| (search.rules.key(&row.costs), row.count)).collect()
}

/// The definition of the front: what comes earlier in this order may beat what comes later, and not the
/// other way round.
fn front(mut points: Vec<Key>) -> Values {
    points.sort_unstable();
    let beats = |a: &Key, b: &Key| a.iter().zip(b).all(|(one, other)| one <= other);
    let mut values: Values = Vec::new();
    for point in points {
        let equal = values.iter_mut().find(|(value, _)| *value == point);
        if let Some((_, count)) = equal {
            *count += 1;
        } else if !values.iter().any(|(value, _)| beats(value, &point)) {
            values.push((point, 1));
        }
    }
    values
}

/// The costs of every point.
fn exhaustive(search: &Search<'_>) -> Vec<Costs> {
    let space = search.space;
    let mut points = Vec::new();
    for size in space.sizes() {
        let systems = systems(&search.families, &space.replica_sets(*size)).unwrap();
        let quorums: Vec<QuorumSystem> =
            systems.iter().map(|system| system.described.system().unwrap()).collect();
        let mut each = |chosen: &[usize]| {
            let copies = |region: &usize| std::iter::repeat_n(*region, space.copies(*region));
            let nodes: Vec<usize> = chosen.iter().flat_map(copies).collect();
            let in_order = space.links(&nodes, Jitter::None).unwrap();
            for (system, quorums) in systems.iter().zip(&quorums) {
                let order = || system.described.order.iter().map(|node| usize::from(*node));
                let arranged = (!order().eq(0..nodes.len())).then(|| {
                    let replicas: Vec<usize> = order().map(|node| nodes[node]).collect();
                    space.links(&replicas, Jitter::None).unwrap()
                });
                let mut fixed = system.costs;
                fixed[Objective::Messages.place()] = search.messages(system);
                points.extend(judged(
                    search,
                    arranged.as_ref().unwrap_or(&in_order),
                    quorums,
                    fixed,
                ));
            }
        };
        let mut chosen: Vec<usize> = (0..space.fixed()).collect();
        let m = space.regions().len();
        general::placements(m, *size, &mut chosen, space.fixed(), &mut each);
    }
    points
}

/// Asserts that a search finds the front of all these points.
#[track_caller]
fn check(search: &Search<'_>, points: &[Costs]) -> Values {
    let found = values(search);
    assert_eq!(found, expected(search, points), "{:?}", search.rules);
    found
}

/// The front of all these points by its definition.
fn expected(search: &Search<'_>, points: &[Costs]) -> Values {
    let admitted = points.iter().filter(|costs| search.rules.admit(costs));
    front(admitted.map(|costs| search.rules.key(costs)).collect())
}

/// The costs of every leader, or of one proposer for each client, by the closed forms over links.
fn judged(search: &Search<'_>, links: &Links, system: &QuorumSystem, fixed: Costs) -> Vec<Costs> {
    let space = search.space;
    let clients = 0..space.client_regions().len();
    let all: NodeSet = links.replicas().collect();
    let mut regions: Vec<NodeSet> = Vec::new();
    for region in space.regions() {
        let is_in = |node: &NodeId| links.replica_regions[usize::from(node.0)] == *region;
        let set: NodeSet = links.replicas().filter(is_in).collect();
        regions.extend((!set.is_empty()).then_some(set));
    }
    if !search.proposers.are_led {
        let mut costs = fixed;
        let phases = [system.phase1(), system.phase2()];
        let lengths: Vec<u64> =
            clients.map(|client| median_floor(links, None, &phases, client).0).collect();
        costs[Objective::Commit.place()] = space.mean(&lengths);
        costs[Objective::AfterLoss.place()] =
            regions.iter().map(|lost| after_loss(search, links, system, *lost)).max().unwrap();
        return vec![costs];
    }
    let mut takeover = [0; 3];
    for lost in &regions {
        let live = all.difference(*lost);
        let spans: Vec<u64> = live
            .iter()
            .map(|node| phase1_span_among(links, system, node, live, &[]).map_or(NEVER, |it| it.0))
            .collect();
        let is_over = !spans.is_empty() && !spans.contains(&NEVER);
        let count = spans.len() as u64;
        let here = if is_over {
            let mean = (spans.iter().sum::<u64>() * 2 + count) / (2 * count);
            [*spans.iter().max().unwrap(), mean, *spans.iter().min().unwrap()]
        } else {
            [NEVER; 3]
        };
        (0..3).for_each(|which| takeover[which] = takeover[which].max(here[which]));
    }
    let of = |leader: NodeId| {
        let mut costs = fixed;
        let lengths: Vec<u64> =
            clients.clone().map(|client| multi_floor(links, system, leader, client).0).collect();
        costs[Objective::Commit.place()] = space.mean(&lengths);
        let percentile = |share| general::quantile(&lengths, space.weights(), share);
        costs[Objective::P50.place()] = percentile(0.5);
        costs[Objective::P99.place()] = percentile(0.99);
        counting::set_takeover(&mut costs, takeover);
        costs
    };
    links.replicas().map(of).collect()
}

/// The commit latency of clients that ask the nearest of the survivors.
fn after_loss(search: &Search<'_>, links: &Links, system: &QuorumSystem, lost: NodeSet) -> u64 {
    use crate::topology::{Site, quorum_span_among};
    let live = links.replicas().collect::<NodeSet>().difference(lost);
    let of = |client: usize| {
        let to = |node: NodeId| links.round_trip(Site::Client(client), Site::Replica(node));
        let nearest = live.iter().min_by_key(|node| (to(*node), *node))?;
        let [first, second] = [system.phase1(), system.phase2()]
            .map(|family| quorum_span_among(links, nearest, family, live));
        Some((to(nearest) + first? + second?).0)
    };
    let lengths: Option<Vec<u64>> = (0..search.space.client_regions().len()).map(of).collect();
    lengths.map_or(NEVER, |lengths| search.space.mean(&lengths))
}

fn any(sizes: &[usize], of: &[String], must: &[String]) -> Choice {
    Choice::Any { sizes: sizes.to_vec(), of: of.to_vec(), must: must.to_vec(), each: 1 }
}

fn space(profile: &Profile, choice: &Choice, clients: &[(&str, f64)]) -> Space {
    let clients: Vec<(String, f64)> =
        clients.iter().map(|(region, weight)| ((*region).to_owned(), *weight)).collect();
    Space::new(profile, choice, &clients, Jitter::None).unwrap()
}

const COMMIT_TAKEOVER: [Objective; 2] = [Objective::Commit, Objective::Takeover];

/// The clients of the search over all regions of Azure, and twelve regions for it.
const EIGHT: [&str; 8] = [
    "eastus",
    "westus2",
    "northeurope",
    "westeurope",
    "japaneast",
    "southeastasia",
    "brazilsouth",
    "australiaeast",
];
const TWELVE: [&str; 12] = [
    "eastus",
    "westus2",
    "centralus",
    "northeurope",
    "westeurope",
    "uksouth",
    "japaneast",
    "koreacentral",
    "southeastasia",
    "centralindia",
    "brazilsouth",
    "australiaeast",
];

#[test]
fn twelve_azure_regions_have_the_front_of_exhaustive_search() {
    let profile = Profile::load("azure-2026-07").unwrap();
    let clients = EIGHT.map(|region| (region, 1.0));
    let space = space(&profile, &any(&[5], &names(&TWELVE), &[]), &clients);
    let mut search = search_of(&space, &COMMIT_TAKEOVER, &[Family::Counts]);
    let points = exhaustive(&search);
    assert_eq!(points.len(), 792 * 25);
    assert!(check(&search, &points).len() > 4);
    search.rules.objectives =
        vec![Objective::Commit, Objective::TakeoverMean, Objective::TakeoverBest];
    assert!(check(&search, &points).len() > 4);
}

/// Many round trips are equal here, so that a bound which prunes equals would lose some.
#[test]
fn fronts_by_size_are_those_of_exhaustive_search() {
    for seed in 0..8 {
        let profile = random_profile(seed, 8);
        let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
        let must = if seed % 3 == 0 { names(&["r-5"]) } else { Vec::new() };
        let sizes: &[usize] =
            [&[3][..], &[4], &[2, 5], &[1, 6]][usize::try_from(seed).unwrap() % 4];
        let space = space(&profile, &any(sizes, &all, &must), &[("r-0", 1.0), ("r-7", 2.5)]);
        let mut search = search_of(&space, &COMMIT_TAKEOVER, &[Family::Counts, Family::Majority]);
        search.proposers.send = SendPolicy::Quorum;
        let points = exhaustive(&search);
        let resilient =
            [Objective::Takeover, Objective::Phase2Nodes, Objective::Commit, Objective::Messages];
        for objectives in [
            &COMMIT_TAKEOVER[..],
            &[Objective::Commit, Objective::TakeoverMean],
            &[Objective::TakeoverBest, Objective::Commit],
            &[Objective::Takeover],
            &resilient,
        ] {
            search.rules = Rules { objectives: objectives.to_vec(), limits: Vec::new() };
            check(&search, &points);
            let (objective, limit) = (Objective::Commit, 60_000_000);
            search.rules.limits.push(Limit { objective, most: limit });
            search.rules.limits.push(Limit {
                objective: Objective::Phase1Regions,
                most: Objective::Phase1Regions.cost(1.0),
            });
            check(&search, &points);
        }
    }
}

#[test]
fn fronts_of_every_family_are_those_of_exhaustive_search() {
    for (seed, families, size) in [
        (1, &Family::ALL[..], 3),
        (2, &[Family::Explicit, Family::Wall, Family::Tree], 4),
        (3, &[Family::Grid, Family::Groups, Family::Counts], 4),
        (4, &[Family::Grid, Family::Groups], 6),
        (5, &[Family::Wall, Family::Tree, Family::Majority], 5),
    ] {
        let profile = random_profile(seed, size + 1);
        let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
        let space = space(&profile, &any(&[size], &all, &[]), &[("r-0", 1.0), ("r-2", 0.5)]);
        let mut search = search_of(&space, &COMMIT_TAKEOVER, families);
        let points = exhaustive(&search);
        for objectives in [
            &COMMIT_TAKEOVER[..],
            &[Objective::Commit, Objective::Phase1Nodes, Objective::TakeoverMean],
            &[Objective::P50, Objective::P99, Objective::TakeoverBest],
        ] {
            search.rules = Rules { objectives: objectives.to_vec(), limits: Vec::new() };
            check(&search, &points);
            search.rules.limits.push(Limit { objective: Objective::Commit, most: 70_000_000 });
            check(&search, &points);
        }
    }
}

#[test]
fn fronts_without_a_leader_are_those_of_exhaustive_search() {
    for seed in 20..26 {
        let profile = random_profile(seed, 6);
        let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
        let clients = [("r-0", 1.0), ("r-3", 2.0), ("r-5", 1.0)];
        let space = space(&profile, &any(&[3, 4], &all, &[]), &clients);
        let objectives = [Objective::Commit, Objective::AfterLoss];
        let families = [Family::Counts, Family::Wall, Family::Groups];
        let mut search =
            search_of(&space, &objectives, &families[..if seed % 2 == 0 { 1 } else { 2 }]);
        search.proposers = Proposers::of("classic", SendPolicy::All).unwrap();
        assert!(!search.proposers.are_led);
        check(&search, &exhaustive(&search));
    }
}

#[test]
fn several_replicas_in_a_region_are_lost_together() {
    let profile = random_profile(7, 5);
    let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
    let choice = Choice::Any { sizes: vec![3], of: all, must: Vec::new(), each: 2 };
    let clients = [("r-0".to_owned(), 1.0), ("r-4".to_owned(), 1.0)];
    let of_two = Space::new(&profile, &choice, &clients, Jitter::None).unwrap();
    let these = Choice::These(names(&["r-1", "r-2", "r-1", "r-3"]));
    let listed = Space::new(&profile, &these, &clients, Jitter::None).unwrap();
    for space in [&of_two, &listed] {
        let objectives = [Objective::Commit, Objective::Takeover, Objective::Phase1Regions];
        let search = search_of(space, &objectives, &[Family::Counts, Family::Groups]);
        let found = search.run(&|_, _| false).unwrap();
        check(&search, &exhaustive(&search));
        let resilience =
            |row: &Row| [row.value(Objective::Phase2Nodes), row.value(Objective::Phase2Regions)];
        assert!(found.rows.iter().any(|row| resilience(row)[0] > resilience(row)[1]));
    }
}

/// Points of equal value are counted with every leader and every system.
#[test]
fn every_pair_of_leader_and_system_is_counted() {
    let profile = random_profile(3, 7);
    let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
    let space = space(&profile, &any(&[3], &all, &[]), &[("r-0", 1.0)]);
    let mut search = search_of(&space, &[Objective::Messages], &[Family::Counts]);
    let found = search.run(&|_, _| false).unwrap();
    assert_eq!((found.placements, found.points), (35, 35 * 9));
    // All of them are equal by the messages that a leader which asks everybody sends.
    assert_eq!((found.rows.len(), found.rows[0].count), (1, 35 * 9));
    search.rules.objectives = vec![Objective::Phase1Nodes];
    let found = search.run(&|_, _| false).unwrap();
    assert_eq!((found.rows.len(), found.rows[0].count), (1, 35 * 3));
}

/// By messages alone many points are equal, and the one that survives most losses stands for them.
#[test]
fn the_most_resilient_of_equal_points_is_shown() {
    let profile = random_profile(3, 6);
    let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
    let space = space(&profile, &any(&[5], &all, &[]), &[("r-0", 1.0)]);
    let search = search_of(&space, &[Objective::Messages], &[Family::Counts, Family::Explicit]);
    let found = search.run(&|_, _| false).unwrap();
    let row = &found.rows[0];
    assert!(found.rows.len() == 1 && row.count > 10_000, "{}", row.count);
    let nodes = [Objective::Phase1Nodes, Objective::Phase2Nodes].map(|it| row.value(it));
    assert_eq!((nodes, row.described.to_string()), ([2.0, 2.0], "counts 3/3".to_owned()));
    // Among those, the least commit latency.
    let least = exhaustive(&search_of(&space, &[Objective::Messages], &[Family::Majority]));
    let least = least.iter().map(|costs| costs[Objective::Commit.place()]).min();
    assert_eq!(Some(row.costs[Objective::Commit.place()]), least);
}

#[test]
fn percentiles_of_jittered_links_are_exact_where_bounds_spare_most() {
    let space = jittered();
    let search = search_of(&space, &[Objective::P99, Objective::Takeover], &[Family::Counts]);
    let found = values(&search);
    let points = every_percentile(&search);
    assert_eq!(points.len(), 10 * 3 * 3);
    assert!(found.len() > 1);
    let expected = front(points);
    assert_eq!(found, expected);
    // The negative control: bounds that are too high lose points.
    assert_ne!(pruning::by_percentiles(&search, 100_000_000), expected);
}

/// Any three of five regions whose links vary.
fn jittered() -> Space {
    let profile = Profile::load("aws-2024-04").unwrap();
    let of = names(&["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ca-central-1"]);
    let clients = [("us-east-1".to_owned(), 2.0), ("eu-west-1".to_owned(), 1.0)];
    Space::new(&profile, &any(&[3], &of, &[]), &clients, Jitter::Profile).unwrap()
}

/// The values of every point of three regions of five, each computed.
fn every_percentile(search: &Search<'_>) -> Vec<Key> {
    let systems = systems(&search.families, &search.space.replica_sets(3)).unwrap();
    let mut points = Vec::new();
    let mut each = |chosen: &[usize]| {
        for (place, system) in systems.iter().enumerate() {
            for leader in 0..3 {
                let point = front::Candidate {
                    rest: [0; 8],
                    size: 0,
                    system: place,
                    regions: chosen.iter().map(|region| counting::byte(*region)).collect(),
                    leader: Some(leader),
                };
                points.push(search.rules.key(&row::exact(search, &point, system).unwrap()));
            }
        }
    };
    general::placements(5, 3, &mut Vec::new(), 0, &mut each);
    points
}

#[test]
fn limits_that_nothing_keeps_are_told_with_what_can_be_had() {
    let profile = Profile::load("aws-2025-07").unwrap();
    let all = names(&["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1"]);
    let space = space(&profile, &any(&[3], &all, &[]), &[("us-east-1", 1.0)]);
    let mut search = search_of(&space, &COMMIT_TAKEOVER, &[Family::Counts]);
    search.rules.limits = vec![
        Limit { objective: Objective::Commit, most: 1_000_000 },
        Limit { objective: Objective::Phase2Nodes, most: Objective::Phase2Nodes.cost(1.0) },
        Limit { objective: Objective::Phase1Nodes, most: Objective::Phase1Nodes.cost(1.0) },
    ];
    assert!(search.run(&|_, _| false).unwrap().rows.is_empty());
    let relaxed = search.relaxed(&|_, _| false).unwrap();
    // Two of three from us-east-1 is its nearest; with one alone it is at once.
    let [commit, phase2, phase1] = &relaxed[..] else { panic!("three limits") };
    assert_eq!((commit.with_others, commit.alone), (Some(64_225_000), Some(0)));
    assert_eq!((phase2.with_others, phase2.alone), (None, Some(phase2.limit.most - 1)));
    assert_eq!(phase1.with_others, Some(Objective::Phase1Nodes.cost(0.0)));
}

#[test]
fn a_search_that_is_stopped_has_no_front() {
    let profile = random_profile(3, 7);
    let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
    let space = space(&profile, &any(&[3], &all, &[]), &[("r-0", 1.0)]);
    let search = search_of(&space, &COMMIT_TAKEOVER, &[Family::Counts]);
    let stopped = search.run(&|done, _| done > 10);
    assert!(matches!(stopped, Err(search::Error::Interrupted)));
}

#[test]
fn nonsense_is_refused_with_the_name() {
    let profile = Profile::load("aws-2025-07").unwrap();
    let of = names(&["us-east-1", "us-west-2"]);
    let refused = |choice: &Choice, clients: &[(&str, f64)]| {
        let clients: Vec<(String, f64)> =
            clients.iter().map(|(region, weight)| ((*region).to_owned(), *weight)).collect();
        Space::new(&profile, choice, &clients, Jitter::None).unwrap_err().to_string()
    };
    let here = [("us-east-1", 1.0)];
    assert!(refused(&any(&[3], &of, &[]), &here).contains("3 regions cannot be chosen of 2"));
    assert!(refused(&any(&[1], &of, &of), &here).contains("2 regions must be"));
    assert!(refused(&any(&[2], &of, &[]), &[]).contains("no client"));
    assert!(refused(&any(&[2], &of, &[]), &[("us-east-1", 0.0)]).contains("the weight 0"));
    let wrong = refused(&any(&[2], &of, &[]), &[("us-esat-1", 1.0)]);
    assert!(wrong.contains("did you mean us-east-1"), "{wrong}");
    let each = |each| Choice::Any { sizes: vec![2], of: of.clone(), must: vec![], each };
    assert!(refused(&each(2), &here).contains("two replicas cannot be in"));
    assert!(refused(&each(33), &here).contains("66 replicas is too large"));
}

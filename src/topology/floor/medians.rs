//! The closed form with every delay at its median: exact to the nanosecond where no link has jitter.
//!
//! r(a, b) is the median round trip, r(a, a) = 0, and the span of a family from L is the least time
//! until some quorum of it has answered L, with L answering itself at once.
//! For counts that is `R_k(L)`, the k-th smallest of r(L, i) over all replicas; for explicit sets the
//! minimum over the sets of the maximum over their members.
//!
//! With jitter the median of the k-th smallest is not the k-th smallest of the medians, nor the median of
//! a sum the sum of the medians: then these are estimates by which to choose, and the figures to compare
//! with are those of [`super::floors`].

use std::borrow::Borrow;

use crate::protocol::SnapshotTerms;
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use crate::registry::Mode;
use crate::time::Span;

use super::super::links::{Links, Site};

/// The least time until a quorum of `family` has answered `from`.
///
/// # Panics
/// If the family is one of more replicas than the links have.
pub fn quorum_span(links: &Links, from: NodeId, family: &Family) -> Span {
    let all = links.replicas().collect();
    quorum_span_among(links, from, family, all)
        .unwrap_or_else(|| panic!("no quorum of {family} among the {} replicas", all.len()))
}

/// As [`quorum_span`], when only the replicas in `live` answer; `None` if they hold no quorum.
pub fn quorum_span_among(
    links: &Links,
    from: NodeId,
    family: &Family,
    live: NodeSet,
) -> Option<Span> {
    let to = |node: NodeId| links.round_trip(Site::Replica(from), Site::Replica(node));
    family.complete_at(live, to)
}

/// The replica with the least round trip from a client; of equals the lowest number.
pub fn nearest_replica(links: &Links, client: usize) -> NodeId {
    nearest_among(links, links.replicas().collect(), client)
}

/// The same of these replicas.
///
/// # Panics
/// If there are none.
pub fn nearest_among(links: &Links, replicas: NodeSet, client: usize) -> NodeId {
    let near = replicas.iter().min_by_key(|node| (to_client(links, client, *node), *node));
    near.expect("a deployment has a replica that clients ask")
}

/// The least commit latency for a client of a leader that holds its ballot.
pub fn multi_floor(links: &Links, system: &QuorumSystem, leader: NodeId, client: usize) -> Span {
    to_client(links, client, leader) + quorum_span(links, leader, system.phase2())
}

/// The least commit latency for a client that asks this replica, or the nearest one, which then waits for a
/// quorum of each phase.
pub fn median_floor(
    links: &Links,
    asked: Option<NodeId>,
    phases: &[impl Borrow<Family>],
    client: usize,
) -> Span {
    let proposer = asked.unwrap_or_else(|| nearest_replica(links, client));
    let spans = phases.iter().map(|family| quorum_span(links, proposer, family.borrow()));
    spans.fold(to_client(links, client, proposer), |sum, span| sum + span)
}

/// How much longer a write takes than its quorums and the way to the leader, because the leader waits before it tells
/// its client; zero without a commit wait.
pub fn commit_wait_rest(links: &Links, mode: Mode, system: &QuorumSystem) -> Span {
    match (mode.leader(), mode.commit_wait()) {
        (Some(leader), Some(bound)) => bound.times(2) - quorum_span(links, leader, system.phase2()),
        _ => Span::ZERO,
    }
}

/// How long a snapshot read waits at least at this replica, until it can know that nothing is missing; zero without
/// such reads.
pub fn safe_time_rest(links: &Links, mode: Mode, system: &QuorumSystem, at: NodeId) -> Span {
    let (Some(leader), Some(terms)) = (mode.leader(), mode.snapshot()) else { return Span::ZERO };
    let news = links.between(Site::Replica(leader), Site::Replica(at)).median();
    let news = if at == leader { Span::ZERO } else { news };
    quorum_span(links, leader, system.phase2()) + news - settled(terms, at == leader)
}

/// What is proposed so long before a read arrives at a replica is stamped late enough for it; `is_own` says that it
/// arrives at the leader, whose clock is compared with itself.
pub(super) fn settled(terms: SnapshotTerms, is_own: bool) -> Span {
    terms.staleness + if is_own { Span::ZERO } else { terms.bound.times(2) }
}

/// The leader with the least mean over the clients of [`multi_floor`], each with its weight; of equals the
/// lowest number.
///
/// It is chosen by medians, so jitter does not move it.
///
/// # Panics
/// If there is not one weight for each client.
pub fn best_leader(links: &Links, system: &QuorumSystem, weights: &[f64]) -> NodeId {
    best_leader_by(links, system.candidates(), system.phase2(), weights)
}

/// The same among these replicas, where a write waits for a quorum of this family.
///
/// # Panics
/// As [`best_leader`], or if there are none.
pub fn best_leader_by(
    links: &Links,
    candidates: NodeSet,
    phase2: &Family,
    weights: &[f64],
) -> NodeId {
    let clients = links.client_regions.len();
    assert_eq!(weights.len(), clients, "a weight for each client region");
    // The sum of the weights is the same for every leader, so the total orders them as the mean does.
    let total = |leader: NodeId| -> f64 {
        let wait = quorum_span(links, leader, phase2);
        let floors = (0..clients).map(|client| to_client(links, client, leader) + wait);
        floors.zip(weights).map(|(floor, weight)| floor.0 as f64 * weight).sum()
    };
    candidates
        .iter()
        .min_by(|one, other| total(*one).total_cmp(&total(*other)).then(one.cmp(other)))
        .expect("a deployment has a replica that may lead")
}

/// The least duration of a new leader's phase 1, when every replica that it needs is alive.
///
/// A crashed replica can only make it longer: [`quorum_span_among`] the live ones says by how much.
pub fn recovery_phase1_span(links: &Links, system: &QuorumSystem, new_leader: NodeId) -> Span {
    quorum_span(links, new_leader, system.phase1())
}

/// The least duration of a phase 1 when only the replicas in `live` answer; `None` if it never ends.
///
/// Where each ballot announces a phase-2 quorum of its own, it goes on until it has met every one of
/// `announced`.
pub fn phase1_span_among(
    links: &Links,
    system: &QuorumSystem,
    from: NodeId,
    live: NodeSet,
    announced: &[NodeSet],
) -> Option<Span> {
    let mut met = NodeSet::EMPTY;
    let near = nearest_first(links, from).into_iter().filter(|node| live.contains(*node));
    let last = near.into_iter().find(|node| {
        met.insert(*node);
        system.is_phase1_over(met, announced.iter().copied())
    });
    last.map(|node| links.round_trip(Site::Replica(from), Site::Replica(node)))
}

/// The replicas in the order in which a thrifty proposer contacts them: itself, then by round trip, of
/// equals the lowest number first.
pub fn nearest_first(links: &Links, from: NodeId) -> Vec<NodeId> {
    let mut order: Vec<NodeId> = links.replicas().collect();
    order.sort_by_key(|node| {
        (*node != from, links.round_trip(Site::Replica(from), Site::Replica(*node)), *node)
    });
    order
}

fn to_client(links: &Links, client: usize, node: NodeId) -> Span {
    links.round_trip(Site::Client(client), Site::Replica(node))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Jitter, Profile};
    use super::*;

    const FIVE: [&str; 5] =
        ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];

    fn links(profile: &Profile, replicas: &[&str], clients: &[&str]) -> Links {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Links::new(profile, &names(replicas), &names(clients), Jitter::None).unwrap()
    }

    fn aws(clients: &[&str]) -> Links {
        links(&Profile::load("aws-2025-07").unwrap(), &FIVE, clients)
    }

    /// The order statistics of round trips from `node`, in microseconds.
    fn spans_us(links: &Links, node: u8) -> Vec<u64> {
        (1..=links.replica_regions.len())
            .map(|k| quorum_span(links, NodeId(node), &Family::of_size(k)).0 / 1_000)
            .collect()
    }

    /// The definition, without the closed form: let the answers arrive in time order until the
    /// family is satisfied.
    fn span_by_arrival(links: &Links, from: NodeId, family: &Family) -> Span {
        let mut met = NodeSet::EMPTY;
        for node in nearest_first(links, from) {
            met.insert(node);
            if family.contains(met) {
                return links.round_trip(Site::Replica(from), Site::Replica(node));
            }
        }
        panic!("the family is never satisfied")
    }

    #[test]
    fn the_rows_from_us_east_1_give_the_published_order_statistics() {
        let profile = Profile::load("aws-2025-07").unwrap();
        let mut rows: Vec<u64> =
            FIVE[1..].iter().map(|to| profile.rtt(FIVE[0], to).unwrap().0 / 1_000).collect();
        rows.sort_unstable();
        assert_eq!(rows, [64_419, 69_622, 149_684, 199_812]);
    }

    #[test]
    fn the_emulated_order_statistics_are_means_of_both_directions() {
        let links = aws(&[]);
        assert_eq!(spans_us(&links, 0), [0, 64_225, 69_679, 149_610, 199_744]);
        assert_eq!(
            quorum_span(&links, NodeId(0), &Family::of_size(4)),
            Span(149_610_500),
            "to the nanosecond"
        );
    }

    #[test]
    fn the_span_of_a_family_is_when_its_answers_have_arrived() {
        let links = aws(&[]);
        let mut families: Vec<Family> = (1..=5).map(Family::of_size).collect();
        // Every pair of sets over five replicas, with and without the proposer.
        for a in 1..32 {
            for b in 1..32 {
                families.push(Family::of_sets(vec![NodeSet::from_mask(a), NodeSet::from_mask(b)]));
            }
        }
        for family in &families {
            for from in links.replicas() {
                let expected = span_by_arrival(&links, from, family);
                assert_eq!(quorum_span(&links, from, family), expected, "{from} {family}");
            }
        }
    }

    #[test]
    fn the_dead_answer_nobody() {
        let links = aws(&[]);
        let live = NodeSet::all(5).without(NodeId(1));
        let among = |family: &Family| quorum_span_among(&links, NodeId(0), family, live);
        assert_eq!(among(&Family::of_size(2)), Some(Span(69_679_000)));
        assert_eq!(among(&Family::of_size(5)), None);
        let pairs = Family::of_sets(vec![NodeSet::from_mask(0b00011), NodeSet::from_mask(0b01001)]);
        assert_eq!(among(&pairs), Some(Span(149_610_500)));
        assert_eq!(among(&Family::of_sets(vec![NodeSet::from_mask(0b00010)])), None);
    }

    #[test]
    fn a_phase_1_per_ballot_lasts_until_it_meets_what_was_announced() {
        let links = aws(&[]);
        let system = QuorumSystem::per_ballot(5, 2).unwrap();
        let live = NodeSet::all(5).without(NodeId(0));
        let span = |announced: &[u64]| {
            let announced: Vec<NodeSet> =
                announced.iter().copied().map(NodeSet::from_mask).collect();
            phase1_span_among(&links, &system, NodeId(1), live, &announced)
        };
        let of_three = quorum_span_among(&links, NodeId(1), &Family::of_size(3), live);
        assert_eq!(span(&[]), of_three);
        // The proposer itself was in the quorum, and then the farthest replica alone.
        assert_eq!(span(&[0b00011]), of_three);
        let order: Vec<NodeId> =
            nearest_first(&links, NodeId(1)).into_iter().filter(|id| live.contains(*id)).collect();
        let farthest = links.round_trip(Site::Replica(NodeId(1)), Site::Replica(order[3]));
        assert_eq!(span(&[1 | 1 << order[3].0]), Some(farthest));
        assert!(Some(farthest) > of_three);
        assert_eq!(span(&[0b00001]), None, "its only member is down");
        // Without announcements it is what it is for any system.
        for system in [QuorumSystem::majority(5), QuorumSystem::counts(5, 4, 2).unwrap()] {
            let found = phase1_span_among(&links, &system, NodeId(1), live, &[]);
            assert_eq!(found, quorum_span_among(&links, NodeId(1), system.phase1(), live));
        }
    }

    #[test]
    fn a_smaller_phase_two_lowers_the_floor_and_its_phase_one_pays() {
        let links = aws(&["us-east-1", "eu-west-1"]);
        let majority = QuorumSystem::majority(5);
        let flexible = QuorumSystem::counts(5, 4, 2).unwrap();
        let leader = NodeId(0);
        assert_eq!(multi_floor(&links, &majority, leader, 0), Span(69_679_000));
        assert_eq!(multi_floor(&links, &flexible, leader, 0), Span(64_225_000));
        assert_eq!(multi_floor(&links, &flexible, leader, 1), Span(69_679_000 + 64_225_000));
        assert_eq!(recovery_phase1_span(&links, &majority, leader), Span(69_679_000));
        assert_eq!(recovery_phase1_span(&links, &flexible, leader), Span(149_610_500));
    }

    #[test]
    fn classic_paxos_pays_both_phases_at_the_clients_nearest_replica() {
        let links = aws(&["us-east-1", "eu-west-1"]);
        let majority = QuorumSystem::majority(5);
        assert_eq!(nearest_replica(&links, 1), NodeId(2));
        let phases = [majority.phase1(), majority.phase2()];
        assert_eq!(median_floor(&links, None, &phases, 0), Span(2 * 69_679_000));
        // From eu-west-1: us-east-1 69.679, us-west-2 118.421.
        assert_eq!(median_floor(&links, None, &phases, 1), Span(2 * 118_421_000));
    }

    #[test]
    fn the_best_leader_has_the_least_mean_and_ties_go_to_the_lowest() {
        let majority = QuorumSystem::majority(5);
        for clients in [&["us-east-1"][..], &["ap-southeast-2"], &["eu-west-1", "ap-northeast-1"]] {
            let links = aws(clients);
            let best = best_leader(&links, &majority, &alike(&links));
            let total = |leader| -> u64 {
                (0..clients.len()).map(|c| multi_floor(&links, &majority, leader, c).0).sum()
            };
            assert!(links.replicas().all(|leader| total(best) <= total(leader)), "{clients:?}");
        }
        let lan = links(&Profile::load("lan").unwrap(), &["x"; 3], &["x"]);
        assert_eq!(best_leader(&lan, &QuorumSystem::majority(3), &[1.0]), NodeId(0));
        assert_eq!(nearest_replica(&lan, 0), NodeId(0));
    }

    fn alike(links: &Links) -> Vec<f64> {
        vec![1.0; links.client_regions.len()]
    }

    #[test]
    fn the_best_leader_is_near_the_client_with_the_most_weight() {
        let links = aws(&["us-east-1", "ap-northeast-1"]);
        let majority = QuorumSystem::majority(5);
        let best = |weights: [f64; 2]| best_leader(&links, &majority, &weights);
        let near = |client| {
            let floor = |leader: &NodeId| multi_floor(&links, &majority, *leader, client);
            links.replicas().min_by_key(floor).unwrap()
        };
        assert_ne!(near(0), near(1));
        assert_eq!([best([1000.0, 1.0]), best([1.0, 1000.0])], [near(0), near(1)]);
    }

    /// A majority is nearest to the middle; a phase-2 quorum of two lies beside most clients.
    #[test]
    fn shrinking_phase_two_can_move_the_best_leader() {
        let mut csv = vec!["from,to,rtt_ms".to_owned()];
        let mut pair = |a: &str, b: &str, ms: u32| {
            csv.extend([format!("{a},{b},{ms}"), format!("{b},{a},{ms}")]);
        };
        pair("client-hub", "neighbour", 10);
        pair("client-hub", "middle", 40);
        pair("client-hub", "far", 100);
        pair("client-hub", "farther", 100);
        pair("neighbour", "middle", 60);
        pair("neighbour", "far", 100);
        pair("neighbour", "farther", 100);
        pair("middle", "far", 10);
        pair("middle", "farther", 10);
        pair("far", "farther", 10);
        let profile = Profile::from_csv("t.csv", &csv.join("\n")).unwrap();
        let regions = ["client-hub", "neighbour", "middle", "far", "farther"];
        let clients = ["client-hub", "client-hub", "client-hub", "farther"];
        let links = links(&profile, &regions, &clients);
        assert_eq!(best_leader(&links, &QuorumSystem::majority(5), &[1.0; 4]), NodeId(2));
        assert_eq!(
            best_leader(&links, &QuorumSystem::counts(5, 4, 2).unwrap(), &[1.0; 4]),
            NodeId(0)
        );
    }

    #[test]
    fn a_thrifty_proposer_contacts_itself_first_then_the_nearest() {
        let order = |links: &Links, from| -> Vec<u8> {
            nearest_first(links, NodeId(from)).into_iter().map(|node| node.0).collect()
        };
        assert_eq!(order(&aws(&[]), 0), [0, 1, 2, 3, 4]);
        assert_eq!(order(&aws(&[]), 4), [4, 3, 1, 0, 2]);
        // All at no distance: itself still comes first.
        let loopback = links(&Profile::load("loopback").unwrap(), &["x"; 4], &[]);
        assert_eq!(order(&loopback, 2), [2, 0, 1, 3]);
    }
}

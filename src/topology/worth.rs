//! What a quorum system is worth before anything runs: sizes, crashes survived, availability, load, and
//! what each leader waits for on given links.
//!
//! Nothing here is simulated: the figures of a family come from its decision diagram, those of a leader from
//! median delays ([`super::floor::medians`]).

use crate::quorum::analysis::{minimal_count, resilience};
use crate::quorum::{Family, Load, NodeId, NodeSet, QuorumSystem};
use crate::time::Span;

use super::links::Links;
use super::{nearest_first, phase1_span_among, quorum_span_among};

/// What is known of a system without links; `None` where the family is too large to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Worth {
    /// Phase 1, then phase 2.
    pub phases: [Phase; 2],
    /// The probability that enough replicas are up for both phases.
    pub available: Option<f64>,
    /// The replicas in some minimal quorum of either phase.
    pub voters: NodeSet,
    /// The Phase2a and Phase2b of a write when the leader contacts its least quorum, and when it contacts
    /// every replica; its own are no messages.
    pub messages: [usize; 2],
}

/// What is known of the quorums of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The sizes of the smallest and of the largest quorum.
    pub sizes: (usize, usize),
    /// How many minimal quorums there are.
    pub minimal: Option<u128>,
    /// How many crashes it survives, whichever replicas they hit.
    pub survived: Option<usize>,
    /// The share of the operations that the busiest replica takes part in (Naor and Wool 1998).
    pub load: Option<f64>,
    /// The probability that enough replicas are up.
    pub available: Option<f64>,
}

/// How long a replica waits as the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The replica.
    pub node: NodeId,
    /// For a phase 1; `None` if it never ends.
    pub takeover: Option<Span>,
    /// For a phase 2; `None` if it never ends.
    pub commit: Option<Span>,
}

/// What is left when every replica of a region is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The region.
    pub region: String,
    /// Whether a leader elsewhere can still commit.
    pub has_phase2: bool,
    /// The replicas that may lead next, the fastest takeover first; none if no phase 1 ends.
    pub next: Vec<Leader>,
}

impl Worth {
    /// That of a system whose replicas are up with this probability each, independent of one another.
    pub fn new(system: &QuorumSystem, up: f64) -> Self {
        let n = system.n();
        let survived = resilience(system);
        let probability = |family: &Family| family.availability(n, up);
        let of = |family: &Family, survived| Phase {
            sizes: family.sizes().into_inner(),
            minimal: minimal_count(family, n),
            survived,
            load: Load::new(family, n).map(|found| found.load),
            available: probability(family),
        };
        let [first, second] = survived;
        let both = system.phase1().and(system.phase2(), n);
        Self {
            phases: [of(system.phase1(), first), of(system.phase2(), second)],
            available: probability(&both),
            voters: system.voters(),
            messages: [2 * (system.phase2().min_size() - 1), n + system.acceptors().len() - 2],
        }
    }
}

/// How long each replica that may lead waits as the leader while all are up.
pub fn leaders(links: &Links, system: &QuorumSystem) -> Vec<Leader> {
    let all: NodeSet = links.replicas().collect();
    system.candidates().iter().map(|node| leader(links, system, node, all, None)).collect()
}

/// What the loss of each region leaves, when the leader was there.
///
/// Where each ballot announces a phase-2 quorum of its own, it is the one nearest to the first replica of the
/// region.
pub fn losses(links: &Links, system: &QuorumSystem) -> Vec<Loss> {
    let mut regions: Vec<&String> = Vec::new();
    for region in &links.replica_regions {
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    let all: NodeSet = links.replicas().collect();
    let is_in =
        |node: &NodeId, region: &String| links.replica_regions[usize::from(node.0)] == *region;
    let of = |region: &String| {
        let lost: NodeSet = all.iter().filter(|node| is_in(node, region)).collect();
        let announced = lost.iter().next();
        let announced = announced.and_then(|old| system.announced_in(&nearest_first(links, old)));
        let live = all.difference(lost);
        let mut next: Vec<Leader> = live
            .intersection(system.candidates())
            .iter()
            .map(|node| leader(links, system, node, live, announced))
            .filter(|leader| leader.takeover.is_some())
            .collect();
        next.sort_by_key(|leader| (leader.takeover, leader.node));
        Loss { region: region.clone(), has_phase2: system.is_phase2(live), next }
    };
    regions.into_iter().map(of).collect()
}

/// What the losses of all regions leave, in a few figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How many regions there are.
    pub regions: usize,
    /// How many of them may be lost, each alone, and a leader elsewhere commits.
    pub survived: usize,
    /// The least time for a phase 2, of the best leader while all are up.
    pub commit: Option<Span>,
    /// The takeover of the best next leader after the loss of a region, for the region of which it is fastest.
    pub best: Option<Span>,
    /// The same for the region of which it is slowest; `None` if some region leaves nobody to lead.
    pub worst: Option<Span>,
}

impl Lost {
    /// Those of a system on these links.
    pub fn new(links: &Links, system: &QuorumSystem) -> Self {
        let all = losses(links, system);
        let is_survived = |loss: &&Loss| loss.has_phase2 && !loss.next.is_empty();
        let takeover = |loss: &Loss| loss.next.first().and_then(|leader| leader.takeover);
        let survived: Vec<&Loss> = all.iter().filter(is_survived).collect();
        let takeovers = || survived.iter().filter_map(|loss| takeover(loss));
        Self {
            regions: all.len(),
            survived: survived.len(),
            commit: leaders(links, system).iter().filter_map(|leader| leader.commit).min(),
            best: takeovers().min(),
            worst: takeovers().max().filter(|_| survived.len() == all.len()),
        }
    }
}

fn leader(
    links: &Links,
    system: &QuorumSystem,
    node: NodeId,
    live: NodeSet,
    announced: Option<NodeSet>,
) -> Leader {
    let announced: Vec<NodeSet> = announced.into_iter().collect();
    Leader {
        node,
        takeover: phase1_span_among(links, system, node, live, &announced),
        commit: quorum_span_among(links, node, system.phase2(), live),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Jitter, Profile};
    use super::*;

    const FIVE: [&str; 5] =
        ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];

    fn links() -> Links {
        let names = FIVE.map(str::to_owned);
        Links::new(&Profile::load("aws-2025-07").unwrap(), &names, &[], Jitter::None).unwrap()
    }

    #[test]
    fn availability_is_the_binomial_tail_for_counts() {
        let worth = Worth::new(&QuorumSystem::counts(3, 3, 1).unwrap(), 0.9);
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-12;
        assert!(close(worth.phases[0].available, 0.729), "{worth:?}");
        assert!(close(worth.phases[1].available, 0.999), "{worth:?}");
        assert!(close(worth.available, 0.729), "{worth:?}");
        assert_eq!(worth.messages, [0, 4]);
        let half = Worth::new(&QuorumSystem::weighted(&[2, 1, 0], [2, 2]).unwrap(), 0.5);
        assert!(close(half.available, 0.5), "{half:?}");
        assert_eq!(half.voters, NodeSet::from_mask(0b001));
    }

    #[test]
    fn a_leader_waits_for_the_published_round_trips() {
        let found = leaders(&links(), &QuorumSystem::counts(5, 4, 2).unwrap());
        assert_eq!(found[0].takeover, Some(Span(149_610_500)));
        assert_eq!(found[0].commit, Some(Span(64_225_000)));
    }

    #[test]
    fn nobody_leads_when_a_region_that_every_phase_1_needs_is_lost() {
        let (links, all) = (links(), QuorumSystem::counts(5, 5, 1).unwrap());
        let lost = losses(&links, &all);
        assert_eq!(lost.len(), 5);
        assert!(lost.iter().all(|loss| loss.next.is_empty() && loss.has_phase2), "{lost:?}");
        let majority = losses(&links, &QuorumSystem::majority(5));
        let all_survived = Lost::new(&links, &QuorumSystem::majority(5));
        assert_eq!((all_survived.regions, all_survived.survived), (5, 5));
        assert_eq!(all_survived.commit, Some(Span(69_679_000)));
        assert!(all_survived.best < all_survived.worst, "{all_survived:?}");
        let none = Lost::new(&links, &all);
        assert_eq!((none.survived, none.commit, none.worst), (0, Some(Span::ZERO), None));
        let first = &majority[0];
        assert_eq!((first.region.as_str(), first.next.len()), ("us-east-1", 4));
        assert!(first.next.is_sorted_by_key(|leader| leader.takeover));
        // Of an announced quorum of one nobody is left.
        let announced = losses(&links, &QuorumSystem::per_ballot(5, 1).unwrap());
        assert!(announced.iter().all(|loss| loss.next.is_empty()), "{announced:?}");
    }
}

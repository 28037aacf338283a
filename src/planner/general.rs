//! Any system over any replicas: the placements one by one, and every system asked about each.
//!
//! A family is a table of bits ([`super::system::Table`]), and a phase from v ends when the replicas that
//! answered v, in the order of their distance, contain a quorum.
//! A system whose smallest quorums have k members answers no sooner than the k-th nearest replica, so what
//! sizes alone would allow is a lower bound; where that is dominated, the system is not asked.
//!
//! Without a leader each client asks its nearest replica, of equals the one with the lowest number, and
//! that one waits for a quorum of each phase.
//! Then placement and quorums do not separate: a region that is near to one client is far from another.

use super::counting::{mean, set_takeover};
use super::objective::{Costs, NEVER, Objective};
use super::space::Space;
use super::system::{System, Table};
use crate::quorum::{NodeId, NodeSet};

/// What a search does with points.
pub(super) trait Sink {
    /// Whether no point with at least these costs is of use.
    fn is_hopeless(&mut self, bounds: &Costs) -> bool;

    /// Takes a point.
    fn take(&mut self, costs: &Costs, point: Point<'_>);
}

/// A point by its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<'a> {
    /// The system.
    pub(super) system: usize,
    /// The regions.
    pub(super) chosen: &'a [usize],
    /// The leader.
    pub(super) leader: Option<u8>,
}

/// What percentiles are made of: bounds where delays vary, else the figures themselves.
#[derive(Clone, Debug)]
pub(super) struct Percentiles {
    /// Of each candidate: the p50 and the p99 of a round trip between it and a client drawn by weight.
    pub(super) access: Vec<[u64; 2]>,
    /// The least round trip from candidate to candidate.
    pub(super) least: Vec<u64>,
    /// The least round trip from each candidate to each client.
    pub(super) least_to_clients: Vec<Vec<u64>>,
}

/// The systems of placements of so many regions.
pub(super) struct General<'a> {
    pub(super) space: &'a Space,
    pub(super) is_led: bool,
    pub(super) wants_takeover: bool,
    pub(super) systems: &'a [(usize, &'a System)],
    pub(super) percentiles: Option<&'a Percentiles>,
    /// The replicas of each chosen region.
    pub(super) regions: Vec<NodeSet>,
}

/// The replicas of one placement.
struct Placement {
    /// The candidate of each replica.
    nodes: Vec<usize>,
    all: NodeSet,
    /// Of each replica all others by their distance, itself first.
    order: Vec<Vec<(u64, NodeId)>>,
    /// The same by the least that a round trip can be.
    least: Vec<Vec<(u64, NodeId)>>,
}

impl General<'_> {
    /// Takes the points of a placement.
    pub(super) fn placement(&self, chosen: &[usize], sink: &mut dyn Sink) {
        let placement = self.replicas(chosen);
        if self.is_led {
            self.led(&placement, chosen, sink);
        } else {
            for (place, system) in self.systems {
                let costs = self.leaderless(&placement, system);
                sink.take(&costs, Point { system: *place, chosen, leader: None });
            }
        }
    }

    fn replicas(&self, chosen: &[usize]) -> Placement {
        let copies = |region: &usize| std::iter::repeat_n(*region, self.space.copies(*region));
        let nodes: Vec<usize> = chosen.iter().flat_map(copies).collect();
        let all = NodeSet::all(nodes.len());
        let order = |round_trip: &dyn Fn(usize, usize) -> u64| {
            let row = |from: NodeId| {
                let at = |node: NodeId| nodes[usize::from(node.0)];
                let to = |node: NodeId| {
                    let is_own = node == from;
                    (if is_own { 0 } else { round_trip(at(from), at(node)) }, node)
                };
                let mut row: Vec<(u64, NodeId)> = all.iter().map(to).collect();
                row.sort_by_key(|(round_trip, node)| (*node != from, *round_trip, *node));
                row
            };
            all.iter().map(row).collect::<Vec<_>>()
        };
        let least = self.percentiles.map_or_else(Vec::new, |percentiles| {
            let m = self.space.regions().len();
            order(&|one, other| percentiles.least[one * m + other])
        });
        Placement {
            order: order(&|one, other| self.space.round_trip(one, other)),
            least,
            all,
            nodes,
        }
    }

    fn led(&self, placement: &Placement, chosen: &[usize], sink: &mut dyn Sink) {
        let n = placement.nodes.len();
        let bounds = self.bounds(placement);
        let mut commits = vec![0; n];
        for (place, system) in self.systems {
            let mut costs = system.costs;
            let [q1, q2] = system.min_sizes;
            costs[Objective::Commit.place()] = bounds[q2].0;
            set_takeover(&mut costs, bounds[q1].1);
            if sink.is_hopeless(&costs) {
                continue;
            }
            for (node, commit) in placement.all.iter().zip(&mut commits) {
                *commit = self.access(placement, node)
                    + span(&system.tables[1], placement, node, placement.all);
            }
            costs[Objective::Commit.place()] = commits.iter().copied().min().unwrap_or(NEVER);
            if sink.is_hopeless(&costs) {
                continue;
            }
            if self.wants_takeover {
                set_takeover(&mut costs, self.takeovers(&system.tables[0], placement));
            }
            for (node, commit) in placement.all.iter().zip(&commits) {
                costs[Objective::Commit.place()] = *commit;
                self.set_percentiles(&mut costs, placement, node, &system.tables[1]);
                sink.take(&costs, Point { system: *place, chosen, leader: Some(node.0) });
            }
        }
    }

    fn set_percentiles(
        &self,
        costs: &mut Costs,
        placement: &Placement,
        leader: NodeId,
        phase2: &Table,
    ) {
        let Some(percentiles) = self.percentiles else { return };
        let [p50, p99] = percentiles.access[placement.nodes[usize::from(leader.0)]];
        let waits = walk(phase2, &placement.least[usize::from(leader.0)], placement.all);
        costs[Objective::P50.place()] = p50 + waits;
        costs[Objective::P99.place()] = p99 + waits;
    }

    fn access(&self, placement: &Placement, node: NodeId) -> u64 {
        self.space.access(placement.nodes[usize::from(node.0)])
    }

    /// For each size of a quorum the least commit latency and takeovers that a system can have.
    fn bounds(&self, placement: &Placement) -> Vec<(u64, [u64; 3])> {
        let n = placement.nodes.len();
        let bound = |size: usize| {
            let by_size = Table::Count(size);
            let commit = |node| {
                self.access(placement, node) + placement.order[usize::from(node.0)][size - 1].0
            };
            let commit = placement.all.iter().map(commit).min().unwrap_or(NEVER);
            let takeovers =
                if self.wants_takeover { self.takeovers(&by_size, placement) } else { [0; 3] };
            (commit, takeovers)
        };
        std::iter::once((0, [0; 3])).chain((1..=n).map(bound)).collect()
    }

    /// The takeover of the slowest next leader, their mean, and that of the best one, each in the worst case
    /// over the regions that may be lost.
    fn takeovers(&self, phase1: &Table, placement: &Placement) -> [u64; 3] {
        let mut worst = [0; 3];
        for lost in &self.regions {
            let live = placement.all.difference(*lost);
            let (mut most, mut sum, mut least) = (0, 0, NEVER);
            if !phase1.contains(live) {
                return [NEVER; 3];
            }
            for node in live.iter() {
                let takes = span(phase1, placement, node, live);
                (most, sum, least) = (takes.max(most), sum + takes, takes.min(least));
            }
            for (worst, here) in worst.iter_mut().zip([most, mean(sum, live.len()), least]) {
                *worst = here.max(*worst);
            }
        }
        worst
    }

    /// The figures of one proposer for each client.
    fn leaderless(&self, placement: &Placement, system: &System) -> Costs {
        let mut costs = system.costs;
        let [commit, p50, p99] = self.of_clients(placement, system, placement.all);
        costs[Objective::Commit.place()] = commit;
        costs[Objective::P50.place()] = p50;
        costs[Objective::P99.place()] = p99;
        let after = self.regions.iter().map(|lost| {
            let live = placement.all.difference(*lost);
            let goes_on = system.tables.iter().all(|table| table.contains(live));
            if goes_on { self.of_clients(placement, system, live)[0] } else { NEVER }
        });
        costs[Objective::AfterLoss.place()] = after.max().unwrap_or(NEVER);
        costs
    }

    /// The mean commit latency of the clients over these replicas, and its percentiles or their lower bounds.
    fn of_clients(&self, placement: &Placement, system: &System, live: NodeSet) -> [u64; 3] {
        // What a replica is called by the system: the lowest number is asked first.
        let mut numbers = vec![0; placement.nodes.len()];
        for (number, node) in system.described.order.iter().enumerate() {
            numbers[usize::from(*node)] = number;
        }
        let clients = 0..self.space.client_regions().len();
        let (lengths, leasts): (Vec<u64>, Vec<u64>) = clients
            .map(|client| {
                let candidate = |node: NodeId| placement.nodes[usize::from(node.0)];
                let to = |node: NodeId| self.space.to_clients(candidate(node))[client];
                let nearest = live.iter().min_by_key(|it| (to(*it), numbers[usize::from(it.0)]));
                let nearest = nearest.expect("a phase that can end has a replica");
                let waits = |order: &[(u64, NodeId)]| -> u64 {
                    system.tables.iter().map(|table| walk(table, order, live)).sum()
                };
                let index = usize::from(nearest.0);
                let least = self.percentiles.map_or(0, |percentiles| {
                    percentiles.least_to_clients[candidate(nearest)][client]
                        + waits(&placement.least[index])
                });
                (to(nearest) + waits(&placement.order[index]), least)
            })
            .unzip();
        let percentile = |share| quantile(&leasts, self.space.weights(), share);
        [self.space.mean(&lengths), percentile(0.5), percentile(0.99)]
    }
}

/// How long a phase from a replica takes when these answer.
fn span(table: &Table, placement: &Placement, from: NodeId, live: NodeSet) -> u64 {
    walk(table, &placement.order[usize::from(from.0)], live)
}

/// When those that answered contain a quorum, in this order of answers.
fn walk(table: &Table, order: &[(u64, NodeId)], live: NodeSet) -> u64 {
    let mut met = NodeSet::EMPTY;
    for (round_trip, node) in order {
        if live.contains(*node) {
            met.insert(*node);
            if table.contains(met) {
                return *round_trip;
            }
        }
    }
    NEVER
}

/// The least length that this share of the weight does not exceed.
pub(super) fn quantile(lengths: &[u64], weights: &[f64], share: f64) -> u64 {
    let mut sorted: Vec<(u64, f64)> =
        lengths.iter().copied().zip(weights.iter().copied()).collect();
    sorted.sort_by_key(|(length, _)| *length);
    let total: f64 = weights.iter().sum();
    let mut below = 0.0;
    let reached = sorted.iter().find(|(_, weight)| {
        below += weight / total;
        below >= share - 1e-12
    });
    reached.or(sorted.last()).map_or(0, |(length, _)| *length)
}

/// Goes through the placements that begin with `chosen`, with others from `next` on, ascending.
pub(super) fn placements(
    m: usize,
    size: usize,
    chosen: &mut Vec<usize>,
    next: usize,
    each: &mut dyn FnMut(&[usize]),
) {
    let missing = size - chosen.len();
    if missing == 0 {
        each(chosen);
        return;
    }
    for region in next..=m - missing {
        chosen.push(region);
        placements(m, size, chosen, region + 1, each);
        chosen.pop();
    }
}

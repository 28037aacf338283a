//! A row of a front: one point with all its figures, as an experiment file names it.
//!
//! Every figure is computed once more, by the closed forms that plan an experiment
//! ([`crate::topology::floor`]) where there are, and must be what the search found.

use super::front::{Candidate, Entry};
use super::general::{General, Point, Sink};
use super::objective::{Costs, Objective};
use super::search::{Error, Search};
use super::space::Space;
use super::system::{Described, System};
use crate::experiment::plan::usual_correlation;
use crate::protocol::SendPolicy;
use crate::quorum::{NodeId, QuorumSystem};
use crate::registry::Mode;
use crate::time::Span;
use crate::topology::worth::{Leader, Loss, losses};
use crate::topology::{Floor, Jitter, Links, floors, load_floor};

/// The points of one value on a front, and the first of them.
#[derive(Clone, Debug)]
pub struct Row {
    /// All figures.
    pub costs: Costs,
    /// How many points have the same value of every objective.
    pub count: u64,
    /// The quorum system in words.
    pub described: Described,
    /// The quorum system over the replicas.
    pub system: QuorumSystem,
    /// The links of the replicas, in the order of the system's acceptors, and of the clients.
    pub links: Links,
    /// The leader; `None` where nobody leads.
    pub leader: Option<NodeId>,
    /// The protocol with this leader.
    pub mode: Mode,
    /// The commit latency of each client.
    pub floors: Vec<Floor>,
}

impl Row {
    pub(super) fn new(
        search: &Search<'_>,
        first: &Candidate,
        system: &System,
        entry: &Entry,
    ) -> Result<Self, Error> {
        let placed = Placed::new(search, first, system)?;
        let costs = placed.costs(search, first, system);
        assert_eq!(
            search.rules.key(&costs),
            entry.key,
            "the search and the closed form disagree on {} at {first:?}",
            system.described
        );
        let Placed { links, leader, mode, quorums, memory } = placed;
        let floors = floors(&links, mode, &quorums, search.proposers.send, memory);
        if !search.space.varies() {
            let lengths: Vec<u64> = floors.iter().map(|floor| floor.p50.0).collect();
            let (mean, commit) = (search.space.mean(&lengths), costs[Objective::Commit.place()]);
            assert!(mean.abs_diff(commit) <= 1, "floors have the mean {mean} ns, not {commit}");
        }
        Ok(Self {
            costs,
            count: entry.count,
            described: system.described.clone(),
            system: quorums,
            links,
            leader,
            mode,
            floors,
        })
    }

    /// The figure of an objective.
    pub fn value(&self, objective: Objective) -> f64 {
        objective.value(self.costs[objective.place()])
    }

    /// The region of each replica, in the order of the system's acceptors.
    pub fn replicas(&self) -> &[String] {
        &self.links.replica_regions
    }

    /// What a replica is called: its region, or its number where that is not its alone.
    pub fn name(&self, node: NodeId) -> String {
        let region = &self.replicas()[usize::from(node.0)];
        let is_alone = self.replicas().iter().filter(|other| *other == region).count() == 1;
        if is_alone { region.clone() } else { node.to_string() }
    }

    /// What the loss of each region leaves, with every delay at its median.
    pub fn losses(&self, space: &Space) -> Result<Vec<Loss>, crate::topology::Error> {
        let clients = space.client_regions();
        let links = Links::new(space.profile(), self.replicas(), clients, Jitter::None)?;
        Ok(losses(&links, &self.system))
    }
}

/// The loss after which the next leader may need the longest for its phase 1, and that leader.
///
/// `None` if after some loss no phase 1 ends.
pub fn slowest_takeover(losses: &[Loss]) -> Option<(&Loss, &Leader)> {
    let slowest = losses.iter().map(|loss| Some((loss, loss.next.last()?)));
    let slowest: Option<Vec<(&Loss, &Leader)>> = slowest.collect();
    slowest?.into_iter().max_by_key(|(_, leader)| leader.takeover)
}

/// A point with its replicas in the order of the acceptors of its system.
struct Placed {
    links: Links,
    leader: Option<NodeId>,
    mode: Mode,
    quorums: QuorumSystem,
    memory: Span,
}

impl Placed {
    fn new(search: &Search<'_>, point: &Candidate, system: &System) -> Result<Self, Error> {
        let space = search.space;
        let copies = |region: &u8| {
            let region = usize::from(*region);
            std::iter::repeat_n(region, space.copies(region))
        };
        let nodes: Vec<usize> = point.regions.iter().flat_map(copies).collect();
        let order = &system.described.order;
        let replicas: Vec<usize> = order.iter().map(|node| nodes[usize::from(*node)]).collect();
        let links = space.links(&replicas, space.jitter())?;
        let acceptor = |leader: u8| {
            let place = order.iter().position(|node| *node == leader);
            let place = place.expect("a leader is a replica");
            NodeId(u8::try_from(place).expect("at most 64 replicas"))
        };
        let leader = point.leader.map(acceptor);
        let mode = search.proposers.mode(leader);
        let quorums = system.described.system().map_err(super::families::Error::System)?;
        let memory = usual_correlation(&links);
        Ok(Self { links, leader, mode, quorums, memory })
    }

    /// All figures of the point.
    fn costs(&self, search: &Search<'_>, point: &Candidate, system: &System) -> Costs {
        let mut costs = without_percentiles(search, point, system);
        let load = system.load().unwrap_or(1.0);
        costs[Objective::Load.place()] = Objective::Load.cost(load);
        costs[Objective::Messages.place()] = search.messages(system);
        let weights = search.space.weights();
        let send = search.proposers.send;
        let floor = load_floor(&self.links, self.mode, &self.quorums, send, self.memory, weights);
        costs[Objective::P50.place()] = floor.p50.0;
        costs[Objective::P99.place()] = floor.p99.0;
        costs
    }
}

/// The costs of a point with its percentiles.
pub(super) fn exact(
    search: &Search<'_>,
    point: &Candidate,
    system: &System,
) -> Result<Costs, Error> {
    Ok(Placed::new(search, point, system)?.costs(search, point, system))
}

/// The percentiles of the round trip between a replica alone and a client drawn by weight.
pub(super) fn load_floor_of_access(space: &Space, links: &Links) -> [u64; 2] {
    let n = links.replica_regions.len();
    // A leader whose own vote is a quorum answers at once.
    let alone = QuorumSystem::counts(n, n, 1).expect("its own vote is a quorum");
    let mode = super::search::leading(NodeId(0));
    let memory = usual_correlation(links);
    let floor = load_floor(links, mode, &alone, SendPolicy::All, memory, space.weights());
    [floor.p50.0, floor.p99.0]
}

/// The costs of a point by the way that takes any system.
fn without_percentiles(search: &Search<'_>, point: &Candidate, system: &System) -> Costs {
    let chosen: Vec<usize> = point.regions.iter().map(|region| usize::from(*region)).collect();
    let general = General {
        space: search.space,
        is_led: search.proposers.are_led,
        wants_takeover: true,
        systems: &[(point.system, system)],
        percentiles: None,
        regions: search.space.replica_sets(search.space.sizes()[point.size]),
    };
    let mut of = Of { leader: point.leader, costs: None };
    general.placement(&chosen, &mut of);
    of.costs.expect("the point is one of its placement")
}

/// Takes the costs of one leader.
struct Of {
    leader: Option<u8>,
    costs: Option<Costs>,
}

impl Sink for Of {
    fn is_hopeless(&mut self, _: &Costs) -> bool {
        false
    }

    fn take(&mut self, costs: &Costs, point: Point<'_>) {
        if point.leader == self.leader {
            self.costs = Some(*costs);
        }
    }
}

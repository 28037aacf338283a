//! The search: every placement, leader and system, on all cores.
//!
//! Each task is the placements that begin with the same regions.
//! It has a front of its own, which knows the values that the tasks before it found, and gives what it found
//! to the front of all.
//! A point is left out only if a value of the front dominates a lower bound of it, so the front does not
//! depend on the order of the tasks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::iter::{IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelIterator};

use super::counting::{Counting, byte, rest};
use super::families::{self, Family, systems};
use super::front::{Candidate, Entry, Front};
use super::general::{General, Percentiles, Point, Sink, placements};
use super::objective::{Costs, Objective, Rules};
use super::percentiles;
use super::row::Row;
use super::space::Space;
use super::system::{System, Table};
use crate::protocol::SendPolicy;
use crate::quorum::NodeId;
use crate::registry::Mode;
use crate::topology;

/// More tasks than this have no more use on any number of cores.
const TASKS_MIN: u128 = 1000;

/// More placements than this take months.
pub const PLACEMENTS_MAX: u128 = 1 << 44;

/// Who proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposers {
    /// The protocol, as in an experiment file.
    pub protocol: &'static str,
    /// Whether one leader proposes for all clients; else each client asks its nearest replica.
    pub are_led: bool,
    /// Whom a proposer contacts.
    pub send: SendPolicy,
}

impl Proposers {
    /// Those of a protocol by its name: with a leader if it has one.
    pub fn of(protocol: &str, send: SendPolicy) -> Option<Self> {
        let mut modes = Mode::all(NodeId(0)).into_iter().filter(|mode| mode.name() == protocol);
        let mode = modes.next()?;
        Some(Self { protocol: mode.name(), are_led: mode.leader().is_some(), send })
    }

    /// The mode with this leader.
    pub fn mode(&self, leader: Option<NodeId>) -> Mode {
        let mut modes = Mode::all(leader.unwrap_or(NodeId(0))).into_iter();
        let mode = modes.find(|mode| mode.name() == self.protocol && mode.asked() == leader);
        mode.expect("the protocol has this mode")
    }
}

/// The mode in which this replica answers all clients, whichever protocol has one.
pub(super) fn leading(leader: NodeId) -> Mode {
    let mut modes = Mode::all(leader).into_iter();
    modes.find(|mode| mode.leader() == Some(leader)).expect("some protocol has a leader")
}

/// What is searched.
#[derive(Debug)]
pub struct Search<'a> {
    /// Where.
    pub space: &'a Space,
    /// What for.
    pub rules: Rules,
    /// Which systems.
    pub families: Vec<Family>,
    /// Who proposes.
    pub proposers: Proposers,
}

/// Why there is no front.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Systems that cannot be listed.
    #[error(transparent)]
    Family(#[from] families::Error),
    /// Links that do not exist.
    #[error(transparent)]
    Topology(#[from] topology::Error),
    /// Too many placements.
    #[error("{count} placements are too many to look at: {PLACEMENTS_MAX} are supported")]
    Placements {
        /// How many.
        count: u128,
    },
    /// Too many points whose percentiles must be computed.
    #[error(
        "the percentiles of more than {} points would have to be computed, each some milliseconds",
        percentiles::POINTS_MAX
    )]
    Percentiles,
    /// The user stopped it.
    #[error("interrupted")]
    Interrupted,
}

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// The front, by the first objective; empty if no point keeps to the limits.
    pub rows: Vec<Row>,
    /// How many placements there are.
    pub placements: u128,
    /// How many points: placements with each leader and each system, those that break a limit too.
    pub points: u128,
    /// The systems of each number of regions.
    pub systems: Vec<usize>,
}

/// The systems of placements of so many regions that keep to the limits.
pub(super) struct Size {
    pub(super) systems: Vec<System>,
    /// How many there are with those that break a limit.
    count: usize,
}

/// A system with its place among those of its size.
type Placed<'s> = (usize, &'s System);

/// Asked now and then with the placements that are done and those of all; true ends the search.
pub type Watch<'a> = &'a (dyn Fn(u64, u64) -> bool + Sync);

impl Search<'_> {
    /// Runs it.
    pub fn run(&self, watch: Watch<'_>) -> Result<Found, Error> {
        let sizes = self.sizes()?;
        let placements = self.check_placements()?;
        let entries = self.entries(&sizes, watch)?;
        let row = |entry: &Entry| {
            let first = entry.first.as_ref().expect("an entry of the whole front has a point");
            let system = &sizes[first.size].systems[first.system];
            Row::new(self, first, system, entry)
        };
        let points = self.space.sizes().iter().zip(&sizes).map(|(size, systems)| {
            let n: usize = self.space.replica_sets(*size).iter().map(|set| set.len()).sum();
            let leaders = if self.proposers.are_led { n } else { 1 };
            self.space.placement_count(*size) * (leaders * systems.count) as u128
        });
        Ok(Found {
            rows: entries.par_iter().map(row).collect::<Result<_, _>>()?,
            placements,
            points: points.sum(),
            systems: sizes.iter().map(|size| size.count).collect(),
        })
    }

    fn check_placements(&self) -> Result<u128, Error> {
        let counts = self.space.sizes().iter().map(|size| self.space.placement_count(*size));
        let count = counts.fold(0_u128, u128::saturating_add);
        if count > PLACEMENTS_MAX { Err(Error::Placements { count }) } else { Ok(count) }
    }

    /// The systems of each size, with the costs that do not depend on the placement.
    pub(super) fn sizes(&self) -> Result<Vec<Size>, Error> {
        let wants_load = self.rules.ask_for(|objective| objective == Objective::Load);
        let of = |size: &usize| {
            let mut systems = systems(&self.families, &self.space.replica_sets(*size))?;
            let count = systems.len();
            for system in &mut systems {
                system.costs[Objective::Messages.place()] = self.messages(system);
            }
            if wants_load {
                systems.par_iter_mut().for_each(|system| {
                    let load = system.load().unwrap_or(1.0);
                    system.costs[Objective::Load.place()] = Objective::Load.cost(load);
                });
            }
            // What is not known yet costs nothing, so only what is known decides.
            systems.retain(|system| self.rules.admit(&system.costs));
            Ok(Size { systems, count })
        };
        self.space.sizes().iter().map(of).collect()
    }

    /// The messages between replicas of a write: there and back for each one that is contacted, in each phase.
    pub(super) fn messages(&self, system: &System) -> u64 {
        let n = system.described.order.len();
        let phases =
            if self.proposers.are_led { &system.min_sizes[1..] } else { &system.min_sizes };
        let contacted = |size: &usize| match self.proposers.send {
            SendPolicy::All => n - 1,
            SendPolicy::Quorum => size - 1,
        };
        2 * phases.iter().map(contacted).sum::<usize>() as u64
    }

    fn entries(&self, sizes: &[Size], watch: Watch<'_>) -> Result<Vec<Entry>, Error> {
        let figures = self
            .rules
            .ask_for(Objective::is_percentile)
            .then(|| Percentiles::new(self.space))
            .transpose()?;
        if figures.is_some() && self.space.varies() {
            return percentiles::entries(self, sizes, figures.as_ref(), watch);
        }
        let front = Mutex::new(Front::default());
        self.walk(sizes, figures.as_ref(), watch, &|task| {
            let mut own = Front::knowing(&locked(&front).keys());
            task.run(&self.rules, &mut own);
            locked(&front).merge(own);
        })?;
        Ok(front.into_inner().unwrap_or_else(PoisonError::into_inner).into_sorted())
    }

    /// Goes through all tasks, on all cores.
    pub(super) fn walk(
        &self,
        sizes: &[Size],
        figures: Option<&Percentiles>,
        watch: Watch<'_>,
        each: &(dyn Fn(&Task<'_>) + Sync),
    ) -> Result<(), Error> {
        let total = self.check_placements()?;
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let (done, is_stopped) = (AtomicU64::new(0), AtomicBool::new(watch(0, total)));
        for (size, systems) in sizes.iter().enumerate() {
            let (by_size, others) = self.split(&systems.systems, figures.is_some());
            let regions = self.space.sizes()[size];
            let counting = Counting::new(self.space, &self.rules, size, &by_size);
            let general = General {
                space: self.space,
                is_led: self.proposers.are_led,
                wants_takeover: self.rules.ask_for(Objective::is_takeover),
                systems: &others,
                percentiles: figures,
                regions: self.space.replica_sets(regions),
            };
            self.prefixes(regions).par_iter().for_each(|prefix| {
                if is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let task = Task {
                    space: self.space,
                    size,
                    prefix,
                    counting: &counting,
                    general: &general,
                };
                each(&task);
                let here = u64::try_from(self.behind(prefix, regions)).unwrap_or(u64::MAX);
                let now = done.fetch_add(here, Ordering::Relaxed) + here;
                if watch(now, total) {
                    is_stopped.store(true, Ordering::Relaxed);
                }
            });
            if is_stopped.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    }

    /// The systems for the fast way, and all others, with their places.
    fn split<'s>(
        &self,
        systems: &'s [System],
        wants_percentiles: bool,
    ) -> (Vec<Placed<'s>>, Vec<Placed<'s>>) {
        let is_fast = self.proposers.are_led && self.space.has_one_each() && !wants_percentiles;
        let by_size =
            |system: &System| system.tables.iter().all(|table| matches!(table, Table::Count(_)));
        systems.iter().enumerate().partition(|(_, system)| is_fast && by_size(system))
    }

    /// What the tasks begin with after the fixed regions.
    fn prefixes(&self, size: usize) -> Vec<Vec<usize>> {
        let (m, fixed) = (self.space.regions().len(), self.space.fixed());
        let mut prefixes = vec![Vec::new()];
        for depth in 0..size - fixed {
            if prefixes.len() as u128 >= TASKS_MIN {
                break;
            }
            let missing = size - fixed - depth;
            let longer = |prefix: &Vec<usize>| {
                let next = prefix.last().map_or(fixed, |last| last + 1);
                let prefix = prefix.clone();
                (next..=m - missing).map(move |region| [prefix.clone(), vec![region]].concat())
            };
            prefixes = prefixes.iter().flat_map(longer).collect();
        }
        prefixes
    }

    /// How many placements begin with this.
    fn behind(&self, prefix: &[usize], size: usize) -> u128 {
        let next = prefix.last().map_or(self.space.fixed(), |last| last + 1);
        let left = self.space.regions().len() - next;
        super::space::binomial(left, size - self.space.fixed() - prefix.len())
    }
}

/// The placements that begin with the same regions.
pub(super) struct Task<'a> {
    space: &'a Space,
    pub(super) size: usize,
    prefix: &'a [usize],
    counting: &'a Counting<'a>,
    general: &'a General<'a>,
}

impl Task<'_> {
    /// Takes its points into a front.
    fn run(&self, rules: &Rules, front: &mut Front) {
        if self.counting.has_systems() {
            let mut walk = self.counting.walk(std::mem::take(front));
            self.counting.run(&mut walk, self.prefix);
            *front = walk.front;
        }
        self.general(&mut ToFront { rules, front, size: self.size });
    }

    /// Takes the points of all systems that are not walked the fast way.
    pub(super) fn general(&self, sink: &mut dyn Sink) {
        if self.general.systems.is_empty() {
            return;
        }
        let fixed = self.space.fixed();
        let mut chosen: Vec<usize> = (0..fixed).chain(self.prefix.iter().copied()).collect();
        let next = self.prefix.last().map_or(fixed, |last| last + 1);
        let (m, size) = (self.space.regions().len(), self.space.sizes()[self.size]);
        let mut each = |chosen: &[usize]| self.general.placement(chosen, sink);
        placements(m, size, &mut chosen, next, &mut each);
    }
}

/// Takes points into a front.
pub(super) struct ToFront<'a> {
    pub(super) rules: &'a Rules,
    pub(super) front: &'a mut Front,
    pub(super) size: usize,
}

impl Sink for ToFront<'_> {
    fn is_hopeless(&mut self, bounds: &Costs) -> bool {
        !self.rules.admit(bounds) || self.front.dominates(&self.rules.key(bounds))
    }

    fn take(&mut self, costs: &Costs, point: Point<'_>) {
        if self.rules.admit(costs) {
            let key = self.rules.key(costs);
            self.front.offer(key, 1, || Some(candidate(costs, self.size, point)));
        }
    }
}

/// A point with what tells it from its equals.
pub(super) fn candidate(costs: &Costs, size: usize, point: Point<'_>) -> Candidate {
    Candidate {
        rest: rest(costs),
        size,
        system: point.system,
        regions: point.chosen.iter().map(|region| byte(*region)).collect(),
        leader: point.leader,
    }
}

/// What the mutex holds: a thread that panicked left it whole.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Percentiles of jittered links as objectives: exact, without computing those of every point.
//!
//! A commit is a round trip X between a client and the leader and a wait W for a quorum, and W is at least
//! its least value w.
//! So each percentile of X + W is at least that of X plus w, and both are cheap: X depends on the leader
//! alone, w is the wait over links that all have their least delay.
//! The front of these bounds gives the first points whose percentiles are computed.
//! Then every point is looked at again, and of those whose bound no computed point dominates the percentiles
//! are computed too, the most promising first.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::front::{Candidate, Entry, Front};
use super::general::{Percentiles, Point, Sink, quantile};
use super::objective::{Costs, Key, Objective, Rules};
use super::row::{exact, load_floor_of_access};
use super::search::{Error, Search, Size, ToFront, Watch, candidate, locked};
use super::space::Space;
use crate::quorum::NodeId;
use crate::topology::{self, Jitter, Site};

/// Of more points than this the percentiles are not computed.
pub(super) const POINTS_MAX: usize = 1_000_000;

/// Points whose percentiles are computed before the front is asked again.
const BATCH: usize = 256;

/// A bound is lowered by one part in so many: a computed percentile is off by at most half of that (see
/// [`crate::topology::floor`]).
const MARGIN: u64 = 100;

impl Percentiles {
    /// Those of the candidates.
    pub(super) fn new(space: &Space) -> Result<Self, topology::Error> {
        let (m, clients) = (space.regions().len(), space.client_regions().len());
        if !space.varies() {
            let access = |region| {
                [0.5, 0.99].map(|share| quantile(space.to_clients(region), space.weights(), share))
            };
            let pairs = (0..m).flat_map(|one| (0..m).map(move |other| (one, other)));
            return Ok(Self {
                access: (0..m).map(access).collect(),
                least: pairs.map(|(one, other)| space.round_trip(one, other)).collect(),
                least_to_clients: (0..m).map(|region| space.to_clients(region).to_vec()).collect(),
            });
        }
        let mut figures =
            Self { access: Vec::new(), least: vec![0; m * m], least_to_clients: Vec::new() };
        let all: Vec<usize> = (0..m).collect();
        let between = space.links(&all, Jitter::Profile)?;
        let site = |index: usize| Site::Replica(NodeId(super::counting::byte(index)));
        let least = |links: &topology::Links, a: Site, b: Site| {
            (links.between(a, b).quantile(0.0) + links.between(b, a).quantile(0.0)).0
        };
        for one in 0..m {
            let here = space.links(&vec![one; space.copies(one)], Jitter::Profile)?;
            figures.access.push(load_floor_of_access(space, &here));
            let to = |client| least(&here, site(0), Site::Client(client));
            figures.least_to_clients.push((0..clients).map(to).collect());
            for other in (0..m).filter(|other| *other != one) {
                figures.least[one * m + other] = least(&between, site(one), site(other));
            }
            if space.copies(one) > 1 {
                figures.least[one * m + one] = least(&here, site(0), site(1));
            }
        }
        Ok(figures)
    }
}

/// The front where percentiles are among the objectives or the limits.
pub(super) fn entries(
    search: &Search<'_>,
    sizes: &[Size],
    figures: Option<&Percentiles>,
    watch: Watch<'_>,
) -> Result<Vec<Entry>, Error> {
    let rules = &search.rules;
    let front = Mutex::new(Front::default());
    search.walk(sizes, figures, watch, &|task| {
        let mut own = Front::knowing(&locked(&front).keys());
        task.general(&mut ToFront { rules, front: &mut own, size: task.size });
        locked(&front).merge(own);
    })?;
    let promising = front.into_inner().unwrap_or_default().into_sorted();
    let promising: Vec<Candidate> = promising.into_iter().filter_map(|entry| entry.first).collect();
    let mut known = Front::default();
    for key in computed(search, sizes, &promising)?.into_iter().flatten() {
        known.offer(key, 0, || None);
    }
    let (found, is_full) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let keys = known.keys();
    let watch_room = |done, total| is_full.load(Ordering::Relaxed) || watch(done, total);
    let walked = search.walk(sizes, figures, &watch_room, &|task| {
        let front = Front::knowing(&keys);
        let mut own = Possible { rules, front, size: task.size, found: Vec::new() };
        task.general(&mut own);
        let mut all = locked(&found);
        all.extend(own.found);
        is_full.fetch_or(all.len() > POINTS_MAX, Ordering::Relaxed);
    });
    if is_full.load(Ordering::Relaxed) {
        return Err(Error::Percentiles);
    }
    walked?;
    let mut found: Vec<(Key, Candidate)> = found.into_inner().unwrap_or_default();
    found.sort();
    let total = found.len() as u64;
    for (number, batch) in found.chunks(BATCH).enumerate() {
        if watch((number * BATCH) as u64, total) {
            return Err(Error::Interrupted);
        }
        let open: Vec<Candidate> = batch
            .iter()
            .filter(|(bound, _)| !known.dominates(bound))
            .map(|(_, candidate)| candidate.clone())
            .collect();
        for (key, candidate) in computed(search, sizes, &open)?.into_iter().zip(open) {
            if let Some(key) = key {
                known.offer(key, 1, || Some(candidate));
            }
        }
    }
    Ok(known.into_sorted().into_iter().filter(|entry| entry.count > 0).collect())
}

/// The keys of points with their percentiles; none of those that break a limit.
fn computed(
    search: &Search<'_>,
    sizes: &[Size],
    points: &[Candidate],
) -> Result<Vec<Option<Key>>, Error> {
    let of = |candidate: &Candidate| {
        let system = &sizes[candidate.size].systems[candidate.system];
        let costs = exact(search, candidate, system)?;
        Ok(search.rules.admit(&costs).then(|| search.rules.key(&costs)))
    };
    points.par_iter().map(of).collect()
}

/// Bounds that a computed percentile cannot be below.
fn lowered(costs: &Costs) -> Costs {
    let mut costs = *costs;
    for objective in [Objective::P50, Objective::P99] {
        let cost = &mut costs[objective.place()];
        *cost -= *cost / MARGIN;
    }
    costs
}

/// Takes the points that may be on the front.
struct Possible<'a> {
    rules: &'a Rules,
    front: Front,
    size: usize,
    found: Vec<(Key, Candidate)>,
}

impl Sink for Possible<'_> {
    fn is_hopeless(&mut self, bounds: &Costs) -> bool {
        !self.rules.admit(bounds) || self.front.dominates(&self.rules.key(bounds))
    }

    fn take(&mut self, costs: &Costs, point: Point<'_>) {
        let costs = lowered(costs);
        if !self.is_hopeless(&costs) && self.found.len() <= POINTS_MAX {
            self.found.push((self.rules.key(&costs), candidate(&costs, self.size, point)));
        }
    }
}

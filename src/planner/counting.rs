//! Systems by size with one replica in each region: the fast way, with bounds.
//!
//! Write d(v, u) for a round trip, A(v) for the mean round trip of the clients to v, and S(v, k) for the k-th
//! smallest of d(v, ·) over a placement P, v itself first: S(v, 1) = 0.
//! For sizes q1 and q2 of n replicas:
//!
//! - a leader v commits in A(v) + S(v, q2);
//! - when z is lost, a phase 1 of v takes S(v, q1 + 1) if d(v, z) ≤ S(v, q1), which takes one of the first
//!   q1 away, and else S(v, q1); with q1 = n it never ends.
//!
//! # Bounds
//!
//! Placements are walked in the order of their regions: X are those chosen, and r more come from the
//! candidates behind the last one.
//! Every S(v, k) of a placement that contains X is at least S'(v, k), the k-th smallest of d(v, ·) over X
//! and the r nearest of the candidates behind; for a v that is not chosen yet, at least G(k), the least k-th
//! smallest of any candidate behind over all candidates.
//! So from the n values S'(v, k) of X and r times G(k), in any order:
//!
//! - commit ≥ the least of A(v) + S'(v, q2) over X, and of A(u) + S(u, q2) over all candidates for the u behind;
//! - takeover (the slowest) = the greatest S(v, q1 + 1) over P ≥ the greatest over X;
//! - takeover-best ≥ the second smallest of the values for q1: lose the fastest, and the next one leads;
//! - takeover-mean ≥ the mean of all but the smallest of them.
//!
//! If for every system a point of the front dominates these bounds, no placement that contains X adds a
//! point to the front, nor one of equal value, and none of them is looked at.

use super::front::{Candidate, Front};
use super::objective::{Costs, NEVER, Objective, Rules};
use super::space::Space;
use super::system::System;

/// Longer than any round trip, and far enough from the end of the numbers to be added to.
const FAR: u64 = u64::MAX >> 8;

/// The systems by size of placements of so many regions.
#[derive(Debug)]
pub(super) struct Counting<'a> {
    space: &'a Space,
    rules: &'a Rules,
    /// The place of the number of regions among those searched.
    size: usize,
    n: usize,
    systems: Vec<BySize>,
    wants_takeover: [bool; 3],
    has_commit: bool,
    /// Of each candidate and each first candidate that may come: the n nearest from there on.
    near: Vec<u64>,
    /// Of each first candidate: the least k-th smallest round trip of any from there on.
    least_rows: Vec<u64>,
    /// The same with the clients' part.
    least_commits: Vec<u64>,
}

/// A system by size.
#[derive(Debug)]
struct BySize {
    /// Its place among the systems.
    place: usize,
    sizes: [usize; 2],
    costs: Costs,
}

/// A walk over placements: those chosen, and the sorted round trips among them.
#[derive(Debug)]
pub(super) struct Walk {
    chosen: Vec<usize>,
    /// For each number of chosen ones and each of them its row of n.
    rows: Vec<u64>,
    /// Lower bounds of the rows.
    bounds: Vec<u64>,
    /// The values of a column of rows.
    column: Vec<u64>,
    /// What was found.
    pub(super) front: Front,
}

impl<'a> Counting<'a> {
    /// `systems` are those of the `size`-th number of regions; those that are not by size are left out.
    pub(super) fn new(
        space: &'a Space,
        rules: &'a Rules,
        size: usize,
        systems: &[(usize, &System)],
    ) -> Self {
        let n = space.sizes()[size];
        let m = space.regions().len();
        let by_size = |(place, system): &(usize, &System)| BySize {
            place: *place,
            sizes: system.min_sizes,
            costs: system.costs,
        };
        let takeovers = [Objective::Takeover, Objective::TakeoverMean, Objective::TakeoverBest];
        let asked = |objective: Objective| {
            rules.objectives.contains(&objective)
                || rules.limits.iter().any(|limit| limit.objective == objective)
        };
        let mut counting = Self {
            space,
            rules,
            size,
            n,
            systems: systems.iter().map(by_size).collect(),
            wants_takeover: takeovers.map(asked),
            has_commit: rules.objectives.contains(&Objective::Commit),
            near: vec![FAR; m * (m + 1) * n],
            least_rows: vec![FAR; (m + 1) * n],
            least_commits: vec![FAR; (m + 1) * n],
        };
        counting.prepare();
        counting
    }

    fn prepare(&mut self) {
        let (n, m) = (self.n, self.space.regions().len());
        for v in 0..m {
            for from in (0..m).rev() {
                let start = (v * (m + 1) + from) * n;
                let (here, after) = self.near[start..start + 2 * n].split_at_mut(n);
                here.copy_from_slice(after);
                if from != v {
                    insert(here, n, self.space.round_trip(v, from));
                }
            }
        }
        for u in (0..m).rev() {
            let nearest = u * (m + 1) * n;
            for k in 0..n {
                let row = if k == 0 { 0 } else { self.near[nearest + k - 1] };
                let commit = self.space.access(u) + row;
                self.least_rows[u * n + k] = self.least_rows[(u + 1) * n + k].min(row);
                self.least_commits[u * n + k] = self.least_commits[(u + 1) * n + k].min(commit);
            }
        }
    }

    /// Raises every value of a table by so many nanoseconds, so that bounds made of it prune too much.
    #[cfg(test)]
    pub(super) fn raise(&mut self, table: &str, by: u64) {
        let values = match table {
            "near" => &mut self.near,
            "least_rows" => &mut self.least_rows,
            "least_commits" => &mut self.least_commits,
            other => panic!("no table of bounds is called {other}"),
        };
        for value in values {
            *value += by;
        }
    }

    /// Whether there is anything to walk for.
    pub(super) const fn has_systems(&self) -> bool {
        !self.systems.is_empty()
    }

    /// A walk that has the fixed regions.
    pub(super) fn walk(&self, front: Front) -> Walk {
        let n = self.n;
        let mut walk = Walk {
            chosen: Vec::with_capacity(n),
            rows: vec![FAR; (n + 1) * n * n],
            bounds: vec![FAR; n * n],
            column: Vec::with_capacity(n),
            front,
        };
        (0..self.space.fixed()).for_each(|region| self.choose(&mut walk, region));
        walk
    }

    /// Walks all placements that begin with the chosen ones and `regions`, ascending.
    pub(super) fn run(&self, walk: &mut Walk, regions: &[usize]) {
        for region in regions {
            self.choose(walk, *region);
        }
        let next = regions.last().map_or(self.space.fixed(), |last| last + 1);
        self.descend(walk, next);
        walk.chosen.truncate(walk.chosen.len() - regions.len());
    }

    fn descend(&self, walk: &mut Walk, next: usize) {
        let missing = self.n - walk.chosen.len();
        if missing == 0 {
            self.take(walk);
            return;
        }
        if !walk.chosen.is_empty() && self.is_hopeless(walk, next) {
            return;
        }
        for region in next..=self.space.regions().len() - missing {
            self.choose(walk, region);
            self.descend(walk, region + 1);
            walk.chosen.pop();
        }
    }

    /// Adds a region: its round trip goes into the row of each chosen one, and theirs into its own.
    fn choose(&self, walk: &mut Walk, region: usize) {
        let (n, depth) = (self.n, walk.chosen.len());
        let (before, after) = walk.rows.split_at_mut((depth + 1) * n * n);
        let before = &before[depth * n * n..];
        let (old, own) = after[..(depth + 1) * n].split_at_mut(depth * n);
        own[0] = 0;
        for (place, (other, row)) in walk.chosen.iter().zip(old.chunks_exact_mut(n)).enumerate() {
            let round_trip = self.space.round_trip(region, *other);
            row[..depth].copy_from_slice(&before[place * n..place * n + depth]);
            insert(row, depth, round_trip);
            insert(own, place + 1, round_trip);
        }
        walk.chosen.push(region);
    }

    /// Whether no placement with the chosen regions, and others from `next` on, is on the front.
    fn is_hopeless(&self, walk: &mut Walk, next: usize) -> bool {
        let (n, m, depth) = (self.n, self.space.regions().len(), walk.chosen.len());
        let missing = n - depth;
        for (place, region) in walk.chosen.iter().enumerate() {
            let row = &walk.rows[(depth * n + place) * n..][..depth];
            let near = &self.near[(region * (m + 1) + next) * n..][..missing];
            merge(row, near, &mut walk.bounds[place * n..][..n]);
        }
        let least_commits = &self.least_commits[next * n..][..n];
        let least_rows = &self.least_rows[next * n..][..n];
        for system in &self.systems {
            let [q1, q2] = system.sizes;
            let mut costs = system.costs;
            let rows = || walk.bounds.chunks_exact(n).take(depth);
            let commits = walk.chosen.iter().zip(rows());
            let commits = commits.map(|(region, row)| self.space.access(*region) + row[q2 - 1]);
            costs[Objective::Commit.place()] = commits.fold(least_commits[q2 - 1], Ord::min);
            let mut takeover = [NEVER; 3];
            if q1 < n {
                takeover[0] = if q1 == 1 { 0 } else { rows().map(|row| row[q1]).fold(0, u64::max) };
            }
            if q1 < n && (self.wants_takeover[1] || self.wants_takeover[2]) {
                walk.column.clear();
                walk.column.extend(walk.bounds.chunks_exact(n).take(depth).map(|it| it[q1 - 1]));
                walk.column.extend((depth..n).map(|_| least_rows[q1 - 1]));
                walk.column.sort_unstable();
                takeover[1] = mean(walk.column[1..].iter().sum(), n - 1);
                takeover[2] = walk.column[1];
            }
            set_takeover(&mut costs, takeover);
            if self.rules.admit(&costs) && !walk.front.dominates(&self.rules.key(&costs)) {
                return false;
            }
        }
        true
    }

    /// Takes the points of a whole placement.
    fn take(&self, walk: &mut Walk) {
        let (n, fixed) = (self.n, walk.chosen.len() * self.n * self.n);
        let rows = &walk.rows[fixed..fixed + n * n];
        for system in &self.systems {
            let [q1, q2] = system.sizes;
            let mut costs = system.costs;
            let commit = |v: usize| self.space.access(walk.chosen[v]) + rows[v * n + q2 - 1];
            let best = (0..n).map(commit).min().expect("a placement has a replica");
            costs[Objective::Commit.place()] = best;
            // The takeover of the slowest costs little to tell; the others are looked at only if it may help.
            let mut takeover = [0; 3];
            takeover[0] = slowest(rows, n, q1);
            set_takeover(&mut costs, takeover);
            if !self.rules.admit(&costs) || walk.front.dominates(&self.rules.key(&costs)) {
                continue;
            }
            takeover = takeovers(self.space, &walk.chosen, rows, q1);
            set_takeover(&mut costs, takeover);
            if !self.rules.admit(&costs) {
                continue;
            }
            // Where the commit latency is no objective, all leaders within the limits are equal.
            let mut leaders = 0;
            for v in 0..n {
                costs[Objective::Commit.place()] = commit(v);
                let is_equal =
                    if self.has_commit { commit(v) == best } else { self.rules.admit(&costs) };
                leaders += u64::from(is_equal);
            }
            let leader = (0..n).find(|v| commit(*v) == best);
            costs[Objective::Commit.place()] = best;
            let first = || {
                Some(Candidate {
                    rest: rest(&costs),
                    size: self.size,
                    system: system.place,
                    regions: walk.chosen.iter().map(|it| byte(*it)).collect(),
                    leader: leader.map(byte),
                })
            };
            walk.front.offer(self.rules.key(&costs), leaders, first);
        }
    }
}

/// What tells points of equal value apart first: the resilience of the weaker phase, of both, and times.
pub(super) fn rest(costs: &Costs) -> [u64; 8] {
    let [phase1_nodes, phase2_nodes, phase1_regions, phase2_regions] = [
        Objective::Phase1Nodes,
        Objective::Phase2Nodes,
        Objective::Phase1Regions,
        Objective::Phase2Regions,
    ]
    .map(|objective| costs[objective.place()]);
    let [commit, after_loss, takeover, mean, best] = [
        Objective::Commit,
        Objective::AfterLoss,
        Objective::Takeover,
        Objective::TakeoverMean,
        Objective::TakeoverBest,
    ]
    .map(|objective| costs[objective.place()]);
    [
        phase1_regions.max(phase2_regions),
        phase1_nodes.max(phase2_nodes),
        phase1_regions + phase2_regions + phase1_nodes + phase2_nodes,
        commit,
        after_loss,
        takeover,
        mean,
        best,
    ]
}

pub(super) fn byte(place: usize) -> u8 {
    u8::try_from(place).expect("at most 255 candidates")
}

pub(super) fn set_takeover(costs: &mut Costs, [slowest, mean, best]: [u64; 3]) {
    costs[Objective::Takeover.place()] = slowest;
    costs[Objective::TakeoverMean.place()] = mean;
    costs[Objective::TakeoverBest.place()] = best;
}

/// The mean of so many lengths, rounded to the nearest nanosecond.
pub(super) fn mean(sum: u64, count: usize) -> u64 {
    let count = count as u64;
    (sum + count / 2) / count
}

/// The takeover of the slowest next leader.
fn slowest(rows: &[u64], n: usize, q1: usize) -> u64 {
    match q1 {
        _ if q1 >= n => NEVER,
        1 => 0,
        _ => rows.chunks_exact(n).map(|row| row[q1]).fold(0, u64::max),
    }
}

/// The takeover of the slowest next leader, their mean, and that of the best one.
fn takeovers(space: &Space, chosen: &[usize], rows: &[u64], q1: usize) -> [u64; 3] {
    let n = chosen.len();
    if q1 >= n {
        return [NEVER; 3];
    }
    let mut worst = [0; 3];
    for lost in chosen {
        let (mut most, mut sum, mut least) = (0, 0, NEVER);
        for (v, row) in chosen.iter().zip(rows.chunks_exact(n)) {
            if v == lost {
                continue;
            }
            let is_among = space.round_trip(*v, *lost) <= row[q1 - 1];
            let takes = row[q1 - 1 + usize::from(is_among)];
            most = most.max(takes);
            sum += takes;
            least = least.min(takes);
        }
        for (worst, here) in worst.iter_mut().zip([most, mean(sum, n - 1), least]) {
            *worst = here.max(*worst);
        }
    }
    worst
}

/// Puts a value into the first `len` of a sorted row; what is behind the row's end is dropped.
fn insert(row: &mut [u64], len: usize, value: u64) {
    let mut place = len;
    while place > 0 && row[place - 1] > value {
        if place < row.len() {
            row[place] = row[place - 1];
        }
        place -= 1;
    }
    if place < row.len() {
        row[place] = value;
    }
}

/// Merges two sorted lists into `to`, which has room for both.
fn merge(one: &[u64], other: &[u64], to: &mut [u64]) {
    let (mut i, mut j) = (0, 0);
    for value in to {
        let is_first = j == other.len() || (i < one.len() && one[i] <= other[j]);
        *value = if is_first { one[i] } else { other[j] };
        if is_first { i += 1 } else { j += 1 }
    }
}

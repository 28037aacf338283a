//! Negative controls: a search whose bounds are too high loses points, and the comparison with exhaustive
//! search finds it out.
//!
//! Each control of constant links raises one bound by one nanosecond: more than that is easier to find.

use super::super::counting::Counting;
use super::super::front::{Entry, Front};
use super::super::general::{General, Percentiles, Point, Sink};
use super::super::percentiles;
use super::super::search::ToFront;
use super::*;

/// The front that a search has in its entries.
fn found(entries: Vec<Entry>) -> Values {
    entries.into_iter().map(|entry| (entry.key, entry.count)).collect()
}

/// The front of systems by size, with one table of bounds raised.
fn by_size(search: &Search<'_>, raised: Option<&str>) -> Values {
    let mut front = Front::default();
    for (place, size) in search.sizes().unwrap().iter().enumerate() {
        let systems: Vec<_> = size.systems.iter().enumerate().collect();
        let mut counting = Counting::new(search.space, &search.rules, place, &systems);
        if let Some(table) = raised {
            counting.raise(table, 1);
        }
        let mut walk = counting.walk(front);
        counting.run(&mut walk, &[]);
        front = walk.front;
    }
    found(front.into_sorted())
}

#[test]
fn each_table_of_bounds_that_is_too_high_is_found_out() {
    let tables = ["near", "least_rows", "least_commits"];
    let mut wrong = tables.map(|_| 0);
    for seed in 0..8 {
        let profile = random_profile(seed, 8);
        let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
        let space = space(&profile, &any(&[3, 4], &all, &[]), &[("r-0", 1.0), ("r-7", 2.5)]);
        let mut search = search_of(&space, &COMMIT_TAKEOVER, &[Family::Counts]);
        let points = exhaustive(&search);
        for second in [Objective::Takeover, Objective::TakeoverMean, Objective::TakeoverBest] {
            search.rules.objectives = vec![Objective::Commit, second];
            let expected = expected(&search, &points);
            assert_eq!(by_size(&search, None), expected);
            for (table, wrong) in tables.iter().zip(&mut wrong) {
                *wrong += usize::from(by_size(&search, Some(*table)) != expected);
            }
        }
    }
    assert!(wrong.iter().all(|count| *count > 0), "{tables:?}: {wrong:?}");
}

/// Takes points into a front, and believes that a figure costs more than its bound.
struct Raised<'a> {
    objective: Option<Objective>,
    into: ToFront<'a>,
}

impl Sink for Raised<'_> {
    fn is_hopeless(&mut self, bounds: &Costs) -> bool {
        let mut costs = *bounds;
        if let Some(objective) = self.objective {
            costs[objective.place()] = costs[objective.place()].saturating_add(1);
        }
        self.into.is_hopeless(&costs)
    }

    fn take(&mut self, costs: &Costs, point: Point<'_>) {
        self.into.take(costs, point);
    }
}

/// The front of any systems, with the bound of one figure raised.
fn general(search: &Search<'_>, raised: Option<Objective>) -> Values {
    let mut front = Front::default();
    for (place, size) in search.sizes().unwrap().iter().enumerate() {
        let regions = search.space.sizes()[place];
        let systems: Vec<_> = size.systems.iter().enumerate().collect();
        let general = General {
            space: search.space,
            is_led: true,
            wants_takeover: true,
            systems: &systems,
            percentiles: None,
            regions: search.space.replica_sets(regions),
        };
        let into = ToFront { rules: &search.rules, front: &mut front, size: place };
        let mut sink = Raised { objective: raised, into };
        let m = search.space.regions().len();
        let mut each = |chosen: &[usize]| general.placement(chosen, &mut sink);
        general::placements(m, regions, &mut Vec::new(), 0, &mut each);
    }
    found(front.into_sorted())
}

#[test]
fn bounds_of_any_system_that_are_too_high_are_found_out() {
    let raised = [Objective::Commit, Objective::Takeover];
    let mut wrong = raised.map(|_| 0);
    for seed in 0..4 {
        let profile = random_profile(seed, 5);
        let all = profile.regions().iter().map(ToString::to_string).collect::<Vec<_>>();
        let space = space(&profile, &any(&[4], &all, &[]), &[("r-0", 1.0), ("r-2", 0.5)]);
        let search = search_of(&space, &COMMIT_TAKEOVER, &[Family::Explicit]);
        let expected = expected(&search, &exhaustive(&search));
        assert_eq!(general(&search, None), expected);
        for (objective, wrong) in raised.iter().zip(&mut wrong) {
            *wrong += usize::from(general(&search, Some(*objective)) != expected);
        }
    }
    assert!(wrong.iter().all(|count| *count > 0), "{raised:?}: {wrong:?}");
}

/// The front by percentiles of jittered links, with the least round trip between replicas raised. Such a bound is loose
/// by the wait beyond its least, so a nanosecond would change nothing.
pub(super) fn by_percentiles(search: &Search<'_>, raised_ns: u64) -> Values {
    let mut figures = Percentiles::new(search.space).unwrap();
    figures.least.iter_mut().for_each(|least| *least += raised_ns);
    let sizes = search.sizes().unwrap();
    found(percentiles::entries(search, &sizes, Some(&figures), &|_, _| false).unwrap())
}

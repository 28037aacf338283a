//! Why no point keeps to all limits, and which limit to relax by how much.
//!
//! For each limit two searches with its figure as the only objective: one with all other limits, and one
//! with none.

use super::objective::{Limit, Objective, Rules};
use super::search::{Error, Search, Watch};

/// What a limit would have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relaxed {
    /// The limit that was asked for.
    pub limit: Limit,
    /// The least cost of a point that keeps to all other limits; `None` if no point does.
    pub with_others: Option<u64>,
    /// The least cost of any point.
    pub alone: Option<u64>,
}

impl Search<'_> {
    /// Of each limit the best that could be had.
    pub fn relaxed(&self, watch: Watch<'_>) -> Result<Vec<Relaxed>, Error> {
        let best = |objective: Objective, limits: Vec<Limit>| -> Result<Option<u64>, Error> {
            let rules = Rules { objectives: vec![objective], limits };
            let families = self.families.clone();
            let search = Search { space: self.space, rules, families, proposers: self.proposers };
            let found = search.run(watch)?;
            Ok(found.rows.first().map(|row| row.costs[objective.place()]))
        };
        let relaxed = |(place, limit): (usize, &Limit)| {
            let mut others = self.rules.limits.clone();
            others.remove(place);
            let with_others = best(limit.objective, others)?;
            Ok(Relaxed { limit: *limit, with_others, alone: best(limit.objective, Vec::new())? })
        };
        self.rules.limits.iter().enumerate().map(relaxed).collect()
    }
}

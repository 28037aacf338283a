//! What a point of a search is judged by: objectives, limits, and the costs that both compare.

use crate::quorum::NodeSet;
use crate::time::Span;

/// A figure of a placement with its leader and its quorum system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Objective {
    /// The commit latency: its mean over the clients by their weights, every delay at its median.
    Commit,
    /// The median of the commit latency over all writes of all clients.
    P50,
    /// Its 99th percentile.
    P99,
    /// Phase 1 of the slowest next leader, in the worst case over the loss of any one region.
    Takeover,
    /// The mean over the next leaders instead of the slowest.
    TakeoverMean,
    /// The fastest next leader instead of the slowest.
    TakeoverBest,
    /// Without a leader: the commit latency while any one region is lost.
    AfterLoss,
    /// How many replicas phase 1 survives the loss of, whichever they are.
    Phase1Nodes,
    /// The same of phase 2.
    Phase2Nodes,
    /// How many whole regions phase 1 survives the loss of.
    Phase1Regions,
    /// The same of phase 2.
    Phase2Regions,
    /// The share of the writes in which the busiest replica votes, under the best strategy.
    Load,
    /// The messages of a write between replicas.
    Messages,
}

/// A cost for each objective, in the order of [`Objective::ALL`]: less is better.
///
/// Times are in nanoseconds, loads in millionths, and resilience is what is missing to
/// [`NodeSet::CAPACITY`].
pub type Costs = [u64; Objective::ALL.len()];

/// The cost of something that never ends.
pub const NEVER: u64 = u64::MAX;

/// A load of one.
const LOAD_UNIT: f64 = 1e6;

impl Objective {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Commit,
        Self::P50,
        Self::P99,
        Self::Takeover,
        Self::TakeoverMean,
        Self::TakeoverBest,
        Self::AfterLoss,
        Self::Phase1Nodes,
        Self::Phase2Nodes,
        Self::Phase1Regions,
        Self::Phase2Regions,
        Self::Load,
        Self::Messages,
    ];

    /// The name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Takeover => "takeover",
            Self::TakeoverMean => "takeover-mean",
            Self::TakeoverBest => "takeover-best",
            Self::AfterLoss => "after-loss",
            Self::Phase1Nodes => "phase1-nodes",
            Self::Phase2Nodes => "phase2-nodes",
            Self::Phase1Regions => "phase1-regions",
            Self::Phase2Regions => "phase2-regions",
            Self::Load => "load",
            Self::Messages => "messages",
        }
    }

    /// The objective of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|objective| objective.name() == name)
    }

    /// Its place in [`Costs`].
    pub const fn place(self) -> usize {
        self as usize
    }

    /// Whether it is a length of time.
    pub const fn is_time(self) -> bool {
        matches!(
            self,
            Self::Commit
                | Self::P50
                | Self::P99
                | Self::Takeover
                | Self::TakeoverMean
                | Self::TakeoverBest
                | Self::AfterLoss
        )
    }

    /// Whether more of it is better.
    pub const fn is_resilience(self) -> bool {
        matches!(
            self,
            Self::Phase1Nodes | Self::Phase2Nodes | Self::Phase1Regions | Self::Phase2Regions
        )
    }

    /// Whether it is a percentile of the commit latency.
    pub const fn is_percentile(self) -> bool {
        matches!(self, Self::P50 | Self::P99)
    }

    /// Whether it is about the next leader.
    pub const fn is_takeover(self) -> bool {
        matches!(self, Self::Takeover | Self::TakeoverMean | Self::TakeoverBest)
    }

    /// A cost as a number: milliseconds, a share, or a count; infinite if it never ends.
    pub fn value(self, cost: u64) -> f64 {
        match self {
            _ if self.is_time() && cost == NEVER => f64::INFINITY,
            _ if self.is_time() => Span(cost).as_millis_f64(),
            Self::Load => cost as f64 / LOAD_UNIT,
            _ if self.is_resilience() => (NodeSet::CAPACITY as u64 - cost) as f64,
            _ => cost as f64,
        }
    }

    /// The cost of a number, as [`Self::value`] gives it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, which is what is wanted"
    )]
    pub fn cost(self, value: f64) -> u64 {
        match self {
            _ if self.is_time() => Span::from_millis_f64(value).0,
            Self::Load => (value * LOAD_UNIT).round() as u64,
            _ if self.is_resilience() => {
                (NodeSet::CAPACITY as u64).saturating_sub(value.round() as u64)
            }
            _ => value.round() as u64,
        }
    }

    /// A cost in words: `31.20 ms`, `never`, `0.400`, `2`.
    pub fn words(self, cost: u64) -> String {
        match self {
            _ if self.is_time() && cost == NEVER => "never".to_owned(),
            _ if self.is_time() => format!("{} ms", Span(cost).milliseconds()),
            Self::Load => format!("{:.3}", self.value(cost)),
            _ => format!("{:.0}", self.value(cost)),
        }
    }
}

/// The most that an objective may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which.
    pub objective: Objective,
    /// The greatest cost that is admitted.
    pub most: u64,
}

/// The most objectives of one front; of more, nearly every point is on it.
pub const OBJECTIVES_MAX: usize = 8;

/// The costs of the objectives of a front, in the order in which they were asked for; the rest is zero.
pub type Key = [u64; OBJECTIVES_MAX];

/// What a search looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The objectives of the front, one at least.
    pub objectives: Vec<Objective>,
    /// What every point on it keeps to.
    pub limits: Vec<Limit>,
}

impl Rules {
    /// The costs that are compared.
    pub fn key(&self, costs: &Costs) -> Key {
        let mut key = [0; OBJECTIVES_MAX];
        for (cost, objective) in key.iter_mut().zip(&self.objectives) {
            *cost = costs[objective.place()];
        }
        key
    }

    /// Whether a point with these costs keeps to all limits.
    ///
    /// Of lower bounds it says whether any point with costs above them may.
    pub fn admit(&self, costs: &Costs) -> bool {
        self.limits.iter().all(|limit| costs[limit.objective.place()] <= limit.most)
    }

    /// Whether an objective or a limit is one of those for which this holds.
    pub fn ask_for(&self, is_one: fn(Objective) -> bool) -> bool {
        let limited = self.limits.iter().map(|limit| limit.objective);
        self.objectives.iter().copied().chain(limited).any(is_one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_and_their_values_are_each_others_inverse() {
        for (objective, value) in [
            (Objective::Commit, 31.25),
            (Objective::Phase1Nodes, 3.0),
            (Objective::Load, 0.4),
            (Objective::Messages, 8.0),
        ] {
            let found = objective.value(objective.cost(value));
            assert!((found - value).abs() < 1e-9, "{objective:?}: {found}");
        }
        for (place, objective) in Objective::ALL.into_iter().enumerate() {
            assert_eq!(objective.place(), place);
            assert_eq!(Objective::of_name(objective.name()), Some(objective));
        }
    }

    #[test]
    fn more_resilience_costs_less() {
        let cost = |nodes: f64| Objective::Phase2Nodes.cost(nodes);
        assert!(cost(2.0) < cost(1.0));
        assert_eq!(Objective::Phase2Nodes.words(cost(2.0)), "2");
    }
}

//! A threshold gate: at least so much of what its members and parts weigh together.
//!
//! "At least two of three groups, each with two of its three members" is a gate whose parts are gates;
//! and, or and choose are gates of weight one; a weighted system is one gate.
//! So this one type holds every structured family: grids, groups, weights, hierarchies, walls, trees and
//! expressions (the circuits of monotone threshold functions; Naor and Wool 1998 call them compositions).
//! Asking it about a set of acceptors allocates nothing.

use serde::{Deserialize, Serialize};

use super::{NodeId, NodeSet};

/// On when the members and parts that are on weigh at least the threshold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gate {
    /// The weight from which on it is on.
    threshold: u64,
    /// Acceptors that weigh one each.
    members: NodeSet,
    /// Gates with their weights; an acceptor of another weight is a gate of one member.
    parts: Vec<(u32, Gate)>,
}

impl Gate {
    /// At least `threshold` of these acceptors.
    pub const fn choose(threshold: u64, members: NodeSet) -> Self {
        Self { threshold, members, parts: Vec::new() }
    }

    /// This acceptor.
    pub const fn node(node: NodeId) -> Self {
        Self::choose(1, NodeSet::only(node))
    }

    /// At least `threshold` of what these parts weigh together.
    ///
    /// Acceptors of weight one become members, each once.
    pub fn weighted(threshold: u64, parts: impl IntoIterator<Item = (u32, Self)>) -> Self {
        let mut gate = Self::choose(threshold, NodeSet::EMPTY);
        for (weight, part) in parts {
            match part.lone() {
                Some(node) if weight == 1 && !gate.members.contains(node) => {
                    gate.members.insert(node);
                }
                _ => gate.parts.push((weight, part)),
            }
        }
        gate
    }

    /// At least `threshold` of these parts.
    pub fn of(threshold: u64, parts: impl IntoIterator<Item = Self>) -> Self {
        Self::weighted(threshold, parts.into_iter().map(|part| (1, part)))
    }

    /// All of these parts.
    pub fn all(parts: Vec<Self>) -> Self {
        Self::of(parts.len() as u64, parts)
    }

    /// Any of these parts.
    pub fn any(parts: Vec<Self>) -> Self {
        Self::of(1, parts)
    }

    /// The weight from which on it is on.
    pub const fn threshold(&self) -> u64 {
        self.threshold
    }

    /// The acceptors that weigh one each.
    pub const fn members(&self) -> NodeSet {
        self.members
    }

    /// The gates within, with their weights.
    pub fn parts(&self) -> &[(u32, Self)] {
        &self.parts
    }

    /// What everything within weighs together.
    pub fn total(&self) -> u64 {
        let parts = self.parts.iter().map(|(weight, _)| u64::from(*weight));
        parts.sum::<u64>() + self.members.len() as u64
    }

    /// Whether it is on when `nodes` are.
    pub fn contains(&self, nodes: NodeSet) -> bool {
        let mut weight = nodes.intersection(self.members).len() as u64;
        for (more, part) in &self.parts {
            if weight >= self.threshold {
                return true;
            }
            if part.contains(nodes) {
                weight += u64::from(*more);
            }
        }
        weight >= self.threshold
    }

    /// The gate that is on for exactly the sets whose complement leaves this one off: those that meet every
    /// set for which it is on.
    #[must_use]
    pub fn dual(&self) -> Self {
        Self {
            threshold: (self.total() + 1).saturating_sub(self.threshold),
            members: self.members,
            parts: self.parts.iter().map(|(weight, part)| (*weight, part.dual())).collect(),
        }
    }

    /// The same gate for acceptors of other numbers.
    pub(super) fn placed(&self, placed: &impl Fn(NodeSet) -> NodeSet) -> Self {
        let parts = self.parts.iter().map(|(weight, part)| (*weight, part.placed(placed)));
        let (threshold, members) = (self.threshold, placed(self.members));
        Self { threshold, members, parts: parts.collect() }
    }

    /// Every acceptor that stands in it.
    pub fn support(&self) -> NodeSet {
        self.parts.iter().fold(self.members, |all, (_, part)| all.union(part.support()))
    }

    /// Every acceptor that stands in it, those of a part together: an order in which to ask them.
    pub fn order(&self) -> Vec<NodeId> {
        let mut order: Vec<NodeId> = self.members.iter().collect();
        for (_, part) in &self.parts {
            for node in part.order() {
                if !order.contains(&node) {
                    order.push(node);
                }
            }
        }
        order
    }

    /// When it goes on, if each acceptor of `nodes` goes on `at` a time of its own; `None` if it never does.
    pub fn complete_at<T: Ord>(&self, nodes: NodeSet, at: &impl Fn(NodeId) -> T) -> Option<T> {
        let members = nodes.intersection(self.members).iter().map(|node| (at(node), 1));
        let parts = self.parts.iter().filter_map(|(weight, part)| {
            part.complete_at(nodes, at).map(|time| (time, u64::from(*weight)))
        });
        let mut times: Vec<(T, u64)> = members.chain(parts).collect();
        times.sort_unstable();
        let mut weight = 0;
        times.into_iter().find_map(|(time, more)| {
            weight += more;
            (weight >= self.threshold).then_some(time)
        })
    }

    /// Whether it is on or off whatever happens; `None` if that depends on an acceptor.
    pub fn constant(&self) -> Option<bool> {
        match self.threshold {
            0 => Some(true),
            threshold if self.total() < threshold => Some(false),
            _ => None,
        }
    }

    /// What is left to ask when this acceptor is known to be on, or off: two gates that ask the same are
    /// mostly equal.
    #[must_use]
    pub fn given(&self, node: NodeId, is_on: bool) -> Self {
        let mut left = Self {
            threshold: self
                .threshold
                .saturating_sub(u64::from(is_on && self.members.contains(node))),
            members: self.members.without(node),
            parts: Vec::with_capacity(self.parts.len()),
        };
        for (weight, part) in &self.parts {
            let part = part.given(node, is_on);
            match part.constant() {
                Some(true) => left.threshold = left.threshold.saturating_sub(u64::from(*weight)),
                None if *weight > 0 => left.parts.push((*weight, part)),
                Some(false) | None => {}
            }
        }
        left.simplified()
    }

    /// The same question with weights no larger than the threshold, and its parts in order.
    #[must_use]
    pub fn simplified(mut self) -> Self {
        if let Some(is_on) = self.constant() {
            return Self::choose(u64::from(!is_on), NodeSet::EMPTY);
        }
        let enough = u32::try_from(self.threshold).unwrap_or(u32::MAX);
        for (weight, _) in &mut self.parts {
            *weight = enough.min(*weight);
        }
        let parts = std::mem::take(&mut self.parts);
        let mut rest = Vec::new();
        for (weight, part) in parts {
            match part.lone() {
                Some(node) if weight == 1 && !self.members.contains(node) => {
                    self.members.insert(node);
                }
                _ => rest.push((weight, part)),
            }
        }
        // A gate around a single other one asks what that one asks.
        if self.members.is_empty() && rest.len() == 1 {
            return rest.swap_remove(0).1;
        }
        rest.sort_unstable();
        Self { parts: rest, ..self }
    }

    /// The acceptor that is all of it.
    pub(super) fn lone(&self) -> Option<NodeId> {
        let is_lone = self.threshold == 1 && self.parts.is_empty() && self.members.len() == 1;
        is_lone.then(|| self.members.iter().next()).flatten()
    }

    /// Whether every set of this gate meets every set of the other one for a reason that can be read off
    /// them: the thresholds add up to more than the weight, so that something is on in both, and if that is
    /// a part, the same holds within it.
    pub fn meets_by_weight(&self, other: &Self) -> bool {
        let parts = || self.parts.iter().zip(&other.parts);
        self.members == other.members
            && self.parts.len() == other.parts.len()
            && self.threshold + other.threshold > self.total()
            && parts().all(|((weight, _), (of_other, _))| weight == of_other)
            && parts().all(|((_, part), (_, of_other))| part.meets_by_weight(of_other))
    }
}

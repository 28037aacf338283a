//! The load of a family (Naor and Wool 1998): how busy the busiest acceptor is under the strategy that keeps
//! it least busy, as a share of the operations. Its inverse is the capacity: operations for each one that an
//! acceptor takes part in.
//!
//! A strategy picks each quorum with a probability, so the load is a linear programme over the quorums,
//! which are too many to list.
//! By duality it is also the largest z such that weights of sum 1 on the acceptors give each quorum z at
//! least, and the quorum that has least of some weights is a shortest path in the decision diagram.
//! So quorums are added until none has less than z: a handful for each acceptor.

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

use super::{Diagram, Family, NodeId, NodeSet};

/// Weights closer than this are equal.
const TOLERANCE: f64 = 1e-9;

/// Most quorums that are added; far more than were ever needed.
const ROUNDS_MAX: usize = 2000;

/// How a family is used best.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The share of the operations that the busiest acceptor takes part in, 0 to 1.
    pub load: f64,
    /// The quorums that are used, each with its probability.
    pub strategy: Vec<(NodeSet, f64)>,
}

impl Load {
    /// That of a family over `n` acceptors; `None` if its diagram is too large or the programme fails.
    pub fn new(family: &Family, n: usize) -> Option<Self> {
        let diagram = Diagram::new(family, n)?;
        let (_, first) = diagram.cheapest(|_| 1.0)?;
        let mut quorums = vec![first];
        while quorums.len() < ROUNDS_MAX {
            let (load, weights) = weights(&quorums, n)?;
            let (least, quorum) = diagram.cheapest(|node| weights[usize::from(node.0)])?;
            if least >= load - TOLERANCE || quorums.contains(&quorum) {
                return strategy(&quorums, n);
            }
            quorums.push(quorum);
        }
        None
    }

    /// How many operations the system does for each one that an acceptor takes part in.
    pub fn capacity(&self) -> f64 {
        1.0 / self.load
    }
}

/// The weights of sum 1 under which the least of these quorums has most, and how much that is.
fn weights(quorums: &[NodeSet], n: usize) -> Option<(f64, Vec<f64>)> {
    let mut problem = Problem::new(OptimizationDirection::Maximize);
    let least = problem.add_var(1.0, (0.0, 1.0));
    let weights: Vec<Variable> = (0..n).map(|_| problem.add_var(0.0, (0.0, 1.0))).collect();
    let all: Vec<(Variable, f64)> = weights.iter().map(|weight| (*weight, 1.0)).collect();
    problem.add_constraint(&all[..], ComparisonOp::Eq, 1.0);
    for quorum in quorums {
        let mut sum = of_members(&weights, *quorum);
        sum.push((least, -1.0));
        problem.add_constraint(&sum[..], ComparisonOp::Ge, 0.0);
    }
    let solution = problem.solve().ok()?.into_solution().ok()?;
    Some((
        solution.objective(),
        weights.iter().map(|it| solution.var_value(*it).max(0.0)).collect(),
    ))
}

/// The probabilities of these quorums under which the busiest acceptor is least busy.
fn strategy(quorums: &[NodeSet], n: usize) -> Option<Load> {
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let load = problem.add_var(1.0, (0.0, 1.0));
    let probabilities: Vec<Variable> =
        quorums.iter().map(|_| problem.add_var(0.0, (0.0, 1.0))).collect();
    let all: Vec<(Variable, f64)> = probabilities.iter().map(|it| (*it, 1.0)).collect();
    problem.add_constraint(&all[..], ComparisonOp::Eq, 1.0);
    for node in NodeSet::all(n).iter() {
        let mut sum: Vec<(Variable, f64)> = quorums
            .iter()
            .zip(&probabilities)
            .filter(|(quorum, _)| quorum.contains(node))
            .map(|(_, probability)| (*probability, 1.0))
            .collect();
        sum.push((load, -1.0));
        problem.add_constraint(&sum[..], ComparisonOp::Le, 0.0);
    }
    let solution = problem.solve().ok()?.into_solution().ok()?;
    let used = quorums.iter().zip(&probabilities);
    let used = used.map(|(quorum, it)| (*quorum, solution.var_value(*it)));
    let strategy = used.filter(|(_, probability)| *probability > TOLERANCE).collect();
    Some(Load { load: solution.objective(), strategy })
}

fn of_members(weights: &[Variable], set: NodeSet) -> Vec<(Variable, f64)> {
    set.iter().map(|NodeId(node)| (weights[usize::from(node)], 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_of_a_count_is_its_share_of_the_acceptors() {
        for (size, n) in [(1, 1), (1, 4), (3, 5), (5, 9), (9, 9), (33, 64)] {
            let found = Load::new(&Family::of_size(size), n).unwrap();
            let expected = size as f64 / n as f64;
            assert!((found.load - expected).abs() < 1e-6, "{size} of {n}: {}", found.load);
            assert!((found.capacity() - 1.0 / expected).abs() < 1e-5);
        }
    }

    #[test]
    fn strategies_are_distributions_that_have_their_load() {
        let sets = [0b00111, 0b11001, 0b01010].map(NodeSet::from_mask).to_vec();
        let found = Load::new(&Family::of_sets(sets), 5).unwrap();
        let sum: f64 = found.strategy.iter().map(|(_, probability)| probability).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        let busy = |node: NodeId| -> f64 {
            found.strategy.iter().filter(|(set, _)| set.contains(node)).map(|(_, p)| p).sum()
        };
        let busiest = NodeSet::all(5).iter().map(busy).max_by(f64::total_cmp).unwrap();
        assert!((busiest - found.load).abs() < 1e-6, "{busiest} {}", found.load);
    }
}

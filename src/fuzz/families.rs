//! Quorum systems of every family, beside those that a case draws first.

use super::address::Draws;
use super::random_stream::{Purpose, RandomStream};
use crate::quorum::{Family, Gate, Line, NodeId, NodeSet, QuorumSystem, Share};

/// For one seed of ten, another system of as many replicas: a grid, groups, weights, a hierarchy, a wall, a
/// tree or an expression.
pub(super) fn structured(draws: &Draws, picked: QuorumSystem) -> QuorumSystem {
    let mut stream = draws.stream(Purpose::Families);
    if !stream.one_in(10) {
        return picked;
    }
    let n = picked.n();
    let system = match stream.below(7) {
        0 => grid(&mut stream, n),
        1 => groups(&mut stream, n),
        2 => Some(weighted(&mut stream, n)),
        3 => Some(hierarchical(&mut stream, n)),
        4 => Some(wall(&mut stream, n)),
        5 => QuorumSystem::tree(n, 2).ok(),
        _ => None,
    };
    let system = system.unwrap_or_else(|| expression(&mut stream, n));
    assert!(system.disjoint().is_none(), "an unsafe quorum system was drawn: {system:?}");
    system
}

/// Lines that cross one another.
fn grid(stream: &mut RandomStream, n: usize) -> Option<QuorumSystem> {
    let widths: Vec<usize> = (2..n).filter(|width| n.is_multiple_of(*width)).collect();
    if widths.is_empty() {
        return None;
    }
    let columns = stream.pick(&widths);
    let lines = stream.pick(&[
        [Line::Row, Line::Column],
        [Line::OneOfEachRow, Line::Row],
        [Line::Column, Line::OneOfEachColumn],
    ]);
    let [one, other] = lines;
    let lines = if stream.one_in(2) { [one, other] } else { [other, one] };
    QuorumSystem::grid(n, [n / columns, columns], lines).ok()
}

/// Groups of any size, with numbers that are more than there are; `None` where they come out as fewer.
fn groups(stream: &mut RandomStream, n: usize) -> Option<QuorumSystem> {
    let groups = parts(stream, n);
    let least = groups.iter().map(|group| group.len()).min()?;
    let first = 1 + stream.index(groups.len());
    let other = Share { groups: Some(groups.len() + 1 - first), members: None };
    let one = Share { groups: Some(first), members: None };
    // Where all groups are alike, another number than a majority is safe, too.
    let is_alike = groups.iter().all(|group| group.len() == least);
    let members = 1 + stream.index(least);
    let shares = if is_alike {
        let of = |share, members| Share { members: Some(members), ..share };
        [of(one, members), of(other, least + 1 - members)]
    } else {
        [one, other]
    };
    QuorumSystem::groups(n, &groups, shares).ok()
}

/// Some weights may be 0: listed, and without a vote.
fn weighted(stream: &mut RandomStream, n: usize) -> QuorumSystem {
    let mut weights = weights(stream, n);
    weights[0] = weights[0].max(1);
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let first = 1 + stream.below(total);
    QuorumSystem::weighted(&weights, [first, total + 1 - first]).expect("weights within their sum")
}

fn hierarchical(stream: &mut RandomStream, n: usize) -> QuorumSystem {
    let groups = parts(stream, n);
    let mut weights = weights(stream, n);
    weights[0] = weights[0].max(1);
    QuorumSystem::hierarchical(&groups, &weights).expect("groups with a weight")
}

fn wall(stream: &mut RandomStream, n: usize) -> QuorumSystem {
    let lengths: Vec<usize> = parts(stream, n).into_iter().map(NodeSet::len).collect();
    QuorumSystem::wall(n, &lengths).expect("rows of all replicas")
}

/// Any gates two deep for one phase, and for the other exactly what meets them.
fn expression(stream: &mut RandomStream, n: usize) -> QuorumSystem {
    let any = |stream: &mut RandomStream| {
        let mask = stream.word() & NodeSet::all(n).mask();
        let members = if mask == 0 { NodeSet::all(n) } else { NodeSet::from_mask(mask) };
        Gate::choose(1 + stream.below(members.len() as u64), members)
    };
    let parts: Vec<Gate> = (0..=stream.below(3)).map(|_| any(stream)).collect();
    let threshold = 1 + stream.below(parts.len() as u64);
    let family = Family::of_gate(Gate::of(threshold, parts), n);
    let dual = family.dual(n);
    let (phase1, phase2) = if stream.one_in(2) { (family, dual) } else { (dual, family) };
    QuorumSystem::new(n, phase1, phase2).expect("gates of at most sixteen replicas")
}

/// The replicas cut into groups, in their order.
fn parts(stream: &mut RandomStream, n: usize) -> Vec<NodeSet> {
    let mut parts = vec![NodeSet::EMPTY];
    for node in NodeSet::all(n).iter() {
        let is_begun = parts.last().is_some_and(|part| !part.is_empty());
        if is_begun && stream.one_in(2) {
            parts.push(NodeSet::EMPTY);
        }
        let last = parts.len() - 1;
        parts[last].insert(NodeId(node.0));
    }
    parts
}

fn weights(stream: &mut RandomStream, n: usize) -> Vec<u32> {
    (0..n).map(|_| stream.pick(&[0, 1, 1, 1, 2, 3])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::Layout;
    use std::collections::BTreeSet;

    #[test]
    fn every_family_is_drawn_for_one_seed_of_ten() {
        let mut kinds = BTreeSet::new();
        let mut count = 0;
        for seed in 0..2000_u64 {
            let n = 1 + usize::try_from(seed % 7).unwrap();
            let picked = QuorumSystem::counts(n, n, 1).unwrap();
            let system = structured(&seed.into(), picked.clone());
            assert_eq!((system.n(), system.disjoint()), (n, None));
            count += usize::from(system != picked);
            kinds.insert(match system.layout() {
                Layout::Plain if system == picked => "as drawn",
                Layout::Plain => "expression",
                Layout::Grid { .. } => "grid",
                Layout::Groups(_) => "groups",
                Layout::Hierarchy { .. } => "hierarchy",
                Layout::Weights(_) => "weights",
                Layout::Wall(_) => "wall",
                Layout::Tree { .. } => "tree",
            });
        }
        assert_eq!(kinds.len(), 8, "{kinds:?}");
        assert!((140..260).contains(&count), "{count}");
    }
}

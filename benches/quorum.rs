//! What it costs to ask whether a set is a quorum, and whether a system is safe.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use flexpaxos::quorum::{Family, Line, NodeId, NodeSet, QuorumSystem, Share};

/// Systems of nine: by size, by listed sets, and by gates.
fn systems() -> [(&'static str, QuorumSystem); 6] {
    let rows: Vec<Vec<usize>> = (0..3).map(|row| (row * 3..row * 3 + 3).collect()).collect();
    let columns: Vec<Vec<usize>> = (0..3).map(|first| vec![first, first + 3, first + 6]).collect();
    let groups = [0b111, 0b111_000, 0b111_000_000].map(NodeSet::from_mask);
    [
        ("majority", QuorumSystem::majority(9)),
        ("counts-7-3", QuorumSystem::counts(9, 7, 3).expect("sizes within nine")),
        (
            "grid-3x3-listed",
            QuorumSystem::explicit(9, &rows, &columns).expect("members within nine"),
        ),
        ("grid-3x3", QuorumSystem::grid(9, [3, 3], [Line::Row, Line::Column]).expect("nine")),
        ("groups", QuorumSystem::groups(9, &groups, [Share::default(); 2]).expect("nine")),
        ("weighted", QuorumSystem::weighted(&[3, 2, 2, 2, 1, 1, 1, 1, 1], [10, 5]).expect("nine")),
    ]
}

/// Votes arrive one by one, as at a leader: asked after each.
fn is_phase2(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("is_phase2");
    for (name, system) in systems() {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let votes = (0..9).map(NodeId).scan(NodeSet::EMPTY, |votes, node| {
                    votes.insert(node);
                    Some(*votes)
                });
                votes.filter(|votes| black_box(&system).is_phase2(black_box(*votes))).count()
            });
        });
    }
    group.finish();
}

fn disjoint(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("disjoint");
    for (name, system) in systems() {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| black_box(&system).disjoint());
        });
    }
    // Every pair of the 126 majorities of nine, listed.
    let sets: Vec<NodeSet> =
        (0..1 << 9).map(NodeSet::from_mask).filter(|set| set.len() == 5).collect();
    let listed = QuorumSystem::new(9, Family::of_sets(sets.clone()), Family::of_sets(sets))
        .expect("members within nine");
    group.bench_function("majority-listed", |bencher| {
        bencher.iter(|| black_box(&listed).disjoint());
    });
    group.finish();
}

criterion_group!(benches, is_phase2, disjoint);
criterion_main!(benches);

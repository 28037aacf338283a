//! What it costs to judge what clients saw: a whole run, by the slots and by search alone.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flexpaxos::command::ClientId;
use flexpaxos::history::oracle::{Options, Verdict, check};
use flexpaxos::history::{ClientWriter, Issued, Kind, Returned};
use flexpaxos::protocol::Slot;
use flexpaxos::time::Time;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// A run: operations at a rate of one a microsecond.
#[derive(Clone, Copy)]
struct Run {
    operations: u64,
    keys: u64,
    /// The longest that an operation takes, in microseconds: so many are under way at once.
    takes: u64,
}

/// What one client saw of a register that works: each operation takes effect at a moment within it.
fn history(run: Run) -> Vec<u8> {
    let Run { operations, keys, takes } = run;
    let mut rng = Pcg64::seed_from_u64(1);
    let mut values = vec![None; usize::try_from(keys).expect("few keys")];
    let mut writer = ClientWriter::new(ClientId(0));
    let mut returns = Vec::new();
    for sequence in 0..operations {
        // Effects are a microsecond apart, in the order of the slots.
        let moment = (sequence + takes) * 1000;
        let key = rng.random_range(0..keys);
        let value = &mut values[usize::try_from(key).expect("few keys")];
        let kind = if rng.random_bool(0.5) { Kind::Write } else { Kind::Read };
        let written = u32::try_from(sequence).expect("few operations");
        if kind == Kind::Write {
            *value = Some(written);
        }
        let intended_at = Time(moment - rng.random_range(0..takes * 500));
        let digest = if kind == Kind::Write { written } else { 0 };
        writer.invoke(&Issued { sequence, intended_at, kind, key, digest });
        let at = Time(moment + rng.random_range(0..takes * 500));
        let digest = if kind == Kind::Read { *value } else { None };
        returns.push(Returned { sequence, at, slot: Slot(sequence), is_beside: false, digest });
    }
    for returned in &returns {
        writer.returned(returned);
    }
    writer.finish()
}

fn judge(history: &[u8], has_witness: bool, keys: u64) -> Verdict {
    let options = Options { has_witness, ..Options::default() };
    let verdict = check([history], options).expect("it is whole");
    let settled = if has_witness { verdict.witnessed_count } else { verdict.searched_count };
    assert_eq!(settled, keys, "{verdict:?}");
    verdict
}

fn linearize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("linearize");
    group.sample_size(10);
    let runs = [
        ("1000 keys, 1000 at once", Run { operations: 100_000, keys: 1000, takes: 1000 }),
        ("1 key, 100 at once", Run { operations: 100_000, keys: 1, takes: 100 }),
        ("1 key, 1000 at once", Run { operations: 100_000, keys: 1, takes: 1000 }),
    ];
    for (name, run) in runs {
        let bytes = history(run);
        group.throughput(Throughput::Elements(run.operations));
        for (way, has_witness) in [("slots", true), ("search", false)] {
            group.bench_function(format!("100000 operations on {name}, by {way}"), |bencher| {
                bencher.iter(|| judge(&bytes, has_witness, run.keys));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, linearize);
criterion_main!(benches);

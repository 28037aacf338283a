//! What it costs to measure: one operation in the recorder, in a client's history, in a replica's log,
//! and in the check at the end.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flexpaxos::command::{ClientId, RequestId};
use flexpaxos::history::{
    Check, ChosenWriter, ClientWriter, Entry, EntryCommand, Issued, Kind, Options, Returned,
};
use flexpaxos::measure::{OperationKind, Recorder, Recording, Window};
use flexpaxos::protocol::Slot;
use flexpaxos::quorum::NodeId;
use flexpaxos::time::{Span, Time};

const OPERATIONS: u64 = 10_000;
/// Operations are a microsecond apart, each takes 70 ms.
const APART: u64 = 1_000;
const TAKES: u64 = 70_000_000;

fn window() -> Window {
    Window { from: Time(0), to: Time(u64::MAX) }
}

fn issued(sequence: u64) -> Issued {
    Issued {
        sequence,
        intended_at: Time(sequence * APART),
        kind: Kind::Write,
        key: sequence * 31 % 1000,
        digest: 0x1234_5678,
    }
}

fn returned(sequence: u64) -> Returned {
    let at = Time(sequence * APART + TAKES);
    Returned { sequence, at, slot: Slot(sequence), is_beside: false, digest: None }
}

fn entry(slot: u64) -> Entry {
    let Issued { sequence, kind, key, digest, .. } = issued(slot);
    let request = RequestId { client: ClientId(0), sequence };
    let command = Some(EntryCommand { request, kind, key, digest });
    Entry { slot: Slot(slot), command, applied: true }
}

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recorder");
    group.throughput(Throughput::Elements(OPERATIONS));
    group.bench_function("record", |bencher| {
        let mut recorder = Recorder::new(window(), Span(u64::MAX / 2));
        bencher.iter(|| {
            for sequence in 0..OPERATIONS {
                let intended_at = Time(black_box(sequence * APART));
                let returned_at = intended_at + Span(TAKES + sequence * 977 % 1_000_000);
                recorder.record(OperationKind::Write, intended_at, returned_at);
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("interval");
    let full = || {
        let mut recorder = Recorder::new(window(), Span(u64::MAX / 2));
        for sequence in 0..OPERATIONS {
            let returned_at = Time(TAKES + sequence * 977 % 1_000_000);
            recorder.record(OperationKind::Write, Time(0), returned_at);
        }
        recorder.finish().remove(0)
    };
    let interval = full();
    group.bench_function("encode", |bencher| {
        bencher.iter_batched(
            || Recording::new(window(), Span(1)),
            |mut recording| {
                recording.add(&interval);
                recording
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("rotate", |bencher| {
        // Every record is in an interval of its own, whose memory comes back.
        let mut recorder = Recorder::new(window(), Span(1));
        let mut now = 0;
        bencher.iter_batched(
            || (),
            |()| {
                now += 2;
                recorder.record(OperationKind::Write, Time(now), Time(now));
                let mut interval = recorder.take_interval().expect("one is over");
                interval.clear();
                recorder.recycle(interval);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn histories() -> (Vec<u8>, Vec<u8>) {
    let mut client = ClientWriter::new(ClientId(0));
    let mut log = ChosenWriter::new(NodeId(0), Slot(0));
    for sequence in 0..OPERATIONS {
        client.invoke(&issued(sequence));
        client.returned(&returned(sequence));
        log.entry(&entry(sequence));
    }
    (client.finish(), log.finish())
}

fn history(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("history");
    group.throughput(Throughput::Elements(OPERATIONS));
    group.bench_function("invoke and return", |bencher| {
        let mut writer = ClientWriter::new(ClientId(0));
        bencher.iter(|| {
            for sequence in 0..OPERATIONS {
                writer.invoke(black_box(&issued(sequence)));
                writer.returned(black_box(&returned(sequence)));
                black_box(writer.take_block());
            }
        });
    });
    group.bench_function("chosen entry", |bencher| {
        let mut writer = ChosenWriter::new(NodeId(0), Slot(0));
        bencher.iter(|| {
            for slot in 0..OPERATIONS {
                writer.entry(black_box(&entry(slot)));
                black_box(writer.take_block());
            }
        });
    });
    let (client, log) = histories();
    group.bench_function("check of three replicas", |bencher| {
        bencher.iter(|| {
            let mut check = Check::new(Options::default());
            check.add_client(|| Ok(client.as_slice())).expect("it is whole");
            for _ in 0..3 {
                check.add_replica(log.as_slice()).expect("it is whole");
            }
            let verdict = check.finish().expect("it is whole");
            assert!(verdict.is_valid(), "{:?}", verdict.violations);
        });
    });
    group.finish();
}

criterion_group!(benches, record, history);
criterion_main!(benches);

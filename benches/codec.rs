//! What a frame costs: a Phase 2a with a value of 128 bytes, into a buffer and out of one.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flexpaxos::runtime::net::frame::{Decoder, encode};
use serde::{Deserialize, Serialize};

/// Of the size and shape of the protocol's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Phase1a {
        round: u64,
        proposer: u8,
        from_slot: u64,
    },
    Phase2a {
        round: u64,
        proposer: u8,
        slot: u64,
        client: u32,
        sequence: u64,
        key: u64,
        value: Bytes,
    },
}

fn phase2a(value: usize) -> Message {
    let value = Bytes::from(vec![7; value]);
    Message::Phase2a {
        round: 3,
        proposer: 1,
        slot: 70_000,
        client: 2,
        sequence: 9_000,
        key: 42,
        value,
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for value in [128, 4096] {
        let message = phase2a(value);
        group.throughput(Throughput::Elements(1));
        let mut buffer = BytesMut::with_capacity(1 << 20);
        group.bench_function(format!("encode {value} B"), |bencher| {
            bencher.iter(|| {
                buffer.clear();
                encode(&mut buffer, black_box(&message)).expect("it fits");
            });
        });

        let mut frames = BytesMut::new();
        for _ in 0..COUNT {
            encode(&mut frames, &message).expect("it fits");
        }
        let frames = frames.freeze();
        group.throughput(Throughput::Elements(COUNT));
        group.bench_function(format!("decode {COUNT} of {value} B in one chunk"), |bencher| {
            bencher.iter_batched(
                || frames.clone(),
                |frames| {
                    let mut decoder = Decoder::default();
                    decoder.push(frames);
                    while let Some(message) = decoder.next::<Message>().expect("it decodes") {
                        black_box(message);
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Frames of one chunk.
const COUNT: u64 = 100;

criterion_group!(benches, codec);
criterion_main!(benches);

//! How fast the processor is, at arithmetic and at the cipher of QUIC, and how often it is taken away.

use std::hint::black_box;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{Gaps, Quantiles};
use crate::measure::Latencies;
use crate::runtime::clock;
use crate::time::Span;

/// The payload of a full datagram.
const SEALED_BYTES: usize = 1200;

/// Steps of the generator between two looks at the clock.
const STEPS: u64 = 10_000;

/// A thread that spins and sees the clock jump by this much was not running.
const GAP: Span = Span::from_millis(1);

/// The time to seal and open 1200 bytes with AES-128-GCM, the cipher suite of every connection.
pub(super) fn cipher(length: Span) -> Quantiles {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).expect("the key has 16 bytes");
    let key = LessSafeKey::new(key);
    let nonce = || Nonce::assume_unique_for_key([7; 12]);
    let mut buffer = vec![0; SEALED_BYTES];
    repeat(length, || {
        key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut buffer)
            .expect("1200 bytes are not too many");
        key.open_in_place(nonce(), Aad::empty(), &mut buffer).expect("it was sealed just now");
        buffer.truncate(SEALED_BYTES);
    })
}

/// Nanoseconds for a step of a generator of random numbers: a multiplication, and what waits for it.
pub(super) fn arithmetic(length: Span) -> f64 {
    let mut state = 1_u64;
    let took = repeat(length, || {
        for _ in 0..STEPS {
            state = black_box(state)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
        }
    });
    took.ns_p50.unwrap_or(0) as f64 / STEPS as f64
}

fn repeat(length: Span, mut work: impl FnMut()) -> Quantiles {
    let mut took = Latencies::new();
    let start = clock::now();
    let mut last = start;
    while last.since(start) < length || took.is_empty() {
        work();
        let now = clock::now();
        took.record(now.since(last));
        last = now;
    }
    Quantiles::of(&took)
}

/// When a thread that does nothing but look at the clock is not running.
pub(super) fn gaps(length: Span) -> Gaps {
    let start = clock::now();
    let (mut last, mut gaps) = (start, Gaps::default());
    while last.since(start) < length {
        let now = clock::now();
        let gap = now.since(last);
        gaps.longest_ns = gaps.longest_ns.max(gap.0);
        gaps.count += u64::from(gap > GAP);
        last = now;
    }
    gaps.watched_ns = last.since(start).0;
    gaps
}

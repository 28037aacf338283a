//! How long the kernel lets a busy thread run while another one waits for its processor.

use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::measure::Latencies;
use crate::runtime::clock;
use crate::time::Span;

/// A thread that shares its processor sees the clock jump by this much at least when the other one had it.
const TAKEN: Span = Span::from_micros(200);

/// Two threads that spin on one processor: the median of how long one of them runs before the other one does, in
/// nanoseconds. `None` if they cannot be put on one.
pub fn slice_ns(length: Span) -> Option<u64> {
    let myself = Pid::from_raw(0);
    let allowed = sched_getaffinity(myself).ok()?;
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false))?;
    let mut only = CpuSet::new();
    only.set(first).ok()?;
    let spin = || {
        sched_setaffinity(myself, &only).ok()?;
        let (mut taken, start) = (Latencies::new(), clock::now());
        let mut last = start;
        while last.since(start) < length {
            let now = clock::now();
            if now.since(last) >= TAKEN {
                taken.record(now.since(last));
            }
            last = now;
        }
        taken.quantile(0.5)
    };
    // Each sees how long the other one had the processor.
    let [one, other] = thread::scope(|scope| {
        let other = scope.spawn(spin);
        let one = scope.spawn(spin).join();
        [one, other.join()].map(|found| found.ok().flatten())
    });
    Some(one?.max(other?).0)
}

//! The thread that releases datagrams when they are due, within microseconds and never early.
//!
//! Timers of an event loop are 20 µs late at best, and as late as everything else in the loop.
//! So one thread of its own waits until shortly before the next due time, and spins the rest.
//! It never spins for more than a twentieth of the time: some thousand instants a second.
//! It asks for the first-in-first-out scheduling class of real-time threads, which the kernel grants to root and
//! to users with an `rtprio` limit; what was obtained is recorded.
//!
//! One releaser serves any number of endpoints in its process.
//! It knows nothing of links and their delays: it is given runs of datagrams, each with its due time.
//!
//! # What was tried
//!
//! Lateness in microseconds, p50 / p99, by `cargo bench --bench delay_line -- --delays 5`, two or three
//! runs in turn on a virtual machine with 2 cores, 2026-11-21. While nobody else used it:
//!
//! | | 100 datagrams a second | 10,000 |
//! |---|---|---|
//! | this: spin 50 us, after a long wait 100 us | 2–3 / 6–16 | 0.4–0.8 / 12–21 |
//! | idle processors asleep | 3 / 82–328 | 0.6 / 66–98 |
//! | without real-time | 2 / 10–32 | 0.6 / 25–41 |
//! | spin 50 us after a long wait too | 4–21 / 164–524 | 0.8–0.9 / 98–1,835 |
//!
//! (The last a few minutes before, with 1.3 % of the machine's time stolen instead of 0.1 %.)
//! The thread spun without a limit then, and released each datagram when it was due; above some thousand
//! instants a second it now does neither.
//! Real-time pays when the machine is full: with compilers on all cores the p99 without it was 3,670
//! and 5,243, and 131–1,573 and 82–1,049 with it.
//! Spinning for 100 us always means never to sleep at 10,000 a second, which receivers on a full machine
//! pay for.
//! A spin that learned what a wake-up takes gained nothing, nor did a queue of the thread's own in place of
//! one behind a lock, nor a core of its own: they are not here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use super::run::Run;
use crate::runtime::clock;
use crate::runtime::machine::awake::Awake;
use crate::time::{Span, Time};

/// A real-time priority above that of ordinary threads, below that of the kernel's own (50).
const PRIORITY: u8 = 10;

/// How many runs are taken off the queue at once: the lock is held shortly.
const BATCH: usize = 64;

/// A wait that is longer than this ends in a wake-up from the cold.
const LONG_WAIT: Span = Span::from_millis(1);

/// The thread spins for this part of the time at most.
const SPIN_PART: u64 = 20;

/// What it has not spun for, it may spin for later, up to this.
const ALLOWANCE_MAX: Span = Span::from_millis(2);

/// How long to wait for a full socket: a few packets' worth.
const RETRY: Duration = Duration::from_micros(20);

/// Buffers kept for use again, and the largest kept: one send call of QUIC.
const POOLED_BUFFERS: usize = 1024;
const POOLED_BYTES: usize = 16 << 10;

/// How precise the release is, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Precision {
    /// How long before a due time the thread spins instead of waiting; after a wait of more than a
    /// millisecond twice as long.
    ///
    /// A wake-up takes 20–50 µs, so 50 covers most of them.
    /// It costs that much processor time for each distinct instant.
    pub spin: Span,
    /// Whether to ask for real-time scheduling.
    pub realtime: bool,
    /// Whether to ask that no processor of the host sleeps: see [`Awake`].
    pub awake: bool,
    /// Under load, what is due within this time leaves together, each up to so much late; zero is never.
    /// `runtime/coalescer.rs` says when.
    pub quantum: Span,
}

impl Default for Precision {
    fn default() -> Self {
        Self {
            spin: Span::from_micros(50),
            realtime: true,
            awake: true,
            quantum: Span::from_micros(128),
        }
    }
}

/// What the thread obtained of what it asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scheduling {
    /// The scheduling class of the thread.
    pub class: Class,
    /// Why it is not real-time, if that was asked for.
    pub class_refused: Option<String>,
    /// Why its timers have the slack of the system, and not that of a nanosecond.
    pub slack_refused: Option<String>,
    /// How long it spins before something is due, in nanoseconds.
    pub spin_ns: u64,
    /// Whether the processors of the host are kept awake.
    pub is_awake: bool,
    /// Why they are not, if that was asked for.
    pub awake_refused: Option<String>,
}

/// The scheduling class of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Real-time, first in first out.
    Fifo,
    /// As every thread.
    #[default]
    Normal,
}

/// The timer thread; it ends, and what it still holds is lost, when this is dropped.
#[derive(Debug)]
pub struct Releaser {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    scheduling: Scheduling,
    /// For as long as there is something to be released in time.
    _awake: Option<Awake>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// When the first of the queue is released, in nanoseconds; `u64::MAX` if it is empty.
    next: AtomicU64,
    /// Whether it is put off: then nothing is gained by spinning.
    is_put_off: AtomicBool,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    runs: BinaryHeap<Reverse<Run>>,
    sequence: u64,
    buffers: Vec<Vec<u8>>,
}

impl Releaser {
    /// Starts the thread.
    pub fn start(precision: Precision) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            next: AtomicU64::new(u64::MAX),
            is_put_off: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let awake = precision.awake.then(Awake::keep);
        let (obtained, scheduling) = mpsc::channel();
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().name("link-releaser".into()).spawn(move || {
            let scheduling = schedule(precision);
            // The starter waits for this; should it be gone, there is nobody to tell.
            let _ = obtained.send(scheduling);
            worker.release(precision.spin);
        })?;
        let gone = |_| std::io::Error::other("the thread that releases datagrams ended at once");
        let mut scheduling = scheduling.recv().map_err(gone)?;
        let awake = match awake {
            Some(Ok(awake)) => Some(awake),
            Some(Err(error)) => {
                scheduling.awake_refused = Some(error.to_string());
                None
            }
            None => None,
        };
        scheduling.is_awake = awake.is_some();
        Ok(Self { shared, thread: Some(thread), scheduling, _awake: awake })
    }

    /// The scheduling that the thread obtained.
    pub const fn scheduling(&self) -> &Scheduling {
        &self.scheduling
    }

    /// An empty buffer for the contents of a run.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.shared.queue().buffers.pop().unwrap_or_default()
    }

    /// Takes these runs, in their order.
    pub(super) fn push(&self, runs: impl IntoIterator<Item = Run>) {
        let mut queue = self.shared.queue();
        for mut run in runs {
            run.sequence = queue.sequence;
            queue.sequence += 1;
            queue.runs.push(Reverse(run));
        }
        let next = queue.next();
        let before = self.shared.set_next(&queue);
        drop(queue);
        if next < before {
            self.thread().unpark();
        }
    }

    fn thread(&self) -> &Thread {
        self.thread.as_ref().expect("the thread runs until this is dropped").thread()
    }
}

impl Drop for Releaser {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends by itself; had it panicked, the panic was printed.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn next(&self) -> u64 {
        self.runs.peek().map_or(u64::MAX, |Reverse(run)| run.release.0)
    }

    fn take_due(&mut self, now: Time, batch: &mut Vec<Run>) {
        while batch.len() < BATCH && self.next() <= now.0 {
            batch.extend(self.runs.pop().map(|Reverse(run)| run));
        }
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < POOLED_BUFFERS && buffer.capacity() <= POOLED_BYTES {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

impl Shared {
    /// The queue; a thread that panicked while it held it left it whole.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is released next; when it was before.
    fn set_next(&self, queue: &Queue) -> u64 {
        let is_put_off = queue.runs.peek().is_some_and(|Reverse(run)| run.release > run.due);
        self.is_put_off.store(is_put_off, Ordering::Release);
        self.next.swap(queue.next(), Ordering::AcqRel)
    }

    /// The life of the thread.
    fn release(&self, longest: Span) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut allowance = Allowance::full(clock::now());
        let mut woken_for = u64::MAX;
        while !self.stopping.load(Ordering::Acquire) {
            // Read anew in every round: something earlier may have come.
            let next = self.next.load(Ordering::Acquire);
            let now = clock::now();
            let wait = Time(next).since(now);
            let is_awake = woken_for == next;
            let may_spin = !self.is_put_off.load(Ordering::Acquire)
                && (is_awake || allowance.affords(longest.times(2)));
            let spin = if may_spin { longest } else { Span::ZERO };
            let is_near = wait <= spin || is_awake && wait <= spin.times(2);
            let is_spinning = wait > Span::ZERO && is_near;
            allowance.pass(now, is_spinning);
            if next == u64::MAX {
                thread::park();
            } else if is_spinning {
                std::hint::spin_loop();
            } else if wait > Span::ZERO {
                // After a long sleep everything is cold, and waking up takes longer.
                let margin = if wait > LONG_WAIT { spin.times(2) } else { spin };
                thread::park_timeout((wait - margin).into());
                woken_for = next;
            } else {
                self.send_due(&mut batch);
            }
        }
    }

    fn send_due(&self, batch: &mut Vec<Run>) {
        let mut queue = self.queue();
        queue.take_due(clock::now(), batch);
        self.set_next(&queue);
        drop(queue);

        let mut rest = batch.as_mut_slice();
        while let Some(first) = rest.first() {
            let (together, after) =
                rest.split_at_mut(Run::together(rest, first.outlet.max_segments()));
            self.send(together);
            rest = after;
        }

        let mut queue = self.queue();
        for run in batch.drain(..) {
            queue.give_back(run.contents);
        }
    }

    /// Sends runs that one call can carry.
    fn send(&self, runs: &mut [Run]) {
        let Some((first, others)) = runs.split_first_mut() else { return };
        for other in &*others {
            first.contents.extend_from_slice(&other.contents);
        }
        let transmit = first.header.transmit(&first.contents, first.segment_size);
        let released_at = loop {
            let now = clock::now();
            if first.outlet.send(&transmit).is_ok() {
                break now;
            }
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            thread::park_timeout(RETRY);
        };
        for run in &*runs {
            let (counters, datagrams) = (run.outlet.counters(), run.place.datagrams());
            counters.released.fetch_add(datagrams, Ordering::Relaxed);
            counters.lateness.record(released_at.since(run.due), datagrams);
            if released_at < run.due {
                counters.early.fetch_add(datagrams, Ordering::Relaxed);
            }
        }
    }
}

/// How long the thread may still spin: a part of the time that has passed.
///
/// Where much is due it would else spin all the time, and take the processors from the members.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: Span,
    at: Time,
}

impl Allowance {
    const fn full(now: Time) -> Self {
        Self { left: ALLOWANCE_MAX, at: now }
    }

    fn affords(self, spin: Span) -> bool {
        self.left >= spin
    }

    /// It is `now`, and the thread spins or does not.
    fn pass(&mut self, now: Time, is_spinning: bool) {
        let passed = now.since(self.at);
        self.at = now;
        self.left = if is_spinning {
            Span(self.left.0.saturating_sub(passed.0))
        } else {
            Span(self.left.0 + passed.0 / SPIN_PART).min(ALLOWANCE_MAX)
        };
    }
}

impl Scheduling {
    /// Whether the system refused something that makes the release more precise, and that a user can allow.
    pub const fn is_refused(&self) -> bool {
        self.class_refused.is_some() || self.awake_refused.is_some()
    }
}

impl Class {
    /// Its code in `members.csv`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Normal => "normal",
        }
    }
}

/// `SCHED_FIFO 10, timer slack 1 ns, spin 50 us, processors kept awake`.
impl fmt::Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.class, &self.class_refused) {
            (Class::Fifo, _) => write!(f, "SCHED_FIFO {PRIORITY}")?,
            (Class::Normal, None) => f.write_str("SCHED_OTHER")?,
            (Class::Normal, Some(why)) => write!(f, "SCHED_OTHER (SCHED_FIFO refused: {why})")?,
        }
        match &self.slack_refused {
            None => f.write_str(", timer slack 1 ns")?,
            Some(why) => write!(f, ", default timer slack ({why})")?,
        }
        write!(f, ", spin {} us", self.spin_ns / 1000)?;
        match (self.is_awake, &self.awake_refused) {
            (true, _) => f.write_str(", processors kept awake"),
            (false, None) => f.write_str(", processors sleep"),
            (false, Some(why)) => {
                write!(f, ", processors sleep (keeping them awake refused: {why})")
            }
        }
    }
}

/// Asks for the scheduling of this thread, and says what it got.
fn schedule(precision: Precision) -> Scheduling {
    let slack_refused = nix::sys::prctl::set_timerslack(1).err().map(|error| error.to_string());
    let (class, class_refused) = match precision.realtime.then(realtime) {
        Some(Ok(())) => (Class::Fifo, None),
        Some(Err(error)) => (Class::Normal, Some(reason(error))),
        None => (Class::Normal, None),
    };
    let spin_ns = precision.spin.0;
    Scheduling { class, class_refused, slack_refused, spin_ns, ..Scheduling::default() }
}

/// The system's own words, where it refused; the error of the crate has its number only.
fn reason(error: thread_priority::Error) -> String {
    match error {
        thread_priority::Error::OS(code) => std::io::Error::from_raw_os_error(code).to_string(),
        other => other.to_string(),
    }
}

fn realtime() -> Result<(), thread_priority::Error> {
    let priority = ThreadPriorityValue::try_from(PRIORITY).expect("10 is below 100");
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(priority),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that spins whenever it may, and waits where it may not.
    #[test]
    fn the_thread_spins_for_a_twentieth_of_the_time_at_most() {
        let mut allowance = Allowance::full(Time::ZERO);
        let step = Span::from_micros(1);
        let (mut now, mut spun) = (Time::ZERO, 0);
        for _ in 0..1_000_000 {
            now = now + step;
            let is_spinning = allowance.affords(step);
            spun += u64::from(is_spinning);
            allowance.pass(now, is_spinning);
        }
        assert!((40_000..60_000).contains(&spun), "{spun} of a million");
        // Twenty instants a second with 50 us each are always granted.
        let mut allowance = Allowance::full(now);
        for _ in 0..1_000 {
            now = now + Span::from_millis(50);
            allowance.pass(now, false);
            now = now + Span::from_micros(50);
            assert!(allowance.affords(Span::from_micros(100)));
            allowance.pass(now, true);
        }
    }

    #[test]
    fn a_scheduling_says_what_was_obtained_and_what_was_refused() {
        let (class, spin_ns) = (Class::Fifo, 50_000);
        let all = Scheduling { class, spin_ns, is_awake: true, ..Scheduling::default() };
        let said = "SCHED_FIFO 10, timer slack 1 ns, spin 50 us, processors kept awake";
        assert_eq!((all.to_string().as_str(), all.is_refused()), (said, false));
        let refused = || Some("not permitted".to_owned());
        let none = Scheduling {
            class_refused: refused(),
            slack_refused: refused(),
            awake_refused: refused(),
            ..Scheduling::default()
        };
        let said = "SCHED_OTHER (SCHED_FIFO refused: not permitted), default timer slack (not \
                    permitted), spin 0 us, processors sleep (keeping them awake refused: not \
                    permitted)";
        assert_eq!((none.to_string().as_str(), none.is_refused()), (said, true));
        let asked_for_nothing = Scheduling::default();
        let said = "SCHED_OTHER, timer slack 1 ns, spin 0 us, processors sleep";
        assert_eq!(asked_for_nothing.to_string(), said);
        assert!(!asked_for_nothing.is_refused());
        assert_eq!(serde_json::to_value(class).unwrap(), class.code());
    }

    #[test]
    fn a_refusal_is_said_in_the_words_of_the_system() {
        let said = reason(thread_priority::Error::OS(1));
        assert!(said.starts_with("Operation not permitted"), "{said}");
        assert!(!reason(thread_priority::Error::Priority("too high")).is_empty());
    }
}

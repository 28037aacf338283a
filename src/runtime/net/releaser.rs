//! The thread that releases datagrams when they are due, within microseconds and never early.
//!
//! Timers of an event loop are 20 µs late at best, and as late as everything else in the loop.
//! So one thread of its own waits until shortly before the next due time, and spins the rest.
//! It asks for the first-in-first-out scheduling class of real-time threads, which the kernel grants to root and
//! to users with an `rtprio` limit; what was obtained is recorded.
//!
//! One releaser serves any number of endpoints in its process.
//! It knows nothing of links and their delays: it is given runs of datagrams, each with its due time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, mpsc};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use super::run::Run;
use crate::runtime::clock;
use crate::time::{Span, Time};

/// A real-time priority above that of ordinary threads, below that of the kernel's own (50).
const PRIORITY: u8 = 10;

/// How many runs are taken off the queue at once: the lock is held shortly.
const BATCH: usize = 64;

/// How long to wait for a full socket: a few packets' worth.
const RETRY: Duration = Duration::from_micros(20);

/// Buffers kept for use again, and the largest kept: one send call of QUIC.
const POOLED_BUFFERS: usize = 1024;
const POOLED_BYTES: usize = 16 << 10;

/// The margin goes up when a wake-up took longer than it, and down otherwise: where both are in
/// balance, one wake-up in a hundred takes longer.
const MARGIN_UP: Span = Span(9_900);
const MARGIN_DOWN: Span = Span(100);
/// A margin below this is not worth a thought.
const MARGIN_LEAST: Span = Span(2_000);

/// How precise the release is, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Precision {
    /// How long before a due time the thread spins, at most, instead of waiting.
    pub spin: Span,
    /// Whether to ask for real-time scheduling.
    pub realtime: bool,
}

impl Default for Precision {
    fn default() -> Self {
        Self { spin: Span::from_micros(50), realtime: true }
    }
}

/// The timer thread; it ends, and what it still holds is lost, when this is dropped.
#[derive(Debug)]
pub struct Releaser {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    scheduling: String,
}

/// What senders and the thread have in common.
///
/// The queue itself is the thread's own: a sender that is interrupted while it hands something over
/// must not keep what is due waiting.
#[derive(Debug)]
struct Shared {
    /// What was handed over and is not queued yet, in the order of handing over.
    inbox: Mutex<Vec<Run>>,
    /// Whether something may be in the inbox.
    has_mail: AtomicBool,
    /// When the thread wakes by itself, in nanoseconds; `u64::MAX` if it does not.
    next_due: AtomicU64,
    stopping: AtomicBool,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Releaser {
    /// Starts the thread.
    pub fn start(precision: Precision) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            has_mail: AtomicBool::new(false),
            next_due: AtomicU64::new(u64::MAX),
            stopping: AtomicBool::new(false),
            buffers: Mutex::default(),
        });
        let (obtained, scheduling) = mpsc::channel();
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().name("link-releaser".into()).spawn(move || {
            let scheduling = schedule(precision);
            // The starter waits for this; should it be gone, there is nobody to tell.
            let _ = obtained.send(scheduling);
            Worker::new(worker, precision.spin).release();
        })?;
        let scheduling = scheduling.recv().unwrap_or_else(|_| "unknown".into());
        Ok(Self { shared, thread: Some(thread), scheduling })
    }

    /// The scheduling that the thread obtained, in words for the record.
    pub fn scheduling(&self) -> &str {
        &self.scheduling
    }

    /// An empty buffer for the contents of a run.
    pub(super) fn buffer(&self) -> Vec<u8> {
        lock(&self.shared.buffers).pop().unwrap_or_default()
    }

    /// Takes these runs, in their order.
    pub(super) fn push(&self, runs: impl IntoIterator<Item = Run>) {
        let mut first = u64::MAX;
        let mut inbox = lock(&self.shared.inbox);
        inbox.extend(runs.into_iter().inspect(|run| first = first.min(run.due.0)));
        drop(inbox);
        // In this order: the thread says when it wakes, and only then looks for mail.
        self.shared.has_mail.store(true, Ordering::SeqCst);
        if first < self.shared.next_due.fetch_min(first, Ordering::SeqCst) {
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

/// What is behind a lock; a thread that panicked while it held it left it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread and what only it touches.
struct Worker {
    shared: Arc<Shared>,
    queue: BinaryHeap<Reverse<Run>>,
    sequence: u64,
    /// The inbox, emptied; the two change places.
    mail: Vec<Run>,
    batch: Vec<Run>,
    /// Buffers to be given back.
    spent: Vec<Vec<u8>>,
    margin: Margin,
}

impl Worker {
    fn new(shared: Arc<Shared>, spin: Span) -> Self {
        Self {
            shared,
            queue: BinaryHeap::new(),
            sequence: 0,
            mail: Vec::new(),
            batch: Vec::with_capacity(BATCH),
            spent: Vec::new(),
            margin: Margin::new(spin),
        }
    }

    /// The life of the thread.
    fn release(&mut self) {
        while !self.shared.stopping.load(Ordering::Acquire) {
            let due = self.next_due();
            let wait = Time(due).since(clock::now());
            if wait == Span::ZERO {
                self.send_due();
            } else if self.shared.has_mail.load(Ordering::Relaxed) {
                self.take_mail(wait);
            } else if wait > self.margin.span {
                self.wait(due);
            } else {
                std::hint::spin_loop();
            }
        }
    }

    fn next_due(&self) -> u64 {
        self.queue.peek().map_or(u64::MAX, |Reverse(run)| run.due.0)
    }

    /// Queues what was handed over.
    fn take_mail(&mut self, wait: Span) {
        let inbox = match self.shared.inbox.try_lock() {
            Ok(inbox) => Some(inbox),
            // The holder may have no processor: what is due soon does not wait for it.
            Err(TryLockError::WouldBlock) if wait <= self.margin.span => None,
            Err(_) => Some(lock(&self.shared.inbox)),
        };
        let Some(mut inbox) = inbox else { return };
        self.shared.has_mail.store(false, Ordering::SeqCst);
        std::mem::swap(&mut *inbox, &mut self.mail);
        drop(inbox);
        for mut run in self.mail.drain(..) {
            run.sequence = self.sequence;
            self.sequence += 1;
            self.queue.push(Reverse(run));
        }
    }

    /// Waits until shortly before `due`, or until something earlier is handed over.
    fn wait(&mut self, due: u64) {
        self.give_back();
        self.shared.next_due.store(due, Ordering::SeqCst);
        if self.shared.has_mail.load(Ordering::SeqCst) {
            return;
        }
        if due == u64::MAX {
            thread::park();
            return;
        }
        let until = Time(due - self.margin.span.0);
        thread::park_timeout(until.since(clock::now()).into());
        self.margin.learn(until, clock::now());
    }

    fn send_due(&mut self) {
        let now = clock::now();
        while self.batch.len() < BATCH && self.next_due() <= now.0 {
            self.batch.extend(self.queue.pop().map(|Reverse(run)| run));
        }
        let mut batch = std::mem::take(&mut self.batch);
        let mut rest = batch.as_mut_slice();
        while let Some(first) = rest.first() {
            let (together, after) =
                rest.split_at_mut(Run::together(rest, first.outlet.max_segments()));
            self.send(together);
            rest = after;
        }
        self.spent.extend(batch.drain(..).map(|run| run.contents));
        self.batch = batch;
        if self.spent.len() >= BATCH {
            self.give_back();
        }
    }

    /// Gives buffers back, unless somebody is just taking one.
    fn give_back(&mut self) {
        let Ok(mut buffers) = self.shared.buffers.try_lock() else { return };
        for mut buffer in self.spent.drain(..) {
            if buffers.len() < POOLED_BUFFERS && buffer.capacity() <= POOLED_BYTES {
                buffer.clear();
                buffers.push(buffer);
            }
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
            if self.shared.stopping.load(Ordering::Acquire) {
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

/// How long before a due time the thread wakes: what a wake-up on this machine costs, as learned.
#[derive(Debug)]
struct Margin {
    span: Span,
    most: Span,
}

impl Margin {
    fn new(most: Span) -> Self {
        Self { span: most, most }
    }

    /// It was to wake at `until`, and woke `now`.
    fn learn(&mut self, until: Time, now: Time) {
        // Woken before: something was handed over, which says nothing of timers.
        if now < until {
            return;
        }
        self.span = if now.since(until) > self.span {
            (self.span + MARGIN_UP).min(self.most)
        } else {
            (self.span - MARGIN_DOWN).max(MARGIN_LEAST.min(self.most))
        };
    }
}

/// Asks for the scheduling of this thread, and says what it got.
fn schedule(precision: Precision) -> String {
    let slack = match nix::sys::prctl::set_timerslack(1) {
        Ok(()) => "timer slack 1 ns".into(),
        Err(error) => format!("default timer slack ({error})"),
    };
    let class = match precision.realtime.then(realtime) {
        Some(Ok(())) => format!("SCHED_FIFO {PRIORITY}"),
        Some(Err(error)) => format!("SCHED_OTHER (SCHED_FIFO refused: {error})"),
        None => "SCHED_OTHER".into(),
    };
    format!("{class}, {slack}, spin {} us", precision.spin.0 / 1000)
}

fn realtime() -> Result<(), thread_priority::Error> {
    let priority = ThreadPriorityValue::try_from(PRIORITY).expect("10 is below 100");
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(priority),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
}

//! The queue between the event loop and the thread that writes: what waits, what is durable.
//!
//! The event loop holds the lock only to push, and the writer only to take everything, so neither
//! waits for the disk with the lock held.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use atomic_waker::AtomicWaker;
use bytes::Bytes;

use super::error::Error;
use super::stopwatch::Stopwatch;
use crate::time::Span;

/// The most persist latencies that are kept for [`super::Store::take_sync_spans`].
const SPANS_MAX: usize = 1 << 20;

/// Something to be made durable.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bytes: Bytes,
    pub(super) since: Stopwatch,
}

/// What the event loop and the writer share.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    work: Condvar,
    durable: AtomicU64,
    /// The last group that the newest durable checkpoint stands for, and how many bytes that checkpoint has.
    checkpointed: AtomicU64,
    checkpoint_bytes: AtomicU64,
    sync_count: AtomicU64,
    /// The most bytes that the folder had.
    disk_bytes_peak: AtomicU64,
    spans: Mutex<Vec<Span>>,
    waker: AtomicWaker,
    queued_bytes_max: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Entry>,
    /// What waits and what is being written.
    queued_bytes: u64,
    writer_sleeps: bool,
    stopped: bool,
    failure: Option<Error>,
}

impl Queue {
    /// An empty queue, of a log whose groups up to `durable` are durable; a checkpoint of so many bytes stands for
    /// those up to `checkpointed`.
    pub(super) fn new(
        durable: u64,
        (checkpointed, checkpoint_bytes): (u64, u64),
        queued_bytes_max: u64,
    ) -> Self {
        Self {
            waiting: Mutex::default(),
            work: Condvar::new(),
            durable: AtomicU64::new(durable),
            checkpointed: AtomicU64::new(checkpointed),
            checkpoint_bytes: AtomicU64::new(checkpoint_bytes),
            sync_count: AtomicU64::new(0),
            disk_bytes_peak: AtomicU64::new(0),
            spans: Mutex::default(),
            waker: AtomicWaker::new(),
            queued_bytes_max,
        }
    }

    /// Queues an entry; after a failure it is dropped.
    pub(super) fn push(&self, bytes: Bytes) {
        let mut waiting = self.waiting();
        if waiting.failure.is_some() {
            return;
        }
        let queued_bytes = waiting.queued_bytes + bytes.len() as u64;
        // A single entry may be larger than the limit: it is the pile that is refused.
        if queued_bytes > self.queued_bytes_max && waiting.queued_bytes > 0 {
            drop(waiting);
            let queued_bytes_max = self.queued_bytes_max;
            return self.fail(Error::Overrun { queued_bytes, queued_bytes_max });
        }
        waiting.queued_bytes = queued_bytes;
        waiting.entries.push(Entry { bytes, since: Stopwatch::start() });
        let wake = std::mem::take(&mut waiting.writer_sleeps);
        drop(waiting);
        if wake {
            self.work.notify_one();
        }
    }

    /// Waits for work and takes all of it into `entries`; false when the writer shall end.
    pub(super) fn take(&self, entries: &mut Vec<Entry>) -> bool {
        entries.clear();
        let mut waiting = self.waiting();
        while waiting.entries.is_empty() && !waiting.stopped {
            waiting.writer_sleeps = true;
            waiting = self.work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(entries, &mut waiting.entries);
        !waiting.stopped && waiting.failure.is_none()
    }

    /// Says that `entries`, the last of which has number `last`, became durable by one sync.
    pub(super) fn written(&self, entries: &[Entry], last: u64) {
        let bytes: u64 = entries.iter().map(|entry| entry.bytes.len() as u64).sum();
        self.waiting().queued_bytes -= bytes;
        {
            let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
            let room = SPANS_MAX - spans.len();
            spans.extend(entries.iter().take(room).map(|entry| entry.since.elapsed()));
        }
        self.sync_count.fetch_add(1, Ordering::Relaxed);
        self.durable.store(last, Ordering::Release);
        self.waker.wake();
    }

    /// Says that a checkpoint of so many bytes is durable, which stands for the groups up to `last`.
    pub(super) fn checkpointed(&self, last: u64, bytes: u64) {
        self.checkpoint_bytes.store(bytes, Ordering::Relaxed);
        self.checkpointed.store(last, Ordering::Release);
        self.waker.wake();
    }

    /// Ends the log with an error: what waits is dropped. The first failure is the one that counts.
    pub(super) fn fail(&self, error: Error) {
        let mut waiting = self.waiting();
        waiting.failure.get_or_insert(error);
        waiting.entries.clear();
        waiting.stopped = true;
        drop(waiting);
        self.work.notify_one();
        self.waker.wake();
    }

    /// Tells the writer to end; what it has not begun to write is dropped.
    pub(super) fn stop(&self) {
        self.waiting().stopped = true;
        self.work.notify_one();
    }

    /// Whether the writer shall end.
    pub(super) fn is_stopped(&self) -> bool {
        self.waiting().stopped
    }

    /// Whether half of what may wait does.
    pub(super) fn is_congested(&self) -> bool {
        self.waiting().queued_bytes > self.queued_bytes_max / 2
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The last group that the newest durable checkpoint stands for.
    pub(super) fn checkpoint(&self) -> u64 {
        self.checkpointed.load(Ordering::Acquire)
    }

    /// How many bytes that checkpoint has.
    pub(super) fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.waiting().failure.clone()
    }

    pub(super) fn sync_count(&self) -> u64 {
        self.sync_count.load(Ordering::Relaxed)
    }

    /// Says that the folder has so many bytes now.
    pub(super) fn takes_bytes(&self, bytes: u64) {
        self.disk_bytes_peak.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The most bytes that the folder had, of the times at which it was looked at.
    pub(super) fn disk_bytes_peak(&self) -> u64 {
        self.disk_bytes_peak.load(Ordering::Relaxed)
    }

    pub(super) fn take_spans(&self, into: &mut Vec<Span>) {
        into.append(&mut self.spans.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Wakes `waker` at the next change of what is durable, and at a failure.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    // No code of ours panics with the lock held, and a poisoned queue would still be whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

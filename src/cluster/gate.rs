//! The gate at which a member that shares a process stands still: what SIGSTOP is for a process.
//!
//! A member of one process is a thread with an event loop of its own.
//! While its gate is shut, that thread is blocked, and with it all that the loop drives: the replica, its
//! timers, QUIC in both directions, and the connection to the coordinator.
//! The threads beside it go on: the writer of its log with the one sync it is in, and the thread of all
//! members that releases datagrams, with those that the member had sent.

use std::convert::Infallible;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Open at first.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
    was_shut: Notify,
}

impl Gate {
    /// Whoever [keeps](Self::keep) it stands still from now on.
    pub(super) fn shut(&self) {
        *self.is_shut() = true;
        self.was_shut.notify_one();
    }

    /// Whoever stands still goes on.
    pub(super) fn open(&self) {
        *self.is_shut() = false;
        self.opened.notify_all();
    }

    /// Blocks the thread on which it is polled whenever the gate is shut, for as long as it is.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            self.was_shut.notified().await;
            let is_shut = self.is_shut();
            drop(self.opened.wait_while(is_shut, |is_shut| *is_shut));
        }
    }

    /// A thread that panicked while it held this left it whole.
    fn is_shut(&self) -> MutexGuard<'_, bool> {
        self.is_shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// What else runs on the thread stands still with it: nothing is counted between shut and open.
    #[test]
    fn a_thread_stands_still_with_all_its_tasks_until_the_gate_opens() {
        let (gate, count) = (Arc::new(Gate::default()), Arc::new(AtomicU64::new(0)));
        let (own, counted) = (Arc::clone(&gate), Arc::clone(&count));
        let (sender, reached) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let beside = async move {
                loop {
                    counted.fetch_add(1, Ordering::SeqCst);
                    // Fails when the test wants no more.
                    if sender.send(()).is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    never = own.keep() => match never {},
                    ended = tokio::spawn(beside) => ended.unwrap(),
                }
            });
        });
        reached.recv().unwrap();
        gate.shut();
        // It stands still when two looks, with other work of ours between them, find the same count.
        let mut last = 0;
        while std::mem::replace(&mut last, count.load(Ordering::SeqCst)) != last {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        while reached.try_recv().is_ok() {}
        gate.open();
        reached.recv().unwrap();
        assert!(count.load(Ordering::SeqCst) > last);
        drop(reached);
        thread.join().unwrap();
    }
}

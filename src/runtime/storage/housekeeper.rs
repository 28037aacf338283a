//! The housekeeper: a thread that makes the next segment ahead of need and deletes old ones.
//!
//! Filling a segment with zeros takes some milliseconds, and so does deleting one; commits do not
//! wait for either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::error::{Action, Error};
use super::queue::Queue;
use super::segment::{self, Makings, Segment};

enum Order {
    Create(u64),
    Delete(u64),
}

/// The end that the writer holds; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Housekeeper {
    orders: Option<Sender<Order>>,
    made: Receiver<Result<Segment, Error>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    next: u64,
}

impl Housekeeper {
    /// Starts the thread, which makes segment `next` at once.
    pub(super) fn start(makings: Makings, next: u64, queue: Arc<Queue>) -> Result<Self, Error> {
        let (orders, ordered) = mpsc::channel();
        let (making, made) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let name = makings.folder.clone();
        let stopped = Arc::clone(&stop);
        let body = move || {
            for order in ordered {
                match order {
                    Order::Create(number) => {
                        let segment = Segment::create(&makings, number, &stopped);
                        // The log is largest when a segment is new; what checkpoints add, they say.
                        queue.takes_bytes(segment::bytes_of(&makings.folder));
                        // The writer learns of a failure only when it needs the segment: until
                        // then the log is as good as ever.
                        // Nobody waits for one that was given up, or made too late.
                        if let Some(segment) = segment.transpose() {
                            let _ = making.send(segment);
                        }
                    }
                    Order::Delete(number) => {
                        let Makings { disk, folder, .. } = &makings;
                        if let Err(error) = segment::delete(disk, folder, number) {
                            queue.fail(error);
                        }
                    }
                }
            }
        };
        let thread = thread::Builder::new()
            .name("log-housekeeper".into())
            .spawn(body)
            .map_err(|error| Error::io(Action::Create, &name, error))?;
        let housekeeper = Self { orders: Some(orders), made, stop, thread: Some(thread), next };
        housekeeper.order(Order::Create(next));
        Ok(housekeeper)
    }

    /// The next segment, as soon as it is made; the one after it is begun.
    pub(super) fn next_segment(&mut self) -> Result<Segment, Error> {
        let segment = self.made.recv().unwrap_or(Err(Error::Panicked))?;
        self.next += 1;
        self.order(Order::Create(self.next));
        Ok(segment)
    }

    /// Deletes a segment, some time.
    pub(super) fn delete(&self, number: u64) {
        self.order(Order::Delete(number));
    }

    // An order to a thread that is gone is not lost: its panic shows when a segment is needed.
    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic has already been printed, and nothing durable depends on this thread.
            let _ = thread.join();
        }
    }
}

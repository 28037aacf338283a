//! Storage: what an acceptor must not forget, kept on disk.
//!
//! A promise or a vote may leave a replica only when it is durable.
//! The [`Store`] takes groups of bytes, one for each wake-up of the event loop, and says when they
//! are durable, in order; the event loop never waits for the disk.
//! A checkpoint replaces all groups before it.
//! The store knows nothing of what the bytes mean.
//!
//! # How
//!
//! The log is a row of segments, files full of zeros that are synced before they are used.
//! A thread takes all groups that wait, writes them as one frame, and syncs once; only then does it
//! write the next frame. A second thread makes the next segment and deletes old ones.
//! A checkpoint begins a new segment; the older ones are deleted when it is durable.
//!
//! # After a power loss
//!
//! The file has its size and its blocks before a frame is written to it, and its name is durable,
//! so a frame changes nothing but the content of blocks. One frame is in flight at a time.
//! So all frames but the last are as they were written, of the last any part may be there, and what
//! follows is zeros. Recovery therefore cuts a damaged frame at the end and says so
//! ([`Tail::Torn`]): its groups had not been reported as durable. It overwrites the remains with
//! zeros, durably, before the log goes on, for else a shorter frame could be followed by the remains.
//! A damaged frame that is followed by an intact one had been durable: that is refused
//! ([`Error::Corrupt`]), never skipped.
//! Two assumptions remain: a sync that returned did reach the disk, and a sector holds its old or
//! its new content, never a mixture (a frame begins in the sector where the one before it ends).
//! Damage to the very last durable frame cannot be told from a frame that was torn.
//! After a failed write or sync nothing is tried again: the store has failed, and answers so.
//!
//! # Why
//!
//! An own log and not the database redb, a well kept store in pure Rust: measured by
//! `cargo bench --bench storage` on 2026-11-21, on a virtual machine with 2 cores of an AMD EPYC
//! (Zen 3), Linux 6.18, ext4 on a virtio disk. Records have 128 bytes, latencies are from append
//! to durable.
//!
//! | | memory | this log | redb 4.4 |
//! |---|---|---|---|
//! | a group of 1 record | 0.07 µs | 180–260 µs | 335–405 µs |
//! | a group of 64 records | 0.2 µs | 200–335 µs | 620–950 µs |
//! | recovery of 100,000 groups of 1 | | 9–39 ms | 16–74 ms |
//!
//! So one replica alone commits 4,000 to 5,000 times a second, and with more outstanding as many
//! groups as one sync covers. Ranges are over short runs of both, interleaved, on a machine that
//! did other work too. Commits are of those runs in which the disk kept up: its rate limit turns
//! each into 1–4 ms, for both alike. Recovery is a draw (ms, log/redb by run: 9/19, 9/27, 30/27,
//! 16/16, 18/18, 24/29, 39/74).
//! The log needs a checksum crate and a waker, both used elsewhere too.
//!
//! Zeroed segments and `sync_data`, by a bare loop on the same day, µs for 1 and 64 records:
//! 131–176 and 163–205; with `O_DSYNC` 134–179 and 142–203, the same within the noise; appending
//! to a growing file 236–275 and 296–317. `sync_data` needs no flag of one system, and on macOS it
//! also empties the cache of the drive, which `O_DSYNC` does not.

mod error;
mod frame;
mod housekeeper;
mod queue;
mod recovery;
mod segment;
mod stopwatch;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use error::{Action, Damage, Error};

use crate::deployment::Durability;
use crate::time::Span;
use frame::Kind;
use housekeeper::Housekeeper;
use queue::Queue;
use segment::Segment;
use writer::Writer;

/// The number of a group or a checkpoint, from 1; they become durable in this order.
///
/// The numbers go on where they were after a restart. 0 is before the first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ticket(pub u64);

/// How the log ended when it was opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tail {
    /// After an intact frame.
    Clean,
    /// In the middle of a frame, which was cut: its groups had never been reported as durable.
    Torn {
        /// The file.
        segment: PathBuf,
        /// Where the frame began.
        offset: u64,
        /// How much of it was there.
        lost_bytes: u64,
    },
}

/// What was durable when the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The last checkpoint.
    pub checkpoint: Option<Bytes>,
    /// The groups after it, in the order in which they were appended.
    pub groups: Vec<Bytes>,
    /// How the log ended.
    pub tail: Tail,
}

/// Sizes of a log; tests use small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The size of a segment.
    ///
    /// All of it is written twice, first with zeros. Each checkpoint takes one, and two exist from
    /// the start of every replica, so a large one would tire a disk before the first commit.
    segment_bytes: u64,
    /// What may wait to be written.
    queued_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, queued_bytes_max: 256 << 20 }
    }
}

/// The durable memory of one replica.
///
/// Dropping it is like a crash: what was reported as durable is, and what was not may be lost.
#[derive(Debug)]
pub struct Store {
    /// `None` keeps nothing.
    log: Option<Log>,
    appended: u64,
    reported: u64,
    bytes_since_checkpoint: u64,
}

impl Store {
    /// Opens the store of a folder, which is made if it is not there, and reads what it holds.
    ///
    /// This waits for the disk. With [`Durability::Memory`] the folder is not touched.
    pub fn open(durability: Durability, folder: &Path) -> Result<(Self, Recovered), Error> {
        Self::open_with(durability, folder, Limits::default())
    }

    pub(crate) fn open_with(
        durability: Durability,
        folder: &Path,
        limits: Limits,
    ) -> Result<(Self, Recovered), Error> {
        let (log, recovered) = match durability {
            Durability::Memory => {
                (None, Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean })
            }
            Durability::Fsync => {
                let (log, recovered) = Log::open(folder, limits)?;
                (Some(log), recovered)
            }
        };
        let durable = log.as_ref().map_or(0, |log| log.queue.durable());
        let bytes_since_checkpoint = recovered.groups.iter().map(|group| group.len() as u64).sum();
        let store = Self { log, appended: durable, reported: durable, bytes_since_checkpoint };
        Ok((store, recovered))
    }

    /// Hands over a group, and never waits for the disk.
    ///
    /// At most 256 MiB may wait for the disk. If it falls further behind, the store fails with
    /// [`Error::Overrun`], as if the disk had: then, as after every failure, the group is dropped,
    /// its ticket never becomes durable, and [`Self::poll_durable`] says why.
    pub fn append(&mut self, group: impl Into<Bytes>) -> Ticket {
        let group = group.into();
        self.bytes_since_checkpoint += group.len() as u64;
        self.push(Kind::Groups, group)
    }

    /// Hands over a state that replaces all groups before it; as [`Self::append`] otherwise.
    pub fn checkpoint(&mut self, state: impl Into<Bytes>) -> Ticket {
        self.bytes_since_checkpoint = 0;
        self.push(Kind::Checkpoint, state.into())
    }

    fn push(&mut self, kind: Kind, bytes: Bytes) -> Ticket {
        self.appended += 1;
        if let Some(log) = &self.log {
            log.queue.push(kind, bytes);
        }
        Ticket(self.appended)
    }

    /// From now on every sync takes so much longer.
    pub fn slow_down(&self, by: Span) {
        if let Some(log) = &self.log {
            log.queue.slow_down(by);
        }
    }

    /// The highest durable ticket, when it is higher than the last one that this returned.
    ///
    /// Once the store has failed it returns the error, for ever, after the last durable ticket.
    pub fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ticket, Error>> {
        if let Some(log) = &self.log {
            // Before looking: a change after the look then wakes the task.
            log.queue.register(cx.waker());
        }
        let durable = self.durable();
        if durable.0 > self.reported {
            self.reported = durable.0;
            return Poll::Ready(Ok(durable));
        }
        match self.log.as_ref().and_then(|log| log.queue.failure()) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }

    /// The highest durable ticket.
    pub fn durable(&self) -> Ticket {
        Ticket(self.log.as_ref().map_or(self.appended, |log| log.queue.durable()))
    }

    /// The groups handed over since the last checkpoint, in bytes; those recovered are counted.
    pub const fn bytes_since_checkpoint(&self) -> u64 {
        self.bytes_since_checkpoint
    }

    /// How many times groups were synced; one sync covers all groups that waited.
    pub fn sync_count(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.queue.sync_count())
    }

    /// Moves into `into`, for each group that became durable since the last call, the time that it
    /// took, in order.
    ///
    /// About a million are kept until somebody takes them, and later ones are not.
    /// There are none with [`Durability::Memory`].
    pub fn take_sync_spans(&mut self, into: &mut Vec<Span>) {
        if let Some(log) = &self.log {
            log.queue.take_spans(into);
        }
    }
}

/// A log on disk and the thread that writes it.
#[derive(Debug)]
struct Log {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
    /// Locked as long as the log is open; released after the writer has ended.
    _lock: File,
}

impl Log {
    fn open(folder: &Path, limits: Limits) -> Result<(Self, Recovered), Error> {
        segment::create_folder(folder)?;
        let lock = lock(folder)?;
        let (recovered, position) = recovery::read(folder)?;
        segment::delete_unfinished(folder)?;
        let bytes = limits.segment_bytes;
        let (segment, oldest, sequence) = match position {
            None => {
                let never = AtomicBool::new(false);
                let segment = Segment::create(folder, segment::FIRST_NUMBER, bytes, &never)?;
                (segment.expect("nothing stops it"), segment::FIRST_NUMBER, 1)
            }
            Some(at) => {
                for number in segment::numbers(folder)? {
                    if number < at.oldest || number > at.segment {
                        segment::delete(folder, number)?;
                    }
                }
                let segment =
                    Segment::resume(folder, at.segment, at.offset, at.remains_end, bytes)?;
                (segment, at.oldest, at.sequence)
            }
        };
        let queue = Arc::new(Queue::new(sequence - 1, limits.queued_bytes_max));
        let next = segment.number + 1;
        let housekeeper = Housekeeper::start(folder.to_owned(), next, bytes, Arc::clone(&queue))?;
        let buffer = Vec::new();
        let shared = Arc::clone(&queue);
        let writer = Writer { queue: shared, housekeeper, segment, oldest, sequence, buffer };
        let writer = writer.start(folder)?;
        Ok((Self { queue, writer: Some(writer), _lock: lock }, recovered))
    }
}

impl Drop for Log {
    /// Waits for the groups that are being written, so that the folder can be opened again.
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been printed and reported by `poll_durable`.
            let _ = writer.join();
        }
    }
}

/// Keeps other stores out of `folder`, also those of other processes.
fn lock(folder: &Path) -> Result<File, Error> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|error| Error::folder(folder, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(Error::folder(folder, error)),
    }
}

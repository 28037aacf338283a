//! Storage: what an acceptor must not forget, kept on disk.
//!
//! A promise or a vote may leave a replica only when it is durable.
//! The [`Store`] takes groups of bytes, one for each wake-up of the event loop, and says when they
//! are durable, in order; the event loop never waits for the disk.
//! A checkpoint stands for all groups before it.
//! The store knows nothing of what the bytes mean.
//!
//! # How
//!
//! The log is a row of segments, files full of zeros that are synced before they are used.
//! A thread takes all groups that wait, writes them as one frame, and syncs once; only then does it
//! write the next frame. A second thread makes the next segment and deletes old ones.
//! A third one writes checkpoints, each to a file of its own, while the log goes on: `checkpoint.rs`.
//! Segments whose groups a durable checkpoint stands for are deleted.
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
//!
//! # Torn, or damaged later
//!
//! | what is wrong | how it is told | what is done |
//! |---|---|---|
//! | the last frame is cut off, and nobody was told of it | the mark is before it | it is cut, and that is said |
//! | the last frame is damaged or gone, and had been durable | the mark is behind it | refused |
//! | a frame before the last is damaged | intact frames follow it | refused |
//! | a segment or the checkpoint is missing | the numbers have a gap, or the mark or the checkpoint is behind the end | refused |
//! | the checkpoint is damaged or cut off | it was whole when it got its name | refused |
//! | the whole folder is missing | whoever starts the replica says that it ran before ([`Options::must_exist`]) | refused |
//! | a file of another replica, deployment or version | the header of each file | refused |
//!
//! The mark is a small file that says how far the log is durable; what it costs, and what cannot be told
//! after a power loss, is said in `mark.rs`. A folder that was put back whole from an older copy
//! cannot be told from the present one.
//! To refuse is all that is done. The other replicas could tell a replica what it has lost
//! (Alagappan et al., FAST 2018), but not what it promised, if its log is the only place of that.
//!
//! # After a failed sync
//!
//! Nothing is tried again: the store has failed, answers so for ever, and nothing that waited for it
//! leaves. A second sync would succeed and mean nothing, because the system may have marked the
//! pages clean that it could not write ("fsyncgate", 2018; Rebello et al., *Can Applications Recover
//! from fsync Failures?*, ATC 2020). For the same reason the next start does not believe that a last
//! frame it can read is on the disk, unless the mark says so: it writes it once more and syncs it.
//! A disk without room is treated alike; the segment that is written has its blocks already, so it
//! shows when the next one is needed, and whatever was reported as durable is there when the replica
//! is started again on a disk with room.
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

mod checkpoint;
mod disk;
mod error;
mod frame;
mod housekeeper;
mod mark;
mod owner;
mod queue;
mod recovery;
mod segment;
mod stopwatch;
#[cfg(test)]
mod tests;
mod unsynced;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use checkpoint::{Pieces, State};
pub use disk::{Break, Defect, Disk, Failure, NoBreak, Operation, Rule};
pub use error::{Action, Damage, Error};
pub use owner::Owner;

use crate::deployment::Durability;
use crate::time::Span;
use checkpoint::Checkpointer;
use housekeeper::Housekeeper;
use mark::MarkFile;
use queue::Queue;
use segment::{Makings, Segment};
use writer::Writer;

/// The number of a group, from 1; they become durable in this order. That of a checkpoint is the last group
/// it stands for.
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
    /// All of it is written twice, first with zeros. Two exist from the start of every replica, so a
    /// large one would tire a disk before the first commit.
    segment_bytes: u64,
    /// A checkpoint is due when the log has grown by this much, at least.
    checkpoint_bytes: u64,
    /// What may wait to be written.
    queued_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, checkpoint_bytes: 32 << 20, queued_bytes_max: 256 << 20 }
    }
}

/// How a log is opened; by default by anybody, on a disk that works.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose it is to be; a log of anybody else is refused.
    pub owner: Option<Owner>,
    /// The replica ran before, so there must be a log: an empty folder is one that was lost.
    pub must_exist: bool,
    /// The disk.
    pub disk: Disk,
    /// Sizes.
    pub(crate) limits: Limits,
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
    /// The last group that a checkpoint stands for, durable or on its way.
    checkpoint: u64,
    bytes_since_checkpoint: u64,
    limits: Limits,
}

impl Store {
    /// Opens the store of a folder, which is made if it is not there, and reads what it holds.
    ///
    /// This waits for the disk. With [`Durability::Memory`] the folder is not touched.
    pub fn open(durability: Durability, folder: &Path) -> Result<(Self, Recovered), Error> {
        Self::open_with(durability, folder, Options::default())
    }

    /// As [`Self::open`], with more to say.
    pub fn open_with(
        durability: Durability,
        folder: &Path,
        options: Options,
    ) -> Result<(Self, Recovered), Error> {
        let limits = options.limits;
        let (log, recovered) = match durability {
            Durability::Memory => {
                (None, Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean })
            }
            Durability::Fsync => {
                let (log, recovered) = Log::open(folder, options)?;
                (Some(log), recovered)
            }
        };
        let durable = log.as_ref().map_or(0, |log| log.queue.durable());
        let checkpoint = log.as_ref().map_or(0, |log| log.queue.checkpoint());
        let bytes_since_checkpoint = recovered.groups.iter().map(|group| group.len() as u64).sum();
        let (appended, reported) = (durable, durable);
        let store = Self { log, appended, reported, checkpoint, bytes_since_checkpoint, limits };
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
        self.appended += 1;
        if let Some(log) = &self.log {
            log.queue.push(group);
        }
        Ticket(self.appended)
    }

    /// Hands over a state that stands for all groups so far, and never waits for the disk: a thread of its
    /// own writes it, and the log goes on meanwhile.
    ///
    /// Its ticket is higher than that of any checkpoint before: if nothing was appended since, an empty group is.
    /// [`Self::checkpointed`] says when it is durable, which wakes who polls [`Self::poll_durable`].
    pub fn checkpoint(&mut self, state: State) -> Ticket {
        if self.appended == self.checkpoint {
            // Of two that stand for the same groups the later would pass for durable with the earlier.
            self.append(Bytes::new());
        }
        self.checkpoint = self.appended;
        self.bytes_since_checkpoint = 0;
        if let Some(checkpointer) = self.log.as_ref().and_then(|log| log.checkpointer.as_ref()) {
            checkpointer.begin(self.checkpoint, state);
        }
        Ticket(self.checkpoint)
    }

    /// The ticket of the newest durable checkpoint.
    pub fn checkpointed(&self) -> Ticket {
        Ticket(self.log.as_ref().map_or(self.checkpoint, |log| log.queue.checkpoint()))
    }

    /// Whether a checkpoint is worth what it takes: none is on its way, and the log has grown by 32 MiB and by
    /// as much as the last one has.
    pub fn is_checkpoint_due(&self) -> bool {
        if self.checkpointed().0 != self.checkpoint {
            return false;
        }
        let last_bytes = self.log.as_ref().map_or(0, |log| log.queue.checkpoint_bytes());
        self.bytes_since_checkpoint > self.limits.checkpoint_bytes.max(last_bytes)
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

    /// Whether so much waits for the disk that no more should be asked for: half of what may.
    pub fn is_congested(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.queue.is_congested())
    }

    /// How many times groups were synced; one sync covers all groups that waited.
    pub fn sync_count(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.queue.sync_count())
    }

    /// The most bytes that its folder had since it was opened: segments, also new ones, and checkpoints; `None`
    /// with [`Durability::Memory`].
    pub fn disk_bytes_peak(&self) -> Option<u64> {
        self.log.as_ref().map(|log| log.queue.disk_bytes_peak())
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
    checkpointer: Option<Checkpointer>,
    /// Locked as long as the log is open; released after the writer has ended.
    _lock: File,
}

impl Log {
    fn open(folder: &Path, options: Options) -> Result<(Self, Recovered), Error> {
        let Options { owner, must_exist, disk, limits } = options;
        segment::create_folder(folder)?;
        let lock = lock(folder)?;
        let found = recovery::read(folder, owner)?;
        if must_exist && found.owner.is_none() {
            return Err(Error::Vanished { folder: folder.to_owned() });
        }
        segment::delete_unfinished(folder)?;
        let makings = Makings {
            folder: folder.to_owned(),
            owner: found.owner.or(owner).unwrap_or_default(),
            segment_bytes: limits.segment_bytes,
            disk: disk.clone(),
        };
        let (segment, mark, sequence) = match &found.position {
            None => begin(&makings, found.owner.is_some())?,
            Some(at) => {
                if found.covered > 0 {
                    // The name of the checkpoint may not be durable yet, and what it replaces goes now.
                    disk.sync_folder(folder)
                        .map_err(|error| Error::io(Action::Sync, folder, error))?;
                }
                for number in segment::numbers(folder)? {
                    if number < at.oldest || number > at.segment {
                        segment::delete(&disk, folder, number)?;
                    }
                }
                checkpoint::delete_before(&disk, folder, found.covered)?;
                let segment = Segment::resume(&makings, at)?;
                let mark = MarkFile::resume(folder, makings.owner, at.mark(), &disk)?;
                (segment, mark, at.sequence)
            }
        };
        let state_bytes = found.recovered.checkpoint.as_ref().map_or(0, |state| state.len() as u64);
        let covered = (found.covered, state_bytes);
        let queue = Arc::new(Queue::new(sequence - 1, covered, limits.queued_bytes_max));
        let (next, full) = (segment.number + 1, found.full.into());
        queue.takes_bytes(segment::bytes_of(folder));
        let checkpointer = Checkpointer::start(makings.clone(), Arc::clone(&queue))?;
        let housekeeper = Housekeeper::start(makings, next, Arc::clone(&queue))?;
        let (buffer, shared) = (Vec::new(), Arc::clone(&queue));
        let writer =
            Writer { queue: shared, housekeeper, segment, mark, disk, full, sequence, buffer };
        let writer = Some(writer.start(folder)?);
        let checkpointer = Some(checkpointer);
        Ok((Self { queue, writer, checkpointer, _lock: lock }, found.recovered))
    }
}

/// The first segment and the mark, which is made before it; and the first group.
fn begin(makings: &Makings, has_mark: bool) -> Result<(Segment, MarkFile, u64), Error> {
    let Makings { folder, owner, disk, .. } = makings;
    let mark = if has_mark {
        MarkFile::resume(folder, *owner, mark::Mark::default(), disk)?
    } else {
        MarkFile::create(folder, *owner, disk)?
    };
    let (first, never) = (segment::FIRST_NUMBER, AtomicBool::new(false));
    let segment = Segment::create(makings, first, &never)?.expect("nothing stops it");
    Ok((segment, mark, 1))
}

impl Drop for Log {
    /// Waits for the groups that are being written, so that the folder can be opened again.
    fn drop(&mut self) {
        self.queue.stop();
        // It ends in the middle of a checkpoint, which leaves the log as it is.
        self.checkpointer = None;
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

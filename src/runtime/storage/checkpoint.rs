//! The checkpoint: a state that stands for all groups up to one of them, in a file beside the log.
//!
//! A thread of its own writes it in pieces and syncs each of them, so the log goes on meanwhile, and a commit
//! waits for one piece at most, or for the deletion of the checkpoint before.
//! That is done in one go: for 1 GiB it takes 0.3 s, and of the syncs beside it the longest took 32 ms, 25 ms
//! without it, and 32 to 42 ms with a file that is cut short in steps first (2026-11-27, ext4 with discard).
//! It gets its name when it is whole and the groups that it stands for are durable. What a crash leaves
//! before that is a `.new` file, which the next start deletes.
//! So a checkpoint that has its name was whole, and one that is not was damaged later, which is refused.
//! Then the one before it is deleted, and the writer deletes the segments that it stands for.
//!
//! | bytes | field |
//! |---|---|
//! | 0..64 | the header of every file of the log: `owner.rs` |
//! | then, for each piece, 0..4 | its length; the last piece has none |
//! | 4..8 | CRC-32 of the last group, the place in the file, and the piece |
//! | 8.. | the piece |
//!
//! Numbers are little-endian.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::disk::{Disk, Operation};
use super::error::{Action, Damage, Error};
use super::owner::{self, Header, Kind, Owner};
use super::queue::Queue;
use super::segment::{self, Makings};
use super::stopwatch;
use super::writer::Alarm;
use crate::time::Span;

/// A commit waits for the write and the sync of one piece at most.
const PIECE_BYTES: usize = 256 * 1024;

/// The length of what stands before a piece.
const PIECE_HEADER_BYTES: usize = 8;

/// What a checkpoint is called after its number.
const FINISHED: &str = "state";

/// How long the thread sleeps before it looks again how far the log is durable.
const PATIENCE: Span = Span::from_millis(1);

/// What writes the state of a checkpoint; it runs on the thread that writes the file.
pub type State = Box<dyn FnOnce(&mut Pieces<'_>) -> io::Result<()> + Send>;

struct Job {
    /// The last group that it stands for.
    last: u64,
    state: State,
}

/// The end of the thread that the store holds; dropping it ends the thread, once the queue is stopped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(makings: Makings, queue: Arc<Queue>) -> Result<Self, Error> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let folder = makings.folder.clone();
        let body = move || {
            let alarm = Alarm(Arc::clone(&queue));
            for job in &waiting {
                if queue.is_stopped() {
                    break;
                }
                // One that a later one replaces is not written.
                let job = waiting.try_iter().last().unwrap_or(job);
                if let Err(error) = write(&makings, &queue, job) {
                    queue.fail(error);
                }
            }
            drop(alarm);
        };
        let thread = thread::Builder::new()
            .name("log-checkpoint".into())
            .spawn(body)
            .map_err(|error| Error::io(Action::Create, &folder, error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Begins a checkpoint that stands for the groups up to `last`, when the one under way is written.
    pub(super) fn begin(&self, last: u64, state: State) {
        if let Some(jobs) = &self.jobs {
            // A thread that is gone has failed the queue.
            let _ = jobs.send(Job { last, state });
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed and has failed the queue.
            let _ = thread.join();
        }
    }
}

/// Writes a checkpoint and deletes those before it; nothing, if the queue is stopped meanwhile.
fn write(makings: &Makings, queue: &Queue, Job { last, state }: Job) -> Result<(), Error> {
    let Makings { folder, owner, disk, .. } = makings;
    let (path, unfinished) = (path(folder, last), unfinished(folder, last));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::io(Action::Create, &path, error)
    };
    let file = disk.create(Operation::Checkpoint, &unfinished).map_err(failed(&unfinished))?;
    let mut pieces = Pieces {
        file: &file,
        disk,
        path: &unfinished,
        queue,
        last,
        at: 0,
        piece: vec![0; PIECE_HEADER_BYTES],
        failure: None,
    };
    let written =
        pieces.begin(*owner).and_then(|()| state(&mut pieces)).and_then(|()| pieces.end());
    if let Err(error) = written {
        let (is_stopped, failure) = (queue.is_stopped(), pieces.failure.take());
        // What is left all the same is deleted by the next start.
        let _ = fs::remove_file(&unfinished);
        let failure = failure.unwrap_or_else(|| Error::io(Action::Write, &path, error));
        return if is_stopped { Ok(()) } else { Err(failure) };
    }
    let bytes = pieces.at;
    while queue.durable() < last {
        if queue.is_stopped() {
            return Ok(());
        }
        stopwatch::pause(PATIENCE, || queue.is_stopped());
    }
    disk.rename(&unfinished, &path).map_err(failed(&path))?;
    disk.sync_folder(folder).map_err(|error| Error::io(Action::Sync, folder, error))?;
    queue.takes_bytes(segment::bytes_of(folder));
    queue.checkpointed(last, bytes);
    delete_before(disk, folder, last)
}

/// The file of a checkpoint while its state is written.
pub struct Pieces<'a> {
    file: &'a File,
    disk: &'a Disk,
    path: &'a Path,
    queue: &'a Queue,
    last: u64,
    /// Where the next piece goes.
    at: u64,
    /// Room for its header, and what is in it so far.
    piece: Vec<u8>,
    /// Why it cannot be written; [`io::Error`] cannot say all of it.
    failure: Option<Error>,
}

impl Pieces<'_> {
    fn begin(&mut self, owner: Owner) -> io::Result<()> {
        let header = Header { number: self.last, owner, rest: [0; 3] }.encode(Kind::Checkpoint);
        self.put(&header)
    }

    /// The last piece, and the one that says that it was the last.
    fn end(&mut self) -> io::Result<()> {
        if self.piece.len() > PIECE_HEADER_BYTES {
            self.put_piece()?;
        }
        self.put_piece()
    }

    fn put_piece(&mut self) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        let (header, body) = piece.split_at_mut(PIECE_HEADER_BYTES);
        let length = u32::try_from(body.len()).expect("a piece is short");
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&checksum(self.last, self.at, body).to_le_bytes());
        self.put(&piece)?;
        piece.truncate(PIECE_HEADER_BYTES);
        self.piece = piece;
        Ok(())
    }

    /// Writes these bytes behind what is there, durably.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.queue.is_stopped() {
            return Err(io::Error::other("the log is closed"));
        }
        let (disk, call) = (self.disk, Operation::Checkpoint);
        let written = disk.write(call, self.file, bytes, self.at);
        let (action, done) = match written {
            Ok(()) => (Action::Sync, disk.sync(call, self.file)),
            failed @ Err(_) => (Action::Write, failed),
        };
        if let Err(error) = done {
            self.failure = Some(Error::io(action, self.path, error));
            return Err(io::Error::other("the disk failed"));
        }
        stopwatch::pause(disk.slow(), || self.queue.is_stopped());
        self.at += bytes.len() as u64;
        Ok(())
    }
}

impl Write for Pieces<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_HEADER_BYTES + PIECE_BYTES - self.piece.len();
        let taken = bytes.len().min(room);
        self.piece.extend_from_slice(&bytes[..taken]);
        if taken == room {
            self.put_piece()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A checkpoint that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The last group that it stands for.
    pub(super) last: u64,
    pub(super) state: Bytes,
}

/// Reads the newest checkpoint of a folder, which must be that of `owner`; `None` if there is none.
pub(super) fn read(folder: &Path, owner: Owner) -> Result<Option<Checkpoint>, Error> {
    let Some(last) = numbers(folder)?.last().copied() else { return Ok(None) };
    let path = path(folder, last);
    let bytes = fs::read(&path).map_err(|error| Error::io(Action::Read, &path, error))?;
    owner::check_owner(&path, owner::of_file(Kind::Checkpoint, &path, last, &bytes)?, owner)?;
    match decode(last, &bytes) {
        Ok(state) => Ok(Some(Checkpoint { last, state: state.into() })),
        Err(offset) => {
            let damage = Damage::Checkpoint;
            Err(Error::Corrupt { segment: path, offset: offset as u64, damage })
        }
    }
}

/// The state in a file; if a piece of it is damaged, where that is.
fn decode(last: u64, bytes: &[u8]) -> Result<Vec<u8>, usize> {
    let (mut state, mut at) = (Vec::with_capacity(bytes.len()), owner::BYTES);
    loop {
        let piece = piece(last, at, bytes).ok_or(at)?;
        at += PIECE_HEADER_BYTES + piece.len();
        if piece.is_empty() {
            return if at == bytes.len() { Ok(state) } else { Err(at) };
        }
        state.extend_from_slice(piece);
    }
}

/// The piece at a place in a file; `None` if it is not whole and intact.
fn piece(last: u64, at: usize, bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk()?;
    let (expected, rest) = rest.split_first_chunk()?;
    let piece = rest.get(..u32::from_le_bytes(*length) as usize)?;
    (checksum(last, at as u64, piece) == u32::from_le_bytes(*expected)).then_some(piece)
}

fn checksum(last: u64, at: u64, piece: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&last.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(piece);
    hasher.finalize()
}

/// The file of the checkpoint that stands for the groups up to `last`.
pub(super) fn path(folder: &Path, last: u64) -> PathBuf {
    folder.join(format!("{last:016}.{FINISHED}"))
}

fn unfinished(folder: &Path, last: u64) -> PathBuf {
    folder.join(format!("{last:016}.{FINISHED}.{}", segment::UNFINISHED))
}

/// The checkpoints of a folder, by the last group of each, ascending.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    segment::numbered(folder, FINISHED)
}

/// Deletes the checkpoints before the one that stands for the groups up to `last`.
pub(super) fn delete_before(disk: &Disk, folder: &Path, last: u64) -> Result<(), Error> {
    for older in numbers(folder)?.into_iter().filter(|number| *number < last) {
        segment::delete_file(disk, &path(folder, older))?;
    }
    Ok(())
}

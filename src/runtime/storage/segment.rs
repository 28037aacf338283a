//! The segment: one file of the log, full of zeros before the first frame is written to it.
//!
//! Zeros are written and synced ahead of need, so that a commit changes blocks that exist already
//! and its sync need not write the file system's own tables.
//! A segment gets its name only when it is whole: a crash while it is made leaves a `.new` file,
//! which the next start deletes.
//! It begins with a header that says whose it is.
//! A segment knows the offset at which it is written, and nothing of what the frames mean.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{Disk, Operation};
use super::error::{Action, Error};
use super::owner::{self, Header, Owner};
use super::recovery::Position;

/// Zeros are written and synced in pieces of this size: a larger one would keep the disk from the
/// commits that go on meanwhile.
const ZERO_BYTES: usize = 256 * 1024;

/// Where the first frame of a segment begins: behind its header.
pub(super) const FIRST_OFFSET: u64 = owner::BYTES as u64;

/// The number of the first segment of a log.
pub(super) const FIRST_NUMBER: u64 = 1;

/// A segment open for writing.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Where the next frame goes.
    pub(super) offset: u64,
    path: PathBuf,
    file: File,
    /// The size of the file.
    bytes: u64,
    disk: Disk,
}

/// What the segments of one log have in common.
#[derive(Clone, Debug)]
pub(super) struct Makings {
    pub(super) folder: PathBuf,
    pub(super) owner: Owner,
    /// The size of each.
    pub(super) segment_bytes: u64,
    pub(super) disk: Disk,
}

impl Segment {
    /// Makes segment `number`; `None` if `stop` was set meanwhile.
    ///
    /// One that cannot be made leaves no file: where the disk is full, it would keep it so.
    pub(super) fn create(
        makings: &Makings,
        number: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Self>, Error> {
        let made = Self::make(makings, number, stop);
        if !matches!(made, Ok(Some(_))) {
            // What is left all the same is deleted by the next start.
            let _ = fs::remove_file(path(&makings.folder, number).with_extension(UNFINISHED));
        }
        made
    }

    fn make(makings: &Makings, number: u64, stop: &AtomicBool) -> Result<Option<Self>, Error> {
        let Makings { folder, owner, segment_bytes: bytes, disk } = makings;
        let bytes = (*bytes).max(FIRST_OFFSET);
        let path = path(folder, number);
        let unfinished = path.with_extension(UNFINISHED);
        let file = disk
            .create(Operation::Create, &unfinished)
            .map_err(|error| Error::io(Action::Create, &unfinished, error))?;
        let (offset, disk) = (FIRST_OFFSET, disk.clone());
        let mut segment = Self { number, offset, path: unfinished.clone(), file, bytes, disk };
        let header = Header { number, owner: *owner, rest: [0; 3] }.encode(owner::Kind::Segment);
        segment.write(Operation::Create, &header, 0)?;
        if !segment.zero(FIRST_OFFSET, bytes, stop)? {
            return Ok(None);
        }
        segment.path = path;
        segment
            .disk
            .rename(&unfinished, &segment.path)
            .map_err(|error| Error::io(Action::Create, &segment.path, error))?;
        sync_folder(&segment.disk, folder)?;
        Ok(Some(segment))
    }

    /// Opens the segment in which the log goes on, and repairs what is not durable or not as it is to
    /// be: zeros again where a torn frame left something or the file is too short, and the last frame
    /// once more if nobody knows that it was synced.
    pub(super) fn resume(makings: &Makings, at: &Position) -> Result<Self, Error> {
        let path = path(&makings.folder, at.segment);
        let (file, length) = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .and_then(|file| file.metadata().map(|metadata| (file, metadata.len())))
            .map_err(|error| Error::io(Action::Write, &path, error))?;
        let bytes = makings.segment_bytes.max(length);
        let (number, disk) = (at.segment, makings.disk.clone());
        let mut segment = Self { number, offset: at.offset, path, file, bytes, disk };
        let never = AtomicBool::new(false);
        // The end first: should this be cut short too, the damage is still at `offset`.
        segment.zero(length, segment.bytes, &never)?;
        segment.zero(at.offset, at.remains_end, &never)?;
        if let Some(from) = at.unsynced_from {
            segment.sync_again(from)?;
        }
        Ok(segment)
    }

    /// Writes what is there from `from` on once more, and syncs it.
    ///
    /// It was read, but from where? If the sync of the one before was cut short or failed, the page
    /// cache may hold what the disk does not, and may even call it clean, so that a sync alone does
    /// nothing (Rebello et al., *Can Applications Recover from fsync Failures?*, ATC 2020).
    fn sync_again(&mut self, from: u64) -> Result<(), Error> {
        let length = usize::try_from(self.offset - from).unwrap_or(usize::MAX);
        let mut frame = vec![0; length];
        self.file
            .read_exact_at(&mut frame, from)
            .map_err(|error| Error::io(Action::Read, &self.path, error))?;
        self.write(Operation::Write, &frame, from)?;
        self.sync(Operation::Sync)
    }

    /// How many bytes still fit.
    pub(super) fn room(&self) -> u64 {
        self.bytes - self.offset
    }

    /// Makes room for a frame that is larger than a whole segment.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        let length = self.bytes;
        self.bytes = self.bytes.max(self.offset + bytes);
        self.zero(length, self.bytes, &AtomicBool::new(false)).map(|_| ())
    }

    /// Writes `frame` after what is there; it is durable when this returns.
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), Error> {
        debug_assert!(frame.len() as u64 <= self.room(), "the writer looks for room first");
        self.write(Operation::Write, frame, self.offset)?;
        self.sync(Operation::Sync)?;
        self.offset += frame.len() as u64;
        Ok(())
    }

    /// Fills `from..to` with zeros; whether it came to the end before `stop` was set.
    fn zero(&mut self, from: u64, to: u64, stop: &AtomicBool) -> Result<bool, Error> {
        let zeros =
            vec![0; ZERO_BYTES.min(usize::try_from(to.saturating_sub(from)).unwrap_or(ZERO_BYTES))];
        let mut at = from;
        while at < to {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let piece = usize::try_from(to - at).map_or(zeros.len(), |left| left.min(zeros.len()));
            self.write(Operation::Create, &zeros[..piece], at)?;
            self.sync(Operation::Create)?;
            at += piece as u64;
        }
        Ok(true)
    }

    fn write(&self, operation: Operation, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.disk
            .write(operation, &self.file, bytes, at)
            .map_err(|error| Error::io(Action::Write, &self.path, error))
    }

    fn sync(&self, operation: Operation) -> Result<(), Error> {
        self.disk
            .sync(operation, &self.file)
            .map_err(|error| Error::io(Action::Sync, &self.path, error))
    }
}

/// What a segment is called after its number.
const FINISHED: &str = "log";
/// What it is called while it is made.
pub(super) const UNFINISHED: &str = "new";

/// The file of segment `number`.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.{FINISHED}"))
}

/// The segments of a folder, in ascending order.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    numbered(folder, FINISHED)
}

/// The numbers of the files with this ending, ascending.
pub(super) fn numbered(folder: &Path, ending: &str) -> Result<Vec<u64>, Error> {
    let number = |name: &String| name.strip_suffix(ending)?.strip_suffix('.')?.parse().ok();
    let is_file = |name: &&String| folder.join(name).is_file();
    let mut numbers: Vec<u64> = names(folder)?.iter().filter(is_file).filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// Deletes the files that a crash left half made.
pub(super) fn delete_unfinished(folder: &Path) -> Result<(), Error> {
    let suffix = format!(".{UNFINISHED}");
    for name in names(folder)?.iter().filter(|name| name.ends_with(&suffix)) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(|error| Error::io(Action::Delete, &path, error))?;
    }
    Ok(())
}

/// How many bytes the files of a folder have; those that are made or deleted meanwhile count or do not.
pub(super) fn bytes_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: io::Result<fs::DirEntry>| Some(entry.ok()?.metadata().ok()?.len());
    entries.filter_map(bytes).sum()
}

/// Deletes segment `number`, if it is there.
pub(super) fn delete(disk: &Disk, folder: &Path, number: u64) -> Result<(), Error> {
    delete_file(disk, &path(folder, number))
}

/// Deletes a file, if it is there.
pub(super) fn delete_file(disk: &Disk, path: &Path) -> Result<(), Error> {
    match disk.delete(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(Action::Delete, path, error))
        }
        _ => Ok(()),
    }
}

/// Makes `folder` and the folders above it, durably.
pub(super) fn create_folder(folder: &Path) -> Result<(), Error> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(folder).map_err(|error| Error::folder(folder, error))?;
    for path in missing {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(&Disk::default(), parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Makes the names in `folder` durable.
fn sync_folder(disk: &Disk, folder: &Path) -> Result<(), Error> {
    disk.sync_folder(folder).map_err(|error| Error::io(Action::Sync, folder, error))
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
                .collect()
        })
        .map_err(|error| Error::folder(folder, error))
}

#[cfg(test)]
impl Segment {
    /// A segment on a file of the test's choice.
    pub(super) fn on(file: File, path: &Path, number: u64, bytes: u64) -> Self {
        let (offset, disk) = (FIRST_OFFSET, Disk::default());
        Self { number, offset, path: path.to_owned(), file, bytes, disk }
    }
}

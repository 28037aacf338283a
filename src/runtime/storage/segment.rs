//! The segment: one file of the log, full of zeros before the first frame is written to it.
//!
//! Zeros are written and synced ahead of need, so that a commit changes blocks that exist already
//! and its sync need not write the file system's own tables.
//! A segment gets its name only when it is whole: a crash while it is made leaves a `.new` file,
//! which the next start deletes.
//! A segment knows the offset at which it is written, and nothing of what the frames mean.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Action, Error};

/// Zeros are written and synced in pieces of this size: a larger one would keep the disk from the
/// commits that go on meanwhile.
const ZERO_BYTES: usize = 256 * 1024;

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
}

impl Segment {
    /// Makes segment `number` of `bytes` bytes; `None` if `stop` was set meanwhile.
    pub(super) fn create(
        folder: &Path,
        number: u64,
        bytes: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Self>, Error> {
        let path = path(folder, number);
        let unfinished = path.with_extension(UNFINISHED);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)
            .map_err(|error| Error::io(Action::Create, &unfinished, error))?;
        let mut segment = Self { number, offset: 0, path: unfinished.clone(), file, bytes };
        if !segment.zero(0, bytes, stop)? {
            return Ok(None);
        }
        segment.path = path;
        fs::rename(&unfinished, &segment.path)
            .map_err(|error| Error::io(Action::Create, &segment.path, error))?;
        sync_folder(folder)?;
        Ok(Some(segment))
    }

    /// Opens segment `number` to be written from `offset` on, and puts zeros there again where
    /// `remains_end` says that a torn frame left something, or where the file is too short.
    pub(super) fn resume(
        folder: &Path,
        number: u64,
        offset: u64,
        remains_end: u64,
        bytes: u64,
    ) -> Result<Self, Error> {
        let path = path(folder, number);
        let (file, length) = OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.metadata().map(|metadata| (file, metadata.len())))
            .map_err(|error| Error::io(Action::Write, &path, error))?;
        let mut segment = Self { number, offset, path, file, bytes: bytes.max(length) };
        let never = AtomicBool::new(false);
        // The end first: should this be cut short too, the damage is still at `offset`.
        segment.zero(length, segment.bytes, &never)?;
        segment.zero(offset, remains_end, &never)?;
        Ok(segment)
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
        self.write(frame, self.offset)?;
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
            self.write(&zeros[..piece], at)?;
            at += piece as u64;
        }
        Ok(true)
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.file
            .write_all_at(bytes, at)
            .map_err(|error| Error::io(Action::Write, &self.path, error))?;
        self.file.sync_data().map_err(|error| Error::io(Action::Sync, &self.path, error))
    }
}

/// What a segment is called after its number.
const FINISHED: &str = "log";
/// What it is called while it is made.
const UNFINISHED: &str = "new";

/// The file of segment `number`.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.{FINISHED}"))
}

/// The segments of a folder, in ascending order.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    let mut numbers: Vec<u64> = names(folder)?
        .iter()
        .filter_map(|name| name.strip_suffix(FINISHED)?.strip_suffix('.')?.parse().ok())
        .filter(|number| path(folder, *number).is_file())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// Deletes the segments that a crash left half made.
pub(super) fn delete_unfinished(folder: &Path) -> Result<(), Error> {
    let suffix = format!(".{UNFINISHED}");
    for name in names(folder)?.iter().filter(|name| name.ends_with(&suffix)) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(|error| Error::io(Action::Delete, &path, error))?;
    }
    Ok(())
}

/// Deletes segment `number`, if it is there.
pub(super) fn delete(folder: &Path, number: u64) -> Result<(), Error> {
    let path = path(folder, number);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(Action::Delete, &path, error))
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
        sync_folder(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Makes the names in `folder` durable.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io(Action::Sync, folder, error))
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
        Self { number, offset: 0, path: path.to_owned(), file, bytes }
    }
}

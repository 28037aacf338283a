//! The mark: up to where the log is known to be durable, in a small file beside it.
//!
//! A frame that is damaged at the very end of the log was either torn by a crash, and then nothing it
//! holds had been promised to anybody, or was durable and was damaged later.
//! The log alone cannot tell (Alagappan et al., *Protocol-Aware Recovery for Consensus-Based
//! Storage*, FAST 2018), so after each sync, and before anybody is told of it, the mark is moved
//! behind the frame.
//! It is written and not synced: a second sync would double what a commit costs. The write takes
//! about 5 µs where a sync takes 140 to 210, and leaves the sync as it was (a bare loop on the
//! machine and disk that the table in `mod.rs` is of, 2026-11-21, other work going on).
//!
//! So a crash of the process leaves a mark that is exact, because the page cache survives: a vote that
//! left is never taken for a torn one.
//! After a power loss the mark may be older than the log, by as much as the system kept in memory
//! (Linux writes it within half a minute), and damage behind it cannot be told from a torn frame; it
//! is never newer, unless a disk said that a sync was done which was not, and then that is found.
//!
//! It has two places, used in turn, in sectors of their own: a write that is cut short leaves the other.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Operation};
use super::error::{Action, Damage, Error};
use super::owner::{self, Header, Kind, Owner};

/// From one place to the other: no sector is longer.
const STRIDE: usize = 4096;

/// Up to where the log is known to be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// The last durable group; 0 is none.
    pub(super) sequence: u64,
    /// The segment with its frame.
    pub(super) segment: u64,
    /// Where that frame ends.
    pub(super) end: u64,
}

/// The file, to write.
#[derive(Debug)]
pub(super) struct MarkFile {
    path: PathBuf,
    file: File,
    owner: Owner,
    disk: Disk,
    /// The place that is written next.
    place: u64,
}

/// The mark of a folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("synced")
}

/// Reads the mark of a folder, and whose it is; `None` if there is no file.
pub(super) fn read(folder: &Path) -> Result<Option<(Owner, Mark)>, Error> {
    let path = path(folder);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| Error::io(Action::Read, &path, error))?,
    };
    owner::check_version(&path, &bytes)?;
    let at = |place: usize| {
        let header = Header::decode(Kind::Mark, bytes.get(place * STRIDE..)?)?;
        let [sequence, segment, end] = header.rest;
        (header.number == place as u64).then_some((header.owner, Mark { sequence, segment, end }))
    };
    // One of the two is enough, and the newer one counts.
    let newest = [at(0), at(1)].into_iter().flatten().max_by_key(|(_, mark)| *mark);
    let damage = Damage::Mark;
    newest.map(Some).ok_or(Error::Corrupt { segment: path, offset: 0, damage })
}

impl MarkFile {
    /// Makes the mark of a log in which nothing is durable, durably.
    pub(super) fn create(folder: &Path, owner: Owner, disk: &Disk) -> Result<Self, Error> {
        let path = path(folder);
        let unfinished = path.with_extension("new");
        let failed = |error| Error::io(Action::Create, &unfinished, error);
        let file = disk.create(Operation::Create, &unfinished).map_err(failed)?;
        let mut mark = Self { path: path.clone(), file, owner, disk: disk.clone(), place: 0 };
        mark.write(Mark::default())?;
        mark.write(Mark::default())?;
        mark.sync()?;
        disk.rename(&unfinished, &path).map_err(failed)?;
        disk.sync_folder(folder).map_err(|error| Error::io(Action::Sync, folder, error))?;
        Ok(mark)
    }

    /// Opens the mark of a log that goes on at `mark`, durably.
    pub(super) fn resume(
        folder: &Path,
        owner: Owner,
        mark: Mark,
        disk: &Disk,
    ) -> Result<Self, Error> {
        let path = path(folder);
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|error| Error::io(Action::Write, &path, error))?;
        let mut file = Self { path, file, owner, disk: disk.clone(), place: 0 };
        // One after the other: at no time are both of them being changed.
        for _ in 0..2 {
            file.write(mark)?;
            file.sync()?;
        }
        Ok(file)
    }

    /// Moves the mark; it is not synced.
    pub(super) fn write(&mut self, mark: Mark) -> Result<(), Error> {
        let Mark { sequence, segment, end } = mark;
        let (number, owner) = (self.place, self.owner);
        let bytes = Header { number, owner, rest: [sequence, segment, end] }.encode(Kind::Mark);
        let at = self.place * STRIDE as u64;
        self.place = 1 - self.place;
        self.disk
            .write(Operation::Mark, &self.file, &bytes, at)
            .map_err(|error| Error::io(Action::Write, &self.path, error))
    }

    /// Makes it durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.disk
            .sync(Operation::Mark, &self.file)
            .map_err(|error| Error::io(Action::Sync, &self.path, error))
    }
}

//! What a disk holds that is not synced, kept in the memory of the process.
//!
//! A process that dies by SIGKILL leaves the page cache behind, so whoever starts next finds every
//! write, synced or not; only a power loss shows a sync that is missing.
//! Here a write reaches the file when the file is synced, and a name when its folder is: what is not
//! synced is lost with the process, all of it, as by a power loss on a disk that wrote nothing ahead.
//! Deletions and new files are not kept back: the log relies on neither.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A write: where, and what.
type Write = (u64, Vec<u8>);

/// Writes and names that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    /// By the device and the number of the file, in the order of the writes.
    writes: BTreeMap<(u64, u64), Vec<Write>>,
    /// Files to rename, in order.
    names: Vec<(PathBuf, PathBuf)>,
}

impl Unsynced {
    /// A file was made, or emptied: nothing waits for it.
    pub(super) fn create(&mut self, file: &File) -> io::Result<()> {
        self.writes.remove(&key(file)?);
        Ok(())
    }

    pub(super) fn write(&mut self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let writes = self.writes.entry(key(file)?).or_default();
        // The same place again, as of the mark: only the last counts.
        writes.retain(|(place, before)| (*place, before.len()) != (at, bytes.len()));
        writes.push((at, bytes.to_vec()));
        Ok(())
    }

    pub(super) fn sync(&mut self, file: &File) -> io::Result<()> {
        for (at, bytes) in self.writes.remove(&key(file)?).unwrap_or_default() {
            file.write_all_at(&bytes, at)?;
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        self.names.push((from.to_owned(), to.to_owned()));
    }

    pub(super) fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        let is_here = |(_, to): &mut (PathBuf, PathBuf)| to.parent() == Some(folder);
        self.names.extract_if(.., is_here).try_for_each(|(from, to)| fs::rename(from, to))
    }
}

/// What tells one file from another as long as it is open.
fn key(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

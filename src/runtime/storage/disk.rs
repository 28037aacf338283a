//! The disk as the log sees it: a handful of calls, each of which can be broken on purpose.
//!
//! A real disk fails when nobody looks, and a test cannot wait for it.
//! So every call of the log that changes the disk goes through here, where a [`Rule`] may let it
//! fail, where a disk can be slowed down or filled while it is used, and where what is not synced can be kept
//! back, to be lost with the process ([`Defect::LosesUnsynced`]).
//! Without a defect nothing is added to a call but a look at two options.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::unsynced::Unsynced;
use crate::quorum::NodeId;
use crate::time::Span;

/// A call that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// A frame is written.
    Write,
    /// A frame is synced.
    Sync,
    /// A segment is made: its file, its zeros, their sync.
    Create,
    /// A file gets its name, or a name is made durable.
    Rename,
    /// A segment or a checkpoint is deleted.
    Delete,
    /// The mark is written.
    Mark,
    /// A checkpoint is made: its file, its pieces, their sync.
    Checkpoint,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// An input or output error, once: the next such call succeeds, which is what makes a failed
    /// sync so treacherous.
    Once,
    /// No space, from now on; of what was to be written, half is.
    Full,
}

/// One way to break a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Which calls.
    pub operation: Operation,
    /// The first that fails, from 1.
    pub nth: u64,
    /// How.
    pub failure: Failure,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Defect {
    /// Some calls fail.
    Fails(Rule),
    /// It forgets what is not synced when its process ends, as a disk does at a power loss; what is
    /// synced is there.
    LosesUnsynced,
    /// The same, and it answers syncs of the log without doing them: a log on it cannot keep its
    /// promise, and whoever looks for lost writes must find some.
    IgnoresSyncs,
}

/// The disk of one replica, or of all, broken on purpose, as `r1:sync:20` or `all:lose-unsynced`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// Whose; `None` is everybody's.
    pub replica: Option<NodeId>,
    /// How.
    pub defect: Defect,
}

impl Break {
    /// What is wrong with the disk of this replica.
    pub fn of(&self, id: NodeId) -> Option<Defect> {
        self.replica.is_none_or(|replica| replica == id).then_some(self.defect)
    }
}

/// A word that breaks no disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{word:?} breaks no disk: give REPLICA:CALL:NUMBER, where the call is sync (it fails once), \
     write, create or checkpoint (no space is left from there on), as in r1:sync:20; or REPLICA:lose-unsynced, \
     where what is not synced is lost with the process; `all` is every replica"
)]
pub struct NoBreak {
    word: String,
}

impl FromStr for Break {
    type Err = NoBreak;

    fn from_str(word: &str) -> Result<Self, NoBreak> {
        let parse = || {
            let (replica, defect) = word.split_once(':')?;
            let replica = match replica {
                "all" => None,
                name => Some(NodeId(name.strip_prefix('r')?.parse().ok()?)),
            };
            let (call, nth) = match defect.split_once(':') {
                Some((call, nth)) => (call, nth.parse().ok().filter(|nth| *nth > 0)),
                None => (defect, None),
            };
            let fails =
                |operation, failure| Some(Defect::Fails(Rule { operation, nth: nth?, failure }));
            let defect = match call {
                "sync" => fails(Operation::Sync, Failure::Once),
                "write" => fails(Operation::Write, Failure::Full),
                "create" => fails(Operation::Create, Failure::Full),
                "checkpoint" => fails(Operation::Checkpoint, Failure::Full),
                "lose-unsynced" if call == defect => Some(Defect::LosesUnsynced),
                "ignore-syncs" if call == defect => Some(Defect::IgnoresSyncs),
                _ => None,
            };
            Some(Self { replica, defect: defect? })
        };
        parse().ok_or_else(|| NoBreak { word: word.into() })
    }
}

/// `sync 20 of r1's log fails`.
impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = |f: &mut fmt::Formatter<'_>| match self.replica {
            Some(replica) => write!(f, "{replica}'s log"),
            None => f.write_str("every log"),
        };
        let rule = match self.defect {
            Defect::Fails(rule) => rule,
            Defect::LosesUnsynced => {
                f.write_str("what is not synced of ")?;
                whose(f)?;
                return f.write_str(" is lost with its process");
            }
            Defect::IgnoresSyncs => {
                f.write_str("syncs of ")?;
                whose(f)?;
                return f
                    .write_str(" are not done, and what is not synced is lost with its process");
            }
        };
        let call = match rule.operation {
            Operation::Write => "write",
            Operation::Sync => "sync",
            Operation::Create => "creation",
            Operation::Rename => "renaming",
            Operation::Delete => "deletion",
            Operation::Mark => "mark",
            Operation::Checkpoint => "checkpoint call",
        };
        write!(f, "{call} {} of ", rule.nth)?;
        whose(f)?;
        f.write_str(match rule.failure {
            Failure::Once => " fails",
            Failure::Full => " finds no space",
        })
    }
}

/// A disk, which may be broken or slow; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    rule: Option<Rule>,
    /// Calls that the rule is about, so far.
    count: Arc<AtomicU64>,
    slow_ns: Arc<AtomicU64>,
    is_full: Arc<AtomicBool>,
    /// What is kept back until it is synced, if it is.
    unsynced: Option<Arc<Mutex<Unsynced>>>,
    ignores_syncs: bool,
}

impl Disk {
    /// A disk with this defect.
    #[must_use]
    pub fn with(defect: Defect) -> Self {
        let unsynced = Some(Arc::default());
        match defect {
            Defect::Fails(rule) => Self::breaking(rule),
            Defect::LosesUnsynced => Self { unsynced, ..Self::default() },
            Defect::IgnoresSyncs => Self { unsynced, ignores_syncs: true, ..Self::default() },
        }
    }

    fn unsynced(&self) -> Option<MutexGuard<'_, Unsynced>> {
        let unsynced = self.unsynced.as_ref();
        unsynced.map(|unsynced| unsynced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A disk that this rule breaks.
    #[must_use]
    pub fn breaking(rule: Rule) -> Self {
        Self { rule: Some(rule), ..Self::default() }
    }

    /// The same disk, whose every sync takes so many nanoseconds longer; it may change at any time.
    #[must_use]
    pub fn slowed_by(self, slow_ns: Arc<AtomicU64>) -> Self {
        Self { slow_ns, ..self }
    }

    /// The same disk, which may fill at any time: while it is full no file can be made or grow.
    #[must_use]
    pub fn filled_by(self, is_full: Arc<AtomicBool>) -> Self {
        Self { is_full, ..self }
    }

    /// From the next sync on, every one takes this much longer.
    pub fn set_slow(&self, by: Span) {
        self.slow_ns.store(by.0, Ordering::Relaxed);
    }

    /// How much longer a sync takes now.
    pub(super) fn slow(&self) -> Span {
        Span(self.slow_ns.load(Ordering::Relaxed))
    }

    pub(super) fn create(&self, operation: Operation, path: &Path) -> io::Result<File> {
        self.look(operation)?;
        self.look_for_room(operation)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        self.unsynced().map_or(Ok(()), |mut unsynced| unsynced.create(&file))?;
        Ok(file)
    }

    pub(super) fn write(
        &self,
        operation: Operation,
        file: &File,
        bytes: &[u8],
        at: u64,
    ) -> io::Result<()> {
        if let Err(failure) = self.look(operation).and_then(|()| self.look_for_room(operation)) {
            // As a disk does on which a part of it still fits.
            file.write_all_at(&bytes[..bytes.len() / 2], at)?;
            return Err(failure);
        }
        match self.unsynced() {
            Some(mut unsynced) => unsynced.write(file, bytes, at),
            None => file.write_all_at(bytes, at),
        }
    }

    /// A sync that is to fail is not done: whatever was written is in the page cache alone, where the
    /// next reader finds it whole.
    pub(super) fn sync(&self, operation: Operation, file: &File) -> io::Result<()> {
        self.look(operation)?;
        if self.ignores_syncs && matches!(operation, Operation::Sync | Operation::Checkpoint) {
            return Ok(());
        }
        self.unsynced().map_or(Ok(()), |mut unsynced| unsynced.sync(file))?;
        file.sync_data()
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.look(Operation::Rename)?;
        match self.unsynced() {
            Some(mut unsynced) => {
                unsynced.rename(from, to);
                Ok(())
            }
            None => fs::rename(from, to),
        }
    }

    /// Makes the names in `folder` durable.
    pub(super) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.look(Operation::Rename)?;
        self.unsynced().map_or(Ok(()), |mut unsynced| unsynced.sync_folder(folder))?;
        File::open(folder)?.sync_all()
    }

    pub(super) fn delete(&self, path: &Path) -> io::Result<()> {
        self.look(Operation::Delete)?;
        fs::remove_file(path)
    }

    /// Fails if the disk is full and the call needs room: a frame has its room already.
    fn look_for_room(&self, operation: Operation) -> io::Result<()> {
        let needs_room = matches!(operation, Operation::Create | Operation::Checkpoint);
        if needs_room && self.is_full.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "filled on purpose"));
        }
        Ok(())
    }

    /// Fails if the rule says so.
    fn look(&self, operation: Operation) -> io::Result<()> {
        let Some(rule) = self.rule.filter(|rule| rule.operation == operation) else {
            return Ok(());
        };
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let (fails, kind) = match rule.failure {
            Failure::Once => (count == rule.nth, io::ErrorKind::Other),
            Failure::Full => (count >= rule.nth, io::ErrorKind::StorageFull),
        };
        if fails { Err(io::Error::new(kind, "broken on purpose")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_is_read_and_shown() {
        let shown = |word: &str| word.parse::<Break>().unwrap().to_string();
        assert_eq!(shown("r1:sync:20"), "sync 20 of r1's log fails");
        assert_eq!(shown("r0:create:1"), "creation 1 of r0's log finds no space");
        assert_eq!(shown("r0:checkpoint:2"), "checkpoint call 2 of r0's log finds no space");
        assert_eq!(
            shown("r2:lose-unsynced"),
            "what is not synced of r2's log is lost with its process"
        );
        assert_eq!(
            shown("all:ignore-syncs"),
            "syncs of every log are not done, and what is not synced is lost with its process"
        );
        for word in [
            "",
            "r1",
            "1:sync:2",
            "r1:sync",
            "r1:sync:0",
            "r1:rename:1",
            "r1:sync:1:2",
            "r1:lose-unsynced:1",
            "every:lose-unsynced",
        ] {
            assert!(word.parse::<Break>().is_err(), "{word}");
        }
        let one: Break = "r1:lose-unsynced".parse().unwrap();
        assert_eq!(one.of(NodeId(1)), Some(Defect::LosesUnsynced));
        assert_eq!(one.of(NodeId(2)), None);
        let all: Break = "all:lose-unsynced".parse().unwrap();
        assert_eq!(all.of(NodeId(2)), Some(Defect::LosesUnsynced));
    }

    #[test]
    fn writes_and_names_are_kept_back_until_they_are_synced() {
        let folder = tempfile::tempdir().unwrap();
        let (draft, path) = (folder.path().join("draft"), folder.path().join("final"));
        let disk = Disk::with(Defect::LosesUnsynced);
        let file = disk.create(Operation::Create, &draft).unwrap();
        let write = |bytes: &[u8], at| disk.write(Operation::Write, &file, bytes, at).unwrap();
        write(b"one", 0);
        assert_eq!(fs::read(&draft).unwrap(), b"");
        write(b"two", 0);
        write(b"!", 3);
        disk.sync(Operation::Sync, &file).unwrap();
        assert_eq!(fs::read(&draft).unwrap(), b"two!");
        disk.rename(&draft, &path).unwrap();
        assert!(!path.exists());
        disk.sync_folder(folder.path()).unwrap();
        write(b"lost", 0);
        assert_eq!(fs::read(&path).unwrap(), b"two!");
        // A file that is made anew takes nothing over from the one before.
        disk.create(Operation::Create, &path).unwrap();
        disk.sync(Operation::Sync, &file).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_disk_that_ignores_syncs_keeps_its_log_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let disk = Disk::with(Defect::IgnoresSyncs);
        let file = disk.create(Operation::Create, &path).unwrap();
        disk.write(Operation::Write, &file, b"frame", 0).unwrap();
        disk.sync(Operation::Sync, &file).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        // Other syncs are done: without its zeros there would be no log at all.
        disk.sync(Operation::Create, &file).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"frame");
    }

    #[test]
    fn a_call_fails_once_and_a_full_disk_stays_full() {
        let file = tempfile::tempfile().unwrap();
        let (operation, nth) = (Operation::Sync, 2);
        let once = Disk::breaking(Rule { operation, nth, failure: Failure::Once });
        let ended = [1, 2, 3].map(|_| once.sync(operation, &file).is_ok());
        assert_eq!(ended, [true, false, true]);
        let full = Disk::breaking(Rule { operation, nth, failure: Failure::Full });
        let ended = [1, 2, 3].map(|_| full.sync(operation, &file).is_ok());
        assert_eq!(ended, [true, false, false]);
        assert!(full.write(Operation::Write, &file, b"other calls", 0).is_ok());
    }
}

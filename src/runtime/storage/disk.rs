//! The disk as the log sees it: a handful of calls, each of which can be broken on purpose.
//!
//! A real disk fails when nobody looks, and a test cannot wait for it.
//! So every call of the log that changes the disk goes through here, where a [`Rule`] may let it
//! fail, and where a disk can be slowed down while it is used.
//! Without a rule nothing is added to a call but a look at an option.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

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
    /// A segment is deleted.
    Delete,
    /// The mark is written.
    Mark,
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

/// The disk of one replica broken on purpose, as `r1:sync:20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// Whose.
    pub replica: NodeId,
    /// How.
    pub rule: Rule,
}

/// A word that breaks no disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{word:?} breaks no disk: give REPLICA:CALL:NUMBER, where the call is sync (it fails once), \
     write or create (no space is left from there on), as in r1:sync:20"
)]
pub struct NoBreak {
    word: String,
}

impl FromStr for Break {
    type Err = NoBreak;

    fn from_str(word: &str) -> Result<Self, NoBreak> {
        let parse = || {
            let mut parts = word.split(':');
            let replica = NodeId(parts.next()?.strip_prefix('r')?.parse().ok()?);
            let (operation, failure) = match parts.next()? {
                "sync" => (Operation::Sync, Failure::Once),
                "write" => (Operation::Write, Failure::Full),
                "create" => (Operation::Create, Failure::Full),
                _ => return None,
            };
            let nth = parts.next()?.parse().ok().filter(|nth| *nth > 0)?;
            let rule = Rule { operation, nth, failure };
            parts.next().is_none().then_some(Self { replica, rule })
        };
        parse().ok_or_else(|| NoBreak { word: word.into() })
    }
}

/// `sync 20 of r1's log fails`.
impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replica, rule } = self;
        let call = match rule.operation {
            Operation::Write => "write",
            Operation::Sync => "sync",
            Operation::Create => "creation",
            Operation::Rename => "renaming",
            Operation::Delete => "deletion",
            Operation::Mark => "mark",
        };
        let end = match rule.failure {
            Failure::Once => "fails",
            Failure::Full => "finds no space",
        };
        write!(f, "{call} {} of {replica}'s log {end}", rule.nth)
    }
}

/// A disk, which may be broken or slow; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    rule: Option<Rule>,
    /// Calls that the rule is about, so far.
    count: Arc<AtomicU64>,
    slow_ns: Arc<AtomicU64>,
}

impl Disk {
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

    /// From the next sync on, every one takes this much longer.
    pub fn set_slow(&self, by: Span) {
        self.slow_ns.store(by.0, Ordering::Relaxed);
    }

    /// How much longer a sync takes now.
    pub(super) fn slow(&self) -> Span {
        Span(self.slow_ns.load(Ordering::Relaxed))
    }

    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.look(Operation::Create)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    pub(super) fn write(
        &self,
        operation: Operation,
        file: &File,
        bytes: &[u8],
        at: u64,
    ) -> io::Result<()> {
        if let Err(failure) = self.look(operation) {
            // As a disk does on which a part of it still fits.
            file.write_all_at(&bytes[..bytes.len() / 2], at)?;
            return Err(failure);
        }
        file.write_all_at(bytes, at)
    }

    /// A sync that is to fail is not done: whatever was written is in the page cache alone, where the
    /// next reader finds it whole.
    pub(super) fn sync(&self, operation: Operation, file: &File) -> io::Result<()> {
        self.look(operation)?;
        file.sync_data()
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.look(Operation::Rename)?;
        fs::rename(from, to)
    }

    /// Makes the names in `folder` durable.
    pub(super) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.look(Operation::Rename)?;
        File::open(folder)?.sync_all()
    }

    pub(super) fn delete(&self, path: &Path) -> io::Result<()> {
        self.look(Operation::Delete)?;
        fs::remove_file(path)
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
        let broken: Break = "r1:sync:20".parse().unwrap();
        assert_eq!(broken.replica, NodeId(1));
        assert_eq!(broken.to_string(), "sync 20 of r1's log fails");
        let full: Break = "r0:create:1".parse().unwrap();
        assert_eq!(full.to_string(), "creation 1 of r0's log finds no space");
        for word in ["", "r1", "1:sync:2", "r1:sync", "r1:sync:0", "r1:rename:1", "r1:sync:1:2"] {
            assert!(word.parse::<Break>().is_err(), "{word}");
        }
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

//! What can go wrong with a log, and what its owner should do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::owner::Owner;

/// Why a store could not be opened, or why nothing more becomes durable.
///
/// It can be cloned, because a store that failed once answers with the same error for ever: after
/// a failed sync nobody knows what is on the disk, and trying again proves nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made, listed or locked.
    #[error(
        "storage folder {} cannot be used; give a folder that this user may create and write",
        folder.display()
    )]
    Folder {
        /// The folder asked for.
        folder: PathBuf,
        /// What the system answered.
        source: Arc<io::Error>,
    },
    /// Another store has the folder open.
    #[error(
        "storage folder {} is in use by another replica; stop it, or give this one its own folder",
        folder.display()
    )]
    Locked {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// The log is damaged at a place that a crash cannot explain.
    #[error(
        "log file {} is damaged at byte {offset}: {damage}; a replica must not rejoin with this \
         log, for it may have forgotten a promise or a vote: delete the folder and let the replica \
         join under a new identity (an older copy of the folder has forgotten too)",
        segment.display()
    )]
    Corrupt {
        /// The file.
        segment: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// A file of the log belongs to somebody else.
    #[error(
        "log file {} belongs to {found}, and this is {expected}: it must not vote with the memory of \
         another one; give each replica the folder that it had",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: Owner,
        /// Whose it should be.
        expected: Owner,
    },
    /// A file of the log has another format.
    #[error(
        "log file {} has format {version}, and this program reads {expected}: use the program that \
         wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: char,
        /// The version that can be read.
        expected: char,
    },
    /// A replica that ran before finds no log at all.
    #[error(
        "storage folder {} held the log of this replica, and there is none: it must not rejoin, for it \
         has forgotten what it promised; put the folder back, or let it join under a new identity",
        folder.display()
    )]
    Vanished {
        /// The folder.
        folder: PathBuf,
    },
    /// No space is left for the log.
    #[error(
        "the disk is full: {} cannot be written; free some space",
        path.display()
    )]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// What the system answered.
        source: Arc<io::Error>,
    },
    /// Reading, writing or syncing failed.
    #[error(
        "storage cannot {action} {}; check the disk",
        path.display()
    )]
    Io {
        /// What was tried.
        action: Action,
        /// On which file or folder.
        path: PathBuf,
        /// What the system answered.
        source: Arc<io::Error>,
    },
    /// The disk fell too far behind.
    #[error(
        "the disk fell behind: {queued_bytes} bytes wait to be written, {queued_bytes_max} may; \
         offer less load or use a faster disk"
    )]
    Overrun {
        /// What would have waited.
        queued_bytes: u64,
        /// What may wait.
        queued_bytes_max: u64,
    },
    /// A thread of the store panicked; its message is on standard error.
    #[error("a storage thread panicked; please report its message")]
    Panicked,
}

/// What a log cannot look like after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Damage {
    /// A damaged frame is followed by intact ones, so it had been durable.
    #[error("intact frames follow a damaged one")]
    BeforeIntactFrames,
    /// A frame has the wrong sequence number.
    #[error("group {expected} should be here, and group {found} is")]
    Gap {
        /// The number that continues the log.
        expected: u64,
        /// The number in the frame.
        found: u64,
    },
    /// A segment is missing between two others.
    #[error("segment {expected} should be here, and segment {found} is")]
    SegmentMissing {
        /// The number that continues the log.
        expected: u64,
        /// The number of the file.
        found: u64,
    },
    /// The oldest segment is not the first of the log, and no checkpoint stands in for the rest.
    #[error("the log before it is gone, and no checkpoint replaces it")]
    BeginningMissing,
    /// The log ends before what was durable: its last frames are damaged, cut off or missing.
    #[error("the log ends here with group {found}, and groups up to {durable} had been durable")]
    Shortened {
        /// The last group that is there.
        found: u64,
        /// The last that had been durable.
        durable: u64,
    },
    /// A file does not begin as every file of the log does.
    #[error("its header is not intact")]
    Header,
    /// A segment or a checkpoint has the name of another one.
    #[error("it is file {found}, under the name of another")]
    Misnamed {
        /// Which it is.
        found: u64,
    },
    /// What says how much of the log is durable says nothing.
    #[error("the mark of what is durable is not intact")]
    Mark,
    /// There is a log, and nothing says how much of it is durable.
    #[error("the mark of what is durable is missing")]
    MarkMissing,
    /// A checkpoint was whole when it got its name, and is not.
    #[error("the checkpoint is not intact")]
    Checkpoint,
}

/// What was tried when the system answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Action {
    /// A file or a folder is created.
    #[error("create")]
    Create,
    /// A file is read.
    #[error("read")]
    Read,
    /// A file is written.
    #[error("write")]
    Write,
    /// A file or a folder is synced.
    #[error("sync")]
    Sync,
    /// A file is deleted.
    #[error("delete")]
    Delete,
}

impl Error {
    /// The error of `action` on `path`; a full disk has its own.
    pub(super) fn io(action: Action, path: &Path, source: io::Error) -> Self {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let (path, source) = (path.to_owned(), Arc::new(source));
        if full { Self::DiskFull { path, source } } else { Self::Io { action, path, source } }
    }

    /// The error of a folder that cannot be used.
    pub(super) fn folder(folder: &Path, source: io::Error) -> Self {
        Self::Folder { folder: folder.to_owned(), source: Arc::new(source) }
    }
}

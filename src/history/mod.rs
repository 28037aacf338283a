//! What clients saw and what replicas executed, and the oracle that compares the two.
//!
//! A client writes every invocation and every return; a replica writes every slot that it executed.
//! Both are written as compact events into blocks of bytes, about 20 bytes an operation at a client
//! and 8 at a replica, so that recording neither slows a run down nor fills its memory: whoever
//! owns a writer takes the full blocks and puts them wherever it likes.
//! [`Check`] reads all of them again, in one pass, and says whether the run was correct.
//! [`oracle`] looks at what clients saw alone, with the slots they were told as a guess, and
//! [`linearize`] searches where the guess fails; [`json`], [`edn`] and [`operations`] are for other
//! programs.
//!
//! A history holds digests of values, never values.
//! It knows nothing of files, ballots or messages, and it reads no clock.

mod check;
mod chosen;
mod client;
mod codec;
pub mod edn;
mod joint;
pub mod json;
pub mod linearize;
pub mod operations;
pub mod oracle;
mod seen;
mod twins;

use serde::{Deserialize, Serialize};

use crate::command::Operation;
use crate::quorum::NodeId;

pub use check::{Check, Options, Staleness, Verdict, Violation};
pub use chosen::{ChosenReader, ChosenWriter, Entry, EntryCommand, Record};
use client::SessionOrder;
pub use client::{ClientReader, ClientWriter, Event, Issued, Returned};
pub use joint::JointLogs;
pub use seen::{KeyCounts, Part, Seen};
pub use twins::are_twins;

/// The version of both formats; a reader refuses any other.
pub const VERSION: u8 = 1;

/// A writer gives a block away once it holds this many bytes.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// What an operation does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It stores a value.
    Write,
    /// It reads the value.
    Read,
}

/// The digest of a value: its CRC-32.
pub fn digest(value: &[u8]) -> u32 {
    crc32fast::hash(value)
}

/// What histories and logs keep of an operation: its kind, its key, and the digest of what it writes,
/// 0 for a read.
pub fn facts(operation: &Operation) -> (Kind, u64, u32) {
    match operation {
        Operation::Put { key, value } => (Kind::Write, *key, digest(value)),
        Operation::Get { key } | Operation::GetSince { key, .. } => (Kind::Read, *key, 0),
    }
}

/// Why a history cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes could not be had.
    #[error("a history cannot be read after byte {offset}")]
    Read {
        /// How far reading came.
        offset: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are something else.
    #[error("not a {expected}: it begins with {found:02x?} instead of {magic:02x?}")]
    Foreign {
        /// What was to be read.
        expected: &'static str,
        /// What it must begin with.
        magic: [u8; 4],
        /// What it begins with.
        found: [u8; 4],
    },
    /// The bytes are of another version of this program.
    #[error("a history of version {found}; this program reads version {VERSION}")]
    Version {
        /// The version written.
        found: u8,
    },
    /// The writer did not finish, because its process died; everything before the cut was given.
    #[error("a history is cut off at byte {offset}: its writer died before it finished")]
    Truncated {
        /// The end of the last whole event.
        offset: u64,
    },
    /// The bytes were changed, or never were a history.
    #[error("a history is corrupt at byte {offset}: {reason}")]
    Corrupt {
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The log of one replica cannot be read on.
    #[error("the log of {node} cannot be read")]
    Log {
        /// Whose.
        node: NodeId,
        /// Why.
        #[source]
        source: Box<Self>,
    },
}

//! The row of `histories.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One file of `histories/`, as the run left it.
///
/// The table shows whether a history is missing, cut or changed: `flexpaxos verify` compares the files with
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// The name of the member that wrote the file: `r0` is a replica, `c0` the clients of a region.
    pub member: String,
    /// The start of this member in which it wrote the file, from 0 as in the name of the file.
    pub start: u32,
    /// The path of the file within the results folder.
    pub file: String,
    /// The length of the file.
    pub file_bytes: u64,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The member finished the file; false if the member was killed or lost, or the file cannot be read.
    pub whole: bool,
}

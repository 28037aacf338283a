//! The row of `histories.csv`: one file of one member, as the run left it.

use serde::{Deserialize, Serialize};

/// One history of one trial: a row of `histories.csv`.
///
/// The table is beside the folder `histories/`, so a file that is gone, cut or changed is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Who wrote it: `r0` is a replica, `c0` a client.
    pub member: String,
    /// In which start of this member, from 0.
    pub start: u32,
    /// The file, within the folder of the results.
    pub file: String,
    /// The length of the file.
    pub bytes: u64,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its writer finished it; false where the member was killed or lost, or the file cannot be read.
    pub whole: bool,
}

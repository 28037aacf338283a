//! The world in which a trial ran.

use serde::{Deserialize, Serialize};

/// A world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Virtual time: repeatable to the bit from the seed.
    Sim,
    /// Real replicas over QUIC.
    Live,
}

impl Backend {
    /// The name in rows and names of files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Live => "live",
        }
    }

    /// How the files of the trial of this number in this world begin: `trial-003.sim`.
    pub fn prefix(self, trial: u32) -> String {
        format!("trial-{trial:03}.{}", self.name())
    }
}

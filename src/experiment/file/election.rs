//! `[election]`, as typed.

use super::{Length, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[election]`: who campaigns in Multi-Paxos.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Election {
    /// Whether a leader that falls silent is replaced; it is not, if absent.
    pub mode: Option<Spanned<ElectionMode>>,
    /// How often a leader is heard of; 100 ms if absent.
    pub heartbeat: Option<Spanned<Length>>,
    /// How many heartbeats in a row are missed before it is suspected; 10 if absent.
    pub misses: Option<Spanned<u32>>,
    /// The longest random wait before an election begins; as long as the time-out if absent.
    pub spread: Option<Spanned<Length>>,
}

/// Whether a leader that falls silent is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ElectionMode {
    /// The leader of the variant leads, and whoever is told to.
    #[default]
    Fixed,
    /// Whoever hears of no leader for a time-out campaigns.
    Timeout,
}

impl Election {
    /// The mode typed, or the one that is meant without it.
    pub fn mode(&self) -> ElectionMode {
        self.mode.as_ref().map(|typed| *typed.get_ref()).unwrap_or_default()
    }
}

//! `[host]`: one machine for a whole simulated deployment.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Length, Spanned};

/// `[host]`: the machine that all members of a simulated deployment share; each has its own if absent.
///
/// Live members share the machine that they are on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its processors.
    pub cores: Spanned<u16>,
    /// Processor time of a turn that follows no other one of its member, beside that of its messages.
    pub wake_up: Option<Spanned<Length>>,
    /// Processor time for all messages that one member sends to another in one turn, at each of the two ends.
    pub packet: Option<Spanned<Length>>,
    /// Processor time of a sync of the disk.
    pub sync: Option<Spanned<Length>>,
    /// How long a member that always has work keeps a processor for which others wait.
    pub slice: Option<Spanned<Length>>,
    /// Whether the logs of all replicas are on one disk, which makes one sync at a time.
    pub one_disk: Option<Spanned<bool>>,
}

impl Host {
    /// Whether it says what any of its work costs.
    pub fn has_costs(&self) -> bool {
        let costs = [&self.wake_up, &self.packet, &self.sync, &self.slice];
        costs.iter().any(|typed| typed.is_some())
    }
}

//! `[log]`, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[log]`: how much of it replicas keep.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// So many executed slots are kept for replicas that are behind, and whoever is farther behind is
    /// sent a snapshot; 100,000 if absent.
    pub retained_slots: Option<u64>,
}

impl Log {
    /// What every replica is told.
    pub fn retention(self) -> crate::protocol::Retention {
        let usual = crate::protocol::Retention::USUAL;
        crate::protocol::Retention { slots: self.retained_slots.or(usual.slots), ..usual }
    }
}

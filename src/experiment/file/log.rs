//! `[log]`, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::protocol::Retention;

/// `[log]`: how much of it replicas keep.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// So many executed slots are kept for replicas that are behind, and whoever is farther behind is
    /// sent a snapshot; if absent 100,000, or as many as have 64 MiB of values.
    pub retained_slots: Option<u64>,
}

/// A replica keeps about so many bytes of values, where the experiment does not say how many slots.
const RETAINED_BYTES: u64 = 64 << 20;

impl Log {
    /// What every replica keeps, where a written value has `value_bytes` bytes.
    pub fn retention(self, value_bytes: usize) -> Retention {
        let of_bytes = RETAINED_BYTES / (value_bytes as u64).max(1);
        let usual = Retention::USUAL.slots.map(|slots| slots.min(of_bytes));
        Retention { slots: self.retained_slots.or(usual), ..Retention::USUAL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_kept_for_fewer_slots_by_default() {
        let kept = |slots, bytes| Log { retained_slots: slots }.retention(bytes).slots;
        assert_eq!([0, 128, 671].map(|bytes| kept(None, bytes)), [Some(100_000); 3]);
        assert_eq!([64 << 10, 1 << 20].map(|bytes| kept(None, bytes)), [Some(1024), Some(64)]);
        assert_eq!(kept(Some(5000), 1 << 20), Some(5000));
    }
}

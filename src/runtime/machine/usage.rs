//! What a process costs: processor time, and its peak memory.

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// What a member cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time during the measurement, user and system, in seconds.
    pub cpu_s: f64,
    /// The most memory it ever had resident, in bytes.
    pub memory_peak_bytes: u64,
}

/// The most memory that this process ever had resident, in bytes.
pub(super) fn memory_peak_bytes() -> Option<u64> {
    let kib = u64::try_from(getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss()).ok()?;
    Some(kib * 1024)
}

/// Processor time of this process so far, user and system, in seconds.
pub fn cpu_s() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

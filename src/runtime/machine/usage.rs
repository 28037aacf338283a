//! What a process costs: processor time, and its peak memory.

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// What a member cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time during the measurement, user and system, in seconds.
    pub cpu_s: f64,
    /// The most memory it ever had resident, in bytes; zero where it is not known.
    pub memory_peak_bytes: u64,
}

impl Usage {
    /// The most memory that was resident, if that is known.
    pub fn known_memory_peak_bytes(self) -> Option<u64> {
        (self.memory_peak_bytes > 0).then_some(self.memory_peak_bytes)
    }
}

/// The most memory that this process ever had resident, in bytes.
///
/// `getrusage` is asked only where there is no `/proc`: on Linux its maximum begins with what the parent had
/// resident when it started this process, which is that of a coordinator and its histories.
pub fn memory_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status");
    status.ok().as_deref().and_then(peak_bytes).or_else(|| {
        let kib = u64::try_from(getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss()).ok()?;
        Some(kib * 1024)
    })
}

/// From now on [`memory_peak_bytes`] is the most since now; false where that cannot be asked for.
///
/// Linux does so for who writes 5 to `/proc/PID/clear_refs` (proc(5)).
/// What was freed and is kept for later by the allocator is resident still, and counts.
pub fn reset_memory_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The peak in a status of `/proc/PID/status`.
fn peak_bytes(status: &str) -> Option<u64> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor time of this process so far, user and system, in seconds.
pub fn cpu_s() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_the_process_itself() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t     123 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(peak_bytes(status), Some(123 * 1024));
        assert_eq!(peak_bytes("Name:\tx\n"), None);
        let before = memory_peak_bytes().unwrap();
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = memory_peak_bytes().unwrap();
        assert!(after >= held.len() as u64 && after >= before, "{before} {after}");
    }
}

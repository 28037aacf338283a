//! What a process costs: processor time during the measurement, and its peak memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use super::wire::Usage;
use crate::runtime::clock;
use crate::time::Time;

/// Reads the process's accounting at both ends of the measurement.
#[derive(Debug)]
pub(super) struct UsageMeter {
    ends: Arc<Mutex<Ends>>,
}

#[derive(Debug, Default)]
struct Ends {
    first_cpu_s: Option<f64>,
    last_cpu_s: Option<f64>,
}

impl UsageMeter {
    /// Measures from one instant to another; to be called within a tokio runtime.
    pub(super) fn start(from: Time, until: Time) -> Self {
        let ends = Arc::<Mutex<Ends>>::default();
        let meter = Self { ends: Arc::clone(&ends) };
        tokio::spawn(async move {
            wait_until(from).await;
            ends.lock().unwrap_or_else(PoisonError::into_inner).first_cpu_s = cpu_s();
            wait_until(until).await;
            ends.lock().unwrap_or_else(PoisonError::into_inner).last_cpu_s = cpu_s();
        });
        meter
    }

    /// The cost so far.
    pub(super) fn usage(&self) -> Usage {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let last_cpu_s = ends.last_cpu_s.or_else(cpu_s);
        let cpu_s = ends.first_cpu_s.zip(last_cpu_s).map_or(0.0, |(first, last)| last - first);
        let memory_peak_bytes = getrusage(UsageWho::RUSAGE_SELF)
            .ok()
            .and_then(|usage| u64::try_from(usage.max_rss()).ok())
            .map_or(0, |kib| kib * 1024);
        Usage { cpu_s, memory_peak_bytes }
    }
}

async fn wait_until(instant: Time) {
    let rest = instant.since(clock::now());
    tokio::time::sleep(Duration::from(rest)).await;
}

/// Processor time of this process so far, user and system, in seconds.
pub fn cpu_s() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

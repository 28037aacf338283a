//! The watch of one member over its machine during the measurement, and of nothing before or after.
//!
//! Whether the machine could keep up is seen by whoever waited for it: an alarm that rings late, a
//! thread that is ready and has no processor, a datagram that leaves after it was due.
//! What is seen goes into the member's report; what it means is decided elsewhere.
//!
//! An alarm every 10 ms is a thousand looks in ten seconds, and few beside the wake-ups of the
//! member's own work.
//! Ticks that were missed count with all of their lateness, as intended starts do.
//! Every tenth look is at the cores of the host too: it needs no wake-up of its own.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::cores::{self, HostTimes, NoIdleCore};
use super::usage::{self, Usage};
use crate::runtime::alarm::Alarm;
use crate::runtime::clock;
use crate::runtime::wan::{Emulation, Lateness};
use crate::time::{Span, Time};

/// From one look at the clock to the next.
const TICK: Span = Span::from_millis(10);

/// So many looks at the clock are one look at the cores of the host.
const TICKS_PER_STEP: u32 = 10;

/// What a member saw of its machine in the measurement window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// How long it watched: less than the window if it was started again within.
    pub over: Span,
    /// How late the alarm of its event loop rang: the median.
    pub timer_slip_p50: Option<Span>,
    /// The 99th percentile of that.
    pub timer_slip_p99: Option<Span>,
    /// The greatest of that.
    pub timer_slip_max: Option<Span>,
    /// How long its threads were ready to run and had no processor, all together; `None` where
    /// members share a process.
    pub run_queue_delay: Option<Span>,
    /// Datagrams that its links released.
    pub released_count: Option<u64>,
    /// Of those, how many left later than the tolerance.
    pub late_count: Option<u64>,
    /// The share of its host's processors that was busy, with whatever.
    pub host_busy_share: Option<f64>,
    /// The share of them that another virtual machine took.
    pub host_stolen_share: Option<f64>,
    /// The share of the time in which no core of its host was idle, at the least ([`NoIdleCore`]).
    pub host_no_idle_core_share: Option<f64>,
}

/// Watches from one instant to another.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Seen>,
}

/// What is looked at, and what was seen.
#[derive(Debug)]
struct Seen {
    shares_process: bool,
    emulation: Option<Arc<Emulation>>,
    slips: Lateness,
    no_idle_core: Mutex<NoIdleCore>,
    ends: Mutex<[Option<Snapshot>; 2]>,
}

/// Counters at one instant.
#[derive(Clone, Debug)]
struct Snapshot {
    at: Time,
    cpu_s: Option<f64>,
    threads: Option<BTreeMap<u32, cores::Thread>>,
    host: Option<HostTimes>,
    released_and_late: Option<(u64, u64)>,
}

impl Watch {
    /// Watches from one instant to another; to be called within the member's tokio runtime.
    pub fn start(
        from: Time,
        until: Time,
        emulation: Option<Arc<Emulation>>,
        shares_process: bool,
    ) -> Self {
        let (slips, no_idle_core, ends) = (Lateness::default(), Mutex::default(), Mutex::default());
        let seen = Arc::new(Seen { shares_process, emulation, slips, no_idle_core, ends });
        // A member that was started again within the window watches what is left of it.
        let begin = from.max(clock::now());
        let watching = Arc::clone(&seen);
        tokio::spawn(async move {
            // Without an alarm there is no member either: its event loop needs one.
            let Ok(mut alarm) = Alarm::new() else { return };
            wait_until(&mut alarm, begin).await;
            watching.ends()[0] = Some(watching.snapshot());
            watching.step();
            let mut due = begin + TICK;
            for tick in 1_u32.. {
                if due > until {
                    break;
                }
                wait_until(&mut alarm, due).await;
                watching.slips.record(clock::now().since(due), 1);
                if tick % TICKS_PER_STEP == 0 {
                    watching.step();
                }
                due = due + TICK;
            }
            wait_until(&mut alarm, until).await;
            watching.ends()[1] = Some(watching.snapshot());
        });
        Self { seen }
    }

    /// What was seen; until now, if the window has not ended, and nothing if it has not begun.
    pub fn watched(&self) -> Option<Watched> {
        let [before, after] = self.ends()?;
        let host_no_idle_core_share = self.seen.no_idle_core().share();
        Some(Watched { host_no_idle_core_share, ..between(&before, &after, &self.seen.slips) })
    }

    /// What the member cost in the window; `None` where members share a process.
    pub fn usage(&self) -> Option<Usage> {
        if self.seen.shares_process {
            return None;
        }
        let cpu_s = self.ends().and_then(|[before, after]| Some(after.cpu_s? - before.cpu_s?));
        Some(Usage {
            cpu_s: cpu_s.unwrap_or(0.0),
            memory_peak_bytes: usage::memory_peak_bytes().unwrap_or(0),
        })
    }

    fn ends(&self) -> Option<[Snapshot; 2]> {
        let [before, after] = self.seen.ends().clone();
        Some([before?, after.unwrap_or_else(|| self.seen.snapshot())])
    }
}

impl Seen {
    /// The counters at both ends; a thread that panicked while it held them left them whole.
    fn ends(&self) -> MutexGuard<'_, [Option<Snapshot>; 2]> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same of the looks at the cores.
    fn no_idle_core(&self) -> MutexGuard<'_, NoIdleCore> {
        self.no_idle_core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the cores of the host.
    fn step(&self) {
        let (at, times) = (clock::now(), HostTimes::now());
        self.no_idle_core().step(at, times);
    }

    fn snapshot(&self) -> Snapshot {
        let own = !self.shares_process;
        Snapshot {
            at: clock::now(),
            cpu_s: own.then(usage::cpu_s).flatten(),
            threads: own.then(cores::threads).flatten(),
            host: HostTimes::now(),
            released_and_late: self.emulation.as_ref().map(|links| links.released_and_late()),
        }
    }
}

/// What happened between two instants.
fn between(before: &Snapshot, after: &Snapshot, slips: &Lateness) -> Watched {
    let counts = before.released_and_late.zip(after.released_and_late);
    let shares = before.host.zip(after.host).and_then(|(before, after)| after.since(before));
    let threads = before.threads.as_ref().zip(after.threads.as_ref());
    Watched {
        over: after.at.since(before.at),
        timer_slip_p50: slips.quantile(0.5),
        timer_slip_p99: slips.quantile(0.99),
        timer_slip_max: slips.max(),
        run_queue_delay: threads.map(|(before, after)| cores::waited_between(before, after)),
        released_count: counts.map(|(before, after)| after.0.saturating_sub(before.0)),
        late_count: counts.map(|(before, after)| after.1.saturating_sub(before.1)),
        host_busy_share: shares.map(|shares| shares.busy),
        host_stolen_share: shares.map(|shares| shares.stolen),
        host_no_idle_core_share: None,
    }
}

async fn wait_until(alarm: &mut Alarm, instant: Time) {
    alarm.set(Some(instant));
    poll_fn(|context| alarm.poll_due(context)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at: u64, released_and_late: Option<(u64, u64)>, busy: u64) -> Snapshot {
        Snapshot {
            at: Time(at),
            cpu_s: None,
            threads: None,
            host: Some(HostTimes { busy, stolen: 0, total: at }),
            released_and_late,
        }
    }

    #[test]
    fn only_what_happened_between_counts() {
        let slips = Lateness::default();
        slips.record(Span::from_micros(80), 3);
        let before = snapshot(1000, Some((500, 40)), 600);
        let found = between(&before, &snapshot(3000, Some((700, 43)), 1100), &slips);
        let expected = Watched {
            over: Span(2000),
            timer_slip_p50: Some(Span::from_micros(80)),
            timer_slip_p99: Some(Span::from_micros(80)),
            timer_slip_max: Some(Span::from_micros(80)),
            released_count: Some(200),
            late_count: Some(3),
            host_busy_share: Some(0.25),
            host_stolen_share: Some(0.0),
            host_no_idle_core_share: None,
            run_queue_delay: None,
        };
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_window_that_has_ended_was_watched_whole_and_one_to_come_not_at_all() {
        let now = clock::now();
        let until = now + Span::from_millis(235);
        let watch = Watch::start(now, until, None, false);
        let mut alarm = Alarm::new().unwrap();
        while watch.seen.ends()[1].is_none() {
            wait_until(&mut alarm, clock::now() + Span::from_millis(1)).await;
        }
        let found = watch.watched().unwrap();
        assert!(found.over > Span::ZERO, "{found:?}");
        let ticks = watch.seen.slips.count();
        assert!(ticks <= 23 && found.timer_slip_max.is_some() == (ticks > 0), "{found:?}");
        // A machine that is so busy that the window begins after its end has no step.
        let share = found.host_no_idle_core_share;
        assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)), "{found:?}");
        assert!(share.is_some() || ticks < TICKS_PER_STEP.into(), "{found:?}");
        assert!(found.run_queue_delay.is_some() && found.released_count.is_none(), "{found:?}");
        assert!(watch.usage().unwrap().memory_peak_bytes > 0);

        let later = Span::from_millis(1 << 30);
        let watch = Watch::start(now + later, until + later, None, true);
        tokio::task::yield_now().await;
        assert_eq!((watch.watched(), watch.usage()), (None, None));
    }
}

//! What the kernel says of the processors: how long threads ran and waited, and how busy the host is.
//!
//! Linux tells it in `/proc`; where it does not, the answer is `None` and never a guess.
//! The threads of a process cost some tens of microseconds to read, so that is done at the ends of a window
//! and not within; the counters of the host cost ten with two cores, and are read ten times a second.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::time::{Span, Time};

/// The unit of `/proc/stat`: `USER_HZ` is 100 on every machine that Linux runs on here.
const TICK: Span = Span::from_millis(10);

/// How long one thread of this process has run, and waited to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its name, cut to 15 bytes by the kernel.
    pub name: String,
    /// Time on a processor.
    pub ran: Span,
    /// Time ready to run, without a processor.
    pub waited: Span,
}

/// The threads of this process, by their number in the kernel.
pub fn threads() -> Option<BTreeMap<u32, Thread>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task").ok()? {
        let folder = entry.ok()?.path();
        // A thread that has ended meanwhile has no files.
        if let Some((id, thread)) = thread(&folder) {
            found.insert(id, thread);
        }
    }
    (!found.is_empty()).then_some(found)
}

fn thread(folder: &Path) -> Option<(u32, Thread)> {
    let id = folder.file_name()?.to_str()?.parse().ok()?;
    let (ran, waited) = schedstat(&fs::read_to_string(folder.join("schedstat")).ok()?)?;
    let name = fs::read_to_string(folder.join("comm")).ok()?.trim_end().to_owned();
    Some((id, Thread { name, ran, waited }))
}

/// The first two fields of `schedstat`: nanoseconds on a processor, and waiting for one.
fn schedstat(text: &str) -> Option<(Span, Span)> {
    let mut fields = text.split_whitespace().map(str::parse);
    Some((Span(fields.next()?.ok()?), Span(fields.next()?.ok()?)))
}

/// How long the threads of a process waited for a processor between two looks at them.
///
/// A thread that began between is counted from its beginning; one that ended is not counted.
pub fn waited_between(before: &BTreeMap<u32, Thread>, after: &BTreeMap<u32, Thread>) -> Span {
    let waited = after.iter().map(|(id, thread)| {
        let begun = before.get(id).map_or(Span::ZERO, |thread| thread.waited);
        Span(thread.waited.0.saturating_sub(begun.0))
    });
    waited.fold(Span::ZERO, |sum, span| sum + span)
}

/// What the processors of the host have done since it started, in the kernel's ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostTimes {
    /// Anything but waiting for work, what another virtual machine took included.
    pub busy: u64,
    /// Of that, what another virtual machine took.
    pub stolen: u64,
    /// All of it.
    pub total: u64,
}

/// Shares of the processors' time, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostShares {
    /// Anything but waiting for work, what another virtual machine took included.
    pub busy: f64,
    /// Of all time, what another virtual machine took.
    pub stolen: f64,
}

impl HostTimes {
    /// What the kernel counts now.
    pub fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, and
    /// guests, who are counted as users already.
    fn read(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let fields: Vec<u64> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let counted = fields.get(..8)?;
        let (total, idle) = (counted.iter().sum::<u64>(), counted[3] + counted[4]);
        Some(Self { busy: total - idle, stolen: counted[7], total })
    }

    /// How long cores waited for work since `before`, all of them together.
    fn idle_since(self, before: Self) -> Span {
        let idle = |times: Self| times.total - times.busy;
        Span(idle(self).saturating_sub(idle(before)) * TICK.0)
    }

    /// The shares since `before`; `None` if no tick has passed.
    pub fn since(self, before: Self) -> Option<HostShares> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)? as f64;
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / total;
        Some(HostShares {
            busy: share(self.busy, before.busy),
            stolen: share(self.stolen, before.stolen),
        })
    }
}

/// For how much of the time no core of the host was idle, from steps short enough that load does not change
/// much within one.
///
/// The kernel counts how long cores were idle, and not whether they were at the same moment.
/// Where all of them together were idle for a third of a step, some core was for a third of it at the most: so
/// the rest of the step, two thirds, is the least for which none can have been.
/// This is a lower bound; it is exact where no two cores are idle at once, as on a machine that is nearly full.
/// The counters have ticks of 10 ms, and a step one or two of them more or less than it should: in a step of
/// 100 ms an error of 10 % to either side, which the sum over many steps evens out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoIdleCore {
    last: Option<(Time, HostTimes)>,
    none_idle: Span,
    watched: Span,
}

impl NoIdleCore {
    /// What the kernel counts at this time ends a step, and begins the next one.
    pub fn step(&mut self, at: Time, times: Option<HostTimes>) {
        if let (Some((before, then)), Some(now)) = (self.last, times) {
            let step = at.since(before);
            self.none_idle = self.none_idle + step - now.idle_since(then).min(step);
            self.watched += step;
        }
        self.last = times.map(|times| (at, times));
    }

    /// The share of all steps; `None` if there was none.
    pub fn share(self) -> Option<f64> {
        (self.watched > Span::ZERO).then(|| self.none_idle.0 as f64 / self.watched.0 as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(waited: u64) -> Thread {
        Thread { name: "main".into(), ran: Span(7), waited: Span(waited) }
    }

    #[test]
    fn the_fields_of_proc_are_read() {
        assert_eq!(schedstat("12 34 5\n"), Some((Span(12), Span(34))));
        assert_eq!(schedstat("12\n"), None);
        let times = HostTimes::read("cpu  10 1 20 60 5 1 2 3 4 0\ncpu0 1 2\n").unwrap();
        assert_eq!(times, HostTimes { busy: 37, stolen: 3, total: 102 });
        assert_eq!(HostTimes::read("cpu  10 1\n"), None);
        assert_eq!(HostTimes::read("intr 1 2 3 4 5 6 7 8\n"), None);
    }

    #[test]
    fn shares_are_of_the_time_between() {
        let before = HostTimes { busy: 100, stolen: 10, total: 1000 };
        let after = HostTimes { busy: 190, stolen: 20, total: 1100 };
        assert_eq!(after.since(before), Some(HostShares { busy: 0.9, stolen: 0.1 }));
        assert_eq!(before.since(before), None);
        assert_eq!(before.since(after), None);
    }

    /// The share without an idle core, of steps of 100 ms in which cores were idle for so many ticks.
    #[track_caller]
    fn check_no_idle_core(idle: &[u64], expected: Option<f64>) {
        let (mut found, mut total) = (NoIdleCore::default(), 0);
        found.step(Time(0), Some(HostTimes { busy: 77, stolen: 0, total: 77 }));
        for (step, ticks) in (1..).zip(idle) {
            total += ticks;
            let times = HostTimes { busy: 77, stolen: 0, total: 77 + total };
            found.step(Time(step * 100_000_000), Some(times));
        }
        assert_eq!(found.share(), expected);
    }

    #[test]
    fn the_share_without_an_idle_core_is_of_steps() {
        check_no_idle_core(&[], None);
        check_no_idle_core(&[0, 0], Some(1.0));
        // One of two cores has nothing to do.
        check_no_idle_core(&[10, 10, 10], Some(0.0));
        // A machine that is full for half of the time, and has nothing to do in the other half: its average is
        // that of the line above.
        check_no_idle_core(&[0, 20, 0, 20], Some(0.5));
        check_no_idle_core(&[3], Some(0.7));
    }

    #[test]
    fn a_look_without_counters_ends_no_step() {
        let mut found = NoIdleCore::default();
        let times = Some(HostTimes { busy: 1, stolen: 0, total: 1 });
        found.step(Time(0), times);
        found.step(Time(100), None);
        found.step(Time(200), times);
        assert_eq!(found.share(), None);
        found.step(Time(300), times);
        assert_eq!(found.share(), Some(1.0));
    }

    #[test]
    fn threads_that_begin_count_and_threads_that_end_do_not() {
        let before = BTreeMap::from([(1, thread(100)), (2, thread(50))]);
        let after = BTreeMap::from([(1, thread(130)), (3, thread(7))]);
        assert_eq!(waited_between(&before, &after), Span(37));
        assert_eq!(waited_between(&after, &after), Span::ZERO);
    }

    #[test]
    fn this_process_has_threads_and_the_host_has_time() {
        let threads = threads().unwrap();
        assert!(threads.contains_key(&std::process::id()) && threads.len() > 1, "{threads:?}");
        assert!(HostTimes::now().unwrap().total > 0);
    }
}

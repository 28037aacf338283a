//! What the kernel says of the processors: how long threads ran and waited, and how busy the host is.
//!
//! Linux tells it in `/proc`; where it does not, the answer is `None` and never a guess.
//! Reading costs some tens of microseconds, so it is done at the ends of a window and not within.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::time::Span;

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

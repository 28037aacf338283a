//! The faults of a trial as they came about: in words, how far the reach of each goes, and whom a new
//! leader could reach meanwhile.

use crate::deployment::{FaultKind, InjectedFault, MemberName};
use crate::measure::Window;
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// Faults that begin nearer to one another than this count as one: a quorum that dies at once dies within
/// some wake-ups of the coordinator.
const AT_ONCE: Span = Span::from_millis(100);

/// What a fault is called, and whom it concerns; of a direction, the senders.
pub(super) fn words(kind: &FaultKind) -> (&'static str, NodeSet) {
    match kind {
        FaultKind::Crash { replica, .. } => ("crash", NodeSet::only(*replica)),
        FaultKind::Pause { replica } => ("pause", NodeSet::only(*replica)),
        FaultKind::Partition { side } => ("partition", *side),
        FaultKind::Cut { from, .. } => ("cut", *from),
        FaultKind::Slow { from, .. } => ("slow", *from),
        FaultKind::Lose { from, .. } => ("lose", *from),
        FaultKind::Duplicate { from, .. } => ("duplicate", *from),
        FaultKind::Reorder { from, .. } => ("reorder", *from),
        FaultKind::SlowDisk { replica, .. } => ("slow_disk", NodeSet::only(*replica)),
        FaultKind::FullDisk { replica } => ("full_disk", NodeSet::only(*replica)),
        FaultKind::Campaign { replica } => ("campaign", NodeSet::only(*replica)),
    }
}

/// The names of these replicas, joined by `+`.
pub(super) fn names(of: NodeSet) -> String {
    let names: Vec<String> = of.iter().map(|id| MemberName::Replica(id).to_string()).collect();
    names.join("+")
}

/// The regions of these replicas, joined by `+`.
pub(super) fn regions(of: NodeSet, all: &[String]) -> String {
    let names: Vec<&str> = of.iter().map(|id| all[usize::from(id.0)].as_str()).collect();
    names.join("+")
}

/// From the fault to the next one that does not count as the same, or to the end.
pub(super) fn reach(injected: &InjectedFault, all: &[InjectedFault], end: Time) -> Window {
    let later = all.iter().map(|other| other.at).filter(|at| *at > injected.at + AT_ONCE);
    Window { from: injected.at, to: later.min().unwrap_or(end) }
}

/// The replicas that `leader` could hear and be heard by for at least a part of the time from `from` to
/// `to`: those that no fault kept away for all of it.
pub(super) fn reachable(
    leader: NodeId,
    all: &[InjectedFault],
    everybody: NodeSet,
    from: Time,
    to: Time,
) -> NodeSet {
    let lasted = all.iter().filter(|injected| {
        injected.at <= from && injected.ended_at.is_none_or(|ended_at| ended_at > to)
    });
    let away = lasted.map(|injected| kept_away(&injected.kind, leader, everybody));
    everybody.difference(away.fold(NodeSet::EMPTY, NodeSet::union).without(leader))
}

/// Whom a fault keeps from exchanging messages with `leader`.
fn kept_away(kind: &FaultKind, leader: NodeId, everybody: NodeSet) -> NodeSet {
    match kind {
        FaultKind::Crash { replica, .. }
        | FaultKind::FullDisk { replica }
        | FaultKind::Pause { replica } => NodeSet::only(*replica),
        FaultKind::Partition { side } if side.contains(leader) => everybody.difference(*side),
        FaultKind::Partition { side } => *side,
        FaultKind::Cut { from, to } => {
            let hears_not = if to.contains(leader) { *from } else { NodeSet::EMPTY };
            let is_not_heard = if from.contains(leader) { *to } else { NodeSet::EMPTY };
            hears_not.union(is_not_heard)
        }
        _ => NodeSet::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::Unsynced;

    fn injected(fault: usize, at_ms: u64, ended_ms: Option<u64>, kind: FaultKind) -> InjectedFault {
        let time = |ms: u64| Time(ms * 1_000_000);
        InjectedFault {
            fault,
            kind,
            at: time(at_ms),
            ended_at: ended_ms.map(time),
            caught_up_at: None,
        }
    }

    fn crash(id: u8) -> FaultKind {
        FaultKind::Crash { replica: NodeId(id), unsynced: Unsynced::Lost }
    }

    fn set(ids: &[u8]) -> NodeSet {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn faults_at_once_have_one_reach() {
        let all = [
            injected(0, 1_000, None, crash(0)),
            injected(1, 1_003, None, crash(1)),
            injected(2, 4_000, None, crash(2)),
        ];
        let end = Time(9_000_000_000);
        let until = |index: usize| reach(&all[index], &all, end).to.0 / 1_000_000;
        assert_eq!([until(0), until(1), until(2)], [4_000, 4_000, 9_000]);
    }

    #[test]
    fn a_leader_reaches_who_is_up_and_on_its_side() {
        let partition = FaultKind::Partition { side: set(&[0, 1]) };
        let cut = FaultKind::Cut { from: set(&[3]), to: set(&[4]) };
        let all = [
            injected(0, 1_000, Some(2_000), crash(2)),
            injected(1, 1_000, None, partition),
            injected(2, 1_000, None, cut),
        ];
        let reached = |leader: u8, from_ms: u64, to_ms: u64| {
            let [from, to] = [from_ms, to_ms].map(|ms| Time(ms * 1_000_000));
            reachable(NodeId(leader), &all, NodeSet::all(5), from, to)
        };
        assert_eq!(reached(1, 1_200, 1_400), set(&[0, 1]));
        assert_eq!(reached(4, 1_200, 1_400), set(&[4]));
        assert_eq!(reached(3, 1_200, 1_400), set(&[3]));
        // The one that crashed is back before the end of it.
        assert_eq!(reached(3, 1_200, 2_400), set(&[2, 3]));
        assert_eq!(reached(2, 1_200, 2_400), set(&[2, 3, 4]));
        // It began before any fault did.
        assert_eq!(reached(2, 900, 2_400), NodeSet::all(5));
    }

    #[test]
    fn a_fault_has_a_name_and_replicas_with_regions() {
        let all = ["a", "b", "c"].map(str::to_owned);
        let (word, of) = words(&FaultKind::Partition { side: set(&[0, 2]) });
        assert_eq!((word, regions(of, &all).as_str()), ("partition", "a+c"));
        assert_eq!(names(of), "r0+r2");
        assert_eq!(words(&crash(1)), ("crash", set(&[1])));
    }
}

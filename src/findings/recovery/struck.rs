//! The faults of a trial as they came about: in words, how long their aftermath reaches, and whom a new
//! leader could reach meanwhile.

use crate::deployment::{Harm, Struck};
use crate::measure::Window;
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// Strikes that are nearer to one another than this are one blow: a quorum that dies at once dies within
/// some wake-ups of the coordinator.
const AT_ONCE: Span = Span::from_millis(100);

/// What a harm is called, and whom it concerns; of a direction, the senders.
pub(super) fn words(harm: &Harm) -> (&'static str, NodeSet) {
    match harm {
        Harm::Crash { replica, .. } => ("crash", NodeSet::only(*replica)),
        Harm::Pause { replica } => ("pause", NodeSet::only(*replica)),
        Harm::Partition { side } => ("partition", *side),
        Harm::Cut { from, .. } => ("cut", *from),
        Harm::Slow { from, .. } => ("slow", *from),
        Harm::Lose { from, .. } => ("lose", *from),
        Harm::Duplicate { from, .. } => ("duplicate", *from),
        Harm::Reorder { from, .. } => ("reorder", *from),
        Harm::SlowDisk { replica, .. } => ("slow_disk", NodeSet::only(*replica)),
        Harm::Campaign { replica } => ("campaign", NodeSet::only(*replica)),
    }
}

/// The regions of these replicas, separated by `+`.
pub(super) fn regions(of: NodeSet, all: &[String]) -> String {
    let names: Vec<&str> = of.iter().map(|id| all[usize::from(id.0)].as_str()).collect();
    names.join("+")
}

/// From the strike to the next one that is not of the same blow, or to the end.
pub(super) fn reach(struck: &Struck, all: &[Struck], end: Time) -> Window {
    let later = all.iter().map(|other| other.at).filter(|at| *at > struck.at + AT_ONCE);
    Window { from: struck.at, to: later.min().unwrap_or(end) }
}

/// The replicas that `leader` could hear and be heard by for at least a part of the time from `from` to
/// `to`: those that no fault kept away for all of it.
pub(super) fn reachable(
    leader: NodeId,
    all: &[Struck],
    everybody: NodeSet,
    from: Time,
    to: Time,
) -> NodeSet {
    let lasted = all
        .iter()
        .filter(|struck| struck.at <= from && struck.ended_at.is_none_or(|ended_at| ended_at > to));
    let away = lasted.map(|struck| kept_away(&struck.harm, leader, everybody));
    everybody.difference(away.fold(NodeSet::EMPTY, NodeSet::union).without(leader))
}

/// Whom a harm keeps from exchanging messages with `leader`.
fn kept_away(harm: &Harm, leader: NodeId, everybody: NodeSet) -> NodeSet {
    match harm {
        Harm::Crash { replica, .. } | Harm::Pause { replica } => NodeSet::only(*replica),
        Harm::Partition { side } if side.contains(leader) => everybody.difference(*side),
        Harm::Partition { side } => *side,
        Harm::Cut { from, to } => {
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

    fn struck(fault: usize, at_ms: u64, ended_ms: Option<u64>, harm: Harm) -> Struck {
        let time = |ms: u64| Time(ms * 1_000_000);
        Struck { fault, harm, at: time(at_ms), ended_at: ended_ms.map(time) }
    }

    fn crash(id: u8) -> Harm {
        Harm::Crash { replica: NodeId(id), unsynced: Unsynced::Lost }
    }

    fn set(ids: &[u8]) -> NodeSet {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn what_strikes_at_once_has_one_aftermath() {
        let all = [
            struck(0, 1_000, None, crash(0)),
            struck(1, 1_003, None, crash(1)),
            struck(2, 4_000, None, crash(2)),
        ];
        let end = Time(9_000_000_000);
        let until = |index: usize| reach(&all[index], &all, end).to.0 / 1_000_000;
        assert_eq!([until(0), until(1), until(2)], [4_000, 4_000, 9_000]);
    }

    #[test]
    fn a_leader_reaches_who_is_up_and_on_its_side() {
        let partition = Harm::Partition { side: set(&[0, 1]) };
        let cut = Harm::Cut { from: set(&[3]), to: set(&[4]) };
        let all = [
            struck(0, 1_000, Some(2_000), crash(2)),
            struck(1, 1_000, None, partition),
            struck(2, 1_000, None, cut),
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
    fn a_fault_has_a_name_and_regions() {
        let all = ["a", "b", "c"].map(str::to_owned);
        let (word, of) = words(&Harm::Partition { side: set(&[0, 2]) });
        assert_eq!((word, regions(of, &all).as_str()), ("partition", "a+c"));
        assert_eq!(words(&crash(1)), ("crash", set(&[1])));
    }
}

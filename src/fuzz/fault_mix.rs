//! The faults of a case: every seed draws which kinds of faults it mixes.
//!
//! If everything happened in all of them, nothing that needs a long time without faults would happen.

use std::fmt;

use super::random_stream::RandomStream;
use super::system::member;
use crate::deployment::{Fault, FaultKind, Unsynced};
use crate::quorum::{NodeId, NodeSet};
use crate::registry::Mode;
use crate::time::Span;

/// What kinds of faults a case has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultMix {
    /// None.
    NoFaults,
    /// Replicas are told to lead.
    Elections,
    /// Replicas crash, and lose what they had not synced, or half of it.
    Crashes,
    /// Replicas crash after a record is written and before what waited for it has left.
    BetweenPersistAndSend,
    /// Replicas are cut off from others, both ways.
    Partitions,
    /// Messages are lost in one direction only.
    OneWay,
    /// Some messages are lost.
    Losses,
    /// Messages arrive twice, and overtake one another.
    Disorder,
    /// Links and disks are slow.
    Slow,
    /// Replicas stand still.
    Pauses,
    /// All kinds.
    All,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Crash,
    CrashWritten,
    Pause,
    Partition,
    Cut,
    Slow,
    Lose,
    Duplicate,
    Reorder,
    SlowDisk,
    Campaign,
}

impl FaultMix {
    pub(super) fn draw(stream: &mut RandomStream) -> Self {
        stream.pick(&[
            Self::NoFaults,
            Self::Elections,
            Self::Crashes,
            Self::Crashes,
            Self::BetweenPersistAndSend,
            Self::Partitions,
            Self::OneWay,
            Self::Losses,
            Self::Disorder,
            Self::Slow,
            Self::Pauses,
            Self::All,
            Self::All,
            Self::All,
        ])
    }

    const fn choices(self) -> &'static [Choice] {
        match self {
            Self::NoFaults => &[],
            Self::Elections => &[Choice::Campaign],
            Self::Crashes => &[Choice::Crash, Choice::Crash, Choice::CrashWritten],
            Self::BetweenPersistAndSend => &[Choice::CrashWritten],
            Self::Partitions => &[Choice::Partition],
            Self::OneWay => &[Choice::Cut],
            Self::Losses => &[Choice::Lose],
            Self::Disorder => &[Choice::Duplicate, Choice::Reorder],
            Self::Slow => &[Choice::Slow, Choice::SlowDisk],
            Self::Pauses => &[Choice::Pause],
            Self::All => &[
                Choice::Crash,
                Choice::CrashWritten,
                Choice::Pause,
                Choice::Partition,
                Choice::Cut,
                Choice::Slow,
                Choice::Lose,
                Choice::Duplicate,
                Choice::Reorder,
                Choice::SlowDisk,
                Choice::Campaign,
            ],
        }
    }

    /// Whether replicas crash in it.
    pub(super) const fn has_crashes(self) -> bool {
        matches!(self, Self::Crashes | Self::BetweenPersistAndSend | Self::All)
    }
}

impl fmt::Display for FaultMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFaults => "calm",
            Self::Elections => "elections",
            Self::Crashes => "crashes",
            Self::BetweenPersistAndSend => "crashes between persist and send",
            Self::Partitions => "partitions",
            Self::OneWay => "one-way cuts",
            Self::Losses => "losses",
            Self::Disorder => "duplicates and reordering",
            Self::Slow => "slow links and disks",
            Self::Pauses => "pauses",
            Self::All => "storm",
        })
    }
}

/// What faults are drawn for.
pub(super) struct Scene {
    pub(super) n: usize,
    pub(super) mode: Mode,
    /// All faults are over by then.
    pub(super) faults_over_after: Span,
    /// These crash for good.
    pub(super) dead: NodeSet,
}

/// The faults, in the order of their beginnings; all but those of the dead heal by then.
pub(super) fn faults(stream: &mut RandomStream, fault_mix: FaultMix, scene: &Scene) -> Vec<Fault> {
    let choices = fault_mix.choices();
    let most = stream.pick(&[4, 10, 30]);
    let count = if choices.is_empty() { 0 } else { stream.between(1, most) };
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let choice = stream.pick(choices);
            fault(stream, choice, scene)
        })
        .collect();
    // Without a change of leader much cannot go wrong.
    let campaign_count = if stream.one_in(2) { 0 } else { 1 + stream.below(6) };
    if fault_mix != FaultMix::NoFaults && scene.mode.leader().is_some() {
        faults.extend((0..campaign_count).map(|_| fault(stream, Choice::Campaign, scene)));
    }
    faults.retain(|fault| !stops(&fault.kind, scene.dead));
    for replica in scene.dead.iter() {
        let kind = FaultKind::Crash { replica, unsynced: unsynced(stream) };
        faults.push(Fault {
            at: Span(stream.below(scene.faults_over_after.0)),
            kind,
            heals_after: None,
        });
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Whether one of these stops by it: a replica that dies is not paused or crashed as well, for it would be
/// started again.
pub(super) fn stops(kind: &FaultKind, dead: NodeSet) -> bool {
    match kind {
        FaultKind::Crash { replica, .. } | FaultKind::Pause { replica } => dead.contains(*replica),
        _ => false,
    }
}

/// A fault of any kind.
pub(super) fn any(stream: &mut RandomStream, scene: &Scene) -> Fault {
    let choice = stream.pick(FaultMix::All.choices());
    // Nobody leads because it was told to where nobody leads.
    let choice = match (choice, scene.mode.leader()) {
        (Choice::Campaign, None) => Choice::CrashWritten,
        _ => choice,
    };
    fault(stream, choice, scene)
}

/// Another fault of the same kind: of others, or as hard as another one.
pub(super) fn alike(stream: &mut RandomStream, of: &FaultKind, scene: &Scene) -> FaultKind {
    let choice = match of {
        FaultKind::Crash { unsynced: Unsynced::Written, .. } => Choice::CrashWritten,
        FaultKind::Crash { .. } | FaultKind::FullDisk { .. } => Choice::Crash,
        FaultKind::Pause { .. } => Choice::Pause,
        FaultKind::Partition { .. } => Choice::Partition,
        FaultKind::Cut { .. } => Choice::Cut,
        FaultKind::Slow { .. } => Choice::Slow,
        FaultKind::Lose { .. } => Choice::Lose,
        FaultKind::Duplicate { .. } => Choice::Duplicate,
        FaultKind::Reorder { .. } => Choice::Reorder,
        FaultKind::SlowDisk { .. } => Choice::SlowDisk,
        FaultKind::Campaign { .. } => Choice::Campaign,
    };
    kind(stream, choice, scene)
}

/// Another time for a fault: a little earlier or later, or any.
pub(super) fn another_time(stream: &mut RandomStream, at: Span, scene: &Scene) -> Span {
    let (near, any) = (stream.below(40_000_000), stream.below(scene.faults_over_after.0));
    if stream.one_in(3) { Span(any) } else { Span((at.0 + near).saturating_sub(20_000_000)) }
}

/// Whether it stops a replica for good.
pub(super) const fn is_death(fault: &Fault) -> bool {
    matches!((fault.kind, fault.heals_after), (FaultKind::Crash { .. }, None))
}

fn fault(stream: &mut RandomStream, choice: Choice, scene: &Scene) -> Fault {
    let at = stream.below(scene.faults_over_after.0);
    // Most are short, some last to the end.
    let longest = (scene.faults_over_after.0 - at).max(1);
    let lasts = match stream.below(4) {
        0 => longest,
        1 => 1 + stream.below(longest),
        _ => 1 + stream.below(longest.min(Span::from_millis(60).0)),
    };
    let kind = kind(stream, choice, scene);
    let heals_after = (choice != Choice::Campaign).then_some(Span(lasts));
    Fault { at: Span(at), kind, heals_after }
}

fn kind(stream: &mut RandomStream, choice: Choice, scene: &Scene) -> FaultKind {
    let everybody = NodeSet::all(scene.n);
    let replica = replica(stream, scene);
    match choice {
        Choice::Crash => FaultKind::Crash { replica, unsynced: unsynced(stream) },
        Choice::CrashWritten => FaultKind::Crash { replica, unsynced: Unsynced::Written },
        Choice::Pause => FaultKind::Pause { replica },
        Choice::Partition => FaultKind::Partition { side: some(stream, everybody) },
        Choice::Campaign => FaultKind::Campaign { replica },
        Choice::SlowDisk => FaultKind::SlowDisk { replica, by: Span(stream.below(20_000_000)) },
        Choice::Cut => {
            let (from, to) = ends(stream, everybody, replica);
            FaultKind::Cut { from, to }
        }
        Choice::Slow => {
            let (from, to) = ends(stream, everybody, replica);
            FaultKind::Slow { from, to, by: Span(stream.below(60_000_000)) }
        }
        Choice::Lose => {
            let (from, to) = ends(stream, everybody, replica);
            FaultKind::Lose { from, to, share: stream.pick(&[0.05, 0.2, 0.5]) }
        }
        Choice::Duplicate => {
            let (from, to) = ends(stream, everybody, replica);
            FaultKind::Duplicate { from, to, share: stream.pick(&[0.05, 0.3, 1.0]) }
        }
        Choice::Reorder => {
            let (from, to) = ends(stream, everybody, replica);
            FaultKind::Reorder { from, to, spread: Span(1 + stream.below(40_000_000)) }
        }
    }
}

/// Any replica, and the one that leads at first more often than the others.
fn replica(stream: &mut RandomStream, scene: &Scene) -> NodeId {
    let any = member(stream, NodeSet::all(scene.n));
    match scene.mode.leader() {
        Some(leader) if stream.one_in(4) => leader,
        _ => any,
    }
}

fn unsynced(stream: &mut RandomStream) -> Unsynced {
    stream.pick(&[Unsynced::Lost, Unsynced::Lost, Unsynced::Torn, Unsynced::Written])
}

/// Links from one replica, to it, between two sets, or all of them.
fn ends(stream: &mut RandomStream, everybody: NodeSet, one: NodeId) -> (NodeSet, NodeSet) {
    let (from, to) = (some(stream, everybody), some(stream, everybody));
    let only = NodeSet::only(one);
    match stream.below(4) {
        0 => (only, everybody),
        1 => (everybody, only),
        2 => (from, to),
        _ => (everybody, everybody),
    }
}

fn some(stream: &mut RandomStream, everybody: NodeSet) -> NodeSet {
    let drawn = NodeSet::from_mask(stream.word() & everybody.mask());
    if drawn.is_empty() { NodeSet::only(member(stream, everybody)) } else { drawn }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::random_stream::Purpose;
    use std::collections::BTreeSet;

    fn scene(dead: NodeSet) -> Scene {
        let mode = Mode::multi(NodeId(0));
        Scene { n: 3, mode, faults_over_after: Span::from_millis(200), dead }
    }

    fn drawn(seed: u64, fault_mix: FaultMix, dead: NodeSet) -> Vec<Fault> {
        faults(&mut RandomStream::new(seed, Purpose::Faults), fault_mix, &scene(dead))
    }

    #[test]
    fn every_kind_of_fault_comes_in_the_mix_of_all() {
        let all = (0..50).flat_map(|seed| drawn(seed, FaultMix::All, NodeSet::EMPTY));
        let choices: BTreeSet<String> = all
            .map(|fault| format!("{:?}", fault.kind).split(' ').next().unwrap_or("").to_owned())
            .collect();
        assert_eq!(choices.len(), 10, "{choices:?}");
    }

    #[test]
    fn all_faults_heal_in_time_and_the_dead_stay_dead() {
        let dead = NodeSet::only(NodeId(2));
        for seed in 0..200 {
            let drawn = drawn(seed, FaultMix::All, dead);
            assert!(drawn.is_sorted_by_key(|fault| fault.at));
            let mut deaths = 0;
            for fault in drawn {
                match (fault.kind, fault.heals_after) {
                    (FaultKind::Campaign { .. }, None) => {}
                    (FaultKind::Crash { replica: NodeId(2), .. }, None) => deaths += 1,
                    (
                        FaultKind::Crash { replica: NodeId(2), .. }
                        | FaultKind::Pause { replica: NodeId(2) },
                        _,
                    ) => {
                        panic!("the dead are started again")
                    }
                    (_, Some(lasts)) => assert!(fault.at + lasts <= Span::from_millis(200)),
                    (kind, None) => panic!("{kind:?} never heals"),
                }
            }
            assert_eq!(deaths, 1);
        }
    }

    #[test]
    fn a_mix_has_faults_of_its_kinds_only() {
        for seed in 0..50 {
            assert_eq!(drawn(seed, FaultMix::NoFaults, NodeSet::EMPTY), []);
            let choice = |fault: &Fault| {
                matches!(
                    fault.kind,
                    FaultKind::Campaign { .. }
                        | FaultKind::Crash { unsynced: Unsynced::Written, .. }
                )
            };
            let drawn = drawn(seed, FaultMix::BetweenPersistAndSend, NodeSet::EMPTY);
            assert!(!drawn.is_empty() && drawn.iter().all(choice));
        }
    }
}

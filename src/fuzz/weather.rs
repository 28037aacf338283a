//! The faults of a case: a weather of its own kind for every seed.
//!
//! If everything happened in all of them, whatever needs a long calm would happen in none.

use std::fmt;

use super::dice::Dice;
use super::system::member;
use crate::deployment::{Fault, Harm, Unsynced};
use crate::quorum::{NodeId, NodeSet};
use crate::registry::Mode;
use crate::time::Span;

/// What kinds of faults a case has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weather {
    /// None.
    Calm,
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
    /// Everything.
    Storm,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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

impl Weather {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        dice.pick(&[
            Self::Calm,
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
            Self::Storm,
            Self::Storm,
            Self::Storm,
        ])
    }

    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Calm => &[],
            Self::Elections => &[Kind::Campaign],
            Self::Crashes => &[Kind::Crash, Kind::Crash, Kind::CrashWritten],
            Self::BetweenPersistAndSend => &[Kind::CrashWritten],
            Self::Partitions => &[Kind::Partition],
            Self::OneWay => &[Kind::Cut],
            Self::Losses => &[Kind::Lose],
            Self::Disorder => &[Kind::Duplicate, Kind::Reorder],
            Self::Slow => &[Kind::Slow, Kind::SlowDisk],
            Self::Pauses => &[Kind::Pause],
            Self::Storm => &[
                Kind::Crash,
                Kind::CrashWritten,
                Kind::Pause,
                Kind::Partition,
                Kind::Cut,
                Kind::Slow,
                Kind::Lose,
                Kind::Duplicate,
                Kind::Reorder,
                Kind::SlowDisk,
                Kind::Campaign,
            ],
        }
    }

    /// Whether replicas crash in it.
    pub(super) const fn has_crashes(self) -> bool {
        matches!(self, Self::Crashes | Self::BetweenPersistAndSend | Self::Storm)
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calm => "calm",
            Self::Elections => "elections",
            Self::Crashes => "crashes",
            Self::BetweenPersistAndSend => "crashes between persist and send",
            Self::Partitions => "partitions",
            Self::OneWay => "one-way cuts",
            Self::Losses => "losses",
            Self::Disorder => "duplicates and reordering",
            Self::Slow => "slow links and disks",
            Self::Pauses => "pauses",
            Self::Storm => "storm",
        })
    }
}

/// What faults are drawn for.
pub(super) struct Scene {
    pub(super) n: usize,
    pub(super) mode: Mode,
    /// All faults are over by then.
    pub(super) storm: Span,
    /// These crash for good.
    pub(super) dead: NodeSet,
}

/// The faults, in the order of their beginnings; all but those of the dead heal within the storm.
pub(super) fn faults(dice: &mut Dice, weather: Weather, scene: &Scene) -> Vec<Fault> {
    let kinds = weather.kinds();
    let most = dice.pick(&[4, 10, 30]);
    let count = if kinds.is_empty() { 0 } else { dice.between(1, most) };
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let kind = dice.pick(kinds);
            fault(dice, kind, scene)
        })
        .collect();
    // Without a change of leader much cannot go wrong.
    let campaign_count = if dice.one_in(2) { 0 } else { 1 + dice.below(6) };
    if weather != Weather::Calm && scene.mode.leader().is_some() {
        faults.extend((0..campaign_count).map(|_| fault(dice, Kind::Campaign, scene)));
    }
    // A replica that dies is not paused or crashed as well: it would be started again.
    let strikes_dead = |fault: &Fault| match fault.harm {
        Harm::Crash { replica, .. } | Harm::Pause { replica } => scene.dead.contains(replica),
        _ => false,
    };
    faults.retain(|fault| !strikes_dead(fault));
    for replica in scene.dead.iter() {
        let harm = Harm::Crash { replica, unsynced: unsynced(dice) };
        faults.push(Fault { at: Span(dice.below(scene.storm.0)), harm, heals_after: None });
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn fault(dice: &mut Dice, kind: Kind, scene: &Scene) -> Fault {
    let at = dice.below(scene.storm.0);
    // Most are short, some last to the end.
    let longest = (scene.storm.0 - at).max(1);
    let lasts = match dice.below(4) {
        0 => longest,
        1 => 1 + dice.below(longest),
        _ => 1 + dice.below(longest.min(Span::from_millis(60).0)),
    };
    let harm = harm(dice, kind, scene);
    let heals_after = (kind != Kind::Campaign).then_some(Span(lasts));
    Fault { at: Span(at), harm, heals_after }
}

fn harm(dice: &mut Dice, kind: Kind, scene: &Scene) -> Harm {
    let everybody = NodeSet::all(scene.n);
    let replica = replica(dice, scene);
    match kind {
        Kind::Crash => Harm::Crash { replica, unsynced: unsynced(dice) },
        Kind::CrashWritten => Harm::Crash { replica, unsynced: Unsynced::Written },
        Kind::Pause => Harm::Pause { replica },
        Kind::Partition => Harm::Partition { side: some(dice, everybody) },
        Kind::Campaign => Harm::Campaign { replica },
        Kind::SlowDisk => Harm::SlowDisk { replica, by: Span(dice.below(20_000_000)) },
        Kind::Cut => {
            let (from, to) = ends(dice, everybody, replica);
            Harm::Cut { from, to }
        }
        Kind::Slow => {
            let (from, to) = ends(dice, everybody, replica);
            Harm::Slow { from, to, by: Span(dice.below(60_000_000)) }
        }
        Kind::Lose => {
            let (from, to) = ends(dice, everybody, replica);
            Harm::Lose { from, to, share: dice.pick(&[0.05, 0.2, 0.5]) }
        }
        Kind::Duplicate => {
            let (from, to) = ends(dice, everybody, replica);
            Harm::Duplicate { from, to, share: dice.pick(&[0.05, 0.3, 1.0]) }
        }
        Kind::Reorder => {
            let (from, to) = ends(dice, everybody, replica);
            Harm::Reorder { from, to, spread: Span(1 + dice.below(40_000_000)) }
        }
    }
}

/// Any replica, and the one that leads at first more often than the others.
fn replica(dice: &mut Dice, scene: &Scene) -> NodeId {
    let any = member(dice, NodeSet::all(scene.n));
    match scene.mode.leader() {
        Some(leader) if dice.one_in(4) => leader,
        _ => any,
    }
}

fn unsynced(dice: &mut Dice) -> Unsynced {
    dice.pick(&[Unsynced::Lost, Unsynced::Lost, Unsynced::Torn, Unsynced::Written])
}

/// Links from one replica, to it, between two sets, or all of them.
fn ends(dice: &mut Dice, everybody: NodeSet, one: NodeId) -> (NodeSet, NodeSet) {
    let (from, to) = (some(dice, everybody), some(dice, everybody));
    let only = NodeSet::only(one);
    match dice.below(4) {
        0 => (only, everybody),
        1 => (everybody, only),
        2 => (from, to),
        _ => (everybody, everybody),
    }
}

fn some(dice: &mut Dice, everybody: NodeSet) -> NodeSet {
    let drawn = NodeSet::from_mask(dice.word() & everybody.mask());
    if drawn.is_empty() { NodeSet::only(member(dice, everybody)) } else { drawn }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::dice::Purpose;
    use std::collections::BTreeSet;

    fn scene(dead: NodeSet) -> Scene {
        let mode = Mode::multi(NodeId(0));
        Scene { n: 3, mode, storm: Span::from_millis(200), dead }
    }

    fn drawn(seed: u64, weather: Weather, dead: NodeSet) -> Vec<Fault> {
        faults(&mut Dice::new(seed, Purpose::Faults), weather, &scene(dead))
    }

    #[test]
    fn every_kind_of_harm_comes_in_a_storm() {
        let storms = (0..50).flat_map(|seed| drawn(seed, Weather::Storm, NodeSet::EMPTY));
        let kinds: BTreeSet<String> = storms
            .map(|fault| format!("{:?}", fault.harm).split(' ').next().unwrap_or("").to_owned())
            .collect();
        assert_eq!(kinds.len(), 10, "{kinds:?}");
    }

    #[test]
    fn all_faults_heal_within_the_storm_and_the_dead_stay_dead() {
        let dead = NodeSet::only(NodeId(2));
        for seed in 0..200 {
            let drawn = drawn(seed, Weather::Storm, dead);
            assert!(drawn.is_sorted_by_key(|fault| fault.at));
            let mut deaths = 0;
            for fault in drawn {
                match (fault.harm, fault.heals_after) {
                    (Harm::Campaign { .. }, None) => {}
                    (Harm::Crash { replica: NodeId(2), .. }, None) => deaths += 1,
                    (
                        Harm::Crash { replica: NodeId(2), .. } | Harm::Pause { replica: NodeId(2) },
                        _,
                    ) => {
                        panic!("the dead are started again")
                    }
                    (_, Some(lasts)) => assert!(fault.at + lasts <= Span::from_millis(200)),
                    (harm, None) => panic!("{harm:?} never heals"),
                }
            }
            assert_eq!(deaths, 1);
        }
    }

    #[test]
    fn calm_is_calm_and_other_weathers_are_of_their_kind() {
        for seed in 0..50 {
            assert_eq!(drawn(seed, Weather::Calm, NodeSet::EMPTY), []);
            let kind = |fault: &Fault| {
                matches!(
                    fault.harm,
                    Harm::Campaign { .. } | Harm::Crash { unsynced: Unsynced::Written, .. }
                )
            };
            let drawn = drawn(seed, Weather::BetweenPersistAndSend, NodeSet::EMPTY);
            assert!(!drawn.is_empty() && drawn.iter().all(kind));
        }
    }
}

//! The quorum system of a case, and the proposer that uses it.

use super::address::Draws;
use super::families::structured;
use super::limits::Limits;
use super::random_stream::{Purpose, RandomStream};
use crate::protocol::{
    Assignment, Detector, Election, KeyRange, MAX_RANGES, SendPolicy, SnapshotTerms, Timing,
};
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use crate::registry::Mode;
use crate::sabotage::Rule;
use crate::sim::Connection;
use crate::time::Span;

/// For one seed of eight, and for each where the rule broken is about them, the same system with witnesses; one
/// acceptor at least is none.
pub(super) fn witnesses(
    draws: &Draws,
    picked: QuorumSystem,
    mode: Mode,
    limits: &Limits,
) -> QuorumSystem {
    let mut stream = draws.stream(Purpose::Witnesses);
    let is_asked = limits.rule == Some(Rule::WitnessForgetsEarly);
    if !mode.has_roles() {
        return picked.without_roles();
    }
    if !(stream.one_in(8) || is_asked) {
        return picked;
    }
    // Whom all clients ask first is a full replica.
    let any = member(&mut stream, picked.acceptors());
    let others = picked.acceptors().without(mode.asked().unwrap_or(any));
    let witnesses = others.iter().filter(|_| stream.one_in(2)).collect();
    picked.with_witnesses(witnesses)
}

/// For one seed of eight, one or two observers after the acceptors.
pub(super) fn observers(draws: &Draws, picked: QuorumSystem, limits: &Limits) -> QuorumSystem {
    let mut stream = draws.stream(Purpose::Observers);
    let (is_drawn, count) = (stream.one_in(8), 1 + stream.index(2));
    let n = picked.n() + count;
    if !is_drawn || !limits.replicas.contains(&n) {
        return picked;
    }
    let voters = NodeSet::all(picked.n());
    picked.among(n, voters)
}

/// A quorum system whose phase-1 quorums meet its phase-2 quorums, unless that is the rule broken.
pub(super) fn quorums(draws: &Draws, limits: &Limits) -> QuorumSystem {
    let mut stream = draws.stream(Purpose::Quorums);
    let honest = structured(draws, honest_quorums(&mut stream, limits));
    match limits.rule {
        Some(rule @ Rule::DisjointQuorums) => rule.quorums(&honest),
        _ => honest,
    }
}

fn honest_quorums(stream: &mut RandomStream, limits: &Limits) -> QuorumSystem {
    let n = size(stream, limits);
    let system = match stream.below(4) {
        0 => QuorumSystem::majority(n),
        1 => counts(stream, n),
        2 => grid(stream, n).unwrap_or_else(|| sets(stream, n)),
        _ => sets(stream, n),
    };
    assert!(system.disjoint().is_none(), "an unsafe quorum system was drawn: {system:?}");
    system
}

/// Three and five are the sizes that are used, so they come more often.
fn size(stream: &mut RandomStream, limits: &Limits) -> usize {
    let usual = [3, 3, 5, 2, 4, 6, 7, 1, 3, 5];
    let picked = stream.pick(&usual);
    let any = stream.between(limits.replicas.start as u64, limits.replicas.end as u64 - 1);
    let any = usize::try_from(any).expect("there are at most 64 replicas");
    if limits.replicas.contains(&picked) { picked } else { any }
}

fn counts(stream: &mut RandomStream, n: usize) -> QuorumSystem {
    let phase1 = 1 + stream.index(n);
    let least = n - phase1 + 1;
    let phase2 = least + stream.index(n - least + 1);
    QuorumSystem::counts(n, phase1, phase2).expect("counts from 1 to n")
}

/// Rows for one phase and columns for the other; `None` for what is no rectangle.
fn grid(stream: &mut RandomStream, n: usize) -> Option<QuorumSystem> {
    let widths: Vec<usize> = (2..n).filter(|width| n.is_multiple_of(*width)).collect();
    if widths.is_empty() {
        return None;
    }
    let width = stream.pick(&widths);
    let line = |is_in: &dyn Fn(usize) -> bool| (0..n).filter(|node| is_in(*node)).collect();
    let rows: Vec<Vec<usize>> =
        (0..n / width).map(|row| line(&|node| node / width == row)).collect();
    let columns: Vec<Vec<usize>> =
        (0..width).map(|column| line(&|node| node % width == column)).collect();
    let (phase1, phase2) = if stream.one_in(2) { (rows, columns) } else { (columns, rows) };
    Some(QuorumSystem::explicit(n, &phase1, &phase2).expect("the nodes of a grid"))
}

/// Any sets for one phase; for the other, sets grown until they meet all of those.
fn sets(stream: &mut RandomStream, n: usize) -> QuorumSystem {
    let everybody = NodeSet::all(n);
    let any = |stream: &mut RandomStream| {
        let picked = NodeSet::from_mask(stream.word() & everybody.mask());
        if picked.is_empty() { everybody } else { picked }
    };
    let first: Vec<NodeSet> = (0..=stream.below(3)).map(|_| any(stream)).collect();
    let meeting = |stream: &mut RandomStream| {
        let mut set = any(stream);
        for other in &first {
            if set.intersection(*other).is_empty() {
                set = set.with(member(stream, *other));
            }
        }
        set
    };
    let second: Vec<NodeSet> = (0..=stream.below(3)).map(|_| meeting(stream)).collect();
    let (first, second) = (Family::of_sets(first), Family::of_sets(second));
    let (phase1, phase2) = if stream.one_in(2) { (first, second) } else { (second, first) };
    QuorumSystem::new(n, phase1, phase2).expect("sets of members, none of them empty")
}

/// Some member of a set that has one.
pub(super) fn member(stream: &mut RandomStream, of: NodeSet) -> NodeId {
    let place = stream.index(of.len());
    of.iter().nth(place).expect("a place below the number of members")
}

/// Which protocol runs, and whom a proposer contacts first.
///
/// One seed of five takes one of the protocols that were registered later; of a rule that is broken, one
/// that has it.
pub(super) fn protocol(
    draws: &Draws,
    limits: &Limits,
    acceptors: NodeSet,
) -> (Mode, SendPolicy, RandomStream) {
    let mut stream = draws.stream(Purpose::Protocol);
    let is_spread = stream.one_in(3);
    let asked = member(&mut stream, acceptors);
    let policy = if stream.one_in(3) { SendPolicy::Quorum } else { SendPolicy::All };
    let mut later = draws.stream(Purpose::Registry);
    let (is_later, index) = (later.one_in(5), later.word());
    let is_allowed = |mode: &Mode| {
        limits.protocol.is_none_or(|only| mode.name() == only)
            && limits.rule.is_none_or(|rule| mode.can_break(rule))
    };
    let modes = Mode::all(asked);
    let allowed: Vec<Mode> = modes.into_iter().filter(is_allowed).collect();
    let picked = |is_later: bool| {
        let of = allowed.iter().filter(|mode| mode.is_later() == is_later);
        let picked: Vec<Mode> = of.copied().collect();
        let as_drawn = picked.iter().filter(|mode| mode.asked().is_none() == is_spread);
        let as_drawn: Vec<Mode> = as_drawn.copied().collect();
        let of = if as_drawn.is_empty() { picked } else { as_drawn };
        let index = usize::try_from(index % of.len().max(1) as u64).expect("a small number");
        of.get(index).copied()
    };
    let mode = picked(is_later).or_else(|| picked(!is_later));
    (mode.expect("some protocol has the name and the rule"), policy, stream)
}

/// Whether the rule broken is about reads that do not go through the log, and not about commit timestamps.
fn is_of_reads(limits: &Limits) -> bool {
    limits.rule.is_some_and(|rule| rule.is_of_reads() && !is_of_stamps(limits))
}

fn is_of_stamps(limits: &Limits) -> bool {
    limits.rule.is_some_and(|rule| Rule::SNAPSHOTS.contains(&rule))
}

/// For one seed of four, and for each where the rule broken is about them, reads that do not go through the log.
///
/// With the share of reads in the load, of which there are some then, and how far the clocks of replicas are off.
pub(super) fn reads(
    draws: &Draws,
    mode: Mode,
    (share, round_trip): (f64, Span),
    limits: &Limits,
) -> (Mode, f64, Span) {
    let mut stream = draws.stream(Purpose::Reads);
    let (is_drawn, index) = (stream.one_in(4), stream.word());
    let some = stream.pick(&[0.2, 0.5, 0.8]);
    let length = Span::from_millis(stream.pick(&[100, 300, 1_000, 3_000]));
    let bound = Span::from_micros(stream.pick(&[0, 1, 1_000, 10_000]));
    let is_about = |rules: &[Rule]| limits.rule.is_some_and(|rule| rules.contains(&rule));
    let (of_quorums, of_leases) = (is_about(&Rule::QUORUM_READS), is_about(&Rule::LEASES));
    let of_responders = is_about(&Rule::RESPONDERS);
    let of_clocks = limits.rule == Some(Rule::ClockBeyondBound);
    let has_rule = |mode: &Mode| {
        let (has_responders, has_leases) =
            (mode.responders().is_some(), mode.clock_bound().is_some());
        !(of_quorums && (has_leases || !mode.reads_nearby())
            || of_leases && (has_responders && !of_clocks || !has_leases)
            || of_responders && !has_responders)
    };
    let others: Vec<Mode> = mode.with_all_reads().split_off(1);
    let others: Vec<Mode> = others.into_iter().filter(has_rule).collect();
    if others.is_empty() || is_of_stamps(limits) || !(is_drawn || is_of_reads(limits)) {
        return (mode, share, Span::ZERO);
    }
    let index = usize::try_from(index % others.len() as u64).expect("a small number");
    let share = if share > 0.0 { share } else { some };
    let picked = others[index];
    let has_responders = picked.responders().is_some();
    // A grant is renewed in time only if it lasts longer than the ways of what renews it.
    let least = if has_responders { (round_trip + bound).times(2) } else { Span::ZERO };
    let length = length.max(least);
    let (told, error) = match limits.rule {
        Some(Rule::ClockBeyondBound) => (bound, length.times(2)),
        Some(Rule::NoClockMargin) => (Span::ZERO, bound.max(Span(length.0 / 8))),
        _ => (bound, bound),
    };
    let mode = picked.with_lease(length, told);
    let share = if has_responders { some } else { share };
    (mode, share, if mode.clock_bound().is_some() { error } else { Span::ZERO })
}

/// Any full replicas as responders, of all keys or of some, where there are any.
pub(super) fn responders(
    draws: &Draws,
    mode: Mode,
    quorums: &QuorumSystem,
    limits: &Limits,
) -> Mode {
    let mut stream = draws.stream(Purpose::Responders);
    let candidates = quorums.candidates();
    let least = member(&mut stream, candidates);
    let others = candidates.iter().filter(|_| stream.one_in(2)).collect::<NodeSet>();
    let at = Assignment::AllKeys(others.with(least));
    mode.with_responders(ranges(draws, candidates, limits).unwrap_or(at))
}

/// For one seed of three, and for each where the rule broken is about them, ranges of keys with responders of their own.
///
/// The load has a few keys from 0 on: each range is one of these keys or two, and others may lie between.
fn ranges(draws: &Draws, candidates: NodeSet, limits: &Limits) -> Option<Assignment> {
    let mut stream = draws.stream(Purpose::Ranges);
    if !stream.one_in(3) && limits.rule != Some(Rule::AnswersForAnyKey) {
        return None;
    }
    let mut next = 0;
    let mut draw = |_| {
        let first = next + stream.below(2);
        let last = first + stream.below(2);
        next = last + 1;
        let someone = member(&mut stream, candidates);
        let others = candidates.iter().filter(|_| stream.one_in(3)).collect::<NodeSet>();
        KeyRange { first, last, at: others.with(someone) }
    };
    let ranges: Vec<KeyRange> = (0..MAX_RANGES).map(&mut draw).collect();
    let count = usize::try_from(stream.between(1, MAX_RANGES as u64)).expect("a small number");
    Assignment::by_key(&ranges[..count])
}

/// For one seed of five that reads through the log, and for each where the rule broken is about them, entries with
/// commit timestamps: snapshot reads, a commit wait, or both.
///
/// As with [`reads`]: the mode, the share of reads, and how far the clocks of replicas are off.
pub(super) fn snapshots(
    draws: &Draws,
    (mode, share, error): (Mode, f64, Span),
    limits: &Limits,
) -> (Mode, f64, Span) {
    let mut stream = draws.stream(Purpose::Snapshots);
    let is_drawn = stream.one_in(5);
    let staleness = Span::from_millis(stream.pick(&[0, 0, 0, 5, 50, 300]));
    let mut bound = Span::from_micros(stream.pick(&[0, 1_000, 20_000, 100_000]));
    let advance = Some(Span::from_millis(stream.pick(&[20, 100, 400])));
    let (mut waits, reads_log) = (stream.one_in(2), stream.one_in(6));
    let some = stream.pick(&[0.2, 0.5, 0.8]);
    let has_sessions = stream.one_in(2);
    let mut terms = SnapshotTerms { staleness, advance, bound, has_sessions };
    let is_asked = is_of_stamps(limits);
    if mode.reads_beside() || !(is_drawn || is_asked) || is_of_reads(limits) {
        return (mode, share, error);
    }
    if limits.rule == Some(Rule::IgnoresSession) {
        let staleness = staleness.max(Span::from_millis(300));
        terms = SnapshotTerms { staleness, has_sessions: true, ..terms };
    } else if is_asked && limits.rule != Some(Rule::ReadsBeforeSafeTime) {
        // Where clocks are right, nothing of this shows.
        bound = bound.max(Span::from_millis(20));
        terms = SnapshotTerms { staleness: Span::ZERO, bound, ..terms };
        let of_wait = [Rule::SkipsCommitWait, Rule::ShowsUnpassedStamp];
        waits |= limits.rule.is_some_and(|rule| of_wait.contains(&rule));
    }
    let Some(with_snapshots) = mode.with_snapshots(terms, waits) else {
        return (mode, share, error);
    };
    if reads_log && !is_asked {
        return (with_snapshots.reading_through_log(), share, bound);
    }
    (with_snapshots, if share > 0.0 { share } else { some }, bound)
}

/// The patience of a live replica, or one so short that every time-out runs out many times.
pub(super) fn timing(stream: &mut RandomStream, round_trip: Span) -> Timing {
    let usual = Timing::for_round_trip(round_trip);
    let factors = [stream.between(2, 6), stream.between(1, 3), stream.between(2, 8)];
    let announce_after = Span::from_millis(stream.between(1, 20));
    if stream.one_in(3) {
        return usual;
    }
    let least = Span::from_millis(4);
    let retransmit_after = round_trip.times(factors[0]).max(least);
    Timing {
        retransmit_after,
        backoff: round_trip.times(factors[1]).max(Span::from_millis(1)),
        announce_after,
        fill_after: retransmit_after.times(factors[2]),
        ..usual
    }
}

/// Who campaigns: for two seeds of three whoever hears of no leader, with patience for two answers or for
/// many more; else whoever is told to.
///
/// With less patience than an answer takes, leaders would be replaced for ever: the plan of an experiment
/// refuses that.
pub(super) fn election(draws: &Draws, answer: Span, timing: Timing) -> Election {
    let mut stream = draws.stream(Purpose::Election);
    let (misses, patience) = (stream.between(1, 8), stream.pick(&[1, 2, 5]));
    let spread = stream.pick(&[1, 2, 4]);
    if stream.one_in(3) {
        return Election::Fixed;
    }
    let least = answer.times(2) + Span::from_millis(10);
    let timeout = least.times(patience).max(timing.backoff);
    let heartbeat = Span(timeout.0 / misses);
    let misses = u32::try_from(misses).expect("at most eight");
    // A leader asks for answers within a time-out; with one heartbeat in it none would be in time.
    let (heartbeat, misses) =
        if misses == 1 { (Span(timeout.0 / 2), 2) } else { (heartbeat, misses) };
    Election::Timeout(Detector { heartbeat, misses, spread: timeout.times(spread) })
}

/// For one seed of three, connections that send again what links lose; else every message is on its own.
pub(super) fn connection(draws: &Draws) -> Option<Connection> {
    let mut stream = draws.stream(Purpose::Connection);
    let (is_drawn, is_ordered) = (stream.one_in(3), !stream.one_in(3));
    let idle_timeout = Span::from_millis(stream.pick(&[10_000, 10_000, 500]));
    is_drawn.then_some(Connection { is_ordered, window_bytes: 64 << 20, idle_timeout })
}

/// For one seed of three, clients that ask again soon: `least` is when an answer can be there.
///
/// So a load may feed on its own retries.
pub(super) fn retry_after(draws: &Draws, least: Span) -> Option<Span> {
    let mut stream = draws.stream(Purpose::Retries);
    let (is_hasty, factor) = (stream.one_in(3), stream.pick(&[1, 1, 2, 5]));
    is_hasty.then(|| least.times(factor))
}

/// For one seed of four, another system: each ballot has a phase-2 quorum of its own.
pub(super) fn per_ballot(draws: &Draws, picked: QuorumSystem, limits: &Limits) -> QuorumSystem {
    let mut stream = draws.stream(Purpose::PerBallot);
    let voters = picked.acceptors();
    let n = voters.len();
    let phase2 = 1 + stream.index(n);
    if limits.rule == Some(Rule::DisjointQuorums) || !stream.one_in(4) {
        return picked;
    }
    let system = QuorumSystem::per_ballot(n, phase2).expect("a count from 1 to n");
    system.among(picked.n(), voters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_size_and_every_kind_is_drawn_and_all_are_safe() {
        let limits = Limits::default();
        let picked: Vec<QuorumSystem> =
            (0..500).map(|seed| quorums(&seed.into(), &limits)).collect();
        let sizes: BTreeSet<usize> = picked.iter().map(QuorumSystem::n).collect();
        assert!(sizes.iter().copied().eq(1..8), "{sizes:?}");
        let count =
            |is: fn(&QuorumSystem) -> bool| picked.iter().filter(|system| is(system)).count();
        assert!(count(|system| system.phase1().threshold().is_some()) > 100);
        assert!(count(|system| system.phase1().threshold().is_none()) > 100);
        assert!(count(|system| *system == QuorumSystem::majority(system.n())) > 50);
        assert!(picked.iter().all(|system| system.disjoint().is_none()));
    }

    #[test]
    fn a_broken_system_is_the_same_but_disjoint() {
        let broken = Limits { rule: Some(Rule::DisjointQuorums), ..Limits::default() };
        for seed in 0..200 {
            let system = quorums(&seed.into(), &broken);
            assert_eq!(system.n(), quorums(&seed.into(), &Limits::default()).n());
            assert!(system.disjoint().is_some() || system.n() == 1, "{system:?}");
        }
    }

    #[test]
    fn witnesses_and_observers_are_drawn_and_one_replica_is_full() {
        let limits = Limits::default();
        let (mut witnesses, mut observers, mut both) = (0, 0, 0);
        for seed in 0..600 {
            let system = super::observers(&seed.into(), quorums(&seed.into(), &limits), &limits);
            let mode = protocol(&seed.into(), &limits, system.acceptors()).0;
            let system = super::witnesses(&seed.into(), system, mode, &limits);
            assert!(system.disjoint().is_none() && !system.candidates().is_empty(), "{system:?}");
            assert!(mode.asked().is_none_or(|asked| system.candidates().contains(asked)));
            assert!(mode.has_roles() || system.witnesses().is_empty());
            let has = [!system.witnesses().is_empty(), !system.observers().is_empty()];
            witnesses += usize::from(has[0]);
            observers += usize::from(has[1]);
            both += usize::from(has == [true; 2]);
        }
        assert!(witnesses > 20 && observers > 30 && both > 1, "{witnesses} {observers} {both}");
    }

    #[test]
    fn limits_are_kept() {
        let limits = Limits { replicas: 4..6, protocol: Some("classic"), ..Limits::default() };
        for seed in 0..100 {
            assert!([4, 5].contains(&quorums(&seed.into(), &limits).n()));
            assert_eq!(protocol(&seed.into(), &limits, NodeSet::all(4)).0, Mode::CLASSIC);
        }
    }
}

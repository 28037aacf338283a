//! Small runs as clients saw them, settled by their slots or by search.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::*;
use crate::history::{ClientWriter, Issued, KeyCounts, Returned};
use crate::protocol::Slot;

/// One operation: key, kind, digest, invocation, and what was answered: when, where, and what was read.
#[derive(Clone, Copy)]
struct Step {
    key: u64,
    kind: Kind,
    digest: u32,
    from: u64,
    answer: Option<(u64, u64, Option<u32>)>,
}

fn write(key: u64, digest: u32, from: u64, to: u64, slot: u64) -> Step {
    Step { key, kind: Kind::Write, digest, from, answer: Some((to, slot, None)) }
}

fn read(key: u64, digest: Option<u32>, from: u64, to: u64, slot: u64) -> Step {
    Step { key, kind: Kind::Read, digest: 0, from, answer: Some((to, slot, digest)) }
}

/// Nobody knows what became of it.
fn lost(step: Step) -> Step {
    Step { answer: None, ..step }
}

/// The history of a client that did these.
fn history(client: u32, steps: &[Step]) -> Vec<u8> {
    let mut writer = ClientWriter::new(ClientId(client));
    for (sequence, step) in (0..).zip(steps) {
        let Step { key, kind, digest, from, .. } = *step;
        writer.invoke(&Issued { sequence, intended_at: Time(from), kind, key, digest });
    }
    for (sequence, step) in (0..).zip(steps) {
        if let Some((at, slot, digest)) = step.answer {
            writer.returned(&Returned {
                sequence,
                at: Time(at),
                slot: Slot(slot),
                is_beside: false,
                digest,
            });
        }
    }
    writer.finish()
}

fn verdict(clients: &[&[Step]], options: Options) -> Verdict {
    let histories = (0..).zip(clients).map(|(client, steps)| history(client, steps));
    let histories: Vec<Vec<u8>> = histories.collect();
    let whole = check(histories.iter().map(Vec::as_slice), options).unwrap();
    // A few keys at a time it says the same.
    let mut counts = KeyCounts::default();
    for history in &histories {
        counts.add_client(history.as_slice()).unwrap();
    }
    for operations_max in [1, 3, 100] {
        let parts = counts.parts(operations_max).into_iter().map(|part| {
            let mut seen = Seen::of(part);
            let mut added = histories.iter().map(|it| seen.add_client(it.as_slice()));
            added.try_for_each(|it| it).map(|()| seen)
        });
        assert_eq!(judge_parts(parts, options).unwrap(), whole, "by {operations_max}");
    }
    whole
}

/// How many keys were witnessed, searched, and violated.
#[track_caller]
fn check_counts(clients: &[&[Step]], expected: [u64; 3]) -> Verdict {
    let found = verdict(clients, Options::default());
    let counts = [found.witnessed_count, found.searched_count, found.violation_count];
    assert_eq!(counts, expected, "{found:#?}");
    // Without the witness the search says the same.
    let searched = verdict(clients, Options { has_witness: false, ..Options::default() });
    let counts = [searched.searched_count, searched.violation_count];
    assert_eq!(counts, [expected[0] + expected[1], expected[2]], "{searched:#?}");
    found
}

#[test]
fn slots_that_explain_every_read_settle_a_key() {
    let first = [write(1, 10, 0, 100, 1), write(1, 11, 0, 100, 3), write(2, 12, 0, 10, 5)];
    let second = [read(1, Some(10), 5, 90, 2), read(1, Some(11), 6, 91, 4), read(2, None, 0, 5, 0)];
    let found = check_counts(&[&first, &second], [2, 0, 0]);
    assert_eq!((found.operation_count, found.key_count, found.unknown_count), (6, 2, 0));
    assert!(found.is_valid() && found.undecided().is_none());
}

#[test]
fn a_slot_is_only_a_guess() {
    // Told the slot of its repetition: the write took effect before both reads.
    let told_late = [write(1, 10, 0, 100, 9), read(1, Some(10), 10, 20, 2)];
    check_counts(&[&told_late], [0, 1, 0]);
    // Two in one slot: the write is tried first.
    check_counts(&[&[write(1, 10, 0, 9, 4), read(1, Some(10), 0, 9, 4)]], [1, 0, 0]);
    // Beyond what a row holds.
    let far = u64::from(u32::MAX) + 7;
    check_counts(&[&[write(1, 10, 0, 9, far), read(1, Some(10), 10, 19, far + 1)]], [1, 0, 0]);
}

#[test]
fn unknown_writes_are_placed_where_they_were_seen() {
    let steps =
        [write(1, 10, 0, 10, 1), lost(write(1, 11, 20, 0, 0)), read(1, Some(11), 30, 40, 3)];
    let found = check_counts(&[&steps], [1, 0, 0]);
    assert_eq!(found.unknown_count, 1);
    // Never seen, and a read that nobody waited for.
    let unseen =
        [write(1, 10, 0, 10, 1), lost(write(1, 11, 20, 0, 0)), read(1, Some(10), 30, 40, 3)];
    check_counts(&[&unseen, &[lost(read(1, None, 0, 0, 0))]], [1, 0, 0]);
    // Seen before it was issued.
    check_counts(&[&[lost(write(1, 11, 20, 0, 0)), read(1, Some(11), 0, 10, 3)]], [0, 0, 1]);
    // Seen, then gone: it was written once.
    let gone = [&steps[..], &[read(1, Some(10), 50, 60, 4)]].concat();
    check_counts(&[&gone], [0, 0, 1]);
}

/// The history of a client that writes a, is told so at 100, and reads nothing, which it issues `after`
/// that: in the same nanosecond or, in an open loop that has fallen behind, when it was due earlier.
fn stale_read(intended_at: u64, after: bool) -> Vec<u8> {
    let mut writer = ClientWriter::new(ClientId(0));
    let issued = |sequence, at, kind, digest| Issued {
        sequence,
        intended_at: Time(at),
        kind,
        key: 1,
        digest,
    };
    let told = |sequence, at, slot| Returned {
        sequence,
        at: Time(at),
        slot: Slot(slot),
        is_beside: false,
        digest: None,
    };
    writer.invoke(&issued(0, 0, Kind::Write, 10));
    if after {
        writer.returned(&told(0, 100, 2));
    }
    writer.invoke(&issued(1, intended_at, Kind::Read, 0));
    if !after {
        writer.returned(&told(0, 100, 2));
    }
    writer.returned(&told(1, 200, 1));
    writer.finish()
}

#[test]
fn a_stale_read_of_its_own_write_is_caught_in_the_same_instant() {
    for has_witness in [true, false] {
        let options = Options { has_witness, ..Options::default() };
        for intended_at in [100, 50] {
            let found = check([stale_read(intended_at, true).as_slice()], options).unwrap();
            assert_eq!(found.violation_count, 1, "{found:#?}");
            let found = check([stale_read(intended_at, false).as_slice()], options).unwrap();
            assert_eq!(found.violation_count, 0, "{found:#?}");
        }
    }
}

#[test]
fn a_violation_names_the_operations_of_its_key() {
    let first = [write(7, 0xaa, 0, 10, 1), write(7, 0xbb, 20, 30, 2), write(8, 1, 0, 10, 3)];
    let second = [read(7, Some(0xaa), 40, 50, 4), read(7, Some(0xbb), 60, 70, 5)];
    let found = check_counts(&[&first, &second], [1, 0, 1]);
    assert_eq!(
        found.violations[0].to_string(),
        "key 7 is not linearizable: no order of these 3 operations explains what they read\n  \
         client 0 request 0: write of 000000aa, invoked at 0 ns, returned at 10 ns, slot 1\n  \
         client 0 request 1: write of 000000bb, invoked at 20 ns, returned at 30 ns, slot 2\n  \
         client 1 request 0: read of 000000aa, invoked at 40 ns, returned at 50 ns, slot 4"
    );
}

#[test]
fn all_violations_are_counted_and_the_first_are_kept() {
    let steps: Vec<Step> = (0..9).map(|key| read(key, Some(1), 0, 10, key)).collect();
    let found = check_counts(&[&steps], [0, 0, 9]);
    assert_eq!(found.violations.len(), Options::default().kept);
}

/// The order in which replicas may all have executed is not the order in which it happened.
#[test]
fn slots_against_real_time_are_caught_though_every_read_is_explained() {
    let steps = [write(1, 10, 0, 10, 2), read(1, None, 20, 30, 1)];
    check_counts(&[&steps], [0, 0, 1]);
}

/// A read that was begun 10 ns after the write was answered, by two clocks.
#[test]
fn a_stale_read_counts_where_clocks_are_not_too_far_apart() {
    let steps = [write(1, 10, 0, 10, 2), read(1, None, 20, 30, 1)];
    for (apart, violation_count) in [(0, 1), (9, 1), (10, 0)] {
        let options = Options { clocks_apart: Span(apart), ..Options::default() };
        assert_eq!(verdict(&[&steps], options).violation_count, violation_count, "{apart} ns");
    }
}

#[test]
fn what_a_cut_off_history_may_hold_accuses_nobody() {
    let whole = [write(1, 10, 0, 10, 1), read(1, Some(99), 20, 30, 3), read(2, None, 0, 10, 4)];
    let (whole, lost) = (history(0, &whole), history(1, &[write(1, 99, 15, 25, 2)]));
    let judge = |histories: &[&[u8]]| check(histories.iter().copied(), Options::default()).unwrap();
    assert_eq!(judge(&[&whole]).violation_count, 1);
    // The other client's history is cut off before its write: it may have been that.
    let found = judge(&[&whole, &lost[..8]]);
    assert_eq!((found.witnessed_count, found.searched_count), (1, 1), "{found:#?}");
    assert_eq!((found.cut_count, found.violation_count), (1, 0));
    // A value that is known and comes back may have been written again, but that is not known.
    let again = [write(1, 10, 0, 10, 1), write(1, 11, 20, 30, 2), read(1, Some(10), 40, 50, 3)];
    let again = history(0, &again);
    let found = judge(&[&again, b""]);
    assert_eq!((found.unverified_count, found.violation_count), (1, 0), "{found:#?}");
    // But nobody can unwrite a key.
    let unwritten = history(0, &[write(1, 10, 0, 10, 1), read(1, None, 40, 50, 3)]);
    let found = judge(&[&unwritten, b""]);
    assert_eq!(found.violation_count, 1);
    assert_eq!(found.violations[0].operations.len(), 2);
}

#[test]
fn what_is_undecided_is_said_and_is_no_yes() {
    let told_late = [write(1, 10, 0, 100, 9), read(1, Some(10), 10, 20, 2)];
    let options = Options { looks_per_key: 1, ..Options::default() };
    let found = verdict(&[&told_late], options);
    assert_eq!((found.undecided_count, found.searched_count), (1, 0));
    let said = found.undecided().unwrap();
    assert_eq!(
        said,
        "UNDECIDED: whether 1 of 1 keys are linearizable, the search was given up (keys 1)"
    );
    // A flag of a trial is one of several, separated by this.
    assert!(!said.contains(';'));
    let none = verdict(&[&told_late], Options { looks: 0, ..Options::default() });
    assert_eq!(none.undecided_count, 1);
}

/// Operations of a register that works, seen from outside: each takes effect at a moment within it, and
/// slots follow these moments.
fn works(dice: &mut Pcg64, count: u64, key_count: u64) -> Vec<Step> {
    let mut moments: Vec<u64> = (0..count).map(|_| dice.random_range(0..count * 10)).collect();
    moments.sort_unstable();
    let mut values = vec![None; usize::try_from(key_count).unwrap()];
    let mut steps = Vec::new();
    for (slot, moment) in (0..).zip(moments) {
        let key = dice.random_range(0..key_count);
        let value = &mut values[usize::try_from(key).unwrap()];
        let from = moment.saturating_sub(dice.random_range(0..100));
        let to = moment + dice.random_range(0..100);
        let step = if dice.random_bool(0.5) {
            *value = Some(u32::try_from(slot).unwrap());
            write(key, value.unwrap(), from, to, slot)
        } else {
            read(key, *value, from, to, slot)
        };
        steps.push(if dice.random_bool(0.05) { lost(step) } else { step });
    }
    steps
}

#[test]
fn runs_that_work_are_linearizable_with_slots_and_without() {
    let mut dice = Pcg64::seed_from_u64(8);
    for _ in 0..20 {
        let steps = works(&mut dice, 500, 5);
        let (first, second) = steps.split_at(250);
        check_counts(&[first, second], [5, 0, 0]);
        // Slots that are of no use.
        let mut shuffled = steps.clone();
        for step in &mut shuffled {
            if let Some((_, slot, _)) = &mut step.answer {
                *slot = dice.random_range(0..1000);
            }
        }
        let found = verdict(&[&shuffled], Options::default());
        assert_eq!(found.witnessed_count + found.searched_count, 5, "{found:#?}");
        assert!(found.searched_count > 0);
    }
}

/// One answer of many is changed to a value that was replaced long before.
#[test]
fn one_stale_read_of_a_whole_run_is_found() {
    let mut dice = Pcg64::seed_from_u64(9);
    let mut steps = works(&mut dice, 20_000, 20);
    let is_early = |step: &&Step| step.key == 3 && step.kind == Kind::Write && step.from < 20_000;
    let old = steps.iter().rfind(is_early).unwrap().digest;
    let late = steps
        .iter_mut()
        .rfind(|step| step.key == 3 && step.kind == Kind::Read && step.answer.is_some());
    late.unwrap().answer.as_mut().unwrap().2 = Some(old);
    let found = check_counts(&[&steps], [19, 0, 1]);
    let left = &found.violations[0];
    assert!(left.is_smallest && left.operations.len() <= 4, "{left}");
    assert_eq!(left.key, 3);
}

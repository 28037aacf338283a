//! Small histories by name, and thousands at random against every order there is.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::*;
use crate::command::ClientId;

/// One operation a line: `w a 0 10` writes a from 0 to 10, `r a 5 20` reads it, `r - 5 20` reads
/// nothing, `w a 0 ?` was never answered. The line is the client and the slot.
fn history(text: &str) -> Vec<Operation> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    (0..).zip(lines).map(|(line, words)| operation(line, words)).collect()
}

fn operation(line: u32, words: &str) -> Operation {
    let [kind, value, from, to] = words.split(' ').collect::<Vec<_>>()[..] else {
        panic!("four words: {words}");
    };
    let time = |word: &str| Time(word.parse().unwrap());
    Operation {
        request: RequestId { client: ClientId(line), sequence: 0 },
        kind: if kind == "w" { Kind::Write } else { Kind::Read },
        value: (value != "-").then(|| u32::from(value.as_bytes()[0])),
        invoked_at: time(from),
        answer: (to != "?").then(|| Answer { returned_at: time(to), slot: Slot(u64::from(line)) }),
    }
}

fn budget() -> Budget {
    Budget { looks: 1_000_000 }
}

#[track_caller]
fn check(text: &str, expected: Judgement) {
    assert_eq!(judge(&history(text), &mut budget()), expected);
    assert_eq!(exhaustive(&history(text)), expected);
}

/// Asserts that a history is a violation, and that of it only these lines, by their numbers, are left.
#[track_caller]
fn check_violation(text: &str, smallest: &[u32]) {
    check(text, Judgement::Violated);
    let (found, is_smallest) = smallest_of(&history(text));
    assert!(is_smallest);
    let mut lines: Vec<u32> = found.iter().map(|it| it.request.client.0).collect();
    lines.sort_unstable();
    assert_eq!(lines, smallest);
}

fn smallest_of(operations: &[Operation]) -> (Vec<Operation>, bool) {
    let mut looks = Budget { looks: 20_000_000 };
    let mut is_violated =
        |some: &[Operation], budget: &mut Budget| judge(some, budget) == Judgement::Violated;
    shrink(operations, &mut looks, &mut is_violated)
}

/// Every order of the answered operations with every subset of the unknown writes.
fn exhaustive(operations: &[Operation]) -> Judgement {
    let (answered, unknown): (Vec<_>, Vec<_>) =
        operations.iter().copied().partition(|it| it.answer.is_some());
    let writes: Vec<_> = unknown.into_iter().filter(|it| it.kind == Kind::Write).collect();
    let is_explained = (0..1_u32 << writes.len()).any(|mask| {
        let some = (0..).zip(&writes).filter(|(bit, _)| mask & (1 << bit) != 0);
        let chosen: Vec<_> = answered.iter().copied().chain(some.map(|(_, it)| *it)).collect();
        let mut order: Vec<usize> = (0..chosen.len()).collect();
        let length = order.len();
        any_order(&mut order, length, &mut |order| explains(&chosen, order))
    });
    if is_explained { Judgement::Linearizable } else { Judgement::Violated }
}

/// Whether any permutation will do (Heap's algorithm).
fn any_order(order: &mut [usize], count: usize, test: &mut impl FnMut(&[usize]) -> bool) -> bool {
    if count <= 1 {
        return test(order);
    }
    for index in 0..count {
        if any_order(order, count - 1, test) {
            return true;
        }
        order.swap(if count.is_multiple_of(2) { index } else { 0 }, count - 1);
    }
    false
}

/// By the definition: whoever returned before another was invoked stands before it, and every read
/// returns what was written last.
fn explains(operations: &[Operation], order: &[usize]) -> bool {
    let mut value = None;
    order.iter().enumerate().all(|(place, index)| {
        let operation = &operations[*index];
        let is_late = order[..place].iter().any(|before| {
            let returned_at = operation.answer.map_or(Time(u64::MAX), |it| it.returned_at);
            returned_at < operations[*before].invoked_at
        });
        if operation.kind == Kind::Write {
            value = operation.value;
        }
        !is_late && value == operation.value
    })
}

#[test]
fn a_stale_read_is_caught() {
    check_violation(
        "w a 0 10
         w b 20 30
         r a 40 50",
        &[0, 1, 2],
    );
}

#[test]
fn a_lost_write_is_caught() {
    check_violation(
        "w a 0 10
         r - 20 30",
        &[0, 1],
    );
}

#[test]
fn a_read_of_what_was_never_written_is_caught() {
    check_violation(
        "w a 0 10
         r b 20 30
         r a 40 50",
        &[1],
    );
}

#[test]
fn a_write_that_a_read_saw_too_early_to_be_overtaken_is_caught() {
    // The second read began after the first had seen b, and sees what b replaced.
    check_violation(
        "w a 0 10
         w b 20 100
         r b 30 40
         r a 50 60",
        &[0, 1, 2, 3],
    );
}

#[test]
fn two_clients_that_see_two_writes_in_different_orders_are_caught() {
    check_violation(
        "w a 0 100
         w b 0 100
         r a 10 20
         r b 30 40
         r b 10 20
         r a 30 40",
        &[0, 1, 2, 3, 4, 5],
    );
}

#[test]
fn an_unknown_write_that_was_seen_and_is_gone_is_caught() {
    check_violation(
        "w a 0 10
         w b 20 ?
         r b 30 40
         r a 50 60",
        &[0, 1, 2, 3],
    );
}

#[test]
fn a_write_that_is_seen_before_it_was_invoked_is_caught() {
    check_violation(
        "r a 0 10
         w a 20 30",
        &[0, 1],
    );
    check_violation(
        "r a 0 10
         w a 20 ?",
        &[0, 1],
    );
}

#[test]
fn unknown_writes_may_have_happened_or_not() {
    check(
        "w a 0 10
         w b 20 ?
         r a 30 40
         r b 50 60",
        Judgement::Linearizable,
    );
    check(
        "w a 0 10
         w b 20 ?
         r a 30 40
         r ? 50 ?",
        Judgement::Linearizable,
    );
}

#[test]
fn concurrent_reads_may_be_on_both_sides_of_a_write() {
    check(
        "w a 0 10
         w b 20 100
         r a 30 90
         r b 30 90
         r a 30 90
         r b 95 99",
        Judgement::Linearizable,
    );
}

#[test]
fn equal_values_written_twice_are_told_apart_by_their_order() {
    check(
        "w a 0 10
         w b 20 30
         r b 40 50
         w a 60 70
         r a 80 90",
        Judgement::Linearizable,
    );
    check_violation(
        "w a 0 10
         w b 20 30
         r a 40 50
         w a 60 70
         r a 80 90",
        &[0, 1, 2, 3],
    );
}

#[test]
fn times_that_are_equal_order_nothing() {
    check(
        "w a 0 10
         r - 10 20",
        Judgement::Linearizable,
    );
}

#[test]
fn a_violation_is_told_in_lines() {
    let (operations, is_smallest) =
        smallest_of(&history("w a 0 10\nw b 20 ?\nr b 30 40\nr a 50 60"));
    let violation = Violation { key: 7, operations, is_smallest };
    assert_eq!(
        violation.to_string(),
        "key 7 is not linearizable: no order of these 4 operations explains what they read\n  \
         client 0 request 0: write of 00000061, invoked at 0 ns, returned at 10 ns, slot 0\n  \
         client 1 request 0: write of 00000062, invoked at 20 ns, outcome unknown\n  \
         client 2 request 0: read of 00000062, invoked at 30 ns, returned at 40 ns, slot 2\n  \
         client 3 request 0: read of 00000061, invoked at 50 ns, returned at 60 ns, slot 3"
    );
}

/// Three writes of one value at once, and reads that only the third order of them explains: the search goes back more
/// than once to one place.
#[test]
fn a_choice_is_tried_after_two_others_were_wrong() {
    check(
        "w a 0 100
         w b 0 100
         w c 0 100
         w a 0 100
         w b 0 100
         w c 0 100
         r c 101 102",
        Judgement::Linearizable,
    );
    check(
        "w a 0 50
         w c 0 50
         w a 0 90
         w b 0 90
         w c 0 90
         r c 51 52
         r a 60 61
         r b 70 71
         r c 80 81
         r a 91 92",
        Judgement::Violated,
    );
}

/// An unknown write happens once: after it was overwritten, its value needs another one.
#[test]
fn an_unknown_write_explains_no_value_twice() {
    check(
        "w a 0 ?
         w a 40 ?
         w b 0 ?
         r a 10 20
         r b 30 35
         r a 50 60",
        Judgement::Linearizable,
    );
    check(
        "w a 0 ?
         w a 70 ?
         w b 0 ?
         w b 0 ?
         r a 10 20
         r b 30 35
         r a 50 60
         r b 62 65
         r a 80 90",
        Judgement::Violated,
    );
}

/// A write that was kept for a read goes when the read has gone, although it was looked at before.
#[test]
fn a_write_whose_read_goes_later_goes_too() {
    check_violation(
        "w e 0 5
         w a 10 100
         w b 10 100
         r a 20 30
         r e 8 31
         r b 32 40
         r b 20 33
         r a 34 45",
        &[1, 2, 3, 5, 6, 7],
    );
}

/// Of few values, so that some are written twice; some outcomes unknown, some instants equal.
fn random(random: &mut Pcg64, value_count: u32) -> Vec<Operation> {
    let count = random.random_range(1..=7);
    (0..count)
        .map(|line| {
            let kind = if random.random_bool(0.5) { Kind::Write } else { Kind::Read };
            let value = random.random_range(u32::from(kind == Kind::Write)..=value_count);
            let from = random.random_range(0..20);
            let to = from + random.random_range(0..12);
            let is_answered = random.random_bool(0.8);
            let slot = Slot(random.random_range(0..8));
            Operation {
                request: RequestId { client: ClientId(line), sequence: 0 },
                kind,
                value: (value > 0).then_some(value),
                invoked_at: Time(from),
                answer: is_answered.then_some(Answer { returned_at: Time(to), slot }),
            }
        })
        .collect()
}

/// The seed is that of the whole test, so a failure is replayed by running it again.
#[test]
fn thousands_of_random_histories_are_judged_as_every_order_judges_them() {
    let mut dice = Pcg64::seed_from_u64(5);
    let mut counts = [0; 2];
    for case in 0..6000 {
        let operations = random(&mut dice, 1 + case % 4);
        let expected = exhaustive(&operations);
        let found = judge(&operations, &mut budget());
        assert_eq!(found, expected, "case {case}: {operations:#?}");
        counts[usize::from(found == Judgement::Violated)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
}

/// What is left is a violation by itself, and neither a read of it nor a write that is not read can go.
#[test]
fn what_is_left_of_random_violations_is_smallest() {
    let mut dice = Pcg64::seed_from_u64(6);
    let mut count = 0;
    for case in 0..3000 {
        let operations = random(&mut dice, 1 + case % 4);
        if judge(&operations, &mut budget()) != Judgement::Violated {
            continue;
        }
        count += 1;
        let (left, is_smallest) = smallest_of(&operations);
        assert!(is_smallest && left.iter().all(|it| operations.contains(it)));
        assert_eq!(exhaustive(&left), Judgement::Violated, "case {case}: {left:#?}");
        for index in 0..left.len() {
            let mut fewer = left.clone();
            let gone = fewer.remove(index);
            let is_read = |it: &Operation| it.kind == Kind::Read && it.value == gone.value;
            if gone.kind == Kind::Read || !fewer.iter().any(is_read) {
                assert_eq!(exhaustive(&fewer), Judgement::Linearizable, "case {case}: {left:#?}");
            }
        }
    }
    assert!(count > 1000, "{count}");
}

/// All at once, of values that all differ: the search never goes back, so its looks are few.
#[test]
fn many_concurrent_writes_of_different_values_are_judged_without_going_back() {
    let count = 100_u32;
    let mut operations = Vec::new();
    for value in 1..=count {
        let client = ClientId(value);
        let at = |sequence, kind, from, to| Operation {
            request: RequestId { client, sequence },
            kind,
            value: Some(value),
            invoked_at: Time(from),
            // In the reverse order, so that the hints are wrong.
            answer: Some(Answer { returned_at: Time(to), slot: Slot(u64::from(count - value)) }),
        };
        operations.push(at(0, Kind::Write, 0, 1_000_000));
        let start = 1000 * u64::from(value);
        operations.push(at(1, Kind::Read, start, start + 10));
    }
    let mut budget = Budget { looks: 10 * 200 * 200 };
    assert_eq!(judge(&operations, &mut budget), Judgement::Linearizable);
    // And one read of the first value at the end.
    let mut late = operations[1];
    late.invoked_at = Time(900_000);
    late.answer = Some(Answer { returned_at: Time(900_001), slot: Slot(0) });
    operations.push(late);
    let mut budget = Budget { looks: 10 * 200 * 200 };
    assert_eq!(judge(&operations, &mut budget), Judgement::Violated);
    let (left, is_smallest) = smallest_of(&operations);
    // The write of the first value, its two reads, and one write and its read between them.
    assert_eq!((left.len(), is_smallest), (5, true), "{left:#?}");
}

/// Every value is written many times: what such a search takes grows beyond any bound.
#[test]
fn a_search_that_takes_too_long_is_undecided_and_never_a_yes() {
    let mut dice = Pcg64::seed_from_u64(7);
    let mut operations = Vec::new();
    for line in 0..120_u32 {
        let kind = if line % 2 == 0 { Kind::Write } else { Kind::Read };
        operations.push(Operation {
            request: RequestId { client: ClientId(line), sequence: 0 },
            kind,
            value: Some(dice.random_range(1..4)),
            invoked_at: Time(dice.random_range(0..100)),
            answer: Some(Answer { returned_at: Time(200), slot: Slot(u64::from(line)) }),
        });
    }
    // When all of it is over, one value is read and then another.
    for (value, at) in [(1, 300), (2, 400)] {
        let mut last = operations[1];
        last.value = Some(value);
        last.invoked_at = Time(at);
        last.answer = Some(Answer { returned_at: Time(at + 1), slot: Slot(at) });
        operations.push(last);
    }
    let mut budget = Budget { looks: 20_000 };
    assert_eq!(judge(&operations, &mut budget), Judgement::Undecided);
    assert_eq!(budget.looks, 0);
}

#[test]
fn what_cannot_be_made_small_in_time_says_so() {
    let operations = history("w a 0 10\nw b 20 30\nr a 40 50\nr a 60 70");
    let mut is_violated = |some: &[Operation], budget: &mut Budget| {
        budget.spend(1);
        judge(some, &mut Budget { looks: 1000 }) == Judgement::Violated
    };
    let (left, is_smallest) = shrink(&operations, &mut Budget { looks: 2 }, &mut is_violated);
    assert!(!is_smallest && left.len() >= 3);
    let violation = Violation { key: 1, operations: left, is_smallest };
    assert!(violation.to_string().contains("the search for them was cut short"), "{violation}");
}

//! Every fault has an effect, and an end.

use super::*;
use crate::deployment::Unsynced;

/// Counts up at r0 every 10 ms from 10 to 90, with a fault from 25 to 65 ms.
fn with(kind: FaultKind, settings: &Settings) -> World<Counter> {
    let mut world = trio(settings);
    for at in 1..10 {
        if at == 3 {
            world.run_until(ms(25));
            world.inject(&kind, Some(Span::from_millis(40)));
        }
        count_up(&mut world, ms(10 * at), R0);
    }
    world.run_until(ms(500));
    assert_eq!(world.violation(), None);
    world
}

/// What a replica received at once, in its order; by number and milliseconds after it was sent.
fn travel_ms(world: &World<Counter>, replica: NodeId) -> Vec<(u64, u64)> {
    let received = received(world, replica);
    let at_once = received.into_iter().filter(|(_, _, number)| *number < DURABLE);
    at_once.map(|(at_us, _, number)| (number, at_us / 1000 - 10 * number)).collect()
}

fn numbers(world: &World<Counter>, replica: NodeId) -> Vec<u64> {
    travel_ms(world, replica).iter().map(|(number, _)| *number).collect()
}

const DURING: [u64; 4] = [3, 4, 5, 6];

fn all_but_during() -> Vec<u64> {
    (1..10).filter(|number| !DURING.contains(number)).collect()
}

fn everything() -> Vec<u64> {
    (1..10).collect()
}

#[test]
fn a_partition_loses_in_both_directions_until_it_heals() {
    let kind = FaultKind::Partition { side: NodeSet::only(R1) };
    let mut world = with(kind, &Settings::default());
    assert_eq!(numbers(&world, R1), all_but_during());
    assert_eq!(numbers(&world, R2), everything());
    assert_eq!(world.counts().partitions, 1);
    assert_eq!(world.counts().lost, 2 * DURING.len() as u64);
    world.inject(&kind, None);
    count_up(&mut world, ms(510), R1);
    count_up(&mut world, ms(510), R2);
    world.run_until(ms(600));
    let from_r2 = |replica| received(&world, replica).iter().any(|(_, from, _)| *from == 2);
    assert!(from_r2(R0) && !from_r2(R1));
    assert!(!received(&world, R0).iter().any(|(_, from, _)| *from == 1));
}

#[test]
fn a_cut_loses_in_one_direction() {
    let kind = FaultKind::Cut { from: NodeSet::only(R0), to: NodeSet::only(R1) };
    let mut world = with(kind, &Settings::default());
    assert_eq!(numbers(&world, R1), all_but_during());
    assert_eq!(numbers(&world, R2), everything());
    world.inject(&kind, None);
    count_up(&mut world, ms(510), R1);
    world.run_until(ms(600));
    assert_eq!(received(&world, R0).len(), 2);
}

#[test]
fn a_slow_link_is_slow_and_still_in_order() {
    let by = Span::from_millis(15);
    let kind = FaultKind::Slow { from: NodeSet::only(R0), to: NodeSet::only(R1), by };
    let world = with(kind, &Settings::default());
    let expected: Vec<(u64, u64)> = (1..10)
        .map(|number| match number {
            3..=6 => (number, 25),
            // It leaves at 70, and what left at 60 arrives at 85.
            7 => (number, 15),
            _ => (number, 10),
        })
        .collect();
    assert_eq!(travel_ms(&world, R1), expected);
    assert!(travel_ms(&world, R2).iter().all(|(_, ms)| *ms == 10));
}

#[test]
fn a_link_that_loses_everything_loses_it_until_it_heals() {
    let kind = FaultKind::Lose { from: NodeSet::only(R0), to: NodeSet::all(3), share: 1.0 };
    let world = with(kind, &Settings::default());
    assert_eq!(numbers(&world, R1), all_but_during());
    assert_eq!(numbers(&world, R2), all_but_during());
    assert_eq!(world.counts().degradations, 1);
}

#[test]
fn a_link_that_duplicates_everything_does_so_until_it_heals() {
    let kind = FaultKind::Duplicate { from: NodeSet::only(R0), to: NodeSet::only(R2), share: 1.0 };
    let world = with(kind, &Settings::default());
    let twice = [1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9];
    assert_eq!(numbers(&world, R2), twice);
    assert_eq!(numbers(&world, R1), everything());
    assert_eq!(world.counts().duplicated, 2 * DURING.len() as u64);
}

#[test]
fn a_link_that_reorders_is_in_order_again_when_it_heals() {
    let spread = Span::from_millis(200);
    let kind = FaultKind::Reorder { from: NodeSet::only(R0), to: NodeSet::only(R1), spread };
    let world = with(kind, &Settings::default());
    let order = numbers(&world, R1);
    assert!(!order.is_sorted());
    assert_eq!(order.len(), 9);
    let last: Vec<u64> = order.iter().copied().filter(|number| *number > 6).collect();
    assert_eq!(last, [7, 8, 9]);
    assert_eq!(numbers(&world, R2), everything());
}

#[test]
fn a_slow_disk_delays_what_waits_for_it_and_nothing_else() {
    let kind = FaultKind::SlowDisk { replica: R0, by: Span::from_millis(3) };
    let sync = Span::from_millis(1);
    let world = with(kind, &service(Service { sync, ..Service::default() }));
    let durable = |number: u64| {
        let received = received(&world, R1);
        let found = received.iter().find(|(_, _, found)| *found == DURABLE + number);
        found.unwrap().0 / 1000 - 10 * number
    };
    let delays: Vec<u64> = (1..10).map(durable).collect();
    assert_eq!(delays, [11, 11, 14, 14, 14, 14, 11, 11, 11]);
    assert!(travel_ms(&world, R1).iter().all(|(_, ms)| *ms == 10));
}

#[test]
fn a_paused_replica_handles_and_sends_nothing_and_loses_nothing() {
    let world = with(FaultKind::Pause { replica: R1 }, &Settings::default());
    // What arrives from 30 to 60 waits until 65.
    let expected: Vec<(u64, u64)> = (1..10)
        .map(|number| match number {
            2..=5 => (number, 65 - 10 * number),
            _ => (number, 10),
        })
        .collect();
    assert_eq!(travel_ms(&world, R1), expected);
    assert_eq!(world.counts().pauses, 1);
}

#[test]
fn a_replica_that_is_paused_while_it_counts_sends_when_it_goes_on() {
    let world = with(FaultKind::Pause { replica: R0 }, &Settings::default());
    let received = received(&world, R1);
    let at_75 = received.iter().filter(|(at, ..)| *at == 75_000).count();
    assert_eq!(at_75, 2 * DURING.len());
    assert_eq!(received.len(), 18);
}

#[test]
fn a_crashed_replica_misses_what_arrives_until_it_starts_again() {
    let kind = FaultKind::Crash { replica: R1, unsynced: Unsynced::Lost };
    let world = with(kind, &Settings::default());
    // Its memory of what came before is gone; at 65 it is back.
    assert_eq!(numbers(&world, R1), [6, 7, 8, 9]);
    assert_eq!(numbers(&world, R2), everything());
    // What left at 20, 30, 40 and 50, twice each.
    assert_eq!(world.counts().missed, 8);
}

#[test]
fn a_replica_without_room_is_down_until_there_is_some() {
    let world = with(FaultKind::FullDisk { replica: R1 }, &Settings::default());
    assert_eq!(numbers(&world, R1), [6, 7, 8, 9]);
    assert_eq!(numbers(&world, R2), everything());
    assert_eq!((world.counts().crashes, world.counts().restarts), (1, 1));
}

#[test]
fn a_replica_that_crashes_twice_comes_back_when_the_first_says_so() {
    let mut world = trio(&Settings::default());
    let crash = FaultKind::Crash { replica: R1, unsynced: Unsynced::Lost };
    world.run_until(ms(1));
    world.inject(&crash, Some(Span::from_millis(10)));
    world.run_until(ms(2));
    world.inject(&crash, Some(Span::from_millis(1)));
    world.run_until(ms(10));
    assert!(!world.is_alive(R1));
    world.run_until(ms(11));
    assert!(world.is_alive(R1));
    assert_eq!((world.counts().crashes, world.counts().restarts), (1, 1));
}

#[test]
fn a_replica_that_crashes_while_paused_starts_unpaused() {
    let mut world = trio(&Settings::default());
    world.run_until(ms(1));
    world.inject(&FaultKind::Pause { replica: R1 }, Some(Span::from_millis(500)));
    let crash = FaultKind::Crash { replica: R1, unsynced: Unsynced::Lost };
    world.inject(&crash, Some(Span::from_millis(4)));
    count_up(&mut world, ms(5), R0);
    world.run_until(ms(100));
    assert_eq!(numbers(&world, R1), [1]);
}

#[test]
fn everything_heals_when_it_is_told_to() {
    let mut world = trio(&Settings::default());
    world.run_until(ms(1));
    let everybody = NodeSet::all(3);
    world.inject(&FaultKind::Lose { from: everybody, to: everybody, share: 1.0 }, None);
    world.inject(&FaultKind::Pause { replica: R2 }, None);
    world.inject(&FaultKind::Crash { replica: R1, unsynced: Unsynced::Lost }, None);
    world.run_until(ms(2));
    world.heal_all();
    assert!(world.is_alive(R1));
    count_up(&mut world, ms(3), R0);
    world.run_until(ms(100));
    assert_eq!((received(&world, R1).len(), received(&world, R2).len()), (2, 2));
}

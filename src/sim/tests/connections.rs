//! What a connection makes of what its link does.

use super::*;
use crate::sim::Connection;

const ORDERED: Connection = Connection {
    is_ordered: true,
    window_bytes: 64 << 20,
    idle_timeout: Span::from_millis(10_000),
};

fn over(connection: Connection) -> Settings {
    Settings { connection: Some(connection), ..Settings::default() }
}

/// Counts up at r0 every 10 ms from 10 to 90, with a fault from 25 to 65 ms; what r1 received at once, by
/// number and milliseconds.
fn with(kind: FaultKind, connection: Connection) -> (World<Counter>, Vec<(u64, u64)>) {
    let mut world = pair(&over(connection));
    for at in 1..10 {
        if at == 3 {
            world.run_until(ms(25));
            world.inject(&kind, Some(Span::from_millis(40)));
        }
        count_up(&mut world, ms(10 * at), R0);
    }
    world.run_until(ms(500));
    assert_eq!(world.violation(), None);
    let received = received(&world, R1).into_iter().filter(|(_, _, number)| *number < DURABLE);
    let received = received.map(|(at_us, _, number)| (number, at_us / 1000)).collect();
    (world, received)
}

const BEFORE: [(u64, u64); 2] = [(1, 20), (2, 30)];

/// Whole again at 65; a round trip later, at 85, what was lost is sent again, and arrives at 95.
#[test]
fn what_a_partition_loses_arrives_a_round_trip_after_it() {
    let kind = FaultKind::Partition { side: NodeSet::only(R1) };
    let (world, received) = with(kind, ORDERED);
    let held = [(3, 95), (4, 95), (5, 95), (6, 95)];
    // What is sent after the cut waits for it on one stream.
    let later = [(7, 95), (8, 95), (9, 100)];
    assert_eq!(received, [&BEFORE[..], &held, &later].concat());
    assert_eq!(world.finish().counts.lost, 8, "four at once and four durable ones");

    let cut = FaultKind::Cut { from: NodeSet::only(R0), to: NodeSet::only(R1) };
    assert_eq!(with(cut, ORDERED).1, received);
    let all = FaultKind::Lose { from: NodeSet::only(R0), to: NodeSet::only(R1), share: 1.0 };
    assert_eq!(with(all, ORDERED).1, received);
}

#[test]
fn a_cut_beyond_the_idle_time_out_loses_what_was_held() {
    let kind = FaultKind::Partition { side: NodeSet::only(R1) };
    let connection = Connection { idle_timeout: Span::from_millis(39), ..ORDERED };
    let later = [(7, 80), (8, 90), (9, 100)];
    assert_eq!(with(kind, connection).1, [&BEFORE[..], &later].concat());
}

#[test]
fn a_connection_holds_no_more_than_its_window() {
    let kind = FaultKind::Partition { side: NodeSet::only(R1) };
    // A number is 68 bytes on the wire, a durable one 69.
    let connection = Connection { window_bytes: 140, ..ORDERED };
    let later = [(7, 95), (8, 95), (9, 100)];
    assert_eq!(with(kind, connection).1, [&BEFORE[..], &[(3, 95)], &later].concat());
}

#[test]
fn a_crash_of_either_end_loses_what_was_held() {
    for crashed in [R0, R1] {
        let mut world = pair(&over(ORDERED));
        world.run_until(ms(1));
        let kind = FaultKind::Partition { side: NodeSet::only(R1) };
        world.inject(&kind, Some(Span::from_millis(50)));
        count_up(&mut world, ms(10), R0);
        let crash =
            FaultKind::Crash { replica: crashed, unsynced: crate::deployment::Unsynced::Lost };
        world.run_until(ms(20));
        world.inject(&crash, Some(Span::from_millis(1)));
        world.run_until(ms(200));
        assert_eq!(received(&world, R1), [], "{crashed} crashed");
    }
}

/// Of 50 messages each millisecond a fifth is lost, and each loss costs nine eighths of 20 ms.
#[test]
fn a_lost_message_is_late_and_so_is_what_is_behind_it() {
    let conditions = Conditions { loss: 0.2, ..Conditions::default() };
    let deployment =
        Deployment { network: network(conditions), ..deployment("uniform:20ms", Jitter::None, 2) };
    let run = |is_ordered| {
        let settings = over(Connection { is_ordered, ..ORDERED });
        let mut world = World::new(&deployment, &settings, counter(2, 1));
        for at in 1..=200 {
            count_up(&mut world, ms(at), R0);
        }
        world.run_until(ms(5_000));
        let received = received(&world, R1);
        (received, world.finish().counts.lost)
    };
    let (ordered, lost) = run(true);
    assert_eq!(ordered.len(), 400, "everything arrives, once");
    assert!((50..150).contains(&lost), "{lost}");
    let numbers: Vec<u64> = ordered.iter().map(|(_, _, number)| *number % DURABLE).collect();
    assert!(numbers.is_sorted());
    let late_us = |received: &[(u64, u8, u64)]| -> Vec<u64> {
        received.iter().map(|(at, _, number)| at - 1_000 * (number % DURABLE) - 10_000).collect()
    };
    // Each by itself: on time, or late by whole losses.
    let (alone, lost_alone) = run(false);
    assert_eq!((alone.len(), lost_alone), (400, lost));
    assert!(late_us(&alone).iter().all(|late| late % 22_500 == 0));
    let on_time = |received: &[(u64, u8, u64)]| {
        late_us(received).into_iter().filter(|late| *late == 0).count()
    };
    assert!(on_time(&alone) > 280 && on_time(&ordered) < 100);
}

#[test]
fn copies_are_dropped_and_what_overtakes_waits() {
    let (duplication, reordering) = (1.0, Span::from_millis(30));
    let conditions = Conditions { duplication, reordering, ..Conditions::default() };
    let deployment =
        Deployment { network: network(conditions), ..deployment("uniform:20ms", Jitter::None, 2) };
    let mut world = World::new(&deployment, &over(ORDERED), counter(2, 1));
    for at in 1..=50 {
        count_up(&mut world, ms(at), R0);
    }
    world.run_until(ms(500));
    let numbers: Vec<u64> = received(&world, R1).iter().map(|(_, _, number)| *number).collect();
    let expected: Vec<u64> = (1..=50).flat_map(|number| [number, DURABLE + number]).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn what_finds_the_queue_full_waits_at_its_sender() {
    let conditions = Conditions {
        bandwidth_bits_per_s: Some(1_000_000),
        queue_bytes_max: Some(100),
        ..Conditions::default()
    };
    let deployment =
        Deployment { network: network(conditions), ..deployment("uniform:20ms", Jitter::None, 2) };
    let mut world = World::new(&deployment, &over(ORDERED), counter(2, 1));
    count_up(&mut world, ms(1), R0);
    world.run_until(ms(100));
    assert_eq!(received(&world, R1), [(11_544, 0, 1), (12_096, 0, DURABLE + 1)]);
    assert_eq!(world.finish().counts.queue_dropped, 1);
}

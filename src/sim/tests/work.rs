//! Processors, disks, timers, and what a crash leaves.

use super::*;
use crate::deployment::Unsynced;
use crate::history::{ClientReader, Event};
use crate::sim::run_trial;

#[test]
fn one_sync_at_a_time_covers_what_was_given_before_it_began() {
    let sync = Span::from_millis(10);
    let mut world = pair(&service(Service { sync, ..Service::default() }));
    for at in [1, 3, 5] {
        count_up(&mut world, ms(at), R0);
    }
    world.run_until(ms(100));
    // At once: 10 ms later. The first sync is from 1 to 11, the second, of two records, from 11 to 21.
    let expected = [
        (11_000, 0, 1),
        (13_000, 0, 2),
        (15_000, 0, 3),
        (21_000, 0, DURABLE + 1),
        (31_000, 0, DURABLE + 2),
        (31_000, 0, DURABLE + 3),
    ];
    assert_eq!(received(&world, R1), expected);
    assert_eq!(world.finish().replicas[&R0].sync_count, 2);
}

#[test]
fn without_service_times_everything_leaves_at_once() {
    let mut world = pair(&Settings::default());
    count_up(&mut world, ms(1), R0);
    world.run_until(ms(100));
    assert_eq!(received(&world, R1), [(11_000, 0, 1), (11_000, 0, DURABLE + 1)]);
}

#[test]
fn a_busy_processor_takes_in_what_waits_as_one_batch() {
    let (receive, send) = (Span::from_millis(4), Span::from_millis(1));
    let mut world = trio(&service(Service { receive, send, ..Service::default() }));
    // It is told at 1, has taken that in at 5, and sends four messages until 9.
    count_up(&mut world, ms(1), R0);
    // This waits, and is taken in from 9 to 13.
    count_up(&mut world, ms(7), R0);
    world.run_until(ms(100));
    // r1 is the first of two receivers: of each count, and of what is durable.
    let leaves = [6_000, 8_000, 14_000, 16_000];
    // Each arrives 10 ms later; taking in takes 4 ms, and what arrives meanwhile is the next batch.
    // Arrivals: 16, 18, 24, 26. The first alone until 20, then that of 18 until 24, then 24's.
    assert_eq!(leaves.map(|at| at + 10_000), [16_000, 18_000, 24_000, 26_000]);
    let expected =
        [(20_000, 0, 1), (24_000, 0, DURABLE + 1), (28_000, 0, 2), (32_000, 0, DURABLE + 2)];
    assert_eq!(received(&world, R1), expected);
    // r2 is the second receiver, a millisecond later each.
    let expected = expected.map(|(at, from, number)| (at + 1_000, from, number));
    assert_eq!(received(&world, R2), expected);
}

#[test]
fn the_bytes_of_a_message_take_time_at_both_of_its_ends() {
    let arrives = |micros_a_byte: u64| {
        let mebibyte = Span::from_micros(micros_a_byte << 20);
        let mut world = pair(&service(Service { mebibyte, ..Service::default() }));
        count_up(&mut world, ms(1), R0);
        world.run_until(ms(100));
        received(&world, R1)[0].0
    };
    let longer = [1, 2].map(|micros| arrives(micros) - arrives(0));
    // A datagram's headers are 28 bytes.
    assert!(longer[0] > 2 * 28, "{longer:?}");
    assert_eq!(longer[1], 2 * longer[0]);
}

#[test]
fn an_idle_link_takes_what_was_asked_with_the_work_at_its_ends() {
    let (receive, send) = (Span::from_millis(4), Span::from_millis(1));
    let settings = service(Service { receive, send, ..Service::default() });
    let deployment = deployment("uniform:20ms", Jitter::None, 2);
    let mut world = World::new(&deployment, &settings, counter(2, 1));
    count_up(&mut world, ms(1), R0);
    world.run_until(ms(100));
    // r0 has taken it in at 5, and r1 has what r0 then sends 10 ms after that.
    assert_eq!(received(&world, R1)[0], (15_000, 0, 1));
}

#[test]
fn what_arrives_together_while_a_processor_is_busy_is_handled_together() {
    let receive = Span::from_millis(4);
    let mut world = trio(&service(Service { receive, ..Service::default() }));
    count_up(&mut world, ms(1), R0);
    count_up(&mut world, ms(2), R1);
    world.run_until(ms(100));
    // r0 counts at 5, r1 at 6. r2 begins at 15 with two, until 23, and then with two more, until 31.
    let at: Vec<u64> = received(&world, R2).iter().map(|(at, ..)| *at).collect();
    assert_eq!(at, [23_000, 23_000, 31_000, 31_000]);
}

#[test]
fn what_arrives_as_a_processor_gets_free_waits_behind_the_older() {
    let send = Span::from_millis(30);
    let mut world = trio(&service(Service { send, ..Service::default() }));
    // It sends four messages, until 121.
    count_up(&mut world, ms(1), R1);
    // r2's first message leaves for r0 at 81 and for r1 at 111, and arrives at 121.
    count_up(&mut world, ms(51), R2);
    // r0's leaves at 100, and arrives at 110.
    count_up(&mut world, ms(70), R0);
    world.run_until(ms(122));
    assert_eq!(received(&world, R1), [(121_000, 0, 1), (121_000, 2, 1)]);
}

/// Answers take 1 ms each and requests come every half: the queue grows, and nobody jumps it.
#[test]
fn requests_are_executed_in_their_order_under_overload() {
    let mut deployment = deployment("loopback", Jitter::None, 1);
    deployment.workload.arrival = Arrival::Fixed { rate_per_s: 2_000.0 };
    deployment.durability = Durability::Memory;
    deployment.duration = Span::from_millis(20);
    deployment.drain = Span::from_millis(1_000);
    let service = Service { send: Span::from_millis(1), ..Service::default() };
    let outcome = run_trial(&deployment, &super::service(service));
    let history = &outcome.histories[&MemberName::Client(ClientId(0))][0];
    let events = ClientReader::new(history.as_slice()).unwrap().map(Result::unwrap);
    let told: Vec<u64> = events
        .filter_map(|event| match event {
            Event::Return(returned) => Some(returned.sequence),
            Event::Invoke(_) => None,
        })
        .collect();
    assert!(told.iter().copied().eq(0..40), "{told:?}");
}

/// While it was paused it had taken in one of two: the other one takes its time after the pause.
#[test]
fn a_pause_takes_nothing_in_for_free() {
    let receive = Span::from_millis(10);
    let mut world = trio(&service(Service { receive, ..Service::default() }));
    // Told at 1, r0 counts at 11 and r2 at 13: r1 takes r0's two in from 21 to 41, then r2's two.
    count_up(&mut world, ms(1), R0);
    count_up(&mut world, ms(3), R2);
    world.run_until(ms(25));
    world.inject(&FaultKind::Pause { replica: R1 }, Some(Span::from_millis(25)));
    world.run_until(ms(100));
    let at: Vec<(u64, u8)> = received(&world, R1).iter().map(|(at, by, _)| (*at, *by)).collect();
    assert_eq!(at, [(50_000, 0), (50_000, 0), (70_000, 2), (70_000, 2)]);
}

#[test]
fn what_is_still_being_sent_when_a_replica_crashes_never_leaves() {
    let send = Span::from_millis(1);
    let mut world = trio(&service(Service { send, ..Service::default() }));
    count_up(&mut world, ms(1), R0);
    // r1's copy left at 2, r2's would at 3.
    world.run_until(Time(2_500_000));
    world.inject(&FaultKind::Crash { replica: R0, unsynced: Unsynced::Lost }, None);
    world.run_until(ms(100));
    assert_eq!(received(&world, R1), [(12_000, 0, 1)]);
    assert_eq!(received(&world, R2), []);
    assert_eq!(world.counts().missed, 3);
}

/// Counts up at 1, 3 and 5 ms with syncs of 10 ms, and crashes at 7: nothing is synced.
fn crashed(unsynced: Unsynced) -> World<Counter> {
    let sync = Span::from_millis(10);
    let mut world = pair(&service(Service { sync, ..Service::default() }));
    for at in [1, 3, 5] {
        count_up(&mut world, ms(at), R0);
    }
    world.run_until(ms(7));
    world.inject(&FaultKind::Crash { replica: R0, unsynced }, Some(Span::from_millis(20)));
    assert!(!world.is_alive(R0));
    world.run_until(ms(100));
    // What left before the crash arrives, what waited for the disk never does.
    assert_eq!(received(&world, R1), [(11_000, 0, 1), (13_000, 0, 2), (15_000, 0, 3)]);
    assert_eq!((world.counts().crashes, world.counts().restarts), (1, 1));
    assert_eq!(world.counts().withheld, 3);
    world
}

#[test]
fn a_crash_between_the_persist_and_the_send_keeps_the_record_and_loses_the_send() {
    let world = crashed(Unsynced::Written);
    assert_eq!(world.protocol(R0).unwrap().recovered, [1, 2, 3]);
    assert_eq!(world.counts().records_lost, 0);
}

#[test]
fn a_crash_loses_what_was_not_synced() {
    let world = crashed(Unsynced::Lost);
    assert!(world.protocol(R0).unwrap().recovered.is_empty());
    assert_eq!((world.counts().records_lost, world.counts().torn), (3, 0));
}

#[test]
fn a_torn_end_keeps_the_older_half() {
    let world = crashed(Unsynced::Torn);
    assert_eq!(world.protocol(R0).unwrap().recovered, [1]);
    assert_eq!((world.counts().records_lost, world.counts().torn), (2, 1));
}

#[test]
fn a_crash_at_the_instant_of_a_record_falls_between_it_and_what_waits_for_it() {
    for (unsynced, kept) in [(Unsynced::Written, 1), (Unsynced::Lost, 0)] {
        let mut deployment = deployment("uniform:20ms", Jitter::None, 2);
        let fault =
            |kind, heals_after| crate::deployment::Fault { at: Span::ZERO, kind, heals_after };
        let crash = FaultKind::Crash { replica: R0, unsynced };
        deployment.faults = vec![
            fault(FaultKind::Campaign { replica: R0 }, None).into(),
            fault(crash, Some(Span::from_millis(1))).into(),
        ];
        let mut world = World::new(&deployment, &Settings::default(), counter(2, 1));
        world.run_until(ms(200));
        assert_eq!(world.protocol(R0).unwrap().recovered.len(), kept);
        assert!(received(&world, R1).is_empty());
    }
}

#[test]
fn a_checkpoint_takes_the_place_of_the_records_before_it() {
    let mut world = pair(&Settings::default());
    world.set_checkpoint_records(3);
    for at in 1..=4 {
        count_up(&mut world, ms(at), R0);
    }
    let crash = FaultKind::Crash { replica: R0, unsynced: Unsynced::Lost };
    world.inject(&crash, Some(Span::from_millis(1)));
    world.run_until(ms(10));
    // The checkpoint of 3, and the record behind it.
    assert_eq!(world.protocol(R0).unwrap().recovered, [3, 4]);
    assert_eq!(world.finish().replicas[&R0].starts, [0, 1]);
}

/// What r0 finds when it crashes `at_ms` after it counted to five, with a checkpoint of three that takes
/// 20 ms and records that take 1 ms.
fn found_at(at_ms: u64, unsynced: Unsynced) -> (Vec<u64>, Vec<usize>, u64) {
    let (sync, checkpoint) = (Span::from_millis(1), Span::from_millis(20));
    let mut world = pair(&service(Service { sync, checkpoint, ..Service::default() }));
    world.set_checkpoint_records(3);
    for at in 1..=5 {
        count_up(&mut world, ms(2 * at), R0);
    }
    world.run_until(ms(10 + at_ms));
    world.inject(&FaultKind::Crash { replica: R0, unsynced }, Some(Span::from_millis(1)));
    world.run_until(ms(100));
    let lost = world.counts().checkpoints_lost;
    let recovered = world.protocol(R0).unwrap().recovered.clone();
    (recovered, world.finish().replicas.remove(&R0).unwrap().starts, lost)
}

#[test]
fn a_checkpoint_is_overtaken_and_lost_with_a_crash() {
    // It is begun at 6 and whole at 26; the records behind it are durable long before.
    for unsynced in [Unsynced::Lost, Unsynced::Torn, Unsynced::Written] {
        let whole_log = (vec![1, 2, 3, 4, 5], vec![0, 5], 1);
        assert_eq!(found_at(5, unsynced), whole_log, "{unsynced:?}");
        assert_eq!(found_at(15, unsynced), whole_log, "{unsynced:?}");
        assert_eq!(found_at(17, unsynced), (vec![3, 4, 5], vec![0, 2], 0), "{unsynced:?}");
    }
}

#[test]
fn a_checkpoint_that_is_written_waits_for_its_records() {
    let (sync, checkpoint) = (Span::from_millis(20), Span::from_millis(1));
    let mut world = pair(&service(Service { sync, checkpoint, ..Service::default() }));
    world.set_checkpoint_records(1);
    count_up(&mut world, ms(1), R0);
    world.run_until(ms(10));
    let crash = FaultKind::Crash { replica: R0, unsynced: Unsynced::Written };
    world.inject(&crash, Some(Span::from_millis(1)));
    world.run_until(ms(100));
    assert_eq!(world.counts().checkpoints_lost, 1);
    assert_eq!(world.protocol(R0).unwrap().recovered, [1]);
    assert_eq!(world.finish().replicas[&R0].starts, [0, 1]);
}

#[test]
fn a_replica_in_memory_forgets_everything() {
    let mut deployment = deployment("uniform:20ms", Jitter::None, 2);
    deployment.durability = Durability::Memory;
    let mut world = World::new(&deployment, &Settings::default(), counter(2, 1));
    count_up(&mut world, ms(1), R0);
    let crash = FaultKind::Crash { replica: R0, unsynced: Unsynced::Written };
    world.inject(&crash, Some(Span::from_millis(1)));
    world.run_until(ms(100));
    assert!(world.protocol(R0).unwrap().recovered.is_empty());
    let report = &world.finish().replicas[&R0];
    assert_eq!((report.sync_count, report.starts.as_slice()), (0, [0, 0].as_slice()));
}

#[test]
fn a_timer_runs_out_once_and_not_after_a_crash() {
    let mut world = pair(&Settings::default());
    count_up(&mut world, ms(1), R0);
    // Setting it again replaces it.
    count_up(&mut world, ms(41), R0);
    world.run_until(ms(200));
    let fired = world.protocol(R0).unwrap().fired.clone();
    assert_eq!(fired.len(), 1);
    let after = Time(fired[0]).since(ms(41));
    assert!((TIMER_SPAN..=TIMER_SPAN + TIMER_SPREAD).contains(&after), "{after}");
    count_up(&mut world, ms(201), R0);
    let crash = FaultKind::Crash { replica: R0, unsynced: Unsynced::Lost };
    world.inject(&crash, Some(Span::from_millis(1)));
    world.run_until(ms(400));
    assert!(world.protocol(R0).unwrap().fired.is_empty());
}

#[test]
fn an_assertion_that_breaks_is_the_violation_and_ends_the_world() {
    let poisoned = |id| Counter { poison: Some(1), ..counter(2, 1)(id) };
    let deployment = deployment("uniform:20ms", Jitter::None, 2);
    let mut world = World::new(&deployment, &Settings::default(), poisoned);
    count_up(&mut world, ms(1), R0);
    assert_eq!(world.violation(), None);
    world.run_until(ms(100));
    assert!(world.violation().unwrap().starts_with("1 is poison (src/sim/tests/mod.rs:"));
    assert!(!world.step());
    assert!(world.finish().violation.is_some());
}

#[test]
fn a_timer_that_is_set_again_and_again_ends_the_run() {
    for (after, is_violated) in [(Span(1), true), (Span::from_micros(1), false)] {
        let deployment = deployment("uniform:20ms", Jitter::None, 2);
        let again = move |id| Counter { again: Some(after), ..counter(2, 1)(id) };
        let mut world = World::new(&deployment, &Settings::default(), again);
        count_up(&mut world, ms(1), R0);
        world.run_until(ms(100));
        let violation = world.violation().map(|it| it.starts_with("a timer of r0 runs out"));
        assert_eq!(violation, is_violated.then_some(true));
    }
}

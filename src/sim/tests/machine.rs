//! A machine that all members share.

use super::*;
use crate::deployment::Unsynced;
use crate::sim::{Costs, Host, run_trial};

const COSTS: Costs = Costs {
    wake_up: Span::from_millis(2),
    packet: Span::from_millis(3),
    sync: Span::ZERO,
    slice: Span::ZERO,
};

fn host(cores: u16, costs: Costs) -> Settings {
    let millisecond = Span::from_millis(1);
    let service = Service { receive: millisecond, send: millisecond, ..Service::default() };
    let host = Some(Host { cores, costs, one_disk: false });
    Settings { service, host, ..Settings::default() }
}

/// So many replicas whose links take 10 ms beside the work at their ends.
fn world(n: usize, durability: Durability, settings: &Settings) -> World<Counter> {
    let Settings { service, host, .. } = *settings;
    let hop = host.map_or(Span::ZERO, |host| host.costs.hop(true));
    let round_trip = Span::from_millis(20) + (service.send + service.receive + hop).times(2);
    let profile = format!("uniform:{}ns", round_trip.0);
    let deployment = Deployment { durability, ..deployment(&profile, Jitter::None, n) };
    World::new(&deployment, settings, counter(n, 1))
}

#[test]
fn members_that_share_one_processor_have_it_in_turn() {
    let received_on = |cores| {
        let mut world = world(2, Durability::Memory, &host(cores, COSTS));
        // Both have started by 4. r0 takes this in until 14, and sends two messages in one packet, which is also
        // released, at 21.
        count_up(&mut world, ms(11), R0);
        count_up(&mut world, ms(12), R1);
        world.run_until(ms(60));
        [R0, R1].map(|id| received(&world, id))
    };
    let both = |at, from| vec![(at, from, 1), (at, from, DURABLE + 1)];
    // With one, r1 takes its own in from 21 to 24, and sends at 31. By then the packet of r0 has come: it goes on with
    // that, without a wake-up. Its own comes at 41.
    assert_eq!(received_on(1), [both(48_000, 1), both(36_000, 0)]);
    // With two nobody waits: r1 takes its own in until 15, and sends at 22.
    assert_eq!(received_on(2), [both(39_000, 1), both(38_000, 0)]);
}

/// r0 is told to lead once more in each turn, while r1 waits for the only processor.
#[test]
fn a_member_with_work_keeps_its_processor_for_a_time_slice() {
    let hears_of_r1 = |slice| {
        let mut world = world(2, Durability::Memory, &host(1, Costs { slice, ..COSTS }));
        count_up(&mut world, ms(11), R0);
        count_up(&mut world, ms(12), R1);
        // A turn of r0 takes 10 ms at first, and 8 without a wake-up; during each it hears of the next one.
        for at in [15, 23, 31] {
            count_up(&mut world, ms(at), R0);
        }
        world.run_until(ms(120));
        received(&world, R0)[0].0
    };
    // r1 has the processor from 21 on after one turn of r0, from 29 after two, and from 45 after all four.
    let [one_turn, two_turns, all] = [0, 12, 200].map(|ms| hears_of_r1(Span::from_millis(ms)));
    assert!(one_turn < two_turns && two_turns < all, "{one_turn}, {two_turns}, {all}");
}

/// The bottleneck law: a closed loop on a machine whose work is in proportion to its messages holds one operation
/// in the work of one, on each processor that can be used.
#[test]
fn a_full_machine_obeys_the_bottleneck_law() {
    let mut deployment = deployment("loopback", Jitter::None, 1);
    deployment.workload.arrival = Arrival::Closed { clients: 64 };
    deployment.durability = Durability::Memory;
    deployment.warmup = Span::from_millis(20);
    deployment.duration = Span::from_millis(200);
    let per_s = |cores: Option<u16>| {
        let [receive, send] = [10, 10].map(Span::from_micros);
        let service = Service { receive, send, ..Service::default() };
        let host = cores.map(|cores| Host { cores, costs: Costs::default(), one_disk: false });
        let outcome = run_trial(&deployment, &Settings { service, host, ..Settings::default() });
        outcome.clients[&ClientId(0)].achieved_count * 5
    };
    let check = |cores, expected: u64| {
        let held = per_s(cores);
        assert!(held.abs_diff(expected) < expected / 50, "{cores:?}: {held}, not {expected}");
    };
    // A request and a reply are each sent and received: 40 us, half of it at the client.
    check(Some(1), 25_000);
    // One replica and one client use two at the most: all that is outstanding may be at one of them.
    let of_two = per_s(Some(2));
    assert!((26_000..51_000).contains(&of_two), "{of_two}");
    assert_eq!(per_s(Some(4)), of_two);
    // On its own machine a client takes no time.
    check(None, 50_000);
}

#[test]
fn logs_on_one_disk_are_synced_one_after_the_other() {
    let durable = |one_disk, sync_work: u64| {
        let sync = Span::from_millis(10);
        let costs = Costs { sync: Span::from_millis(sync_work), ..Costs::default() };
        let host = Some(Host { cores: 4, costs, one_disk });
        let service = Service { sync, ..Service::default() };
        let settings = Settings { service, host, ..Settings::default() };
        let mut world = world(2, Durability::Fsync, &settings);
        world.run_until(ms(11));
        for replica in [R0, R1] {
            world.inject(&FaultKind::Campaign { replica }, None);
        }
        world.run_until(ms(60));
        [R0, R1].map(|id| received(&world, id)[1].0)
    };
    // From 11 to 21, and 10 ms on the link.
    assert_eq!(durable(false, 0), [31_000, 31_000]);
    assert_eq!(durable(true, 0), [41_000, 31_000]);
    // The processor time of a sync is part of it, and both have a processor for it at once.
    assert_eq!(durable(true, 4), [37_000, 31_000]);
}

#[test]
fn who_crashes_or_pauses_gives_its_processor_to_others() {
    let received_after = |fault| {
        let mut world = world(3, Durability::Memory, &host(1, COSTS));
        // r0 takes this in from 11 to 14.
        count_up(&mut world, ms(11), R0);
        world.run_until(ms(12));
        world.inject(&fault, Some(Span::from_millis(100)));
        world.inject(&FaultKind::Campaign { replica: R1 }, None);
        world.run_until(ms(200));
        received(&world, R2)
    };
    let unsynced = Unsynced::Lost;
    // r1 takes its own in from 12 to 15, and sends to r0 at 24 and to r2 at 29: that arrives at 39.
    let crashed = received_after(FaultKind::Crash { replica: R0, unsynced });
    assert_eq!(crashed[0], (46_000, 1, 1));
    // Here it has the processor from 14 on.
    let paused = received_after(FaultKind::Pause { replica: R0 });
    assert_eq!(paused[0], (48_000, 1, 1));
    // What the other one was about to take in is gone with a crash, and is taken in later after a pause.
    let from_r0 = |received: &[(u64, u8, u64)]| received.iter().filter(|it| it.1 == 0).count();
    assert_eq!((from_r0(&crashed), from_r0(&paused)), (0, 2));
}

#[test]
fn what_goes_to_one_member_in_one_turn_arrives_together() {
    let costs = Costs { packet: Span::from_millis(3), ..Costs::default() };
    let mut world = world(3, Durability::Memory, &host(4, costs));
    world.run_until(ms(11));
    world.inject(&FaultKind::Campaign { replica: R0 }, None);
    world.run_until(ms(60));
    // r0 takes it in until 12, has made four messages by 16, and sends to r1 at 19 and to r2 at 22; their turns take a
    // packet and two messages.
    let at = |id| received(&world, id).iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!([at(R1), at(R2)], [[34_000; 2], [37_000; 2]]);
}

#[test]
fn settings_without_a_shared_machine_read_as_they_did_before_there_was_one() {
    let text = serde_json::to_string(&service(Service::default())).unwrap();
    assert_eq!(text, r#"{"service":{"receive":0,"send":0,"sync":0},"connection":null}"#);
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), Settings::default());
}

//! A machine that all members share.

use super::*;
use crate::deployment::Unsynced;
use crate::sim::{Costs, Host, run_trial};

const COSTS: Costs =
    Costs { wake_up: Span::from_millis(2), packet: Span::from_millis(3), sync: Span::ZERO };

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
        // released, at 20 and 21.
        count_up(&mut world, ms(11), R0);
        count_up(&mut world, ms(12), R1);
        world.run_until(ms(60));
        [R0, R1].map(|id| received(&world, id))
    };
    // With one, r1 takes its own in from 21 to 24, and sends at 30 and 31. By then both of r0's have come: it takes
    // them in as one packet.
    let together = vec![(38_000, 0, 1), (38_000, 0, DURABLE + 1)];
    // Those for r0 come at 40 and 41: one takes a wake-up, a packet and a message, then the other one does.
    let one_by_one = vec![(46_000, 1, 1), (52_000, 1, DURABLE + 1)];
    assert_eq!(received_on(1), [one_by_one, together]);
    // With two nobody waits: r1 takes its own in until 15, and sends at 21 and 22.
    let of_r0 = vec![(37_000, 1, 1), (43_000, 1, DURABLE + 1)];
    let of_r1 = vec![(36_000, 0, 1), (42_000, 0, DURABLE + 1)];
    assert_eq!(received_on(2), [of_r0, of_r1]);
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
    check(Some(2), 50_000);
    // One replica and one client use two.
    check(Some(4), 50_000);
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
    // r1 takes its own in from 12 to 15, and sends to r0 at 21 and to r2 at 27: that arrives at 37.
    let crashed = received_after(FaultKind::Crash { replica: R0, unsynced });
    assert_eq!(crashed[0], (43_000, 1, 1));
    // Here it has the processor from 14 on.
    let paused = received_after(FaultKind::Pause { replica: R0 });
    assert_eq!(paused[0], (45_000, 1, 1));
    // What the other one was about to take in is gone with a crash, and is taken in later after a pause.
    let from_r0 = |received: &[(u64, u8, u64)]| received.iter().filter(|it| it.1 == 0).count();
    assert_eq!((from_r0(&crashed), from_r0(&paused)), (0, 2));
}

#[test]
fn settings_without_a_shared_machine_read_as_they_did_before_there_was_one() {
    let text = serde_json::to_string(&service(Service::default())).unwrap();
    assert_eq!(text, r#"{"service":{"receive":0,"send":0,"sync":0},"connection":null}"#);
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), Settings::default());
}

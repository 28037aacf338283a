//! What a trial of the real protocol may and may not notice of how its world is built.

use super::*;
use crate::paxos::Replica;
use crate::sim::Outcome;

fn loaded(mode: Mode, durability: Durability) -> Deployment {
    let mut deployment = deployment("aws-2025-07", Jitter::Profile, 3);
    deployment.mode = mode;
    deployment.durability = durability;
    deployment.workload.arrival = Arrival::Closed { clients: 20 };
    deployment.duration = Span::from_millis(600);
    deployment.drain = Span::from_millis(1_000);
    deployment
}

fn world(deployment: &Deployment, settings: &Settings) -> World<Replica> {
    let of = deployment.clone();
    let mut world = World::new(deployment, settings, move |id| Replica::new(of.config(id)));
    world.set_checkpoint_records(25);
    world
}

fn bytes(outcome: &Outcome) -> Vec<u8> {
    assert_eq!(outcome.violation, None);
    let parts = (&outcome.clients, &outcome.replicas, &outcome.histories, &outcome.counts);
    postcard::to_stdvec(&parts).unwrap()
}

/// Without a crash nobody reads a disk, so a trial keeps none: nothing else may differ.
#[test]
fn a_disk_that_nobody_reads_changes_nothing() {
    let [memory, fsync] = [Durability::Memory, Durability::Fsync];
    let leader = Mode::Multi { leader: R0 };
    let sync = service(Service { sync: Span::from_millis(3), ..Service::default() });
    for (mode, durability) in [(leader, fsync), (leader, memory), (Mode::Classic, fsync)] {
        let deployment = loaded(mode, durability);
        for settings in [Settings::default(), sync] {
            let mut kept = world(&deployment, &settings);
            kept.run_to_end();
            let mut unkept = world(&deployment, &settings);
            unkept.forbid_restarts();
            unkept.run_to_end();
            let kept = kept.finish();
            assert!(kept.replicas[&R0].executed_below > 60, "{:?}", kept.replicas[&R0]);
            assert_eq!(bytes(&kept), bytes(&unkept.finish()));
        }
    }
}

/// Logs are trimmed as they are by a live replica: also in a short trial, with a disk or without.
#[test]
fn what_every_replica_has_durably_executed_is_forgotten() {
    for durability in [Durability::Memory, Durability::Fsync] {
        let deployment = loaded(Mode::Multi { leader: R0 }, durability);
        let mut world = world(&deployment, &Settings::default());
        world.run_to_end();
        for id in [R0, R1, R2] {
            let replica = world.protocol(id).unwrap();
            assert!(replica.chosen(Slot(0)).is_none() && replica.executed_below() > Slot(60));
        }
    }
}

#[test]
fn a_world_goes_on_step_by_step_as_it_does_in_one_run() {
    let deployment = loaded(Mode::Multi { leader: R0 }, Durability::Fsync);
    let end = ms(400);
    let mut one = world(&deployment, &Settings::default());
    one.run_until(end);
    let mut other = world(&deployment, &Settings::default());
    while other.now() < end && other.step() {}
    other.run_until(end);
    assert!(one.counts().events > 100);
    let [one, other] = [one, other].map(|mut world| {
        world.run_to_end();
        bytes(&world.finish())
    });
    assert_eq!(one, other);
}

//! What a trial of the real protocol may and may not notice of how its world is built.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::*;
use crate::history::{ClientReader, ClientWriter, Event, Issued, Kind, Returned, oracle};
use crate::paxos::Replica;
use crate::sim::{Outcome, Spool, run_trial, run_trial_unless};

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
    let mode = paxos_mode(deployment);
    let mut world = World::new(deployment, settings, move |id| Replica::new(mode, of.config(id)));
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
    let leader = Mode::multi(R0);
    let sync = service(Service { sync: Span::from_millis(3), ..Service::default() });
    for (mode, durability) in [(leader, fsync), (leader, memory), (Mode::CLASSIC, fsync)] {
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
        let deployment = loaded(Mode::multi(R0), durability);
        let mut world = world(&deployment, &Settings::default());
        world.run_to_end();
        for id in [R0, R1, R2] {
            let replica = world.protocol(id).unwrap();
            assert!(
                replica.chosen(Position::default()).is_none() && replica.progress() > Progress(60)
            );
        }
    }
}

#[test]
fn a_world_goes_on_step_by_step_as_it_does_in_one_run() {
    let deployment = loaded(Mode::multi(R0), Durability::Fsync);
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

/// A closed loop of clients beside the leader on links that are all alike, without any cost.
fn in_closed_loops(clients: u32, warmup: Span) -> Deployment {
    let mut deployment = deployment("uniform:20ms", Jitter::None, 3);
    deployment.workload.arrival = Arrival::Closed { clients };
    deployment.workload.reads = 0.5;
    deployment.warmup = warmup;
    deployment.duration = Span::from_millis(1_000);
    deployment.drain = Span::from_millis(1_000);
    deployment
}

/// What the only client issued and was told.
fn events(deployment: &Deployment) -> Vec<Event> {
    let outcome = run_trial(deployment, &Settings::default());
    let history = &outcome.histories[&MemberName::Client(ClientId(0))][0];
    ClientReader::new(history.as_slice()).unwrap().map(Result::unwrap).collect()
}

fn issued(events: &[Event]) -> Vec<Issued> {
    let is_issued = |event: &Event| match event {
        Event::Invoke(issued) => Some(*issued),
        Event::Return(_) => None,
    };
    events.iter().filter_map(is_issued).collect()
}

/// In step, all of them would begin in one nanosecond of every 20 ms.
#[test]
fn clients_of_a_closed_loop_are_not_in_step() {
    // Half of the warm-up; and the floor where there is no warm-up.
    for (warmup, over) in [(1_000, 500), (0, 20)] {
        let events = events(&in_closed_loops(50, Span::from_millis(warmup)));
        let start = ms(100);
        let first: Vec<Span> =
            issued(&events)[..50].iter().map(|it| it.intended_at.since(start)).collect();
        assert!(first.iter().all(|after| *after < Span::from_millis(over)), "{first:?}");
        let phases: BTreeSet<u64> = first.iter().map(|after| after.0 % 20_000_000).collect();
        // Of 50 random moments two are within 4 us of one another once in 100 seeds.
        assert_eq!(phases.len(), 50);
        let half = phases.iter().filter(|phase| **phase < 10_000_000).count();
        assert!((10..=40).contains(&half), "{half} of 50 in the first half of a round trip");
        // Everybody has started and stays: as many are outstanding as there are clients.
        let last = issued(&events).len();
        let answered = events.len() - last;
        assert_eq!((last - answered, last > 2_000), (0, true), "{last} issued");
    }
}

#[test]
fn another_seed_staggers_the_clients_otherwise() {
    let deployment = in_closed_loops(5, Span::from_millis(100));
    let starts = |seed| {
        let events = events(&Deployment { seed, ..deployment.clone() });
        issued(&events)[..5].iter().map(|it| it.intended_at).collect::<Vec<_>>()
    };
    assert_eq!(starts(1), starts(1));
    assert_ne!(starts(1), starts(2));
}

/// In virtual time a client begins its next operation in the nanosecond of the answer before: it is
/// after that answer all the same, so a read that misses the client's own write is caught.
#[test]
fn a_stale_read_in_a_simulated_closed_loop_is_caught() {
    let mut events = events(&in_closed_loops(1, Span::ZERO));
    let is_linearizable = |events: &[Event]| {
        let mut writer = ClientWriter::new(ClientId(0));
        for event in events {
            match event {
                Event::Invoke(issued) => writer.invoke(issued),
                Event::Return(returned) => writer.returned(returned),
            }
        }
        let history = writer.finish();
        oracle::check([history.as_slice()], oracle::Options::default()).unwrap().is_valid()
    };
    assert!(is_linearizable(&events));
    let is_read_after_write = |events: &[Event]| match events {
        [
            Event::Invoke(Issued { kind: Kind::Write, .. }),
            Event::Return(told),
            Event::Invoke(Issued { kind: Kind::Read, intended_at, .. }),
            Event::Return(_),
        ] => told.at == *intended_at,
        _ => false,
    };
    let at = events.windows(4).position(is_read_after_write).unwrap();
    // What was under the key before: no write, or one that the client knows to be overwritten.
    let before = events[..at].iter().rev().find_map(|event| match event {
        Event::Invoke(Issued { kind: Kind::Write, digest, .. }) => Some(*digest),
        _ => None,
    });
    let Event::Return(Returned { digest, .. }) = &mut events[at + 3] else { unreachable!() };
    assert_ne!(*digest, before);
    *digest = before;
    assert!(!is_linearizable(&events));
}

/// The bytes that a member wrote between one start and the next.
type Segments = BTreeMap<(MemberName, usize), Vec<u8>>;

/// What a spool took, behind one another.
#[derive(Clone, Default)]
struct Taken(Rc<RefCell<Segments>>);

impl Spool for Taken {
    fn take(&mut self, member: MemberName, start: usize, block: &[u8]) {
        self.0.borrow_mut().entry((member, start)).or_default().extend_from_slice(block);
    }
}

#[test]
fn what_a_spool_took_and_what_is_left_are_the_whole_histories() {
    let mut deployment = deployment("uniform:1ms", Jitter::None, 1);
    deployment.workload.arrival = Arrival::Closed { clients: 64 };
    deployment.durability = Durability::Memory;
    deployment.duration = Span::from_millis(600);
    deployment.drain = Span::from_millis(100);
    // A client beside its replica would have its answer at once.
    let settings = service(Service { receive: Span::from_micros(10), ..Service::default() });
    let whole = run_trial(&deployment, &settings).histories;
    let taken = Taken::default();
    let spool = Box::new(taken.clone());
    let left = run_trial_unless(&deployment, &settings, Some(spool), &|| false).unwrap().histories;
    let taken = taken.0.borrow();
    for (member, segments) in whole {
        for (start, bytes) in segments.iter().enumerate() {
            let begin = taken.get(&(member, start)).map_or(&[][..], Vec::as_slice);
            assert!(!begin.is_empty(), "{member}: {} bytes are less than a block", bytes.len());
            assert!([begin, &left[&member][start]].concat() == *bytes, "{member}");
        }
    }
}

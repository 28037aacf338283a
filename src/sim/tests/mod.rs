//! The mechanics of a world, with a protocol so small that every instant can be computed by hand.

mod connections;
mod controls;
mod elections;
mod faults;
mod links;
mod machine;
mod trials;
mod work;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Service, Settings, World};
use crate::command::ClientId;
use crate::deployment::{Deployment, Durability, FaultKind, MemberName, Network};
use crate::link::Conditions;
use crate::paxos;
use crate::protocol::{
    Ballot, Effects, Election, Input, Order, Position, Progress, Protocol, Retention, SendPolicy,
    Statement, TimerId,
};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::registry::Mode;
use crate::time::{Now, Span, Time};
use crate::topology::{Jitter, Links, Profile};
use crate::workload::{Arrival, Keys, Workload};

/// A number on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What waits for the disk is told from what leaves at once by this.
const DURABLE: u64 = 1000;

/// The timer that every campaign sets, and how long it takes.
const TIMER: TimerId = TimerId(7);
const TIMER_SPAN: Span = Span::from_millis(50);
const TIMER_SPREAD: Span = Span::from_millis(20);

/// Whenever it is told to lead it counts up, sends the count to all others at once, records it, and
/// sends it again when it is durable.
#[derive(Clone, Debug)]
struct Counter {
    id: NodeId,
    n: usize,
    /// How many times each count is sent at once.
    copies: u64,
    count: u64,
    received: Vec<(u64, NodeId, u64)>,
    fired: Vec<u64>,
    recovered: Vec<u64>,
    /// A message it cannot stand.
    poison: Option<u64>,
    /// When its timer runs out it sets it again, for so long.
    again: Option<Span>,
}

impl Counter {
    /// What it received: microseconds, from whom, and what.
    fn received_us(&self) -> Vec<(u64, u8, u64)> {
        self.received.iter().map(|(at, from, number)| (at / 1000, from.0, *number)).collect()
    }

    fn received_count(&self) -> usize {
        self.received.len()
    }
}

impl Protocol for Counter {
    type Message = Number;
    type Record = Number;
    type Checkpoint = Vec<u64>;

    const ORDER: Order = Order::Total;

    fn handle(&mut self, now: Now, input: Input<Number>, effects: &mut Effects<Number, Number>) {
        match input {
            Input::Campaign => {
                self.count += 1;
                let others = NodeSet::all(self.n).without(self.id);
                for _ in 0..self.copies {
                    effects.send(others, Number(self.count));
                }
                effects.records.push(Number(self.count));
                effects.send_durable(others, Number(DURABLE + self.count), |_, _| false);
                effects.set_timer(TIMER, TIMER_SPAN, TIMER_SPREAD);
            }
            Input::Message { from, message } => {
                assert!(Some(message.0) != self.poison, "{} is poison", message.0);
                self.received.push((now.at.0, from, message.0));
            }
            Input::Timer(_) => {
                self.fired.push(now.at.0);
                if let Some(after) = self.again {
                    effects.set_timer(TIMER, after, Span::ZERO);
                }
            }
            Input::Start | Input::Request(_) | Input::Checkpointed(_) => {}
        }
    }

    fn statement(_: &Number) -> Statement<'_> {
        Statement::Other
    }

    fn recorded(_: &Number) -> Statement<'_> {
        Statement::Other
    }

    fn promised(&self, _: Position) -> Ballot {
        Ballot::NONE
    }

    fn voted(&self, _: Position) -> Option<Ballot> {
        None
    }

    fn checkpoint(&self) -> Vec<u64> {
        vec![self.count]
    }

    fn recover(&mut self, checkpoint: Option<Vec<u64>>, records: Vec<Number>) {
        self.recovered = checkpoint.unwrap_or_default();
        self.recovered.extend(records.iter().map(|record| record.0));
        self.count = self.recovered.last().copied().unwrap_or(0);
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// The mode of a deployment of Paxos.
fn paxos_mode(deployment: &Deployment) -> paxos::Mode {
    match deployment.mode.leader() {
        Some(leader) => paxos::Mode::multi(leader),
        None => paxos::Mode::Classic,
    }
}

/// `n` replicas and a client that asks for nothing.
fn deployment(profile: &str, jitter: Jitter, n: usize) -> Deployment {
    let profile = Profile::load(profile).unwrap();
    let regions = ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];
    let regions = regions.map(str::to_owned)[..n].to_vec();
    Deployment {
        mode: Mode::multi(NodeId(0)),
        quorums: QuorumSystem::majority(n),
        election: Election::Fixed,
        send: SendPolicy::All,
        links: Links::new(&profile, &regions, &regions[..1], jitter).unwrap(),
        network: Network::default(),
        workload: Workload {
            arrival: Arrival::Closed { clients: 1 },
            keys: Keys::Uniform { count: 1 },
            value_bytes: 8,
            reads: 0.0,
            weights: Vec::new(),
            conflicts: None,
        },
        control: None,
        clock_error: Span::ZERO,
        durability: Durability::Fsync,
        retention: Retention::ALL,
        seed: 1,
        warmup: Span::ZERO,
        duration: Span::ZERO,
        drain: Span::ZERO,
        interval: Span::from_millis(1_000),
        retry_after: None,
        faults: Vec::new(),
    }
}

fn counter(n: usize, copies: u64) -> impl Fn(NodeId) -> Counter + 'static {
    move |id| Counter {
        id,
        n,
        copies,
        count: 0,
        received: Vec::new(),
        fired: Vec::new(),
        recovered: Vec::new(),
        poison: None,
        again: None,
    }
}

/// Two replicas that are 10 ms apart in each direction.
fn pair(settings: &Settings) -> World<Counter> {
    World::new(&deployment("uniform:20ms", Jitter::None, 2), settings, counter(2, 1))
}

/// The same two on other links.
fn pair_on(network: Network) -> World<Counter> {
    let deployment = Deployment { network, ..deployment("uniform:20ms", Jitter::None, 2) };
    World::new(&deployment, &Settings::default(), counter(2, 1))
}

/// Three whose links take 10 ms beside the work at their ends.
fn trio(settings: &Settings) -> World<Counter> {
    let round_trip =
        Span::from_millis(20) + (settings.service.send + settings.service.receive).times(2);
    let profile = format!("uniform:{}ns", round_trip.0);
    World::new(&deployment(&profile, Jitter::None, 3), settings, counter(3, 1))
}

fn service(service: Service) -> Settings {
    Settings { service, ..Settings::default() }
}

fn network(conditions: Conditions) -> Network {
    Network { conditions, ..Network::default() }
}

const R0: NodeId = NodeId(0);
const R1: NodeId = NodeId(1);
const R2: NodeId = NodeId(2);

fn ms(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}

/// At this instant, the replica counts up.
fn count_up<P: Protocol>(world: &mut World<P>, at: Time, replica: NodeId) {
    world.run_until(at);
    world.inject(&FaultKind::Campaign { replica }, None);
}

fn received(world: &World<Counter>, replica: NodeId) -> Vec<(u64, u8, u64)> {
    world.protocol(replica).unwrap().received_us()
}

//! What a message costs the replicas and clients themselves: their work without a network or a disk.

use crate::command::ClientId;
use crate::deployment::{Deployment, Durability, Network};
use crate::protocol::{Election, Retention, SendPolicy};
use crate::quorum::{NodeId, QuorumSystem};
use crate::registry::Mode;
use crate::runtime::clock;
use crate::runtime::machine::cpu_s;
use crate::sim::{self, Settings};
use crate::time::Span;
use crate::topology::{Jitter, Links, Profile};
use crate::workload::{Arrival, Keys, Workload};

/// Clients of the closed loop.
const CLIENTS: u32 = 64;

/// A trial of a protocol with a leader that takes some ten milliseconds of real time.
fn deployment() -> Option<Deployment> {
    let profile = Profile::load("uniform:1ms").ok()?;
    let regions = ["a", "b", "c"].map(str::to_owned);
    Some(Deployment {
        mode: Mode::all(NodeId(0)).into_iter().find(|mode| mode.leader().is_some())?,
        quorums: QuorumSystem::majority(regions.len()),
        election: Election::Fixed,
        send: SendPolicy::All,
        links: Links::new(&profile, &regions, &regions[..1], Jitter::None).ok()?,
        network: Network::default(),
        workload: Workload {
            arrival: Arrival::Closed { clients: CLIENTS },
            keys: Keys::Uniform { count: 1000 },
            value_bytes: 128,
            reads: 0.0,
            weights: Vec::new(),
            conflicts: None,
        },
        control: None,
        clock_error: Span::ZERO,
        durability: Durability::Memory,
        retention: Retention::ALL,
        seed: 1,
        warmup: Span::from_millis(5),
        duration: Span::from_millis(50),
        drain: Span::from_millis(100),
        interval: Span::from_millis(1_000),
        retry_after: None,
        faults: Vec::new(),
    })
}

/// Processor time of the simulator for each message, request and answer that it hands over: it runs the replicas
/// and clients of live members, and does little else.
pub(super) fn cpu_ns(length: Span) -> Option<u64> {
    let deployment = deployment()?;
    let (start, before) = (clock::now(), cpu_s()?);
    let mut message_count = 0;
    while message_count == 0 || clock::now().since(start) < length {
        let outcome = sim::run_trial(&deployment, &Settings::default());
        let answered = outcome.clients.get(&ClientId(0))?.acknowledged_count;
        // Each operation is asked for once and answered once.
        message_count += outcome.counts.messages_sent + 2 * answered;
    }
    let took = Span::from_millis_f64((cpu_s()? - before) * 1e3);
    Some(took.0 / message_count)
}

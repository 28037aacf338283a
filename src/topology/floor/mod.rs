//! Floors: what no implementation can be faster than on these links, in closed form.
//!
//! | protocol | commit latency for client c, of a command that is alone |
//! |---|---|
//! | Multi-Paxos and Flexible Paxos, leader L | there and back between c and L, and a phase 2 from L |
//! | classic Paxos, proposer p | there and back between c and its nearest replica p, a phase 1 and a phase 2 from p |
//!
//! A phase from L lasts until some quorum of its family has answered L, with L answering itself at once;
//! where every delay is constant, that is the k-th smallest round trip for counts, and the minimum over
//! the sets of the maximum over their members for explicit sets.
//! Where delays vary, the latency has a distribution, and a [`Floor`] is its p50 and p99: the legs are
//! independent, so sums are convolutions and quorums order statistics, and no random number is drawn.
//! Its resolution and how far it may be from the truth are said in `distribution.rs`.
//! The two phases of classic Paxos use the same links, which remember their delay: they are not
//! independent, and `twice.rs` says how they go together.
//! Where each ballot announces a phase-2 quorum of its own, phase 2 waits for that one, whomever the leader
//! asks: the set nearest to it by medians.
//! Reads go through the log like writes, so theirs is the same.
//!
//! What it leaves out makes a real latency longer, so a floor stays below it:
//! processing, queueing and the disk; commands on the way before it, which are executed first and which
//! no message overtakes; lost races and time-outs; loss and finite bandwidth.
//! What no message overtakes shows where a link forgets its delay between two messages
//! (`correlation = "0s"`): with 100 writes a second, medians of classic Paxos are 0.5 % above their
//! floors.
//! It is the distribution over all moments of the links. A trial sees as many of them as it is longer
//! than the memory of its links: of 20 s with one of 1 s the median is off by 0.5 % (one standard
//! deviation) either way, and its p99 by 1 to 2 %.
//! It knows no faults: a leader that is slowed or replaced has another floor.
//!
//! What is chosen by distance, such as the best leader or the replica that a client asks, is chosen by
//! medians ([`medians`]): so it is the same whether links have jitter or not.

mod answered;
mod distribution;
pub mod medians;
mod twice;
mod wait;

use std::collections::BTreeMap;

use super::links::{Links, Site};
use crate::paxos::{Mode, SendPolicy};
use crate::quorum::{Family, NodeId, QuorumSystem};
use crate::time::Span;
use distribution::Distribution;
use medians::nearest_replica;
use wait::Wait;

/// The percentiles of the least commit latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The median.
    pub p50: Span,
    /// The 99th percentile; the same if no delay on the way varies.
    pub p99: Span,
}

impl Floor {
    /// That of a latency that is always the same.
    pub const fn constant(span: Span) -> Self {
        Self { p50: span, p99: span }
    }
}

/// The floor of every client, in their order.
///
/// `memory` is how long links remember their delay: the correlation of those of two messages falls to
/// 1/e in that time.
///
/// # Panics
/// If a family is one of more replicas than the links have.
pub fn floors(
    links: &Links,
    mode: Mode,
    quorums: &QuorumSystem,
    send: SendPolicy,
    memory: Span,
) -> Vec<Floor> {
    let proposer = |client| match mode {
        Mode::Classic => nearest_replica(links, client),
        Mode::Multi { leader } => leader,
    };
    let families: &[&Family] = match mode {
        Mode::Classic => &[quorums.phase1(), quorums.phase2()],
        Mode::Multi { .. } => &[quorums.phase2()],
    };
    // The quorum that a ballot announces is one set, as that of a thrifty proposer is.
    let send = if quorums.is_per_ballot() { SendPolicy::Quorum } else { send };
    let clients = 0..links.client_regions.len();
    let mut waits: BTreeMap<NodeId, Vec<Wait<'_>>> = BTreeMap::new();
    for client in clients.clone() {
        let from = proposer(client);
        let phases =
            || families.iter().map(|family| Wait::new(links, from, family, send)).collect();
        waits.entry(from).or_insert_with(phases);
    }
    let delays = waits.values().flatten().flat_map(Wait::delays);
    let of_clients = clients
        .clone()
        .flat_map(|client| wait::legs(links, proposer(client), Site::Client(client)));
    let step = distribution::step(delays.chain(of_clients));
    let phases: BTreeMap<NodeId, Distribution> = waits
        .iter()
        .map(|(from, waits)| {
            let length = match &waits[..] {
                [first, second] => twice::both(first, second, memory, step),
                [only] => only.distribution(step),
                _ => unreachable!("a command takes one phase or two"),
            };
            (*from, length)
        })
        .collect();
    clients
        .map(|client| {
            let from = proposer(client);
            let asked = wait::round_trip(links, from, Site::Client(client), step);
            let latency = asked.plus(&phases[&from]);
            Floor { p50: latency.quantile(0.5), p99: latency.quantile(0.99) }
        })
        .collect()
}

#[cfg(test)]
mod tests;

//! Floors: what no implementation can be faster than on these links, in closed form.
//!
//! | protocol | commit latency for client c, of a command that is alone |
//! |---|---|
//! | Multi-Paxos and Flexible Paxos, leader L | there and back between c and L, and a phase 2 from L |
//! | CASPaxos, proposer L for all clients, of a key that L wrote last | the same |
//! | CASPaxos, a proposer p for each client | as classic Paxos |
//! | classic Paxos, proposer p | there and back between c and its nearest replica p, a phase 1 and a phase 2 from p |
//!
//! A phase from L lasts until some quorum of its family has answered L, with L answering itself at once;
//! where every delay is constant, that is the k-th smallest round trip for counts, and the minimum over
//! the sets of the maximum over their members for explicit sets.
//! Where delays vary, the latency has a distribution, and a [`Floor`] is its p50 and p99: the legs are
//! independent, so sums are convolutions and quorums order statistics, and no random number is drawn.
//! Its resolution and how far it may be from the truth are said in `distribution.rs`.
//! The two phases of one command use the same links, which remember their delay: they are not
//! independent, and `twice.rs` says how they go together.
//! Where each ballot announces a phase-2 quorum of its own, phase 2 waits for that one, whomever the leader
//! asks: the set nearest to it by medians.
//! Reads go through the log like writes, so theirs is the same; a quorum read takes the way there and back between c
//! and its nearest replica with a state machine, and a phase 1 from there ([`read_floors`]).
//! A read that a responder answers takes the way there and back between c and its nearest responder; for that the
//! phase 2 of each write waits for every responder too.
//! Where responders answer for ranges of keys, a floor is that of all commands of the client: each has that of its key
//! with the share of them that touches such keys ([`floors_by_key`]). Of a mode alone, without a load, it is the least
//! over all keys.
//! With a commit wait a leader tells nobody of a write before 2 ε have passed since it proposed it, ε the bound of
//! clocks: so a phase 2 of a write takes that at least, and what remains visible is `max(0, 2 ε - phase 2)`.
//! A snapshot read takes the way there and back between c and its nearest replica r with a state machine, and the wait
//! until r has executed what was proposed one staleness before the read arrived:
//! `max(0, phase 2 from L + the way from L to r - staleness - 2 ε)`, without 2 ε where r is L. That is the least: where
//! the leader proposes seldom, the read waits for its next proposal, `advance` more at most; and for the news of it, which
//! the leader announces 2 ms later if no proposal carries it.
//! A control operation is answered by the replica that the client asks, so its floor is the way there and back
//! alone ([`control_floors`]): whatever the quorums are, it is the same.
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
mod mixture;
mod twice;
mod wait;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::links::{Links, Site};
use crate::protocol::SendPolicy;
use crate::quorum::{NodeId, QuorumSystem};
use crate::registry::Mode;
use crate::time::Span;
use distribution::{Distribution, UNCUT};
use medians::nearest_among;
use mixture::{Mixture, Quantiles};
use wait::Wait;

/// The percentiles of the least commit latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    Commits::new(links, mode, quorums, send, memory).floors()
}

/// The same of a load, parts of which meet another mode each: `by_client` has the modes that the commands of each client
/// meet, and the share of them that meets it.
///
/// # Panics
/// As [`floors`].
pub fn floors_by_key(
    links: &Links,
    by_client: &[Vec<(Mode, f64)>],
    quorums: &QuorumSystem,
    send: SendPolicy,
    memory: Span,
) -> Vec<Floor> {
    mixed(by_client, |mode| Commits::new(links, mode, quorums, send, memory))
}

/// As [`floors_by_key`], of reads.
///
/// # Panics
/// As [`floors`].
pub fn read_floors_by_key(
    links: &Links,
    by_client: &[Vec<(Mode, f64)>],
    quorums: &QuorumSystem,
    send: SendPolicy,
    memory: Span,
) -> Vec<Floor> {
    let commits = |mode| Commits::new(links, mode, quorums, send, memory);
    mixed(by_client, |mode| Commits { is_read: true, ..commits(mode) })
}

/// The floor of every client, each of whose commands meets one of the client's modes with a probability in proportion to
/// its share.
fn mixed<'a>(by_client: &[Vec<(Mode, f64)>], commits: impl Fn(Mode) -> Commits<'a>) -> Vec<Floor> {
    if let Some(only) = only_mode(by_client) {
        return commits(only).floors();
    }
    let floor = |(client, modes): (usize, &Vec<(Mode, f64)>)| {
        let parts = modes.iter().map(|(mode, share)| (commits(*mode), *share));
        let (parts, shares): (Vec<Commits<'_>>, Vec<f64>) = parts.unzip();
        let within = |cap| {
            let latency = |part: &Commits<'_>| part.latencies(&[client], cap).swap_remove(0);
            Mixture::new(&shares, parts.iter().map(latency).collect())
        };
        let of = |share| percentile(share, within(UNCUT), within);
        Floor { p50: of(0.5), p99: of(0.99) }
    };
    by_client.iter().enumerate().map(floor).collect()
}

/// The mode that all commands of all clients meet, if there is only one.
fn only_mode(by_client: &[Vec<(Mode, f64)>]) -> Option<Mode> {
    let [(only, _)] = by_client.first()?[..] else { return None };
    let is_it = |modes: &Vec<(Mode, f64)>| matches!(modes[..], [(mode, _)] if mode == only);
    by_client.iter().all(is_it).then_some(only)
}

/// The floor of every client's reads, in their order: as [`floors`], where reads take the way of writes.
///
/// # Panics
/// As [`floors`].
pub fn read_floors(
    links: &Links,
    mode: Mode,
    quorums: &QuorumSystem,
    send: SendPolicy,
    memory: Span,
) -> Vec<Floor> {
    let commits = Commits::new(links, mode, quorums, send, memory);
    Commits { is_read: true, ..commits }.floors()
}

/// The percentiles of the commit latency over the writes of all clients, where each client has a part of
/// the load in proportion to its weight.
///
/// The median of all writes is no mean of the clients' medians: it is the time within which half of them
/// are over.
///
/// # Panics
/// If there is not one weight for each client, or as [`floors`].
pub fn load_floor(
    links: &Links,
    mode: Mode,
    quorums: &QuorumSystem,
    send: SendPolicy,
    memory: Span,
    weights: &[f64],
) -> Floor {
    let clients: Vec<usize> = (0..links.client_regions.len()).collect();
    assert_eq!(weights.len(), clients.len(), "a weight for each client region");
    let commits = Commits::new(links, mode, quorums, send, memory);
    let within = |cap| Mixture::new(weights, commits.latencies(&clients, cap));
    let found = within(UNCUT);
    let of = |share| percentile(share, found.clone(), within);
    Floor { p50: of(0.5), p99: of(0.99) }
}

/// The floor of every client's control operations, in their order: there and back between it and the replica
/// that it asks.
pub fn control_floors(links: &Links, mode: Mode, quorums: &QuorumSystem) -> Vec<Floor> {
    let floor = |client| {
        let (asked, site) = (asked(links, mode, quorums, client), Site::Client(client));
        let within = |cap| {
            let step = distribution::step(wait::legs(links, asked, site, cap).into_iter());
            wait::round_trip(links, asked, site, step, cap)
        };
        let of = |share| percentile(share, within(UNCUT), within);
        Floor { p50: of(0.5), p99: of(0.99) }
    };
    (0..links.client_regions.len()).map(floor).collect()
}

/// The replica that a client asks.
fn asked(links: &Links, mode: Mode, quorums: &QuorumSystem, client: usize) -> NodeId {
    mode.asked().unwrap_or_else(|| nearest_among(links, quorums.candidates(), client))
}

/// A percentile of a latency, whose distribution was `found` on some points; `within` finds it again, exact
/// below a cap.
///
/// What is over within a time has no leg that is longer, so delays may be cut there: the narrower what is
/// left, the finer are its points.
fn percentile<T: Quantiles>(share: f64, mut found: T, within: impl Fn(Span) -> T) -> Span {
    loop {
        let (value, step) = (found.quantile(share), found.step());
        let off = step.times(STEPS_OFF);
        if off.times(FINE) <= value {
            return value;
        }
        let finer = within(value + off);
        // Where nothing more can be cut off, this is as fine as it gets.
        if finer.step().times(4) > step.times(3) {
            return finer.quantile(share);
        }
        found = finer;
    }
}

/// So many steps a latency is off at most: see `distribution.rs`.
const STEPS_OFF: u64 = 6;

/// A step is fine where [`STEPS_OFF`] of them are this share of a percentile.
const FINE: u64 = 200;

/// How long it takes until a replica knows of an entry that its leader proposes, beyond a part of it.
struct News<'a> {
    links: &'a Links,
    leader: NodeId,
    to: NodeId,
    phase2: Wait<'a>,
    /// That part.
    settled: Span,
    cap: Span,
}

impl News<'_> {
    /// The delay from the leader, as its least and its greatest; none at the leader.
    fn way(&self) -> Option<(Span, Span)> {
        let delay = self.links.between(Site::Replica(self.leader), Site::Replica(self.to));
        (self.leader != self.to).then(|| distribution::range(delay, self.cap))
    }

    fn distribution(&self, step: Span) -> Distribution {
        let phase2 = self.phase2.distribution(step);
        let known = if self.leader == self.to {
            phase2
        } else {
            let (leader, to) = (Site::Replica(self.leader), Site::Replica(self.to));
            phase2.plus(&Distribution::of(self.links.between(leader, to), step, self.cap))
        };
        known.beyond(self.settled)
    }
}

/// The commits of a variant.
struct Commits<'a> {
    links: &'a Links,
    mode: Mode,
    quorums: &'a QuorumSystem,
    send: SendPolicy,
    memory: Span,
    /// Whether it is about reads.
    is_read: bool,
}

impl<'a> Commits<'a> {
    fn new(
        links: &'a Links,
        mode: Mode,
        quorums: &'a QuorumSystem,
        send: SendPolicy,
        memory: Span,
    ) -> Self {
        // The quorum that a ballot announces is one set, as that of a thrifty proposer is.
        let send = if quorums.announces() { SendPolicy::Quorum } else { send };
        Self { links, mode, quorums, send, memory, is_read: false }
    }

    /// The floor of every client.
    fn floors(&self) -> Vec<Floor> {
        let clients: Vec<usize> = (0..self.links.client_regions.len()).collect();
        let latencies = self.latencies(&clients, UNCUT);
        clients
            .into_iter()
            .zip(latencies)
            .map(|(client, latency)| {
                let within = |cap| self.latencies(&[client], cap).swap_remove(0);
                let of = |share| percentile(share, latency.clone(), within);
                Floor { p50: of(0.5), p99: of(0.99) }
            })
            .collect()
    }

    /// What each of these replicas waits for before it answers a snapshot read.
    fn news(&self, at: &BTreeMap<NodeId, Vec<Wait<'_>>>, cap: Span) -> Vec<News<'a>> {
        let (Some(terms), Some(leader)) = (self.mode.snapshot(), self.mode.leader()) else {
            return Vec::new();
        };
        let news = |to: &NodeId| {
            let settled = medians::settled(terms, *to == leader);
            // Of what is longer than the cap, so much more is no part of the wait.
            let cap = cap + settled;
            let family = self.quorums.phase2();
            let phase2 = Wait::new(self.links, leader, family, self.send, cap);
            News { links: self.links, leader, to: *to, phase2, settled, cap }
        };
        if self.is_read { at.keys().map(news).collect() } else { Vec::new() }
    }

    /// The latency of these clients, exact below `cap`.
    fn latencies(&self, clients: &[usize], cap: Span) -> Vec<Distribution> {
        let Self { links, mode, quorums, send, memory, is_read } = *self;
        let commit_wait = mode.commit_wait().filter(|_| !is_read).map(|bound| bound.times(2));
        let is_nearby = is_read && mode.reads_nearby();
        let proposer = |client| {
            if is_nearby {
                nearest_among(links, mode.readers(quorums), client)
            } else {
                asked(links, mode, quorums, client)
            }
        };
        let families = if is_read { mode.read_phases(quorums) } else { mode.phases(quorums) };
        let mut waits: BTreeMap<NodeId, Vec<Wait<'_>>> = BTreeMap::new();
        for client in clients {
            let from = proposer(*client);
            let phases = || {
                families.iter().map(|family| Wait::new(links, from, family, send, cap)).collect()
            };
            waits.entry(from).or_insert_with(phases);
        }
        let news = self.news(&waits, cap);
        let delays = waits.values().flatten().chain(news.iter().map(|news| &news.phase2));
        let delays = delays.flat_map(Wait::delays).chain(news.iter().filter_map(News::way));
        let of_clients = clients
            .iter()
            .flat_map(|client| wait::legs(links, proposer(*client), Site::Client(*client), cap));
        let step = distribution::step(delays.chain(of_clients));
        let phases: BTreeMap<NodeId, Distribution> = waits
            .iter()
            .map(|(from, waits)| {
                let length = match &waits[..] {
                    [first, second] => twice::both(first, second, memory, step),
                    [only] => only.distribution(step),
                    // A read that one replica answers alone.
                    [] => Distribution::constant(Span::ZERO),
                    _ => unreachable!("a command takes one phase or two"),
                };
                let length = commit_wait.map_or(length.clone(), |least| length.at_least(least));
                let of_this = news.iter().find(|news| news.to == *from);
                (*from, of_this.map_or(length, |news| news.distribution(step)))
            })
            .collect();
        let latency = |client: &usize| {
            let from = proposer(*client);
            let asked = wait::round_trip(links, from, Site::Client(*client), step, cap);
            asked.plus(&phases[&from])
        };
        clients.iter().map(latency).collect()
    }
}

#[cfg(test)]
mod tests;

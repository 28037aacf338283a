//! All links of a deployment, and what faults do to them.

use serde::Serialize;

use super::faults::Active;
use super::link::{Conditions, Fate, Link, transmission};
use super::queue::{Kind, Queue, Source};
use super::settings::Network as Settings;
use crate::command::{ClientId, Command};
use crate::deployment::{Deployment, Harm, MemberName, site};
use crate::protocol::Reply;
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// The directed links between all members, each reached by its number.
#[derive(Debug)]
pub(super) struct Network<M> {
    n: usize,
    client_count: usize,
    settings: Settings,
    /// What a replica sent before is on its uplink until then.
    uplinks_free_at: Vec<Time>,
    /// From replica (row) to replica (column).
    pub(super) links: Vec<Link<M>>,
    /// From client (row) to replica (column).
    pub(super) requests: Vec<Link<Command>>,
    /// From replica (row) to client (column).
    pub(super) replies: Vec<Link<Reply>>,
}

impl<M: Clone + Serialize> Network<M> {
    pub(super) fn new(deployment: &Deployment, settings: Settings) -> Self {
        let n = deployment.links.replica_regions.len();
        let client_count = deployment.links.client_regions.len();
        let replicas: Vec<MemberName> =
            deployment.links.replicas().map(MemberName::Replica).collect();
        let clients: Vec<MemberName> =
            (0u32..).take(client_count).map(|id| MemberName::Client(ClientId(id))).collect();
        let mut network = Self {
            n,
            client_count,
            settings,
            uplinks_free_at: vec![Time::ZERO; n],
            links: table(deployment, &replicas, &replicas, Kind::Link),
            requests: table(deployment, &clients, &replicas, Kind::Request),
            replies: table(deployment, &replicas, &clients, Kind::Reply),
        };
        network.set_conditions(&[]);
        network
    }

    /// The ends of a link between replicas.
    #[inline]
    pub(super) fn ends(&self, link: usize) -> (usize, usize) {
        (link / self.n, link % self.n)
    }

    /// The ends of a link from a client to a replica.
    #[inline]
    pub(super) fn request_ends(&self, link: usize) -> (usize, usize) {
        (link / self.n, link % self.n)
    }

    /// The ends of a link from a replica to a client.
    #[inline]
    pub(super) fn reply_ends(&self, link: usize) -> (usize, usize) {
        (link / self.client_count, link % self.client_count)
    }

    #[inline]
    pub(super) fn send(
        &mut self,
        (from, to): (NodeId, NodeId),
        at: Time,
        message: M,
        queue: &mut Queue,
    ) -> Fate {
        let at = self.behind_others(from, at, &message);
        let link = usize::from(from.0) * self.n + usize::from(to.0);
        self.links[link].send(at, message, queue)
    }

    #[inline]
    pub(super) fn ask(
        &mut self,
        (from, to): (usize, NodeId),
        at: Time,
        command: Command,
        queue: &mut Queue,
    ) -> Fate {
        self.requests[from * self.n + usize::from(to.0)].send(at, command, queue)
    }

    #[inline]
    pub(super) fn answer(
        &mut self,
        (from, to): (NodeId, usize),
        at: Time,
        reply: Reply,
        queue: &mut Queue,
    ) -> Fate {
        let at = self.behind_others(from, at, &reply);
        self.replies[usize::from(from.0) * self.client_count + to].send(at, reply, queue)
    }

    /// When a message has left its sender's uplink, behind all that the sender sent before.
    #[inline]
    fn behind_others<T: Serialize>(&mut self, from: NodeId, at: Time, message: &T) -> Time {
        let Some(bits_per_s) = self.settings.uplink_bits_per_s else { return at };
        let free_at = &mut self.uplinks_free_at[usize::from(from.0)];
        *free_at = at.max(*free_at) + transmission(message, bits_per_s);
        *free_at
    }

    /// Takes back what `from` was given from this sequence number on and has not put on the wire.
    pub(super) fn recall(&mut self, from: NodeId, sequence: u64, queue: &mut Queue) -> u64 {
        let node = usize::from(from.0);
        let links = &mut self.links[node * self.n..(node + 1) * self.n];
        let replies = &mut self.replies[node * self.client_count..(node + 1) * self.client_count];
        let messages: u64 = links.iter_mut().map(|link| link.recall(sequence, queue)).sum();
        messages + replies.iter_mut().map(|link| link.recall(sequence, queue)).sum::<u64>()
    }

    /// What all links do while these faults last; those of clients know no faults.
    pub(super) fn set_conditions(&mut self, active: &[Active]) {
        let base = Conditions {
            is_cut: false,
            slow: Span::ZERO,
            loss: self.settings.loss,
            duplication: self.settings.duplication,
            reordering: self.settings.reordering,
            bandwidth_bits_per_s: self.settings.bandwidth_bits_per_s,
        };
        self.requests.iter_mut().for_each(|link| link.set_conditions(base));
        self.replies.iter_mut().for_each(|link| link.set_conditions(base));
        for (index, link) in self.links.iter_mut().enumerate() {
            let [from, to] = [index / self.n, index % self.n].map(node);
            let harms = active.iter().map(|active| &active.harm);
            link.set_conditions(harms.fold(base, |before, harm| under(harm, from, to, before)));
        }
    }
}

/// The replica of this index.
pub(super) fn node(index: usize) -> NodeId {
    NodeId(u8::try_from(index).expect("a deployment has at most 64 replicas"))
}

fn table<T>(
    deployment: &Deployment,
    from: &[MemberName],
    to: &[MemberName],
    kind: Kind,
) -> Vec<Link<T>> {
    let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
    pairs
        .enumerate()
        .map(|(index, (from, to))| {
            let index = u16::try_from(index).expect("a deployment has fewer than 65536 links");
            let delay = deployment.links.between(site(from), site(to));
            Link::new(deployment.seed, from, to, delay, Source { kind, index })
        })
        .collect()
}

/// What a fault makes of a link that already does something else.
fn under(harm: &Harm, from: NodeId, to: NodeId, before: Conditions) -> Conditions {
    let is_hit = |senders: &crate::quorum::NodeSet, receivers: &crate::quorum::NodeSet| {
        senders.contains(from) && receivers.contains(to)
    };
    // Two independent causes: what survives both.
    let either = |one: f64, other: f64| 1.0 - (1.0 - one) * (1.0 - other);
    match harm {
        Harm::Partition { side } if side.contains(from) != side.contains(to) => {
            Conditions { is_cut: true, ..before }
        }
        Harm::Cut { from: senders, to: receivers } if is_hit(senders, receivers) => {
            Conditions { is_cut: true, ..before }
        }
        Harm::Slow { from: senders, to: receivers, by } if is_hit(senders, receivers) => {
            Conditions { slow: before.slow + *by, ..before }
        }
        Harm::Lose { from: senders, to: receivers, share } if is_hit(senders, receivers) => {
            Conditions { loss: either(before.loss, *share), ..before }
        }
        Harm::Duplicate { from: senders, to: receivers, share } if is_hit(senders, receivers) => {
            Conditions { duplication: either(before.duplication, *share), ..before }
        }
        Harm::Reorder { from: senders, to: receivers, spread } if is_hit(senders, receivers) => {
            Conditions { reordering: before.reordering + *spread, ..before }
        }
        _ => before,
    }
}

//! All links of a deployment, and what faults do to them.

use serde::Serialize;

use super::connection::Connection;
use super::link::{LEAST_DELAY, Link, Mended, wire_bytes};
use super::machine::{Host, Member};
use super::queue::{Kind, Queue, Source};
use super::settings::Settings;
use crate::command::{Ask, ClientId};
use crate::deployment::{self, Deployment, FaultKind, MemberName, site};
use crate::link::{Fate, Link as Model, Wire, streams};
use crate::protocol::Answer;
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// The directed links between all members, each reached by its number.
#[derive(Debug)]
pub(super) struct SimNetwork<M> {
    n: usize,
    client_count: usize,
    settings: deployment::Network,
    connection: Option<Connection>,
    /// Messages that found no room for the uplink of their sender, and waited there.
    waited_count: u64,
    /// What all that a replica sends goes through first.
    uplinks: Vec<Wire>,
    /// From replica (row) to replica (column).
    pub(super) links: Vec<Link<M>>,
    /// From client (row) to replica (column).
    pub(super) requests: Vec<Link<Ask>>,
    /// From replica (row) to client (column).
    pub(super) replies: Vec<Link<Answer>>,
}

impl<M: Clone + Serialize> SimNetwork<M> {
    /// As the live emulation does, a link delays by so much less as its ends take by themselves when they
    /// are idle, so that both worlds have the delays asked for and add only what queues.
    pub(super) fn new(deployment: &Deployment, settings: &Settings) -> Self {
        let Settings { service, connection, host } = *settings;
        // What the ends of a link take; on a shared machine clients take time too.
        let ends = |alone| Ends { alone, together: service.send + service.receive, host };
        let n = deployment.links.replica_regions.len();
        let client_count = deployment.links.client_regions.len();
        let replicas: Vec<MemberName> =
            deployment.links.replicas().map(MemberName::Replica).collect();
        let clients: Vec<MemberName> =
            (0u32..).take(client_count).map(|id| MemberName::Client(ClientId(id))).collect();
        let mut network = Self {
            n,
            client_count,
            settings: deployment.network,
            connection,
            waited_count: 0,
            uplinks: vec![Wire::default(); n],
            links: table(
                deployment,
                &replicas,
                &replicas,
                (Kind::Link, ends(service.send + service.receive)),
                connection,
            ),
            requests: table(
                deployment,
                &clients,
                &replicas,
                (Kind::Request, ends(service.receive)),
                connection,
            ),
            replies: table(
                deployment,
                &replicas,
                &clients,
                (Kind::Reply, ends(service.send)),
                connection,
            ),
        };
        network.set_conditions(Time::ZERO, &[].iter(), &mut Queue::default());
        network
    }

    /// Whether a live link between these members would be delayed by an emulation.
    pub(super) fn is_emulated(&self, from: Member, to: Member) -> bool {
        let index = |replica: NodeId| usize::from(replica.0);
        match (from, to) {
            (Member::Replica(from), Member::Replica(to)) => {
                self.links[index(from) * self.n + index(to)].is_emulated
            }
            (Member::Client(from), Member::Replica(to)) => {
                self.requests[from.0 as usize * self.n + index(to)].is_emulated
            }
            (Member::Replica(from), Member::Client(to)) => {
                self.replies[index(from) * self.client_count + to.0 as usize].is_emulated
            }
            _ => false,
        }
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
        let Some(at) = self.behind_others(from, at, &message) else { return Fate::QueueFull };
        let link = usize::from(from.0) * self.n + usize::from(to.0);
        self.links[link].send(at, message, queue)
    }

    #[inline]
    pub(super) fn ask(
        &mut self,
        (from, to): (usize, NodeId),
        at: Time,
        ask: Ask,
        queue: &mut Queue,
    ) -> Fate {
        self.requests[from * self.n + usize::from(to.0)].send(at, ask, queue)
    }

    #[inline]
    pub(super) fn answer(
        &mut self,
        (from, to): (NodeId, usize),
        at: Time,
        answer: Answer,
        queue: &mut Queue,
    ) -> Fate {
        let Some(at) = self.behind_others(from, at, &answer) else { return Fate::QueueFull };
        self.replies[usize::from(from.0) * self.client_count + to].send(at, answer, queue)
    }

    /// When a message has left its sender's uplink, behind all that the sender sent before; `None` if
    /// its queue has no room.
    #[inline]
    fn behind_others<T: Serialize>(&mut self, from: NodeId, at: Time, message: &T) -> Option<Time> {
        let Some(bits_per_s) = self.settings.uplink_bits_per_s else { return Some(at) };
        let queue_bytes_max = self.settings.conditions.queue_bytes_max;
        let uplink = &mut self.uplinks[usize::from(from.0)];
        let bytes = wire_bytes(message);
        let Some(Connection { window_bytes, .. }) = self.connection else {
            return uplink.pass(at, bytes, bits_per_s, queue_bytes_max);
        };
        let (passed_at, has_waited) =
            uplink.pass_or_wait(at, bytes, bits_per_s, queue_bytes_max, window_bytes)?;
        self.waited_count += u64::from(has_waited);
        Some(passed_at)
    }

    /// What connections mended so far.
    pub(super) fn mended(&self) -> Mended {
        let links = self.links.iter().map(|link| link.mended);
        let links = links.chain(self.requests.iter().map(|link| link.mended));
        let links = links.chain(self.replies.iter().map(|link| link.mended));
        let waited = Mended { lost: 0, queue_dropped: self.waited_count };
        links.fold(waited, |sum, link| Mended {
            lost: sum.lost + link.lost,
            queue_dropped: sum.queue_dropped + link.queue_dropped,
        })
    }

    /// A replica crashed: what its connections and those to it hold is lost.
    pub(super) fn disconnect(&mut self, replica: NodeId) {
        let (n, clients, replica) = (self.n, self.client_count, usize::from(replica.0));
        for (index, link) in self.links.iter_mut().enumerate() {
            if index / n == replica || index % n == replica {
                link.disconnect();
            }
        }
        for client in 0..clients {
            self.requests[client * n + replica].disconnect();
            self.replies[replica * clients + client].disconnect();
        }
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
    pub(super) fn set_conditions<'a>(
        &mut self,
        now: Time,
        active: &(impl Iterator<Item = &'a FaultKind> + Clone),
        queue: &mut Queue,
    ) {
        let base = self.settings.conditions;
        for link in &mut self.requests {
            link.set_conditions(now, base, |at, _| at, queue);
        }
        for link in &mut self.replies {
            link.set_conditions(now, base, |at, _| at, queue);
        }
        for (index, link) in self.links.iter_mut().enumerate() {
            let [from, to] =
                [index / self.n, index % self.n].map(|index| MemberName::Replica(node(index)));
            let conditions = self.settings.under(active.clone(), from, to);
            let uplink = &mut self.uplinks[index / self.n];
            let leave = |at, message: &M| match self.settings.uplink_bits_per_s {
                Some(bits) => uplink.pass(at, wire_bytes(message), bits, None).unwrap_or(at),
                None => at,
            };
            link.set_conditions(now, conditions, leave, queue);
        }
    }
}

/// What the ends of a link take for a message when they are idle.
#[derive(Clone, Copy)]
struct Ends {
    /// Where each replica has a processor of its own.
    alone: Span,
    /// The same where all members share a machine, without what turns and packets cost there.
    together: Span,
    host: Option<Host>,
}

impl Ends {
    fn time(self, is_emulated: bool) -> Span {
        self.host.map_or(self.alone, |host| self.together + host.costs.hop(is_emulated))
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
    (kind, ends): (Kind, Ends),
    connection: Option<Connection>,
) -> Vec<Link<T>> {
    let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
    pairs
        .enumerate()
        .map(|(index, (from, to))| {
            let index = u16::try_from(index).expect("a deployment has fewer than 65536 links");
            let (from, to) = (site(from), site(to));
            let round_trip = deployment.links.round_trip(from, to);
            let baseline = ends.time(round_trip > Span::ZERO);
            let (delay, _) = deployment.links.between(from, to).shorter_by(baseline);
            let (id, correlation) = (streams::id(from, to), deployment.network.correlation);
            let model = Model::new(deployment.seed, id, delay, correlation, LEAST_DELAY);
            Link::new(model, Source { kind, index }, connection, round_trip)
        })
        .collect()
}

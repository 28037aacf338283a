//! The place of a member in a deployment: its socket, its links, and its connections to the others.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::agent;
use super::network::{directions, shorter};
use super::wire::{Assignment, Baselines};
use crate::deployment::{Deployment, MemberName, site};
use crate::runtime::alarm;
use crate::runtime::mesh::{Attached, Mesh};
use crate::runtime::net::link::Links;
use crate::runtime::net::sabotage::Rule;
use crate::runtime::net::{Emulation, Endpoint, Identity, Precision, Releaser, endpoint};
use crate::runtime::probe::{Order, Prober};
use crate::time::Span;

/// The place of one member in a deployment.
pub(super) struct Place {
    member: MemberName,
    pub(super) deployment: Deployment,
    pub(super) endpoint: Endpoint,
    pub(super) emulation: Option<Arc<Emulation>>,
    broken: Option<Rule>,
    /// Where the others are, as far as is known.
    addresses: Vec<(MemberName, SocketAddr)>,
    /// What the links from here are shortened by.
    baselines: Baselines,
    pub(super) mesh: Mesh,
    pub(super) attached: Option<UnboundedReceiver<Attached>>,
    /// Dialling and accepting; they end with the agent.
    tasks: JoinSet<()>,
}

impl Place {
    /// Takes the place; a process of several members shares one thread that releases datagrams.
    pub(super) fn take(
        assignment: Assignment,
        member: MemberName,
        identity: &Identity,
        releaser: Option<Arc<Releaser>>,
    ) -> Result<Self, agent::Error> {
        let Assignment { deployment, transport, bind, known, baselines, broken } = assignment;
        let emulation = if deployment.is_emulated() {
            let releaser = match releaser {
                Some(releaser) => releaser,
                None => Releaser::start(Precision::default())
                    .map(Arc::new)
                    .map_err(agent::Error::Emulation)?,
            };
            let emulation = Emulation::new(Links::new(deployment.seed), releaser);
            Some(Arc::new(match broken {
                Some(rule) => emulation.broken(rule),
                None => emulation,
            }))
        } else {
            None
        };
        let endpoint = endpoint::bind(identity, bind, emulation.clone(), &transport)?;
        let (sender, attached) = unbounded_channel();
        let peers = deployment.peers(member).into_iter().map(|peer| peer.to_string());
        let mesh = Mesh::new(endpoint.clone(), peers, sender);
        let (attached, tasks) = (Some(attached), JoinSet::new());
        let addresses = known;
        let place = Self {
            member,
            deployment,
            endpoint,
            emulation,
            broken,
            addresses,
            baselines,
            mesh,
            attached,
            tasks,
        };
        place.set_links();
        Ok(place)
    }

    /// Sets the delay of every link from here, and only then lets anything pass.
    pub(super) fn connect(&mut self, addresses: Vec<(MemberName, SocketAddr)>) {
        self.addresses = addresses;
        self.set_links();
        self.tasks.spawn(self.mesh.clone().accept());
        let Self { member, deployment, .. } = self;
        let peers = deployment.peers(*member);
        for (peer, address) in self.addresses.iter().filter(|(peer, _)| peers.contains(peer)) {
            if Deployment::dials(*member, *peer) {
                let round_trip = deployment.links.round_trip(site(*member), site(*peer));
                let dial = self.mesh.clone().dial(*address, peer.to_string(), round_trip);
                self.tasks.spawn(dial);
            }
        }
    }

    /// Shortens every link from here by what its path takes by itself.
    pub(super) fn shorten(&mut self, baselines: Baselines) {
        self.baselines = baselines;
        self.set_links();
    }

    /// What measures the links from here and to here.
    pub(super) fn prober(
        &self,
        order: Order,
        attached: UnboundedReceiver<Attached>,
    ) -> Result<Prober, alarm::Error> {
        let directions = directions(&self.deployment);
        let count = directions.len();
        let own = directions.into_iter().enumerate().filter(|(_, (from, _))| *from == self.member);
        let offsets = own.map(|(index, (_, to))| (to, order.offset(index, count)));
        Prober::new(order, offsets, self.mesh.clone(), attached)
    }

    /// Sets the delay of every link from here.
    fn set_links(&self) {
        let Some(emulation) = &self.emulation else { return };
        let Self { member, deployment, .. } = self;
        let peers = deployment.peers(*member);
        for (peer, address) in self.addresses.iter().filter(|(peer, _)| peers.contains(peer)) {
            let asked = deployment.links.between(site(*member), site(*peer));
            let baseline = self.baselines.iter().find(|(to, _)| to == peer);
            let mut delay = shorter(asked, baseline.map_or(Span::ZERO, |(_, baseline)| *baseline));
            if let Some(rule) = self.broken {
                delay = rule.distort(delay, Deployment::dials(*member, *peer));
            }
            emulation.set(*address, delay, stream_of(*member) << 32 | stream_of(*peer));
        }
    }
}

/// A number for each member, so that every directed link draws from a stream of its own.
fn stream_of(member: MemberName) -> u64 {
    match member {
        MemberName::Replica(id) => u64::from(id.0),
        MemberName::Client(id) => 1 << 16 | u64::from(id.0),
    }
}

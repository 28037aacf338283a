//! The place of a member in a deployment: its socket, its links, and its connections to the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::agent;
use super::wire::{Assignment, Baselines};
use crate::deployment::{
    Deployment, FaultKind, MemberName, Network, disk_delay, is_disk_full, site,
};
use crate::link::streams;
use crate::quorum::NodeId;
use crate::runtime::alarm;
use crate::runtime::machine::awake::Awake;
use crate::runtime::mesh::{Attached, Mesh};
use crate::runtime::net::{Carrier, Identity};
use crate::runtime::probe::{Order, Prober};
use crate::runtime::wan::link::Links;
use crate::runtime::wan::sabotage::Rule;
use crate::runtime::wan::{Emulation, Releaser};
use crate::time::Span;
use crate::topology::Delay;
use crate::trial::probed::directions;

/// The place of one member in a deployment.
pub(super) struct Place {
    member: MemberName,
    pub(super) deployment: Deployment,
    pub(super) endpoint: Carrier,
    pub(super) emulation: Option<Arc<Emulation>>,
    broken: Option<Rule>,
    /// Where the others are, as far as is known.
    addresses: Vec<(MemberName, SocketAddr)>,
    /// What the links from here are shortened by.
    baselines: Baselines,
    /// The faults that last.
    faults: Vec<FaultKind>,
    /// How late things may be done under load.
    pub(super) quantum: Span,
    pub(super) mesh: Mesh,
    pub(super) attached: Option<UnboundedReceiver<Attached>>,
    /// Dialling and accepting; they end with the agent.
    tasks: JoinSet<()>,
    /// Links that delay nothing have no releaser to keep the processors awake.
    _awake: Option<Awake>,
}

impl Place {
    /// Takes the place; a process of several members shares one thread that releases datagrams.
    pub(super) fn take(
        assignment: Assignment,
        member: MemberName,
        identity: &Identity,
        releaser: Option<Arc<Releaser>>,
    ) -> Result<Self, agent::Error> {
        let Assignment {
            deployment,
            transport,
            precision,
            bind,
            known,
            baselines,
            faults,
            broken,
            ..
        } = assignment;
        let emulation = if deployment.is_emulated() {
            let releaser = match releaser {
                Some(releaser) => releaser,
                None => {
                    Releaser::start(precision).map(Arc::new).map_err(agent::Error::Emulation)?
                }
            };
            let links = Links::new(deployment.seed)
                .with_network(network(&deployment, member))
                .with_quantum(precision.quantum);
            let emulation = Emulation::new(links, releaser);
            Some(Arc::new(match broken {
                Some(rule) => emulation.broken(rule),
                None => emulation,
            }))
        } else {
            None
        };
        let inside = address_inside(member);
        let endpoint = Carrier::bind(identity, bind, emulation.clone(), &transport, inside)?;
        let (sender, attached) = unbounded_channel();
        let peers = deployment.peers(member).into_iter().map(|peer| peer.to_string());
        let mesh = Mesh::new(endpoint.clone(), peers, sender);
        let (attached, tasks) = (Some(attached), JoinSet::new());
        let awake = precision.awake.then(Awake::keep).and_then(Result::ok);
        let addresses = known;
        let place = Self {
            member,
            deployment,
            endpoint,
            emulation,
            broken,
            addresses,
            baselines,
            faults,
            quantum: precision.quantum,
            mesh,
            attached,
            tasks,
            _awake: awake,
        };
        place.set_links();
        Ok(place)
    }

    /// Sets the delay of every link from here, and only then lets anything pass.
    pub(super) fn connect(&mut self, addresses: Vec<(MemberName, SocketAddr)>) {
        self.addresses = addresses;
        self.set_links();
        let inside = self.addresses.iter().map(|(peer, address)| (*address, address_inside(*peer)));
        self.endpoint.open(inside.collect());
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

    /// Makes links what these faults make of them, and no other.
    pub(super) fn set_faults(&mut self, active: Vec<FaultKind>) {
        self.faults = active;
        self.set_links();
    }

    /// By how much the active faults slow the disk of a replica down.
    pub(super) fn slow_disk(&self, of: NodeId) -> Span {
        disk_delay(&self.faults, of)
    }

    /// Whether the active faults leave no room on the disk of a replica.
    pub(super) fn is_disk_full(&self, of: NodeId) -> bool {
        is_disk_full(&self.faults, of)
    }

    /// What measures the links from here and to here; those whose delay varies go through all of it
    /// meanwhile.
    pub(super) fn prober(
        &self,
        order: Order,
        attached: UnboundedReceiver<Attached>,
    ) -> Result<Prober, alarm::Error> {
        if let Some(emulation) = &self.emulation {
            emulation.sweep(order.from, order.until());
        }
        let directions = directions(&self.deployment);
        let count = directions.len();
        let own = directions.into_iter().enumerate().filter(|(_, (from, _))| *from == self.member);
        let offsets = own.map(|(index, (_, to))| (to, order.offset(index, count)));
        Prober::new(order, offsets, self.mesh.clone(), attached)
    }

    /// Sets the delay of every link from here, and what else it does.
    fn set_links(&self) {
        let Some(emulation) = &self.emulation else { return };
        let Self { member, deployment, .. } = self;
        let peers = deployment.peers(*member);
        for (peer, address) in self.addresses.iter().filter(|(peer, _)| peers.contains(peer)) {
            let real = Delay::zero();
            let asked = if deployment.links.is_native() {
                &real
            } else {
                deployment.links.between(site(*member), site(*peer))
            };
            let baseline = self.baselines.iter().find(|(to, _)| to == peer);
            let (mut delay, _) =
                asked.shorter_by(baseline.map_or(Span::ZERO, |(_, baseline)| *baseline));
            if let Some(rule) = self.broken {
                delay = rule.distort(delay, Deployment::dials(*member, *peer));
            }
            emulation.set(*address, delay, streams::id(site(*member), site(*peer)));
            let conditions = deployment.network.under(&self.faults, *member, *peer);
            emulation.set_conditions(*address, conditions);
        }
    }
}

/// Where a member is in the network that TCP sees: the numbers below, from 10.0.0.1 and 10.1.0.1.
fn address_inside(member: MemberName) -> Ipv4Addr {
    let number = match member {
        MemberName::Replica(id) => u32::from(id.0),
        MemberName::Client(id) => 1 << 16 | id.0,
    };
    Ipv4Addr::from(10 << 24 | (number + 1) & 0x00ff_ffff)
}

/// What the links of `member` do besides delaying; only replicas have an uplink.
fn network(deployment: &Deployment, member: MemberName) -> Network {
    let network = deployment.network;
    match member {
        MemberName::Replica(_) => network,
        MemberName::Client(_) => Network { uplink_bits_per_s: None, ..network },
    }
}

//! The place of a member in a deployment: its socket, its links, and its connections to the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::agent;
use crate::deployment::{Deployment, MemberName, site};
use crate::runtime::mesh::{Attached, Mesh};
use crate::runtime::net::link::Links;
use crate::runtime::net::{Carrier, Emulation, Identity, Precision, Releaser, Transport};

/// The place of one member in a deployment.
pub(super) struct Place {
    member: MemberName,
    pub(super) deployment: Deployment,
    pub(super) endpoint: Carrier,
    pub(super) emulation: Option<Arc<Emulation>>,
    pub(super) mesh: Mesh,
    pub(super) attached: Option<UnboundedReceiver<Attached>>,
    /// Dialling and accepting; they end with the agent.
    tasks: JoinSet<()>,
}

impl Place {
    pub(super) fn take(
        deployment: Deployment,
        transport: &Transport,
        member: MemberName,
        identity: &Identity,
        bind: SocketAddr,
        known: &[(MemberName, SocketAddr)],
    ) -> Result<Self, agent::Error> {
        let emulation = if deployment.is_emulated() {
            let releaser =
                Releaser::start(Precision::default()).map_err(agent::Error::Emulation)?;
            let links = Links::new(deployment.seed);
            Some(Arc::new(Emulation::new(links, Arc::new(releaser))))
        } else {
            None
        };
        if let Some(emulation) = &emulation {
            set_links(emulation, &deployment, member, known);
        }
        let inside = address_inside(member);
        let endpoint = Carrier::bind(identity, bind, emulation.clone(), transport, inside)?;
        let (sender, attached) = unbounded_channel();
        let peers = deployment.peers(member).into_iter().map(|peer| peer.to_string());
        let mesh = Mesh::new(endpoint.clone(), peers, sender);
        let attached = Some(attached);
        let tasks = JoinSet::new();
        Ok(Self { member, deployment, endpoint, emulation, mesh, attached, tasks })
    }

    /// Sets the delay of every link from here, and only then lets anything pass.
    pub(super) fn connect(&mut self, addresses: &[(MemberName, SocketAddr)]) {
        let Self { member, deployment, .. } = self;
        if let Some(emulation) = &self.emulation {
            set_links(emulation, deployment, *member, addresses);
        }
        let inside = addresses.iter().map(|(peer, address)| (*address, address_inside(*peer)));
        self.endpoint.open(inside.collect());
        self.tasks.spawn(self.mesh.clone().accept());
        let peers = deployment.peers(*member);
        for (peer, address) in addresses.iter().filter(|(peer, _)| peers.contains(peer)) {
            if Deployment::dials(*member, *peer) {
                let round_trip = deployment.links.round_trip(site(*member), site(*peer));
                let dial = self.mesh.clone().dial(*address, peer.to_string(), round_trip);
                self.tasks.spawn(dial);
            }
        }
    }
}

/// Sets the delay of every link from `member`.
fn set_links(
    emulation: &Emulation,
    deployment: &Deployment,
    member: MemberName,
    addresses: &[(MemberName, SocketAddr)],
) {
    let peers = deployment.peers(member);
    for (peer, address) in addresses.iter().filter(|(peer, _)| peers.contains(peer)) {
        let delay = deployment.links.between(site(member), site(*peer)).clone();
        emulation.set(*address, delay, stream_of(member) << 32 | stream_of(*peer));
    }
}

/// Where a member is in the network that TCP sees: the numbers below, from 10.0.0.1 and 10.1.0.1.
fn address_inside(member: MemberName) -> Ipv4Addr {
    let number = u32::try_from(stream_of(member) + 1).unwrap_or(u32::MAX);
    Ipv4Addr::from(10 << 24 | number & 0x00ff_ffff)
}

/// A number for each member, so that every directed link draws from a stream of its own.
fn stream_of(member: MemberName) -> u64 {
    match member {
        MemberName::Replica(id) => u64::from(id.0),
        MemberName::Client(id) => 1 << 16 | u64::from(id.0),
    }
}

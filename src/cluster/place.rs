//! The place of a member in a deployment: its socket, its links, and its connections to the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::agent;
use crate::deployment::{Deployment, MemberName, Network, site};
use crate::link::streams;
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
        precision: Precision,
        member: MemberName,
        identity: &Identity,
        bind: SocketAddr,
        known: &[(MemberName, SocketAddr)],
    ) -> Result<Self, agent::Error> {
        let emulation = if deployment.is_emulated() {
            let releaser = Releaser::start(precision).map_err(agent::Error::Emulation)?;
            let links = Links::new(deployment.seed).with_network(network(&deployment, member));
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
        emulation.set(*address, delay, streams::id(site(member), site(*peer)));
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

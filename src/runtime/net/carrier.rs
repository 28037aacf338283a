//! What carries the streams of a deployment: QUIC, or TCP for comparison.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::endpoint::{self, Endpoint};
use super::identity::Identity;
use super::namespace;
use super::tcp::{self, TcpEndpoint};
use super::transport::{Protocol, Transport};
use crate::runtime::wan::emulation::Emulation;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No QUIC.
    #[error(transparent)]
    Quic(#[from] endpoint::Error),
    /// No TCP.
    #[error(transparent)]
    Tcp(#[from] tcp::Error),
}

/// One member's place on the network; clones are the same one.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// RFC 9000.
    Quic(Endpoint),
    /// The kernel's, in a namespace of its own.
    Tcp(TcpEndpoint),
}

/// Whether this host can do what these settings ask for; leaves nothing behind.
pub fn check(transport: &Transport) -> Result<(), namespace::Error> {
    match transport.protocol {
        Protocol::Quic => Ok(()),
        Protocol::Tcp => namespace::check(transport),
    }
}

impl Carrier {
    /// Binds a UDP socket for this member; to be called within a tokio runtime. TCP has a network of
    /// its own, in which the member is at `inside`.
    pub fn bind(
        identity: &Identity,
        address: SocketAddr,
        emulation: Option<Arc<Emulation>>,
        transport: &Transport,
        inside: Ipv4Addr,
    ) -> Result<Self, Error> {
        Ok(match transport.protocol {
            Protocol::Quic => Self::Quic(endpoint::bind(identity, address, emulation, transport)?),
            Protocol::Tcp => {
                Self::Tcp(TcpEndpoint::bind(identity, address, emulation, transport, inside)?)
            }
        })
    }

    /// Says where all peers are, by the addresses that are dialled and those inside; TCP lets nothing
    /// pass before.
    pub fn open(&self, peers: Vec<(SocketAddr, Ipv4Addr)>) {
        if let Self::Tcp(endpoint) = self {
            endpoint.open(peers);
        }
    }

    /// Where others dial it.
    pub fn local_address(&self) -> SocketAddr {
        match self {
            Self::Quic(endpoint) => endpoint.local_address(),
            Self::Tcp(endpoint) => endpoint.local_address(),
        }
    }

    /// Who was refused for what was shown.
    pub fn refused(&self) -> u64 {
        match self {
            Self::Quic(endpoint) => endpoint.refused(),
            Self::Tcp(endpoint) => endpoint.refused(),
        }
    }

    /// What the kernel dropped because a buffer was full; a valid run has none. `None` where the
    /// kernel does not say.
    pub fn kernel_drops(&self) -> Option<u64> {
        match self {
            Self::Quic(endpoint) => endpoint.kernel_drops(),
            Self::Tcp(endpoint) => endpoint.kernel_drops(),
        }
    }
}

impl From<Endpoint> for Carrier {
    fn from(endpoint: Endpoint) -> Self {
        Self::Quic(endpoint)
    }
}

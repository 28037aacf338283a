//! A QUIC endpoint of one member: it dials others by name, and is dialled.
//!
//! Both sides show a certificate of the deployment's authority.
//! Who has none is refused; a peer that is not the member that was dialled is refused; a peer that
//! speaks another version of our protocol is refused.
//! What is said on a connection is not decided here.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AsyncUdpSocket, ClientConfig, ConnectError, Connection, ConnectionError, Incoming, Runtime,
    ServerConfig, TokioRuntime, VarInt,
};
use rustls::pki_types::CertificateDer;

use super::identity::{self, Identity};
use super::socket::EmulatedSocket;
use super::transport::{self, Transport};
use super::{port, reset, tls};
use crate::runtime::wan::emulation::Emulation;
use crate::runtime::wan::{buffers, drops};
use crate::time::Span;

/// The protocol and its version, agreed upon in the handshake; to be raised when a frame changes.
pub const ALPN: &[u8] = b"flexpaxos/2";

/// The application's error code for a connection that nobody needs any more.
pub const ENDED: VarInt = VarInt::from_u32(0);

/// The application's error code for a frame that does not decode.
pub const UNDECODABLE: VarInt = VarInt::from_u32(1);

/// The application's error code for a message that nobody sends who follows the protocol.
pub const IMPOSSIBLE: VarInt = VarInt::from_u32(3);

/// Why there is no endpoint, or no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not of this host.
    #[error("cannot bind {address}: choose an address of this host and a free port, or port 0")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The settings make no sense.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The identity is of no use.
    #[error("{member} cannot speak TLS")]
    Tls {
        /// Whose identity.
        member: String,
        /// Why.
        source: tls::Error,
    },
    /// The dialling did not even begin.
    #[error("cannot dial {member} at {address}")]
    Dial {
        /// Who was dialled.
        member: String,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: ConnectError,
    },
    /// The handshake with a member that was dialled failed.
    #[error("no connection to {member} at {address}")]
    Connect {
        /// Who was dialled.
        member: String,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: ConnectionError,
    },
    /// The handshake with a peer that dialled failed.
    #[error("refused {address}, which shows no certificate of this deployment or fell silent")]
    Refused {
        /// Where it dialled from.
        address: SocketAddr,
        /// Why.
        source: ConnectionError,
    },
    /// A valid certificate that names no member.
    #[error("refused {address}: its certificate names no member of a deployment")]
    Nameless {
        /// Where it dialled from.
        address: SocketAddr,
    },
}

/// One member's place on the network; clones are the same one.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: quinn::Endpoint,
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    client: Arc<QuicClientConfig>,
    server: Arc<QuicServerConfig>,
    transport: Transport,
    emulation: Option<Arc<Emulation>>,
    refused: AtomicU64,
    receive_buffer_bytes: usize,
}

/// Somebody dials; the handshake goes on in [`Handshake::finish`].
#[derive(Debug)]
pub struct Handshake {
    incoming: Incoming,
    shared: Arc<Shared>,
}

/// A member that dialled, and the connection to it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The name in its certificate.
    pub member: String,
    /// The connection.
    pub connection: Connection,
}

/// Binds a UDP socket for this member; to be called within a tokio runtime.
///
/// With an emulation every datagram leaves through its links, and a destination that has none is
/// not reached; without, the socket is quinn's plain one.
pub fn bind(
    identity: &Identity,
    address: SocketAddr,
    emulation: Option<Arc<Emulation>>,
    transport: &Transport,
) -> Result<Endpoint, Error> {
    bind_speaking(ALPN, identity, address, emulation, transport)
}

fn bind_speaking(
    alpn: &[u8],
    identity: &Identity,
    address: SocketAddr,
    emulation: Option<Arc<Emulation>>,
    transport: &Transport,
) -> Result<Endpoint, Error> {
    transport.check()?;
    let tls = |source| Error::Tls { member: identity.member.clone(), source };
    let server = Arc::new(tls::quic_server(identity, alpn).map_err(tls)?);
    let client = Arc::new(tls::quic_client(identity, alpn).map_err(tls)?);

    let unbound = |source| Error::Bind { address, source };
    let socket = port::bind(address).map_err(unbound)?;
    let address = socket.local_addr().map_err(unbound)?;
    let receive_buffer_bytes =
        buffers::enlarge(&socket, transport.socket_buffer_bytes).map_err(unbound)?;
    let socket: Arc<dyn AsyncUdpSocket> = match &emulation {
        Some(emulation) => {
            Arc::new(EmulatedSocket::new(socket, Arc::clone(emulation)).map_err(unbound)?)
        }
        None => TokioRuntime.wrap_udp_socket(socket).map_err(unbound)?,
    };

    let (transport, refused) = (transport.clone(), AtomicU64::new(0));
    let shared =
        Shared { address, client, server, transport, emulation, refused, receive_buffer_bytes };
    let config = shared.server_config(None);
    let inner = quinn::Endpoint::new_with_abstract_socket(
        reset::endpoint_config(identity),
        Some(config),
        socket,
        Arc::new(TokioRuntime),
    )
    .map_err(unbound)?;
    Ok(Endpoint { inner, shared: Arc::new(shared) })
}

impl Endpoint {
    /// Where others dial it.
    pub fn local_address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Dials `member`; `expected_rtt` spares the first exchange needless retransmissions.
    ///
    /// The peer has proved its name when this returns.
    /// It has not yet seen our certificate: should it refuse that, the connection is closed, and the
    /// first read or write on it says so.
    pub async fn connect(
        &self,
        address: SocketAddr,
        member: &str,
        expected_rtt: Option<Span>,
    ) -> Result<Connection, Error> {
        let name = identity::server_name(member);
        let config = self.shared.client_config(address, expected_rtt);
        let connecting = self
            .inner
            .connect_with(config, address, &name)
            .map_err(|source| Error::Dial { member: member.into(), address, source })?;
        connecting.await.map_err(|source| {
            self.shared.count(&source);
            Error::Connect { member: member.into(), address, source }
        })
    }

    /// The next that dials; `None` once the endpoint is closed.
    ///
    /// Handshakes take round trips, so finish each in a task of its own.
    pub async fn accept(&self) -> Option<Handshake> {
        let incoming = self.inner.accept().await?;
        Some(Handshake { incoming, shared: Arc::clone(&self.shared) })
    }

    /// Handshakes that failed for what the other side showed, dialled or being dialled.
    ///
    /// A peer that is not there, or not any more, showed nothing.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Datagrams that the kernel dropped because the receive buffer was full; a valid run has none.
    /// `None` where the kernel does not say.
    pub fn kernel_drops(&self) -> Option<u64> {
        drops::of(self.shared.address)
    }

    /// The size that the receive buffer became, as the kernel counts it.
    pub fn receive_buffer_bytes(&self) -> usize {
        self.shared.receive_buffer_bytes
    }

    /// The settings of its connections.
    pub fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    /// The emulated links, if any.
    pub fn emulation(&self) -> Option<&Arc<Emulation>> {
        self.shared.emulation.as_ref()
    }

    /// Closes all connections, and accepts none any more.
    pub fn close(&self, reason: &str) {
        self.inner.close(VarInt::from_u32(0), reason.as_bytes());
    }

    /// Waits until peers were told of the closing, or cannot be.
    pub async fn wait_idle(&self) {
        self.inner.wait_idle().await;
    }
}

impl Handshake {
    /// Where it comes from.
    pub fn address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Finishes the handshake: a member of this deployment, by its name.
    pub async fn finish(self) -> Result<Peer, Error> {
        let address = self.address();
        let shared = self.shared;
        let rtt = shared.emulation.as_ref().and_then(|links| links.expected_rtt(address));
        let handshake = async {
            let refused = |source| Error::Refused { address, source };
            let config = Arc::new(shared.server_config(rtt));
            let connection = self.incoming.accept_with(config).map_err(refused)?;
            let connection = connection.await.map_err(refused)?;
            let member = peer_name(&connection).ok_or(Error::Nameless { address })?;
            Ok(Peer { member, connection })
        };
        handshake.await.inspect_err(|error| match error {
            Error::Refused { source, .. } => shared.count(source),
            _ => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

impl Shared {
    /// Counts a handshake that failed, unless it only came to no end.
    fn count(&self, failure: &ConnectionError) {
        let is_silence = matches!(
            failure,
            ConnectionError::TimedOut | ConnectionError::LocallyClosed | ConnectionError::Reset
        );
        self.refused.fetch_add(u64::from(!is_silence), Ordering::Relaxed);
    }

    fn server_config(&self, expected_rtt: Option<Span>) -> ServerConfig {
        let mut config = ServerConfig::with_crypto(Arc::clone(&self.server) as _);
        config.transport_config(Arc::new(self.transport.config(expected_rtt)));
        // Members stay where they are.
        config.migration(false);
        config
    }

    fn client_config(&self, address: SocketAddr, expected_rtt: Option<Span>) -> ClientConfig {
        let emulated = || self.emulation.as_ref().and_then(|links| links.expected_rtt(address));
        let mut config = ClientConfig::new(Arc::clone(&self.client) as _);
        config.transport_config(Arc::new(self.transport.config(expected_rtt.or_else(emulated))));
        config
    }
}

/// The keys stay out of it.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The member that the peer's certificate, which was verified, names.
fn peer_name(connection: &Connection) -> Option<String> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    identity::member_of(chain.first()?)
}

#[cfg(test)]
mod tests;

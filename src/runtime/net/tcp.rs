//! A TCP endpoint of one member: the controlled comparison with QUIC.
//!
//! The kernel's TCP with mutual TLS 1.3 on it, the same certificates and the same word for our
//! protocol, in a network namespace of its own whose packets are datagrams of the emulated links.
//! Others know it by the address of its UDP socket, as they know a QUIC endpoint.
//!
//! | | QUIC | TCP |
//! |---|---|---|
//! | bytes of a datagram on the link, at most | 1452 | 1452: a packet of 1400 with its headers |
//! | first retransmission of a handshake | three of the link's round trips | 1 s, the kernel's |
//! | windows | `stream_window_bytes`, `send_window_bytes` | the same, as the socket's buffers |
//! | delayed sending (Nagle) | none | none |
//! | a peer that restarted | says that it knows nothing of the connection | the same |
//! | who works | the member's thread | the kernel, on the member's thread |

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::endpoint::ALPN;
use super::identity::{self, Identity};
use super::namespace::{self, Namespace};
use super::transport::{self, Transport};
use super::tunnel::{Routes, Tunnel};
use super::{port, tls};
use crate::runtime::wan::emulation::Emulation;
use crate::runtime::wan::{buffers, drops};
use crate::time::Span;

/// A connection to a member, with both certificates shown.
pub type TlsStream = tokio_rustls::TlsStream<TcpStream>;

/// Where every member listens, at its own address inside.
const PORT: u16 = 7_000;

/// Connections that may wait to be accepted.
const LISTEN_BACKLOG: u32 = 1_024;

/// The first word of a dialling is repeated after a second, the kernel's own; after one repetition a
/// new dialling is sooner than the next.
const DIAL_PATIENCE: Duration = Duration::from_millis(1_500);

/// Why there is no endpoint, or no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not of this host.
    #[error("cannot bind {address}: choose an address of this host and a free port, or port 0")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The settings make no sense.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The kernel does not allow it.
    #[error(transparent)]
    Namespace(#[from] namespace::Error),
    /// The identity is of no use.
    #[error("{member} cannot speak TLS")]
    Tls {
        /// Whose identity.
        member: String,
        /// Why.
        source: tls::Error,
    },
    /// The device or the listener inside.
    #[error("cannot listen in the network namespace")]
    Listen(#[source] io::Error),
    /// An address that no route leads to.
    #[error("no route to {member} at {address}")]
    Unrouted {
        /// Who was dialled.
        member: String,
        /// Where.
        address: SocketAddr,
    },
    /// The connection to a member that was dialled failed.
    #[error("no connection to {member}")]
    Connect {
        /// Who was dialled.
        member: String,
        /// Why.
        source: io::Error,
    },
    /// The handshake with a peer that dialled failed.
    #[error("refused {address}, which shows no certificate of this deployment or fell silent")]
    Refused {
        /// Where it dialled from.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A valid certificate that names no member, or a peer of another protocol.
    #[error("refused {address}: it is no member of a deployment of this version")]
    Nameless {
        /// Where it dialled from.
        address: SocketAddr,
    },
}

/// One member's place on the network; clones are the same one.
#[derive(Clone, Debug)]
pub struct TcpEndpoint {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    transport: Transport,
    listener: TcpListener,
    door: Arc<Door>,
    tunnel: Tunnel,
    namespace: Namespace,
    /// Where the members are inside, by the addresses that others know them by.
    inside: Mutex<Vec<(SocketAddr, Ipv4Addr)>>,
}

/// Somebody dials; the handshake goes on in [`Handshake::finish`].
#[derive(Debug)]
pub struct Handshake {
    stream: TcpStream,
    address: SocketAddr,
    door: Arc<Door>,
    patience: Duration,
}

impl TcpEndpoint {
    /// Binds a UDP socket for this member, and opens a namespace in which it is at `inside`; to be
    /// called within a tokio runtime.
    pub fn bind(
        identity: &Identity,
        address: SocketAddr,
        emulation: Option<Arc<Emulation>>,
        transport: &Transport,
        inside: Ipv4Addr,
    ) -> Result<Self, Error> {
        transport.check()?;
        let door = Door::new(identity, ALPN)?;
        let unbound = |source| Error::Bind { address, source };
        let socket = port::bind(address).map_err(unbound)?;
        let address = socket.local_addr().map_err(unbound)?;
        buffers::enlarge(&socket, transport.socket_buffer_bytes).map_err(unbound)?;
        let (namespace, device) = Namespace::open(inside, transport)?;
        let listening = TcpSocket::from_std_stream(namespace.socket(transport)?);
        listening.bind((inside, PORT).into()).map_err(Error::Listen)?;
        let listener = listening.listen(LISTEN_BACKLOG).map_err(Error::Listen)?;
        let tunnel = Tunnel::new(device, socket, emulation).map_err(Error::Listen)?;
        let shared = Shared {
            address,
            transport: transport.clone(),
            listener,
            door: Arc::new(door),
            tunnel,
            namespace,
            inside: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where others dial it.
    pub fn local_address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Lets packets pass to and from these members, by the addresses that are dialled and those
    /// inside; nothing passes before.
    pub fn open(&self, peers: Vec<(SocketAddr, Ipv4Addr)>) {
        let routes: Routes = peers.iter().map(|(outer, inner)| (*inner, *outer)).collect();
        *self.shared.inside.lock().unwrap_or_else(PoisonError::into_inner) = peers;
        self.shared.tunnel.open(routes);
    }

    /// Dials `member`, whose link's round trip is this long.
    ///
    /// The peer has proved its name when this returns; whether it believes ours, the first read says.
    pub async fn connect(
        &self,
        address: SocketAddr,
        member: &str,
        round_trip: Span,
    ) -> Result<TlsStream, Error> {
        let shared = &self.shared;
        let inside = shared.inside(address);
        let inside = inside.ok_or_else(|| Error::Unrouted { member: member.into(), address })?;
        let socket = TcpSocket::from_std_stream(shared.namespace.socket(&shared.transport)?);
        let failed = |source| Error::Connect { member: member.into(), source };
        let patience = DIAL_PATIENCE + Duration::from(round_trip.times(2));
        let stream = in_time(patience, socket.connect((inside, PORT).into())).await;
        let stream = stream.map_err(failed)?;
        in_time(shared.patience(), shared.door.dial(stream, member)).await.map_err(failed)
    }

    /// The next that dials; `None` once the endpoint cannot be dialled any more.
    ///
    /// Handshakes take round trips, so finish each in a task of its own.
    pub async fn accept(&self) -> Option<Handshake> {
        loop {
            match self.shared.listener.accept().await {
                Ok((stream, address)) => {
                    let (door, patience) = (Arc::clone(&self.shared.door), self.shared.patience());
                    return Some(Handshake { stream, address, door, patience });
                }
                // Who dialled is gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    }

    /// Handshakes that failed for what the other side showed, dialled or being dialled, and datagrams
    /// of nobody who belongs here.
    pub fn refused(&self) -> u64 {
        let strangers = self.shared.tunnel.counters().strangers.load(Ordering::Relaxed);
        self.shared.door.refused.load(Ordering::Relaxed) + strangers
    }

    /// Datagrams and packets that the kernel dropped because a buffer was full; a valid run has none.
    /// `None` where the kernel does not say.
    pub fn kernel_drops(&self) -> Option<u64> {
        let of_socket = drops::of(self.shared.address)?;
        let of_device = self.shared.namespace.drops()?;
        Some(of_socket + of_device + self.shared.tunnel.counters().lost.load(Ordering::Relaxed))
    }
}

impl Handshake {
    /// Finishes the handshake: a member of this deployment, by its name, and the stream.
    pub async fn finish(self) -> Result<(String, TlsStream), Error> {
        let Self { stream, address, door, patience } = self;
        match timeout(patience, door.take_in(stream, address)).await {
            Ok(taken) => taken,
            Err(_) => Err(Error::Refused { address, source: io::ErrorKind::TimedOut.into() }),
        }
    }
}

impl Shared {
    fn inside(&self, address: SocketAddr) -> Option<Ipv4Addr> {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.iter().find(|(outer, _)| *outer == address).map(|(_, inner)| *inner)
    }

    /// How long a handshake may take.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.transport.idle_timeout_ms)
    }
}

/// The keys stay out of it.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Who is let in, on any stream of bytes.
struct Door {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    alpn: Vec<u8>,
    refused: AtomicU64,
}

impl Door {
    fn new(identity: &Identity, alpn: &[u8]) -> Result<Self, Error> {
        let tls = |source| Error::Tls { member: identity.member.clone(), source };
        let client = Arc::new(tls::client(identity, alpn).map_err(tls)?);
        let server = Arc::new(tls::server(identity, alpn).map_err(tls)?);
        let (connector, acceptor) = (client.into(), server.into());
        Ok(Self { connector, acceptor, alpn: alpn.into(), refused: AtomicU64::new(0) })
    }

    /// The side that dials.
    async fn dial(&self, stream: TcpStream, member: &str) -> io::Result<TlsStream> {
        let name = ServerName::try_from(identity::server_name(member)).map_err(io::Error::other)?;
        let dialled = self.connector.connect(name, stream).await;
        let stream = dialled.inspect_err(|error| self.count(error))?;
        if stream.get_ref().1.alpn_protocol() != Some(&self.alpn) {
            self.refuse();
            return Err(io::Error::other("the peer speaks another version of our protocol"));
        }
        Ok(stream.into())
    }

    /// The side that is dialled.
    async fn take_in(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<(String, TlsStream), Error> {
        let accepted = self.acceptor.accept(stream).await;
        let stream = accepted
            .inspect_err(|error| self.count(error))
            .map_err(|source| Error::Refused { address, source })?;
        let session = stream.get_ref().1;
        let speaks_ours = session.alpn_protocol() == Some(&self.alpn);
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let member = certificate.and_then(identity::member_of).filter(|_| speaks_ours);
        let member = member.ok_or_else(|| {
            self.refuse();
            Error::Nameless { address }
        })?;
        Ok((member, stream.into()))
    }

    /// Counts a handshake that failed for what was shown, not one that only came to no end.
    fn count(&self, error: &io::Error) {
        if error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>) {
            self.refuse();
        }
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The keys stay out of it.
impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// What comes of this, unless it takes too long.
async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(patience, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::runtime::net::identity::Authority;
    use crate::runtime::net::testing::tcp_is_possible;
    use crate::runtime::net::transport::{Congestion, Protocol};

    fn door(authority: &Authority, member: &str) -> Door {
        Door::new(&authority.issue(member).unwrap(), ALPN).unwrap()
    }

    /// What both sides say of one another on this host's own TCP.
    async fn meet(
        server: &Door,
        client: &Door,
        member: &str,
    ) -> (Result<(String, TlsStream), Error>, io::Result<TlsStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (dialled, accepted) = tokio::join!(dialled, listener.accept());
        let (accepted, address) = accepted.unwrap();
        tokio::join!(server.take_in(accepted, address), client.dial(dialled.unwrap(), member))
    }

    #[tokio::test]
    async fn members_of_one_deployment_know_each_other_by_name() {
        let authority = Authority::new().unwrap();
        let (server, client) = (door(&authority, "r0"), door(&authority, "c0"));
        let (taken, dialled) = meet(&server, &client, "r0").await;
        let ((member, mut theirs), mut ours) = (taken.unwrap(), dialled.unwrap());
        assert_eq!(member, "c0");
        ours.write_all(b"word").await.unwrap();
        ours.flush().await.unwrap();
        let mut heard = [0; 4];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"word");
        assert_eq!([&server, &client].map(|door| door.refused.load(Ordering::Relaxed)), [0, 0]);
    }

    #[tokio::test]
    async fn strangers_are_refused_and_counted() {
        let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
        let server = door(&ours, "r0");

        // It does not believe us.
        let (taken, dialled) = meet(&server, &door(&theirs, "c0"), "r0").await;
        assert!(matches!(taken, Err(Error::Refused { .. })) && dialled.is_err());

        // It believes us, but we do not believe it.
        let known = ours.issue("c0").unwrap().authority;
        let foreign = Identity { authority: known, ..theirs.issue("c0").unwrap() };
        let (taken, dialled) = meet(&server, &Door::new(&foreign, ALPN).unwrap(), "r0").await;
        assert!(matches!(taken, Err(Error::Refused { .. })));
        // The first read says so.
        assert!(dialled.unwrap().read_exact(&mut [0]).await.is_err());

        // It speaks another version of our protocol.
        let old = Door::new(&ours.issue("c0").unwrap(), b"flexpaxos/0").unwrap();
        let (taken, _) = meet(&server, &old, "r0").await;
        assert!(matches!(taken, Err(Error::Refused { .. })));
        assert_eq!(server.refused.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_peer_that_is_not_the_member_dialled_is_refused() {
        let authority = Authority::new().unwrap();
        let (server, client) = (door(&authority, "r1"), door(&authority, "c0"));
        let (_, dialled) = meet(&server, &client, "r0").await;
        assert!(dialled.is_err());
        assert_eq!(client.refused.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_is_no_stranger() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, address) = listener.accept().await.unwrap();
        drop(dialled);
        let door = door(&Authority::new().unwrap(), "r0");
        assert!(matches!(door.take_in(accepted, address).await, Err(Error::Refused { .. })));
        assert_eq!(door.refused.load(Ordering::Relaxed), 0);
    }

    fn endpoint(authority: &Authority, member: &str, inside: Ipv4Addr) -> TcpEndpoint {
        let congestion = Congestion::Cubic;
        let transport = Transport { protocol: Protocol::Tcp, congestion, ..Transport::default() };
        let host = "127.0.0.1:0".parse().unwrap();
        TcpEndpoint::bind(&authority.issue(member).unwrap(), host, None, &transport, inside)
            .unwrap()
    }

    #[tokio::test]
    async fn packets_pass_between_namespaces_and_a_stranger_s_do_not() {
        if !tcp_is_possible() {
            return;
        }
        let authority = Authority::new().unwrap();
        let [left, right] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let (ours, theirs) = (endpoint(&authority, "r0", left), endpoint(&authority, "r1", right));
        let address = theirs.local_address();
        assert!(matches!(
            ours.connect(address, "r1", Span::ZERO).await,
            Err(Error::Unrouted { .. })
        ));
        ours.open(vec![(address, right)]);
        theirs.open(vec![(ours.local_address(), left)]);
        let accepted = async { theirs.accept().await.unwrap().finish().await.unwrap() };
        let dialled = ours.connect(address, "r1", Span::ZERO);
        let ((member, mut accepted), dialled) = tokio::join!(accepted, dialled);
        assert_eq!(member, "r0");
        let mut dialled = dialled.unwrap();
        // Many packets, and more than the kernel buffers.
        let sent: Vec<u8> = (0..40 << 20).map(|byte: u32| byte.to_le_bytes()[1]).collect();
        let expected = sent.clone();
        let receiving = tokio::spawn(async move {
            let mut heard = vec![0; expected.len()];
            accepted.read_exact(&mut heard).await.unwrap();
            assert!(heard == expected);
            accepted
        });
        dialled.write_all(&sent).await.unwrap();
        dialled.flush().await.unwrap();
        receiving.await.unwrap();

        // A packet that claims to be of a member, from a socket that is not that member's.
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&left.octets());
        packet[16..20].copy_from_slice(&right.octets());
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&packet, address).unwrap();
        while theirs.refused() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((ours.refused(), theirs.refused()), (0, 1));
        assert_eq!((ours.kernel_drops(), theirs.kernel_drops()), (Some(0), Some(0)));
    }
}

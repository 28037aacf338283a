//! Connections between members: who dials whom, and again after a loss.
//!
//! Of two replicas the lower number dials; a client dials every replica.
//! Each connection begins with a greeting of one byte, because a QUIC stream that nothing was written
//! to does not exist for the other side.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::net::{Carrier, Endpoint, TlsStream, endpoint, tcp};
use super::stream::Stream;
use crate::time::Span;

/// The first byte of a stream.
const GREETING: u8 = b'p';

/// The first wait before a member is dialled again; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest wait before a member is dialled again.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// An attempt that has not succeeded after this and some round trips is given up: it asks again ever more
/// rarely, and when a link is whole again after a minute, the next word of an old attempt may be a minute
/// away.
const ATTEMPT: Duration = Duration::from_secs(3);
/// The round trips that an attempt is given beside [`ATTEMPT`].
const ATTEMPT_ROUND_TRIPS: u64 = 8;

/// A stream to a member that has proved its name.
#[derive(Debug)]
pub struct Attached {
    /// The name in its certificate.
    pub member: String,
    /// The stream.
    pub stream: Stream,
}

/// The application's error code for a member that has no business here.
const NO_PEER: VarInt = VarInt::from_u32(2);

/// Connections that one member may have here at a time: one, another that takes its place, and some
/// that ended without a word.
const CONNECTIONS_MAX: usize = 16;

/// Where new streams go, and who has one.
#[derive(Clone, Debug)]
pub struct Mesh {
    carrier: Carrier,
    attached: UnboundedSender<Attached>,
    /// The streams of each peer: two, while one takes the place of the other.
    streams: Arc<Mutex<BTreeMap<String, usize>>>,
    /// Connections of each peer that dialled, greeted or not.
    dialled: Arc<Mutex<BTreeMap<String, usize>>>,
    /// Peers that are not welcome any more.
    banned: Arc<Mutex<BTreeSet<String>>>,
}

/// A connection of a peer that dialled, as long as it lasts.
struct Seat {
    dialled: Arc<Mutex<BTreeMap<String, usize>>>,
    member: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(count) = held(&self.dialled).get_mut(&self.member) {
            *count -= 1;
        }
    }
}

/// What is behind a lock; a thread that panicked while it held it left it whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mesh {
    /// A mesh of these peers without a stream; new ones are given to `attached`.
    pub fn new(
        carrier: impl Into<Carrier>,
        peers: impl IntoIterator<Item = String>,
        attached: UnboundedSender<Attached>,
    ) -> Self {
        let streams: BTreeMap<String, usize> = peers.into_iter().map(|peer| (peer, 0)).collect();
        Self {
            carrier: carrier.into(),
            attached,
            dialled: Arc::new(Mutex::new(streams.clone())),
            streams: Arc::new(Mutex::new(streams)),
            banned: Arc::default(),
        }
    }

    /// From now on this peer is neither dialled nor let in; a stream that it has is its owner's business.
    pub fn ban(&self, member: &str) {
        held(&self.banned).insert(member.into());
    }

    fn is_banned(&self, member: &str) -> bool {
        held(&self.banned).contains(member)
    }

    /// A seat for a peer that dialled; none for strangers, for those that are banned, and for who has
    /// too many.
    fn seat(&self, member: &str) -> Option<Seat> {
        if self.is_banned(member) {
            return None;
        }
        let mut dialled = held(&self.dialled);
        let count = dialled.get_mut(member).filter(|count| **count < CONNECTIONS_MAX)?;
        *count += 1;
        Some(Seat { dialled: Arc::clone(&self.dialled), member: member.into() })
    }

    /// Hands a stream over again: it was taken for a while, and is as it was.
    pub fn give_back(&self, attached: Attached) {
        // Should nobody want streams any more, it ends here.
        let _ = self.attached.send(attached);
    }

    /// Peers with a stream now.
    pub fn connected(&self) -> usize {
        self.streams().values().filter(|count| **count > 0).count()
    }

    /// The names of these peers.
    pub fn connected_names(&self) -> Vec<String> {
        let streams = self.streams();
        let connected = streams.iter().filter(|(_, count)| **count > 0);
        connected.map(|(peer, _)| peer.clone()).collect()
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        held(&self.streams)
    }

    /// Keeps a stream to `member` for as long as somebody wants it: dials, waits for the loss, and
    /// dials again.
    pub async fn dial(self, address: SocketAddr, member: String, round_trip: Span) {
        let mut retry = RETRY_MIN;
        let patience = ATTEMPT + Duration::from(round_trip.times(ATTEMPT_ROUND_TRIPS));
        while !self.attached.is_closed() && !self.is_banned(&member) {
            let attempt = self.dial_once(address, &member, round_trip);
            if let Ok(Ok(link)) = tokio::time::timeout(patience, attempt).await {
                retry = RETRY_MIN;
                self.attach(member.clone(), link).await;
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    async fn dial_once(
        &self,
        address: SocketAddr,
        member: &str,
        round_trip: Span,
    ) -> Result<Link, Unreached> {
        match &self.carrier {
            Carrier::Quic(endpoint) => {
                let connection = endpoint.connect(address, member, Some(round_trip)).await?;
                let (mut send, receive) = connection.open_bi().await?;
                send.write_all(&[GREETING]).await?;
                Ok(Link::quic(endpoint, connection, send, receive))
            }
            Carrier::Tcp(endpoint) => {
                let mut stream = endpoint.connect(address, member, round_trip).await?;
                stream.write_all(&[GREETING]).await?;
                stream.flush().await?;
                Ok(Link::tcp(stream))
            }
        }
    }

    /// Takes the streams of members that dial, until the endpoint is closed.
    pub async fn accept(self) {
        match self.carrier.clone() {
            Carrier::Quic(endpoint) => {
                while let Some(handshake) = endpoint.accept().await {
                    let (mesh, endpoint) = (self.clone(), endpoint.clone());
                    tokio::spawn(async move { mesh.welcome_quic(&endpoint, handshake).await });
                }
            }
            Carrier::Tcp(endpoint) => {
                while let Some(handshake) = endpoint.accept().await {
                    let mesh = self.clone();
                    tokio::spawn(async move { mesh.welcome_tcp(handshake).await });
                }
            }
        }
    }

    async fn welcome_quic(self, endpoint: &Endpoint, handshake: endpoint::Handshake) {
        // Whoever has no certificate of this deployment is refused and counted there.
        let Ok(peer) = handshake.finish().await else { return };
        let Some(_seat) = self.seat(&peer.member) else {
            peer.connection.close(NO_PEER, b"no peer of this member");
            return;
        };
        let Ok((send, mut receive)) = peer.connection.accept_bi().await else { return };
        let mut greeting = [0];
        if receive.read_exact(&mut greeting).await.is_ok() && greeting == [GREETING] {
            let link = Link::quic(endpoint, peer.connection, send, receive);
            self.attach(peer.member, link).await;
        }
    }

    async fn welcome_tcp(self, handshake: tcp::Handshake) {
        let Ok((member, mut stream)) = handshake.finish().await else { return };
        let Some(_seat) = self.seat(&member) else { return };
        let mut greeting = [0];
        if stream.read_exact(&mut greeting).await.is_ok() && greeting == [GREETING] {
            self.attach(member, Link::tcp(stream)).await;
        }
    }

    /// Hands a stream over, and counts it until its connection is lost.
    async fn attach(&self, member: String, Link { stream, ended }: Link) {
        if self.attached.send(Attached { member: member.clone(), stream }).is_ok() {
            *self.streams().entry(member.clone()).or_default() += 1;
            ended.await;
            *self.streams().entry(member).or_default() -= 1;
        }
    }
}

/// A stream that was greeted, and the end of its connection.
struct Link {
    stream: Stream,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Link {
    fn quic(
        endpoint: &Endpoint,
        connection: Connection,
        send: SendStream,
        receive: RecvStream,
    ) -> Self {
        let layout = endpoint.transport().streams;
        let stream = Stream::quic(layout, connection.clone(), send, receive);
        Self { stream, ended: Box::pin(async move { drop(connection.closed().await) }) }
    }

    fn tcp(stream: TlsStream) -> Self {
        let (lives, ended) = oneshot::channel();
        // The sender sends nothing, and is dropped with the stream.
        Self { stream: Stream::tcp(stream, lives), ended: Box::pin(async { drop(ended.await) }) }
    }
}

/// Why a member was not reached; it is dialled again whatever it was.
#[derive(Debug, thiserror::Error)]
enum Unreached {
    #[error(transparent)]
    Endpoint(#[from] endpoint::Error),
    #[error(transparent)]
    Tcp(#[from] tcp::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    #[error(transparent)]
    Write(#[from] quinn::WriteError),
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::task::Poll;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::runtime::net::testing::tcp_is_possible;
    use crate::runtime::net::{Authority, Congestion, Layout, Protocol, Transport, bind};
    use crate::runtime::stream::Closed;

    fn carrier(authority: &Authority, member: &str, streams: Layout) -> Endpoint {
        let identity = authority.issue(member).unwrap();
        let transport = Transport { streams, ..Transport::default() };
        bind(&identity, (Ipv4Addr::LOCALHOST, 0).into(), None, &transport).unwrap()
    }

    #[tokio::test]
    async fn a_member_that_is_no_peer_is_shown_the_door() {
        let authority = Authority::new().unwrap();
        let endpoint = |member| carrier(&authority, member, Layout::One);
        let (server, other) = (endpoint("r0"), endpoint("r9"));
        let (sender, _attached) = unbounded_channel();
        let mesh = Mesh::new(server.clone(), ["r1".into(), "c0".into()], sender);
        let accepting = tokio::spawn(mesh.clone().accept());
        let connection = other.connect(server.local_address(), "r0", None).await.unwrap();
        assert!(connection.closed().await.to_string().contains("no peer of this member"));
        assert_eq!(mesh.connected(), 0);
        accepting.abort();
    }

    #[tokio::test]
    async fn a_peer_has_few_connections_at_a_time_and_a_banned_one_has_none() {
        let authority = Authority::new().unwrap();
        let endpoint = |member| carrier(&authority, member, Layout::One);
        let (server, peer) = (endpoint("r0"), endpoint("r1"));
        let (sender, _attached) = unbounded_channel();
        let mesh = Mesh::new(server.clone(), ["r1".into()], sender);
        let accepting = tokio::spawn(mesh.clone().accept());
        let mut connections = Vec::new();
        // None of them says a word.
        for _ in 0..=CONNECTIONS_MAX {
            connections.push(peer.connect(server.local_address(), "r0", None).await.unwrap());
        }
        let over = connections.pop().unwrap();
        assert!(over.closed().await.to_string().contains("no peer of this member"));
        assert!(connections.iter().all(|connection| connection.close_reason().is_none()));
        // Room again, once one of them is gone.
        connections.pop().unwrap().close(VarInt::from_u32(0), b"");
        while held(&mesh.dialled)["r1"] == CONNECTIONS_MAX {
            tokio::task::yield_now().await;
        }
        assert!(mesh.seat("r1").is_some());
        mesh.ban("r1");
        assert!(mesh.seat("r1").is_none());
        let banned = peer.connect(server.local_address(), "r0", None).await.unwrap();
        assert!(banned.closed().await.to_string().contains("no peer of this member"));
        // And it is not dialled either: this ends at once.
        mesh.clone().dial(peer.local_address(), "r1".into(), Span::ZERO).await;
        accepting.abort();
    }

    #[tokio::test]
    async fn a_peer_is_counted_once_and_dialled_again_on_every_layout() {
        for streams in [Layout::One, Layout::PerMessage, Layout::Datagrams] {
            let authority = Authority::new().unwrap();
            let endpoint = |member| carrier(&authority, member, streams);
            meet(endpoint("r0").into(), endpoint("r1").into()).await;
        }
    }

    #[tokio::test]
    async fn a_peer_is_counted_once_and_dialled_again_over_tcp() {
        if !tcp_is_possible() {
            return;
        }
        let authority = Authority::new().unwrap();
        let (protocol, congestion) = (Protocol::Tcp, Congestion::Cubic);
        let transport = Transport { protocol, congestion, ..Transport::default() };
        let carriers = [("r0", 1), ("r1", 2)].map(|(member, number)| {
            let inside = Ipv4Addr::new(10, 0, 0, number);
            let (identity, host) = (authority.issue(member).unwrap(), (Ipv4Addr::LOCALHOST, 0));
            let carrier = Carrier::bind(&identity, host.into(), None, &transport, inside).unwrap();
            (carrier, inside)
        });
        let peers: Vec<_> =
            carriers.iter().map(|(carrier, inside)| (carrier.local_address(), *inside)).collect();
        for (carrier, _) in &carriers {
            carrier.open(peers.clone());
        }
        let [(server, _), (peer, _)] = carriers;
        meet(server, peer).await;
    }

    /// The second dials the first.
    async fn meet(server: Carrier, peer: Carrier) {
        let (sender, mut attached) = unbounded_channel();
        let mesh = Mesh::new(server.clone(), ["r1".into(), "c0".into()], sender);
        let accepting = tokio::spawn(mesh.clone().accept());
        let (sender, mut own) = unbounded_channel();
        let peers = Mesh::new(peer, ["r0".into()], sender);
        let dial = peers.clone().dial(server.local_address(), "r0".into(), Span::ZERO);
        let dialling = tokio::spawn(dial);
        let [theirs, mut ours] = [attached.recv().await.unwrap(), own.recv().await.unwrap()];
        assert_eq!((theirs.member.as_str(), ours.member.as_str()), ("r1", "r0"));
        assert_eq!((mesh.connected(), peers.connected()), (1, 1));

        // A stream that nobody wants any more is dialled again, once its other end has seen that.
        drop(theirs);
        let ended = poll_fn(|cx| match ours.stream.receive(cx) {
            Ok(()) => Poll::Pending,
            Err(closed) => Poll::Ready(closed),
        });
        assert_eq!(ended.await, Closed::Gone);
        drop(ours);
        assert_eq!(attached.recv().await.unwrap().member, "r1");
        accepting.abort();
        dialling.abort();
    }
}

//! Connections between members: who dials whom, and again after a loss.
//!
//! Of two replicas the lower number dials; a client dials every replica.
//! Each connection carries one stream, whose first byte is a greeting, because a stream that
//! nothing was written to does not exist for the other side.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::{Connection, VarInt};
use tokio::sync::mpsc::UnboundedSender;

use super::net::Endpoint;
use super::stream::Stream;
use crate::time::Span;

/// The first byte of a stream.
const GREETING: u8 = b'p';

/// The first wait before a member is dialled again; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest wait before a member is dialled again.
const RETRY_MAX: Duration = Duration::from_secs(1);

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

/// Where new streams go, and who has one.
#[derive(Clone, Debug)]
pub struct Mesh {
    endpoint: Endpoint,
    attached: UnboundedSender<Attached>,
    /// The streams of each peer: two, while one takes the place of the other.
    streams: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Mesh {
    /// A mesh of these peers without a stream; new ones are given to `attached`.
    pub fn new(
        endpoint: Endpoint,
        peers: impl IntoIterator<Item = String>,
        attached: UnboundedSender<Attached>,
    ) -> Self {
        let streams = peers.into_iter().map(|peer| (peer, 0)).collect();
        Self { endpoint, attached, streams: Arc::new(Mutex::new(streams)) }
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

    /// The streams; a thread that panicked while it held them left them whole.
    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a stream to `member` for as long as somebody wants it: dials, waits for the loss, and
    /// dials again.
    pub async fn dial(self, address: SocketAddr, member: String, round_trip: Span) {
        let mut retry = RETRY_MIN;
        while !self.attached.is_closed() {
            if let Ok((connection, stream)) = self.dial_once(address, &member, round_trip).await {
                retry = RETRY_MIN;
                self.attach(member.clone(), connection, stream).await;
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
    ) -> Result<(Connection, Stream), Unreached> {
        let connection = self.endpoint.connect(address, member, Some(round_trip)).await?;
        let (mut send, receive) = connection.open_bi().await?;
        send.write_all(&[GREETING]).await?;
        Ok((connection.clone(), Stream::new(connection, send, receive)))
    }

    /// Takes the streams of members that dial, until the endpoint is closed.
    pub async fn accept(self) {
        while let Some(handshake) = self.endpoint.accept().await {
            let mesh = self.clone();
            tokio::spawn(async move {
                // Whoever has no certificate of this deployment is refused and counted there.
                let Ok(peer) = handshake.finish().await else { return };
                if !mesh.streams().contains_key(&peer.member) {
                    peer.connection.close(NO_PEER, b"no peer of this member");
                    return;
                }
                let Ok((send, mut receive)) = peer.connection.accept_bi().await else { return };
                let mut greeting = [0];
                if receive.read_exact(&mut greeting).await.is_ok() && greeting == [GREETING] {
                    let stream = Stream::new(peer.connection.clone(), send, receive);
                    mesh.attach(peer.member, peer.connection, stream).await;
                }
            });
        }
    }

    /// Hands a stream over, and counts it until its connection is lost.
    async fn attach(&self, member: String, connection: Connection, stream: Stream) {
        if self.attached.send(Attached { member: member.clone(), stream }).is_ok() {
            *self.streams().entry(member.clone()).or_default() += 1;
            connection.closed().await;
            *self.streams().entry(member).or_default() -= 1;
        }
    }
}

/// Why a member was not reached; it is dialled again whatever it was.
#[derive(Debug, thiserror::Error)]
enum Unreached {
    #[error(transparent)]
    Endpoint(#[from] super::net::endpoint::Error),
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    #[error(transparent)]
    Write(#[from] quinn::WriteError),
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::runtime::net::{Authority, Transport, bind};

    fn endpoint(authority: &Authority, member: &str) -> Endpoint {
        let identity = authority.issue(member).unwrap();
        bind(&identity, (Ipv4Addr::LOCALHOST, 0).into(), None, &Transport::default()).unwrap()
    }

    #[tokio::test]
    async fn a_member_that_is_no_peer_is_shown_the_door_and_a_peer_is_counted_once() {
        let authority = Authority::new().unwrap();
        let (server, peer, other) =
            (endpoint(&authority, "r0"), endpoint(&authority, "r1"), endpoint(&authority, "r9"));
        let (sender, mut attached) = unbounded_channel();
        let mesh = Mesh::new(server.clone(), ["r1".into(), "c0".into()], sender);
        let accepting = tokio::spawn(mesh.clone().accept());
        let connection = other.connect(server.local_address(), "r0", None).await.unwrap();
        assert!(connection.closed().await.to_string().contains("no peer of this member"));
        assert_eq!(mesh.connected(), 0);

        let (sender, mut own) = unbounded_channel();
        let peers = Mesh::new(peer, ["r0".into()], sender);
        let dial = peers.clone().dial(server.local_address(), "r0".into(), Span::ZERO);
        let dialling = tokio::spawn(dial);
        let [theirs, ours] = [attached.recv().await.unwrap(), own.recv().await.unwrap()];
        assert_eq!((theirs.member.as_str(), ours.member.as_str()), ("r1", "r0"));
        assert_eq!((mesh.connected(), peers.connected()), (1, 1));

        // A stream that nobody wants any more is dialled again.
        drop(theirs);
        assert_eq!(attached.recv().await.unwrap().member, "r1");
        accepting.abort();
        dialling.abort();
    }
}

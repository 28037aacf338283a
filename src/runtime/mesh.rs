//! Connections between members: who dials whom, and again after a loss.
//!
//! Of two replicas the lower number dials; a client dials every replica.
//! Each connection carries one stream, whose first byte is a greeting, because a stream that
//! nothing was written to does not exist for the other side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quinn::Connection;
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

/// Where new streams go, and how many there are.
#[derive(Clone, Debug)]
pub struct Mesh {
    endpoint: Endpoint,
    attached: UnboundedSender<Attached>,
    connected: Arc<AtomicUsize>,
}

impl Mesh {
    /// A mesh without a stream; new ones are given to `attached`.
    pub fn new(endpoint: Endpoint, attached: UnboundedSender<Attached>) -> Self {
        Self { endpoint, attached, connected: Arc::default() }
    }

    /// Members with a stream now.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
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
        if self.attached.send(Attached { member, stream }).is_ok() {
            self.connected.fetch_add(1, Ordering::Relaxed);
            connection.closed().await;
            self.connected.fetch_sub(1, Ordering::Relaxed);
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

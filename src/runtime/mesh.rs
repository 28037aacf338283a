//! Connections between members: who dials whom, and again after a loss.
//!
//! Of two replicas the lower number dials; a client dials every replica.
//! Each connection carries one stream, whose first byte is a greeting, because a stream that
//! nothing was written to does not exist for the other side.

use std::net::SocketAddr;
use std::time::Duration;

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

/// Keeps a stream to `member` for as long as somebody wants it: dials, waits for the loss, dials again.
pub async fn dial(
    endpoint: Endpoint,
    address: SocketAddr,
    member: String,
    round_trip: Span,
    attached: UnboundedSender<Attached>,
) {
    let mut retry = RETRY_MIN;
    while !attached.is_closed() {
        if let Some(stream) = dial_once(&endpoint, address, &member, round_trip).await {
            retry = RETRY_MIN;
            let (connection, stream) = stream;
            if attached.send(Attached { member: member.clone(), stream }).is_err() {
                return;
            }
            connection.closed().await;
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
}

async fn dial_once(
    endpoint: &Endpoint,
    address: SocketAddr,
    member: &str,
    round_trip: Span,
) -> Option<(quinn::Connection, Stream)> {
    let connection = endpoint.connect(address, member, Some(round_trip)).await.ok()?;
    let (mut send, receive) = connection.open_bi().await.ok()?;
    send.write_all(&[GREETING]).await.ok()?;
    Some((connection.clone(), Stream::new(connection, send, receive)))
}

/// Takes the streams of members that dial, until the endpoint is closed.
pub async fn accept(endpoint: Endpoint, attached: UnboundedSender<Attached>) {
    while let Some(handshake) = endpoint.accept().await {
        let attached = attached.clone();
        tokio::spawn(async move {
            // Whoever has no certificate of this deployment is refused and counted by the endpoint.
            let Ok(peer) = handshake.finish().await else { return };
            let Ok((send, mut receive)) = peer.connection.accept_bi().await else { return };
            let mut greeting = [0];
            if receive.read_exact(&mut greeting).await.is_ok() && greeting == [GREETING] {
                let stream = Stream::new(peer.connection, send, receive);
                let _ = attached.send(Attached { member: peer.member, stream });
            }
        });
    }
}

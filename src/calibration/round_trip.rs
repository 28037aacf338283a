//! Round trips of 128 bytes on loopback: UDP, TCP, and QUIC as members speak it.
//!
//! Client and server have a thread and an event loop each, as members do, so every round trip wakes
//! two threads.
//! QUIC is measured a second time with both ends in one event loop: nobody is woken there, and what
//! is left is the work.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;

use super::{Error, Quantiles, event_loop};
use crate::measure::Latencies;
use crate::runtime::clock;
use crate::runtime::net::{Authority, Endpoint, Transport, bind};
use crate::time::Span;

/// The size of a message: the value of an accept in the experiments.
pub(super) const MESSAGE_BYTES: usize = 128;

/// Round trips that are not counted: caches fill, and QUIC's handshake is confirmed.
const WARM_UP: usize = 50;

/// How long one round trip may take: a datagram that is lost is not answered.
const ANSWER_MAX: Span = Span::from_millis(3_000);

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Round trips over UDP.
pub(super) fn udp(length: Span) -> Result<Quantiles, Error> {
    let failed = |source| Error::RoundTrip { protocol: "UDP", source };
    let server = |told: mpsc::Sender<SocketAddr>| async move {
        let socket = UdpSocket::bind(ANYWHERE).await?;
        tell(&told, socket.local_addr()?);
        let mut message = [0; MESSAGE_BYTES];
        loop {
            let (count, from) = socket.recv_from(&mut message).await?;
            socket.send_to(&message[..count], from).await?;
        }
    };
    let client = async |address| {
        let socket = UdpSocket::bind(ANYWHERE).await?;
        socket.connect(address).await?;
        let mut message = [7; MESSAGE_BYTES];
        repeat(length, ANSWER_MAX, async || {
            socket.send(&message).await?;
            socket.recv(&mut message).await.map(|_| ())
        })
        .await
    };
    between(server, client).map_err(failed)
}

/// Round trips over TCP.
pub(super) fn tcp(length: Span) -> Result<Quantiles, Error> {
    let failed = |source| Error::RoundTrip { protocol: "TCP", source };
    let server = |told: mpsc::Sender<SocketAddr>| async move {
        let listener = TcpListener::bind(ANYWHERE).await?;
        tell(&told, listener.local_addr()?);
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut message = [0; MESSAGE_BYTES];
        loop {
            let count = stream.read(&mut message).await?;
            if count == 0 {
                return Ok(());
            }
            stream.write_all(&message[..count]).await?;
        }
    };
    let client = async |address| {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut message = [7; MESSAGE_BYTES];
        repeat(length, ANSWER_MAX, async || {
            stream.write_all(&message).await?;
            stream.read_exact(&mut message).await.map(|_| ())
        })
        .await
    };
    between(server, client).map_err(failed)
}

/// Round trips over one long-lived stream of QUIC.
pub(super) fn quic(length: Span) -> Result<Quantiles, Error> {
    let authority = Authority::new()?;
    let (one, other) = (authority.issue("r0")?, authority.issue("r1")?);
    let transport = Transport::default();
    let server_transport = transport.clone();
    let server = |told: mpsc::Sender<SocketAddr>| async move {
        let endpoint = bind(&one, ANYWHERE, None, &server_transport).map_err(io::Error::other)?;
        tell(&told, endpoint.local_address());
        answer(&endpoint, MESSAGE_BYTES).await
    };
    let client = async |address| {
        let endpoint = bind(&other, ANYWHERE, None, &transport).map_err(io::Error::other)?;
        ask(&endpoint, address, length, MESSAGE_BYTES).await
    };
    between(server, client).map_err(|source| Error::RoundTrip { protocol: "QUIC", source })
}

/// So many bytes there and a message back, with both ends in one event loop: the work of a round trip, without
/// a wake-up.
pub(super) fn quic_in_one_loop(length: Span, bytes: usize) -> Result<Quantiles, Error> {
    let authority = Authority::new()?;
    let (one, other) = (authority.issue("r0")?, authority.issue("r1")?);
    event_loop()?.block_on(async {
        let transport = Transport::default();
        let server = bind(&one, ANYWHERE, None, &transport)?;
        let client = bind(&other, ANYWHERE, None, &transport)?;
        let address = server.local_address();
        let answering = tokio::spawn(async move { answer(&server, bytes).await });
        let found = ask(&client, address, length, bytes).await;
        answering.abort();
        found.map_err(|source| Error::RoundTrip { protocol: "QUIC", source })
    })
}

/// Answers each so many bytes of the first stream of one connection with a message.
async fn answer(endpoint: &Endpoint, bytes: usize) -> io::Result<()> {
    let handshake = endpoint.accept().await.ok_or(io::ErrorKind::NotConnected)?;
    let peer = handshake.finish().await.map_err(io::Error::other)?;
    let (mut send, mut receive) = peer.connection.accept_bi().await?;
    let message = Bytes::from(vec![7; MESSAGE_BYTES]);
    while take(&mut receive, bytes).await.is_ok() {
        send.write_chunk(message.clone()).await?;
    }
    Ok(())
}

async fn ask(
    endpoint: &Endpoint,
    server: SocketAddr,
    length: Span,
    bytes: usize,
) -> io::Result<Quantiles> {
    let connection = endpoint.connect(server, "r0", None).await.map_err(io::Error::other)?;
    let (mut send, mut receive) = connection.open_bi().await?;
    let message = Bytes::from(vec![7; bytes]);
    let round_trip = async || round_trip(&mut send, &mut receive, &message).await;
    let found = repeat(length, ANSWER_MAX, round_trip).await;
    endpoint.close("measured");
    endpoint.wait_idle().await;
    found
}

async fn round_trip(
    send: &mut SendStream,
    receive: &mut RecvStream,
    message: &Bytes,
) -> io::Result<()> {
    send.write_chunk(message.clone()).await?;
    take(receive, MESSAGE_BYTES).await
}

/// Takes so many bytes of a stream.
async fn take(receive: &mut RecvStream, bytes: usize) -> io::Result<()> {
    let mut missing = bytes;
    while missing > 0 {
        let chunk = receive.read_chunk(missing, true).await.map_err(io::Error::other)?;
        missing -= chunk.ok_or(io::ErrorKind::UnexpectedEof)?.bytes.len();
    }
    Ok(())
}

/// Makes round trips for so long, and at least one after the warm-up; each within `answer_max`.
async fn repeat(
    length: Span,
    answer_max: Span,
    mut round_trip: impl AsyncFnMut() -> io::Result<()>,
) -> io::Result<Quantiles> {
    let mut in_time = async || {
        let answered = tokio::time::timeout(answer_max.into(), round_trip()).await;
        answered.unwrap_or_else(|_| Err(unanswered(answer_max)))
    };
    for _ in 0..WARM_UP {
        in_time().await?;
    }
    let mut took = Latencies::new();
    let start = clock::now();
    let mut last = start;
    while last.since(start) < length || took.is_empty() {
        in_time().await?;
        let now = clock::now();
        took.record(now.since(last));
        last = now;
    }
    Ok(Quantiles::of(&took))
}

fn unanswered(waited: Span) -> io::Error {
    let seconds = waited.as_millis_f64() / 1e3;
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {seconds} s"))
}

/// Runs a server in a thread of its own, and a client in this one once it knows where the server is.
///
/// The server ends with the client, which ends by itself: each of its round trips is bounded.
fn between<S, R>(
    server: S,
    client: impl AsyncFnOnce(SocketAddr) -> io::Result<Quantiles>,
) -> io::Result<Quantiles>
where
    S: FnOnce(mpsc::Sender<SocketAddr>) -> R + Send,
    R: Future<Output = io::Result<()>>,
{
    let (told, address) = mpsc::channel();
    let (over, is_over) = oneshot::channel::<()>();
    thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::select! {
                    ended = server(told) => ended,
                    _ = is_over => Ok(()),
                }
            })
        });
        let found = match address.recv() {
            Ok(address) => ask_within(client(address)),
            // It ended before it was there, and says why.
            Err(_) => Err(io::ErrorKind::NotConnected.into()),
        };
        drop(over);
        let ended = serving.join().map_err(|_| io::Error::other("the server panicked"))?;
        ended.and(found)
    })
}

/// What a client finds in an event loop of its own.
fn ask_within(client: impl Future<Output = io::Result<Quantiles>>) -> io::Result<Quantiles> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(client)
}

fn tell(told: &mpsc::Sender<SocketAddr>, address: SocketAddr) {
    // Should the client be gone, there is nobody to serve either.
    let _ = told.send(address);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_never_comes_ends_the_round_trips() {
        let answer_max = Span::from_millis(1);
        let never = async || std::future::pending().await;
        let found = event_loop().unwrap().block_on(repeat(Span::ZERO, answer_max, never));
        let refused = found.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        assert_eq!(refused.to_string(), "no answer within 0.001 s");
    }

    #[test]
    fn a_server_that_hears_nothing_more_ends_with_its_client() {
        let server = |told: mpsc::Sender<SocketAddr>| async move {
            tell(&told, ANYWHERE);
            std::future::pending().await
        };
        let client = async |_| Err(unanswered(Span::ZERO));
        let refused = between(server, client).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}

//! Tests of [`endpoint`](super).

use std::net::UdpSocket;

use bytes::BytesMut;
use quinn::RecvStream;
use tokio::task::JoinHandle;

use super::super::frame::{Decoder, encode};
use super::super::identity::Authority;
use super::*;
use crate::runtime::clock;
use crate::runtime::wan::link::Links;
use crate::runtime::wan::releaser::{Precision, Releaser};
use crate::topology::Delay;

fn host() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn plain(identity: &Identity) -> Endpoint {
    bind(identity, host(), None, &Transport::default()).unwrap()
}

fn issue(authority: &Authority, member: &str) -> Identity {
    authority.issue(member).unwrap()
}

/// What becomes of the next that dials.
fn accept(endpoint: &Endpoint) -> JoinHandle<Result<Peer, Error>> {
    let endpoint = endpoint.clone();
    tokio::spawn(async move { endpoint.accept().await.unwrap().finish().await })
}

async fn receive(stream: &mut RecvStream, decoder: &mut Decoder) -> String {
    loop {
        if let Some(message) = decoder.next().unwrap() {
            return message;
        }
        let chunk = stream.read_chunk(usize::MAX, true).await.unwrap().unwrap();
        decoder.push(chunk.bytes);
    }
}

fn frame(message: &str) -> bytes::Bytes {
    let mut buffer = BytesMut::new();
    encode(&mut buffer, message).unwrap();
    buffer.freeze()
}

/// Dials, says a word, and waits for it to come back.
async fn echo(client: &Endpoint, server: &Endpoint) -> (Connection, Peer) {
    let accepted = accept(server);
    let connection = client.connect(server.local_address(), "r0", None).await.unwrap();
    let peer = accepted.await.unwrap().unwrap();
    let (mut send, mut receive_stream) = connection.open_bi().await.unwrap();
    send.write_chunk(frame("hello")).await.unwrap();
    let (mut back, mut heard) = peer.connection.accept_bi().await.unwrap();
    let word = receive(&mut heard, &mut Decoder::default()).await;
    back.write_chunk(frame(&word)).await.unwrap();
    assert_eq!(receive(&mut receive_stream, &mut Decoder::default()).await, "hello");
    (connection, peer)
}

#[tokio::test]
async fn members_of_one_deployment_know_each_other_by_name() {
    let authority = Authority::new().unwrap();
    let (server, client) = (plain(&issue(&authority, "r0")), plain(&issue(&authority, "client-1")));
    let (connection, peer) = echo(&client, &server).await;
    assert_eq!(peer.member, "client-1");
    assert_eq!(peer_name(&connection).as_deref(), Some("r0"));
    assert_eq!((server.refused(), client.refused()), (0, 0));
    assert_eq!(server.kernel_drops(), Some(0));
    assert!(server.receive_buffer_bytes() > 0);
}

#[tokio::test]
async fn a_member_of_another_deployment_is_refused() {
    let ours = Authority::new().unwrap();
    let foreign = issue(&Authority::new().unwrap(), "client-1");
    let server = plain(&issue(&ours, "r0"));
    let address = server.local_address();

    // It does not believe us.
    let accepted = accept(&server);
    let client = plain(&foreign);
    let refused = client.connect(address, "r0", None).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
    assert!(matches!(accepted.await.unwrap(), Err(Error::Refused { .. })));

    // It believes us, but we do not believe it.
    let accepted = accept(&server);
    let authority = issue(&ours, "r0").authority;
    let client = plain(&Identity { authority, ..foreign });
    let connection = client.connect(address, "r0", None).await.unwrap();
    assert!(matches!(accepted.await.unwrap(), Err(Error::Refused { .. })));
    assert!(matches!(connection.closed().await, ConnectionError::ConnectionClosed(_)));
    assert_eq!(server.refused(), 2);
}

#[tokio::test]
async fn a_peer_that_is_not_the_member_dialled_is_refused() {
    let authority = Authority::new().unwrap();
    let (server, client) = (plain(&issue(&authority, "r1")), plain(&issue(&authority, "r0")));
    let accepted = accept(&server);
    let refused = client.connect(server.local_address(), "r2", None).await;
    assert!(matches!(refused, Err(Error::Connect { member, .. }) if member == "r2"));
    assert!(accepted.await.unwrap().is_err());
    assert_eq!((server.refused(), client.refused()), (1, 1));
}

#[tokio::test]
async fn whoever_shows_no_certificate_is_refused() {
    let identity = issue(&Authority::new().unwrap(), "r0");
    let server = plain(&identity);
    let accepted = accept(&server);
    let mut config = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(tls::roots(&identity).unwrap())
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = QuicClientConfig::try_from(config).unwrap();
    let client = quinn::Endpoint::client(host()).unwrap();
    let config = ClientConfig::new(Arc::new(config));
    let dialling = client.connect_with(config, server.local_address(), "r0.flexpaxos").unwrap();
    // The client may believe that it is connected until the server's alert arrives.
    let client_side = dialling.await;
    assert!(matches!(accepted.await.unwrap(), Err(Error::Refused { .. })));
    if let Ok(connection) = client_side {
        assert!(matches!(connection.closed().await, ConnectionError::ConnectionClosed(_)));
    }
    assert_eq!(server.refused(), 1);
}

#[tokio::test]
async fn a_peer_of_another_protocol_version_is_refused() {
    let authority = Authority::new().unwrap();
    let server = plain(&issue(&authority, "r0"));
    let accepted = accept(&server);
    let (identity, transport) = (issue(&authority, "r1"), Transport::default());
    let client = bind_speaking(b"flexpaxos/0", &identity, host(), None, &transport).unwrap();
    let refused = client.connect(server.local_address(), "r0", None).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
    assert!(accepted.await.unwrap().is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let identity = issue(&Authority::new().unwrap(), "r0");
    let address = plain(&identity).local_address();
    let holder = UdpSocket::bind(host()).unwrap();
    let taken = holder.local_addr().unwrap();
    let error = bind(&identity, taken, None, &Transport::default()).unwrap_err();
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    assert_ne!(address, taken);
}

#[tokio::test]
async fn settings_and_identities_that_make_no_sense_are_refused() {
    let identity = issue(&Authority::new().unwrap(), "r0");
    let transport = Transport { mtu_bytes: 100, ..Transport::default() };
    let refused = bind(&identity, host(), None, &transport);
    assert!(matches!(refused, Err(Error::Transport(_))));
    let other = issue(&Authority::new().unwrap(), "r0");
    let mixed = Identity { key: other.key, ..identity };
    let refused = bind(&mixed, host(), None, &Transport::default());
    assert!(matches!(refused, Err(Error::Tls { .. })));
}

#[tokio::test]
async fn a_closed_endpoint_accepts_nobody() {
    let server = plain(&issue(&Authority::new().unwrap(), "r0"));
    server.close("done");
    assert!(server.accept().await.is_none());
    server.wait_idle().await;
}

/// Scenarios delay-one-way-only and delay-twice: each direction has its own delay, once.
#[tokio::test]
async fn a_round_trip_takes_the_delays_of_both_directions() {
    let authority = Authority::new().unwrap();
    let releaser = Arc::new(Releaser::start(Precision::default()).unwrap());
    let emulated = |member, seed| {
        let emulation = Arc::new(Emulation::new(Links::new(seed), Arc::clone(&releaser)));
        let identity = issue(&authority, member);
        bind(&identity, host(), Some(emulation), &Transport::default()).unwrap()
    };
    let (server, client) = (emulated("r0", 1), emulated("client-1", 2));
    let (there, back) = (Span::from_millis(4), Span::from_millis(2));
    let link = |from: &Endpoint, to: &Endpoint, delay, stream| {
        from.emulation().unwrap().set(to.local_address(), Delay::constant(delay), stream);
    };
    link(&client, &server, there, 1);
    link(&server, &client, back, 2);

    let start = clock::now();
    let (connection, _peer) = echo(&client, &server).await;
    // A round trip for the handshake, and one for the word.
    assert!(clock::now().since(start) >= (there + back).times(2));
    assert!(Span::from(connection.stats().path.rtt) >= there + back);
    for endpoint in [&server, &client] {
        let report = endpoint.emulation().unwrap().report();
        let lost = [report.dropped, report.unknown_destination, report.send_errors];
        assert_eq!((report.early, lost), (0, [0; 3]));
        assert!(report.datagrams > 0 && report.bypassed == 0);
    }
}

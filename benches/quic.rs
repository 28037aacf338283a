//! The round trip of 128 bytes on one long-lived QUIC stream over loopback: with the plain socket,
//! with an emulated link that has no delay, and with one of 1 ms each way.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use flexpaxos::runtime::net::{Authority, Endpoint, Transport, bind};
use flexpaxos::runtime::wan::{Emulation, Links, Precision, Releaser};
use flexpaxos::time::Span;
use flexpaxos::topology::Delay;
use quinn::{Connection, RecvStream, SendStream};
use tokio::runtime::Runtime;

/// A client whose every chunk comes back.
struct Echo {
    send: SendStream,
    receive: RecvStream,
    /// They must live as long as the streams.
    _ends: (Endpoint, Endpoint, Connection),
}

impl Echo {
    async fn new(delay: Option<Delay>) -> Self {
        let authority = Authority::new().expect("keys can be made");
        let releaser = Arc::new(Releaser::start(Precision::default()).expect("threads can start"));
        let endpoint = |member| {
            let links = |_: &Delay| Arc::new(Emulation::new(Links::new(1), Arc::clone(&releaser)));
            let identity = authority.issue(member).expect("the name is good");
            let address = SocketAddr::from(([127, 0, 0, 1], 0));
            bind(&identity, address, delay.as_ref().map(links), &Transport::default())
                .expect("a port is free")
        };
        let (server, client) = (endpoint("r0"), endpoint("client-0"));
        for (from, to, stream) in [(&server, &client, 1), (&client, &server, 2)] {
            if let (Some(links), Some(delay)) = (from.emulation(), &delay) {
                links.set(to.local_address(), delay.clone(), stream);
            }
        }
        let address = server.local_address();
        let accepting = server.clone();
        // It ends with the connection: a benchmark that is filtered out says nothing.
        tokio::spawn(async move {
            let peer = accepting.accept().await?.finish().await.ok()?;
            let (mut send, mut receive) = peer.connection.accept_bi().await.ok()?;
            while let Ok(Some(chunk)) = receive.read_chunk(usize::MAX, true).await {
                send.write_chunk(chunk.bytes).await.ok()?;
            }
            Some(())
        });
        let connection = client.connect(address, "r0", None).await.expect("the server is there");
        let (send, receive) = connection.open_bi().await.expect("a stream");
        Self { send, receive, _ends: (server, client, connection) }
    }

    async fn round_trip(&mut self, message: &Bytes) {
        self.send.write_chunk(message.clone()).await.expect("the connection lives");
        let mut missing = message.len();
        while missing > 0 {
            let chunk = self.receive.read_chunk(missing, true).await.expect("the connection lives");
            missing -= chunk.expect("the stream goes on").bytes.len();
        }
    }
}

fn quic(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can start");
    let mut group = criterion.benchmark_group("quic round trip of 128 B");
    let setups = [
        ("plain socket", None),
        ("emulated, no delay", Some(Delay::zero())),
        ("emulated, 1 ms each way", Some(Delay::constant(Span::from_millis(1)))),
    ];
    for (name, delay) in setups {
        let mut echo = runtime.block_on(Echo::new(delay));
        let message = Bytes::from(vec![7; 128]);
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(echo.round_trip(&message)));
        });
    }
    group.finish();
}

criterion_group!(benches, quic);
criterion_main!(benches);

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::Ipv4Addr;

use bytes::BytesMut;

use super::*;
use crate::runtime::net::transport::STREAMS_MAX;
use crate::runtime::net::{Authority, Endpoint, Transport, bind};

const QUIC: [Layout; 3] = [Layout::One, Layout::PerMessage, Layout::Datagrams];

/// Two members with a stream between them.
struct Pair {
    ours: Stream,
    theirs: Stream,
    /// Under our stream.
    connection: Connection,
    _endpoints: [Endpoint; 2],
}

impl Pair {
    async fn new(layout: Layout) -> Self {
        let authority = Authority::new().unwrap();
        let transport = Transport { streams: layout, ..Transport::default() };
        let endpoints = ["r0", "r1"].map(|member| {
            let identity = authority.issue(member).unwrap();
            bind(&identity, (Ipv4Addr::LOCALHOST, 0).into(), None, &transport).unwrap()
        });
        let accepted = tokio::spawn({
            let endpoint = endpoints[1].clone();
            async move {
                let peer = endpoint.accept().await.unwrap().finish().await.unwrap();
                let (send, mut receive) = peer.connection.accept_bi().await.unwrap();
                receive.read_exact(&mut [0]).await.unwrap();
                Stream::quic(layout, peer.connection, send, receive)
            }
        });
        let address = endpoints[1].local_address();
        let connection = endpoints[0].connect(address, "r1", None).await.unwrap();
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(b"p").await.unwrap();
        let ours = Stream::quic(layout, connection.clone(), send, receive);
        Self { ours, theirs: accepted.await.unwrap(), connection, _endpoints: endpoints }
    }

    /// Sends what was put into our stream until `count` messages have arrived at theirs.
    async fn carry(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut arrived = Vec::new();
        poll_fn(|cx| {
            self.ours.flush(cx).unwrap();
            self.theirs.receive(cx).unwrap();
            while let Some(message) = self.theirs.next().unwrap() {
                arrived.push(message);
            }
            if arrived.len() < count { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        arrived
    }
}

/// A message that says which it is.
fn message(number: usize, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length.max(8), number.to_le_bytes()[0]);
    bytes
}

#[tokio::test]
async fn messages_of_every_length_arrive_once_and_whole_on_every_layout() {
    // Around the length of a datagram, and far beyond what the connection takes at once.
    let lengths = [8, 100, 1_300, 1_380, 1_400, 1_420, 1_500, 100_000, 5 << 20];
    for layout in QUIC {
        let mut pair = Pair::new(layout).await;
        let sent: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(number, length)| message(number, *length)).collect();
        for message in &sent {
            pair.ours.put_message(message).unwrap();
        }
        let mut arrived = pair.carry(sent.len()).await;
        if layout != Layout::One {
            arrived.sort();
        }
        assert!(arrived == sent, "{layout:?}");
        assert_eq!((pair.ours.dropped_count(), pair.theirs.dropped_count()), (0, 0));
        let datagrams = pair.connection.stats().frame_tx.datagram;
        assert_eq!(datagrams > 0, layout == Layout::Datagrams, "{layout:?}");
        assert!(datagrams < sent.len() as u64, "what fits no datagram went by a stream");
    }
}

#[tokio::test]
async fn one_stream_keeps_the_order_of_sending() {
    let mut pair = Pair::new(Layout::One).await;
    let sent: Vec<Vec<u8>> = (0..1_000).map(|number| message(number, number)).collect();
    for message in &sent {
        let mut frame = BytesMut::new();
        frame::encode(&mut frame, message).unwrap();
        assert!(!pair.ours.put(&frame));
    }
    assert!(pair.carry(sent.len()).await == sent);
}

#[tokio::test]
async fn more_messages_than_streams_allowed_wait_for_their_turn() {
    let mut pair = Pair::new(Layout::PerMessage).await;
    let count = STREAMS_MAX as usize + 100;
    for number in 0..count {
        pair.ours.put_message(&message(number, 8)).unwrap();
    }
    let mut seen = BTreeMap::new();
    for message in pair.carry(count).await {
        *seen.entry(message).or_insert(0) += 1;
    }
    assert_eq!((seen.len(), seen.values().max()), (count, Some(&1)));
    assert_eq!(pair.ours.dropped_count(), 0);
}

#[tokio::test]
async fn a_stream_that_is_no_message_closes_the_connection() {
    for layout in [Layout::PerMessage, Layout::Datagrams] {
        for garbage in [&b"\x09\0\0\0short"[..], b"", b"\xff\xff\xff\xff"] {
            let mut pair = Pair::new(layout).await;
            let mut stream = pair.connection.open_uni().await.unwrap();
            stream.write_all(garbage).await.unwrap();
            stream.finish().unwrap();
            let closed = poll_fn(|cx| match pair.theirs.receive(cx) {
                Ok(()) => Poll::Pending,
                Err(closed) => Poll::Ready(closed),
            });
            assert_eq!(closed.await, Closed::Undecodable, "{layout:?}");
            assert!(pair.connection.closed().await.to_string().contains("does not decode"));
        }
    }
}

#[tokio::test]
async fn a_datagram_that_is_no_message_closes_the_connection() {
    let mut pair = Pair::new(Layout::Datagrams).await;
    pair.connection.send_datagram(b"garbage".as_slice().into()).unwrap();
    let closed = poll_fn(|cx| match pair.theirs.receive(cx) {
        Ok(()) => Poll::Pending,
        Err(closed) => Poll::Ready(closed),
    });
    assert_eq!(closed.await, Closed::Undecodable);
}

#[tokio::test]
async fn a_whole_frame_that_is_another_message_closes_the_connection() {
    for layout in QUIC {
        let mut pair = Pair::new(layout).await;
        pair.ours.put_message(&"words").unwrap();
        let closed = poll_fn(|cx| {
            pair.ours.flush(cx).unwrap();
            pair.theirs.receive(cx).unwrap();
            // Four bytes of text are no such table.
            match pair.theirs.next::<BTreeMap<u64, [u64; 4]>>() {
                Ok(_) => Poll::Pending,
                Err(closed) => Poll::Ready(closed),
            }
        });
        assert_eq!(closed.await, Closed::Undecodable, "{layout:?}");
    }
}

#[tokio::test]
async fn the_end_of_one_side_is_seen_by_the_other() {
    for layout in QUIC {
        let Pair { ours, mut theirs, .. } = Pair::new(layout).await;
        drop(ours);
        let closed = poll_fn(|cx| match theirs.receive(cx) {
            Ok(()) => Poll::Pending,
            Err(closed) => Poll::Ready(closed),
        });
        assert_eq!(closed.await, Closed::Gone, "{layout:?}");
    }
}

#[tokio::test]
async fn datagrams_travel_beside_the_messages_where_none_is_one() {
    for layout in QUIC {
        let mut pair = Pair::new(layout).await;
        let beside = layout != Layout::Datagrams;
        assert_eq!(pair.ours.carries_datagrams(), beside, "{layout:?}");
        pair.ours.send_datagram(b"beside".as_slice().into());
        pair.ours.put_message(&message(7, 8)).unwrap();
        // A message is no datagram, and a datagram is no message.
        assert!(pair.carry(1).await == [message(7, 8)]);
        let arrived = poll_fn(|cx| {
            pair.theirs.receive(cx).unwrap();
            match pair.theirs.next_datagram(cx) {
                None if beside => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                datagram => Poll::Ready(datagram),
            }
        });
        assert_eq!(arrived.await.as_deref(), beside.then_some(&b"beside"[..]), "{layout:?}");
    }
}

/// Datagrams that nobody reads are thrown away by the connection, and that is not silent.
#[tokio::test]
async fn datagrams_that_nobody_reads_are_counted() {
    let authority = Authority::new().unwrap();
    let transport = Transport {
        streams: Layout::Datagrams,
        stream_window_bytes: 1 << 12,
        ..Transport::default()
    };
    let endpoint = |member: &str| {
        let identity = authority.issue(member).unwrap();
        bind(&identity, (Ipv4Addr::LOCALHOST, 0).into(), None, &transport).unwrap()
    };
    let (client, server) = (endpoint("r0"), endpoint("r1"));
    let accepted = tokio::spawn({
        let server = server.clone();
        async move { server.accept().await.unwrap().finish().await.unwrap() }
    });
    let connection = client.connect(server.local_address(), "r1", None).await.unwrap();
    let peer = accepted.await.unwrap();
    let (send, receive) = peer.connection.open_bi().await.unwrap();
    let mut theirs = Stream::quic(Layout::Datagrams, peer.connection.clone(), send, receive);
    let mut frame = BytesMut::new();
    frame::encode(&mut frame, &message(7, 1_000)).unwrap();
    for _ in 0..20 {
        connection.send_datagram(frame.clone().freeze()).unwrap();
    }
    // A stream behind them says that they are there.
    let (mut word, _answer) = connection.open_bi().await.unwrap();
    word.write_all(b"w").await.unwrap();
    let (_send, mut heard) = peer.connection.accept_bi().await.unwrap();
    heard.read_exact(&mut [0]).await.unwrap();
    while peer.connection.stats().frame_rx.datagram < 20 {
        tokio::task::yield_now().await;
    }
    poll_fn(|cx| Poll::Ready(theirs.receive(cx))).await.unwrap();
    let mut read_count = 0;
    while theirs.next::<Vec<u8>>().unwrap().is_some() {
        read_count += 1;
    }
    assert!((1..20).contains(&read_count), "{read_count}");
    assert_eq!(theirs.dropped_count(), 20 - read_count);
}

/// A peer that sends without end is read no faster than it is listened to.
#[tokio::test]
async fn a_flood_waits_at_its_sender_until_it_is_decoded() {
    for layout in [Layout::One, Layout::PerMessage] {
        let mut pair = Pair::new(layout).await;
        // All of it fits into what may arrive in part: streams take turns.
        let (count, mut frame) = (230, BytesMut::new());
        frame::encode(&mut frame, &Bytes::from(vec![7; 100_000])).unwrap();
        for _ in 0..count {
            assert!(!pair.ours.put(&frame));
        }
        let fill = |pair: &mut Pair, cx: &mut Context<'_>| {
            pair.ours.flush(cx).unwrap();
            pair.theirs.receive(cx).unwrap();
            pair.theirs.decoder.waiting_bytes()
        };
        poll_fn(|cx| {
            fill(&mut pair, cx);
            if pair.theirs.decoder.is_full() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let waiting_bytes = pair.theirs.decoder.waiting_bytes();
        let most = frame::MAX_BYTES + if layout == Layout::One { 16 << 20 } else { 64 << 20 };
        assert!(waiting_bytes < most, "{layout:?}: {waiting_bytes}");
        for _ in 0..100 {
            let now = poll_fn(|cx| Poll::Ready(fill(&mut pair, cx))).await;
            assert_eq!(now, waiting_bytes, "{layout:?}");
            tokio::task::yield_now().await;
        }
        let mut arrived = 0;
        poll_fn(|cx| {
            fill(&mut pair, cx);
            while let Some(bytes) = pair.theirs.next::<Bytes>().unwrap() {
                assert_eq!(bytes.len(), 100_000);
                arrived += 1;
            }
            if arrived < count { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert_eq!((arrived, pair.ours.dropped_count()), (count, 0), "{layout:?}");
    }
}

/// Streams that are begun with much and never ended.
#[tokio::test]
async fn messages_that_never_end_do_not_fill_the_memory() {
    let mut pair = Pair::new(Layout::PerMessage).await;
    let connection = pair.connection.clone();
    let flood = tokio::spawn(async move {
        let part = vec![7; 8 << 20];
        let mut begun = Vec::new();
        // It is refused in the middle.
        while let Ok(mut stream) = connection.open_uni().await {
            if stream.write_all(&part).await.is_err() {
                break;
            }
            begun.push(stream);
        }
        connection.closed().await.to_string()
    });
    let ended = poll_fn(|cx| match pair.theirs.receive(cx) {
        Ok(()) => Poll::Pending,
        Err(closed) => Poll::Ready(closed),
    });
    assert_eq!(ended.await, Closed::Undecodable);
    assert!(flood.await.unwrap().contains("does not decode"));
}

#[tokio::test]
async fn who_said_the_impossible_is_told_so() {
    let mut pair = Pair::new(Layout::One).await;
    assert_eq!(pair.theirs.refuse(), Closed::Impossible);
    assert!(pair.connection.closed().await.to_string().contains("a message is impossible"));
}

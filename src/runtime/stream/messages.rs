//! Each message by itself: on a QUIC stream of its own, or in a datagram (RFC 9221).
//!
//! A lost packet then holds up no other message, and messages arrive in any order.
//! A stream costs a stream's bookkeeping on both sides, and is sent again until it arrives.
//! A datagram costs none and is never sent again: what is lost costs a time-out of the protocol, and
//! a request or an answer that of the client, which is two seconds or more.
//! A frame that no datagram holds goes by a stream of its own, which is why there are streams too.
//!
//! At most [`net::STREAMS_MAX`](crate::runtime::net::transport::STREAMS_MAX) messages of one
//! direction are under way as streams; the next ones wait in the outbox.
//! What has arrived of them in part is bounded too: a peer that begins many and ends none is refused.

use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendDatagramError, SendStream};

use super::one::CHUNKS_PER_READ;
use super::{Closed, Kept, Lane, Outbox, Refusal};
use crate::runtime::net::endpoint::ENDED;
use crate::runtime::net::frame::{self, Decoder};

/// Bytes of messages that have not arrived whole; an honest peer holds each of them itself until they
/// have, and keeps less than half of this.
const PARTS_BYTES_MAX: usize = if cfg!(test) { 24 << 20 } else { 256 << 20 };

/// A connection whose streams and datagrams are one message each.
#[derive(Debug)]
pub(super) struct Messages {
    connection: Connection,
    /// The stream of the greeting: ending it would end the conversation.
    _greeted: (SendStream, RecvStream),
    accepting: Kept<Result<RecvStream, ConnectionError>>,
    /// Streams that have not arrived whole.
    arriving: Vec<Arriving>,
    opening: Kept<Result<SendStream, ConnectionError>>,
    /// The message that the connection took a part of.
    leaving: Option<(SendStream, Bytes)>,
    datagrams: Option<Datagrams>,
}

/// What there is for datagrams only.
#[derive(Debug)]
struct Datagrams {
    reading: Kept<Result<Bytes, ConnectionError>>,
    sending: Kept<Result<(), SendDatagramError>>,
    /// Those handed to the decoder.
    taken_count: u64,
    /// Those that the connection threw away because its buffer was full.
    unread_count: u64,
}

impl Messages {
    pub(super) fn new(
        connection: Connection,
        greeted: (SendStream, RecvStream),
        has_datagrams: bool,
    ) -> Self {
        Self {
            connection,
            _greeted: greeted,
            accepting: Kept::new(),
            arriving: Vec::new(),
            opening: Kept::new(),
            leaving: None,
            datagrams: has_datagrams.then(Datagrams::new),
        }
    }

    /// Accepts the streams that the peer opened.
    fn accept(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        loop {
            let connection = &self.connection;
            let accepted = self.accepting.poll(cx, || {
                let connection = connection.clone();
                async move { connection.accept_uni().await }
            });
            match accepted {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(stream)) => self.arriving.push(Arriving::new(stream)),
                Poll::Ready(Err(_)) => return Err(Closed::Gone),
            }
        }
    }

    /// Sends what fits into a datagram; false if the next message is to go by a stream.
    fn send_datagram(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<Result<bool, Closed>> {
        let Some(datagrams) = &mut self.datagrams else { return Poll::Ready(Ok(false)) };
        let connection = &self.connection;
        if !datagrams.sending.is_busy() {
            let longest = connection.max_datagram_size().unwrap_or(0);
            let Some(frame) = outbox.front().filter(|frame| frame.len() <= longest) else {
                return Poll::Ready(Ok(false));
            };
            if connection.datagram_send_buffer_space() >= frame.len() {
                let sent = connection.send_datagram(frame.clone());
                outbox.take();
                return Poll::Ready(judge(&sent));
            }
        }
        let sent = datagrams.sending.poll(cx, || {
            let (connection, frame) = (connection.clone(), outbox.take().unwrap_or_default());
            async move { connection.send_datagram_wait(frame).await }
        });
        sent.map(|sent| judge(&sent))
    }

    /// Sends the next message on a stream of its own.
    fn send_stream(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<Result<(), Closed>> {
        if self.leaving.is_none() {
            let connection = &self.connection;
            let opened = self.opening.poll(cx, || {
                let connection = connection.clone();
                async move { connection.open_uni().await }
            });
            match opened {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Closed::Gone)),
                Poll::Ready(Ok(stream)) => {
                    self.leaving = outbox.take().map(|frame| (stream, frame));
                }
            }
        }
        while let Some((stream, rest)) = &mut self.leaving {
            let written = pin!(stream.write_chunks(std::slice::from_mut(rest))).poll(cx);
            match written {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Closed::Gone)),
                Poll::Ready(Ok(_)) if !rest.is_empty() => {}
                Poll::Ready(Ok(_)) => {
                    // A peer that wants no more of the stream has the message or is gone.
                    let _ = stream.finish();
                    self.leaving = None;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A datagram that was not sent for what it is, not for the end of the connection, is lost.
fn judge(sent: &Result<(), SendDatagramError>) -> Result<bool, Closed> {
    match sent {
        Err(SendDatagramError::ConnectionLost(_)) => Err(Closed::Gone),
        _ => Ok(true),
    }
}

impl Lane for Messages {
    fn receive(&mut self, cx: &mut Context<'_>, decoder: &mut Decoder) -> Result<(), Closed> {
        if decoder.is_full() {
            cx.waker().wake_by_ref();
            return Ok(());
        }
        // What arrived before the end of the connection is handed over all the same.
        let mut ended = self.accept(cx);
        let mut parts_bytes = 0;
        self.arriving.retain_mut(|arriving| match arriving.poll(cx) {
            Poll::Pending => {
                parts_bytes += arriving.bytes();
                true
            }
            Poll::Ready(Ok(frame)) => {
                decoder.push(frame);
                false
            }
            Poll::Ready(Err(closed)) => {
                ended = Err(closed);
                false
            }
        });
        if parts_bytes > PARTS_BYTES_MAX {
            ended = Err(Closed::Undecodable);
        }
        if let Some(datagrams) = &mut self.datagrams {
            ended = ended.and(datagrams.receive(&self.connection, cx, decoder));
        }
        if ended == Err(Closed::Undecodable) {
            self.refuse(Refusal::Undecodable);
        }
        ended
    }

    fn flush(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> Result<(), Closed> {
        let is_waiting =
            |datagrams: &Option<Datagrams>| datagrams.as_ref().is_some_and(Datagrams::is_waiting);
        while !outbox.is_empty() || self.leaving.is_some() || is_waiting(&self.datagrams) {
            let is_first = self.leaving.is_none() && !self.opening.is_busy();
            let sent = match is_first.then(|| self.send_datagram(cx, outbox)) {
                Some(Poll::Pending) => return Ok(()),
                Some(Poll::Ready(sent)) => sent?,
                None => false,
            };
            if sent {
                continue;
            }
            match self.send_stream(cx, outbox) {
                Poll::Pending => return Ok(()),
                Poll::Ready(sent) => sent?,
            }
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) {
        let (code, words) = refusal.words();
        self.connection.close(code, words);
    }

    fn unread_count(&self) -> u64 {
        self.datagrams.as_ref().map_or(0, |datagrams| datagrams.unread_count)
    }

    fn datagrams(&self) -> Option<&Connection> {
        self.datagrams.is_none().then_some(&self.connection)
    }
}

/// Its connection carries nothing else; whoever dialled it learns that it is to dial again.
impl Drop for Messages {
    fn drop(&mut self) {
        self.connection.close(ENDED, b"the stream is of no more use");
    }
}

impl Datagrams {
    const fn new() -> Self {
        Self { reading: Kept::new(), sending: Kept::new(), taken_count: 0, unread_count: 0 }
    }

    /// Whether a datagram waits for room in the connection.
    const fn is_waiting(&self) -> bool {
        self.sending.is_busy()
    }

    fn receive(
        &mut self,
        connection: &Connection,
        cx: &mut Context<'_>,
        decoder: &mut Decoder,
    ) -> Result<(), Closed> {
        loop {
            let read = self.reading.poll(cx, || {
                let connection = connection.clone();
                async move { connection.read_datagram().await }
            });
            match read {
                Poll::Pending => break,
                Poll::Ready(Ok(datagram)) => {
                    self.taken_count += 1;
                    if !frame::is_whole(&datagram) {
                        return Err(Closed::Undecodable);
                    }
                    decoder.push(datagram);
                }
                Poll::Ready(Err(_)) => return Err(Closed::Gone),
            }
        }
        // The connection's buffer is empty now: what it took in and did not hand over is gone.
        let arrived_count = connection.stats().frame_rx.datagram;
        self.unread_count = arrived_count.saturating_sub(self.taken_count);
        Ok(())
    }
}

/// A message on its way in.
#[derive(Debug)]
struct Arriving {
    stream: RecvStream,
    /// The beginning, as it came; most messages are no longer.
    first: Bytes,
    /// All of it, once there is more: a chunk keeps the whole datagram that it came in.
    whole: BytesMut,
}

impl Arriving {
    fn new(stream: RecvStream) -> Self {
        Self { stream, first: Bytes::new(), whole: BytesMut::new() }
    }

    /// How much of it is there.
    fn bytes(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    fn push(&mut self, chunk: Bytes) {
        if self.bytes() == 0 {
            self.first = chunk;
            return;
        }
        self.whole.extend_from_slice(&std::mem::take(&mut self.first));
        self.whole.extend_from_slice(&chunk);
    }

    /// The frame, once all of it is there.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        let mut chunks = [const { Bytes::new() }; CHUNKS_PER_READ];
        loop {
            let read = pin!(self.stream.read_chunks(&mut chunks)).poll(cx);
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(count))) => {
                    for chunk in &mut chunks[..count] {
                        self.push(std::mem::take(chunk));
                    }
                    if self.bytes() > frame::MAX_BYTES {
                        return Poll::Ready(Err(Closed::Undecodable));
                    }
                }
                Poll::Ready(Ok(None)) => {
                    let frame = self.gather();
                    let is_whole = frame::is_whole(&frame);
                    return Poll::Ready(is_whole.then_some(frame).ok_or(Closed::Undecodable));
                }
                Poll::Ready(Err(ReadError::Reset(_))) => {
                    return Poll::Ready(Err(Closed::Undecodable));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Closed::Gone)),
            }
        }
    }

    /// All of it in one piece.
    fn gather(&mut self) -> Bytes {
        if self.whole.is_empty() {
            return std::mem::take(&mut self.first);
        }
        std::mem::take(&mut self.whole).freeze()
    }
}

//! One long-lived QUIC stream to a peer, both directions, for an event loop that polls.
//!
//! quinn's send buffer is searched for every packet, so many small segments cost the square of
//! their number: all frames of one wake-up leave as one chunk.
//! There is no task and no channel between the stream and the event loop that owns it.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::net::frame::{self, Decoder};

/// Frames that wait because the peer does not read; more are dropped, as a full link drops.
const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// Chunks taken from the connection at once.
const CHUNKS_PER_READ: usize = 32;

/// The application's error code for a frame that does not decode.
const UNDECODABLE: VarInt = VarInt::from_u32(1);

/// The application's error code for a stream that nobody reads any more.
const ENDED: VarInt = VarInt::from_u32(0);

/// Why a stream is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The connection ended.
    Gone,
    /// A frame did not decode; the connection was closed for it.
    Undecodable,
}

/// The two directions of one stream; the connection ends with it.
#[derive(Debug)]
pub struct Stream {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    decoder: Decoder,
    /// The frames of this wake-up.
    out: BytesMut,
    /// What the connection did not take yet.
    backlog: VecDeque<Bytes>,
    backlog_bytes: usize,
    dropped_count: u64,
}

impl Stream {
    /// Owns the two halves of a stream of `connection`.
    pub fn new(connection: Connection, send: SendStream, receive: RecvStream) -> Self {
        Self {
            connection,
            send,
            receive,
            decoder: Decoder::default(),
            out: BytesMut::new(),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            dropped_count: 0,
        }
    }

    /// Takes in everything that has arrived; wakes the task when more does.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        let mut chunks = [const { Bytes::new() }; CHUNKS_PER_READ];
        loop {
            // A read that is dropped before it is done has taken nothing.
            let read = pin!(self.receive.read_chunks(&mut chunks)).poll(cx);
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(Some(count))) => {
                    for chunk in &mut chunks[..count] {
                        self.decoder.push(std::mem::take(chunk));
                    }
                }
                Poll::Ready(Ok(None) | Err(_)) => return Err(Closed::Gone),
            }
        }
    }

    /// The next whole message of what was received.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Closed> {
        self.decoder.next().map_err(|_| {
            self.connection.close(UNDECODABLE, b"a frame does not decode");
            Closed::Undecodable
        })
    }

    /// Puts an encoded frame behind the others of this wake-up; true if there was no room.
    pub(super) fn put(&mut self, frame: &[u8]) -> bool {
        if self.backlog_bytes + self.out.len() + frame.len() > BACKLOG_BYTES_MAX {
            self.dropped_count += 1;
            return true;
        }
        self.out.extend_from_slice(frame);
        false
    }

    /// Encodes a message behind the others of this wake-up.
    pub(super) fn put_message<T: Serialize>(&mut self, message: &T) -> Result<(), frame::Error> {
        if self.backlog_bytes + self.out.len() > BACKLOG_BYTES_MAX {
            self.dropped_count += 1;
            return Ok(());
        }
        frame::encode(&mut self.out, message)
    }

    /// Gives the frames of this wake-up to the connection, as one chunk.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        if !self.out.is_empty() {
            let chunk = self.out.split().freeze();
            self.backlog_bytes += chunk.len();
            self.backlog.push_back(chunk);
        }
        while !self.backlog.is_empty() {
            let chunks = self.backlog.make_contiguous();
            let written = pin!(self.send.write_chunks(chunks)).poll(cx);
            match written {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(written)) => {
                    self.backlog.drain(..written.chunks);
                    self.backlog_bytes -= written.bytes;
                }
                Poll::Ready(Err(_)) => return Err(Closed::Gone),
            }
        }
        Ok(())
    }

    /// Whether the connection carries datagrams beside the stream.
    pub(super) fn carries_datagrams(&self) -> bool {
        self.connection.max_datagram_size().is_some()
    }

    /// Sends a datagram beside the stream: unlike a frame it may be lost or overtaken, and that shows.
    pub(super) fn send_datagram(&self, datagram: Bytes) {
        // What the connection does not take is lost like any other.
        let _ = self.connection.send_datagram(datagram);
    }

    /// The next datagram that has arrived; the task is not woken for one.
    pub(super) fn next_datagram(&self, cx: &mut Context<'_>) -> Option<Bytes> {
        match pin!(self.connection.read_datagram()).poll(cx) {
            Poll::Ready(datagram) => datagram.ok(),
            Poll::Pending => None,
        }
    }

    /// Frames that were dropped because the peer did not read.
    pub(super) const fn dropped_count(&self) -> u64 {
        self.dropped_count
    }
}

/// Its connection carries nothing else; whoever dialled it learns that it is to dial again.
impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.close(ENDED, b"the stream is of no more use");
    }
}

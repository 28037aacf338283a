//! What two members say to one another, for an event loop that polls: frames out, frames in.
//!
//! The loop knows five calls and not what carries them. There are three ways:
//!
//! | lane | what a lost packet holds up |
//! |---|---|
//! | `one`: one long-lived QUIC stream | everything sent after it, until it is sent again |
//! | `messages`: a QUIC stream for each frame, or datagrams | its own message, or nothing at all |
//! | `tls`: TLS on the kernel's TCP | everything sent after it, until it is sent again |
//!
//! Arrival order is that of sending on the first and the last only. The protocols above welcome
//! lost, repeated and reordered messages, so they are not told which it is.
//! There is no task and no channel between the lane and the event loop that owns it.

mod messages;
mod one;
mod outbox;
mod tls;

use std::fmt::Debug;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::net::endpoint::{IMPOSSIBLE, UNDECODABLE};
use super::net::frame::{self, Decoder};
use super::net::{Layout, TlsStream};
use messages::Messages;
use one::One;
use outbox::Outbox;
use tls::Tls;

/// Why a stream is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The connection ended.
    Gone,
    /// A frame did not decode; the connection was closed for it.
    Undecodable,
    /// A message was impossible; the connection was closed for it.
    Impossible,
}

/// Why a connection is ended for what its peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Undecodable,
    Impossible,
}

impl Refusal {
    /// What a QUIC peer is told.
    const fn words(self) -> (VarInt, &'static [u8]) {
        match self {
            Self::Undecodable => (UNDECODABLE, b"a frame does not decode"),
            Self::Impossible => (IMPOSSIBLE, b"a message is impossible"),
        }
    }
}

/// How frames travel.
trait Lane: Debug + Send {
    /// Takes in what has arrived, whole frames or pieces in their order; wakes the task when more does.
    ///
    /// It takes in no more once the decoder is full, and wakes the task to take in the rest.
    fn receive(&mut self, cx: &mut Context<'_>, decoder: &mut Decoder) -> Result<(), Closed>;

    /// Gives away as much of the outbox as the connection takes; wakes the task when it takes more.
    fn flush(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> Result<(), Closed>;

    /// Ends the connection because of what its peer sent.
    fn refuse(&mut self, refusal: Refusal);

    /// Messages that arrived and that the connection threw away because nobody read them.
    fn unread_count(&self) -> u64 {
        0
    }

    /// The connection, if it has datagrams and no message travels in one.
    fn datagrams(&self) -> Option<&Connection> {
        None
    }
}

/// Both directions of what one peer is told; the connection ends with it.
#[derive(Debug)]
pub struct Stream {
    lane: Box<dyn Lane>,
    decoder: Decoder,
    outbox: Outbox,
}

impl Stream {
    /// Owns a QUIC connection; the greeting has gone over the two halves of its first stream.
    pub fn quic(
        layout: Layout,
        connection: Connection,
        send: SendStream,
        receive: RecvStream,
    ) -> Self {
        let has_datagrams = layout == Layout::Datagrams;
        match layout {
            Layout::One => Self::over(One::new(connection, send, receive), Outbox::of_chunks()),
            Layout::PerMessage | Layout::Datagrams => {
                let lane = Messages::new(connection, (send, receive), has_datagrams);
                Self::over(lane, Outbox::of_frames())
            }
        }
    }

    /// Owns a TCP connection; `lives` is dropped with it.
    pub fn tcp(stream: TlsStream, lives: oneshot::Sender<()>) -> Self {
        Self::over(Tls::new(stream, lives), Outbox::of_chunks())
    }

    fn over(lane: impl Lane + 'static, outbox: Outbox) -> Self {
        Self { lane: Box::new(lane), decoder: Decoder::default(), outbox }
    }

    /// Takes in everything that has arrived; wakes the task when more does.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        self.lane.receive(cx, &mut self.decoder)
    }

    /// The next whole message of what was received.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Closed> {
        self.decoder.next().map_err(|_| {
            self.lane.refuse(Refusal::Undecodable);
            Closed::Undecodable
        })
    }

    /// Ends the connection because a message was impossible.
    pub(super) fn refuse(&mut self) -> Closed {
        self.lane.refuse(Refusal::Impossible);
        Closed::Impossible
    }

    /// Puts an encoded frame behind the others of this wake-up; true if there was no room.
    pub(super) fn put(&mut self, frame: &[u8]) -> bool {
        self.outbox.put(frame)
    }

    /// Encodes a message behind the others of this wake-up.
    pub(super) fn put_message<T: Serialize>(&mut self, message: &T) -> Result<(), frame::Error> {
        self.outbox.put_message(message)
    }

    /// Gives the frames of this wake-up to the connection.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        self.outbox.seal();
        self.lane.flush(cx, &mut self.outbox)
    }

    /// Whether datagrams can be sent beside the messages.
    pub(super) fn carries_datagrams(&self) -> bool {
        self.lane.datagrams().is_some_and(|connection| connection.max_datagram_size().is_some())
    }

    /// Sends a datagram beside the messages: it may be lost or overtaken, and that shows. Where there
    /// are none beside them, it is lost at once.
    pub(super) fn send_datagram(&self, datagram: Bytes) {
        if let Some(connection) = self.lane.datagrams() {
            // What the connection does not take is lost like any other.
            let _ = connection.send_datagram(datagram);
        }
    }

    /// The next datagram that has arrived; the task is not woken for one.
    pub(super) fn next_datagram(&self, cx: &mut Context<'_>) -> Option<Bytes> {
        match pin!(self.lane.datagrams()?.read_datagram()).poll(cx) {
            Poll::Ready(datagram) => datagram.ok(),
            Poll::Pending => None,
        }
    }

    /// Frames that were dropped because one side did not read.
    pub(super) fn dropped_count(&self) -> u64 {
        self.outbox.dropped_count() + self.lane.unread_count()
    }
}

/// A future that forgets who waits for it when it is dropped, so it is kept between two polls.
///
/// quinn's reads and writes of a stream remember the task by themselves, but what opens, accepts or
/// waits for a datagram does not.
struct Kept<T> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
}

impl<T> Kept<T> {
    const fn new() -> Self {
        Self { future: None }
    }

    /// Polls the future under way, or else a new one.
    fn poll<F>(&mut self, cx: &mut Context<'_>, start: impl FnOnce() -> F) -> Poll<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let future = self.future.get_or_insert_with(|| Box::pin(start()));
        let ended = future.as_mut().poll(cx);
        if ended.is_ready() {
            self.future = None;
        }
        ended
    }

    /// Whether something is under way.
    const fn is_busy(&self) -> bool {
        self.future.is_some()
    }
}

impl<T> Debug for Kept<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("is_busy", &self.is_busy()).finish()
    }
}

#[cfg(test)]
mod tests;

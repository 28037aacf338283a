//! TLS on the kernel's TCP: messages arrive in their order, and a lost packet holds up the rest.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;

use super::{Closed, Lane, Outbox, Refusal};
use crate::runtime::net::TlsStream;
use crate::runtime::net::frame::Decoder;

/// Room for what is read at once: a few records of TLS.
const READ_BYTES: usize = 64 << 10;

/// A connection; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Tls {
    stream: TlsStream,
    arrived: BytesMut,
    /// Nothing of this connection is read or written any more.
    is_refused: bool,
    /// Whoever counts connections waits for the end of this.
    _lives: oneshot::Sender<()>,
}

impl Tls {
    pub(super) fn new(stream: TlsStream, lives: oneshot::Sender<()>) -> Self {
        Self { stream, arrived: BytesMut::new(), is_refused: false, _lives: lives }
    }

    fn write(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> Poll<std::io::Result<()>> {
        while let Some(chunk) = outbox.chunks().first_mut() {
            match Pin::new(&mut self.stream).poll_write(cx, chunk) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count < chunk.len() => {
                    let _ = chunk.split_to(count);
                    outbox.sent(0, count);
                }
                Poll::Ready(Ok(count)) => outbox.sent(1, count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        // What was encrypted and not yet given to the kernel.
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl Lane for Tls {
    fn receive(&mut self, cx: &mut Context<'_>, decoder: &mut Decoder) -> Result<(), Closed> {
        while !self.is_refused {
            if decoder.is_full() {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            self.arrived.reserve(READ_BYTES);
            // A read that is dropped before it is done has taken nothing.
            let read = pin!(self.stream.read_buf(&mut self.arrived)).poll(cx);
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(1..)) => decoder.push(self.arrived.split().freeze()),
                Poll::Ready(Ok(0) | Err(_)) => return Err(Closed::Gone),
            }
        }
        Err(Closed::Undecodable)
    }

    fn flush(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> Result<(), Closed> {
        match self.write(cx, outbox) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(_)) => Err(Closed::Gone),
        }
    }

    fn refuse(&mut self, _: Refusal) {
        // Who owns the stream drops it now, which ends the connection.
        self.is_refused = true;
    }
}

//! One long-lived QUIC stream: messages arrive in their order, and a lost packet holds up the rest.

use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};

use super::{Closed, Lane, Outbox, Refusal};
use crate::runtime::net::endpoint::ENDED;
use crate::runtime::net::frame::Decoder;

/// Chunks taken from the connection at once.
pub(super) const CHUNKS_PER_READ: usize = 32;

/// The two directions of one stream.
#[derive(Debug)]
pub(super) struct One {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl One {
    pub(super) fn new(connection: Connection, send: SendStream, receive: RecvStream) -> Self {
        Self { connection, send, receive }
    }
}

impl Lane for One {
    fn receive(&mut self, cx: &mut Context<'_>, decoder: &mut Decoder) -> Result<(), Closed> {
        let mut chunks = [const { Bytes::new() }; CHUNKS_PER_READ];
        while !decoder.is_full() {
            // A read that is dropped before it is done has taken nothing.
            let read = pin!(self.receive.read_chunks(&mut chunks)).poll(cx);
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(Some(count))) => {
                    for chunk in &mut chunks[..count] {
                        decoder.push(std::mem::take(chunk));
                    }
                }
                Poll::Ready(Ok(None) | Err(_)) => return Err(Closed::Gone),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn flush(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> Result<(), Closed> {
        while !outbox.is_empty() {
            let written = pin!(self.send.write_chunks(outbox.chunks())).poll(cx);
            match written {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(written)) => outbox.sent(written.chunks, written.bytes),
                Poll::Ready(Err(_)) => return Err(Closed::Gone),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) {
        let (code, words) = refusal.words();
        self.connection.close(code, words);
    }

    fn datagrams(&self) -> Option<&Connection> {
        Some(&self.connection)
    }
}

/// Its connection carries nothing else; whoever dialled it learns that it is to dial again.
impl Drop for One {
    fn drop(&mut self) {
        self.connection.close(ENDED, b"the stream is of no more use");
    }
}

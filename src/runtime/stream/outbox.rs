//! Frames on their way to a connection that may not take them at once.
//!
//! quinn's send buffer is searched for every packet, so many small segments on one stream cost the
//! square of their number: there all frames of one wake-up leave as one chunk.
//! Where each frame travels by itself they are kept apart.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use crate::runtime::net::frame;

/// Frames that wait because the peer does not read; more are dropped, as a full link drops.
const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// What waits to be sent.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The frames of this wake-up that are not in the queue yet.
    open: BytesMut,
    /// What the connection did not take yet, in its order.
    queue: VecDeque<Bytes>,
    queue_bytes: usize,
    keeps_frames_apart: bool,
    dropped_count: u64,
}

impl Outbox {
    /// For a stream of bytes: a chunk is the frames of one wake-up.
    pub(super) fn of_chunks() -> Self {
        Self::new(false)
    }

    /// For messages: a chunk is one frame.
    pub(super) fn of_frames() -> Self {
        Self::new(true)
    }

    fn new(keeps_frames_apart: bool) -> Self {
        Self {
            open: BytesMut::new(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            keeps_frames_apart,
            dropped_count: 0,
        }
    }

    /// Puts an encoded frame behind the others; true if there was no room.
    pub(super) fn put(&mut self, frame: &[u8]) -> bool {
        if self.bytes() + frame.len() > BACKLOG_BYTES_MAX {
            self.dropped_count += 1;
            return true;
        }
        self.open.extend_from_slice(frame);
        self.end_frame();
        false
    }

    /// Encodes a message behind the others.
    pub(super) fn put_message<T: Serialize>(&mut self, message: &T) -> Result<(), frame::Error> {
        if self.bytes() > BACKLOG_BYTES_MAX {
            self.dropped_count += 1;
            return Ok(());
        }
        frame::encode(&mut self.open, message)?;
        self.end_frame();
        Ok(())
    }

    /// Ends the chunk of this wake-up.
    pub(super) fn seal(&mut self) {
        if !self.open.is_empty() {
            let chunk = self.open.split().freeze();
            self.queue_bytes += chunk.len();
            self.queue.push_back(chunk);
        }
    }

    /// The chunk that leaves next.
    pub(super) fn front(&self) -> Option<&Bytes> {
        self.queue.front()
    }

    /// Takes the chunk that leaves next.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let chunk = self.queue.pop_front()?;
        self.queue_bytes -= chunk.len();
        Some(chunk)
    }

    /// All chunks in their order; whoever sent some of them says so with [`Self::sent`].
    pub(super) fn chunks(&mut self) -> &mut [Bytes] {
        self.queue.make_contiguous()
    }

    /// So many whole chunks are gone, and so many bytes; what is left of the next begins where it is
    /// to go on.
    pub(super) fn sent(&mut self, chunks: usize, bytes: usize) {
        self.queue.drain(..chunks);
        self.queue_bytes -= bytes;
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Frames for which there was no room.
    pub(super) const fn dropped_count(&self) -> u64 {
        self.dropped_count
    }

    fn end_frame(&mut self) {
        if self.keeps_frames_apart {
            self.seal();
        }
    }

    fn bytes(&self) -> usize {
        self.queue_bytes + self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_wake_up_leave_together_or_apart() {
        for (mut outbox, lengths) in
            [(Outbox::of_chunks(), vec![5]), (Outbox::of_frames(), vec![2, 3])]
        {
            assert!(!outbox.put(b"ab") && !outbox.put(b"cde"));
            outbox.seal();
            let found: Vec<usize> = outbox.chunks().iter().map(Bytes::len).collect();
            assert_eq!(found, lengths);
        }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let mut outbox = Outbox::of_frames();
        let frame = vec![0; BACKLOG_BYTES_MAX / 2];
        assert!(!outbox.put(&frame) && !outbox.put(&frame));
        assert!(outbox.put(b"x"));
        assert_eq!(outbox.dropped_count(), 1);
        assert_eq!(outbox.take().map(|chunk| chunk.len()), Some(BACKLOG_BYTES_MAX / 2));
        assert!(!outbox.put(b"x"), "there is room again");
    }

    #[test]
    fn a_chunk_that_left_in_part_goes_on_where_it_stopped() {
        let mut outbox = Outbox::of_chunks();
        outbox.put(b"abc");
        outbox.seal();
        outbox.put(b"de");
        outbox.seal();
        // As a connection does that took four bytes.
        let _ = outbox.chunks()[1].split_to(1);
        outbox.sent(1, 4);
        assert_eq!(outbox.front().map(|rest| &rest[..]), Some(&b"e"[..]));
        outbox.take();
        assert!(outbox.is_empty() && outbox.bytes() == 0);
    }
}

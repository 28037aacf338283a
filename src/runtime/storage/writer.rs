//! The writer: the thread that makes groups durable, as many at a time as wait.
//!
//! Everything queued becomes one frame, one write and one sync; what arrives meanwhile waits for
//! the next. So the slower the disk, the larger the batches.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::disk::Disk;
use super::error::{Action, Error};
use super::frame;
use super::housekeeper::Housekeeper;
use super::mark::{Mark, MarkFile};
use super::queue::{Entry, Queue};
use super::segment::Segment;
use super::stopwatch;

/// A frame takes no further group beyond this: checksum and copy of a larger one would keep its
/// first group waiting longer than the sync does.
const FRAME_BYTES: u64 = 1 << 20;

/// What the thread works on.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) housekeeper: Housekeeper,
    pub(super) segment: Segment,
    pub(super) mark: MarkFile,
    pub(super) disk: Disk,
    /// Segments that are full and not deleted, the oldest first, each with the last group in it.
    pub(super) full: VecDeque<(u64, u64)>,
    /// The sequence number of the next group.
    pub(super) sequence: u64,
    /// The frame that is being written.
    pub(super) buffer: Vec<u8>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(self, folder: &Path) -> Result<JoinHandle<()>, Error> {
        thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || self.run())
            .map_err(|error| Error::io(Action::Create, folder, error))
    }

    fn run(mut self) {
        let alarm = Alarm(Arc::clone(&self.queue));
        let mut entries = Vec::new();
        while self.queue.take(&mut entries) {
            if let Err(error) = self.write_all(&entries) {
                // Never again: what a second sync would say of the first one's pages is not true.
                self.queue.fail(error);
            }
        }
        if self.queue.failure().is_none() {
            // Closed in peace: the mark will survive a power loss too. If it cannot, it is as old as
            // after a crash.
            let _ = self.mark.sync();
        }
        drop(alarm);
    }

    fn write_all(&mut self, mut entries: &[Entry]) -> Result<(), Error> {
        while !entries.is_empty() {
            let (batch, rest) = entries.split_at(frame_count(entries));
            self.write(batch)?;
            entries = rest;
        }
        Ok(())
    }

    fn write(&mut self, batch: &[Entry]) -> Result<(), Error> {
        let bytes = batch.iter().map(|entry| entry.bytes.len() as u64).sum();
        let frame_bytes = frame::encoded_bytes(batch.len(), bytes);
        if self.segment.room() < frame_bytes {
            self.full.push_back((self.segment.number, self.sequence - 1));
            self.segment = self.housekeeper.next_segment()?;
            self.segment.grow(frame_bytes)?;
        }
        let place = (self.segment.number, self.segment.offset);
        let groups = batch.iter().map(|entry| &entry.bytes);
        frame::encode(&mut self.buffer, place, self.sequence, groups);
        let slow = self.disk.slow();
        self.segment.append(&self.buffer)?;
        stopwatch::pause(slow, || self.queue.is_stopped());
        let sequence = self.sequence + batch.len() as u64 - 1;
        let (segment, end) = (self.segment.number, self.segment.offset);
        // Before anybody is told, so that what was told is never taken for torn.
        self.mark.write(Mark { sequence, segment, end })?;
        self.sequence = sequence + 1;
        self.queue.written(batch, sequence);
        self.delete_covered();
        Ok(())
    }

    /// Deletes the segments whose groups a durable checkpoint stands for.
    ///
    /// The segment that is written stays, and has a frame: the log can always be seen to go on.
    fn delete_covered(&mut self) {
        let checkpoint = self.queue.checkpoint();
        while let Some((number, _)) = self.full.pop_front_if(|(_, last)| *last <= checkpoint) {
            self.housekeeper.delete(number);
        }
    }
}

/// How many of `entries` go into the next frame: at least one.
fn frame_count(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.bytes.len() as u64;
        bytes <= FRAME_BYTES
    };
    entries.iter().take_while(fits).count().max(1)
}

/// Fails the queue if the thread panics: who waits for a group must not wait for ever.
pub(super) struct Alarm(pub(super) Arc<Queue>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(Error::Panicked);
        }
    }
}

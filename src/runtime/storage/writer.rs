//! The writer: the thread that makes groups durable, as many at a time as wait.
//!
//! Everything queued becomes one frame, one write and one sync; what arrives meanwhile waits for
//! the next. So the slower the disk, the larger the batches.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::disk::Disk;
use super::error::{Action, Error};
use super::frame::{self, Kind};
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
    /// The oldest segment that is not deleted.
    pub(super) oldest: u64,
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
        while let Some(first) = entries.first() {
            let count = match first.kind {
                Kind::Checkpoint => 1,
                Kind::Groups => frame_count(entries),
            };
            let (batch, rest) = entries.split_at(count);
            self.write(batch, first.kind)?;
            entries = rest;
        }
        Ok(())
    }

    fn write(&mut self, batch: &[Entry], kind: Kind) -> Result<(), Error> {
        let bytes = batch.iter().map(|entry| entry.bytes.len() as u64).sum();
        let frame_bytes = frame::encoded_bytes(batch.len(), bytes);
        if kind == Kind::Checkpoint || self.segment.room() < frame_bytes {
            self.segment = self.housekeeper.next_segment()?;
            self.segment.grow(frame_bytes)?;
        }
        let place = (self.segment.number, self.segment.offset);
        let groups = batch.iter().map(|entry| &entry.bytes);
        frame::encode(&mut self.buffer, place, kind, self.sequence, groups);
        let slow = self.disk.slow();
        self.segment.append(&self.buffer)?;
        stopwatch::pause(slow, || self.queue.is_stopped());
        let sequence = self.sequence + batch.len() as u64 - 1;
        let (segment, end) = (self.segment.number, self.segment.offset);
        // Before anybody is told, so that what was told is never taken for torn.
        self.mark.write(Mark { sequence, segment, end })?;
        self.sequence = sequence + 1;
        self.queue.written(batch, sequence);
        if kind == Kind::Checkpoint {
            // Only now: until here the older segments were the log.
            for number in self.oldest..self.segment.number {
                self.housekeeper.delete(number);
            }
            self.oldest = self.segment.number;
        }
        Ok(())
    }
}

/// How many of `entries` go into the next frame: at least one.
fn frame_count(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.bytes.len() as u64;
        entry.kind == Kind::Groups && bytes <= FRAME_BYTES
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

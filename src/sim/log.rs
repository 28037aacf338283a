//! What one replica executed, in writing: a segment for each time it was started.
//!
//! A crash ends a segment and cuts nothing off: whoever simulates a replica knows what it executed.

use super::digests::Digests;
use super::spool::Spool;
use crate::deployment::MemberName;
use crate::history::{ChosenWriter, Entry};
use crate::protocol::{Advance, Order, Progress};
use crate::quorum::NodeId;

/// The segments of one replica.
#[derive(Debug, Default)]
pub(super) struct Log {
    writer: Option<ChosenWriter>,
    /// The full blocks of the segment that is being written.
    blocks: Vec<u8>,
    segments: Vec<Vec<u8>>,
}

impl Log {
    /// A segment of `id`, which has executed so far.
    pub(super) fn begin(&mut self, order: Order, id: NodeId, progress: Progress) {
        self.end();
        self.writer = Some(ChosenWriter::begin(order, id, progress));
    }

    /// The state machine went on; in a total order digests are shared with the other replicas.
    #[inline]
    pub(super) fn write(&mut self, advance: &Advance, digests: Option<&mut Digests>) {
        let Some(writer) = &mut self.writer else { return };
        match (advance, digests) {
            (Advance::Executed(executed), Some(digests)) => {
                let digest = |command: &_| digests.of(executed.slot, command);
                writer.entry(&Entry::with(executed, digest));
            }
            _ => writer.advance(advance),
        }
        if let Some(block) = writer.take_block() {
            self.blocks.extend_from_slice(&block);
        }
    }

    /// Gives the full blocks of the segment away.
    #[inline]
    pub(super) fn spill(&mut self, id: NodeId, spool: &mut dyn Spool) {
        if !self.blocks.is_empty() {
            spool.take(MemberName::Replica(id), self.segments.len(), &self.blocks);
            self.blocks.clear();
        }
    }

    /// The segment is over.
    pub(super) fn end(&mut self) {
        if let Some(writer) = self.writer.take() {
            let mut segment = std::mem::take(&mut self.blocks);
            segment.extend_from_slice(&writer.finish());
            self.segments.push(segment);
        }
    }

    pub(super) fn into_segments(self) -> Vec<Vec<u8>> {
        self.segments
    }
}

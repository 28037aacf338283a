//! What replicas executed, in writing: a segment for each time that one was started.
//!
//! A crash ends a segment and cuts nothing off: whoever simulates a replica knows what it executed.

use super::spool::Spool;
use crate::deployment::MemberName;
use crate::history::JointLogs;
use crate::protocol::{Advance, Order, Progress};
use crate::quorum::NodeId;

/// The logs of all replicas.
#[derive(Debug)]
pub(super) struct Logs {
    joint: JointLogs,
    of: Vec<Log>,
}

/// The segments of one replica.
#[derive(Clone, Debug, Default)]
struct Log {
    /// The full blocks of the segment that is being written.
    blocks: Vec<u8>,
    segments: Vec<Vec<u8>>,
}

impl Logs {
    pub(super) fn new(order: Order, replica_count: usize) -> Self {
        let joint = JointLogs::new(order, replica_count);
        Self { joint, of: vec![Log::default(); replica_count] }
    }

    /// A segment of `id`, which has executed so far.
    pub(super) fn begin(&mut self, id: NodeId, progress: Progress) {
        self.end(id);
        self.joint.begin(id, progress);
    }

    /// The state machine of `id` went on; full blocks go to the spool, if there is one.
    #[inline]
    pub(super) fn write(
        &mut self,
        id: NodeId,
        advance: &Advance,
        spool: Option<&mut (dyn Spool + 'static)>,
    ) {
        self.joint.write(id, advance);
        let Some(block) = self.joint.take_block(id) else { return };
        let log = &mut self.of[usize::from(id.0)];
        match spool {
            Some(spool) => spool.take(MemberName::Replica(id), log.segments.len(), &block),
            None => log.blocks.extend_from_slice(&block),
        }
    }

    /// The segment of `id` is over, if it has one.
    pub(super) fn end(&mut self, id: NodeId) {
        if let Some(end) = self.joint.finish(id) {
            let log = &mut self.of[usize::from(id.0)];
            let mut segment = std::mem::take(&mut log.blocks);
            segment.extend_from_slice(&end);
            log.segments.push(segment);
        }
    }

    /// All segments of `id`; of what a spool took, only the end.
    pub(super) fn take(&mut self, id: NodeId) -> Vec<Vec<u8>> {
        self.end(id);
        std::mem::take(&mut self.of[usize::from(id.0)].segments)
    }
}

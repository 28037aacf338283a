//! What an acceptor granted to responders, as far as a later leader must know (`multi/responders.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::quorum::{NodeId, NodeSet};
use crate::time::Time;

/// The newest stamp of a grant to each responder.
///
/// Nothing of it is on a disk: an acceptor that starts again takes it that it granted to every responder just before,
/// at the newest stamp that its clock can have shown. So a renewal costs no record, and a crash costs a wait only where
/// a leader leaves a responder out soon after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Granted(BTreeMap<NodeId, Time>);

impl Granted {
    /// Each of these was granted something at this stamp.
    pub(super) fn note(&mut self, to: NodeSet, stamp: Time) {
        for node in to.iter() {
            let newest = self.0.entry(node).or_insert(stamp);
            *newest = stamp.max(*newest);
        }
    }

    /// What another acceptor granted as well.
    pub(super) fn merge(&mut self, other: &Self) {
        for (node, stamp) in &other.0 {
            self.note(NodeSet::only(*node), *stamp);
        }
    }

    /// The newest stamp of a grant to anybody who is not in this roster.
    pub(super) fn newest_beside(&self, roster: NodeSet) -> Option<Time> {
        let others = self.0.iter().filter(|(node, _)| !roster.contains(**node));
        others.map(|(_, stamp)| *stamp).max()
    }

    /// To whom anything was granted.
    pub(super) fn nodes(&self) -> NodeSet {
        self.0.keys().copied().collect()
    }

    /// As if nothing had been granted: for replicas that break this rule on purpose.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

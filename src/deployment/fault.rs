//! What goes wrong on purpose in a trial, and when.

use serde::{Deserialize, Serialize};

use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When, after the measurement has begun.
    pub at: Span,
    /// What.
    pub harm: Harm,
    /// How long it lasts: after it a crashed replica is started again on its disk, a paused one goes
    /// on, a link is as before. Never, if `None`.
    pub heals_after: Option<Span>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Harm {
    /// A replica stops, and loses what it holds in memory.
    Crash {
        /// Which.
        replica: NodeId,
        /// What becomes of records that it gave to its disk and that are not yet synced.
        unsynced: Unsynced,
    },
    /// A replica does nothing for a while and loses nothing.
    Pause {
        /// Which.
        replica: NodeId,
    },
    /// Messages between these replicas and the other ones are lost, in both directions.
    Partition {
        /// One side.
        side: NodeSet,
    },
    /// Messages in this direction are lost.
    Cut {
        /// The senders.
        from: NodeSet,
        /// The receivers.
        to: NodeSet,
    },
    /// Messages in this direction take longer.
    Slow {
        /// The senders.
        from: NodeSet,
        /// The receivers.
        to: NodeSet,
        /// By how much.
        by: Span,
    },
    /// This share of the messages in this direction is lost.
    Lose {
        /// The senders.
        from: NodeSet,
        /// The receivers.
        to: NodeSet,
        /// From 0 to 1.
        share: f64,
    },
    /// This share of the messages in this direction arrives twice.
    Duplicate {
        /// The senders.
        from: NodeSet,
        /// The receivers.
        to: NodeSet,
        /// From 0 to 1.
        share: f64,
    },
    /// Messages in this direction are each delayed by up to this much more, and overtake one another.
    Reorder {
        /// The senders.
        from: NodeSet,
        /// The receivers.
        to: NodeSet,
        /// The most that is added.
        spread: Span,
    },
    /// Every sync of this replica's disk takes longer.
    SlowDisk {
        /// Which.
        replica: NodeId,
        /// By how much.
        by: Span,
    },
    /// A replica is told to lead, whoever leads now.
    Campaign {
        /// Which.
        replica: NodeId,
    },
}

/// A fault as it came about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Struck {
    /// Which of the faults of the trial, from 0.
    pub fault: usize,
    /// What it did, with whoever led then in the place of a leader.
    pub harm: Harm,
    /// When it began.
    pub at: Time,
    /// When it ended, if it did.
    pub ended_at: Option<Time>,
}

/// What becomes of records that are on their way to the disk when their replica crashes.
///
/// What waited for them never leaves, whatever becomes of them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Unsynced {
    /// None of them is found again.
    #[default]
    Lost,
    /// The older half is found again; the first of the others is torn, and cut off.
    Torn,
    /// All of them are found again: the crash comes just before what waited for them.
    Written,
}

//! What goes wrong on purpose in a trial, to whom, and when: the same schedule in every world.
//!
//! | | |
//! |---|---|
//! | [`Scheduled`] | a fault as the experiment means it: a [`Trigger`], a kind, [`Target`]s, how long |
//! | [`Target`] | whom: replicas, and parts in the protocol, which somebody has only when it begins |
//! | [`Aim`](super::Aim) | says who they are then, by who leads and by the quorums nearest to them |
//! | [`FaultKind`] | what is carried out, on replicas that are known |
//! | [`Injector`](super::Injector) | decides when it begins and ends, in every world |
//! | [`InjectedFault`] | a fault that was carried out, and when it began and ended |
//!
//! A target of several replicas means each of them: then one fault leaves several [`InjectedFault`]s.
//! A fault of somebody's part (`leader`, a quorum of the leader) that is due while nobody leads waits
//! until somebody does; it comes within the measured time or never.
//! Who leads: the replica that says so, and of several the one with the highest ballot, as one that was
//! paused or cut off does not know better.
//! A replica that is down is not crashed again, and comes back when its
//! first crash says so.
//!
//! # In which world what is done how
//!
//! | fault | live | simulated |
//! |---|---|---|
//! | crash | SIGKILL of the process, started again on the same disk | state dropped; what was not synced is lost, torn or written |
//! | pause | SIGSTOP and SIGCONT; in one process, the member's thread stands still | nothing is handled; what is under way arrives, and waits |
//! | partition, cut, slow, lose, duplicate, reorder | the datagrams of the emulated links, below QUIC: what is lost is sent again when the link is back | messages: what is lost stays lost |
//! | slow disk | the log's writer waits after each sync | syncs take longer |
//! | full disk | no file of the log can be made or grow: the replica stops when it next needs one | the replica stops at once; what was not synced is lost |
//! | campaign | the replica is told | the replica is told |
//!
//! Progress is counted exactly in virtual time; live it is what clients last reported, every 5 ms where a
//! schedule asks for it, and so is who leads.
//! What is paused holds what it was sending: live, the delay line of a stopped process stands still
//! too.
//!
//! # Why clients are never cut off (2026-11-21)
//!
//! Faults of links are between replicas: a region in a fault is the replicas in it, and its clients reach
//! every replica as before.
//! What is measured is what replicas do when they cannot hear one another; a client that hears nobody
//! measures how long the fault was, and nothing that a quorum could change.

use serde::{Deserialize, Serialize};

use super::Target;
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// A fault of the schedule: what goes wrong, to whom, and when, as far as that is known beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// When it begins.
    pub trigger: Trigger,
    /// What, and whom.
    #[serde(rename = "harm")]
    pub kind: Aimed,
    /// How long it lasts: see [`Fault::heals_after`].
    pub heals_after: Option<Span>,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// So long after the measurement has begun.
    At(Span),
    /// When clients have had answers to so many writes, all together, since the measurement began.
    AfterWrites(u64),
}

/// A fault of which everything is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When, after the measurement has begun.
    pub at: Span,
    /// What.
    #[serde(rename = "harm")]
    pub kind: FaultKind,
    /// How long it lasts: after it a crashed replica is started again on its disk, a paused one goes
    /// on, a link is as before. Never, if `None`.
    pub heals_after: Option<Span>,
}

/// What is to go wrong, with whoever it concerns as the schedule names them.
pub type Aimed = FaultKind<Target, Target>;

/// What can go wrong; of replicas that are known, unless it is [`Aimed`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum FaultKind<One = NodeId, Several = NodeSet> {
    /// A replica stops, and loses what it holds in memory.
    Crash {
        /// Which.
        replica: One,
        /// What becomes of records that it gave to its disk and that are not yet synced.
        unsynced: Unsynced,
    },
    /// A replica does nothing for a while and loses nothing.
    Pause {
        /// Which.
        replica: One,
    },
    /// Messages between these replicas and the other ones are lost, in both directions.
    Partition {
        /// One side.
        side: Several,
    },
    /// Messages in this direction are lost.
    Cut {
        /// The senders.
        from: Several,
        /// The receivers.
        to: Several,
    },
    /// Messages in this direction take longer.
    Slow {
        /// The senders.
        from: Several,
        /// The receivers.
        to: Several,
        /// By how much.
        by: Span,
    },
    /// This share of the messages in this direction is lost.
    Lose {
        /// The senders.
        from: Several,
        /// The receivers.
        to: Several,
        /// From 0 to 1.
        share: f64,
    },
    /// This share of the messages in this direction arrives twice.
    Duplicate {
        /// The senders.
        from: Several,
        /// The receivers.
        to: Several,
        /// From 0 to 1.
        share: f64,
    },
    /// Messages in this direction are each delayed by up to this much more, and overtake one another.
    Reorder {
        /// The senders.
        from: Several,
        /// The receivers.
        to: Several,
        /// The most that is added.
        spread: Span,
    },
    /// Every sync of this replica's disk takes longer.
    SlowDisk {
        /// Which.
        replica: One,
        /// By how much.
        by: Span,
    },
    /// This replica's disk has no room: it stops, and loses what it holds in memory.
    FullDisk {
        /// Which.
        replica: One,
    },
    /// A replica is told to lead, whoever leads now.
    Campaign {
        /// Which.
        replica: One,
    },
}

impl<One, Several> FaultKind<One, Several> {
    /// Whether it is done to links.
    pub const fn is_of_links(&self) -> bool {
        match self {
            Self::Partition { .. }
            | Self::Cut { .. }
            | Self::Slow { .. }
            | Self::Lose { .. }
            | Self::Duplicate { .. }
            | Self::Reorder { .. } => true,
            Self::Crash { .. }
            | Self::Pause { .. }
            | Self::SlowDisk { .. }
            | Self::FullDisk { .. }
            | Self::Campaign { .. } => false,
        }
    }

    /// Who is down as long as it lasts.
    pub const fn stopped(&self) -> Option<&One> {
        match self {
            Self::Crash { replica, .. } | Self::FullDisk { replica } => Some(replica),
            _ => None,
        }
    }

    /// The same of others; `one` and `several` say who they are.
    pub fn map<A, B>(
        self,
        one: impl Fn(One) -> A,
        several: impl Fn(Several) -> B,
    ) -> FaultKind<A, B> {
        match self {
            Self::Crash { replica, unsynced } => {
                FaultKind::Crash { replica: one(replica), unsynced }
            }
            Self::Pause { replica } => FaultKind::Pause { replica: one(replica) },
            Self::Partition { side } => FaultKind::Partition { side: several(side) },
            Self::Cut { from, to } => FaultKind::Cut { from: several(from), to: several(to) },
            Self::Slow { from, to, by } => {
                FaultKind::Slow { from: several(from), to: several(to), by }
            }
            Self::Lose { from, to, share } => {
                FaultKind::Lose { from: several(from), to: several(to), share }
            }
            Self::Duplicate { from, to, share } => {
                FaultKind::Duplicate { from: several(from), to: several(to), share }
            }
            Self::Reorder { from, to, spread } => {
                FaultKind::Reorder { from: several(from), to: several(to), spread }
            }
            Self::SlowDisk { replica, by } => FaultKind::SlowDisk { replica: one(replica), by },
            Self::FullDisk { replica } => FaultKind::FullDisk { replica: one(replica) },
            Self::Campaign { replica } => FaultKind::Campaign { replica: one(replica) },
        }
    }
}

impl<T> FaultKind<T, T> {
    /// Whom it concerns: one, or the senders and the receivers.
    pub fn concerned(&self) -> Vec<&T> {
        match self {
            Self::Crash { replica, .. }
            | Self::Pause { replica }
            | Self::SlowDisk { replica, .. }
            | Self::FullDisk { replica }
            | Self::Campaign { replica } => vec![replica],
            Self::Partition { side } => vec![side],
            Self::Cut { from, to }
            | Self::Slow { from, to, .. }
            | Self::Lose { from, to, .. }
            | Self::Duplicate { from, to, .. }
            | Self::Reorder { from, to, .. } => vec![from, to],
        }
    }
}

impl Aimed {
    /// Whether it depends on who leads.
    pub fn is_of_part(&self) -> bool {
        self.concerned().iter().any(|target| !target.roles.is_empty())
    }
}

impl From<FaultKind> for Aimed {
    fn from(kind: FaultKind) -> Self {
        kind.map(Target::from, Target::from)
    }
}

impl From<Fault> for Scheduled {
    fn from(Fault { at, kind, heals_after }: Fault) -> Self {
        Self { trigger: Trigger::At(at), kind: kind.into(), heals_after }
    }
}

/// A fault that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InjectedFault {
    /// Which of the faults of the trial, from 0.
    pub fault: usize,
    /// What it did, with whoever led then in the place of a leader.
    #[serde(rename = "harm")]
    pub kind: FaultKind,
    /// When it began.
    pub at: Time,
    /// When it ended, if it did.
    pub ended_at: Option<Time>,
    /// When the replica that it had stopped had executed as much as the furthest had when it ended.
    pub caught_up_at: Option<Time>,
}

/// By how much these faults, active at once, slow down each sync of a replica's disk.
pub fn disk_delay<'a>(active: impl IntoIterator<Item = &'a FaultKind>, of: NodeId) -> Span {
    let delays = active.into_iter().filter_map(|kind| match kind {
        FaultKind::SlowDisk { replica, by } if *replica == of => Some(*by),
        _ => None,
    });
    delays.fold(Span::ZERO, |sum, by| sum + by)
}

/// Whether one of these faults, active at once, leaves no room on a replica's disk.
pub fn is_disk_full<'a>(active: impl IntoIterator<Item = &'a FaultKind>, of: NodeId) -> bool {
    active.into_iter().any(|kind| matches!(kind, FaultKind::FullDisk { replica } if *replica == of))
}

/// What becomes of records that are on their way to the disk when their replica crashes.
///
/// What waited for them never leaves, whatever becomes of them.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
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

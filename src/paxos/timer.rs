//! The timers of a replica, and their numbers.

use crate::protocol::{Slot, TimerId};

/// The meaning of a timer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerKind {
    /// Multi-Paxos: look for proposals without a quorum.
    Retransmit,
    /// Multi-Paxos: tell what was chosen, if no proposal carried it.
    Announce,
    /// Ask again for chosen values.
    CatchUp,
    /// Classic: look whether execution is blocked by a hole.
    Fill,
    /// Where leaders are elected: whoever listens asks itself whether it still hears one.
    Election,
    /// Where leaders are elected: a leader says that it is there.
    Heartbeat,
    /// Multi-Paxos: a leader looks whether another ballot of its own would serve it better.
    Renew,
    /// Look for reads that nobody answered.
    Read,
    /// Multi-Paxos: a new leader looks whether the leases of those before it are over.
    Silence,
    /// Multi-Paxos: a leader renews the leases of responders.
    Roster,
    /// Multi-Paxos: a leader looks whether it has proposed nothing for long.
    SafeTime,
    /// What clients are told must wait for the clock.
    CommitWait,
    /// Classic: an attempt's time-out or back-off is over.
    Attempt(Slot),
}

impl TimerKind {
    pub(super) fn id(self) -> TimerId {
        TimerId(match self {
            Self::Retransmit => 0,
            Self::Announce => 1,
            Self::CatchUp => 2,
            Self::Fill => 3,
            Self::Election => 4,
            Self::Heartbeat => 5,
            Self::Renew => 6,
            Self::Read => 7,
            Self::Silence => 8,
            Self::Roster => 9,
            Self::SafeTime => 10,
            Self::CommitWait => 11,
            Self::Attempt(slot) => 12 + slot.0,
        })
    }

    pub(super) fn of(id: TimerId) -> Self {
        match id.0 {
            0 => Self::Retransmit,
            1 => Self::Announce,
            2 => Self::CatchUp,
            3 => Self::Fill,
            4 => Self::Election,
            5 => Self::Heartbeat,
            6 => Self::Renew,
            7 => Self::Read,
            8 => Self::Silence,
            9 => Self::Roster,
            10 => Self::SafeTime,
            11 => Self::CommitWait,
            other => Self::Attempt(Slot(other - 12)),
        }
    }
}

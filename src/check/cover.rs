//! The invariants that a check watches, and the events that it must reach: without them the invariants hold
//! in vain.

use std::hash::{Hash, Hasher};

use crate::monitor::Invariant;

/// The invariants of a small deployment, in the order in which they are reported.
pub const INVARIANTS: [Invariant; 9] = [
    Invariant::Agreement,
    Invariant::Validity,
    Invariant::ChosenStaysChosen,
    Invariant::ExactlyOnce,
    Invariant::PromisesKept,
    Invariant::BallotsUnique,
    Invariant::SamePrefix,
    Invariant::Assertions,
    Invariant::Progress,
];

/// Something that a check which is not idle comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cover {
    /// A value is chosen.
    Chosen,
    /// A request is answered.
    Answered,
    /// A replica leads that was not the first to lead.
    LeaderChanged,
    /// A proposer adopts a value that its phase 1 reported.
    Adopted,
    /// A hole is filled with a no-op.
    HoleFilled,
    /// A ballot is refused.
    Refused,
    /// A proposer gives up.
    RaceLost,
    /// A message is sent again after a time-out.
    Retransmitted,
    /// A crash loses a record that was on its way to the disk.
    RecordLost,
    /// A crashed replica runs again.
    Recovered,
    /// A chosen value is taught to a replica that is behind.
    Taught,
    /// A request that was chosen twice executes once.
    Repeated,
    /// A replica that is behind takes the state of another one.
    Installed,
    /// A promise reports some of its votes only.
    ReportedInPart,
}

impl Cover {
    /// Every cover.
    pub const ALL: [Self; 14] = [
        Self::Chosen,
        Self::Answered,
        Self::LeaderChanged,
        Self::Adopted,
        Self::HoleFilled,
        Self::Refused,
        Self::RaceLost,
        Self::Retransmitted,
        Self::RecordLost,
        Self::Recovered,
        Self::Taught,
        Self::Repeated,
        Self::Installed,
        Self::ReportedInPart,
    ];

    /// The event in words; stateright uses it as the name.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Chosen => "a value is chosen",
            Self::Answered => "a request is answered",
            Self::LeaderChanged => "another replica leads",
            Self::Adopted => "a reported value is adopted",
            Self::HoleFilled => "a hole is filled with a no-op",
            Self::Refused => "a ballot is refused",
            Self::RaceLost => "a proposer loses a race",
            Self::Retransmitted => "a message is sent again",
            Self::RecordLost => "a crash loses a record",
            Self::Recovered => "a crashed replica runs again",
            Self::Taught => "a chosen value is taught",
            Self::Repeated => "a command chosen twice executes once",
            Self::Installed => "a state is installed",
            Self::ReportedInPart => "a promise comes in part",
        }
    }
}

/// The events on the way to a state.
///
/// They are no part of the state: two ways with other events lead to one state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Covers(u16);

impl Covers {
    pub(super) fn note(&mut self, cover: Cover) {
        self.0 |= 1 << cover as u16;
    }

    pub(super) const fn has(self, cover: Cover) -> bool {
        self.0 >> cover as u16 & 1 == 1
    }
}

impl PartialEq for Covers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Covers {}

impl Hash for Covers {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

//! What must always hold, and what must be seen at least once so that it does not hold idly.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A property of every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// No slot is learned with two values, anywhere, ever.
    Agreement,
    /// Only commands that clients asked for are executed, and only when they are chosen.
    Validity,
    /// A slot in which a phase-2 quorum voted at one ballot is never chosen with another value.
    ChosenStays,
    /// An acknowledged write is in every later log, and applied once.
    AcknowledgedOnce,
    /// What an acceptor told in a Phase1b or Phase2b it still knows after a crash.
    PromisesKept,
    /// A ballot is used in one life of its proposer: after a crash it sends no Phase1a of an earlier life.
    BallotsUnique,
    /// Replicas execute the same log, in order and without a gap.
    SamePrefix,
    /// The core's own assertions are not tripped.
    Assertions,
    /// When nothing goes wrong any more, every request is answered, and no acceptor goes on refusing the
    /// leader.
    Progress,
}

impl Claim {
    /// Every claim.
    pub const ALL: [Self; 9] = [
        Self::Agreement,
        Self::Validity,
        Self::ChosenStays,
        Self::AcknowledgedOnce,
        Self::PromisesKept,
        Self::BallotsUnique,
        Self::SamePrefix,
        Self::Assertions,
        Self::Progress,
    ];

    /// What it is called on the command line and by the checker.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Validity => "validity",
            Self::ChosenStays => "chosen-stays-chosen",
            Self::AcknowledgedOnce => "acknowledged-once",
            Self::PromisesKept => "promises-kept",
            Self::BallotsUnique => "ballots-unique",
            Self::SamePrefix => "same-prefix",
            Self::Assertions => "assertions",
            Self::Progress => "progress",
        }
    }

    /// What it says.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Agreement => "no slot is learned with two values",
            Self::Validity => "only what was asked for and chosen is executed",
            Self::ChosenStays => "a chosen value stays chosen",
            Self::AcknowledgedOnce => "an acknowledged write is in every later log, once",
            Self::PromisesKept => "what an acceptor told it keeps, also over a crash",
            Self::BallotsUnique => "a ballot is used in one life of its proposer",
            Self::SamePrefix => "replicas execute the same prefix",
            Self::Assertions => "the core's own assertions hold",
            Self::Progress => "without further faults every request is answered",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no claim's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no property is called `{name}`: they are {}", Claim::ALL.map(Claim::name).join(", "))]
pub struct UnknownClaim {
    /// The name given.
    pub name: String,
}

impl FromStr for Claim {
    type Err = UnknownClaim;

    fn from_str(name: &str) -> Result<Self, UnknownClaim> {
        let known = Self::ALL.into_iter().find(|claim| claim.name() == name);
        known.ok_or_else(|| UnknownClaim { name: name.to_owned() })
    }
}

/// Something that a check which is not idle comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sight {
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

impl Sight {
    /// Every sight.
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

    /// What is seen; also its name for the checker.
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

/// What was seen on the way to a state.
///
/// It is no part of the state: two ways to one state are not told apart by what they saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sights(u16);

impl Sights {
    pub(super) fn note(&mut self, sight: Sight) {
        self.0 |= 1 << sight as u16;
    }

    pub(super) const fn has(self, sight: Sight) -> bool {
        self.0 >> sight as u16 & 1 == 1
    }
}

impl PartialEq for Sights {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Sights {}

impl Hash for Sights {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

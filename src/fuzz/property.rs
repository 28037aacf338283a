//! What every run must keep, by name.

use std::fmt;

use crate::history::Violation as Unlawful;

/// Something that every run must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// Replicas execute the same in every slot, in order, without a gap.
    Agreement,
    /// What is executed is what a client asked.
    Validity,
    /// An acknowledged operation is in every later log, applied once, where its client was told.
    ExactlyOnce,
    /// Reads return what was written last, and the log keeps the order of real time.
    Linearizability,
    /// No acceptor takes back what it told, a promise or a vote, also over a crash.
    PromisesNeverFall,
    /// A ballot is used in one life of its proposer: no Phase1a after a crash is at a ballot from before.
    BallotsUnique,
    /// Once a phase-2 quorum has told its votes for a value, no other is chosen in that slot.
    ChosenStaysChosen,
    /// A leader proposes a request once: retries do not add to the load.
    ProposedOnce,
    /// Once faults end, everything that was asked is answered, and nobody stays behind.
    Progress,
    /// Some time after the faults, an operation takes as long as the replicas that are up allow, and no
    /// longer.
    Recovery,
    /// The assertions of the core.
    Assertions,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Agreement,
        Self::Validity,
        Self::ExactlyOnce,
        Self::Linearizability,
        Self::PromisesNeverFall,
        Self::BallotsUnique,
        Self::ChosenStaysChosen,
        Self::ProposedOnce,
        Self::Progress,
        Self::Recovery,
        Self::Assertions,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Validity => "validity",
            Self::ExactlyOnce => "exactly-once",
            Self::Linearizability => "linearizability",
            Self::PromisesNeverFall => "promises-never-fall",
            Self::BallotsUnique => "ballots-unique",
            Self::ChosenStaysChosen => "chosen-stays-chosen",
            Self::ProposedOnce => "proposed-once",
            Self::Progress => "progress",
            Self::Recovery => "recovery",
            Self::Assertions => "assertions",
        }
    }

    /// The property that a finding of the history check breaks.
    pub(super) const fn of(unlawful: &Unlawful) -> Self {
        match unlawful {
            Unlawful::Disagreement { .. }
            | Unlawful::Rewritten { .. }
            | Unlawful::Order { .. }
            | Unlawful::StateDiffers { .. }
            | Unlawful::StateUnfounded { .. }
            | Unlawful::Missing { .. } => Self::Agreement,
            Unlawful::NotIssued { .. } | Unlawful::Changed { .. } => Self::Validity,
            Unlawful::StaleRead { .. } | Unlawful::RealTime { .. } => Self::Linearizability,
            Unlawful::AppliedTwice { .. }
            | Unlawful::AppliedLate { .. }
            | Unlawful::NotApplied { .. }
            | Unlawful::Lost { .. }
            | Unlawful::WrongSlot { .. }
            | Unlawful::IssuedTwice(_)
            | Unlawful::ReturnedTwice(_)
            | Unlawful::ReturnedUnissued(_) => Self::ExactlyOnce,
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A property that a run did not keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {sentence}")]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// What happened.
    pub sentence: String,
}

//! The invariants that checkers watch, by name.

use std::fmt;
use std::str::FromStr;

/// A statement that holds in every state of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// No slot is learned or executed with two values, anywhere, ever, and replicas that have executed the same
    /// slots store the same.
    Agreement,
    /// Only commands that clients asked for are executed, and only when they are chosen.
    Validity,
    /// A slot in which a phase-2 quorum voted at one ballot is never chosen with another value.
    ChosenStaysChosen,
    /// An acknowledged operation is in every later log, applied once, where its client was told.
    ExactlyOnce,
    /// No acceptor takes back what it told in a Phase1b or Phase2b: `check` looks after each crash, `fuzz` also
    /// at each message.
    PromisesKept,
    /// A ballot is used in one life of its proposer: after a crash it sends no Phase1a of an earlier life.
    BallotsUnique,
    /// Nobody lets a candidate come before the leader that it hears: `check` looks where replicas may hear nothing
    /// for a time-out.
    LeaderHeard,
    /// Replicas execute the same log, in order and without a gap.
    SamePrefix,
    /// A leader proposes a request once: retries do not add to the load.
    ProposedOnce,
    /// Reads return what was written last, and the log keeps the order of real time.
    Linearizability,
    /// Some time after the faults, an operation takes as long as the replicas that are up allow, and no
    /// longer.
    Recovery,
    /// The core's own assertions are not tripped.
    Assertions,
    /// When nothing goes wrong any more, every request is answered, and no acceptor goes on refusing the
    /// leader.
    Progress,
}

impl Invariant {
    /// Every invariant.
    pub const ALL: [Self; 13] = [
        Self::Agreement,
        Self::Validity,
        Self::ChosenStaysChosen,
        Self::ExactlyOnce,
        Self::PromisesKept,
        Self::BallotsUnique,
        Self::LeaderHeard,
        Self::SamePrefix,
        Self::ProposedOnce,
        Self::Linearizability,
        Self::Recovery,
        Self::Assertions,
        Self::Progress,
    ];

    /// What it is called on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Validity => "validity",
            Self::ChosenStaysChosen => "chosen-stays-chosen",
            Self::ExactlyOnce => "exactly-once",
            Self::PromisesKept => "promises-kept",
            Self::BallotsUnique => "ballots-unique",
            Self::LeaderHeard => "leader-heard",
            Self::SamePrefix => "same-prefix",
            Self::ProposedOnce => "proposed-once",
            Self::Linearizability => "linearizability",
            Self::Recovery => "recovery",
            Self::Assertions => "assertions",
            Self::Progress => "progress",
        }
    }

    /// The statement in a few words.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Agreement => "no slot is learned with two values",
            Self::Validity => "only what was asked for and chosen is executed",
            Self::ChosenStaysChosen => "a chosen value stays chosen",
            Self::ExactlyOnce => "an acknowledged write is in every later log, once",
            Self::PromisesKept => "what an acceptor told it keeps, also over a crash",
            Self::BallotsUnique => "a ballot is used in one life of its proposer",
            Self::LeaderHeard => "who hears a leader grants nobody a pre-vote",
            Self::SamePrefix => "replicas execute the same prefix",
            Self::ProposedOnce => "a leader proposes a request once",
            Self::Linearizability => "what clients saw is linearizable",
            Self::Recovery => "after the faults latencies are as before them",
            Self::Assertions => "the core's own assertions hold",
            Self::Progress => "without further faults every request is answered",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no invariant has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no invariant is called `{name}`: they are {}", Invariant::ALL.map(Invariant::name).join(", "))]
pub struct UnknownInvariant {
    /// The name given.
    pub name: String,
}

impl FromStr for Invariant {
    type Err = UnknownInvariant;

    fn from_str(name: &str) -> Result<Self, UnknownInvariant> {
        let known = Self::ALL.into_iter().find(|invariant| invariant.name() == name);
        known.ok_or_else(|| UnknownInvariant { name: name.to_owned() })
    }
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {how}")]
pub struct Finding {
    /// Which.
    pub invariant: Invariant,
    /// What happened instead.
    pub how: String,
}

impl Finding {
    /// A finding.
    pub const fn new(invariant: Invariant, how: String) -> Self {
        Self { invariant, how }
    }
}

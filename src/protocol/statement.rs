//! What messages and records state, in the words of the papers.
//!
//! Observers (the monitor, the checkers, the diagrams) understand statements and know no protocol's
//! messages: a protocol says what each of its messages states, in one place.

use std::fmt::{self, Display};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Log, Position, Slot};
use crate::command::{Command, RequestId};
use crate::quorum::{NodeId, NodeSet};
use crate::time::Time;

/// A ballot, ordered by round and then by proposer (also: proposal number, term, epoch, view).
///
/// Two proposers never share one, because the proposer is part of it.
/// Round 0 belongs to nobody: it is what an acceptor has promised before any phase 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ballot {
    /// The attempt.
    pub round: u64,
    /// Whose attempt.
    pub proposer: NodeId,
}

impl Ballot {
    /// Below every ballot that is ever proposed.
    pub const NONE: Self = Self { round: 0, proposer: NodeId(0) };
}

/// `(3.r1)`.
impl Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}.{})", self.round, self.proposer)
    }
}

/// What a slot can hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Nothing to execute: it fills a hole.
    Noop,
    /// A client's command. Every replica has a vote, a proposal and a log that name it: it is shared, not copied.
    Command(Arc<Command>),
    /// Either of them, from a leader that holds a lease or gives commit timestamps.
    Stamped(Arc<Stamped>),
}

/// What a leader that holds a lease or gives commit timestamps proposes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamped {
    /// Under leases, what the clock of the leader that proposed it first showed then; else its commit timestamp.
    /// Whoever proposes it again keeps it.
    pub stamp: Time,
    /// A client's command; `None` fills a hole, renews the lease, or lets safe time go on.
    pub command: Option<Command>,
}

impl From<Command> for Value {
    fn from(command: Command) -> Self {
        Self::Command(Arc::new(command))
    }
}

impl Value {
    /// One with a stamp.
    pub fn stamped(stamp: Time, command: Option<Command>) -> Self {
        Self::Stamped(Arc::new(Stamped { stamp, command }))
    }

    /// The command, if it is one.
    pub fn command(&self) -> Option<&Command> {
        match self {
            Self::Noop => None,
            Self::Command(command) => Some(command),
            Self::Stamped(stamped) => stamped.command.as_ref(),
        }
    }

    /// Its stamp, if it has one.
    pub fn stamp(&self) -> Option<Time> {
        match self {
            Self::Noop | Self::Command(_) => None,
            Self::Stamped(stamped) => Some(stamped.stamp),
        }
    }

    /// The command, if it is one, taken out.
    pub fn into_command(self) -> Option<Arc<Command>> {
        match self {
            Self::Noop => None,
            Self::Command(command) => Some(command),
            Self::Stamped(stamped) => Arc::unwrap_or_clone(stamped).command.map(Arc::new),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noop => f.write_str("no-op"),
            Self::Command(command) => command.fmt(f),
            Self::Stamped(stamped) => match &stamped.command {
                Some(command) => command.fmt(f),
                None => f.write_str("no-op"),
            },
        }
    }
}

/// The slots a phase 1 is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// One slot: classic Paxos.
    Only(Slot),
    /// This slot and every later one: Multi-Paxos.
    From(Slot),
}

impl Scope {
    /// The slot, or the first of them.
    pub const fn first(self) -> Slot {
        match self {
            Self::Only(slot) | Self::From(slot) => slot,
        }
    }

    /// Whether the slot is one of them.
    pub fn contains(self, slot: Slot) -> bool {
        match self {
            Self::Only(only) => only == slot,
            Self::From(first) => first <= slot,
        }
    }
}

impl Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(slot) => slot.fmt(f),
            Self::From(slot) => write!(f, "from {slot}"),
        }
    }
}

/// What a message or a record states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement<'a> {
    /// Phase 1a: a proposer asks for promises.
    Asks {
        /// The ballot to promise.
        ballot: Ballot,
        /// In which log.
        log: Log,
        /// In which slots.
        scope: Scope,
        /// The phase-2 quorum of this ballot, where each announces its own.
        quorum: Option<NodeSet>,
    },
    /// Phase 1b: an acceptor promises, or its record of the promise.
    Promises {
        /// The ballot promised.
        ballot: Ballot,
        /// In which log.
        log: Log,
        /// In which slots.
        scope: Scope,
        /// Whether only some of the votes in the scope are reported.
        is_partial: bool,
    },
    /// Phase 2a: a proposer asks for votes.
    Proposes {
        /// The ballot of the proposal.
        ballot: Ballot,
        /// Where.
        position: Position,
        /// The value.
        value: &'a Value,
        /// What is chosen with it.
        carried: &'a [(Slot, Value)],
        /// A higher ballot that it asks promises for besides, in the whole log.
        asks: Option<Ballot>,
    },
    /// Phase 2b: an acceptor voted in every slot from the first to the last.
    Voted {
        /// The ballot of the votes.
        ballot: Ballot,
        /// In which log.
        log: Log,
        /// The first slot.
        first: Slot,
        /// The last slot.
        last: Slot,
        /// A higher ballot that it promises besides, in the whole log.
        promises: Option<Ballot>,
    },
    /// The record of a vote.
    Vote {
        /// The ballot.
        ballot: Ballot,
        /// Where.
        position: Position,
        /// The value.
        value: &'a Value,
        /// What is chosen with it.
        carried: &'a [(Slot, Value)],
    },
    /// An acceptor has promised a higher ballot than the one it was asked for.
    Refuses {
        /// The position, or the first of the scope.
        position: Position,
    },
    /// A learner is told that the slots from the first to before the second are chosen.
    Chosen {
        /// In which log.
        log: Log,
        /// The first slot.
        first: Slot,
        /// The slot after the last.
        below: Slot,
    },
    /// A learner is told chosen values; none if the count is zero.
    Teaches {
        /// How many.
        count: usize,
    },
    /// The record of one chosen value.
    Learned {
        /// Where.
        position: Position,
    },
    /// The sender has every slot below this durably executed.
    Executed {
        /// The slot after the last.
        below: Slot,
    },
    /// A leader says that it is there.
    Leads {
        /// The ballot that it leads with.
        ballot: Ballot,
    },
    /// An acceptor would promise this ballot, for it hears of no leader: a pre-vote.
    Grants {
        /// The ballot of the candidate.
        ballot: Ballot,
    },
    /// A leader asks the others to settle the ballot that it leads with, so that announced quorums may be forgotten.
    Settles {
        /// That ballot.
        ballot: Ballot,
    },
    /// The record of a reservation: these ballots may be used.
    Reserves,
    /// A question whose answer changes as time goes on.
    Enquires,
    /// The same, or an answer, for a read.
    OfRead {
        /// Which read.
        request: RequestId,
        /// Whether it is the question.
        enquires: bool,
    },
    /// Nothing about promises, votes or values.
    Other,
}

impl Statement<'_> {
    /// Whether it answers one attempt of a proposer: it means nothing for any other attempt.
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Promises { .. } | Self::Voted { .. } | Self::Refuses { .. })
    }

    /// Whether it says something of a position; of phase 1 over all slots of a log that is always so.
    pub fn concerns(&self, position: Position) -> bool {
        let Position { log: its_log, slot } = position;
        match self {
            Self::Asks { scope, log, .. } | Self::Promises { scope, log, .. } => match scope {
                Scope::Only(only) => *log == its_log && *only == slot,
                Scope::From(_) => *log == its_log,
            },
            Self::Proposes { position: its, .. }
            | Self::Vote { position: its, .. }
            | Self::Refuses { position: its }
            | Self::Learned { position: its } => *its == position,
            Self::Voted { log, first, last, .. } => {
                *log == its_log && (*first..=*last).contains(&slot)
            }
            Self::Chosen { log, first, below } => {
                *log == its_log && (*first..*below).contains(&slot)
            }
            Self::Teaches { .. }
            | Self::Executed { .. }
            | Self::Leads { .. }
            | Self::Grants { .. }
            | Self::Settles { .. }
            | Self::Reserves
            | Self::Enquires
            | Self::OfRead { .. }
            | Self::Other => false,
        }
    }
}

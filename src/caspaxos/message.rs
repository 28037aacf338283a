//! The messages of replicas, their records, and what each of them states.

use serde::{Deserialize, Serialize};

use super::acceptor::Acceptor;
use super::register::State;
use crate::protocol::{Ballot, Log, Position, Scope, Slot, Statement};

/// What an acceptor has voted for: the last of its votes for a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// The ballot of the vote.
    pub ballot: Ballot,
    /// The state voted for.
    pub state: State,
}

/// A message between replicas; each is about one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Prepare: promise this ballot, and say what you voted for.
    Phase1a {
        /// Which register.
        key: u64,
        /// The ballot to promise.
        ballot: Ballot,
    },
    /// Promise, with the last vote.
    Phase1b {
        /// Which register.
        key: u64,
        /// The ballot promised.
        ballot: Ballot,
        /// The last vote, at a lower ballot.
        vote: Option<Vote>,
    },
    /// Accept: vote for this state.
    Phase2a {
        /// Which register.
        key: u64,
        /// The ballot of the proposal.
        ballot: Ballot,
        /// The state proposed.
        state: State,
        /// A higher ballot of the same proposer, to be promised with the vote.
        next: Option<Ballot>,
    },
    /// Accepted: a vote.
    Phase2b {
        /// Which register.
        key: u64,
        /// The ballot of the vote.
        ballot: Ballot,
        /// The slot of the last command in the state voted for.
        slot: Slot,
        /// The higher ballot promised with it, and not overtaken yet.
        next: Option<Ballot>,
    },
    /// A higher ballot is promised, or was voted at.
    Refused {
        /// Which register.
        key: u64,
        /// What is refused.
        ballot: Ballot,
        /// The higher ballot.
        promised: Ballot,
    },
    /// The state proposed at this ballot is chosen.
    Chosen {
        /// Which register.
        key: u64,
        /// At which ballot.
        ballot: Ballot,
        /// The slot of its last command.
        slot: Slot,
    },
    /// To itself: these rounds are durably reserved.
    Reserved {
        /// Every round below this.
        below: u64,
    },
}

/// What a replica makes durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Record {
    /// Rounds that it may use from now on.
    Rounds {
        /// Every round below this.
        below: u64,
    },
    /// A promise.
    Promise {
        /// Which register.
        key: u64,
        /// The ballot promised.
        ballot: Ballot,
    },
    /// A vote, and the promise made with it.
    Vote {
        /// Which register.
        key: u64,
        /// The vote.
        vote: Vote,
        /// The highest ballot promised: that of the vote or a higher one.
        promised: Ballot,
    },
}

/// All that a replica makes durable, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its promises and votes.
    pub(super) acceptor: Acceptor,
    /// Every round that it may have used is below this.
    pub(super) rounds_below: u64,
}

impl Message {
    /// What it states; a promise or a vote counts from the moment it is told.
    pub(super) fn statement(&self) -> Statement<'_> {
        match self {
            Self::Phase1a { key, ballot } => Statement::Asks {
                ballot: *ballot,
                log: Log::Of(*key),
                scope: Scope::From(Slot::ZERO),
                quorum: None,
            },
            Self::Phase1b { key, ballot, .. } => promises(*key, *ballot),
            Self::Phase2a { key, ballot, state, next } => {
                let (slot, value, carried) = state.last();
                let position = Position { log: Log::Of(*key), slot };
                Statement::Proposes { ballot: *ballot, position, value, carried, asks: *next }
            }
            Self::Phase2b { key, ballot, slot, next } => Statement::Voted {
                ballot: *ballot,
                log: Log::Of(*key),
                first: *slot,
                last: *slot,
                promises: *next,
            },
            Self::Refused { key, .. } => {
                Statement::Refuses { position: Position { log: Log::Of(*key), slot: Slot::ZERO } }
            }
            Self::Chosen { key, slot, .. } => {
                Statement::Chosen { log: Log::Of(*key), first: *slot, below: slot.next() }
            }
            Self::Reserved { .. } => Statement::Enquires,
        }
    }
}

impl Record {
    /// What it states, once it is durable.
    pub(super) fn statement(&self) -> Statement<'_> {
        match self {
            Self::Rounds { .. } => Statement::Reserves,
            Self::Promise { key, ballot } => promises(*key, *ballot),
            Self::Vote { key, vote, .. } => {
                let (slot, value, carried) = vote.state.last();
                let position = Position { log: Log::Of(*key), slot };
                Statement::Vote { ballot: vote.ballot, position, value, carried }
            }
        }
    }
}

/// A promise is about all slots of its key.
const fn promises(key: u64, ballot: Ballot) -> Statement<'static> {
    let scope = Scope::From(Slot::ZERO);
    Statement::Promises { ballot, log: Log::Of(key), scope, is_partial: false }
}

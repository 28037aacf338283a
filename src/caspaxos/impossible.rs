//! Messages that no replica that follows the protocol ever sends.
//!
//! An honest message must never be refused, however old: that is asserted in every simulated and in every
//! model-checked run. Why each of these is impossible:
//!
//! | message | holds for every honest one, because |
//! |---|---|
//! | any | its ballots are of replicas that exist and have a round above 0; rounds and slots grow one by one, and 2^62 of either outlast any run |
//! | `Phase1a`, `Phase2a`, `Chosen` | nobody speaks for another proposer: the ballot is the sender's own, of this life or an earlier one |
//! | `Phase1b`, `Phase2b`, `Refused` | they go to the proposer that asked |
//! | a ballot promised besides | it is higher, and of the same proposer |
//! | a state | the slots that it carries end with its last one, one after the other, and its commands are such as clients ask for |
//! | `Phase1b` | the vote is at a lower ballot: an acceptor that voted at it or above answers otherwise |
//! | `Refused` | only a higher promise refuses |
//! | `Reserved` | it is never sent: a replica gives it to itself |

use super::message::{Message, Vote};
use super::register::State;
use crate::command;
use crate::protocol::{Ballot, Config, Slot};
use crate::quorum::NodeId;

/// No honest ballot has a higher round, and no honest message a later slot.
const MAX: u64 = 1 << 62;

/// Why nobody that follows the protocol sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// There is no such sender.
    #[error("{from} is none of the {n} replicas")]
    Sender {
        /// Who sent it.
        from: NodeId,
        /// How many replicas there are.
        n: usize,
    },
    /// A ballot that cannot be.
    #[error("ballot {ballot} is nobody's: rounds go from 1 to 2^62, and there are {n} replicas")]
    Ballot {
        /// Which.
        ballot: Ballot,
        /// How many replicas there are.
        n: usize,
    },
    /// A ballot of somebody else.
    #[error("ballot {ballot} is not of {proposer}")]
    Proposer {
        /// Which.
        ballot: Ballot,
        /// Whose it should be.
        proposer: NodeId,
    },
    /// Two ballots in the wrong order.
    #[error("ballot {higher} is not above {lower}")]
    Order {
        /// What should be the lower one.
        lower: Ballot,
        /// What should be the higher one.
        higher: Ballot,
    },
    /// A state whose slots are not one after the other up to its last one.
    #[error("a state of {} commands carries {count} that do not end with its last", .below.0)]
    State {
        /// The slot after its last.
        below: Slot,
        /// How many it carries.
        count: usize,
    },
    /// A slot that no run reaches.
    #[error("{slot} is beyond every log")]
    Slot {
        /// Which.
        slot: Slot,
    },
    /// A message that a replica sends only to itself.
    #[error("no replica sends this to another one")]
    Inward,
    /// A command that no client asks for.
    #[error(transparent)]
    Command(#[from] command::Impossible),
}

impl Message {
    /// Whether a replica that follows the protocol may have sent this to the replica of `config`, now
    /// or at any time before; it does not look at anybody's state.
    pub fn check(&self, from: NodeId, config: &Config) -> Result<(), Impossible> {
        let n = config.quorums.n();
        if usize::from(from.0) >= n {
            return Err(Impossible::Sender { from, n });
        }
        let senders = |ballot| check_ballot(ballot, from, n);
        let receivers = |ballot| check_ballot(ballot, config.id, n);
        match self {
            Self::Phase1a { ballot, .. } => senders(*ballot),
            Self::Phase1b { ballot, vote, .. } => {
                receivers(*ballot)?;
                let Some(Vote { ballot: voted, state }) = vote else { return Ok(()) };
                check_ballot(*voted, voted.proposer, n)?;
                check_order(*voted, *ballot)?;
                check_state(state)
            }
            Self::Phase2a { ballot, state, next, .. } => {
                senders(*ballot)?;
                if let Some(next) = next {
                    senders(*next)?;
                    check_order(*ballot, *next)?;
                }
                check_state(state)
            }
            Self::Phase2b { ballot, slot, next, .. } => {
                receivers(*ballot)?;
                if let Some(next) = next {
                    receivers(*next)?;
                    check_order(*ballot, *next)?;
                }
                check_slot(*slot)
            }
            Self::Refused { ballot, promised, .. } => {
                receivers(*ballot)?;
                check_ballot(*promised, promised.proposer, n)?;
                check_order(*ballot, *promised)
            }
            Self::Chosen { ballot, slot, .. } => {
                senders(*ballot)?;
                check_slot(*slot)
            }
            Self::Reserved { .. } => Err(Impossible::Inward),
        }
    }
}

fn check_ballot(ballot: Ballot, proposer: NodeId, n: usize) -> Result<(), Impossible> {
    if !(1..=MAX).contains(&ballot.round) || usize::from(ballot.proposer.0) >= n {
        return Err(Impossible::Ballot { ballot, n });
    }
    let is_its = ballot.proposer == proposer;
    is_its.then_some(()).ok_or(Impossible::Proposer { ballot, proposer })
}

fn check_order(lower: Ballot, higher: Ballot) -> Result<(), Impossible> {
    if lower < higher { Ok(()) } else { Err(Impossible::Order { lower, higher }) }
}

fn check_slot(slot: Slot) -> Result<(), Impossible> {
    if slot.0 < MAX { Ok(()) } else { Err(Impossible::Slot { slot }) }
}

fn check_state(state: &State) -> Result<(), Impossible> {
    let (below, count) = (state.below, state.carried.len());
    check_slot(below)?;
    let first = below.0.checked_sub(count as u64).filter(|_| count > 0);
    let expected = first.into_iter().flat_map(|first| first..below.0);
    if first.is_none() || !state.carried.iter().map(|(slot, _)| slot.0).eq(expected) {
        return Err(Impossible::State { below, count });
    }
    let commands = state.carried.iter().filter_map(|(_, value)| value.command());
    commands.into_iter().try_for_each(|command| Ok(command.check()?))
}

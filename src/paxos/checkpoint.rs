//! What a replica must find again after a crash, and how it is written.
//!
//! A chosen value is nearly always the one that the replica voted for, and it keeps both for a while.
//! So a value is written once, with the vote: half of a checkpoint would be copies otherwise, and a replica that
//! reads it would hold both.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::acceptor::Acceptor;
use super::learner::Learner;
use super::window::SharedWindow;
use crate::command::KeyValue;
use crate::protocol::{Slot, Value};
use crate::time::Time;

/// Everything a replica must find again after a crash, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checkpoint {
    /// Promises and votes.
    pub(super) acceptor: Acceptor,
    /// Rounds below this may have been used.
    pub(super) rounds_below: u64,
    /// The state machine, and what is known to be chosen: also what is executed, as long as it is
    /// kept for those behind.
    pub(super) learner: Learner,
}

/// A checkpoint as it is written.
#[derive(Serialize, Deserialize)]
struct Written<A, M> {
    acceptor: A,
    rounds_below: u64,
    executed_below: Slot,
    machine: M,
    newest: Option<Time>,
    chosen: SharedWindow<Choice>,
}

/// What is chosen in a slot.
#[derive(Clone, Serialize, Deserialize)]
enum Choice {
    /// The value of the last vote in that slot.
    AsVoted,
    /// Another one, or there is no vote.
    Value(Value),
}

impl Checkpoint {
    /// As if no round had ever been used: for a negative control.
    pub(crate) const fn forget_reservation(&mut self) {
        self.rounds_below = 0;
    }

    /// The first slot that is not executed in it.
    pub const fn executed_below(&self) -> Slot {
        self.learner.executed_below()
    }
}

impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { acceptor, rounds_below, learner } = self;
        let Learner { chosen, executed_below, machine, newest } = learner;
        let chosen = chosen.map(|slot, value| {
            let is_as_voted = acceptor.vote(slot).is_some_and(|vote| vote.value == *value);
            Some(if is_as_voted { Choice::AsVoted } else { Choice::Value(value.clone()) })
        });
        let (rounds_below, executed_below, newest) = (*rounds_below, *executed_below, *newest);
        Written { acceptor, rounds_below, executed_below, machine, newest, chosen }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::<Acceptor, KeyValue>::deserialize(deserializer)?;
        let Written { acceptor, rounds_below, executed_below, machine, newest, chosen } = written;
        let mut missing = None;
        let chosen = chosen.map(|slot, choice| match choice {
            Choice::Value(value) => Some(value.clone()),
            Choice::AsVoted => {
                let value = acceptor.vote(slot).map(|vote| vote.value.clone());
                missing = missing.or(value.is_none().then_some(slot));
                value
            }
        });
        if let Some(slot) = missing {
            return Err(D::Error::custom(format_args!("{slot} is as voted, and has no vote")));
        }
        let learner = Learner { chosen, executed_below, machine, newest };
        Ok(Self { acceptor, rounds_below, learner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClientId, Command, Operation, RequestId};
    use crate::protocol::Ballot;
    use crate::quorum::NodeId;

    const BALLOT: Ballot = Ballot { round: 1, proposer: NodeId(0) };

    fn value(slot: u64, byte: u8) -> Value {
        let request = RequestId { client: ClientId(0), sequence: slot };
        let operation = Operation::Put { key: slot, value: vec![byte; 1000].into() };
        Value::from(Command { request, settled_below: 0, operation })
    }

    fn checkpoint(chosen: impl Fn(u64) -> Value) -> Checkpoint {
        let (mut acceptor, mut learner) = (Acceptor::default(), Learner::default());
        for slot in 0..100 {
            if slot != 7 {
                acceptor.handle_phase2a(BALLOT, Slot(slot), value(slot, 1)).unwrap();
            }
            learner.learn(Slot(slot), chosen(slot), true);
        }
        Checkpoint { acceptor, rounds_below: 5, learner }
    }

    #[test]
    fn a_value_that_was_voted_for_and_is_chosen_is_written_once() {
        let voted = checkpoint(|slot| value(slot, 1));
        let others = checkpoint(|slot| value(slot, 2));
        for (it, values) in [(voted, 100), (others, 199)] {
            let bytes = postcard::to_allocvec(&it).unwrap();
            assert!(
                (values * 1000..values * 1000 + 4000).contains(&bytes.len()),
                "{}",
                bytes.len()
            );
            assert_eq!(postcard::from_bytes::<Checkpoint>(&bytes).unwrap(), it);
        }
    }

    #[test]
    fn a_value_as_voted_without_a_vote_is_no_checkpoint() {
        let whole = checkpoint(|slot| value(slot, 1));
        let written = Written {
            acceptor: Acceptor::default(),
            rounds_below: 5,
            executed_below: Slot(0),
            machine: KeyValue::default(),
            newest: None,
            chosen: whole.learner.chosen.map(|_, _| Some(Choice::AsVoted)),
        };
        let bytes = postcard::to_allocvec(&written).unwrap();
        assert!(postcard::from_bytes::<Checkpoint>(&bytes).is_err());
    }
}

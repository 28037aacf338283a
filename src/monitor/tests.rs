//! Each invariant is seen to be broken, and a lawful run to break none.

use super::*;
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::protocol::{Ballot, Slot, Value};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};

const FIRST: Ballot = Ballot { round: 1, proposer: NodeId(0) };
const SECOND: Ballot = Ballot { round: 2, proposer: NodeId(1) };
const MEMORIES: [Memory; 2] = [Memory::Whole, Memory::Least];

fn value(client: u32) -> Value {
    let request = RequestId { client: ClientId(client), sequence: 0 };
    let operation = Operation::Get { key: client.into() };
    Value::Command(Command { request, settled_below: 0, operation })
}

/// A vote in slot 0; what came of it.
fn vote(
    votes: &mut Votes,
    acceptor: u8,
    ballot: Ballot,
    client: u32,
) -> Result<Option<Choice>, Invariant> {
    let (at, majority) = ((Slot::ZERO, ballot), QuorumSystem::majority(3));
    let result = votes.vote(&majority, NodeId(acceptor), at, Some(&value(client)));
    result.map_err(|finding| finding.invariant)
}

/// Slot 0 is chosen with the command of client 0.
fn chosen(memory: Memory) -> Votes {
    let mut votes = Votes::new(memory);
    assert_eq!(vote(&mut votes, 0, FIRST, 0), Ok(None));
    assert_eq!(votes.all_chosen().count(), 0);
    let by = [0, 1].map(NodeId).into_iter().collect();
    let choice = Choice { slot: Slot::ZERO, ballot: FIRST, value: Some(value(0)), by };
    assert_eq!(vote(&mut votes, 1, FIRST, 0), Ok(Some(choice)));
    assert_eq!(votes.chosen(Slot::ZERO), Some(&value(0)));
    votes
}

#[test]
fn a_value_is_chosen_by_a_quorum_at_one_ballot() {
    for memory in MEMORIES {
        let mut votes = Votes::new(memory);
        assert_eq!(vote(&mut votes, 0, FIRST, 0), Ok(None));
        assert_eq!(vote(&mut votes, 0, FIRST, 0), Ok(None));
        assert_eq!(vote(&mut votes, 1, SECOND, 0), Ok(None));
        assert_eq!(votes.all_chosen().count(), 0);
        assert_eq!(vote(&mut votes, 2, FIRST, 1), Err(Invariant::Agreement));
    }
}

#[test]
fn a_second_choice_is_found_and_the_same_again_is_none() {
    for memory in MEMORIES {
        let mut votes = chosen(memory);
        for voter in [1, 2] {
            assert_eq!(vote(&mut votes, voter, SECOND, 0), Ok(None));
        }
        let third = Ballot { round: 3, proposer: NodeId(2) };
        assert_eq!(vote(&mut votes, 1, third, 1), Ok(None));
        assert_eq!(vote(&mut votes, 0, third, 1), Err(Invariant::ChosenStaysChosen));
    }
}

#[test]
fn an_announced_quorum_alone_chooses() {
    let per_ballot = QuorumSystem::per_ballot(3, 1).unwrap();
    let mut votes = Votes::new(Memory::Whole);
    votes.announce(FIRST, NodeSet::only(NodeId(2)));
    let at = (Slot::ZERO, FIRST);
    assert_eq!(votes.vote(&per_ballot, NodeId(1), at, None), Ok(None));
    let choice = votes.vote(&per_ballot, NodeId(2), at, None).unwrap();
    assert_eq!(choice.map(|choice| choice.slot), Some(Slot::ZERO));
}

/// The votes are heard of before what was proposed.
#[test]
fn a_value_that_is_known_late_is_held_against_who_learns_another() {
    let (mut votes, majority) = (Votes::new(Memory::Whole), QuorumSystem::majority(3));
    for acceptor in [0, 1] {
        votes.vote(&majority, NodeId(acceptor), (Slot::ZERO, FIRST), None).unwrap();
    }
    assert_eq!(votes.learned(NodeId(2), Slot::ZERO, &value(1)), Ok(()), "nothing is known yet");
    votes.propose(Slot::ZERO, FIRST, &value(0)).unwrap();
    assert_eq!(votes.learned(NodeId(2), Slot::ZERO, &value(0)), Ok(()));
    assert!(votes.learned(NodeId(2), Slot::ZERO, &value(1)).is_err());
}

#[test]
fn what_is_learned_is_what_is_chosen() {
    let votes = chosen(Memory::Whole);
    let learned = |slot, client| {
        let learned = votes.learned(NodeId(2), Slot(slot), &value(client));
        learned.map_err(|finding| finding.invariant)
    };
    assert_eq!(learned(0, 0), Ok(()));
    assert_eq!(learned(0, 1), Err(Invariant::Agreement));
    assert_eq!(learned(1, 1), Err(Invariant::Validity));
}

#[test]
fn a_value_of_a_lower_ballot_is_an_older_one() {
    let mut votes = chosen(Memory::Whole);
    votes.propose(Slot::ZERO, SECOND, &value(0)).unwrap();
    assert!(votes.is_older(Slot::ZERO, SECOND, &value(0)));
    assert!(!votes.is_older(Slot::ZERO, FIRST, &value(0)));
    assert!(!votes.is_older(Slot(1), SECOND, &value(0)));
}

#[test]
fn an_invariant_is_what_its_name_says() {
    for invariant in Invariant::ALL {
        assert_eq!(invariant.name().parse(), Ok(invariant));
    }
    let error = "agreements".parse::<Invariant>().unwrap_err();
    assert!(error.to_string().contains("agreement, validity"), "{error}");
}

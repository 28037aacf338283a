//! Each invariant is seen to be broken, and a lawful run to break none.

use std::collections::BTreeMap;

use super::*;
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::protocol::{
    Ballot, Effects, Input, Log, Order, Position, Progress, Protocol, Scope, Slot, Statement, Value,
};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::Now;

const FIRST_SLOT: Position = Position::of(Slot::ZERO);
const FIRST: Ballot = Ballot { round: 1, proposer: NodeId(0) };
const SECOND: Ballot = Ballot { round: 2, proposer: NodeId(1) };
const MEMORIES: [Memory; 2] = [Memory::Whole, Memory::Least];

fn value(client: u32) -> Value {
    let request = RequestId { client: ClientId(client), sequence: 0 };
    let operation = Operation::Get { key: client.into() };
    Value::from(Command { request, settled_below: 0, operation })
}

/// A vote in slot 0; what came of it.
fn vote(
    votes: &mut Votes,
    acceptor: u8,
    ballot: Ballot,
    client: u32,
) -> Result<Option<Choice>, Invariant> {
    let (at, majority) = ((FIRST_SLOT, ballot), QuorumSystem::majority(3));
    let result = votes.vote(&majority, NodeId(acceptor), at, Some((&value(client)).into()));
    result.map_err(|finding| finding.invariant)
}

/// Slot 0 is chosen with the command of client 0.
fn chosen(memory: Memory) -> Votes {
    let mut votes = Votes::new(memory);
    assert_eq!(vote(&mut votes, 0, FIRST, 0), Ok(None));
    assert_eq!(votes.all_chosen().count(), 0);
    let by = [0, 1].map(NodeId).into_iter().collect();
    let choice = Choice { position: FIRST_SLOT, ballot: FIRST, value: Some(value(0)), by };
    assert_eq!(vote(&mut votes, 1, FIRST, 0), Ok(Some(choice)));
    assert_eq!(votes.chosen(FIRST_SLOT), Some(&value(0)));
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
    let at = (FIRST_SLOT, FIRST);
    assert_eq!(votes.vote(&per_ballot, NodeId(1), at, None), Ok(None));
    let choice = votes.vote(&per_ballot, NodeId(2), at, None).unwrap();
    assert_eq!(choice.map(|choice| choice.position), Some(FIRST_SLOT));
}

/// The votes are heard of before what was proposed.
#[test]
fn a_value_known_late_contradicts_another_one_learned() {
    let (mut votes, majority) = (Votes::new(Memory::Whole), QuorumSystem::majority(3));
    for acceptor in [0, 1] {
        votes.vote(&majority, NodeId(acceptor), (FIRST_SLOT, FIRST), None).unwrap();
    }
    assert_eq!(votes.learned(NodeId(2), FIRST_SLOT, &value(1)), Ok(()), "nothing is known yet");
    votes.propose(FIRST_SLOT, FIRST, (&value(0)).into()).unwrap();
    assert_eq!(votes.learned(NodeId(2), FIRST_SLOT, &value(0)), Ok(()));
    assert!(votes.learned(NodeId(2), FIRST_SLOT, &value(1)).is_err());
}

#[test]
fn what_is_learned_is_what_is_chosen() {
    let votes = chosen(Memory::Whole);
    let learned = |slot, client| {
        let learned = votes.learned(NodeId(2), Position::of(Slot(slot)), &value(client));
        learned.map_err(|finding| finding.invariant)
    };
    assert_eq!(learned(0, 0), Ok(()));
    assert_eq!(learned(0, 1), Err(Invariant::Agreement));
    assert_eq!(learned(1, 1), Err(Invariant::Validity));
}

#[test]
fn a_value_of_a_lower_ballot_is_an_older_one() {
    let mut votes = chosen(Memory::Whole);
    votes.propose(FIRST_SLOT, SECOND, (&value(0)).into()).unwrap();
    assert!(votes.is_older(FIRST_SLOT, SECOND, &value(0)));
    assert!(!votes.is_older(FIRST_SLOT, FIRST, &value(0)));
    assert!(!votes.is_older(Position::of(Slot(1)), SECOND, &value(0)));
}

/// An acceptor with these promises and votes, and nothing else.
#[derive(Default)]
struct Memo {
    promised: BTreeMap<Slot, Ballot>,
    voted: BTreeMap<Slot, Ballot>,
}

impl Protocol for Memo {
    type Message = String;
    type Record = String;
    type Checkpoint = ();

    const ORDER: Order = Order::Total;

    fn handle(&mut self, _: Now, _: Input<String>, _: &mut Effects<String, String>) {}

    fn statement(_: &String) -> Statement<'_> {
        Statement::Other
    }

    fn recorded(_: &String) -> Statement<'_> {
        Statement::Other
    }

    fn promised(&self, position: Position) -> Ballot {
        self.promised.get(&position.slot).copied().unwrap_or(SECOND)
    }

    fn voted(&self, position: Position) -> Option<Ballot> {
        self.voted.get(&position.slot).copied()
    }

    fn checkpoint(&self) {}

    fn recover(&mut self, _: Option<()>, _: Vec<String>) {}

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

const R0: NodeId = NodeId(0);

fn voted(ballot: Ballot, first: Slot, last: Slot) -> Statement<'static> {
    Statement::Voted { ballot, log: Log::Whole, first, last, promises: None }
}

fn asks(ballot: Ballot) -> Statement<'static> {
    Statement::Asks { ballot, log: Log::Whole, scope: Scope::From(Slot::ZERO), quorum: None }
}

fn promises(ballot: Ballot, scope: Scope) -> Statement<'static> {
    Statement::Promises { ballot, log: Log::Whole, scope, is_partial: false }
}

#[test]
fn a_slot_that_hides_the_general_promise_is_found() {
    let mut told = Told::default();
    told.tell(R0, &promises(FIRST, Scope::Only(Slot(3)))).unwrap();
    told.tell(R0, &promises(SECOND, Scope::From(Slot::ZERO))).unwrap();
    assert_eq!(told.check_kept(R0, &Memo::default(), Slot::ZERO), Ok(()));
    let hides = Memo { promised: [(Slot(3), FIRST)].into(), ..Memo::default() };
    let found = told.check_kept(R0, &hides, Slot::ZERO).unwrap_err();
    assert_eq!(found.invariant, Invariant::PromisesKept);
    // What all have durably executed may be forgotten.
    assert_eq!(told.check_kept(R0, &hides, Slot(4)), Ok(()));
}

#[test]
fn a_vote_that_is_told_and_forgotten_is_found() {
    let mut told = Told::default();
    told.tell(R0, &voted(FIRST, Slot(1), Slot(2))).unwrap();
    let kept = Memo { voted: [(Slot(1), FIRST), (Slot(2), SECOND)].into(), ..Memo::default() };
    assert_eq!(told.check_kept(R0, &kept, Slot::ZERO), Ok(()));
    let lost = Memo { voted: [(Slot(2), SECOND)].into(), ..Memo::default() };
    assert!(told.check_kept(R0, &lost, Slot::ZERO).is_err());
}

/// In classic Paxos a lower ballot of another slot may follow a higher one.
#[test]
fn a_bound_of_ballots_is_given_up_only_where_they_rise() {
    for (is_rising, expected) in [(true, Ok(())), (false, Err(Invariant::BallotsUnique))] {
        let mut told = Told::default();
        told.tell(R0, &asks(FIRST)).unwrap();
        told.crash();
        assert!(told.clone().tell(R0, &asks(FIRST)).is_err());
        told.tell(R0, &asks(SECOND)).unwrap();
        let mut told = told.without_promises(is_rising);
        assert_eq!(told.tell(R0, &asks(FIRST)).map_err(|it| it.invariant), expected);
    }
}

#[test]
fn an_invariant_is_what_its_name_says() {
    for invariant in Invariant::ALL {
        assert_eq!(invariant.name().parse(), Ok(invariant));
    }
    let error = "agreements".parse::<Invariant>().unwrap_err();
    assert!(error.to_string().contains("agreement, validity"), "{error}");
}

/// Of a key phase 1 is over when something is proposed: to ask at that ballot again is to use it twice.
#[test]
fn a_ballot_that_is_used_twice_in_one_life_is_found() {
    let (log, value) = (Log::Of(7), value(0));
    let position = Position { log, slot: Slot::ZERO };
    let asks =
        |ballot| Statement::Asks { ballot, log, scope: Scope::From(Slot::ZERO), quorum: None };
    let mut told = Told::default();
    told.tell(R0, &asks(FIRST)).unwrap();
    told.tell(R0, &asks(FIRST)).unwrap();
    let proposes =
        Statement::Proposes { ballot: FIRST, position, value: &value, carried: &[], asks: None };
    told.tell(R0, &proposes).unwrap();
    let found = told.clone().tell(R0, &asks(FIRST)).unwrap_err();
    assert_eq!(found.invariant, Invariant::BallotsUnique);
    told.tell(R0, &asks(SECOND)).unwrap();
}

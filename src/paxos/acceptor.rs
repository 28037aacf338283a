//! The acceptor: the only memory Paxos needs.
//!
//! An acceptor answers two questions.
//! Phase 1a asks it to promise a ballot, and to say what it has voted for.
//! Phase 2a asks it to vote.
//! Its safety rests on one fact: a promise is never taken back, not even by a crash.
//! So its state is exactly what must be durable, and it knows nothing of quorums, leaders or time.

use serde::{Deserialize, Serialize};

use super::announced::Announced;
use super::message::{Record, Vote};
use super::window::SharedWindow;
use crate::protocol::{Ballot, Scope, Slot, Value};
use crate::quorum::NodeSet;
use crate::time::Time;

/// What an acceptor must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acceptor {
    /// The highest ballot promised for all slots.
    promised: Ballot,
    /// What was promised and voted in single slots.
    slots: SharedWindow<SlotState>,
    /// The phase-2 quorum of each ballot promised for all slots, where each has its own.
    announced: Announced,
    /// The last ballot that it settled, and the slot below which it says nothing of slots since: they are
    /// chosen, and it has durably executed them.
    settled: (Ballot, Slot),
    /// The newest stamp of anything that it voted for, what is forgotten too.
    newest: Option<Time>,
}

/// What an acceptor must not forget of one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct SlotState {
    /// The highest ballot promised for this slot, by a phase 1 of its own or by a vote.
    promised: Ballot,
    /// The last vote.
    vote: Option<Vote>,
}

/// A promise given, and what the proposer must know for it.
pub(super) struct Promise {
    /// What must be durable before the promise is told; `None` if it was recorded before.
    pub(super) record: Option<Record>,
    /// The last vote in each slot of the scope, ascending.
    pub(super) votes: Vec<(Slot, Vote)>,
    /// The slot after the last of them, if there are more than there was room for.
    pub(super) reported_below: Option<Slot>,
    /// The phase-2 quorums announced at lower ballots.
    pub(super) announced: Announced,
}

/// A higher ballot is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// That ballot.
    pub(super) promised: Ballot,
}

impl Acceptor {
    /// Phase 1a (prepare): promises `ballot` unless a higher one is promised.
    ///
    /// With `room` for about so many bytes of votes; for one of them there is always room.
    pub(super) fn handle_phase1a(
        &mut self,
        ballot: Ballot,
        scope: Scope,
        quorum: Option<NodeSet>,
        room: usize,
    ) -> Result<Promise, Refusal> {
        match scope {
            Scope::Only(slot) => {
                let promised = self.promised(slot);
                if ballot < promised {
                    return Err(Refusal { promised });
                }
                let record = self.promise(ballot, scope, quorum);
                let last = self.vote(slot).cloned();
                let votes = last.map(|vote| (slot, vote)).into_iter().collect();
                let announced = Announced::default();
                Ok(Promise { record, votes, reported_below: None, announced })
            }
            Scope::From(from) => {
                // A vote in one slot at a higher ballot is a higher promise in that slot.
                let promised = self.promised_from(from);
                if ballot < promised {
                    return Err(Refusal { promised });
                }
                // An equal ballot is a retransmission: promising it again changes nothing.
                let record = self.promise(ballot, scope, quorum);
                let (votes, reported_below) = self.votes_from(from, room);
                let announced = self.announced.below(ballot);
                Ok(Promise { record, votes, reported_below, announced })
            }
        }
    }

    /// Phase 2a (accept): votes for `value` in `slot` unless a higher ballot is promised.
    ///
    /// The rule is `>=`: the promised ballot itself is voted for, also again.
    /// What is returned must be durable before the vote is told; nothing is, when it was recorded before.
    #[inline]
    pub(super) fn handle_phase2a(
        &mut self,
        ballot: Ballot,
        slot: Slot,
        value: Value,
    ) -> Result<Option<Record>, Refusal> {
        let promised = self.promised(slot);
        if ballot < promised {
            return Err(Refusal { promised });
        }
        if let Some(vote) = self.vote(slot) {
            assert!(vote.ballot <= ballot, "{slot} voted at {} above a promise", vote.ballot);
            assert!(
                vote.ballot < ballot || vote.value == value,
                "{slot}: two values at ballot {ballot}: {:?} and {value:?}",
                vote.value
            );
            if vote.ballot == ballot {
                return Ok(None);
            }
        }
        let vote = Vote { ballot, value };
        self.record_vote(slot, vote.clone());
        Ok(Some(Record::Vote { slot, vote }))
    }

    /// Its leader is there: promises `ballot` for all slots, unless a higher one is promised anywhere.
    ///
    /// Nothing is returned where that ballot is promised already. Nothing is reported: whoever leads has heard of a
    /// phase-1 quorum what it must know.
    pub(super) fn follow(
        &mut self,
        ballot: Ballot,
        quorum: Option<NodeSet>,
    ) -> Result<Option<Record>, Ballot> {
        if ballot == self.promised {
            return Ok(None);
        }
        let promised = self.promised_highest();
        if ballot < promised {
            return Err(promised);
        }
        Ok(self.promise(ballot, Scope::From(self.first()), quorum))
    }

    /// The highest ballot promised in `slot`.
    #[inline]
    pub fn promised(&self, slot: Slot) -> Ballot {
        self.slots.get(slot).map_or(self.promised, |state| state.promised.max(self.promised))
    }

    /// The last vote in `slot`.
    #[inline]
    pub fn vote(&self, slot: Slot) -> Option<&Vote> {
        self.slots.get(slot)?.vote.as_ref()
    }

    /// What it voted for last in each slot from `from` on.
    pub(super) fn voted_from(&self, from: Slot) -> impl Iterator<Item = (Slot, &Value)> {
        self.slots.range(from).filter_map(|(slot, state)| Some((slot, &state.vote.as_ref()?.value)))
    }

    /// The votes from `from` on that find room, and the slot after the last of them if others do not.
    fn votes_from(&self, from: Slot, room: usize) -> (Vec<(Slot, Vote)>, Option<Slot>) {
        let mut filled = 0;
        let mut votes: Vec<(Slot, Vote)> = Vec::new();
        for (slot, state) in self.slots.range(from) {
            let Some(vote) = &state.vote else { continue };
            if let Some((last, _)) = votes.last()
                && filled >= room
            {
                let end = last.next();
                return (votes, Some(end));
            }
            filled += vote.value.size();
            votes.push((slot, vote.clone()));
        }
        (votes, None)
    }

    /// The phase-2 quorums that ballots announced.
    pub(super) const fn announced(&self) -> &Announced {
        &self.announced
    }

    /// Settles `ballot`, whose leader has adopted nothing from `below` on; what must be durable for that.
    pub(super) fn settle(&mut self, ballot: Ballot, below: Slot) -> Record {
        assert!(ballot >= self.promised_highest(), "{ballot} is settled below a promise");
        self.promised = ballot;
        self.settled = (ballot, self.settled_below().max(below));
        Record::Settled { ballot, below }
    }

    /// Whether this ballot is settled here.
    pub(super) fn has_settled(&self, ballot: Ballot) -> bool {
        self.settled.0 == ballot
    }

    /// Of the slots below this it says nothing but that they are chosen.
    pub(super) const fn settled_below(&self) -> Slot {
        self.settled.1
    }

    /// A phase-1 quorum has settled `ballot`; the record of that, if it is news.
    pub(super) fn forget_announced(&mut self, ballot: Ballot) -> Option<Record> {
        self.announced.forget_below(ballot).then_some(Record::Forgotten { below: ballot })
    }

    /// The highest ballot promised for all slots.
    pub(super) const fn promised_everywhere(&self) -> Ballot {
        self.promised
    }

    /// The highest ballot promised anywhere.
    pub fn promised_highest(&self) -> Ballot {
        self.promised_from(Slot::ZERO)
    }

    /// The newest stamp of anything that it voted for.
    pub(super) const fn newest(&self) -> Option<Time> {
        self.newest
    }

    /// The slot after the last one of which something is known.
    pub(super) fn end(&self) -> Slot {
        self.slots.end()
    }

    /// Slots below this are forgotten: they are chosen, and this replica has durably executed them, or enough others
    /// have (`trimming.rs`).
    pub fn first(&self) -> Slot {
        self.slots.first()
    }

    /// Forgets the slots below `slot`, which this replica or enough others have durably executed: it never votes there
    /// again, and whoever asks for a promise is told.
    pub(super) fn forget_below(&mut self, slot: Slot) {
        self.slots.forget_below(slot);
    }

    /// Takes back one durable record.
    pub(super) fn recover(&mut self, record: Record) {
        match record {
            Record::Promise { ballot, scope, quorum } => {
                self.promise(ballot, scope, quorum);
            }
            // One that is older than the checkpoint changes nothing but that.
            Record::Vote { slot, vote } if vote.ballot < self.promised(slot) => {
                self.newest = self.newest.max(vote.value.stamp());
            }
            Record::Vote { slot, vote } => self.record_vote(slot, vote),
            Record::Settled { ballot, below } => {
                self.promised = self.promised.max(ballot);
                let before = self.settled;
                self.settled = (before.0.max(ballot), before.1.max(below));
            }
            Record::Forgotten { below } => {
                self.announced.forget_below(below);
            }
            Record::Learned { .. } | Record::Rounds { .. } => {}
        }
    }

    fn promised_from(&self, from: Slot) -> Ballot {
        let slots = self.slots.range(from).map(|(_, state)| state.promised);
        slots.fold(self.promised, Ballot::max)
    }

    /// Raises the promise of the scope; the record of it, if that changed anything.
    fn promise(&mut self, ballot: Ballot, scope: Scope, quorum: Option<NodeSet>) -> Option<Record> {
        let record = Some(Record::Promise { ballot, scope, quorum });
        if let Some(quorum) = quorum {
            self.announced.insert(ballot, quorum);
        }
        let promised = match scope {
            Scope::From(_) => &mut self.promised,
            Scope::Only(slot) if self.slots.get(slot).is_none() => {
                self.slots.insert(slot, SlotState { promised: ballot, vote: None });
                return record;
            }
            Scope::Only(slot) => &mut self.slots.get_mut(slot)?.promised,
        };
        if *promised >= ballot {
            return None;
        }
        *promised = ballot;
        record
    }

    #[inline]
    fn record_vote(&mut self, slot: Slot, vote: Vote) {
        self.newest = self.newest.max(vote.value.stamp());
        // Voting promises too: an acceptor that missed phase 1 must still refuse what is older.
        self.slots.insert(slot, SlotState { promised: vote.ballot, vote: Some(vote) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClientId, Command, Operation, RequestId};
    use crate::quorum::NodeId;

    const ROOM: usize = usize::MAX;

    fn ballot(round: u64, proposer: u8) -> Ballot {
        Ballot { round, proposer: NodeId(proposer) }
    }

    fn value(key: u64) -> Value {
        let request = RequestId { client: ClientId(0), sequence: key };
        Value::from(Command { request, settled_below: 0, operation: Operation::Get { key } })
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is given to Result::map")]
    fn is_new(record: Option<Record>) -> bool {
        record.is_some()
    }

    #[test]
    fn a_lower_ballot_is_refused_and_told_the_promise() {
        let mut acceptor = Acceptor::default();
        assert!(acceptor.handle_phase1a(ballot(2, 0), Scope::From(Slot(0)), None, ROOM).is_ok());
        let refusal = Refusal { promised: ballot(2, 0) };
        let refused = acceptor.handle_phase1a(ballot(1, 4), Scope::From(Slot(0)), None, ROOM).err();
        assert_eq!(refused, Some(refusal));
        assert_eq!(acceptor.handle_phase2a(ballot(1, 4), Slot(0), value(1)), Err(refusal));
        assert_eq!(acceptor.vote(Slot(0)), None);
    }

    #[test]
    fn the_accept_rule_is_greater_or_equal() {
        let mut acceptor = Acceptor::default();
        assert!(acceptor.handle_phase1a(ballot(2, 0), Scope::Only(Slot(0)), None, ROOM).is_ok());
        assert_eq!(acceptor.handle_phase2a(ballot(2, 0), Slot(0), value(1)).map(is_new), Ok(true));
        assert_eq!(acceptor.handle_phase2a(ballot(2, 0), Slot(0), value(1)).map(is_new), Ok(false));
        assert_eq!(acceptor.handle_phase2a(ballot(3, 1), Slot(0), value(2)).map(is_new), Ok(true));
    }

    #[test]
    fn a_vote_promises_too() {
        let mut acceptor = Acceptor::default();
        assert!(acceptor.handle_phase2a(ballot(5, 0), Slot(3), value(1)).is_ok());
        assert!(acceptor.handle_phase2a(ballot(4, 0), Slot(3), value(1)).is_err());
        assert!(acceptor.handle_phase1a(ballot(4, 0), Scope::Only(Slot(3)), None, ROOM).is_err());
        assert!(acceptor.handle_phase1a(ballot(4, 0), Scope::From(Slot(0)), None, ROOM).is_err());
    }

    #[test]
    fn a_promise_in_one_slot_leaves_the_others_free() {
        let mut acceptor = Acceptor::default();
        assert!(acceptor.handle_phase1a(ballot(9, 0), Scope::Only(Slot(1)), None, ROOM).is_ok());
        assert!(acceptor.handle_phase2a(ballot(1, 0), Slot(0), value(1)).is_ok());
        assert!(acceptor.handle_phase2a(ballot(1, 0), Slot(1), value(1)).is_err());
    }

    #[test]
    fn a_promise_reports_every_vote_of_its_scope() {
        let mut acceptor = Acceptor::default();
        for slot in [0, 2, 5] {
            acceptor.handle_phase2a(ballot(1, 0), Slot(slot), value(slot)).unwrap();
        }
        let Ok(promise) = acceptor.handle_phase1a(ballot(2, 1), Scope::From(Slot(1)), None, ROOM)
        else {
            panic!("a higher ballot is promised");
        };
        let slots: Vec<u64> = promise.votes.iter().map(|(slot, _)| slot.0).collect();
        assert_eq!(slots, [2, 5]);
        assert_eq!(promise.reported_below, None);
    }

    #[test]
    fn a_promise_without_room_says_from_where_on_it_reports_nothing() {
        let mut acceptor = Acceptor::default();
        for slot in [0, 2, 3, 7] {
            acceptor.handle_phase2a(ballot(1, 0), Slot(slot), value(slot)).unwrap();
        }
        // A promise in one slot has no vote to report.
        let only = Scope::Only(Slot(9));
        assert!(acceptor.handle_phase1a(ballot(1, 0), only, None, 0).is_ok());
        let two = value(0).size() + 1;
        let mut reported = |from, room| {
            let scope = Scope::From(Slot(from));
            let promise = acceptor.handle_phase1a(ballot(2, 1), scope, None, room).ok().unwrap();
            let slots: Vec<u64> = promise.votes.iter().map(|(slot, _)| slot.0).collect();
            (slots, promise.reported_below.map(|slot| slot.0))
        };
        assert_eq!(reported(0, two), (vec![0, 2], Some(3)));
        assert_eq!(reported(3, two), (vec![3, 7], None));
        assert_eq!(reported(0, 0), (vec![0], Some(1)));
        assert_eq!(reported(1, 0), (vec![2], Some(3)));
        assert_eq!(reported(7, 0), (vec![7], None));
        assert_eq!(reported(8, 0), (vec![], None));
    }

    #[test]
    fn recovery_from_the_records_gives_the_state_that_wrote_them() {
        let mut acceptor = Acceptor::default();
        let first =
            acceptor.handle_phase1a(ballot(3, 1), Scope::From(Slot(0)), None, ROOM).ok().unwrap();
        let second = acceptor.handle_phase2a(ballot(3, 1), Slot(0), value(8)).unwrap();
        let third =
            acceptor.handle_phase1a(ballot(7, 0), Scope::Only(Slot(4)), None, ROOM).ok().unwrap();
        let mut recovered = Acceptor::default();
        for record in [first.record, second, third.record] {
            recovered.recover(record.expect("each of them changed the acceptor"));
        }
        assert_eq!(recovered, acceptor);
    }

    #[test]
    fn a_record_older_than_the_checkpoint_takes_nothing_back() {
        let mut acceptor = Acceptor::default();
        let first = acceptor.handle_phase2a(ballot(1, 0), Slot(0), value(1)).unwrap().unwrap();
        let second =
            acceptor.handle_phase1a(ballot(2, 1), Scope::Only(Slot(0)), None, ROOM).ok().unwrap();
        acceptor.handle_phase2a(ballot(2, 1), Slot(0), value(2)).unwrap();
        let mut recovered = acceptor.clone();
        recovered.recover(first);
        recovered.recover(second.record.unwrap());
        assert_eq!(recovered, acceptor);
    }

    #[test]
    fn what_is_recorded_already_is_not_recorded_again() {
        let mut acceptor = Acceptor::default();
        let scope = Scope::From(Slot(0));
        assert!(
            acceptor.handle_phase1a(ballot(3, 1), scope, None, ROOM).ok().unwrap().record.is_some()
        );
        assert!(
            acceptor.handle_phase1a(ballot(3, 1), scope, None, ROOM).ok().unwrap().record.is_none()
        );
    }
}

//! What a leader proposes again, how soon, and how much of it at once.
//!
//! A proposal is overdue when it has left, as far as the leader knows how fast it sends, and no quorum
//! has voted for a time-out since.
//! Each time it is sent again the leader waits as long as it has waited in all, eight time-outs at most:
//! who cannot keep up is not asked twice as often.
//!
//! After a partition thousands are overdue.
//! The first of them go at once, few enough for any link; each that a quorum then votes for lets twice
//! as many bytes follow.
//! So a path that carries nothing is given little, and one that is whole again is filled within a few
//! round trips, as TCP does after a time-out (slow start, RFC 5681).

use super::{Health, Multi, State};
use crate::paxos::context::Context;
use crate::protocol::{Note, Slot, Timing};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// Overdue proposals that are still to be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Resending {
    /// Those before this slot were sent again.
    next: Slot,
    /// Those from this slot on were not overdue when this began.
    end: Slot,
    /// So many bytes may leave.
    credit: usize,
}

impl Resending {
    /// Whether something is still to be sent again.
    pub(super) fn is_under_way(&self) -> bool {
        self.next < self.end
    }

    /// A proposal of so many bytes is chosen: if it was sent again, more may follow.
    pub(super) fn acknowledge(&mut self, slot: Slot, bytes: usize) {
        if self.is_under_way() && slot < self.next {
            self.credit = self.credit.saturating_add(bytes.saturating_mul(2));
        }
    }
}

impl super::Proposal {
    /// When it is to be sent again, should no quorum have voted.
    fn due(&self, timing: &Timing) -> Time {
        self.sent + timing.patience(self.sent.since(self.proposed))
    }

    /// When this acceptor was asked first, if it was.
    pub(super) fn asked_at(&self, node: NodeId) -> Option<Time> {
        if self.contacts.contains(node) { Some(self.proposed) } else { self.sent_to_all }
    }
}

impl Multi {
    /// Proposes again what is overdue, as far as there is room for it, and says after how long to look
    /// again; never, if nothing is in flight.
    ///
    /// The first attempt may have gone to the nearest quorum only; one of its members may be down
    /// for good, so the second never repeats that choice.
    pub(super) fn propose_overdue(&mut self, context: &mut Context<'_>) -> Option<Span> {
        let (now, timing) = (context.now, context.config.timing);
        let (mut overdue, mut next_due): (Option<(Slot, Slot)>, Option<Time>) = (None, None);
        let mut first_bytes = 0;
        for (slot, proposal) in self.in_flight.range(Slot::ZERO) {
            let due = proposal.due(&timing);
            if due > now {
                next_due = Some(next_due.map_or(due, |next| next.min(due)));
            } else if let Some((_, end)) = &mut overdue {
                *end = slot.next();
            } else {
                first_bytes = proposal.value.size();
                overdue = Some((slot, slot.next()));
            }
        }
        let Some((next, end)) = overdue else { return next_due.map(|due| due.since(now)) };
        let most = context.config.bounds.resent_bytes;
        let room = timing.capacity.bytes_within(Span(timing.retransmit_after.0 / 4), most);
        let credit = room.max(first_bytes);
        self.resending = Resending { next, end, credit };
        self.send_again(context);
        self.review(context);
        Some(timing.retransmit_after)
    }

    /// Proposes again what is overdue and finds room.
    pub(super) fn send_again(&mut self, context: &mut Context<'_>) {
        let (now, config) = (context.now, context.config);
        let timing = config.timing;
        let willing = config.everybody().difference(self.refused_by());
        let vote_timeout = self.health.vote_timeout(config);
        let is_judged = Health::is_judged(config);
        let judged = if is_judged { self.phase2_contacts(config) } else { NodeSet::EMPTY };
        let judged = judged.intersection(config.acceptors());
        let State::Leading(leading) = &self.state else { return };
        loop {
            let overdue = {
                let open = self.in_flight.range(self.resending.next);
                let mut open = open.take_while(|(slot, _)| *slot < self.resending.end);
                open.find(|(_, proposal)| proposal.due(&timing) <= now).map(|(slot, _)| slot)
            };
            let Some((slot, proposal)) =
                overdue.and_then(|slot| Some((slot, self.in_flight.get_mut(slot)?)))
            else {
                self.resending = Resending::default();
                return;
            };
            let credit = self.resending.credit.checked_sub(proposal.value.size());
            let Some(credit) = credit else { return };
            (self.resending.next, self.resending.credit) = (slot.next(), credit);
            // A suspect that has voted for this is asked again: its vote ends the suspicion.
            let missing = willing.difference(proposal.votes.difference(self.health.suspects()));
            let unheard = judged.difference(proposal.votes);
            let asked = unheard.iter().filter_map(|node| Some((node, proposal.asked_at(node)?)));
            let late = asked.filter(|(_, asked_at)| now.since(*asked_at) >= vote_timeout);
            self.health.suspect_late(late, proposal.sent);
            let sent = context.wire.put(now, &proposal.value, missing, config);
            proposal.sent = sent;
            if sent > Time::ZERO {
                proposal.sent_to_all.get_or_insert(sent);
            }
            let (value, chosen_below) = (proposal.value.clone(), context.learner.executed_below());
            context.send_phase2a(missing, leading.ballot, slot, value, chosen_below);
            context.effects.notes.push(Note::Retransmitted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_again_makes_room_for_more() {
        let mut resending = Resending { next: Slot(3), end: Slot(4), credit: 10 };
        resending.acknowledge(Slot(3), 5);
        assert_eq!(resending.credit, 10);
        resending.acknowledge(Slot(2), 5);
        assert_eq!(resending.credit, 20);
        resending.next = Slot(4);
        assert!(!resending.is_under_way());
        resending.acknowledge(Slot(2), 5);
        assert_eq!(resending.credit, 20);
    }
}

//! Phase 1: a ballot, promises for every slot, and what a new leader owes to earlier ones.

use std::collections::BTreeMap;

use super::{Multi, Resending, State};
use crate::paxos::Effects;
use crate::paxos::announced::Announced;
use crate::paxos::ballot::Ballot;
use crate::paxos::config::{Election, SendPolicy};
use crate::paxos::message::{Scope, Value, Vote};
use crate::paxos::replica::{Proposer, Replica};
use crate::protocol::{Note, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// A phase 1 under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Preparing {
    pub(super) ballot: Ballot,
    from: Slot,
    /// The phase-2 quorum that it announces, where each ballot has its own.
    quorum: Option<NodeSet>,
    /// Those announced at lower ballots, as far as any promise reported them.
    pub(super) announced: Announced,
    pub(super) promises: NodeSet,
    /// Of promises that came in part: from where on their votes are still to be asked for.
    partial: BTreeMap<NodeId, Slot>,
    pub(super) refused_by: NodeSet,
    /// When the promises were those of a phase-1 quorum.
    granted_at: Option<Time>,
    /// A promise says nothing of the slots below this, which are chosen; of none below the first, where
    /// it is not listed.
    trimmed: BTreeMap<NodeId, Slot>,
    /// The vote of the highest ballot in each slot that any promise reported.
    reported: BTreeMap<Slot, Vote>,
    since: Time,
    /// When it began, or a part of a promise came last.
    heard_at: Time,
}

/// What a promise for all slots from `first` on reports.
pub(in crate::paxos) struct Promised {
    pub(in crate::paxos) first: Slot,
    pub(in crate::paxos) votes: Vec<(Slot, Vote)>,
    pub(in crate::paxos) announced: Announced,
    pub(in crate::paxos) trimmed_below: Slot,
    pub(in crate::paxos) reported_below: Option<Slot>,
}

impl Preparing {
    /// From where on this replica is asked for its votes.
    fn asked_from(&self, node: NodeId) -> Slot {
        self.partial.get(&node).copied().unwrap_or(self.from)
    }

    /// Below which slot the promise of this replica says nothing.
    fn trimmed_by(&self, node: NodeId) -> Slot {
        self.trimmed.get(&node).copied().unwrap_or_default()
    }
}

impl Replica {
    /// Starts phase 1 over every slot that is not executed here (Paxos made simple, section 3).
    ///
    /// # Panics
    /// In classic mode, which has no leader.
    pub fn campaign(&mut self, now: Time, effects: &mut Effects) {
        self.campaign_with(now, self.config.everybody(), effects);
    }

    /// The same, with a phase-2 quorum of its own among `allies` if it can be, where each ballot has one.
    pub(in crate::paxos) fn campaign_with(
        &mut self,
        now: Time,
        allies: NodeSet,
        effects: &mut Effects,
    ) {
        let seen = self.highest_ballot();
        let ballot = self.new_ballot(seen, effects);
        let was_refused = matches!(&self.multi().state,
            State::Preparing(preparing) if !preparing.refused_by.is_empty());
        self.begin_campaign(now, effects);
        self.begin_health(allies);
        let from = self.learner.executed_below();
        let myself = self.config.id;
        // Suspects that answer are better than nobody, where the others are too few for phase 2.
        let voting = allies.intersection(self.well());
        let has_quorum = self.config.quorums.is_phase2(voting);
        let quorum = self.config.announced_quorum(if has_quorum { voting } else { allies });
        let multi = self.multi();
        multi.hint = myself;
        multi.last = ballot;
        multi.state = State::Preparing(Preparing {
            ballot,
            from,
            quorum,
            announced: Announced::default(),
            promises: NodeSet::EMPTY,
            partial: BTreeMap::new(),
            refused_by: NodeSet::EMPTY,
            granted_at: None,
            trimmed: BTreeMap::new(),
            reported: BTreeMap::new(),
            since: now,
            heard_at: now,
        });
        // Where quorums are announced, the nearest phase-1 quorum need not meet those of lower ballots.
        let announces = self.config.quorums.announces();
        let contacts = if was_refused {
            self.config.everybody()
        } else if announces && self.config.send == SendPolicy::Quorum {
            allies
        } else {
            self.config.phase1_contacts(allies)
        };
        self.send_prepare(contacts, effects);
        // What an older timer was for is over.
        self.multi().is_retransmit_armed = false;
        let after = self.config.timing.retransmit_after;
        // Two candidates that outbid each other must not do so in step.
        let spread = if was_refused { after } else { Span::ZERO };
        self.arm_retransmit(after, spread, effects);
    }

    /// A promise for all slots: with a phase-1 quorum of them the proposer leads.
    ///
    /// One that came in part counts when the rest has come.
    /// In between the acceptor keeps the promise, so nothing changes below the ballot in the slots that
    /// are still to be reported: together the parts say what one message would have said.
    pub(in crate::paxos) fn handle_phase1b_all(
        &mut self,
        now: Time,
        from: NodeId,
        ballot: Ballot,
        promised: Promised,
        effects: &mut Effects,
    ) {
        let Promised { first, votes, announced, trimmed_below, reported_below } = promised;
        let State::Preparing(preparing) = &mut self.multi().state else { return };
        // A late promise of an older ballot says nothing about this one.
        if ballot != preparing.ballot || preparing.promises.contains(from) {
            return;
        }
        // Neither does a part twice, nor one that slots before it are missing of.
        let asked_from = preparing.asked_from(from);
        if first > asked_from || reported_below.is_some_and(|below| below <= asked_from) {
            return;
        }
        for (slot, vote) in votes {
            let known = preparing.reported.get(&slot);
            if known.is_none_or(|known| known.ballot < vote.ballot) {
                preparing.reported.insert(slot, vote);
            }
        }
        preparing.announced.merge(announced);
        if trimmed_below > Slot::ZERO {
            let known = preparing.trimmed.entry(from).or_default();
            *known = trimmed_below.max(*known);
        }
        if let Some(below) = reported_below {
            preparing.partial.insert(from, below);
            preparing.heard_at = now;
            self.send_prepare(NodeSet::only(from), effects);
        } else {
            preparing.partial.remove(&from);
            preparing.promises.insert(from);
            self.lead_when_level(now, effects);
        }
    }

    /// Phase 1a again, to everybody who has not promised, unless parts of promises are coming in; after how
    /// long to look again.
    ///
    /// A candidate that was refused asks with the same ballot in vain, if those who might promise it are
    /// down.
    /// Where leaders are elected it gives up, and the next one is above what was promised; where it was told
    /// to lead it goes above that itself, asks everybody, and waits for a random time before it does so again.
    pub(super) fn prepare_again(&mut self, now: Time, effects: &mut Effects) -> Option<Span> {
        let (timing, everybody) = (self.config.timing, self.config.everybody());
        let is_elected = matches!(self.config.election, Election::Timeout(_));
        let State::Preparing(preparing) = &self.multi().state else {
            unreachable!("only a proposer in phase 1 prepares again")
        };
        let waited = now.since(preparing.heard_at);
        if waited < timing.retransmit_after {
            return Some(Span(timing.retransmit_after.0 - waited.0));
        }
        if !preparing.refused_by.is_empty() && preparing.granted_at.is_none() {
            if is_elected {
                self.give_up(now, effects);
            } else {
                self.campaign(now, effects);
            }
            return None;
        }
        let missing = everybody.difference(preparing.promises);
        effects.notes.push(Note::Retransmitted);
        self.send_prepare(missing, effects);
        Some(timing.patience(waited))
    }

    /// Phase 1a of the ballot under way, to each of `to` from where on its votes are not known.
    pub(super) fn send_prepare(&mut self, to: NodeSet, effects: &mut Effects) {
        let State::Preparing(preparing) = &self.multi().state else { return };
        let (ballot, quorum) = (preparing.ballot, preparing.quorum);
        let mut scopes: BTreeMap<Slot, NodeSet> = BTreeMap::new();
        for node in to.iter() {
            scopes.entry(preparing.asked_from(node)).or_default().insert(node);
        }
        for (from, nodes) in scopes {
            self.send_phase1a(nodes, ballot, Scope::From(from), quorum, effects);
        }
    }

    /// With a phase-1 quorum of promises it leads, as soon as it has executed every slot that these say
    /// nothing of.
    ///
    /// Those slots are chosen and nobody reports with what, so nothing may be proposed there (why that
    /// is enough: `snapshot.rs`); it could not answer for later ones before it has executed them.
    pub(in crate::paxos) fn lead_when_level(&mut self, now: Time, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let Proposer::Multi(Multi { state: State::Preparing(preparing), .. }) = &mut self.proposer
        else {
            return;
        };
        let is_over = |promises: NodeSet| {
            self.config.quorums.is_phase1_over(promises, preparing.announced.quorums())
        };
        let promises = preparing.promises;
        if !is_over(promises) {
            return;
        }
        preparing.granted_at = preparing.granted_at.or(Some(now));
        // From the promise that says most to the one that says least.
        let mut by_extent: Vec<(Slot, NodeId)> =
            promises.iter().map(|node| (preparing.trimmed_by(node), node)).collect();
        by_extent.sort_unstable();
        let mut enough = NodeSet::EMPTY;
        let last = by_extent.into_iter().find(|(_, node)| {
            enough.insert(*node);
            is_over(enough)
        });
        match last {
            Some((trimmed_below, trimmed_by)) if executed_below < trimmed_below => {
                self.learn_trimmed(now, trimmed_by, trimmed_below, effects);
            }
            _ => self.lead(now, effects),
        }
    }

    /// What `from` says nothing of is learned: it teaches that itself, if it still remembers it.
    fn learn_trimmed(&mut self, now: Time, from: NodeId, below: Slot, effects: &mut Effects) {
        if self.config.retention.slots.is_some() {
            self.handle_trimmed(now, from, below, effects);
        } else if self.learning_below < below {
            self.ask(now, from, self.learner.executed_below(), below, effects);
        }
    }

    /// Begins to lead: adopts what was reported, fills holes, proposes what waited.
    ///
    /// Any slot in which a value was or may yet be chosen at a lower ballot is reported by a member
    /// of this phase-1 quorum, because it meets every phase-2 quorum; the vote of the highest ballot
    /// is the value that is safe (Paxos made simple, P2c).
    /// In the other slots the choice is free: an own proposal that is still open, else a no-op.
    fn lead(&mut self, now: Time, effects: &mut Effects) {
        let executed_below = self.learner.executed_below();
        let learned_end = self.learner.end();
        // Of the requests that were asked for here before, those proposed now are known again.
        self.requests.clear();
        let multi = self.multi();
        let State::Preparing(preparing) = std::mem::replace(&mut multi.state, State::Idle) else {
            unreachable!("only a proposer in phase 1 begins to lead")
        };
        let Preparing { ballot, from, quorum, announced, mut reported, since, granted_at, .. } =
            preparing;
        multi.state = State::Leading {
            ballot,
            quorum,
            refused_by: NodeSet::EMPTY,
            renewal: None,
            is_renewal_armed: false,
            settle_below: None,
            is_settle_asked: false,
        };
        multi.resending = Resending::default();
        let mut own = std::mem::take(&mut multi.in_flight);
        let reported_end = reported.last_key_value().map_or(from, |(slot, _)| slot.next());
        let end = reported_end.max(learned_end).max(own.end()).max(executed_below);
        multi.next = end;
        if let State::Leading { settle_below, .. } = &mut multi.state {
            *settle_below = (!announced.is_empty()).then_some(end);
        }
        multi.in_flight.forget_below(executed_below);
        multi.recovering = multi.watch.is_some().then_some((end, granted_at.unwrap_or(now)));
        let (mut adopted_count, mut filled_count) = (0, 0);
        for slot in (from.max(executed_below).0..end.0).map(Slot) {
            if self.learner.is_chosen(slot) {
                continue;
            }
            let open = own.remove(slot);
            let submitted = open.as_ref().map_or(now, |proposal| proposal.submitted);
            let value = match (reported.remove(&slot), open) {
                (Some(vote), _) => {
                    adopted_count += 1;
                    vote.value
                }
                (None, Some(proposal)) => proposal.value,
                (None, None) => {
                    filled_count += 1;
                    Value::Noop
                }
            };
            self.propose(now, slot, value, submitted, effects);
        }
        let phase1 = granted_at.unwrap_or(now).since(since);
        effects.notes.push(Note::Leading { phase1, adopted_count, filled_count });
        while let Some((submitted, command)) = self.multi().queue.pop_front() {
            if !self.is_retry(&command, effects) {
                self.propose_next(now, command, submitted, effects);
            }
        }
        // What an earlier leader told may have been lost with it.
        self.multi().announced_below = Slot::ZERO;
        self.arm_announce(effects);
        self.begin_heartbeats(now, effects);
        self.note_recovery(now, effects);
    }
}

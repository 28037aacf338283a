//! Phase 1: a ballot, promises for every slot, and what a new leader owes to earlier ones.

use std::collections::BTreeMap;

use super::{Leading, Multi, Resending, State};
use crate::paxos::announced::Announced;
use crate::paxos::context::Context;
use crate::paxos::granted::Granted;
use crate::paxos::message::{Report, Vote};
use crate::paxos::requests::Place;
use crate::protocol::{Ballot, Config, Election, Note, Scope, SendPolicy, Slot, Value};
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
    /// The newest stamp of which any promise knows.
    newest: Option<Time>,
    /// What any promise tells of grants to responders.
    granted: Granted,
    since: Time,
    /// When it began, or a part of a promise came last.
    heard_at: Time,
}

impl Preparing {
    fn new(ballot: Ballot, from: Slot, quorum: Option<NodeSet>, now: Time) -> Self {
        Self {
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
            newest: None,
            granted: Granted::default(),
            since: now,
            heard_at: now,
        }
    }

    /// From where on this replica is asked for its votes.
    fn asked_from(&self, node: NodeId) -> Slot {
        self.partial.get(&node).copied().unwrap_or(self.from)
    }

    /// Below which slot the promise of this replica says nothing.
    fn trimmed_by(&self, node: NodeId) -> Slot {
        self.trimmed.get(&node).copied().unwrap_or_default()
    }

    /// Whether these promises end phase 1.
    fn is_over(&self, promises: NodeSet, config: &Config) -> bool {
        config.quorums.is_phase1_over(promises, self.announced.quorums())
    }

    /// Below which slot nothing is said by enough promises to end phase 1, those that say most, and by
    /// the one of them that says least.
    fn extent(&self, config: &Config) -> Option<(Slot, NodeId)> {
        let mut by_extent: Vec<(Slot, NodeId)> =
            self.promises.iter().map(|node| (self.trimmed_by(node), node)).collect();
        by_extent.sort_unstable();
        let mut enough = NodeSet::EMPTY;
        by_extent.into_iter().find(|(_, node)| {
            enough.insert(*node);
            self.is_over(enough, config)
        })
    }

    /// Phase 1a, to each of `to` from where on its votes are not known.
    fn send(&self, context: &mut Context<'_>, to: NodeSet) {
        let mut scopes: BTreeMap<Slot, NodeSet> = BTreeMap::new();
        for node in to.iter() {
            scopes.entry(self.asked_from(node)).or_default().insert(node);
        }
        for (from, nodes) in scopes {
            context.send_phase1a(nodes, self.ballot, Scope::From(from), self.quorum);
        }
    }
}

impl Multi {
    /// Starts phase 1 over every slot that is not executed here (Paxos made simple, section 3).
    pub(in crate::paxos) fn campaign(&mut self, context: &mut Context<'_>) {
        if context.config.is_candidate() {
            self.campaign_with(context, context.config.acceptors());
        }
    }

    /// The same, with a phase-2 quorum of its own among `allies` if it can be, where each ballot has one.
    pub(super) fn campaign_with(&mut self, context: &mut Context<'_>, allies: NodeSet) {
        let config = context.config;
        let seen = self.highest_ballot(context);
        let ballot = context.new_ballot(seen);
        let was_refused = matches!(&self.state,
            State::Preparing(preparing) if !preparing.refused_by.is_empty());
        self.begin_campaign(context);
        self.health.begin(self.state == State::Idle, allies, config);
        let from = context.learner.executed_below();
        // Who refused the ballot before has not refused this one.
        // Suspects that answer are better than nobody, where the others are too few for phase 2.
        let voting = allies.difference(self.health.suspects());
        let has_quorum = config.quorums.is_phase2(voting);
        let quorum = config.announced_quorum(if has_quorum { voting } else { allies });
        self.hint = config.id;
        self.last = ballot;
        // Where quorums are announced, the nearest phase-1 quorum need not meet those of lower ballots.
        let contacts = if was_refused {
            config.acceptors()
        } else if config.quorums.announces() && config.send == SendPolicy::Quorum {
            allies
        } else {
            config.phase1_contacts(allies)
        };
        let preparing = Preparing::new(ballot, from, quorum, context.now);
        preparing.send(context, contacts);
        self.state = State::Preparing(preparing);
        // What an older timer was for is over.
        self.is_retransmit_armed = false;
        let after = config.timing.retransmit_after;
        // Two candidates that outbid each other must not do so in step.
        let spread = if was_refused { after } else { Span::ZERO };
        self.arm_retransmit(context, after, spread);
    }

    /// A promise for all slots from `first` on: with a phase-1 quorum of them the proposer leads.
    ///
    /// One that came in part counts when the rest has come.
    /// In between the acceptor keeps the promise, so nothing changes below the ballot in the slots that
    /// are still to be reported: together the parts say what one message would have said.
    pub(in crate::paxos) fn handle_phase1b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        report: Report,
    ) {
        let Report { votes, announced, trimmed_below, reported_below, newest, granted } = report;
        let State::Preparing(preparing) = &mut self.state else { return };
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
        preparing.newest = preparing.newest.max(newest);
        preparing.granted.merge(&granted);
        if trimmed_below > Slot::ZERO {
            let known = preparing.trimmed.entry(from).or_default();
            *known = trimmed_below.max(*known);
        }
        if let Some(below) = reported_below {
            preparing.partial.insert(from, below);
            preparing.heard_at = context.now;
            preparing.send(context, NodeSet::only(from));
        } else {
            preparing.partial.remove(&from);
            preparing.promises.insert(from);
            self.lead_when_level(context);
        }
    }

    /// Phase 1a again, to everybody who has not promised, unless parts of promises are coming in; after how
    /// long to look again.
    ///
    /// A candidate that was refused asks with the same ballot in vain, if those who might promise it are
    /// down.
    /// Where leaders are elected it gives up, and the next one is above what was promised; where it was told
    /// to lead it goes above that itself, asks everybody, and waits for a random time before it does so again.
    pub(super) fn prepare_again(&mut self, context: &mut Context<'_>) -> Option<Span> {
        let config = context.config;
        let State::Preparing(preparing) = &self.state else { return None };
        let waited = context.now.since(preparing.heard_at);
        if waited < config.timing.retransmit_after {
            return Some(Span(config.timing.retransmit_after.0 - waited.0));
        }
        if !preparing.refused_by.is_empty() && preparing.granted_at.is_none() {
            match config.election {
                Election::Timeout(_) => self.give_up(context),
                Election::Fixed => self.campaign(context),
            }
            return None;
        }
        context.effects.notes.push(Note::Retransmitted);
        preparing.send(context, config.acceptors().difference(preparing.promises));
        Some(config.timing.patience(waited))
    }

    /// With a phase-1 quorum of promises it leads, as soon as it has executed every slot that these say
    /// nothing of.
    ///
    /// Those slots are chosen and nobody reports with what, so nothing may be proposed there (why that
    /// is enough: `snapshot.rs`); it could not answer for later ones before it has executed them.
    pub(super) fn lead_when_level(&mut self, context: &mut Context<'_>) {
        let State::Preparing(preparing) = &mut self.state else { return };
        if !preparing.is_over(preparing.promises, context.config) {
            return;
        }
        preparing.granted_at.get_or_insert(context.now);
        match preparing.extent(context.config) {
            Some((trimmed_below, trimmed_by))
                if context.learner.executed_below() < trimmed_below =>
            {
                learn_trimmed(context, trimmed_by, trimmed_below);
            }
            _ => {
                if let State::Preparing(it) = std::mem::replace(&mut self.state, State::Idle) {
                    self.lead(context, it);
                }
            }
        }
    }

    /// Begins to lead: adopts what was reported, fills holes, proposes what waited.
    ///
    /// Any slot in which a value was or may yet be chosen at a lower ballot is reported by a member
    /// of this phase-1 quorum, because it meets every phase-2 quorum; the vote of the highest ballot
    /// is the value that is safe (Paxos made simple, P2c).
    /// In the other slots the choice is free: an own proposal that is still open, else a no-op.
    fn lead(&mut self, context: &mut Context<'_>, preparing: Preparing) {
        let executed_below = context.learner.executed_below();
        // Of the requests that were asked for here before, those proposed now are known again.
        context.requests.clear();
        for (_, command) in &self.queue {
            context.requests.put(command, Place::Queue);
        }
        let Preparing {
            ballot,
            from,
            quorum,
            announced,
            mut reported,
            newest,
            granted,
            since,
            granted_at,
            ..
        } = preparing;
        let granted_at = granted_at.unwrap_or(context.now);
        let mut own = std::mem::take(&mut self.in_flight);
        let reported_end = reported.last_key_value().map_or(from, |(slot, _)| slot.next());
        let end = reported_end.max(context.learner.end()).max(own.end()).max(executed_below);
        let mut passed_over = self.order_stamps(context, &mut reported, end);
        self.state = State::Leading(Leading {
            ballot,
            quorum,
            refused_by: NodeSet::EMPTY,
            renewal: None,
            is_renewal_armed: false,
            settle_below: (!announced.is_empty()).then_some(end),
            is_settle_asked: false,
        });
        self.begin_lease(context, newest, end);
        self.begin_roster(context, &granted, end);
        self.resending = Resending::default();
        self.next = end;
        self.in_flight.forget_below(executed_below);
        self.recovering = self.watch.is_some().then_some((end, granted_at));
        let (mut adopted_count, mut filled_count) = (0, 0);
        for slot in (from.max(executed_below).0..end.0).map(Slot) {
            if context.learner.is_chosen(slot) {
                self.pass_stamp(context.learner.value(slot).and_then(Value::stamp));
                continue;
            }
            let open = own.remove(slot);
            let submitted = open.as_ref().map_or(context.now, |proposal| proposal.submitted);
            let value = match (reported.remove(&slot), open) {
                (Some(vote), _) => {
                    adopted_count += 1;
                    self.pass_stamp(vote.value.stamp());
                    vote.value
                }
                (None, Some(proposal)) => self.anew(context, slot, proposal.value),
                (None, None) => {
                    filled_count += 1;
                    let passed_over = passed_over.remove(&slot);
                    self.anew(context, slot, passed_over.map_or(Value::Noop, |vote| vote.value))
                }
            };
            self.propose(context, ballot, slot, value, submitted);
        }
        self.pass_stamp(newest);
        self.arm_safe_time(context);
        let phase1 = granted_at.since(since);
        context.effects.notes.push(Note::Leading { phase1, adopted_count, filled_count });
        self.propose_queued(context);
        // What an earlier leader told may have been lost with it.
        self.announced_below = Slot::ZERO;
        self.arm_announce(context);
        self.begin_heartbeats(context);
        self.renew_leases(context);
        self.note_recovery(context);
    }
}

/// What `from` says nothing of is learned: it teaches that itself, if it still remembers it.
fn learn_trimmed(context: &mut Context<'_>, from: NodeId, below: Slot) {
    if context.config.retention.slots.is_some() || !context.config.quorums.learners().contains(from)
    {
        context.handle_trimmed(from, below);
    } else if context.catch_up.learning_below < below {
        context.ask(from, context.learner.executed_below(), below);
    }
}

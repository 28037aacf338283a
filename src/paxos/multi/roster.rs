//! The roster of a ballot: which responders a leader waits for, and when it leaves one out or takes it back.
//!
//! What depends on it for safety is argued in `responders.rs`; here is who is heard of.
//!
//! The leader says eight times in the length of a grant that it is there, and every acceptor answers. A responder that
//! has not answered for half that length, and for no less than the time-out of a message, holds up every write: so the
//! leader begins a new ballot with a roster without it. That costs a phase 1, and then the wait until the grants that
//! the responder may still hold are over. When it answers again, another ballot takes it back; but not soon after it
//! was left out, and twice as late each time, so that a link that fails now and then does not stop every write as often.
//! A new ballot is asked for as in `renewal.rs`: the leader leads on until a phase-1 quorum would promise.
//!
//! Who becomes the leader by an election leaves out the leader that it suspects, and waits for all others.

use std::collections::BTreeMap;

use super::responders::Leases;
use super::{Multi, Proposal, State};
use crate::paxos::context::Context;
use crate::paxos::granted::Granted;
use crate::paxos::message::Message;
use crate::paxos::mode::{Reads, ResponderTerms};
use crate::paxos::timer::TimerKind;
use crate::protocol::{Assignment, Ballot, Config, Slot, Timing, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// What a replica knows of responders, where there are any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Responders {
    pub(super) terms: ResponderTerms,
    pub(super) leases: Leases,
    /// Of a leader: those without whose votes it takes no write of their keys for chosen.
    roster: NodeSet,
    /// Of a leader: it takes nothing for chosen while its clock shows this or less.
    silent_until: Option<Time>,
    /// Of a leader: the first slot that nobody but it ever proposed anything in.
    fresh: Slot,
    /// Those that the next roster leaves out.
    absent: NodeSet,
    standings: BTreeMap<NodeId, Standing>,
}

/// What a leader knows of a responder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Standing {
    /// It answered last then, or its ballot began.
    heard_at: Time,
    /// It is not taken back before this.
    out_until: Time,
    /// So long it was left out the last time.
    wait: Span,
}

/// So often a leader renews leases within the length of one.
const RENEWALS: u64 = 8;
/// For so many lengths at most a responder that answers again is left out.
const OUT_MAX: u64 = 32;

impl Responders {
    /// That of a replica that has never run; `None` where there are no responders.
    pub(super) fn new(reads: Reads) -> Option<Self> {
        let Reads::Responders(terms) = reads else { return None };
        Some(Self {
            terms,
            leases: Leases::default(),
            roster: NodeSet::EMPTY,
            silent_until: None,
            fresh: Slot::ZERO,
            absent: NodeSet::EMPTY,
            standings: BTreeMap::new(),
        })
    }

    /// So long a responder may be silent.
    fn patience(&self, timing: &Timing) -> Span {
        Span(self.terms.length.0 / 2).max(timing.retransmit_after)
    }

    /// It answered the leader.
    pub(super) fn hear(&mut self, node: NodeId, now: Time) {
        if self.terms.at.all().contains(node) {
            self.standings.entry(node).or_default().heard_at = now;
        }
    }

    /// It is left out from the next roster on.
    fn leave_out(&mut self, node: NodeId, now: Time) {
        let length = self.terms.length;
        let standing = self.standings.entry(node).or_default();
        standing.wait = standing.wait.times(2).clamp(length.times(2), length.times(OUT_MAX));
        standing.out_until = now + standing.wait;
        self.absent.insert(node);
    }

    /// Leaves out whom it has not heard of for too long, and takes back who answers again.
    fn review(&mut self, now: Time, timing: &Timing) {
        let patience = self.patience(timing);
        for node in self.terms.at.all().iter() {
            let standing = self.standings.get(&node).copied().unwrap_or_default();
            let is_heard = now.since(standing.heard_at) < patience;
            if is_heard && standing.out_until <= now {
                self.absent = self.absent.without(node);
            } else if !is_heard && !self.absent.contains(node) {
                self.leave_out(node, now);
            }
        }
    }

    /// Those of the configuration that the next roster has.
    fn wanted(&self) -> NodeSet {
        self.terms.at.all().difference(self.absent)
    }

    /// Those of the roster that answer for the key which this writes, without whose votes it is not taken for chosen;
    /// nobody, if there is nothing to execute.
    pub(super) fn awaited(&self, value: &Value) -> NodeSet {
        let key = value.command().map(|command| command.operation.key());
        key.map_or(NodeSet::EMPTY, |key| self.terms.at.of(key).intersection(self.roster))
    }

    fn is_silent(&self, shown: Time) -> bool {
        self.silent_until.is_some_and(|until| shown <= until)
    }
}

impl Multi {
    /// Those whose votes writes of their keys need, at the ballot that it leads with.
    pub(super) fn roster(&self) -> NodeSet {
        self.responders.as_ref().map_or(NodeSet::EMPTY, |it| it.roster)
    }

    /// Takes back that writes need the votes of responders, or that they do not: for a negative control.
    pub(in crate::paxos) fn replace_roster(&mut self, roster: NodeSet) -> NodeSet {
        let responders = self.responders.as_mut();
        responders.map_or(NodeSet::EMPTY, |it| std::mem::replace(&mut it.roster, roster))
    }

    /// Other keys have other responders from now on, and whose they were: for a negative control.
    pub(in crate::paxos) fn replace_assignment(&mut self, at: Assignment) -> Option<Assignment> {
        Some(std::mem::replace(&mut self.responders.as_mut()?.terms.at, at))
    }

    /// Whether another ballot would have another roster.
    pub(super) fn needs_roster(&self) -> bool {
        self.is_leading() && self.responders.as_ref().is_some_and(|it| it.wanted() != it.roster)
    }

    /// What it granted before it crashed it has forgotten.
    pub(super) fn remember_grants(&self, context: &mut Context<'_>) {
        let Some(Responders { terms, .. }) = &self.responders else { return };
        // A grant leaves when the promise of its ballot is durable: who finds no promise has granted nothing.
        if context.acceptor.promised_everywhere() > Ballot::NONE {
            context.granted.note(terms.at.all(), context.shown + terms.bound.times(2));
        }
    }

    /// A leader is suspected: who is elected instead does not wait for its votes.
    pub(super) fn miss_leader(&mut self, leader: Option<NodeId>, now: Time) {
        let Some(responders) = &mut self.responders else { return };
        if let Some(leader) = leader.filter(|leader| responders.terms.at.all().contains(*leader)) {
            responders.leave_out(leader, now);
        }
    }

    /// Another replica leads: what it knows of responders is of no use here.
    pub(super) fn forget_absent(&mut self) {
        if let Some(responders) = &mut self.responders {
            responders.absent = NodeSet::EMPTY;
        }
    }

    /// It leads from now on: its phase 1 heard of these grants, and nobody else proposed anything from `fresh` on.
    pub(super) fn begin_roster(
        &mut self,
        context: &mut Context<'_>,
        granted: &Granted,
        fresh: Slot,
    ) {
        let Some(responders) = &mut self.responders else { return };
        let ResponderTerms { length, bound, .. } = responders.terms;
        responders.roster = responders.wanted();
        responders.fresh = fresh;
        let newest = granted.newest_beside(responders.roster);
        responders.silent_until = newest.map(|stamp| stamp + length + bound);
        for node in responders.roster.iter() {
            responders.hear(node, context.now);
        }
        self.await_old_rosters(context);
    }

    /// It leads no more.
    pub(super) fn end_roster(&mut self) {
        if let Some(responders) = &mut self.responders {
            (responders.roster, responders.silent_until) = (NodeSet::EMPTY, None);
        }
    }

    /// Says that it is there, and reviews who answered that.
    pub(super) fn renew_leases(&mut self, context: &mut Context<'_>) {
        let config = context.config;
        let (now, timing) = (context.now, config.timing);
        let quorum = self.own_quorum();
        let (Some(ballot), Some(responders)) = (self.leading_ballot(), &mut self.responders) else {
            return;
        };
        responders.review(now, &timing);
        let (to, fresh) = (responders.roster, responders.fresh);
        let period = Span(responders.terms.length.0 / RENEWALS);
        context.effects.set_timer(TimerKind::Roster.id(), period, Span::ZERO);
        let renew = Message::Renew { ballot, quorum, to, fresh };
        context.effects.send(config.acceptors().without(config.id), renew);
        self.handle_renew(context, config.id, (ballot, quorum), (to, fresh));
        let is_asking = self.leading().is_none_or(|leading| leading.renewal.is_some());
        if !is_asking && self.needs_roster() {
            self.renew(context);
        }
    }

    /// Whether a proposal has every vote that it needs at the ballot that it leads with.
    pub(super) fn has_all_votes(&self, config: &Config, proposal: &Proposal) -> bool {
        has_all_votes(config, self.own_quorum(), self.responders.as_ref(), proposal)
    }

    /// Whether responders that are not its own may still answer by what they were granted.
    pub(super) fn awaits_responders(&self, context: &Context<'_>) -> bool {
        self.responders.as_ref().is_some_and(|it| it.is_silent(context.shown))
    }

    fn await_old_rosters(&self, context: &mut Context<'_>) {
        if self.awaits_responders(context)
            && let Some(until) = self.responders.as_ref().and_then(|it| it.silent_until)
        {
            let rest = until.since(context.shown) + Span(1);
            context.effects.set_timer(TimerKind::Silence.id(), rest, Span::ZERO);
        }
    }

    /// The grants outside of its roster are over, if its clock says so too: what has all its votes is chosen.
    pub(super) fn end_wait_for_responders(&mut self, context: &mut Context<'_>) {
        if self.responders.is_none() || !matches!(self.state, State::Leading(_)) {
            return;
        }
        if self.awaits_responders(context) {
            self.await_old_rosters(context);
            return;
        }
        let open = self.in_flight.range(Slot::ZERO);
        let complete = open.filter(|(_, proposal)| self.has_all_votes(context.config, proposal));
        let complete: Vec<_> =
            complete.map(|(slot, proposal)| (slot, proposal.value.clone())).collect();
        for (slot, value) in complete {
            self.learn_own(context, slot, value);
        }
        self.execute(context);
        self.forget_finished(context);
    }
}

/// As [`Multi::has_all_votes`]: a phase-2 quorum, that of the ballot if it has its own, and each responder of the roster
/// that answers for the key.
pub(super) fn has_all_votes(
    config: &Config,
    quorum: Option<NodeSet>,
    responders: Option<&Responders>,
    Proposal { votes, value, .. }: &Proposal,
) -> bool {
    config.quorums.is_phase2_at(*votes, quorum)
        && responders.is_none_or(|it| it.awaited(value).is_subset(*votes))
}

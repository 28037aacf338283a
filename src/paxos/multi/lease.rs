//! A leader that answers reads alone, because its log is its lease (Davis et al., *`LeaseGuard`*, SIGMOD 2026, with any
//! phase-1 and phase-2 quorums).
//!
//! Each entry carries a stamp: what the clock of the leader that proposed it first showed then. Whoever proposes the
//! entry again keeps it. With Δ the length of a lease and ε the bound of all clocks:
//!
//! - A leader answers a read from its own state while an entry that it knows to be chosen is surely younger than Δ:
//!   `shown + 2 ε < stamp + Δ`.
//! - A new leader proposes at once, but tells nobody that anything is chosen until every stamp that its phase 1 heard of
//!   is surely older than Δ: `shown > stamp + Δ + 2 ε`. Until then it executes nothing of what it has chosen.
//!
//! # Why no read is stale
//!
//! Let *b* be the ballot of the leader that answers, and *e* the entry that it relies on. *e* was chosen at *b* or at a
//! ballot before it. Let *c* be a later ballot whose leader told a client of a write that the reader does not know.
//! The phase-1 quorum of *c* meets the phase-2 quorum that chose *e*, and the member in both voted for *e* before it
//! promised *c*; so the promise tells a stamp that is not older than that of *e*, also if the slot is trimmed by now,
//! or part of an installed state. So the leader of *c* was silent until *e* was surely older than Δ. The reader found it
//! surely younger than Δ after the read had begun; so when the read began nobody had been told of that write.
//!
//! That *e* was chosen at *b* or before must be known. It is not enough that the reader has executed *e*: it may have
//! been taught an entry of *c* by somebody who does not say at which ballot it was chosen, and lead with *b* all the
//! same, where two phase-1 quorums do not meet.
//! So a leader relies on entries for which it counted a quorum itself, and on those of which the leader of a lower
//! ballot told it ([`Lease::vouch`]).
//!
//! # What a new leader may answer
//!
//! While the lease of the leader before it lasts, a new leader reads what that one would have read, except for the keys
//! that are written in a slot which it adopted and has not executed: that write may have been told, or not.
//! Its own writes are told to nobody yet, and it has not executed them.
//!
//! A leader that nobody writes to renews its lease by a no-op, as long as somebody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Multi;
use crate::command::{Command, RequestId};
use crate::paxos::context::Context;
use crate::paxos::mode::{LeaseTerms, Reads};
use crate::paxos::timer::TimerKind;
use crate::protocol::{Ballot, Reply, Slot, Value};
use crate::time::{Span, Time};

/// What a replica knows of leases, its own and those before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lease {
    terms: LeaseTerms,
    /// The newest stamp of an entry that was chosen at its ballot or before.
    newest: Option<Time>,
    /// The newest stamps of entries of which the leader of a ballot told that they are chosen.
    vouched: BTreeMap<Ballot, Time>,
    /// The newest stamp that it made.
    made: Option<Time>,
    /// It tells nobody of anything while its clock shows this or less.
    silent_until: Option<Time>,
    /// What it adopted or filled lies below this slot.
    adopted_below: Slot,
    /// Slots of which nobody is told yet: a phase-2 quorum voted in them at its ballot.
    withheld: BTreeSet<Slot>,
    /// Reads without an answer, and their keys.
    reads: BTreeMap<RequestId, u64>,
}

/// Of so many ballots it is remembered which stamps they vouched for.
const VOUCHED_MAX: usize = 4;

impl Lease {
    /// That of a replica that has never run; `None` where leaders hold none.
    pub(super) fn new(reads: Reads) -> Option<Self> {
        let Reads::LeaderLease(terms) = reads else { return None };
        Some(Self {
            terms,
            newest: None,
            vouched: BTreeMap::new(),
            made: None,
            silent_until: None,
            adopted_below: Slot::ZERO,
            withheld: BTreeSet::new(),
            reads: BTreeMap::new(),
        })
    }

    /// The leader of `ballot` told that an entry with this stamp is chosen.
    fn vouch(&mut self, ballot: Ballot, stamp: Time) {
        let newest = self.vouched.entry(ballot).or_insert(stamp);
        *newest = stamp.max(*newest);
        if self.vouched.len() > VOUCHED_MAX {
            self.vouched.pop_first();
        }
    }

    /// Two clocks differ by no more.
    const fn apart(&self) -> Span {
        self.terms.bound.times(2)
    }

    /// Whether an entry of this stamp is surely younger than a lease, when the clock shows `shown`.
    fn is_young(&self, stamp: Time, shown: Time) -> bool {
        shown + self.apart() < stamp + self.terms.length
    }

    fn is_valid(&self, shown: Time) -> bool {
        self.newest.is_some_and(|stamp| self.is_young(stamp, shown))
    }

    /// Whether the leases of those before it may last.
    fn is_silent(&self, shown: Time) -> bool {
        self.silent_until.is_some_and(|until| shown <= until)
    }

    /// Whether the newest entry that it proposed is older than half a lease.
    fn is_renewal_due(&self, shown: Time) -> bool {
        let half = Span(self.terms.length.0 / 2);
        self.made.is_none_or(|made| shown >= made + half)
    }

    /// Takes the reads out that this state answers.
    fn take_reads(&mut self, is_open: impl Fn(u64) -> bool) -> Vec<(RequestId, u64)> {
        let (open, blocked) = std::mem::take(&mut self.reads)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, key)| is_open(*key));
        self.reads = blocked;
        open.into_iter().collect()
    }
}

impl Multi {
    /// A value that nobody proposed before for this slot; with a stamp, where leaders hold a lease or give commit
    /// timestamps.
    pub(super) fn fresh(
        &mut self,
        context: &Context<'_>,
        slot: Slot,
        command: Option<Command>,
    ) -> Value {
        if let Some(stamps) = &mut self.stamps {
            return Value::stamped(stamps.make(context.shown, context.now, slot), command);
        }
        match &mut self.lease {
            None => command.map_or(Value::Noop, Value::from),
            Some(lease) => {
                let stamp = context.shown;
                lease.made = lease.made.max(Some(stamp));
                Value::stamped(stamp, command)
            }
        }
    }

    /// A value of its own that it proposes again: with commit timestamps it gets another one, for its slot is free.
    pub(super) fn anew(&mut self, context: &Context<'_>, slot: Slot, value: Value) -> Value {
        if self.stamps.is_none() && value != Value::Noop {
            return value;
        }
        let command = value.into_command().map(Arc::unwrap_or_clone);
        self.fresh(context, slot, command)
    }

    /// It leads from now on: `newest` is the newest stamp of which its phase 1 heard, and what it adopts or fills lies
    /// below `end`.
    pub(super) fn begin_lease(
        &mut self,
        context: &mut Context<'_>,
        newest: Option<Time>,
        end: Slot,
    ) {
        let ballot = self.last;
        let Some(lease) = &mut self.lease else { return };
        lease.newest = lease.vouched.range(..=ballot).map(|(_, stamp)| *stamp).max();
        lease.silent_until = newest.map(|stamp| stamp + lease.terms.length + lease.apart());
        lease.adopted_below = end;
        lease.withheld.clear();
        self.await_end_of_silence(context);
    }

    /// It leads no more: whoever reads asks elsewhere.
    pub(super) fn end_lease(&mut self, context: &mut Context<'_>) {
        let leader = self.leader_of(context.config.id);
        let Some(lease) = &mut self.lease else { return };
        lease.newest = None;
        lease.silent_until = None;
        lease.withheld.clear();
        for (request, _) in std::mem::take(&mut lease.reads) {
            context.effects.replies.push(Reply::NotLeader { request, leader });
        }
    }

    /// A phase-2 quorum voted in this slot: whether nobody may be told yet.
    pub(super) fn withholds(&mut self, context: &Context<'_>, slot: Slot) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        let is_silent = lease.is_silent(context.shown);
        if is_silent {
            lease.withheld.insert(slot);
        }
        is_silent
    }

    /// A phase-2 quorum voted in this slot at its own ballot.
    pub(super) fn learn_own(&mut self, context: &mut Context<'_>, slot: Slot, value: Value) {
        if let Some(lease) = &mut self.lease {
            lease.newest = lease.newest.max(value.stamp());
        }
        self.learn(context, slot, value);
    }

    /// The leader of `ballot` tells that a value is chosen.
    pub(in crate::paxos) fn vouch(&mut self, ballot: Ballot, value: &Value) {
        if let (Some(lease), Some(stamp)) = (&mut self.lease, value.stamp()) {
            lease.vouch(ballot, stamp);
        }
    }

    /// Whether leases that do not depend on it may last, so that it tells nobody of anything.
    pub(super) fn is_silent(&self, context: &Context<'_>) -> bool {
        let is_lease = self.lease.as_ref().is_some_and(|lease| lease.is_silent(context.shown));
        is_lease || self.awaits_responders(context)
    }

    fn await_end_of_silence(&mut self, context: &mut Context<'_>) {
        let Some(lease) = self.lease.as_ref().filter(|lease| lease.is_silent(context.shown)) else {
            return;
        };
        let rest = lease.silent_until.map_or(Span::ZERO, |until| until.since(context.shown));
        context.effects.set_timer(TimerKind::Silence.id(), rest + Span(1), Span::ZERO);
    }

    /// The leases of those before it are over, if its clock says so too: what is chosen is told.
    pub(super) fn end_silence(&mut self, context: &mut Context<'_>) {
        if !self.is_leading() {
            return;
        }
        let Some(lease) = &mut self.lease else { return };
        if lease.is_silent(context.shown) {
            self.await_end_of_silence(context);
            return;
        }
        for slot in std::mem::take(&mut lease.withheld) {
            if let Some(proposal) = self.in_flight.get(slot) {
                let value = proposal.value.clone();
                self.learn_own(context, slot, value);
            }
        }
        self.execute(context);
        self.forget_finished(context);
    }

    /// A client reads: it is answered here, or asks elsewhere.
    pub(in crate::paxos) fn read(&mut self, context: &mut Context<'_>, command: &Command) {
        let request = command.request;
        if self.state == super::State::Idle {
            let leader = self.leader_of(context.config.id);
            context.effects.replies.push(Reply::NotLeader { request, leader });
            return;
        }
        let Some(lease) = &mut self.lease else { return };
        let first = RequestId { sequence: 0, ..request };
        let settled = RequestId { sequence: command.settled_below, ..request };
        lease.reads.retain(|it, _| !(first..settled).contains(it));
        lease.reads.insert(request, command.operation.key());
        if self.is_leading() && self.lease.as_ref().is_some_and(|it| it.is_valid(context.shown)) {
            // In time, so that the next one need not wait.
            self.renew_lease(context);
        }
    }

    /// Answers the reads that it may answer; for the others it renews its lease.
    pub(in crate::paxos) fn answer_reads(&mut self, context: &mut Context<'_>) {
        if self.lease.as_ref().is_none_or(|lease| lease.reads.is_empty()) || !self.is_leading() {
            return;
        }
        let unsettled = self.unsettled_keys(context);
        let Some(lease) = &mut self.lease else { return };
        if lease.is_valid(context.shown) {
            let below = context.learner.executed_below();
            for (request, key) in lease.take_reads(|key| !unsettled.contains(&key)) {
                let value = context.learner.machine().value(key).cloned();
                context.effects.replies.push(Reply::Read { request, below, value });
            }
        } else if !lease.is_silent(context.shown) {
            self.renew_lease(context);
        }
    }

    /// Proposes a no-op, unless something younger than half a lease is on its way, or so much that no slot is left.
    fn renew_lease(&mut self, context: &mut Context<'_>) {
        let is_due = self.lease.as_ref().is_some_and(|lease| lease.is_renewal_due(context.shown));
        let is_possible = is_due && self.has_room(context);
        let (true, Some(ballot)) = (is_possible, self.leading_ballot()) else { return };
        self.propose_next(context, ballot, None, context.now);
    }

    /// The keys that are written in a slot which it adopted and has not executed.
    fn unsettled_keys(&self, context: &Context<'_>) -> BTreeSet<u64> {
        let Some(lease) = &self.lease else { return BTreeSet::new() };
        let slots = context.learner.executed_below().0..lease.adopted_below.0;
        let value = |slot: Slot| {
            let proposed = self.in_flight.get(slot).map(|proposal| &proposal.value);
            proposed.or_else(|| context.learner.value(slot))
        };
        let commands = slots.filter_map(|slot| value(Slot(slot)).and_then(Value::command));
        commands.map(|command| command.operation.key()).collect()
    }

    /// As if nothing had been adopted: for a negative control.
    pub(in crate::paxos) fn forget_adopted(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.adopted_below = Slot::ZERO;
        }
    }
}

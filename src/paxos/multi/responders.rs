//! Replicas that answer reads alone, because no write is told without their votes (quorum leases: Moraru, Andersen,
//! Kaminsky, *Paxos Quorum Leases*, Symposium on Cloud Computing 2014; rosters: Hu et al., *Bodega*, 2025), for any phase-1 and
//! phase-2 quorums.
//!
//! Each ballot has a *roster*, which its leader chooses and keeps until it has another ballot: the responders of the
//! configuration that it hears of (`roster.rs`). With Δ the length of a grant and ε the bound of all clocks:
//!
//! - The leader of ballot *b* says that it is there, and to whom grants are due ([`Message::Renew`]). An acceptor that
//!   has promised *b* and no higher ballot grants each of these a lease, with its clock for a stamp
//!   ([`Message::Grant`]).
//! - A responder answers a read of key *k* alone if it answers for *k* and three things hold. Its grants of one ballot *b* that surely last
//!   (`shown + ε < stamp + Δ`) are of acceptors that meet **every** phase-1 quorum. Every slot below the first fresh
//!   one of *b*, which lies behind all that its leader adopted, filled or knew to be chosen, it has executed, knows to
//!   be chosen, or has voted in at *b* or above. And no slot that it has voted in, or knows to be chosen, and has not
//!   executed writes *k*; or else the read waits until it has executed those that it knew of when the read came.
//! - A leader takes a write of key *k* for chosen, and so executes and tells it, when a phase-2 quorum **and all of its
//!   roster that answers for *k*** have voted for it at its ballot; a no-op needs a phase-2 quorum alone.
//! - A promise tells the newest stamp of a grant to each responder. A new leader takes nothing for chosen until each
//!   responder outside its own roster surely has no grant left (`shown − ε > stamp + Δ`).
//!
//! Who answers for which key ([`Assignment`](crate::protocol::Assignment)) is the same for all replicas and all ballots:
//! every responder for every key, or those of a range for its keys.
//!
//! # Why no read is stale
//!
//! Let *D(s)* be the first moment at which a leader takes the value in slot *s* for chosen. Nobody executes *s* before
//! that: whoever did not count the votes itself is told by somebody who has executed *s* or counted. So no client
//! knows what is in *s* before *D(s)*, neither from an answer to the write nor from a read anywhere.
//!
//! Let *r* answer a read of *k* by grants of ballot *b*, let *s* write *k*, let *t* be the moment of its clock that it
//! compares with the stamps, and let *D(s)* be before *t*, at ballot *c*. Then *r* has executed *s*; or it has voted in
//! *s*, or knows what was chosen there, and so knows that it must wait:
//!
//! 1. *c* = *b*: *r* is in the roster of *b*, or nobody would have granted it anything, and it answers for *k*: so it
//!    voted in *s* before *D(s)*. A vote is durable, and a later one in *s* has the same value, for that is chosen.
//! 2. *c* < *b*: the phase-1 quorum of *b* meets the phase-2 quorum that voted in *s* at *c*, and the member in both
//!    voted before it promised *b*. So *b* was told of *s*, or that it is trimmed, and its first fresh slot lies behind
//!    *s*: *r* has executed it, or knows what is in it, for every ballot above *c* proposes the value chosen there.
//! 3. *c* > *b*, and *r* is in the roster of *c*: it voted in *s* at *c* before *D(s)*, as in 1.
//! 4. *c* > *b*, and *r* is not in the roster of *c*: some member *p* of the phase-1 quorum of *c* granted *r* one of the
//!    leases of *b* that it relies on, because these meet every phase-1 quorum. It did so before it promised *c*, for
//!    afterwards it grants nothing at *b*; so its promise tells a stamp that is not older. The leader of *c* waited
//!    until that stamp plus Δ was surely past, *r* found that it was surely not: so *t* is before *D(s)*.
//!
//! Slots that write other keys, or none, are of no account to this read: what *r* has executed without them has the value
//! of *k* that they leave. Where *r* does not know one of them, it executes nothing behind it, and so waits for the
//! writes of *k* there that it voted for or knows. But of a slot below the first fresh one that it does not know it
//! cannot say whether it writes *k*: so it must know them all, of whatever keys they are. What a leader adopts waits for
//! the responders of its key as what it proposes itself does: by 3, because one of them may still answer by grants of a
//! lower ballot.
//!
//! The silence of a new leader is that of a ballot and not of a range: it waits for the grants of everybody outside its
//! roster before it takes a write of any key for chosen. A write of *k* would have to wait only for those that answer for
//! *k*; but rosters change seldom, and one silence is simpler.
//!
//! A majority of grantors would not do for 4: with five acceptors and a phase-1 quorum of two, four are needed; with one
//! of four, two are enough. `t` is a moment after the read arrived, and *D(s)* before the read began is before `t`:
//! so it does no harm if the process is stopped between the comparison and the answer. The read began before that.
//!
//! An acceptor that crashed has forgotten its grants, and takes it that it granted to everybody just before
//! ([`Granted`](crate::paxos::granted::Granted)): the true time of a grant is before that of the start, so its stamp is at
//! most what the clock shows at the start, plus 2 ε. A responder that crashed has no grants until it is given new ones;
//! its votes are on its disk.
//!
//! A read that waits needs no lease when the responder answers it: every write of its key that a client was told of
//! before the read arrived is in the slots that the read waits for, by the cases above with *t* the moment of the
//! arrival. Later writes of the key are concurrent with the read, so it does not wait for them, and a key under constant
//! writes can be read.
//!
//! Reads of one key keep their order in real time, because each of them sees what is told before it. Those of two keys
//! may be answered in another order than the slots have, which no client can tell (linearizability is local).
//!
//! # What does not find a lease
//!
//! A replica without a lease answers as any replica can: it asks a phase-1 quorum (`reads.rs`). So a read never has to
//! wait for a lease, and a client whose responder is down is served by any other replica. A read that waits for the
//! outcome of a write to its key does the same after a time-out.

use std::collections::BTreeMap;

use super::Multi;
use crate::command::{Command, RequestId};
use crate::paxos::context::Context;
use crate::paxos::message::Message;
use crate::paxos::mode::ResponderTerms;
use crate::protocol::{Ballot, Config, Reply, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::Time;

/// What a replica holds of others' grants, and the reads that it may answer by them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Leases {
    /// The highest ballot at which anybody granted it anything, or its leader said so.
    ballot: Ballot,
    /// The first fresh slot of that ballot, as soon as its leader told it.
    fresh: Option<Slot>,
    /// The newest stamp of each acceptor at that ballot.
    stamps: BTreeMap<NodeId, Time>,
    /// Reads that wait for the outcome of a write to their key.
    reads: BTreeMap<RequestId, Waiting>,
}

/// A read that came when this replica might answer it alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Waiting {
    command: Command,
    /// When it came.
    since: Time,
    /// It is answered when all below this is executed: no slot from here on that might write its key was known then.
    below: Slot,
}

impl Leases {
    /// Something is said at a ballot: whether that is the one it goes by.
    fn is_current(&mut self, ballot: Ballot) -> bool {
        if ballot > self.ballot {
            (self.ballot, self.fresh) = (ballot, None);
            self.stamps.clear();
        }
        ballot == self.ballot
    }

    /// The acceptors whose grants surely last, when the clock shows `shown`.
    fn grantors(&self, terms: &ResponderTerms, shown: Time) -> NodeSet {
        let lasts = |stamp: Time| shown + terms.bound < stamp + terms.length;
        self.stamps.iter().filter(|(_, stamp)| lasts(**stamp)).map(|(node, _)| *node).collect()
    }

    /// Takes these reads out.
    fn take_reads(&mut self, is_taken: impl Fn(&Waiting) -> bool) -> Vec<Command> {
        self.reads.extract_if(.., |_, it| is_taken(it)).map(|(_, it)| it.command).collect()
    }
}

/// Whether these acceptors meet every phase-1 quorum: no set without them holds one.
fn meets_every_phase1(config: &Config, grantors: NodeSet) -> bool {
    !config.quorums.is_phase1(config.everybody().difference(grantors))
}

impl Multi {
    /// Whether this replica may answer reads of its keys alone.
    fn may_respond(&self, context: &Context<'_>) -> bool {
        let Some(responders) = &self.responders else { return false };
        let leases = &responders.leases;
        leases.fresh.is_some_and(|fresh| context.knows_all_below(fresh, leases.ballot))
            && meets_every_phase1(context.config, leases.grantors(&responders.terms, context.shown))
    }

    /// A leader is there: this acceptor grants leases, and a responder hears from where on slots are fresh.
    ///
    /// One that has not promised the ballot yet does so first, as it would have for a Phase1a that was lost or never
    /// sent: it has nothing to report that the phase 1 did not hear.
    pub(in crate::paxos) fn handle_renew(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        (ballot, quorum): (Ballot, Option<NodeSet>),
        (to, fresh): (NodeSet, Slot),
    ) {
        let Some(responders) = &mut self.responders else { return };
        let leases = &mut responders.leases;
        if to.contains(context.config.id) && leases.is_current(ballot) {
            leases.fresh = Some(fresh);
        }
        if !context.config.is_acceptor() {
            return;
        }
        if let Err(promised) = context.follow(ballot, quorum) {
            let refused = Message::Refused { ballot, promised, slot: fresh };
            context.effects.send(NodeSet::only(from), refused);
            return;
        }
        let stamp = context.shown;
        context.granted.note(to, stamp);
        // Who has a disk that hangs cannot vote, so it must not seem well either.
        let grant = Message::Grant { ballot, stamp };
        context.effects.send_durable(to.with(from), grant, |_, _| false);
    }

    /// An acceptor granted a lease, or tells its leader that it would.
    pub(in crate::paxos) fn handle_grant(
        &mut self,
        context: &Context<'_>,
        from: NodeId,
        ballot: Ballot,
        stamp: Time,
    ) {
        let is_own = self.leading_ballot() == Some(ballot);
        let Some(responders) = &mut self.responders else { return };
        if is_own {
            responders.hear(from, context.now);
        }
        let leases = &mut responders.leases;
        if leases.is_current(ballot) {
            let newest = leases.stamps.entry(from).or_insert(stamp);
            *newest = stamp.max(*newest);
        }
    }

    /// As if everybody had granted it something at this stamp: for a negative control.
    pub(in crate::paxos) fn pretend_grants(
        &mut self,
        everybody: NodeSet,
        ballot: Ballot,
        stamp: Time,
    ) {
        let Some(responders) = &mut self.responders else { return };
        if responders.leases.is_current(ballot) {
            let stamps = everybody.iter().map(|node| (node, stamp));
            responders.leases.stamps.extend(stamps);
        }
    }

    /// A client reads at a replica that may be a responder: alone, or as a quorum read.
    pub(in crate::paxos) fn read_as_responder(
        &mut self,
        context: &mut Context<'_>,
        command: &Command,
    ) {
        let may_respond = self.may_respond(context);
        let Some(responders) = &mut self.responders else { return };
        let key = command.operation.key();
        let may_respond = may_respond && responders.terms.at.of(key).contains(context.config.id);
        let (client, settled) = (command.request.client, command.settled_below);
        drop(responders.leases.take_reads(|other| {
            let RequestId { client: of, sequence } = other.command.request;
            of == client && sequence < settled
        }));
        if responders.leases.reads.contains_key(&command.request) {
            // It is asked again, and waits for what it waited for.
            return;
        }
        if may_respond {
            let below = context.end_of_writes(key);
            let open = Waiting { command: command.clone(), since: context.now, below };
            responders.leases.reads.insert(command.request, open);
        } else {
            context.begin_read(command);
        }
    }

    /// Answers the reads that need wait for no write any more.
    pub(in crate::paxos) fn respond(&mut self, context: &mut Context<'_>) {
        if self.responders.as_ref().is_some_and(|it| !it.leases.reads.is_empty()) {
            self.respond_below(context, context.learner.executed_below());
            if self.responders.as_ref().is_some_and(|it| !it.leases.reads.is_empty()) {
                context.arm_reads(context.config.timing.retransmit_after);
            }
        }
    }

    /// Answers the reads that wait for nothing from this slot on.
    pub(in crate::paxos) fn respond_below(&mut self, context: &mut Context<'_>, end: Slot) {
        let Some(responders) = &mut self.responders else { return };
        let below = context.learner.executed_below();
        for command in responders.leases.take_reads(|read| read.below <= end) {
            let value = context.learner.machine().value(command.operation.key()).cloned();
            let request = command.request;
            context.effects.replies.push(Reply::Read { request, below, value });
        }
    }

    /// Reads that have waited for a time-out become quorum reads.
    pub(in crate::paxos) fn hand_reads_over(&mut self, context: &mut Context<'_>) {
        let Some(responders) = &mut self.responders else { return };
        let (now, patience) = (context.now, context.config.timing.retransmit_after);
        let overdue = responders.leases.take_reads(|read| now.since(read.since) >= patience);
        for command in overdue {
            context.begin_read(&command);
        }
    }
}

//! Logs that stay short although somebody is down, and how one that missed what is forgotten goes on.
//!
//! # What is forgotten
//!
//! What every replica has durably executed is forgotten, for nobody will ever ask for it.
//! With [`Retention::slots`](crate::protocol::Retention) a replica also forgets, whatever the others have, what
//! it has *itself* durably executed and what lies far enough behind the last slot it executed.
//! It forgets votes and values together: its log begins at T, and a slot below T is *trimmed*.
//!
//! # Why nothing is lost
//!
//! 1. *A trimmed slot is chosen.* Only executed slots are trimmed, and only chosen ones are executed.
//! 2. *An acceptor says and does nothing in a slot that it trimmed.* It neither promises nor votes
//!    there, so it can take back nothing that it promised there and forgot; whoever asks is told that
//!    the slot is trimmed.
//! 3. *A promise for all slots says from where on it speaks* (`trimmed_below`). A new leader needs a
//!    phase-1 quorum of promises such that it has executed the slots below the greatest T among them,
//!    and proposes in no slot below that. In the slots from T on every
//!    member of the quorum has reported its vote, so the argument of Paxos holds as ever (P2c: a
//!    value that was or may yet be chosen at a lower ballot was reported by a member of the quorum).
//!    In a slot below T something is chosen, and P2c asks only that nothing else be proposed:
//!    nothing at all is.
//!    A promise with a T that it has not executed is not needed, if those of others are a phase-1
//!    quorum: so it waits for no state that only a replica had which has died since.
//!    A promise for one slot (classic Paxos) is given only where the slot is not trimmed, so all
//!    promises of a quorum speak of it.
//! 4. *The value of a trimmed slot is not lost*: whoever trimmed it has a durable state in which it
//!    is executed. Nothing is trimmed on the strength of a state that a crash could take away,
//!    a state taken from another replica included: until it is in a checkpoint, the votes stay.
//!
//! Installing a state promises nothing to anybody, so it need not be durable first: a crash just
//! after it brings back the acceptor as it was, which took no part, and a learner that is behind and
//! asks again. That a replica has durably executed something is told after its next checkpoint.
//!
//! The same argument with its story as a run is `trimmed-slot-is-not-reused.txt`; the rule is broken
//! on purpose as `reuses-trimmed-slot` ([`crate::sabotage::Rule`]).
//!
//! # How a state travels
//!
//! Whoever is asked for what it has forgotten says so ([`Message::Trimmed`]); the one behind asks one
//! replica that said so for its state ([`Message::Fetch`]), which answers with the first parts of it
//! ([`Message::Snapshot`]); when it has them, it asks for the next.
//! So nobody is sent a state that it did not ask for, nor more at once than a connection holds back.
//! One state at a time is asked for, again only when for a time-out no part has come, of the next
//! replica then, and from the first part that is missing.
//! Whoever is asked keeps the state as it was until the last of its parts has left, and lends it to all
//! who ask meanwhile; to one who then dies it is lent until the next asks.

use std::collections::BTreeMap;

use super::context::Context;
use super::message::Message;
use super::proposer::Proposer;
use crate::command::{Cut, KeyValue, Part};
use crate::protocol::{Advance, Ballot, Installed, Note, Retention, Slot};
use crate::quorum::{NodeId, NodeSet};
use crate::time::Time;

/// What is sent of a state before more is asked for.
const PARTS_AT_ONCE: usize = Retention::PARTS_AT_ONCE as usize;

/// A state on its way here: the newest that was heard of, and only that.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fetching {
    /// Somebody was asked, and the time-out is not over.
    is_asked: bool,
    /// A part has come since the last time-out.
    has_progressed: bool,
    /// In the state that is coming every slot below this is executed.
    executed_below: Slot,
    /// Parts by where they begin, each with where the next one does.
    parts: BTreeMap<Cut, (Part, Option<Cut>)>,
    /// The first so many parts were asked for.
    asked_count: usize,
}

/// A state that is being sent, as it was when it was first asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lent {
    /// In it every slot below this is executed.
    executed_below: Slot,
    machine: KeyValue,
    newest: Option<Time>,
}

impl Fetching {
    /// A time-out is over: whether nothing has come in it, so that somebody is to be asked again.
    pub(super) fn has_stalled(&mut self) -> bool {
        let has_stalled = !std::mem::take(&mut self.has_progressed);
        self.is_asked &= !has_stalled;
        has_stalled
    }

    /// Takes a part in; all of them, if it was the last that was missing.
    fn take(
        &mut self,
        executed_below: Slot,
        (begin, next): (Cut, Option<Cut>),
        content: Part,
    ) -> Option<Vec<Part>> {
        if executed_below < self.executed_below {
            return None;
        }
        if executed_below != self.executed_below {
            self.parts.clear();
            self.executed_below = executed_below;
            self.asked_count = PARTS_AT_ONCE;
        }
        self.has_progressed = true;
        self.parts.insert(begin, (content, next));
        if self.begun().1.is_some() {
            return None;
        }
        let mut place = Some(Cut::START);
        let parts = std::iter::from_fn(|| {
            let (part, next) = self.parts.remove(&place?)?;
            place = next;
            Some(part)
        });
        Some(parts.collect())
    }

    /// How many parts are here without a gap, and where the next one begins; nowhere, if all are.
    fn begun(&self) -> (usize, Option<Cut>) {
        let (mut count, mut place) = (0, Cut::START);
        while let Some((_, next)) = self.parts.get(&place) {
            count += 1;
            match next {
                Some(next) => place = *next,
                None => return (count, None),
            }
        }
        (count, Some(place))
    }

    /// The question for a state, or for what is missing of the one begun.
    fn question(&mut self, executed_below: Slot) -> Message {
        let (count, next) = self.begun();
        self.asked_count = count + PARTS_AT_ONCE;
        let begun = next.filter(|_| count > 0).map(|place| (self.executed_below, place));
        Message::Fetch { executed_below, begun }
    }
}

impl Context<'_> {
    /// From where on a promise speaks of slots; from the first one that is not settled, if only what
    /// everybody has durably executed is forgotten, for nobody will propose there.
    pub(super) fn trimmed_below(&self) -> Slot {
        let trimmed_below =
            self.config.retention.slots.map_or(Slot::ZERO, |_| self.acceptor.first());
        trimmed_below.max(self.acceptor.settled_below())
    }

    /// Tells who asks for `slot` that what lies below `first` is forgotten; false if that is not so.
    ///
    /// If only what everybody has durably executed is forgotten, the question is a late one.
    pub(super) fn answer_trimmed(&mut self, from: NodeId, slot: Slot, first: Slot) -> bool {
        let is_trimmed = slot < first && self.config.retention.slots.is_some();
        if is_trimmed {
            let other = NodeSet::only(from).without(self.config.id);
            self.effects.send(other, Message::Trimmed { below: first });
        }
        is_trimmed
    }

    /// A proposal for a slot that is trimmed here is not voted for; its proposer learns that it is
    /// behind, and of a higher ballot if there is one.
    pub(super) fn refuse_trimmed(&mut self, from: NodeId, ballot: Ballot, slot: Slot) {
        let is_told = self.answer_trimmed(from, slot, self.acceptor.first());
        let promised = self.acceptor.promised(slot);
        if is_told && ballot < promised {
            let refused = Message::Refused { ballot, promised, slot };
            self.effects.send(NodeSet::only(from), refused);
        }
    }

    /// What was asked of `from` is forgotten there: its state is asked for, unless one is on its way.
    pub(super) fn handle_trimmed(&mut self, from: NodeId, below: Slot) {
        let executed_below = self.learner.executed_below();
        if below <= executed_below {
            return;
        }
        if !self.config.quorums.learners().contains(from) {
            self.ask_all(below);
            return;
        }
        let catch_up = &mut *self.catch_up;
        catch_up.is_rejoining = false;
        catch_up.learning_below = catch_up.learning_below.max(below);
        if !catch_up.fetching.is_asked {
            catch_up.fetching.is_asked = true;
            (catch_up.asked, catch_up.taught_at) = (Some(from), self.now);
            self.effects.send(NodeSet::only(from), catch_up.fetching.question(executed_below));
            self.arm_catch_up(self.config.timing.retransmit_after);
        }
    }

    /// Sends the next parts of its state to one that is behind.
    ///
    /// They are of the state it has begun, if that is still lent; else of a newer one, from the first on.
    pub(super) fn handle_fetch(
        &mut self,
        from: NodeId,
        executed_below: Slot,
        begun: Option<(Slot, Cut)>,
    ) {
        let least = begun.map_or(Slot::ZERO, |(state, _)| state).max(executed_below.next());
        if self.learner.executed_below() < least {
            return;
        }
        let Lent { executed_below, machine, newest } = match self.catch_up.lent.take() {
            Some(lent) if lent.executed_below >= least => lent,
            _ => self.lend(),
        };
        let of_this = begun.filter(|(state, _)| *state == executed_below);
        let mut place = Some(of_this.map_or(Cut::START, |(_, place)| place));
        for _ in 0..PARTS_AT_ONCE {
            let Some(at) = place else { break };
            let (content, next) = machine.part(at, self.config.retention.part_bytes);
            let content = Box::new(content);
            let part = Message::Snapshot { executed_below, begin: at, next, content, newest };
            self.effects.send(NodeSet::only(from), part);
            place = next;
        }
        if place.is_some() {
            self.catch_up.lent = Some(Lent { executed_below, machine, newest });
        } else {
            self.effects.notes.push(Note::SnapshotSent);
        }
    }

    /// Its state as it is.
    fn lend(&self) -> Lent {
        let machine = self.learner.machine().clone();
        let newest = self.learner.newest;
        Lent { executed_below: self.learner.executed_below(), machine, newest }
    }
}

impl Proposer {
    /// A part of a state: with the last one it is installed, if it is still ahead.
    pub(super) fn handle_snapshot(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        executed_below: Slot,
        place: (Cut, Option<Cut>),
        (received, newest): (Part, Option<Time>),
    ) {
        let catch_up = &mut *context.catch_up;
        // A leader has proposed what it has not executed; without need it passes over none of it.
        let is_unasked = self.is_leading() && !catch_up.fetching.is_asked;
        if executed_below <= context.learner.executed_below() || is_unasked {
            return;
        }
        catch_up.taught_at = context.now;
        if let Some(parts) = catch_up.fetching.take(executed_below, place, received) {
            catch_up.fetching = Fetching::default();
            let bytes = parts.iter().map(Part::bytes).sum::<usize>() as u64;
            let machine = KeyValue::from_parts(parts);
            self.install(context, executed_below, (machine, newest), bytes);
            let (first, below) =
                (context.learner.executed_below(), context.catch_up.learning_below);
            if first < below {
                context.ask(from, first, below);
            }
        } else if catch_up.fetching.begun().0 >= catch_up.fetching.asked_count {
            let question = catch_up.fetching.question(context.learner.executed_below());
            context.effects.send(NodeSet::only(from), question);
        }
    }

    /// Goes on from the state of another replica, as if it had executed what led to it.
    ///
    /// Clients that wait for a slot in between ask again: the state remembers their outcomes.
    fn install(
        &mut self,
        context: &mut Context<'_>,
        below: Slot,
        (machine, newest): (KeyValue, Option<Time>),
        bytes: u64,
    ) {
        let slots = below.0 - context.learner.executed_below().0;
        let digest = machine.digest();
        context.learner.install(below, machine, newest);
        context.restart_versions();
        context.effects.executed.push(Advance::Installed(Installed { below, digest }));
        context.effects.notes.push(Note::SnapshotInstalled { slots, bytes });
        context.catch_up.is_rejoining = false;
        context.requests.awaiting.forget_below(below);
        self.pass_over(context, below);
        self.execute(context);
        self.note_level(context);
    }
}

#[cfg(test)]
mod tests;

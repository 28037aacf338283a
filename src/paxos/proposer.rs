//! The proposer of a replica, of one of the two modes: who gets which input.
//!
//! What only one of the modes knows, the other ignores.

use super::classic::Classic;
use super::context::Context;
use super::message::Report;
use super::mode::{Mode, Reads};
use super::multi::Multi;
use super::timer::TimerKind;
use crate::command::Command;
use crate::protocol::{Ballot, Config, Reply, Scope, Slot, Value};
use crate::quorum::NodeId;

/// The proposer of one of the two modes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "a replica has one, and reaches for it with every message"
)]
pub(super) enum Proposer {
    Classic(Classic),
    Multi(Multi),
}

impl Proposer {
    /// A proposer that has never run.
    pub(super) fn new(mode: Mode, config: &Config) -> Self {
        match mode {
            Mode::Classic => Self::Classic(Classic::default()),
            Mode::Multi { leader, reads, commit_wait } => {
                Self::Multi(Multi::new(leader, config.election, reads, commit_wait))
            }
        }
    }

    /// The leader-based proposer, if it is one.
    pub(super) const fn multi(&self) -> Option<&Multi> {
        match self {
            Self::Multi(multi) => Some(multi),
            Self::Classic(_) => None,
        }
    }

    /// Whether it finished phase 1 over all slots and still holds its ballot.
    pub(super) fn is_leading(&self) -> bool {
        self.multi().is_some_and(Multi::is_leading)
    }

    /// The replica has started; what was settled before a crash is known to be chosen.
    pub(super) fn start(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Classic(classic) => classic.execute(context),
            Self::Multi(multi) => multi.start(context),
        }
    }

    /// A client's command; one who is no candidate answers none, and names whoever leads.
    pub(super) fn submit(&mut self, context: &mut Context<'_>, command: Command) {
        match self {
            Self::Classic(_) if !context.config.is_candidate() => {
                let refused = Reply::NotLeader { request: command.request, leader: None };
                context.effects.replies.push(refused);
            }
            Self::Classic(classic) => classic.submit(context, command),
            Self::Multi(multi) => multi.submit(context, command),
        }
    }

    /// A client reads, and its read is to have no slot of its own.
    pub(super) fn read(&mut self, context: &mut Context<'_>, reads: Reads, command: &Command) {
        match (self, reads) {
            (Self::Multi(multi), Reads::LeaderLease(_)) => multi.read(context, command),
            (Self::Multi(multi), Reads::Responders(_)) => multi.read_as_responder(context, command),
            (_, Reads::Snapshot(_)) => context.read_snapshot(command),
            _ => context.begin_read(command),
        }
    }

    /// Another replica proposes, or is about to.
    pub(super) fn note_proposal(&mut self, context: &Context<'_>, ballot: Ballot, scope: Scope) {
        match (self, scope) {
            (Self::Classic(classic), Scope::Only(slot)) => classic.note_slot_in_use(slot),
            (Self::Classic(_), Scope::From(_)) => {}
            // What is trimmed is refused unseen.
            (Self::Multi(_), Scope::Only(slot)) if slot < context.acceptor.first() => {}
            (Self::Multi(multi), _) => multi.note_ballot(ballot, context.config),
        }
    }

    /// A promise; the other mode's is of no use.
    pub(super) fn handle_phase1b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        scope: Scope,
        report: Report,
    ) {
        match (self, scope) {
            (Self::Classic(classic), Scope::Only(slot)) => {
                classic.handle_phase1b(context, from, ballot, slot, report.votes);
            }
            (Self::Multi(multi), Scope::From(first)) => {
                multi.handle_phase1b(context, from, ballot, first, report);
            }
            (Self::Classic(_), Scope::From(_)) | (Self::Multi(_), Scope::Only(_)) => {}
        }
    }

    /// Votes in the slots from `first` to `last`.
    pub(super) fn handle_phase2b(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        last: Slot,
    ) {
        match self {
            Self::Classic(it) => it.handle_phase2b(context, from, ballot, first, last),
            Self::Multi(it) => it.handle_phase2b(context, from, ballot, first, last),
        }
    }

    /// A refusal: a higher ballot is promised.
    pub(super) fn handle_refused(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
        slot: Slot,
    ) {
        match self {
            Self::Classic(it) => it.handle_refused(context, from, ballot, promised, slot),
            Self::Multi(it) => it.handle_refused(context, from, ballot, promised),
        }
    }

    /// `slot` is chosen with `value`.
    pub(super) fn learn(&mut self, context: &mut Context<'_>, slot: Slot, value: Value) {
        match self {
            Self::Classic(classic) => classic.learn(context, slot, value),
            Self::Multi(multi) => multi.learn(context, slot, value),
        }
    }

    /// Executes what is chosen, and does what had to wait for that.
    pub(super) fn execute(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Classic(classic) => classic.execute(context),
            Self::Multi(multi) => multi.execute(context),
        }
    }

    /// The state of another replica is installed, in which the slots below `below` are executed.
    pub(super) fn pass_over(&mut self, context: &mut Context<'_>, below: Slot) {
        match self {
            Self::Classic(classic) => classic.pass_over(context, below),
            Self::Multi(multi) => multi.pass_over(context, below),
        }
    }

    /// The replica has learned what it missed.
    pub(super) fn note_level(&mut self, context: &mut Context<'_>) {
        if let Self::Multi(multi) = self {
            multi.note_level(context);
        }
    }

    /// A timer of a proposer has run out.
    pub(super) fn handle_timer(&mut self, context: &mut Context<'_>, timer: TimerKind) {
        match (self, timer) {
            (Self::Classic(classic), TimerKind::Fill) => classic.fill_holes(context),
            (Self::Classic(classic), TimerKind::Attempt(slot)) => {
                classic.attempt_again(context, slot);
            }
            (Self::Classic(_), _) => {}
            (Self::Multi(multi), timer) => multi.handle_timer(context, timer),
        }
    }
}

//! One line of a trace: what happened, in words, and what it was about.

use std::fmt;

use crate::command::RequestId;
use crate::protocol::{Ballot, Log, Position, Scope, Slot, Statement, Value};
use crate::quorum::{NodeId, NodeSet};
use crate::time::Time;

/// How wide the time and its unit are, with the two blanks behind them.
const TIME_WIDTH: usize = 11;

/// What kind of event a line tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any other.
    #[default]
    Other,
    /// A replica is given what another one sent.
    Received,
    /// A fault of the case begins or ends.
    Fault,
    /// A replica is told to lead.
    Told,
    /// A replica became leader.
    Leads,
    /// A phase-2 quorum has voted for a value.
    Chosen,
    /// A replica crashes.
    Crashes,
    /// A replica starts again.
    Restarts,
    /// A replica takes the state of another one.
    Installs,
    /// An invariant does not hold.
    Violation,
}

/// What a line is about, as its event says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) kind: Kind,
    pub(super) members: NodeSet,
    pub(super) ballots: Vec<Ballot>,
    /// Slots from the first to the last of a log; to the end of it, if the last is the highest number.
    pub(super) slots: Vec<(Log, Slot, Slot)>,
    pub(super) requests: Vec<RequestId>,
}

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub(super) at: Time,
    /// What happened.
    pub(super) text: String,
    pub(super) about: About,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>TIME_WIDTH$.3} ms  {}", self.at.0 as f64 / 1e6, self.text)
    }
}

impl About {
    /// An event of this kind, of one replica.
    pub(super) fn of(kind: Kind, by: NodeId) -> Self {
        Self { kind, members: NodeSet::only(by), ..Self::default() }
    }

    /// What a replica says or records.
    pub(super) fn said(by: NodeId, statement: &Statement<'_>) -> Self {
        Self::of(Kind::Other, by).and(statement)
    }

    /// And this statement.
    pub(super) fn and(mut self, statement: &Statement<'_>) -> Self {
        match *statement {
            Statement::Asks { ballot, log, scope, .. }
            | Statement::Promises { ballot, log, scope, .. } => {
                self.ballots.push(ballot);
                self.slots.push(match scope {
                    Scope::Only(slot) => (log, slot, slot),
                    Scope::From(first) => (log, first, Slot(u64::MAX)),
                });
            }
            Statement::Proposes { ballot, position, value, .. }
            | Statement::Vote { ballot, position, value, .. } => {
                self.ballots.push(ballot);
                self = self.at(position).with(value);
            }
            Statement::Voted { ballot, log, first, last, .. } => {
                self.ballots.push(ballot);
                self.slots.push((log, first, last));
            }
            Statement::Refuses { position } | Statement::Learned { position } => {
                self = self.at(position);
            }
            Statement::Chosen { log, first, below } => {
                self.slots.push((log, first, Slot(below.0.saturating_sub(1))));
            }
            Statement::Leads { ballot }
            | Statement::Grants { ballot }
            | Statement::Settles { ballot } => self.ballots.push(ballot),
            Statement::OfRead { request, .. } => self.requests.push(request),
            Statement::Teaches { .. }
            | Statement::Executed { .. }
            | Statement::Reserves
            | Statement::Enquires
            | Statement::Other => {}
        }
        self
    }

    /// And this position.
    pub(super) fn at(mut self, Position { log, slot }: Position) -> Self {
        self.slots.push((log, slot, slot));
        self
    }

    /// And this value.
    pub(super) fn with(mut self, value: &Value) -> Self {
        self.requests.extend(value.command().map(|command| command.request));
        self
    }
}

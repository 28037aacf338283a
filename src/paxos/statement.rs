//! What the messages and records of Paxos state.

use super::message::{Message, Record};
use crate::protocol::{Log, Position, Statement};

impl Message {
    /// What it states; a promise or a vote counts from the moment it is told.
    pub(super) const fn statement(&self) -> Statement<'_> {
        match self {
            Self::Phase1a { ballot, scope, quorum } => {
                Statement::Asks { ballot: *ballot, log: Log::Whole, scope: *scope, quorum: *quorum }
            }
            Self::Phase1b { ballot, scope, report } => Statement::Promises {
                ballot: *ballot,
                log: Log::Whole,
                scope: *scope,
                is_partial: report.reported_below.is_some(),
            },
            Self::Phase2a { ballot, slot, value, .. } => Statement::Proposes {
                ballot: *ballot,
                position: Position::of(*slot),
                value,
                carried: &[],
                asks: None,
            },
            Self::Phase2b { ballot, first, last } => Statement::Voted {
                ballot: *ballot,
                log: Log::Whole,
                first: *first,
                last: *last,
                promises: None,
            },
            Self::Refused { slot, .. } => Statement::Refuses { position: Position::of(*slot) },
            Self::Chosen { first, below, .. } => {
                Statement::Chosen { log: Log::Whole, first: *first, below: *below }
            }
            Self::Values { values, .. } => Statement::Teaches { count: values.len() },
            Self::Executed { below } => Statement::Executed { below: *below },
            Self::Heartbeat { ballot, .. } | Self::Renew { ballot, .. } => {
                Statement::Leads { ballot: *ballot }
            }
            Self::PreVoteGranted { ballot, .. } => Statement::Grants { ballot: *ballot },
            Self::Settle { ballot, .. } => Statement::Settles { ballot: *ballot },
            Self::Learn { .. } | Self::Reserved { .. } => Statement::Enquires,
            Self::AskEnd { request } => Statement::OfRead { request: *request, enquires: true },
            Self::End { request, .. } => Statement::OfRead { request: *request, enquires: false },
            Self::Trimmed { .. }
            | Self::Fetch { .. }
            | Self::Snapshot { .. }
            | Self::HeartbeatAck { .. }
            | Self::PreVote { .. }
            | Self::Settled { .. }
            | Self::Grant { .. } => Statement::Other,
        }
    }
}

impl Record {
    /// What it states, once it is durable.
    pub(super) const fn statement(&self) -> Statement<'_> {
        match self {
            Self::Promise { ballot, scope, .. } => Statement::Promises {
                ballot: *ballot,
                log: Log::Whole,
                scope: *scope,
                is_partial: false,
            },
            Self::Vote { slot, vote } => Statement::Vote {
                ballot: vote.ballot,
                position: Position::of(*slot),
                value: &vote.value,
                carried: &[],
            },
            Self::Learned { slot, .. } => Statement::Learned { position: Position::of(*slot) },
            Self::Rounds { .. } => Statement::Reserves,
            Self::Settled { .. } | Self::Forgotten { .. } => Statement::Other,
        }
    }
}

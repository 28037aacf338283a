//! Whom a client asked when, and who answered: what a redirect is timed by.
//!
//! Only changes are kept, because in a trial without a fault there are none, and there is a cap,
//! because two replicas that name one another can send a client to and fro for a whole trial.

use serde::{Deserialize, Serialize};

use crate::quorum::NodeId;
use crate::time::Time;

/// How many are kept.
const CAP: usize = 4096;

/// A client turned to a replica, or was answered by one after it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// When.
    pub at: Time,
    /// To which, or by which.
    pub replica: NodeId,
    /// Why, or that it answered.
    pub kind: TurnKind,
}

/// What a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnKind {
    /// Another replica named it as the leader.
    Redirected,
    /// The one before was silent for too long.
    Retried,
    /// There is a new connection to it.
    Reconnected,
    /// It answered an operation, and is not the one that answered last, or was turned to since.
    Answered,
}

/// The turns of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns {
    kept: Vec<Turn>,
    omitted_count: u64,
    /// Who answered last, unless somebody was turned to since.
    answering: Option<NodeId>,
}

impl Turns {
    /// The client turns to a replica.
    pub(super) fn turn(&mut self, at: Time, replica: NodeId, kind: TurnKind) {
        self.answering = None;
        self.keep(Turn { at, replica, kind });
    }

    /// A replica answered an operation.
    #[inline]
    pub(super) fn answered(&mut self, at: Time, replica: NodeId) {
        if self.answering != Some(replica) {
            self.answering = Some(replica);
            self.keep(Turn { at, replica, kind: TurnKind::Answered });
        }
    }

    fn keep(&mut self, turn: Turn) {
        if self.kept.len() == CAP {
            self.omitted_count += 1;
        } else {
            self.kept.push(turn);
        }
    }

    /// Those that were kept, in their order.
    pub fn kept(&self) -> &[Turn] {
        &self.kept
    }

    /// How many were not, because there were too many.
    pub const fn omitted_count(&self) -> u64 {
        self.omitted_count
    }

    /// When this replica first answered an operation at `from` or later.
    pub fn first_answer(&self, replica: NodeId, from: Time) -> Option<Time> {
        let is_it = |turn: &&Turn| {
            turn.kind == TurnKind::Answered && turn.replica == replica && turn.at >= from
        };
        self.kept.iter().find(is_it).map(|turn| turn.at)
    }
}

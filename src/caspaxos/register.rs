//! The state of one key, and what a command makes of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::command::{ClientId, Command, Operation, Outcome, RequestId};
use crate::protocol::{Slot, Value};

/// The state of one key after some commands: all that is known of it.
///
/// A state that is never proposed, that of a key nobody has used, has no command.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State {
    /// The commands in the slots below this led to it.
    pub below: Slot,
    /// What is stored.
    pub value: Option<Bytes>,
    /// What each client may still ask for again.
    pub sessions: BTreeMap<ClientId, Session>,
    /// The last commands, each with its slot, up to the last one of all: those that are not known to be in
    /// the log of a replica.
    pub carried: Vec<(Slot, Value)>,
}

/// The answers of one client's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The client awaits no answer of a request below this.
    pub settled_below: u64,
    /// The slot of each request that was applied, and its answer.
    pub answers: BTreeMap<u64, (Slot, Outcome)>,
}

/// What a state knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// It was not applied.
    New,
    /// It was applied in this slot, and answered this.
    Answered(Slot, &'a Outcome),
    /// Its client awaits no answer.
    Settled,
}

impl State {
    /// The command that led to it, with its slot, and those that it carries besides.
    ///
    /// # Panics
    /// If no command did.
    pub(super) fn last(&self) -> (Slot, &Value, &[(Slot, Value)]) {
        let ((slot, value), before) = self.carried.split_last().expect("a command led to it");
        (*slot, value, before)
    }

    /// What it knows of a request.
    pub(super) fn known(&self, request: RequestId) -> Known<'_> {
        let Some(session) = self.sessions.get(&request.client) else { return Known::New };
        match session.answers.get(&request.sequence) {
            Some((slot, outcome)) => Known::Answered(*slot, outcome),
            None if request.sequence < session.settled_below => Known::Settled,
            None => Known::New,
        }
    }

    /// The state after one more command, which was not applied before; commands in the slots below
    /// `logged_below` need not be carried any more.
    #[must_use]
    pub(super) fn after(&self, command: &Command, logged_below: Slot) -> Self {
        let slot = self.below;
        let mut state = Self { below: slot.next(), ..self.clone() };
        state.carried.retain(|(slot, _)| *slot >= logged_below);
        state.carried.push((slot, Value::from(command.clone())));
        let outcome = match &command.operation {
            Operation::Put { value, .. } => {
                state.value = Some(value.clone());
                Outcome::Stored
            }
            Operation::Get { .. } | Operation::GetSince { .. } => {
                Outcome::Read(state.value.clone())
            }
        };
        let session = state.sessions.entry(command.request.client).or_default();
        session.settled_below = session.settled_below.max(command.settled_below);
        session.answers = session.answers.split_off(&session.settled_below);
        session.answers.insert(command.request.sequence, (slot, outcome));
        state
    }
}

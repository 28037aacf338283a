//! What is replicated: commands of clients, and the key-value state machine that executes them.
//!
//! A client numbers its requests, and a retry keeps its number.
//! The state machine remembers what it answered, so a request that was chosen twice executes once.
//! It knows nothing of slots, ballots or replicas.

mod ask;
pub use ask::Ask;
mod impossible;
pub use impossible::Impossible;
#[cfg(test)]
pub(crate) use impossible::OPEN_MAX;
mod parts;
pub use parts::{Part, entry_digest};

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest value of a command: with it, a proposal and a promise of some fit into a frame.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// A client session: one load generator.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ClientId(pub u32);

/// A request of one client; a retry keeps it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct RequestId {
    /// Who asks.
    pub client: ClientId,
    /// Its count of requests, from 0.
    pub sequence: u64,
}

/// What the state machine is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Store `value` under `key`.
    Put {
        /// Where.
        key: u64,
        /// What; any bytes.
        value: Bytes,
    },
    /// Answer the value under `key`.
    Get {
        /// Where.
        key: u64,
    },
}

impl Operation {
    /// What it is about.
    pub const fn key(&self) -> u64 {
        let (Self::Put { key, .. } | Self::Get { key }) = self;
        *key
    }
}

/// A request and what it asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Command {
    /// Who asks, and its count.
    pub request: RequestId,
    /// The client has the answers of all its requests below this, or gave them up, and retries none of them.
    pub settled_below: u64,
    /// What it asks.
    pub operation: Operation,
}

/// `x=1` or `x?`: keys that are letters read as such, values that are long as their length.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&legible_key(self.operation.key()))?;
        match &self.operation {
            Operation::Put { value, .. } => write!(f, "={}", legible(value)),
            Operation::Get { .. } => f.write_str("?"),
        }
    }
}

/// A key that is a letter as such, any other as a number.
pub fn legible_key(key: u64) -> String {
    match u32::try_from(key).ok().and_then(char::from_u32) {
        Some(letter) if letter.is_ascii_lowercase() => letter.to_string(),
        _ => key.to_string(),
    }
}

/// A short text as it is, anything else by its length.
pub fn legible(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.len() <= 16 && !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("({} B)", value.len()),
    }
}

/// What an operation answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The value is stored.
    Stored,
    /// The value read; `None` if the key was never written.
    Read(Option<Bytes>),
}

/// What became of a command given to the state machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Execution {
    /// It executed now.
    Applied(Outcome),
    /// It had executed before; this is the answer it got then.
    Repeated(Outcome),
    /// It had executed before, or was given up, and its client said that it awaits no answer.
    Settled,
}

impl Execution {
    /// The answer, if there is one to give.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Applied(outcome) | Self::Repeated(outcome) => Some(outcome),
            Self::Settled => None,
        }
    }
}

/// A map from keys to values with client sessions (Ongaro's thesis, section 6.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyValue {
    values: Values,
    sessions: BTreeMap<ClientId, Session>,
}

/// Values by key: those of the keys from 0 to before the first that was never written, in an array;
/// the others in a tree.
///
/// A workload writes all of its keys before long, and every replica executes every write.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Values {
    dense: Vec<Bytes>,
    sparse: BTreeMap<u64, Bytes>,
}

impl Values {
    fn get(&self, key: u64) -> Option<&Bytes> {
        let dense = usize::try_from(key).ok().and_then(|index| self.dense.get(index));
        dense.or_else(|| self.sparse.get(&key))
    }

    fn insert(&mut self, key: u64, value: Bytes) {
        let index = usize::try_from(key).unwrap_or(usize::MAX);
        if let Some(known) = self.dense.get_mut(index) {
            *known = value;
            return;
        }
        if index > self.dense.len() {
            self.sparse.insert(key, value);
            return;
        }
        self.dense.push(value);
        while let Some(next) = self.sparse.first_entry()
            && *next.key() == self.dense.len() as u64
        {
            self.dense.push(next.remove());
        }
    }
}

/// The answers a client may still ask for again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Session {
    /// The sequence number of the front of `outcomes`.
    base: u64,
    /// The outcome of each request from `base` on; `None` where it has not executed.
    outcomes: VecDeque<Option<Outcome>>,
}

impl KeyValue {
    /// Executes `command`, once however often it is given.
    pub fn execute(&mut self, command: &Command) -> Execution {
        let RequestId { client, sequence } = command.request;
        let session = self.sessions.entry(client).or_default();
        session.settle(command.settled_below);
        let Some(offset) = sequence.checked_sub(session.base) else { return Execution::Settled };
        let offset = usize::try_from(offset).expect("a session window fits in memory");
        if let Some(Some(outcome)) = session.outcomes.get(offset) {
            return Execution::Repeated(outcome.clone());
        }
        let outcome = match &command.operation {
            Operation::Put { key, value } => {
                self.values.insert(*key, value.clone());
                Outcome::Stored
            }
            Operation::Get { key } => Outcome::Read(self.values.get(*key).cloned()),
        };
        while session.outcomes.len() <= offset {
            session.outcomes.push_back(None);
        }
        session.outcomes[offset] = Some(outcome.clone());
        Execution::Applied(outcome)
    }

    /// What a request was answered when it was executed, if its client may still ask for it.
    pub fn outcome(&self, request: RequestId) -> Option<Outcome> {
        let session = self.sessions.get(&request.client)?;
        let offset = request.sequence.checked_sub(session.base)?;
        session.outcomes.get(usize::try_from(offset).ok()?)?.clone()
    }
}

impl Session {
    fn settle(&mut self, below: u64) {
        while self.base < below {
            if self.outcomes.pop_front().is_none() {
                self.base = below;
                return;
            }
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sequence: u64, settled_below: u64, value: &'static str) -> Command {
        let request = RequestId { client: ClientId(1), sequence };
        let operation = Operation::Put { key: 7, value: Bytes::from_static(value.as_bytes()) };
        Command { request, settled_below, operation }
    }

    fn get(sequence: u64) -> Command {
        let request = RequestId { client: ClientId(1), sequence };
        Command { request, settled_below: 0, operation: Operation::Get { key: 7 } }
    }

    fn read(value: &'static str) -> Outcome {
        Outcome::Read(Some(Bytes::from_static(value.as_bytes())))
    }

    #[test]
    fn a_retried_request_executes_once() {
        let mut machine = KeyValue::default();
        assert_eq!(machine.execute(&put(0, 0, "a")), Execution::Applied(Outcome::Stored));
        assert_eq!(machine.execute(&put(1, 0, "b")), Execution::Applied(Outcome::Stored));
        assert_eq!(machine.execute(&put(0, 0, "a")), Execution::Repeated(Outcome::Stored));
        assert_eq!(machine.execute(&get(2)), Execution::Applied(read("b")));
    }

    #[test]
    fn requests_may_execute_out_of_their_order() {
        let mut machine = KeyValue::default();
        assert_eq!(machine.execute(&put(5, 0, "late")), Execution::Applied(Outcome::Stored));
        assert_eq!(machine.execute(&put(3, 0, "early")), Execution::Applied(Outcome::Stored));
        assert_eq!(machine.execute(&put(5, 0, "late")), Execution::Repeated(Outcome::Stored));
    }

    #[test]
    fn a_repeated_read_answers_what_it_answered_then() {
        let mut machine = KeyValue::default();
        machine.execute(&put(0, 0, "old"));
        assert_eq!(machine.execute(&get(1)), Execution::Applied(read("old")));
        machine.execute(&put(2, 0, "new"));
        assert_eq!(machine.execute(&get(1)), Execution::Repeated(read("old")));
    }

    /// The same writes in another order are the same state: keys move to the array when it reaches them.
    #[test]
    fn values_are_found_wherever_they_lie_and_their_order_does_not_show() {
        let value = |key: u64| Bytes::from(key.to_le_bytes().to_vec());
        let keys = [5, 0, 120, 2, 1, u64::MAX, 3, 6, 1, 0];
        let (mut one, mut other) = (Values::default(), Values::default());
        for key in keys {
            one.insert(key, value(key));
        }
        for key in keys.into_iter().rev() {
            other.insert(key, value(key));
        }
        assert_eq!(one, other);
        assert_eq!((one.dense.len(), one.sparse.len()), (4, 4));
        for key in [0, 1, 2, 3, 5, 6, 120, u64::MAX] {
            assert_eq!(one.get(key), Some(&value(key)));
        }
        assert_eq!((one.get(4), one.get(121)), (None, None));
        one.insert(4, value(4));
        assert_eq!((one.dense.len(), one.sparse.len()), (7, 2));
        one.insert(5, value(9));
        assert_eq!(one.get(5), Some(&value(9)));
    }

    #[test]
    fn a_settled_request_never_executes_again_and_its_session_stays_small() {
        let mut machine = KeyValue::default();
        for sequence in 0..1000 {
            machine.execute(&put(sequence, sequence, "x"));
        }
        assert_eq!(machine.sessions[&ClientId(1)].outcomes.len(), 1);
        assert_eq!(machine.execute(&put(500, 0, "again")), Execution::Settled);
    }
}

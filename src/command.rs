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
pub use parts::{Cut, Part, entry_digest};
pub(crate) mod payload;
mod session;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session::Session;

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
        #[serde(deserialize_with = "payload::deserialize")]
        value: Bytes,
    },
    /// Answer the value under `key`.
    Get {
        /// Where.
        key: u64,
    },
    /// The same, of a state that holds as much as the client has seen.
    GetSince {
        /// Where.
        key: u64,
        /// A place in the order of commands: everything before it must have been executed.
        since: u64,
    },
}

impl Operation {
    /// What it is about.
    pub const fn key(&self) -> u64 {
        let (Self::Put { key, .. } | Self::Get { key } | Self::GetSince { key, .. }) = self;
        *key
    }

    /// A read must see everything before this place.
    pub const fn since(&self) -> u64 {
        match self {
            Self::GetSince { since, .. } => *since,
            Self::Put { .. } | Self::Get { .. } => 0,
        }
    }

    /// Whether it changes nothing.
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Get { .. } | Self::GetSince { .. })
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
            Operation::GetSince { since, .. } => write!(f, "? since {since}"),
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
///
/// Copies share what neither of them has changed since: a copy takes the time of its blocks and sessions, not of
/// its values, and a change copies one block and one session at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyValue {
    values: Values,
    sessions: BTreeMap<ClientId, Arc<Session>>,
}

/// Values by key: those of the keys from 0 to before the first that was never written, in arrays;
/// the others in a tree.
///
/// A workload writes all of its keys before long, and every replica executes every write.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Values {
    /// Blocks of [`BLOCK`] keys each, but for the last, which may have fewer.
    dense: Vec<Arc<Vec<Bytes>>>,
    /// By the key over [`BLOCK`]: the keys of a block that have a value, ascending.
    sparse: BTreeMap<u64, Arc<Vec<(u64, Bytes)>>>,
}

/// The keys of a block of values.
const BLOCK: usize = 256;

impl Values {
    fn get(&self, key: u64) -> Option<&Bytes> {
        let index = usize::try_from(key).unwrap_or(usize::MAX);
        let dense = self.dense.get(index / BLOCK).and_then(|block| block.get(index % BLOCK));
        dense.or_else(|| {
            let block = self.sparse.get(&(key / BLOCK as u64))?;
            Some(&block[position(block, key).ok()?].1)
        })
    }

    fn insert(&mut self, key: u64, value: Bytes) {
        let (index, end) = (usize::try_from(key).unwrap_or(usize::MAX), self.dense_end());
        match index.cmp(&end) {
            Ordering::Less => {
                Arc::make_mut(&mut self.dense[index / BLOCK])[index % BLOCK] = value;
            }
            Ordering::Greater => {
                let block = Arc::make_mut(self.sparse.entry(key / BLOCK as u64).or_default());
                match position(block, key) {
                    Ok(at) => block[at].1 = value,
                    Err(at) => block.insert(at, (key, value)),
                }
            }
            Ordering::Equal => {
                self.push(value);
                while let Some(next) = self.take_sparse(self.dense_end() as u64) {
                    self.push(next);
                }
            }
        }
    }

    /// The first key that is not in an array.
    fn dense_end(&self) -> usize {
        self.dense.last().map_or(0, |last| (self.dense.len() - 1) * BLOCK + last.len())
    }

    /// The value of the first key that is not in an array.
    fn push(&mut self, value: Bytes) {
        if self.dense.last().is_none_or(|last| last.len() == BLOCK) {
            self.dense.push(Arc::default());
        }
        self.dense.last_mut().map(Arc::make_mut).expect("a block was just made").push(value);
    }

    /// Takes the value of this key out of the tree, where it is the first of its block.
    fn take_sparse(&mut self, key: u64) -> Option<Bytes> {
        let number = key / BLOCK as u64;
        let block = self.sparse.get_mut(&number)?;
        if block[0].0 != key {
            return None;
        }
        let (_, value) = Arc::make_mut(block).remove(0);
        if block.is_empty() {
            self.sparse.remove(&number);
        }
        Some(value)
    }
}

/// Where a key is in a block of the tree, or where it belongs.
fn position(block: &[(u64, Bytes)], key: u64) -> Result<usize, usize> {
    block.binary_search_by_key(&key, |(known, _)| *known)
}

impl KeyValue {
    /// Executes `command`, once however often it is given.
    #[inline]
    pub fn execute(&mut self, command: &Command) -> Execution {
        let RequestId { client, sequence } = command.request;
        let session = Arc::make_mut(self.sessions.entry(client).or_default());
        session.settle(command.settled_below);
        if sequence < session.base() {
            return Execution::Settled;
        }
        if let Some(outcome) = session.get(sequence) {
            return Execution::Repeated(outcome);
        }
        let outcome = match &command.operation {
            Operation::Put { key, value } => {
                self.values.insert(*key, value.clone());
                Outcome::Stored
            }
            Operation::Get { key } | Operation::GetSince { key, .. } => {
                Outcome::Read(self.values.get(*key).cloned())
            }
        };
        session.put(sequence, &outcome);
        Execution::Applied(outcome)
    }

    /// The value under a key; `None` if it was never written.
    pub fn value(&self, key: u64) -> Option<&Bytes> {
        self.values.get(key)
    }

    /// What a request was answered when it was executed, if its client may still ask for it.
    pub fn outcome(&self, request: RequestId) -> Option<Outcome> {
        self.sessions.get(&request.client)?.get(request.sequence)
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
        let lengths =
            |it: &Values| (it.dense_end(), it.sparse.values().map(|it| it.len()).sum::<usize>());
        assert_eq!(lengths(&one), (4, 4));
        for key in [0, 1, 2, 3, 5, 6, 120, u64::MAX] {
            assert_eq!(one.get(key), Some(&value(key)));
        }
        assert_eq!((one.get(4), one.get(121)), (None, None));
        one.insert(4, value(4));
        assert_eq!(lengths(&one), (7, 2));
        one.insert(5, value(9));
        assert_eq!(one.get(5), Some(&value(9)));
    }

    /// Over many blocks, and beside a copy that stays as it was.
    #[test]
    fn many_values_are_found_and_a_copy_stays_as_it_was() {
        let (mut values, mut known) = (Values::default(), BTreeMap::new());
        let mut copies = Vec::new();
        for number in 0..4_000_u64 {
            // Each of the keys below 1,000 comes, out of order, and 1,009 is prime.
            let key = number * 577 % 1009;
            let value = Bytes::from(number.to_le_bytes().to_vec());
            values.insert(key, value.clone());
            known.insert(key, value);
            if number % 500 == 0 {
                copies.push((values.clone(), known.clone()));
            }
        }
        copies.push((values, known));
        for (values, known) in copies {
            let found: Vec<(u64, &Bytes)> = values.iter().collect();
            assert_eq!(found, known.iter().map(|(key, value)| (*key, value)).collect::<Vec<_>>());
            assert!(known.iter().all(|(key, value)| values.get(*key) == Some(value)));
            assert_eq!(values.get(1009), None);
        }
    }

    #[test]
    fn a_settled_request_never_executes_again_and_its_session_stays_small() {
        let mut machine = KeyValue::default();
        for sequence in 0..1000 {
            machine.execute(&put(sequence, sequence, "x"));
        }
        let session = &machine.sessions[&ClientId(1)];
        assert_eq!((session.base(), session.end()), (999, 1000));
        assert_eq!(machine.execute(&put(500, 0, "again")), Execution::Settled);
    }
}

//! The state machine in parts, as it travels in a snapshot, and its digest.
//!
//! A state may be larger than a message may be, so it is cut between two keys or two outcomes.
//! Equal states give equal parts, and all parts of a state give that state again.
//! Nothing here knows how parts are sent, nor which slots they stand for.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ClientId, KeyValue, Outcome, Session, Values};

/// A part of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    values: Vec<(u64, Bytes)>,
    sessions: Vec<Stretch>,
}

/// What one client may still ask for again, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Stretch {
    client: ClientId,
    /// The sequence number of the first outcome.
    first: u64,
    outcomes: Vec<Option<Outcome>>,
}

/// About what a key or an outcome takes beside its bytes.
const ITEM_BYTES: usize = 16;

impl Part {
    /// About how many bytes it takes in a message.
    pub fn bytes(&self) -> usize {
        let values = self.values.iter().map(|(_, value)| ITEM_BYTES + value.len());
        let outcomes = self.sessions.iter().flat_map(|stretch| &stretch.outcomes);
        values.sum::<usize>()
            + self.sessions.len() * ITEM_BYTES
            + outcomes.map(|outcome| size(outcome.as_ref())).sum::<usize>()
    }
}

fn size(outcome: Option<&Outcome>) -> usize {
    match outcome {
        Some(Outcome::Read(Some(value))) => ITEM_BYTES + value.len(),
        Some(Outcome::Read(None) | Outcome::Stored) | None => 1,
    }
}

/// Parts being filled.
struct Cut {
    limit: usize,
    done: Vec<Part>,
    open: Part,
    filled: usize,
}

impl Cut {
    /// The part that takes the next so many bytes.
    fn room(&mut self, bytes: usize) -> &mut Part {
        if self.filled > 0 && self.filled + bytes > self.limit {
            self.done.push(std::mem::take(&mut self.open));
            self.filled = 0;
        }
        self.filled += bytes;
        &mut self.open
    }
}

impl KeyValue {
    /// The whole state in parts of about so many bytes: at least one part, and one for each larger value.
    pub fn parts(&self, bytes: usize) -> Vec<Part> {
        let mut cut = Cut { limit: bytes, done: Vec::new(), open: Part::default(), filled: 0 };
        for (key, value) in self.values.iter() {
            cut.room(ITEM_BYTES + value.len()).values.push((key, value.clone()));
        }
        for (client, session) in &self.sessions {
            let Session { base, outcomes } = &**session;
            let stretch = |first| Stretch { client: *client, first, outcomes: Vec::new() };
            cut.room(ITEM_BYTES).sessions.push(stretch(*base));
            for (sequence, outcome) in (*base..).zip(outcomes) {
                let sessions = &mut cut.room(size(outcome.as_ref())).sessions;
                if sessions.last().is_none_or(|last| last.client != *client) {
                    sessions.push(stretch(sequence));
                }
                if let Some(last) = sessions.last_mut() {
                    last.outcomes.push(outcome.clone());
                }
            }
        }
        let Cut { mut done, open, .. } = cut;
        done.push(open);
        done
    }

    /// The state whose parts these are, all of them and in order.
    pub fn from_parts(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut state = Self::default();
        for Part { values, sessions } in parts {
            for (key, value) in values {
                state.values.insert(key, value);
            }
            for Stretch { client, first, outcomes } in sessions {
                let begin = || Arc::new(Session { base: first, ..Session::default() });
                let session = state.sessions.entry(client).or_insert_with(begin);
                Arc::make_mut(session).outcomes.extend(outcomes);
            }
        }
        state
    }

    /// Of what is stored under every key: the sum of [`entry_digest`], so it can be kept up write by write.
    pub fn digest(&self) -> u64 {
        let entries = self.values.iter();
        let digests = entries.map(|(key, value)| entry_digest(key, crc32fast::hash(value)));
        digests.fold(0, u64::wrapping_add)
    }
}

/// What a key whose value has this CRC-32 adds to the digest of a state.
pub const fn entry_digest(key: u64, value: u32) -> u64 {
    // Any odd multipliers with well-spread bits will do; these are of SplitMix64.
    let word = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (value as u64 + 1);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Values {
    /// Every key and its value; keys ascend.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        let dense = self.dense.iter().flat_map(|block| block.iter());
        let sparse = self.sparse.values().flat_map(|block| block.iter());
        (0..).zip(dense).chain(sparse.map(|(key, value)| (*key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Operation, RequestId};

    fn command(client: u32, sequence: u64, settled_below: u64, operation: Operation) -> Command {
        let request = RequestId { client: ClientId(client), sequence };
        Command { request, settled_below, operation }
    }

    fn put(key: u64, bytes: usize) -> Operation {
        Operation::Put { key, value: Bytes::from(vec![key.to_le_bytes()[0]; bytes]) }
    }

    /// Keys in the array and in the tree, outcomes read, a hole, and a client that settled everything.
    fn state() -> KeyValue {
        let mut state = KeyValue::default();
        for sequence in 0..40 {
            state.execute(&command(1, sequence, 0, put(sequence * sequence, 100)));
            state.execute(&command(2, sequence, 0, Operation::Get { key: sequence }));
        }
        state.execute(&command(3, 70, 70, put(7, 5000)));
        state.execute(&command(4, 9, 0, put(8, 0)));
        state.execute(&command(5, 3, 9, put(8, 3)));
        state
    }

    #[test]
    fn all_parts_of_a_state_are_that_state_whatever_their_size() {
        let state = state();
        for bytes in [0, 1, 100, 333, 4096, 1 << 20] {
            let parts = state.parts(bytes);
            let largest = parts.iter().map(Part::bytes).max().unwrap();
            assert!(largest <= bytes.max(5000 + ITEM_BYTES), "{largest} bytes of {bytes}");
            assert!(parts.len() > 1 || bytes > 10_000, "{bytes}");
            assert_eq!(KeyValue::from_parts(parts), state);
        }
    }

    #[test]
    fn a_state_of_nothing_is_one_part() {
        let parts = KeyValue::default().parts(100);
        assert_eq!(parts, [Part::default()]);
        assert_eq!(KeyValue::from_parts(parts), KeyValue::default());
    }

    #[test]
    fn what_was_answered_is_answered_again_by_the_copy() {
        let mut copy = KeyValue::from_parts(state().parts(200));
        for sequence in [0, 39] {
            let again = command(1, sequence, 0, put(sequence * sequence, 100));
            assert_eq!(copy.execute(&again), super::super::Execution::Repeated(Outcome::Stored));
        }
        let settled = command(3, 69, 0, put(7, 1));
        assert_eq!(copy.execute(&settled), super::super::Execution::Settled);
        assert_eq!(copy.digest(), state().digest());
    }

    #[test]
    fn the_digest_tells_states_apart_and_can_be_kept_up() {
        let mut state = state();
        let before = state.digest();
        let old = entry_digest(7, crc32fast::hash(&[7; 5000]));
        let new = entry_digest(7, crc32fast::hash(&[7; 4]));
        state.execute(&command(9, 0, 0, put(7, 4)));
        assert_eq!(state.digest(), before.wrapping_sub(old).wrapping_add(new));
        assert_ne!(state.digest(), before);
        assert_ne!(entry_digest(0, 0), 0);
        assert_ne!(entry_digest(1, 2), entry_digest(2, 1));
    }
}

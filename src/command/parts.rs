//! The state machine in parts, as it travels in a snapshot, and its digest.
//!
//! A state may be larger than a message may be, so it is cut between two keys or two outcomes.
//! A part says where it begins and where the next one does, so parts of any sizes, also of equal states of
//! several replicas, make up the state when each begins where the one before it ends.
//! A part is cut when it is asked for: what that takes does not grow with the state.
//! Nothing here knows how parts are sent, nor which slots they stand for.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BLOCK, ClientId, KeyValue, Outcome, Session, Values};

/// A part of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    values: Vec<(u64, Bytes)>,
    sessions: Vec<Stretch>,
}

/// A place at which a state is cut: where a part begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cut {
    /// The value of this key, or of the first after it that has one.
    Key(u64),
    /// The outcome of this request of a client; what that client may still ask for begins there, if nothing of
    /// it comes before.
    Request(ClientId, u64),
}

impl Cut {
    /// Where the first part begins.
    pub const START: Self = Self::Key(0);
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key {key}"),
            Self::Request(client, sequence) => {
                write!(f, "request {sequence} of client {}", client.0)
            }
        }
    }
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

/// Room for about so many bytes, or for one item that is larger.
struct Room {
    limit: usize,
    filled: usize,
}

impl Room {
    fn takes(&mut self, bytes: usize) -> bool {
        let fits = self.filled == 0 || self.filled + bytes <= self.limit;
        self.filled += bytes;
        fits
    }
}

impl KeyValue {
    /// The part of about so many bytes that begins here, and where the next one begins, if it is not the last.
    pub fn part(&self, begin: Cut, bytes: usize) -> (Part, Option<Cut>) {
        let (mut part, mut room) = (Part::default(), Room { limit: bytes, filled: 0 });
        let (from_key, from_request) = match begin {
            Cut::Key(key) => (Some(key), None),
            Cut::Request(client, sequence) => (None, Some((client, sequence))),
        };
        for (key, value) in from_key.into_iter().flat_map(|key| self.values.iter_from(key)) {
            if !room.takes(ITEM_BYTES + value.len()) {
                return (part, Some(Cut::Key(key)));
            }
            part.values.push((key, value.clone()));
        }
        let first_client = from_request.map_or(ClientId(0), |(client, _)| client);
        for (client, session) in self.sessions.range(first_client..) {
            let own = from_request.filter(|(of, _)| of == client);
            let first = own.map_or(session.base(), |(_, sequence)| sequence.max(session.base()));
            let mut stretch = Stretch { client: *client, first, outcomes: Vec::new() };
            // A client without outcomes is an item too, and else it comes with its first outcome.
            let mut more = ITEM_BYTES;
            if session.end() <= first && !room.takes(more) {
                return (part, Some(Cut::Request(*client, first)));
            }
            for (sequence, outcome) in (first..).zip(session.iter_from(first)) {
                if !room.takes(std::mem::take(&mut more) + size(outcome.as_ref())) {
                    if !stretch.outcomes.is_empty() {
                        part.sessions.push(stretch);
                    }
                    return (part, Some(Cut::Request(*client, sequence)));
                }
                stretch.outcomes.push(outcome);
            }
            part.sessions.push(stretch);
        }
        (part, None)
    }

    /// The state whose parts these are, all of them and in order.
    pub fn from_parts(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut state = Self::default();
        for Part { values, sessions } in parts {
            for (key, value) in values {
                state.values.insert(key, value);
            }
            for Stretch { client, first, outcomes } in sessions {
                let begin = || Arc::new(Session::from(first));
                let session = state.sessions.entry(client).or_insert_with(begin);
                Arc::make_mut(session).extend(&outcomes);
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
        self.iter_from(0)
    }

    /// The keys from one on, and their values; keys ascend.
    fn iter_from(&self, from: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let (block, at) = (from / BLOCK as u64, from % BLOCK as u64);
        let block_index = usize::try_from(block).unwrap_or(usize::MAX);
        let dense = self.dense.iter().skip(block_index).flat_map(|block| block.iter());
        let dense = (from - at..).zip(dense).skip(usize::try_from(at).unwrap_or(usize::MAX));
        let sparse = self.sparse.range(block..).flat_map(|(_, block)| block.iter());
        let sparse = sparse.map(|(key, value)| (*key, value));
        dense.chain(sparse.skip_while(move |(key, _)| *key < from))
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

    /// All parts of a state, each of the next of these sizes.
    fn parts(of: &KeyValue, sizes: &[usize]) -> Vec<Part> {
        let (mut parts, mut begin) = (Vec::new(), Some(Cut::START));
        for bytes in sizes.iter().cycle() {
            let Some(at) = begin else { break };
            let (part, next) = of.part(at, *bytes);
            assert!(next.is_none_or(|next| at < next), "{at} comes again");
            parts.push(part);
            begin = next;
        }
        parts
    }

    #[test]
    fn all_parts_of_a_state_are_that_state_whatever_their_size() {
        let state = state();
        for bytes in [0, 1, 100, 333, 4096, 1 << 20] {
            let parts = parts(&state, &[bytes]);
            let largest = parts.iter().map(Part::bytes).max().unwrap();
            assert!(largest <= bytes.max(5000 + ITEM_BYTES), "{largest} bytes of {bytes}");
            assert!(parts.len() > 1 || bytes > 10_000, "{bytes}");
            assert_eq!(KeyValue::from_parts(parts), state);
        }
    }

    #[test]
    fn parts_of_several_sizes_make_up_a_state() {
        let state = state();
        let count = parts(&state, &[1, 2000, 77, 0]).len();
        assert_eq!(KeyValue::from_parts(parts(&state, &[1, 2000, 77, 0])), state);
        assert!(parts(&state, &[1]).len() > count && count > parts(&state, &[2000]).len());
        for begin in [Cut::Key(u64::MAX), Cut::Request(ClientId(9), 0)] {
            let (part, next) = state.part(begin, 1 << 20);
            assert!(part.values.is_empty() && next.is_none(), "{begin}");
        }
    }

    #[test]
    fn a_state_of_nothing_is_one_part() {
        let parts = parts(&KeyValue::default(), &[100]);
        assert_eq!(parts, [Part::default()]);
        assert_eq!(KeyValue::from_parts(parts), KeyValue::default());
    }

    #[test]
    fn what_was_answered_is_answered_again_by_the_copy() {
        let mut copy = KeyValue::from_parts(parts(&state(), &[200]));
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

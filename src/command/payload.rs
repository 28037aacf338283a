//! Where the values of commands lie, both made by clients and decoded: side by side, in blocks of a few
//! thousand bytes.
//!
//! A value that is allocated by itself costs two allocations and a reference count in a cache line of
//! its own, at every replica for every command.
//! Values that arrive one after the other are mostly forgotten one after the other, so a block of them
//! is freed as a whole.
//! A value that outlives its neighbours keeps their block: a state whose values all lie in different
//! blocks takes up to [`BLOCK_BYTES`] a key.

use std::cell::RefCell;
use std::fmt;

use bytes::{Bytes, BytesMut};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The bytes of a block.
const BLOCK_BYTES: usize = 4096;

/// Longer values are allocated by themselves: few of them would fit into a block.
const SHARED_BYTES_MAX: usize = BLOCK_BYTES / 8;

thread_local! {
    /// Of what this thread decodes; where a value lies changes nothing else.
    static BLOCK: RefCell<Block> = RefCell::default();
}

/// What is left of the block that is being filled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block(BytesMut);

impl Block {
    /// A value of so many bytes, which `fill` puts behind the one before.
    #[inline]
    pub(crate) fn value(&mut self, bytes: usize, fill: impl FnOnce(&mut BytesMut)) -> Bytes {
        if self.0.capacity() < bytes {
            self.0 = BytesMut::with_capacity(bytes.max(BLOCK_BYTES));
        }
        fill(&mut self.0);
        self.0.split().freeze()
    }
}

/// Decodes a value.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    deserializer.deserialize_byte_buf(Payload)
}

/// A copy of a value, behind the one that was copied before.
fn place(value: &[u8]) -> Bytes {
    if value.len() > SHARED_BYTES_MAX {
        return Bytes::copy_from_slice(value);
    }
    BLOCK.with_borrow_mut(|block| block.value(value.len(), |end| end.extend_from_slice(value)))
}

struct Payload;

impl<'de> Visitor<'de> for Payload {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a value")
    }

    #[inline]
    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Bytes, E> {
        Ok(place(value))
    }

    /// Formats that have no bytes write numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, numbers: A) -> Result<Bytes, A::Error> {
        let numbers = serde::de::value::SeqAccessDeserializer::new(numbers);
        Vec::deserialize(numbers).map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Held(#[serde(deserialize_with = "deserialize")] Bytes);

    fn decoded(value: &[u8]) -> Bytes {
        let encoded = postcard::to_stdvec(&Bytes::copy_from_slice(value)).unwrap();
        postcard::from_bytes::<Held>(&encoded).unwrap().0
    }

    #[test]
    fn values_keep_their_bytes_whatever_their_length_and_order() {
        let lengths = [0, 1, 100, 511, 512, 513, 4095, 4096, 4097, 1 << 20];
        let values: Vec<Vec<u8>> = (0..1000_u32)
            .map(|number| number.to_le_bytes().repeat(lengths[number as usize % lengths.len()] / 4))
            .filter(|value| value.len() < 10_000)
            .collect();
        let found: Vec<Bytes> = values.iter().map(|value| decoded(value)).collect();
        assert_eq!(found, values);
    }

    #[test]
    fn small_values_lie_side_by_side_and_large_ones_by_themselves() {
        // The block that is open may end between two of them.
        let next_to = |length: usize| {
            let found = [(); 3].map(|()| decoded(&vec![7; length]));
            found.windows(2).any(|pair| pair[0].as_ptr_range().end == pair[1].as_ptr_range().start)
        };
        assert!(next_to(100) && next_to(SHARED_BYTES_MAX));
        assert!(decoded(&[7; SHARED_BYTES_MAX + 1]).try_into_mut().is_ok(), "it is shared");
    }

    #[test]
    fn numbers_are_read_where_a_format_has_no_bytes() {
        assert_eq!(serde_json::from_str::<Held>("[1,2,255]").unwrap().0, [1, 2, 255][..]);
        assert!(serde_json::from_str::<Held>("[1,256]").is_err());
    }
}

//! The values written: all different, and cheap to make.
//!
//! A checker can only tell writes apart by what they wrote, so no value may repeat.
//! Random bytes would cost more than the write itself; instead the words of a value count up from a
//! scrambled serial number.

use bytes::Bytes;

use crate::command::payload::Block;
use crate::seed::scramble;

/// The odd number nearest to 2^64 divided by the golden ratio (Knuth, volume 3, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// So many bytes of a value are made at once.
const STRETCH: usize = 128;

/// A client region's serial numbers start this many bits up: 2^40 values, 2^24 regions.
const SERIAL_BITS: u32 = 40;

/// A stream of values.
///
/// From 8 bytes on, all values of a deployment differ; shorter ones differ as far as their bytes allow.
#[derive(Clone, Debug)]
pub(super) struct Values {
    serial: u64,
    value_bytes: usize,
    block: Block,
}

impl Values {
    pub(super) fn new(index: usize, value_bytes: usize) -> Self {
        Self { serial: (index as u64) << SERIAL_BITS, value_bytes, block: Block::default() }
    }

    pub(super) fn next_value(&mut self) -> Bytes {
        let mut word = scramble(self.serial);
        self.serial += 1;
        let bytes = self.value_bytes;
        self.block.value(bytes, |end| {
            let mut left = bytes;
            while left > 0 {
                let mut words = [0; STRETCH];
                for place in words.chunks_exact_mut(8) {
                    place.copy_from_slice(&word.to_le_bytes());
                    word = word.wrapping_add(GOLDEN);
                }
                let count = left.min(STRETCH);
                end.extend_from_slice(&words[..count]);
                left -= count;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn distinct(value_bytes: usize, regions: usize, count: usize) -> usize {
        let mut seen = BTreeSet::new();
        for index in 0..regions {
            let mut values = Values::new(index, value_bytes);
            for _ in 0..count {
                let value = values.next_value();
                assert_eq!(value.len(), value_bytes);
                seen.insert(value);
            }
        }
        seen.len()
    }

    #[test]
    fn no_two_values_of_a_deployment_are_equal() {
        for value_bytes in [8, 9, 100, 128, 1000] {
            assert_eq!(distinct(value_bytes, 5, 1000), 5000, "{value_bytes} bytes");
        }
    }

    #[test]
    fn short_values_differ_as_far_as_their_bytes_allow() {
        assert_eq!(distinct(0, 2, 100), 1);
        assert_eq!(distinct(1, 2, 5000), 256);
    }

    #[test]
    fn two_values_differ_in_every_word() {
        let mut values = Values::new(0, 128);
        let (one, other) = (values.next_value(), values.next_value());
        assert!(one.chunks(8).zip(other.chunks(8)).all(|(a, b)| a != b));
    }
}

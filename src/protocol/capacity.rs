//! How fast a replica sends, where that is limited.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// How fast a replica sends; what it sends beyond that waits for the wire.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Capacity {
    /// Bits a second of all that it sends, to whomever; unlimited if `None`.
    pub uplink_bits_per_s: Option<u64>,
    /// Bits a second to each other member; unlimited if `None`.
    pub link_bits_per_s: Option<u64>,
}

/// What a message takes on the wire beside its value, about.
const OVERHEAD_BYTES: u64 = 64;

impl Capacity {
    /// Nothing waits for a wire.
    pub const UNLIMITED: Self = Self { uplink_bits_per_s: None, link_bits_per_s: None };

    /// Whether anything waits for a wire.
    pub const fn is_limited(&self) -> bool {
        self.uplink_bits_per_s.is_some() || self.link_bits_per_s.is_some()
    }

    /// How long a message with so many bytes of values to each of so many receivers is on the wire.
    pub fn takes(&self, bytes: usize, receivers: usize) -> Span {
        let (bytes, receivers) = (bytes as u64 + OVERHEAD_BYTES, receivers as u64);
        let on = |bits_per_s: Option<u64>, bytes: u64| {
            let span = |bits_per_s: u64| {
                Span(bytes.saturating_mul(8_000_000_000).div_ceil(bits_per_s.max(1)))
            };
            bits_per_s.map_or(Span::ZERO, span)
        };
        // All links carry their copies at the same time, and the uplink one after the other.
        let uplink = on(self.uplink_bits_per_s, bytes.saturating_mul(receivers));
        uplink.max(on(self.link_bits_per_s, if receivers > 0 { bytes } else { 0 }))
    }

    /// How many bytes one receiver can be sent in this time, to nobody else; at most `most`.
    pub fn bytes_within(&self, span: Span, most: usize) -> usize {
        let limits = self.uplink_bits_per_s.into_iter().chain(self.link_bits_per_s);
        let bytes = |bits_per_s: u64| u128::from(span.0) * u128::from(bits_per_s) / 8_000_000_000;
        let least = limits.map(bytes).min();
        least.map_or(most, |bytes| usize::try_from(bytes).unwrap_or(most).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MBIT: Option<u64> = Some(1_000_000);

    #[test]
    fn an_uplink_carries_one_copy_after_the_other() {
        let uplink = Capacity { uplink_bits_per_s: MBIT, link_bits_per_s: None };
        let link = Capacity { uplink_bits_per_s: None, link_bits_per_s: MBIT };
        // 936 bytes and 64 around them are 8 ms.
        assert_eq!(uplink.takes(936, 4), Span::from_millis(32));
        assert_eq!(link.takes(936, 4), Span::from_millis(8));
        assert_eq!((uplink.takes(936, 0), link.takes(936, 0)), (Span::ZERO, Span::ZERO));
        assert_eq!(Capacity::UNLIMITED.takes(936, 4), Span::ZERO);
    }

    #[test]
    fn the_narrowest_wire_says_how_much_it_carries() {
        let both = Capacity { uplink_bits_per_s: Some(4_000_000), link_bits_per_s: MBIT };
        assert_eq!(both.bytes_within(Span::from_millis(8), 5_000), 1_000);
        assert_eq!(both.bytes_within(Span::from_millis(80), 5_000), 5_000);
        assert_eq!(Capacity::UNLIMITED.bytes_within(Span::ZERO, 5_000), 5_000);
        assert!(both.is_limited() && !Capacity::UNLIMITED.is_limited());
    }
}

//! A wire of limited bandwidth: one datagram after the other, and the queue of those that wait for it.

use crate::time::{Span, Time};

/// A wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// All that was given to it before is on its way then.
    free_at: Time,
}

impl Wire {
    /// When a datagram that comes `at` is on its way as a whole; `None` if it would have to wait and the
    /// queue has no room for it.
    ///
    /// What is being put on the wire counts as waiting with the bits that are left of it.
    pub fn pass(
        &mut self,
        at: Time,
        bytes: u64,
        bits_per_s: u64,
        queue_bytes_max: Option<u64>,
    ) -> Option<Time> {
        let bits_per_s = bits_per_s.max(1);
        let wait = self.free_at.since(at);
        if let Some(most) = queue_bytes_max
            && wait > Span::ZERO
            && waiting_bytes(wait, bits_per_s).saturating_add(bytes) > most
        {
            return None;
        }
        self.free_at = at.max(self.free_at) + transmission(bytes, bits_per_s);
        Some(self.free_at)
    }
}

impl Wire {
    /// The same for a sender that keeps what finds no room in the queue, up to `window_bytes`: when it is
    /// on its way, and whether it was kept.
    pub fn pass_or_wait(
        &mut self,
        at: Time,
        bytes: u64,
        bits_per_s: u64,
        queue_bytes_max: Option<u64>,
        window_bytes: u64,
    ) -> Option<(Time, bool)> {
        if let Some(passed_at) = self.pass(at, bytes, bits_per_s, queue_bytes_max) {
            return Some((passed_at, false));
        }
        self.pass(at, bytes, bits_per_s, Some(window_bytes)).map(|passed_at| (passed_at, true))
    }
}

/// How long so many bytes take.
fn transmission(bytes: u64, bits_per_s: u64) -> Span {
    Span(bytes.saturating_mul(8_000_000_000).div_ceil(bits_per_s))
}

/// How many bytes take so long.
fn waiting_bytes(wait: Span, bits_per_s: u64) -> u64 {
    let bytes = u128::from(wait.0) * u128::from(bits_per_s) / 8_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MBIT: u64 = 1_000_000;

    #[test]
    fn bits_take_their_time_one_datagram_after_the_other() {
        let mut wire = Wire::default();
        // 125 bytes are a thousand bits, a millisecond each.
        let passed: Vec<u64> =
            (0..3).map(|_| wire.pass(Time(1_000), 125, MBIT, None).unwrap().0).collect();
        assert_eq!(passed, [1_001_000, 2_001_000, 3_001_000]);
        assert_eq!(wire.pass(Time(9_000_000), 125, MBIT, None), Some(Time(10_000_000)));
    }

    #[test]
    fn no_part_of_a_nanosecond_is_given_away() {
        assert_eq!(Wire::default().pass(Time::ZERO, 1, 3, None), Some(Time(2_666_666_667)));
    }

    #[test]
    fn what_finds_the_queue_full_is_dropped_and_takes_no_time() {
        let mut wire = Wire::default();
        let mut pass = |at_us: u64, bytes| {
            wire.pass(Time(at_us * 1_000), bytes, MBIT, Some(250)).map(|at| at.0 / 1_000)
        };
        // One is put on the wire whatever the queue holds, and two wait less what is left of it.
        assert_eq!(pass(0, 1_000), Some(8_000));
        assert_eq!(pass(0, 125), None);
        assert_eq!(pass(7_000, 125), Some(9_000));
        assert_eq!(pass(7_000, 125), None);
        assert_eq!(pass(8_000, 125), Some(10_000));
        assert_eq!(pass(20_000, 125), Some(21_000));
    }
}

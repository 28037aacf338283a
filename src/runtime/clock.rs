//! The clock of the live runtime: nanoseconds of `CLOCK_MONOTONIC`.
//!
//! Its origin is the start of the machine, so all processes of one host read the same [`Time`], and
//! an instant sent from one to another means something.
//! Between hosts it means nothing: nothing here synchronises clocks.

use nix::sys::time::TimeValLike;
use nix::time::ClockId;

use crate::time::Time;

/// The time now.
pub fn now() -> Time {
    let now = ClockId::CLOCK_MONOTONIC.now().expect("CLOCK_MONOTONIC exists on every kernel");
    Time(u64::try_from(now.num_nanoseconds()).expect("CLOCK_MONOTONIC never precedes its origin"))
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn the_clock_never_goes_back_and_does_go_on() {
        let start = now();
        let mut last = start;
        while last == start {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }
}

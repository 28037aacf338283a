//! The clock of the live runtime: nanoseconds of `CLOCK_MONOTONIC`, in the time of the deployment.
//!
//! The origin of `CLOCK_MONOTONIC` is the start of the machine, so all processes of one host read the same
//! [`Time`].
//! Two hosts read times that may differ by months.
//! So the process of a member on another host is [aligned](align) once, before it keeps any instant: from then
//! on [`now`] reads the clock of the coordinator, as well as the coordinator could find out how far apart the
//! two clocks are (`cluster`'s `Offset`, with its error bound).
//! A process on the coordinator's own host is never aligned and reads its own clock.
//!
//! A difference of two times is right to the drift of the host's clock, whether it is aligned or not.
//! An instant that was read on one host and is compared with one of another host is only as good as that bound.

use std::sync::OnceLock;

use nix::sys::time::TimeValLike;
use nix::time::ClockId;

use crate::time::Time;

/// What is added to the host's own clock, in nanoseconds.
static SHIFT: OnceLock<i64> = OnceLock::new();

/// The clock of this process is aligned already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock of this process was aligned before")]
pub struct AlignedBefore;

/// The time now.
pub fn now() -> Time {
    shifted(own(), shift())
}

/// Adds so many nanoseconds to the host's own clock from now on, for the whole process; once.
pub fn align(shift_ns: i64) -> Result<(), AlignedBefore> {
    SHIFT.set(shift_ns).map_err(|_| AlignedBefore)
}

/// The time now by the host's own clock.
pub fn own() -> Time {
    let now = ClockId::CLOCK_MONOTONIC.now().expect("CLOCK_MONOTONIC exists on every kernel");
    Time(u64::try_from(now.num_nanoseconds()).expect("CLOCK_MONOTONIC never precedes its origin"))
}

/// An instant of [`now`] by the host's own clock, which the timers of the kernel go by.
pub(super) fn to_own(at: Time) -> Time {
    shifted(at, -shift())
}

fn shift() -> i64 {
    SHIFT.get().copied().unwrap_or(0)
}

/// An instant moved; none is before the origin, nor after the last one.
const fn shifted(Time(at): Time, by: i64) -> Time {
    Time(at.saturating_add_signed(by))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_instant_that_is_moved_there_and_back_is_the_same() {
        for by in [0, 7, -7, 100_000_000_000_000] {
            let at = Time(200_000_000_000_000);
            assert_eq!(shifted(shifted(at, by), -by), at);
        }
        // Timers that are never due stay so.
        assert_eq!(shifted(Time(u64::MAX), 7), Time(u64::MAX));
        assert_eq!(shifted(Time(3), -7), Time(0));
    }
}

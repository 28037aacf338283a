//! An alarm that an event loop polls, precise to tens of microseconds.
//!
//! The timers of tokio fire in steps of a millisecond, one millisecond late: as much as a commit
//! within a region takes.
//! A `timerfd` in tokio's own poll fires at its instant and costs no thread.
//! Linux has it; nothing else does.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::{Context, Poll};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use crate::runtime::clock;
use crate::time::Time;

/// Why there is no alarm.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel gave no timer.
    #[error("cannot create a timer: raise the limit of open files (ulimit -n)")]
    Create(#[source] nix::Error),
    /// The event loop of tokio did not take it.
    #[error("cannot register a timer with the event loop")]
    Register(#[source] std::io::Error),
}

/// One instant to be woken at.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<Timer>,
    due: Option<Time>,
}

/// `AsyncFd` asks for `AsRawFd`, which `TimerFd` lacks.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// An alarm that is not set; to be made within a tokio runtime.
    pub fn new() -> Result<Self, Error> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(Error::Create)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types whose descriptor may change or close while \
                      it is registered; this one owns its descriptor and never gives it away"
        )]
        let timer = AsyncFd::new(Timer(timer)).map_err(Error::Register)?;
        Ok(Self { timer, due: None })
    }

    /// Sets the instant, in the time of [`clock::now`], in place of the one before; `None` is never.
    ///
    /// Setting the same instant again costs nothing, so an event loop may do it every round.
    pub fn set(&mut self, due: Option<Time>) {
        if due == self.due {
            return;
        }
        self.due = due;
        // A timer that was set and is wanted no more stays armed: `poll_due` does not look at it.
        if let Some(due) = due {
            self.arm(due);
        }
    }

    fn arm(&self, due: Time) {
        let Time(nanoseconds) = clock::to_own(due);
        // Zero would disarm the timer; the first nanosecond since boot is past as well.
        let nanoseconds = i64::try_from(nanoseconds.max(1)).unwrap_or(i64::MAX);
        let instant = TimeSpec::new(nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
        let timer = &self.timer.get_ref().0;
        timer
            .set(Expiration::OneShot(instant), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .expect("a timer takes every absolute instant");
    }

    /// Ready once the instant has come; then the alarm is not set any more.
    pub fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(due) = self.due else { return Poll::Pending };
            if clock::now() >= due {
                self.due = None;
                return Poll::Ready(());
            }
            match self.timer.poll_read_ready(context) {
                // An error means that the runtime is ending: nobody polls this again.
                Poll::Pending | Poll::Ready(Err(_)) => return Poll::Pending,
                Poll::Ready(Ok(mut ready)) => ready.clear_ready(),
            }
            // It rang: for an earlier setting, or for this one if the clock now says so.
            // Should the two clocks differ by a nanosecond, arming it again rings it again.
            if clock::now() < due {
                self.arm(due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::time::Span;

    #[tokio::test]
    async fn an_alarm_never_rings_early() {
        let mut alarm = Alarm::new().unwrap();
        for micros in [0, 50, 700, 3_000] {
            let due = clock::now() + Span::from_micros(micros);
            alarm.set(Some(due));
            poll_fn(|context| alarm.poll_due(context)).await;
            assert!(clock::now() >= due);
        }
    }

    #[tokio::test]
    async fn an_alarm_set_anew_rings_at_the_new_instant() {
        let mut alarm = Alarm::new().unwrap();
        let start = clock::now();
        alarm.set(Some(start + Span::from_millis(1)));
        let later = start + Span::from_millis(4);
        alarm.set(Some(later));
        poll_fn(|context| alarm.poll_due(context)).await;
        assert!(clock::now() >= later);
        alarm.set(Some(Time(u64::MAX)));
        alarm.set(Some(Time::ZERO));
        poll_fn(|context| alarm.poll_due(context)).await;
    }

    #[tokio::test]
    async fn an_alarm_that_is_not_set_does_not_ring() {
        let mut alarm = Alarm::new().unwrap();
        let due = clock::now() + Span::from_micros(100);
        alarm.set(Some(due));
        alarm.set(None);
        while clock::now() < due {
            tokio::task::yield_now().await;
        }
        poll_fn(|context| {
            assert!(alarm.poll_due(context).is_pending());
            Poll::Ready(())
        })
        .await;
        alarm.set(Some(due));
        poll_fn(|context| alarm.poll_due(context)).await;
        poll_fn(|context| {
            assert!(alarm.poll_due(context).is_pending(), "rang twice");
            Poll::Ready(())
        })
        .await;
    }
}

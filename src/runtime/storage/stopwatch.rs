//! The stopwatch: how long a group waited for the disk, and how long a slow disk takes; the only use
//! of a clock in storage.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "how long the disk takes is measured here, and made longer where that is asked for"
)]

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

use crate::time::Span;

/// When something began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(self) -> Span {
        self.0.elapsed().into()
    }
}

/// A sleep may end this much late; the rest of a pause is spun.
const SLEEP_SLACK: Duration = Duration::from_micros(120);

/// The longest single sleep: whoever closes the log waits for the end of one.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// Waits for this long, or until it is to stop.
pub(super) fn pause(span: Span, is_to_stop: impl Fn() -> bool) {
    if span == Span::ZERO {
        return;
    }
    let until = Instant::now() + Duration::from(span);
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        match rest.checked_sub(SLEEP_SLACK).filter(|rest| !rest.is_zero()) {
            Some(_) if is_to_stop() => return,
            Some(rest) => thread::sleep(rest.min(SLEEP_MAX)),
            None => hint::spin_loop(),
        }
    }
}

//! The stopwatch: how long a group waited for the disk, the only use of a clock in storage.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "how long the disk takes is measured here"
)]

use std::time::Instant;

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

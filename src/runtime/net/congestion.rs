//! A congestion controller that controls nothing: a window of fixed size.
//!
//! The links of an emulated deployment have a latency and no bandwidth, so there is no congestion to
//! avoid; slow start would only add its own ramp to the commit latency that is being measured.
//! The usual controllers are an axis of experiments.

use std::any::Any;
use std::sync::Arc;
#[expect(
    clippy::disallowed_types,
    reason = "the signatures of quinn have it; no clock is read"
)]
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory};

/// A window of so many bytes, whatever happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedWindow {
    pub(super) bytes: u64,
}

#[expect(clippy::disallowed_types, reason = "the signatures of quinn have it; no clock is read")]
impl ControllerFactory for FixedWindow {
    fn build(self: Arc<Self>, _now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

#[expect(clippy::disallowed_types, reason = "the signatures of quinn have it; no clock is read")]
impl Controller for FixedWindow {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        self.bytes
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }

    fn initial_window(&self) -> u64 {
        self.bytes
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

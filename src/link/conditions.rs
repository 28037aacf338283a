//! What a link does besides delaying.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// What a link does besides delaying; by default nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Whether all that is sent is lost.
    pub is_cut: bool,
    /// Added to every delay.
    pub slow: Span,
    /// The share lost, from 0 to 1.
    pub loss: f64,
    /// How many datagrams in a row are lost in the mean; 1 if each is lost independently of the others.
    pub loss_burst: f64,
    /// The share that arrives twice, from 0 to 1.
    pub duplication: f64,
    /// The most that is added to a single datagram, which may overtake; with zero, the link is first in,
    /// first out.
    pub reordering: Span,
    /// Unlimited if `None`.
    pub bandwidth_bits_per_s: Option<u64>,
    /// How many bytes may wait for a wire of limited bandwidth before more are dropped, as a router's
    /// queue; unlimited if `None`.
    pub queue_bytes_max: Option<u64>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            is_cut: false,
            slow: Span::ZERO,
            loss: 0.0,
            loss_burst: 1.0,
            duplication: 0.0,
            reordering: Span::ZERO,
            bandwidth_bits_per_s: None,
            queue_bytes_max: None,
        }
    }
}

impl Conditions {
    /// Whether a link under them only delays, in order.
    pub fn is_plain(&self) -> bool {
        !self.is_cut
            && self.loss <= 0.0
            && self.duplication <= 0.0
            && self.reordering == Span::ZERO
            && self.bandwidth_bits_per_s.is_none()
    }
}

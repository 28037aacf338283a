//! What the simulator is told beside the deployment: what work costs, and what links do besides
//! delaying.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// The world around the replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What work costs.
    pub service: Service,
    /// What links do besides delaying.
    pub network: Network,
}

/// How long a replica takes for its work; nothing by default, so that what is left is the protocol.
///
/// A replica has one processor: what arrives while it is busy waits, and is then handled as one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Processor time for a message or a request that arrives.
    pub receive: Span,
    /// Processor time for a message or a reply that leaves, for each receiver.
    pub send: Span,
    /// One sync of the disk, however many records it makes durable; while it lasts, what is given to
    /// the disk waits for the next one.
    pub sync: Span,
}

/// What every link between members does besides delaying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Bits a second of each directed link; unlimited if `None`.
    pub bandwidth_bits_per_s: Option<u64>,
    /// Bits a second of everything that one replica sends, to whomever; unlimited if `None`.
    pub uplink_bits_per_s: Option<u64>,
    /// The share of messages that is lost, from 0 to 1.
    pub loss: f64,
    /// The share of messages that arrives twice, from 0 to 1.
    pub duplication: f64,
    /// Each message is delayed by up to this much more, and they overtake one another; with zero,
    /// links are first in, first out.
    pub reordering: Span,
}

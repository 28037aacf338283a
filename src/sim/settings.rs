//! What the simulator is told beside the deployment: what work costs.

use serde::{Deserialize, Serialize};

use super::connection::Connection;
use super::machine::{Costs, Host};
use crate::time::Span;

/// The world around the replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What work costs.
    pub service: Service,
    /// What carries messages; without it what a link loses stays lost.
    pub connection: Option<Connection>,
    /// The machine that all members share; without it each has a processor and a disk of its own, and clients
    /// take no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
}

/// How long a replica takes for its work; nothing by default, so that what is left is the protocol.
///
/// A replica has one processor, unless all share those of a [`Host`]: what arrives while it is busy waits, and is
/// then handled as one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Processor time for a message or a request that arrives.
    pub receive: Span,
    /// Processor time for a message or a reply that leaves, for each receiver.
    pub send: Span,
    /// One sync of the disk, however many records it makes durable; while it lasts, what is given to
    /// the disk waits for the next one.
    pub sync: Span,
    /// Processor time for 2^20 bytes, at the end that sends them and again at the one that they arrive at,
    /// beside that of their message; clients take none.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub mebibyte: Span,
    /// Writing one checkpoint, which takes no processor time and keeps no sync waiting; it is durable after
    /// that, when what it stands for is.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub checkpoint: Span,
}

impl Settings {
    /// Whether anything takes time of a processor.
    pub fn takes_processor_time(&self) -> bool {
        let Service { receive, send, mebibyte, .. } = self.service;
        let costs = self.host.map(|host| host.costs).unwrap_or_default();
        let spans = [receive, send, mebibyte, costs.wake_up, costs.packet, costs.sync];
        spans.iter().any(|span| *span > Span::ZERO)
    }

    /// Whether any work takes time.
    pub fn takes_time(&self) -> bool {
        self.service != Service::default() || self.takes_processor_time()
    }
}

/// What work costs on a machine that was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Where each replica has a processor of its own: for messages that come one by one.
    pub alone: Service,
    /// Where all members share the machine; `None` if that was not measured.
    pub shared: Option<Shared>,
}

/// What work costs on a machine that all members share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// What a message adds to its packet, and a packet to a turn.
    pub service: Service,
    /// What it costs beside that.
    pub costs: Costs,
}

/// A run that does not say it is what it was before it could.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_nothing(span: &Span) -> bool {
    *span == Span::ZERO
}

impl Service {
    /// Processor time of so many bytes at one end.
    pub(super) const fn of_bytes(self, bytes: u64) -> Span {
        Span(self.mebibyte.0.saturating_mul(bytes) >> 20)
    }

    /// Whether what arrives is handled in no time.
    pub(super) fn receives_at_once(self) -> bool {
        self.receive == Span::ZERO && self.mebibyte == Span::ZERO
    }
}

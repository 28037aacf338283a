//! What the links of a deployment do besides delaying, and what faults make of that.

use serde::{Deserialize, Serialize};

use super::{FaultKind, MemberName};
use crate::link::{CORRELATION, Conditions};
use crate::protocol::Capacity;
use crate::quorum::NodeSet;
use crate::time::Span;

/// What every link between members does besides delaying.
///
/// The live emulation does it to the datagrams below QUIC: a loss costs a retransmission, and a duplicate
/// is dropped before anybody sees it.
/// The simulator does it to the messages of the protocol, and has the same come of it where it simulates
/// connections; else they are lost and doubled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// What each directed link does while there is no fault.
    pub conditions: Conditions,
    /// Bits a second of everything that one replica sends, to whomever; unlimited if `None`.
    ///
    /// It has a queue of its own, as long as that of a link.
    pub uplink_bits_per_s: Option<u64>,
    /// How long the delay of a link is remembered where delays vary; zero for independent draws.
    pub correlation: Span,
}

impl Default for Network {
    fn default() -> Self {
        let conditions = Conditions::default();
        Self { conditions, uplink_bits_per_s: None, correlation: CORRELATION }
    }
}

impl Network {
    /// How fast a replica sends.
    pub const fn capacity(&self) -> Capacity {
        Capacity {
            uplink_bits_per_s: self.uplink_bits_per_s,
            link_bits_per_s: self.conditions.bandwidth_bits_per_s,
        }
    }

    /// Whether links only delay.
    pub fn is_plain(&self) -> bool {
        self.conditions.is_plain() && self.uplink_bits_per_s.is_none()
    }

    /// What the link from one member to another does while these faults last; those of clients know no
    /// faults.
    pub fn under<'a>(
        &self,
        kinds: impl IntoIterator<Item = &'a FaultKind>,
        from: MemberName,
        to: MemberName,
    ) -> Conditions {
        let (MemberName::Replica(from), MemberName::Replica(to)) = (from, to) else {
            return self.conditions;
        };
        let is_hit = |senders: &NodeSet, receivers: &NodeSet| {
            senders.contains(from) && receivers.contains(to)
        };
        let under = |before: Conditions, kind: &FaultKind| match kind {
            FaultKind::Partition { side } if side.contains(from) != side.contains(to) => {
                Conditions { is_cut: true, ..before }
            }
            FaultKind::Cut { from, to } if is_hit(from, to) => {
                Conditions { is_cut: true, ..before }
            }
            FaultKind::Slow { from, to, by } if is_hit(from, to) => {
                Conditions { slow: before.slow + *by, ..before }
            }
            FaultKind::Lose { from, to, share } if is_hit(from, to) => {
                Conditions { loss: either(before.loss, *share), ..before }
            }
            FaultKind::Duplicate { from, to, share } if is_hit(from, to) => {
                Conditions { duplication: either(before.duplication, *share), ..before }
            }
            FaultKind::Reorder { from, to, spread } if is_hit(from, to) => {
                Conditions { reordering: before.reordering + *spread, ..before }
            }
            _ => before,
        };
        kinds.into_iter().fold(self.conditions, under)
    }
}

/// The share that two independent causes hit together: what does not survive both.
fn either(one: f64, other: f64) -> f64 {
    1.0 - (1.0 - one) * (1.0 - other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClientId;
    use crate::quorum::NodeId;

    const CLIENT: MemberName = MemberName::Client(ClientId(0));

    fn replica(id: u8) -> MemberName {
        MemberName::Replica(NodeId(id))
    }

    fn only(id: u8) -> NodeSet {
        NodeSet::only(NodeId(id))
    }

    #[test]
    fn a_fault_hits_its_direction_and_no_other() {
        let network = Network::default();
        let kinds = [FaultKind::Cut { from: only(0), to: only(1) }];
        let is_cut = |from, to| network.under(&kinds, from, to).is_cut;
        assert!(is_cut(replica(0), replica(1)));
        assert!(!is_cut(replica(1), replica(0)) && !is_cut(replica(0), replica(2)));
        assert!(!is_cut(CLIENT, replica(1)) && !is_cut(replica(0), CLIENT));
        let partition = [FaultKind::Partition { side: only(0).with(NodeId(1)) }];
        let is_cut = |from, to| network.under(&partition, from, to).is_cut;
        assert!(is_cut(replica(0), replica(2)) && is_cut(replica(2), replica(1)));
        assert!(!is_cut(replica(0), replica(1)));
    }

    #[test]
    fn faults_come_on_top_of_what_a_link_does_anyway() {
        let conditions = Conditions {
            loss: 0.5,
            slow: Span(1),
            bandwidth_bits_per_s: Some(9),
            ..Conditions::default()
        };
        let network = Network { conditions, ..Network::default() };
        let (from, to) = (only(0), only(1));
        let kinds = [
            FaultKind::Lose { from, to, share: 0.5 },
            FaultKind::Slow { from, to, by: Span(2) },
            FaultKind::Slow { from, to, by: Span(4) },
            FaultKind::Duplicate { from, to, share: 0.1 },
            FaultKind::Reorder { from, to, spread: Span(8) },
        ];
        let found = network.under(&kinds, replica(0), replica(1));
        assert!((found.loss - 0.75).abs() < 1e-12 && (found.duplication - 0.1).abs() < 1e-12);
        assert_eq!((found.slow, found.reordering), (Span(7), Span(8)));
        assert_eq!(found.bandwidth_bits_per_s, Some(9));
        assert_eq!(network.under(&kinds, replica(1), replica(0)), conditions);
        assert_eq!(network.under([], replica(0), replica(1)), conditions);
    }

    #[test]
    fn what_limits_or_loses_is_not_plain() {
        assert!(Network::default().is_plain());
        let uplink = Network { uplink_bits_per_s: Some(1), ..Network::default() };
        let lossy = Conditions { loss: 0.1, ..Conditions::default() };
        assert!(!uplink.is_plain());
        assert!(!Network { conditions: lossy, ..Network::default() }.is_plain());
    }
}

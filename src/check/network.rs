//! The messages in flight.

use std::slice;

use super::state::{Packet, Shared};
use crate::protocol::Protocol;
use crate::registry::Registration;

/// A set: to send again what is in flight adds nothing.
///
/// It is in order of sender, receiver and message: the order in which a search takes states hangs on it, and
/// with that its counterexample.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Network<P: Protocol> {
    packets: Vec<Shared<Packet<P>>>,
}

impl<P: Protocol> Default for Network<P> {
    fn default() -> Self {
        Self { packets: Vec::new() }
    }
}

impl<P: Protocol> Clone for Network<P> {
    fn clone(&self) -> Self {
        // One message comes and another one goes.
        let mut packets = Vec::with_capacity(self.packets.len() + 2);
        packets.extend_from_slice(&self.packets);
        Self { packets }
    }
}

impl<P: Registration> Network<P> {
    pub(super) fn insert(&mut self, packet: Shared<Packet<P>>) {
        if let Err(place) = self.packets.binary_search(&packet) {
            self.packets.insert(place, packet);
        }
    }

    pub(super) fn remove(&mut self, packet: &Shared<Packet<P>>) {
        if let Some(place) = self.packets.iter().position(|other| other == packet) {
            self.packets.remove(place);
        }
    }

    /// Keeps those for which `is_kept` is true.
    pub(super) fn retain(&mut self, is_kept: impl FnMut(&Shared<Packet<P>>) -> bool) {
        self.packets.retain(is_kept);
    }

    pub(super) fn pop_first(&mut self) -> Option<Shared<Packet<P>>> {
        (!self.packets.is_empty()).then(|| self.packets.remove(0))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(super) fn iter(&self) -> slice::Iter<'_, Shared<Packet<P>>> {
        self.packets.iter()
    }

    /// What is in flight, in order.
    pub(super) fn into_packets(self) -> Vec<Shared<Packet<P>>> {
        self.packets
    }
}

impl<'a, P: Registration> IntoIterator for &'a Network<P> {
    type Item = &'a Shared<Packet<P>>;
    type IntoIter = slice::Iter<'a, Shared<Packet<P>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.packets.iter()
    }
}

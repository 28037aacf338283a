//! Whoever watches a simulated world: for traces, diagrams and properties.

use crate::command::{ClientId, Command};
use crate::protocol::{Envelope, Executed, Installed, Note, Protocol, Reply};
use crate::quorum::NodeId;
use crate::time::Time;

/// A message that was sent, and what becomes of it.
#[derive(Debug)]
pub struct Sent<'a, F, T, M> {
    /// The sender.
    pub from: F,
    /// The receiver.
    pub to: T,
    /// What is sent.
    pub message: &'a M,
    /// When it leaves.
    pub sent_at: Time,
    /// When it arrives; never, if it is lost on the way.
    pub arrives_at: Option<Time>,
    /// Whether it arrives once more, before or at the same time.
    pub is_duplicated: bool,
}

/// What happens in a world, in the order in which it does.
///
/// Every method does nothing unless it is written.
/// One that panics ends the run with a violation: properties are asserted here.
#[expect(unused_variables, reason = "the names of parameters are their documentation")]
pub trait Observer<P: Protocol> {
    /// A replica sends to another one.
    fn sent(&mut self, sent: &Sent<'_, NodeId, NodeId, P::Message>) {}

    /// A client asks a replica.
    fn asked(&mut self, sent: &Sent<'_, ClientId, NodeId, Command>) {}

    /// A replica answers a client.
    fn answered(&mut self, sent: &Sent<'_, NodeId, ClientId, Reply>) {}

    /// A replica, which is up, is given what another one sent.
    fn received(&mut self, now: Time, from: NodeId, to: NodeId, message: &P::Message) {}

    /// A replica, which is up, is given a request.
    fn requested(&mut self, now: Time, to: NodeId, command: &Command) {}

    /// A client is given an answer.
    fn told(&mut self, now: Time, from: NodeId, to: ClientId, reply: &Reply) {}

    /// A replica gives records to its disk.
    fn recorded(&mut self, now: Time, by: NodeId, records: &[P::Record]) {}

    /// Everything that the disk of a replica was given before a sync began is durable.
    fn synced(&mut self, now: Time, by: NodeId) {}

    /// A message that waited for the disk may leave, also one to the replica itself.
    fn released(&mut self, now: Time, by: NodeId, envelope: &Envelope<P::Message>) {}

    /// A replica executes a slot.
    fn executed(&mut self, now: Time, by: NodeId, executed: &Executed) {}

    /// A replica takes the state of another one.
    fn installed(&mut self, now: Time, by: NodeId, installed: &Installed) {}

    /// A replica says something about its work.
    fn noted(&mut self, now: Time, by: NodeId, note: &Note) {}

    /// A replica has done all it can do for now.
    fn turned(&mut self, now: Time, by: NodeId, protocol: &P) {}

    /// A replica stops, and has forgotten what is not on its disk; this is its last state.
    fn crashed(&mut self, now: Time, replica: NodeId, protocol: &P) {}

    /// A replica starts again with this state, from so many records behind its last checkpoint.
    fn restarted(&mut self, now: Time, replica: NodeId, protocol: &P, record_count: usize) {}

    /// A replica is told to lead.
    fn campaigned(&mut self, now: Time, replica: NodeId) {}
}

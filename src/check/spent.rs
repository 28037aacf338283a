//! Messages in flight that can never matter again: to forget them makes many states one.

use super::model::World;
use super::state::{Packet, State};
use crate::protocol::{Effects, Envelope, Input, Position, Protocol, Statement};
use crate::quiet::quietly;
use crate::quorum::NodeSet;
use crate::registry::Registration;
use crate::sabotage::Saboteur;
use crate::time::Time;

/// Whether a message changes nothing now, and therefore never will.
///
/// That follows for an answer: the attempt it answers is over, or has counted it, and its ballot
/// is never used again, which [`Invariant::BallotsUnique`](crate::monitor::Invariant::BallotsUnique) watches.
/// For a question it follows if the answer changes nothing, and for news of chosen slots always,
/// as long as the receiver does not crash.
pub(super) fn is_spent<P: Registration>(
    world: &World<P>,
    state: &State<P>,
    packet: &Packet<P>,
) -> bool {
    let statement = P::statement(&packet.message);
    let Some(replica) = state.node(packet.to).replica() else {
        return statement.is_answer() || !world.is_restarted();
    };
    let is_lasting = match &statement {
        answer if answer.is_answer() => true,
        Statement::Enquires => false,
        _ => !world.may_crash(state, packet.to),
    };
    if !is_lasting || is_news_to(replica, &statement) {
        return false;
    }
    let mut after = replica.clone();
    let mut effects = Effects::default();
    let input = Input::Message { from: packet.from, message: packet.message.clone() };
    if quietly(|| after.handle(Time::ZERO, input, &mut effects)).is_err() {
        return false;
    }
    let sends = std::mem::take(&mut effects.sends).into_iter();
    let mut sends = sends.chain(std::mem::take(&mut effects.durable_sends));
    effects == Effects::default()
        && after == *replica
        && sends.all(|Envelope { to, message }| {
            P::statement(&message).is_answer()
                && to == NodeSet::only(packet.from)
                && is_spent(world, state, &Packet { from: packet.to, to: packet.from, message })
        })
}

/// Whether an acceptor has not yet taken a stand on what it is asked: a cheap look before a dear one.
fn is_news_to<P: Registration>(replica: &Saboteur<P>, statement: &Statement<'_>) -> bool {
    match statement {
        Statement::Asks { ballot, log, scope, .. } => {
            replica.promised(Position { log: *log, slot: scope.first() }) < *ballot
        }
        Statement::Proposes { ballot, position, .. } => {
            replica.promised(*position) <= *ballot
                && replica.voted(*position).is_none_or(|voted| voted < *ballot)
        }
        _ => false,
    }
}

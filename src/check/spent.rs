//! Messages in flight that can never matter again: to forget them makes many states one.

use super::model::World;
use super::state::{Packet, State};
use crate::paxos::{Effects, Input, Message, Scope};
use crate::protocol::{Envelope, Protocol};
use crate::quiet::quietly;
use crate::quorum::NodeSet;
use crate::sabotage::Saboteur;
use crate::time::Time;

/// Whether a message changes nothing now, and therefore never will.
///
/// That follows for an answer: the attempt it answers is over, or has counted it, and its ballot
/// is never used again, which [`Claim::BallotsUnique`](super::claim::Claim::BallotsUnique) watches.
/// For a question it follows if the answer changes nothing, and for news of chosen slots always,
/// as long as the receiver does not crash.
pub(super) fn is_spent(world: &World, state: &State, packet: &Packet) -> bool {
    let Some(replica) = state.node(packet.to).replica() else {
        return is_answer(&packet.message) || !world.is_restarted();
    };
    let is_lasting = match &packet.message {
        Message::Phase1b { .. } | Message::Phase2b { .. } | Message::Refused { .. } => true,
        Message::Learn { .. } | Message::Reserved { .. } => false,
        _ => !world.may_crash(state, packet.to),
    };
    if !is_lasting || is_news_to(replica, &packet.message) {
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
            is_answer(&message)
                && to == NodeSet::only(packet.from)
                && is_spent(world, state, &Packet { from: packet.to, to: packet.from, message })
        })
}

/// Whether an acceptor has not yet taken a stand on what it is asked: a cheap look before a dear one.
fn is_news_to(replica: &Saboteur, message: &Message) -> bool {
    let acceptor = replica.replica().acceptor();
    match message {
        Message::Phase1a { ballot, scope: Scope::Only(slot) | Scope::From(slot), .. } => {
            acceptor.promised(*slot) < *ballot
        }
        Message::Phase2a { ballot, slot, .. } => {
            acceptor.promised(*slot) <= *ballot
                && acceptor.vote(*slot).is_none_or(|vote| vote.ballot < *ballot)
        }
        _ => false,
    }
}

const fn is_answer(message: &Message) -> bool {
    matches!(message, Message::Phase1b { .. } | Message::Phase2b { .. } | Message::Refused { .. })
}

//! Messages in flight that can never matter again: to forget them makes many states one.

use super::memo::echo;
use super::model::World;
use super::state::{Packet, Shared, State};
use crate::protocol::{Position, Protocol, Statement};
use crate::registry::Registration;
use crate::sabotage::Saboteur;

/// Whether a message changes nothing now, and therefore never will.
///
/// That follows for an answer: the attempt it answers is over, or has counted it, and its ballot
/// is never used again, which [`Invariant::BallotsUnique`](crate::monitor::Invariant::BallotsUnique) watches.
/// For a question it follows if the answer changes nothing, and for news of chosen slots always,
/// as long as the receiver does not crash.
pub(super) fn is_spent<P: Registration>(
    world: &World<P>,
    state: &State<P>,
    packet: &Shared<Packet<P>>,
) -> bool {
    let node = state.node(packet.to);
    let Some(driver) = &node.driver else {
        return P::statement(&packet.message).is_answer() || !world.is_restarted();
    };
    let may_crash = world.may_crash(state, packet.to);
    let key = (driver.digest(), packet.digest(), node.now.0 << 1 | u64::from(may_crash));
    let answers = world.echoes.get(key, || {
        let statement = P::statement(&packet.message);
        let is_lasting = match &statement {
            answer if answer.is_answer() => true,
            Statement::Enquires | Statement::OfRead { enquires: true, .. } => false,
            // What is heard of a leader now is old after a time-out.
            _ if world.has_silences() => false,
            _ => !may_crash,
        };
        if !is_lasting || is_news_to(driver.protocol(), &statement) {
            return None;
        }
        echo(driver.protocol(), node.now, packet)
    });
    answers.is_some_and(|answers| answers.iter().all(|answer| is_spent(world, state, answer)))
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

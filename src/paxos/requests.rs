//! Which requests are under way here: to ask again for one of them is no new proposal.
//!
//! A client that waits too long asks again.
//! If each retry were proposed in a slot of its own, a proposer that is slow for any reason would make
//! itself slower with every retry, and with many clients never be done.
//! So a proposer remembers where it put each request, until its client says that it awaits no answer:
//! a retry of one that is under way is dropped, for its answer comes in any case, and a retry of one
//! that was executed here is answered at once.
//!
//! Nothing here is needed for safety: the state machine executes a request once however often it is
//! chosen. It does not know what other proposers do.

use std::collections::BTreeMap;

use super::context::Context;
use super::window::Window;
use crate::command::{ClientId, Command, RequestId};
use crate::protocol::{Reply, Slot, Value};
use crate::time::{Span, Time};

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    /// It waits for the end of phase 1, or for a slot.
    Queue,
    /// It was proposed in this slot, and may be executed.
    Slot(Slot),
    /// Its client awaits no answer.
    Settled,
}

/// The requests of each client, by their numbers, and the answers that are owed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Requests {
    by_client: BTreeMap<ClientId, Window<Place>>,
    /// Own proposals that are chosen and wait for the slots before them.
    pub(super) awaiting: Window<Awaiting>,
}

/// When the stages of an own proposal were over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Awaiting {
    pub(super) request: RequestId,
    pub(super) queueing: Span,
    pub(super) phase1: Option<Span>,
    pub(super) phase2: Span,
    pub(super) chosen_at: Time,
}

impl Requests {
    /// Where a request is; `None` if it is new.
    pub(super) fn place(&self, request: RequestId) -> Option<Place> {
        let window = self.by_client.get(&request.client)?;
        let number = Slot(request.sequence);
        if number < window.first() { Some(Place::Settled) } else { window.get(number).copied() }
    }

    /// A command is there now.
    pub(super) fn put(&mut self, command: &Command, place: Place) {
        let window = self.by_client.entry(command.request.client).or_default();
        window.forget_below(Slot(command.settled_below));
        window.insert(Slot(command.request.sequence), place);
    }

    /// A request is not in this slot after all: another value is.
    pub(super) fn lose(&mut self, request: RequestId, slot: Slot) {
        if self.place(request) == Some(Place::Slot(slot))
            && let Some(window) = self.by_client.get_mut(&request.client)
        {
            window.remove(Slot(request.sequence));
        }
    }

    /// Forgets where all of them are; answers stay owed.
    pub(super) fn clear(&mut self) {
        self.by_client.clear();
    }
}

impl Context<'_> {
    /// Whether a command needs no proposal: it is under way, or was executed, and then it is answered.
    pub(super) fn is_retry(&mut self, command: &Command) -> bool {
        let request = command.request;
        let Some(place) = self.requests.place(request) else { return false };
        if let Place::Slot(slot) = place
            && slot < self.learner.executed_below()
            && let Some(outcome) = self.learner.machine().outcome(request)
        {
            // Its stamp may be forgotten with the slot: that of the last slot is later.
            let stamp = self.learner.value(slot).map_or(self.learner.newest, Value::stamp);
            self.tell_executed(stamp, Reply::Executed { request, slot, outcome });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Operation;

    fn command(sequence: u64, settled_below: u64) -> Command {
        let request = RequestId { client: ClientId(3), sequence };
        Command { request, settled_below, operation: Operation::Get { key: 1 } }
    }

    #[test]
    fn a_request_is_found_where_it_was_put_last() {
        let mut requests = Requests::default();
        let asked = command(7, 0);
        assert_eq!(requests.place(asked.request), None);
        requests.put(&asked, Place::Queue);
        assert_eq!(requests.place(asked.request), Some(Place::Queue));
        requests.put(&asked, Place::Slot(Slot(4)));
        requests.lose(asked.request, Slot(3));
        assert_eq!(requests.place(asked.request), Some(Place::Slot(Slot(4))));
        requests.lose(asked.request, Slot(4));
        assert_eq!(requests.place(asked.request), None);
    }

    #[test]
    fn a_settled_request_is_not_proposed_again_and_takes_no_room() {
        let mut requests = Requests::default();
        for sequence in 0..1_000 {
            requests.put(&command(sequence, sequence), Place::Slot(Slot(sequence)));
        }
        assert_eq!(requests.place(command(998, 0).request), Some(Place::Settled));
        assert_eq!(requests.by_client[&ClientId(3)].range(Slot(0)).count(), 1);
        requests.clear();
        assert_eq!(requests.place(command(998, 0).request), None);
    }
}

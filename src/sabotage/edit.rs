//! What a dishonest hand does to the inputs and effects of a replica.

use std::collections::BTreeSet;

use crate::paxos::{Ballot, Effects, Input, Message, Value};
use crate::protocol::{Envelope, Slot};
use crate::quorum::NodeSet;

/// A promise arrives as if nothing had been voted for.
pub(super) fn clear_reported(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { votes, .. }, .. } = input {
        votes.clear();
    }
}

/// A promise arrives as if no phase-2 quorum had been announced.
pub(super) fn clear_announced(input: &mut Input) {
    if let Input::Message {
        message: Message::Phase1b { announced, .. } | Message::PreVoteGranted { announced, .. },
        ..
    } = input
    {
        announced.clear();
    }
}

/// A promise arrives as if it reported every vote.
pub(super) fn complete_promise(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { reported_below, .. }, .. } = input {
        *reported_below = None;
    }
}

/// A promise arrives as if nothing had been trimmed.
pub(super) fn clear_trimmed(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { trimmed_below, .. }, .. } = input {
        *trimmed_below = Slot::ZERO;
    }
}

/// Whoever asks for more of a state names it as it was overstated.
pub(super) fn understate(input: &mut Input) {
    if let Input::Message { message: Message::Fetch { begun: Some((state, _)), .. }, .. } = input {
        *state = Slot(state.0.saturating_sub(1));
    }
}

/// Of the sends from `first` on, a state claims one slot more than it holds.
pub(super) fn overstate(effects: &mut Effects, first: usize) {
    for envelope in &mut effects.sends[first..] {
        if let Message::Snapshot { executed_below, .. } = &mut envelope.message {
            *executed_below = executed_below.next();
        }
    }
}

/// Promises say nothing of slots that are executed, nor that they do not.
pub(super) fn trim_reports(effects: &mut Effects, executed_below: Slot) {
    for envelope in effects.sends.iter_mut().chain(&mut effects.durable_sends) {
        if let Message::Phase1b { votes, trimmed_below, .. } = &mut envelope.message {
            *trimmed_below = Slot::ZERO;
            votes.retain(|(slot, _)| *slot >= executed_below);
        }
    }
}

/// Proposals go to nobody outside `prefix`.
pub(super) fn narrow_proposals(effects: &mut Effects, prefix: NodeSet) {
    for envelope in &mut effects.sends {
        if matches!(envelope.message, Message::Phase2a { .. }) {
            envelope.to = envelope.to.intersection(prefix);
        }
    }
    effects.sends.retain(|envelope| !envelope.to.is_empty());
}

/// Of the sends from `first` on, proposals that left before stay, and so do no-ops.
pub(super) fn propose_once(
    effects: &mut Effects,
    first: usize,
    proposed: &mut BTreeSet<(Ballot, Slot)>,
) {
    let is_kept_back = |envelope: &mut Envelope<Message>| match &envelope.message {
        Message::Phase2a { ballot, slot, value, .. } => {
            !proposed.insert((*ballot, *slot)) || *value == Value::Noop
        }
        _ => false,
    };
    effects.sends.extract_if(first.., is_kept_back).for_each(drop);
}

/// Of the sends from `first` on, no question who would promise another ballot leaves.
pub(super) fn drop_pre_votes(effects: &mut Effects, first: usize) {
    let is_pre_vote =
        |envelope: &mut Envelope<Message>| matches!(envelope.message, Message::PreVote { .. });
    effects.sends.extract_if(first.., is_pre_vote).for_each(drop);
}

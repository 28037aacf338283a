//! What a dishonest hand does to the inputs and effects of a replica of Paxos.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use super::{Breakable, Rule};
use crate::paxos::{Checkpoint, Effects, Input, Message, Replica};
use crate::protocol::{Ballot, Config, Envelope, Protocol, Slot, Value};
use crate::quorum::NodeSet;
use crate::time::{Span, Time};

/// What the hand remembers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hand {
    /// Of `fixed-prefix-thrifty-stall`: the only receivers of a Phase2a.
    prefix: NodeSet,
    /// Of `forgets-announced-early`: everybody.
    everybody: NodeSet,
    /// Of `witness-forgets-early`: whoever keeps a state machine.
    learners: NodeSet,
    /// Of `hole-in-log`: the proposals that left already.
    proposed: BTreeSet<(Ballot, Slot)>,
}

/// The rest of it never changes.
impl Hash for Hand {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.proposed.hash(state);
    }
}

impl Breakable for Replica {
    type Hand = Hand;

    const RULES: &'static [Rule] = &[
        Rule::CheckpointForgetsReservation,
        Rule::SkipsAdoption,
        Rule::IgnoresAnnouncedQuorums,
        Rule::ForgetsAnnouncedEarly,
        Rule::CountsPartialPromise,
        Rule::TrimmedSlotLostWrite,
        Rule::ReusesTrimmedSlot,
        Rule::OverstatesSnapshot,
        Rule::FixedPrefixThriftyStall,
        Rule::HoleInLog,
        Rule::NeverRenews,
        Rule::WitnessForgetsEarly,
        Rule::GrantsWhileLed,
        Rule::LeadsOnAfterLoss,
    ];

    fn hand(config: &Config) -> Hand {
        let everybody = config.everybody();
        let prefix = config.quorums.phase2().first_in(&config.nearest_first);
        let learners = config.quorums.learners();
        let prefix = prefix.unwrap_or(everybody);
        Hand { prefix, everybody, learners, proposed: BTreeSet::new() }
    }

    fn handle_broken(
        &mut self,
        rule: Rule,
        hand: &mut Hand,
        mut now: Time,
        mut input: Input,
        effects: &mut Effects,
    ) {
        if rule == Rule::GrantsWhileLed && is_pre_vote(&input) {
            now = now + LONG;
        }
        match rule {
            Rule::SkipsAdoption => clear_reported(&mut input),
            Rule::IgnoresAnnouncedQuorums => clear_announced(&mut input),
            Rule::CountsPartialPromise => complete_promise(&mut input),
            Rule::ReusesTrimmedSlot => clear_trimmed(&mut input),
            Rule::OverstatesSnapshot => understate(&mut input),
            _ => {}
        }
        // Effects may hold those of earlier inputs: what is edited once only begins here.
        let first_send = effects.sends.len();
        let settled = match &input {
            Input::Message { message: Message::Settle { ballot, .. }, .. } => Some(*ballot),
            _ => None,
        };
        let executed_below = match &input {
            Input::Message { message: Message::Executed { below }, .. } => Some(*below),
            _ => None,
        };
        let may_lose = rule == Rule::LeadsOnAfterLoss && self.is_leader();
        let before = (may_lose && is_news_of_others(&input)).then(|| self.clone());
        self.handle(now, input, effects);
        if let Some(before) = before {
            self.lead_on(&before);
        }
        match rule {
            Rule::TrimmedSlotLostWrite => trim_reports(effects, Slot(self.progress().0)),
            Rule::OverstatesSnapshot => overstate(effects, first_send),
            Rule::FixedPrefixThriftyStall => narrow_proposals(effects, hand.prefix),
            Rule::HoleInLog => propose_once(effects, first_send, &mut hand.proposed),
            Rule::NeverRenews if self.is_leader() => drop_pre_votes(effects, first_send),
            Rule::WitnessForgetsEarly if !self.is_learner() => {
                if let Some(below) = executed_below {
                    for from in hand.learners.iter() {
                        let message = Message::Executed { below };
                        self.handle(now, Input::Message { from, message }, effects);
                    }
                }
            }
            Rule::ForgetsAnnouncedEarly => {
                if let Some(ballot) = settled {
                    for from in hand.everybody.iter() {
                        let message = Message::Settled { ballot };
                        self.handle(now, Input::Message { from, message }, effects);
                    }
                }
            }
            _ => {}
        }
    }

    fn falsify_checkpoint(rule: Rule, checkpoint: &mut Checkpoint) {
        if rule == Rule::CheckpointForgetsReservation {
            checkpoint.forget_reservation();
        }
    }
}

/// So long nobody is silent who is alive.
const LONG: Span = Span::from_millis(3_600_000);

/// Whether a candidate asks who would promise.
const fn is_pre_vote(input: &Input) -> bool {
    matches!(input, Input::Message { message: Message::PreVote { .. }, .. })
}

/// Whether others tell what they know to be chosen.
const fn is_news_of_others(input: &Input) -> bool {
    let Input::Message { message, .. } = input else { return false };
    matches!(message, Message::Values { .. } | Message::Snapshot { .. })
}

/// A promise arrives as if nothing had been voted for.
fn clear_reported(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { votes, .. }, .. } = input {
        votes.clear();
    }
}

/// A promise arrives as if no phase-2 quorum had been announced.
fn clear_announced(input: &mut Input) {
    if let Input::Message {
        message: Message::Phase1b { announced, .. } | Message::PreVoteGranted { announced, .. },
        ..
    } = input
    {
        announced.clear();
    }
}

/// A promise arrives as if it reported every vote.
fn complete_promise(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { reported_below, .. }, .. } = input {
        *reported_below = None;
    }
}

/// A promise arrives as if nothing had been trimmed.
fn clear_trimmed(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { trimmed_below, .. }, .. } = input {
        *trimmed_below = Slot::ZERO;
    }
}

/// Whoever asks for more of a state names it as it was overstated.
fn understate(input: &mut Input) {
    if let Input::Message { message: Message::Fetch { begun: Some((state, _)), .. }, .. } = input {
        *state = Slot(state.0.saturating_sub(1));
    }
}

/// Of the sends from `first` on, a state claims one slot more than it holds.
fn overstate(effects: &mut Effects, first: usize) {
    for envelope in &mut effects.sends[first..] {
        if let Message::Snapshot { executed_below, .. } = &mut envelope.message {
            *executed_below = executed_below.next();
        }
    }
}

/// Promises say nothing of slots that are executed, nor that they do not.
fn trim_reports(effects: &mut Effects, executed_below: Slot) {
    for envelope in effects.sends.iter_mut().chain(&mut effects.durable_sends) {
        if let Message::Phase1b { votes, trimmed_below, .. } = &mut envelope.message {
            *trimmed_below = Slot::ZERO;
            votes.retain(|(slot, _)| *slot >= executed_below);
        }
    }
}

/// Proposals go to nobody outside `prefix`.
fn narrow_proposals(effects: &mut Effects, prefix: NodeSet) {
    for envelope in &mut effects.sends {
        if matches!(envelope.message, Message::Phase2a { .. }) {
            envelope.to = envelope.to.intersection(prefix);
        }
    }
    effects.sends.retain(|envelope| !envelope.to.is_empty());
}

/// Of the sends from `first` on, proposals that left before stay, and so do no-ops.
fn propose_once(effects: &mut Effects, first: usize, proposed: &mut BTreeSet<(Ballot, Slot)>) {
    let is_kept_back = |envelope: &mut Envelope<Message>| match &envelope.message {
        Message::Phase2a { ballot, slot, value, .. } => {
            !proposed.insert((*ballot, *slot)) || *value == Value::Noop
        }
        _ => false,
    };
    effects.sends.extract_if(first.., is_kept_back).for_each(drop);
}

/// Of the sends from `first` on, no question who would promise another ballot leaves.
fn drop_pre_votes(effects: &mut Effects, first: usize) {
    let is_pre_vote =
        |envelope: &mut Envelope<Message>| matches!(envelope.message, Message::PreVote { .. });
    effects.sends.extract_if(first.., is_pre_vote).for_each(drop);
}

//! What a dishonest hand does to the inputs, effects and records of a replica of CASPaxos.

use std::collections::BTreeSet;

use super::{Breakable, Rule};
use crate::caspaxos::{Effects, Input, Message, Record, Replica};
use crate::protocol::{Ballot, Config, Protocol};
use crate::time::Now;

/// What the hand remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hand {
    /// Of `takes-any-base`: the attempts that were told of a vote.
    told: BTreeSet<(u64, Ballot)>,
}

impl Breakable for Replica {
    type Hand = Hand;

    const RULES: &'static [Rule] = &[
        Rule::SkipsAdoption,
        Rule::TakesAnyBase,
        Rule::ForgetsRequest,
        Rule::ForgetsCarriedPromise,
    ];

    fn hand(_: &Config) -> Hand {
        Hand::default()
    }

    fn handle_broken(
        &mut self,
        rule: Rule,
        hand: &mut Hand,
        now: Now,
        mut input: Input,
        effects: &mut Effects,
    ) {
        if let Input::Message { message: Message::Phase1b { key, ballot, vote }, .. } = &mut input {
            // A promise arrives as if nothing had been voted for: always, or after the first vote.
            let is_first =
                rule == Rule::TakesAnyBase && (vote.is_none() || hand.told.insert((*key, *ballot)));
            if !is_first && matches!(rule, Rule::SkipsAdoption | Rule::TakesAnyBase) {
                *vote = None;
            }
        }
        // Effects may hold those of earlier inputs.
        let first_send = effects.sends.len();
        self.handle(now, input, effects);
        if rule == Rule::ForgetsRequest {
            for envelope in &mut effects.sends[first_send..] {
                if let Message::Phase2a { state, .. } = &mut envelope.message {
                    state.sessions.clear();
                }
            }
        }
    }

    fn falsify(rule: Rule, record: &mut Record) {
        if let (Rule::ForgetsCarriedPromise, Record::Vote { vote, promised, .. }) = (rule, record) {
            *promised = vote.ballot;
        }
    }
}

//! The wire of one replica, as far as it knows how fast it sends: a time-out must not take a long way to
//! the wire for a loss.

use super::Effects;
use super::message::Message;
use crate::command::Outcome;
use crate::protocol::{Config, Reply, Value};
use crate::quorum::NodeSet;
use crate::time::{Span, Time};

/// The wire of one replica, as far as it knows how fast it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Wire {
    /// All that it was given has left then.
    sent_until: Time,
}

impl Wire {
    /// A value is given to the wire: when it has left for all of these, behind what was before it.
    pub(super) fn put(&mut self, now: Time, value: &Value, to: NodeSet, config: &Config) -> Time {
        let receivers = to.without(config.id).len();
        self.sent_until = self.sent_until.max(now);
        self.sent_until = self.sent_until + config.timing.capacity.takes(value.size(), receivers);
        self.sent_until
    }

    /// What one input made it send shares the wire with its proposals, which are counted already.
    pub(super) fn count_sent(
        &mut self,
        now: Time,
        before: [usize; 3],
        effects: &Effects,
        config: &Config,
    ) {
        let capacity = config.timing.capacity;
        if !capacity.is_limited() {
            return;
        }
        let [sends, durable_sends, replies] = before;
        let sent = effects.sends[sends..].iter();
        let sent = sent.chain(effects.durable_sends.iter().skip(durable_sends));
        let sent = sent.filter(|it| !matches!(it.message, Message::Phase2a { .. }));
        let others = |to: NodeSet| to.without(config.id).len();
        let messages = sent.map(|it| capacity.takes(it.message.payload(), others(it.to)));
        let answers = effects.replies[replies..].iter().map(|reply| match reply {
            Reply::Executed { outcome: Outcome::Read(Some(value)), .. }
            | Reply::Read { value: Some(value), .. } => value.len(),
            Reply::Executed { .. } | Reply::Read { .. } | Reply::NotLeader { .. } => 0,
        });
        let answers = answers.map(|bytes| capacity.takes(bytes, 1));
        let takes = messages.chain(answers).fold(Span::ZERO, |sum, takes| sum + takes);
        self.sent_until = self.sent_until.max(now) + takes;
    }
}

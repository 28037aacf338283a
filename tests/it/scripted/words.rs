//! How messages, values and replies are written in a script.

use flexpaxos::command::{Command, Operation, Outcome};
use flexpaxos::paxos::{Message, Scope, Value, Vote};
use flexpaxos::protocol::{Reply, Slot};
use flexpaxos::quorum::NodeSet;

/// `r0 r2`.
pub(crate) fn nodes(nodes: NodeSet) -> String {
    let names: Vec<String> = nodes.iter().map(|node| node.to_string()).collect();
    names.join(" ")
}

/// `x=1`, `x?`, or `no-op`.
pub(crate) fn command(command: Option<&Command>) -> String {
    match command.map(|command| &command.operation) {
        None => "no-op".to_owned(),
        Some(Operation::Put { key, value: bytes }) => {
            format!("{}={}", self::key(*key), String::from_utf8_lossy(bytes))
        }
        Some(Operation::Get { key }) => format!("{}?", self::key(*key)),
    }
}

fn key(key: u64) -> String {
    let letter = u32::try_from(key).ok().and_then(char::from_u32);
    letter.filter(char::is_ascii_lowercase).map_or_else(|| key.to_string(), String::from)
}

/// The value of a slot, as [`command`].
pub(crate) fn value(value: &Value) -> String {
    command(value.command())
}

/// `slot 0 at (1.r0): x=1`.
pub(crate) fn vote(slot: Slot, vote: &Vote) -> String {
    format!("{slot} at {}: {}", vote.ballot, value(&vote.value))
}

/// The name of a message by itself, as `deliver` takes it.
pub(crate) fn kind(message: &Message) -> &'static str {
    match message {
        Message::Phase1a { .. } => "phase1a",
        Message::Phase1b { .. } => "phase1b",
        Message::Phase2a { .. } => "phase2a",
        Message::Phase2b { .. } => "phase2b",
        Message::Refused { .. } => "refused",
        Message::Chosen { .. } => "chosen",
        Message::Learn { .. } => "learn",
        Message::Values { .. } => "values",
        Message::Executed { .. } => "executed",
        Message::Reserved { .. } => "reserved",
    }
}

fn scope(scope: Scope) -> String {
    match scope {
        Scope::Only(slot) => slot.to_string(),
        Scope::From(slot) => format!("from {slot}"),
    }
}

/// A whole message, its name first.
pub(crate) fn message(message: &Message) -> String {
    let rest = match message {
        Message::Phase1a { ballot, scope: asked } => format!("{ballot} {}", scope(*asked)),
        Message::Phase1b { ballot, scope: asked, votes } => {
            let votes: Vec<String> = votes.iter().map(|(slot, voted)| vote(*slot, voted)).collect();
            let votes = if votes.is_empty() { "nothing".to_owned() } else { votes.join(", ") };
            format!("{ballot} {}, voted {votes}", scope(*asked))
        }
        Message::Phase2a { ballot, slot, value: proposed, chosen_below } => {
            let chosen = match chosen_below.0.checked_sub(1) {
                Some(last) => format!(", chosen up to {}", Slot(last)),
                None => String::new(),
            };
            format!("{ballot} {slot}: {}{chosen}", value(proposed))
        }
        Message::Phase2b { ballot, first, last } if first == last => format!("{ballot} {first}"),
        Message::Phase2b { ballot, first, last } => format!("{ballot} {first} to {}", last.0),
        Message::Refused { ballot, promised, slot } => {
            format!("{ballot} {slot}, promised {promised}")
        }
        Message::Chosen { ballot, first, below } => {
            format!("{ballot} {first} to before {}", below.0)
        }
        Message::Learn { first, below: Slot(u64::MAX) } => format!("{first} and all later"),
        Message::Learn { first, below } => format!("{first} to before {}", below.0),
        Message::Values { first, values, executed_below } => {
            let values: Vec<String> = values.iter().map(value).collect();
            let values = if values.is_empty() { "none".to_owned() } else { values.join(", ") };
            format!("from {first}: {values}; executed below {}", executed_below.0)
        }
        Message::Executed { below } => format!("durably below {}", below.0),
        Message::Reserved { below } => format!("below {below}"),
    };
    format!("{} {rest}", kind(message))
}

/// What a client is told.
pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Executed { slot, outcome: Outcome::Stored, .. } => format!("stored at {slot}"),
        Reply::Executed { slot, outcome: Outcome::Read(None), .. } => {
            format!("read nothing at {slot}")
        }
        Reply::Executed { slot, outcome: Outcome::Read(Some(value)), .. } => {
            format!("read {} at {slot}", String::from_utf8_lossy(value))
        }
        Reply::NotLeader { leader: Some(leader), .. } => format!("ask {leader}"),
        Reply::NotLeader { leader: None, .. } => "ask somebody else".to_owned(),
    }
}

//! How messages and records read in a trace, a counterexample or a script.

use std::fmt::{self, Display};

use super::message::{Message, Record, Vote};
use super::register::State;
use crate::command::legible_key;

impl Message {
    /// The name of the message by itself: `phase1a`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Phase1a { .. } => "phase1a",
            Self::Phase1b { .. } => "phase1b",
            Self::Phase2a { .. } => "phase2a",
            Self::Phase2b { .. } => "phase2b",
            Self::Refused { .. } => "refused",
            Self::Chosen { .. } => "chosen",
            Self::Reserved { .. } => "reserved",
        }
    }
}

/// A whole message, its name first.
impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind())?;
        match self {
            Self::Phase1a { key, ballot } => write!(f, "{ballot} of {}", legible_key(*key)),
            Self::Phase1b { key, ballot, vote } => {
                write!(f, "{ballot} of {}, voted ", legible_key(*key))?;
                match vote {
                    None => f.write_str("nothing"),
                    Some(vote) => vote.fmt(f),
                }
            }
            Self::Phase2a { key, ballot, state, next } => {
                write!(f, "{ballot} of {}: {state}", legible_key(*key))?;
                next.map_or(Ok(()), |next| write!(f, ", then {next}"))
            }
            Self::Phase2b { key, ballot, slot, next } => {
                write!(f, "{ballot} {slot} of {}", legible_key(*key))?;
                next.map_or(Ok(()), |next| write!(f, ", promised {next}"))
            }
            Self::Refused { key, ballot, promised } => {
                write!(f, "{ballot} of {}, promised {promised}", legible_key(*key))
            }
            Self::Chosen { key, ballot, slot } => {
                write!(f, "{ballot} {slot} of {}", legible_key(*key))
            }
            Self::Reserved { below } => write!(f, "rounds below {below}"),
        }
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rounds { below } => write!(f, "rounds below {below}"),
            Self::Promise { key, ballot } => {
                write!(f, "promise {ballot} of {}", legible_key(*key))
            }
            Self::Vote { key, vote, promised } => {
                write!(f, "vote of {} {vote}", legible_key(*key))?;
                if *promised == vote.ballot { Ok(()) } else { write!(f, ", promise {promised}") }
            }
        }
    }
}

/// `at (1.r0): slot 0 x=1`.
impl Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.ballot, self.state)
    }
}

/// `slot 1 x=2`, and in brackets what it carries besides.
impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(((slot, value), before)) = self.carried.split_last() else {
            return f.write_str("nothing");
        };
        write!(f, "{slot} {value}")?;
        let before: Vec<String> =
            before.iter().map(|(slot, value)| format!("{} {value}", slot.0)).collect();
        if before.is_empty() { Ok(()) } else { write!(f, " (after {})", before.join(", ")) }
    }
}

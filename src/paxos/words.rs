//! How messages and records read in a trace, a counterexample or a script.

use std::fmt::{self, Display};

use super::announced::Announced;
use super::message::{Message, Record, Report, Vote};
use crate::command::RequestId;
use crate::protocol::Slot;

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
            Self::Learn { .. } => "learn",
            Self::Values { .. } => "values",
            Self::Trimmed { .. } => "trimmed",
            Self::Fetch { .. } => "fetch",
            Self::Snapshot { .. } => "snapshot",
            Self::Executed { .. } => "executed",
            Self::Heartbeat { .. } => "heartbeat",
            Self::HeartbeatAck { .. } => "heartbeat-ack",
            Self::PreVote { .. } => "pre-vote",
            Self::PreVoteGranted { .. } => "pre-vote-granted",
            Self::Settle { .. } => "settle",
            Self::Settled { .. } => "settled",
            Self::AskEnd { .. } => "ask-end",
            Self::End { .. } => "end",
            Self::Renew { .. } => "renew",
            Self::Grant { .. } => "grant",
            Self::Reserved { .. } => "reserved",
        }
    }
}

/// A whole message, its name first.
impl Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind())?;
        match self {
            Self::Phase1a { ballot, scope, quorum } => {
                write!(f, "{ballot} {scope}")?;
                quorum.map_or(Ok(()), |quorum| write!(f, ", phase 2 by {quorum}"))
            }
            Self::Phase1b { ballot, scope, report } => {
                let Report { votes, announced, trimmed_below, reported_below, .. } = &**report;
                write!(f, "{ballot} {scope}, voted ")?;
                let vote = |(slot, vote): &(Slot, Vote)| format!("{slot} {vote}");
                list(f, "nothing", votes.iter().map(vote))?;
                if *trimmed_below > Slot::ZERO {
                    write!(f, "; trimmed below {}", trimmed_below.0)?;
                }
                if let Some(below) = reported_below {
                    write!(f, "; only below {}", below.0)?;
                }
                meet(f, announced)
            }
            Self::Phase2a { ballot, slot, value, chosen_below } => {
                write!(f, "{ballot} {slot}: {value}")?;
                match chosen_below.0.checked_sub(1) {
                    Some(last) => write!(f, ", chosen up to {}", Slot(last)),
                    None => Ok(()),
                }
            }
            Self::Phase2b { ballot, first, last } if first == last => write!(f, "{ballot} {first}"),
            Self::Phase2b { ballot, first, last } => write!(f, "{ballot} {first} to {}", last.0),
            Self::Refused { ballot, promised, slot } => {
                write!(f, "{ballot} {slot}, promised {promised}")
            }
            Self::Chosen { ballot, first, below } => {
                write!(f, "{ballot} {first} to before {}", below.0)
            }
            Self::Learn { first, below: Slot(u64::MAX) } => write!(f, "{first} and all later"),
            Self::Learn { first, below } => write!(f, "{first} to before {}", below.0),
            Self::Values { first, values, executed_below } => {
                write!(f, "from {first}: ")?;
                list(f, "none", values)?;
                write!(f, "; executed below {}", executed_below.0)
            }
            Self::Trimmed { below } => write!(f, "below {}", below.0),
            Self::Fetch { executed_below, begun } => {
                write!(f, "beyond {}", executed_below.0)?;
                begun.map_or(Ok(()), |(state, place)| {
                    write!(f, ", of the state below {} from {place} on", state.0)
                })
            }
            Self::Snapshot { executed_below, begin, next, .. } => {
                write!(f, "executed below {}, from {begin} ", executed_below.0)?;
                match next {
                    Some(next) => write!(f, "to before {next}"),
                    None => f.write_str("on"),
                }
            }
            Self::Executed { below } => write!(f, "durably below {}", below.0),
            Self::Heartbeat { ballot, chosen_below } => {
                write!(f, "{ballot}, chosen below {}", chosen_below.0)
            }
            Self::HeartbeatAck { ballot } | Self::Settled { ballot } => ballot.fmt(f),
            Self::PreVoteGranted { ballot, announced } => {
                write!(f, "{ballot}")?;
                meet(f, announced)
            }
            Self::PreVote { ballot, executed_below } => {
                write!(f, "{ballot}, executed below {}", executed_below.0)
            }
            Self::Settle { ballot, below } => write!(f, "{ballot}, executed below {}", below.0),
            Self::AskEnd { request } => write_request(f, *request),
            Self::End { request, below, announced } => {
                write_request(f, *request)?;
                write!(f, ", nothing from {} on", below.0)?;
                meet(f, announced)
            }
            Self::Renew { ballot, to, fresh, .. } => {
                write!(f, "{ballot} for {to}, fresh from {} on", fresh.0)
            }
            Self::Grant { ballot, stamp } => write!(f, "{ballot} at {} ns", stamp.0),
            Self::Reserved { below } => write!(f, "below {below}"),
        }
    }
}

/// `c1's 4`.
fn write_request(f: &mut fmt::Formatter<'_>, request: RequestId) -> fmt::Result {
    write!(f, "c{}'s {}", request.client.0, request.sequence)
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rounds { below } => write!(f, "rounds below {below}"),
            Self::Promise { ballot, scope, .. } => write!(f, "promise {ballot} {scope}"),
            Self::Vote { slot, vote } => write!(f, "vote {slot} {vote}"),
            Self::Learned { slot, value } => write!(f, "chosen {slot}: {value}"),
            Self::Settled { ballot, below } => {
                write!(f, "settled {ballot}, executed below {}", below.0)
            }
            Self::Forgotten { below } => write!(f, "quorums of ballots below {below} forgotten"),
        }
    }
}

/// `from slot 3`, or `slot 3` alone.
/// `at (1.r0): x=1`.
impl Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.ballot, self.value)
    }
}

/// The command, or `no-op`.
fn list<T: Display>(
    f: &mut fmt::Formatter<'_>,
    none: &str,
    items: impl IntoIterator<Item = T>,
) -> fmt::Result {
    let mut is_first = true;
    for item in items {
        let separator = if is_first { "" } else { ", " };
        write!(f, "{separator}{item}")?;
        is_first = false;
    }
    if is_first { f.write_str(none) } else { Ok(()) }
}

/// `, to meet {0, 1} {2, 3}`, if there is anything to meet.
fn meet(f: &mut fmt::Formatter<'_>, announced: &Announced) -> fmt::Result {
    if announced.is_empty() {
        return Ok(());
    }
    f.write_str(", to meet")?;
    announced.quorums().try_for_each(|quorum| write!(f, " {quorum}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClientId, Cut};
    use crate::protocol::{Ballot, Scope, Value};
    use crate::quorum::{NodeId, NodeSet};

    const BALLOT: Ballot = Ballot { round: 2, proposer: NodeId(1) };

    fn promise(report: Report) -> Message {
        let report = Box::new(report);
        Message::Phase1b { ballot: BALLOT, scope: Scope::From(Slot(3)), report }
    }

    fn check(message: &impl Display, expected: &str) {
        assert_eq!(message.to_string(), expected);
    }

    #[test]
    fn a_promise_says_what_it_reports_and_what_it_leaves_out() {
        check(&promise(Report::default()), "phase1b (2.r1) from slot 3, voted nothing");
        let vote = Vote { ballot: Ballot { round: 1, ..BALLOT }, value: Value::Noop };
        let mut announced = Announced::default();
        announced.insert(BALLOT, NodeSet::from_mask(0b101));
        let votes = vec![(Slot(3), vote.clone()), (Slot(5), vote)];
        let (trimmed_below, reported_below) = (Slot(2), Some(Slot(6)));
        let report =
            Report { votes, announced, trimmed_below, reported_below, ..Report::default() };
        check(
            &promise(report),
            "phase1b (2.r1) from slot 3, voted slot 3 at (1.r1): no-op, slot 5 at (1.r1): no-op; \
             trimmed below 2; only below 6, to meet {0, 2}",
        );
    }

    #[test]
    fn stretches_of_slots_name_their_ends() {
        let (ballot, first) = (BALLOT, Slot(4));
        let quorum = Some(NodeSet::from_mask(0b11));
        let scope = Scope::Only(first);
        check(&Message::Phase1a { ballot, scope, quorum: None }, "phase1a (2.r1) slot 4");
        let all = Scope::From(first);
        let announced = Message::Phase1a { ballot, scope: all, quorum };
        check(&announced, "phase1a (2.r1) from slot 4, phase 2 by {0, 1}");
        let proposal = |below| Message::Phase2a {
            ballot,
            slot: first,
            value: Value::Noop,
            chosen_below: Slot(below),
        };
        check(&proposal(0), "phase2a (2.r1) slot 4: no-op");
        check(&proposal(3), "phase2a (2.r1) slot 4: no-op, chosen up to slot 2");
        check(&Message::Phase2b { ballot, first, last: first }, "phase2b (2.r1) slot 4");
        check(&Message::Phase2b { ballot, first, last: Slot(6) }, "phase2b (2.r1) slot 4 to 6");
        let everything = Message::Learn { first, below: Slot(u64::MAX) };
        check(&everything, "learn slot 4 and all later");
        check(&Message::Learn { first, below: Slot(9) }, "learn slot 4 to before 9");
        let values = |values| Message::Values { first, values, executed_below: Slot(7) };
        check(&values(Vec::new()), "values from slot 4: none; executed below 7");
        let two = values(vec![Value::Noop, Value::Noop]);
        check(&two, "values from slot 4: no-op, no-op; executed below 7");
    }

    #[test]
    fn states_and_questions_name_their_places() {
        let part = |next| Message::Snapshot {
            executed_below: Slot(7),
            begin: Cut::START,
            next,
            content: Box::default(),
            newest: None,
        };
        check(&part(None), "snapshot executed below 7, from key 0 on");
        check(&part(Some(Cut::Key(9))), "snapshot executed below 7, from key 0 to before key 9");
        let fetch = |begun| Message::Fetch { executed_below: Slot(7), begun };
        check(&fetch(None), "fetch beyond 7");
        let begun = Some((Slot(8), Cut::Key(9)));
        check(&fetch(begun), "fetch beyond 7, of the state below 8 from key 9 on");
        let request = RequestId { client: ClientId(3), sequence: 5 };
        check(&Message::AskEnd { request }, "ask-end c3's 5");
        let announced = Announced::default();
        let end = Message::End { request, below: Slot(2), announced };
        check(&end, "end c3's 5, nothing from 2 on");
        check(&Record::Learned { slot: Slot(2), value: Value::Noop }, "chosen slot 2: no-op");
    }
}

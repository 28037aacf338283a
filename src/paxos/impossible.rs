//! Messages that no replica that follows the protocol ever sends.
//!
//! Paxos survives whatever is late, lost, repeated or reordered, and no liar.
//! A peer that says what cannot be said has a fault that Paxos does not promise to survive, and what
//! else it said is not to be believed either; so drivers ask [`Message::check`] before a message is
//! handled, and drop the peer with the evidence.
//!
//! An honest message must never be refused, however old: that is asserted in every simulated and in
//! every model-checked run. Why each of these is impossible:
//!
//! | message | holds for every honest one, because |
//! |---|---|
//! | any | its ballots are of replicas that exist and have a round above 0, which belongs to nobody; rounds and slots grow one by one, and 2^62 of either outlast any run |
//! | `Phase1a`, `Phase2a`, `Chosen`, `Heartbeat`, `PreVote`, `Settle`, `Renew` | nobody speaks for another proposer: the ballot is the sender's own, of this life or an earlier one |
//! | `Phase1b`, `Phase2b`, `Refused`, `HeartbeatAck`, `PreVoteGranted` | they go to the proposer that asked, so the ballot is the receiver's own, of this life or an earlier one |
//! | `Phase1b` | votes are collected in the order of slots, from the scope; an acceptor that voted above the ballot refuses instead, and one that is asked again may report a vote at it |
//! | `Phase1b`, `PreVoteGranted` | what they report as announced was announced at lower ballots, by some replicas for each |
//! | `End` | what it reports as announced are ballots that can be |
//! | `Phase1b`, `Renew` | grants are to replicas that exist |
//! | `Snapshot` | a part ends behind where it begins |
//! | of a witness | it neither proposes nor executes, so it asks for nothing and teaches nothing |
//! | of an observer | it neither proposes nor votes |
//! | `Phase2b` | votes are merged upwards, within one batch of proposals |
//! | `Refused` | only a higher promise refuses |
//! | `Chosen`, `Learn` | ranges begin where they end or before |
//! | `Reserved` | it is never sent: a replica gives it to itself |
//! | a command | its own request is not settled, a client keeps fewer than 2^24 open (each costs it a hundred bytes), and values have a longest length |
//!
//! Whether a slot is too far away to be remembered is no question of honesty: who is behind by a
//! million slots is told of them by honest peers.
//! That is bounded where it is handled (`Bounds::horizon`), by taking such messages
//! for lost.
//! What a liar may still do: outbid everybody, withhold votes, teach values that were never chosen.
//! One that uses the last round makes honest proposers go beyond it; the first accused is the liar.

use super::announced::Announced;
use super::message::{Message, Report, Vote};
use crate::command::{self, Cut};
use crate::protocol::{Ballot, Config, Scope, Slot, Value};
use crate::quorum::{NodeId, NodeSet};

/// No honest ballot has a higher round.
const ROUND_MAX: u64 = 1 << 62;
/// Above every honest ballot.
const HIGHEST: Ballot = Ballot { round: ROUND_MAX + 1, proposer: NodeId(0) };
/// No honest message names a later slot, except for [`Message::Learn`], which may ask for everything.
const SLOT_MAX: u64 = 1 << 62;
/// Votes of one batch are fewer.
const VOTES_MAX: u64 = 1 << 24;

/// Why nobody that follows the protocol sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// There is no such sender.
    #[error("{from} is none of the {n} replicas")]
    Sender {
        /// Who sent it.
        from: NodeId,
        /// How many replicas there are.
        n: usize,
    },
    /// A ballot that cannot be.
    #[error("ballot {ballot} is nobody's: rounds go from 1 to 2^62, and there are {n} replicas")]
    Ballot {
        /// Which.
        ballot: Ballot,
        /// How many replicas there are.
        n: usize,
    },
    /// Somebody speaks for another proposer.
    #[error("{from} speaks at ballot {ballot}, which is not its own")]
    NotSenders {
        /// Who.
        from: NodeId,
        /// Whose ballot.
        ballot: Ballot,
    },
    /// An answer to somebody else.
    #[error("it answers ballot {ballot}, which {to} never used")]
    NotReceivers {
        /// Who was answered.
        to: NodeId,
        /// At which ballot.
        ballot: Ballot,
    },
    /// A slot that no run reaches.
    #[error("{slot} is beyond every log")]
    Slot {
        /// Which.
        slot: Slot,
    },
    /// A range that ends before it begins, or that no batch has.
    #[error("no range goes from {first} to {}", .end.0)]
    Range {
        /// Where it begins.
        first: Slot,
        /// Where it ends.
        end: Slot,
    },
    /// Votes that are not in the order of slots.
    #[error("its votes are out of order at {slot}")]
    Order {
        /// Where.
        slot: Slot,
    },
    /// A vote that was not asked for.
    #[error("it reports a vote in {slot}, which is outside of the scope")]
    Scope {
        /// Where.
        slot: Slot,
    },
    /// A vote at a higher ballot than the one promised.
    #[error("it promises {promised} and reports a vote in {slot} at {voted}")]
    Vote {
        /// What is promised.
        promised: Ballot,
        /// Where.
        slot: Slot,
        /// What was voted.
        voted: Ballot,
    },
    /// A phase-2 quorum of nobody or of strangers.
    #[error("{quorum} is no phase-2 quorum of {n} replicas")]
    Quorum {
        /// Which.
        quorum: NodeSet,
        /// How many replicas there are.
        n: usize,
    },
    /// An announcement that nobody asked for.
    #[error("it promises {promised} and reports what was announced at {ballot}")]
    Announced {
        /// What is promised.
        promised: Ballot,
        /// Which ballot announced it.
        ballot: Ballot,
    },
    /// Leases of strangers.
    #[error("it is about leases of {nodes}, and there are {n} replicas")]
    Responders {
        /// Whose.
        nodes: NodeSet,
        /// How many replicas there are.
        n: usize,
    },
    /// A part of a state that ends before it begins.
    #[error("no part of a state goes from {begin} to before {next}")]
    Part {
        /// Where it begins.
        begin: Cut,
        /// Where the next one does.
        next: Cut,
    },
    /// A refusal without a reason.
    #[error("it refuses {ballot} for the promise of {promised}, which is not higher")]
    Refusal {
        /// What is refused.
        ballot: Ballot,
        /// What was promised.
        promised: Ballot,
    },
    /// Something that takes a part which the sender does not have.
    #[error("{from} is no full replica but {role}, and never sends this")]
    Role {
        /// Who sent it.
        from: NodeId,
        /// `a witness` or `an observer`.
        role: &'static str,
    },
    /// Something that is said to oneself only.
    #[error("no replica sends this to another one")]
    Inward,
    /// A command that no client asks for.
    #[error(transparent)]
    Command(#[from] command::Impossible),
}

impl Message {
    /// Whether a replica that follows the protocol may have sent this to the replica of `config`, now
    /// or at any time before; it does not look at anybody's state.
    pub fn check(&self, from: NodeId, config: &Config) -> Result<(), Impossible> {
        let n = config.quorums.n();
        if usize::from(from.0) >= n {
            return Err(Impossible::Sender { from, n });
        }
        self.check_role(from, config)?;
        let senders = |ballot| senders(ballot, from, n);
        let receivers = |ballot| receivers(ballot, config.id, n);
        match self {
            Self::Phase1a { ballot, scope, quorum } => {
                senders(*ballot)?;
                quorum.map_or(Ok(()), |quorum| check_quorum(quorum, n))?;
                let (Scope::Only(slot) | Scope::From(slot)) = scope;
                check_slot(*slot)
            }
            Self::Phase1b { ballot, scope, report } => {
                receivers(*ballot)?;
                check_report(*ballot, *scope, report, n)
            }
            Self::Phase2a { ballot, slot, value, chosen_below } => {
                senders(*ballot)?;
                check_slot(*slot)?;
                check_slot(*chosen_below)?;
                check_value(value)
            }
            Self::Phase2b { ballot, first, last } => {
                receivers(*ballot)?;
                check_range(*first, *last)?;
                let is_batch = last.0 - first.0 < VOTES_MAX;
                is_batch.then_some(()).ok_or(Impossible::Range { first: *first, end: *last })
            }
            Self::Refused { ballot, promised, slot } => {
                receivers(*ballot)?;
                check_ballot(*promised, n)?;
                check_slot(*slot)?;
                let (ballot, promised) = (*ballot, *promised);
                let is_higher = promised > ballot;
                is_higher.then_some(()).ok_or(Impossible::Refusal { ballot, promised })
            }
            Self::Chosen { ballot, first, below } => {
                senders(*ballot)?;
                check_range(*first, *below)
            }
            Self::Learn { first, below } => {
                check_slot(*first)?;
                let is_range = first <= below;
                is_range.then_some(()).ok_or(Impossible::Range { first: *first, end: *below })
            }
            Self::Values { first, values, executed_below } => {
                check_slot(*first)?;
                check_slot(*executed_below)?;
                values.iter().try_for_each(check_value)
            }
            Self::Executed { below } | Self::Trimmed { below } => check_slot(*below),
            Self::Fetch { executed_below, begun } => {
                check_slot(*executed_below)?;
                begun.map_or(Ok(()), |(below, _)| check_slot(below))
            }
            Self::Snapshot { executed_below, begin, next, .. } => {
                if let Some(next) = *next
                    && next <= *begin
                {
                    return Err(Impossible::Part { begin: *begin, next });
                }
                check_slot(*executed_below)
            }
            Self::Heartbeat { ballot, chosen_below } => {
                senders(*ballot)?;
                check_slot(*chosen_below)
            }
            Self::HeartbeatAck { ballot } => receivers(*ballot),
            Self::PreVote { ballot, executed_below } => {
                senders(*ballot)?;
                check_slot(*executed_below)
            }
            Self::PreVoteGranted { ballot, announced } => {
                receivers(*ballot)?;
                check_announced(*ballot, announced, n)
            }
            Self::Settle { ballot, below } => {
                senders(*ballot)?;
                check_slot(*below)
            }
            Self::Settled { ballot } | Self::Grant { ballot, .. } => check_ballot(*ballot, n),
            Self::AskEnd { .. } => Ok(()),
            Self::End { below, announced, .. } => {
                check_slot(*below)?;
                check_announced(HIGHEST, announced, n)
            }
            Self::Renew { ballot, quorum, to, fresh } => {
                senders(*ballot)?;
                quorum.map_or(Ok(()), |quorum| check_quorum(quorum, n))?;
                check_responders(*to, n)?;
                check_slot(*fresh)
            }
            Self::Reserved { .. } => Err(Impossible::Inward),
        }
    }

    /// Whether the sender has the part in the protocol that this message belongs to.
    fn check_role(&self, from: NodeId, config: &Config) -> Result<(), Impossible> {
        let is_witness = config.quorums.witnesses().contains(from);
        let is_observer = config.quorums.observers().contains(from);
        let is_others = match self {
            Self::Phase1b { .. }
            | Self::Phase2b { .. }
            | Self::Refused { .. }
            | Self::HeartbeatAck { .. }
            | Self::PreVoteGranted { .. }
            | Self::Grant { .. }
            | Self::End { .. } => is_observer,
            Self::Learn { .. }
            | Self::Values { .. }
            | Self::Fetch { .. }
            | Self::Snapshot { .. }
            | Self::Executed { .. }
            | Self::AskEnd { .. } => is_witness,
            Self::Phase1a { .. }
            | Self::Phase2a { .. }
            | Self::Chosen { .. }
            | Self::Heartbeat { .. }
            | Self::PreVote { .. }
            | Self::Settle { .. }
            | Self::Renew { .. }
            | Self::Settled { .. } => is_witness || is_observer,
            Self::Trimmed { .. } | Self::Reserved { .. } => false,
        };
        let role = if is_witness { "a witness" } else { "an observer" };
        if is_others { Err(Impossible::Role { from, role }) } else { Ok(()) }
    }
}

fn check_ballot(ballot: Ballot, n: usize) -> Result<(), Impossible> {
    let is_possible = (1..=ROUND_MAX).contains(&ballot.round) && usize::from(ballot.proposer.0) < n;
    is_possible.then_some(()).ok_or(Impossible::Ballot { ballot, n })
}

fn senders(ballot: Ballot, from: NodeId, n: usize) -> Result<(), Impossible> {
    check_ballot(ballot, n)?;
    let is_own = ballot.proposer == from;
    is_own.then_some(()).ok_or(Impossible::NotSenders { from, ballot })
}

fn receivers(ballot: Ballot, to: NodeId, n: usize) -> Result<(), Impossible> {
    check_ballot(ballot, n)?;
    let is_ours = ballot.proposer == to;
    is_ours.then_some(()).ok_or(Impossible::NotReceivers { to, ballot })
}

fn check_slot(slot: Slot) -> Result<(), Impossible> {
    if slot.0 <= SLOT_MAX { Ok(()) } else { Err(Impossible::Slot { slot }) }
}

fn check_range(first: Slot, end: Slot) -> Result<(), Impossible> {
    check_slot(end)?;
    if first <= end { Ok(()) } else { Err(Impossible::Range { first, end }) }
}

/// A phase-2 quorum that a proposer announced.
fn check_quorum(quorum: NodeSet, n: usize) -> Result<(), Impossible> {
    let is_possible = !quorum.is_empty() && quorum.is_subset(NodeSet::all(n));
    is_possible.then_some(()).ok_or(Impossible::Quorum { quorum, n })
}

fn check_responders(nodes: NodeSet, n: usize) -> Result<(), Impossible> {
    let is_possible = nodes.is_subset(NodeSet::all(n));
    is_possible.then_some(()).ok_or(Impossible::Responders { nodes, n })
}

fn check_announced(promised: Ballot, announced: &Announced, n: usize) -> Result<(), Impossible> {
    for (ballot, quorum) in announced.by_ballot() {
        check_ballot(ballot, n)?;
        check_quorum(quorum, n)?;
        if ballot >= promised {
            return Err(Impossible::Announced { promised, ballot });
        }
    }
    match announced.forgotten_below() {
        Ballot::NONE => Ok(()),
        settled => check_ballot(settled, n),
    }
}

/// A promise that reports the votes below `below` only, which are those of more than one slot.
fn check_part(scope: Scope, votes: &[(Slot, Vote)], below: Slot) -> Result<(), Impossible> {
    let (Scope::Only(first) | Scope::From(first)) = scope;
    check_slot(below)?;
    let is_cut = matches!(scope, Scope::From(_)) && first < below;
    is_cut.then_some(()).ok_or(Impossible::Range { first, end: below })?;
    let beyond = votes.iter().find(|(slot, _)| *slot >= below);
    beyond.map_or(Ok(()), |(slot, _)| Err(Impossible::Scope { slot: *slot }))
}

fn check_report(ballot: Ballot, scope: Scope, report: &Report, n: usize) -> Result<(), Impossible> {
    let Report { votes, announced, trimmed_below, reported_below, granted, .. } = report;
    reported_below.map_or(Ok(()), |below| check_part(scope, votes, below))?;
    check_slot(*trimmed_below)?;
    check_announced(ballot, announced, n)?;
    check_responders(granted.nodes(), n)?;
    check_votes(ballot, scope, votes, n)
}

fn check_votes(
    promised: Ballot,
    scope: Scope,
    votes: &[(Slot, Vote)],
    n: usize,
) -> Result<(), Impossible> {
    let mut before = None;
    for (slot, vote) in votes {
        let slot = *slot;
        check_slot(slot)?;
        if before.is_some_and(|before| before >= slot) {
            return Err(Impossible::Order { slot });
        }
        before = Some(slot);
        let is_in_scope = match scope {
            Scope::Only(only) => slot == only,
            Scope::From(from) => slot >= from,
        };
        if !is_in_scope {
            return Err(Impossible::Scope { slot });
        }
        check_ballot(vote.ballot, n)?;
        if vote.ballot > promised {
            return Err(Impossible::Vote { promised, slot, voted: vote.ballot });
        }
        check_value(&vote.value)?;
    }
    Ok(())
}

fn check_value(value: &Value) -> Result<(), Impossible> {
    value.command().map_or(Ok(()), |command| Ok(command.check()?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::command::{ClientId, Command, OPEN_MAX, Operation, RequestId, VALUE_BYTES_MAX};
    use crate::protocol::{Bounds, Election, Retention, SendPolicy, Timing};
    use crate::quorum::QuorumSystem;
    use crate::time::Span;

    const PEER: NodeId = NodeId(1);

    /// Replica 0 of 3.
    fn config() -> Config {
        Config {
            id: NodeId(0),
            quorums: QuorumSystem::majority(3),
            election: Election::Fixed,
            send: SendPolicy::All,
            nearest_first: (0..3).map(NodeId).collect(),
            retention: Retention::ALL,
            bounds: Bounds::USUAL,
            timing: Timing::for_round_trip(Span::ZERO),
        }
    }

    fn ballot(round: u64, proposer: u8) -> Ballot {
        Ballot { round, proposer: NodeId(proposer) }
    }

    fn command(sequence: u64, settled_below: u64, length: usize) -> Command {
        let request = RequestId { client: ClientId(0), sequence };
        let operation = Operation::Put { key: u64::MAX, value: Bytes::from(vec![0; length]) };
        Command { request, settled_below, operation }
    }

    fn value() -> Value {
        Value::from(command(3, 1, 8))
    }

    fn promise(promised: Ballot, scope: Scope, votes: &[(u64, Ballot)]) -> Message {
        let vote = |(slot, ballot): &(u64, Ballot)| {
            (Slot(*slot), Vote { ballot: *ballot, value: value() })
        };
        let votes = votes.iter().map(vote).collect();
        let report = Box::new(Report { votes, ..Report::default() });
        Message::Phase1b { ballot: promised, scope, report }
    }

    #[track_caller]
    fn refused(message: &Message, said: &str) {
        let why = message.check(PEER, &config()).expect_err("it is impossible").to_string();
        assert!(why.contains(said), "{message}: {why}");
    }

    #[test]
    fn what_honest_replicas_say_is_possible_however_late() {
        let all = Scope::From(Slot(0));
        let honest = [
            Message::Phase1a { ballot: ballot(1, 1), scope: all, quorum: None },
            Message::Phase1a { ballot: ballot(9, 1), scope: Scope::Only(Slot(4)), quorum: None },
            promise(ballot(5, 0), all, &[]),
            promise(ballot(5, 0), all, &[(1, ballot(1, 2)), (7, ballot(5, 0))]),
            promise(ballot(5, 0), Scope::Only(Slot(7)), &[(7, ballot(2, 1))]),
            Message::Phase2a {
                ballot: ballot(2, 1),
                slot: Slot(3),
                value: Value::Noop,
                chosen_below: Slot(9),
            },
            Message::Phase2b { ballot: ballot(2, 0), first: Slot(3), last: Slot(3) },
            Message::Phase2b { ballot: ballot(2, 0), first: Slot(0), last: Slot(4095) },
            Message::Refused { ballot: ballot(2, 0), promised: ballot(2, 1), slot: Slot(0) },
            Message::Refused { ballot: ballot(2, 0), promised: ballot(3, 0), slot: Slot(0) },
            Message::Chosen { ballot: ballot(2, 1), first: Slot(0), below: Slot(1 << 40) },
            Message::Chosen { ballot: ballot(2, 1), first: Slot(3), below: Slot(3) },
            Message::Learn { first: Slot(5), below: Slot(u64::MAX) },
            Message::Values { first: Slot(5), values: vec![value()], executed_below: Slot(2) },
            Message::Executed { below: Slot(0) },
        ];
        for message in honest {
            assert_eq!(message.check(PEER, &config()), Ok(()), "{message}");
        }
        assert_eq!(command(0, 0, VALUE_BYTES_MAX).check_request(ClientId(0)), Ok(()));
        assert_eq!(command(OPEN_MAX - 1, 0, 0).check_request(ClientId(0)), Ok(()));
    }

    #[test]
    fn nobody_speaks_or_is_answered_for_another_proposer() {
        let scope = Scope::From(Slot(0));
        let other = ballot(4, 2);
        refused(
            &Message::Phase1a { ballot: other, scope, quorum: None },
            "r1 speaks at ballot (4.r2)",
        );
        refused(&Message::Phase1a { ballot: ballot(4, 0), scope, quorum: None }, "not its own");
        let (slot, chosen_below) = (Slot(0), Slot(0));
        let phase2a = Message::Phase2a { ballot: other, slot, value: Value::Noop, chosen_below };
        refused(&phase2a, "not its own");
        refused(&Message::Chosen { ballot: other, first: slot, below: slot }, "not its own");
        refused(&promise(other, scope, &[]), "which r0 never used");
        refused(&promise(ballot(4, 1), scope, &[]), "which r0 never used");
        refused(&Message::Phase2b { ballot: other, first: slot, last: slot }, "never used");
        let refusal = Message::Refused { ballot: other, promised: ballot(5, 1), slot };
        refused(&refusal, "never used");
        refused(&Message::Reserved { below: 7 }, "sends this to another");
    }

    #[test]
    fn ballots_of_nobody_and_slots_beyond_every_log_are_refused() {
        let scope = Scope::From(Slot(0));
        for (nobody, from) in [(ballot(0, 1), PEER), (ballot(u64::MAX, 1), PEER)] {
            let message = Message::Phase1a { ballot: nobody, scope, quorum: None };
            assert!(matches!(message.check(from, &config()), Err(Impossible::Ballot { .. })));
        }
        refused(&promise(ballot(5, 0), scope, &[(1, ballot(2, 3))]), "nobody's");
        let promised =
            Message::Refused { ballot: ballot(2, 0), promised: ballot(3, 9), slot: Slot(0) };
        refused(&promised, "nobody's");
        let stranger = Message::Executed { below: Slot(0) }.check(NodeId(3), &config());
        assert_eq!(stranger, Err(Impossible::Sender { from: NodeId(3), n: 3 }));

        let far = Slot(u64::MAX);
        refused(&Message::Executed { below: far }, "beyond every log");
        refused(
            &Message::Phase1a { ballot: ballot(1, 1), scope: Scope::From(far), quorum: None },
            "beyond",
        );
        refused(&Message::Chosen { ballot: ballot(1, 1), first: Slot(0), below: far }, "beyond");
        refused(&Message::Phase2b { ballot: ballot(1, 0), first: Slot(0), last: far }, "beyond");
        refused(&Message::Learn { first: far, below: far }, "beyond every log");
        let values =
            |first, executed_below| Message::Values { first, values: vec![], executed_below };
        refused(&values(far, Slot(0)), "beyond every log");
        refused(&values(Slot(0), far), "beyond every log");
    }

    #[test]
    fn no_slot_of_any_message_is_beyond_every_log() {
        let (far, near, own) = (Slot(u64::MAX), Slot(3), ballot(2, 1));
        let answered = ballot(2, 0);
        let vote = Vote { ballot: ballot(1, 1), value: Value::Noop };
        let promise = |report| {
            let scope = Scope::From(Slot(0));
            Message::Phase1b { ballot: answered, scope, report: Box::new(report) }
        };
        let proposal = |slot, chosen_below| {
            let value = Value::Noop;
            Message::Phase2a { ballot: own, slot, value, chosen_below }
        };
        let end = |below| {
            let request = RequestId::default();
            Message::End { request, below, announced: Announced::default() }
        };
        let votes = vec![(far, vote)];
        for message in [
            promise(Report { votes: votes.clone(), ..Report::default() }),
            promise(Report { trimmed_below: far, ..Report::default() }),
            promise(Report { reported_below: Some(far), ..Report::default() }),
            proposal(far, near),
            proposal(near, far),
            Message::Refused { ballot: answered, promised: ballot(3, 1), slot: far },
            Message::Trimmed { below: far },
            Message::Fetch { executed_below: far, begun: None },
            Message::Fetch { executed_below: near, begun: Some((far, Cut::START)) },
            Message::Heartbeat { ballot: own, chosen_below: far },
            Message::PreVote { ballot: own, executed_below: far },
            Message::Settle { ballot: own, below: far },
            end(far),
        ] {
            refused(&message, "beyond every log");
        }
        assert_eq!(end(near).check(PEER, &config()), Ok(()));
    }

    #[test]
    fn a_part_of_a_promise_ends_where_it_says() {
        let vote = |slot| (Slot(slot), Vote { ballot: ballot(1, 1), value: Value::Noop });
        let part = |last| {
            let (votes, reported_below) = (vec![vote(2), vote(last)], Some(Slot(5)));
            let report = Box::new(Report { votes, reported_below, ..Report::default() });
            let scope = Scope::From(Slot(0));
            Message::Phase1b { ballot: ballot(2, 0), scope, report }
        };
        assert_eq!(part(4).check(PEER, &config()), Ok(()));
        refused(&part(5), "outside of the scope");
    }

    #[test]
    fn ranges_go_upwards_and_no_batch_is_endless() {
        let (ballot, back) = (ballot(1, 0), (Slot(5), Slot(4)));
        refused(&Message::Phase2b { ballot, first: back.0, last: back.1 }, "from slot 5 to 4");
        refused(&Message::Phase2b { ballot, first: Slot(0), last: Slot(VOTES_MAX) }, "no range");
        refused(&Message::Learn { first: back.0, below: back.1 }, "no range");
        let own = Ballot { round: 1, proposer: PEER };
        refused(&Message::Chosen { ballot: own, first: back.0, below: back.1 }, "no range");
        let refusal = Message::Refused { ballot, promised: ballot, slot: Slot(0) };
        refused(&refusal, "not higher");
    }

    #[test]
    fn a_promise_reports_ordered_votes_of_its_scope_below_it() {
        let (promised, all) = (ballot(5, 0), Scope::From(Slot(2)));
        let old = ballot(1, 1);
        refused(&promise(promised, all, &[(4, old), (4, old)]), "out of order at slot 4");
        refused(&promise(promised, all, &[(4, old), (3, old)]), "out of order at slot 3");
        refused(&promise(promised, all, &[(1, old)]), "outside of the scope");
        refused(&promise(promised, Scope::Only(Slot(2)), &[(3, old)]), "outside of the scope");
        let later = ballot(5, 1);
        refused(&promise(promised, all, &[(4, later)]), "reports a vote in slot 4 at (5.r1)");
    }

    #[test]
    fn commands_that_would_fill_the_memory_are_refused() {
        let long = command(0, 0, VALUE_BYTES_MAX + 1);
        for (bad, said) in [
            (command(OPEN_MAX, 0, 0), "request 16777216"),
            (command(u64::MAX, u64::MAX, 0), "request"),
            (command(3, 4, 0), "all below 4 settled"),
            (long.clone(), "a value has 1048577 bytes"),
        ] {
            let why = bad.check_request(ClientId(0)).unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
            let values = vec![Value::Noop, Value::from(bad)];
            refused(&Message::Values { first: Slot(0), values, executed_below: Slot(0) }, said);
        }
        let why = command(0, 0, 0).check_request(ClientId(2)).unwrap_err().to_string();
        assert_eq!(why, "c2 asks in the name of c0");
    }
}

//! What replicas send one another, and what they make durable.

use serde::{Deserialize, Serialize};

use super::announced::Announced;
use super::granted::Granted;
use crate::command::{Command, Cut, Operation, Part, RequestId};
use crate::protocol::{Ballot, Slot};
use crate::quorum::NodeSet;
use crate::time::Time;

pub(super) use crate::protocol::{Scope, Value};

impl Value {
    /// About how many bytes it takes in a message.
    pub(super) fn size(&self) -> usize {
        let payload = match self.command().map(|command| &command.operation) {
            Some(Operation::Put { value, .. }) => value.len(),
            Some(Operation::Get { .. } | Operation::GetSince { .. }) | None => 0,
        };
        payload + size_of::<Command>()
    }
}

/// What an acceptor has voted for in a slot: the last of its votes there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// The ballot of the vote.
    pub ballot: Ballot,
    /// The value voted for.
    pub value: Value,
}

/// What a promise says of the slots that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Report {
    /// The last vote in each slot, ascending.
    pub votes: Vec<(Slot, Vote)>,
    /// Phase-2 quorums announced at lower ballots that a phase 1 must meet.
    pub announced: Announced,
    /// Every slot below this is chosen, executed and forgotten here: nothing is reported of it, and
    /// nothing else may be proposed there.
    pub trimmed_below: Slot,
    /// Votes from this slot on did not find room: the promise is whole when they are asked for too.
    pub reported_below: Option<Slot>,
    /// The newest stamp of anything that was voted for or is executed here, trimmed slots included.
    pub newest: Option<Time>,
    /// The newest stamp of a grant to each responder.
    pub granted: Granted,
}

/// A message between replicas.
///
/// What is long and rare is in a box: a proposal and a vote are moved from place to place, and a message is as
/// large as the largest of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Prepare: promise this ballot, and say what you voted for.
    Phase1a {
        /// The ballot to promise.
        ballot: Ballot,
        /// In which slots.
        scope: Scope,
        /// The phase-2 quorum of this ballot, where each has its own.
        quorum: Option<NodeSet>,
    },
    /// Promise, with every vote in the scope, or the first of them.
    Phase1b {
        /// The ballot promised.
        ballot: Ballot,
        /// In which slots.
        scope: Scope,
        /// What it says of them.
        report: Box<Report>,
    },
    /// Accept: vote for this value.
    Phase2a {
        /// The ballot of the proposal.
        ballot: Ballot,
        /// The slot.
        slot: Slot,
        /// The value.
        value: Value,
        /// As in [`Message::Chosen`], from the first slot on: the news travels with the next proposal.
        chosen_below: Slot,
    },
    /// Accepted: the sender voted at `ballot` in every slot from `first` to `last`.
    Phase2b {
        /// The ballot of the votes.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// The last slot.
        last: Slot,
    },
    /// The sender has promised a higher ballot than the one it was asked for.
    Refused {
        /// The ballot that was asked for.
        ballot: Ballot,
        /// The ballot promised.
        promised: Ballot,
        /// The slot, or the first of the scope.
        slot: Slot,
    },
    /// Every slot from `first` to before `below` is chosen, and a vote there at `ballot` was for the chosen value.
    Chosen {
        /// The ballot of the proposer that says so.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// The slot after the last.
        below: Slot,
    },
    /// Tell me the chosen values from `first` to before `below`.
    Learn {
        /// The first slot.
        first: Slot,
        /// The slot after the last.
        below: Slot,
    },
    /// Chosen values, in consecutive slots.
    Values {
        /// The slot of the first value.
        first: Slot,
        /// The values.
        values: Vec<Value>,
        /// The sender has executed every slot below this.
        executed_below: Slot,
    },
    /// What was asked for is forgotten: every slot below this is chosen, and executed by the sender.
    Trimmed {
        /// The slot after the last.
        below: Slot,
    },
    /// Send me your state, or more of it.
    Fetch {
        /// The sender has executed every slot below this.
        executed_below: Slot,
        /// It has the state in which every slot below this one is executed, up to this place.
        begun: Option<(Slot, Cut)>,
    },
    /// A part of the sender's state, as it was when it was first asked for.
    Snapshot {
        /// Every slot below this is executed in it.
        executed_below: Slot,
        /// Where the part begins.
        begin: Cut,
        /// Where the next one does, if it is not the last.
        next: Option<Cut>,
        /// What is in it.
        content: Box<Part>,
        /// The newest stamp of what led to the state.
        newest: Option<Time>,
    },
    /// The sender has every slot below this durably executed: whoever holds older votes may forget them when all say so.
    Executed {
        /// The slot after the last.
        below: Slot,
    },
    /// The sender leads with this ballot, and every slot below is chosen, as in [`Message::Chosen`].
    Heartbeat {
        /// The ballot.
        ballot: Ballot,
        /// The slot after the last that is chosen.
        chosen_below: Slot,
    },
    /// The sender heard that, and has promised no higher ballot.
    HeartbeatAck {
        /// The ballot heard.
        ballot: Ballot,
    },
    /// Would you promise this ballot? Nothing is promised yet.
    PreVote {
        /// The ballot that the sender would use.
        ballot: Ballot,
        /// It has executed every slot below this.
        executed_below: Slot,
    },
    /// The sender hears of no leader, and would promise.
    PreVoteGranted {
        /// The ballot asked for.
        ballot: Ballot,
        /// As in a [`Report`].
        announced: Box<Announced>,
    },
    /// The sender leads with this ballot and has executed all that it adopted: settle it.
    Settle {
        /// The ballot.
        ballot: Ballot,
        /// Every slot below this is executed, and nothing that was adopted lies behind.
        below: Slot,
    },
    /// The sender has settled this ballot: what it adopted is durably executed.
    Settled {
        /// The ballot.
        ballot: Ballot,
    },
    /// How far does the log go, as far as you know? Asked for a read.
    AskEnd {
        /// Which read.
        request: RequestId,
    },
    /// The sender voted for nothing, and knows of nothing chosen, from this slot on.
    End {
        /// Which read asked.
        request: RequestId,
        /// The slot after the last.
        below: Slot,
        /// As in [`Message::Phase1b`], of every ballot.
        announced: Announced,
    },
    /// The sender leads with this ballot: whoever has promised no higher one promises it, and grants leases.
    Renew {
        /// The ballot.
        ballot: Ballot,
        /// Its phase-2 quorum, where each has its own.
        quorum: Option<NodeSet>,
        /// Its roster: to whom leases are granted.
        to: NodeSet,
        /// Nobody proposed anything from this slot on but at this ballot.
        fresh: Slot,
    },
    /// The sender has promised this ballot and no higher one: to the responders of its roster a lease, to its leader a
    /// sign of life.
    Grant {
        /// The ballot.
        ballot: Ballot,
        /// What the sender's clock showed.
        stamp: Time,
    },
    /// To itself: the reservation of the rounds below this is durable.
    Reserved {
        /// The bound.
        below: u64,
    },
}

impl Message {
    /// About how many bytes of values, votes or state are in it.
    pub(super) fn payload(&self) -> usize {
        match self {
            Self::Phase1b { report, .. } => {
                report.votes.iter().map(|(_, vote)| vote.value.size()).sum()
            }
            Self::Phase2a { value, .. } => value.size(),
            Self::Values { values, .. } => values.iter().map(Value::size).sum(),
            Self::Snapshot { content, .. } => content.bytes(),
            _ => 0,
        }
    }
}

/// A change that must be durable before what depends on it is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Record {
    /// Rounds below this may have been used by this proposer.
    Rounds {
        /// The bound.
        below: u64,
    },
    /// A promise.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// In which slots.
        scope: Scope,
        /// The phase-2 quorum of this ballot, where each has its own.
        quorum: Option<NodeSet>,
    },
    /// A vote, which promises its ballot in its slot too.
    Vote {
        /// The slot.
        slot: Slot,
        /// The vote.
        vote: Vote,
    },
    /// A chosen value that this replica has not voted for.
    Learned {
        /// The slot.
        slot: Slot,
        /// What is chosen there.
        value: Value,
    },
    /// Every slot below is executed: its value is the one learned, if one was recorded, or the one voted for.
    /// This promises the ballot too.
    Settled {
        /// The ballot that is settled by this.
        ballot: Ballot,
        /// The slot after the last.
        below: Slot,
    },
    /// The phase-2 quorums of the ballots below this one are forgotten.
    Forgotten {
        /// The ballot that a phase-1 quorum has settled.
        below: Ballot,
    },
}

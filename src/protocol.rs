//! What a driver and a replication protocol ask of each other.
//!
//! A protocol is a state machine: a driver gives it an [`Input`], it answers with [`Effects`].
//! The [driver](crate::driver) is written against [`Protocol`] alone and is the same over QUIC, in virtual
//! time and in the model checker.
//!
//! The driver has a single obligation: an envelope in [`Effects::durable_sends`] leaves the replica
//! only after every record given so far is on stable storage.

mod answer;
mod assignment;
mod capacity;
mod config;
mod rounds;
mod statement;

pub use answer::Answer;
pub use assignment::{Assignment, KeyRange, MAX_RANGES};
pub use capacity::Capacity;
pub use config::{
    Bounds, Config, Detector, Election, Retention, SendPolicy, SnapshotTerms, Timing,
};
pub use rounds::Rounds;
pub use statement::{Ballot, Scope, Statement, Value};

use std::fmt::{self, Debug, Display};
use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::{ClientId, Command, Outcome, RequestId, legible, legible_key};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Now, Span};

/// A position in the replicated log, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Slot(pub u64);

impl Slot {
    /// The first position.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

/// Which of the orders of a protocol: the only one, or that of a key.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Log {
    /// That of all commands.
    #[default]
    Whole,
    /// That of the commands on this key.
    Of(u64),
}

/// A position in one of the orders.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// In which order.
    pub log: Log,
    /// Where in it.
    pub slot: Slot,
}

impl Position {
    /// A slot of the only order.
    pub const fn of(slot: Slot) -> Self {
        Self { log: Log::Whole, slot }
    }
}

/// `slot 3`, or `slot 3 of x`.
impl Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log {
            Log::Whole => Display::fmt(&self.slot, f),
            Log::Of(key) => write!(f, "{} of {}", self.slot, legible_key(key)),
        }
    }
}

/// Which order the replicas of a protocol must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// One order of all commands: a replicated log.
    Total,
    /// An order of the commands of each key: the slots of one key count its versions, and a replica may
    /// pass over some of them.
    PerKey,
}

impl Order {
    /// The log in which a command on `key` has its slot.
    pub const fn log(self, key: u64) -> Log {
        match self {
            Self::Total => Log::Whole,
            Self::PerKey => Log::Of(key),
        }
    }

    /// Where a command has its slot; a no-op is in the only log.
    pub fn position(self, slot: Slot, command: Option<&Command>) -> Position {
        let log = command.map_or(Log::Whole, |command| self.log(command.operation.key()));
        Position { log, slot }
    }

    /// The slots below this are executed in every log, by a replica that has come so far.
    pub const fn executed_below(self, progress: Progress) -> Slot {
        match self {
            Self::Total => Slot(progress.0),
            Self::PerKey => Slot::ZERO,
        }
    }
}

/// How far a replica has executed: a number that never falls while it runs.
///
/// In a total order it is the first slot that is not executed; else it counts what was executed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Progress(pub u64);

/// A timer of one replica; what it means is the protocol's own business.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct TimerId(pub u64);

/// What can happen to a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input<M> {
    /// It has been started, for the first time or again; given once, before anything else.
    Start,
    /// A message arrived. `from` is the replica itself for what it sent to itself.
    Message {
        /// The sender.
        from: NodeId,
        /// What it sent.
        message: M,
    },
    /// A client asks for a command.
    Request(Command),
    /// It is told to lead, whoever leads now; a protocol without leaders does nothing.
    Campaign,
    /// A timer that was set has run out.
    Timer(TimerId),
    /// A checkpoint is durable that was made when it had executed so far: peers may rely on it.
    Checkpointed(Progress),
}

/// A message and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Envelope<M> {
    /// The receivers; the sender may be among them, and then the driver gives it the message too.
    pub to: NodeSet,
    /// What they are sent.
    pub message: M,
}

/// A timer to set; setting it again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// Which.
    pub id: TimerId,
    /// The least time until it runs out.
    pub after: Span,
    /// The driver adds a time drawn uniformly from zero to this: chance is the driver's.
    pub spread: Span,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// The command is chosen and executed.
    Executed {
        /// Whose command.
        request: RequestId,
        /// Where in the log of the command.
        slot: Slot,
        /// What it answered.
        outcome: Outcome,
    },
    /// The value under the key of a read that has no slot of its own.
    Read {
        /// Whose command.
        request: RequestId,
        /// It read from the state in which every slot below this is executed, and no other.
        below: Slot,
        /// What it read; `None` if the key was never written.
        value: Option<Bytes>,
    },
    /// This replica does not propose; ask another one.
    NotLeader {
        /// Whose command.
        request: RequestId,
        /// Who does, as far as this replica knows.
        leader: Option<NodeId>,
    },
}

impl Reply {
    /// Whether it is the answer that the client waits for.
    pub const fn is_answer(&self) -> bool {
        !matches!(self, Self::NotLeader { .. })
    }

    /// The request that is answered.
    pub const fn request(&self) -> RequestId {
        match self {
            Self::Executed { request, .. }
            | Self::Read { request, .. }
            | Self::NotLeader { request, .. } => *request,
        }
    }
}

/// `stored at slot 3`.
impl Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executed { slot, outcome: Outcome::Stored, .. } => write!(f, "stored at {slot}"),
            Self::Executed { slot, outcome: Outcome::Read(None), .. } => {
                write!(f, "read nothing at {slot}")
            }
            Self::Executed { slot, outcome: Outcome::Read(Some(value)), .. } => {
                write!(f, "read {} at {slot}", legible(value))
            }
            Self::Read { below, value: None, .. } => write!(f, "read nothing below {below}"),
            Self::Read { below, value: Some(value), .. } => {
                write!(f, "read {} below {below}", legible(value))
            }
            Self::NotLeader { leader: Some(leader), .. } => write!(f, "ask {leader}"),
            Self::NotLeader { leader: None, .. } => f.write_str("ask somebody else"),
        }
    }
}

/// A slot that the replica executed, in the log of its command.
///
/// The slots of a log are executed in their order. In a total order they are executed without a gap but where
/// a state was [`Installed`]; in one of a key a replica may pass over some that others execute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Executed {
    /// The position.
    pub slot: Slot,
    /// The command chosen there; `None` is a no-op.
    pub command: Option<Arc<Command>>,
    /// Whether it changed the state machine; false for the second of two equal requests.
    pub applied: bool,
}

/// A state that a replica took from another one, instead of executing the slots that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Installed {
    /// Every slot below this is executed in it.
    pub below: Slot,
    /// Of what it stores: [`KeyValue::digest`](crate::command::KeyValue::digest).
    pub digest: u64,
}

/// How a replica's state machine went on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Advance {
    /// By the next slot.
    Executed(Executed),
    /// To the state of another replica, ahead of its own.
    Installed(Installed),
}

/// What a replica has to say about its own work, for measurement only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Note {
    /// A command that this replica proposed was executed here.
    Committed {
        /// From its arrival to its first message: waiting for leadership or a free slot.
        queueing: Span,
        /// From the first Phase1a to the phase-1 quorum; `None` when no phase 1 was its own.
        phase1: Option<Span>,
        /// From the Phase2a to the phase-2 quorum.
        phase2: Span,
        /// From chosen to executed: waiting for the slots before it.
        reply: Span,
    },
    /// A client is told of a write, where leaders wait before they tell it.
    Waited {
        /// Since it was executed, until the clock surely passed its stamp.
        wait: Span,
    },
    /// Phase 1 over all slots succeeded.
    Leading {
        /// From the Phase1a to the phase-1 quorum.
        phase1: Span,
        /// Slots whose reported value was proposed again.
        adopted_count: u64,
        /// Slots without a reported value that got a no-op.
        filled_count: u64,
    },
    /// It has heard of no leader for longer than its time-out: an election begins.
    Suspected {
        /// Since it last heard of one.
        silence: Span,
    },
    /// Enough others hear of no leader either: phase 1 over all slots begins.
    Campaigning,
    /// It takes another replica for the leader than before.
    Following {
        /// Which.
        leader: NodeId,
    },
    /// Everything that was adopted or filled when it became leader is executed.
    Recovered {
        /// Since the phase-1 quorum.
        transfer: Span,
    },
    /// It gives its leadership up: it was told to, or no phase-2 quorum answers it.
    Resigned,
    /// It sent its state to a replica that had missed what is forgotten here.
    SnapshotSent,
    /// It took the state of another replica.
    SnapshotInstalled {
        /// Slots that it need not execute.
        slots: u64,
        /// About how many bytes.
        bytes: u64,
    },
    /// Another proposer's ballot or value took the slot.
    RaceLost,
    /// Messages were sent again after a time-out.
    Retransmitted,
}

/// What a replica wants done, in order within each kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Effects<M, R> {
    /// Messages that may leave at once.
    pub sends: Vec<Envelope<M>>,
    /// What must be made durable.
    pub records: Vec<R>,
    /// Messages that may leave only when all records given so far are durable.
    pub durable_sends: Vec<Envelope<M>>,
    /// Timers to set.
    pub timers: Vec<Timer>,
    /// Answers to clients.
    pub replies: Vec<Reply>,
    /// Slots executed, and states taken from others in between.
    pub executed: Vec<Advance>,
    /// Measurements.
    pub notes: Vec<Note>,
}

impl<M, R> Default for Effects<M, R> {
    fn default() -> Self {
        Self {
            sends: Vec::new(),
            records: Vec::new(),
            durable_sends: Vec::new(),
            timers: Vec::new(),
            replies: Vec::new(),
            executed: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl<M, R> Effects<M, R> {
    /// Whether there is nothing to carry out.
    pub const fn is_empty(&self) -> bool {
        self.sends.is_empty()
            && self.records.is_empty()
            && self.durable_sends.is_empty()
            && self.timers.is_empty()
            && self.replies.is_empty()
            && self.executed.is_empty()
            && self.notes.is_empty()
    }

    /// Sends at once; to nobody is nothing.
    #[inline]
    pub fn send(&mut self, to: NodeSet, message: M) {
        if !to.is_empty() {
            self.sends.push(Envelope { to, message });
        }
    }

    /// Sends once all records given so far are durable.
    ///
    /// `merge` may extend the envelope given last instead, when it has the same receivers: votes for
    /// consecutive slots travel as one message.
    #[inline]
    pub fn send_durable(
        &mut self,
        to: NodeSet,
        message: M,
        merge: impl FnOnce(&mut M, &M) -> bool,
    ) {
        if let Some(last) = self.durable_sends.last_mut()
            && last.to == to
            && merge(&mut last.message, &message)
        {
            return;
        }
        self.durable_sends.push(Envelope { to, message });
    }

    /// Sets a timer.
    pub fn set_timer(&mut self, id: TimerId, after: Span, spread: Span) {
        self.timers.push(Timer { id, after, spread });
    }
}

/// What leaves a replica or goes to its disk: a value that can be encoded, compared and hashed.
pub trait Data:
    Clone + Debug + Ord + Hash + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Data for T where
    T: Clone + Debug + Ord + Hash + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// A replication protocol: deterministic, without I/O, clock, chance, async or threads.
///
/// Equal state and equal input give equal state and equal effects in equal order.
pub trait Protocol: Sized {
    /// What replicas send one another.
    type Message: Data + Display;
    /// What a replica makes durable, one change at a time.
    type Record: Data + Display;
    /// All that a replica makes durable, at one moment: it replaces the records before it.
    type Checkpoint: Data;

    /// Which order its replicas must agree on.
    const ORDER: Order;

    /// Takes one input, changes the state and says what is to be done.
    fn handle(
        &mut self,
        now: Now,
        input: Input<Self::Message>,
        effects: &mut Effects<Self::Message, Self::Record>,
    );

    /// Whether a replica that follows the protocol may have sent this, now or before; a driver asks
    /// before it gives a message of another replica to [`Self::handle`].
    ///
    /// Who sends what is impossible is to be dropped, and the reason is the evidence.
    #[expect(unused_variables, reason = "the names of parameters are their documentation")]
    fn check_message(&self, from: NodeId, message: &Self::Message) -> Result<(), String> {
        Ok(())
    }

    /// The same for what a client asks.
    #[expect(unused_variables, reason = "the names of parameters are their documentation")]
    fn check_command(&self, from: ClientId, command: &Command) -> Result<(), String> {
        Ok(())
    }

    /// What a message states, for observers.
    fn statement(message: &Self::Message) -> Statement<'_>;

    /// What a record states, once it is durable.
    fn recorded(record: &Self::Record) -> Statement<'_>;

    /// The highest ballot that this replica, as an acceptor, has promised at a position.
    fn promised(&self, position: Position) -> Ballot;

    /// The highest ballot that it has promised anywhere, where one phase 1 is about all slots.
    fn promised_highest(&self) -> Ballot {
        Ballot::NONE
    }

    /// The ballot of its last vote at a position, as far as it remembers.
    fn voted(&self, position: Position) -> Option<Ballot>;

    /// The value that it knows to be chosen at a position, as far as it remembers.
    #[expect(unused_variables, reason = "the names of parameters are their documentation")]
    fn chosen(&self, position: Position) -> Option<&Value> {
        None
    }

    /// Everything that must survive a crash.
    fn checkpoint(&self) -> Self::Checkpoint;

    /// Takes back what was durable, before [`Input::Start`].
    fn recover(&mut self, checkpoint: Option<Self::Checkpoint>, records: Vec<Self::Record>);

    /// How far it has executed.
    fn progress(&self) -> Progress;

    /// Whether it leads, and then a number above zero that grows with every leader: of several that think
    /// they lead, the one with the highest does. A protocol without leaders has none.
    fn leadership(&self) -> Option<u64> {
        None
    }

    /// Who refused a proposal of the ballot that it leads with, itself perhaps: its own acceptor may have
    /// promised another.
    fn refused_by(&self) -> NodeSet {
        NodeSet::EMPTY
    }

    /// The phase-2 quorum that it announced for the ballot it leads with, where each ballot has its own.
    fn announced(&self) -> Option<NodeSet> {
        None
    }

    /// The digest of all that its state machine stores, as of an installed state; none, where replicas that
    /// have executed equally much need not store the same.
    fn stored(&self) -> Option<u64> {
        None
    }
}

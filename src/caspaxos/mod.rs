//! CASPaxos: each key is a register of its own that replicas agree on, without a log.
//!
//! Rystsov, *CASPaxos: Replicated state machines without logs* (2018). Per key an acceptor keeps the
//! highest ballot that it promised, and the state it voted for last. A proposer learns the state of the
//! highest ballot from a phase-1 quorum, applies a command to it, and asks for votes for the result.
//! Every phase-1 quorum must meet every phase-2 quorum, as in Flexible Paxos, and no more.
//!
//! | part | what it does |
//! |---|---|
//! | `register` | the state of one key, and what a command makes of it ([`State`]) |
//! | `acceptor` | promises and votes, key by key |
//! | `attempt` | what a proposer is at with one key: both phases, back-off, the promise for the next command |
//! | `replica` | who gets which input, and what is chosen |
//!
//! What is not in the paper, and why:
//!
//! - **A request executes once.** The requests that were applied, and their answers, are part of the state
//!   of their key: a command that timed out may have been applied, and its client asks again.
//! - **The state carries its last commands.** A proposer that builds on a state makes the command that led
//!   to it chosen, even if nobody ever learned that it was. A command is carried until it is in the log of
//!   the replica that proposes, so every command that is applied gets into some log,
//!   unless a process is killed with the end of its log.
//! - **A key has slots**, the versions of its state: the n-th command that is applied to it is in slot n.
//!
//! With one proposer for all clients ([`Mode::proposer`]) a vote promises the proposer's next ballot too, so
//! each command takes one round trip (section 2.2.1 of the paper, with the promise made durable with the
//! vote). A proposer that starts again has no such promise any more.
//! Reads are commands like writes.
//!
//! What it does not do: a key has one command under way at a time, so a key that many clients write at once is
//! slow, and a client that asks again elsewhere sets two proposers against each other; a thrifty proposer does
//! not remember who is silent; a state holds the answers of all requests that are not settled, with the values
//! that were read; and a checkpoint copies every register on the event loop, which with 100,000 keys is a
//! stall.
//!
//! The five promises of [`crate::paxos`] hold here as well.

mod acceptor;
mod attempt;
mod impossible;
mod message;
mod mode;
mod register;
mod replica;
#[cfg(test)]
mod tests;
mod words;

pub use impossible::Impossible;
pub use message::{Checkpoint, Message, Record, Vote};
pub use mode::Mode;
pub use register::State;
pub use replica::Replica;

/// What a replica of this protocol wants done.
pub type Effects = crate::protocol::Effects<Message, Record>;

/// What can happen to a replica of this protocol.
pub type Input = crate::protocol::Input<Message>;

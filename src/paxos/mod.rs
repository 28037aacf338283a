//! The core: classic Paxos, Multi-Paxos and Flexible Paxos, as one state machine per replica.
//!
//! Lamport, *The part-time parliament* (1998) and *Paxos made simple* (2001); Howard, Malkhi,
//! Spiegelman, *Flexible Paxos* (2016): a phase-1 quorum must meet every phase-2 quorum, no more.
//! The core asks [`crate::quorum::QuorumSystem`] and never counts, so the three differ in their
//! quorum table and in how often phase 1 runs, and in nothing else.
//!
//! Five promises, and what keeps each:
//!
//! 1. **No I/O, clock, chance, async or threads.** Random jitter is drawn by the driver.
//!    Kept by the tidy test and clippy.
//! 2. **Equal state and equal input give equal state and equal effects in equal order.**
//!    Kept by `the_same_inputs_give_the_same_effects`.
//! 3. **Any message of a replica that follows the protocol is welcome**, however late, repeated,
//!    reordered or lost; the impossible trips an assertion, in release too.
//!    Kept by the scripted runs, the presets of `check` and the seeds of `fuzz`.
//!    What is impossible at first sight [`Message::check`] says, before it is handled.
//! 4. **State is `Clone + Eq + Hash + Ord`** and small. Kept by `state_can_be_compared_and_hashed`.
//! 5. **An effect that must wait for the disk says so.** A promise or a vote is a
//!    [`durable send`](crate::protocol::Effects::durable_sends); a Phase2a need not wait for the
//!    leader's own vote. Kept by `a_promise_and_a_vote_wait_for_the_disk_and_a_phase2a_does_not`.
//!
mod acceptor;
mod announced;
mod catch_up;
mod checkpoint;
mod chunks;
mod classic;
mod commit_wait;
mod context;
#[cfg(test)]
mod encoding_tests;
mod granted;
mod impossible;
mod learner;
mod message;
mod mode;
mod multi;
mod proposer;
mod reads;
mod replica;
mod requests;
mod snapshot;
mod snapshot_reads;
mod statement;
#[cfg(test)]
mod tests;
mod timer;
mod trimming;
mod versions;
mod window;
mod wire;
mod words;

pub use acceptor::Acceptor;
pub use announced::Announced;
pub use checkpoint::Checkpoint;
pub use granted::Granted;
pub use impossible::Impossible;
pub use message::{Message, Record, Report, Vote};
pub use mode::{LeaseTerms, Mode, Reads, ResponderTerms};
pub use replica::Replica;

/// What a replica of this protocol wants done.
pub type Effects = crate::protocol::Effects<Message, Record>;

/// What can happen to a replica of this protocol.
pub type Input = crate::protocol::Input<Message>;

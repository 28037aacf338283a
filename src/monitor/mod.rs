//! What replicas told, and what must hold of it: one monitor for every checker.
//!
//! A monitor sees what acceptors tell others or make durable. It asks a replica only after a restart, whether
//! it still knows what it told.
//! The model checker, the fuzzer, the diagrams and the scripted runs of the tests feed it; none of them
//! works out by itself which value is chosen or which promise was broken.
//!
//! | file | content |
//! |---|---|
//! | [`invariant`] | the invariants by name |
//! | `votes` | which value is chosen in which slot, and by whose votes ([`Votes`]) |
//! | `told` | what one replica told, and may not take back ([`Told`]) |

pub mod invariant;
pub use invariant::{Finding, Invariant};
mod told;
pub use told::Told;
mod votes;
pub use votes::{Choice, Memory, Proposed, Votes};
#[cfg(test)]
mod tests;

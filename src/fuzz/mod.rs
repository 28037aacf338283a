//! Fuzz: random faults in virtual time, and the properties that must survive them.
//!
//! A seed draws a [`Case`]: a quorum system, a proposer, links, load, costs, and a mix of faults.
//! Some faults come at a time, and some wait until a replica does something (`triggers.rs`).
//! The case runs on the simulator; when its faults are over, whoever crashed starts again (but for a
//! minority that may stay dead), somebody is told to lead if nobody does, and then everything that was
//! asked must be answered.
//! Then a client asks for more, one operation at a time: soon they must take as long as the links
//! between the replicas that are up ask for, and no longer (`recovery.rs`).
//! Every run must keep the [invariants](crate::monitor::Invariant).
//!
//! # Seeds are addresses
//!
//! A seed and its [`Limits`] mean one run, to the byte; a seed that failed is written down in
//! `tests/it/fuzz/failed-seeds.txt` with its story, and runs with the tests.
//! So draws are kept stable: every purpose has a random stream of its own, numbered for good; within
//! a purpose, things are drawn in a fixed order whether they are used or not, and new ones are drawn
//! behind the old; limits change what is kept of a draw, not what is drawn.
//! `a_seed_is_an_address` in `random_stream.rs` pins the generator itself.
//! What a seed leads to still changes whenever the protocol or the simulator does: then the line in
//! the file stays true only as a seed that once failed.
//!
//! What it does not do: it proves nothing, and it knows no other protocol than ours.

mod address;
pub use address::Address;
mod case;
mod contested;
pub use case::Case;
mod corpus;
mod encoded;
mod excerpt;
pub use excerpt::{Excerpt, excerpt};
mod families;
mod limits;
mod line;
pub use line::Line;
mod mutation;
mod observation;
mod random_stream;
pub use limits::Limits;
mod places;
mod recovery;
mod search;
pub use search::{Error, Failed, Found, Guidance, Search};
mod shrink;
pub use shrink::{Shrunk, shrink};
mod situations;
mod system;
mod tally;
pub use tally::Tally;
mod trace;
mod trial;
mod triggers;
pub use trial::{Ran, run, run_traced};
mod fault_mix;
mod watch;
mod words;
pub use fault_mix::FaultMix;
pub use triggers::{Blow, Occasion, TriggeredFault, Victim};

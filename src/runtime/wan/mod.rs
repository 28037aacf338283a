//! The emulated wide area: every datagram that a member sends is held for the delay of its link.
//!
//! It lies below the transports of [`net`](super::net), which hand it datagrams and know nothing of
//! delays.
//!
//! | file | content |
//! |---|---|
//! | [`emulation`] | the outgoing links of one member, and what became of their datagrams |
//! | [`link`] | one directed link: when a datagram is due, and whether it is lost |
//! | [`releaser`] | the thread that sends each datagram when it is due |
//! | `run`, `outlet` | datagrams that leave together, and the socket where they leave |
//! | [`lateness`] | how late datagrams left |
//! | `drops` | datagrams that the kernel dropped |
//! | `buffers` | the size of a socket's buffers |
//! | [`bare`] | datagrams without a transport, to measure the emulation by itself |
//! | [`sabotage`] | an emulation that is broken on purpose |

pub mod bare;
pub use bare::Bare;
pub mod emulation;
pub use emulation::{Emulation, EmulationReport};
pub mod lateness;
pub use lateness::Lateness;
pub mod link;
pub use link::Links;
pub mod releaser;
pub use releaser::{Precision, Releaser, Scheduling};
pub mod sabotage;

pub(in crate::runtime) mod buffers;
pub(in crate::runtime) mod drops;
pub(in crate::runtime) mod outlet;
mod run;

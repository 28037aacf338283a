//! The network of the live runtime: QUIC between members that know one another, over emulated links.
//!
//! | room | what is in it |
//! |---|---|
//! | [`endpoint`], [`transport`] | QUIC, set for consensus |
//! | [`identity`] | the certificate authority of a deployment |
//! | [`frame`] | messages on a stream |
//! | [`emulation`], [`link`], [`releaser`] | the wide area, below QUIC |
//! | [`sabotage`] | the same, broken on purpose |

pub mod emulation;
pub use emulation::{Emulation, EmulationReport};
pub mod endpoint;
pub use endpoint::{Endpoint, bind};
pub mod frame;
pub mod identity;
pub use identity::{Authority, Identity};
pub mod lateness;
pub use lateness::Lateness;
pub mod link;
pub use link::Links;
pub mod releaser;
pub use releaser::{Precision, Releaser};
pub mod sabotage;
pub mod transport;
pub use transport::{Congestion, Transport};

mod congestion;
mod drops;
mod outlet;
mod reset;
mod run;
mod socket;
mod tls;

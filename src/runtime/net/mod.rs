//! The network of the live runtime: QUIC between members that know one another, over emulated links;
//! or TCP, for comparison, over the same.
//!
//! | room | what is in it |
//! |---|---|
//! | [`carrier`] | the one of the two that was asked for |
//! | [`endpoint`], [`transport`] | QUIC, set for consensus |
//! | [`tcp`], [`namespace`], `tunnel` | kernel TCP whose packets are datagrams of the wide area |
//! | [`identity`] | the certificate authority of a deployment |
//! | [`frame`] | messages on a stream |
//! | [`emulation`], [`link`], [`releaser`] | the wide area, below both |
//! | [`bare`], [`lateness`] | how exact it is |
//! | [`sabotage`] | the same, broken on purpose |

pub mod bare;
pub use bare::Bare;
pub mod carrier;
pub use carrier::Carrier;
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
pub mod namespace;
pub mod releaser;
pub use releaser::{Precision, Releaser, Scheduling};
pub mod sabotage;
pub mod tcp;
pub use tcp::{TcpEndpoint, TlsStream};
pub mod transport;
pub use transport::{Congestion, Layout, Protocol, Transport};

mod congestion;
mod drops;
mod outlet;
mod port;
mod reset;
mod run;
mod socket;
#[cfg(test)]
pub(in crate::runtime) mod testing;
mod tls;
mod tunnel;

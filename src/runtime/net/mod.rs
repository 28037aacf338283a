//! The transports of the live runtime: QUIC between members that know one another, over the emulated
//! links of [`wan`](super::wan); or TCP, for comparison, over the same.
//!
//! | file | content |
//! |---|---|
//! | [`carrier`] | the one of the two that was asked for |
//! | [`endpoint`], [`transport`] | QUIC, set for consensus |
//! | [`tcp`], [`namespace`], `tunnel` | kernel TCP whose packets are datagrams of the wide area |
//! | [`identity`] | the certificate authority of a deployment |
//! | [`frame`] | messages on a stream |

pub mod carrier;
pub use carrier::Carrier;
pub mod endpoint;
pub use endpoint::{Endpoint, bind};
pub mod frame;
pub mod identity;
pub use identity::{Authority, Identity};
pub mod namespace;
pub mod tcp;
pub use tcp::{TcpEndpoint, TlsStream};
pub mod transport;
pub use transport::{Congestion, Layout, Protocol, Transport};

mod congestion;
mod port;
mod reset;
mod socket;
#[cfg(test)]
pub(in crate::runtime) mod testing;
mod tls;
mod tunnel;

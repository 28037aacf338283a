//! The live runtime: the only async code.
//!
//! One replica, one task, one event loop ([`replica`]); one load generator for each client region
//! ([`client`]); before both, what measures the links between them ([`probe`]); below them the transports
//! ([`net`]), the emulated wide area ([`wan`]) and the disk ([`storage`]).
//! [`machine`] says whether the machine kept up, and what a member cost.

pub mod alarm;
pub mod client;
pub mod clock;
pub mod interrupt;
pub mod machine;
pub mod mesh;
pub mod net;
pub mod probe;
pub mod replica;
pub mod spool;
pub mod storage;
pub mod stream;
pub mod wan;

mod coalescer;
mod encoder;

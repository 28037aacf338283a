//! The live runtime: the only async code.
//!
//! One replica, one task, one event loop ([`replica`]); one load generator for each client region
//! ([`client`]); before both, what measures the links between them ([`probe`]); below them the network
//! ([`net`]) and the disk ([`storage`]).

pub mod alarm;
pub mod awake;
pub mod client;
pub mod clock;
pub mod host;
pub mod interrupt;
pub mod mesh;
pub mod net;
pub mod probe;
pub mod replica;
pub mod spool;
pub mod storage;
pub mod stream;

mod encoder;

//! The live runtime: the only async code.

pub mod net;
pub mod storage;

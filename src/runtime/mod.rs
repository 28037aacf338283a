//! The live runtime: the only async code.

pub mod alarm;
pub mod clock;
pub mod net;
pub mod storage;

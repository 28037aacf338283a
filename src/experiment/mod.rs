//! Experiments: the file as typed, the plan as meant, and where the numbers come from.
//!
//! [`mod@file`] reads what a user typed and keeps the place of every value.
//! [`plan`] turns it into what will run, with [`sweep`] for the order of the trials, and refuses what
//! cannot mean anything.
//! [`provenance`] describes the code, the machine and the day, for whoever doubts the numbers.

pub mod file;
mod nearest;
pub mod plan;
pub mod provenance;
pub mod sweep;

#[cfg(test)]
mod testing;

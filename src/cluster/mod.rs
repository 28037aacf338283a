//! The live deployment of one trial: a coordinator, and an agent for every member.
//!
//! Launchers only start agents; agents dial back over QUIC, learn their role, peers and
//! configuration, report, and end.
//! So the launchers differ in nothing but how an agent is started.

pub mod agent;
mod blocking;
mod clocks;
mod coordinator;
mod error;
mod gate;
pub mod hosts;
mod launcher;
mod member;
mod place;
mod reception;
mod settings;
pub mod slurm;
mod wire;

pub use crate::runtime::interrupt::Interrupt;
pub use agent::Ticket;
pub use blocking::{measure_links, run_agent, run_trial};
pub use error::Error;
pub use launcher::{Error as StartError, Home, HostLoss, InProcess, Launcher, Processes, Start};
pub use settings::{Progress, Settings, Timeouts};

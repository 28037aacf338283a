//! The live deployment of one trial: a coordinator, and an agent for every member.
//!
//! Launchers only start agents; agents dial back over QUIC, learn their role, peers and
//! configuration, report, and end.
//! So the launchers differ in nothing but how an agent is started.

pub mod agent;
mod blocking;
mod coordinator;
mod deployment;
mod launcher;
mod outcome;
mod usage;
mod wire;

pub use agent::Ticket;
pub use blocking::{Interrupt, run_agent, run_trial};
pub use coordinator::{Error, Progress, Settings};
pub use deployment::{Deployment, Fault};
pub use launcher::{InProcess, Launcher, Processes};
pub use outcome::Outcome;
pub use wire::{Report, RoleReport, Usage};

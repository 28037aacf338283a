//! Members on other machines, reached by `ssh` or by Slurm's `srun`.
//!
//! | file | content |
//! |---|---|
//! | [`mod@file`] | the host file, with all its mistakes |
//! | [`placement`] | which member runs on which host |
//! | [`reach`] | how a command is run on a host: `ssh`, `srun` |
//! | [`connect`] | a host made ready: checked, given the program, and a supervisor started on it |
//! | `connection` | the connection to one host for a whole run |
//! | [`launcher`] | the launcher: which host starts which member |
//! | [`supervisor`] | the process on a host that starts and ends members there |
//! | `channel` | what the two tell each other |
//! | [`links`], `pings` | the links between hosts, measured by themselves |
//! | [`report`] | what a host is |
//! | [`subnet`] | its addresses |
//! | [`shell`] | words for its shell |
//!
//! The coordinator does not know this folder: to it a host is a launcher's word for where a member listens.

mod channel;
pub mod connect;
mod connection;
pub mod file;
pub mod launcher;
pub mod links;
mod pings;
pub mod placement;
pub mod reach;
pub mod report;
pub mod shell;
pub mod subnet;
pub mod supervisor;

pub use channel::Network;

//! `flexpaxos agent`: one member of a deployment, started by the harness and not by hand.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};
use crate::cluster::{Ticket, run_agent};
use crate::runtime::net::Identity;
use crate::time::Span;

/// One member of a deployment; the harness starts it, not you.
#[derive(Debug, Args)]
#[command(hide = true)]
pub(super) struct Agent {
    /// Where the coordinator listens.
    #[arg(long, value_name = "ADDR:PORT")]
    coordinator: SocketAddr,

    /// The file with this member's certificate and key.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,

    /// How long the member may be paused on purpose, in milliseconds.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    patience_ms: u64,

    /// The folder for what this member keeps.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

impl Agent {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let help = "agents are started by `flexpaxos run`, which writes the identity file";
        let identity =
            Identity::read(&self.identity).map_err(|error| Failure::world(&error, help))?;
        let ticket = Ticket {
            coordinator: self.coordinator,
            identity,
            folder: self.folder.clone(),
            shares_process: false,
            patience: Span::from_millis(self.patience_ms),
            releaser: None,
        };
        run_agent(ticket).map_err(|error| Failure::world(&error, help))?;
        Ok(Exit::Done)
    }
}

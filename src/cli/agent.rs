//! `flexpaxos agent`: one member of a deployment, started by the harness and not by hand.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};

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

    /// The folder for what this member keeps.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

impl Agent {
    #[expect(clippy::unused_self, reason = "the deployment reads the arguments")]
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        Err(Failure::absent("the live deployment"))
    }
}

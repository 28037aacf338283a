//! `flexpaxos agent` and `flexpaxos supervise`: what the harness starts, and not you.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Failure};
use crate::cluster::hosts::Network;
use crate::cluster::hosts::subnet::Subnet;
use crate::cluster::hosts::supervisor::{self, Supervision};
use crate::cluster::{Ticket, run_agent};
use crate::runtime::net::Identity;
use crate::time::Span;

/// Where an identity comes from if not from a file.
const STDIN: &str = "-";

/// One member of a deployment; the harness starts it, not you.
#[derive(Debug, Args)]
#[command(hide = true)]
pub(super) struct Agent {
    /// Where the coordinator listens.
    #[arg(long, value_name = "ADDR:PORT")]
    coordinator: SocketAddr,

    /// The file with this member's certificate and key; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,

    /// How long the member may be paused on purpose, in milliseconds.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    patience_ms: u64,

    /// How long the member or the coordinator may be silent else, in milliseconds.
    #[arg(long, value_name = "COUNT", default_value_t = 5_000)]
    silence_ms: u64,

    /// The folder for what this member keeps.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,

    /// The process without which this member does not live.
    #[arg(long, value_name = "PID")]
    supervisor: Option<u32>,
}

impl Agent {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let help = "agents are started by `flexpaxos run`, which hands them their identities";
        if let Some(supervisor) = self.supervisor {
            supervisor::die_with(supervisor).map_err(|error| Failure::world(&error, help))?;
        }
        let ticket = Ticket {
            coordinator: self.coordinator,
            identity: self.identity(help)?,
            folder: self.folder.clone(),
            shares_process: false,
            patience: Span::from_millis(self.patience_ms),
            silence: Span::from_millis(self.silence_ms),
            releaser: None,
        };
        run_agent(ticket).map_err(|error| Failure::world(&error, help))?;
        Ok(Exit::Done)
    }

    fn identity(&self, help: &str) -> Result<Identity, Failure> {
        let read = if self.identity == Path::new(STDIN) {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes)?;
            Identity::from_bytes(Path::new("stdin"), &bytes)
        } else {
            Identity::read(&self.identity)
        };
        read.map_err(|error| Failure::world(&error, help))
    }
}

/// Starts and ends members on a host; the harness starts it over ssh, not you.
#[derive(Debug, Args)]
#[command(hide = true)]
pub(super) struct Supervise {
    /// Below which folder members keep their files.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,

    /// Leaves their files there.
    #[arg(long)]
    keep_scratch: bool,

    /// The address of the coordinator; that from which ssh comes if absent.
    #[arg(long, value_name = "ADDR")]
    coordinator_address: Option<IpAddr>,

    /// The subnet in which members listen.
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<Subnet>,
}

impl Supervise {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let supervision = Supervision {
            scratch: self.scratch.clone(),
            keeps_scratch: self.keep_scratch,
            network: Network { coordinator: self.coordinator_address, subnet: self.subnet },
        };
        let help = "supervisors are started by `flexpaxos run --engine ssh`";
        supervisor::supervise(&supervision).map_err(|error| Failure::world(&error, help))?;
        Ok(Exit::Done)
    }
}

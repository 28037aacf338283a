//! Hosts that a command reaches: read from a file, made ready, and why they cannot be.

use std::net::IpAddr;

use miette::{MietteDiagnostic, Report};

use super::super::{Exit, Failure};
use crate::causes::chain;
use crate::cluster::Interrupt;
use crate::cluster::hosts::connect::Settings;
use crate::cluster::hosts::file::{Hosts, Mistake};
use crate::cluster::hosts::launcher::{ConnectError, RemoteHosts};
use crate::cluster::hosts::reach::Reach;
use crate::cluster::hosts::subnet::Subnet;
use crate::cluster::hosts::{Network, shell};
use crate::cluster::slurm::{self, Allocation};

/// Hosts that a command reaches without running members there.
pub(in super::super) struct Reached<'a> {
    /// As `--hosts` takes it.
    pub(in super::super) hosts: &'a str,
    pub(in super::super) ssh_command: Option<&'a str>,
    pub(in super::super) coordinator_address: Option<IpAddr>,
    pub(in super::super) subnet: Option<Subnet>,
    pub(in super::super) is_quiet: bool,
}

impl Reached<'_> {
    pub(in super::super) fn read(&self) -> Result<Hosts, Failure> {
        read_hosts(self.hosts)
    }

    pub(in super::super) fn connect(
        &self,
        hosts: Hosts,
        interrupt: &Interrupt,
    ) -> Result<RemoteHosts, Failure> {
        let network = Network { coordinator: self.coordinator_address, subnet: self.subnet };
        let reach = Reach::Ssh(ssh_words(self.ssh_command)?);
        let settings = Settings { reach, scratch: None, keeps_scratch: false, network };
        connect(hosts, None, &settings, interrupt, self.is_quiet)
    }
}

pub(super) fn connect(
    hosts: Hosts,
    allocation: Option<Allocation>,
    settings: &Settings,
    interrupt: &Interrupt,
    is_quiet: bool,
) -> Result<RemoteHosts, Failure> {
    let tell = |text: String| {
        if !is_quiet {
            eprintln!("{text}");
        }
    };
    RemoteHosts::connect(hosts, allocation, settings, interrupt, &tell)
        .map_err(|error| unreachable(&error, &settings.reach))
}

/// The words of the command in place of `ssh`.
pub(super) fn ssh_words(command: Option<&str>) -> Result<Vec<String>, Failure> {
    let command = command.unwrap_or("ssh");
    shell::words(command).map_err(|problem| {
        Failure::request(
            format!("--ssh-command {command:?} is no command: {problem}"),
            "write it as for a shell: --ssh-command 'ssh -F FILE'",
        )
    })
}

/// The hosts of a host file, or with an @ before it of a list of bare hosts.
pub(super) fn read_hosts(given: &str) -> Result<Hosts, Failure> {
    let list = given.strip_prefix('@');
    let path = list.unwrap_or(given);
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::request(
            format!("the host file {path} cannot be read: {error}"),
            "name a file with one line a host: `user@host region=NAME`",
        )
    })?;
    let read =
        if list.is_some() { Hosts::parse_list(path, &text) } else { Hosts::parse(path, &text) };
    read.map_err(mistaken)
}

/// All mistakes of a host file, each with what to change.
pub(super) fn mistaken(mistakes: Vec<Mistake>) -> Failure {
    let report = |mistake: Mistake| -> Report {
        let text = mistake.to_string();
        MietteDiagnostic::new(text).with_help(mistake.help).into()
    };
    several(Exit::Request, mistakes.into_iter().map(report).collect())
}

/// One failure of several reports.
fn several(exit: Exit, mut reports: Vec<Report>) -> Failure {
    let report = reports.pop().expect("there is one mistake at least");
    Failure { exit, before: reports, report }
}

/// Why hosts cannot be used.
fn unreachable(error: &ConnectError, reach: &Reach) -> Failure {
    let refused = match error {
        ConnectError::Hosts { refused, .. } => refused,
        ConnectError::Interrupted => {
            return Failure { exit: Exit::Partial, ..Failure::world(error, "no trial had begun") };
        }
        _ => return Failure::world(error, "no trial had begun"),
    };
    let mut reports: Vec<Report> = Vec::new();
    for (host, refused) in refused {
        let text = format!("{host} cannot be used: {}", chain(refused));
        reports.push(MietteDiagnostic::new(text).with_help(refused.help(reach)).into());
    }
    several(Exit::NeverJoined, reports)
}

/// Slurm gave no nodes.
pub(super) fn no_nodes(error: &slurm::Error) -> Failure {
    use slurm::Error::{Absent, HalfAJob, Interrupted, Nodes, Refused, Runtime};
    let (exit, help) = match error {
        Absent { .. } => {
            (Exit::World, "run this on a machine of the cluster from which jobs are submitted")
        }
        Refused { .. } => (
            Exit::World,
            "`sinfo` shows partitions and limits; give other options behind `--`, such as `-- --partition=short`",
        ),
        HalfAJob { .. } => (
            Exit::Request,
            "start it as the job was started, or unset SLURM_JOB_ID to ask for other nodes",
        ),
        Interrupted => (Exit::Partial, "no trial had begun"),
        Nodes { .. } | Runtime(_) => (Exit::World, "no trial had begun"),
    };
    Failure { exit, ..Failure::world(error, help) }
}

//! Where live members run: on this machine, or on hosts that ssh reaches.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use miette::{MietteDiagnostic, Report};

use super::super::{Exit, Failure, output};
use super::dry_run;
use crate::causes::chain;
use crate::cluster::Interrupt;
use crate::cluster::hosts::file::{Hosts, Mistake};
use crate::cluster::hosts::launcher::{ConnectError, SshHosts};
use crate::cluster::hosts::placement::{self, Placement};
use crate::cluster::hosts::ssh::Settings;
use crate::cluster::hosts::subnet::Subnet;
use crate::cluster::hosts::{Network, shell};
use crate::command::ClientId;
use crate::deployment::{Durability, MemberName};
use crate::experiment::plan::{Plan, Point};
use crate::report::table::Width;

/// Where the coordinator listens for members on other hosts when nobody says where: everywhere, as each host
/// sees this machine under the address from which ssh comes.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// File systems on which a sync is no sync of a disk.
const NO_DISK: [&str; 2] = ["tmpfs", "ramfs"];

/// Where live members run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Members on other hosts (docs/hosts.md)")]
pub(in super::super) struct Hosted {
    /// Where live members run: on this machine, or on the hosts of --hosts.
    #[arg(long, value_enum)]
    engine: Option<Engine>,

    /// The host file: one line a host, `user@host region=eu-west-1 role=replica`. `@FILE` is a list of bare hosts.
    #[arg(long, value_name = "FILE")]
    hosts: Option<String>,

    /// What to run in place of `ssh`, such as `oarsh` or `ssh -F FILE`.
    #[arg(long, value_name = "COMMAND")]
    ssh_command: Option<String>,

    /// Where members keep their files on the hosts, such as a folder on the disk to be measured.
    ///
    /// ~/.cache/flexpaxos/scratch if absent. It is emptied when a trial ends.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,

    /// Leaves the files of members on the hosts.
    #[arg(long)]
    keep_scratch: bool,

    /// The address under which hosts reach this machine, if not the one from which ssh comes.
    #[arg(long, value_name = "ADDR")]
    coordinator_address: Option<IpAddr>,

    /// The subnet in which hosts listen, as 10.0.0.0/16, if not on the address that reaches this machine.
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<Subnet>,
}

/// Where live members run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// On this machine.
    Local,
    /// On hosts that ssh reaches.
    Ssh,
}

impl Hosted {
    /// Whether members run on other hosts.
    pub(super) fn is_ssh(&self) -> bool {
        self.engine == Some(Engine::Ssh)
    }

    /// Where the coordinator listens if nobody says where; `None` if as ever.
    pub(super) fn listen(&self) -> Option<SocketAddr> {
        self.is_ssh().then_some(LISTEN)
    }

    /// The first of these options that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let engine = self.engine.map(|_| "--engine");
        engine.or_else(|| self.of_hosts())
    }

    /// The first option that is given and is about hosts.
    fn of_hosts(&self) -> Option<&'static str> {
        let options = [
            ("--hosts", self.hosts.is_some()),
            ("--ssh-command", self.ssh_command.is_some()),
            ("--scratch", self.scratch.is_some()),
            ("--keep-scratch", self.keep_scratch),
            ("--coordinator-address", self.coordinator_address.is_some()),
            ("--subnet", self.subnet.is_some()),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// Refuses options about hosts where there are none.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.of_hosts() {
            Some(name) if !self.is_ssh() => Err(Failure::request(
                format!("{name} has no effect without `--engine ssh`"),
                "add `--engine ssh`, or leave it out",
            )),
            _ => Ok(()),
        }
    }

    /// The hosts, each ready to start members of this plan; every mistake is found before any is reached.
    pub(super) fn connect(
        &self,
        plan: &Plan,
        interrupt: &Interrupt,
        is_quiet: bool,
    ) -> Result<SshHosts, Failure> {
        let hosts = self.read()?;
        let placements = check_placements(&hosts, plan)?;
        let settings = self.settings()?;
        for text in warnings(&hosts, &placements) {
            output::warn(&format!("warning: {text}"));
        }
        let connected = connect(hosts, &settings, interrupt, is_quiet)?;
        for (host, report) in connected.reports() {
            let is_durable = plan.points.iter().any(|point| point.durability == Durability::Fsync);
            let filesystem = report.scratch_filesystem.as_deref().unwrap_or_default();
            if is_durable && NO_DISK.contains(&filesystem) {
                output::warn(&format!(
                    "warning: {host} keeps its files in {}, which is {filesystem}: a sync there is no sync of a \
                     disk; name a folder on a disk with --scratch",
                    report.scratch
                ));
            }
        }
        Ok(connected)
    }

    /// Prints which member would run on which host; then every mistake, with which the command ends.
    pub(super) fn rehearse(
        &self,
        plan: &Plan,
        width: Width,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        if !self.is_ssh() {
            return Err(Failure::request(
                "--dry-run shows which host takes which member, and here no other host does",
                "add `--engine ssh --hosts FILE`; `flexpaxos plan` shows what would run",
            ));
        }
        let hosts = self.read()?;
        self.settings()?;
        dry_run::print(&hosts, plan, width, out)?;
        let placements = check_placements(&hosts, plan)?;
        for text in warnings(&hosts, &placements) {
            output::warn(&format!("warning: {text}"));
        }
        Ok(())
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let network = Network { coordinator: self.coordinator_address, subnet: self.subnet };
        let (scratch, keeps_scratch) = (self.scratch.clone(), self.keep_scratch);
        let ssh_command = ssh_words(self.ssh_command.as_deref())?;
        Ok(Settings { ssh_command, scratch, keeps_scratch, network })
    }

    fn read(&self) -> Result<Hosts, Failure> {
        let Some(given) = &self.hosts else {
            return Err(Failure::request(
                "`--engine ssh` needs the hosts",
                "name a host file with --hosts: one line a host, `user@host region=NAME`",
            ));
        };
        read_hosts(given)
    }
}

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
    ) -> Result<SshHosts, Failure> {
        let network = Network { coordinator: self.coordinator_address, subnet: self.subnet };
        let ssh_command = ssh_words(self.ssh_command)?;
        let settings = Settings { ssh_command, scratch: None, keeps_scratch: false, network };
        connect(hosts, &settings, interrupt, self.is_quiet)
    }
}

fn connect(
    hosts: Hosts,
    settings: &Settings,
    interrupt: &Interrupt,
    is_quiet: bool,
) -> Result<SshHosts, Failure> {
    let tell = |text: String| {
        if !is_quiet {
            eprintln!("{text}");
        }
    };
    SshHosts::connect(hosts, settings, interrupt, &tell).map_err(|error| unreachable(&error))
}

/// The words of the command in place of `ssh`.
fn ssh_words(command: Option<&str>) -> Result<Vec<String>, Failure> {
    let command = command.unwrap_or("ssh");
    shell::words(command).map_err(|problem| {
        Failure::request(
            format!("--ssh-command {command:?} is no command: {problem}"),
            "write it as for a shell: --ssh-command 'ssh -F FILE'",
        )
    })
}

/// The hosts of a host file, or with an @ before it of a list of bare hosts.
fn read_hosts(given: &str) -> Result<Hosts, Failure> {
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

/// Where each point of the plan places its members; all that have no host are named at once.
fn check_placements(hosts: &Hosts, plan: &Plan) -> Result<Vec<Placement>, Failure> {
    let (mut placements, mut mistakes) = (Vec::new(), Vec::new());
    for point in &plan.points {
        match placement::place(hosts, &members(point)) {
            Ok(placement) => placements.push(placement),
            Err(found) => {
                mistakes.extend(
                    found.into_iter().filter(|it| !mistakes.contains(it)).collect::<Vec<_>>(),
                );
            }
        }
    }
    if mistakes.is_empty() { Ok(placements) } else { Err(mistaken(mistakes)) }
}

/// The members of a point, each with its region.
pub(super) fn members(point: &Point) -> Vec<(MemberName, &str)> {
    let replicas = point.links.replicas().map(|id| (MemberName::Replica(id), point.region(id)));
    let clients = (0..).zip(&point.links.client_regions);
    let clients = clients.map(|(id, region)| (MemberName::Client(ClientId(id)), region.as_str()));
    replicas.chain(clients).collect()
}

/// What to know before hosts are used.
fn warnings(hosts: &Hosts, placements: &[Placement]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for text in placements.iter().flat_map(|placement| placement::shared(hosts, placement)) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let idle = placement::idle(hosts, placements);
    if !idle.is_empty() {
        texts.push(format!("no member of this experiment runs on {}", idle.join(", ")));
    }
    texts
}

/// All mistakes of a host file, each with what to change.
fn mistaken(mistakes: Vec<Mistake>) -> Failure {
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
fn unreachable(error: &ConnectError) -> Failure {
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
        reports.push(MietteDiagnostic::new(text).with_help(refused.help()).into());
    }
    several(Exit::NeverJoined, reports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::Size;
    use crate::experiment::testing::{GOOD, source};

    #[test]
    fn every_mistake_of_a_host_file_is_reported_and_none_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.txt");
        std::fs::write(&path, "n1 regoin=a\nn2 role=leader\n").unwrap();
        let hosted = Hosted {
            engine: Some(Engine::Ssh),
            hosts: Some(path.display().to_string()),
            ssh_command: Some("false".into()),
            scratch: None,
            keep_scratch: false,
            coordinator_address: None,
            subnet: None,
        };
        let plan = Plan::from_source(&source(GOOD), Size::default()).unwrap();
        let Err(failure) = hosted.connect(&plan, &Interrupt::never(), true) else {
            panic!("connected")
        };
        assert_eq!((failure.exit, failure.before.len()), (Exit::Request, 1));
        assert!(failure.report.to_string().contains("hosts.txt:2"), "{:?}", failure.report);
        // A file without a mistake of its own, and without a host for anybody.
        std::fs::write(&path, "n1 region=mars\n").unwrap();
        let Err(failure) = hosted.connect(&plan, &Interrupt::never(), true) else {
            panic!("connected")
        };
        assert_eq!(failure.exit, Exit::Request);
        assert!(failure.report.to_string().contains("no host takes"), "{:?}", failure.report);
        // Hosts that ssh does not reach.
        std::fs::write(&path, "n1\nn2\n").unwrap();
        let Err(failure) = hosted.connect(&plan, &Interrupt::never(), true) else {
            panic!("connected")
        };
        assert_eq!((failure.exit, failure.before.len()), (Exit::NeverJoined, 1));
        let said = failure.report.to_string();
        assert!(said.contains("n2 cannot be used: `false n2` ended with"), "{said}");
    }

    #[test]
    fn options_about_hosts_need_hosts() {
        let local = Hosted {
            engine: None,
            hosts: Some("hosts.txt".into()),
            ssh_command: None,
            scratch: None,
            keep_scratch: false,
            coordinator_address: None,
            subnet: None,
        };
        assert!(local.check().unwrap_err().report.to_string().contains("--hosts has no effect"));
        let none = Hosted { engine: Some(Engine::Ssh), hosts: None, ..local };
        assert!(none.check().is_ok() && none.read().is_err());
        assert_eq!((none.listen(), none.given()), (Some(LISTEN), Some("--engine")));
    }
}

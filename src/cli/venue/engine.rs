//! Where live members run: on this machine, on hosts that ssh reaches, or on nodes of Slurm.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::super::{Failure, output};
use super::dry_run;
use super::reached::{connect, mistaken, no_nodes, read_hosts, ssh_words};
use crate::cluster::Interrupt;
use crate::cluster::hosts::Network;
use crate::cluster::hosts::connect::Settings;
use crate::cluster::hosts::file::Hosts;
use crate::cluster::hosts::launcher::RemoteHosts;
use crate::cluster::hosts::placement::{self, Placement};
use crate::cluster::hosts::reach::Reach;
use crate::cluster::hosts::subnet::Subnet;
use crate::cluster::slurm::{Allocation, Asked};
use crate::command::ClientId;
use crate::deployment::{Durability, MemberName};
use crate::experiment::plan::{Plan, Point};
use crate::report::table::Width;
use clap::{Args, ValueEnum};

/// Where the coordinator listens for members on other hosts when nobody says where: everywhere, as each host
/// sees this machine under the address from which it is reached.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// File systems on which a sync is no sync of a disk,
const NO_DISK: [&str; 2] = ["tmpfs", "ramfs"];

/// and those on which it is one of a server that many share.
const SERVERS: [&str; 8] = ["nfs", "nfs4", "cifs", "lustre", "beegfs", "gpfs", "ceph", "9p"];

/// What messages name in place of a host file.
const JOB: &str = "the job";

/// Where live members run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Members on other hosts (docs/hosts.md)")]
pub(in super::super) struct Hosted {
    /// Where live members run: on this machine, on the hosts of --hosts, or on nodes of Slurm.
    ///
    /// `slurm` uses the nodes of the job in which it is started. Outside of a job it asks `salloc` for a node for
    /// each replica, waits in the queue, and gives them back at the end.
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

    /// The address under which hosts reach this machine, if not the one from which ssh or srun comes.
    #[arg(long, value_name = "ADDR")]
    coordinator_address: Option<IpAddr>,

    /// The subnet in which hosts listen, as 10.0.0.0/16, if not on the address that reaches this machine.
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<Subnet>,

    /// Options of `salloc` for `--engine slurm`, such as `-- --nodes=6 --partition=short --time=30`.
    #[arg(last = true, value_name = "SALLOC OPTIONS")]
    salloc: Vec<String>,
}

/// Where live members run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// On this machine.
    Local,
    /// On hosts that ssh reaches.
    Ssh,
    /// On nodes of a Slurm cluster.
    Slurm,
}

/// Hosts, and how they are reached.
struct Found {
    hosts: Hosts,
    reach: Reach,
    /// The job that has them, if one has.
    allocation: Option<Allocation>,
}

impl Hosted {
    /// Whether members run on other hosts.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.engine, Some(Engine::Ssh | Engine::Slurm))
    }

    /// Where the coordinator listens if nobody says where; `None` if as ever.
    pub(super) fn listen(&self) -> Option<SocketAddr> {
        self.is_elsewhere().then_some(LISTEN)
    }

    /// The first of these options that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let engine = self.engine.map(|_| "--engine");
        engine.or_else(|| self.of_hosts())
    }

    /// The first option that is given and is about hosts.
    fn of_hosts(&self) -> Option<&'static str> {
        let options = [
            ("--scratch", self.scratch.is_some()),
            ("--keep-scratch", self.keep_scratch),
            ("--coordinator-address", self.coordinator_address.is_some()),
            ("--subnet", self.subnet.is_some()),
        ];
        let given = options.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name);
        given.or_else(|| self.of_ssh()).or_else(|| self.of_slurm())
    }

    /// The first option that is given and is about hosts that ssh reaches.
    fn of_ssh(&self) -> Option<&'static str> {
        let options =
            [("--hosts", self.hosts.is_some()), ("--ssh-command", self.ssh_command.is_some())];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// The options of `salloc`, if there are some.
    fn of_slurm(&self) -> Option<&'static str> {
        (!self.salloc.is_empty()).then_some("what stands behind `--`")
    }

    /// Refuses options that have no effect.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let refused = match self.engine {
            Some(Engine::Ssh) => self.of_slurm().map(|name| (name, "slurm")),
            Some(Engine::Slurm) => self.of_ssh().map(|name| (name, "ssh")),
            Some(Engine::Local) | None => {
                let engine = if self.of_slurm().is_some() { "slurm" } else { "ssh" };
                self.of_hosts().map(|name| (name, engine))
            }
        };
        match refused {
            Some((name, engine)) => Err(Failure::request(
                format!("{name} has no effect without `--engine {engine}`"),
                format!("add `--engine {engine}`, or leave it out"),
            )),
            None => Ok(()),
        }
    }

    /// The hosts, each ready to start members of this plan; every mistake is found before any is reached.
    pub(super) fn connect(
        &self,
        plan: &Plan,
        interrupt: &Interrupt,
        is_quiet: bool,
    ) -> Result<RemoteHosts, Failure> {
        refuse_leases(plan)?;
        let network = self.network();
        let (scratch, keeps_scratch) = (self.scratch.clone(), self.keep_scratch);
        let Found { hosts, reach, allocation } = self.find(plan, interrupt, is_quiet)?;
        let placements = check_placements(&hosts, plan)?;
        let settings = Settings { reach, scratch, keeps_scratch, network };
        for text in warnings(&hosts, &placements, plan) {
            output::warn(&format!("warning: {text}"));
        }
        let connected = connect(hosts, allocation, &settings, interrupt, is_quiet)?;
        for (host, report) in connected.reports() {
            let is_durable = plan.points.iter().any(|point| point.durability == Durability::Fsync);
            let filesystem = report.scratch_filesystem.as_deref().unwrap_or_default();
            let what = if NO_DISK.contains(&filesystem) {
                "no sync of a disk"
            } else if SERVERS.contains(&filesystem) {
                "one of a server that others use too"
            } else {
                continue;
            };
            if is_durable {
                output::warn(&format!(
                    "warning: {host} keeps its files in {}, which is {filesystem}: a sync there is {what}; name a \
                     folder on a disk of the host with --scratch",
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
        self.check()?;
        refuse_leases(plan)?;
        let hosts = match self.engine {
            Some(Engine::Ssh) => {
                ssh_words(self.ssh_command.as_deref())?;
                self.read()?
            }
            Some(Engine::Slurm) => {
                let names = if let Some(allocation) = self.current()? {
                    allocation.nodes().to_vec()
                } else {
                    let count = node_count(&self.salloc).unwrap_or_else(|| nodes_asked(plan));
                    (1..=count).map(|number| format!("node{number}")).collect()
                };
                Hosts::of_job(JOB, &names)
            }
            Some(Engine::Local) | None => {
                return Err(Failure::request(
                    "--dry-run shows which host takes which member, and here no other host does",
                    "add `--engine ssh --hosts FILE` or `--engine slurm`; `flexpaxos plan` shows what would run",
                ));
            }
        };
        dry_run::print(&hosts, plan, width, out)?;
        let placements = check_placements(&hosts, plan)?;
        for text in warnings(&hosts, &placements, plan) {
            output::warn(&format!("warning: {text}"));
        }
        Ok(())
    }

    fn network(&self) -> Network {
        Network { coordinator: self.coordinator_address, subnet: self.subnet }
    }

    /// The hosts that the user names, or the nodes of a job: this may wait in a queue.
    fn find(&self, plan: &Plan, interrupt: &Interrupt, is_quiet: bool) -> Result<Found, Failure> {
        if self.engine != Some(Engine::Slurm) {
            let reach = Reach::Ssh(ssh_words(self.ssh_command.as_deref())?);
            return Ok(Found { hosts: self.read()?, reach, allocation: None });
        }
        let allocation = if let Some(allocation) = self.current()? {
            allocation
        } else {
            let asked = Asked { node_count: nodes_asked(plan), options: &self.salloc };
            let tell = |text: String| {
                if !is_quiet {
                    eprintln!("{text}");
                }
            };
            tell(
                "asking Slurm for nodes: `squeue --me` tells why it waits, and Ctrl-C ends it"
                    .into(),
            );
            Allocation::ask(&asked, interrupt, &tell).map_err(|error| no_nodes(&error))?
        };
        let hosts = Hosts::of_job(JOB, allocation.nodes());
        let reach = Reach::Srun(allocation.job().to_owned());
        Ok(Found { hosts, reach, allocation: Some(allocation) })
    }

    /// The job in which this runs, which has its nodes already.
    fn current(&self) -> Result<Option<Allocation>, Failure> {
        let current = Allocation::current().map_err(|error| no_nodes(&error))?;
        match current {
            Some(job) if !self.salloc.is_empty() => Err(Failure::request(
                format!(
                    "job {} has its nodes already, and {} asks for others",
                    job.job(),
                    self.salloc.join(" ")
                ),
                "leave out what stands behind `--`, or run this outside of the job",
            )),
            current => Ok(current),
        }
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

/// How many nodes these options of `salloc` ask for, as far as they say it as a number.
fn node_count(options: &[String]) -> Option<usize> {
    let mut words = options.iter().map(String::as_str);
    let mut count = None;
    while let Some(word) = words.next() {
        let value = match word {
            "-N" | "--nodes" => words.next(),
            _ => word.strip_prefix("--nodes=").or_else(|| word.strip_prefix("-N")),
        };
        if let Some(value) = value {
            count = value.parse().ok().filter(|count| *count > 0);
        }
    }
    count
}

/// A node for each replica of the largest deployment.
fn nodes_asked(plan: &Plan) -> usize {
    plan.points.iter().map(|point| point.links.replicas().count()).max().unwrap_or(1)
}

/// Members of several hosts have clocks of which a run knows how far apart they are, and no bound that holds before.
fn refuse_leases(plan: &Plan) -> Result<(), Failure> {
    let mut variants = plan.points.iter().flat_map(|point| &point.variants);
    let Some(variant) = variants.find(|variant| variant.mode.clock_bound().is_some()) else {
        return Ok(());
    };
    Err(Failure::request(
        format!(
            "{} holds a lease, waits for commit timestamps or reads snapshots, which rests on a bound of all clocks",
            variant.name
        ),
        "run it on one host, where members read one clock and its error is injected",
    ))
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
fn warnings(hosts: &Hosts, placements: &[Placement], plan: &Plan) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for text in placements.iter().flat_map(|placement| placement::shared(hosts, placement)) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let regions: Vec<&str> =
        plan.points.iter().flat_map(members).map(|(_, region)| region).collect();
    texts.extend(placement::empty_regions(hosts, &regions));
    let idle = placement::idle(hosts, placements);
    if !idle.is_empty() {
        texts.push(format!("no member of this experiment runs on {}", idle.join(", ")));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::super::super::Exit;
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
            salloc: Vec::new(),
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
            salloc: Vec::new(),
        };
        assert!(local.check().unwrap_err().report.to_string().contains("--hosts has no effect"));
        let slurm = Hosted { engine: Some(Engine::Slurm), ..local };
        assert!(slurm.check().unwrap_err().report.to_string().contains("without `--engine ssh`"));
        let none = Hosted { engine: Some(Engine::Ssh), hosts: None, ..slurm };
        assert!(none.check().is_ok() && none.read().is_err());
        assert_eq!((none.listen(), none.given()), (Some(LISTEN), Some("--engine")));
        let behind = Hosted { salloc: vec!["--nodes=6".into()], ..none };
        assert!(
            behind.check().unwrap_err().report.to_string().contains("without `--engine slurm`")
        );
    }

    #[test]
    fn options_of_salloc_say_how_many_nodes() {
        let check = |text: &str, count: Option<usize>| {
            let options: Vec<String> = text.split(' ').map(str::to_owned).collect();
            assert_eq!(node_count(&options), count, "{text}");
        };
        check("--partition=short", None);
        check("--nodes=6 --time=30", Some(6));
        check("-N 4", Some(4));
        check("-N7", Some(7));
        check("--nodes 3 -N 0", None);
    }
}

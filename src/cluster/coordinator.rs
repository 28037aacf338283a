//! The coordinator: it leads the members of one trial through its states and collects what they have.
//!
//! join → mesh → probe → warm-up → measure → drain → collect.
//! It alone decides what succeeded. A member that falls silent is lost: the trial goes on without
//! it and is flagged.

mod clocks;
mod events;
mod faults;
mod losses;
mod probing;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinSet;

use super::agent::{self, COORDINATOR, control_transport};
use super::error::Error;
use super::launcher::{self, Launcher, Start};
use super::member::{Member, Presence};
use super::reception::{self, Event};
use super::settings::{Progress, Settings, Timeouts};
use super::wire::{self, Baselines, ToAgent};
use crate::client::Schedule;
use crate::deployment::{Deployment, FaultKind, Injector, MemberName, Scheduled, Unsynced};
use crate::protocol::Order;
use crate::runtime::clock;
use crate::runtime::net::{Authority, Endpoint, Identity, Transport, endpoint};
use crate::runtime::probe::Heard;
use crate::runtime::storage::Break;
use crate::runtime::wan::Precision;
use crate::runtime::wan::sabotage::Rule;
use crate::time::{Span, Time};
use crate::trial::{Outcome, Probe, ProbedNetwork};

/// From the order to start to the first operation: the order must reach everybody.
const START_DELAY: Span = Span::from_millis(100);
/// How long a member may take to make room for an order; the stream holds many.
const TELL_MAX: Duration = Duration::from_secs(5);
/// How often the coordinator looks at the clock while nothing happens.
const TICK: Duration = Duration::from_millis(10);

/// Runs one trial.
pub(super) async fn run(
    deployment: &Deployment,
    settings: &Settings<'_>,
    launcher: &mut dyn Launcher,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Outcome, Error> {
    let mut coordinator = Coordinator::new(deployment, settings, launcher)?;
    let mut outcome = coordinator.lead(progress).await;
    coordinator.endpoint.close("the trial is over");
    coordinator.launcher.stop_all();
    if let Ok(outcome) = &mut outcome {
        outcome.clock_errors = coordinator.clock_errors();
        outcome.hosts = coordinator.hosts();
        outcome.core_count = coordinator.core_count();
        outcome.fault_delay = coordinator.launcher.delay();
        outcome.injected = coordinator.faults.into_records();
    }
    outcome
}

/// Measures the links between the members of a deployment, and runs nothing.
pub(super) async fn measure(
    deployment: &Deployment,
    settings: &Settings<'_>,
    launcher: &mut dyn Launcher,
) -> Result<ProbedNetwork, Error> {
    let mut coordinator = Coordinator::new(deployment, settings, launcher)?;
    let measured = async {
        coordinator.join().await?;
        coordinator.mesh().await?;
        let network = coordinator.probe(settings.probe.unwrap_or_default()).await?;
        coordinator.tell_all(&ToAgent::End).await;
        Ok(network)
    };
    let network = measured.await;
    coordinator.endpoint.close("the links are measured");
    coordinator.launcher.stop_all();
    network
}

struct Coordinator<'a> {
    deployment: &'a Deployment,
    folder: &'a Path,
    timeouts: Timeouts,
    transport: Transport,
    precision: Precision,
    probe: Option<Probe>,
    broken: Option<Rule>,
    broken_disk: Option<Break>,
    launcher: &'a mut dyn Launcher,
    authority: Authority,
    /// A member that is started again is the same one.
    identities: BTreeMap<MemberName, Identity>,
    endpoint: Endpoint,
    /// Where members dial.
    address: SocketAddr,
    events: Receiver<Event>,
    members: BTreeMap<MemberName, Member>,
    /// How processes ended, as far as the launcher knows.
    ends: BTreeMap<MemberName, String>,
    /// The number of the probe under way, and what members heard in it.
    probe_run: u32,
    heard: BTreeMap<MemberName, Vec<Heard>>,
    /// What the links from each member are shortened by.
    baselines: BTreeMap<MemberName, Baselines>,
    schedule: Option<Schedule>,
    /// Why a host is lost, if one is.
    lost_host: Option<String>,
    faults: Injector,
    outcome: Outcome,
    /// Accepting and reading; they end with the coordinator.
    _tasks: JoinSet<()>,
}

impl<'a> Coordinator<'a> {
    fn new(
        deployment: &'a Deployment,
        settings: &Settings<'a>,
        launcher: &'a mut dyn Launcher,
    ) -> Result<Self, Error> {
        let is_choice = |fault: &&Scheduled| matches!(fault.kind, FaultKind::Crash { unsynced, .. } if unsynced != Unsynced::Lost);
        if deployment.faults.iter().any(|fault| is_choice(&fault)) {
            return Err(Error::Unsynced);
        }
        launcher.allocate(deployment)?;
        let patience = deployment.longest_pause();
        let control = control_transport(launcher.silence(), patience);
        let authority = Authority::new()?;
        let identity = authority.issue(COORDINATOR)?;
        let endpoint =
            endpoint::bind(&identity, settings.listen, None, &control).map_err(Error::Listen)?;
        let address = reachable(endpoint.local_address());
        let (sender, events) = mpsc::channel(reception::EVENTS_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(reception::accept(endpoint.clone(), sender, settings.folder.to_path_buf()));
        let members =
            deployment.members().into_iter().map(|name| (name, Member::default())).collect();
        Ok(Self {
            deployment,
            folder: settings.folder,
            timeouts: settings.timeouts,
            transport: settings.transport.clone(),
            precision: settings.precision,
            probe: settings.probe,
            broken: settings.broken,
            broken_disk: settings.broken_disk,
            launcher,
            authority,
            identities: BTreeMap::new(),
            endpoint,
            address,
            events,
            members,
            ends: BTreeMap::new(),
            probe_run: 0,
            heard: BTreeMap::new(),
            baselines: BTreeMap::new(),
            schedule: None,
            lost_host: None,
            faults: Injector::new(deployment.faults.clone(), deployment.aim()),
            outcome: Outcome {
                broken: settings.broken,
                broken_disk: settings.broken_disk,
                ..Outcome::default()
            },
            _tasks: tasks,
        })
    }

    async fn lead(&mut self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Outcome, Error> {
        progress(Progress::Joining);
        self.join().await?;
        progress(Progress::Meshing);
        self.mesh().await?;
        if let Some(probe) = self.probe {
            progress(Progress::Probing);
            let network = self.probe(probe).await?;
            if !self.outcome.network.insert(network).is_accepted() {
                self.tell_all(&ToAgent::End).await;
                return Ok(std::mem::take(&mut self.outcome));
            }
        }
        let schedule = self.start().await;
        progress(Progress::WarmUp);
        self.until(schedule.measure_from, |_| false).await?;
        progress(Progress::Measuring);
        self.until(schedule.measure_until, |_| false).await?;
        progress(Progress::Draining);
        self.until(schedule.drain_until + TICK.into(), |all| {
            all.is_everybody_back() && all.are_clients_drained()
        })
        .await?;
        self.relieve().await?;
        let deadline = clock::now() + self.timeouts.quiesce;
        self.until(deadline, Self::are_replicas_level).await?;
        progress(Progress::Collecting);
        self.collect().await?;
        self.outcome.refused_count = self.endpoint.refused();
        Ok(std::mem::take(&mut self.outcome))
    }

    async fn join(&mut self) -> Result<(), Error> {
        let names: Vec<MemberName> = self.members.keys().copied().collect();
        for name in names {
            self.launch(name)?;
        }
        let from = clock::now();
        let joined = |all: &Self| all.expected(|member| member.address.is_none()).is_empty();
        if self.until(from + self.timeouts.join, joined).await? {
            return self.fail_early();
        }
        self.fail_early()?;
        Err(Error::NeverJoined {
            members: self.expected(|member| member.address.is_none()),
            ends: std::mem::take(&mut self.ends),
            waited: clock::now().since(from),
            folder: self.folder.to_path_buf(),
            hint: self.dialling_hint(),
        })
    }

    /// What members on other hosts need to reach the coordinator.
    fn dialling_hint(&self) -> String {
        let home = |name: &MemberName| self.launcher.home(*name);
        match self.expected(|member| member.session.is_none()).iter().find_map(home) {
            Some(home) => format!(
                "; members on {} and other hosts dial UDP port {} of this machine: open it, or name an open \
                 one with --listen",
                home.host,
                self.address.port()
            ),
            None => String::new(),
        }
    }

    /// Starts a member, for the first time or again.
    ///
    /// Nobody is started twice for one order, and who is lost is not started any more: a replica that
    /// refuses its disk, or dies of it, would do so at every start, and the trial is partial already.
    fn launch(&mut self, member: MemberName) -> Result<(), Error> {
        let is_lost = |member: &Member| member.presence == Presence::Lost;
        if self.members.get(&member).is_some_and(is_lost) {
            return Ok(());
        }
        let identity = match self.identities.get(&member) {
            Some(identity) => identity.clone(),
            None => self.authority.issue(&member.to_string())?,
        };
        self.identities.insert(member, identity.clone());
        let folder = self.folder.join(member.to_string());
        let (coordinator, patience) = (self.address, self.deployment.longest_pause());
        let silence = self.launcher.silence();
        let start = Start { member, coordinator, identity, folder, patience, silence };
        match self.launcher.start(start) {
            Err(launcher::Error::HostLost(reason))
                if self.schedule.is_some() || self.launcher.is_expendable(member) =>
            {
                self.lose(member, &reason);
                Ok(())
            }
            started => Ok(started?),
        }
    }

    async fn mesh(&mut self) -> Result<(), Error> {
        let addresses = self.addresses();
        self.tell_all(&ToAgent::Mesh(addresses)).await;
        let from = clock::now();
        if self.until(from + self.timeouts.mesh, |all| all.unmeshed().is_empty()).await? {
            return self.fail_early();
        }
        self.fail_early()?;
        let (members, waited) = (self.unmeshed(), clock::now().since(from));
        let pairs = self.unconnected().await?;
        Err(Error::NeverMeshed {
            members,
            pairs,
            ends: std::mem::take(&mut self.ends),
            waited,
            folder: self.folder.to_path_buf(),
        })
    }

    /// The members that are there, and not connected to all others that are.
    fn unmeshed(&self) -> Vec<MemberName> {
        let is_there = |name: &MemberName| self.members[name].presence != Presence::Lost;
        let unmeshed = self.members.iter().filter(|(name, member)| {
            let peers = self.deployment.peers(**name);
            is_there(name) && member.status.connected < peers.into_iter().filter(is_there).count()
        });
        unmeshed.map(|(name, _)| *name).collect()
    }

    async fn start(&mut self) -> Schedule {
        let warmup_from = clock::now() + START_DELAY + self.reach();
        let measure_from = warmup_from + self.deployment.warmup;
        let measure_until = measure_from + self.deployment.duration;
        let drain_until = measure_until + self.deployment.drain;
        let schedule = Schedule { warmup_from, measure_from, measure_until, drain_until };
        self.schedule = Some(schedule);
        self.faults.start(measure_from, measure_until);
        self.tell_all(&ToAgent::Start(schedule)).await;
        schedule
    }

    async fn collect(&mut self) -> Result<(), Error> {
        self.check_clocks().await?;
        self.tell_all(&ToAgent::Finish).await;
        let deadline = clock::now() + self.timeouts.collect;
        self.until(deadline, |all| {
            all.expected(|_| true).iter().all(|name| all.has_handed_over(*name))
        })
        .await?;
        self.await_hosts().await?;
        let names: Vec<MemberName> = self.members.keys().copied().collect();
        for name in names {
            if self.has_handed_over(name) {
                continue;
            }
            match self.members[&name].presence {
                Presence::Expected => self.lose(name, "it did not hand over what it has"),
                Presence::Returning => {
                    self.lose(name, "it was started again and did not come back");
                }
                Presence::Down | Presence::Lost => {}
            }
            // What it had written down when it ended; it lies where this process put its folder.
            let folder = self.folder.join(name.to_string());
            if let Ok(paths) = agent::written_files(&folder) {
                self.outcome.files.insert(name, paths);
            }
        }
        self.tell_all(&ToAgent::End).await;
        Ok(())
    }

    fn has_handed_over(&self, name: MemberName) -> bool {
        let files = self.outcome.files.get(&name).map_or(0, Vec::len);
        let member = &self.members[&name];
        member.has_reported && files == member.file_count
    }

    /// Handles what happens until `is_done` or a deadline; whether it is done.
    async fn until(
        &mut self,
        deadline: Time,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<bool, Error> {
        loop {
            if is_done(self) {
                return Ok(true);
            }
            if clock::now() >= deadline {
                return Ok(false);
            }
            self.follow_faults().await?;
            let next = self.faults.next_at().map_or(deadline, |next| next.min(deadline));
            let rest = Duration::from(next.since(clock::now())).min(TICK);
            if let Ok(Some(event)) = tokio::time::timeout(rest, self.events.recv()).await {
                self.handle(event).await?;
            }
            let is_early_end = self.note_ends();
            if self.schedule.is_none() && (is_early_end || self.unexpected_loss().is_some()) {
                return Ok(false);
            }
        }
    }

    /// Asks the launcher for ends of members that are not connected; whether there is one.
    ///
    /// An agent that is connected tells more about its end than a launcher knows.
    fn note_ends(&mut self) -> bool {
        self.note_lost_hosts();
        let mut has_ended = false;
        for name in self.expected(|member| member.session.is_none()) {
            if let Some(end) = self.launcher.ended(name) {
                self.ends.insert(name, end);
                has_ended = true;
            }
        }
        let is_awaited =
            |member: &Member| member.presence == Presence::Returning && member.session.is_none();
        let returning = self.members.iter().filter(|(_, member)| is_awaited(member));
        for name in returning.map(|(name, _)| *name).collect::<Vec<_>>() {
            if let Some(end) = self.launcher.ended(name) {
                self.lose(name, &format!("it was started again and ended: {end}"));
            }
        }
        has_ended
    }

    fn lose(&mut self, name: MemberName, message: &str) {
        if let Some(member) = self.members.get_mut(&name) {
            member.presence = Presence::Lost;
        }
        self.outcome.lost.entry(name).or_insert_with(|| message.into());
    }

    async fn tell(&mut self, name: MemberName, message: &ToAgent) {
        let Some(member) = self.members.get_mut(&name) else { return };
        // A member that cannot be told is found lost by its reader.
        if let Some(send) = &mut member.send {
            let sent = tokio::time::timeout(TELL_MAX, wire::send(send, message)).await;
            if !matches!(sent, Ok(Ok(()))) {
                member.send = None;
            }
        }
    }

    async fn tell_all(&mut self, message: &ToAgent) {
        let names: Vec<MemberName> = self.members.keys().copied().collect();
        for name in names {
            self.tell(name, message).await;
        }
    }

    fn addresses(&self) -> Vec<(MemberName, SocketAddr)> {
        self.members.iter().filter_map(|(name, member)| Some((*name, member.address?))).collect()
    }

    /// The members that are expected to be there and of which this is true.
    fn expected(&self, has: impl Fn(&Member) -> bool) -> Vec<MemberName> {
        let members = self.members.iter().filter(|(_, member)| member.is_expected() && has(member));
        members.map(|(name, _)| *name).collect()
    }

    /// A member that fails before the trial begins spares everybody the wait.
    fn fail_early(&self) -> Result<(), Error> {
        if let Some(reason) = &self.lost_host {
            return Err(launcher::Error::HostLost(reason.clone()).into());
        }
        match self.unexpected_loss() {
            Some((member, message)) => {
                Err(Error::Failed { member: *member, message: message.clone() })
            }
            None => Ok(()),
        }
    }

    /// The last fault may fall into the drain, and a replica that is to come back is waited for.
    fn is_everybody_back(&self) -> bool {
        let is_returning = |member: &Member| member.presence == Presence::Returning;
        self.faults.is_over() && !self.members.values().any(is_returning)
    }

    fn are_clients_drained(&self) -> bool {
        self.members
            .iter()
            .filter(|(name, member)| matches!(name, MemberName::Client(_)) && member.is_expected())
            .all(|(_, member)| member.status.is_drained)
    }

    /// Whether replicas execute slots, in order.
    fn has_slots(&self) -> bool {
        self.deployment.mode.order() == Order::Total
    }

    /// Whether replicas have executed equally much; without a log they never need.
    fn are_replicas_level(&self) -> bool {
        if !self.has_slots() {
            return true;
        }
        let mut executed = self
            .members
            .iter()
            .filter(|(name, member)| matches!(name, MemberName::Replica(_)) && member.is_expected())
            .map(|(_, member)| member.status.executed_below);
        let first = executed.next();
        executed.all(|below| Some(below) == first)
    }
}

/// Where members on this host dial a coordinator that listens everywhere.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

//! The coordinator: it leads the members of one trial through its states and collects what they have.
//!
//! join → mesh → warm-up → measure → drain → collect.
//! It alone decides what succeeded. A member that falls silent is lost: the trial goes on without
//! it and is flagged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use super::agent::{COORDINATOR, control_transport};
use super::deployment::{Deployment, Fault};
use super::launcher::{self, Launcher, Start};
use super::outcome::Outcome;
use super::wire::{self, Receiver, Status, ToAgent, ToCoordinator};
use crate::runtime::client::Schedule;
use crate::runtime::clock;
use crate::runtime::net::{Authority, Endpoint, endpoint, identity};
use crate::runtime::replica::MemberName;
use crate::time::{Span, Time};

/// How long a member may take to join.
const JOIN_TIMEOUT: Span = Span::from_millis(20_000);
/// How long the mesh may take to form.
const MESH_TIMEOUT: Span = Span::from_millis(20_000);
/// How long replicas may take, after the last answer, to execute as much as the one furthest ahead.
const QUIESCE_TIMEOUT: Span = Span::from_millis(5_000);
/// How long a member may take to hand over what it has.
const COLLECT_TIMEOUT: Span = Span::from_millis(60_000);
/// From the order to start to the first operation: the order must reach everybody.
const START_DELAY: Span = Span::from_millis(100);
/// How often the coordinator looks at the clock while nothing happens.
const TICK: Duration = Duration::from_millis(10);

/// Why a trial came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificates.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The coordinator's own socket.
    #[error("the coordinator cannot listen; choose another address with --listen")]
    Listen(#[source] endpoint::Error),
    /// An agent could not be started.
    #[error(transparent)]
    Launch(#[from] launcher::Error),
    /// Members that never dialled.
    #[error(
        "{} never joined within {} s; their logs are in {}",
        list(members), JOIN_TIMEOUT.0 / 1_000_000_000, folder.display()
    )]
    NeverJoined {
        /// Which.
        members: Vec<MemberName>,
        /// The folder of the trial.
        folder: PathBuf,
    },
    /// Members that found no way to the others.
    #[error("{} found no connection to all its peers within {} s", list(members), MESH_TIMEOUT.0 / 1_000_000_000)]
    NeverMeshed {
        /// Which.
        members: Vec<MemberName>,
    },
    /// A member failed before the trial began.
    #[error("{member} failed: {message}")]
    Failed {
        /// Which.
        member: MemberName,
        /// What it said.
        message: String,
    },
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
    /// There is no runtime to run in.
    #[error("cannot start the event loop: raise the limit of open files (ulimit -n)")]
    Runtime(#[source] std::io::Error),
    /// A file of a member could not be kept.
    #[error("cannot write {}: make room or choose another folder with --out", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn list(members: &[MemberName]) -> String {
    members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What the user is shown while a trial runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Agents are starting.
    Joining,
    /// Members connect to one another.
    Meshing,
    /// Load before the measurement.
    WarmUp,
    /// Load under measurement.
    Measuring,
    /// Outstanding answers arrive.
    Draining,
    /// Members hand over what they have.
    Collecting,
}

/// What a coordinator is given beside the deployment.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// Where members keep their files while they run, and where what they hand over is kept.
    pub folder: &'a Path,
}

/// Runs one trial.
pub(super) async fn run(
    deployment: &Deployment,
    settings: &Settings<'_>,
    launcher: &mut dyn Launcher,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Outcome, Error> {
    let mut coordinator = Coordinator::new(deployment, settings, launcher)?;
    let outcome = coordinator.lead(progress).await;
    coordinator.endpoint.close("the trial is over");
    coordinator.launcher.stop_all();
    outcome
}

/// What happens to the coordinator.
enum Event {
    /// A member dialled.
    Joined(MemberName, SendStream, Connection),
    /// A member said something.
    Said(MemberName, ToCoordinator),
    /// A member handed over a file.
    Handed(MemberName, Result<PathBuf, Error>),
    /// A member's connection ended.
    Lost(MemberName),
}

/// What is known of one member.
#[derive(Debug, Default)]
struct Member {
    send: Option<SendStream>,
    address: Option<SocketAddr>,
    status: Status,
    has_reported: bool,
    file_count: usize,
    /// It was killed on purpose and is not expected to be there.
    is_down: bool,
    /// It is lost for good.
    is_lost: bool,
}

struct Coordinator<'a> {
    deployment: &'a Deployment,
    folder: &'a Path,
    launcher: &'a mut dyn Launcher,
    authority: Authority,
    endpoint: Endpoint,
    address: SocketAddr,
    events: UnboundedReceiver<Event>,
    members: BTreeMap<MemberName, Member>,
    schedule: Option<Schedule>,
    faults: Vec<(Time, Strike)>,
    outcome: Outcome,
    /// Accepting and reading; they end with the coordinator.
    _tasks: JoinSet<()>,
}

/// One half of a fault.
#[derive(Clone, Copy, Debug)]
enum Strike {
    Kill(MemberName),
    Restart(MemberName),
}

impl<'a> Coordinator<'a> {
    fn new(
        deployment: &'a Deployment,
        settings: &Settings<'a>,
        launcher: &'a mut dyn Launcher,
    ) -> Result<Self, Error> {
        let authority = Authority::new()?;
        let identity = authority.issue(COORDINATOR)?;
        let endpoint = endpoint::bind(&identity, settings.listen, None, &control_transport())
            .map_err(Error::Listen)?;
        let address = endpoint.local_address();
        let (sender, events) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(endpoint.clone(), sender, settings.folder.to_path_buf()));
        let members =
            deployment.members().into_iter().map(|name| (name, Member::default())).collect();
        Ok(Self {
            deployment,
            folder: settings.folder,
            launcher,
            authority,
            endpoint,
            address,
            events,
            members,
            schedule: None,
            faults: Vec::new(),
            outcome: Outcome::default(),
            _tasks: tasks,
        })
    }

    async fn lead(&mut self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Outcome, Error> {
        progress(Progress::Joining);
        self.join().await?;
        progress(Progress::Meshing);
        self.mesh().await?;
        let schedule = self.start().await;
        progress(Progress::WarmUp);
        self.until(schedule.measure_from, |_| false).await?;
        progress(Progress::Measuring);
        self.until(schedule.measure_until, |_| false).await?;
        progress(Progress::Draining);
        // The last strike may fall into the drain: a replica that is to come back is waited for.
        self.until(schedule.drain_until + TICK.into(), |all| {
            all.faults.is_empty() && all.are_clients_drained()
        })
        .await?;
        let deadline = clock::now() + QUIESCE_TIMEOUT;
        self.until(deadline, Self::are_replicas_level).await?;
        progress(Progress::Collecting);
        self.collect().await?;
        Ok(std::mem::take(&mut self.outcome))
    }

    async fn join(&mut self) -> Result<(), Error> {
        let names: Vec<MemberName> = self.members.keys().copied().collect();
        for name in names {
            self.launch(name)?;
        }
        let bound = |all: &Self| all.members.values().all(|member| member.address.is_some());
        if self.until(clock::now() + JOIN_TIMEOUT, bound).await? {
            return self.fail_early();
        }
        self.fail_early()?;
        let members = self.missing(|member| member.address.is_none());
        Err(Error::NeverJoined { members, folder: self.folder.to_path_buf() })
    }

    fn launch(&mut self, member: MemberName) -> Result<(), Error> {
        let identity = self.authority.issue(&member.to_string())?;
        let folder = self.folder.join(member.to_string());
        let start = Start { member, coordinator: self.address, identity, folder };
        Ok(self.launcher.start(start)?)
    }

    async fn mesh(&mut self) -> Result<(), Error> {
        let addresses = self.addresses();
        self.tell_all(&ToAgent::Mesh(addresses)).await;
        let deployment = self.deployment;
        let is_meshed = move |name: MemberName, member: &Member| {
            member.status.connected >= deployment.peers(name).len()
        };
        let all_meshed =
            |all: &Self| all.members.iter().all(|(name, member)| is_meshed(*name, member));
        if self.until(clock::now() + MESH_TIMEOUT, all_meshed).await? {
            return self.fail_early();
        }
        self.fail_early()?;
        let members = self.members.iter().filter(|(name, member)| !is_meshed(**name, member));
        Err(Error::NeverMeshed { members: members.map(|(name, _)| *name).collect() })
    }

    async fn start(&mut self) -> Schedule {
        let warmup_from = clock::now() + START_DELAY;
        let measure_from = warmup_from + self.deployment.warmup;
        let measure_until = measure_from + self.deployment.duration;
        let drain_until = measure_until + self.deployment.drain;
        let schedule = Schedule { warmup_from, measure_from, measure_until, drain_until };
        self.schedule = Some(schedule);
        for Fault { at, replica, restart_after } in &self.deployment.faults {
            let member = MemberName::Replica(*replica);
            let killed_at = measure_from + *at;
            self.faults.push((killed_at, Strike::Kill(member)));
            let restart = restart_after.map(|after| (killed_at + after, Strike::Restart(member)));
            self.faults.extend(restart);
        }
        self.faults.sort_by_key(|(at, _)| *at);
        self.tell_all(&ToAgent::Start(schedule)).await;
        schedule
    }

    async fn collect(&mut self) -> Result<(), Error> {
        self.tell_all(&ToAgent::Finish).await;
        let deadline = clock::now() + COLLECT_TIMEOUT;
        self.until(deadline, |all| {
            all.members.iter().filter(|(_, member)| member.is_expected()).all(|(name, member)| {
                let files = all.outcome.files.get(name).map_or(0, Vec::len);
                member.has_reported && files == member.file_count
            })
        })
        .await?;
        for name in self.missing(|member| !member.has_reported) {
            self.outcome.lost.entry(name).or_insert_with(|| "it made no report".into());
        }
        self.tell_all(&ToAgent::End).await;
        Ok(())
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
            self.strike()?;
            let rest = Duration::from(deadline.since(clock::now())).min(TICK);
            if let Ok(Some(event)) = tokio::time::timeout(rest, self.events.recv()).await {
                self.handle(event).await?;
            }
            if self.schedule.is_none() && !self.outcome.lost.is_empty() {
                return Ok(false);
            }
        }
    }

    /// Carries out the faults that are due.
    fn strike(&mut self) -> Result<(), Error> {
        while self.faults.first().is_some_and(|(at, _)| *at <= clock::now()) {
            match self.faults.remove(0).1 {
                Strike::Kill(name) => {
                    if let Some(member) = self.members.get_mut(&name) {
                        member.is_down = true;
                        member.send = None;
                    }
                    self.launcher.kill(name);
                }
                Strike::Restart(name) => self.launch(name)?,
            }
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Joined(name, send, connection) => self.welcome(name, send, &connection).await,
            Event::Said(name, message) => self.hear(name, message).await,
            Event::Handed(name, path) => {
                self.outcome.files.entry(name).or_default().push(path?);
            }
            Event::Lost(name) => {
                let Some(member) = self.members.get_mut(&name) else { return Ok(()) };
                if !member.is_down && !member.has_reported {
                    member.is_lost = true;
                    let message = "its connection to the coordinator ended".into();
                    self.outcome.lost.entry(name).or_insert(message);
                }
            }
        }
        Ok(())
    }

    async fn welcome(&mut self, name: MemberName, send: SendStream, connection: &Connection) {
        let Some(member) = self.members.get_mut(&name) else {
            connection.close(0u32.into(), b"no such member");
            return;
        };
        // A restarted member keeps its address, so that its peers find it again.
        let bind =
            member.address.unwrap_or_else(|| SocketAddr::new(connection.remote_address().ip(), 0));
        member.send = Some(send);
        let deployment = Box::new(self.deployment.clone());
        self.tell(name, &ToAgent::Assign { deployment, bind }).await;
    }

    async fn hear(&mut self, name: MemberName, message: ToCoordinator) {
        let Some(member) = self.members.get_mut(&name) else { return };
        match message {
            ToCoordinator::Join { .. } => {}
            ToCoordinator::Bound(address) => {
                member.address = Some(address);
                if let (true, Some(schedule)) = (member.is_down, self.schedule) {
                    let addresses = self.addresses();
                    self.tell(name, &ToAgent::Mesh(addresses)).await;
                    self.tell(name, &ToAgent::Start(schedule)).await;
                }
            }
            ToCoordinator::Recovered(recovery) => {
                member.is_down = false;
                self.outcome.recoveries.entry(name).or_default().push(recovery);
            }
            ToCoordinator::Status(status) => member.status = status,
            ToCoordinator::Report(report) => {
                member.has_reported = true;
                member.file_count = report.file_count;
                self.outcome.reports.insert(name, *report);
            }
            ToCoordinator::Failed { message, is_violation } => {
                member.is_lost = true;
                if is_violation {
                    self.outcome.violations.push(format!("{name}: {message}"));
                }
                self.outcome.lost.insert(name, message);
                self.tell(name, &ToAgent::End).await;
            }
        }
    }

    async fn tell(&mut self, name: MemberName, message: &ToAgent) {
        let Some(member) = self.members.get_mut(&name) else { return };
        // A member that cannot be told is found lost by its reader.
        if let Some(send) = &mut member.send
            && wire::send(send, message).await.is_err()
        {
            member.send = None;
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

    fn missing(&self, is_missing: impl Fn(&Member) -> bool) -> Vec<MemberName> {
        let members = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_lost && !member.is_down && is_missing(member));
        members.map(|(name, _)| *name).collect()
    }

    /// A member that fails before the trial begins spares everybody the wait.
    fn fail_early(&self) -> Result<(), Error> {
        match self.outcome.lost.first_key_value() {
            Some((member, message)) => {
                Err(Error::Failed { member: *member, message: message.clone() })
            }
            None => Ok(()),
        }
    }

    fn are_clients_drained(&self) -> bool {
        self.members
            .iter()
            .filter(|(name, member)| matches!(name, MemberName::Client(_)) && member.is_expected())
            .all(|(_, member)| member.status.is_drained)
    }

    fn are_replicas_level(&self) -> bool {
        let mut executed = self
            .members
            .iter()
            .filter(|(name, member)| matches!(name, MemberName::Replica(_)) && member.is_expected())
            .map(|(_, member)| member.status.executed_below);
        let first = executed.next();
        executed.all(|below| Some(below) == first)
    }
}

impl Member {
    const fn is_expected(&self) -> bool {
        !self.is_lost && !self.is_down
    }
}

/// Takes members that dial, and reads what each says and hands over.
async fn accept(endpoint: Endpoint, events: UnboundedSender<Event>, folder: PathBuf) {
    let mut readers = JoinSet::new();
    while let Some(handshake) = endpoint.accept().await {
        let (events, folder) = (events.clone(), folder.clone());
        readers.spawn(async move {
            // A stranger is refused by its certificate, and the endpoint counts it.
            let Ok(peer) = handshake.finish().await else { return };
            let Some(name) = MemberName::parse(&peer.member) else { return };
            let Ok((send, receive)) = peer.connection.accept_bi().await else { return };
            let joined = Event::Joined(name, send, peer.connection.clone());
            if events.send(joined).is_err() {
                return;
            }
            let files = tokio::spawn(take_files(
                peer.connection.clone(),
                name,
                folder.join(name.to_string()),
                events.clone(),
            ));
            let mut receiver = Receiver::new(receive);
            while let Ok(message) = receiver.next::<ToCoordinator>().await {
                if events.send(Event::Said(name, message)).is_err() {
                    break;
                }
            }
            files.abort();
            let _ = events.send(Event::Lost(name));
        });
    }
}

/// Keeps the files that a member hands over, each on a stream of its own.
async fn take_files(
    connection: Connection,
    name: MemberName,
    folder: PathBuf,
    events: UnboundedSender<Event>,
) {
    let mut index = 0;
    while let Ok(mut stream) = connection.accept_uni().await {
        let path = folder.join(format!("collected.{index}"));
        index += 1;
        let kept = keep(&mut stream, &path).await;
        let kept = kept.map_err(|source| Error::File { path: path.clone(), source });
        if events.send(Event::Handed(name, kept.map(|()| path))).is_err() {
            return;
        }
    }
}

async fn keep(stream: &mut RecvStream, path: &Path) -> std::io::Result<()> {
    let mut file = tokio::fs::File::create(path).await?;
    tokio::io::copy(stream, &mut file).await?;
    file.flush().await
}

//! An agent: one member of a deployment.
//!
//! It dials the coordinator, learns what it is part of, runs its replica or its load generator, and
//! reports. If the coordinator is lost it stops by itself and leaves in its folder what it has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quinn::{Connection, SendStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::{JoinError, JoinSet};

use super::place::Place;
use super::wire::{self, Baselines, Receiver, Status, ToAgent, ToCoordinator};
use crate::causes::chain;
use crate::client::{Schedule, Session};
use crate::deployment::MemberName;
use crate::measure::{Milestone, write_log};
use crate::quorum::NodeSet;
use crate::runtime::alarm;
use crate::runtime::client::{self, ClientLoop};
use crate::runtime::clock;
use crate::runtime::machine::watch::Watch;
use crate::runtime::mesh::Attached;
use crate::runtime::net::{Identity, Transport, carrier, endpoint};
use crate::runtime::probe::{Heard, Order};
use crate::runtime::replica;
use crate::runtime::storage::{self, Break};
use crate::runtime::wan::Releaser;
use crate::time::Span;
use crate::trial::{Report, RoleReport};

/// The coordinator's name in its certificate.
pub const COORDINATOR: &str = "coordinator";

/// A member says how it goes this often.
const STATUS_INTERVAL: Duration = Duration::from_millis(50);

/// And this often where a fault depends on it.
const STATUS_INTERVAL_ASKED: Duration = Duration::from_millis(5);

/// A side that has nothing else to say says that it is there this often,
const KEEP_ALIVE: Span = Span::from_millis(1_000);

/// or so many times in the time in which it would be lost.
const KEEP_ALIVES_PER_SILENCE: u64 = 4;

/// How long a replica whose disk hangs is waited for, when there is no coordinator any more.
const LEAVING_MAX: Duration = Duration::from_secs(5);

/// What an agent is started with; everything else it learns from the coordinator.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Where the coordinator listens.
    pub coordinator: SocketAddr,
    /// Who the agent is.
    pub identity: Identity,
    /// Its own folder; a restarted replica gets the one it had.
    pub folder: PathBuf,
    /// Whether other members run in the same process, so that its cost cannot be told apart.
    pub shares_process: bool,
    /// How long it, or the coordinator for it, may be silent on purpose.
    pub patience: Span,
    /// How long they may be silent else.
    pub silence: Span,
    /// The thread that releases the datagrams of all members of the process, if they share one.
    pub releaser: Option<Arc<Releaser>>,
}

/// Why an agent ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no deployment has.
    #[error("the identity names {0:?}, which is no member of a deployment")]
    Name(String),
    /// The coordinator's socket.
    #[error(transparent)]
    Endpoint(#[from] endpoint::Error),
    /// Its own.
    #[error(transparent)]
    Carrier(#[from] carrier::Error),
    /// The coordinator was lost, or never reached.
    #[error("lost the coordinator; what was measured so far is in {}", folder.display())]
    Coordinator {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: wire::Error,
    },
    /// The thread that releases datagrams.
    #[error("cannot start the link emulation")]
    Emulation(#[source] std::io::Error),
    /// There is no runtime to run in.
    #[error("cannot start the event loop: raise the limit of open files (ulimit -n)")]
    Runtime(#[source] std::io::Error),
    /// The folder.
    #[error("cannot use the folder {}: choose another one with --out", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its clock.
    #[error(transparent)]
    Clock(#[from] clock::AlignedBefore),
    /// The timer of the probe.
    #[error(transparent)]
    Alarm(#[from] alarm::Error),
    /// The replica.
    #[error(transparent)]
    Replica(#[from] replica::Error),
    /// The load generator.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// An assertion broke.
    #[error("{0}")]
    Panic(String),
}

/// The settings of control connections: a side is lost when it has said nothing for `silence`, and for
/// `patience` beside if it may be paused for so long.
pub(super) fn control_transport(silence: Span, patience: Span) -> Transport {
    let milliseconds = |span: Span| span.0 / 1_000_000;
    let keep_alive = KEEP_ALIVE.min(Span(silence.0 / KEEP_ALIVES_PER_SILENCE));
    Transport {
        idle_timeout_ms: milliseconds(silence + patience),
        keep_alive_ms: milliseconds(keep_alive),
        ..Transport::default()
    }
}

/// Runs one member until the coordinator lets it go; the caller provides a tokio runtime.
pub async fn run(ticket: Ticket) -> Result<(), Error> {
    let name = ticket.identity.member.clone();
    let member = MemberName::parse(&name).ok_or(Error::Name(name))?;
    std::fs::create_dir_all(&ticket.folder)
        .map_err(|source| Error::Folder { path: ticket.folder.clone(), source })?;
    let own = SocketAddr::new(local_address_for(ticket.coordinator.ip()), 0);
    let control = endpoint::bind(
        &ticket.identity,
        own,
        None,
        &control_transport(ticket.silence, ticket.patience),
    )?;
    let connection = control.connect(ticket.coordinator, COORDINATOR, None).await?;
    let lost = |source| Error::Coordinator { folder: ticket.folder.clone(), source };
    let (mut send, receive) = connection.open_bi().await.map_err(|_| lost(wire::Error::Gone))?;
    let join = ToCoordinator::Join { pid: std::process::id() };
    wire::send(&mut send, &join).await.map_err(lost)?;
    let mut agent = Agent {
        folder: ticket.folder.clone(),
        member,
        identity: ticket.identity,
        shares_process: ticket.shares_process,
        releaser: ticket.releaser,
        connection,
        send,
        place: None,
        has_run: false,
        broken_disk: None,
        opened: None,
        milestones: mpsc::unbounded_channel().1,
        loops: JoinSet::new(),
        probes: JoinSet::new(),
        running: None,
        watch: None,
    };
    let outcome = agent.serve(Receiver::new(receive)).await;
    match &outcome {
        Ok(()) => {}
        Err(Error::Coordinator { .. }) => agent.leave_what_there_is().await,
        Err(error) => agent.fail(error).await,
    }
    control.close("done");
    control.wait_idle().await;
    outcome
}

/// The address to bind so that `peer` can be reached: loopback for loopback, any other for others.
fn local_address_for(peer: IpAddr) -> IpAddr {
    if peer.is_loopback() { peer } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

struct Agent {
    folder: PathBuf,
    member: MemberName,
    identity: Identity,
    shares_process: bool,
    releaser: Option<Arc<Releaser>>,
    connection: Connection,
    send: SendStream,
    place: Option<Place>,
    /// This member was ready to run before, in another process.
    has_run: bool,
    broken_disk: Option<Break>,
    /// A replica that is ready to run.
    opened: Option<replica::Opened>,
    /// What it says of leadership.
    milestones: UnboundedReceiver<Milestone>,
    loops: JoinSet<Result<RoleReport, Error>>,
    /// The probe under way; it has the streams.
    probes: JoinSet<Probed>,
    running: Option<Running>,
    watch: Option<Watch>,
}

/// Which probe is over, what was heard in it, and where the streams are now.
type Probed = (u32, Vec<Heard>, UnboundedReceiver<Attached>);

/// The loop that runs, as seen from outside.
enum Running {
    Replica(Arc<replica::Status>),
    Client(Arc<client::Status>),
}

impl Agent {
    async fn serve(&mut self, mut receiver: Receiver) -> Result<(), Error> {
        let mut status = interval(STATUS_INTERVAL);
        loop {
            if status.period() != STATUS_INTERVAL_ASKED && self.is_asked() {
                status = interval(STATUS_INTERVAL_ASKED);
            }
            tokio::select! {
                message = receiver.next::<ToAgent>() => match message {
                    Ok(ToAgent::End) => return Ok(()),
                    Ok(message) => self.handle(message).await?,
                    Err(source) => return Err(self.lost(source)),
                },
                Some(ended) = self.probes.join_next() => self.tell_heard(ended).await?,
                Some(milestone) = self.milestones.recv() => {
                    self.tell(ToCoordinator::Milestone(milestone)).await?;
                }
                Some(ended) = self.loops.join_next() => {
                    let role = role_report(ended).map_err(|error| self.explained(error))?;
                    self.report(role).await?;
                }
                _ = status.tick() => self.tell_status().await?,
            }
        }
    }

    /// Whether faults depend on what members say of themselves.
    fn is_asked(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.deployment.asks_members())
    }

    fn lost(&self, source: wire::Error) -> Error {
        Error::Coordinator { folder: self.folder.clone(), source }
    }

    async fn tell(&mut self, message: ToCoordinator) -> Result<(), Error> {
        wire::send(&mut self.send, &message).await.map_err(|source| self.lost(source))
    }

    async fn handle(&mut self, message: ToAgent) -> Result<(), Error> {
        match message {
            ToAgent::Clock { asked } => {
                self.tell(ToCoordinator::Clock { asked, own: clock::own() }).await
            }
            ToAgent::NameConnected => {
                let connected = self.place.as_ref().map(|place| place.mesh.connected_names());
                self.tell(ToCoordinator::Connected(connected.unwrap_or_default())).await
            }
            ToAgent::Assign(assignment) => {
                if let Some(shift) = assignment.clock_shift_ns {
                    clock::align(shift)?;
                }
                (self.has_run, self.broken_disk) = (assignment.has_run, assignment.broken_disk);
                let releaser = self.releaser.clone();
                let place = Place::take(*assignment, self.member, &self.identity, releaser)?;
                let address = place.endpoint.local_address();
                self.log(&format!("listens on {address}"));
                self.place = Some(place);
                self.open().await?;
                self.tell(ToCoordinator::Ready(address)).await
            }
            ToAgent::Mesh(addresses) => {
                if let Some(place) = &mut self.place {
                    place.connect(addresses);
                }
                Ok(())
            }
            ToAgent::Probe { order, baselines } => self.probe(order, baselines),
            ToAgent::Start(schedule) => self.start(schedule),
            ToAgent::Faults(active) => {
                if let Some(place) = &mut self.place {
                    place.set_faults(active);
                }
                self.strain_disk();
                Ok(())
            }
            ToAgent::Campaign => {
                if let Some(Running::Replica(status)) = &self.running {
                    status.campaign();
                }
                Ok(())
            }
            ToAgent::Finish => {
                self.finish();
                Ok(())
            }
            ToAgent::End => Ok(()),
        }
    }

    /// Reads what is on the disk, which takes its time, before anybody waits for an answer.
    async fn open(&mut self) -> Result<(), Error> {
        let (Some(place), MemberName::Replica(id)) = (&mut self.place, self.member) else {
            return Ok(());
        };
        let deployment = &place.deployment;
        let settings = replica::Settings {
            id,
            durability: deployment.durability,
            folder: self.folder.clone(),
            deployment: deployment.fingerprint(),
            has_run: self.has_run,
            broken_disk: self.broken_disk.and_then(|broken| broken.of(id)),
            broken_driver: None,
            output: new_file(&self.folder)
                .map_err(|source| Error::Folder { path: self.folder.clone(), source })?,
            retained_slots: deployment.retention.slots,
            clock: deployment.clock(id),
            seed: deployment.seed.wrapping_add(u64::from(id.0)),
        };
        let status = Arc::new(replica::Status::default());
        let (sender, milestones) = mpsc::unbounded_channel();
        let (mode, config) = (deployment.mode, deployment.config(id));
        let (replica, recovery) =
            replica::open(mode, config, settings, Arc::clone(&status), sender)?;
        self.opened = Some(replica);
        self.milestones = milestones;
        self.running = Some(Running::Replica(status));
        self.strain_disk();
        self.log(&format!("recovered {recovery:?}"));
        self.tell(ToCoordinator::Recovered(recovery)).await
    }

    /// Lets the disk be as slow, or as full, as the faults that last make it.
    fn strain_disk(&self) {
        if let (Some(place), Some(Running::Replica(status))) = (&self.place, &self.running)
            && let MemberName::Replica(id) = self.member
        {
            status.set_slow(place.slow_disk(id));
            status.set_disk_full(place.is_disk_full(id));
        }
    }

    /// Measures the links; the streams are lent for it.
    fn probe(&mut self, order: Order, baselines: Baselines) -> Result<(), Error> {
        let Some(place) = &mut self.place else { return Ok(()) };
        place.shorten(baselines);
        let Some(attached) = place.attached.take() else { return Ok(()) };
        let prober = place.prober(order, attached)?;
        self.probes.spawn(async move {
            let (heard, attached) = prober.run().await;
            (order.run, heard, attached)
        });
        Ok(())
    }

    async fn tell_heard(&mut self, ended: Result<Probed, JoinError>) -> Result<(), Error> {
        let (run, heard, attached) = ended.map_err(|error| Error::Panic(panic_message(error)))?;
        if let Some(place) = &mut self.place {
            place.attached = Some(attached);
        }
        self.tell(ToCoordinator::Heard { run, heard }).await
    }

    fn start(&mut self, schedule: Schedule) -> Result<(), Error> {
        self.log("starts");
        let Some(place) = &mut self.place else { return Ok(()) };
        let (from, until) = (schedule.measure_from, schedule.measure_until);
        let emulation = place.emulation.clone();
        self.watch = Some(Watch::start(from, until, emulation, self.shares_process));
        let Some(attached) = place.attached.take() else { return Ok(()) };
        let deployment = &place.deployment;
        match self.member {
            MemberName::Replica(_) => {
                let Some(replica) = self.opened.take() else { return Ok(()) };
                let window = schedule.window();
                self.loops.spawn(async move {
                    Ok(RoleReport::Replica(replica(window, attached).await?))
                });
            }
            MemberName::Client(id) => {
                let output = new_file(&self.folder)
                    .map_err(|source| Error::Folder { path: self.folder.clone(), source })?;
                let session = Session::of(deployment, id, schedule);
                let status = Arc::new(client::Status::default());
                let told = Arc::clone(&status);
                let client = ClientLoop::open(session, &output, attached, told, place.quantum)?;
                self.running = Some(Running::Client(status));
                self.loops.spawn(async move { Ok(RoleReport::Client(client.run().await?)) });
            }
        }
        Ok(())
    }

    /// A line for whoever looks for the cause of a failure: a process has its log to itself.
    fn log(&self, text: &str) {
        if !self.shares_process {
            eprintln!("{} {text}", self.member);
        }
    }

    /// An assertion that broke, with the peer whose message was being handled.
    fn explained(&self, error: Error) -> Error {
        match (error, &self.running) {
            (Error::Panic(text), Some(Running::Replica(status))) => match status.handling() {
                Some(peer) => Error::Panic(format!("{text} (while it handled what {peer} sent)")),
                None => Error::Panic(text),
            },
            (error, _) => error,
        }
    }

    /// Tells of peers that sent what is impossible, and lets none of them in again.
    async fn tell_offences(&mut self) -> Result<(), Error> {
        let Some(Running::Replica(status)) = &self.running else { return Ok(()) };
        for offence in status.take_offences() {
            if let Some(place) = &self.place {
                place.mesh.ban(&offence.member);
            }
            self.log(&offence.to_string());
            self.tell(ToCoordinator::Offence(offence)).await?;
        }
        Ok(())
    }

    async fn tell_status(&mut self) -> Result<(), Error> {
        self.tell_offences().await?;
        let connected = self.place.as_ref().map_or(0, |place| place.mesh.connected());
        let status = match &self.running {
            None => Status { connected, ..Status::default() },
            Some(Running::Replica(status)) => Status {
                connected,
                executed_below: status.executed_below.load(Ordering::Relaxed),
                leadership: Some(status.leadership.load(Ordering::Relaxed)).filter(|it| *it > 0),
                announced: Some(NodeSet::from_mask(status.announced.load(Ordering::Relaxed)))
                    .filter(|announced| !announced.is_empty()),
                ..Status::default()
            },
            Some(Running::Client(status)) => Status {
                connected,
                issued: status.issued.load(Ordering::Relaxed),
                acknowledged: status.acknowledged.load(Ordering::Relaxed),
                measured_writes: status.measured_writes.load(Ordering::Relaxed),
                is_drained: status.is_drained.load(Ordering::Relaxed),
                ..Status::default()
            },
        };
        self.tell(ToCoordinator::Status(status)).await
    }

    /// The loop has ended: its files, and its report.
    async fn report(&mut self, role: RoleReport) -> Result<(), Error> {
        let handed_over = self.hand_over(&role).await;
        if matches!(handed_over, Err(Error::Coordinator { .. })) {
            self.leave(&role);
        }
        handed_over
    }

    async fn hand_over(&mut self, role: &RoleReport) -> Result<(), Error> {
        self.tell_offences().await?;
        let paths = written_files(&self.folder)
            .map_err(|source| Error::Folder { path: self.folder.clone(), source })?;
        for path in &paths {
            send_file(&self.connection, path).await.map_err(|error| match error {
                SendFileError::Read(source) => Error::Folder { path: path.clone(), source },
                SendFileError::Gone => self.lost(wire::Error::Gone),
            })?;
        }
        while let Ok(milestone) = self.milestones.try_recv() {
            self.tell(ToCoordinator::Milestone(milestone)).await?;
        }
        let place = self.place.as_ref();
        let report = Report {
            role: role.clone(),
            emulation: place.and_then(|place| Some(place.emulation.as_ref()?.report())),
            refused_count: place.map_or(0, |place| place.endpoint.refused()),
            kernel_drop_count: place.and_then(|place| place.endpoint.kernel_drops()),
            usage: self.watch.as_ref().and_then(Watch::usage),
            watched: self.watch.as_ref().and_then(Watch::watched),
            file_count: paths.len(),
        };
        self.tell(ToCoordinator::Report(Box::new(report))).await
    }

    /// Asks the loop to end.
    fn finish(&self) {
        match &self.running {
            Some(Running::Replica(status)) => status.finish(),
            Some(Running::Client(status)) => status.finish(),
            None => {}
        }
    }

    /// The coordinator is lost: stop, and leave what was measured in the folder.
    async fn leave_what_there_is(&mut self) {
        self.finish();
        let leaving = async {
            while let Some(ended) = self.loops.join_next().await {
                if let Ok(role) = role_report(ended) {
                    self.leave(&role);
                }
            }
        };
        // A replica whose disk hangs does not end.
        let _ = tokio::time::timeout(LEAVING_MAX, leaving).await;
    }

    fn leave(&self, role: &RoleReport) {
        let RoleReport::Client(report) = role else { return };
        let series = self.member.to_string();
        let path = self.folder.join("partial.hlog");
        // It is the last thing this process does; a failure has nobody left to be told.
        if let Ok(file) = std::fs::File::create(path) {
            let _ = write_log(file, Duration::ZERO, &[(&series, &report.recording)]);
        }
    }

    async fn fail(&mut self, error: &Error) {
        let is_violation = matches!(error, Error::Panic(_));
        // Whatever it says of others explains its own end; a coordinator that is lost hears neither.
        let _ = self.tell_offences().await;
        let is_disk_full = matches!(
            error,
            Error::Replica(replica::Error::Storage(storage::Error::DiskFull { .. }))
        );
        let message = ToCoordinator::Failed { message: chain(error), is_violation, is_disk_full };
        if self.tell(message).await.is_ok() {
            // The coordinator closes the connection when it has read that.
            let _ = tokio::time::timeout(Duration::from_secs(2), self.connection.closed()).await;
        }
    }
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

fn role_report(ended: Result<Result<RoleReport, Error>, JoinError>) -> Result<RoleReport, Error> {
    match ended {
        Ok(report) => report,
        Err(error) => Err(Error::Panic(panic_message(error))),
    }
}

fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "an assertion broke".into()),
        Err(error) => error.to_string(),
    }
}

enum SendFileError {
    Read(std::io::Error),
    Gone,
}

async fn send_file(connection: &Connection, path: &Path) -> Result<(), SendFileError> {
    let mut file = tokio::fs::File::open(path).await.map_err(SendFileError::Read)?;
    let mut stream = connection.open_uni().await.map_err(|_| SendFileError::Gone)?;
    tokio::io::copy(&mut file, &mut stream).await.map_err(|_| SendFileError::Gone)?;
    stream.finish().map_err(|_| SendFileError::Gone)
}

/// The file of this start: a member that was killed may have left a half-written one behind it.
fn new_file(folder: &Path) -> std::io::Result<PathBuf> {
    let count = written_files(folder)?.len();
    Ok(folder.join(format!("written.{count}")))
}

/// The files of all starts, in order.
pub(super) fn written_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let path = |index: usize| folder.join(format!("written.{index}"));
    let mut paths = Vec::new();
    while path(paths.len()).try_exists()? {
        paths.push(path(paths.len()));
    }
    Ok(paths)
}

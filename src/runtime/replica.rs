//! The event loop of one replica: the [host](crate::driver::Host) of a driver over QUIC and a disk.
//!
//! One task, no channel on the way of a message: take in what has arrived, let the driver carry out the
//! effects of all of it, and flush the streams.

mod io;
mod report;
pub use report::{Offence, Recovery, Report, Status};
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::alarm;
use super::clock;
use super::mesh::Attached;
use super::net::frame;
use super::spool;
use super::storage::{self, Disk, Options, Owner, Store};
use super::stream::{Closed, Stream};
use crate::command::{Ask, VALUE_BYTES_MAX};
use crate::deployment::{Durability, MemberName};
use crate::driver::{self, Driver};
use crate::history::ChosenWriter;
use crate::measure::{Milestone, PhaseRecorder, Window};
use crate::protocol::{Config, Input, Protocol};
use crate::quorum::{NodeId, NodeSet};
use crate::registry::{Mode, Registration, Visitor};
use crate::time::Clock;
use crate::workload;
use io::Io;

/// Messages of a burst that are handled before the next look at the disk and the connections.
const BURST: usize = 4096;

/// What a workload asks for is never called impossible.
const _: () = assert!(workload::MAX_VALUE_BYTES <= VALUE_BYTES_MAX);

/// What a replica is told about itself, beside its protocol's configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which it is.
    pub id: NodeId,
    /// Whether it survives a crash.
    pub durability: Durability,
    /// Its own folder, for the acceptor's log.
    pub folder: PathBuf,
    /// The deployment, by a number that no other has: a log of another one is refused.
    pub deployment: u64,
    /// It ran before, so its log must be there.
    pub has_run: bool,
    /// How its disk is broken on purpose.
    pub broken_disk: Option<storage::Defect>,
    /// How its driver is broken on purpose.
    pub broken_driver: Option<driver::Defect>,
    /// The file that takes the log of what it executed.
    pub output: PathBuf,
    /// So many executed slots it keeps for others, if it forgets any.
    pub retained_slots: Option<u64>,
    /// What its clock shows.
    pub clock: Clock,
    /// Of its random stream, from which the spread of timers is drawn.
    pub seed: u64,
}

/// Why a replica stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The log of what was executed.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The timer.
    #[error(transparent)]
    Alarm(#[from] alarm::Error),
    /// A record that cannot be written down.
    #[error("cannot encode what {id} has to make durable")]
    Record {
        /// Which replica.
        id: NodeId,
        /// Why.
        source: postcard::Error,
    },
    /// A message that is too long to be sent.
    #[error("cannot encode what {id} has to send; lower value_bytes")]
    Encode {
        /// Which replica.
        id: NodeId,
        /// Why.
        source: frame::Error,
    },
    /// What is on disk is no state of this protocol.
    #[error(
        "{id} cannot read what its acceptor log holds: it was written by another version; \
         choose an empty folder"
    )]
    Decode {
        /// Which replica.
        id: NodeId,
        /// Why.
        source: postcard::Error,
    },
}

/// One replica and everything it talks to, before it runs.
#[derive(Debug)]
pub struct ReplicaLoop<P: Protocol> {
    protocol: P,
    io: Io,
}

/// A replica that is ready to run, of whichever protocol: what [`ReplicaLoop::run`] does.
pub type Opened = Box<dyn FnOnce(Window, UnboundedReceiver<Attached>) -> Running + Send>;

type Running = Pin<Box<dyn Future<Output = Result<Report, Error>> + Send>>;

/// A replica of a registered protocol, with what was durable of it; it tells its milestones.
pub fn open(
    mode: Mode,
    config: Config,
    settings: Settings,
    status: Arc<Status>,
    milestones: UnboundedSender<Milestone>,
) -> Result<(Opened, Recovery), Error> {
    mode.visit(Opening { config, settings, status, milestones })
}

struct Opening {
    config: Config,
    settings: Settings,
    status: Arc<Status>,
    milestones: UnboundedSender<Milestone>,
}

impl Visitor for Opening {
    type Output = Result<(Opened, Recovery), Error>;

    fn visit<P: Registration>(self, mode: P::Mode) -> Self::Output {
        let Self { config, settings, status, milestones } = self;
        let protocol = <P as Registration>::new(mode, config);
        let (replica, recovery) = ReplicaLoop::open(protocol, settings, status)?;
        let replica = replica.telling(milestones);
        Ok((Box::new(|window, attached| Box::pin(replica.run(window, attached))), recovery))
    }
}

/// One replica that runs.
struct Turning<P: Protocol> {
    driver: Driver<P>,
    io: Io,
    /// Where streams come from.
    attached: UnboundedReceiver<Attached>,
}

impl<P: Protocol> ReplicaLoop<P> {
    /// Opens the store and gives the protocol back what was durable: it is ready to run.
    pub fn open(
        mut protocol: P,
        settings: Settings,
        status: Arc<Status>,
    ) -> Result<(Self, Recovery), Error> {
        let id = settings.id;
        let owner = Owner { deployment: settings.deployment, replica: id.0.into() };
        let disk = settings.broken_disk.map_or_else(Disk::default, Disk::with);
        let options = Options {
            owner: Some(owner),
            must_exist: settings.has_run,
            disk: disk
                .slowed_by(Arc::clone(&status.slow_disk_ns))
                .filled_by(Arc::clone(&status.is_disk_full)),
            ..Options::default()
        };
        let folder = settings.folder.join("acceptor");
        let (store, recovered) = Store::open_with(settings.durability, &folder, options)?;
        let decode = |source| Error::Decode { id, source };
        let storage::Recovered { checkpoint, groups, tail } = recovered;
        // What is decoded is dropped as it was read: a replica does not hold its log twice.
        let checkpoint = checkpoint
            .map(|bytes| postcard::from_bytes::<P::Checkpoint>(&bytes))
            .transpose()
            .map_err(decode)?;
        let (group_count, has_checkpoint) = (groups.len(), checkpoint.is_some());
        let mut records = Vec::new();
        // An empty group says nothing.
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            records.extend(postcard::from_bytes::<Vec<P::Record>>(&group).map_err(decode)?);
        }
        protocol.recover(checkpoint, records);
        let progress = protocol.progress();
        let recovery = Recovery { group_count, has_checkpoint, tail, progress };
        let chosen = ChosenWriter::begin(P::ORDER, id, progress);
        let io = Io::new(store, settings, status, chosen)?;
        Ok((Self { protocol, io }, recovery))
    }

    /// Tells `milestones` what it says of leadership as it does: a recording dies with its process.
    #[must_use]
    pub fn telling(mut self, milestones: UnboundedSender<Milestone>) -> Self {
        self.io.milestones = Some(milestones);
        self
    }

    /// Runs with the streams that come through `attached` until it is asked to finish, or cannot go
    /// on; operations that arrive in `window` are measured.
    pub async fn run(
        self,
        window: Window,
        attached: UnboundedReceiver<Attached>,
    ) -> Result<Report, Error> {
        let Self { protocol, mut io } = self;
        io.phases = PhaseRecorder::new(window);
        let settings = driver::Settings {
            id: io.settings.id,
            has_disk: io.settings.durability == Durability::Fsync,
            retained_slots: io.settings.retained_slots,
            clock: io.settings.clock,
            defect: io.settings.broken_driver,
        };
        let driver = Driver::start(clock::now(), protocol, &settings);
        let mut running = Turning { driver, io, attached };
        poll_fn(|cx| running.turn(cx)).await;
        running.io.finish(running.driver.protocol().progress())
    }
}

impl<P: Protocol> Turning<P> {
    /// One wake-up: everything that can be done now is done, and then the connections go on.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.status.waker.register(cx.waker());
        if self.io.status.finish.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.obey();
        self.take_attached(cx);
        let mut is_busy = self.receive(cx);
        let now = clock::now();
        self.driver.fire_due(now);
        is_busy |= self.driver.settle(now, &mut self.io.host(now, cx));
        self.io.flush(cx);
        self.io.arm(self.driver.next_due(), cx);
        self.report_status();
        if self.io.failure.is_some() {
            return Poll::Ready(());
        }
        if is_busy {
            // Let the connections send; what arrives meanwhile is the next batch.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn report_status(&self) {
        let (protocol, status) = (self.driver.protocol(), &self.io.status);
        status.executed_below.store(protocol.progress().0, Ordering::Relaxed);
        status.leadership.store(protocol.leadership().unwrap_or(0), Ordering::Relaxed);
        let announced = protocol.announced().map_or(0, NodeSet::mask);
        status.announced.store(announced, Ordering::Relaxed);
    }

    /// Takes what it is told from outside.
    fn obey(&mut self) {
        let campaign = &self.io.status.campaign;
        if campaign.load(Ordering::Relaxed) {
            campaign.store(false, Ordering::Relaxed);
            self.driver.handle(clock::now(), Input::Campaign);
        }
    }

    fn take_attached(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(Attached { member, stream })) = self.attached.poll_recv(cx) {
            self.io.attach(&member, stream);
        }
    }

    /// Handles what has arrived; true if a stream may hold more.
    ///
    /// While too much waits for the disk nothing is taken in, so that a flood waits at its sender; the
    /// disk wakes the loop when it is ready for more.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { driver, io, .. } = self;
        if io.store.is_congested() {
            return false;
        }
        let mut is_busy = false;
        let now = clock::now();
        let mut lost_replicas = Vec::new();
        for (id, stream) in &mut io.replicas {
            let member = MemberName::Replica(*id);
            io.status.handle(Some(member));
            let handled = drain(stream, cx, |message: P::Message| {
                if let Err(reason) = driver.protocol().check_message(*id, &message) {
                    return Err(Offence::new(member, &message, reason));
                }
                driver.handle(now, Input::Message { from: *id, message });
                Ok(())
            });
            match handled {
                Ok(count) => is_busy |= count == BURST,
                Err(lost) => lost_replicas.push((*id, lost)),
            }
        }
        let mut lost_clients = Vec::new();
        for (id, stream) in &mut io.clients {
            let member = MemberName::Client(*id);
            io.status.handle(Some(member));
            let handled = drain(stream, cx, |ask: Ask| {
                let possible = match &ask {
                    Ask::Command(command) => driver.protocol().check_command(*id, command),
                    Ask::Control(request) => {
                        Ask::check_control(*id, *request).map_err(|error| error.to_string())
                    }
                };
                if let Err(reason) = possible {
                    return Err(Offence::new(member, &ask, reason));
                }
                // A lease is judged by a time that is not before the arrival of the read, however long this process
                // was stopped.
                driver.ask(clock::now(), ask);
                Ok(())
            });
            match handled {
                Ok(count) => is_busy |= count == BURST,
                Err(lost) => lost_clients.push((*id, lost)),
            }
        }
        io.status.handle(None);
        for (id, Lost { closed, offence }) in lost_replicas {
            let stream = io.replicas.remove(&id);
            io.lose(stream, closed);
            io.ban(MemberName::Replica(id), offence);
        }
        for (id, Lost { closed, offence }) in lost_clients {
            let stream = io.clients.remove(&id);
            io.lose(stream, closed);
            io.ban(MemberName::Client(id), offence);
        }
        is_busy
    }
}

/// A stream that is of no more use, and what its peer did to deserve it.
struct Lost {
    closed: Closed,
    offence: Option<Offence>,
}

impl From<Closed> for Lost {
    fn from(closed: Closed) -> Self {
        Self { closed, offence: None }
    }
}

/// Handles the messages of one stream, a burst at most; how many there were.
///
/// With the first that is impossible the stream is over, and nothing behind it is handled.
fn drain<T: serde::de::DeserializeOwned>(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    mut handle: impl FnMut(T) -> Result<(), Offence>,
) -> Result<usize, Lost> {
    let received = stream.receive(cx);
    for count in 0..BURST {
        let Some(message) = stream.next()? else { return Ok(received.map(|()| count)?) };
        if let Err(offence) = handle(message) {
            return Err(Lost { closed: stream.refuse(), offence: Some(offence) });
        }
    }
    Ok(BURST)
}

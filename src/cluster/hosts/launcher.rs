//! Starts members on hosts: one connection to each host for a whole run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::channel::{Order, StartMember};
use super::connect::{self, Program, Settings};
use super::connection::Connection;
use super::file::{Hosts, Mistake};
use super::pings::Pinged;
use super::placement::{Placement, place};
use super::reach::Reach;
use super::report::HostReport;
use crate::cluster::launcher::{self, Home, HostLoss, Launcher, Start};
use crate::cluster::slurm::Allocation;
use crate::deployment::{Deployment, MemberName};
use crate::runtime::interrupt::Interrupt;
use crate::time::Span;

/// How long an expendable host that was lost is tried again before a trial.
const RETURN_MAX: Duration = Duration::from_secs(10);

/// A member on a host, or its coordinator, that has said nothing for so long is lost.
const SILENCE: Span = Span::from_millis(2_000);

/// Why hosts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// This program cannot be read, to be uploaded.
    #[error("this program cannot be read")]
    Program(#[source] std::io::Error),
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
    /// There is no runtime to run in.
    #[error("cannot start the event loop: raise the limit of open files (ulimit -n)")]
    Runtime(#[source] std::io::Error),
    /// These hosts cannot take part.
    #[error("{} of {count} hosts cannot be used", refused.len())]
    Hosts {
        /// Each with its reason.
        refused: Vec<(String, connect::Error)>,
        /// How many there are.
        count: usize,
    },
}

/// The hosts of a run, each with its supervisor.
pub struct RemoteHosts {
    hosts: Hosts,
    connections: Vec<Connection>,
    placement: Placement,
    settings: Settings,
    /// Losses of hosts that are back.
    losses: Vec<HostLoss>,
    /// Keeps the connections; it ends with them.
    runtime: Runtime,
    /// The job that has the hosts; it ends last.
    _allocation: Option<Allocation>,
}

impl RemoteHosts {
    /// Makes all hosts ready at once; all that cannot be are named. `tell` hears what takes its time.
    /// The job that has them ends with them.
    pub fn connect(
        hosts: Hosts,
        allocation: Option<Allocation>,
        settings: &Settings,
        interrupt: &Interrupt,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<Self, ConnectError> {
        let program = Arc::new(Program::own().map_err(ConnectError::Program)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ssh")
            .enable_all()
            .build()
            .map_err(ConnectError::Runtime)?;
        let names: Vec<String> = hosts.names().into_iter().map(str::to_owned).collect();
        let connected = runtime.block_on(async {
            let mut waiting = Vec::new();
            for name in &names {
                let connecting = connect::connect(name, settings, &program, tell);
                // A host that is ready hears that this one is here, while others still take the program.
                waiting.push(async { Ok(Connection::begin(name.clone(), connecting.await?)) });
            }
            tokio::select! {
                connected = all(waiting) => Ok(connected),
                () = interrupt.wait() => Err(ConnectError::Interrupted),
            }
        })?;
        let (mut connections, mut refused) = (Vec::new(), Vec::new());
        for (name, connected) in names.iter().zip(connected) {
            match connected {
                Ok(connection) => connections.push(connection),
                Err(error) => refused.push((name.clone(), error)),
            }
        }
        if refused.is_empty() {
            let (placement, settings, losses) = (Placement::new(), settings.clone(), Vec::new());
            Ok(Self {
                hosts,
                connections,
                placement,
                settings,
                losses,
                runtime,
                _allocation: allocation,
            })
        } else {
            // Supervisors of the others end with their connections.
            Err(ConnectError::Hosts { refused, count: names.len() })
        }
    }

    /// What each host is, in the order of the file.
    pub fn reports(&self) -> impl Iterator<Item = (&str, &HostReport)> {
        self.hosts
            .names()
            .into_iter()
            .zip(self.connections.iter().map(|connection| &connection.report))
    }

    fn connection(&self, member: MemberName) -> Option<&Connection> {
        self.connections.get(*self.placement.get(&member)?)
    }

    fn order(&self, member: MemberName, order: Order) -> bool {
        self.connection(member).is_some_and(|connection| connection.order(order).is_some())
    }

    /// The host of this number, in the order of the file.
    fn name_of(&self, host: usize) -> &str {
        self.hosts.names()[host]
    }

    /// How a host was lost, if it is.
    fn loss(&self, host: usize) -> Option<HostLoss> {
        let (cause, Span(silent_ns)) = self.connections[host].state().lost.clone()?;
        let name = self.name_of(host);
        let (host, is_expendable) = (name.to_owned(), self.hosts.is_expendable(name));
        Some(HostLoss { host, is_expendable, silent_ns, cause })
    }

    /// The hosts, as the file names them.
    pub(super) const fn host_file(&self) -> &Hosts {
        &self.hosts
    }

    /// Gives an order to a host, unless it is lost.
    pub(super) fn order_host(&self, host: usize, order: Order) {
        self.connections[host].order(order);
    }

    /// The socket of a host that answers pings, once it has said so.
    pub(super) fn socket_of(&self, host: usize) -> Option<Result<SocketAddr, String>> {
        self.connections[host].state().socket.clone()
    }

    /// What a host has measured since this was last asked, and whether that is all.
    pub(super) fn take_pinged(&self, host: usize) -> (Vec<Pinged>, bool) {
        let mut state = self.connections[host].state();
        (std::mem::take(&mut state.pinged), state.are_pings_done)
    }

    /// Why a host is lost, if it is.
    pub(super) fn loss_of(&self, host: usize) -> Option<String> {
        self.connections[host].lost()
    }

    /// Tries to reach a host again that was lost; nothing changes if that fails.
    fn reach_again(&mut self, host: usize) {
        let Some(loss) = self.loss(host) else { return };
        let (name, settings) = (self.name_of(host).to_owned(), self.settings.clone());
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let program = Arc::new(Program::own().ok()?);
            let connecting = connect::connect(&name, &settings, &program, &|_| {});
            let connected = tokio::time::timeout(RETURN_MAX, connecting).await.ok()?.ok()?;
            // It fails when nobody waits any more: then the connection ends with its channel.
            sender.send(Connection::begin(name, connected)).ok()
        });
        // The end of the task drops the sender.
        if let Ok(connection) = receiver.recv() {
            self.connections[host] = connection;
            self.losses.push(loss);
        }
    }
}

/// Waits for all of these, side by side.
async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, result) in &mut waiting {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, result)| result).collect()
}

impl Launcher for RemoteHosts {
    fn name(&self) -> &'static str {
        match self.settings.reach {
            Reach::Ssh(_) => "ssh",
            Reach::Srun(_) => "slurm",
        }
    }

    fn allocate(&mut self, deployment: &Deployment) -> Result<(), launcher::Error> {
        let members = deployment.members();
        let members: Vec<(MemberName, &str)> =
            members.into_iter().map(|member| (member, deployment.region(member))).collect();
        self.placement = place(&self.hosts, &members).map_err(|mistakes| {
            let said: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
            launcher::Error::Homeless(said.join("; "))
        })?;
        let mut used: Vec<usize> = self.placement.values().copied().collect();
        used.sort_unstable();
        used.dedup();
        for host in used {
            match self.loss(host) {
                Some(loss) if loss.is_expendable => self.reach_again(host),
                Some(loss) => return Err(launcher::Error::HostLost(loss.cause)),
                None => {}
            }
        }
        Ok(())
    }

    fn home(&self, member: MemberName) -> Option<Home> {
        let host = *self.placement.get(&member)?;
        let report = &self.connections[host].report;
        Some(Home {
            host: self.name_of(host).to_owned(),
            address: report.address,
            ports: report.port_range,
            core_count: report.core_count,
        })
    }

    fn hosts(&self) -> Vec<(String, HostReport)> {
        self.reports().map(|(name, report)| (name.to_owned(), report.clone())).collect()
    }

    fn silence(&self) -> Span {
        SILENCE
    }

    fn start(&mut self, start: Start) -> Result<(), launcher::Error> {
        let Start { member, coordinator, identity, folder, patience, silence } = start;
        let error = |source| launcher::Error::Start { member, folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(error)?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("agent.log"))
            .map_err(error)?;
        let Some(connection) = self.connection(member) else {
            return Err(launcher::Error::Homeless(format!("{member} has no host")));
        };
        connection.state().logs.insert(member, log);
        let trial = folder.parent().and_then(|trial| trial.file_name());
        let trial = trial.map_or_else(|| "trial".to_owned(), |name| name.to_string_lossy().into());
        let coordinator = SocketAddr::new(connection.report.coordinator, coordinator.port());
        let order = StartMember { member, coordinator, identity, trial, patience, silence };
        match connection.order(Order::Start(Box::new(order))) {
            Some(_) => Ok(()),
            None => Err(launcher::Error::HostLost(connection.lost().unwrap_or_default())),
        }
    }

    fn kill(&mut self, member: MemberName) {
        self.order(member, Order::Kill(member));
    }

    fn pause(&mut self, member: MemberName) -> bool {
        self.order(member, Order::Pause(member))
    }

    fn resume(&mut self, member: MemberName) {
        self.order(member, Order::Resume(member));
    }

    fn ended(&mut self, member: MemberName) -> Option<String> {
        let state = self.connection(member)?.state();
        let lost = state.lost.as_ref().map(|(cause, _)| cause.clone());
        lost.or_else(|| state.ended.get(&member).cloned())
    }

    fn host_lost(&mut self, member: MemberName) -> Option<String> {
        self.connection(member)?.lost()
    }

    fn is_expendable(&self, member: MemberName) -> bool {
        let host = self.placement.get(&member);
        host.is_some_and(|host| self.hosts.is_expendable(self.name_of(*host)))
    }

    fn losses(&self) -> Vec<HostLoss> {
        let now = (0..self.connections.len()).filter_map(|host| self.loss(host));
        self.losses.iter().cloned().chain(now).collect()
    }

    fn delay(&self) -> Span {
        self.connections
            .iter()
            .map(|connection| connection.state().delay)
            .max()
            .unwrap_or(Span::ZERO)
    }

    fn stop_all(&mut self) {
        let stopping: Vec<_> = self
            .connections
            .iter()
            .filter_map(|connection| Some((connection, connection.order(Order::StopAll)?)))
            .collect();
        for (connection, number) in stopping {
            connection.wait(number);
            connection.state().logs.clear();
        }
    }
}

impl Drop for RemoteHosts {
    fn drop(&mut self) {
        self.stop_all();
        let connections = std::mem::take(&mut self.connections);
        // All of them at once.
        let endings: Vec<_> = connections.into_iter().map(Connection::end).collect();
        for ending in endings {
            ending.wait();
        }
    }
}

//! Starts members on hosts over ssh: one connection to each host for a whole run.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::channel::{self, BEAT, FromHost, HOST_SILENCE, Order, Receiver, StartMember, ToHost};
use super::file::{Hosts, Mistake};
use super::pings::Pinged;
use super::placement::{Placement, place};
use super::report::HostReport;
use super::ssh::{self, Program, Settings, shortened};
use crate::cluster::launcher::{self, Home, HostLoss, Launcher, Start};
use crate::deployment::{Deployment, MemberName};
use crate::runtime::clock;
use crate::runtime::interrupt::Interrupt;
use crate::time::{Span, Time};

/// How long the end of all members is waited for.
const STOP_MAX: Duration = Duration::from_secs(10);

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
        refused: Vec<(String, ssh::Error)>,
        /// How many there are.
        count: usize,
    },
}

/// The hosts of a run, each with its supervisor.
pub struct SshHosts {
    hosts: Hosts,
    links: Vec<Link>,
    placement: Placement,
    settings: Settings,
    /// Losses of hosts that are back.
    losses: Vec<HostLoss>,
    /// Keeps the connections; it ends with them.
    runtime: Runtime,
}

/// The connection to one host.
struct Link {
    orders: UnboundedSender<ToHost>,
    shared: Arc<Shared>,
    report: HostReport,
}

/// What is known of a host.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of the last order.
    last: u64,
    /// Orders that are not carried out yet, and when they were given.
    open: BTreeMap<u64, Time>,
    /// The longest that an order took.
    delay: Span,
    /// The order that started each member.
    starts: BTreeMap<MemberName, u64>,
    /// How members ended by themselves.
    ended: BTreeMap<MemberName, String>,
    /// Where what members write to their logs is kept.
    logs: BTreeMap<MemberName, std::fs::File>,
    /// The socket that answers pings.
    socket: Option<Result<SocketAddr, String>>,
    /// What the host measured of links and nobody has taken yet.
    pinged: Vec<Pinged>,
    /// All pings of the host are answered or lost.
    are_pings_done: bool,
    /// Why the host is lost, and how long after its last sign of life it was declared so.
    lost: Option<(String, Span)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SshHosts {
    /// Makes all hosts ready at once; all that cannot be are named. `tell` hears what takes its time.
    pub fn connect(
        hosts: Hosts,
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
                let connecting = ssh::connect(name, settings, &program, tell);
                // A host that is ready hears that this one is here, while others still take the program.
                waiting.push(async { Ok(Link::begin(name.clone(), connecting.await?)) });
            }
            tokio::select! {
                connected = all(waiting) => Ok(connected),
                () = interrupt.wait() => Err(ConnectError::Interrupted),
            }
        })?;
        let (mut links, mut refused) = (Vec::new(), Vec::new());
        for (name, connected) in names.iter().zip(connected) {
            match connected {
                Ok(link) => links.push(link),
                Err(error) => refused.push((name.clone(), error)),
            }
        }
        if refused.is_empty() {
            let (placement, settings, losses) = (Placement::new(), settings.clone(), Vec::new());
            Ok(Self { hosts, links, placement, settings, losses, runtime })
        } else {
            // Supervisors of the others end when their ssh does.
            Err(ConnectError::Hosts { refused, count: names.len() })
        }
    }

    /// What each host is, in the order of the file.
    pub fn reports(&self) -> impl Iterator<Item = (&str, &HostReport)> {
        self.hosts.names().into_iter().zip(self.links.iter().map(|link| &link.report))
    }

    fn link(&self, member: MemberName) -> Option<&Link> {
        self.links.get(*self.placement.get(&member)?)
    }

    fn order(&self, member: MemberName, order: Order) -> bool {
        self.link(member).is_some_and(|link| link.order(order).is_some())
    }

    /// The host of this number, in the order of the file.
    fn name_of(&self, host: usize) -> &str {
        self.hosts.names()[host]
    }

    /// How a host was lost, if it is.
    fn loss(&self, host: usize) -> Option<HostLoss> {
        let (cause, Span(silent_ns)) = self.links[host].shared.state().lost.clone()?;
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
        self.links[host].order(order);
    }

    /// The socket of a host that answers pings, once it has said so.
    pub(super) fn socket_of(&self, host: usize) -> Option<Result<SocketAddr, String>> {
        self.links[host].shared.state().socket.clone()
    }

    /// What a host has measured since this was last asked, and whether that is all.
    pub(super) fn take_pinged(&self, host: usize) -> (Vec<Pinged>, bool) {
        let mut state = self.links[host].shared.state();
        (std::mem::take(&mut state.pinged), state.are_pings_done)
    }

    /// Why a host is lost, if it is.
    pub(super) fn loss_of(&self, host: usize) -> Option<String> {
        self.links[host].lost()
    }

    /// Tries to reach a host again that was lost; nothing changes if that fails.
    fn reach_again(&mut self, host: usize) {
        let Some(loss) = self.loss(host) else { return };
        let (name, settings) = (self.name_of(host).to_owned(), self.settings.clone());
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let program = Arc::new(Program::own().ok()?);
            let connecting = ssh::connect(&name, &settings, &program, &|_| {});
            let connected = tokio::time::timeout(RETURN_MAX, connecting).await.ok()?.ok()?;
            // It fails when nobody waits any more: then the connection ends with its channel.
            sender.send(Link::begin(name, connected)).ok()
        });
        // The end of the task drops the sender.
        if let Ok(link) = receiver.recv() {
            self.links[host] = link;
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

impl Link {
    /// Keeps the connection from now on; to be called within the runtime that does.
    fn begin(host: String, connected: ssh::Connected) -> Self {
        let ssh::Connected { report, mut ssh, from } = connected;
        let (orders, queue) = unbounded_channel();
        let shared = Arc::new(Shared::default());
        let stdin = ssh.stdin.take().expect("its stdin is piped");
        let stderr = ssh.stderr.take();
        let task = Keeper { host, shared: Arc::clone(&shared), ssh, stderr };
        tokio::spawn(task.keep(stdin, from, queue));
        Self { orders, shared, report }
    }

    /// Gives an order; its number, unless the host is lost.
    fn order(&self, order: Order) -> Option<u64> {
        let mut state = self.shared.state();
        if state.lost.is_some() {
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.open.insert(number, clock::now());
        if let Order::Start(start) = &order {
            state.starts.insert(start.member, number);
            state.ended.remove(&start.member);
        }
        // Under the lock, so that orders leave in the order of their numbers.
        self.orders.send(ToHost { number, order }).is_ok().then_some(number)
    }

    /// Waits until an order is carried out, or its host is lost.
    fn wait(&self, number: u64) {
        let state = self.shared.state();
        let is_open = |state: &mut State| state.open.contains_key(&number) && state.lost.is_none();
        // After that long, the host ends its members by itself.
        let _ = self.shared.changed.wait_timeout_while(state, STOP_MAX, is_open);
    }
}

/// What keeps one connection.
struct Keeper {
    host: String,
    shared: Arc<Shared>,
    ssh: Child,
    stderr: Option<ChildStderr>,
}

impl Keeper {
    async fn keep(
        mut self,
        stdin: ChildStdin,
        from: Receiver<ChildStdout>,
        queue: UnboundedReceiver<ToHost>,
    ) {
        let mut tasks = JoinSet::new();
        tasks.spawn(write(stdin, queue));
        let (reason, silent) = self.listen(from).await;
        tasks.abort_all();
        let said = match &mut self.stderr {
            // What ssh says of its own end is there when it has ended.
            Some(stderr) => {
                let said = ssh::read_stderr(stderr);
                tokio::time::timeout(Duration::from_millis(200), said).await.unwrap_or_default()
            }
            None => String::new(),
        };
        let said =
            if said.trim().is_empty() { String::new() } else { format!(" ({})", shortened(&said)) };
        let cause = format!("host {} is lost: {reason}{said}", self.host);
        self.shared.state().lost = Some((cause, silent));
        self.shared.changed.notify_all();
        // One that hangs would outlive the run.
        let _ = self.ssh.kill().await;
    }

    /// Takes what the host says, until it says nothing more; why, and how long after its last message.
    async fn listen(&self, mut from: Receiver<ChildStdout>) -> (String, Span) {
        loop {
            let last = clock::now();
            let message = tokio::time::timeout(HOST_SILENCE.into(), from.next::<FromHost>()).await;
            let silent = clock::now().since(last);
            match message {
                Ok(Ok(message)) => self.hear(message),
                Ok(Err(error)) => return (error.to_string(), silent),
                Err(_) => return (format!("it has said nothing for {silent}"), silent),
            }
        }
    }

    fn hear(&self, message: FromHost) {
        let mut state = self.shared.state();
        match message {
            FromHost::Done(number) => {
                if let Some(given_at) = state.open.remove(&number) {
                    state.delay = state.delay.max(clock::now().since(given_at));
                }
                self.shared.changed.notify_all();
            }
            FromHost::Ended { member, start, status } => {
                if state.starts.get(&member) == Some(&start) {
                    state.ended.insert(member, status);
                }
            }
            FromHost::Log { member, text } => {
                if let Some(log) = state.logs.get_mut(&member) {
                    // It is for people; what is missing from it is in the messages of failures.
                    let _ = writeln!(log, "{text}");
                }
            }
            FromHost::Echoes(socket) => state.socket = Some(socket),
            FromHost::Pinged(pinged) => state.pinged.extend(pinged),
            FromHost::PingsDone => state.are_pings_done = true,
            FromHost::Hello(_) | FromHost::Beat => {}
        }
    }
}

/// Sends orders, and a beat where there is none.
async fn write(mut stdin: ChildStdin, mut queue: UnboundedReceiver<ToHost>) {
    loop {
        let message = match tokio::time::timeout(BEAT.into(), queue.recv()).await {
            Ok(Some(message)) => message,
            // The launcher is gone: the end of its stdin tells the supervisor.
            Ok(None) => return,
            Err(_) => ToHost { number: 0, order: Order::Beat },
        };
        if channel::send(&mut stdin, &message).await.is_err() {
            return;
        }
    }
}

impl Launcher for SshHosts {
    fn name(&self) -> &'static str {
        "ssh"
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
        let report = &self.links[host].report;
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
        let Some(link) = self.link(member) else {
            return Err(launcher::Error::Homeless(format!("{member} has no host")));
        };
        link.shared.state().logs.insert(member, log);
        let trial = folder.parent().and_then(|trial| trial.file_name());
        let trial = trial.map_or_else(|| "trial".to_owned(), |name| name.to_string_lossy().into());
        let coordinator = SocketAddr::new(link.report.coordinator, coordinator.port());
        let order = StartMember { member, coordinator, identity, trial, patience, silence };
        match link.order(Order::Start(Box::new(order))) {
            Some(_) => Ok(()),
            None => Err(launcher::Error::HostLost(link.lost().unwrap_or_default())),
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
        let state = self.link(member)?.shared.state();
        let lost = state.lost.as_ref().map(|(cause, _)| cause.clone());
        lost.or_else(|| state.ended.get(&member).cloned())
    }

    fn host_lost(&mut self, member: MemberName) -> Option<String> {
        self.link(member)?.lost()
    }

    fn is_expendable(&self, member: MemberName) -> bool {
        let host = self.placement.get(&member);
        host.is_some_and(|host| self.hosts.is_expendable(self.name_of(*host)))
    }

    fn losses(&self) -> Vec<HostLoss> {
        let now = (0..self.links.len()).filter_map(|host| self.loss(host));
        self.losses.iter().cloned().chain(now).collect()
    }

    fn delay(&self) -> Span {
        self.links.iter().map(|link| link.shared.state().delay).max().unwrap_or(Span::ZERO)
    }

    fn stop_all(&mut self) {
        let stopping: Vec<_> = self
            .links
            .iter()
            .filter_map(|link| Some((link, link.order(Order::StopAll)?)))
            .collect();
        for (link, number) in stopping {
            link.wait(number);
            link.shared.state().logs.clear();
        }
    }
}

impl Link {
    /// Why the host is lost, if it is.
    fn lost(&self) -> Option<String> {
        self.shared.state().lost.as_ref().map(|(cause, _)| cause.clone())
    }
}

impl Drop for SshHosts {
    fn drop(&mut self) {
        self.stop_all();
        // The ends of their queues end the stdin of each ssh, and with it the supervisor and ssh itself.
        let links = std::mem::take(&mut self.links);
        let shared: Vec<Arc<Shared>> = links.into_iter().map(|link| link.shared).collect();
        for shared in shared {
            let state = shared.state();
            let is_there = |state: &mut State| state.lost.is_none();
            let _ = shared.changed.wait_timeout_while(state, Duration::from_secs(3), is_there);
        }
    }
}

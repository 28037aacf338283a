//! The connection to one host, kept for a whole run: orders to its supervisor, and what it says.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::channel::{self, BEAT, FromHost, HOST_SILENCE, Order, Receiver, ToHost};
use super::connect::{Connected, read_stderr, shortened};
use super::pings::Pinged;
use super::report::HostReport;
use crate::deployment::MemberName;
use crate::runtime::clock;
use crate::time::{Span, Time};

/// How long an order is waited for that ends members.
const STOP_MAX: Duration = Duration::from_secs(10);

/// How long the end of a connection is waited for.
const END_MAX: Duration = Duration::from_secs(3);

/// The connection to one host.
pub(super) struct Connection {
    orders: UnboundedSender<ToHost>,
    shared: Arc<Shared>,
    /// What the host is.
    pub(super) report: HostReport,
}

/// What is known of a host.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// The number of the last order.
    last: u64,
    /// Orders that are not carried out yet, and when they were given.
    open: BTreeMap<u64, Time>,
    /// The longest that an order took.
    pub(super) delay: Span,
    /// The order that started each member.
    starts: BTreeMap<MemberName, u64>,
    /// How members ended by themselves.
    pub(super) ended: BTreeMap<MemberName, String>,
    /// Where what members write to their logs is kept.
    pub(super) logs: BTreeMap<MemberName, std::fs::File>,
    /// The socket that answers pings.
    pub(super) socket: Option<Result<SocketAddr, String>>,
    /// What the host measured of links and nobody has taken yet.
    pub(super) pinged: Vec<Pinged>,
    /// All pings of the host are answered or lost.
    pub(super) are_pings_done: bool,
    /// Why the host is lost, and how long after its last sign of life it was declared so.
    pub(super) lost: Option<(String, Span)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Keeps the connection from now on; to be called within the runtime that does.
    pub(super) fn begin(host: String, connected: Connected) -> Self {
        let Connected { report, mut process, from } = connected;
        let (orders, queue) = unbounded_channel();
        let shared = Arc::new(Shared::default());
        let stdin = process.stdin.take().expect("its stdin is piped");
        let stderr = process.stderr.take();
        let task = Keeper { host, shared: Arc::clone(&shared), process, stderr };
        tokio::spawn(task.keep(stdin, from, queue));
        Self { orders, shared, report }
    }

    /// Gives an order; its number, unless the host is lost.
    pub(super) fn order(&self, order: Order) -> Option<u64> {
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
    pub(super) fn wait(&self, number: u64) {
        let state = self.shared.state();
        let is_open = |state: &mut State| state.open.contains_key(&number) && state.lost.is_none();
        // After that long, the host ends its members by itself.
        let _ = self.shared.changed.wait_timeout_while(state, STOP_MAX, is_open);
    }

    /// Why the host is lost, if it is.
    pub(super) fn lost(&self) -> Option<String> {
        self.shared.state().lost.as_ref().map(|(cause, _)| cause.clone())
    }

    /// What is known of the host.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Ends the connection, and the supervisor with it; what remains can be waited for.
    pub(super) fn end(self) -> Ending {
        // The end of its queue ends the stdin of the process, and with it the supervisor and the process itself.
        Ending(self.shared)
    }
}

/// A connection that has been told to end.
pub(super) struct Ending(Arc<Shared>);

impl Ending {
    /// Waits until it has, and not for long.
    pub(super) fn wait(&self) {
        let is_there = |state: &mut State| state.lost.is_none();
        let _ = self.0.changed.wait_timeout_while(self.0.state(), END_MAX, is_there);
    }
}

/// What keeps one connection.
struct Keeper {
    host: String,
    shared: Arc<Shared>,
    /// `ssh` or `srun`.
    process: Child,
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
            // What it says of its own end is there when it has ended.
            Some(stderr) => {
                let said = read_stderr(stderr);
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
        let _ = self.process.kill().await;
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

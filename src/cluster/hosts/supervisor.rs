//! The supervisor: the one process that a launcher keeps on a host, which starts the members there and ends
//! them.
//!
//! It takes orders on its stdin, which is that of its ssh, and answers on its stdout.
//! A fault is one message on a connection that stands already, and not a login.
//! When its stdin ends, or nothing has come for `COORDINATOR_SILENCE`, the coordinator is gone: it waits for
//! its members to write down what they have, kills those that do not end, and ends.
//! Members die with it: the kernel kills them if it is killed itself.
//!
//! Members keep their files in a folder of this run on the host's own disk.
//! It is removed at the end, but for what a client had measured when its coordinator was lost.
//! A member's key travels by stdin only: it is never in a file, on a command line, or in the environment.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, getppid};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::channel::{
    self, BEAT, COORDINATOR_SILENCE, FromHost, GREETING, Network, Order, Receiver, StartMember,
    ToHost,
};
use super::pings::{self, PingOrder};
use super::report::{self, HostReport};
use crate::deployment::MemberName;

/// A member that has lost its coordinator may take so long to write down what it has, beyond its patience.
const LEAVING_MAX: Duration = Duration::from_secs(8);

/// What a supervisor is started with.
#[derive(Clone, Debug)]
pub struct Supervision {
    /// Below which folder members keep their files; in the user's cache if absent.
    pub scratch: Option<PathBuf>,
    /// Whether their files stay.
    pub keeps_scratch: bool,
    /// Where it is in the network.
    pub network: Network,
}

/// Why a host cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no runtime to run in.
    #[error("cannot start the event loop: raise the limit of open files (ulimit -n)")]
    Runtime(#[source] io::Error),
    /// Members have no folder.
    #[error("cannot use the folder {}: choose another one with --scratch", path.display())]
    Scratch {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its own program.
    #[error("cannot find its own program")]
    Program(#[source] io::Error),
    /// What it is.
    #[error(transparent)]
    Report(#[from] report::Error),
}

/// Serves one launcher until it is gone.
pub fn supervise(supervision: &Supervision) -> Result<(), Error> {
    // One thread: the kernel kills members when the thread that started them ends.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let ended = runtime.block_on(serve(supervision));
    // A thread that waits for stdin is not waited for.
    runtime.shutdown_background();
    ended
}

/// The supervisor that started this member has ended already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the supervisor that started this member is gone")]
pub struct Orphan;

/// Lets the kernel kill this process when the supervisor of this number ends, however it ends.
pub fn die_with(supervisor: u32) -> Result<(), Orphan> {
    // A kernel that cannot do it leaves the coordinator, whose loss ends a member too.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // It may have ended before that was said.
    let is_there = u32::try_from(getppid().as_raw()) == Ok(supervisor);
    if is_there { Ok(()) } else { Err(Orphan) }
}

async fn serve(supervision: &Supervision) -> Result<(), Error> {
    let scratch = Scratch::create(supervision)?;
    let program = std::env::current_exe().map_err(Error::Program)?;
    let report = HostReport::gather(supervision.network, &scratch.folder)?;
    let address = report.address;
    let (news, outbox) = unbounded_channel();
    let writer = tokio::spawn(speak(Box::new(report), outbox));
    let (members, news_of_all) = (BTreeMap::new(), news.clone());
    let mut supervisor =
        Supervisor { program, scratch, address, members, pings: None, news: news_of_all };
    supervisor.listen().await;
    supervisor.leave().await;
    drop((supervisor, news));
    // What is left to say has no reader, or is read at once.
    let _ = tokio::time::timeout(BEAT.into(), writer).await;
    Ok(())
}

/// Says what there is to say, and that the host is there; ends when nobody listens.
async fn speak(report: Box<HostReport>, mut outbox: UnboundedReceiver<FromHost>) {
    // The lock of stdout belongs to the main thread for as long as the program runs.
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else { return };
    let mut out = tokio::fs::File::from_std(stdout.into());
    let greeted = out.write_all(GREETING).await;
    if greeted.is_err() || channel::send(&mut out, &FromHost::Hello(report)).await.is_err() {
        return;
    }
    loop {
        let message = match tokio::time::timeout(BEAT.into(), outbox.recv()).await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(_) => FromHost::Beat,
        };
        if channel::send(&mut out, &message).await.is_err() {
            return;
        }
    }
}

/// The folder of a run on this host.
#[derive(Clone, Debug)]
struct Scratch {
    folder: PathBuf,
    is_kept: bool,
}

impl Scratch {
    /// A new folder that nobody else has: two runs may use one host.
    fn create(supervision: &Supervision) -> Result<Self, Error> {
        let parent = supervision.scratch.clone().unwrap_or_else(cache);
        let error = |source| Error::Scratch { path: parent.clone(), source };
        std::fs::create_dir_all(&parent).map_err(error)?;
        let pid = std::process::id();
        for number in 0_u32.. {
            let folder = parent.join(format!("run-{pid}-{number}"));
            match std::fs::create_dir(&folder) {
                Ok(()) => {
                    let folder = folder.canonicalize().map_err(error)?;
                    return Ok(Self { folder, is_kept: supervision.keeps_scratch });
                }
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(error(source)),
            }
        }
        Err(error(io::ErrorKind::AlreadyExists.into()))
    }

    /// Removes what members kept, unless it is to stay. What cannot be removed is only in the way.
    fn clear(&self) {
        if !self.is_kept
            && let Ok(entries) = std::fs::read_dir(&self.folder)
        {
            for entry in entries.flatten() {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Removes all but what a client measured before it lost its coordinator.
    fn leave_partial(&self) {
        if self.is_kept {
            return;
        }
        let members = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
        for trial in members(&self.folder) {
            for member in members(&trial.path()) {
                if !member.path().join("partial.hlog").exists() {
                    let _ = std::fs::remove_dir_all(member.path());
                }
            }
            // Only an empty one goes.
            let _ = std::fs::remove_dir(trial.path());
        }
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Where the user's programs may keep what can be lost.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    cache.unwrap_or_else(std::env::temp_dir).join("flexpaxos").join("scratch")
}

struct Supervisor {
    program: PathBuf,
    scratch: Scratch,
    /// Those that run, each with the number of the order that started it.
    members: BTreeMap<MemberName, (u64, Child)>,
    /// Where members listen.
    address: IpAddr,
    /// Who sends pings, once there is a socket for them.
    pings: Option<UnboundedSender<PingOrder>>,
    news: UnboundedSender<FromHost>,
}

impl Supervisor {
    /// Carries orders out until the coordinator is gone.
    async fn listen(&mut self) {
        let mut orders = Receiver::new(tokio::io::stdin());
        let mut look = tokio::time::interval(Duration::from_millis(100));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = tokio::time::Instant::now();
        loop {
            tokio::select! {
                order = orders.next::<ToHost>() => {
                    let Ok(ToHost { number, order }) = order else { return };
                    last = tokio::time::Instant::now();
                    self.carry_out(number, order).await;
                    self.tell(FromHost::Done(number));
                }
                _ = look.tick() => {
                    self.note_ends();
                    if last.elapsed() > Duration::from(COORDINATOR_SILENCE) {
                        return;
                    }
                }
            }
        }
    }

    fn tell(&self, message: FromHost) {
        // Should nobody read it any more, its reader's end is found by the next order.
        let _ = self.news.send(message);
    }

    async fn carry_out(&mut self, number: u64, order: Order) {
        match order {
            Order::Start(start) => {
                let member = start.member;
                if let Err(error) = self.start(number, *start).await {
                    let status = format!("it could not be started: {error}");
                    self.tell(FromHost::Ended { member, start: number, status });
                }
            }
            Order::Kill(member) => self.kill(member).await,
            Order::Pause(member) => self.signal(member, Signal::SIGSTOP),
            Order::Resume(member) => self.signal(member, Signal::SIGCONT),
            Order::StopAll => {
                let members: Vec<MemberName> = self.members.keys().copied().collect();
                for member in members {
                    self.kill(member).await;
                }
                let scratch = self.scratch.clone();
                // It may take its time, and the host is there meanwhile.
                let _ = tokio::task::spawn_blocking(move || scratch.clear()).await;
            }
            Order::Echo(token) => {
                let opened = self.echo(token).await.map_err(|error| error.to_string());
                self.tell(FromHost::Echoes(opened));
            }
            Order::Ping(order) => {
                if let Some(pings) = &self.pings {
                    // It fails only for a task that has ended with this process.
                    let _ = pings.send(order);
                }
            }
            Order::Beat => {}
        }
    }

    /// Opens the socket of a measurement of links; that of one before is closed.
    async fn echo(&mut self, token: u64) -> io::Result<SocketAddr> {
        let (socket, address) = pings::open(self.address).await?;
        let (sender, orders) = unbounded_channel();
        tokio::spawn(pings::serve(socket, token, orders, self.news.clone()));
        self.pings = Some(sender);
        Ok(address)
    }

    async fn start(&mut self, number: u64, start: StartMember) -> io::Result<()> {
        let StartMember { member, coordinator, identity, trial, patience, silence } = start;
        // A path that leads elsewhere is none of ours.
        if trial.is_empty() || trial.contains(['/', '\0']) || trial.starts_with('.') {
            return Err(io::Error::other(format!("{trial:?} is no name of a trial")));
        }
        self.kill(member).await;
        let folder = self.scratch.folder.join(trial).join(member.to_string());
        std::fs::create_dir_all(&folder)?;
        let milliseconds = |span: crate::time::Span| (span.0 / 1_000_000).to_string();
        let mut child = Command::new(&self.program)
            .arg("agent")
            .args(["--coordinator", &coordinator.to_string(), "--identity", "-"])
            .arg("--folder")
            .arg(&folder)
            .args(["--patience-ms", &milliseconds(patience)])
            .args(["--silence-ms", &milliseconds(silence)])
            .args(["--supervisor", &std::process::id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&identity.to_bytes()).await?;
            // It ends here, and the member has all of it.
            drop(stdin);
        }
        if let Some(stderr) = child.stderr.take() {
            let news = self.news.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(text)) = lines.next_line().await {
                    let _ = news.send(FromHost::Log { member, text });
                }
            });
        }
        self.members.insert(member, (number, child));
        Ok(())
    }

    async fn kill(&mut self, member: MemberName) {
        if let Some((_, mut child)) = self.members.remove(&member) {
            // It fails only for a process that has ended already, which is what is wanted.
            let _ = child.kill().await;
        }
    }

    fn signal(&self, member: MemberName, signal: Signal) {
        let pid = self.members.get(&member).and_then(|(_, child)| child.id());
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
            // The same: it has ended.
            let _ = signal::kill(Pid::from_raw(pid), signal);
        }
    }

    /// Tells of members that ended by themselves.
    fn note_ends(&mut self) {
        let mut ended = Vec::new();
        for (member, (start, child)) in &mut self.members {
            if let Ok(Some(status)) = child.try_wait() {
                ended.push((*member, *start, status.to_string()));
            }
        }
        for (member, start, status) in ended {
            self.members.remove(&member);
            self.tell(FromHost::Ended { member, start, status });
        }
    }

    /// The coordinator is gone: members write down what they have, and nothing stays.
    async fn leave(&mut self) {
        let members = std::mem::take(&mut self.members);
        let is_lost = !members.is_empty();
        let deadline = tokio::time::Instant::now() + LEAVING_MAX;
        for (_, mut child) in members.into_values() {
            // One that stands still would never find out.
            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                let _ = signal::kill(Pid::from_raw(pid), Signal::SIGCONT);
            }
            if tokio::time::timeout_at(deadline, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
        if is_lost {
            self.scratch.leave_partial();
        } else {
            self.scratch.clear();
            if !self.scratch.is_kept {
                let _ = std::fs::remove_dir(&self.scratch.folder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervision(scratch: &Path, keeps_scratch: bool) -> Supervision {
        let network = Network { coordinator: None, subnet: None };
        Supervision { scratch: Some(scratch.to_owned()), keeps_scratch, network }
    }

    #[test]
    fn two_runs_on_one_host_have_folders_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| {
            Scratch::create(&supervision(&root.path().join("a/b"), false)).unwrap().folder
        });
        assert!(one != other && one.is_dir() && other.is_dir());
    }

    #[test]
    fn what_a_client_measured_stays_when_the_coordinator_is_lost() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(&supervision(root.path(), false)).unwrap();
        let member = |path: &str| {
            let folder = scratch.folder.join(path);
            std::fs::create_dir_all(&folder).unwrap();
            folder
        };
        let (replica, client) = (member("trial-001.live/r0"), member("trial-001.live/c0"));
        let other = member("trial-002.live/r0");
        std::fs::write(client.join("partial.hlog"), "x").unwrap();
        scratch.leave_partial();
        assert!(client.exists() && !replica.exists() && !other.parent().unwrap().exists());
        scratch.clear();
        assert!(!client.exists() && scratch.folder.exists());
    }

    #[test]
    fn scratch_that_is_to_stay_stays() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(&supervision(root.path(), true)).unwrap();
        std::fs::create_dir_all(scratch.folder.join("trial-001.live/r0")).unwrap();
        scratch.clear();
        scratch.leave_partial();
        assert!(scratch.folder.join("trial-001.live/r0").exists());
    }
}

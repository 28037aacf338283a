//! Launchers start agents, and do nothing else: the agents dial back.
//!
//! A launcher's word proves nothing about success; the coordinator decides by what agents tell it.
//! Its methods return at once: one whose members are far away hands its orders on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::Serialize;
use tokio::sync::oneshot;

use super::agent::{self, Ticket};
use super::gate::Gate;
use super::hosts::report::HostReport;
use crate::causes::chain;
use crate::deployment::{Deployment, MemberName};
use crate::runtime::net::{Identity, identity};
use crate::runtime::wan::{Precision, Releaser};
use crate::time::Span;

/// Why an agent was not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its identity could not be handed over.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// Its program could not be run.
    #[error("cannot run {} as {member}", program.display())]
    Program {
        /// Which member.
        member: MemberName,
        /// What was to be run.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its folder could not be used, or its thread not be started.
    #[error("cannot start {member} in {}", folder.display())]
    Start {
        /// Which member.
        member: MemberName,
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Members without a host.
    #[error("{0}")]
    Homeless(String),
    /// A host that was there before is not any more.
    #[error("{0}")]
    HostLost(String),
}

/// What a launcher needs to start one agent.
#[derive(Clone, Debug)]
pub struct Start {
    /// Who it is to be.
    pub member: MemberName,
    /// Where the coordinator listens.
    pub coordinator: SocketAddr,
    /// Its certificate and key.
    pub identity: Identity,
    /// Its own folder.
    pub folder: PathBuf,
    /// How long it may be paused: then it is not lost, and has not lost its coordinator.
    pub patience: Span,
    /// How long a side may say nothing that is not paused.
    pub silence: Span,
}

/// Where a member runs that runs on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The name of the host, as the user gave it.
    pub host: String,
    /// Where the member listens.
    pub address: IpAddr,
    /// The first and the last port that it may be given, if that is known.
    pub ports: Option<(u16, u16)>,
    /// The cores of the host, if that is known.
    pub core_count: Option<usize>,
}

/// A machine that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostLoss {
    /// The name of the host, as the user gave it.
    pub host: String,
    /// Whether its loss was part of the experiment.
    pub is_expendable: bool,
    /// From its last sign of life, as it arrived here, until it was declared lost.
    pub silent_ns: u64,
    /// Why, as a sentence.
    pub cause: String,
}

/// Starts agents, and stops them without asking.
pub trait Launcher: Send {
    /// Its name in the manifest.
    fn name(&self) -> &'static str;

    /// Makes sure that there is a machine for each member of a deployment, before any is started.
    ///
    /// A batch scheduler may take as long as it likes: a queue is not a failure.
    fn allocate(&mut self, _deployment: &Deployment) -> Result<(), Error> {
        Ok(())
    }

    /// Where a member runs; `None` if on this machine, with its clock and its network.
    fn home(&self, _member: MemberName) -> Option<Home> {
        None
    }

    /// What each machine is on which members run, by the name that the user gave it; nothing for this machine.
    fn hosts(&self) -> Vec<(String, HostReport)> {
        Vec::new()
    }

    /// How long a member, or the coordinator for it, may say nothing.
    fn silence(&self) -> Span {
        SILENCE
    }

    /// Starts one agent, for the first time or again.
    fn start(&mut self, start: Start) -> Result<(), Error>;

    /// Stops one agent at once, as a crash would.
    fn kill(&mut self, member: MemberName);

    /// Lets an agent stand still, with all it does, until it is [resumed](Self::resume); false if it is
    /// not there.
    fn pause(&mut self, member: MemberName) -> bool;

    /// Lets an agent that stands still go on.
    fn resume(&mut self, member: MemberName);

    /// How an agent ended by itself, where that is known: a hint for messages, and a reason to wait
    /// no longer for one that never joined.
    fn ended(&mut self, member: MemberName) -> Option<String>;

    /// Why the machine of a member is lost, if it is: then the member is, whatever it was to do.
    fn host_lost(&mut self, _member: MemberName) -> Option<String> {
        None
    }

    /// Whether the loss of the machine of a member is part of the experiment: the trial goes on without it.
    fn is_expendable(&self, _member: MemberName) -> bool {
        false
    }

    /// The machines that were lost, each time they were.
    fn losses(&self) -> Vec<HostLoss> {
        Vec::new()
    }

    /// The longest time from an order until it was carried out, so far.
    fn delay(&self) -> Span {
        Span::ZERO
    }

    /// Stops whatever still runs, and waits until it is gone.
    fn stop_all(&mut self);
}

/// A side on this machine that has said nothing for so long, beyond its longest pause, is lost.
const SILENCE: Span = Span::from_millis(5_000);

/// One process for each member, on this machine.
#[derive(Debug)]
pub struct Processes {
    program: PathBuf,
    children: BTreeMap<MemberName, Child>,
}

impl Processes {
    /// Starts agents from this program.
    pub fn new(program: PathBuf) -> Self {
        Self { program, children: BTreeMap::new() }
    }
}

impl Processes {
    /// Signals a member; false if it is not there.
    fn signal(&self, member: MemberName, signal: Signal) -> bool {
        let pid = self.children.get(&member).and_then(|child| i32::try_from(child.id()).ok());
        pid.is_some_and(|pid| signal::kill(Pid::from_raw(pid), signal).is_ok())
    }
}

impl Launcher for Processes {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn start(&mut self, start: Start) -> Result<(), Error> {
        let Start { member, coordinator, identity, folder, patience, silence } = start;
        let error = |source| Error::Start { member, folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(error)?;
        let identity_file = folder.join("identity");
        // A restarted member finds the one it had.
        match std::fs::remove_file(&identity_file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(error(source)),
            _ => identity.write(&identity_file)?,
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("agent.log"))
            .map_err(error)?;
        let child = Command::new(&self.program)
            .arg("agent")
            .arg("--coordinator")
            .arg(coordinator.to_string())
            .arg("--identity")
            .arg(&identity_file)
            .arg("--folder")
            .arg(&folder)
            .arg("--patience-ms")
            .arg((patience.0 / 1_000_000).to_string())
            .arg("--silence-ms")
            .arg((silence.0 / 1_000_000).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is the coordinator's to handle.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Program { member, program: self.program.clone(), source })?;
        self.children.insert(member, child);
        Ok(())
    }

    fn kill(&mut self, member: MemberName) {
        if let Some(mut child) = self.children.remove(&member) {
            stop(&mut child);
        }
    }

    fn pause(&mut self, member: MemberName) -> bool {
        self.signal(member, Signal::SIGSTOP)
    }

    fn resume(&mut self, member: MemberName) {
        self.signal(member, Signal::SIGCONT);
    }

    fn ended(&mut self, member: MemberName) -> Option<String> {
        let status = self.children.get_mut(&member)?.try_wait().ok()??;
        Some(status.to_string())
    }

    fn stop_all(&mut self) {
        for child in self.children.values_mut() {
            stop(child);
        }
        self.children.clear();
    }
}

fn stop(child: &mut Child) {
    // Both fail only for a process that has ended already, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop_all();
    }
}

/// One thread for each member, in this process: for tests.
#[derive(Debug, Default)]
pub struct InProcess {
    /// Releases the datagrams of all of them: each spins before an instant, and cores are few.
    releaser: Option<Arc<Releaser>>,
    threads: BTreeMap<MemberName, Thread>,
}

#[derive(Debug)]
struct Thread {
    /// Shut while it stands still.
    gate: Arc<Gate>,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    handle: Option<JoinHandle<Result<(), agent::Error>>>,
}

impl Launcher for InProcess {
    fn name(&self) -> &'static str {
        "in-process"
    }

    fn start(&mut self, start: Start) -> Result<(), Error> {
        let Start { member, coordinator, identity, folder, patience, silence } = start;
        let error = |source| Error::Start { member, folder: folder.clone(), source };
        let releaser = match &self.releaser {
            Some(releaser) => Arc::clone(releaser),
            None => Arc::new(Releaser::start(Precision::default()).map_err(error)?),
        };
        self.releaser = Some(Arc::clone(&releaser));
        let ticket = Ticket {
            coordinator,
            identity,
            folder: folder.clone(),
            shares_process: true,
            patience,
            silence,
            releaser: Some(releaser),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(error)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let gate = Arc::new(Gate::default());
        let own = Arc::clone(&gate);
        let handle = std::thread::Builder::new()
            .name(member.to_string())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        ended = agent::run(ticket) => ended,
                        _ = stopped => Ok(()),
                        never = own.keep() => match never {},
                    }
                })
            })
            .map_err(error)?;
        self.threads.insert(member, Thread { gate, stop: Some(stop), handle: Some(handle) });
        Ok(())
    }

    fn kill(&mut self, member: MemberName) {
        self.threads.remove(&member);
    }

    fn pause(&mut self, member: MemberName) -> bool {
        self.threads.get(&member).map(|thread| thread.gate.shut()).is_some()
    }

    fn resume(&mut self, member: MemberName) {
        if let Some(thread) = self.threads.get(&member) {
            thread.gate.open();
        }
    }

    fn ended(&mut self, member: MemberName) -> Option<String> {
        let thread = self.threads.get_mut(&member)?;
        let handle = thread.handle.take_if(|handle| handle.is_finished())?;
        Some(match handle.join() {
            Ok(Ok(())) => "without an error".into(),
            Ok(Err(error)) => chain(&error),
            Err(_) => "by a panic".into(),
        })
    }

    fn stop_all(&mut self) {
        self.threads.clear();
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop = None;
        // Nothing that stands still ends.
        self.gate.open();
        if let Some(handle) = self.handle.take() {
            // What went wrong was told to the coordinator.
            let _ = handle.join();
        }
    }
}

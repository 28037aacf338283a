//! The nodes of a run: those of the job in which it runs, or of one that it asks for.

use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::runtime::{Builder, Runtime};

use super::Error;
use crate::runtime::interrupt::Interrupt;

/// What runs inside the job: it says which job and which nodes that is, and stays until its stdin ends.
///
/// So the job ends with this process, however that ends.
const INSIDE: &str = "echo \"$SLURM_JOB_ID $SLURM_JOB_NODELIST\"; exec cat > /dev/null";

/// A job that has ended is given back within this time, or by Slurm alone.
const RETURN_MAX: Duration = Duration::from_secs(10);

/// So many of the last lines of `salloc` are kept for a message.
const LINES_MAX: usize = 6;

/// Nodes to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// How many nodes.
    pub node_count: usize,
    /// More options of `salloc`, which win.
    pub options: &'a [String],
}

/// Nodes, for as long as this is kept.
#[derive(Debug)]
pub struct Allocation {
    job: String,
    nodes: Vec<String>,
    /// What keeps the job, unless somebody else does.
    _salloc: Option<Salloc>,
}

/// `salloc`, while it keeps a job.
#[derive(Debug)]
struct Salloc {
    runtime: Runtime,
    process: Child,
    /// Its end ends the job.
    stdin: Option<ChildStdin>,
    /// Kept, so that what it still says is no error of its own.
    _stderr: Lines<BufReader<ChildStderr>>,
}

impl Allocation {
    /// The job in which this process runs; `None` if it runs in none.
    pub fn current() -> Result<Option<Self>, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let list = variable("SLURM_JOB_NODELIST").or_else(|| variable("SLURM_NODELIST"));
        let (Some(job), Some(list)) = (variable("SLURM_JOB_ID"), list) else { return Ok(None) };
        Ok(Some(Self { job, nodes: names(&list)?, _salloc: None }))
    }

    /// Asks for nodes, and waits in the queue for as long as it takes. `tell` hears what `salloc` says.
    pub fn ask(
        asked: &Asked<'_>,
        interrupt: &Interrupt,
        tell: &dyn Fn(String),
    ) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
        let (job, list, salloc) = runtime.block_on(Box::pin(wait(asked, interrupt, tell)))?;
        let (process, stdin, stderr) = salloc;
        let stdin = Some(stdin);
        let salloc = Some(Salloc { runtime, process, stdin, _stderr: stderr });
        // Should its nodes have no names, it is given back.
        let allocation = Self { job, nodes: Vec::new(), _salloc: salloc };
        Ok(Self { nodes: names(&list)?, ..allocation })
    }

    /// The number of the job.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Its nodes, by name.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }
}

type Kept = (Child, ChildStdin, Lines<BufReader<ChildStderr>>);

/// Starts `salloc`, and waits until the job has nodes; its number, and the list of its nodes.
async fn wait(
    asked: &Asked<'_>,
    interrupt: &Interrupt,
    tell: &dyn Fn(String),
) -> Result<(String, String, Kept), Error> {
    let mut process = Command::new("salloc")
        .arg("--job-name=flexpaxos")
        .arg(format!("--nodes={}", asked.node_count))
        // Other jobs on a node would be measured too; and a lost node does not end the others.
        .args(["--exclusive", "--no-kill"])
        .args(asked.options)
        .args(["/bin/sh", "-c", INSIDE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is handled here.
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Absent { program: "salloc", source })?;
    let stdin = process.stdin.take().expect("its stdin is piped");
    let mut stdout = BufReader::new(process.stdout.take().expect("its stdout is piped")).lines();
    let mut stderr = BufReader::new(process.stderr.take().expect("its stderr is piped")).lines();
    let mut said: Vec<String> = Vec::new();
    let (mut printed, mut is_open) = (None, true);
    while printed.is_none() {
        tokio::select! {
            line = stdout.next_line() => match line {
                Ok(Some(line)) => printed = Some(line),
                _ => break,
            },
            line = stderr.next_line(), if is_open => match line {
                Ok(Some(line)) => {
                    said.push(line.clone());
                    tell(line);
                }
                _ => is_open = false,
            },
            () = interrupt.wait() => {
                // What waits in the queue ends with its stdin as soon as it begins, and with a signal at once.
                end(&process);
                drop(stdin);
                let _ = tokio::time::timeout(RETURN_MAX, process.wait()).await;
                return Err(Error::Interrupted);
            }
        }
    }
    if let Some((job, list)) = printed.as_deref().and_then(|line| line.split_once(' ')) {
        return Ok((job.to_owned(), list.to_owned(), (process, stdin, stderr)));
    }
    while let Ok(Some(line)) = stderr.next_line().await {
        said.push(line);
    }
    let last = said.len().saturating_sub(LINES_MAX);
    Err(Error::Refused { program: "salloc", said: said[last..].join("; ") })
}

/// Tells `salloc` to give back what it has or waits for.
fn end(process: &Child) {
    use nix::sys::signal::{Signal, kill};
    if let Some(pid) = process.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It fails only for a process that has ended already, which is what is wanted.
        let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
    }
}

impl Drop for Salloc {
    fn drop(&mut self) {
        self.stdin = None;
        let ended = async { tokio::time::timeout(RETURN_MAX, self.process.wait()).await };
        if self.runtime.block_on(ended).is_err() {
            end(&self.process);
        }
    }
}

/// The names in a list of nodes, such as `n[1-3,7]`.
fn names(list: &str) -> Result<Vec<String>, Error> {
    let output = Blocking::new("scontrol")
        .args(["show", "hostnames", list])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Absent { program: "scontrol", source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let names: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Error::Nodes { list: list.to_owned(), said: text(&output.stderr) });
    }
    Ok(names)
}

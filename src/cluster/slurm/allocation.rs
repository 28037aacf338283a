//! The nodes of a run: those of the job in which it runs, or of one that it asks for.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::runtime::{Builder, Runtime};

use super::Error;
use crate::runtime::interrupt::Interrupt;

/// What runs inside the job: it says which job and which nodes that is, and stays until its stdin ends.
///
/// So the job ends with this process, however that ends.
const INSIDE: &str =
    "echo \"flexpaxos-job $SLURM_JOB_ID $SLURM_JOB_NODELIST\"; exec cat > /dev/null";

/// What the line begins with that it says: a site may print others before.
const MARK: &str = "flexpaxos-job ";

/// With this, `salloc` keeps the job and runs nothing in it: nobody would give it back.
const NO_SHELL: &str = "--no-shell";

/// `scontrol` answers within this time.
const ANSWER_MAX: Duration = Duration::from_secs(30);

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
        let Some(job) = variable("SLURM_JOB_ID") else { return Ok(None) };
        let Some(list) = list else { return Err(Error::HalfAJob { job }) };
        let runtime = runtime()?;
        Ok(Some(Self { job, nodes: runtime.block_on(names(&list))?, _salloc: None }))
    }

    /// Asks for nodes, and waits in the queue for as long as it takes. `tell` hears what `salloc` says.
    pub fn ask(
        asked: &Asked<'_>,
        interrupt: &Interrupt,
        tell: &dyn Fn(String),
    ) -> Result<Self, Error> {
        if asked.options.iter().any(|option| option == NO_SHELL) {
            return Err(Error::Refused {
                program: "salloc",
                said: format!("with {NO_SHELL} nobody would end it"),
            });
        }
        let runtime = runtime()?;
        let (job, list, salloc) = runtime.block_on(Box::pin(wait(asked, interrupt, tell)))?;
        let (process, stdin, stderr) = salloc;
        // Should its nodes have no names, it is given back.
        let salloc = Salloc { runtime, process, stdin: Some(stdin), _stderr: stderr };
        let nodes = salloc.runtime.block_on(names(&list))?;
        Ok(Self { job, nodes, _salloc: Some(salloc) })
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
    let (mut found, mut is_open) = (None, true);
    while found.is_none() {
        let line = tokio::select! {
            line = stdout.next_line() => match line {
                Ok(Some(line)) => line,
                _ => break,
            },
            line = stderr.next_line(), if is_open => {
                let Ok(Some(line)) = line else {
                    is_open = false;
                    continue;
                };
                line
            }
            () = interrupt.wait() => {
                give_back(process, stdin).await;
                return Err(Error::Interrupted);
            }
        };
        found = job_in(&line);
        if found.is_none() {
            tell(line.clone());
            said.push(line);
        }
    }
    if let Some((job, list)) = found {
        return Ok((job, list, (process, stdin, stderr)));
    }
    let rest = async {
        while let Ok(Some(line)) = stderr.next_line().await {
            said.push(line);
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    let status = give_back(process, stdin).await;
    let last = said.len().saturating_sub(LINES_MAX);
    said.drain(..last);
    said.push(format!("it ended with {status}, and began no job"));
    Err(Error::Refused { program: "salloc", said: said.join("; ") })
}

/// The number and the nodes of the job, if the line is the one that says so.
fn job_in(line: &str) -> Option<(String, String)> {
    let (job, list) = line.strip_prefix(MARK)?.split_once(' ')?;
    let is_number = !job.is_empty() && job.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && !list.is_empty()).then(|| (job.to_owned(), list.to_owned()))
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)
}

/// Ends `salloc`: what waits in the queue ends with its stdin as soon as it begins, and with a signal at once.
async fn give_back(mut process: Child, stdin: ChildStdin) -> String {
    drop(stdin);
    end(&process);
    match tokio::time::timeout(RETURN_MAX, process.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => {
            // One that heeds no signal would outlive the run.
            let _ = process.kill().await;
            "SIGKILL".to_owned()
        }
    }
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
            // It heeds no end of what it runs: the job ends with it.
            end(&self.process);
        }
    }
}

/// The names in a list of nodes, such as `n[1-3,7]`.
async fn names(list: &str) -> Result<Vec<String>, Error> {
    let output = Command::new("scontrol")
        .args(["show", "hostnames", list])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let refused = |said: String| Error::Nodes { list: list.to_owned(), said };
    let output = tokio::time::timeout(ANSWER_MAX, output).await;
    let output = output
        .map_err(|_| refused(format!("`scontrol` took longer than {} s", ANSWER_MAX.as_secs())))?
        .map_err(|source| Error::Absent { program: "scontrol", source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let names: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    if !output.status.success() || names.is_empty() {
        return Err(refused(format!("{} {}", output.status, text(&output.stderr))));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_prints_is_no_job() {
        let found = |line: &str| job_in(line).map(|(job, list)| format!("{job} {list}"));
        assert_eq!(found("flexpaxos-job 17 n[1-3]").as_deref(), Some("17 n[1-3]"));
        for line in ["Welcome to X", "17 n[1-3]", "flexpaxos-job x n1", "flexpaxos-job 17 "] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}

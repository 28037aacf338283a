//! Slurm: the scripts of jobs, how they are submitted, what is in the queue, and nodes for a run.
//!
//! A script is what a person would write: it can be read, edited, and submitted again by hand.
//! Whether a job did its work is told by the files that it left. The exit code of a job proves nothing, and
//! the accounting of a site (`sacct`) is often off, so neither is asked.

mod allocation;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::hosts::shell::quoted;
pub use allocation::{Allocation, Asked};

/// So long before its time limit a job is told to end.
const WARNING_S: u32 = 60;

/// What a job of several nodes says of the loss of one.
const NO_KILL: &str = "# What the others have when a node is lost is kept.
#SBATCH --no-kill
";

/// Why Slurm took no job.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there.
    #[error("`{program}` cannot be started")]
    Absent {
        /// The command.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It said no.
    #[error("`{program}` refused the job: {said}")]
    Refused {
        /// The command.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// The nodes of a job are not known.
    #[error("the nodes {list:?} of a job have no names: {said}")]
    Nodes {
        /// As Slurm writes them.
        list: String,
        /// What `scontrol` said.
        said: String,
    },
    /// A part of the environment of a job is missing.
    #[error("SLURM_JOB_ID says job {job}, and SLURM_JOB_NODELIST says nothing")]
    HalfAJob {
        /// Its number.
        job: String,
    },
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
    /// There is no runtime to wait in.
    #[error("cannot start the event loop: raise the limit of open files (ulimit -n)")]
    Runtime(#[source] io::Error),
}

/// An array of shards of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    /// The experiment.
    pub name: &'a str,
    /// This program, on a disk that nodes share.
    pub program: &'a Path,
    /// The folder of the sweep, there too.
    pub folder: &'a Path,
    /// The folder for what tasks print.
    pub logs: &'a Path,
}

impl Array<'_> {
    /// The script that runs these shards of so many, a task each.
    pub fn script(&self, shards: &[usize], count: usize) -> String {
        let Self { name, program, folder, logs } = self;
        let [program, folder] = [program, folder].map(|path| quoted(&path.display().to_string()));
        format!(
            "#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array={shards}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --output={log}
#SBATCH --open-mode=append
# A shard that was cut short goes on where it stopped.
#SBATCH --requeue
#SBATCH --signal=B:TERM@{WARNING_S}
exec {program} sweep run --shard \"$SLURM_ARRAY_TASK_ID/{count}\" --out {folder} \\
    --threads \"${{SLURM_CPUS_PER_TASK:-1}}\" --quiet
",
            name = option(name),
            shards = ranges(shards),
            log = pattern(logs, "%a.log"),
        )
    }
}

/// A run of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The experiment.
    pub name: &'a str,
    /// This program, on a disk that nodes share.
    pub program: &'a Path,
    /// Where a folder with the results is made, named after the job.
    pub results: &'a Path,
    /// How many nodes the members run on.
    pub node_count: u16,
}

impl Job<'_> {
    /// The script that runs `flexpaxos run` with these arguments.
    pub fn script(&self, arguments: &[String]) -> String {
        let Self { name, program, results, node_count } = self;
        let [program, results_word] =
            [program, results].map(|path| quoted(&path.display().to_string()));
        let arguments: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        format!(
            "#!/bin/bash
#SBATCH --job-name={name}
# Other jobs on the node would be measured too.
#SBATCH --nodes={node_count}
#SBATCH --exclusive
#SBATCH --output={log}
{no_kill}# What is measured again is another run.
#SBATCH --no-requeue
#SBATCH --signal=B:TERM@{WARNING_S}
exec {program} run {arguments} \\
    --out {results_word}/job-\"$SLURM_JOB_ID\"
",
            name = option(name),
            log = pattern(results, "job-%j.log"),
            no_kill = if *node_count > 1 { NO_KILL } else { "" },
            arguments = arguments.join(" "),
        )
    }
}

/// Submits a script with more options of `sbatch`; the number of the job.
pub fn submit(script: &Path, options: &[String]) -> Result<String, Error> {
    let output = Command::new("sbatch")
        .arg("--parsable")
        .args(options)
        .arg(script)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Absent { program: "sbatch", source })?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let stdout = said(&output.stdout);
    // With several clusters it is `NUMBER;CLUSTER`.
    let job = stdout.split(';').next().unwrap_or_default();
    if !output.status.success() || job.is_empty() || !job.bytes().all(|it| it.is_ascii_digit()) {
        let text = [said(&output.stderr), stdout].join(" ").trim().to_owned();
        return Err(Error::Refused { program: "sbatch", said: text });
    }
    Ok(job.to_owned())
}

/// A job in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    job: String,
    /// How many of its tasks are in each state.
    states: BTreeMap<String, usize>,
}

impl fmt::Display for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.states.iter().map(|(state, count)| format!("{count} {state}"));
        write!(f, "job {} of Slurm: {}", self.job, states.collect::<Vec<_>>().join(", "))
    }
}

/// Those of these jobs that have tasks in the queue; none where there is no Slurm.
pub fn queued(jobs: &[String]) -> Vec<Queued> {
    jobs.iter().filter_map(|job| queued_one(job)).collect()
}

fn queued_one(job: &str) -> Option<Queued> {
    let output = Command::new("squeue")
        .args(["--noheader", "--array", "--format=%T", "--jobs", job])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    // It knows nothing of a job that ended some minutes ago, and says so with an error.
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let mut states = BTreeMap::new();
    for state in text.lines().map(str::trim).filter(|state| !state.is_empty()) {
        *states.entry(state.to_owned()).or_default() += 1;
    }
    (!states.is_empty()).then(|| Queued { job: job.to_owned(), states })
}

/// Numbers in order, as an array is written: `1-3,7`.
pub fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let words = runs.into_iter().map(|(first, last)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    });
    words.collect::<Vec<_>>().join(",")
}

/// A value of an `#SBATCH` line, which is split as in a shell.
fn option(value: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./%".contains(letter);
    if value.chars().all(is_plain) { value.to_owned() } else { quoted(value) }
}

/// A file in a folder whose name Slurm fills in; in the path of the folder a `%` is nothing but that.
fn pattern(folder: &Path, name: &str) -> String {
    option(&format!("{}/{name}", folder.display().to_string().replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_written_as_ranges() {
        let check = |numbers: &[usize], said: &str| assert_eq!(ranges(numbers), said);
        check(&[], "");
        check(&[4], "4");
        check(&[1, 2, 3, 7, 9, 10], "1-3,7,9-10");
    }

    #[test]
    fn a_script_keeps_paths_with_blanks_whole() {
        let [program, folder, logs] =
            ["/a b/flexpaxos", "/it's/100%", "/it's/100%/slurm"].map(Path::new);
        let script = Array { name: "x", program, folder, logs }.script(&[1, 2, 5], 7);
        assert!(script.contains("#SBATCH --array=1-2,5\n"), "{script}");
        assert!(script.contains(r"--output='/it'\''s/100%%/slurm/%a.log'"), "{script}");
        assert!(script.contains("exec '/a b/flexpaxos' sweep run --shard"), "{script}");
        assert!(script.contains(r"--out '/it'\''s/100%' "), "{script}");
    }
}

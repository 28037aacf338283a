//! How a command is run on a host: by the system's `ssh`, or by Slurm's `srun`.
//!
//! With ssh the user's own configuration holds: jump hosts, keys, Kerberos.
//! Host keys are checked as that says; nothing here switches that off.
//! `ssh` asks nothing (`BatchMode`), because several of it run at once.
//!
//! `srun` starts a step of the job that has the host, with what the step prints as its own stdout.
//! Its exit code proves nothing: it may be 0 after the node is dead.

use std::process::Stdio;

use tokio::process::{Child, Command};

use super::connect::Error;
use super::shell::script;

/// What runs a command on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `ssh`, or these words in its place.
    Ssh(Vec<String>),
    /// `srun`, in the job of this number.
    Srun(String),
}

/// What of a node each step of a job takes: all of it beside other steps, as a process that ssh starts would.
///
/// A lost node ends neither the step nor the job: it is the coordinator that decides.
/// Without `--unbuffered` a step hands over whole lines alone, and messages are none.
const STEP: [&str; 10] = [
    "--nodes=1",
    "--ntasks=1",
    "--overlap",
    "--cpu-bind=none",
    "--mem=0",
    "--mpi=none",
    "--no-kill",
    "--kill-on-bad-exit=0",
    "--unbuffered",
    "--export=ALL",
];

impl Reach {
    /// Starts a script on a host; it ends when it is dropped.
    pub(super) fn start(&self, host: &str, text: &str) -> Result<Child, Error> {
        let words = self.words(host);
        let (program, arguments) = words.split_first().expect("the command has a word");
        let mut command = Command::new(program);
        command.args(arguments);
        match self {
            // A login shell reads it.
            Self::Ssh(_) => command.arg(script(text)),
            Self::Srun(_) => command.args(["/bin/sh", "-c", text]),
        };
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is the coordinator's to handle.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Absent { command: program.clone(), source })
    }

    /// The words before the script.
    fn words(&self, host: &str) -> Vec<String> {
        let mut words = match self {
            Self::Ssh(words) => words.clone(),
            Self::Srun(job) => {
                let mut words = vec!["srun".to_owned(), format!("--jobid={job}")];
                words.extend(STEP.map(str::to_owned));
                words.push(format!("--nodelist={host}"));
                return words;
            }
        };
        if words.first().is_some_and(|program| is_ssh(program)) {
            words.extend(
                ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"].map(str::to_owned),
            );
        }
        words.push(host.to_owned());
        words
    }

    /// The command as a message names it.
    pub(super) fn shown(&self, host: &str) -> String {
        match self {
            Self::Ssh(words) => format!("`{} {host}`", words.join(" ")),
            Self::Srun(job) => format!("`srun --jobid={job} --nodelist={host}`"),
        }
    }

    /// The address of this machine as the shell of a host knows it; `None` if the supervisor finds it by itself.
    pub(super) const fn origin(&self) -> Option<&'static str> {
        match self {
            Self::Ssh(_) => None,
            // A login to the cluster leaves a variable of ssh too, with the address of somebody's desk.
            Self::Srun(_) => Some("\"$SLURM_LAUNCH_NODE_IPADDR\""),
        }
    }
}

/// Whether this is OpenSSH by its name, whose options are known.
fn is_ssh(program: &str) -> bool {
    std::path::Path::new(program).file_name().is_some_and(|name| name == "ssh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_openssh_is_given_its_own_options() {
        let words = |command: &str| Reach::Ssh(vec![command.to_owned()]).words("n1");
        for program in ["ssh", "/usr/bin/ssh"] {
            assert!(words(program).contains(&"BatchMode=yes".to_owned()));
        }
        for program in ["oarsh", "ssh-wrapper"] {
            assert_eq!(words(program), [program, "n1"]);
        }
    }

    #[test]
    fn a_step_is_of_the_job_and_on_the_host() {
        let words = Reach::Srun("17".into()).words("n2");
        assert_eq!((words[0].as_str(), words[1].as_str()), ("srun", "--jobid=17"));
        assert_eq!(words.last().unwrap(), "--nodelist=n2");
    }
}

//! Making a host ready: is it fit, does it have the program, and a supervisor on it.
//!
//! The program is uploaded once and is known by its hash.
//! It lies in the user's cache on the host; nothing is installed, and nobody needs to be root.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

use super::channel::{FromHost, Network, Receiver};
use super::reach::Reach;
use super::report::{self, HostReport};
use super::shell::quoted;

/// A host may take so long to answer, with its login shell;
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// and so long to take the program.
const UPLOAD_MAX: Duration = Duration::from_mins(15);

/// So much of what the command that reaches a host prints is kept.
const STDERR_BYTES: u64 = 64 * 1024;

/// How hosts are reached, and what runs there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What runs a command on a host.
    pub reach: Reach,
    /// Below which folder of a host members keep their files; in the user's cache there if absent.
    pub scratch: Option<PathBuf>,
    /// Whether their files stay.
    pub keeps_scratch: bool,
    /// Where hosts are in the network.
    pub network: Network,
}

/// The program that runs on hosts: this one.
#[derive(Debug)]
pub(super) struct Program {
    bytes: Vec<u8>,
    sha256: String,
}

/// Why a host cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What runs commands there cannot be run itself.
    #[error("{command} cannot be run")]
    Absent {
        /// Which command.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended without an answer.
    #[error("{command} ended with {status}: {said}")]
    Refused {
        /// Which command.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed.
        said: String,
    },
    /// It took too long.
    #[error("{what} took longer than {} s", after.as_secs())]
    Slow {
        /// What.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// What came back is not what its shell was asked for.
    #[error("its shell was asked for the kind of machine, and what came back is: {said}")]
    Shell {
        /// What.
        said: String,
    },
    /// It is another kind of machine.
    #[error("it is {found}, and this program is built for {built}")]
    Machine {
        /// As `uname -sm` says.
        found: String,
        /// As this program was built.
        built: String,
    },
    /// Another program answered.
    #[error("the program there has the hash {found} and not {expected}")]
    Hash {
        /// That of this program.
        expected: String,
        /// That of the other.
        found: String,
    },
    /// What it answered is nothing that a supervisor of this version says.
    #[error("it did not answer as a supervisor does: {said}")]
    Answer {
        /// What was printed.
        said: String,
    },
    /// The address from which it is reached is none of this machine.
    #[error("it sees this machine as {0}, which is no address of this machine")]
    Elsewhere(std::net::IpAddr),
}

impl Error {
    /// What to do about it.
    pub const fn help(&self, reach: &Reach) -> &'static str {
        match (self, reach) {
            (Self::Absent { .. }, Reach::Ssh(_)) => {
                "install an ssh client, or name its command with --ssh-command"
            }
            (Self::Absent { .. }, Reach::Srun(_)) => {
                "run this on a machine of the cluster that has the commands of Slurm"
            }
            (Self::Refused { .. }, Reach::Ssh(_)) => {
                "try the same ssh by hand: it must log in without a question; a host that is new needs its \
                 key in ~/.ssh/known_hosts first"
            }
            (Self::Slow { .. }, Reach::Ssh(_)) => "try the same ssh by hand, and its connection",
            (Self::Refused { .. } | Self::Slow { .. }, Reach::Srun(_)) => {
                "`sinfo --Node --long` tells whether that node is down, and `squeue --me` whether the job still \
                 runs; leave a bad node out with `-- --exclude=NODE`"
            }
            (Self::Shell { .. }, _) => {
                "what reaches the host must run `/bin/sh -c 'uname -sm'` there, and hand over what it prints"
            }
            (Self::Machine { .. }, _) => {
                "choose hosts of one kind, or build the program on such a host"
            }
            (Self::Hash { .. }, _) => "remove ~/.cache/flexpaxos on that host and run again",
            (Self::Answer { .. }, _) => {
                "if its libraries are too old for this program, build a static one: \
                 RUSTFLAGS='-C target-feature=+crt-static' cargo build --release"
            }
            (Self::Elsewhere(_), _) => {
                "a jump host or NAT lies between: name an address of this machine that the host reaches with \
                 --coordinator-address"
            }
        }
    }
}

impl Program {
    /// This one, as it runs.
    pub(super) fn own() -> std::io::Result<Self> {
        let bytes = std::fs::read("/proc/self/exe")?;
        Ok(Self { bytes, sha256: report::own_binary()? })
    }

    /// Where it lies on a host, for a shell there.
    fn path(&self) -> String {
        format!("\"${{XDG_CACHE_HOME:-$HOME/.cache}}/flexpaxos/{}\"", self.sha256)
    }
}

/// A supervisor on a host, which has said what the host is.
pub(super) struct Connected {
    pub(super) report: HostReport,
    /// What keeps it reached: `ssh` or `srun`.
    pub(super) process: Child,
    pub(super) from: Receiver<tokio::process::ChildStdout>,
}

/// Makes a host ready: uploads the program if it is not there, and starts a supervisor. `tell` hears what
/// takes its time.
pub(super) async fn connect(
    host: &str,
    settings: &Settings,
    program: &Arc<Program>,
    tell: &(dyn Fn(String) + Sync),
) -> Result<Connected, Error> {
    let path = program.path();
    let look = format!("uname -sm; if [ -x {path} ]; then echo present; else echo absent; fi");
    let answer = run(host, settings, &look, &[], ANSWER_MAX).await?;
    // A login shell may print before.
    let mut lines = answer.lines().rev();
    let (presence, machine) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if !["present", "absent"].contains(&presence) {
        return Err(Error::Shell { said: shortened(&answer) });
    }
    check_machine(machine)?;
    if presence != "present" {
        let megabytes = program.bytes.len() as f64 / 1e6;
        tell(format!("{host}: uploading the program, {megabytes:.0} MB"));
        let upload = upload(&path, program.bytes.len());
        run(host, settings, &upload, &program.bytes, UPLOAD_MAX).await?;
    }
    supervise(host, settings, program).await
}

/// A script that keeps its stdin, of so many bytes, as the program at `path`.
///
/// Several of them may run at once, also on hosts that share a home: each writes a file of its own, and links it to
/// `path` when it is whole. A link never replaces a file: a supervisor that has started from `path` starts its
/// members from there too, and Linux calls a program whose file was replaced `PATH (deleted)`.
/// File systems without links take the file by renaming it.
fn upload(path: &str, bytes: usize) -> String {
    format!(
        "umask 077; p={path}; mkdir -p \"${{p%/*}}\" && t=$(mktemp \"$p.XXXXXX\") && \
         trap 'rm -f \"$t\"' EXIT && cat > \"$t\" && [ \"$(wc -c < \"$t\")\" -eq {bytes} ] && chmod 700 \"$t\" && \
         {{ ln \"$t\" \"$p\" 2>/dev/null || [ -x \"$p\" ] || mv \"$t\" \"$p\"; }}"
    )
}

/// Refuses a machine on which this program does not run; `machine` is what `uname -sm` says.
fn check_machine(machine: &str) -> Result<(), Error> {
    let built = format!("Linux {}", std::env::consts::ARCH);
    if machine == built { Ok(()) } else { Err(Error::Machine { found: machine.to_owned(), built }) }
}

async fn supervise(host: &str, settings: &Settings, program: &Program) -> Result<Connected, Error> {
    let mut words = vec!["exec".to_owned(), program.path(), "supervise".to_owned()];
    let Settings { scratch, keeps_scratch, network, .. } = settings;
    if let Some(scratch) = scratch {
        words.extend(["--scratch".to_owned(), quoted(&scratch.display().to_string())]);
    }
    if *keeps_scratch {
        words.push("--keep-scratch".to_owned());
    }
    let coordinator = network.coordinator.map(|address| address.to_string());
    if let Some(address) = coordinator.or_else(|| settings.reach.origin().map(str::to_owned)) {
        words.extend(["--coordinator-address".to_owned(), address]);
    }
    if let Some(subnet) = network.subnet {
        words.extend(["--subnet".to_owned(), subnet.to_string()]);
    }
    let text = words.join(" ");
    let mut process = settings.reach.start(host, &text)?;
    let mut stderr = process.stderr.take();
    let mut from = Receiver::new(process.stdout.take().expect("its stdout is piped"));
    let greeting = async {
        from.skip_to_greeting().await.ok()?;
        match from.next::<FromHost>().await {
            Ok(FromHost::Hello(report)) => Some(*report),
            _ => None,
        }
    };
    let what = "starting a supervisor";
    let greeted =
        timeout(ANSWER_MAX, greeting).await.map_err(|_| Error::Slow { what, after: ANSWER_MAX })?;
    let Some(report) = greeted else {
        let said = match &mut stderr {
            Some(stderr) => read_stderr(stderr).await,
            None => String::new(),
        };
        return Err(Error::Answer { said: shortened(&said) });
    };
    if report.binary_sha256 != program.sha256 {
        let expected = program.sha256.clone();
        return Err(Error::Hash { expected, found: report.binary_sha256 });
    }
    let is_asked = settings.network.coordinator.is_some();
    if !is_asked && !super::subnet::own_addresses().contains(&report.coordinator) {
        return Err(Error::Elsewhere(report.coordinator));
    }
    process.stderr = stderr;
    Ok(Connected { report, process, from })
}

/// Runs a script on a host to its end, with this on its stdin; what it printed.
async fn run(
    host: &str,
    settings: &Settings,
    text: &str,
    input: &[u8],
    most: Duration,
) -> Result<String, Error> {
    let mut process = settings.reach.start(host, text)?;
    let (stdin, stdout, stderr) =
        (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let (mut stdin, mut stdout, mut stderr) = (
        stdin.expect("its stdin is piped"),
        stdout.expect("its stdout is piped"),
        stderr.expect("its stderr is piped"),
    );
    let talk = async {
        let write = async {
            // A host that refuses reads nothing, and says why.
            let _ = stdin.write_all(input).await;
            let _ = stdin.shutdown().await;
            drop(stdin);
        };
        let mut printed = String::new();
        let read = stdout.read_to_string(&mut printed);
        let ((), _, said) = tokio::join!(write, read, read_stderr(&mut stderr));
        (printed, said, process.wait().await)
    };
    let what = if input.is_empty() { "its answer" } else { "uploading the program" };
    let (printed, said, status) =
        timeout(most, talk).await.map_err(|_| Error::Slow { what, after: most })?;
    match status {
        Ok(status) if status.success() => Ok(printed.trim_end().to_owned()),
        status => {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            let command = settings.reach.shown(host);
            Err(Error::Refused { command, status, said: shortened(&said) })
        }
    }
}

pub(super) async fn read_stderr(stderr: &mut ChildStderr) -> String {
    let mut bytes = Vec::new();
    // What cannot be read any more is missing from a message.
    let _ = stderr.take(STDERR_BYTES).read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The lines of a text as one; the last ones of a long text say most.
pub(super) fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.len().saturating_sub(6);
    let said = lines[last..].join("; ");
    if said.is_empty() { "it printed nothing".to_owned() } else { said }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn another_kind_of_machine_is_refused_by_name() {
        assert!(check_machine(&format!("Linux {}", std::env::consts::ARCH)).is_ok());
        let said = check_machine("Darwin arm64").unwrap_err().to_string();
        assert!(said.contains("it is Darwin arm64") && said.contains("Linux"), "{said}");
    }

    /// Two hosts that share a home upload at once, and the second is done when the program of the first runs.
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "it waits for files of another process, and not for ever"
    )]
    #[test]
    fn uploads_at_once_never_replace_the_program() {
        use std::io::Write as _;
        use std::os::unix::fs::MetadataExt as _;
        use std::process::Child;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("flexpaxos/hash");
        let start = |bytes: usize| -> Child {
            std::process::Command::new("/bin/sh")
                .args(["-c", &upload(&quoted(&path.display().to_string()), bytes)])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let finish = |mut upload: Child, bytes: &[u8]| {
            upload.stdin.take().unwrap().write_all(bytes).unwrap();
            upload.wait().unwrap().success()
        };
        let names = || -> Vec<String> {
            let entries = std::fs::read_dir(path.parent().unwrap()).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let (one, other, cut) = (start(4), start(4), start(5));
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while names().len() < 3 && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(names().len(), 3, "each has a file of its own: {:?}", names());
        assert!(!finish(cut, b"four"), "what is cut off has no name");
        assert!(!path.exists());
        assert!(finish(one, b"prog"));
        let first = std::fs::metadata(&path).unwrap();
        assert_eq!(first.mode() & 0o777, 0o700);
        assert!(finish(other, b"prog"));
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), first.ino());
        assert_eq!(
            (names(), std::fs::read(&path).unwrap()),
            (vec!["hash".to_owned()], b"prog".to_vec())
        );
    }

    #[test]
    fn what_ssh_prints_is_one_line_and_its_end_counts() {
        let lines: Vec<String> = (0..9).map(|line| format!("line {line}")).collect();
        let text = lines.join("\n\n");
        assert_eq!(shortened(&text), "line 3; line 4; line 5; line 6; line 7; line 8");
        assert_eq!(shortened(" \n"), "it printed nothing");
    }
}

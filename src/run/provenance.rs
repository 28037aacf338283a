//! Where numbers come from: the experiment, the code, the machine and the day.
//!
//! Everything that the manifest of a results folder says about its origin is gathered here, when a run
//! starts.
//! What cannot be found out is absent rather than guessed.
//! This is the only place that reads the calendar.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::experiment::file::Source;
use crate::runtime::clock;
use crate::seed::Seed;
use crate::time::{Span, Time};

/// The version of this description; it moves when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 4;

/// The version, and the commit that the program was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("FLEXPAXOS_ORIGIN"), ")");

/// The same, and everything else that tells two builds apart.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("FLEXPAXOS_ORIGIN"),
    ")\ncommit:  ",
    env!("FLEXPAXOS_COMMIT"),
    "\nsources: ",
    env!("FLEXPAXOS_SOURCE_HASH"),
    "\nrustc:   ",
    env!("FLEXPAXOS_RUSTC"),
);

/// How long git may take to answer.
const GIT_MAX: Span = Span::from_millis(5_000);

/// The versions of all dependencies, as this binary was built.
const LOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));

/// Where the numbers of a run come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When the run was started, in UTC, as in RFC 3339.
    pub started_at: String,
    /// The command line.
    pub arguments: Vec<String>,
    /// What was asked.
    pub experiment: Experiment,
    /// What was run.
    pub code: Code,
    /// What it ran on.
    pub host: Host,
}

/// The experiment file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its name: that of the file, without its ending.
    pub name: String,
    /// Where it was read.
    pub path: String,
    /// The hash of its text.
    pub sha256: String,
    /// Its seed, after overrides.
    pub seed: Seed,
    /// All of it.
    pub text: String,
    /// The git commit checked out in its folder, which may be another project's than the program's.
    pub commit: Option<String>,
    /// Whether files known to git differ from that commit there.
    pub is_dirty: Option<bool>,
}

/// The program, as its build found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The version of flexpaxos.
    pub version: String,
    /// The commit of its sources; absent if it was built without git and from no published crate.
    pub commit: Option<String>,
    /// Whether its sources differed from that commit.
    pub is_dirty: Option<bool>,
    /// The hash of its sources, committed or not.
    pub source_hash: String,
    /// The hash of `Cargo.lock` when it was built.
    pub lock_sha256: String,
    /// The compiler.
    pub rustc: Option<String>,
    /// Whether it was built without optimisation: such figures are worth nothing.
    pub is_debug_build: bool,
    /// The processor architecture and the operating system that it was built for.
    pub target: String,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The release of the kernel.
    pub kernel: Option<String>,
    /// The model of the processor.
    pub cpu_model: Option<String>,
    /// How many threads may run at once.
    pub core_count: Option<usize>,
    /// The main memory.
    pub memory_bytes: Option<u64>,
}

impl Provenance {
    /// Everything that can be found out now.
    pub fn gather(source: &Source, seed: u64) -> Self {
        let (commit, is_dirty) = repository(source.folder());
        Self {
            schema_version: SCHEMA_VERSION,
            started_at: now_utc(),
            arguments: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            experiment: Experiment {
                name: source.name(),
                path: source.path.display().to_string(),
                sha256: sha256(source.text.as_bytes()),
                seed: Seed(seed),
                text: source.text.clone(),
                commit,
                is_dirty,
            },
            code: Code::built(),
            host: Host::gather(),
        }
    }

    /// The start as the name of a folder: without colons, which some file systems refuse.
    pub fn folder_name(&self) -> String {
        self.started_at.replace(':', "-")
    }
}

impl Code {
    /// What the build wrote into the program.
    pub fn built() -> Self {
        let known = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: known(env!("FLEXPAXOS_COMMIT")),
            is_dirty: known(env!("FLEXPAXOS_IS_DIRTY")).map(|word| word == "true"),
            source_hash: env!("FLEXPAXOS_SOURCE_HASH").to_owned(),
            lock_sha256: sha256(LOCK.as_bytes()),
            rustc: known(env!("FLEXPAXOS_RUSTC")),
            is_debug_build: cfg!(debug_assertions),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        }
    }
}

/// The commit checked out in a folder, and whether files known to git differ from it.
fn repository(folder: &Path) -> (Option<String>, Option<bool>) {
    // Results are what a run makes, not what it is made of.
    let product = ["--", ":(top)", ":(top,exclude)results"];
    let differences = [&["diff", "--quiet", "HEAD"][..], &product].concat();
    let commit = git(folder, &["rev-parse", "HEAD"]);
    let Some((_, commit)) = commit.filter(|(code, _)| *code == 0) else { return (None, None) };
    let is_dirty = match git(folder, &differences) {
        Some((0, _)) => Some(false),
        Some((1, _)) => Some(true),
        _ => None,
    };
    (Some(commit), is_dirty)
}

impl Host {
    fn gather() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        Self {
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            cpu_model: read("/proc/cpuinfo").and_then(|text| field(&text, "model name")),
            core_count: thread::available_parallelism().ok().map(usize::from),
            memory_bytes: read("/proc/meminfo").and_then(|text| memory_bytes(&text)),
        }
    }
}

/// The hash of these bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digits = |byte: &u8| {
        [byte >> 4, byte & 15].map(|half| char::from(b"0123456789abcdef"[usize::from(half)]))
    };
    Sha256::digest(bytes).iter().flat_map(digits).collect()
}

/// The exit code of git in this folder, and the line that it prints; `None` without git, or if it takes
/// longer than [`GIT_MAX`].
fn git(folder: &Path, arguments: &[&str]) -> Option<(i32, String)> {
    // The folder of a bare file name is the empty path, which git does not take.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut command = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    // The index belongs to whoever works there.
    command.env("GIT_OPTIONAL_LOCKS", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.arg("-C").arg(folder).args(arguments).spawn().ok()?;
    let deadline = clock::now() + GIT_MAX;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if clock::now() < deadline => thread::park_timeout(Duration::from_millis(1)),
            None => {
                // A folder on a disk that does not answer is not waited for.
                let _ = child.kill();
                return None;
            }
        }
    };
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    Some((status.code()?, text.trim().to_owned()))
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    values.next().map(str::to_owned)
}

/// The total of `/proc/meminfo`, which counts in units of 1024 bytes and calls them kB.
fn memory_bytes(text: &str) -> Option<u64> {
    let total = field(text, "MemTotal")?;
    Some(total.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[expect(clippy::disallowed_types, reason = "a run is dated here and nowhere else")]
pub(super) fn now_utc() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// The time of day, since 1970, of an instant of this machine's clock.
#[expect(clippy::disallowed_types, reason = "a run is dated here and nowhere else")]
pub(super) fn time_of_day(at: Time) -> Duration {
    let ago = Duration::from(clock::now().since(at));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().saturating_sub(ago)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::{GOOD, source};

    #[test]
    fn a_hash_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }

    #[test]
    fn the_experiment_is_kept_word_for_word() {
        let provenance = Provenance::gather(&source(GOOD), 7);
        assert_eq!(provenance.experiment.text, GOOD);
        assert_eq!(provenance.experiment.name, "test");
        assert_eq!(provenance.experiment.sha256, sha256(GOOD.as_bytes()));
        assert_eq!(provenance.experiment.seed, Seed(7));
    }

    #[test]
    fn another_text_has_another_hash() {
        let other = Provenance::gather(&source(&GOOD.replace("seed = 7", "seed = 8")), 8);
        assert_ne!(other.experiment.sha256, sha256(GOOD.as_bytes()));
    }

    /// Makes a repository of one file, and a change that is not committed.
    fn repository_of_another(folder: &Path) {
        let file = folder.join("experiment.toml");
        std::fs::write(&file, "a = 1").unwrap();
        let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
        for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "one"]] {
            let (code, _) = git(folder, &[&who[..], arguments].concat()).unwrap();
            assert_eq!(code, 0, "{arguments:?}");
        }
    }

    #[test]
    fn the_program_is_not_the_repository_of_the_experiment() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(repository(folder.path()), (None, None));
        assert_eq!(repository(&folder.path().join("absent")), (None, None));
        repository_of_another(folder.path());
        let (commit, is_dirty) = repository(folder.path());
        assert_eq!(is_dirty, Some(false));
        std::fs::write(folder.path().join("experiment.toml"), "a = 2").unwrap();
        assert_eq!(repository(folder.path()), (commit.clone(), Some(true)));
        let path = folder.path().join("experiment.toml");
        let provenance = Provenance::gather(&Source { path, text: GOOD.into() }, 7);
        assert_eq!(
            (provenance.experiment.commit, provenance.experiment.is_dirty),
            (commit, Some(true))
        );
        assert_eq!(provenance.code, Code::built());
        assert_ne!(provenance.code.commit, repository(folder.path()).0);
        assert_eq!(provenance.code.source_hash.len(), 16);
    }

    #[test]
    fn the_version_names_the_commit_or_the_sources() {
        let Code { version, commit, source_hash, .. } = Code::built();
        let origin = commit.as_deref().map_or(&source_hash[..], |commit| &commit[..12]);
        assert!(VERSION.starts_with(&version) && VERSION.contains(origin), "{VERSION}");
        assert!(LONG_VERSION.starts_with(VERSION) && LONG_VERSION.contains(&source_hash));
    }

    #[test]
    fn the_start_names_a_folder_without_colons() {
        let provenance = Provenance::gather(&source(GOOD), 7);
        assert!(!provenance.folder_name().contains(':'));
        assert!(humantime::parse_rfc3339(&provenance.started_at).is_ok());
    }

    #[test]
    fn an_instant_has_its_time_of_day() {
        let now = clock::now();
        let [early, late] = [Time(now.0 - 2_000_000_000), now].map(time_of_day);
        let apart = late.saturating_sub(early).as_secs_f64();
        assert!(late > Duration::from_secs(1_700_000_000) && (1.9..60.0).contains(&apart));
    }

    #[test]
    fn a_manifest_survives_being_written_and_read() {
        let provenance = Provenance::gather(&source(GOOD), 7);
        let text = serde_json::to_string_pretty(&provenance).unwrap();
        assert_eq!(serde_json::from_str::<Provenance>(&text).unwrap(), provenance);
    }

    #[test]
    fn fields_of_proc_are_read() {
        assert_eq!(
            field("a\t: 1\nmodel name\t: EPYC 9\n", "model name"),
            Some("EPYC 9".to_owned())
        );
        assert_eq!(memory_bytes("MemTotal:        2048 kB\n"), Some(2_097_152));
        assert_eq!(memory_bytes("MemTotal: much\n"), None);
    }
}

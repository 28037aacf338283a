//! The live deployment, whole: real processes, real QUIC, real disks, and what is left when they fail.
//!
//! Nothing here looks at how long something took, and nothing sleeps: what is waited for is a
//! condition, with a generous deadline.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod calibration;
mod conflicts;
mod controls;
mod crashes;
mod damage;
mod ends;
mod faults;
mod hostile;
mod hosts;
mod kills;
mod probe;
mod reads;
mod refusals;
mod runs;
mod safety;
mod strangers;
mod transports;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flexpaxos::cluster::{self, Interrupt, Launcher, Start, Timeouts};
use flexpaxos::deployment::MemberName;
use flexpaxos::experiment::file::Source;
use flexpaxos::experiment::plan::{Plan, Size};
use flexpaxos::measure::rows::{
    LatencyRow, LinkRow, MemberRow, RecoveryRow, TimelineRow, TrialRow,
};
use flexpaxos::measure::{Store, store};
use flexpaxos::run::ledger::Ledger;
use flexpaxos::run::provenance::Provenance;
use flexpaxos::run::worlds::{Live, Worlds};
use flexpaxos::run::{Event, Run, Summary};
use flexpaxos::runtime::clock;
use flexpaxos::time::Span;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// The command under test.
const FLEXPAXOS: &str = env!("CARGO_BIN_EXE_flexpaxos");

/// How long anything is waited for before the test is given up.
const DEADLINE: Span = Span::from_millis(90_000);

/// Multi-Paxos with majorities.
const MULTI: &str = r#"
[[variant]]
name = "multi"
protocol = { multi = { leader = "a" } }
quorums = { majority = {} }
"#;

/// An experiment of three replicas; `tables` is everything after its workload.
fn experiment(profile: &str, clients: &str, workload: &str, tables: &str) -> String {
    format!(
        r#"question = "Does it work?"
prediction = "It does."
{}

[topology]
profile = "{profile}"
replicas = ["a", "b", "c"]
clients = {clients}

[workload]
{workload}
{tables}
"#,
        // Keys before the first table.
        "seed = 7"
    )
}

/// One client region at a modest rate for a second, without delays, with what is given.
fn small(durability: &str, tables: &str) -> String {
    let workload = r#"arrival = { fixed = { rate_per_s = 100 } }
warmup = "200ms"
duration = "800ms"
keys = { uniform = { count = 10 } }
value_bytes = 16
reads = 0.2"#;
    let tables = format!("[durability]\nmode = \"{durability}\"\n{tables}");
    experiment("loopback", r#"["a"]"#, workload, &tables)
}

/// A folder of one test: the experiment file, and where its results go.
struct Site {
    root: tempfile::TempDir,
}

impl Site {
    fn new(text: &str) -> Self {
        let site = Self { root: tempfile::tempdir().unwrap() };
        fs::write(site.file(), text).unwrap();
        site
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("experiment.toml")
    }

    fn out(&self) -> PathBuf {
        self.root.path().join("results")
    }

    /// `flexpaxos run` with these arguments beside the file and the folder; the links are not
    /// measured, because most of these are about something else.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.probing_command(arguments);
        if !is_simulated(arguments) {
            command.arg("--no-probe");
        }
        command
    }

    /// The same, with the links measured.
    fn probing_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.calibrating_command(arguments);
        if !is_simulated(arguments) {
            command.arg("--no-calibrate");
        }
        command
    }

    /// The same, which measures the machine first.
    fn calibrating_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(FLEXPAXOS);
        command.arg("run").arg(self.file()).arg("--out").arg(self.out()).args(arguments);
        command.current_dir(self.root.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments))
    }

    /// Checks what the run left again.
    fn verify(&self) -> Ended {
        let mut command = Command::new(FLEXPAXOS);
        command.arg("verify").arg(self.out()).env("NO_COLOR", "1").stdin(Stdio::null());
        Ended::of(command)
    }

    /// Prints the tables that the run left.
    fn show(&self) -> Ended {
        let mut command = Command::new(FLEXPAXOS);
        command.arg("show").arg(self.out()).env("NO_COLOR", "1").stdin(Stdio::null());
        Ended::of(command)
    }

    /// Starts the command and goes on; what it says is lost.
    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs the experiment in this process, with a launcher and a listener of the test's own.
    fn run_with(
        &self,
        launcher: &mut dyn Launcher,
        timeouts: Timeouts,
        tell: &(dyn Fn(&Event<'_>) + Sync),
    ) -> Summary {
        let source = Source::read(&self.file()).unwrap();
        let plan = Plan::from_source(&source, Size::default()).unwrap();
        let provenance = Provenance::gather(&source, plan.seed);
        let listen = "127.0.0.1:0".parse().unwrap();
        let live = Live {
            launcher,
            listen,
            timeouts,
            calibration: None,
            probes: false,
            broken: None,
            broken_disk: None,
        };
        let worlds = Worlds { sim: None, live: Some(live) };
        let store = Store::create(self.out()).unwrap();
        let ledger = Ledger::begin(store, &plan, &provenance, &worlds).unwrap();
        let interrupt = Interrupt::never();
        let run = Run { plan: &plan, provenance, ledger, worlds, interrupt, until: None };
        run.run(tell, &|_, _, _, _| Ok(()))
    }

    fn trials(&self) -> Vec<TrialRow> {
        store::read_csv(&self.out().join("trials.csv")).unwrap()
    }

    fn latencies(&self) -> Vec<LatencyRow> {
        store::read_csv(&self.out().join("latency.csv")).unwrap()
    }

    fn links(&self) -> Vec<LinkRow> {
        store::read_csv(&self.out().join("links.csv")).unwrap()
    }

    /// The rows of the members of one trial.
    fn members(&self, trial: u32) -> BTreeMap<String, MemberRow> {
        let rows: Vec<MemberRow> = store::read_csv(&self.out().join("members.csv")).unwrap();
        let rows = rows.into_iter().filter(|row| row.trial == trial);
        rows.map(|row| (row.member.clone(), row)).collect()
    }

    fn manifest(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.out().join("manifest.json")).unwrap()).unwrap()
    }

    /// The file of one trial's history.
    fn history(&self, trial: usize, name: &str) -> PathBuf {
        self.out().join(format!("histories/trial-{trial:03}.live/{name}"))
    }

    /// The folder of a member while a trial runs.
    fn work(&self, trial: usize, member: &str) -> PathBuf {
        self.out().join(format!("work/trial-{trial:03}.live/{member}"))
    }

    /// The processes of members: those whose folder is in this site's.
    fn agents(&self) -> Vec<i32> {
        processes_of(self.root.path())
    }

    /// The process of one member.
    fn agent(&self, trial: usize, member: &str) -> i32 {
        processes_of(&self.work(trial, member))[0]
    }

    /// The temporary files that are left.
    fn temporaries(&self) -> Vec<String> {
        let is_temporary =
            |name: &String| Path::new(name).extension().is_some_and(|it| it == "tmp");
        files(&self.out()).into_iter().filter(is_temporary).collect()
    }

    /// Waits until a member has said this in its log.
    fn wait_for_log(&self, trial: usize, member: &str, word: &str) -> String {
        let path = self.work(trial, member).join("agent.log");
        let mut log = String::new();
        wait_for(&format!("{word:?} in {}", path.display()), || {
            log = fs::read_to_string(&path).unwrap_or_default();
            log.lines().any(|line| line.contains(word) && log.ends_with('\n'))
        });
        log
    }
}

/// The agents whose folder is this or below it.
fn processes_of(folder: &Path) -> Vec<i32> {
    let folder = folder.display().to_string();
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_agent = |pid: &i32| {
        // A process that has ended meanwhile has no words.
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        arguments.contains("\0agent\0") && arguments.contains(&folder)
    };
    pids.filter(is_agent).collect()
}

/// How a command ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    /// The words of stderr, without the lines that are drawn beside them.
    stderr: String,
}

impl Ended {
    fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: words(&String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// Asserts the exit code, and that these are said.
    #[track_caller]
    fn check(&self, code: i32, phrases: &[&str]) {
        let said = format!("stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{said}");
        for phrase in phrases {
            assert!(said.contains(phrase), "{phrase:?} is missing in {said}");
        }
    }
}

/// The words of a message that was folded to the width of a terminal, with a frame drawn beside it.
fn words(text: &str) -> String {
    let is_drawn = |letter: char| letter == '|' || ('\u{2500}'..='\u{257f}').contains(&letter);
    text.replace(is_drawn, " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits for a condition, looking at it again and again.
#[track_caller]
fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = clock::now() + DEADLINE;
    while !is_there() {
        assert!(clock::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Sends a signal to one process.
fn send(pid: i32, signal: Signal) {
    signal::kill(Pid::from_raw(pid), signal).unwrap();
}

/// All files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// A launcher that lets the test in at the moments that matter.
struct Meddling<'a, L> {
    launcher: L,
    /// How often each member was started.
    starts: BTreeMap<MemberName, usize>,
    folders: BTreeMap<MemberName, PathBuf>,
    /// Before a start, which has this number.
    on_start: OnStart<'a>,
    /// After a member was killed, whose folder this is.
    on_killed: OnKilled<'a>,
}

type OnStart<'a> = Box<dyn FnMut(&Start, usize) + Send + 'a>;
type OnKilled<'a> = Box<dyn FnMut(MemberName, &Path) + Send + 'a>;

impl<'a, L> Meddling<'a, L> {
    fn new(launcher: L) -> Self {
        Self {
            launcher,
            starts: BTreeMap::new(),
            folders: BTreeMap::new(),
            on_start: Box::new(|_, _| {}),
            on_killed: Box::new(|_, _| {}),
        }
    }

    fn on_start(mut self, meddle: impl FnMut(&Start, usize) + Send + 'a) -> Self {
        self.on_start = Box::new(meddle);
        self
    }

    fn on_killed(mut self, meddle: impl FnMut(MemberName, &Path) + Send + 'a) -> Self {
        self.on_killed = Box::new(meddle);
        self
    }
}

impl<L: Launcher> Launcher for Meddling<'_, L> {
    fn name(&self) -> &'static str {
        "meddling"
    }

    fn start(&mut self, start: Start) -> Result<(), cluster::StartError> {
        let count = self.starts.entry(start.member).or_default();
        *count += 1;
        (self.on_start)(&start, *count);
        self.folders.insert(start.member, start.folder.clone());
        self.launcher.start(start)
    }

    fn kill(&mut self, member: MemberName) {
        self.launcher.kill(member);
        (self.on_killed)(member, &self.folders[&member]);
    }

    fn pause(&mut self, member: MemberName) -> bool {
        self.launcher.pause(member)
    }

    fn resume(&mut self, member: MemberName) {
        self.launcher.resume(member);
    }

    fn ended(&mut self, member: MemberName) -> Option<String> {
        self.launcher.ended(member)
    }

    fn stop_all(&mut self) {
        self.launcher.stop_all();
    }
}

/// Whether these arguments ask for virtual time, where no link and no machine is measured.
fn is_simulated(arguments: &[&str]) -> bool {
    arguments.windows(2).any(|pair| pair == ["--backend", "sim"])
}

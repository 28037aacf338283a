//! A run in virtual time, whole: the same results folder as a live one, the same bytes from the same
//! seed, and a run that is cut short goes on where it stopped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flexpaxos::cluster::Interrupt;
use flexpaxos::experiment::file::Source;
use flexpaxos::experiment::plan::{Plan, Size};
use flexpaxos::measure::rows::{Flag, LatencyRow, PhaseRow, RecoveryRow, TimelineRow, TrialRow};
use flexpaxos::measure::{Store, hlog, store};
use flexpaxos::run::ledger::{self, Ledger};
use flexpaxos::run::provenance::Provenance;
use flexpaxos::run::worlds::{self, Worlds};
use flexpaxos::run::{Event, Run, Summary};

/// The file of an experiment of the project.
fn experiment(name: &str) -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("experiments/{name}.toml"));
    Source::read(&path).unwrap()
}

/// An experiment at the size of its `[smoke]` section, if it has one, to be simulated.
struct Simulation {
    source: Source,
    plan: Plan,
}

impl Simulation {
    fn of(source: Source) -> Self {
        let size = Size { is_smoke: source.text.contains("[smoke]"), ..Size::default() };
        let plan = Plan::from_source(&source, size).unwrap();
        Self { source, plan }
    }

    fn provenance(&self) -> Provenance {
        Provenance::gather(&self.source, self.plan.seed)
    }

    fn begin(&self, folder: &Path) -> Ledger {
        let store = Store::create(folder).unwrap();
        Ledger::begin(store, &self.plan, &self.provenance(), &worlds(1)).unwrap()
    }

    fn resume(&self, folder: &Path) -> Result<Ledger, ledger::Error> {
        Ledger::resume(folder, &self.plan, &self.provenance(), &worlds(1))
    }

    fn run(&self, ledger: Ledger, threads: usize) -> Summary {
        self.run_until(ledger, threads, Interrupt::never(), &|_| {})
    }

    fn run_until(
        &self,
        ledger: Ledger,
        threads: usize,
        interrupt: Interrupt,
        tell: &(dyn Fn(&Event<'_>) + Sync),
    ) -> Summary {
        let (worlds, provenance) = (worlds(threads), self.provenance());
        let run = Run { plan: &self.plan, provenance, ledger, worlds, interrupt, until: None };
        run.run(tell, &|_, _, _, _| Ok(()))
    }
}

/// Virtual time alone.
fn worlds<'a>(threads: usize) -> Worlds<'a> {
    Worlds { sim: Some(threads), live: None }
}

/// Every file below a folder, but the manifest, which knows the date.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().unwrap() != store::MANIFEST {
                let bytes = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    let differing: Vec<&PathBuf> =
        one.keys().filter(|name| one.get(*name) != other.get(*name)).collect();
    assert!(differing.is_empty(), "these differ: {differing:?}");
}

fn manifest(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join(store::MANIFEST)).unwrap()).unwrap()
}

#[test]
fn the_quickstart_is_as_fast_as_the_closed_form_and_has_every_table() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("results");
    let simulation = Simulation::of(experiment("quickstart"));
    let summary = simulation.run(simulation.begin(&folder), 2);
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let trials: Vec<TrialRow> = store::read_csv(&folder.join("trials.csv")).unwrap();
    assert_eq!(trials.len(), 3);
    for trial in &trials {
        assert!(trial.valid && trial.complete && trial.flag_codes.is_empty(), "{trial:?}");
        assert_eq!((trial.backend.as_str(), trial.unknown_count), ("sim", Some(0)));
        assert_eq!((trial.violation_count, trial.unverified_count), (Some(0), Some(0)));
    }
    let latencies: Vec<LatencyRow> = store::read_csv(&folder.join("latency.csv")).unwrap();
    assert_eq!(latencies.len(), 6);
    for row in latencies {
        let (p50, floor) = (row.latency_ns_p50.unwrap(), row.floor_ns_p50.unwrap());
        assert!(p50 >= floor && p50 - floor <= floor / 100, "{row:?}");
    }
    let phases: Vec<PhaseRow> = store::read_csv(&folder.join("phases.csv")).unwrap();
    assert!(phases.iter().any(|row| row.phase == "phase2" && row.variant == "multi"));
    assert!(phases.iter().any(|row| row.phase == "phase1" && row.variant == "classic"));
    let manifest = manifest(&folder);
    assert_eq!((&manifest["ended"], &manifest["backends"][0]), (&"done".into(), &"sim".into()));
    assert!(folder.join("histories/trial-001.sim/history.c0").exists());
    assert!(!folder.join("work").exists() && !folder.join("parts").exists());
}

/// The quickstart with links that vary and work that costs nothing, with these changes.
fn only_the_network(changes: &[(&str, &str)]) -> Simulation {
    let costs =
        [("receive = \"20us\"", ""), ("send    = \"10us\"", ""), ("sync    = \"400us\"", "")];
    let size = [("duration = \"1s\"", "duration = \"20s\"")];
    // Each write meets links of another moment.
    let jitter = [("[workload]", "jitter = \"profile\"\ncorrelation = \"10ms\"\n[workload]")];
    let source = experiment("quickstart");
    let change = |text: String, (from, to): &(&str, &str)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} must occur once");
        text.replace(from, to)
    };
    let changes = costs.iter().chain(&size).chain(&jitter).chain(changes);
    let text = changes.fold(source.text.clone(), change);
    Simulation::of(Source { text, ..source })
}

/// Two independent ways to one number: following every message, and the closed form.
#[test]
fn where_only_the_network_takes_time_a_simulated_latency_is_its_floor_with_jitter_too() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("results");
    let simulation = only_the_network(&[]);
    let summary = simulation.run(simulation.begin(&folder), 2);
    for ended in &summary.finished {
        assert!(
            ended.row.flag_codes.is_empty() && ended.disagreements.is_empty(),
            "{:?}",
            ended.row
        );
    }
    let latencies: Vec<LatencyRow> = store::read_csv(&folder.join("latency.csv")).unwrap();
    assert_eq!(latencies.len(), 6);
    for row in latencies {
        let (p50, floor) = (row.latency_ns_p50.unwrap(), row.floor_ns_p50.unwrap());
        assert!(row.floor_ns_p99.unwrap() > floor + floor / 100, "{row:?}");
        assert!(row.residual_ns_p50.unwrap().unsigned_abs() <= floor / 100, "{row:?}");
        assert_eq!(row.residual_ns_p50.unwrap().cast_unsigned(), p50.wrapping_sub(floor));
    }
}

/// Links remember their delay for longer than a phase lasts, so the two phases of classic Paxos are slow
/// together: as independent ones their p99 would be 4 % less.
#[test]
fn a_simulated_p99_of_two_phases_over_one_link_is_its_floor() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("results");
    let simulation = only_the_network(&[
        ("correlation = \"10ms\"", "correlation = \"1s\""),
        ("duration = \"20s\"", "duration = \"1200s\""),
        ("rate_per_s = 160", "rate_per_s = 2"),
    ]);
    let summary = simulation.run(simulation.begin(&folder), 2);
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let latencies: Vec<LatencyRow> = store::read_csv(&folder.join("latency.csv")).unwrap();
    assert_eq!(latencies.iter().filter(|row| row.variant == "classic").count(), 2);
    for row in latencies {
        let [p50, p99] = [row.floor_ns_p50, row.floor_ns_p99].map(Option::unwrap);
        assert!(row.residual_ns_p50.unwrap().unsigned_abs() <= p50 / 100, "{row:?}");
        assert!(row.residual_ns_p99.unwrap().unsigned_abs() <= p99 / 50, "{row:?}");
    }
}

/// A heavy tail is emulated as given: half of the round trips within 5 ms, a tenth beyond 6, and a hundredth
/// beyond 100.
#[test]
fn a_simulated_heavy_tail_has_the_percentiles_of_its_profile() {
    let root = tempfile::tempdir().unwrap();
    let rows = "from,to,rtt_ms,p90_ms,p99_ms\na,b,5,6,100\nb,a,5,6,100\n";
    fs::write(root.path().join("cell"), rows).unwrap();
    // Each write waits for both replicas; links remember a delay for 2.8 s, so there are some 1400 moments.
    let text = r#"
        question = "q"
        prediction = "p"
        topology = { profile = "cell", replicas = ["a", "b"], clients = ["a"], jitter = "profile" }
        workload = { arrival = { fixed = { rate_per_s = 1 } }, warmup = "0s", duration = "4000s" }
        durability = { mode = "memory" }
        [[variant]]
        name = "multi"
        protocol = { multi = { leader = "a" } }
        quorums = { majority = {} }
    "#;
    let source = Source { path: root.path().join("heavy.toml"), text: text.to_owned() };
    let plan = Plan::from_source(&source, Size::default()).unwrap();
    assert_eq!(plan.warnings(), [""; 0]);
    let folder = root.path().join("results");
    let simulation = Simulation { source, plan };
    let summary = simulation.run(simulation.begin(&folder), 1);
    assert!(summary.error.is_none() && summary.finished[0].row.valid, "{:?}", summary.error);
    let latencies: Vec<LatencyRow> = store::read_csv(&folder.join("latency.csv")).unwrap();
    let row = &latencies[0];
    for (found, published_ms) in [(row.latency_ns_p50, 5.0), (row.latency_ns_p90, 6.0)] {
        let found_ms = found.unwrap() as f64 / 1e6;
        assert!((found_ms / published_ms - 1.0).abs() < 0.05, "{found_ms} for {published_ms}");
    }
    // Forty of 4000 are beyond the p99: it is known as well as its interval says.
    let interval = row.latency_ns_p99_low.unwrap()..row.latency_ns_p99_high.unwrap();
    assert!(interval.contains(&100_000_000), "{interval:?}");
    for (floor, published_ms) in [(row.floor_ns_p50, 5.0), (row.floor_ns_p99, 100.0)] {
        let floor_ms = floor.unwrap() as f64 / 1e6;
        assert!((floor_ms / published_ms - 1.0).abs() < 0.01, "{floor_ms} for {published_ms}");
    }
}

/// Names of places run as they are, and every file gives them back.
#[test]
fn regions_with_any_name_run_and_are_read_back() {
    let names = ["Porto Alto", "a,b", "a\"b", "NA", "Tag=x", "#a", "../x", "a:b", "Saõ Novo 😀"];
    for name in names {
        let root = tempfile::tempdir().unwrap();
        let source = experiment("quickstart");
        let clients = "[\"us-east-1\", \"ca-central-1\"]";
        assert_eq!(source.text.matches(clients).count(), 1);
        let text = source
            .text
            .replace(clients, &format!("['{name}']"))
            .replace("\"aws-2025-07\"", "\"uniform:20ms\"");
        let simulation = Simulation::of(Source { text, ..source });
        let folder = root.path().join("results");
        let summary = simulation.run(simulation.begin(&folder), 2);
        assert!(summary.error.is_none(), "{name}: {:?}", summary.error);
        let latencies: Vec<LatencyRow> = store::read_csv(&folder.join("latency.csv")).unwrap();
        assert!(latencies.iter().all(|row| row.client_region == name), "{latencies:?}");
        let log = fs::read(folder.join("trial-001.sim.hlog")).unwrap();
        let (_, lines) = hlog::read(&log).unwrap();
        assert!(lines.iter().all(|line| line.tag == format!("{name}:write")), "{name}");
        let csv = fs::read_to_string(folder.join("latency.csv")).unwrap();
        assert_eq!(csv.contains("\"NA\""), name == "NA", "{csv}");
    }
}

/// A floor counts no duels, and the run says so: once for each client region.
#[test]
fn a_median_that_is_not_its_floor_is_flagged_and_said() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("results");
    let far = ("\"ca-central-1\"]", "\"ap-northeast-1\"]");
    let simulation = only_the_network(&[far]);
    let summary = simulation.run(simulation.begin(&folder), 2);
    let classic = summary.finished.iter().find(|ended| ended.row.variant == "classic").unwrap();
    let lines: Vec<String> =
        classic.disagreements.iter().map(|found| found.advice().to_owned()).collect();
    assert!((1..=2).contains(&lines.len()), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("races were lost")), "{lines:?}");
    let trials: Vec<TrialRow> = store::read_csv(&folder.join("trials.csv")).unwrap();
    for trial in trials {
        let is_flagged = trial.has(Flag::Floor) && trial.notes.contains("not the floor");
        assert_eq!(is_flagged, trial.variant == "classic", "{trial:?}");
    }
}

/// The experiments that ship, but for the scenarios, which have their own tests.
fn shipped() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let list = |folder: &Path| {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let mut paths = list(&root);
    let folders: Vec<PathBuf> = paths.extract_if(.., |path| path.is_dir()).collect();
    let folders = folders.iter().filter(|folder| !folder.ends_with("scenarios"));
    paths.extend(folders.flat_map(|folder| list(folder)));
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    paths
}

/// Every experiment that ships runs in virtual time at its smoke size, is valid, and is not faster than
/// its network allows.
#[test]
fn every_experiment_is_simulated() {
    let paths = shipped();
    assert!(paths.iter().any(|path| path.ends_with("stress/disk-full.toml")), "{paths:?}");
    assert!(paths.len() >= 4, "{paths:?}");
    for path in paths {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("results");
        let simulation = Simulation::of(Source::read(&path).unwrap());
        assert_eq!(worlds::endless(&simulation.plan), None, "{}", path.display());
        let summary = simulation.run(simulation.begin(&folder), 2);
        assert!(summary.error.is_none(), "{}: {:?}", path.display(), summary.error);
        assert_eq!(summary.finished.len(), simulation.plan.trials.len());
        for ended in &summary.finished {
            let (row, path) = (&ended.row, path.display());
            assert!(row.valid && row.complete, "{path}: {:?}", ended.violations);
            assert!(row.acknowledged_count > Some(0), "{path}: {row:?}");
            assert_eq!(row.violation_count, Some(0), "{path}");
        }
        if simulation.plan.has_faults() {
            // Another one may have led, nearer to a client.
            continue;
        }
        for row in store::read_csv::<LatencyRow>(&folder.join("latency.csv")).unwrap() {
            // Where links vary, some writes are faster than the median allows, and a short trial sees
            // few of their moments. Where ranges of keys have responders of their own, some keys are nearer than others.
            let is_fixed =
                row.floor_ns_p50 == row.floor_ns_p99 && !row.variant.starts_with("ranges");
            let least = if is_fixed {
                row.latency_ns_min
            } else {
                row.latency_ns_p50_high.map(|high| high + high / 20)
            };
            let Some(least) = least else {
                // Fewer than six answers say nothing about their median.
                assert!(row.answered_count < 6, "{}: {row:?}", path.display());
                continue;
            };
            // The least of a histogram is the lower end of its bucket, a thousandth wide.
            assert!(Some(least + least / 1000) >= row.floor_ns_p50, "{}: {row:?}", path.display());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let root = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| root.path().join(name));
    let simulation = Simulation::of(experiment("quickstart"));
    simulation.run(simulation.begin(&one), 1);
    simulation.run(simulation.begin(&two), 2);
    assert_same(&one, &two);
    // The comparison is one that can fail.
    let text = simulation.source.text.replace("seed   = 1", "seed   = 2");
    let other = Simulation::of(Source { text, ..simulation.source.clone() });
    let three = root.path().join("three");
    other.run(other.begin(&three), 1);
    assert_ne!(files(&one)[Path::new("latency.csv")], files(&three)[Path::new("latency.csv")]);
}

#[test]
fn a_run_that_is_cut_short_goes_on_and_leaves_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| root.path().join(name));
    let simulation = Simulation::of(experiment("quickstart"));
    simulation.run(simulation.begin(&whole), 1);

    let (interrupt, ask) = Interrupt::by_hand();
    let tell = |event: &Event<'_>| {
        if let Event::Ended(_) = event {
            ask();
        }
    };
    let summary = simulation.run_until(simulation.begin(&cut), 1, interrupt, &tell);
    assert_eq!((summary.finished.len(), summary.planned), (1, 3));
    assert!(summary.error.is_some());
    assert!(manifest(&cut)["ended"] == "interrupted");
    let trials: Vec<TrialRow> = store::read_csv(&cut.join("trials.csv")).unwrap();
    assert_eq!(trials.len(), 1);
    // What a trial that was killed half-way left is in nobody's way.
    fs::create_dir_all(cut.join("histories/trial-002.sim")).unwrap();
    fs::write(cut.join("histories/trial-002.sim/history.c0"), "half").unwrap();

    let text = simulation.source.text.replace("seed   = 1", "seed   = 2");
    let other = Simulation::of(Source { text, ..simulation.source.clone() });
    let refused = other.resume(&cut).unwrap_err().to_string();
    let said = "another run: the experiment file, the setting `seed` (it was 1, and is 2) differ";
    assert!(refused.ends_with(said), "{refused}");

    // One bit of a finished trial is changed: it is not believed.
    let part = cut.join("parts/trial-001.sim.part");
    let kept = fs::read(&part).unwrap();
    for place in [10, kept.len() / 2, kept.len() - 1] {
        let mut damaged = kept.clone();
        damaged[place] ^= 4;
        fs::write(&part, damaged).unwrap();
        let refused = simulation.resume(&cut).unwrap_err().to_string();
        assert!(refused.contains("trial-001.sim.part is damaged: remove it"), "{refused}");
    }
    fs::write(&part, kept).unwrap();

    let mut ended_count = std::sync::atomic::AtomicUsize::new(0);
    let count = |event: &Event<'_>| {
        if let Event::Ended(_) = event {
            ended_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let ledger = simulation.resume(&cut).unwrap();
    let summary = simulation.run_until(ledger, 2, Interrupt::never(), &count);
    assert_eq!((summary.finished.len(), *ended_count.get_mut()), (3, 2));
    assert_same(&whole, &cut);
    assert_eq!(manifest(&cut)["ended"], "done");
    let refused = simulation.resume(&cut).unwrap_err().to_string();
    assert!(refused.contains("holds no run that was cut short"), "{refused}");
}

/// A latency profile in a file of the user's own.
fn own_profile(root: &Path, rtt_ms: u32) -> Simulation {
    let rows = [("a", "b"), ("a", "c"), ("b", "c")]
        .map(|(one, other)| format!("{one},{other},{rtt_ms}\n{other},{one},{rtt_ms}\n"));
    fs::write(root.join("net.csv"), format!("from,to,rtt_ms\n{}", rows.concat())).unwrap();
    let text = OUTAGE
        .replace("uniform:20ms", "net.csv")
        .replace("[\"a\", \"elsewhere\"]", "[\"a\"]")
        .replace("[workload]", "[smoke]\nduration = \"3s\"\n[workload]");
    Simulation::of(Source { path: root.join("own.toml"), text })
}

/// The file of the experiment is the same, and the network is not.
#[test]
fn a_run_on_another_network_is_no_continuation_and_says_why() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("results");
    let simulation = own_profile(root.path(), 20);
    let (interrupt, ask) = Interrupt::by_hand();
    let tell = |_: &Event<'_>| ask();
    simulation.run_until(simulation.begin(&folder), 1, interrupt, &tell);
    let copy = fs::read_to_string(folder.join("profiles/net.csv")).unwrap();
    assert!(copy.contains("a,b,20\n"), "{copy}");
    let manifest = manifest(&folder);
    assert_eq!(manifest["profile_files"][0]["name"], "net.csv");
    assert_eq!(manifest["profile_files"][0]["copy"], "profiles/net.csv");
    assert_eq!(manifest["identity"]["--backend"], "sim");
    let text = fs::read(folder.join("configuration.json")).unwrap();
    let configuration: serde_json::Value = serde_json::from_slice(&text).unwrap();
    // A default that the file does not name.
    assert_eq!(configuration["points"][0]["drain"], 5_000_000_000_u64);

    let refused = own_profile(root.path(), 80).resume(&folder).unwrap_err().to_string();
    assert!(refused.ends_with("another run: the latency profile net.csv differs"), "{refused}");
    assert!(own_profile(root.path(), 20).resume(&folder).is_ok());
}

/// A leader is killed and comes back a second later.
const OUTAGE: &str = r#"question = "What does a leader that comes back cost?"
prediction = "The time that it is away, and a phase 1 of its own."
trials = 2

[topology]
profile = "uniform:20ms"
replicas = ["a", "b", "c"]
clients = ["a", "elsewhere"]

[workload]
arrival = { fixed = { rate_per_s = 200 } }
warmup = "500ms"
duration = "4s"
retry_after = "300ms"

[[variant]]
name = "majority"
protocol = { multi = { leader = "a" } }
quorums = { majority = {} }

[[variant]]
name = "flex-3-1"
protocol = { multi = { leader = "a" } }
quorums = { counts = { phase1 = 3, phase2 = 1 } }

[[fault]]
at = "1s"
crash = "leader"
restart_after = "1s"
"#;

#[test]
fn a_fault_has_a_row_for_every_trial_and_client_region_and_its_place_in_the_timeline() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("results");
    let source = Source { path: PathBuf::from("outage.toml"), text: OUTAGE.into() };
    let plan = Plan::from_source(&source, Size::default()).unwrap();
    let simulation = Simulation { source, plan };
    let summary = simulation.run(simulation.begin(&folder), 2);
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let rows: Vec<RecoveryRow> = store::read_csv(&folder.join("recovery.csv")).unwrap();
    assert_eq!(rows.len(), 2 * 2 * 2);
    for row in &rows {
        // R_q1 of a: the others are all 20 ms away.
        assert_eq!((row.phase1_ns, row.floor_phase1_ns), (Some(20_000_000), Some(20_000_000)));
        assert_eq!((row.new_leader.as_str(), row.recovered), ("r0", Some(true)));
        assert_eq!((row.new_leader_region.as_str(), row.fault), ("a", 1));
        assert_eq!(row.unknown_count, Some(0));
        assert!(row.unavailable_ns > Some(1_020_000_000), "{row:?}");
    }
    let finished = summary.finished.iter().map(|ended| ended.recovery.len()).sum::<usize>();
    assert_eq!(finished, rows.len());
    let timeline: Vec<TimelineRow> = store::read_csv(&folder.join("timeline.csv")).unwrap();
    let injected = timeline.iter().filter(|row| row.faults == "crash r0");
    assert!(injected.clone().count() > 0);
    let second = 1_000_000_000;
    assert!(injected.clone().all(|row| (second..=2 * second).contains(&row.start_ns)));
    let mut after = injected.filter(|row| row.start_ns > second + 50_000_000);
    assert!(after.any(|row| row.returned_count == 0));
}

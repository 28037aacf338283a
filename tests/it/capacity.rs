//! The search for the highest rate that is held, on simulated machines whose capacity is known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use flexpaxos::measure::rows::{CapacityRow, KneeRow, TrialRow};
use flexpaxos::measure::store;
use serde::de::DeserializeOwned;

/// A replica that takes 1 ms to take a message in, and nothing else takes time.
const SERVICE: &str = "[service]\nreceive = \"1ms\"\n";

/// One replica alone: a request is all that it takes in, so it does a thousand operations a second.
const ALONE: &str = "[[variant]]\nname = \"alone\"\nprotocol = { multi = { leader = \"r0\" } }\n\
                     quorums = { majority = {} }\n";

const OPEN: &str = "{ fixed = { rate_per_s = 200 } }";

struct Site {
    root: tempfile::TempDir,
}

impl Site {
    fn new(replicas: usize, arrival: &str, rest: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let text = format!(
            "question = \"q\"\nprediction = \"p\"\n[topology]\nprofile = \"loopback\"\n\
             replicas = {{ count = {replicas} }}\nclients = [\"c\"]\n[workload]\n\
             arrival = {arrival}\nwarmup = \"100ms\"\nduration = \"1s\"\ndrain = \"100ms\"\n\
             keys = {{ uniform = {{ count = 10 }} }}\nvalue_bytes = 8\n\
             [durability]\nmode = \"memory\"\n{rest}"
        );
        fs::write(root.path().join("experiment.toml"), text).unwrap();
        Self { root }
    }

    fn search(&self, out: &str, arguments: &[&str]) -> Output {
        let (file, out) = (self.root.path().join("experiment.toml"), self.out(out));
        let own = [file.to_str().unwrap(), "--backend", "sim", "--out", out.to_str().unwrap()];
        flexpaxos("capacity", &[&own, arguments].concat())
    }

    fn out(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn rows<T: DeserializeOwned>(&self, out: &str, table: &str) -> Vec<T> {
        store::read_csv(&self.out(out).join(table)).unwrap()
    }
}

fn flexpaxos(command: &str, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    program.arg(command).env("NO_COLOR", "1").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    // A message is folded to the width of a terminal.
    let text = String::from_utf8_lossy(bytes).replace(['│', '×', '╰', '─', '▶'], " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_simulated_machine_has_the_capacity_that_its_work_gives_it() {
    let site = Site::new(1, OPEN, &format!("{SERVICE}{ALONE}"));
    let output = site.search("results", &["--within", "2%", "--repeats", "1", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let knees: Vec<KneeRow> = site.rows("results", "knees.csv");
    let knee = &knees[0];
    assert_eq!((knee.verdict.as_str(), knees.len()), ("confirmed", 1), "{knee:?}");
    // 99 % of 1,010 is the thousand that it does.
    let (held, missed) = (knee.held_per_s.unwrap(), knee.missed_per_s.unwrap());
    assert!(held <= 1_012.0 && missed >= 1_000.0, "{knee:?}");
    assert!(missed <= held * 1.02, "{knee:?}");
    assert!((990.0..=1_001.0).contains(&knee.most_achieved_per_s.unwrap()), "{knee:?}");

    // The folder is that of a run.
    let steps: Vec<CapacityRow> = site.rows("results", "capacity.csv");
    let trials: Vec<TrialRow> = site.rows("results", "trials.csv");
    assert_eq!(steps.len(), trials.len());
    for (step, trial) in steps.iter().zip(&trials) {
        assert_eq!((step.trial, &step.point), (trial.trial, &trial.point));
        assert_eq!(step.achieved_per_s, trial.achieved_per_s);
        assert_eq!(step.held, step.asked_per_s <= held, "{step:?}");
        assert_eq!(trial.no_idle_core_share, None);
    }
    let ramp: Vec<f64> = steps[..4].iter().map(|step| step.asked_per_s).collect();
    assert_eq!(ramp, [200.0, 400.0, 800.0, 1_600.0]);
    // Below the knee a load adds the millisecond that its message takes; the floor is that of the links alone.
    let above = steps[..3].iter().map(|step| step.above_floor_ns_p50.unwrap());
    assert!(above.clone().all(|above| (990_000..1_010_000).contains(&above)), "{above:?}");
    let folder = site.out("results");
    let folder = folder.to_str().unwrap();
    let shown = text(&flexpaxos("show", &[folder]).stdout);
    assert!(shown.contains("the capacity lies between"), "{shown}");
    let found = text(&output.stdout);
    assert!(found.contains("confirmed") && found.contains("no: achieved"), "{found}");
    assert!(
        found.contains("one trial over again"),
        "fixed arrivals leave nothing to chance: {found}"
    );
    let page = fs::read_to_string(site.out("results").join("report.html")).unwrap();
    assert!(page.contains("table-knees") && page.contains("one trial over again"));
    assert_eq!(flexpaxos("verify", &[folder]).status.code(), Some(0));
    let figure = site.root.path().join("load.svg");
    let drawn = ["--figure", "load", "-o", figure.to_str().unwrap()];
    let output = flexpaxos("report", &[&[folder], &drawn[..]].concat());
    assert!(output.status.success(), "{output:?}");
}

/// A run that is cut short leaves finished trials: going on finds the same steps and the same knee.
#[test]
fn a_search_that_goes_on_takes_the_same_steps() {
    let two = format!("{SERVICE}{ALONE}{}", ALONE.replace("\"alone\"", "\"again\""));
    let site = Site::new(1, OPEN, &two);
    let options = ["--within", "20%", "--repeats", "0", "--threads", "1"];
    let output = site.search("whole", &options);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains("alone at 200/s: held") && said.contains("not held (achieved)"),
        "{said}"
    );
    // Variants take turns.
    let whole: Vec<TrialRow> = site.rows("whole", "trials.csv");
    let variants: Vec<&str> = whole[..4].iter().map(|row| row.variant.as_str()).collect();
    assert_eq!(variants, ["alone", "again", "again", "alone"]);
    assert_eq!(whole[0].seed, whole[1].seed);

    // As a run that was killed after three trials: it has parts, and neither tables nor a manifest.
    let killed = site.root.path().join("killed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_flexpaxos"))
        .arg("capacity")
        .arg(site.root.path().join("experiment.toml"))
        .args(["--backend", "sim", "--quiet", "--out"])
        .arg(&killed)
        .args(options)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let part = killed.join("parts/trial-003.sim.part");
    while !part.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap();
    let folder = killed.to_str().unwrap();
    let file = site.root.path().join("experiment.toml");
    let go_on = [file.to_str().unwrap(), "--backend", "sim", "--quiet", "--resume", folder];
    if killed.join("parts").exists() {
        let other = flexpaxos("capacity", &[&go_on[..], &["--within", "5%"]].concat());
        let said = text(&other.stderr);
        assert_eq!(other.status.code(), Some(2), "{said}");
        assert!(said.contains("--within"), "{said}");
        let output = flexpaxos("capacity", &[&go_on[..], &options].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    for table in ["trials.csv", "capacity.csv", "knees.csv", "latency.csv"] {
        let [one, other] = ["whole", "killed"].map(|out| fs::read(site.out(out).join(table)));
        assert!(one.unwrap() == other.unwrap(), "{table} differs");
    }
}

#[test]
fn what_has_no_capacity_to_find_is_refused_before_anything_runs() {
    let check = |site: &Site, arguments: &[&str], phrases: &[&str]| {
        let output = site.search("none", arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for phrase in phrases {
            assert!(said.contains(phrase), "{phrase:?} is missing in: {said}");
        }
        assert!(!site.out("none").exists(), "{said}");
    };
    let open = Site::new(1, OPEN, ALONE);
    check(&open, &[], &["holds every rate", "--set service.receive=20us"]);
    check(&open, &["--from", "2e6"], &["begin at 2000000/s", "raise --to"]);
    check(&open, &["--no-probe"], &["--no-probe has no effect"]);
    check(&open, &["--within", "0.1%"], &["from 1 % to 100 %"]);
    let served = format!("{SERVICE}{ALONE}");
    let closed = Site::new(1, "{ closed = { clients = 4 } }", &served);
    check(&closed, &[], &["closed loop", "--set 'workload.arrival="]);
    let swept = "[sweep]\nworkload.arrival.fixed.rate_per_s = [100, 200]\n";
    check(&Site::new(1, OPEN, &format!("{swept}{served}")), &[], &["sweeps", "[sweep]"]);
    let fault = "[[fault]]\nat = \"500ms\"\npause = \"r1\"\nlasts = \"100ms\"\n";
    check(&Site::new(3, OPEN, &format!("{served}{fault}")), &[], &["has faults"]);
}

#[test]
fn a_limit_of_the_tail_and_the_highest_rate_bound_the_search() {
    let site = Site::new(1, "{ poisson = { rate_per_s = 100 } }", &format!("{SERVICE}{ALONE}"));
    let knee = |out: &str, arguments: &[&str]| -> KneeRow {
        let output = site.search(out, &[arguments, &["--quiet", "--no-report"]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        site.rows::<KneeRow>(out, "knees.csv").remove(0)
    };
    let bounded = knee("bounded", &["--to", "300", "--repeats", "0"]);
    assert_eq!((bounded.verdict.as_str(), bounded.held_per_s), ("not-reached", Some(300.0)));
    // Random arrivals queue long before the machine is full.
    let limited = knee("limited", &["--p99-max", "4ms", "--within", "20%", "--repeats", "0"]);
    assert!((100.0..900.0).contains(&limited.held_per_s.unwrap()), "{limited:?}");
    let steps: Vec<CapacityRow> = site.rows("limited", "capacity.csv");
    assert!(steps.iter().any(|step| step.miss_codes == "p99"), "{steps:?}");
    // From a rate that is far too high down to one that is held.
    let lowered = knee("lowered", &["--from", "4000", "--within", "20%", "--repeats", "0"]);
    assert!((700.0..=1_010.0).contains(&lowered.held_per_s.unwrap()), "{lowered:?}");
}

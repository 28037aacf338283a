//! The failures of published systems, as experiments: each is run live and simulated, in smoke size.
//!
//! Nothing here is timed; what is asserted is what was answered, who led, and what the check says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flexpaxos::measure::rows::{RecoveryRow, TrialRow};
use flexpaxos::measure::store;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/scenarios")
}

/// What `run` left behind.
struct Ran {
    trials: Vec<TrialRow>,
    recoveries: Vec<RecoveryRow>,
}

/// Runs a scenario in both worlds; it ends with this code.
fn run(name: &str, code: i32) -> Ran {
    let root = tempfile::tempdir().unwrap();
    let results = root.path().join("results");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.arg("run").arg(folder().join(name).with_extension("toml"));
    // Links are not measured: on a busy machine they would not be those asked for, and nothing is timed.
    command.args(["--smoke", "--backend", "both", "--launcher", "in-process", "--no-probe"]);
    let output = command.arg("--no-calibrate").arg("--out").arg(&results).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{name}: {said}");
    let trials: Vec<TrialRow> = store::read_csv(&results.join("trials.csv")).unwrap();
    let backends: Vec<&str> = trials.iter().map(|row| row.backend.as_str()).collect();
    assert!(backends.contains(&"sim") && backends.contains(&"live"), "{backends:?}");
    // A trial without numbers has no recovery either.
    let recoveries = store::read_csv(&results.join("recovery.csv")).unwrap_or_default();
    Ran { trials, recoveries }
}

impl Ran {
    /// Every trial is valid and whole, and everything was answered.
    fn assert_answered(&self) {
        for row in &self.trials {
            let trial = format!("{} {}: {}", row.backend, row.variant, row.notes);
            assert!(row.valid && row.complete, "{trial}");
            assert_eq!(row.unknown_count, Some(0), "{trial}");
            assert!(row.issued_count > Some(100), "{trial}");
        }
    }

    /// Who led after a fault, once for each backend, variant and client region.
    fn new_leaders(&self, fault: u32) -> Vec<&str> {
        let rows = self.recoveries.iter().filter(|row| row.fault == fault);
        let leaders: Vec<&str> = rows.map(|row| row.new_leader.as_str()).collect();
        assert!(leaders.len() >= 2, "{:?}", self.recoveries);
        leaders
    }
}

#[test]
fn every_scenario_is_run_here() {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> =
        names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    let tested = [
        "accept-quorum-leader-deposed",
        "fixed-prefix-thrifty-stall",
        "hole-in-log",
        "majority-elsewhere",
        "trimmed-slot-lost-write",
        "unsafe-accepted",
    ];
    assert_eq!(names, tested);
}

#[test]
fn trimmed_slot_lost_write() {
    let ran = run("trimmed-slot-lost-write", 0);
    ran.assert_answered();
    assert!(ran.new_leaders(2).iter().all(|leader| !leader.is_empty()), "{:?}", ran.recoveries);
}

#[test]
fn fixed_prefix_thrifty_stall() {
    let ran = run("fixed-prefix-thrifty-stall", 0);
    ran.assert_answered();
    assert!(ran.new_leaders(1).iter().all(|leader| leader.is_empty()), "{:?}", ran.recoveries);
}

#[test]
fn majority_elsewhere() {
    run("majority-elsewhere", 0).assert_answered();
}

#[test]
fn unsafe_accepted() {
    let ran = run("unsafe-accepted", 5);
    assert!(ran.trials.iter().all(|row| !row.valid), "{:?}", ran.trials);
}

#[test]
fn hole_in_log() {
    let ran = run("hole-in-log", 0);
    ran.assert_answered();
    assert!(ran.new_leaders(2).iter().all(|leader| !leader.is_empty()), "{:?}", ran.recoveries);
}

#[test]
fn accept_quorum_leader_deposed() {
    let ran = run("accept-quorum-leader-deposed", 0);
    ran.assert_answered();
    assert!(ran.new_leaders(1).iter().all(|leader| leader.is_empty()), "{:?}", ran.recoveries);
}

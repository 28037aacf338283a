//! A sweep in shards: whoever runs which trial, the tables are those of one run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Thirty-two points of two variants: 64 trials of a few milliseconds each.
const EXPERIMENT: &str = r#"
question = "Which?"
prediction = "That."
trials = 1

[topology]
profile = "uniform:20ms"
replicas = ["a", "b", "c"]
clients = ["a"]

[workload]
arrival = { poisson = { rate_per_s = 100 } }
warmup = "50ms"
duration = "100ms"

[sweep]
workload.value_bytes = [1, 2, 3, 4, 5, 6, 7, 8]
workload.reads = [0.0, 0.1, 0.2, 0.3]

[[variant]]
name = "multi"
protocol = { multi = { leader = "a" } }
quorums = { majority = {} }

[[variant]]
name = "flex"
protocol = { multi = { leader = "a" } }
quorums = { counts = { phase1 = 3, phase2 = 1 } }
"#;

/// A folder with the experiment, for all that a test does.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sweep.toml"), EXPERIMENT).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command; programs in `bin` stand for those of the machine.
    fn command(&self, line: &str) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        Command::new(env!("CARGO_BIN_EXE_flexpaxos"))
            .args(line.split(' '))
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    #[track_caller]
    fn check(&self, line: &str, code: i32, said: &str) {
        let output = self.command(line);
        let bytes = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        let words = |text: &str| {
            let text = text.replace(['│', '|'], " ");
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(words(&text).contains(said), "{line}: {said:?} is missing in {text}");
    }

    fn csv(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        csv(&self.path(name))
    }
}

/// The tables of a results folder.
fn csv(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let tables = entries.filter(|path| path.extension().is_some_and(|it| it == "csv"));
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    tables.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn shards_make_the_tables_of_one_run() {
    let site = Site::new();
    site.check("run sweep.toml --backend sim --no-report -q --out whole", 0, "results in");
    let whole = site.csv("whole");
    assert!(whole.len() >= 7 && whole.contains_key("trials.csv"), "{:?}", whole.keys());
    for count in [1, 2, 7] {
        let out = format!("of-{count}");
        for shard in 1..=count {
            let line = format!("sweep run sweep.toml --shard {shard}/{count} -q --out {out}");
            site.check(&line, 0, "trials are finished");
        }
        site.check(&format!("sweep status {out}"), 0, "64 finished, 0 failed, 0 missing");
        site.check(&format!("sweep collect {out} --no-report"), 0, "results in");
        assert!(site.csv(&out) == whole, "{count} shards");
        site.check(&format!("sweep status {out}"), 0, "collected");
    }
}

/// Rates of a closed loop have more digits than are kept: who compares them must not see more in a run that was not
/// cut.
#[test]
fn closed_loops_are_compared_alike_in_a_run_and_in_shards() {
    let site = Site::new();
    let closed = EXPERIMENT
        .replace("{ poisson = { rate_per_s = 100 } }", "{ closed = { clients = 3 } }")
        .replace("trials = 1", "trials = 4")
        .replace("duration = \"100ms\"", "duration = \"700ms\"")
        .replace("workload.value_bytes = [1, 2, 3, 4, 5, 6, 7, 8]\n", "")
        .replace("[0.0, 0.1, 0.2, 0.3]", "[0.1, 0.2]")
        .replace("[[variant]]\nname = \"multi\"", "[service]\nreceive = \"70us\"\n\n$0")
        .replace("$0", "[[variant]]\nname = \"multi\"");
    fs::write(site.path("sweep.toml"), closed).unwrap();
    site.check("run sweep.toml --backend sim --no-report -q --out whole", 0, "results in");
    for shard in 1..=2 {
        let line = format!("sweep run sweep.toml --shard {shard}/2 -q --out cut");
        site.check(&line, 0, "trials are finished");
    }
    site.check("sweep collect cut --no-report", 0, "results in");
    assert!(site.csv("cut") == site.csv("whole"));
    assert!(site.csv("cut").contains_key("comparison.csv"));
}

/// At one instant for ever.
#[test]
fn a_closed_loop_that_takes_no_time_is_not_simulated() {
    let site = Site::new();
    let endless =
        EXPERIMENT.replace("{ poisson = { rate_per_s = 100 } }", "{ closed = { clients = 3 } }");
    fs::write(site.path("sweep.toml"), &endless).unwrap();
    // A disk takes no time either, unless `[service]` says so.
    for command in ["run sweep.toml --backend sim", "sweep plan sweep.toml --shards 2"] {
        site.check(command, 2, "an operation of variant flex at value_bytes=1 reads=0");
    }
    // Nor where that is so when another replica leads.
    let elsewhere = endless.replace("leader = \"a\"", "leader = \"b\"");
    fs::write(
        site.path("later.toml"),
        format!("{elsewhere}\n[[fault]]\nat = \"50ms\"\ncampaign = \"a\"\n"),
    )
    .unwrap();
    let said =
        "an operation of variant flex at value_bytes=1 reads=0.0, where r0 leads after a fault,";
    site.check("run later.toml --backend sim", 2, said);
    // Where a wire takes its time, the loop ends.
    let (sweep, variants) = endless.split_once("[[variant]]").unwrap();
    let (base, _) = sweep.split_once("[sweep]").unwrap();
    fs::write(site.path("sweep.toml"), format!("{base}[[variant]]{variants}")).unwrap();
    let wires =
        "run sweep.toml --backend sim --no-report -q --set network.bandwidth_mbit_per_s=10.0";
    site.check(wires, 0, "results in");
}

#[test]
fn failed_and_missing_trials_run_when_their_shard_runs_again() {
    let site = Site::new();
    site.check("run sweep.toml --backend sim --no-report -q --out whole", 0, "results in");
    site.check("sweep plan sweep.toml --shards 7 --out cut", 0, "7 shards of 9 or 10 trials");
    site.check("sweep status cut", 3, "shards to run, of 7: 1-7");
    let (file, text) = (site.path("cut/parts/sweep.json"), "parts/sweep.json is damaged");
    let intact = fs::read(&file).unwrap();
    fs::write(&file, &intact[..9]).unwrap();
    for command in ["status cut", "run --shard 1/7 --out cut", "submit --dry-run --out cut"] {
        site.check(&format!("sweep {command}"), 2, text);
    }
    fs::write(&file, &intact).unwrap();
    // Where its histograms would go is a folder that cannot be removed as a file.
    fs::create_dir(site.path("cut/trial-003.sim.hlog")).unwrap();
    site.check("sweep run --shard 3/7 -q --out cut", 1, "trial 3 failed");
    site.check("sweep status cut", 1, "8 finished, 1 failed, 55 missing");
    site.check("sweep collect cut", 1, "1 failed and 55 missing");
    fs::remove_dir(site.path("cut/trial-003.sim.hlog")).unwrap();
    for shard in 1..=7 {
        site.check(&format!("sweep run --shard {shard}/7 -q --out cut"), 0, "are finished");
    }
    // A damaged part is not a finished trial.
    let part = site.path("cut/parts/trial-010.sim.part");
    let whole = fs::read(&part).unwrap();
    fs::write(&part, &whole[..whole.len() / 2]).unwrap();
    site.check("sweep status cut", 1, "trial 10 failed: parts/trial-010.sim.part is damaged");
    // What a process that was killed left: a trial without its end.
    fs::remove_file(site.path("cut/parts/trial-010.sim.part")).unwrap();
    site.check("sweep status cut", 3, "shards to run, of 7: 3");
    site.check("sweep run --shard 3/7 -q --out cut", 0, "9 of 9");
    let lock = fs::File::create(site.path("cut/parts/run.lock")).unwrap();
    lock.lock().unwrap();
    site.check("sweep collect cut", 2, "another process writes the results in cut");
    site.check(
        "run sweep.toml --backend sim --resume cut",
        2,
        "another process writes the results",
    );
    drop(lock);
    // What one that was killed at its last step left.
    fs::write(site.path("cut/manifest.json"), "{}").unwrap();
    site.check("sweep collect cut --no-report", 0, "results in");
    assert!(site.csv("cut") == site.csv("whole"));
}

#[test]
fn a_shard_of_another_sweep_is_refused() {
    let site = Site::new();
    site.check("sweep plan sweep.toml --shards 64 --out one", 0, "64 shards of 1 trial");
    let refused = "the experiment file";
    site.check("sweep run sweep.toml --seed 9 --shard 1/64 -q --out one", 2, refused);
    site.check("sweep run sweep.toml --trials 2 --shard 1/64 -q --out one", 2, "`trials`");
    site.check("sweep run --seed 9 --shard 1/64 -q --out one", 2, "none is given");
    site.check("sweep run --shard 1/64 -q --out absent", 2, "holds no sweep");
    site.check("sweep run --shard 0/64 -q --out one", 2, "K/N");
}

/// As docs/sweeps.md says: several processes that begin one sweep at the same moment.
#[test]
fn xargs_runs_shards_side_by_side() {
    let site = Site::new();
    site.check("run sweep.toml --backend sim --no-report -q --out whole", 0, "results in");
    let program = env!("CARGO_BIN_EXE_flexpaxos");
    let shard = "sweep run sweep.toml --shard {}/4 --threads 1 -q --out side";
    let has_parallel = Command::new("parallel").arg("--version").output().is_ok();
    let mut lines = vec![format!("seq 4 | xargs -P 4 -I{{}} {program} {shard}")];
    if has_parallel {
        lines.push(format!("parallel {program} {shard} ::: 1 2 3 4"));
    }
    for line in lines {
        let _ = fs::remove_dir_all(site.path("side"));
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(site.folder.path());
        let output = shell.env("HOME", site.folder.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        site.check("sweep collect side --no-report", 0, "results in");
        assert!(site.csv("side") == site.csv("whole"), "{line}");
    }
}

/// Programs that stand for those of Slurm: the first keeps its script, the second knows no job.
fn slurm(site: &Site) {
    fs::create_dir(site.path("bin")).unwrap();
    let programs = [
        ("sbatch", "#!/bin/sh\necho \"$*\" >> sbatch.log\necho 41\n"),
        ("squeue", "#!/bin/sh\ncat queue 2>/dev/null\n"),
    ];
    for (name, text) in programs {
        let path = site.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn submitting_again_submits_only_shards_with_open_trials() {
    let site = Site::new();
    slurm(&site);
    let submit = "sweep submit sweep.toml --shards 4 --out array";
    site.check(&format!("{submit} -- --partition=short"), 0, "job 41 is submitted");
    let script = fs::read_to_string(site.path("array/sweep.sbatch")).unwrap();
    assert!(script.contains("#SBATCH --array=1-4\n"), "{script}");
    let log = fs::read_to_string(site.path("sbatch.log")).unwrap();
    assert!(log.starts_with("--parsable --partition=short /"), "{log}");
    fs::write(site.path("queue"), "RUNNING\nPENDING\n").unwrap();
    site.check(submit, 2, "job 41 of Slurm: 1 pending, 1 running");
    fs::remove_file(site.path("queue")).unwrap();
    // The script does what Slurm would have done for two of its tasks.
    for task in ["1", "3"] {
        let mut bash = Command::new("bash");
        bash.arg("array/sweep.sbatch").env("SLURM_ARRAY_TASK_ID", task);
        assert!(bash.current_dir(site.folder.path()).status().unwrap().success());
    }
    site.check("sweep status array", 3, "32 finished, 0 failed, 32 missing");
    site.check("sweep submit --out array", 0, "#SBATCH --array=2,4");
}

#[test]
fn an_experiment_is_submitted_by_a_script_that_runs_it() {
    let site = Site::new();
    slurm(&site);
    let submit = "submit sweep.toml --backend sim --set sweep.workload.reads=[0.0]";
    site.check(&format!("{submit} --dry-run"), 0, "#SBATCH --no-requeue");
    assert!(!site.path("sbatch.log").exists());
    site.check(submit, 2, "run.sbatch");
    site.check(&format!("{submit} --script other.sbatch"), 0, "job 41 is submitted");
    let mut bash = Command::new("bash");
    bash.arg("other.sbatch").env("SLURM_JOB_ID", "41").current_dir(site.folder.path());
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(site.csv("results/sweep/job-41").contains_key("trials.csv"));
}

//! `compare`, and what `run` concludes, on simulated runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

/// Two variants that differ, one that is another by name alone, and predictions of each kind.
const EXPERIMENT: &str = r#"
question = "Which?"
prediction = "That."
trials = 5

[topology]
profile = "aws-2024-04"
replicas = ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"]
clients = ["us-east-1"]
jitter = "profile"
correlation = "20ms"

[workload]
arrival = { poisson = { rate_per_s = 100 } }
warmup = "200ms"
duration = "1s"

[durability]
mode = "memory"

[[variant]]
name = "multi"
protocol = { multi = { leader = "us-east-1" } }
quorums = { majority = {} }

[[variant]]
name = "again"
protocol = { multi = { leader = "us-east-1" } }
quorums = { majority = {} }

[[variant]]
name = "flex"
protocol = { multi = { leader = "us-east-1" } }
quorums = { counts = { phase1 = 4, phase2 = 2 } }

[[expect]]
that = "flex.p50 < multi.p50"
because = "the second reply instead of the third"

[[expect]]
that = "flex.p50 > multi.p50 in us-east-1"

[[expect]]
that = "flex.p99 < multi.p99"
"#;

fn flexpaxos(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").output().unwrap()
}

/// What the command prints, which ends with this code.
#[track_caller]
fn said(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = flexpaxos(folder, arguments);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    (stdout, words(&stderr))
}

/// A folder with the results of a run of this experiment.
fn run(text: &str, more: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("made-up.toml"), text).unwrap();
    run_again(root.path(), "results", more);
    root
}

/// The results of that experiment, for every test that only reads them.
static RESULTS: LazyLock<tempfile::TempDir> = LazyLock::new(|| run(EXPERIMENT, &[]));

fn run_again(root: &Path, out: &str, more: &[&str]) -> String {
    let run = ["run", "made-up.toml", "--backend", "sim", "--quiet", "--out", out];
    said(root, &[&run, more].concat(), 0).0
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect());
    lines.collect()
}

#[test]
fn a_run_ends_with_verdicts_that_show_and_compare_repeat() {
    let path = RESULTS.path();
    let (compared, _) = said(path, &["compare", "results"], 0);
    let line = |variant: &str| {
        let mut lines = compared.lines().filter(|line| line.trim_start().starts_with(variant));
        lines.next_back().unwrap().to_owned()
    };
    assert!(line("flex").trim_end().ends_with("better"), "{compared}");
    // The same variant by another name is simulated to the same latencies.
    assert!(line("again").trim_end().ends_with("inside the noise"), "{compared}");
    assert!(
        compared.contains("400 operations of p99") || compared.contains("1000 operations of p99")
    );
    let rulings: Vec<String> = rows(&compared)
        .into_iter()
        .filter(|row| row.first().is_some_and(|first| first.starts_with("flex.p")))
        .map(|row| row.last().unwrap().clone())
        .collect();
    assert_eq!(rulings, ["held", "refuted", "judged"], "{compared}");
    // What `run` printed is what the folder says.
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("made-up.toml"), EXPERIMENT).unwrap();
    let again = run_again(root.path(), "again", &["--trials", "3"]);
    let (shown, _) = said(root.path(), &["show", "again"], 0);
    let (_, conclusions) = again.split_once("predictions").unwrap();
    let (conclusions, _) = conclusions.split_once("results in").unwrap();
    assert!(shown.contains(conclusions.trim_end()), "{shown}\n{conclusions}");
    // The tables of the folder hold the same.
    let mut reader = csv::Reader::from_path(path.join("results/comparison.csv")).unwrap();
    let verdicts: Vec<String> = reader
        .deserialize::<flexpaxos::measure::rows::ComparisonRow>()
        .map(|row| row.unwrap())
        .filter(|row| row.quantity == "p50")
        .map(|row| format!("{} {}", row.candidate, row.verdict))
        .collect();
    assert_eq!(verdicts, ["again inside-noise", "flex better"]);
    assert!(path.join("results/expectations.csv").exists());
}

#[test]
fn exit_codes_say_what_is_worse_and_what_is_refuted() {
    let path = RESULTS.path();
    said(path, &["compare", "results", "--fail-if-worse", "1%"], 0);
    let worse = ["compare", "results", "--baseline", "flex", "--fail-if-worse"];
    let (_, stderr) = said(path, &[&worse[..], &["1%"]].concat(), 1);
    assert!(stderr.contains("worse by 1.0 % or more: 2"), "{stderr}");
    said(path, &[&worse[..], &["50%"]].concat(), 0);
    let (_, stderr) = said(path, &["compare", "results", "--fail-if-refuted"], 1);
    assert!(stderr.contains("predictions refuted: 1"), "{stderr}");
    // Nothing known is not nothing worse.
    let p999 = ["compare", "results", "--quantity", "p999", "--fail-if-worse", "1%"];
    let (_, stderr) = said(path, &p999, 3);
    assert!(stderr.contains("nothing could be compared"), "{stderr}");
    let (_, stderr) = said(path, &["compare", "results", "--baseline", "mutli"], 2);
    assert!(stderr.contains("its variants are multi, again, flex"), "{stderr}");
    let (_, stderr) = said(path, &["compare", "results", "results"], 2);
    assert!(stderr.contains("named twice"), "{stderr}");
    let (_, stderr) = said(path, &["compare", "results", "./results/../results"], 2);
    assert!(stderr.contains("named twice"), "{stderr}");
    let (_, stderr) = said(path, &["compare", "results", "--quantity", "p42"], 2);
    assert!(stderr.contains("the codes are p50"), "{stderr}");
}

#[test]
fn runs_are_compared_with_one_another() {
    let root = run(EXPERIMENT, &["--trials", "3"]);
    let path = root.path();
    run_again(path, "same", &["--trials", "3"]);
    let (same, _) = said(path, &["compare", "results", "same", "--fail-if-worse", "0.2%"], 0);
    assert!(same.contains("pairs of one repeat") && !same.contains("better"), "{same}");
    // A program whose every message takes 1 ms more.
    let slower = EXPERIMENT.replace("[durability]", "[service]\nreceive = \"1ms\"\n\n[durability]");
    fs::write(path.join("made-up.toml"), slower).unwrap();
    run_again(path, "slower", &["--trials", "5"]);
    let (slower, stderr) =
        said(path, &["compare", "results", "slower", "--fail-if-worse", "3%"], 1);
    let words = slower.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("because the experiments differ"), "{slower}");
    assert!(stderr.contains("worse by 3.0 % or more"), "{stderr}");
    let (otava, _) = said(path, &["compare", "results", "slower", "--format", "otava"], 0);
    let header = otava.lines().next().unwrap();
    assert!(header.starts_with("time,commit,sim.multi.us-east-1.write.p50"), "{header}");
    assert_eq!(otava.lines().count(), 3);
    for format in ["markdown", "csv", "json"] {
        let (text, _) = said(path, &["compare", "results", "--format", format], 0);
        assert!(text.contains("flex"), "{format}: {text}");
    }
    let (json, _) = said(RESULTS.path(), &["compare", "results", "--format", "json"], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["expectations"][1]["ruling"], "refuted");
    let (_, stderr) = said(path, &["compare", "results", "--self-test"], 2);
    assert!(
        stderr.contains("nothing to draw from") && stderr.contains("eight seconds"),
        "{stderr}"
    );
}

#[test]
fn points_of_a_sweep_are_compared_and_predicted() {
    let (text, _) = EXPERIMENT.split_once("[[variant]]\nname = \"again\"").unwrap();
    let text = format!(
        "{text}{}",
        r#"
[sweep]
workload.arrival.poisson.rate_per_s = [50, 100]
topology.profile = ["aws-2024-04", "aws-2025-07"]

[[expect]]
that = "multi.p50[rate_per_s=100,profile=aws-2025-07] < 2 * multi.p50[rate_per_s=50,profile=aws-2024-04]"

[[expect]]
that = "multi.p50 < 1ms at rate_per_s=50"
"#
    );
    let text = text.replace("jitter = \"profile\"\ncorrelation = \"20ms\"\n", "");
    let root = run(&text, &["--trials", "3"]);
    let (compared, _) = said(root.path(), &["compare", "results"], 0);
    let rulings: Vec<String> = rows(&compared)
        .into_iter()
        .filter(|row| row.first().is_some_and(|first| first.starts_with("multi.p50")))
        .map(|row| row.last().unwrap().clone())
        .collect();
    assert_eq!(rulings, ["held", "refuted", "refuted"], "{compared}");
    let points =
        compared.lines().filter(|line| line.contains("rate_per_s=") && line.contains("p50"));
    assert!(points.count() >= 3, "{compared}");
}

#[test]
fn one_repeat_is_no_comparison_and_until_goes_on() {
    let root = run(EXPERIMENT, &["--trials", "1"]);
    let path = root.path();
    let (shown, _) = said(path, &["show", "results"], 0);
    assert!(shown.contains("a verdict needs 3: run with `--trials 5`"), "{shown}");
    run_again(path, "until", &["--trials", "until=20%"]);
    let manifest = fs::read_to_string(path.join("until/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["looks"]["sim"], &manifest["trials_finished"]), (&1.into(), &15.into()));
    // A narrower interval takes more of them, and each look costs: 0.05 / (2 * 3) at the second.
    let narrow = run_again(path, "narrow", &["--trials", "until=3.5%"]);
    let manifest = fs::read_to_string(path.join("narrow/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["looks"]["sim"], &manifest["trials_finished"]), (&2.into(), &24.into()));
    let row = narrow.lines().find(|line| line.starts_with("flex ") && line.ends_with("better"));
    assert!(row.is_some(), "{narrow}");
    let wrong = ["run", "made-up.toml", "--backend", "sim", "--for", "1m"];
    let (_, stderr) = said(path, &wrong, 2);
    assert!(stderr.contains("--for has no effect without"), "{stderr}");
}

#[test]
fn a_prediction_about_nothing_is_refused_with_its_place() {
    let cases = [
        ("flex.p50 < multi.p50 in mars", "no client is in mars"),
        ("flex.away < multi.away", "is measured after a fault"),
        ("flex.throughput > multi.throughput", "in closed loops alone"),
        ("flex.p50 < multi.p50 at clients=3", "no point has these settings"),
        ("flexx.p50 < multi.p50", "did you mean `flex`?"),
        ("flex.read.p50 < multi.read.p50", "no client asks for a read"),
        ("flex.p50 < multi.control.p50", "no client asks for a control"),
    ];
    let root = tempfile::tempdir().unwrap();
    for (that, expected) in cases {
        let text = EXPERIMENT.replace("flex.p99 < multi.p99", that);
        fs::write(root.path().join("wrong.toml"), text).unwrap();
        let (_, stderr) = said(root.path(), &["plan", "wrong.toml"], 2);
        assert!(stderr.contains(expected), "{that}: {stderr}");
    }
}

/// A copy of the results in which every trial of these variants is invalid.
fn without(variants: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("results");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(RESULTS.path().join("results")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    let trials = to.join("trials.csv");
    let mut reader = csv::Reader::from_path(&trials).unwrap();
    let header = reader.headers().unwrap().clone();
    let place = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    let mut writer = csv::Writer::from_path(&trials).unwrap();
    writer.write_record(&header).unwrap();
    for row in rows {
        let is_dead = variants.contains(&&row[place("variant")]);
        let cells = row
            .iter()
            .enumerate()
            .map(|(column, cell)| if is_dead && column == place("valid") { "false" } else { cell });
        writer.write_record(cells).unwrap();
    }
    writer.flush().unwrap();
    root
}

#[test]
fn a_variant_without_a_valid_trial_is_told_and_fails_a_gate() {
    let (dead_baseline, dead_candidate) = (without(&["multi"]), without(&["flex"]));
    for root in [&dead_baseline, &dead_candidate] {
        let (told, _) = said(root.path(), &["compare", "results"], 0);
        assert!(told.contains("5 of 5 trials are INVALID"), "{told}");
        let gate = ["compare", "results", "--fail-if-worse", "1%"];
        let (_, stderr) = said(root.path(), &gate, 3);
        assert!(stderr.contains("not comparable, and perhaps worse"), "{stderr}");
        let (_, stderr) = said(root.path(), &["compare", "results", "--fail-if-refuted"], 3);
        assert!(stderr.contains("predictions not judged: 3"), "{stderr}");
    }
    // What the other run lost is no improvement.
    let before = RESULTS.path().join("results");
    let after = dead_candidate.path().join("results");
    let gate =
        ["compare", before.to_str().unwrap(), after.to_str().unwrap(), "--fail-if-worse", "1%"];
    let (told, stderr) = said(dead_candidate.path(), &gate, 3);
    assert!(told.contains("INVALID") && stderr.contains("perhaps worse"), "{told}{stderr}");
}

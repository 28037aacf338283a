//! `flexpaxos new`: the files that it writes are planned and run; a refused request writes no file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The command; its stdin is no terminal.
fn flexpaxos(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1");
    command.output().unwrap()
}

/// What the command says on stdout and on stderr; it must end well.
#[track_caller]
fn said(arguments: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = flexpaxos(arguments);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(0), "{stderr}");
    (stdout, stderr)
}

/// Asserts that the text has all of these phrases, however it is folded.
#[track_caller]
fn check_says(text: &str, phrases: &[&str]) {
    let is_drawn = |letter: char| letter == '|' || ('\u{2500}'..='\u{257f}').contains(&letter);
    let words = text.replace(is_drawn, " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for phrase in phrases {
        let phrase = phrase.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&phrase), "{phrase:?} is missing in:\n{text}");
    }
}

/// A folder for a new file, and the path of that file.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    (folder, path)
}

/// Writes a new file with these options: what is in it.
#[track_caller]
fn written(path: &Path, options: &[&str]) -> String {
    let file = path.to_str().unwrap();
    let (stdout, stderr) = said(&[&["new", file], options].concat());
    assert_eq!(stdout, "");
    check_says(&stderr, &["written to", &format!("flexpaxos plan {file}")]);
    check_says(&stderr, &[&format!("flexpaxos run {file} --backend sim")]);
    fs::read_to_string(path).unwrap()
}

/// What `plan` says of the file.
#[track_caller]
fn planned(path: &Path) -> String {
    let (stdout, stderr) = said(&["plan", path.to_str().unwrap()]);
    assert_eq!(stderr, "");
    stdout
}

/// What a simulated run of the file prints; it must end well.
#[track_caller]
fn simulated(path: &Path, options: &[&str]) -> String {
    let out = path.with_extension("results");
    let (file, out) = (path.to_str().unwrap(), out.to_str().unwrap());
    let run = ["run", file, "--backend", "sim", "--quiet", "--out", out];
    let (stdout, _) = said(&[&run[..], options].concat());
    assert!(!stdout.contains("INVALID"), "{stdout}");
    stdout
}

/// Asserts that these options are refused with 2, and that no file is written.
#[track_caller]
fn check_refused(options: &[&str], phrases: &[&str]) {
    let (_folder, path) = place();
    let output = flexpaxos(&[&["new", path.to_str().unwrap()], options].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    check_says(&stderr, phrases);
    assert!(!path.exists(), "{stderr}");
}

#[test]
fn options_give_a_file_that_plan_accepts() {
    let (_folder, path) = place();
    let regions = "us-east-1,us-west-2,eu-west-1,ap-northeast-1,ap-southeast-2";
    let options = [
        "--replicas",
        regions,
        "--clients",
        "us-east-1,ca-central-1",
        "--quorums",
        "majority",
        "--quorums",
        "4,2",
        "--quorums",
        "2,4",
        "--classic",
        "--rate",
        "160",
        "--trials",
        "3",
        "--duration",
        "5s",
    ];
    let text = written(&path, &options);
    check_says(
        &planned(&path),
        &[
            "What does a write cost with majorities (multi), with 4 replicas for phase 1",
            "for clients in us-east-1: multi 69.68, flex-4-2 64.22",
            "160 a second in total, Poisson",
            "12 trials: 4 variants x 1 point x 3 repeats",
            "ca-central-1",
        ],
    );
    for expected in [
        "flex-4-2.p50 < multi.p50",
        "flex-2-4.p50 > multi.p50",
        "classic.p50 > multi.p50",
        "multi.p50 - floor < 3ms",
    ] {
        assert!(text.contains(&format!("that    = \"{expected}\"\n")), "{expected}: {text}");
    }
    let names: Vec<&str> = text.lines().filter(|line| line.starts_with("name ")).collect();
    assert_eq!(names[0], "name     = \"multi\"");
    assert_eq!(names.len(), 4);
}

#[test]
fn a_new_file_runs_in_the_simulator_as_it_predicts() {
    let (_folder, path) = place();
    let options = ["--classic", "--rate", "160", "--duration", "5s", "--trials", "3"];
    let text = written(&path, &options);
    let printed = simulated(&path, &[]);
    let is_ruled = |line: &str, ruling: &str| line.trim_end().ends_with(ruling);
    let ruled = |ruling: &str| printed.lines().filter(|line| is_ruled(line, ruling)).count();
    assert_eq!(ruled(" refuted"), 0, "{printed}");
    assert_eq!(ruled(" held"), text.matches("[[expect]]").count(), "{printed}");
}

#[test]
fn without_options_the_defaults_are_used_and_told() {
    for arguments in [&["new"][..], &["new", "-"]] {
        let (text, notes) = said(arguments);
        check_says(&notes, &["stdin is no terminal", "us-east-1, us-west-2", "--replicas"]);
        let (_folder, path) = place();
        fs::write(&path, &text).unwrap();
        check_says(&planned(&path), &["the leader is in us-east-1", "10 trials: 2 variants"]);
    }
    let (_folder, path) = place();
    written(&path, &[]);
    let printed = simulated(&path, &["--smoke"]);
    assert!(printed.contains("flex-4-2"), "{printed}");
    let (_, notes) = said(&["new", "--profile", "lan"]);
    check_says(&notes, &["replicas are in r0, r1, r2, r3, r4 (lan)"]);
    let (_, notes) = said(&["new", "--replicas", "us-east-1,us-east-2,us-west-2"]);
    assert_eq!(notes, "");
}

#[test]
fn a_closed_loop_has_clients_and_no_rate() {
    let (_folder, path) = place();
    let options = ["--profile", "uniform:20ms", "--replicas", "a,b,c", "--closed", "16"];
    let text = written(&path, &options);
    assert!(text.contains("{ closed = { clients = 16 } }"), "{text}");
    check_says(&planned(&path), &["16 outstanding in total", "flex-3-1", "by client region (ms)"]);
    assert!(simulated(&path, &["--smoke"]).contains("flex-3-1"));
    check_refused(&["--closed", "16", "--rate", "5"], &["--rate", "cannot be used with"]);
    check_refused(&["--closed", "0"], &["--closed"]);
    check_refused(
        &["--clients", "us-east-1,eu-west-1,sa-east-1", "--closed", "2"],
        &["give at least 3", "nothing is written"],
    );
}

#[test]
fn a_leader_crash_is_planned_and_simulated() {
    let (_folder, path) = place();
    let options = ["--faults", "leader-crash", "--quorums", "4,2", "--quorums", "5,1"];
    let text = written(&path, &[&options[..], &["--duration", "12s", "--rate", "40"]].concat());
    for part in [
        "mode      = \"timeout\"",
        "crash         = \"leader\"",
        "restart_after = \"6s\"",
        "multi.phase1 - floor < 10ms",
        "flex-5-1.away > 6s",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    check_says(
        &planned(&path),
        &["at 3s", "the leader", "back 6s later", "With flex-5-1 the replicas that are left"],
    );
    let printed = simulated(&path, &["--smoke"]);
    assert!(printed.contains("phase1"), "{printed}");
    check_refused(
        &["--faults", "leader-crash", "--classic"],
        &["needs a leader in every variant", "leave out `--classic` or `--faults`"],
    );
    check_refused(
        &["--faults", "leader-crash", "--duration", "3s"],
        &["needs 4s of measured time, and not 3s", "raise `--duration`"],
    );
    check_refused(&["--faults", "earthquake"], &["leader-crash"]);
}

#[test]
fn a_best_leader_serves_clients_beside_all_replicas() {
    let (_folder, path) = place();
    let text = written(&path, &["--replicas", "us-east-1,eu-west-1,eu-west-2", "--leader", "best"]);
    assert!(text.contains("clients  = [\"us-east-1\", \"eu-west-1\", \"eu-west-2\"]"), "{text}");
    check_says(&planned(&path), &["the leader that is best for the clients", "eu-west-2"]);
}

#[test]
fn wrong_choices_are_refused_and_nothing_is_written() {
    check_refused(
        &["--quorums", "3,2"],
        &["have no replica in common", "at least 6", "nothing is written", "mine.toml:"],
    );
    check_refused(&["--quorums", "6,1"], &["phase1 = 6", "nothing is written"]);
    check_refused(
        &["--quorums", "3,3"],
        &["are the majorities of 5 replicas", "nothing is written"],
    );
    check_refused(&["--replicas", "us-east-1"], &["one replica has one quorum"]);
    check_refused(&["--quorums", "4"], &["`4` is no quorum system"]);
    check_refused(&["--quorums", "4,2", "--quorums", "4,2"], &["two variants are called"]);
    check_refused(&["--replicas", "us-esat-1,us-west-2"], &["did you mean us-east-1"]);
    check_refused(&["--clients", "mars"], &["no region \"mars\"", "nothing is written"]);
    check_refused(&["--leader", "mars"], &["the leader mars is no replica's region"]);
    check_refused(&["--profile", "aws-2052"], &["aws-2025-07"]);
    check_refused(&["--profile", "azure-2026-07"], &["name some with `--replicas`"]);
    check_refused(&["--rate", "0"], &["`0` is no rate"]);
    check_refused(&["--trials", "0"], &["--trials"]);
    check_refused(&["--duration", "0s"], &["`workload.duration` is zero"]);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let (folder, path) = place();
    fs::write(&path, "mine").unwrap();
    let file = path.to_str().unwrap();
    for arguments in [&["new", file][..], &["new", file, "--quorums", "4,2"]] {
        let output = flexpaxos(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        check_says(&stderr, &["is not overwritten", "choose another name, or remove it"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
    let absent = folder.path().join("absent/mine.toml");
    let output = flexpaxos(&["new", absent.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    check_says(&String::from_utf8(output.stderr).unwrap(), &["name a file in a folder"]);
}

/// A profile that is a file is found from the folder of the experiment, as a run finds it.
#[test]
fn a_profile_of_a_file_is_relative_to_the_new_file() {
    let (folder, path) = place();
    let rows = "from,to,rtt_ms\na,b,9\nb,a,9\na,c,30\nc,a,30\nb,c,25\nc,b,25\n";
    fs::write(folder.path().join("mine.csv"), rows).unwrap();
    let options = ["--profile", "mine.csv", "--replicas", "a,b,c", "--quorums", "3,1"];
    let text = written(&path, &options);
    assert!(text.contains("profile  = \"mine.csv\""), "{text}");
    check_says(&planned(&path), &["for clients in a: multi 9.00, flex-3-1 0.00"]);
}

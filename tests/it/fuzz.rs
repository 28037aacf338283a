//! Random faults in virtual time: honest replicas keep every property, and each broken rule shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use flexpaxos::fuzz::{Case, Guidance, Limits, Search, run};
use flexpaxos::sabotage::Rule;
use rayon::prelude::*;

/// Seeds for honest replicas.
const SEEDS: u64 = 120;

/// The seeds that once failed, with their arguments and stories.
const FAILED: &str = include_str!("fuzz/failed-seeds.txt");

fn fuzz(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.arg("fuzz").args(arguments.split_whitespace()).env("NO_COLOR", "1");
    command.output().unwrap()
}

/// What the command says on stdout when it ends with this code.
fn check(arguments: &str, code: i32) -> String {
    let output = fuzz(arguments);
    let (stdout, stderr) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "fuzz {arguments}\n{stdout}{stderr}");
    stdout
}

#[test]
fn honest_replicas_keep_every_property_in_all_fault_mixes() {
    let limits = Limits::default();
    let guidance = Guidance::None;
    let search = Search { seeds: 0..SEEDS, limits, is_to_go_on: true, threads: 2, guidance };
    let found = search.run(&|_| false).unwrap();
    assert_eq!(found.violations, []);
    // There were faults, and the runs are not empty.
    let tally = found.tally;
    assert_eq!(tally.histories, SEEDS);
    assert_eq!(tally.acknowledged, tally.issued);
    assert!(tally.acknowledged > SEEDS * 20, "{tally:?}");
    assert!(tally.slots > tally.acknowledged, "{tally:?}");
    for (name, count) in tally.rows() {
        assert!(count > 0, "no {name} in {SEEDS} seeds");
    }
}

/// A line of the file: the seed, what it is drawn within, and the property that it must break.
fn parse(line: &str) -> (u64, Limits, Option<&str>) {
    let (arguments, property) =
        line.split_once(" breaks ").map_or((line, None), |(arguments, it)| (arguments, Some(it)));
    let (mut seed, mut limits) = (None, Limits::default());
    let words: Vec<&str> = arguments.split_whitespace().collect();
    for pair in words.chunks(2) {
        match pair {
            ["--seeds", number] => seed = Some(number.parse().unwrap()),
            ["--break", name] => {
                limits.rule = Rule::ALL.into_iter().find(|rule| rule.to_string() == *name);
                assert!(limits.rule.is_some(), "{line}");
            }
            ["--protocol", "caspaxos"] => limits.protocol = Some("caspaxos"),
            _ => panic!("{line}"),
        }
    }
    (seed.unwrap(), limits, property)
}

/// Each broken rule shows as what its line says, and the same seed with honest replicas shows nothing.
#[test]
fn every_seed_that_once_failed_does_as_its_line_says() {
    let lines = FAILED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<&str> = lines.collect();
    lines.par_iter().for_each(|line| {
        let (seed, limits, property) = parse(line);
        let found = run(&Case::draw(seed, &limits)).violation;
        let found = found.map(|violation| violation.invariant.to_string());
        assert_eq!(found.as_deref(), property, "{line}");
        let honest = Limits { rule: None, ..limits };
        assert_eq!(run(&Case::draw(seed, &honest)).violation, None, "{line}");
    });
    let rules: BTreeSet<String> =
        lines.iter().filter_map(|line| Some(parse(line).1.rule?.to_string())).collect();
    let missing: Vec<String> =
        Rule::ALL.iter().map(ToString::to_string).filter(|rule| !rules.contains(rule)).collect();
    // Of a run nobody says whether a leader was heard when a pre-vote was granted: `check` does.
    assert_eq!(missing, ["grants-while-led"]);
}

#[test]
fn a_seed_that_fails_is_told_with_its_command() {
    let arguments = "--seeds 7 --break forgets-vote";
    let said = check(arguments, 5);
    assert!(said.contains("VIOLATION promises-kept: "), "{said}");
    assert!(said.contains(&format!("flexpaxos fuzz {arguments} --trace")), "{said}");
    assert!(check("--seeds 7", 0).ends_with("1 seed, no violation\n"));
}

#[test]
fn a_failing_seed_is_shrunk_to_its_fewest_faults() {
    let arguments = "--seeds 7 --break forgets-vote --shrink";
    let shrunk = check(arguments, 5);
    let first = shrunk.lines().next().unwrap();
    assert!(first.starts_with("1 of ") && first.contains("operations are enough"), "{first}");
    assert!(shrunk.trim_end().lines().last().unwrap().starts_with("VIOLATION promises-kept"));
    assert_eq!(shrunk, check(arguments, 5));
    // Of a read the excerpt has what the replicas asked one another.
    let read = check("--seeds 35 --break reads-by-phase2-quorum --shrink", 5);
    assert!(read.contains(" ask-end c") && read.contains("lines: those about what"), "{read}");
    let honest = check("--seeds 7 --shrink", 0);
    assert!(honest.contains("no violation") && honest.lines().count() < 60, "{honest}");
    // A search says so of the first seed that failed.
    let found = check("--seeds 7..9 --break forgets-vote", 5);
    assert!(found.contains(&format!("flexpaxos fuzz {arguments}   1 of ")), "{found}");
}

#[test]
fn a_trace_tells_the_whole_run_and_is_the_same_bytes_again() {
    let arguments = "--seeds 17 --break trimmed-slot-lost-write --trace";
    let trace = check(arguments, 5);
    for phrase in ["seed 17: ", "phase 1: ", "LEADS: ", " writes vote slot 0", "CHOSEN "] {
        assert!(trace.contains(phrase), "{phrase:?} is missing in:\n{trace}");
    }
    assert!(trace.trim_end().lines().last().unwrap().starts_with("VIOLATION chosen-stays-chosen"));
    assert_eq!(trace, check(arguments, 5));
}

#[test]
fn counts_are_told_in_all_and_for_a_thousand_histories() {
    let said = check("--seeds 0..4 --protocol classic --replicas 3 --threads 1", 0);
    assert!(said.contains("per 1000 histories") && said.contains("torn tails"), "{said}");
    assert!(said.ends_with("4 seeds, no violation\n"), "{said}");
}

/// A control that shows nothing is no success, and one that can show nothing does not begin.
#[test]
fn a_rule_whose_breaking_shows_nothing_is_refused() {
    let refused = |arguments: &str, phrases: &[&str]| {
        let output = fuzz(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        for phrase in phrases {
            assert!(stderr.contains(phrase), "{phrase:?} is missing in:\n{stderr}");
        }
    };
    let seed = "--seeds 0 --break disjoint-quorums";
    refused(&format!("{seed} --replicas 1"), &["a single replica has one"]);
    let announced = "--seeds 0 --break ignores-announced-quorums";
    refused(&format!("{announced} --protocol classic"), &["classic Paxos announces"]);
    refused("--seeds 0 --protocol caspaxos --break hole-in-log", &["has no such rule"]);
    refused("--seeds 0 --protocol multi --break forgets-request", &["has no such rule"]);
    // The first seed elects nobody with a quorum of its own.
    refused(announced, &["no seed showed it", "more seeds"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |arguments, phrase: &str| {
        let output = fuzz(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(phrase), "{phrase:?} is missing in:\n{stderr}");
    };
    refused("--seeds 0..2 --trace", "--trace is for one seed");
    refused("--seeds 0..2 --break tells-too-soon --protocol classic", "no such rule");
    refused("--seeds 0..2 --break grants-while-led", "check silence");
    check("--seeds 18446744073709551614", 0);
    refused("--seeds 0..2 --shrink", "--shrink is for one seed");
    refused("--seeds 5..5", "is empty");
    refused("--seeds 1 --break honesty", "disjoint-quorums");
    refused("--seeds 1 --replicas 0", "beyond 1 to 16");
    refused("--seeds 1 --trace --threads 2", "--threads");
    refused("--seeds 1 --trace --keep-going", "--keep-going");
}

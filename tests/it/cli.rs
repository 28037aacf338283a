//! The command as its users meet it: what it prints, where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flexpaxos::command::ClientId;
use flexpaxos::history::{ClientWriter, Issued, Kind, Returned};
use flexpaxos::protocol::Slot;
use flexpaxos::time::Time;

/// The command, run in the package's folder.
fn flexpaxos(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1");
    command
}

/// Asserts that the command ends well and says these on stdout, and nothing on stderr.
fn check(arguments: &[&str], phrases: &[&str]) -> String {
    let output = flexpaxos(arguments);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(stderr, "");
    // Text may be folded within a phrase.
    let said = words(&stdout);
    for phrase in phrases {
        let is_there = stdout.contains(phrase) || said.contains(&words(phrase));
        assert!(is_there, "{phrase:?} is missing in:\n{stdout}");
    }
    stdout
}

/// A verdict does not depend on who reads it.
#[test]
fn a_reader_that_leaves_early_does_not_change_the_exit_code() {
    let unsafe_quorums = ["quorums", "--n", "5", "--counts", "2,2"];
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command(&unsafe_quorums).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(5));
}

/// Asserts that the command refuses with exit code 2, says these on stderr and nothing on stdout.
fn check_refused(arguments: &[&str], phrases: &[&str]) {
    let output = flexpaxos(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    // A message is folded to the width of a terminal: its words count, not its lines.
    let said = words(&stderr);
    for phrase in phrases {
        assert!(said.contains(&words(phrase)), "{phrase:?} is missing in:\n{stderr}");
    }
}

/// The words of a text without the lines that are drawn beside it.
fn words(text: &str) -> String {
    let is_drawn = |letter: char| letter == '|' || ('\u{2500}'..='\u{257f}').contains(&letter);
    text.replace(is_drawn, " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A copy of the quickstart with one place changed, in a folder that lives as long as it is used.
fn spoilt_quickstart(from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.toml");
    let text = std::fs::read_to_string(original).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from:?} must occur once");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoilt.toml");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    (folder, path)
}

#[test]
fn the_help_of_a_newcomer_says_where_to_start() {
    check(
        &["--help"],
        &["Start here:", "flexpaxos run experiments/quickstart.toml", "Exit codes:"],
    );
    let names = [
        "run",
        "new",
        "plan",
        "trace",
        "check",
        "fuzz",
        "profiles",
        "calibrate",
        "measure-links",
        "quorums",
        "show",
        "history",
        "completions",
        "man",
    ];
    for name in names {
        check(&[name, "--help"], &["Usage: flexpaxos", "Example"]);
    }
}

#[test]
fn the_agent_is_not_offered() {
    assert!(!check(&["--help"], &[]).contains("agent"));
    check(&["agent", "--help"], &["--coordinator", "--identity", "--folder", "not you"]);
}

#[test]
fn a_request_without_sense_ends_with_two() {
    check_refused(&[], &["Usage: flexpaxos"]);
    check_refused(&["rum"], &["rum", "run"]);
    check_refused(&["plan"], &["<EXPERIMENT>"]);
    check_refused(&["plan", "experiments/quickstart.toml", "--trials", "0"], &["--trials"]);
    check_refused(&["run", "experiments/quickstart.toml", "--listen", "here"], &["--listen"]);
    check_refused(&["man", "nothing"], &["no command `nothing`", "help:", "quorums"]);
}

#[test]
fn an_experiment_that_does_not_exist_is_named() {
    for name in ["plan", "run"] {
        check_refused(&[name, "no/such.toml"], &["no/such.toml", "help:", "quickstart.toml"]);
    }
}

#[test]
fn a_wrong_experiment_is_shown_with_its_place_and_what_to_change() {
    let (_folder, path) = spoilt_quickstart("phase1 = 4", "phase1 = 3");
    for name in ["plan", "run"] {
        check_refused(
            &[name, path.to_str().unwrap()],
            &[
                "phase-1 quorum {us-east-1, us-west-2, eu-west-1}",
                "spoilt.toml:61:12",
                "at least 6",
                "`unsafe_quorums = true`",
            ],
        );
    }
}

#[test]
fn an_unknown_key_is_shown_with_its_place() {
    let (_folder, path) = spoilt_quickstart("drain ", "drian ");
    check_refused(
        &["plan", path.to_str().unwrap()],
        &["unknown key `drian`", "spoilt.toml:35:1", "did you mean `drain`?"],
    );
}

#[test]
fn the_plan_shows_the_floors_and_what_would_run() {
    check(
        &["plan", "experiments/quickstart.toml"],
        &[
            "question",
            "refuted if",
            "160 a second in total, Poisson",
            "retries     after 1s without an answer",
            "by client region (ms)",
            "139.36",
            "69.68",
            "64.22",
            "9 trials: 3 variants x 1 point x 3 repeats",
            "expected time of live trials 1m 3s",
        ],
    );
}

#[test]
fn the_plan_lists_the_points_of_a_sweep_and_the_order_of_trials() {
    let file = "experiments/commit-path.toml";
    let whole = check(&["plan", file], &["mode=fsync clients=1024", "30 trials"]);
    assert!(!whole.contains("seed"));
    check(&["plan", file, "--trials", "1", "--order"], &["10 trials", "seed"]);
    check(&["plan", file, "--smoke"], &["2 trials", "20ms of warm-up, 50ms measured"]);
}

#[test]
fn the_plan_shows_what_the_simulator_is_told_and_what_goes_wrong() {
    let smoke = "[smoke]";
    let added = r#"[network]
bandwidth_mbit_per_s = 10.0
loss = 0.015
loss_burst = 3.0

[[fault]]
at = "1s"
slow = { from = ["us-east-1"], to = ["eu-west-1"], by = "50ms" }
lasts = "500ms"

[[fault]]
at = "2s"
crash = "us-east-1"

[[fault]]
after_writes = 100
crash = ["r1", "r4"]
restart_after = "500ms"
unsynced = "torn"

[sweep]
variant.quorums.counts.phase1 = { from = 4, to = 5 }

[smoke]"#;
    let (_folder, path) = spoilt_quickstart(smoke, added);
    let path = path.to_str().unwrap();
    check(
        &["plan", path],
        &[
            "service     20us for a message that arrives",
            "network     10 Mbit/s in each direction of a link, 1.5 % of the messages lost, 3 in a row",
            "sweep       variant.quorums.counts.phase1 = 4, 5",
            "phase1=5  flex-4-2",
            "  at 1s messages from us-east-1 to eu-west-1 take 50ms longer, for 500ms",
            "  multi, flex-4-2: at 2s us-east-1, the leader, crashes and does not come back",
            "  classic: at 2s us-east-1 crashes and does not come back",
            " crash and come back 500ms later, with half of what is not synced",
            "  after 100 writes ",
            "WARNING: phase1=5: variant `flex-4-2`: from 2s on no phase-1 quorum of 5 is left",
            "WARNING: phase1=4: variants `multi`, `flex-4-2`: from 2s on the leader is gone",
            "for the simulator alone: the live backend cannot choose what is left of records",
        ],
    );
    check_refused(
        &["run", path],
        &["the live backend cannot choose what is left", "spoilt.toml:", "`--backend sim`"],
    );
}

/// Nothing is started: each of these would have run as if the option were not there.
#[test]
fn an_option_without_effect_is_refused_with_what_would_have_one() {
    let quickstart = ["run", "experiments/quickstart.toml"];
    let refused = |arguments: &[&str], phrases: &[&str]| {
        check_refused(&[&quickstart[..], arguments].concat(), phrases);
    };
    for option in ["--no-probe", "--no-calibrate", "--launcher=in-process", "--listen=127.0.0.1:0"]
    {
        let name = option.split('=').next().unwrap();
        let said = format!("{name} has no effect with `--backend sim`");
        refused(&["--backend", "sim", option], &[&said, "`--backend live` or `both`"]);
    }
    refused(&["--threads", "2"], &["--threads has no effect with `--backend live`"]);
    for backend in ["sim", "both"] {
        for control in ["--break-disk=r1:sync:1", "--break-network=delay-twice"] {
            let said = format!("{} breaks live trials alone", control.split('=').next().unwrap());
            refused(&["--backend", backend, control], &[&said, "choose `--backend live`"]);
        }
    }
    refused(&["--break-disk", "r9:sync:1"], &["names r9, which does not exist", "r0 to r4"]);
    let commit_path = ["run", "experiments/commit-path.toml"];
    check_refused(
        &[&commit_path[..], &["--break-disk", "r1:sync:1"]].concat(),
        &["--break-disk breaks nothing at mode=memory", "use no disk", "`durability.mode"],
    );
    check_refused(
        &[&commit_path[..], &["--break-network", "delay-twice"]].concat(),
        &["--break-network delay-twice breaks nothing", "no link has a delay", "`uniform:20ms`"],
    );
}

#[test]
fn a_smaller_size_that_the_experiment_does_not_have_is_refused() {
    let (_folder, path) = spoilt_quickstart("[smoke]", "[smoke]\n[drop]");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.split("[smoke]").next().unwrap()).unwrap();
    for command in ["run", "plan"] {
        check_refused(
            &[command, path.to_str().unwrap(), "--smoke"],
            &["this experiment has no smaller size", "leave out `--smoke`"],
        );
    }
}

#[test]
fn the_profiles_are_listed_and_shown() {
    check(&["profiles"], &["aws-2025-07", "uniform:20ms", "measured"]);
    check(&["profiles", "aws-2025-07"], &["cloudping.co", "us-east-1", "committed 2025-07-17"]);
    let near = check(&["profiles", "aws-2025-07", "--from", "us-east-1"], &["the other way"]);
    let position = |region: &str| near.find(region).unwrap();
    assert!(position("ca-central-1") < position("us-west-2"));
    check(&["profiles", "lan", "--from", "anywhere"], &["0.2 ms between any two nodes"]);
}

#[test]
fn the_profiles_say_how_near_the_fit_comes() {
    let fit = ["percentile", "worst pair", "a Weibull distribution"];
    check(&["profiles", "aws-2024-04"], &[&fit[..], &["p10 ", "p99 ", " to "]].concat());
    check(&["profiles", "gcp-2019-09"], &[&fit[..], &["min ", "p50 "]].concat());
    check(&["profiles", "ibm-2026-08"], &["so it does not"]);
    let pair = ["profiles", "aws-2024-04", "--from", "us-east-1", "--to", "eu-west-1"];
    check(&pair, &["published (ms)", "fitted (ms)", "p99", "Weibull delay of scale", "+0.00"]);
    check(&["profiles", "lan", "--from", "a", "--to", "b"], &["each leg: always 0.10ms"]);
    let unknown = ["profiles", "aws-2024-04", "--from", "us-east-1", "--to", "mars"];
    check_refused(&unknown, &["no region \"mars\""]);
    let heavy = ["profiles", "aws-2024-04", "--from", "eu-central-1", "--to", "us-east-1"];
    check(&heavy, &["647.72", "an empirical delay of at least"]);
}

#[test]
fn a_profile_as_csv_is_a_profile_again() {
    let header = "from,to,rtt_ms,p10_ms,p25_ms,p75_ms,p90_ms,p99_ms,avg_ms\n";
    let csv = check(&["profiles", "aws-2024-04", "--csv"], &[header]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    std::fs::write(&path, &csv).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(check(&["profiles", path, "--csv"], &[]), csv);
    let part = check(&["profiles", path, "--from", "us-east-1", "--csv"], &[header]);
    assert_eq!(part.lines().count(), 21, "a header and the other 20 regions: {part}");
}

/// Runs `profiles import` on this table, which must be understood: what it writes, and what it says.
fn imported(table: &[u8], options: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, table).unwrap();
    let arguments = [&["profiles", "import", path.to_str().unwrap()], options].concat();
    let output = flexpaxos(&arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

#[test]
fn an_import_writes_a_profile_and_says_what_it_understood() {
    let square = b";a;b\na;0.2;81500\nb;82000;0.3\n";
    let (profile, said) = imported(square, &["--square", "--unit", "us"]);
    let expected = "from,to,rtt_ms\na,a,0.0002\na,b,81.5\nb,a,82\nb,b,0.0003\n";
    assert_eq!(profile, expected);
    for phrase in ["a square of 2 regions in us", "a semicolon", "2 regions, 4 rows"] {
        assert!(said.contains(phrase), "{phrase:?} is missing in {said}");
    }
    let (_, said) = imported(b"from,to,rtt\na,b,5\nb,c,5\nc,a,5\n", &[]);
    assert!(said.contains("warning: 3 pairs have no row: a -> c, b -> a, c -> b"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mine.csv");
    let out = out.to_str().unwrap();
    let (profile, said) = imported(b"from,to,rtt\na,b,5\nb,a,6\n", &["--out", out]);
    assert_eq!((profile.as_str(), said.contains("written to")), ("", true), "{said}");
    check(&["profiles", out, "--from", "a", "--to", "b"], &["5.00"]);
    let table = folder.path().join("mine.csv");
    let again = ["profiles", "import", table.to_str().unwrap(), "--out", out];
    let output = flexpaxos(&again);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("is not overwritten"));
}

#[test]
fn an_import_of_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let path = path.to_str().unwrap();
    let refused = |table: &[u8], phrases: &[&str]| {
        std::fs::write(path, table).unwrap();
        check_refused(&["profiles", "import", path], phrases);
    };
    refused(b"from,to,rtt\na,b,1,234\n", &["table.csv:2", "thousands", "help:"]);
    refused(b"from,to,rtt\nS\xe3o Paulo,b,1\n", &["table.csv:2", "not UTF-8", "iconv"]);
    refused(b"from,to,rtt\na,b,1\na,b,2\n", &["a -> b (lines 2 and 3)"]);
    check_refused(&["profiles", "import", "no/such.csv"], &["no/such.csv", "help:"]);
    check_refused(&["profiles", "import"], &["<FILE>"]);
}

#[test]
fn a_profile_or_region_that_does_not_exist_is_refused() {
    check_refused(&["profiles", "aws-2052"], &["aws-2052", "aws-2025-07", "help:"]);
    check_refused(&["profiles", "aws-2025-07", "--from", "us-esat-1"], &["us-east-1", "help:"]);
    check_refused(&["profiles", "lan", "--csv"], &["no table of pairs", "leave out `--csv`"]);
    check_refused(&["profiles", "--from", "us-east-1"], &["NAME"]);
}

#[test]
fn a_safe_quorum_system_comes_with_its_proof() {
    check(
        &["quorums", "--n", "5", "--counts", "4,2"],
        &["safe: every phase-1 quorum meets every phase-2 quorum, since 4 + 2 > 5", "{r3, r4}"],
    );
    check(&["quorums", "--n", "9", "--majority"], &["126", "and 106 more"]);
    check(
        &[
            "quorums",
            "--n",
            "4",
            "--explicit-phase1",
            "0,1",
            "2,3",
            "--explicit-phase2",
            "0,2",
            "1,3",
        ],
        &["safe:", "{r0, r1} {r2, r3}", "{r0, r2} {r1, r3}"],
    );
}

/// Asserts that the command ends with this code and says these on stdout.
fn check_ends(arguments: &[&str], code: i32, phrases: &[&str]) -> String {
    let output = flexpaxos(arguments);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    for phrase in phrases {
        assert!(stdout.contains(phrase), "{phrase:?} is missing in:\n{stdout}");
    }
    stdout
}

#[test]
fn an_unsafe_quorum_system_comes_with_its_counterexample() {
    let expected =
        "UNSAFE: phase-1 quorum {r0, r1, r2} and phase-2 quorum {r3, r4} have no replica in common";
    check_refused(
        &["quorums", "--replicas", "a,b,c", "--profile", "native", "majority"],
        &["nobody has measured", "native.csv"],
    );
    let said = check_ends(&["quorums", "--n", "5", "--counts", "3,2"], 5, &["{r1, r2, r3}"]);
    assert!(words(&said).contains(expected), "{said}");
    // A listed set stands in one line.
    assert!(said.lines().all(|line| line.matches('{').count() == line.matches('}').count()));
}

#[test]
fn the_quorums_of_a_variant_are_those_of_its_file() {
    let file = "experiments/quickstart.toml";
    check(
        &["quorums", "--experiment", file, "--variant", "flex-4-2"],
        &["us-east-1, us-west-2", "4 + 2 > 5"],
    );
    // Without a variant each of them is judged, and those with one system together.
    let all = check(
        &["quorums", "--experiment", file],
        &["variant classic, multi\n", "variant flex-4-2\n", "2 quorum systems, all of them safe"],
    );
    assert_eq!(all.matches("safe: every").count(), 2, "{all}");
    check_refused(
        &["quorums", "--experiment", file, "--variant", "flex"],
        &["no variant `flex`", "classic, multi, flex-4-2"],
    );
}

/// The first point is safe, and of the others one is not.
#[test]
fn the_quorums_of_every_point_of_a_sweep_are_judged() {
    let swept = "[sweep]\nvariant.quorums.counts.phase1 = [4, 3, 5]\n\n[smoke]";
    let (_folder, path) = spoilt_quickstart("[smoke]", swept);
    let text = std::fs::read_to_string(&path).unwrap();
    let counts = "quorums  = { counts = { phase1 = 4, phase2 = 2 } }";
    assert!(text.contains(counts));
    let permitted = format!("{counts}\nunsafe_quorums = true");
    std::fs::write(&path, text.replace(counts, &permitted)).unwrap();
    let file = path.to_str().unwrap();
    let said = check_ends(
        &["quorums", "--experiment", file, "--variant", "flex-4-2"],
        5,
        &[
            "variant flex-4-2 at phase1=4\n",
            "since 4 + 2 > 5",
            "variant flex-4-2 at phase1=3\n",
            "UNSAFE: phase-1 quorum {us-east-1, us-west-2, eu-west-1} and phase-2",
            "since 5 + 2 > 5",
            "3 quorum systems, 1 of them UNSAFE",
        ],
    );
    assert!(!said.contains("classic"), "{said}");
}

/// A quorum per ballot is not safe by its sizes: 3 + 2 are no more than 5.
#[test]
fn a_quorum_per_ballot_is_safe_by_what_is_announced() {
    let counts = "{ counts = { phase1 = 4, phase2 = 2 } }";
    let (_folder, path) = spoilt_quickstart(counts, "{ per_ballot = { phase2 = 2 } }");
    let text = std::fs::read_to_string(&path).unwrap();
    let elected = text.replace("[smoke]", "[election]\nmode = \"timeout\"\n\n[smoke]");
    std::fs::write(&path, elected).unwrap();
    let file = path.to_str().unwrap();
    let said = check(&["quorums", "--experiment", file, "--variant", "flex-4-2"], &["cost: "]);
    assert!(!said.contains("3 + 2 > 5"), "{said}");
    let said = words(&said);
    for phrase in [
        "announces its phase-2 quorum of 2 with its phase 1, to 3 replicas at least",
        "Since 3 + 3 > 5, a later phase 1 hears of every quorum",
        "while all 2 members of an announced quorum are down, no phase 1 ends",
        "phase 1 3 10 1 phase 2 2 10 0",
    ] {
        assert!(said.contains(phrase), "{phrase:?} is missing in:\n{said}");
    }
}

const GRID: &str = "grid = { rows = 3, columns = 3, phase1 = \"row\", phase2 = \"column\" }";

#[test]
fn quorum_systems_are_compared_side_by_side() {
    let counts = "counts = { phase1 = 7, phase2 = 3 }";
    let said = check(
        &["quorums", "--n", "9", "majority", counts, GRID, "wall = { rows = [1, 2, 3, 3] }"],
        &["4 quorum systems, all of them safe", "both phases are available with 0."],
    );
    let table: String = words(said.split("all of them safe").nth(1).unwrap());
    // The sizes, the crashes survived, the load and the messages of the published table.
    for row in [
        "majority yes 5 5 4 4 0.556 1.800 8-16",
        "counts yes 7 3 2 6 0.333 3.000 4-16",
        "grid yes 3 3 2 2 0.333 3.000 4-16",
        "wall yes 3-4 3-4 2 2 0.429 2.333 4-16",
    ] {
        assert!(table.contains(row), "{row:?} is missing in:\n{said}");
    }
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
    assert!(!said.contains("{0, 1"), "a replica has one name: {said}");
    let rows = said.lines().skip_while(|line| !line.contains("4 quorum systems"));
    let mut rows = rows.take_while(|line| !line.starts_with("q1, q2"));
    assert!(rows.all(|line| line.chars().count() <= 80), "{said}");
    let broken = "weighted = { weights = [3, 2, 2, 1, 1], phase1 = 5, phase2 = 4 }";
    check_ends(&["quorums", "--n", "5", broken], 5, &["UNSAFE: phase-1 quorum {r", "of weight"]);
}

#[test]
fn quorum_systems_on_links_have_leaders_and_losses() {
    let replicas = "us-east-1,us-west-2,eu-west-1,ap-northeast-1,ap-southeast-2";
    let said = check(
        &[
            "quorums",
            "--replicas",
            replicas,
            "counts = { phase1 = 4, phase2 = 2 }",
            "counts = { phase1 = 5, phase2 = 1 }",
        ],
        &["takeover ms", "lost region", "nobody", "counts-2", "regions survived", "never"],
    );
    let said = words(&said);
    assert!(
        said.contains("us-east-1 149.61 64.23") || said.contains("us-east-1 149.61 64.22"),
        "{said}"
    );
    assert!(
        said.contains("counts 64.22 5 of 5") && said.contains("counts-2 0.00 0 of 5"),
        "{said}"
    );
    let csv =
        check(&["quorums", "--replicas", replicas, "majority", "--csv"], &["regions_survived"]);
    assert!(csv.lines().nth(1).unwrap().contains(",5,5,69679000,"), "{csv}");
    let output = flexpaxos(&["quorums", "--replicas", replicas, "majority", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value[0]["phase1"]["minimal_count"], "10");
    assert_eq!(value[0]["losses"][0]["next"].as_array().unwrap().len(), 4);
    let zones = ["quorums", "--profile", "lan", "--replicas", "east,east,east,west,west,west"];
    let groups =
        "groups = { phase1 = { groups = 2, members = 1 }, phase2 = { groups = 1, members = 3 } }";
    let said = words(&check(&[&zones[..], &[groups]].concat(), &["since 2 + 1 > 2 of the parts"]));
    // Without a group nobody meets both.
    assert!(said.contains("east yes 0 nobody") && said.contains("west yes 0 nobody"), "{said}");
}

#[test]
fn quorum_systems_are_written_as_csv_and_drawn() {
    let csv =
        check(&["quorums", "--n", "9", "--csv", "majority", GRID], &["system,kind,n,is_safe,"]);
    assert!(csv.contains("\nmajority,plain,9,true,5,5,5,5,126,126,4,4,"), "{csv}");
    assert!(csv.contains("\ngrid,grid,9,true,3,3,3,3,3,3,2,2,"), "{csv}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grid.svg");
    let drawn = ["quorums", "--n", "9", GRID, "--svg", path.to_str().unwrap()];
    let said = String::from_utf8(flexpaxos(&drawn).stderr).unwrap();
    assert_eq!(said, format!("wrote {}\n", path.display()));
    check_ends(&drawn, 0, &["safe:"]);
    let svg = std::fs::read_to_string(&path).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("row 1 {r0, r1, r2}"), "{svg}");
}

#[test]
fn a_typed_system_is_refused_with_its_place() {
    check_refused(
        &["quorums", "--n", "5", "wall = { rows = [2, 2] }"],
        &["have 4 places", "rows = [2, 2]"],
    );
    check_refused(
        &["quorums", "--n", "5", "gird = { rows = 2 }"],
        &["unknown value `gird`", "did you mean `grid`?"],
    );
    check_refused(&["quorums", "--n", "5", "majority", "--up", "2"], &["`2` is no probability"]);
    check_refused(&["quorums", "--replicas", "us-esat-1", "majority"], &["us-esat-1", "us-east-1"]);
}

#[test]
fn quorums_of_nonsense_are_refused() {
    check_refused(&["quorums", "--n", "5"], &["--majority"]);
    check_refused(&["quorums", "--majority"], &["--n"]);
    check_refused(&["quorums", "--n", "0", "--majority"], &["1..=64"]);
    check_refused(&["quorums", "--n", "65", "--majority"], &["1..=64"]);
    check_refused(&["quorums", "--n", "5", "--counts", "4"], &["`4,2`"]);
    check_refused(&["quorums", "--n", "5", "--counts", "6,1"], &["phase1 = 6", "help:"]);
    check_refused(&["quorums", "--n", "5", "--counts", "4,2", "--majority"], &["cannot be used"]);
}

#[test]
fn completions_and_manual_pages_are_printed() {
    check(&["completions", "bash"], &["_flexpaxos", "quorums"]);
    check(&["man"], &[".TH", "flexpaxos", "Exit codes"]);
    check(&["man", "quorums"], &[".TH", "minimal quorums"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for arguments in
        [["profiles", "azure-2026-07", "--csv"].as_slice(), &["completions", "bash"], &["man"]]
    {
        let mut child =
            command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The reader goes away before the first byte.
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "", "{arguments:?}");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

/// What `run` says of its trials beside the tables is not all in the folder.
#[test]
fn show_prints_the_tables_of_a_run_again() {
    let fault = "[[fault]]\nat = \"500ms\"\ncrash = \"us-east-1\"\n\n[smoke]";
    let (_folder, unanswered) = spoilt_quickstart("[smoke]", fault);
    let files = ["experiments/quickstart.toml", "experiments/thrifty-follower.toml"];
    let files = files.into_iter().chain(unanswered.to_str());
    for (file, table) in files.zip(["flex-4-2", "protocol", ">"]) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("results");
        let out = out.to_str().unwrap();
        let run =
            ["run", file, "--backend", "sim", "--smoke", "--quiet", "--no-report", "--out", out];
        // A leader that nobody replaces is warned of on stderr.
        let output = flexpaxos(&run);
        assert_eq!(output.status.code(), Some(0));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains(table) && printed.contains("results in"), "{printed}");
        let only_run = |line: &&str| {
            ["trial ", "FLOOR: ", "results in"].iter().any(|start| line.starts_with(start))
        };
        // The folder has what is printed where it is no terminal, but not where it lies.
        let kept = std::fs::read_to_string(folder.path().join("results/table.txt")).unwrap();
        let end = format!("results in {out}\n");
        assert_eq!(printed.strip_suffix(&end), Some(kept.as_str()), "{file}");
        let printed: Vec<&str> = printed.lines().filter(|line| !only_run(line)).collect();
        for show in [&["show", out][..], &["show", out, "--wide"]] {
            let shown = check(show, &[table, "histories of"]);
            assert_eq!(shown.lines().collect::<Vec<_>>(), printed, "{file}");
        }
        std::fs::remove_file(folder.path().join("results/trial-001.sim.hlog")).unwrap();
        check_refused(&["show", out], &["trial-001.sim.hlog cannot be read", "interval logs"]);
    }
    check_refused(&["show", "src"], &["trials.csv cannot be read", "results folder"]);
    check_refused(
        &["show", "NOPE"],
        &["there is no folder NOPE", "prints the folder of its results"],
    );
    let older = tempfile::tempdir().unwrap();
    let manifest = older.path().join("manifest.json");
    std::fs::write(manifest, "{\"table_schema_version\": 4}").unwrap();
    let phrases = ["has tables of schema 4", "run the experiment again"];
    check_refused(&["show", older.path().to_str().unwrap()], &phrases);
}

#[test]
fn a_simulated_run_prints_the_comparison_and_leaves_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let out = out.to_str().unwrap();
    let run = ["run", "experiments/quickstart.toml", "--backend", "sim", "--smoke", "--quiet"];
    let stdout = check(&[&run[..], &["--out", out]].concat(), &["flex-4-2", "floor", "results in"]);
    assert!(!stdout.contains("INVALID"), "{stdout}");
    check(&["history", out, "--trial", "1", "--backend", "sim"], &["\"client\":0"]);
    check(&["history", out, "--trial", "1"], &["\"client\":0"]);
    let live = ["history", out, "--trial", "1", "--backend", "live"];
    check_refused(&live, &["no histories of trial 1 (live)", "on the other backend"]);
    let absent = ["history", out, "--trial", "9"];
    check_refused(&absent, &["no histories of trial 9", "those of 1, 2, 3", "one of these trials"]);
    check_exports(&["history", out, "--trial", "1", "--backend", "sim"]);
    check_verify(out);
    let again = [&run[..], &["--resume", out]].concat();
    check_refused(&again, &["holds no run that was cut short", "leave --resume out"]);
    check_refused(&[&run[..], &["--out", out]].concat(), &["results are never overwritten"]);
}

/// What clients saw is written in the forms of other checkers.
fn check_exports(history: &[&str]) {
    let with = |more: &[&'static str]| [history, more].concat();
    let elle = check(&with(&["--format", "elle"]), &[":type :ok, :f :txn, :value [[:w "]);
    assert!(elle.starts_with("{:process 0, :type :invoke, :f :txn, :value [["), "{elle}");
    let operations = check(&with(&["--format", "operations"]), &["\"kind\":\"write\",\"value\":"]);
    assert_eq!(elle.lines().count(), 2 * operations.lines().count());
    let key = operations.split("\"key\":").nth(1).unwrap().split(',').next().unwrap();
    let edn = check(
        &[history, &["--format", "edn", "--key", key]].concat(),
        &[":type :ok, :f :write, :value "],
    );
    assert!(!edn.contains('['), "{edn}");
    check_refused(&with(&["--format", "edn"]), &["a register is one key", "--key"]);
    check_refused(
        &with(&["--format", "edn", "--key", "18446744073709551615"]),
        &["no client used"],
    );
    check_refused(&with(&["--key", "1"]), &["what clients saw", "--format operations"]);
}

/// A folder is found to be as good as it was, and a changed history is found out.
fn check_verify(out: &str) {
    let all = check(
        &["verify", out],
        &[
            "trial 1 (sim) classic: linearizable; clients: linearizable, ",
            " by their slots, 0 by search; logs: agree, ",
            " slots of 5 logs",
        ],
    );
    assert_eq!(all.lines().count(), 3, "{all}");
    assert_eq!(check(&["verify", out, "--trial", "2"], &["trial 2 (sim)"]).lines().count(), 1);
    check_gaps(out);
    check_refused(
        &["verify", out, "--trial", "9"],
        &["no histories of trial 9", "those of 1, 2, 3"],
    );
    check_refused(&["verify", "experiments"], &["experiments holds no histories", "reproduce.sh"]);
    let history =
        |trial: u32| Path::new(out).join(format!("histories/trial-00{trial}.sim/history.c0"));
    let ends = |code, phrases: &[&str]| {
        let output = flexpaxos(&["verify", out]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stdout}");
        for phrase in phrases {
            assert!(stdout.contains(phrase), "{phrase:?} is missing in:\n{stdout}");
        }
    };
    // A client that was killed: what it did last nobody knows.
    let whole = std::fs::read(history(3)).unwrap();
    std::fs::write(history(3), &whole[..whole.len() / 2]).unwrap();
    ends(3, &["trial 3 (sim) flex-4-2: INCOMPLETE", "1 histories of clients cut off"]);
    std::fs::write(history(2), "trial,variant").unwrap();
    ends(1, &["trial 2 (sim) multi: UNREADABLE", "multi a history cannot be read: not a client"]);
    // A client that read what nobody wrote.
    let mut writer = ClientWriter::new(ClientId(0));
    let (kind, intended_at) = (Kind::Read, Time(5));
    writer.invoke(&Issued { sequence: 0, intended_at, kind, key: 1 << 40, digest: 0 });
    let digest = Some(0xabcd);
    writer.returned(&Returned {
        sequence: 0,
        at: Time(9),
        slot: Slot(1 << 20),
        is_beside: false,
        digest,
    });
    std::fs::write(history(1), writer.finish()).unwrap();
    let line =
        "  client 0 request 0: read of 0000abcd, invoked at 5 ns, returned at 9 ns, slot 1048576";
    ends(5, &["trial 1 (sim) classic: VIOLATED", "key 1099511627776 is not linearizable", line]);
}

/// Logs that are emptied, deleted or cut, and a whole trial that is deleted, are found out.
fn check_gaps(out: &str) {
    let folder = Path::new(out).join("histories/trial-002.sim");
    let incomplete = |phrases: &[&str]| {
        for arguments in [vec!["verify", out], vec!["verify", out, "--trial", "2"]] {
            let output = flexpaxos(&arguments);
            let stdout = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(3), "{stdout}");
            assert!(stdout.contains("trial 2 (sim) multi: INCOMPLETE; clients: "), "{stdout}");
            for phrase in phrases {
                assert!(stdout.contains(phrase), "{phrase:?} is missing in:\n{stdout}");
            }
        }
    };
    let logs: Vec<_> = (0..5).map(|id| folder.join(format!("chosen.r{id}.0"))).collect();
    let whole: Vec<Vec<u8>> = logs.iter().map(|log| std::fs::read(log).unwrap()).collect();
    for log in &logs {
        std::fs::write(log, "").unwrap();
    }
    incomplete(&["acknowledged operations are in no replica's log", "chosen.r0.0 is cut: 0 of "]);
    for log in &logs {
        std::fs::remove_file(log).unwrap();
    }
    incomplete(&["logs: incomplete", "chosen.r0.0 is missing, ", " and 2 more"]);
    logs.iter().zip(&whole).for_each(|(log, bytes)| std::fs::write(log, bytes).unwrap());
    check(&["verify", out], &["trial 2 (sim) multi: linearizable"]);
    // One log is enough for every operation, but it is not all that the run left.
    std::fs::write(&logs[4], &whole[4][..whole[4].len() / 2]).unwrap();
    incomplete(&["INCOMPLETE: chosen.r4.0 is cut: ", "1 of them cut off"]);
    std::fs::write(&logs[4], &whole[4]).unwrap();
    let aside = Path::new(out).join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    incomplete(&["INCOMPLETE: all 7 histories that histories.csv lists are missing"]);
    std::fs::rename(&aside, &folder).unwrap();
    let edn = ["history", out, "--trial", "2", "--backend", "sim"];
    std::fs::remove_file(&logs[0]).unwrap();
    let output = flexpaxos(&edn);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("chosen.r0.0 is missing"));
    std::fs::write(&logs[0], &whole[0]).unwrap();
    check(&edn, &["\"client\":0"]);
}

#[test]
fn one_write_is_drawn_from_its_request_to_its_execution_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("flex.svg");
    let trace = ["trace", "experiments/quickstart.toml", "--variant", "flex-4-2"];
    let stdout = check(
        &[&trace[..], &["--client", "ca-central-1", "--svg", svg.to_str().unwrap()]].concat(),
        &["c1 -> r0", "phase2a (1.r0) slot", "** chosen: slot", "by the votes of r0 r1", "reply"],
    );
    for replica in 0..5 {
        let executes = format!("r{replica} executes slot");
        assert!(words(&stdout).contains(&executes), "{executes:?} is missing in:\n{stdout}");
    }
    // A leader that holds its ballot runs no phase 1, and two votes of five choose.
    assert!(!stdout.contains("phase1a"), "{stdout}");
    let (chosen, third) = (stdout.find("** chosen").unwrap(), stdout.find("r2 -> r0").unwrap());
    assert!(chosen < third, "{stdout}");
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
    check_refused(&[&trace[..2], &["--variant", "flex"]].concat(), &["no variant", "flex-4-2"]);
    check_refused(&[&trace[..], &["--write", "9999"]].concat(), &["sends", "choose another one"]);
    check_refused(&[&trace[..], &["--point", "3"]].concat(), &["there is no point 3"]);
}

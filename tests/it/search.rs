//! `flexpaxos plan --search`: the front that it prints, the experiments that it writes, and whether these have
//! the latency that it says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn flexpaxos(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1");
    command.output().unwrap()
}

/// What a search prints; it must end well, and without progress where stderr is no terminal.
#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = flexpaxos(&[&["plan", "--search"], arguments].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that a search is refused with these words.
#[track_caller]
fn check_refused(arguments: &[&str], phrases: &[&str]) {
    let output = flexpaxos(&[&["plan", "--search"], arguments].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    let is_drawn = |letter: char| letter == '|' || ('\u{2500}'..='\u{257f}').contains(&letter);
    let words = stderr.replace(is_drawn, " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for phrase in phrases {
        assert!(words.contains(phrase), "{phrase:?} is missing in:\n{stderr}");
    }
}

const EIGHT: &str =
    "us-east-1,us-east-2,us-west-2,eu-west-1,eu-central-1,ca-central-1,ap-northeast-1,sa-east-1";
const CLIENTS: &str = "us-east-1=2,eu-west-1=1";

#[test]
fn search_prints_a_front_within_80_columns() {
    let text = said(&["--any", "5", "--of", EIGHT, "--client", CLIENTS, "--explain", "2"]);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for phrase in [
        "1,400 points; a point is one of 56 placements (5 of 8 regions) with a leader and one of 5 quorum systems",
        "us-east-1 (weight 2), eu-west-1 (weight 1)",
        "each phase survives the loss of any 1 region",
        "the best trade-offs between commit and takeover: 3 rows",
        "The leader is in us-east-1. The quorum system is counts 3/3.",
        "Of the 1,400 points searched, none within the limits is better by one of these without being worse by another.",
        "No other point has the same values.",
        "The takeover figure, 80.47 ms, is phase 1 of eu-west-1 after the loss of",
        "us-east-1: 0.00 + 16.51 = 16.51 ms. eu-west-1: 69.68 + 16.51 = 86.19 ms.",
        "The mean over the clients, by their weights, is 39.73 ms.",
        "Compared with row 2, row 1 has a better commit",
        "Compared with row 2, row 3 has a worse commit",
    ] {
        assert!(words.contains(phrase), "{phrase:?} is missing in:\n{text}");
    }
}

/// From us-east-1 over the five of the quickstart: the second nearest 64.2 ms, the third 69.7 ms.
#[test]
fn figures_of_given_replicas_are_the_published_ones() {
    let five = "us-east-1,us-west-2,eu-west-1,ap-northeast-1,ap-southeast-2";
    let json = said(&["--these", five, "--client", "us-east-1", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let of = |system: &str| rows.iter().find(|row| row["system"] == system).unwrap();
    let flexible = of("counts 4/2");
    assert_eq!(flexible["leader"], "us-east-1");
    assert_eq!(flexible["figures"]["commit_ns_mean"], 64_225_000);
    assert_eq!(flexible["figures"]["phase1_survives_nodes"], 1);
    assert_eq!(flexible["figures"]["message_count"], 8);
    assert_eq!(flexible["clients"][0]["floor_ns_p50"], 64_225_000);
    assert_eq!(of("counts 3/3")["figures"]["commit_ns_mean"], 69_679_000);
    assert_eq!(json["point_count"], "25");
    // A phase 1 of all five never ends when one is lost.
    let all = said(&["--these", five, "--client", "us-east-1", "--survive-regions", "0", "--csv"]);
    let mut reader = csv::Reader::from_reader(all.as_bytes());
    let rows: Vec<BTreeMap<String, String>> =
        reader.deserialize().collect::<Result<_, _>>().unwrap();
    let never = rows.iter().find(|row| row["system"] == "counts 5/1").unwrap();
    assert_eq!((never["commit_ns_mean"].as_str(), never["takeover_ns_max"].as_str()), ("0", ""));
}

#[test]
fn what_cannot_be_searched_is_refused_with_what_to_change() {
    let client = ["--client", "us-east-1"];
    let with = |more: &[&'static str]| [&client[..], more].concat();
    check_refused(&["--any", "5"], &["--client"]);
    check_refused(&client, &["--these", "--any"]);
    check_refused(
        &with(&["--any", "5", "--must", "us-esat-1"]),
        &["us-esat-1", "did you mean us-east-1"],
    );
    check_refused(
        &with(&["--any", "5", "--must-not", "us-esat-1"]),
        &["us-esat-1", "did you mean us-east-1"],
    );
    check_refused(&with(&["--any", "65"]), &["65 regions cannot be chosen of 33", "--any"]);
    check_refused(&with(&["--any", "33", "--per-region", "2"]), &["66 replicas is too large"]);
    check_refused(&with(&["--any", "6", "--family", "explicit"]), &["up to 5 replicas", "has 6"]);
    check_refused(&with(&["--any", "5", "--family", "grid"]), &["no system of the family grid"]);
    check_refused(&with(&["--any", "5", "--objectives", "comit"]), &["comit", "commit"]);
    check_refused(
        &with(&["--any", "5", "--objectives", "after-loss"]),
        &["a leader has `takeover`"],
    );
    check_refused(
        &with(&["--any", "5", "--at-most", "load"]),
        &["`load` has no value", "takeover=150"],
    );
    check_refused(
        &with(&["--any", "3", "--profile", "lan"]),
        &["no list of regions", "--of a,b,c"],
    );
    check_refused(&with(&["--any", "3", "--of", EIGHT, "--explain", "9"]), &["there is no row 9"]);
    check_refused(&["--any", "3", "--client", "us-east-1=x"], &["the weight `x`"]);
    for weight in ["0", "-1", "nan", "inf", "1e300", "1e-300"] {
        let client = format!("us-east-1={weight}");
        check_refused(&["--any", "3", "--client", &client], &["the weight", "1e-6 to 1e6"]);
    }
    check_refused(
        &["--these", "a,b,c", "--client", "a", "--profile", "native"],
        &["nobody has measured", "native.csv"],
    );
    check_refused(&["--any", "3", "--client", "us-east-1,us-east-1"], &["named twice"]);
}

#[test]
fn limits_that_nothing_keeps_are_refused_with_what_each_can_be() {
    check_refused(
        &[
            "--any",
            "5",
            "--of",
            EIGHT,
            "--client",
            "us-east-1",
            "--at-most",
            "commit=5,takeover=90",
        ],
        &[
            "none of the 1,400 points searched keeps all limits",
            "relax a limit",
            "commit at most 5.000 ms: without this limit alone, the least commit is",
            "phase 2 survives the loss of any 1 region: without this limit alone, still no point keeps the others",
            "without any limit, the most phase2-regions is 4",
        ],
    );
}

#[test]
fn a_row_is_written_once_and_never_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let file = path.to_str().unwrap();
    let search = ["--any", "5", "--of", EIGHT, "--client", CLIENTS, "--write", "1", "--out", file];
    let output = flexpaxos(&[&["plan", "--search"], &search[..]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("written to"));
    let written = std::fs::read_to_string(&path).unwrap();
    let plan = flexpaxos(&["plan", file]);
    let said = String::from_utf8(plan.stdout).unwrap();
    assert_eq!(plan.status.code(), Some(0));
    assert!(said.contains("row-1") && said.contains("majority"), "{said}");
    // The fault of its prediction is in the file.
    let prediction =
        "When eu-west-1 is lost and eu-central-1 leads next, its phase 1 takes 103.75 ms";
    for phrase in [prediction, "the mean of the clients, by their weights, is 39.00 ms"] {
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.to_lowercase().contains(&phrase.to_lowercase()), "{phrase:?} in {said}");
    }
    check_refused(&search, &["exists, and is not overwritten"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
}

/// A row that is the majority system with its best leader has nothing to be compared with.
#[test]
fn a_row_of_majorities_is_written_without_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let three = ["--these", "us-east-1,us-west-2,eu-west-1", "--client", "us-east-1"];
    for (family, name) in [("counts", "counts.toml"), ("majority", "majority.toml")] {
        let path = folder.path().join(name);
        let file = ["--family", family, "--write", "1", "--out", path.to_str().unwrap()];
        let output = flexpaxos(&[&["plan", "--search"], &three[..], &file].concat());
        assert_eq!(output.status.code(), Some(0));
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.matches("[[variant]]").count(), 1, "{text}");
    }
}

/// Without a limit the best row has a phase 1 of all, which never ends after a loss: nothing takes over.
#[test]
fn a_row_that_no_leader_takes_over_is_written_without_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("row.toml");
    let three = ["--these", "us-east-1,us-west-2,eu-west-1", "--client", "us-east-1"];
    let more = ["--survive-regions", "0", "--write", "1", "--out", path.to_str().unwrap()];
    let output = flexpaxos(&[&["plan", "--search"], &three[..], &more].concat());
    assert_eq!(output.status.code(), Some(0));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains("[[fault]]") && !text.contains("leads next"), "{text}");
}

/// A row of a front as an experiment without its baseline, and what the search says of each client.
struct Written {
    folder: TempDir,
    floors: BTreeMap<String, [f64; 2]>,
    /// Nanoseconds; `None` without a leader, and where the leader asks its nearest quorum alone.
    takeover: Option<f64>,
}

impl Written {
    fn new(search: &[&str], row: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, number) = (folder.path().join("row.toml"), row.to_string());
        let options = ["--json", "--write", &number, "--out", path.to_str().unwrap()];
        let output = flexpaxos(&[&["plan", "--search"], search, &options].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let clients = json["rows"][row - 1]["clients"].as_array().unwrap().iter();
        let ns = |client: &Value, key: &str| client[key].as_u64().unwrap() as f64;
        let floors = clients.map(|client| {
            let region = client["region"].as_str().unwrap().to_owned();
            (region, [ns(client, "floor_ns_p50"), ns(client, "floor_ns_p99")])
        });
        let floors = floors.collect();
        let has_takeover = !search.contains(&"--send");
        let takeover = json["rows"][row - 1]["figures"]["takeover_ns_max"].as_f64();
        let takeover = takeover.filter(|_| has_takeover);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(takeover.is_some(), text.contains("\ncampaign = "), "{text}");
        // The baseline comes first if there is one; it would only take time here.
        let mut parts: Vec<&str> = text.split("[[variant]]").collect();
        if parts.len() == 3 {
            parts.remove(1);
        }
        std::fs::write(&path, parts.join("[[variant]]")).unwrap();
        Self { folder, floors, takeover }
    }

    /// Runs it in virtual time: p50 and p99 of each client in nanoseconds.
    fn run(&self, options: &[&str]) -> BTreeMap<String, [f64; 2]> {
        let at = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (file, out) = (at("row.toml"), at("run"));
        let run = ["run", &file, "--backend", "sim", "--quiet", "--no-report", "--out", &out];
        let output = flexpaxos(&[&run[..], options].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        latencies(Path::new(&out))
    }

    /// Asserts that percentiles are within these shares of what the search says.
    #[track_caller]
    fn check(&self, options: &[&str], within: [f64; 2]) {
        let found = self.run(options);
        assert_eq!(found.len(), self.floors.len());
        for (region, floors) in &self.floors {
            for ((found, floor), within) in found[region].iter().zip(floors).zip(within) {
                // A client beside a leader whose own vote is enough waits for nothing.
                let off = (found - floor).abs();
                let is_near = off <= floor * within + 1e3 || within.is_infinite();
                assert!(is_near, "{region}: {found} ns, not {floor}");
            }
        }
        // Links that vary draw one delay for each message of it.
        let Some(expected) = self.takeover.filter(|_| within[1].is_infinite()) else { return };
        let found = takeovers(&self.folder.path().join("run"));
        let is_near = found.iter().all(|it| (it - expected).abs() <= 0.01 * expected);
        assert!(is_near, "a takeover of {found:?} ns, not {expected}");
    }
}

/// The least and the most that a phase 1 of a new leader took, in nanoseconds.
fn takeovers(folder: &Path) -> [f64; 2] {
    let mut reader = csv::Reader::from_path(folder.join("recovery.csv")).unwrap();
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let found: Vec<f64> = rows.map(|row| row["phase1_ns"].parse().unwrap_or(f64::NAN)).collect();
    assert!(found.len() >= 2, "two faults");
    let most =
        found.iter().fold(0.0, |most: f64, it| if it.is_nan() { *it } else { most.max(*it) });
    [found.iter().copied().fold(f64::INFINITY, f64::min), most]
}

fn latencies(folder: &Path) -> BTreeMap<String, [f64; 2]> {
    let mut reader = csv::Reader::from_path(folder.join("latency.csv")).unwrap();
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    // A percentile of too few operations is empty.
    let ns = |row: &BTreeMap<String, String>, key: &str| row[key].parse().unwrap_or(f64::NAN);
    let percentiles = |row: BTreeMap<String, String>| {
        let both = [ns(&row, "latency_ns_p50"), ns(&row, "latency_ns_p99")];
        (row["client_region"].clone(), both)
    };
    rows.map(percentiles).collect()
}

/// The rows of a front.
fn count(search: &[&str]) -> usize {
    let json: Value = serde_json::from_str(&said(&[search, &["--json"]].concat())).unwrap();
    json["rows"].as_array().unwrap().len()
}

/// Ten rows of five fronts, by a fixed draw.
#[test]
fn rows_of_fronts_have_their_latency_in_the_simulator() {
    let clients = ["--client", CLIENTS];
    let four = "us-east-1,us-west-2,eu-west-1,ap-northeast-1";
    let searches: [(&[&str], usize); 5] = [
        (&["--any", "5", "--of", EIGHT], 2),
        (&["--these", four, "--family", "all", "--objectives", "commit,takeover,load"], 4),
        (&["--any", "6", "--of", EIGHT, "--family", "grid,groups", "--send", "quorum"], 2),
        (&["--any", "3", "--of", EIGHT, "--protocol", "caspaxos"], 1),
        (&["--any", "3", "--of", EIGHT, "--protocol", "classic"], 1),
    ];
    let mut draw: usize = 7;
    for (search, rows) in searches {
        let search = [search, &clients].concat();
        let count = count(&search);
        for _ in 0..rows {
            draw = draw * 1_103_515_245 % 2_147_483_647;
            let written = Written::new(&search, draw % count + 1);
            written.check(&["--smoke"], [0.01, f64::INFINITY]);
        }
    }
}

/// Links of Azure remember their delay for a second, so this trial sees a thousand moments of each.
#[test]
fn rows_of_fronts_have_their_percentiles_with_jitter_in_the_simulator() {
    let of = "eastus,westus2,northeurope,westeurope,canadacentral,centralus,japaneast,brazilsouth";
    let clients = "eastus=2,westeurope=1";
    let profile = ["--profile", "azure-2026-07", "--jitter", "--client", clients];
    let search = [&["--any", "5", "--of", of][..], &profile].concat();
    let rate = "workload.arrival.poisson.rate_per_s=4";
    let duration = "workload.duration=1000s";
    let size = ["--trials", "1", "--set", duration, "--set", "fault.at=999s", "--set", rate];
    for row in [1, 2] {
        Written::new(&search, row).check(&size, [0.01, 0.03]);
    }
}

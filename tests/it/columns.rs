//! The tables of a run, column by column: each is in the documentation, has the type that it says, and
//! names replicas and places as all others do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use flexpaxos::measure::rows::columns::{Column, Type, tables};
use flexpaxos::measure::rows::{ColumnRow, documentation};
use flexpaxos::measure::store;
use flexpaxos::seed::Seed;

/// Two repeats at three points of a union of sweeps, with two faults; one region has a name that readers
/// take for a missing value.
const EXPERIMENT: &str = r#"question = "q"
prediction = "p"
trials = 2

[topology]
profile = "uniform:20ms"
replicas = ["NA", "paris", "rome"]
clients = ["oslo", "NA"]

[workload]
arrival = { fixed = { rate_per_s = 100 } }
warmup = "200ms"
duration = "2s"
retry_after = "200ms"
reads = 0.2

[election]
mode = "timeout"

[[variant]]
name = "multi"
protocol = { multi = { leader = "NA" } }
quorums = { majority = {} }

[[fault]]
at = "300ms"
crash = "leader"
restart_after = "300ms"

[[fault]]
at = "1s"
partition = ["NA", "rome"]
lasts = "100ms"

[[sweep]]
workload.arrival.fixed.rate_per_s = [50, 100]

[[sweep]]
workload.value_bytes = [64]
"#;

const REGIONS: [&str; 4] = ["NA", "paris", "rome", "oslo"];

/// Tables that this run does not have: it probes no links, predicts nothing and searches no rate.
const ABSENT: [&str; 4] = ["links.csv", "expectations.csv", "capacity.csv", "knees.csv"];

const SWEPT: [&str; 2] = ["swept_workload_arrival_fixed_rate_per_s", "swept_workload_value_bytes"];

/// A table as text.
#[derive(Debug)]
struct Read {
    header: Vec<String>,
    rows: Vec<BTreeMap<String, String>>,
}

impl Read {
    fn of(path: &Path) -> Self {
        let mut reader = csv::Reader::from_path(path).unwrap();
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let row = |record: csv::StringRecord| {
            header.iter().cloned().zip(record.iter().map(str::to_owned)).collect()
        };
        let rows = reader.records().map(|record| row(record.unwrap())).collect();
        Self { header, rows }
    }

    /// The different values of a column, in order.
    fn values(&self, column: &str) -> BTreeSet<&str> {
        self.rows.iter().map(|row| row[column].as_str()).collect()
    }
}

/// The tables that a simulated run leaves, by their files.
fn ran() -> (tempfile::TempDir, BTreeMap<String, Read>) {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("experiment.toml");
    fs::write(&file, EXPERIMENT).unwrap();
    let results = root.path().join("results");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.arg("run").arg(&file).args(["--backend", "sim", "--quiet", "--threads", "2", "--out"]);
    let output = command.arg(&results).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&results).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            found.insert(name, Read::of(&path));
        }
    }
    (root, found)
}

/// What is wrong with a value as one of this column.
fn mistake(column: &Column, value: &str) -> Option<&'static str> {
    if value.is_empty() && column.value_type != Type::Text {
        return (!column.is_optional).then_some("is absent");
    }
    let is_right = match column.value_type {
        Type::Integer => value.parse::<i64>().is_ok(),
        Type::Number => value.parse::<f64>().is_ok_and(f64::is_finite),
        Type::Boolean => ["true", "false"].contains(&value),
        Type::Text => true,
    };
    let is_share = column.name.ends_with("_share");
    let is_in_range = || value.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share));
    match (is_right, is_share && !is_in_range()) {
        (false, _) => Some("is of another type"),
        (true, true) => Some("is no share"),
        (true, false) => None,
    }
}

/// Whether a value is the name of a place, or some of them.
fn is_place(value: &str) -> bool {
    !value.is_empty() && value.split([';', '+']).all(|part| REGIONS.contains(&part))
}

/// Whether a value is the name of a replica, or some of them.
fn is_replica(value: &str) -> bool {
    let is_one = |part: &str| part.strip_prefix('r').is_some_and(|id| id.parse::<u8>().is_ok());
    value.split('+').all(is_one)
}

#[test]
fn every_column_of_a_run_is_documented_and_has_its_type() {
    let (root, found) = ran();
    let page = documentation();
    let path = root.path().join("results/columns.csv");
    let told: Vec<ColumnRow> = store::read_csv(&path).unwrap();
    for table in tables().into_iter().filter(|table| !ABSENT.contains(&table.file)) {
        let read = &found[table.file];
        let swept: &[&str] = if table.is_of_trials { &SWEPT } else { &[] };
        let own = table.columns.iter().map(|column| column.name.as_str());
        let expected: Vec<&str> = own.chain(swept.iter().copied()).collect();
        assert_eq!(read.header, expected, "{}", table.file);
        let told = told.iter().filter(|row| row.table == table.file);
        assert_eq!(told.map(|row| row.column.as_str()).collect::<Vec<_>>(), expected);
        assert!(!read.rows.is_empty(), "{}", table.file);
        for column in &table.columns {
            assert!(page.contains(&format!("| `{}` | ", column.name)), "{}", column.name);
            for row in &read.rows {
                let value = row[&column.name].as_str();
                let (file, name) = (table.file, &column.name);
                assert_eq!(mistake(column, value), None, "{file} {name}: {value:?}");
            }
        }
    }
    // Nothing is in the folder of which the documentation knows nothing.
    let known: BTreeSet<&str> = tables().iter().map(|table| table.file).collect();
    assert!(found.keys().all(|file| known.contains(file.as_str())), "{:?}", found.keys());
}

#[test]
fn a_value_of_another_type_is_found() {
    let column = |value_type, is_optional, name: &str| Column {
        name: name.to_owned(),
        value_type,
        is_optional,
        unit: String::new(),
        meaning: String::new(),
    };
    let count = column(Type::Integer, false, "x_count");
    assert_eq!(mistake(&count, "17"), None);
    assert_eq!((mistake(&count, "1.5"), mistake(&count, "")).0, Some("is of another type"));
    assert_eq!(mistake(&count, ""), Some("is absent"));
    assert_eq!(mistake(&column(Type::Integer, true, "x_count"), ""), None);
    assert_eq!(mistake(&column(Type::Number, true, "x_share"), "1.2"), Some("is no share"));
    assert_eq!(mistake(&column(Type::Boolean, true, "valid"), "yes"), Some("is of another type"));
    assert!(is_place("NA;rome") && !is_place("r0") && !is_place(""));
    assert!(is_replica("r0+r2") && !is_replica("rome") && !is_replica("0"));
}

#[test]
fn replicas_have_names_and_places_are_in_columns_of_regions() {
    let (_root, found) = ran();
    let of_tables = found.iter().filter(|(file, _)| *file != "columns.csv");
    for (file, read) in of_tables {
        for (row, column) in
            read.rows.iter().flat_map(|row| read.header.iter().map(move |column| (row, column)))
        {
            let is_of_places = column.ends_with("region") || column.ends_with("regions");
            let value = row[column].as_str();
            assert_eq!(
                is_place(value),
                is_of_places && !value.is_empty(),
                "{file} {column}: {value}"
            );
        }
    }
    let values = |file: &str, column: &str| found[file].values(column);
    let named = [
        ("trials.csv", "leader"),
        ("phases.csv", "replica"),
        ("recovery.csv", "leader"),
        ("recovery.csv", "new_leader"),
        ("recovery.csv", "target"),
    ];
    for (file, column) in named {
        let mut values = values(file, column);
        // A partition that unseats no leader has no new one.
        values.remove("");
        assert!(
            !values.is_empty() && values.iter().all(|value| is_replica(value)),
            "{file} {column}: {values:?}"
        );
    }
    assert!(values("recovery.csv", "target").contains("r0+r2"));
    assert!(values("recovery.csv", "target_regions").contains("NA+rome"));
    let members = values("members.csv", "member");
    assert_eq!(members, ["c0", "c1", "r0", "r1", "r2"].into());
    assert!(values("timeline.csv", "faults").contains("partition r0+r2"));
}

#[test]
fn trials_repeats_and_faults_count_from_one_and_seeds_are_text() {
    let (root, found) = ran();
    let trials = &found["trials.csv"];
    let number = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<u32>().unwrap();
    let numbers: Vec<u32> = trials.rows.iter().map(|row| number(row, "trial")).collect();
    assert_eq!(numbers, (1..=6).collect::<Vec<_>>());
    assert_eq!(trials.values("repetition"), ["1", "2"].into());
    assert_eq!(found["recovery.csv"].values("fault"), ["1", "2"].into());
    for file in ["trial-001.sim.hlog", "trial-006.sim.hlog", "histories/trial-001.sim"] {
        assert!(root.path().join("results").join(file).exists(), "{file}");
    }
    let seeds = trials.values("seed");
    assert_eq!(seeds.len(), 2);
    assert!(seeds.iter().all(|seed| seed.parse::<Seed>().is_ok()), "{seeds:?}");
    // A number of this size is what R and JavaScript round.
    assert!(seeds.iter().any(|seed| seed.parse::<Seed>().unwrap().0 > 1 << 53), "{seeds:?}");
    let text = fs::read(root.path().join("results/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert!(manifest["experiment"]["seed"].as_str().unwrap().starts_with('s'));
}

#[test]
fn the_point_and_every_swept_key_are_columns_of_every_table() {
    let (_root, found) = ran();
    let expected: BTreeSet<(&str, &str, &str)> =
        [("rate_per_s=50", "50", ""), ("rate_per_s=100", "100", ""), ("value_bytes=64", "", "64")]
            .into();
    let is_of_trials = |file: &str| tables().iter().any(|it| it.file == file && it.is_of_trials);
    for (file, read) in found.iter().filter(|(file, _)| is_of_trials(file)) {
        let row = |row: &'_ BTreeMap<String, String>| {
            ["point", SWEPT[0], SWEPT[1]].map(|column| row[column].clone())
        };
        let rows: BTreeSet<[String; 3]> = read.rows.iter().map(row).collect();
        let rows: BTreeSet<(&str, &str, &str)> =
            rows.iter().map(|[point, rate, bytes]| (&**point, &**rate, &**bytes)).collect();
        assert_eq!(rows, expected, "{file}");
    }
}

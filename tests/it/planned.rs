//! The experiment file as its users meet it: mistakes, the plan for people and programs, keys set from
//! outside, the schema, and weights of client regions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use flexpaxos::experiment::file;
use serde_json::Value;

/// The command, run in the package's folder.
fn flexpaxos(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1");
    command.output().unwrap()
}

/// What the command says on stdout, which must end well.
#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = flexpaxos(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the command says on stderr, folded and drawn as it is; it must refuse with 2.
#[track_caller]
fn refused(arguments: &[&str], phrases: &[&str]) -> String {
    let output = flexpaxos(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let is_drawn = |letter: char| letter == '|' || ('\u{2500}'..='\u{257f}').contains(&letter);
    let words = stderr.replace(is_drawn, " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for phrase in phrases {
        assert!(words.contains(phrase), "{phrase:?} is missing in:\n{stderr}");
    }
    stderr
}

/// A file of this text, in a folder that lives as long as it is used.
fn written(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

fn quickstart() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(QUICKSTART)).unwrap()
}

const QUICKSTART: &str = "experiments/quickstart.toml";

#[test]
fn mistakes_are_told_one_after_another_and_counted() {
    let text = quickstart()
        .replace("drain ", "drian ")
        .replace("phase1 = 4", "phase1 = 3")
        .replace("\"ca-central-1\"]", "\"mars\"]");
    let (_folder, path) = written(&text);
    for command in ["plan", "run"] {
        let stderr =
            refused(&[command, &path], &["unknown key `drian`", "did you mean `drain`?", "mars"]);
        let last = stderr.trim_end().lines().last().unwrap();
        assert!(last.contains("2 mistakes in ") && last.ends_with("mine.toml"), "{stderr}");
    }
    // With its regions right, the quorums are judged.
    let (_folder, path) = written(&text.replace("\"mars\"]", "\"ca-central-1\"]"));
    refused(&["plan", &path], &["have no replica in common", "mine.toml:35:1", "2 mistakes in"]);
}

#[test]
fn the_plan_lists_every_setting_and_where_it_is_from() {
    let listed = said(&["plan", QUICKSTART, "--all"]);
    let line = |key: &str| {
        let line = listed.lines().rfind(|line| line.starts_with(&format!("{key} ")));
        line.unwrap_or_else(|| panic!("{key} in\n{listed}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(line("workload.warmup")[1..], ["file", "2s"]);
    assert_eq!(line("workload.retry_after")[1..], ["default", "1s"]);
    assert_eq!(line("transport.stream_window_bytes")[1..], ["default", "16777216"]);
    assert_eq!(line("probe.tolerance")[1..], ["default", "300us"]);
    assert_eq!(line("log.retained_slots")[1..], ["default", "100000"]);
    assert_eq!(line("emulation.spin")[1..], ["default", "50us"]);
    assert_eq!(line("election.mode")[1..], ["default", "fixed"]);
    assert_eq!(line("service")[1..3], ["file", "20us"]);
    let swept = said(&["plan", "experiments/commit-path.toml", "--all"]);
    assert!(
        swept.lines().any(|line| {
            line.split_whitespace().collect::<Vec<_>>()[..]
                == ["durability.mode", "sweep", "memory", "|", "fsync"]
        }),
        "{swept}"
    );
}

#[test]
fn the_floors_are_printed_as_comma_separated_values() {
    let text = said(&["plan", "experiments/commit-path.toml", "--csv"]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let expected = [
        "point",
        "durability.mode",
        "workload.arrival.closed.clients",
        "variant",
        "protocol",
        "n",
        "q1",
        "q2",
        "send",
        "asked_first",
        "client_region",
        "load_share",
        "floor_ns_p50",
        "floor_ns_p99",
        "read_floor_ns_p50",
        "read_floor_ns_p99",
    ];
    assert_eq!(header, expected);
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 10);
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(said(&["plan", QUICKSTART, "--csv"]).as_bytes())
            .records()
            .map(Result::unwrap)
            .collect();
    let of = |variant: &str, client: &str| {
        let row = rows.iter().find(|row| &row[1] == variant && &row[8] == client);
        row.unwrap_or_else(|| panic!("{rows:?}"))[10].parse::<u64>().unwrap() / 10_000
    };
    assert_eq!((of("flex-4-2", "us-east-1"), of("multi", "us-east-1")), (6_422, 6_967));
    let rows = said(&["plan", "experiments/reads.toml", "--csv"]);
    let of = |variant: &str| {
        let line = rows.lines().find(|line| line.contains(variant) && line.contains(",eu-west-1,"));
        let cells: Vec<u64> =
            line.unwrap().split(',').rev().map_while(|it| it.parse().ok()).collect();
        // From the end: the floors of reads at p99 and p50, and those of writes.
        (cells[3] / 10_000, cells[1] / 10_000)
    };
    assert_eq!((of("log-3-3"), of("quorum-3-3")), ((13_935, 13_935), (13_935, 11_842)));
    let table = said(&["plan", "experiments/reads.toml"]);
    let below = |name: &str| {
        let mut lines = table.lines().skip_while(|line| !line.starts_with(name));
        lines.nth(1).is_some_and(|line| line.starts_with("  reads "))
    };
    assert!(below("quorum-3-3") && !below("log-3-3"), "{table}");
}

#[test]
fn the_plan_as_json_has_the_configuration_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let run = ["run", QUICKSTART, "--backend", "sim", "--smoke", "--quiet", "--out"];
    said(&[&run[..], &[out.to_str().unwrap()]].concat());
    let mut run: Value =
        serde_json::from_slice(&std::fs::read(out.join("configuration.json")).unwrap()).unwrap();
    let plan: Value =
        serde_json::from_str(&said(&["plan", QUICKSTART, "--smoke", "--json"])).unwrap();
    run.as_object_mut().unwrap().remove("switches").unwrap();
    assert_eq!(plan["configuration"], run);
    assert_eq!(plan["floors"].as_array().unwrap().len(), 6);
    assert_eq!(plan["floors"][0]["variant"], "classic");
    assert_eq!(plan["trial_count"], 3);
}

#[test]
fn a_smaller_size_that_is_wrong_is_warned_of() {
    let warning = "WARNING: with `--smoke` this is no experiment";
    assert!(!said(&["plan", QUICKSTART]).contains(warning));
    let fault = "[[fault]]\nat = \"3s\"\ncrash = \"eu-west-1\"\n\n[smoke]";
    let (_folder, path) = written(&quickstart().replace("[smoke]", fault));
    let plan = said(&["plan", &path]);
    assert!(plan.contains(warning) && plan.contains("the crash at 3s"), "{plan}");
    refused(&["plan", &path, "--smoke"], &["the crash at 3s is not within"]);
}

#[test]
fn a_key_is_set_from_the_command_line_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let out = out.to_str().unwrap();
        let run = ["run", QUICKSTART, "--backend", "sim", "--smoke", "--quiet", "--out", out];
        said(&[&run[..], more].concat());
        let manifest = std::fs::read(Path::new(out).join("manifest.json")).unwrap();
        serde_json::from_slice::<Value>(&manifest).unwrap()
    };
    let plain = run("plain", &[]);
    let set = run("set", &["--set", "workload.value_bytes=64", "--seed", "9"]);
    let text = set["experiment"]["text"].as_str().unwrap();
    assert!(text.contains("value_bytes = 64  # --set"), "{text}");
    assert!(text.contains("# The first experiment"), "comments stay");
    assert_eq!(set["experiment"]["seed"], "s9");
    let arguments: Vec<&str> =
        set["arguments"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(arguments.contains(&"workload.value_bytes=64"), "{arguments:?}");
    assert_ne!(set["experiment"]["sha256"], plain["experiment"]["sha256"]);
    assert_ne!(set["identity"]["experiment"], plain["identity"]["experiment"]);
    assert_ne!(set["identity"]["setting.workload"], plain["identity"]["setting.workload"]);
}

#[test]
fn keys_are_set_as_a_sweep_would_set_them() {
    let plan = |more: &[&str]| said(&[&["plan", QUICKSTART], more].concat());
    assert!(plan(&["--set", "workload.duration=7s"]).contains("7s measured"));
    assert!(plan(&["--set", "topology.jitter=profile"]).contains("delays vary slowly"));
    assert!(plan(&["--set", "variant.send=quorum"]).matches(" quorum ").count() >= 3);
    assert!(plan(&["--set", "workload.arrival={ closed = { clients = 4 } }"]).contains("4 outst"));
    assert!(plan(&["--set", "durability.mode='memory'"]).contains("durability  memory"));
    assert!(plan(&["--set", "sweep.workload.reads=[0.0, 0.5]"]).contains("2 points"));
    assert!(plan(&["--set", "sweep.workload.conflicts=[0.0, 0.02]"]).contains("2 points"));
    let all = plan(&["--set", "workload.conflicts=0.0025", "--all"]);
    assert!(all.contains("Poisson, 0.25 % on the key that"), "{all}");
    let setting = all.lines().find(|line| line.starts_with("workload.conflicts ")).unwrap();
    assert!(setting.contains("file") && setting.ends_with("0.0025"), "{setting}");
    assert!(plan(&["--set", "workload.conflicts=0"]).contains("no key that two regions touch"));
    let all = plan(&["--all"]);
    let setting = all.lines().find(|line| line.starts_with("workload.conflicts ")).unwrap();
    assert!(setting.contains("default") && setting.ends_with("share all keys"), "{setting}");
    let counts = plan(&["--set", "variant.quorums.counts.phase1=5"]);
    assert!(counts.lines().any(|line| line.contains("flex-4-2") && line.contains('5')), "{counts}");
    let trace = ["trace", QUICKSTART, "--set", "topology.profile=lan", "--seed", "3"];
    assert!(said(&trace).contains("r0"));
}

#[test]
fn a_key_that_cannot_be_set_is_refused_with_what_can() {
    let refused = |more: &[&str], phrases: &[&str]| {
        refused(&[&["plan", QUICKSTART], more].concat(), phrases);
    };
    let unknown = ["unknown key `duraton`", "did you mean `duration`?"];
    refused(&["--set", "workload.duraton=5s"], &unknown);
    refused(
        &["--set", "wrkload.duration=5s"],
        &["unknown key `wrkload`", "did you mean `workload`?"],
    );
    refused(&["--set", "workload.duration=fast"], &["`fast` is no length of time"]);
    refused(&["--set", "duration"], &["`duration` is no KEY=VALUE"]);
    refused(&["--set", "=5"], &["`` is no key"]);
    refused(&["--set", "topology.replicas=[\"a\""], &["is no TOML value", "close its quotes"]);
    refused(&["--set", "seed=3", "--seed", "4"], &["`seed` is set twice"]);
    refused(&["--set", "trials=3", "--trials", "4"], &["`--trials` gives their number"]);
    refused(
        &["--set", "workload.duration=5s", "--smoke"],
        &["`[smoke]` gives the size", "smoke.duration"],
    );
    let nowhere = ["nothing in the file has a place for `variant.quorums.dual.phase2`"];
    refused(&["--set", "variant.quorums.dual.phase2=1"], &nowhere);
    let both = ["exactly one kind is wanted here", "leave one of `poisson`, `closed`"];
    refused(&["--set", "workload.arrival.closed.clients=4"], &both);
    let swept = ["plan", "experiments/commit-path.toml", "--set", "durability.mode=fsync"];
    let output = flexpaxos(&swept);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the sweep gives it its values"), "{stderr}");
}

/// Operations of the clients of each region in a simulated trial of Multi-Paxos.
fn operations(workload: &str, clients: &str) -> BTreeMap<String, u64> {
    let text = quickstart();
    let (head, variants) = text.split_once("[[variant]]").unwrap();
    let multi = variants.split("[[variant]]").find(|text| text.contains("\"multi\"")).unwrap();
    let text = format!("{head}[[variant]]{multi}")
        .replace("[\"us-east-1\", \"ca-central-1\"]", clients)
        .replace("arrival     = { poisson = { rate_per_s = 160 } }", workload);
    let (folder, path) = written(&text);
    let out = folder.path().join("run");
    let run = ["run", &path, "--backend", "sim", "--trials", "1", "--quiet", "--out"];
    said(&[&run[..], &[out.to_str().unwrap()]].concat());
    let mut counts = BTreeMap::new();
    let mut reader = csv::Reader::from_path(out.join("latency.csv")).unwrap();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let count: u64 = row["answered_count"].parse().unwrap();
        *counts.entry(row["client_region"].clone()).or_default() += count;
    }
    counts
}

#[test]
fn client_regions_share_the_load_by_their_weights() {
    let clients = "[\"us-east-1\", { region = \"ca-central-1\", weight = 3 }]";
    // 5 s of 160 a second: 200 and 600, within five standard deviations.
    let open = operations("arrival = { poisson = { rate_per_s = 160 } }", clients);
    assert!(open["us-east-1"].abs_diff(200) < 71, "{open:?}");
    assert!(open["ca-central-1"].abs_diff(600) < 123, "{open:?}");
    let fixed = operations("arrival = { fixed = { rate_per_s = 160 } }", clients);
    assert!(fixed["us-east-1"].abs_diff(200) <= 1, "{fixed:?}");
    assert!(fixed["ca-central-1"].abs_diff(600) <= 1, "{fixed:?}");
    // One client of 8 makes 5 s / 70 ms operations, seven make 7 times 5 s / 87 ms.
    let heavy = "[\"us-east-1\", { region = \"ca-central-1\", weight = 7 }]";
    let closed = operations("arrival = { closed = { clients = 8 } }", heavy);
    let each = |region: &str, clients: u64| closed[region] / clients;
    assert!((65..76).contains(&each("us-east-1", 1)), "{closed:?}");
    assert!((52..62).contains(&each("ca-central-1", 7)), "{closed:?}");
}

#[test]
fn weights_move_the_best_leader_and_are_shown() {
    let plan = |weight: u32| {
        let clients =
            format!("[\"us-east-1\", {{ region = \"ap-northeast-1\", weight = {weight} }}]");
        let text = quickstart()
            .replace("[\"us-east-1\", \"ca-central-1\"]", &clients)
            .replace("leader = \"us-east-1\"", "leader = \"best\"");
        let (_folder, path) = written(&text);
        said(&["plan", &path])
    };
    let leader = |plan: &str| {
        let line = plan.lines().find(|line| line.trim_start().starts_with("multi ")).unwrap();
        line.split_whitespace().nth(5).unwrap().to_owned()
    };
    let (alike, heavy) = (plan(1), plan(1000));
    assert_ne!(leader(&alike), leader(&heavy));
    assert!(alike.contains("clients     us-east-1, ap-northeast-1\n"), "{alike}");
    let three = plan(3);
    assert!(three.contains("us-east-1 (40 a second), ap-northeast-1 (120 a second)"), "{three}");
}

#[test]
fn the_schema_describes_its_keys() {
    let schema = file::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let question = &schema["properties"]["question"]["description"];
    assert_eq!(question, "What the experiment is to find out.");
}

/// `flexpaxos schema experiment > docs/experiment.schema.json` makes it again.
#[test]
fn the_committed_schema_is_that_of_this_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/experiment.schema.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, said(&["schema", "experiment"]));
}

#[test]
fn completions_are_made_for_three_shells() {
    for (shell, marks) in [
        ("bash", ["complete -F _flexpaxos", "--backend"]),
        ("zsh", ["#compdef flexpaxos", "--backend"]),
        ("fish", ["complete -c flexpaxos", "-l backend"]),
    ] {
        let script = said(&["completions", shell]);
        for mark in marks.iter().chain(&["schema", "calibrate"]) {
            assert!(script.contains(mark), "{mark:?} is missing for {shell}");
        }
        // The shell itself reads it, where it is installed.
        let read = Command::new(shell)
            .args(["-n", "/dev/stdin"])
            .stdin(std::process::Stdio::piped())
            .spawn();
        if let Ok(mut child) = read {
            use std::io::Write;
            child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{shell} cannot read it");
        }
    }
}

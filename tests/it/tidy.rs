//! The house rules that a compiler does not know, each with the line that breaks it.
//!
//! Every rule is a function from sources to findings, and is shown to fail on a small made-up
//! source. The layers are read from the table in the doc of `src/lib.rs`, so there is one table.

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flexpaxos::measure::rows::{SCHEMA_VERSION, SCHEMA_VERSION_MIN};
use source::Source;

/// A broken rule, as `file:line: what`.
type Findings = Vec<String>;

/// Modules of one layer that may be imported by another of the same layer.
const BESIDE: &[(&str, &[&str])] = &[
    ("protocol", &["time", "quorum", "command"]),
    // A session is that of a client of a deployment.
    ("client", &["deployment"]),
];

/// Modules that see less than the layers below them.
const NARROWED: &[(&str, &[&str])] = &[
    // It draws rows; how they came to be is not its business.
    (
        "report",
        &[
            "time",
            "quorum",
            "statistics",
            "measure",
            "topology",
            "trial",
            "experiment",
            "findings",
            "compare",
        ],
    ),
];

/// Where a foreign name may be used: the beginning of a path below `src/`.
const FENCES: &[(&[&str], &[&str])] = &[
    (&["tokio", "quinn", "rustls", "rcgen"], &["runtime/", "cluster/", "calibration/", "main.rs"]),
    (&["tokio_rustls", "tun_rs"], &["runtime/net/"]),
    (&["nix", "thread_priority"], &["runtime/", "cluster/"]),
    (
        &["miette"],
        &[
            "experiment/file.rs",
            "experiment/file/",
            "experiment/refusal.rs",
            "experiment/refusal/",
            "cli/",
            "main.rs",
        ],
    ),
    (&["clap", "clap_complete", "clap_mangen"], &["cli/", "main.rs"]),
    (&["indicatif", "terminal_size"], &["cli/"]),
    (&["comfy_table"], &["cli/", "report/"]),
    (&["statrs"], &["statistics/"]),
    (&["hdrhistogram"], &["measure/"]),
    (&["csv"], &["measure/", "topology/", "report/", "cli/"]),
    (&["kuva"], &["report/figure/draw.rs"]),
    (&["maud"], &["report/page/"]),
    (&["stateright"], &["check/"]),
    (&["strsim"], &["nearest.rs"]),
    (&["microlp"], &["quorum/load.rs"]),
    (&["toml_edit"], &["experiment/file/"]),
];

/// What the core promises not to know.
const CORE: &[&str] =
    &["paxos/", "quorum/", "command.rs", "command/", "protocol.rs", "protocol/", "time.rs"];
const CORE_WORDS: &[&str] = &[
    "async",
    "await",
    "tokio",
    "rand",
    "rand_pcg",
    "rand_distr",
    "Instant",
    "SystemTime",
    "print",
    "println",
    "eprint",
    "eprintln",
    "tracing",
];
const CORE_STD: &[&str] = &["env", "fs", "io", "net", "process", "sync", "thread"];

/// Where a protocol may be imported, or one of its modes named: the protocols themselves, what breaks their
/// rules, the place that registers them, and the file that reads which one an experiment asks for.
const PROTOCOLS: &[&str] =
    &["src/paxos/", "src/sabotage/", "src/registry/", "src/experiment/plan/variants.rs"];

/// The one file in which a number of nodes is halved.
const MAJORITY: &str = "src/quorum/majority.rs";

#[test]
fn modules_import_only_from_layers_below() {
    let sources = rust_files();
    let layers = layers(&file(&sources, "src/lib.rs").text);
    assert!(layers.len() >= 13, "the table in src/lib.rs was not found: {layers:?}");
    report(&sources.iter().flat_map(|source| imports(source, &layers)).collect::<Findings>());
}

#[test]
fn foreign_names_stay_behind_their_fences() {
    report(&rust_files().iter().flat_map(fences).collect::<Findings>());
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let sources = rust_files();
    assert!(sources.iter().any(|source| source.path == MAJORITY));
    report(&sources.iter().flat_map(core).collect::<Findings>());
}

#[test]
fn quorums_are_asked_and_not_counted() {
    report(&rust_files().iter().flat_map(majorities).collect::<Findings>());
}

#[test]
fn protocols_are_known_only_where_they_are_registered() {
    report(&rust_files().iter().flat_map(protocols).collect::<Findings>());
}

#[test]
fn nothing_is_left_undone_and_no_test_sleeps() {
    report(&rust_files().iter().flat_map(words).collect::<Findings>());
}

/// A reference that this program cannot read back shows nothing.
#[test]
fn references_have_the_schema_of_this_program() {
    let mut findings = Vec::new();
    let mut count = 0;
    walk(Path::new("results"), &mut |path, bytes| {
        if path.ends_with("reference/manifest.json") {
            count += 1;
            findings.extend(outdated(path, &String::from_utf8_lossy(bytes)));
        }
    });
    assert!(count >= 14, "{count} references were found");
    report(&findings);
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let mut findings = Vec::new();
    walk(Path::new(""), &mut |path, bytes| {
        findings.extend(machine_paths(path, &String::from_utf8_lossy(bytes)));
    });
    report(&findings);
}

/// The layer of each module, from the table in the doc of the crate.
fn layers(lib: &str) -> BTreeMap<String, u32> {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | L")?.split_once(" | "));
    let mut layers = BTreeMap::new();
    for (layer, modules) in rows {
        let names = modules.split('`').skip(1).step_by(2);
        let layer = layer.parse().expect("a layer is a number");
        layers.extend(names.map(|name| (name.to_owned(), layer)));
    }
    layers
}

fn imports(source: &Source, layers: &BTreeMap<String, u32>) -> Findings {
    let Some(module) = source.module() else { return Vec::new() };
    let Some(layer) = layers.get(module) else {
        return vec![
            source.finding(1, &format!("{module} is in no row of the table in src/lib.rs")),
        ];
    };
    let allowed = |target: &str| {
        let listed = |table: &[(&str, &[&str])]| {
            let row = table.iter().find(|(name, _)| *name == module);
            row.map(|(_, targets)| targets.contains(&target))
        };
        let below = layers.get(target).is_some_and(|found| found < layer);
        let beside = listed(BESIDE).unwrap_or(false);
        target == module || ((below || beside) && listed(NARROWED).unwrap_or(true))
    };
    let down = source.paths_from("crate").into_iter().filter(|(_, target)| !allowed(target));
    let mut findings: Findings = down
        .map(|(line, target)| source.finding(line, &format!("{module} may not import {target}")))
        .collect();
    let hidden = "the crate is reached by `super`, write `crate`";
    findings.extend(source.supers_to_the_root().map(|line| source.finding(line, hidden)));
    findings
}

fn fences(source: &Source) -> Findings {
    let Some(path) = source.path.strip_prefix("src/") else { return Vec::new() };
    let mut findings = Vec::new();
    for (names, homes) in FENCES {
        if homes.iter().any(|home| path.starts_with(home)) {
            continue;
        }
        for name in *names {
            let lines = source.crate_uses(name);
            let what = format!("{name} is only for {}", homes.join(" "));
            findings.extend(lines.into_iter().map(|line| source.finding(line, &what)));
        }
    }
    findings
}

fn core(source: &Source) -> Findings {
    let Some(path) = source.path.strip_prefix("src/") else { return Vec::new() };
    if !CORE.iter().any(|home| path.starts_with(home)) {
        return Vec::new();
    }
    let words = CORE_WORDS.iter().flat_map(|word| source.product_words(word));
    let mut lines: Vec<usize> = words.chain(source.crate_uses("log")).collect();
    let std = source.paths_from("std").into_iter();
    // A state may be shared by its copies: that is neither a thread nor a lock.
    let shares = |line: usize| source.code.lines().nth(line - 1) == Some("use std::sync::Arc;");
    let std = std.filter(|(line, name)| {
        CORE_STD.contains(&name.as_str()) && source.is_product(*line) && !shares(*line)
    });
    lines.extend(std.map(|(line, _)| line));
    let what = "the core has no I/O, clock, chance, async or threads";
    lines.into_iter().map(|line| source.finding(line, what)).collect()
}

fn outdated(path: &str, manifest: &str) -> Findings {
    let value: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    let found = &value["table_schema_version"];
    let is_read =
        |version: u64| (SCHEMA_VERSION_MIN.into()..=SCHEMA_VERSION.into()).contains(&version);
    if found.as_u64().is_some_and(is_read) {
        return Vec::new();
    }
    let remedy = "scripts/reproduce.sh makes it again";
    vec![format!(
        "{path}: tables of schema {found}, and this program reads {SCHEMA_VERSION_MIN} to {SCHEMA_VERSION}: \
         {remedy}"
    )]
}

fn majorities(source: &Source) -> Findings {
    if source.path == MAJORITY {
        return Vec::new();
    }
    let halved = source.code.lines().zip(1..).filter(|(line, _)| {
        let line: String = line.chars().filter(|char| !char.is_whitespace()).collect();
        let after = ["/2+1", "/2)+1", ">>1)+1", "/2_usize+1", "/2usize+1"];
        let before = line.split("1+").skip(1).any(|rest| {
            let operand = rest.trim_start_matches('(');
            operand
                .trim_start_matches(|char: char| char.is_alphanumeric() || "_.()".contains(char))
                .starts_with("/2")
        });
        before || after.iter().any(|form| line.contains(form))
    });
    let what = format!("a majority is counted outside {MAJORITY}; ask the quorum system");
    halved.map(|(_, line)| source.finding(line, &what)).collect()
}

fn protocols(source: &Source) -> Findings {
    if PROTOCOLS.iter().any(|home| source.path.starts_with(home)) {
        return Vec::new();
    }
    let imported = source.paths_from("crate").into_iter();
    let imported = imported.filter(|(line, target)| {
        ["paxos", "caspaxos"].contains(&target.as_str()) && source.is_product(*line)
    });
    let what = "a protocol is imported: be written against `registry::Registration`";
    let mut findings: Findings = imported.map(|(line, _)| source.finding(line, what)).collect();
    let modes = ["Mode::CLASSIC", "Mode::multi", "Mode::Paxos", "Mode::CasPaxos"];
    let is_named = |line: &str| modes.iter().any(|mode| line.contains(mode));
    let named = source.code.lines().zip(1..);
    let named = named.filter(|(line, number)| is_named(line) && source.is_product(*number));
    let what = "a mode is named; ask it (`leader`, `asked`, `phases`, `order`)";
    findings.extend(named.map(|(_, line)| source.finding(line, what)));
    findings
}

fn words(source: &Source) -> Findings {
    let mut findings = Vec::new();
    for (line, number) in source.code.lines().zip(1..) {
        for word in ["todo!", "dbg!", "unimplemented!", "#[ignore"] {
            if line.contains(word) {
                findings.push(source.finding(number, &format!("`{word}` is left")));
            }
        }
        for word in ["thread::sleep", "time::sleep"] {
            if line.contains(word) && !source.is_product(number) {
                findings.push(source.finding(number, "a test waits for a condition, not for time"));
            }
        }
    }
    findings
}

fn machine_paths(path: &str, text: &str) -> Findings {
    // Put together here, so that this file does not name them.
    let names = [["/wo", "rk/"], ["/fa", "rm/"], ["../sha", "red"]].map(|parts| parts.concat());
    let lines = text.lines().zip(1..);
    let found = lines.filter(|(line, _)| names.iter().any(|name| line.contains(name)));
    found.map(|(_, line)| format!("{path}:{line}: names a folder of one machine")).collect()
}

fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn file<'a>(sources: &'a [Source], path: &str) -> &'a Source {
    sources.iter().find(|source| source.path == path).expect("the file is there")
}

fn rust_files() -> Vec<Source> {
    let mut sources = Vec::new();
    walk(Path::new(""), &mut |path, bytes| {
        if Path::new(path).extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source::new(path, &String::from_utf8_lossy(bytes)));
        }
    });
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

/// Shows every file of the project to `visit`, with its path from the root.
fn walk(folder: &Path, visit: &mut dyn FnMut(&str, &[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut entries: Vec<_> = fs::read_dir(root.join(folder))
        .expect("the project is readable")
        .map(|entry| entry.expect("the project is readable"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        let name = path.to_str().expect("a name of ours is UTF-8").replace('\\', "/");
        let kind = entry.file_type().expect("the project is readable");
        if kind.is_dir() && !is_generated(&name) {
            walk(&path, visit);
        } else if kind.is_file() && name != ".git" {
            visit(&name, &fs::read(root.join(&path)).expect("the project is readable"));
        }
    }
}

/// Builds and results that are not committed.
fn is_generated(folder: &str) -> bool {
    let mut parts = folder.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("target" | ".git"), ..) => true,
        (Some("results"), Some(_), Some(run)) => run != "reference",
        _ => false,
    }
}

/// That `rule` finds something in exactly the given `lines` of a made-up file.
fn check(rule: impl Fn(&Source) -> Findings, path: &str, text: &str, lines: &[usize]) {
    let findings = rule(&Source::new(path, text));
    let mut found: Vec<usize> = findings
        .iter()
        .map(|finding| finding.strip_prefix(&format!("{path}:")).expect("the file is named"))
        .map(|rest| rest.split(':').next().expect("a line").parse().expect("a line"))
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, lines, "{findings:?}");
}

#[test]
fn an_import_upwards_or_sideways_is_found() {
    let lib = "//! | L0 | [`time`], [`quorum`] |\n//! | L1 | [`paxos`] |\n\
               //! | L2 | [`topology`], [`workload`] |\n//! | L5 | [`report`], [`experiment`] |\n\
               //! | L3 | [`runtime`] |\n";
    let layers = layers(lib);
    let rule = |source: &Source| imports(source, &layers);
    check(
        rule,
        "src/topology/link.rs",
        "use crate::time::Span;\nuse crate::topology::Profile;",
        &[],
    );
    check(rule, "src/topology/link.rs", "\nuse crate::workload::Arrival;", &[2]);
    check(rule, "src/paxos/mod.rs", "fn f() -> crate::topology::Delay {}", &[1]);
    check(
        rule,
        "src/paxos/mod.rs",
        "use crate::{\n time::Time,\n topology::{Delay, time},\n};",
        &[3],
    );
    check(rule, "src/paxos/mod.rs", "// use crate::topology\n/* crate::topology */", &[]);
    check(rule, "src/time.rs", "use super::paxos;", &[1]);
    check(rule, "src/topology/link.rs", "use super::super::workload;", &[1]);
    check(rule, "src/topology/link.rs", "\nmod tests {\nuse super::super::Profile;\n}", &[3]);
    check(rule, "src/topology/link.rs", "#[cfg(test)]\nmod tests {\nuse super::super::P;\n}", &[]);
    check(rule, "src/report/page.rs", "use crate::runtime::Store;", &[1]);
    check(rule, "src/misc/mod.rs", "", &[1]);
    check(rule, "src/experiment/plan.rs", "use crate::elsewhere::Thing;", &[1]);
    check(rule, "src/main.rs", "use flexpaxos::cli;", &[]);
}

#[test]
fn a_name_outside_its_fence_is_found() {
    check(
        fences,
        "src/measure/store.rs",
        "use tokio::fs;\nuse quinn;\nlet x = csv::Writer;",
        &[1, 2],
    );
    check(fences, "src/runtime/clock.rs", "use nix::time;\nuse tokio::time;", &[]);
    check(fences, "src/paxos/mod.rs", "#[derive(clap::Parser)]\nstruct Clap;", &[1]);
    check(
        fences,
        "src/paxos/mod.rs",
        "let csv = 1;\nlet text = \"csv::Reader\"; crate::csv::x();",
        &[],
    );
    check(fences, "src/experiment/plan.rs", "use miette::Report;", &[1]);
    check(
        fences,
        "src/experiment/plan.rs",
        "#[cfg(test)]\nmod tests {\nuse miette::Report;\n}",
        &[],
    );
    check(fences, "src/experiment/file.rs", "use miette::Report;", &[]);
    check(fences, "tests/it/cli.rs", "use tokio::process;", &[]);
}

#[test]
fn impurity_in_the_core_is_found() {
    check(core, "src/paxos/multi.rs", "async fn f() {}\nlet x = rand::random();\n", &[1, 2]);
    check(
        core,
        "src/quorum/grid.rs",
        "use std::time::Instant;\nprintln!();\nlog::info!();",
        &[1, 2, 3],
    );
    check(core, "src/time.rs", "use std::{\n fmt,\n thread,\n};\nuse std::time::Duration;", &[3]);
    check(core, "src/paxos/log.rs", "let log = self.log;\nstruct Log;\n// async println!", &[]);
    check(core, "src/paxos/log.rs", "#[cfg(test)]\nmod tests {\nuse rand_pcg::Pcg64;\n}", &[]);
    check(core, "src/runtime/clock.rs", "async fn f() {}", &[]);
}

#[test]
fn a_protocol_that_is_known_elsewhere_is_found() {
    let text = "use crate::paxos::Mode;\nmatch mode {\n    Mode::CLASSIC => 2,\n    Mode::CasPaxos(_) => 1,\n}";
    check(protocols, "src/findings/residual.rs", text, &[1, 3, 4]);
    check(protocols, "src/paxos/config.rs", text, &[]);
    check(protocols, "src/findings/residual.rs", "let leader = mode.leader();", &[]);
    let tests = "#[cfg(test)]\nmod tests {\n    const MODE: Mode = Mode::CLASSIC;\n}";
    check(protocols, "src/findings/residual.rs", tests, &[]);
}

#[test]
fn a_reference_of_another_schema_is_found() {
    let manifest = |version: u32| format!(r#"{{ "table_schema_version": {version} }}"#);
    assert_eq!(outdated("x", &manifest(SCHEMA_VERSION)), Findings::new());
    assert_eq!(outdated("x", &manifest(SCHEMA_VERSION_MIN)), Findings::new());
    assert_eq!(outdated("x", &manifest(SCHEMA_VERSION_MIN - 1)).len(), 1);
    assert_eq!(outdated("x", &manifest(SCHEMA_VERSION + 1)).len(), 1);
    assert_eq!(outdated("x", "{}").len(), 1);
}

#[test]
fn a_counted_majority_is_found() {
    let forms = "let q = n / 2 + 1;\nlet q = (nodes.len() / 2) + 1;\nlet q = 1 + n / 2;\n\
                 let q = (n >> 1) + 1;\nlet q = 1 + (nodes.len() / 2);";
    check(majorities, "src/cluster/mod.rs", forms, &[1, 2, 3, 4, 5]);
    check(majorities, "tests/it/cli.rs", "let q = n / 2 + 1;", &[1]);
    check(majorities, MAJORITY, forms, &[]);
    check(
        majorities,
        "src/measure/mod.rs",
        "let median = all[n / 2];\nlet x = 1 + n;\n// n / 2 + 1",
        &[],
    );
}

#[test]
fn a_leftover_is_found() {
    let left = "todo!()\ndbg!(x)\nunimplemented!()\n#[ignore]\n#[ignore = \"slow\"]";
    check(words, "src/a.rs", left, &[1, 2, 3, 4, 5]);
    check(words, "tests/it/a.rs", "std::thread::sleep(x);\ntokio::time::sleep(x).await", &[1, 2]);
    check(
        words,
        "src/a.rs",
        "tokio::time::sleep(x);\n#[cfg(test)]\nmod tests {\nthread::sleep(x);\n}",
        &[4],
    );
    check(words, "src/runtime/tests.rs", "thread::sleep(x);", &[1]);
    check(
        words,
        "src/a.rs",
        "let text = \"todo!\"; // todo! dbg!\nlet c = '\"'; let d = \"dbg!\";",
        &[],
    );
}

#[test]
fn a_folder_of_one_machine_is_found() {
    let text = ["fine\n/wo", "rk/main\nsee ../sha", "red/notes\n/fa", "rm/x\n"].concat();
    let findings = machine_paths("README.md", &text);
    let start = |line: usize| format!("README.md:{line}: ");
    assert_eq!(findings.len(), 3);
    assert!(findings.iter().zip(2..).all(|(finding, line)| finding.starts_with(&start(line))));
    assert!(machine_paths("README.md", "a network/wor\n./shared\n").is_empty());
}

#[test]
fn results_of_a_run_are_not_read_and_references_are() {
    assert!(is_generated("target"));
    assert!(is_generated("results/quickstart/2026-11-21T10-00-00Z"));
    assert!(!is_generated("results/quickstart/reference"));
    assert!(!is_generated("src/target"));
}

//! What a run was made of, whole: the settings that take effect, defaults included, and one identity.
//!
//! A run that is cut short goes on only as what it was: its finished trials and those to come stand in one
//! table.
//! So everything that a trial depends on is a part of its [`Identity`], each under the name by which a user
//! knows it, and a run that is resumed with another one is told which parts differ.
//! The settings are in the results folder as `configuration.json`, with the delays of all links as they are
//! asked for; a latency profile that was a file is copied to `profiles/`.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::provenance::{Code, Provenance, sha256};
use super::worlds::Worlds;
use crate::client;
use crate::experiment::expectation::Expectation;
use crate::experiment::plan::{Plan, Point, Variant};
use crate::measure::{Store, store};
use crate::seed::Seed;
use crate::trial::Backend;
use crate::workload::Workload;

/// The settings of all trials, as they take effect.
pub(super) const CONFIGURATION: &str = "configuration.json";

/// Values that are longer than this are compared, and not shown.
const SHOWN_MAX: usize = 60;

/// Everything that a trial of a run depends on, by the codes of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity {
    parts: BTreeMap<String, String>,
}

/// A latency profile that was a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ProfileFile {
    /// As the experiment names it.
    name: String,
    /// The hash of its text.
    sha256: String,
    /// The copy of it in the results folder.
    copy: String,
}

impl Identity {
    /// That of a run of this plan in these worlds, by this program.
    pub fn of(plan: &Plan, provenance: &Provenance, worlds: &Worlds<'_>) -> Self {
        let mut parts = BTreeMap::new();
        parts.insert("experiment".into(), provenance.experiment.sha256.clone());
        parts.insert("program".into(), program(&provenance.code));
        parts.extend(worlds.switches().into_iter().map(|(name, value)| (name.into(), value)));
        parts.extend(plan.search.iter().map(|(name, value)| ((*name).into(), value.clone())));
        for (name, links) in links_by_profile(plan) {
            parts.insert(format!("profile.{name}"), hashed(&links));
        }
        for (key, value) in settings(plan) {
            parts.insert(format!("setting.{key}"), value);
        }
        if worlds.backends().contains(&Backend::Sim) {
            let services: Vec<_> = plan.points.iter().map(|point| point.sim.service).collect();
            parts.insert("service".into(), hashed(&json!(services)));
            let hosts: Vec<_> = plan.points.iter().map(|point| point.sim.host).collect();
            // A run that does not say it is what it was before it could.
            if hosts.iter().any(Option::is_some) {
                parts.insert("host".into(), hashed(&json!(hosts)));
            }
        }
        Self { parts }
    }

    /// The parts that are not the same, in words; none if it is the same run.
    pub(super) fn difference(&self, now: &Self) -> Option<String> {
        let absent = "absent".to_owned();
        let names: std::collections::BTreeSet<&String> =
            self.parts.keys().chain(now.parts.keys()).collect();
        let differing = names.into_iter().filter_map(|name| {
            let [then, now] =
                [self, now].map(|identity| identity.parts.get(name).unwrap_or(&absent));
            (then != now).then(|| told(name, then, now))
        });
        let differing: Vec<String> = differing.collect();
        match &differing[..] {
            [] => None,
            [one] => Some(format!("{one} differs")),
            many => Some(format!("{} differ", many.join(", "))),
        }
    }
}

/// The name by which a user knows a part; that of an option is its code.
fn words(code: &str) -> String {
    match (code, code.split_once('.')) {
        ("experiment", _) => "the experiment file".to_owned(),
        ("program", _) => "the program".to_owned(),
        ("service", _) => "what simulated work costs".to_owned(),
        ("host", _) => "the machine that simulated members share".to_owned(),
        (_, Some(("profile", name))) => format!("the latency profile {name}"),
        (_, Some(("setting", key))) => format!("the setting `{key}`"),
        _ => code.to_owned(),
    }
}

/// A part that differs, with its values where a reader can compare them.
fn told(code: &str, then: &str, now: &str) -> String {
    let name = words(code);
    let is_hash = |value: &str| value.len() == 64 && !value.contains(' ');
    let is_shown = |value: &str| value.len() <= SHOWN_MAX && !is_hash(value);
    if !is_shown(then) || !is_shown(now) {
        return name;
    }
    format!("{name} (it was {then}, and is {now})")
}

/// Which program: its sources tell it, committed or not.
fn program(code: &Code) -> String {
    let build = if code.is_debug_build { "debug" } else { "release" };
    let commit = code.commit.as_deref().map_or("unknown", |commit| &commit[..commit.len().min(12)]);
    format!("{} {commit} {} {build}", code.version, code.source_hash)
}

/// The delays of all links under each latency profile.
fn links_by_profile(plan: &Plan) -> BTreeMap<&str, Value> {
    let mut found: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for point in &plan.points {
        found.entry(&point.profile).or_default().push(json!(point.links));
    }
    found.into_iter().map(|(name, links)| (name, Value::Array(links))).collect()
}

/// Each setting at all points, but the links, which are a profile's.
fn settings(plan: &Plan) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for point in &plan.points {
        let Value::Object(keys) = of_point(point) else { continue };
        // The label has what is swept, too.
        let is_setting = |key: &String| !["links", "swept"].contains(&key.as_str());
        for (key, value) in keys.into_iter().filter(|(key, _)| is_setting(key)) {
            found.entry(key).or_default().push(value);
        }
    }
    let mut settings: BTreeMap<String, String> =
        found.into_iter().map(|(key, values)| (key, shortened(&values))).collect();
    settings.insert("trials".into(), plan.repeats.to_string());
    settings.insert("seed".into(), plan.seed.to_string());
    settings
}

/// The one value, if it is short; else a hash of all.
fn shortened(values: &[Value]) -> String {
    match values {
        [one] if one.to_string().len() <= SHOWN_MAX => one.to_string(),
        _ => hashed(&json!(values)),
    }
}

fn hashed(value: &Value) -> String {
    sha256(value.to_string().as_bytes())
}

/// All settings of a point that take effect; lengths of time are in nanoseconds.
fn of_point(point: &Point) -> Value {
    let mut settings = json!({
        "label": point.label,
        "swept": point.settings,
        "profile": point.profile,
        "links": point.links,
        "transport": point.transport,
        "precision": point.precision,
        "probe": point.probe,
        "variants": point.variants.iter().map(of_variant).collect::<Vec<_>>(),
        "workload": of_workload(&point.workload),
        "durability": point.durability,
        "election": point.election,
        "retention": point.retention,
        "network": point.network,
        "service": point.sim.service,
        "warmup": point.warmup,
        "duration": point.duration,
        "drain": point.drain,
        "retry_after": point.retry_after,
    });
    if let Some(host) = point.sim.host {
        settings["host"] = json!(host);
    }
    // A run that does not say it is what it was before it could.
    if point.interval != client::INTERVAL {
        settings["interval"] = json!(point.interval);
    }
    if let Some(control) = point.control {
        settings["control"] = json!(control);
    }
    settings
}

fn of_workload(workload: &Workload) -> Value {
    let mut settings = json!(workload);
    // Earlier versions had no conflict rate and recorded none: their runs can be resumed.
    if workload.conflicts.is_none() {
        settings.as_object_mut().and_then(|settings| settings.remove("conflicts"));
    }
    settings
}

fn of_variant(variant: &Variant) -> Value {
    let mut quorums = json!(variant.quorums);
    // Where every replica is a full one, a run says what it said before there were others.
    if variant.quorums.candidates().len() == variant.quorums.n() {
        quorums.as_object_mut().and_then(|quorums| quorums.remove("roles"));
    }
    json!({
        "name": variant.name,
        "mode": variant.mode,
        "quorums": quorums,
        "send": variant.send,
        "unsafe_quorums": variant.unsafe_quorums,
        "faults": variant.faults,
    })
}

fn of_expectation(expectation: &Expectation) -> Value {
    json!({ "that": expectation.text, "because": expectation.because })
}

/// All settings of a plan that take effect, as they are recorded; lengths of time are in nanoseconds.
pub fn of_plan(plan: &Plan) -> Value {
    json!({
        "seed": Seed(plan.seed),
        "trials": plan.repeats,
        "expectations": plan.expectations.iter().map(of_expectation).collect::<Vec<_>>(),
        "points": plan.points.iter().map(of_point).collect::<Vec<_>>(),
    })
}

/// Writes the settings and the profiles that were files into the folder of a run.
pub(super) fn write(store: &Store, plan: &Plan, worlds: &Worlds<'_>) -> Result<(), store::Error> {
    let switches = worlds.switches().into_iter().chain(plan.search.iter().cloned());
    let switches: BTreeMap<&str, String> = switches.collect();
    let mut whole = of_plan(plan);
    whole["switches"] = json!(switches);
    let mut text = whole.to_string().into_bytes();
    text.push(b'\n');
    store.replace_bytes(CONFIGURATION, &text)?;
    for (file, text) in profile_files(plan) {
        store.replace_bytes(&file.copy, text.as_bytes())?;
    }
    Ok(())
}

/// The latency profiles that are files, each with its text.
pub(super) fn profile_files(plan: &Plan) -> Vec<(ProfileFile, String)> {
    let mut found: BTreeMap<&str, (ProfileFile, String)> = BTreeMap::new();
    for point in &plan.points {
        let Some(path) = &point.profile_file else { continue };
        // Its rows were read before, and are in the configuration.
        let Ok(text) = fs::read_to_string(path) else { continue };
        let number = found.len();
        found.entry(&point.profile).or_insert_with(|| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            // Two folders may each have a file of this name.
            let copy = match number {
                0 => format!("profiles/{file}"),
                _ => format!("profiles/{number}-{file}"),
            };
            let (name, sha256) = (point.profile.clone(), sha256(text.as_bytes()));
            (ProfileFile { name, sha256, copy }, text)
        });
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::Size;
    use crate::experiment::testing::{GOOD, source};
    use crate::time::Span;

    fn identity(change: impl Fn(&mut Plan, &mut Provenance)) -> Identity {
        let source = source(GOOD);
        let mut plan = Plan::from_source(&source, Size::default()).unwrap();
        let mut provenance = Provenance::gather(&source, plan.seed);
        change(&mut plan, &mut provenance);
        Identity::of(&plan, &provenance, &Worlds { sim: Some(1), live: None })
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Plan, &mut Provenance), said: &str) {
        let difference = identity(|_, _| {}).difference(&identity(change));
        assert_eq!(difference.as_deref(), Some(said));
    }

    #[test]
    fn the_same_run_has_the_same_identity() {
        assert_eq!(identity(|_, _| {}).difference(&identity(|_, _| {})), None);
    }

    #[test]
    fn every_part_that_differs_is_named() {
        check(
            |_, provenance| provenance.experiment.sha256 = sha256(b"other"),
            "the experiment file differs",
        );
        check(
            |plan, _| {
                let links = &plan.points[0].links;
                let mut slower = links.clone();
                slower.replica_regions.rotate_left(1);
                plan.points[0].links = slower;
            },
            "the latency profile aws-2025-07 differs",
        );
        check(|plan, _| plan.repeats = 9, "the setting `trials` (it was 2, and is 9) differs");
        check(
            |plan, _| plan.points[0].interval = Span(7),
            "the setting `interval` (it was absent, and is 7) differs",
        );
        check(
            |plan, _| plan.points[0].drain = Span(7),
            "the setting `drain` (it was 5000000000, and is 7) differs",
        );
        check(
            |plan, _| plan.points[0].workload.conflicts = Some(0.02),
            "the setting `workload` differs",
        );
        check(
            |plan, _| {
                plan.points[0].warmup = Span(1);
                plan.points[0].variants[0].unsafe_quorums = true;
            },
            "the setting `variants`, the setting `warmup` (it was 1000000000, and is 1) differ",
        );
        let source_hash = |provenance: &mut Provenance| provenance.code.source_hash = "0".into();
        let said = identity(|_, _| {}).difference(&identity(|_, own| source_hash(own))).unwrap();
        assert!(said.starts_with("the program (it was ") && said.ends_with("differs"), "{said}");
        // What the simulator charges is named twice: it is a setting, or comes from a calibration.
        let service = |plan: &mut Plan, _: &mut Provenance| {
            plan.points[0].sim.service.sync = Span(1);
        };
        let said = identity(|_, _| {}).difference(&identity(service)).unwrap();
        assert!(said.contains("what simulated work costs"), "{said}");
    }

    /// So a run that was begun before there were conflict rates can be resumed.
    #[test]
    fn a_conflict_rate_is_recorded_where_there_is_one() {
        let plan = Plan::from_source(&source(GOOD), Size::default()).unwrap();
        let mut workload = plan.points[0].workload.clone();
        let keys = |workload: &Workload| -> Vec<String> {
            of_workload(workload).as_object().unwrap().keys().cloned().collect()
        };
        let before = ["arrival", "keys", "reads", "value_bytes", "weights"];
        assert_eq!(keys(&workload), before);
        workload.conflicts = Some(0.02);
        assert_eq!(of_workload(&workload)["conflicts"], 0.02);
        assert_eq!(keys(&workload).len(), before.len() + 1);
    }
}

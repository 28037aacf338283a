use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::experiment::testing::assert_says;
use crate::workload::Arrival;

fn path() -> PathBuf {
    PathBuf::from("experiments/new.toml")
}

fn usual() -> Choices {
    Choices::new(PROFILE, REGIONS.map(str::to_owned).to_vec())
}

fn written(choices: &Choices) -> String {
    text(choices, &path()).unwrap_or_else(|error| panic!("{error}"))
}

/// The plan of the text, also at its smaller size.
fn planned(text: &str) -> Plan {
    let source = Source { path: path(), text: text.to_owned() };
    let smoke = Size { trials: None, is_smoke: true };
    assert_eq!(Plan::from_source(&source, smoke).unwrap().repeats, 1);
    Plan::from_source(&source, Size::default()).unwrap()
}

fn check_refused(choices: &Choices, phrases: &[&str]) {
    assert_says(&text(choices, &path()).unwrap_err(), phrases);
}

/// What the expectations of a text say.
fn expected(text: &str) -> Vec<&str> {
    let that = text.lines().filter_map(|line| line.strip_prefix("that    = \""));
    that.map(|line| line.trim_end_matches('"')).collect()
}

#[test]
fn the_usual_text_compares_majorities_with_a_smaller_phase_2() {
    let text = written(&usual());
    let plan = planned(&text);
    let point = &plan.points[0];
    let names: Vec<&str> = point.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(names, ["multi", "flex-4-2"]);
    assert_eq!(point.links.client_regions, ["us-east-1"]);
    assert_eq!((plan.repeats, point.duration), (5, Span::from_millis(10_000)));
    assert_eq!(point.workload.arrival, Arrival::Poisson { rate_per_s: 100.0 });
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    let floors = "for clients in us-east-1: multi 69.68, flex-4-2 64.22";
    assert!(plan.prediction.contains(floors), "{}", plan.prediction);
    assert!(plan.question.contains("the leader is in us-east-1"), "{}", plan.question);
    assert_eq!(
        expected(&text),
        ["flex-4-2.p50 < multi.p50", "multi.p50 - floor < 3ms", "flex-4-2.p50 - floor < 3ms",]
    );
}

#[test]
fn expectations_follow_the_floors_and_not_the_sizes() {
    let flexible = [(2, 4), (3, 3)].map(|(phase1, phase2)| Counts { phase1, phase2 }).to_vec();
    let text = written(&Choices { flexible, has_classic: true, ..usual() });
    assert_eq!(
        expected(&text)[..3],
        [
            "flex-2-4.p50 > multi.p50",
            "flex-3-3.p50 - multi.p50 within 1ms",
            "classic.p50 > multi.p50",
        ]
    );
    planned(&text);
}

#[test]
fn text_is_short_and_its_lines_too() {
    let text = written(&Choices { has_classic: true, ..usual() });
    assert!(text.lines().count() < 100, "{text}");
    // Only a list of regions or a comment may be longer.
    let long = text.lines().find(|line| line.chars().count() > 105);
    assert_eq!(long, None);
}

#[test]
fn the_usual_quorums_meet_for_any_number_of_replicas() {
    for n in 1..=9 {
        let replicas = (0..n).map(|index| format!("r{index}")).collect();
        let plan = planned(&written(&Choices::new("uniform:20ms", replicas)));
        assert_eq!(plan.points[0].variants.len(), if n == 1 { 1 } else { 2 }, "{n}");
        assert_eq!(plan.points[0].links.client_regions, ["r0"]);
    }
}

#[test]
fn clients_are_where_the_leader_is_if_nobody_says_where() {
    let regions = |leader: &str| {
        let choices = Choices { leader: leader.to_owned(), ..usual() };
        choices.client_regions()
    };
    assert_eq!(regions("eu-west-1"), ["eu-west-1"]);
    assert_eq!(regions("r3"), ["ap-northeast-1"]);
    assert_eq!(regions(BEST), REGIONS);
    let plan = planned(&written(&Choices { leader: BEST.to_owned(), ..usual() }));
    assert_eq!(plan.points[0].links.client_regions, REGIONS);
    assert!(plan.question.contains("the leader that is best for the clients"), "{}", plan.question);
}

#[test]
fn closed_loops_have_clients_and_no_rate() {
    let text = written(&Choices { load: Load::Closed { clients: 16 }, ..usual() });
    assert!(text.contains("arrival  = { closed = { clients = 16 } }"), "{text}");
    assert_eq!(planned(&text).points[0].workload.arrival, Arrival::Closed { clients: 16 });
}

#[test]
fn a_crash_comes_with_elections_and_a_restart() {
    let duration = Duration::from_secs(6);
    let text = written(&Choices { duration, has_leader_crash: true, ..usual() });
    for phrase in ["at            = \"1s 500ms\"", "restart_after = \"3s\"", "misses    = 5"] {
        assert!(text.contains(phrase), "{phrase:?} is missing in:\n{text}");
    }
    let plan = planned(&text);
    assert!(plan.has_faults());
    assert_eq!(expected(&text), ["multi.phase1 - floor < 10ms", "flex-4-2.phase1 - floor < 10ms"]);
}

/// A time-out within which the farthest replica cannot answer is refused by the plan.
#[test]
fn the_time_out_is_longer_where_round_trips_are() {
    let replicas = (0..5).map(|index| format!("r{index}")).collect();
    let far = Choices::new("uniform:900ms", replicas);
    let text = written(&Choices { has_leader_crash: true, ..far });
    assert!(text.contains("misses    = 11"), "{text}");
    planned(&text);
}

#[test]
fn choices_that_make_no_experiment_are_refused_as_by_plan() {
    let flexible = vec![Counts { phase1: 3, phase2: 2 }];
    check_refused(&Choices { flexible, ..usual() }, &["have no replica in common", "at least 6"]);
    let replicas = vec!["us-esat-1".to_owned(), "us-west-2".to_owned()];
    check_refused(&Choices::new(PROFILE, replicas), &["did you mean us-east-1"]);
    let leader = "us-east-2".to_owned();
    check_refused(&Choices { leader, ..usual() }, &["the leader us-east-2 is no replica's region"]);
    let load = Load::Closed { clients: 1 };
    let leader = BEST.to_owned();
    check_refused(&Choices { leader, load, ..usual() }, &["give at least 5"]);
    check_refused(&Choices { duration: Duration::ZERO, ..usual() }, &["is zero"]);
    let choices = Choices { has_classic: true, has_leader_crash: true, ..usual() };
    check_refused(&choices, &["variant `classic` has none"]);
}

#[test]
fn names_with_signs_of_toml_are_kept() {
    let replicas: Vec<String> =
        ["the \"east\"", "C:\\west", "Porto Alto"].map(str::to_owned).to_vec();
    let plan = planned(&written(&Choices::new("lan", replicas.clone())));
    assert_eq!(plan.points[0].links.replica_regions, replicas);
    assert!(plan.question.contains("the \"east\", C:\\west and Porto Alto"), "{}", plan.question);
}

#[test]
fn usual_replicas_are_of_the_profile() {
    let of = |name: &str| usual_replicas(&crate::topology::Profile::load(name).unwrap());
    assert_eq!(of("aws-2024-04").unwrap(), REGIONS);
    assert_eq!(of("lan").unwrap(), ["r0", "r1", "r2", "r3", "r4"]);
    assert_eq!(of("azure-2026-07"), None);
}

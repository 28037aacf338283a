use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::deployment::{Fault, FaultKind, Network, Role, Scheduled, Target, Trigger, Unsynced};
use crate::experiment::file::Source;
use crate::experiment::testing::{GOOD, assert_says, source, spoil};
use crate::link::Conditions;
use crate::protocol::SendPolicy;
use crate::quorum::QuorumSystem;
use crate::quorum::{NodeId, NodeSet};
use crate::registry::Mode;
use crate::runtime::wan::Precision;
use crate::sim::{Connection, Costs, Host, Service, Shared, Work};
use crate::topology::{self, Floor, Links, Site};
use crate::trial::Probe;
use crate::workload::Arrival;

fn plan(source: &Source) -> Plan {
    match Plan::from_source(source, Size::default()) {
        Ok(plan) => plan,
        Err(error) => panic!("{:?}", miette::Report::new(error)),
    }
}

/// The one point of a file that sweeps nothing.
fn point(source: &Source) -> Point {
    let plan = plan(source);
    assert_eq!(plan.points.len(), 1);
    plan.points.into_iter().next().unwrap()
}

/// The error must say each of `phrases`.
fn check_text(source: &Source, phrases: &[&str]) {
    assert_says(&Plan::from_source(source, Size::default()).unwrap_err(), phrases);
}

/// Replaces one place of the good file; the error must say each of `phrases`.
fn check(from: &str, to: &str, phrases: &[&str]) {
    check_text(&spoil(from, to), phrases);
}

/// The good file with all replicas and clients on a network where names are free.
fn on_a_lan(replicas: &str) -> Source {
    let text = GOOD
        .replace("aws-2025-07", "lan")
        .replace(
            "\"us-east-1\", \"us-west-2\", \"eu-west-1\", \"ap-northeast-1\", \"ap-southeast-2\"",
            replicas,
        )
        .replace("clients = [\"us-east-1\", \"eu-west-1\"]", "clients = [\"here\"]");
    source(&text)
}

#[test]
fn a_good_file_becomes_a_plan() {
    let plan = plan(&source(GOOD));
    let point = &plan.points[0];
    assert_eq!(point.links.replica_regions.len(), 5);
    assert_eq!((point.label.as_str(), point.settings.len()), ("", 0));
    assert_eq!(point.variants[1].mode, Mode::multi(NodeId(1)));
    assert_eq!(point.variants[1].quorums, QuorumSystem::counts(5, 4, 2).unwrap());
    assert_eq!(point.warmup, Span::from_millis(1_000));
    assert_eq!(point.drain, point::DRAIN);
    assert_eq!(plan.trials.len(), 4);
    assert_eq!(plan.expected_time(), Span::from_millis(44_000));
    let expected: Scheduled = Fault {
        at: Span::from_millis(5_000),
        kind: FaultKind::Crash { replica: NodeId(2), unsynced: Unsynced::Lost },
        heals_after: Some(Span::from_millis(2_000)),
    }
    .into();
    for variant in &point.variants {
        assert_eq!(variant.faults, std::slice::from_ref(&expected));
    }
}

/// The figures of `R_2` and `R_3` from us-east-1 that are published with the data: 64.4 and 69.6 ms by
/// one direction's row; the mean of both directions is within 0.5 ms of them.
#[test]
fn floors_are_those_of_the_closed_form() {
    let leader = "{ multi = { leader = \"us-east-1\" } }";
    let point = point(&spoil("{ multi = { leader = \"us-west-2\" } }", leader));
    let floor = |variant: usize| point.variants[variant].floors[0].p50.as_millis_f64();
    assert!((floor(1) - 64.4).abs() < 0.5, "{}", floor(1));
    assert!((floor(0) - 2.0 * 69.6).abs() < 1.0, "{}", floor(0));
}

#[test]
fn the_best_leader_has_the_least_mean_floor() {
    let best = point(&spoil("leader = \"us-west-2\"", "leader = \"best\""));
    let mean =
        |point: &Point| point.variants[1].floors.iter().map(|floor| floor.p50.0).sum::<u64>();
    for region in ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"] {
        let other = point(&spoil("leader = \"us-west-2\"", &format!("leader = \"{region}\"")));
        assert!(mean(&best) <= mean(&other), "{region} is better");
    }
}

#[test]
fn a_question_or_prediction_without_a_word_is_refused() {
    check("\"What does it cost?\"", "\" \"", &["`question` is empty", ":1:12", "in a sentence"]);
    check(
        "\"What the closed form says.\"",
        "\"\"",
        &["`prediction` is empty", ":2:14", "what would refute it"],
    );
}

#[test]
fn nothing_to_run_is_refused() {
    check("trials = 2", "trials = 0", &["`trials` is zero", ":4:10", "at least one"]);
    check("\"10s\"", "\"0s\"", &["`workload.duration` is zero", ":14:12"]);
}

#[test]
fn an_unknown_profile_is_shown_with_those_that_exist() {
    check(
        "\"aws-2025-07\"",
        "\"aws-2025\"",
        &["aws-2025", ":7:11", "azure-2026-07", "`flexpaxos profiles`"],
    );
    check("\"aws-2025-07\"", "\"uniform:20\"", &["uniform:20ms", ":7:11"]);
    check("\"aws-2025-07\"", "\"no/such.csv\"", &["no/such.csv", ":7:11"]);
}

#[test]
fn a_profile_beside_the_experiment_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "from,to,rtt_ms\na,b,10\nb,a,12\n";
    std::fs::write(folder.path().join("mine.csv"), rows).unwrap();
    let text = GOOD.replace("aws-2025-07", "mine.csv");
    let text = text
        .replace(
            "\"us-east-1\", \"us-west-2\", \"eu-west-1\", \"ap-northeast-1\", \"ap-southeast-2\"",
            "\"a\", \"b\"",
        )
        .replace("clients = [\"us-east-1\", \"eu-west-1\"]", "clients = [\"a\"]")
        .replace("us-west-2", "a")
        .replace("phase1 = 4", "phase1 = 1");
    let text = text.split("[[fault]]").next().unwrap();
    let path = folder.path().join("experiment.toml");
    let point = point(&Source { path, text: text.to_owned() });
    assert_eq!(point.variants[1].floors, [Floor::constant(Span::from_millis(11))]);
}

#[test]
fn an_unknown_region_is_shown_with_the_nearest() {
    check(
        "[\"us-east-1\", \"us-west-2\", \"eu",
        "[\"us-east-1\", \"us-wset-2\", \"eu",
        &["us-wset-2", ":8:26", "us-west-2"],
    );
    check(
        "[\"us-east-1\", \"eu-west-1\"]",
        "[\"us-east-1\", \"mars\"]",
        &["mars", ":9:25", "`flexpaxos profiles aws-2025-07`"],
    );
}

#[test]
fn two_replicas_in_a_measured_region_are_refused() {
    check(
        "\"ap-southeast-2\"]",
        "\"us-east-1\"]",
        &[
            "two replicas in us-east-1",
            "profile aws-2025-07 has no round trip within it",
            ":8:70",
            "a row us-east-1,us-east-1",
            "`lan`",
        ],
    );
}

/// A file with this table beside it, whose replicas and clients are in these regions.
fn beside(table: &str, replicas: &str, more: &str) -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), table).unwrap();
    let text = GOOD.replace("aws-2025-07", "mine").replace(
        "\"us-east-1\", \"us-west-2\", \"eu-west-1\", \"ap-northeast-1\", \"ap-southeast-2\"",
        replicas,
    );
    let text = text
        .replace("clients = [\"us-east-1\", \"eu-west-1\"]", &format!("clients = [\"e\"]{more}"))
        .replace("us-west-2", "e")
        .replace("us-east-1", "e");
    let text = text.split("[[fault]]").next().unwrap().to_owned();
    let path = folder.path().join("experiment.toml");
    (folder, Source { path, text })
}

#[test]
fn replicas_share_a_region_whose_round_trip_is_known() {
    let table = "from,to,rtt_ms\ne,e,0.4\nw,w,0.6\ne,w,60\nw,e,60\n";
    let (_folder, source) = beside(table, "\"w\", \"e\", \"e\", \"e\", \"w\"", "");
    let point = point(&source);
    let flex = &point.variants[1];
    // Of three alike the first leads, and its second vote is 0.4 ms away, as is the client.
    assert_eq!(flex.mode, Mode::multi(NodeId(1)));
    assert_eq!(flex.floors, [Floor::constant(Span::from_micros(800))]);
    let within = |a, b| {
        let [a, b] = [a, b].map(|id| Site::Replica(NodeId(id)));
        point.links.round_trip(a, b)
    };
    assert_eq!((within(0, 4), within(1, 2)), (Span::from_micros(600), Span::from_micros(400)));
    assert_eq!((within(1, 1), within(0, 1)), (Span::ZERO, Span::from_millis(60)));

    let table = table.replace("w,w,0.6\n", "");
    let (_folder, source) = beside(&table, "\"w\", \"e\", \"e\", \"e\", \"w\"", "");
    check_text(&source, &["two replicas in w", ":8:33", "no round trip within", "a row w,w"]);
}

#[test]
fn jitter_that_nothing_is_known_of_is_refused() {
    let table = "from,to,rtt_ms,p90_ms\ne,w,60,\nw,e,60,\ne,x,5,6\nx,e,5,6\nw,x,7,7\nx,w,7,7\n";
    let jitter = "\njitter = \"profile\"";
    let check = |replicas: &str| {
        let (_folder, source) = beside(table, replicas, jitter);
        let text = source.text.replace("counts = { phase1 = 4, phase2 = 2 }", "majority = {}");
        Plan::from_source(&Source { text, ..source }, Size::default())
    };
    let refused = check("\"e\", \"w\"").unwrap_err();
    assert!(refused.to_string().contains("does not say how these delays vary"), "{refused}");
    let plan = check("\"e\", \"x\"").unwrap();
    assert!(plan.points[0].links.vary() && plan.warnings().is_empty());
    let uniform = GOOD.replace("[topology]\n", "[topology]\njitter = \"profile\"\n");
    let uniform = source(&uniform.replace("aws-2025-07", "uniform:20ms"));
    check_text(&uniform, &["profile uniform:20ms", ":7:10", "leave out `jitter`"]);
}

#[test]
fn percentiles_that_are_not_emulated_are_warned_of() {
    let table = "from,to,rtt_ms,p90_ms,p99_ms\ne,w,50,60,1000\nw,e,50,60,70\n";
    let (_folder, source) = beside(table, "\"e\", \"w\"", "\njitter = \"profile\"");
    let text = source.text.replace("counts = { phase1 = 4, phase2 = 2 }", "majority = {}");
    let plan = |text: String| plan(&Source { text, ..source.clone() });
    let warning = &plan(text.clone()).warnings()[0];
    assert!(warning.contains("in 2 of 2 rows: "), "{warning}");
    assert!(warning.contains("the worst is the p99 from w to e"), "{warning}");
    // The same tail in both directions is emulated as given.
    let even = table.replace("60,70", "60,1000");
    std::fs::write(source.path.parent().unwrap().join("mine"), even).unwrap();
    let default = plan(text.clone());
    // Links remember it for longer than they do without such a tail; or else it is said.
    let correlation = default.points[0].network.correlation;
    assert_eq!(correlation, Span::from_millis(28_100));
    let [warning] = &default.warnings()[..] else { panic!() };
    assert!(warning.contains("raise `workload.duration` to 46m 50s"), "{warning}");
    let long = text.replace("duration = \"10s\"", "duration = \"47m\"");
    assert_eq!(plan(long).warnings(), [""; 0]);
    let hasty = text.replace("[topology]\n", "[topology]\ncorrelation = \"1s\"\n");
    let [warning] = &plan(hasty).warnings()[..] else { panic!() };
    assert!(warning.contains("for 1s only") && warning.contains("to 28s 100ms"), "{warning}");
}

#[test]
fn names_that_a_table_would_lose_are_refused() {
    for (name, phrase) in [
        ("", "needs a name"),
        (" a", "white space at an end"),
        ("a\\nb", "a line break"),
        ("a\\tb", "a tab"),
        ("a;b", "separates the names"),
        ("=1+1", "a formula"),
    ] {
        let client = format!("\"a\", \"{name}\"");
        let text = on_a_lan("\"a\", \"b\", \"c\"").text.replace("\"here\"", &client);
        check_text(&source(&text), &["cannot be called that", phrase, "another name"]);
        check_text(&on_a_lan(&client), &["cannot be called that", phrase]);
    }
}

#[test]
fn where_names_are_free_replicas_may_share_one_that_nothing_refers_to() {
    let text = on_a_lan("\"a\", \"a\", \"b\"").text;
    let text = text.replace("phase1 = 4", "phase1 = 2").replace("us-west-2", "b");
    let text = text.split("[[fault]]").next().unwrap();
    assert_eq!(point(&source(text)).variants[1].mode, Mode::multi(NodeId(2)));

    let ambiguous = source(&text.replace("leader = \"b\"", "leader = \"a\""));
    check_text(&ambiguous, &["any of several replicas", "name one of them: a#1, a#2"]);
}

#[test]
fn a_region_with_the_name_of_something_else_is_refused() {
    let refused = |replicas: &str, phrases: &[&str]| check_text(&on_a_lan(replicas), phrases);
    refused(
        "\"r2\", \"r0\", \"r1\"",
        &[
            "the name r2 means two things: the region of replica 0, and the replica number 2, which is \
             in r1",
            ":8:13",
            "another name in the latency data",
        ],
    );
    refused("\"r0\", \"r0\", \"a\"", &["the name r0 means two things", "number 0"]);
    refused("\"a\", \"best\"", &["the region of replica 1, and as a leader", ":8:18"]);
    for part in Role::ALL.map(Role::name) {
        refused(&format!("\"{part}\", \"a\""), &["and in a fault, whoever has this part", part]);
    }
}

/// One name, one meaning: a region or a number, wherever a replica is named.
#[test]
fn a_replica_is_named_by_region_or_number_in_every_key() {
    let by_number = GOOD
        .replace("leader = \"us-west-2\"", "leader = \"r1\"")
        .replace("crash = \"eu-west-1\"", "crash = \"r2\"")
        .replace(
            "{ majority = {} }",
            "{ explicit = { phase1 = [[\"r0\"]], phase2 = [[\"r0\"]] } }",
        );
    let by_region = by_number.replace("\"r0\"", "\"us-east-1\"").replace("\"r1\"", "\"us-west-2\"");
    let by_region = by_region.replace("\"r2\"", "\"eu-west-1\"");
    let [numbered, named] = [by_number, by_region].map(|text| point(&source(&text)).variants);
    assert_eq!(numbered, named);
    assert_eq!(numbered[1].mode, Mode::multi(NodeId(1)));
    // A number that no replica has may be a region's name.
    let text = on_a_lan("\"a\", \"r7\", \"b\"").text.replace("us-west-2", "r7");
    let text = text.replace("phase1 = 4", "phase1 = 2").replace("eu-west-1", "r7");
    assert_eq!(point(&source(&text)).variants[1].mode, Mode::multi(NodeId(1)));
    check("leader = \"us-west-2\"", "leader = \"r5\"", &["by number they are r0 to r4"]);
}

#[test]
fn too_many_replicas_and_none_are_refused() {
    let names: Vec<String> = (0..65).map(|index| format!("\"r{index}\"")).collect();
    for (replicas, phrases) in [
        (names.join(", "), ["65 replicas are more than the 64", ":8:12"]),
        (String::new(), ["`topology.replicas` has no item", "at least one"]),
    ] {
        check_text(&on_a_lan(&replicas), &phrases);
    }
}

#[test]
fn clients_are_some_and_each_in_another_region() {
    check(
        "clients = [\"us-east-1\", \"eu-west-1\"]",
        "clients = []",
        &["`topology.clients` has no item", ":9:11", "at least one"],
    );
    check(
        "clients = [\"us-east-1\", \"eu-west-1\"]",
        "clients = [\"us-east-1\", \"us-east-1\"]",
        &["two client regions are called us-east-1", ":9:25", "raise `rate_per_s`"],
    );
}

#[test]
fn clients_ask_again_when_the_file_says_and_not_before_an_answer_can_be_there() {
    let typed = |after: &str| format!("duration = \"10s\"\nretry_after = \"{after}\"");
    let asked = point(&spoil("duration = \"10s\"", &typed("500ms")));
    assert_eq!(asked.retry_after, Span::from_millis(500));
    check("duration = \"10s\"", &typed("0s"), &["`workload.retry_after` is zero"]);
    let refused =
        ["clients ask again after 150.0 ms, but an answer takes", "raise `workload.retry"];
    check("duration = \"10s\"", &typed("150ms"), &refused);
}

/// By default each point has its own, as patient as its replicas are, and one for all of its variants.
#[test]
fn clients_are_as_patient_as_replicas_and_never_hasty() {
    let swept = "[election]\nmode = \"timeout\"\n[sweep]\nelection.misses = [5, 10, 30]\n";
    let plan = plan(&source(&(GOOD.to_owned() + swept)));
    let longest = |point: &Point| {
        let floors = point.variants.iter().flat_map(|variant| &variant.floors);
        floors.map(|floor| floor.p99).max().unwrap()
    };
    let found: Vec<Span> = plan.points.iter().map(|point| point.retry_after).collect();
    let four = Span(longest(&plan.points[0]).times(4).0.next_multiple_of(1_000_000));
    assert!((Span::from_millis(500)..Span::from_millis(1_000)).contains(&four), "{four}");
    assert_eq!(found, [four, Span::from_millis(1_000), Span::from_millis(3_000)]);
    // Without elections there is no time-out to be seen, and patience is a second.
    assert_eq!(point(&source(GOOD)).retry_after, Span::from_millis(1_000));
}

#[test]
fn a_leader_must_be_a_replica() {
    check(
        "leader = \"us-west-2\"",
        "leader = \"us-west-1\"",
        &[
            "the leader us-west-1 is no replica's region",
            ":29:33",
            "did you mean us-west-2?",
            "the replicas are in us-east-1, us-west-2",
        ],
    );
}

#[test]
fn a_size_that_is_no_quorum_is_refused() {
    check("phase1 = 4", "phase1 = 6", &["phase1 = 6", ":30:33", "1 to 5"]);
    check("phase2 = 2", "phase2 = 0", &["phase2 = 0", "`flexpaxos quorums --help`"]);
}

#[test]
fn quorums_that_need_not_meet_are_refused_with_the_two_named() {
    check(
        "phase1 = 4",
        "phase1 = 3",
        &[
            "phase-1 quorum {us-east-1, us-west-2, eu-west-1}",
            "phase-2 quorum {ap-northeast-1, ap-southeast-2} have no replica in common",
            ":30:11",
            "raise one of the two until phase1 + phase2 is at least 6",
            "`unsafe_quorums = true`",
        ],
    );
    check(
        "{ counts = { phase1 = 4, phase2 = 2 } }",
        "{ explicit = { phase1 = [[\"us-east-1\", 1]], phase2 = [[1, 2], [3]] } }",
        &["{us-east-1, us-west-2}", "{ap-northeast-1}", "give the two a common replica"],
    );
}

#[test]
fn unsafe_quorums_run_when_the_variant_says_so() {
    let spoilt = spoil(
        "quorums = { counts = { phase1 = 4, phase2 = 2 } }",
        "quorums = { counts = { phase1 = 1, phase2 = 1 } }\nunsafe_quorums = true",
    );
    let point = point(&spoilt);
    assert!(point.variants[1].unsafe_quorums && point.variants[1].quorums.disjoint().is_some());
}

#[test]
fn a_member_of_an_explicit_quorum_must_be_a_replica() {
    let sets = "{ explicit = { phase1 = [[\"us-east-1\"]], phase2 = [[\"us-east-2\"]] } }";
    check("{ majority = {} }", sets, &["the member us-east-2 is no replica", "us-east-1?"]);
    let sets = "{ explicit = { phase1 = [[0]], phase2 = [[5]] } }";
    check("{ majority = {} }", sets, &["replica 5", "0 to 4"]);
}

#[test]
fn variants_have_names_of_their_own_that_fit_into_file_names() {
    check("\"flex\"", "\"classic\"", &["two variants are called `classic`", ":28:8"]);
    check("\"flex\"", "\"\"", &["`variant.name` is empty", ":28:8"]);
    check("\"flex\"", "\"q2/2\"", &["`q2/2`", "file names"]);
}

#[test]
fn a_workload_without_meaning_is_refused() {
    check("rate_per_s = 200", "rate_per_s = 0", &["is no rate", ":12:38", "above 0"]);
    check("{ poisson = { rate_per_s = 200 } }", "{ closed = { clients = 0 } }", &["at least 1"]);
    check(
        "{ poisson = { rate_per_s = 200 } }",
        "{ closed = { clients = 1 } }",
        &["do not reach each of the 2 client regions", ":12:34", "at least 2"],
    );
    check("count = 1000", "count = 0", &["keys.uniform.count = 0", ":15:30"]);
    check("reads = 0.5", "reads = 1.5", &["reads = 1.5", ":17:9", "from 0"]);
    check("value_bytes = 100", "value_bytes = 2000000", &["too large", ":16:15"]);
    check(
        "{ uniform = { count = 1000 } }",
        "{ zipf = { count = 10, exponent = -1 } }",
        &["no Zipf exponent", ":15:42"],
    );
}

const READS: &str = "reads = 0.5";

#[test]
fn a_conflict_rate_is_planned_with_keys_of_each_region() {
    let workload = |typed: &str| point(&spoil(READS, &format!("{READS}\n{typed}"))).workload;
    assert_eq!(workload("").conflicts, None);
    assert_eq!(workload("conflicts = 0.02").conflicts, Some(0.02));
    for share in ["0.0", "0", "1.0", "1"] {
        let text = GOOD.replace("keys = { uniform = { count = 1000 } }\n", "");
        let text = text.replace(READS, &format!("{READS}\nconflicts = {share}"));
        let workload = point(&source(&text)).workload;
        assert_eq!(workload.conflicts, Some(share.parse().unwrap()));
        assert_eq!(workload.key_count(2), Some(2_001));
        assert_eq!(workload.key_space(1, 2).own(), 1_001..=2_000);
    }
}

#[test]
fn a_conflict_rate_without_meaning_is_refused() {
    let conflicts = |share: &str| format!("{READS}\nconflicts = {share}");
    for share in ["-0.1", "1.5", "nan", "inf"] {
        let said = format!("conflicts = {} is no share", share.parse::<f64>().unwrap());
        check(READS, &conflicts(share), &[said.as_str(), ":18:13"]);
    }
    check(READS, &conflicts("2"), &["from 0", "share all keys of `workload.keys`"]);
    let set = conflicts("0.1");
    let alone = GOOD.replace("[\"us-east-1\", \"eu-west-1\"]", "[\"us-east-1\"]");
    let phrases = [
        "needs two client regions, and there is one",
        ":18:13",
        "add a region to `topology.clients`",
    ];
    check_text(&source(&alone.replace(READS, &set)), &phrases);
    let many = GOOD.replace("count = 1000", "count = 9_000_000_000_000_000_000");
    let many = many.replace("\"eu-west-1\"]\n", "\"eu-west-1\", \"us-west-2\"]\n");
    assert_eq!(point(&source(&many)).workload.key_count(3), Some(9_000_000_000_000_000_000));
    let phrases = ["more keys than 64 bits can number", ":15:30", "at most 6148914691236517204"];
    check_text(&source(&many.replace(READS, &set)), &phrases);
    let idle = "`workload.keys` has no effect: every operation touches the shared key";
    check(READS, &conflicts("1.0"), &[idle, ":15:30", "leave it out"]);
    // The keys have an effect at one of the points.
    let swept = format!("{GOOD}\n[sweep]\nworkload.conflicts = [0.0, 1.0]\n");
    assert_eq!(plan(&source(&swept)).points.len(), 2);
}

#[test]
fn a_fault_must_hit_a_replica_in_time() {
    check(
        "crash = \"eu-west-1\"",
        "crash = \"eu-west-3\"",
        &["the crashing replica eu-west-3", ":34:9", "did you mean eu-west-1?"],
    );
    check("at = \"5s\"", "at = \"10s\"", &["the crash at 10s", ":33:6", "lower them"]);
    check("\"2s\"", "\"6s\"", &["the restart at 11s is not within the 10s", ":35:17"]);
}

#[test]
fn the_leader_can_only_crash_where_every_variant_has_one() {
    check(
        "crash = \"eu-west-1\"",
        "crash = \"leader\"",
        &["variant `classic` has none", ":34:9", "name a region instead"],
    );
    let text = GOOD.replace("{ classic = {} }", "{ multi = { leader = \"best\" } }");
    let text = text.replace("crash = \"eu-west-1\"", "crash = \"leader\"");
    let point = point(&source(&text));
    for variant in &point.variants {
        let FaultKind::Crash { replica, .. } = &variant.faults[0].kind else {
            panic!("{variant:?}")
        };
        assert_eq!(*replica, Target::from(Role::Leader));
    }
}

#[test]
fn a_replica_that_forgot_its_promises_may_not_come_back() {
    check(
        "mode = \"fsync\"",
        "mode = \"memory\"",
        &["lost its promises", ":35:17", "leave out `restart_after`"],
    );
    check(
        "[[fault]]",
        "[sweep]\ndurability.mode = [\"memory\"]\n[[fault]]",
        &["lost its promises"],
    );
    let gone = GOOD.replace("\"fsync\"", "\"memory\"").replace("restart_after = \"2s\"\n", "");
    assert_eq!(point(&source(&gone)).variants[0].faults[0].heals_after, None);
}

/// The good file without the variant that has no leader.
fn with_a_leader() -> String {
    GOOD.replace("{ classic = {} }", "{ multi = { leader = \"us-west-2\" } }")
}

/// The text whose fault, on line 34, is this instead of a crash.
fn with_fault(text: &str, kind: &str) -> Source {
    source(&text.replace("crash = \"eu-west-1\"\nrestart_after = \"2s\"", kind))
}

/// The fault of the second variant, whose leader is in us-west-2, when the file's is this.
fn fault(kind: &str) -> Scheduled {
    point(&with_fault(&with_a_leader(), kind)).variants[1].faults[0].clone()
}

#[track_caller]
fn check_fault(kind: &str, phrases: &[&str]) {
    check_text(&with_fault(&with_a_leader(), kind), phrases);
}

#[test]
fn every_kind_of_fault_is_that_of_the_deployment() {
    let set = |nodes: &[u8]| nodes.iter().map(|node| NodeId(*node)).collect::<NodeSet>();
    let only = |nodes: &[u8]| Target::from(set(nodes));
    let with = |nodes: &[u8], role| Target { replicas: set(nodes), roles: [role].into() };
    let leader = || Target::from(Role::Leader);
    let ms = Span::from_millis;
    let (from, to) = (|| with(&[0], Role::Leader), || only(&[2]));
    let direction = "from = [\"us-east-1\", \"leader\"], to = [\"eu-west-1\"]";
    let kinds = [
        (
            "crash = \"leader\"".to_owned(),
            FaultKind::Crash { replica: leader(), unsynced: Unsynced::Lost },
        ),
        ("pause = \"eu-west-1\"".to_owned(), FaultKind::Pause { replica: only(&[2]) }),
        ("pause = [\"eu-west-1\", \"r3\"]".to_owned(), FaultKind::Pause { replica: only(&[2, 3]) }),
        (
            "pause = [\"phase2-follower\", \"r0\"]".to_owned(),
            FaultKind::Pause { replica: with(&[0], Role::Phase2Follower) },
        ),
        (
            "crash = \"phase1-quorum\"".to_owned(),
            FaultKind::Crash { replica: Role::Phase1Quorum.into(), unsynced: Unsynced::Lost },
        ),
        (
            "pause = \"phase2-quorum\"".to_owned(),
            FaultKind::Pause { replica: Role::Phase2Quorum.into() },
        ),
        ("partition = [\"leader\"]".to_owned(), FaultKind::Partition { side: leader() }),
        ("partition = \"r1\"".to_owned(), FaultKind::Partition { side: only(&[1]) }),
        (format!("cut = {{ {direction} }}"), FaultKind::Cut { from: from(), to: to() }),
        (
            format!("slow = {{ {direction}, by = \"50ms\" }}"),
            FaultKind::Slow { from: from(), to: to(), by: ms(50) },
        ),
        (
            format!("lose = {{ {direction}, share = 0.1 }}"),
            FaultKind::Lose { from: from(), to: to(), share: 0.1 },
        ),
        (
            format!("duplicate = {{ {direction}, share = 1.0 }}"),
            FaultKind::Duplicate { from: from(), to: to(), share: 1.0 },
        ),
        (
            format!("reorder = {{ {direction}, spread = \"5ms\" }}"),
            FaultKind::Reorder { from: from(), to: to(), spread: ms(5) },
        ),
        (
            "slow_disk = { replica = \"us-east-1\", by = \"10ms\" }".to_owned(),
            FaultKind::SlowDisk { replica: only(&[0]), by: ms(10) },
        ),
        ("full_disk = \"eu-west-1\"".to_owned(), FaultKind::FullDisk { replica: only(&[2]) }),
        ("campaign = \"eu-west-1\"".to_owned(), FaultKind::Campaign { replica: only(&[2]) }),
        (
            "campaign = [\"eu-west-1\", \"r0\"]".to_owned(),
            FaultKind::Campaign { replica: only(&[0, 2]) },
        ),
    ];
    for (typed, kind) in kinds {
        let trigger = Trigger::At(ms(5_000));
        assert_eq!(fault(&typed), Scheduled { trigger, kind, heals_after: None }, "{typed}");
    }
    assert_eq!(fault("pause = \"leader\"\nlasts = \"1s\"").heals_after, Some(ms(1_000)));
    let torn = fault("crash = \"leader\"\nunsynced = \"torn\"\nrestart_after = \"1s\"");
    assert_eq!(torn.kind, FaultKind::Crash { replica: leader(), unsynced: Unsynced::Torn });
}

#[test]
fn a_fault_strikes_at_a_time_or_by_progress_and_not_both() {
    let after = |trigger: &str| {
        let text = with_a_leader().replace("at = \"5s\"", trigger);
        with_fault(&text, "pause = \"leader\"\nlasts = \"20s\"")
    };
    // 200 a second for 10 s, of which half are writes.
    let fault = point(&after("after_writes = 999")).variants[0].faults[0].clone();
    assert_eq!(
        (fault.trigger, fault.heals_after),
        (Trigger::AfterWrites(999), Some(Span::from_millis(20_000)))
    );
    check_text(
        &after("after_writes = 1000"),
        &["1000 writes are not fewer than the 1000", ":33:16", "lower it"],
    );
    check_text(&after("after_writes = 0"), &["`fault.after_writes` is zero", ":33:16"]);
    check_text(&after(""), &["neither `at` nor `after_writes`", ":32:1", "give one of the two"]);
    check_text(
        &after("at = \"1s\"\nafter_writes = 9"),
        &["has both `at` and `after_writes`", ":34:16"],
    );
    check_text(&after("after_writes = -1"), &[":33:16"]);
}

#[test]
fn faults_by_progress_come_behind_those_of_a_time() {
    let more =
        "\n[[fault]]\nafter_writes = 7\npause = \"r1\"\n[[fault]]\nat = \"1s\"\npause = \"r1\"\n";
    let faults = &point(&source(&(GOOD.to_owned() + more))).variants[0].faults;
    let at = |seconds: u64| Trigger::At(Span::from_millis(1_000 * seconds));
    let triggers: Vec<Trigger> = faults.iter().map(|fault| fault.trigger).collect();
    assert_eq!(triggers, [at(1), at(5), Trigger::AfterWrites(7)]);
}

#[test]
fn a_part_that_nobody_has_is_refused() {
    let alone = with_a_leader().replace("{ phase1 = 4, phase2 = 2 }", "{ phase1 = 5, phase2 = 1 }");
    check_text(
        &with_fault(&alone, "crash = \"phase2-follower\""),
        &["in variant `flex` the leader alone", ":34:9", "`phase2-quorum` or a region"],
    );
    let classic = with_fault(GOOD, "crash = [\"us-east-1\", \"phase1-quorum\"]");
    check_text(&classic, &["variant `classic` has none", ":34:23"]);
    check_fault("crash = 7", &[":34:9", "a region, a replica such as `r2`, `leader`"]);
    check_fault("crash = \"r5\"", &["the crashing replica r5 is no replica's region", ":34:9"]);
    check_fault(
        "partition = \"leaders\"",
        &["the replica cut off leaders", ":34:13", "did you mean leader?"],
    );
    // A prediction may be about a fault that is refused.
    let wrong = with_fault(&with_a_leader(), "crash = \"leder\"").text;
    let expect = "[[expect]]\nthat = \"flex.away < 5s\"\nbecause = \"b\"\n";
    let error = Plan::from_source(&source(&format!("{wrong}\n{expect}")), Size::default());
    let said = format!("{:?}", miette::Report::new(error.unwrap_err()));
    assert!(said.contains("leder") && !said.contains("is measured after"), "{said}");
}

#[test]
fn a_region_is_every_replica_in_it() {
    let text = on_a_lan("\"a\", \"b\", \"a\"")
        .text
        .replace("{ phase1 = 4, phase2 = 2 }", "{ phase1 = 2, phase2 = 2 }");
    let text = text.replace("us-west-2", "b").replace("eu-west-1", "a");
    let target = |point: &Point| match &point.variants[0].faults[0].kind {
        FaultKind::Crash { replica, .. } => replica.replicas.to_string(),
        kind => panic!("{kind:?}"),
    };
    assert_eq!(target(&point(&source(&text))), "{0, 2}");
    assert_eq!(target(&point(&source(&text.replace("crash = \"a\"", "crash = \"r2\"")))), "{2}");
}

#[test]
fn a_slow_or_full_disk_needs_a_disk() {
    let text = with_a_leader().replace("\"fsync\"", "\"memory\"");
    let slow = "slow_disk = { replica = \"leader\", by = \"1ms\" }";
    for fault in [slow, "full_disk = \"leader\""] {
        check_text(
            &with_fault(&text, fault),
            &["there is no disk", ":34:13", "`durability.mode = \"fsync\"`"],
        );
    }
}

/// What is said of the one variant that leads, under these faults and with this election.
fn warnings(quorums: &str, faults: &str, election: &str) -> Vec<String> {
    warnings_of(&format!("{{ counts = {quorums} }}"), faults, election)
}

fn warnings_of(quorums: &str, faults: &str, election: &str) -> Vec<String> {
    let text = GOOD.split("[[fault]]").next().unwrap();
    let (head, multi) = text.split_once("[[variant]]\nname = \"classic\"").unwrap();
    let (_, multi) = multi.split_once("[[variant]]").unwrap();
    let multi = multi.replace("{ counts = { phase1 = 4, phase2 = 2 } }", quorums);
    let text = format!("{head}{election}[[variant]]{multi}{faults}");
    plan(&source(&text)).warnings()
}

const DEAD: &str = "[[fault]]\nat = \"2s\"\ncrash = \"eu-west-1\"\n";
const LEADER_DIES: &str = "[[fault]]\nat = \"5s\"\ncrash = \"leader\"\n";
const TIMEOUT: &str = "[election]\nmode = \"timeout\"\n";

#[test]
fn a_time_out_within_which_no_answer_comes_is_refused_where_it_was_typed() {
    let check_election = |profile: &str, section: &str, phrases: &[&str]| {
        let text = GOOD.replace("aws-2025-07", profile);
        check_text(&source(&format!("{text}\n[election]\n{section}")), phrases);
    };
    let timeout = "mode = \"timeout\"";
    let (late, help) = ("a leader is suspected after 200.0 ms", "raise `election.misses`");
    let misses = format!("{timeout}\nmisses = 2");
    check_election("aws-2025-07", &misses, &[late, ":39:10", help]);
    let heartbeat = format!("{timeout}\nheartbeat = \"20ms\"");
    check_election("aws-2025-07", &heartbeat, &[late, ":39:13", help]);
    // Both are as they are without a word: it is the mode that asks for the impossible.
    let typed = ["suspected after 1000.0 ms", "takes it 1300.0 ms", ":38:8", help];
    check_election("uniform:1200ms", timeout, &typed);
    // A value of 128 bytes is on its way to four others for 1.5 s.
    let narrow = format!("{timeout}\n[network]\nuplink_mbit_per_s = 0.004");
    check_election("uniform:500ms", &narrow, &["suspected after 1000.0 ms", ":38:8", help]);
    let fixed = GOOD.replace("aws-2025-07", "uniform:1200ms");
    plan(&source(&format!("{fixed}\n[election]\nmode = \"fixed\"")));
}

#[test]
fn a_schedule_that_nothing_recovers_from_is_announced_with_its_time_and_reason() {
    let (all, most) = ("{ phase1 = 5, phase2 = 1 }", "{ phase1 = 4, phase2 = 2 }");
    let majority = "{ phase1 = 3, phase2 = 3 }";
    let both = format!("{DEAD}{LEADER_DIES}");
    let gone = "variant `flex`: from 5s on no phase-1 quorum of 5 is left, and the leader is to be replaced";
    for election in ["", TIMEOUT] {
        assert_eq!(warnings(all, &both, election), [gone]);
        assert_eq!(warnings(all, DEAD, election), [""; 0], "the leader is there");
    }
    assert_eq!(warnings(majority, &both, TIMEOUT), [""; 0]);
    assert_eq!(warnings(most, LEADER_DIES, TIMEOUT), [""; 0]);
    assert_eq!(warnings(most, &both, TIMEOUT), [gone.replace("of 5", "of 4")]);
    // Who comes back is there again.
    let back = format!("{LEADER_DIES}restart_after = \"2s\"\n");
    let said = gone.replace("from 5s on", "from 5s to 7s");
    assert_eq!(warnings(all, &back, TIMEOUT), [said]);
    assert_eq!(warnings(majority, &back, TIMEOUT), [""; 0]);
    assert_eq!(warnings(all, &format!("{DEAD}{back}"), TIMEOUT), [gone]);
}

/// The witnesses are a phase-1 quorum, and none of them leads.
#[test]
fn a_leader_whom_only_witnesses_could_follow_is_announced() {
    let system = |witnesses: &str| format!("{{ majority = {{}} }}\nwitnesses = [{witnesses}]");
    let all = system("\"us-east-1\", \"eu-west-1\", \"ap-northeast-1\", \"ap-southeast-2\"");
    let back = format!("{LEADER_DIES}restart_after = \"2s\"\n");
    let said = warnings_of(&all, &back, TIMEOUT);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("from 5s to 7s no replica is up that may lead"), "{said:?}");
    assert_eq!(warnings_of(&system("\"us-east-1\", \"eu-west-1\""), &back, TIMEOUT), [""; 0]);
}

#[test]
fn without_elections_a_leader_that_is_gone_for_good_is_announced() {
    let said = warnings("{ phase1 = 4, phase2 = 2 }", LEADER_DIES, "");
    assert!(
        said[0].contains("from 5s on the leader is gone") && said[0].contains("\"fixed\""),
        "{said:?}"
    );
    let told = format!("{LEADER_DIES}[[fault]]\nat = \"6s\"\ncampaign = \"eu-west-1\"\n");
    let until = "variant `flex`: from 5s to 6s the leader is gone, and with `election.mode = \"fixed\"` \
                 nobody takes its place";
    assert_eq!(warnings("{ phase1 = 4, phase2 = 2 }", &told, ""), [until]);
    // Also where it is started again, or only paused.
    let back = format!("{LEADER_DIES}restart_after = \"2s\"\n");
    let until = until.replace("6s", "7s");
    assert_eq!(warnings("{ phase1 = 4, phase2 = 2 }", &back, ""), [until.as_str()]);
    assert_eq!(warnings("{ phase1 = 4, phase2 = 2 }", &back, TIMEOUT), [""; 0]);
    let paused = "[[fault]]\nat = \"5s\"\npause = \"leader\"\nlasts = \"2s\"\n";
    assert_eq!(warnings("{ phase1 = 4, phase2 = 2 }", paused, ""), [until]);
    // One that leads by command does not lead again when it is started, and neither does the configured one.
    let commanded = "[[fault]]\nat = \"1s\"\ncampaign = \"eu-west-1\"\n\
                     [[fault]]\nat = \"3s\"\ncrash = \"eu-west-1\"\nrestart_after = \"100ms\"\n";
    let said = warnings("{ phase1 = 3, phase2 = 3 }", commanded, "");
    assert!(said[0].contains("from 3s on the leader is gone"), "{said:?}");
    assert_eq!(warnings("{ phase1 = 3, phase2 = 3 }", commanded, TIMEOUT), [""; 0]);
}

#[test]
fn a_fault_of_a_replica_that_is_down_already_is_announced() {
    let counts = "{ phase1 = 3, phase2 = 3 }";
    let after = |fault: &str| format!("{DEAD}[[fault]]\nat = \"3s\"\n{fault}\n");
    let slow =
        |from: &str| format!("slow = {{ from = \"{from}\", to = \"leader\", by = \"1ms\" }}");
    for (fault, what) in [
        ("crash = \"eu-west-1\"".to_owned(), "crash"),
        ("pause = \"eu-west-1\"".to_owned(), "pause"),
        ("campaign = \"eu-west-1\"".to_owned(), "campaign"),
        ("full_disk = \"eu-west-1\"".to_owned(), "full disk"),
        ("slow_disk = { replica = \"eu-west-1\", by = \"1ms\" }".to_owned(), "slow disk"),
        (slow("eu-west-1"), "fault of the links"),
    ] {
        let said = format!(
            "variant `flex`: the {what} of eu-west-1 at 3s has no effect: the replica is down by then"
        );
        assert_eq!(warnings(counts, &after(&fault), TIMEOUT), [said], "{fault}");
    }
    // One that is back by then, one of several, and one that may be earlier.
    let back = after("crash = \"eu-west-1\"").replacen(
        "crash = \"eu-west-1\"",
        "crash = \"eu-west-1\"\nrestart_after = \"500ms\"",
        1,
    );
    assert_eq!(warnings(counts, &back, TIMEOUT), [""; 0]);
    assert_eq!(warnings(counts, &after(&slow("us-east-1")), TIMEOUT), [""; 0]);
    let progress = format!("{DEAD}[[fault]]\nafter_writes = 9\ncrash = \"eu-west-1\"\n");
    assert_eq!(warnings(counts, &progress, TIMEOUT), [""; 0]);
    // A slow disk that is slow when the replica is back does something.
    let disk = after("slow_disk = { replica = \"eu-west-1\", by = \"1ms\" }").replacen(
        "crash = \"eu-west-1\"",
        "crash = \"eu-west-1\"\nrestart_after = \"2s\"",
        1,
    );
    assert_eq!(warnings(counts, &disk, TIMEOUT), [""; 0]);
}

/// us-west-2 leads with us-east-1, and both die: what was chosen last is on nobody else.
#[test]
fn a_lost_announced_quorum_is_told_with_its_members() {
    let per_ballot = "{ per_ballot = { phase2 = 2 } }";
    let second =
        |at: &str| format!("{LEADER_DIES}[[fault]]\nat = \"{at}\"\ncrash = \"us-east-1\"\n");
    let said = "variant `flex`: from 5s 100ms on no phase 1 can end: it must meet the announced \
                phase-2 quorum of us-east-1 and us-west-2, and the leader is to be replaced";
    assert_eq!(warnings_of(per_ballot, &second("5100ms"), TIMEOUT), [said]);
    // When another one leads by then, with a quorum of its own, a majority is enough.
    assert_eq!(warnings_of(per_ballot, &second("8s"), TIMEOUT), [""; 0]);
    assert_eq!(warnings_of("{ majority = {} }", &second("5100ms"), TIMEOUT), [""; 0]);
    // One of its members alone costs a new ballot of the same leader, and no more.
    let member = "[[fault]]\nat = \"5s\"\ncrash = \"us-east-1\"\n";
    assert_eq!(warnings_of(per_ballot, member, TIMEOUT), [""; 0]);
}

#[test]
fn a_floor_that_outlasts_the_measured_time_is_announced() {
    let said = |profile: &str| plan(&source(&GOOD.replace("aws-2025-07", profile))).warnings();
    let late = |region: &str| {
        format!(
            "variants `classic`, `flex`: the floor of clients in {region}, 12s, is longer than the 10s \
             that are measured"
        )
    };
    assert_eq!(said("uniform:6s"), [late("us-east-1"), late("eu-west-1")]);
    let never = &said("uniform:20s")[0];
    assert!(never.ends_with("no operation of theirs is answered before the trial ends"), "{never}");
    assert_eq!(said("uniform:4s"), [""; 0]);
}

/// 200 operations a second, of which half write 100 bytes, and 40 bytes around each: 144 kbit/s.
#[test]
fn a_load_that_no_wire_carries_is_announced() {
    let said = |network: &str| {
        plan(&source(&format!("{GOOD}[network]\n{network}_mbit_per_s = 0.5\n"))).warnings()
    };
    let uplink = "variant `flex`: the load needs at least 0.58 Mbit/s of the uplink of us-west-2, which \
                  carries 0.50: what is sent waits longer and longer";
    assert_eq!(said("uplink"), [uplink]);
    assert_eq!(said("bandwidth"), [""; 0], "a link carries it once");
    let narrow = GOOD.to_owned() + "[network]\nbandwidth_mbit_per_s = 0.1\n";
    let link = "variant `flex`: the load needs at least 0.14 Mbit/s on each link from us-west-2 to \
                another replica, which carries 0.10: what is sent waits longer and longer";
    // The two proposers of classic Paxos have half of it each.
    assert_eq!(plan(&source(&narrow)).warnings(), [link]);
    let closed =
        narrow.replace("{ poisson = { rate_per_s = 200 } }", "{ closed = { clients = 16 } }");
    assert_eq!(plan(&source(&closed)).warnings(), [""; 0]);
}

/// The good file with more at its end; the error must say each of `phrases`.
fn check_added(more: &str, phrases: &[&str]) {
    check_text(&source(&format!("{GOOD}\n{more}")), phrases);
}

#[test]
fn a_key_that_changes_nothing_at_any_point_is_refused() {
    let misses = "`election.misses` has no effect: with `election.mode = \"fixed\"` nobody watches";
    check_added("[election]\nmisses = 5\n", &[misses, ":38:10", "election.mode = \"timeout\""]);
    check_added("[sweep]\nelection.misses = [5, 9]\n", &[misses]);
    // It has an effect at one of the points.
    let sweep = "[election]\nmisses = 5\n[sweep]\nelection.mode = [\"fixed\", \"timeout\"]\n";
    assert_eq!(plan(&source(&format!("{GOOD}\n{sweep}"))).points.len(), 2);
    let classic = GOOD.replace("{ multi = { leader = \"us-west-2\" } }", "{ classic = {} }");
    let timeout = source(&format!("{classic}\n[election]\nmode = \"timeout\"\n"));
    check_text(&timeout, &["`election.mode` has no effect: no variant has a leader", ":38:8"]);
    let permission = "quorums = { counts = { phase1 = 4, phase2 = 2 } }";
    let permitted = format!("{permission}\nunsafe_quorums = true");
    check(permission, &permitted, &["`variant.unsafe_quorums` has no effect", ":31:18"]);
    let reads = GOOD.replace("reads = 0.5", "reads = 1.0");
    check_text(&source(&reads), &["`workload.value_bytes` has no effect: every operation reads"]);
    check_added("[network]\nloss = 0.0\nloss_burst = 3\n", &["`network.loss_burst` has no effect"]);
    let lost = "[network]\nloss_burst = 3.0\nloss = 0.0\n[sweep]\nnetwork.loss = [0.0, 0.1]\n";
    assert_eq!(plan(&source(&format!("{GOOD}\n{lost}"))).points.len(), 2);
}

#[test]
fn what_is_said_of_disks_and_restarts_must_concern_some() {
    let restarts = "mode = \"fsync\"\nunsafe_restarts = true";
    check("mode = \"fsync\"", restarts, &["`durability.unsafe_restarts` has no effect", ":21:19"]);
    let memory = GOOD.replace("\"fsync\"", "\"memory\"\nunsafe_restarts = true");
    assert!(point(&source(&memory)).variants[0].faults[0].heals_after.is_some());
    let gone = memory.replace("restart_after = \"2s\"\n", "");
    check_text(&source(&gone), &["no effect: no replica is started again"]);
    let torn = "unsynced = \"torn\"";
    check("restart_after = \"2s\"", torn, &["`fault.unsynced` has no effect", ":35:12"]);
    let disk = memory.replace("restart_after", &format!("{torn}\nrestart_after"));
    check_text(&source(&disk), &["`fault.unsynced` has no effect: with durability \"memory\""]);
}

#[test]
fn a_small_size_that_the_file_does_not_have_is_refused() {
    let small = |more: &str| {
        let size = Size { is_smoke: true, trials: None };
        Plan::from_source(&source(&format!("{GOOD}\n{more}")), size)
    };
    for section in ["", "[smoke]\n"] {
        let error = small(section).unwrap_err();
        assert_says(&error, &["this experiment has no smaller size", "leave out `--smoke`"]);
    }
    let short = small("[smoke]\nduration = \"8s\"\n").unwrap();
    assert_eq!(short.points[0].duration, Span::from_millis(8_000));
}

#[test]
fn a_phase_2_quorum_that_is_gone_for_good_is_announced_and_one_that_comes_back_is_not() {
    let pause = "[[fault]]\nat = \"3s\"\npause = [\"us-east-1\", \"eu-west-1\", \"r3\"]\n";
    let majority = "{ phase1 = 3, phase2 = 3 }";
    let said = "variant `flex`: from 3s on no phase-2 quorum of 3 is left: no write can be chosen";
    assert_eq!(warnings(majority, pause, ""), [said]);
    assert_eq!(warnings(majority, &format!("{pause}lasts = \"1s\"\n"), ""), [""; 0]);
    // A partition leaves the leader alone on its side; on the other one there is a majority.
    let apart = "[[fault]]\nat = \"3s\"\npartition = \"leader\"\n";
    assert_eq!(warnings(majority, apart, TIMEOUT), [""; 0]);
    assert!(
        warnings("{ phase1 = 5, phase2 = 2 }", apart, TIMEOUT)[0].contains("phase-1 quorum of 5")
    );
}

#[test]
fn progress_announces_too() {
    let fault = "[[fault]]\nafter_writes = 100\ncrash = \"leader\"\n";
    let said = warnings("{ phase1 = 5, phase2 = 1 }", fault, TIMEOUT);
    assert!(said[0].contains("from 100 writes on no phase-1 quorum of 5 is left"), "{said:?}");
    let back = format!("{fault}restart_after = \"1s\"\n");
    let said = warnings("{ phase1 = 5, phase2 = 1 }", &back, TIMEOUT);
    assert!(said[0].contains("for 1s after 100 writes no phase-1 quorum"), "{said:?}");
    assert_eq!(warnings("{ phase1 = 4, phase2 = 2 }", &back, TIMEOUT), [""; 0]);
}

#[test]
fn a_fault_has_exactly_one_kind() {
    check_fault("", &["this fault does no harm", ":32:1", "add one of `crash`, `pause`"]);
    check_fault(
        "pause = \"leader\"\ncrash = \"leader\"",
        &["one harm, and this one has `crash` and `pause`", ":34:9", "a second `[[fault]]`"],
    );
    check_fault(
        "kill = \"leader\"",
        &["unknown key `kill`", ":34:1", "known keys here: at, after_writes"],
    );
}

#[test]
fn what_belongs_to_one_kind_is_refused_of_another() {
    check_fault(
        "crash = \"leader\"\nlasts = \"1s\"",
        &["`lasts` does not belong to `crash`", ":35:9", "`restart_after`"],
    );
    check_fault(
        "pause = \"leader\"\nrestart_after = \"1s\"",
        &["`restart_after` does not belong to `pause`", ":35:17", "`lasts`"],
    );
    check_fault("pause = \"leader\"\nunsynced = \"torn\"", &["only a crash loses records"]);
    check_fault("campaign = \"leader\"\nlasts = \"1s\"", &["it happens at once"]);
    check_fault("pause = \"leader\"\nlasts = \"0s\"", &["`fault.lasts` is zero", ":35:9"]);
}

#[test]
fn a_fault_concerns_some_replicas_and_not_all() {
    check_fault("pause = \"mars\"", &["the paused replica mars is no replica's region", ":34:9"]);
    check_fault("partition = []", &["concerns no replica", ":34:13", "`r2`, `leader`"]);
    let everybody = "partition = [\"us-east-1\", \"us-west-2\", \"eu-west-1\", \
        \"ap-northeast-1\", \"ap-southeast-2\"]";
    check_fault(everybody, &["every replica on one side", ":34:13", "name one side"]);
    check_fault("cut = { from = [\"leader\"], to = [] }", &["concerns no replica", ":34:33"]);
    check_fault(
        "cut = { from = [\"leader\"], to = [\"us-west-2\"] }",
        &["no link to itself", ":34:33"],
    );
    check_fault(
        "slow = { from = [\"leader\"], to = [\"us-east-2\"], by = \"1ms\" }",
        &["the receiver us-east-2", ":34:35", "us-east-1?"],
    );
}

#[test]
fn a_share_is_from_nothing_to_all() {
    let lose = |share: &str| {
        format!("lose = {{ from = [\"leader\"], to = [\"us-east-1\"], share = {share} }}")
    };
    check_fault(&lose("1.5"), &["`fault.lose.share = 1.5` is no share", ":34:57", "to 1, all"]);
    check_fault(&lose("-0.1"), &["-0.1` is no share"]);
    check_fault(&lose("nan"), &["NaN` is no share"]);
}

#[test]
fn a_fault_of_the_leader_needs_one() {
    let kinds = ["pause = \"leader\"", "partition = [\"leader\"]", "campaign = \"eu-west-1\""];
    for kind in kinds {
        check_text(&with_fault(GOOD, kind), &["variant `classic` has none", ":34:"]);
    }
}

#[test]
fn a_fault_after_the_end_is_named_by_its_kind() {
    let late = with_a_leader().replace("at = \"5s\"", "at = \"11s\"");
    check_text(
        &with_fault(&late, "pause = \"leader\""),
        &["the pause at 11s is not within", ":33:6"],
    );
}

#[test]
fn what_only_the_simulator_can_do_is_said_with_its_place() {
    let refused = |text: &str| {
        let source = source(text);
        let refused = plan(&source).needs_simulator()?;
        Some(crate::experiment::testing::render(&source.refused(&refused)))
    };
    assert_eq!(refused(GOOD), None);
    assert_eq!(refused(&(GOOD.to_owned() + "[service]\nreceive = \"5us\"\n")), None);
    let network = "[network]\nloss = 0.1\nuplink_mbit_per_s = 10\nreordering = \"1ms\"\n";
    assert_eq!(refused(&(GOOD.to_owned() + network)), None, "live links do all that, too");
    let pause = with_fault(&with_a_leader(), "pause = \"leader\"").text;
    assert_eq!(refused(&pause), None, "live replicas have all faults");
    let torn = "restart_after = \"2s\"\nunsynced = \"torn\"";
    let said = refused(&GOOD.replace("restart_after = \"2s\"", torn)).unwrap();
    let phrases =
        ["the live backend cannot", "what is left of records", ":36:12", "`--backend sim`"];
    for phrase in phrases {
        assert!(said.contains(phrase), "{phrase:?} is missing in:\n{said}");
    }
}

#[test]
fn what_work_costs_and_what_links_do_is_told() {
    let text = "[service]\nreceive = \"5us\"\nsync = \"1ms\"\n[network]\n\
        bandwidth_mbit_per_s = 10.0\nuplink_mbit_per_s = 2.5\nloss = 0.01\nreordering = \"1ms\"\n\
        queue_bytes = 3000\nloss_burst = 2.5\n";
    let Point { sim, network, .. } = point(&source(&(GOOD.to_owned() + text)));
    assert_eq!((sim.service.receive, sim.service.send), (Span::from_micros(5), Span::ZERO));
    assert_eq!(sim.service.sync, Span::from_millis(1));
    let expected = Conditions {
        bandwidth_bits_per_s: Some(10_000_000),
        queue_bytes_max: Some(3_000),
        loss: 0.01,
        loss_burst: 2.5,
        reordering: Span::from_millis(1),
        ..Conditions::default()
    };
    assert_eq!((network.conditions, network.uplink_bits_per_s), (expected, Some(2_500_000)));
    let plain = point(&source(GOOD));
    assert_eq!((plain.sim.service, plain.network), (Service::default(), Network::default()));
}

#[test]
fn simulated_connections_are_those_of_the_transport() {
    let connection =
        |keys: &str| point(&source(&format!("{GOOD}\n[transport]\n{keys}\n"))).sim.connection;
    let usual = Connection {
        is_ordered: true,
        window_bytes: 64 << 20,
        idle_timeout: Span::from_millis(10_000),
    };
    assert_eq!(connection(""), Some(usual));
    assert_eq!(connection("protocol = \"tcp\""), Some(usual));
    let apart = connection("streams = \"per-message\"\nidle_timeout = \"3s\"");
    let idle_timeout = Span::from_millis(3_000);
    assert_eq!(apart, Some(Connection { is_ordered: false, idle_timeout, ..usual }));
    assert_eq!(connection("streams = \"datagrams\""), None);
}

#[test]
fn delays_that_vary_are_remembered_for_a_second_unless_told_otherwise() {
    let jitter = |more: &str| {
        let text =
            GOOD.replace("[topology]\n", &format!("[topology]\njitter = \"profile\"\n{more}"));
        assert_ne!(text, GOOD);
        point(&source(&text))
    };
    assert!(jitter("").links.vary() && !point(&source(GOOD)).links.vary());
    assert_eq!(jitter("").network.correlation, Span::from_millis(1_000));
    assert_eq!(jitter("correlation = \"0s\"\n").network.correlation, Span::ZERO);
    assert_eq!(jitter("correlation = \"5ms\"\n").network.correlation, Span::from_millis(5));
}

#[test]
fn a_correlation_of_delays_that_never_vary_is_refused() {
    let text = GOOD.replace("[topology]\n", "[topology]\ncorrelation = \"5s\"\n");
    check_text(&source(&text), &["no delay varies", ":7:15", "jitter = \"profile\""]);
    // It counts at one point of the sweep.
    let swept = text.clone() + "[sweep]\ntopology.jitter = [\"none\", \"profile\"]\n";
    let varies: Vec<bool> =
        plan(&source(&swept)).points.iter().map(|point| point.links.vary()).collect();
    assert_eq!(varies, [false, true]);
    let swept = text + "[sweep]\nworkload.reads = [0.0, 0.5]\n";
    assert!(Plan::from_source(&source(&swept), Size::default()).is_err());
}

#[test]
fn a_probe_is_what_the_file_says_and_may_be_swept() {
    assert_eq!(point(&source(GOOD)).probe, Probe::default());
    let text =
        "[probe]\ntolerance = \"1ms\"\ntolerance_share = 0.05\ntime = \"500ms\"\nattempts = 3\n";
    let probe = point(&source(&(GOOD.to_owned() + text))).probe;
    let (tolerance, time) = (Span::from_millis(1), Span::from_millis(500));
    assert_eq!(probe, Probe { tolerance, tolerance_share: 0.05, time, attempts: 3 });
    // Five hundredths of 10 ms are less than the tolerance, of 100 ms more.
    assert_eq!(probe.tolerance_of(Span::from_millis(10)), tolerance);
    assert_eq!(probe.tolerance_of(Span::from_millis(100)), Span::from_millis(5));
    let swept = "[sweep]\nprobe.tolerance = [\"1ms\", \"2ms\"]\n";
    let plan = plan(&source(&(GOOD.to_owned() + swept)));
    let found: Vec<Span> = plan.points.iter().map(|point| point.probe.tolerance).collect();
    assert_eq!(found, [1, 2].map(Span::from_millis));
}

#[test]
fn a_probe_that_measures_or_allows_nothing_is_refused() {
    let probe = |line: &str| source(&(GOOD.to_owned() + "[probe]\n" + line));
    check_text(&probe("tolerance = \"0s\""), &["`probe.tolerance` is zero", ":37:13", "be off by"]);
    check_text(&probe("time = \"0s\""), &["`probe.time` is zero", ":37:8"]);
    check_text(&probe("attempts = 0"), &["`probe.attempts` is zero", ":37:12"]);
    let share = &["`probe.tolerance_share = 2` is no share", ":37:19", "to 1, all"];
    check_text(&probe("tolerance_share = 2"), share);
    check_text(&probe("tolerance = 300"), &[":37:13"]);
    check_text(&probe("patience = \"1s\""), &["unknown", "patience", ":37:1"]);
}

#[test]
fn a_network_that_cannot_be_is_refused() {
    let network = |line: &str| source(&(GOOD.to_owned() + "[network]\n" + line));
    check_text(&network("loss = 2"), &["`network.loss = 2` is no share", ":37:8"]);
    check_text(&network("duplication = -0.5"), &["`network.duplication = -0.5`", ":37:15"]);
    for figure in ["0.0", "-3.0", "inf", "nan", "0.0000001"] {
        check_text(
            &network(&format!("bandwidth_mbit_per_s = {figure}")),
            &["is no bandwidth", ":37:24"],
        );
    }
    for burst in ["0.5", "-1.0", "inf", "nan"] {
        let text = network(&format!("loss = 0.1\nloss_burst = {burst}"));
        check_text(&text, &["is no length of a burst", ":38:14", "at least 1"]);
    }
    check_text(&network("loss_burst = 3"), &["nothing is lost", ":37:14", "add `loss`"]);
    check_text(&network("queue_bytes = 3"), &["nothing waits", ":37:15", "bandwidth_mbit_per_s"]);
    check_text(&network("latency = 3"), &["unknown key `latency`", "bandwidth_mbit_per_s"]);
    let service = source(&(GOOD.to_owned() + "[service]\nsync = 3\n"));
    check_text(&service, &["integer `3` does not fit here", ":37:8", "in quotes"]);
}

#[test]
fn replicas_without_names_are_numbered_where_names_are_free() {
    let text = on_a_lan("NAMES").text.replace("[\"NAMES\"]", "{ count = 5 }");
    let text = text.replace("[NAMES]", "{ count = 5 }").replace("us-west-2", "r3");
    let text = text.replace("eu-west-1", "r2").replace("\"here\"", "\"r3\", \"here\"");
    let found = point(&source(&text));
    assert_eq!(found.links.replica_regions, ["r0", "r1", "r2", "r3", "r4"]);
    let flex = &found.variants[1];
    assert_eq!(flex.mode, Mode::multi(NodeId(3)));
    // The client r3 is beside its leader, and the other one is as far from it as anybody.
    assert_eq!(flex.floors, [200, 400].map(|us| Floor::constant(Span::from_micros(us))));

    let none = text.replace("count = 5 }", "count = 0 }");
    check_text(&source(&none), &["`topology.replicas.count` is zero", ":8:22"]);
    let many = text.replace("count = 5 }", "count = 65 }");
    check_text(&source(&many), &["65 replicas are more than the 64", ":8:22"]);
    let wrong = text.replace("{ count = 5 }", "{ number = 5 }");
    check_text(&source(&wrong), &["unknown key `number`", ":8:14", "known keys here: count"]);
    let wrong = text.replace("{ count = 5 }", "5");
    check_text(&source(&wrong), &["does not fit here", ":8:12", "`{ count = 5 }`"]);
    check(
        "[\"us-east-1\", \"us-west-2\", \"eu-west-1\", \"ap-northeast-1\", \"ap-southeast-2\"]",
        "{ count = 5 }",
        &["5 replicas have no regions", ":8:22", "profile aws-2025-07", "list their regions"],
    );
}

#[test]
fn the_dual_of_phase_two_is_the_largest_safe_family() {
    let dual = |phase2: usize| {
        spoil("{ majority = {} }", &format!("{{ dual = {{ phase2 = {phase2} }} }}"))
    };
    for phase2 in 1..=5 {
        let system = point(&dual(phase2)).variants[0].quorums.clone();
        assert_eq!(system, QuorumSystem::counts(5, 6 - phase2, phase2).unwrap());
        assert!(system.disjoint().is_none());
        // One fewer in phase 1, and it is not safe any more.
        let smaller = QuorumSystem::counts(5, 5 - phase2, phase2);
        assert!(smaller.is_ok_and(|system| system.disjoint().is_some()) || phase2 == 5);
    }
    check_text(&dual(0), &["phase2 = 0", ":25:31"]);
    check_text(&dual(6), &["phase2 = 6", ":25:31", "1 to 5"]);
    check("{ majority = {} }", "\"dual\"", &["write `{ dual = { phase2 = … } }`"]);
}

#[test]
fn every_experiment_that_ships_has_a_plan_and_a_small_one() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut names = BTreeSet::new();
    let folders = [folder.clone(), folder.join("scenarios")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let source = Source::read(&path).unwrap();
        let whole = plan(&source);
        let small = Plan::from_source(&source, Size { is_smoke: true, trials: None }).unwrap();
        assert!(!whole.trials.is_empty() && !small.trials.is_empty(), "{}", source.name());
        assert!(small.expected_time() < whole.expected_time(), "{}", source.name());
        names.insert(source.name());
    }
    for name in ["quickstart", "lan", "commit-path", "paper-fig-n8"] {
        assert!(names.contains(name), "{name} is gone");
    }
}

#[test]
fn the_quickstart_takes_less_than_a_minute_and_a_half_and_has_no_rival_proposers() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let plan = plan(&Source::read(&folder.join("quickstart.toml")).unwrap());
    let point = &plan.points[0];
    let drains = point.drain.times(plan.trials.len() as u64);
    assert!(plan.expected_time() + drains < Span::from_millis(90_000));
    let clients = point.links.client_regions.len();
    let proposers: BTreeSet<NodeId> =
        (0..clients).map(|client| topology::nearest_replica(&point.links, client)).collect();
    assert_eq!(proposers.len(), 1);
}

#[test]
fn the_published_figure_is_swept_over_every_phase_two_quorum_up_to_a_majority() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let source = Source::read(&folder.join("paper-fig-n8.toml")).unwrap();
    let (mut sizes, mut others) = (BTreeSet::new(), BTreeSet::new());
    for point in plan(&source).points {
        let [all, quorum] = point.variants.as_slice() else { panic!("{point:?}") };
        assert_eq!((all.send, quorum.send), (SendPolicy::All, SendPolicy::Quorum));
        assert_eq!((&all.quorums, &all.floors), (&quorum.quorums, &quorum.floors));
        let n = point.links.replica_regions.len();
        let q2 = all.quorums.phase2().min_size();
        assert_eq!(all.quorums.phase1().min_size() + q2, n + 1);
        let floor = if q2 == 1 { Span::ZERO } else { Span::from_millis(20) };
        assert_eq!(all.floors, [Floor::constant(floor)], "{}", point.label);
        let network = point.network;
        let of_links = network.conditions.bandwidth_bits_per_s;
        assert_eq!(of_links.xor(network.uplink_bits_per_s), Some(10_000_000));
        // Ten outstanding as published; and arrivals that no answer starts, at several rates.
        let is_new = match point.workload.arrival {
            Arrival::Closed { clients: 10 } => sizes.insert((of_links.is_some(), n, q2)),
            arrival => others.insert(format!("{} {n} {q2} {arrival:?}", of_links.is_some())),
        };
        assert!(is_new, "{}", point.label);
    }
    assert!(others.iter().filter(|point| point.contains("Poisson")).count() > 6, "{others:?}");
    let majority = |n: usize| QuorumSystem::majority(n).phase1().min_size();
    let sizes_of = |of_links: bool| {
        (3..=10).flat_map(move |n| (1..=majority(n)).map(move |q2| (of_links, n, q2)))
    };
    assert_eq!(sizes, sizes_of(true).chain(sizes_of(false)).collect());
}

#[test]
fn the_timeline_has_the_intervals_that_the_file_asks_for() {
    assert_eq!(point(&source(GOOD)).interval, Span::from_millis(1_000));
    let typed = |interval: &str| {
        source(&GOOD.replace("duration =", &format!("interval = \"{interval}\"\nduration =")))
    };
    assert_eq!(point(&typed("100ms")).interval, Span::from_millis(100));
    for strange in ["0s", "9ms", "2m"] {
        let words = format!("`workload.interval = \"{strange}\"` is no interval");
        check_text(&typed(strange), &[&words, "from 10 ms to 1 min"]);
    }
}

#[test]
fn links_are_as_precise_as_the_file_says() {
    let text = |section: &str| source(&(GOOD.to_owned() + section));
    assert_eq!(point(&text("")).precision, Precision::default());
    let section = "[emulation]\nspin = \"20us\"\nrealtime = false\nquantum = \"0us\"\n";
    let (spin, quantum) = (Span::from_micros(20), Span::ZERO);
    let asked = Precision { spin, realtime: false, awake: true, quantum };
    assert_eq!(point(&text(section)).precision, asked);
    check_text(
        &text("[emulation]\nquantum = \"300us\"\n"),
        &["`emulation.quantum = \"300us\"` is more than 256 us", ":37:11", "300 us late"],
    );
    let swept = plan(&text("[sweep]\nemulation.spin = [\"0us\", \"1ms\"]\n"));
    let spins: Vec<Span> = swept.points.iter().map(|point| point.precision.spin).collect();
    assert_eq!(spins, [Span::ZERO, Span::from_millis(1)]);
    check_text(
        &text("[emulation]\nspin = \"2ms\"\n"),
        &["`emulation.spin = \"2ms\"` is more than a millisecond", ":37:8", "from the members"],
    );
    check_text(&text("[emulation]\nspins = \"2us\"\n"), &["unknown key `spins`", "`spin`"]);
}

#[test]
fn a_calibration_says_what_work_costs_only_where_the_file_does_not() {
    let [receive, send, sync, mebibyte, checkpoint] = [3, 2, 1, 4, 5].map(Span);
    let service = Service { receive, send, sync, mebibyte, checkpoint };
    let mut silent = plan(&source(GOOD));
    assert!(silent.wants_service());
    let work = Work { alone: service, shared: None };
    silent.use_service(&work, ServiceSource::CalibrationFile("machine.json".into())).unwrap();
    assert_eq!(silent.points[0].sim.service, service);
    assert_eq!(silent.service_source.file(), Some("machine.json"));

    let mut own = plan(&source(&(GOOD.to_owned() + "[service]\nsync = \"1ms\"\n")));
    assert!(!own.wants_service());
    own.use_service(&work, ServiceSource::CalibrationFile("machine.json".into())).unwrap();
    assert_eq!(own.points[0].sim.service.sync, Span::from_millis(1));
    assert_eq!(own.points[0].sim.service.receive, Span::ZERO);
}

const HOST: &str = "[host]\ncores = 2\none_disk = true\n";

#[test]
fn a_shared_machine_costs_what_calibration_or_file_says() {
    let [alone, together] = [3, 1].map(|ns| Service { receive: Span(ns), ..Service::default() });
    let costs = Costs { wake_up: Span(7), packet: Span(8), sync: Span(9), slice: Span(10) };
    let work = Work { alone, shared: Some(Shared { service: together, costs }) };
    let used = |text: String| {
        let mut plan = plan(&source(&text));
        plan.use_service(&work, ServiceSource::RunCalibration).unwrap();
        plan.points[0].sim
    };
    assert_eq!(used(GOOD.to_owned()).service, alone);
    let shared = used(GOOD.to_owned() + HOST);
    let host = Host { cores: 2, costs, one_disk: true };
    assert_eq!((shared.service, shared.host), (together, Some(host)));
    let typed = used(GOOD.to_owned() + HOST + "packet = \"5us\"\n");
    let packet = Span::from_micros(5);
    assert_eq!(typed.host.unwrap().costs, Costs { packet, ..Costs::default() });
    let own = used(GOOD.to_owned() + HOST + "[service]\nsend = \"4us\"\n");
    assert_eq!(own.host.unwrap().costs, Costs::default());
    let mut unmeasured = plan(&source(&(GOOD.to_owned() + HOST)));
    let nothing = Work { alone, shared: None };
    assert_eq!(unmeasured.use_service(&nothing, ServiceSource::RunCalibration), Err(NotMeasured));
    assert_eq!(unmeasured.points[0].sim.service, Service::default());
}

#[test]
fn a_shared_machine_has_processors_and_costs_something() {
    check_added("[host]\n", &["`cores`"]);
    check_added("[host]\ncores = 0\n", &["`host.cores` is zero"]);
    check_added("[host]\ncores = 1\nwakeup = \"2us\"\n", &["unknown key `wakeup`"]);
    let free = "[host]\ncores = 2\n[service]\nreceive = \"0s\"\n";
    check_added(free, &["`host` has no effect", "no work takes processor time"]);
    for (key, value) in [("one_disk", "true"), ("sync", "\"70us\"")] {
        let host = format!("[host]\ncores = 2\nwake_up = \"3us\"\n{key} = {value}\n");
        let memory =
            source(&format!("{GOOD}\n{host}").replace("mode = \"fsync\"", "mode = \"memory\""));
        check_text(&memory, &[&format!("`host.{key}` has no effect"), "nothing is synced"]);
    }
}

#[test]
fn what_compares_clocks_needs_a_bound_and_makes_sense() {
    let leader = "leader = \"us-west-2\"";
    let with = |more: &str| spoil(leader, &format!("{leader}, {more}")).text;
    let clock = "[clock]\nbound = \"5ms\"\n";
    let snapshot = |more: &str| with(&format!("reads = {{ snapshot = {{ {more} }} }}"));
    let stale = snapshot("staleness = \"100ms\"");
    for unbounded in [&with("commit_wait = true"), &stale] {
        check_text(&source(unbounded), &["bound of the error of clocks", "add `[clock]`"]);
    }
    let refused =
        |text: &str, phrases: &[&str]| check_text(&source(&format!("{text}\n{clock}")), phrases);
    let lease = "reads = { leader-lease = { length = \"4s\" } }, commit_wait = true";
    refused(&with(lease), &["wait for no commit timestamp", "leave `commit_wait` out"]);
    refused(&snapshot("staleness = \"61s\""), &["61 s", "lower `staleness`"]);
    for advance in ["0s", "1s"] {
        let text = snapshot(&format!("staleness = \"0s\", advance = \"{advance}\""));
        refused(&text, &["is not between", "choose `advance`"]);
    }
    refused(GOOD, &["nobody looks at a clock", "commit_wait"]);
    refused(&with("commit_wait = false"), &["nobody looks at a clock"]);
    let point = point(&source(&format!("{stale}\n{clock}")));
    let variant = point.variants.iter().find(|variant| variant.mode.snapshot().is_some()).unwrap();
    assert_eq!(variant.mode.may_miss(), Span::from_millis(100 + 10 + 1));
    assert!(
        variant.read_floors.iter().zip(&variant.floors).all(|(read, write)| read.p50 < write.p50)
    );
}

#[test]
fn a_way_of_reading_where_nobody_reads_is_refused() {
    let leader = "leader = \"us-west-2\"";
    let quorum = format!("{leader}, reads = \"quorum\"");
    let reading = spoil(leader, &quorum).text;
    let idle = source(&reading.replace("reads = 0.5", "reads = 0.0"));
    check_text(&idle, &["no operation reads", "`workload.reads`", "above 0"]);
    check(
        leader,
        &format!("{leader}, reads = \"lease\""),
        &["allowed: log, quorum, leader-lease, responders"],
    );
    let point = point(&source(&reading));
    let variant = point.variants.iter().find(|variant| variant.mode.reads_nearby()).unwrap();
    assert_ne!(variant.read_floors, variant.floors);
    let others = point.variants.iter().filter(|variant| !variant.mode.reads_nearby());
    assert!(others.into_iter().all(|variant| variant.read_floors == variant.floors));
}

/// The good file with reads that these responders answer, which hold leases for so long.
fn with_responders(at: &str, length: &str) -> String {
    let leader = "leader = \"us-west-2\"";
    let reads = format!("reads = {{ responders = {{ at = [{at}], length = \"{length}\" }} }}");
    let text = spoil(leader, &format!("{leader}, {reads}")).text;
    text.replace("reads = 0.0", "reads = 0.5") + "\n[clock]\nbound = \"1ms\"\n"
}

#[test]
fn responders_are_planned_with_floors_of_both_kinds() {
    let point = point(&source(&with_responders("\"us-west-2\", \"r2\"", "2s")));
    let is_it = |variant: &&Variant| variant.mode.responders().is_some();
    let variant = point.variants.iter().find(is_it).unwrap();
    let (west, europe) = (NodeId(1), NodeId(2));
    assert_eq!(variant.mode.responders(), Some([west, europe].into_iter().collect()));
    assert_eq!(variant.mode.clock_bound(), Some(Span::from_millis(1)));
    // The client in eu-west-1 stands beside a responder, and every write waits for that one.
    let to = |from, to| point.links.round_trip(Site::Replica(from), Site::Replica(to));
    assert!(variant.read_floors[1].p50 < Span::from_millis(2), "{:?}", variant.read_floors);
    assert!(variant.floors.iter().all(|floor| floor.p50 >= to(west, europe)));
}

/// The good file, with reads that responders of these ranges answer.
fn with_ranges(typed: &str) -> String {
    let whole = with_responders("\"us-west-2\"", "2s");
    whole.replace("at = [\"us-west-2\"], length", &format!("{typed}, length"))
}

#[test]
fn ranges_of_keys_have_responders_and_floors_of_their_own() {
    let ranges = "ranges = [{ keys = [600, 799], at = [\"eu-west-1\"] }, { keys = [0, 599], at = [\"us-west-2\"] }]";
    let point = point(&source(&with_ranges(ranges)));
    let variant = point.variants.iter().find(|it| it.mode.responders().is_some()).unwrap();
    let (west, europe) = (NodeId(1), NodeId(2));
    let at = variant.mode.assignment().unwrap();
    let found = [0, 599, 600, 799, 800].map(|key| at.of(key));
    let [one, other] = [west, europe].map(NodeSet::only);
    assert_eq!(found, [one, one, other, other, NodeSet::EMPTY]);
    let keys = point.workload.key_space(0, 2);
    let shares: Vec<f64> =
        crate::deployment::by_key(variant.mode, &keys).iter().map(|(_, share)| *share).collect();
    let expected = [0.6, 0.2, 0.2];
    assert!(shares.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-9), "{keys:?}");
    // More than half of the writes wait for the leader alone, and one in five for Europe.
    let to = |from, to| point.links.round_trip(Site::Replica(from), Site::Replica(to));
    let (links, quorums) = (&point.links, &variant.quorums);
    let memory = point.network.correlation;
    let alone = topology::floors(links, Mode::multi(west), quorums, variant.send, memory);
    for (floor, alone) in variant.floors.iter().zip(alone) {
        assert_eq!(floor.p50, alone.p50);
        assert!(floor.p99 >= to(west, europe), "{floor:?}");
    }
    // Most reads go to the leader and back.
    let client = &point.links.client_regions;
    let way = |client| point.links.round_trip(Site::Client(client), Site::Replica(west));
    for (index, floor) in variant.read_floors.iter().enumerate() {
        assert!(floor.p50 <= way(index), "{client:?} {floor:?}");
    }
}

type Floors = fn(&Links, Mode, &QuorumSystem, SendPolicy, Span) -> Vec<Floor>;

/// Each client region has keys of its own, with a responder in that region; the shared key has none.
#[test]
fn floors_of_ranges_are_those_of_the_keys_of_each_region() {
    let ranges = "ranges = [{ keys = [1, 1000], at = [\"us-east-1\"] }, { keys = [1001, 2000], at = [\"eu-west-1\"] }]";
    let planned = |share: &str| {
        let typed = format!("reads = 0.5\nconflicts = {share}");
        point(&source(&with_ranges(ranges).replace("reads = 0.5", &typed)))
    };
    let is_it = |variant: &&Variant| variant.mode.responders().is_some();
    let shared = planned("0.25");
    let variant = shared.variants.iter().find(is_it).unwrap();
    let (links, quorums, memory) = (&shared.links, &variant.quorums, shared.network.correlation);
    let alone =
        |of: Floors, key| of(links, variant.mode.at_key(key), quorums, variant.send, memory);
    let own_keys = [1, 1_001];
    for (client, key) in own_keys.into_iter().enumerate() {
        let kinds: [(Floors, &[Floor]); 2] =
            [(topology::floors, &variant.floors), (topology::read_floors, &variant.read_floors)];
        for (of, found) in kinds {
            let [own, common] = [key, 0].map(|key| alone(of, key)[client].p50);
            // Three operations in four touch own keys, and delays are constant.
            let expected = Floor { p50: own, p99: own.max(common) };
            assert_eq!(found[client], expected);
        }
        // A region reads its own keys from the replica in it.
        assert!(variant.read_floors[client].p50 < Span::from_millis(2));
        assert!(variant.read_floors[client].p99 > Span::from_millis(20));
    }
    let none = planned("0.0");
    let variant = none.variants.iter().find(is_it).unwrap();
    for (client, key) in own_keys.into_iter().enumerate() {
        assert_eq!(variant.read_floors[client], alone(topology::read_floors, key)[client]);
    }
}

#[test]
fn ranges_end_with_the_keys_of_the_last_region() {
    let refuse = |last: u64, phrases: &[&str]| {
        let ranges = format!("ranges = [{{ keys = [0, {last}], at = [\"us-west-2\"] }}]");
        let text = with_ranges(&ranges).replace("reads = 0.5", "reads = 0.5\nconflicts = 0.1");
        if phrases.is_empty() {
            let _ = point(&source(&text));
        } else {
            check_text(&source(&text), phrases);
        }
    };
    refuse(2_000, &[]);
    let own = "key 0 is shared, and then each of the 2 client regions has 1000 of its own";
    refuse(2_001, &["there is no key 2001", "the keys are 0 to 2000", own]);
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    let refuse = |typed: &str, phrases: &[&str]| check_text(&source(&with_ranges(typed)), phrases);
    let range =
        |first: u64, last: u64, at: &str| format!("{{ keys = [{first}, {last}], at = [{at}] }}");
    let ranges = |typed: &[String]| format!("ranges = [{}]", typed.join(", "));
    let west = "\"us-west-2\"";
    let good = ranges(&[range(0, 9, west)]);
    refuse(&format!("at = [{west}], {good}"), &["exactly one of `at` and `ranges`"]);
    let neither = with_ranges("X").replace("X, ", "");
    check_text(&source(&neither), &["exactly one of `at` and `ranges`"]);
    refuse("ranges = []", &["`ranges` has no item"]);
    refuse(&ranges(&[range(9, 8, west)]), &["no key is from 9 to 8", "keys = [0, 499]"]);
    let twice = [range(5, 9, west), range(0, 6, west)];
    refuse(&ranges(&twice), &["key 5 is in an earlier range too"]);
    refuse(&ranges(&[range(0, 9, "\"mars-1\"")]), &["mars-1"]);
    refuse(&ranges(&[range(0, 9, "")]), &["`at` has no item"]);
    let three = ranges(&[range(0, 9, west)]).replace("[0, 9]", "[0, 5, 9]");
    refuse(&three, &["its first and its last key"]);
    refuse(&ranges(&[range(0, 1_000, west)]), &["there is no key 1000", "are 0 to 999"]);
    let many: Vec<String> = (0..5).map(|key| range(key, key, west)).collect();
    refuse(&ranges(&many), &["5 ranges of keys", "at most 4"]);
}

#[test]
fn responders_that_cannot_respond_are_refused() {
    let refuse = |at: &str, length: &str, phrases: &[&str]| {
        check_text(&source(&with_responders(at, length)), phrases);
    };
    refuse("", "2s", &["`at`"]);
    refuse("\"mars-1\"", "2s", &["mars-1"]);
    refuse("\"us-west-2\"", "300ms", &["over before the next one comes", "longer than"]);
    let text = with_responders("\"us-west-2\"", "2s");
    check_text(&source(&text.replace("[clock]\nbound = \"1ms\"\n", "")), &["`[clock]`", "bound"]);
    for (role, words) in [("witnesses", "2 is a witness,"), ("observers", "2 is an observer,")] {
        let text = with_responders("\"us-west-2\", \"ap-southeast-2\"", "2s");
        let with_role = text.replace(
            "length = \"2s\" } } } }",
            &format!("length = \"2s\" }} }} }} }}\n{role} = [\"ap-southeast-2\"]"),
        );
        check_text(&source(&with_role), &["ap-southeast-2", words, "leave it out of `at`"]);
    }
}

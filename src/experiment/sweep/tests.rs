use crate::deployment::Durability;
use crate::experiment::plan::{Plan, Point, Size};
use crate::experiment::testing::{GOOD, assert_says, source};
use crate::quorum::QuorumSystem;
use crate::workload::Arrival;

const CLOSED: &str = "{ closed = { clients = 2 } }";
const OPEN: &str = "{ poisson = { rate_per_s = 200 } }";
const RESTART: &str = "restart_after = \"2s\"\n";

/// The good file with these lines at its end; the first of them is line 37.
fn swept(lines: &str) -> String {
    GOOD.to_owned() + lines
}

#[track_caller]
fn check(text: &str, phrases: &[&str]) {
    assert_says(&Plan::from_source(&source(text), Size::default()).unwrap_err(), phrases);
}

fn plan(text: &str) -> Plan {
    match Plan::from_source(&source(text), Size::default()) {
        Ok(plan) => plan,
        Err(error) => panic!("{:?}", miette::Report::new(error)),
    }
}

fn points_of(text: &str) -> Vec<Point> {
    plan(text).points
}

fn labels(text: &str) -> Vec<String> {
    points_of(text).into_iter().map(|point| point.label).collect()
}

#[test]
fn without_a_sweep_there_is_one_point_without_a_name() {
    let points = points_of(GOOD);
    assert_eq!(points.len(), 1);
    assert!(points[0].label.is_empty() && points[0].settings.is_empty());
}

#[test]
fn every_combination_is_a_point_and_the_first_key_varies_slowest() {
    let sweep = "[sweep]\ndurability.mode = [\"memory\", \"fsync\"]\n\
        workload.arrival.closed.clients = [2, 16]\n";
    let text = GOOD.replace(OPEN, CLOSED).replace(RESTART, "") + sweep;
    let expected = [
        "mode=memory clients=2",
        "mode=memory clients=16",
        "mode=fsync clients=2",
        "mode=fsync clients=16",
    ];
    assert_eq!(labels(&text), expected);
    let points = points_of(&text);
    assert_eq!(points[1].workload.arrival, Arrival::Closed { clients: 16 });
    assert_eq!(points[1].durability, Durability::Memory);
    assert_eq!(points[2].durability, Durability::Fsync);
    let settings = [("durability.mode", "memory"), ("workload.arrival.closed.clients", "16")];
    let settings = settings.map(|(path, value)| (path.to_owned(), value.to_owned()));
    assert_eq!(points[1].settings, settings);
}

#[test]
fn a_key_that_the_file_does_not_give_may_be_swept() {
    let text = GOOD.replace("[durability]\nmode = \"fsync\"\n", "").replace(RESTART, "");
    let text = text.replace("keys = { uniform = { count = 1000 } }\n", "");
    let sweep = "[sweep]\ndurability.mode = [\"memory\"]\nworkload.keys.zipf = [{ count = 9, \
        exponent = 1.0 }]\n";
    let points = points_of(&(text + sweep));
    assert_eq!(points[0].label, "mode=memory zipf={ count = 9, exponent = 1.0 }");
    assert_eq!(points[0].durability, Durability::Memory);
}

#[test]
fn a_section_and_a_range_are_written_as_in_the_file() {
    let text = swept("[sweep.workload]\nvalue_bytes = { from = 10, to = 30, step = 10 }\n");
    assert_eq!(labels(&text), ["value_bytes=10", "value_bytes=20", "value_bytes=30"]);
    assert_eq!(points_of(&text)[2].workload.value_bytes, 30);
}

#[test]
fn a_whole_table_or_list_may_be_swept() {
    let text = swept(
        "[sweep]\nworkload.arrival = [{ closed = { clients = 4 } }, { fixed = { rate_per_s = 10 } }]\n",
    );
    let points = points_of(&text);
    assert_eq!(points[0].workload.arrival, Arrival::Closed { clients: 4 });
    assert_eq!(points[1].workload.arrival, Arrival::Fixed { rate_per_s: 10.0 });
    assert_eq!(points[1].label, "arrival={ fixed = { rate_per_s = 10 } }");
    let text =
        swept("[sweep]\ntopology.clients = [[\"us-east-1\"], [\"us-west-2\", \"eu-west-1\"]]");
    let clients = |point: &Point| point.links.client_regions.len();
    assert_eq!(points_of(&text).iter().map(clients).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_value_of_a_variant_is_put_wherever_its_table_is() {
    let points = points_of(&swept("[sweep]\nvariant.quorums.counts.phase2 = [2, 3]\n"));
    let system = |point: &Point, variant: usize| point.variants[variant].quorums.clone();
    // The first variant has majorities, and keeps them.
    assert!(points.iter().all(|point| system(point, 0) == QuorumSystem::majority(5)));
    assert_eq!(system(&points[1], 1), QuorumSystem::counts(5, 4, 3).unwrap());
    assert_eq!(points[1].label, "phase2=3");

    let points = points_of(&swept("[sweep]\nvariant.send = [\"quorum\"]\n"));
    assert!(
        points[0]
            .variants
            .iter()
            .all(|variant| variant.send == crate::protocol::SendPolicy::Quorum)
    );
}

#[test]
fn several_grids_are_united_and_a_point_of_two_grids_runs_once() {
    let text = swept(
        "[[sweep]]\nworkload.value_bytes = [10, 20]\nworkload.reads = [0.0]\n\
         [[sweep]]\nworkload.value_bytes = [20, 30]\nworkload.reads = [0.0]\n",
    );
    let expected =
        ["value_bytes=10 reads=0.0", "value_bytes=20 reads=0.0", "value_bytes=30 reads=0.0"];
    assert_eq!(labels(&text), expected);
}

#[test]
fn a_label_is_as_long_as_it_must_be() {
    let text = GOOD.replace("[\"us-east-1\", \"eu-west-1\"]", "[\"us-east-1\"]");
    let text = text.replace(
        RESTART,
        "restart_after = \"2s\"\n[[fault]]\nat = \"1s\"\n\
        crash = \"eu-west-1\"\n",
    );
    let sweep = "[sweep]\nworkload.duration = [\"8s\"]\nworkload.keys.uniform.count = [5]\n\
        fault.at = [\"2s\"]\n";
    assert_eq!(labels(&(text + sweep)), ["duration=8s count=5 at=2s"]);
    let text = GOOD.replace("{ majority = {} }", "{ counts = { phase1 = 3, phase2 = 3 } }");
    let same = text.replace("{ classic = {} }", "{ multi = { leader = \"best\" } }");
    assert_eq!(labels(&(same + "[sweep]\nvariant.quorums.counts.phase1 = [4]\n")), ["phase1=4"]);
}

#[test]
fn what_is_wrong_with_a_swept_value_is_shown_in_the_sweep() {
    let sweep = |lines: &str| swept(&format!("[sweep]\n{lines}\n"));
    check(
        &sweep("workload.arrival.poisson.rate_per_s = [5, -5]"),
        &["-5 is no rate", "(at rate_per_s=-5)", ":37:43"],
    );
    check(
        &sweep("workload.reads = [\"no\"]"),
        &["string \"no\" does not fit", ":37:19", "a number"],
    );
    check(&sweep("durability.mode = [\"fsync\", \"sync\"]"), &["unknown value `sync`", ":37:29"]);
    check(
        &sweep("topology.clients = [[\"us-east-1\"], [\"mars\"]]"),
        &["mars", ":37:37", "`flexpaxos profiles"],
    );
    check(
        &sweep("variant.protocol.multi.leader = [\"us-west-1\"]"),
        &["the leader us-west-1 is no replica", ":37:34", "did you mean us-west-2?"],
    );
    check(
        &sweep("workload.value_bytes = { from = 1e6, to = 2e6, step = 1e6 }"),
        &["floating point `1000000.0` does not fit here", ":37:24", "a whole number"],
    );
}

#[test]
fn a_conflict_rate_may_be_swept() {
    let conflicts = |text: &str| -> Vec<Option<f64>> {
        points_of(&swept(text)).iter().map(|point| point.workload.conflicts).collect()
    };
    let sweep = "[sweep]\nworkload.conflicts = [0.0, 0.02, 1.0]\n";
    assert_eq!(conflicts(sweep), [Some(0.0), Some(0.02), Some(1.0)]);
    assert_eq!(labels(&swept(sweep)), ["conflicts=0.0", "conflicts=0.02", "conflicts=1.0"]);
    let range = "[sweep]\nworkload.conflicts = { from = 0.0, to = 0.5, step = 0.25 }\n";
    assert_eq!(conflicts(range), [Some(0.0), Some(0.25), Some(0.5)]);
    check(&swept("[sweep]\nworkload.conflicts = [0.1, 1.5]\n"), &["conflicts = 1.5", ":37:28"]);
    let clients = "[sweep]\nworkload.conflicts = [0.1]\n\
        topology.clients = [[\"us-east-1\", \"eu-west-1\"], [\"us-east-1\"]]\n";
    check(&swept(clients), &["needs two client regions", ":37:23", "add a region"]);
}

#[test]
fn what_is_wrong_because_of_the_sweep_names_the_point() {
    check(
        &swept("[sweep]\nvariant.quorums.counts.phase2 = { from = 2, to = 1, step = -1 }\n"),
        &[
            "phase-1 quorum {us-east-1, us-west-2, eu-west-1, ap-northeast-1} and phase-2 quorum \
             {ap-southeast-2} have no replica in common (at phase2=1)",
            ":30:11",
        ],
    );
}

#[test]
fn a_path_that_the_file_cannot_have_is_an_unknown_key() {
    let sweep = |lines: &str| swept(&format!("[sweep]\n{lines}\n"));
    check(
        &sweep("clients = [1, 16]"),
        &["unknown key `clients`", ":37:1", "known keys here: question"],
    );
    check(
        &sweep("durability.mod = [\"fsync\"]"),
        &["unknown key `mod`", ":37:12", "did you mean `mode`?"],
    );
    check(&sweep("workload.arival.closed.clients = [1]"), &["unknown key `arival`", ":37:10"]);
    check(&sweep("variant.sent = [\"all\"]"), &["unknown key `sent`", ":37:9", "`send`?"]);
}

#[test]
fn what_no_variant_or_fault_has_cannot_be_swept() {
    let sweep = |lines: &str| swept(&format!("[sweep]\n{lines}\n"));
    check(
        &sweep("variant.quorums.explicit.phase2 = [[[0]]]"),
        &["no variant has `quorums.explicit`", ":37:17", "write that table there"],
    );
    let calm = GOOD.split("[[fault]]").next().unwrap().to_owned();
    check(&(calm + "[sweep]\nfault.at = [\"1s\"]\n"), &["no fault has been given"]);
}

#[test]
fn a_kind_beside_another_is_refused_in_the_sweep() {
    check(
        &swept("[sweep]\nworkload.arrival.closed.clients = [1, 16]\n"),
        &[
            "the sweep sets `workload.arrival.closed`, but the file has `poisson` there",
            ":37:18",
            "sweep `workload.arrival` as a whole",
        ],
    );
    check(
        &swept("[sweep]\nvariant.quorums.majority = [{}]\n"),
        &["the sweep sets `variant.quorums.majority`, but the file has `counts`", ":37:17"],
    );
}

#[test]
fn a_sweep_without_values_is_refused_at_its_place() {
    let sweep = |lines: &str| swept(&format!("[sweep]\n{lines}"));
    check(&sweep(""), &["the sweep is empty", ":36:1", "`durability.mode ="]);
    check(&sweep("workload.reads = []"), &["`sweep.workload.reads` has no item", ":37:18"]);
    check(&sweep("workload.reads = 0.5"), &["one value, and no list", ":37:18", "`[1, 2, 4]`"]);
    check(&sweep("durability = {}"), &["the sweep is empty"]);
    check(&swept("[[sweep]]\nworkload.reads = [0.5]\n[[sweep]]\n"), &["is empty", ":38:1"]);
    let text = GOOD.replace("[topology]", "sweep = 3\n[topology]");
    check(&text, &["the sweep is no table", ":6:9"]);
}

#[test]
fn a_range_that_makes_no_sense_is_refused_at_its_place() {
    let sweep = |range: &str| swept(&format!("[sweep]\nworkload.value_bytes = {range}\n"));
    check(&sweep("{ from = 5, to = 1 }"), &["from 5 to 1 in steps of 1 never arrives", ":37:24"]);
    check(&sweep("{ from = 1, to = 99999 }"), &["more than 10000 values", ":37:24", "step"]);
    check(&sweep("{ from = 1, till = 9 }"), &["unknown key `till`", ":37:36", "`to`"]);
}

#[test]
fn what_is_of_the_whole_experiment_is_not_swept() {
    check(&swept("[sweep]\nseed = [1, 2]\n"), &["`seed` cannot be swept", ":37:1", "outside"]);
}

#[test]
fn very_many_trials_are_refused_before_they_are_planned() {
    let sweep = "[sweep]\nworkload.value_bytes = { from = 1, to = 10000 }\n\
        workload.keys.uniform.count = { from = 1, to = 10000 }\n";
    check(&swept(sweep), &["these are 400000000 trials, more than 1000000", ":36:1", "`trials`"]);
    let text = GOOD.replace("trials = 2", "trials = 1000000");
    check(&text, &["these are 2000000 trials", ":4:10"]);
}

#[test]
fn a_smoke_run_has_a_sweep_of_its_own_or_the_same() {
    let sweep = "[sweep]\nworkload.reads = [0.0, 0.1, 0.2]\n[smoke]\nduration = \"8s\"\n";
    let labels = |text: &str| {
        let size = Size { is_smoke: true, trials: None };
        let plan = Plan::from_source(&source(text), size).unwrap();
        assert_eq!(plan.points[0].duration, crate::time::Span::from_millis(8_000));
        plan.points.into_iter().map(|point| point.label).collect::<Vec<_>>()
    };
    assert_eq!(labels(&swept(sweep)).len(), 3);
    let own = swept(sweep) + "sweep = { workload.reads = [0.5] }\n";
    assert_eq!(labels(&own), ["reads=0.5"]);
}

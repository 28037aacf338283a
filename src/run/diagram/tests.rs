//! Tests of [`diagram`](super).

use super::*;
use crate::experiment::plan::Size;
use crate::experiment::testing::source;
use crate::paxos::{Message, Replica};
use crate::protocol::Slot;

/// Three replicas, one client, nothing but these changes.
fn refused(changes: &[(&str, &str)], write: u64) -> Error {
    let text = r#"question = "q"
prediction = "p"
[topology]
profile = "uniform:20ms"
replicas = { count = 3 }
clients = ["c"]
[workload]
arrival = { fixed = { rate_per_s = 50 } }
warmup = "0s"
duration = "1s"
drain = "1s"
retry_after = "200ms"
reads = 0.0
[durability]
mode = "fsync"
[network]
loss = 0.0
[election]
mode = "fixed"
[[variant]]
name = "v"
protocol = { multi = { leader = "r0" } }
quorums = { counts = { phase1 = 3, phase2 = 1 } }
"#;
    let text = changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} must occur once");
        text.replace(from, to)
    });
    let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
    diagram(&plan, &plan.trials[0], Write { client: 0, index: write }).unwrap_err()
}

/// Each of these went on for ever.
#[test]
fn a_write_that_is_never_answered_ends_with_the_trial() {
    let region = || "c".to_owned();
    let absent = |count| Error::NoWrite { region: region(), count };
    let unanswered = |index| Error::NoAnswer { region: region(), index };
    assert_eq!(refused(&[], 100_000), absent(50));
    assert_eq!(refused(&[("reads = 0.0", "reads = 1")], 0), absent(0));
    assert_eq!(refused(&[("loss = 0.0", "loss = 1.0")], 0), unanswered(0));
    let memory = [("loss = 0.0", "loss = 1.0"), ("\"fsync\"", "\"memory\"")];
    assert_eq!(refused(&memory, 7), unanswered(7));
    // Nobody can be elected: phase 1 takes all three.
    let fault = "quorums = { counts = { phase1 = 3, phase2 = 1 } }\n[[fault]]\nat = \"500ms\"\n\
                 crash = \"leader\"";
    let nobody = [
        ("\"fixed\"", "\"timeout\""),
        ("quorums = { counts = { phase1 = 3, phase2 = 1 } }", fault),
    ];
    assert_eq!(refused(&nobody, 40), unanswered(40));
}

/// What is kept of one write does not grow with what the others do.
#[test]
fn messages_of_other_slots_are_not_kept() {
    let mut watch =
        Watch::<Replica>::new(Write { client: 0, index: 0 }, Time(0), QuorumSystem::majority(3));
    watch.positions.push(Position::of(Slot(7)));
    let chosen = |first, below| Message::Chosen {
        ballot: crate::protocol::Ballot::default(),
        first: Slot(first),
        below: Slot(below),
    };
    let may = |message| watch.may_concern(&Replica::statement(&message));
    assert!(may(chosen(5, 8)) && !may(chosen(8, 9)));
}

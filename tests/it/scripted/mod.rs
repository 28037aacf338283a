//! Protocol runs as text: each script tells one story of what replicas did, and stays true.
//!
//! A script is a file of blocks: commands, a line `----`, what came of them, an empty line.
//! `UPDATE=1 cargo test` writes what came of them; without it, a difference fails the test.
//! The commands are in `script.rs`; [`world`] is what they act on.

mod clients;
mod script;
mod words;
mod world;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use flexpaxos::quorum::NodeId;
use flexpaxos::{caspaxos, paxos};
use script::{Script, Shown};

const RULE: &str = "----";

/// A script's text: the comments and blocks in their order.
enum Part {
    Comment(String),
    Block { commands: Vec<String>, output: Vec<String> },
}

fn parse(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if line.starts_with('#') {
            parts.push(Part::Comment(line.to_owned()));
            continue;
        }
        let mut commands = vec![line.to_owned()];
        commands.extend(lines.by_ref().take_while(|line| *line != RULE).map(str::to_owned));
        let output = lines.by_ref().take_while(|line| !line.is_empty()).map(str::to_owned);
        parts.push(Part::Block { commands, output: output.collect() });
    }
    parts
}

fn print(parts: &[Part]) -> String {
    let mut text = String::new();
    let mut was_comment = true;
    for part in parts {
        match part {
            Part::Comment(line) => {
                text.push_str(if was_comment { "" } else { "\n" });
                text.push_str(line);
                text.push('\n');
            }
            Part::Block { commands, output } => {
                text.push_str(if was_comment { "" } else { "\n" });
                let rule = RULE.to_owned();
                for line in commands.iter().chain([&rule]).chain(output) {
                    writeln!(text, "{line}").expect("a string grows");
                }
            }
        }
        was_comment = matches!(part, Part::Comment(_));
    }
    text
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scripted")
}

/// Runs a script and compares, or rewrites; gives the world back as it was at the end.
fn run(name: &str) -> Script<paxos::Replica> {
    run_as(name)
}

/// The same with replicas of another protocol.
fn run_as<P: Shown>(name: &str) -> Script<P> {
    let path = folder().join(name.replace('_', "-")).with_extension("txt");
    let before = std::fs::read_to_string(&path).expect("the script exists");
    let mut script = Script::<P>::default();
    let mut parts = parse(&before);
    assert!(matches!(parts.first(), Some(Part::Comment(_))), "{name} does not tell its story");
    for part in &mut parts {
        if let Part::Block { commands, output } = part {
            *output = script.run(commands);
        }
    }
    let after = print(&parts);
    if std::env::var_os("UPDATE").is_some() {
        if before != after {
            std::fs::write(&path, &after).expect("the script can be written");
        }
    } else {
        assert!(before == after, "{}\n{}", path.display(), difference(&before, &after));
    }
    script
}

/// Every line, marked where the two texts differ: common first and last lines are left out.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let same_end = old[same..].iter().rev().zip(new[same..].iter().rev());
    let end = same_end.take_while(|(old, new)| old == new).count();
    let context = same.saturating_sub(3);
    let mut text = format!("differs from line {} on (UPDATE=1 rewrites it):", same + 1);
    let parts = [("  ", &old[context..same]), ("- ", &old[same..old.len() - end])];
    for (mark, lines) in parts.into_iter().chain([("+ ", &new[same..new.len() - end])]) {
        for line in lines {
            write!(text, "\n{mark}{line}").expect("a string grows");
        }
    }
    text
}

/// One test a script; what it did must pass the oracle.
macro_rules! scripts {
    ($($replica:ty: $($name:ident)*;)*) => {
        $($(
            #[test]
            fn $name() {
                run_as::<$replica>(stringify!($name)).assert_correct();
            }
        )*)*

        #[test]
        fn every_script_has_its_test() {
            let mut named: Vec<String> = CONTROLS.map(str::to_owned).into();
            $($(named.push(stringify!($name).replace('_', "-"));)*)*
            named.sort();
            let mut found: Vec<String> = std::fs::read_dir(folder())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
                .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            found.sort();
            assert_eq!(found, named);
        }
    };
}

scripts! {
    paxos::Replica:
    leader_change
    holes_are_filled_with_noops
    hole_in_log
    trimmed_slot_lost_write
    fixed_prefix_thrifty_stall
    majority_elsewhere
    one_vote_is_enough
    phase_one_may_be_the_smaller
    accept_quorum_leader_deposed
    a_refused_candidate_begins_anew
    a_refused_candidate_goes_above_the_promise
    a_refused_leader_goes_above_the_promise
    a_refusing_member_costs_a_ballot_and_no_leader
    a_ballot_without_votes_is_replaced
    a_suspect_that_has_voted_is_asked_again
    announced_quorums_are_forgotten
    a_stale_leader_claims_nothing
    an_elected_leader_finishes_what_was_begun
    who_hears_no_leader_deposes_nobody
    a_leader_that_nobody_answers_resigns
    classic_duel
    classic_adopts_a_rivals_value
    classic_fills_a_dead_proposers_hole
    classic_rivals_that_time_out_back_off
    a_promise_survives_a_crash
    a_vote_survives_a_crash
    crash_between_persist_and_send
    a_late_promise_of_an_older_ballot_is_no_promise
    duplicate_votes_are_one_vote
    equal_ballot_is_voted_again
    restarted_leader_uses_a_new_ballot
    a_reservation_is_durable_before_its_ballot_leaves
    a_lagging_learner_catches_up
    a_restarted_replica_still_teaches
    a_repeated_answer_is_not_asked_after
    retried_request_executes_once
    idle_announcement
    rejoin
    a_dead_replica_holds_no_log_back
    trimmed_slot_is_not_reused
    classic_proposer_learns_that_a_slot_is_trimmed
    a_witness_holds_the_only_copy;
    caspaxos::Replica:
    a_register_takes_one_round_trip
    a_carried_promise_survives_a_crash
    a_register_applies_a_retried_request_once
    rivals_for_a_register_build_on_one_another
    a_command_that_nobody_learned_is_carried;
}

/// Scripts in which something is broken on purpose.
const CONTROLS: [&str; 3] =
    ["unsafe-accepted", "a-driver-that-sends-early-is-caught", "a-driver-without-timers-is-caught"];

/// A negative control of the world: a promise that was told is forgotten.
#[test]
fn a_driver_that_sends_early_is_caught() {
    let script = run("a-driver-that-sends-early-is-caught");
    let violation = script.world().violation.clone();
    assert!(violation.is_some_and(|text| text.contains("r1 told a promise of (2.r0)")));
}

/// An honest driver sends the lost proposals again.
#[test]
fn a_driver_without_timers_is_caught() {
    let script = run("a-driver-without-timers-is-caught");
    assert!(script.world().timers(NodeId(0)).is_empty());
    assert_eq!(script.world().verdict().acknowledged_count, 0);
}

/// The negative control of the oracle: quorums that do not meet choose two values.
#[test]
fn unsafe_accepted() {
    let script = run("unsafe-accepted");
    assert!(script.world().violation.is_some(), "the logs agree");
    assert!(!script.world().verdict().is_valid(), "the oracle saw nothing");
}

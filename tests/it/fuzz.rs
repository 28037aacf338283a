//! Random faults in virtual time: honest replicas keep every property, and each broken rule shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::ops::Range;
use std::process::{Command, Output};

use flexpaxos::fuzz::{Case, Guidance, Limits, Search, run};
use flexpaxos::monitor::Invariant;
use flexpaxos::sabotage::Rule;

/// Seeds for honest replicas, and the most within which a broken rule must show.
const SEEDS: u64 = 200;

/// The seeds that once failed, with their arguments and stories.
const FAILED: &str = include_str!("fuzz/failed-seeds.txt");

fn fuzz(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.arg("fuzz").args(arguments.split_whitespace()).env("NO_COLOR", "1");
    command.output().unwrap()
}

/// What the command says on stdout when it ends with this code.
fn check(arguments: &str, code: i32) -> String {
    let output = fuzz(arguments);
    let (stdout, stderr) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "fuzz {arguments}\n{stdout}{stderr}");
    stdout
}

#[test]
fn honest_replicas_keep_every_property_in_all_fault_mixes() {
    let limits = Limits::default();
    let guidance = Guidance::None;
    let search = Search { seeds: 0..SEEDS, limits, is_to_go_on: true, threads: 2, guidance };
    let found = search.run(&|_| false).unwrap();
    assert_eq!(found.violations, []);
    // There were faults, and the runs are not empty.
    let tally = found.tally;
    assert_eq!(tally.histories, SEEDS);
    assert_eq!(tally.acknowledged, tally.issued);
    assert!(tally.acknowledged > SEEDS * 20, "{tally:?}");
    assert!(tally.slots > tally.acknowledged, "{tally:?}");
    for (name, count) in tally.rows() {
        assert!(count > 0, "no {name} in {SEEDS} seeds");
    }
}

/// That a broken rule shows, first as this; honest replicas of the same seed keep every property.
fn check_control(rule: Rule, property: Invariant) {
    check_control_in(0..SEEDS, rule, property);
}

fn check_control_in(seeds: Range<u64>, rule: Rule, property: Invariant) {
    let limits = Limits { rule: Some(rule), ..Limits::default() };
    let show = |seed| Some((seed, run(&Case::draw(seed, &limits)).violation?));
    let first = seeds.clone().find_map(show);
    let Some((seed, violation)) = first else { panic!("{rule} did not show in {seeds:?}") };
    assert_eq!(violation.invariant, property, "seed {seed}: {violation}");
    assert_eq!(run(&Case::draw(seed, &Limits::default())).violation, None, "seed {seed}");
    // The first seed that shows it is written down.
    let line = format!("--seeds {seed} --break {rule} breaks {property}");
    assert!(FAILED.lines().any(|known| known == line), "not in failed-seeds.txt: {line}");
}

#[test]
fn quorums_that_do_not_meet_choose_twice() {
    check_control(Rule::DisjointQuorums, Invariant::ChosenStaysChosen);
}

#[test]
fn an_acceptor_that_forgets_its_promise_is_caught() {
    check_control(Rule::ForgetsPromise, Invariant::PromisesKept);
}

#[test]
fn an_acceptor_that_forgets_its_vote_is_caught() {
    check_control(Rule::ForgetsVote, Invariant::PromisesKept);
}

#[test]
fn a_proposer_that_uses_a_ballot_of_an_earlier_life_is_caught() {
    check_control(Rule::ForgetsReservation, Invariant::BallotsUnique);
}

#[test]
fn a_proposer_that_asks_before_its_ballot_is_reserved_is_caught() {
    check_control_in(500..501, Rule::AsksBeforeReserving, Invariant::BallotsUnique);
}

#[test]
fn a_leader_that_leads_on_after_a_loss_is_caught() {
    check_control_in(7_291..7_292, Rule::LeadsOnAfterLoss, Invariant::ProposedOnce);
}

#[test]
fn a_proposer_that_ignores_what_is_reported_chooses_twice() {
    check_control(Rule::SkipsAdoption, Invariant::ChosenStaysChosen);
}

#[test]
fn a_leader_that_ignores_announced_quorums_is_caught() {
    // It takes a quorum of its own for a ballot, and one that misses it before anybody has told of it.
    check_control_in(169..175, Rule::IgnoresAnnouncedQuorums, Invariant::ChosenStaysChosen);
}

#[test]
fn a_leader_that_counts_a_promise_in_part_is_caught() {
    check_control(Rule::CountsPartialPromise, Invariant::ChosenStaysChosen);
}

#[test]
fn a_driver_that_does_not_wait_for_the_disk_is_caught() {
    check_control(Rule::SendsBeforePersist, Invariant::PromisesKept);
}

#[test]
fn a_promise_that_keeps_quiet_about_executed_slots_is_caught() {
    check_control(Rule::TrimmedSlotLostWrite, Invariant::ChosenStaysChosen);
}

#[test]
fn a_leader_that_takes_a_trimmed_slot_for_an_empty_one_is_caught() {
    // It shows seldom: somebody must be told to lead between the checkpoints of two others.
    check_control_in(3088..3089, Rule::ReusesTrimmedSlot, Invariant::ChosenStaysChosen);
}

#[test]
fn a_state_that_holds_less_than_it_says_is_caught() {
    check_control(Rule::OverstatesSnapshot, Invariant::Agreement);
}

#[test]
fn a_contacted_subset_that_is_fixed_stalls() {
    check_control(Rule::FixedPrefixThriftyStall, Invariant::Progress);
}

#[test]
fn a_driver_that_forgets_its_timers_stalls() {
    check_control(Rule::ForgetsTimers, Invariant::Progress);
}

#[test]
fn a_leader_that_never_renews_stalls() {
    // An acceptor that it needs has promised a candidate that came to nothing.
    check_control_in(1142..1143, Rule::NeverRenews, Invariant::Progress);
}

#[test]
fn a_register_that_forgets_its_requests_is_caught() {
    check_control(Rule::ForgetsRequest, Invariant::ExactlyOnce);
}

#[test]
fn an_acceptor_that_forgets_a_carried_promise_is_caught() {
    check_control(Rule::ForgetsCarriedPromise, Invariant::PromisesKept);
}

#[test]
fn a_proposer_that_goes_on_from_any_state_is_caught() {
    check_control(Rule::TakesAnyBase, Invariant::ChosenStaysChosen);
}

#[test]
fn a_checkpoint_without_the_used_rounds_is_caught() {
    let seeds = 81..82;
    check_control_in(seeds, Rule::CheckpointForgetsReservation, Invariant::BallotsUnique);
}

#[test]
fn a_witness_that_forgets_its_votes_early_is_caught() {
    check_control_in(225..226, Rule::WitnessForgetsEarly, Invariant::PromisesKept);
    // Without its vote nobody who is up knows what was chosen, and a new leader waits for it.
    check_control_in(638..639, Rule::WitnessForgetsEarly, Invariant::Progress);
}

#[test]
fn a_proposal_that_is_sent_once_stalls() {
    check_control(Rule::HoleInLog, Invariant::Progress);
}

#[test]
fn stamps_that_do_not_rise_are_caught() {
    check_control(Rule::StampsByClockAlone, Invariant::Assertions);
    // Somebody must take a state and lead while the clock of the leader before is ahead.
    check_control_in(1233..1234, Rule::LosesTrimmedStamps, Invariant::Assertions);
}

#[test]
fn a_read_before_its_safe_time_is_caught() {
    check_control(Rule::ReadsBeforeSafeTime, Invariant::Linearizability);
}

#[test]
fn a_stamp_that_has_not_surely_passed_is_caught() {
    check_control(Rule::SkipsCommitWait, Invariant::Linearizability);
    check_control_in(223..224, Rule::ShowsUnpassedStamp, Invariant::Linearizability);
}

#[test]
fn a_session_that_is_not_heeded_is_caught() {
    check_control(Rule::IgnoresSession, Invariant::Linearizability);
}

#[test]
fn a_responder_that_takes_a_shortcut_is_caught() {
    let property = Invariant::Linearizability;
    for rule in [Rule::TellsWithoutResponders, Rule::ForgetsOldRosters, Rule::ReadsDespiteVote] {
        check_control(rule, property);
    }
    check_control(Rule::AnswersForAnyKey, property);
    check_control(Rule::NoClockMargin, property);
    check_control_in(311..312, Rule::IgnoresFreshSlot, property);
    // Somebody must lead who granted nothing, while others did.
    check_control_in(5764..5765, Rule::GrantorsByMajority, property);
}

#[test]
fn every_seed_that_once_failed_does_as_its_line_says() {
    let lines = FAILED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for line in lines {
        count += 1;
        match line.split_once(" breaks ") {
            None => assert!(check(line, 0).ends_with("1 seed, no violation\n"), "{line}"),
            Some((arguments, property)) => {
                let said = check(arguments, 5);
                assert!(said.contains(&format!("VIOLATION {property}: ")), "{line}\n{said}");
                assert!(said.contains(&format!("flexpaxos fuzz {arguments} --trace")), "{said}");
            }
        }
    }
    assert!(count > Rule::ALL.len());
}

#[test]
fn a_failing_seed_is_shrunk_to_its_fewest_faults() {
    let arguments = "--seeds 7 --break forgets-vote --shrink";
    let shrunk = check(arguments, 5);
    let first = shrunk.lines().next().unwrap();
    assert!(first.starts_with("1 of ") && first.contains("operations are enough"), "{first}");
    assert!(shrunk.trim_end().lines().last().unwrap().starts_with("VIOLATION promises-kept"));
    assert_eq!(shrunk, check(arguments, 5));
    let honest = check("--seeds 7 --shrink", 0);
    assert!(honest.contains("no violation") && honest.lines().count() < 60, "{honest}");
    // A search says so of the first seed that failed.
    let found = check("--seeds 7..9 --break forgets-vote", 5);
    assert!(found.contains(&format!("flexpaxos fuzz {arguments}   1 of ")), "{found}");
}

#[test]
fn a_trace_tells_the_whole_run_and_is_the_same_bytes_again() {
    let arguments = "--seeds 17 --break trimmed-slot-lost-write --trace";
    let trace = check(arguments, 5);
    for phrase in ["seed 17: ", "phase 1: ", "LEADS: ", " writes vote slot 0", "CHOSEN "] {
        assert!(trace.contains(phrase), "{phrase:?} is missing in:\n{trace}");
    }
    assert!(trace.trim_end().lines().last().unwrap().starts_with("VIOLATION chosen-stays-chosen"));
    assert_eq!(trace, check(arguments, 5));
}

#[test]
fn counts_are_told_in_all_and_for_a_thousand_histories() {
    let said = check("--seeds 0..4 --protocol classic --replicas 3 --threads 1", 0);
    assert!(said.contains("per 1000 histories") && said.contains("torn tails"), "{said}");
    assert!(said.ends_with("4 seeds, no violation\n"), "{said}");
}

/// A control that shows nothing is no success, and one that can show nothing does not begin.
#[test]
fn a_rule_whose_breaking_shows_nothing_is_refused() {
    let refused = |arguments: &str, phrases: &[&str]| {
        let output = fuzz(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        for phrase in phrases {
            assert!(stderr.contains(phrase), "{phrase:?} is missing in:\n{stderr}");
        }
    };
    let seed = "--seeds 0 --break disjoint-quorums";
    refused(&format!("{seed} --replicas 1"), &["a single replica has one"]);
    let announced = "--seeds 0 --break ignores-announced-quorums";
    refused(&format!("{announced} --protocol classic"), &["classic Paxos announces"]);
    refused("--seeds 0 --protocol caspaxos --break hole-in-log", &["has no such rule"]);
    refused("--seeds 0 --protocol multi --break forgets-request", &["has no such rule"]);
    // The first seed elects nobody with a quorum of its own.
    refused(announced, &["no seed showed it", "more seeds"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |arguments, phrase: &str| {
        let output = fuzz(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(phrase), "{phrase:?} is missing in:\n{stderr}");
    };
    refused("--seeds 0..2 --trace", "--trace is for one seed");
    refused("--seeds 0..2 --break tells-too-soon --protocol classic", "no such rule");
    refused("--seeds 0..2 --break grants-while-led", "check silence");
    check("--seeds 18446744073709551614", 0);
    refused("--seeds 0..2 --shrink", "--shrink is for one seed");
    refused("--seeds 5..5", "is empty");
    refused("--seeds 1 --break honesty", "disjoint-quorums");
    refused("--seeds 1 --replicas 0", "beyond 1 to 16");
    refused("--seeds 1 --trace --threads 2", "--threads");
    refused("--seeds 1 --trace --keep-going", "--keep-going");
}

//! The model checker: what it finds in honest replicas, and in each kind of broken ones.
//!
//! The numbers of states are pinned: a change of the core that changes them is a change of what the
//! core does, and is to be understood before they are written anew.
//! A build without optimisation goes to a smaller depth, and leaves out the dearest controls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::process::{Command, Output};

use flexpaxos::check::{INVARIANTS, Outcome, Search};
use flexpaxos::monitor::Invariant;
use flexpaxos::quorum::{Family, Gate, Line, NodeId, NodeSet, QuorumSystem, Share};
use flexpaxos::registry::{Budgets, Preset};
use flexpaxos::sabotage::Rule;

/// The states of a preset: all of them, and those to a depth.
struct Pinned {
    name: &'static str,
    unique: usize,
    generated: usize,
    depth: usize,
    /// A depth, and the states to there.
    cut: (usize, usize),
}

const fn pinned(
    name: &'static str,
    [unique, generated, depth]: [usize; 3],
    cut: (usize, usize),
) -> Pinned {
    Pinned { name, unique, generated, depth, cut }
}

const PINNED: [Pinned; 43] = [
    pinned("duel", [15_027, 65_193, 23], (10, 2_371)),
    pinned("flexible-four", [21_310, 83_131, 29], (11, 4_116)),
    pinned("flex-3-of-4", [29_373, 103_368, 29], (11, 5_225)),
    pinned("leader-change", [60_176, 262_065, 22], (10, 3_652)),
    pinned("acceptor-crash", [23_913, 87_946, 19], (10, 4_043)),
    pinned("two-writes-crash", [75_389, 247_351, 14], (9, 3_508)),
    pinned("classic-duel", [15_627, 43_809, 33], (13, 2_404)),
    pinned("classic-crowd", [374_489, 2_195_685, 29], (11, 3_061)),
    pinned("thrifty", [260, 719, 12], (12, 260)),
    pinned("lossy", [99_750, 509_196, 19], (7, 4_200)),
    pinned("retry", [24_247, 98_539, 22], (10, 4_678)),
    pinned("trim", [14_598, 75_205, 18], (9, 2_923)),
    pinned("election", [5_606, 20_810, 19], (10, 1_084)),
    pinned("election-crash", [20_928, 62_958, 12], (9, 4_376)),
    pinned("silence", [30_234, 116_066, 22], (8, 4_008)),
    pinned("per-ballot", [87_967, 555_372, 29], (10, 4_994)),
    pinned("snapshot", [249_736, 1_530_814, 24], (8, 1_325)),
    pinned("snapshot-crash", [123_244, 420_303, 12], (8, 5_076)),
    pinned("partial-promise", [2_335, 6_099, 20], (20, 2_335)),
    pinned("refused", [847, 2_455, 14], (14, 847)),
    pinned("hung-member", [81_715, 531_635, 27], (12, 1_696)),
    pinned("settling", [176_423, 892_293, 27], (8, 2_835)),
    pinned("reservation", [20_692, 64_291, 14], (9, 3_028)),
    pinned("checkpoint", [2_186, 7_585, 12], (12, 2_186)),
    pinned("per-ballot-crash", [59_071, 164_076, 11], (8, 2_484)),
    pinned("first-ballot", [1_237, 4_253, 18], (18, 1_237)),
    pinned("lost-slot", [16_330, 68_745, 22], (9, 1_669)),
    pinned("grid", [40_572, 167_480, 26], (11, 5_332)),
    pinned("groups", [14_365, 48_318, 27], (11, 4_787)),
    pinned("weighted", [1_224, 3_129, 17], (11, 862)),
    pinned("expression", [73_004, 318_071, 27], (11, 5_542)),
    pinned("witness", [561_324, 3_514_413, 27], (9, 1_960)),
    pinned("quorum-read", [1_445, 5_809, 12], (12, 1_445)),
    pinned("responder-read", [25, 41, 6], (6, 25)),
    pinned("responder-range", [166, 435, 9], (9, 166)),
    pinned("responder-deposed", [63_676, 411_575, 21], (9, 5_637)),
    pinned("responder-grants", [1_121_920, 5_128_398, 11], (6, 4_907)),
    pinned("stamps", [3_647, 13_207, 21], (21, 3_647)),
    pinned("register-duel", [54_319, 204_465, 24], (9, 3_363)),
    pinned("register-flexible", [238, 444, 15], (15, 238)),
    pinned("register-owner", [81_287, 204_071, 13], (8, 1_777)),
    pinned("register-retry", [21_165, 87_216, 23], (10, 3_707)),
    pinned("register-outside", [1_557, 4_118, 26], (26, 1_557)),
];

fn search(preset: &str) -> Search {
    Search::whole(Preset::named(preset).unwrap().setup)
}

/// Explores a preset as far as this build is made for.
fn check_preset(name: &str) {
    let pinned = PINNED.iter().find(|pinned| pinned.name == name).unwrap();
    let mut search = search(name);
    let is_whole = !cfg!(debug_assertions) || pinned.cut.1 == pinned.unique;
    if !is_whole {
        search.depth = Some(pinned.cut.0);
    }
    let outcome = search.run();
    if let Some((invariant, found)) = outcome.violation() {
        panic!("{name}: {invariant}: {}\n{}", found.how, transcript(&outcome));
    }
    // Linearizability is said of reads beside the log.
    let others = INVARIANTS.len() - 1;
    assert_eq!(outcome.invariants.len(), others + usize::from(search.setup.mode.asks_quorum()));
    if is_whole {
        let Outcome { unique_count, generated_count, depth, .. } = outcome;
        let expected = (pinned.unique, pinned.generated, pinned.depth);
        assert_eq!((unique_count, generated_count, depth), expected, "{name}");
        assert!(outcome.is_lively(), "{name} is idle: {:?}", outcome.covers);
    } else {
        assert_eq!(outcome.unique_count, pinned.cut.1, "{name}");
    }
}

/// The counterexample, a step a line.
fn transcript(outcome: &Outcome) -> String {
    let (_, found) = outcome.violation().unwrap();
    found.steps.join("\n")
}

macro_rules! presets {
    ($($test:ident)*) => {
        $(
            #[test]
            fn $test() {
                check_preset(&stringify!($test).replace('_', "-"));
            }
        )*

        #[test]
        fn every_preset_has_its_test() {
            let tested = [$(stringify!($test).replace('_', "-")),*];
            let known: Vec<&str> = Preset::all().iter().map(|preset| preset.name).collect();
            assert_eq!(tested, known[..]);
        }
    };
}

presets! {
    duel
    flexible_four
    flex_3_of_4
    leader_change
    acceptor_crash
    two_writes_crash
    classic_duel
    classic_crowd
    thrifty
    lossy
    retry
    trim
    election
    election_crash
    silence
    per_ballot
    snapshot
    snapshot_crash
    partial_promise
    refused
    hung_member
    settling
    reservation
    checkpoint
    per_ballot_crash
    first_ballot
    lost_slot
    grid
    groups
    weighted
    expression
    witness
    quorum_read
    responder_read
    responder_range
    responder_deposed
    responder_grants
    stamps
    register_duel
    register_flexible
    register_owner
    register_retry
    register_outside
}

/// A preset with more replicas, each of which may be in any quorum.
fn with_majorities(preset: &str, n: usize) -> Search {
    let mut search = search(preset);
    search.setup.quorums = QuorumSystem::majority(n);
    search
}

/// Those that are looked at stand for all others: as many states, as deep, and the same shortest counterexample.
#[test]
fn interchangeable_replicas_are_looked_at_once() {
    let mut registers = with_majorities("register-duel", 4);
    registers.setup.budgets.timers = 0;
    let deployments = [
        (with_majorities("duel", 4), 2, 9),
        (with_majorities("classic-crowd", 5), 6, 6),
        (with_majorities("acceptor-crash", 5), 2, 6),
        (registers, 2, 8),
        (search("deep-five"), 6, 6),
    ];
    for (mut search, orders, depth) in deployments {
        search.depth = Some(depth);
        let about = search.setup.describe();
        assert_eq!(search.symmetry(), Ok(orders), "{about}");
        let all = search.run();
        assert_eq!(all.symmetric_count, all.unique_count);
        let some = Search { is_symmetric: true, thread_count: 2, ..search }.run();
        assert_eq!((some.symmetric_count, some.depth), (all.unique_count, all.depth), "{about}");
        let looked_at = all.unique_count / orders..all.unique_count;
        assert!(looked_at.contains(&some.unique_count), "{about}: {}", some.unique_count);
        assert!(all.violation().is_none() && some.violation().is_none());
        let seen = |outcome: &Outcome| outcome.covers.clone();
        assert_eq!(seen(&all), seen(&some), "{about}");
    }
}

#[test]
fn interchangeable_replicas_find_a_shortest_counterexample() {
    let controls = [("duel", 4, Rule::SkipsAdoption), ("acceptor-crash", 5, Rule::ForgetsPromise)];
    for (preset, n, rule) in controls {
        let search = Search { rule: Some(rule), ..with_majorities(preset, n) };
        let outcomes =
            [false, true].map(|is_symmetric| Search { is_symmetric, ..search.clone() }.run());
        let shortest = outcomes.each_ref().map(|outcome| {
            let (invariant, found) = outcome.violation().unwrap();
            (invariant, found.steps.len())
        });
        assert_eq!(shortest[0], shortest[1], "{preset}");
        let [all, some] = outcomes.map(|outcome| outcome.unique_count);
        assert!(some < all, "{preset}: {some} of {all}");
    }
}

/// Who asks first has the lower number; each state stands for one in which another client did.
#[test]
fn clients_that_ask_alike_ask_in_one_order() {
    let mut three = search("lossy");
    three.setup.clients = vec![three.setup.clients[0]; 3];
    three.setup.budgets = Budgets { timers: 1, ..Budgets::default() };
    let mut registers = search("register-duel");
    registers.setup.clients = vec![registers.setup.clients[0]; 2];
    registers.setup.budgets = Budgets::default();
    registers.setup.covers = &[];
    // Their replicas may change places as well.
    let mut both = with_majorities("duel", 4);
    both.setup.clients = vec![both.setup.clients[0]; 2];
    for (mut search, orders, depth) in [
        (search("lossy"), 2, 8),
        (search("partial-promise"), 2, 14),
        (three, 6, 12),
        (registers, 4, 9),
        (both, 4, 8),
    ] {
        search.depth = Some(depth);
        let about = search.setup.describe();
        assert_eq!(search.symmetry(), Ok(orders), "{about}");
        let all = search.run();
        let some = Search { is_symmetric: true, thread_count: 2, ..search }.run();
        assert_eq!((some.symmetric_count, some.depth), (all.unique_count, all.depth), "{about}");
        assert!(some.unique_count < all.unique_count * 3 / 4, "{about}: {}", some.unique_count);
        assert!(all.violation().is_none() && some.violation().is_none());
        assert_eq!(all.covers, some.covers, "{about}");
    }
}

#[test]
fn clients_that_ask_alike_find_a_shortest_counterexample() {
    let controls = [
        ("lossy", Rule::HoleInLog),
        ("lossy", Rule::ForgetsTimers),
        ("partial-promise", Rule::CountsPartialPromise),
    ];
    for (preset, rule) in controls {
        let search = Search { rule: Some(rule), ..search(preset) };
        let found = [false, true].map(|is_symmetric| {
            let outcome = Search { is_symmetric, ..search.clone() }.run();
            let (invariant, found) = outcome.violation().unwrap();
            (invariant, found.steps.len())
        });
        assert_eq!(found[0], found[1], "{preset} {rule}");
    }
}

#[test]
fn symmetry_is_refused_where_no_two_replicas_are_interchangeable() {
    let own = ["--symmetry has no effect on duel", "each of its replicas plays a part"];
    check_command(&["duel", "--symmetry"], 2, &own);
    check_command(&["grid", "--symmetry"], 2, &["prefer the nearest"]);
    check_command(&["per-ballot", "--symmetry"], 2, &["each ballot announces"]);
    check_command(&["retry", "--symmetry"], 2, &["after a time-out"]);
    check_command(&["snapshot", "--symmetry"], 2, &["what is forgotten"]);
    let deep = ["deep-five", "--symmetry", "--depth", "5"];
    check_command(&deep, 0, &["states that stand for", "holds so far"]);
}

#[test]
fn two_threads_see_the_same_states() {
    let outcome = Search { thread_count: 2, ..search("partial-promise") }.run();
    assert!(outcome.violation().is_none() && outcome.is_lively());
    assert_eq!((outcome.unique_count, outcome.generated_count), (2_335, 6_099));
}

/// Nearest first holds for all threads together.
#[test]
fn two_threads_find_a_shortest_counterexample() {
    for (preset, rule, length) in
        [("duel", Rule::DisjointQuorums, 5), ("acceptor-crash", Rule::ForgetsVote, 5)]
    {
        let outcome = Search { thread_count: 2, rule: Some(rule), ..search(preset) }.run();
        let (_, found) = outcome.violation().unwrap();
        assert_eq!(found.steps.len(), length, "{preset}: {}", transcript(&outcome));
    }
}

/// Runs a preset with a broken rule, looking at one invariant or at all; gives back how it was found out.
fn find(preset: &str, rule: Rule, only: Option<Invariant>) -> (Invariant, usize, Outcome) {
    let search = Search { rule: Some(rule), only, ..search(preset) };
    let outcome = search.run();
    let (invariant, found) = outcome.violation().expect("the check finds out what is broken");
    let length = found.steps.len();
    (invariant, length, outcome)
}

fn check_found(preset: &str, rule: Rule, invariant: Invariant, length: usize) -> Outcome {
    let (found, found_length, outcome) = find(preset, rule, None);
    assert_eq!((found, found_length), (invariant, length), "{}", transcript(&outcome));
    outcome
}

/// That `invariant` alone finds the rule out too, at this length.
fn check_found_by(preset: &str, rule: Rule, invariant: Invariant, length: usize) {
    let (found, found_length, outcome) = find(preset, rule, Some(invariant));
    assert_eq!((found, found_length), (invariant, length), "{}", transcript(&outcome));
}

#[test]
fn disjoint_quorums_are_found_out() {
    check_found("duel", Rule::DisjointQuorums, Invariant::ChosenStaysChosen, 5);
    check_found("flexible-four", Rule::DisjointQuorums, Invariant::ChosenStaysChosen, 8);
    check_found("flex-3-of-4", Rule::DisjointQuorums, Invariant::ChosenStaysChosen, 8);
    for preset in ["grid", "groups", "weighted", "expression"] {
        let (found, _, _) = find(preset, Rule::DisjointQuorums, None);
        let is_lost = [Invariant::ChosenStaysChosen, Invariant::Agreement].contains(&found);
        assert!(is_lost, "{preset}: {found:?}");
    }
}

/// Parameters that a plan refuses, forced upon replicas that follow the protocol.
#[test]
fn unsafe_systems_of_each_family_are_found_out() {
    let groups = [0b0011, 0b1100].map(NodeSet::from_mask);
    let either = Share { groups: Some(1), members: None };
    let pair = |mask| Family::of_gate(Gate::choose(2, NodeSet::from_mask(mask)), 4);
    let systems = [
        ("grid", QuorumSystem::grid(4, [2, 2], [Line::Row, Line::Row])),
        ("groups", QuorumSystem::groups(4, &groups, [either; 2])),
        ("weighted", QuorumSystem::weighted(&[2, 1, 1], [2, 2])),
        ("expression", QuorumSystem::new(4, pair(0b1100), pair(0b0011))),
    ];
    for (preset, quorums) in systems {
        let only = Some(Invariant::ChosenStaysChosen);
        let mut search = Search { only, ..search(preset) };
        search.setup.quorums = quorums.unwrap();
        assert!(search.run().violation().is_some(), "{preset}");
    }
}

#[test]
fn a_skipped_adoption_is_found_out() {
    let outcome = check_found("duel", Rule::SkipsAdoption, Invariant::ChosenStaysChosen, 9);
    let text = transcript(&outcome);
    let report = "r0 -> r1  phase1b (2.r1) from slot 0, voted slot 0 at (1.r0): x=1\n        \
                  r1 leads: 0 adopted";
    assert!(text.contains(report), "{text}");
    assert!(text.ends_with(
        "r0 keeps vote slot 0 at (2.r1): y=1\n        \
         VIOLATED chosen-stays-chosen: slot 0 was chosen with x=1, and now at (2.r1) with y=1\n        \
         r0 sends r1  phase2b (2.r1) slot 0\n        \
         r0 loses a race"
    ), "{text}");
}

#[test]
fn a_trimmed_slot_is_found_out() {
    check_found("duel", Rule::TrimmedSlotLostWrite, Invariant::ChosenStaysChosen, 10);
    check_found("snapshot", Rule::TrimmedSlotLostWrite, Invariant::ChosenStaysChosen, 5);
}

#[test]
fn a_reused_trimmed_slot_is_found_out() {
    check_found("snapshot", Rule::ReusesTrimmedSlot, Invariant::ChosenStaysChosen, 6);
}

#[test]
fn an_overstated_snapshot_is_found_out() {
    check_found("snapshot", Rule::OverstatesSnapshot, Invariant::SamePrefix, 6);
}

#[test]
fn an_ignored_announcement_is_found_out() {
    check_found("per-ballot", Rule::IgnoresAnnouncedQuorums, Invariant::Agreement, 5);
}

#[test]
fn an_announcement_forgotten_early_is_found_out() {
    check_found("settling", Rule::ForgetsAnnouncedEarly, Invariant::Agreement, 7);
}

#[test]
fn a_ballot_that_is_used_twice_is_found_out() {
    check_found("reservation", Rule::ForgetsReservation, Invariant::BallotsUnique, 4);
}

#[test]
fn a_question_before_its_reservation_is_found_out() {
    check_found("first-ballot", Rule::AsksBeforeReserving, Invariant::BallotsUnique, 2);
}

/// One that heard nothing asks, and one that hears the leader would let it come before that.
#[test]
fn a_pre_vote_while_a_leader_is_heard_is_found_out() {
    check_found("silence", Rule::GrantsWhileLed, Invariant::LeaderHeard, 3);
}

/// r2 takes the value that it votes for as chosen, because a leader vouches for votes at its ballot.
#[test]
fn a_leader_that_leads_on_after_a_loss_is_found_out() {
    check_found("lost-slot", Rule::LeadsOnAfterLoss, Invariant::Agreement, 8);
}

#[test]
fn a_request_that_a_register_forgets_is_found_out() {
    check_found("register-retry", Rule::ForgetsRequest, Invariant::ExactlyOnce, 8);
}

#[test]
fn a_carried_promise_that_is_forgotten_is_found_out() {
    check_found("register-owner", Rule::ForgetsCarriedPromise, Invariant::PromisesKept, 7);
}

#[test]
fn a_register_that_goes_on_from_any_state_is_found_out() {
    if cfg!(debug_assertions) {
        return;
    }
    check_found("register-duel", Rule::TakesAnyBase, Invariant::ChosenStaysChosen, 15);
}

#[test]
fn a_driver_that_forgets_its_timers_is_found_out() {
    check_found("thrifty", Rule::ForgetsTimers, Invariant::Progress, 1);
    check_found("lossy", Rule::ForgetsTimers, Invariant::Progress, 3);
}

#[test]
fn a_leader_that_never_renews_is_found_out() {
    let outcome = check_found("refused", Rule::NeverRenews, Invariant::Progress, 2);
    let (_, found) = outcome.violation().unwrap();
    assert_eq!(found.how, "c0 waits for x=1 for ever");
    let outcome = check_found("hung-member", Rule::NeverRenews, Invariant::Progress, 1);
    let (_, found) = outcome.violation().unwrap();
    assert_eq!(found.how, "c0 waits for x=1 for ever");
}

#[test]
fn a_promise_that_is_counted_in_part_is_found_out() {
    check_found("partial-promise", Rule::CountsPartialPromise, Invariant::ChosenStaysChosen, 9);
}

#[test]
fn a_forgotten_promise_is_found_out() {
    check_found("acceptor-crash", Rule::ForgetsPromise, Invariant::PromisesKept, 2);
}

#[test]
fn a_forgotten_vote_is_found_out() {
    check_found("acceptor-crash", Rule::ForgetsVote, Invariant::PromisesKept, 5);
}

#[test]
fn a_vote_before_its_persist_is_found_out() {
    check_found("acceptor-crash", Rule::SendsBeforePersist, Invariant::PromisesKept, 4);
}

#[test]
fn a_fixed_prefix_is_found_out() {
    let outcome = check_found("thrifty", Rule::FixedPrefixThriftyStall, Invariant::Progress, 1);
    let (_, found) = outcome.violation().unwrap();
    assert_eq!(found.how, "c0 waits for x=1 for ever");
    assert!(found.steps[0].starts_with("r1 crashes, and loses"), "{}", found.steps[0]);
    // It asks the dead one again and again, and nobody else.
    let events = found.future.iter().flat_map(|step| step.lines().skip(1));
    let proposals: Vec<&str> = events.filter(|event| event.contains("  phase2a ")).collect();
    assert!(proposals.len() > 2);
    assert!(proposals.iter().all(|text| text.trim().starts_with("r0 sends r1  ")), "{proposals:?}");
}

#[test]
fn a_hole_in_the_log_is_found_out() {
    let outcome = check_found("lossy", Rule::HoleInLog, Invariant::Progress, 3);
    let (_, found) = outcome.violation().unwrap();
    assert!(found.how.contains("c0 waits for x=1 for ever"), "{}", found.how);
}

/// What a forgotten promise or vote does in the end: two values are chosen.
#[test]
fn what_was_forgotten_costs_a_chosen_value() {
    if cfg!(debug_assertions) {
        return;
    }
    let chosen = Invariant::ChosenStaysChosen;
    check_found_by("two-writes-crash", Rule::ForgetsPromise, chosen, 10);
    check_found_by("two-writes-crash", Rule::ForgetsVote, chosen, 9);
    check_found_by("two-writes-crash", Rule::SendsBeforePersist, chosen, 9);
}

#[test]
fn what_is_chosen_twice_is_seen_by_every_claim_about_it() {
    check_found_by("duel", Rule::DisjointQuorums, Invariant::Agreement, 6);
    check_found_by("duel", Rule::DisjointQuorums, Invariant::ExactlyOnce, 6);
    check_found_by("duel", Rule::DisjointQuorums, Invariant::SamePrefix, 7);
}

/// Which rounds it may have used the leader finds in its checkpoint alone.
#[test]
fn a_checkpoint_that_forgets_used_rounds_is_found_out() {
    let rule = Rule::CheckpointForgetsReservation;
    check_found("checkpoint", Rule::CheckpointForgetsReservation, Invariant::BallotsUnique, 4);
    // Where a record holds them, too, nothing is lost.
    assert!(Search { rule: Some(rule), ..search("thrifty") }.run().violation().is_none());
}

/// Each rule has a line in the table of rules, with how `check` finds it.
#[test]
fn the_documented_table_of_rules_is_whole() {
    let text = include_str!("../../docs/checking.md");
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    for rule in Rule::ALL {
        let named = |cells: &&Vec<&str>| cells[1].split(' ').next() == Some(rule.name());
        let row = rows.iter().find(named).unwrap_or_else(|| panic!("{rule} is not in the table"));
        let presets: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
        let finds = |name: &&str| Preset::named(name).is_some_and(|preset| preset.finds(rule));
        // Time stands still.
        assert_eq!(presets.is_empty(), rule.is_of_time(), "{rule}: {presets:?}");
        assert!(presets.iter().all(finds), "{rule}: {presets:?}");
    }
}

/// Two phase-2 quorums need not meet, and votes are not yet executed: each shortcut of a quorum read misses a write.
#[test]
fn a_quorum_read_that_takes_a_shortcut_is_found_out() {
    check_found("quorum-read", Rule::ReadsWithoutAsking, Invariant::Linearizability, 4);
    check_found("quorum-read", Rule::ReadsByPhase2Quorum, Invariant::Linearizability, 6);
    check_found("quorum-read", Rule::ReadsBeforeExecuting, Invariant::Linearizability, 8);
    check_found("quorum-read", Rule::EndsAtExecuted, Invariant::Linearizability, 8);
}

/// Each shortcut lets a responder read what was there before a write that its client was told of.
#[test]
fn a_responder_that_takes_a_shortcut_is_found_out() {
    check_found("responder-read", Rule::TellsWithoutResponders, Invariant::Linearizability, 4);
    check_found("responder-read", Rule::ReadsDespiteVote, Invariant::Linearizability, 4);
    check_found("responder-range", Rule::AnswersForAnyKey, Invariant::Linearizability, 4);
    check_found("responder-deposed", Rule::ForgetsOldRosters, Invariant::Linearizability, 6);
    if cfg!(debug_assertions) {
        return;
    }
    check_found("responder-grants", Rule::GrantorsByMajority, Invariant::Linearizability, 9);
}

/// The reader leads, and executes what its own read waits for in the turn in which it answers.
#[test]
fn a_reader_that_leads_reads_what_it_chooses() {
    let mut search = search("quorum-read");
    let reader = NodeId(2);
    search.setup.clients[1].home = reader;
    search.setup.budgets.campaigns = 1;
    search.setup.campaigners = NodeSet::only(reader);
    search.setup.quorums = QuorumSystem::majority(3);
    search.depth = Some(12);
    let outcome = search.run();
    assert!(outcome.violation().is_none(), "{}", transcript(&outcome));
    assert!(outcome.unique_count > 3_000, "{}", outcome.unique_count);
}

/// Time stands still, so the clock of a new leader alone gives it no stamp above that of what it adopted.
#[test]
fn stamps_that_do_not_rise_are_found_out() {
    check_found("stamps", Rule::StampsByClockAlone, Invariant::Assertions, 9);
}

/// A replica is dead, and the witness that voted with it has forgotten the vote: nobody has the value.
#[test]
fn a_vote_that_a_witness_forgets_early_is_found_out() {
    check_found("witness", Rule::WitnessForgetsEarly, Invariant::Progress, 2);
}

#[test]
fn every_rule_is_found_out_here() {
    let text = include_str!("check.rs");
    // What is about time `fuzz` alone finds: it stands still here.
    for rule in Rule::ALL.into_iter().filter(|rule| !rule.is_of_time()) {
        assert!(text.contains(&format!("Rule::{rule:?}, Invariant::")), "{rule} has no control");
    }
}

/// Presets in which every rule is tried also without optimisation.
const SMALL: [&str; 12] = [
    "thrifty",
    "per-ballot",
    "partial-promise",
    "acceptor-crash",
    "leader-change",
    "two-writes-crash",
    "checkpoint",
    "first-ballot",
    "lost-slot",
    "per-ballot-crash",
    "election-crash",
    "snapshot-crash",
];

#[test]
fn every_control_finds_its_rule() {
    for rule in Rule::ALL.into_iter().filter(|rule| !rule.is_of_time()) {
        let all = Preset::all().into_iter().chain(Preset::deep());
        let names: Vec<&str> =
            all.filter(|preset| preset.finds(rule)).map(|preset| preset.name).collect();
        assert!(!names.is_empty(), "{rule} has no control");
        let is_small = |name: &&str| SMALL.contains(name) || name.starts_with("deep-");
        let is_tried = |name: &&str| !cfg!(debug_assertions) || is_small(name);
        for name in names.into_iter().filter(is_tried) {
            let outcome = Search { rule: Some(rule), ..search(name) }.run();
            assert!(outcome.violation().is_some(), "{name} does not find {rule}");
        }
    }
}

/// Of these every state is looked at: what is no control of a rule finds nothing.
#[test]
fn what_is_no_control_of_a_rule_finds_nothing() {
    let names = if cfg!(debug_assertions) { &SMALL[..1] } else { &SMALL[..3] };
    for name in names {
        let preset = Preset::named(name).unwrap();
        for rule in Rule::ALL.into_iter().filter(|rule| !preset.finds(*rule)) {
            let outcome = Search { rule: Some(rule), ..search(name) }.run();
            assert!(outcome.violation().is_none(), "{name} finds {rule}");
        }
    }
}

/// The right preset finds it; others are refused before they are searched.
#[test]
fn a_preset_that_is_no_control_of_a_rule_is_refused() {
    let finds = ["duel is no control of forgets-vote", "acceptor-crash", "two-writes-crash"];
    check_command(&["duel", "--break", "forgets-vote"], 2, &finds);
    check_command(&["retry", "--break", "hole-in-log"], 2, &["lossy"]);
}

#[test]
fn a_control_that_finds_nothing_is_no_success() {
    let shallow = ["duel", "--break", "skips-adoption", "--depth", "3"];
    check_command(&shallow, 2, &["no property was seen violated", "raise --depth"]);
    let other = ["thrifty", "--break", "fixed-prefix-thrifty-stall", "--only", "agreement"];
    check_command(&other, 2, &["leave out --only"]);
}

#[test]
fn options_that_the_explorer_does_not_heed_are_refused() {
    let explore = ["thrifty", "--explore", "127.0.0.1:0"];
    check_command(&[&explore[..], &["--depth", "3"]].concat(), 2, &["--depth", "cannot be used"]);
    check_command(&[&explore[..], &["--svg", "x.svg"]].concat(), 2, &["--svg", "cannot be used"]);
}

fn flexpaxos(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.args(arguments).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    let text = String::from_utf8(text).unwrap();
    (output, text)
}

fn check_command(arguments: &[&str], code: i32, phrases: &[&str]) {
    let (output, text) = flexpaxos(&[&["check"], arguments].concat());
    assert_eq!(output.status.code(), Some(code), "{text}");
    for phrase in phrases {
        assert!(text.contains(phrase), "{phrase:?} is missing in:\n{text}");
    }
}

#[test]
fn the_command_shows_each_property_with_its_verdict() {
    check_command(
        &["thrifty"],
        0,
        &[
            "260 states (719 generated), depth 12",
            "no slot is learned with two values",
            "without further faults every request is answered",
            "holds",
            "seen after",
        ],
    );
}

#[test]
fn the_command_shows_the_way_to_a_violation_and_ends_with_five() {
    check_command(
        &["duel", "--break", "disjoint-quorums"],
        5,
        &[
            "VIOLATED chosen-stays-chosen: slot 0 was chosen with x=1, and now at (1.r1) with y=1",
            "   1  c0 => r0  x=1\n",
            "   2  r0 -> r2  phase2a (1.r0) slot 0: x=1\n",
        ],
    );
    check_command(
        &["thrifty", "--break", "fixed-prefix-thrifty-stall", "--only", "progress"],
        5,
        &["VIOLATED progress: c0 waits for x=1 for ever", "from here on nothing goes wrong"],
    );
}

#[test]
fn the_command_refuses_what_it_does_not_know_and_guesses() {
    check_command(&["dule"], 2, &["'dule'", "'duel'"]);
    check_command(&["duel", "--break", "forgets-votes"], 2, &["'forgets-vote'"]);
    check_command(&["--explore", "127.0.0.1:0"], 2, &["<PRESET|EXPERIMENT>"]);
    for of_experiment in [["--variant", "x"], ["--budget", "crashes=1"], ["--seed", "1"]] {
        check_command(&[&["duel"], &of_experiment[..]].concat(), 2, &["has no effect on a preset"]);
    }
}

/// Three replicas, so that the search is small; the quorums are what differs.
const VARIANTS: &str = r#"
question = "Are these quorums safe?"
prediction = "All but the last are."
trials = 1
seed = 1

[topology]
profile = "aws-2025-07"
replicas = ["us-east-1", "eu-west-1", "us-west-2"]
clients = ["us-east-1"]

[workload]
arrival = { poisson = { rate_per_s = 10 } }
warmup = "1s"
duration = "1s"

[[variant]]
name = "majority"
protocol = { multi = { leader = "us-east-1" } }
quorums  = { majority = {} }

[[variant]]
name = "one-write"
protocol = { multi = { leader = "us-east-1" } }
quorums = { counts = { phase1 = 3, phase2 = 1 } }

[[variant]]
name = "disjoint"
protocol = { multi = { leader = "us-east-1" } }
quorums = { counts = { phase1 = 2, phase2 = 1 } }
unsafe_quorums = true
"#;

/// The variant whose quorums need not meet is the negative control of the others.
#[test]
fn the_variants_of_an_experiment_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checked.toml");
    std::fs::write(&path, VARIANTS).unwrap();
    let path = path.to_str().unwrap();
    let shallow = ["--depth", "11"];
    let all = [&[path], &shallow[..]].concat();
    check_command(&all, 5, &["VIOLATED agreement", "majority", "one-write", "holds so far"]);
    let one = [path, "--variant", "one-write", "--depth", "8", "--budget", "crashes=1,timers=1"];
    check_command(&one, 0, &["1 crash, 1 timer, 1 campaign", "phase-2 quorums from 1 replica"]);
    let cut = [path, "--variant", "majority", "--states", "100"];
    check_command(&cut, 0, &["holds so far", "more states than"]);
    let broken = [path, "--variant", "majority", "--break", "skips-adoption"];
    check_command(&broken, 5, &["VIOLATED chosen-stays-chosen"]);
}

/// The last replica is an observer and never leads; another point is as unsafe as this one.
#[test]
fn an_unsafe_variant_is_found_at_every_point() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checked.toml");
    let observed =
        VARIANTS.replace("unsafe_quorums", "observers = [\"us-west-2\"]\nunsafe_quorums");
    let observed = observed.replace("phase1 = 2, phase2 = 1", "phase1 = 1, phase2 = 1");
    std::fs::write(&path, observed).unwrap();
    let path = path.to_str().unwrap();
    check_command(&[path, "--variant", "disjoint", "--depth", "11"], 5, &["VIOLATED"]);
    let (safe, _) = VARIANTS.split_once("[[variant]]").unwrap();
    let swept = format!(
        r#"{safe}
[sweep]
variant.quorums.counts.phase2 = [2, 1]

[[variant]]
name = "swept"
protocol = {{ multi = {{ leader = "us-east-1" }} }}
quorums = {{ counts = {{ phase1 = 2, phase2 = 2 }} }}
unsafe_quorums = true
"#
    );
    std::fs::write(path, swept).unwrap();
    let phrases = ["swept at phase2=2", "holds so far", "swept at phase2=1", "VIOLATED"];
    check_command(&[path, "--depth", "8"], 5, &phrases);
}

#[test]
fn an_experiment_that_cannot_be_checked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checked.toml");
    std::fs::write(&path, VARIANTS).unwrap();
    let path = path.to_str().unwrap();
    check_command(&[path, "--variant", "majorty"], 2, &["'majority' is the nearest"]);
    check_command(&[path, "--budget", "crash=1"], 2, &["`crashes` is the nearest"]);
    check_command(&[path, "--budget", "crashes=many"], 2, &["no number up to 255"]);
    let leaderless = "experiments/quickstart.toml";
    let campaigns = [leaderless, "--variant", "classic", "--budget", "campaigns=1"];
    check_command(&campaigns, 2, &["no replica leads"]);
    check_command(&[path, "--svg", "x.svg"], 2, &["choose one with --variant"]);
    let register = [path, "--variant", "majority", "--break", "takes-any-base"];
    check_command(&register, 2, &["which has no rule"]);
    check_command(&["missing.toml"], 2, &["missing.toml"]);
    let nine = "experiments/tradeoff-9-zones.toml";
    check_command(&[nine], 2, &["9 replicas", "at most 5"]);
}

#[test]
fn the_command_lists_what_there_is() {
    let (_, text) = flexpaxos(&["check", "--list"]);
    let presets = Preset::all().into_iter().chain(Preset::deep());
    let names = presets.map(|preset| preset.name).collect::<Vec<_>>();
    let names =
        names.into_iter().chain(Rule::ALL.map(Rule::name)).chain(INVARIANTS.map(Invariant::name));
    for name in names {
        assert!(text.contains(name), "{name} is missing in:\n{text}");
    }
}

/// The first levels of each, on two threads; `check --deep` goes on.
#[test]
fn deep_presets_hold_as_far_as_they_are_explored_here() {
    let found = Preset::deep().into_iter().map(|preset| {
        let search = Search { depth: Some(6), thread_count: 2, ..Search::whole(preset.setup) };
        let outcome = search.run();
        assert!(outcome.violation().is_none() && outcome.is_cut_short, "{}", preset.name);
        (preset.name, outcome.unique_count)
    });
    let pinned = [
        ("deep-five", 1_108),
        ("deep-successors", 1_203),
        ("deep-grid", 674),
        ("deep-explicit", 675),
        ("deep-snapshot", 557),
        ("deep-election", 1_693),
        ("deep-register", 1_122),
    ];
    assert_eq!(found.collect::<Vec<_>>(), pinned);
}

#[test]
fn every_deep_preset_is_a_control() {
    let is_control = |preset: &Preset| Rule::ALL.into_iter().any(|rule| preset.finds(rule));
    assert!(Preset::deep().iter().all(is_control));
    check_command(&["--deep", "duel"], 2, &["--deep"]);
    check_command(&["--deep", "--break", "hole-in-log"], 2, &["no deep preset is a control"]);
    check_command(&["deep-grid", "--break", "forgets-vote"], 5, &["VIOLATED promises-kept"]);
}

#[test]
fn an_address_in_use_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    check_command(&["thrifty", "--explore", &address], 1, &["nothing can listen", &address]);
}

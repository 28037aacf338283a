//! Every family as it is typed, and what is wrong with it.

use super::super::{Plan, Size};
use crate::experiment::file::Source;
use crate::experiment::testing::{GOOD, assert_says, source, spoil};
use crate::quorum::{Layout, NodeSet, QuorumSystem, Share};

const FLEX: &str = "{ counts = { phase1 = 4, phase2 = 2 } }";

fn system(quorums: &str) -> QuorumSystem {
    let plan = Plan::from_source(&spoil(FLEX, quorums), Size::default()).unwrap();
    plan.points[0].variants[1].quorums.clone()
}

fn check_text(source: &Source, phrases: &[&str]) {
    assert_says(&Plan::from_source(source, Size::default()).unwrap_err(), phrases);
}

#[track_caller]
fn check(quorums: &str, phrases: &[&str]) {
    check_text(&spoil(FLEX, quorums), phrases);
}

#[test]
fn every_family_is_what_its_constructor_makes() {
    let listed = "[[\"us-east-1\", 1], [\"r2\", 3, 4]]";
    let sets = [0b00011, 0b11100].map(NodeSet::from_mask);
    let groups = format!(
        "{{ groups = {{ groups = {listed}, phase1 = {{ groups = 2 }}, phase2 = {{ groups = 1, members = 2 }} }} }}"
    );
    let share = |groups, members| Share { groups: Some(groups), members };
    let expected = QuorumSystem::groups(5, &sets, [share(2, None), share(1, Some(2))]);
    assert_eq!(system(&groups), expected.unwrap());
    let weighted = "{ weighted = { weights = [3, 2, 2, 1, 1], phase1 = 7, phase2 = 3 } }";
    assert_eq!(system(weighted), QuorumSystem::weighted(&[3, 2, 2, 1, 1], [7, 3]).unwrap());
    let hierarchical =
        format!("{{ hierarchical = {{ groups = {listed}, weights = [1, 1, 2, 1, 0] }} }}");
    let expected = QuorumSystem::hierarchical(&sets, &[1, 1, 2, 1, 0]);
    assert_eq!(system(&hierarchical), expected.unwrap());
    assert_eq!(system("{ wall = { rows = [2, 3] } }"), QuorumSystem::wall(5, &[2, 3]).unwrap());
    assert_eq!(system("{ tree = { degree = 2 } }"), QuorumSystem::tree(5, 2).unwrap());
    let grid =
        "{ grid = { rows = 5, columns = 1, phase1 = \"one-of-each-row\", phase2 = \"row\" } }";
    assert_eq!(*system(grid).layout(), Layout::Grid { columns: 1 });
    let three = "{ expression = { phase1 = \"majority(us-east-1, r1, r2)\", phase2 = \"choose(2, r0, r1, r2)\" } }";
    let found = system(three);
    assert_eq!((found.voters(), found.phase2().min_size()), (NodeSet::all(3), 2));
    let dual = system("{ dual = { phase2 = \"r0 * r1 + r2 * r3\" } }");
    assert_eq!(dual.phase1().sizes(), 2..=2);
}

/// Groups that are not listed are the regions.
#[test]
fn replicas_of_a_region_are_a_group() {
    let text = GOOD
        .replace("aws-2025-07", "lan")
        .replace(
            "\"us-east-1\", \"us-west-2\", \"eu-west-1\", \"ap-northeast-1\", \"ap-southeast-2\"",
            "\"a\", \"b\", \"a\", \"b\"",
        )
        .replace("clients = [\"us-east-1\", \"eu-west-1\"]", "clients = [\"here\"]")
        .replace("leader = \"us-west-2\"", "leader = \"r0\"")
        .replace("crash = \"eu-west-1\"", "crash = \"r1\"")
        .replace(
            FLEX,
            "{ groups = { phase1 = { groups = 1, members = 2 }, phase2 = { groups = 2, members = 1 } } }",
        );
    let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
    let groups = [0b0101, 0b1010].map(NodeSet::from_mask).to_vec();
    assert_eq!(*plan.points[0].variants[1].quorums.layout(), Layout::Groups(groups));
    let twice =
        text.replace("groups = { phase1", "groups = { groups = [[0, 2, 0], [1, 3]], phase1");
    check_text(&source(&twice), &["replica 0 stands twice in one group"]);
    // A set that misses another one is named by its groups, and replicas by their places in a region.
    let broken = text.replace("groups = 2, members = 1", "groups = 1, members = 1");
    check_text(
        &source(&broken),
        &["phase-1 quorum group 1 {a#1, a#2} and phase-2 quorum 1 of group 2 {b#"],
    );
}

#[test]
fn unsafe_parameters_are_refused_in_the_words_of_the_family() {
    check(
        "{ weighted = { weights = [3, 2, 2, 1, 1], phase1 = 5, phase2 = 4 } }",
        &["(3)", "of weight", "at least 10", "`unsafe_quorums = true`", ":30:11"],
    );
    check(
        "{ grid = { rows = 5, columns = 1, phase1 = \"row\", phase2 = \"row\" } }",
        &["phase-1 quorum row 1 {us-east-1} and phase-2 quorum row 2 {us-west-2}", "`column`"],
    );
    check(
        "{ expression = { phase1 = \"r0 * r1\", phase2 = \"r2 + r3\" } }",
        &["{us-east-1, us-west-2}", "give the two a common replica"],
    );
    check(
        "{ groups = { groups = [[0, 1], [2, 3, 4]], phase1 = { groups = 1 }, phase2 = { groups = 1 } } }",
        &["group 1 {us-east-1, us-west-2}", "of group 2 {", "more than there are"],
    );
}

/// In a variant of the good file, with r0 as the leader, and more keys behind its quorums.
fn with_roles(quorums: &str, roles: &str) -> Source {
    let text = GOOD
        .replace("leader = \"us-west-2\"", "leader = \"us-east-1\"")
        .replace(FLEX, &format!("{quorums}\n{roles}"));
    source(&text)
}

fn of_roles(quorums: &str, roles: &str) -> QuorumSystem {
    let plan = Plan::from_source(&with_roles(quorums, roles), Size::default()).unwrap();
    plan.points[0].variants[1].quorums.clone()
}

#[test]
fn witnesses_and_observers_are_those_that_a_variant_lists() {
    let roles = "witnesses = [\"eu-west-1\"]\nobservers = [\"us-west-2\", \"r4\"]";
    let found = of_roles("{ majority = {} }", roles);
    let voters = NodeSet::from_mask(0b01101);
    let expected = QuorumSystem::majority(3).among(5, voters);
    assert_eq!(found, expected.with_witnesses(NodeSet::from_mask(0b00100)));
    // Names and positions mean replicas, whoever holds no vote; weights are those of the replicas that vote.
    let observers = "observers = [\"us-west-2\"]";
    let listed =
        "{ explicit = { phase1 = [[0, 2, \"r3\"]], phase2 = [[\"ap-northeast-1\"], [0]] } }";
    let of_four = QuorumSystem::explicit(4, &[vec![0, 1, 2]], &[vec![2], vec![0]]).unwrap();
    assert_eq!(of_roles(listed, observers), of_four.among(5, NodeSet::from_mask(0b11101)));
    let weighted = "{ weighted = { weights = [3, 2, 1, 1], phase1 = 4, phase2 = 4 } }";
    let of_four = QuorumSystem::weighted(&[3, 2, 1, 1], [4, 4]).unwrap();
    assert_eq!(of_roles(weighted, observers), of_four.among(5, NodeSet::from_mask(0b11101)));
}

#[test]
fn roles_that_leave_nobody_to_lead_are_refused() {
    let check = |quorums: &str, roles: &str, phrases: &[&str]| {
        check_text(&with_roles(quorums, roles), phrases);
    };
    let majority = "{ majority = {} }";
    check(
        majority,
        "witnesses = [\"us-east-1\"]",
        &["us-east-1 is a witness, and cannot lead", ":29"],
    );
    check(majority, "observers = [\"us-east-1\"]", &["us-east-1 is an observer, and cannot lead"]);
    check(
        majority,
        "witnesses = [\"eu-wets-1\"]",
        &["eu-wets-1 is no replica's region", "eu-west-1?"],
    );
    let wrong = "witnesses = [\"eu-wets-1\"]\nobservers = [\"us-wets-2\"]";
    let both_names = ["eu-wets-1 is no replica's region", "us-wets-2 is no replica's region"];
    check(majority, wrong, &both_names);
    let both = "witnesses = [\"eu-west-1\"]\nobservers = [\"r2\"]";
    check(majority, both, &["eu-west-1 is both a witness and an observer"]);
    let all = "[\"r0\", \"r1\", \"r2\", \"r3\", \"r4\"]";
    check(majority, &format!("witnesses = {all}"), &["every replica that votes is a witness"]);
    check(majority, &format!("observers = {all}"), &["every replica that votes is an observer"]);
    let named = "{ explicit = { phase1 = [[0, 1, 2]], phase2 = [[0]] } }";
    check(named, "observers = [\"r2\"]", &["r2 is an observer, and in no quorum", ":30:43"]);
    let counts = "{ counts = { phase1 = 5, phase2 = 2 } }";
    check(counts, "observers = [\"r2\"]", &["phase1 = 5 is no quorum size for 4 replicas"]);
    let unsafe_counts = "{ counts = { phase1 = 3, phase2 = 1 } }";
    check(unsafe_counts, "observers = [\"r2\"]", &["phase1 + phase2 is at least 5"]);
}

#[test]
fn protocols_refuse_the_roles_that_they_do_not_have() {
    let register = with_roles("{ majority = {} }", "witnesses = [\"r2\"]\nobservers = [\"r1\"]");
    let text = register.text.replace("{ multi = { leader", "{ caspaxos = { proposer");
    check_text(&source(&text), &["caspaxos has no witnesses", "caspaxos has no observers"]);
    let per_ballot =
        with_roles("{ per_ballot = { phase2 = 2 } }", "witnesses = [\"r1\", \"r2\", \"r3\"]");
    let text =
        per_ballot.text.replace("[durability]", "[election]\nmode = \"timeout\"\n\n[durability]");
    check_text(&source(&text), &["the witnesses leave no phase-1 quorum of full replicas"]);
}

#[test]
fn a_campaign_of_a_witness_is_refused() {
    let campaign = with_roles("{ majority = {} }", "witnesses = [\"r2\"]").text;
    let text =
        campaign.replace("crash = \"eu-west-1\"\nrestart_after = \"2s\"", "campaign = \"r2\"");
    let text = text.replace("{ classic = {} }", "{ multi = { leader = \"us-east-1\" } }");
    check_text(&source(&text), &["eu-west-1 is a witness, and cannot lead"]);
}

/// A name that several replicas have means all or any of them, and that must be said.
#[test]
fn replicas_of_one_region_have_names_in_expressions() {
    let text = GOOD
        .replace("aws-2025-07", "lan")
        .replace(
            "\"us-east-1\", \"us-west-2\", \"eu-west-1\", \"ap-northeast-1\", \"ap-southeast-2\"",
            "\"a\", \"b\", \"a\"",
        )
        .replace("clients = [\"us-east-1\", \"eu-west-1\"]", "clients = [\"here\"]")
        .replace("leader = \"us-west-2\"", "leader = \"a#1\"")
        .replace("crash = \"eu-west-1\"", "crash = \"a#2\"");
    let with = |quorum: &str| {
        source(&text.replace(
            FLEX,
            &format!("{{ expression = {{ phase1 = \"{quorum}\", phase2 = \"a#2\" }} }}"),
        ))
    };
    let plan = Plan::from_source(&with("a#2 * b"), Size::default()).unwrap();
    let phase1 = plan.points[0].variants[1].quorums.phase1();
    assert!(
        phase1.contains(NodeSet::from_mask(0b110)) && !phase1.contains(NodeSet::from_mask(0b011))
    );
    check_text(
        &with("a * nobody"),
        &[
            "the member a may be any of several replicas",
            "name one of them: a#1, a#2; in an expression `a#1 * a#2` means all of them, and `a#1 + a#2` any",
            "the member nobody is no replica's region",
        ],
    );
}

#[test]
fn an_expression_is_pointed_at_where_it_is_wrong() {
    check(
        "{ expression = { phase1 = \"r0 + us-wset-2\", phase2 = \"r0\" } }",
        &["the member us-wset-2 is no replica", "did you mean us-west-2?", ":30:43"],
    );
    check("{ dual = { phase2 = \"choose(3, r0, r1)\" } }", &["3 of 2 cannot be chosen", ":30:39"]);
    check("{ per_ballot = { phase2 = \"r0 *\" } }", &["expected a replica", "`*` is and"]);
    check("{ dual = { phase2 = true } }", &["the size of a quorum, or an expression"]);
}

#[test]
fn parameters_that_fit_no_system_are_refused_where_they_stand() {
    check(
        "{ grid = { rows = 2, columns = 3, phase1 = \"row\", phase2 = \"column\" } }",
        &["2 rows of 3 are 6", ":30:29"],
    );
    check(
        "{ weighted = { weights = [1, 1], phase1 = 1, phase2 = 1 } }",
        &["2 weights, but 5 replicas", ":30:36"],
    );
    check(
        "{ weighted = { weights = [1, 1, 1, 0, 0], phase1 = 4, phase2 = 1 } }",
        &["together weigh 3", ":30:62"],
    );
    check("{ wall = { rows = [2, 2] } }", &["have 4 places", ":30:29"]);
    check("{ tree = { degree = 3 } }", &["5 replicas are no tree", ":30:31"]);
    check(
        "{ hierarchical = { groups = [[0, 1], [1, 2]] } }",
        &["replica 1 is in group 2", ":30:39"],
    );
    check("{ hierarchical = { groups = [[0, 7]] } }", &["names replica 7", ":30:44"]);
    check(
        "{ groups = { phase1 = { groups = 6 }, phase2 = {} } }",
        &["6 groups, but there are 5", ":30:33"],
    );
    check(
        "{ grid = { rows = 5, columns = 1, phase1 = \"line\", phase2 = \"row\" } }",
        &["one-of-each-row"],
    );
}

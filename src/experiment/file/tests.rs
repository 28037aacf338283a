use super::*;
use crate::experiment::testing::{GOOD, assert_says, source, spoil};

/// Replaces one place of the good file; the error must say each of `phrases`.
fn check(from: &str, to: &str, phrases: &[&str]) {
    assert_says(&spoil(from, to).parse().unwrap_err(), phrases);
}

#[test]
fn a_good_file_is_read_with_the_places_of_its_values() {
    let file = source(GOOD).parse().unwrap();
    assert_eq!(file.seed, 7);
    assert_eq!(file.variants.len(), 2);
    assert_eq!(&GOOD[file.topology.profile.span()], "\"aws-2025-07\"");
    let Protocol::Multi { leader, .. } = &file.variants[1].protocol else { panic!("{file:?}") };
    assert_eq!(&GOOD[leader.span()], "\"us-west-2\"");
}

#[test]
fn what_is_absent_takes_its_default() {
    let text = GOOD.replace("seed = 7\ntrials = 2\n", "").replace("mode = \"fsync\"\n", "");
    let file = source(&text).parse().unwrap();
    assert_eq!((file.seed, file.trials.is_none()), (1, true));
    assert_eq!(file.durability.mode, crate::deployment::Durability::Fsync);
    assert!(file.transport.congestion.is_none());
    assert_eq!(*file.topology.jitter.get_ref(), Jitter::None);
    assert_eq!(file.variants[0].send, Send::All);
}

#[test]
fn an_unknown_key_is_shown_with_its_place_and_the_key_it_may_have_meant() {
    check(
        "profile = \"aws",
        "profil = \"aws",
        &[
            "unknown key `profil`",
            "experiments/test.toml:7:1",
            "did you mean `profile`?",
            "known keys here: profile, replicas, clients, jitter",
        ],
    );
}

#[test]
fn an_unknown_key_inside_a_kind_is_shown_too() {
    check(
        "{ rate_per_s = 200 }",
        "{ rate_per_s = 200, rate = 3 }",
        &["unknown key `rate`", "test.toml:12:43", "known keys here: rate_per_s"],
    );
}

#[test]
fn an_unknown_section_lists_the_known_ones() {
    check("[durability]", "[durable]", &["unknown key `durable`", "test.toml:19:2", "durability"]);
}

#[test]
fn a_missing_key_says_what_to_add() {
    check(
        "profile = \"aws-2025-07\"\n",
        "",
        &["`profile` is missing", ":6:1", "add `profile = …`"],
    );
    check(
        "question = \"What does it cost?\"\n",
        "",
        &["`question` is missing", "what the experiment is to find out"],
    );
    check("duration = \"10s\"\n", "", &["`duration` is missing", "the time that is measured"]);
}

#[test]
fn an_unknown_kind_lists_the_allowed_ones() {
    check(
        "{ classic = {} }",
        "{ clasic = {} }",
        &["unknown value `clasic`", ":24:14", "did you mean `classic`?", "allowed: classic, multi"],
    );
    check("mode = \"fsync\"", "mode = \"sync\"", &["unknown value `sync`", "memory, fsync"]);
    check("{ uniform =", "{ gaussian =", &["unknown value `gaussian`", "uniform, zipf"]);
}

#[test]
fn a_kind_without_its_settings_shows_how_to_write_them() {
    check(
        "{ multi = { leader = \"us-west-2\" } }",
        "\"multi\"",
        &["`multi` stands alone", ":29:12", "write `{ multi = { leader = \"…\" } }`"],
    );
    check("{ majority = {} }", "\"majority\"", &["write `{ majority = {} }`"]);
    check("{ majority = {} }", "{}", &["exactly one kind", ":25:11"]);
}

#[test]
fn a_length_of_time_needs_its_unit() {
    check(
        "\"10s\"",
        "\"10 parsecs\"",
        &["`10 parsecs` is no length of time", ":14:12", "\"250ms\""],
    );
    check("\"10s\"", "10", &["integer `10` does not fit here", ":14:12", "in quotes"]);
}

#[test]
fn a_value_of_the_wrong_type_says_which_is_wanted() {
    check("rate_per_s = 200", "rate_per_s = \"fast\"", &["\"fast\"", "give a number"]);
    check("phase1 = 4", "phase1 = -4", &["`-4`", ":30:33", "a whole number from 0 up"]);
    check("\"eu-west-1\"]\n", "\"eu-west-1\"]\njitter = true\n", &["`true`", ":10:10"]);
}

#[test]
fn a_variant_in_single_brackets_is_explained() {
    let text = GOOD.split("[[variant]]").next().unwrap().to_owned() + "[variant]\nname = \"x\"\n";
    let error = source(&text).parse().unwrap_err();
    assert_says(&error, &["`variant` is a list of tables", "`[[variant]]`"]);
}

#[test]
fn a_file_without_a_variant_is_told_to_have_one() {
    let text = GOOD.split("[[variant]]").next().unwrap();
    let error = source(text).parse().unwrap_err();
    assert_says(&error, &["`variant` is missing", "at least one `[[variant]]` section"]);
}

#[test]
fn members_of_explicit_quorums_are_regions_or_positions() {
    let sets = "{ explicit = { phase1 = [[0, \"eu-west-1\"]], phase2 = [[4]] } }";
    let file = spoil("{ majority = {} }", sets).parse().unwrap();
    let Quorums::Explicit { phase1, .. } = file.variants[0].quorums.get_ref() else { panic!() };
    let members: Vec<&Member> = phase1.get_ref()[0].iter().map(Spanned::get_ref).collect();
    assert_eq!(members, [&Member::Index(0), &Member::Region("eu-west-1".to_owned())]);
    check("{ majority = {} }", &sets.replace('4', "-4"), &["`-4`", "or its position from 0"]);
}

#[test]
fn what_is_no_toml_is_shown_where_it_breaks() {
    check("[topology]", "[topology", &["unclosed table", "test.toml:6:10"]);
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let error = Source::read(Path::new("no/such.toml")).unwrap_err();
    assert_says(&error, &["cannot read the experiment file no/such.toml", "give the path"]);
}

#[test]
fn a_smoke_run_is_the_same_experiment_but_smaller() {
    let text = GOOD.to_owned() + "[smoke]\nduration = \"1s\"\ntrials = 1\n";
    let source = source(&text);
    let seconds = |seconds| Length(std::time::Duration::from_secs(seconds));
    let file = source.parse().unwrap();
    assert_eq!(file.workload.duration.get_ref(), &seconds(10));
    let small = Document::parse(&source).unwrap().smoke().unwrap().read().file.unwrap();
    assert_eq!(small.workload.duration.get_ref(), &seconds(1));
    assert_eq!(small.trials.unwrap().into_inner(), 1);
    assert!(small.workload.warmup.is_some());
}

#[test]
fn a_wrong_size_for_tests_is_shown_also_where_it_is_not_used() {
    let text = GOOD.to_owned() + "[smoke]\nduraton = \"1s\"\n";
    let error = source(&text).parse().unwrap_err();
    assert_says(&error, &["unknown key `duraton`", ":37:1", "did you mean `duration`?"]);
}

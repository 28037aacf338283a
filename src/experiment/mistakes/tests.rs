use crate::experiment::file::{Error, Source};
use crate::experiment::plan::{Plan, Size};
use crate::experiment::testing::{GOOD, source};

/// A mistake as it is shown: its line, the text that is marked there, and what is said.
type Shown = (usize, String, String);

fn shown(error: &Error, source: &Source) -> Vec<Shown> {
    match error {
        Error::Wrong { at, message, .. } => {
            let Some(at) = at else { return vec![(0, String::new(), message.clone())] };
            let line = source.text[..at.offset()].matches('\n').count() + 1;
            let marked = source.text[at.offset()..at.offset() + at.len()].to_owned();
            vec![(line, marked, message.clone())]
        }
        Error::Several { shown: all, .. } => {
            all.iter().flat_map(|error| shown(error, source)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// All that is wrong with a file of this text.
fn mistakes(text: &str) -> Vec<Shown> {
    let source = source(text);
    match Plan::from_source(&source, Size::default()) {
        Ok(_) => Vec::new(),
        Err(error) => shown(&error, &source),
    }
}

/// A place of the good file that is changed, the text that must be marked, and a part of what is said.
type Case = (&'static str, &'static str, &'static str, &'static str);

/// Asserts that each change alone makes one mistake, which is marked in the line that is changed or, if what
/// is wrong is absent, in that of the heading around it.
#[track_caller]
fn check(cases: &[Case]) {
    for (from, to, marked, said) in cases {
        assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must occur once");
        let text = GOOD.replace(from, to);
        let found = mistakes(&text);
        let [(line, text_there, message)] = &found[..] else { panic!("{to:?}: {found:?}") };
        assert_eq!(text_there, marked, "{to:?}: {message}");
        assert!(message.contains(said), "{to:?}: {message}");
        if *line == 0 {
            assert!(message.starts_with("experiments/test.toml: "), "{message}");
            continue;
        }
        let changed = GOOD[..GOOD.find(from).unwrap()].matches('\n').count() + 1;
        let lines = changed..=changed + to.matches('\n').count();
        let is_heading = marked.starts_with('[') && *line <= changed;
        assert!(lines.contains(line) || is_heading, "{to:?}: line {line}, changed {changed}");
    }
}

const ARRIVAL: &str = "{ poisson = { rate_per_s = 200 } }";
const CLIENTS: &str = "clients = [\"us-east-1\", \"eu-west-1\"]";
const COUNTS: &str = "{ counts = { phase1 = 4, phase2 = 2 } }";
const MAJORITY: &str = "{ majority = {} }";
const CRASH: &str = "crash = \"eu-west-1\"\nrestart_after = \"2s\"";

#[test]
fn a_missing_key_is_marked_at_its_table() {
    check(&[
        ("question = \"What does it cost?\"\n", "", "", "`question` is missing"),
        ("prediction = \"What the closed form says.\"\n", "", "", "`prediction` is missing"),
        ("profile = \"aws-2025-07\"\n", "", "[topology]", "`profile` is missing"),
        (CLIENTS, "", "[topology]", "`clients` is missing"),
        (
            "arrival = { poisson = { rate_per_s = 200 } }\n",
            "",
            "[workload]",
            "`arrival` is missing",
        ),
        ("duration = \"10s\"\n", "", "[workload]", "`duration` is missing"),
        ("name = \"classic\"\n", "", "[[variant]]", "`name` is missing"),
        ("protocol = { classic = {} }\n", "", "[[variant]]", "`protocol` is missing"),
        ("quorums = { counts = { phase1 = 4, phase2 = 2 } }\n", "", "[[variant]]", "`quorums`"),
        ("{ leader = \"us-west-2\" }", "{}", "{}", "`leader` is missing"),
        ("phase1 = 4, phase2 = 2", "phase2 = 2", "{ phase2 = 2 }", "`phase1` is missing"),
        ("{ rate_per_s = 200 }", "{}", "{}", "`rate_per_s` is missing"),
        ("{ count = 1000 }", "{ }", "{ }", "`count` is missing"),
        (
            "crash = \"eu-west-1\"\nrestart_after = \"2s\"",
            "cut = { from = \"r1\" }",
            "{ from = \"r1\" }",
            "`to`",
        ),
        (
            "\"us-east-1\", \"eu-west-1\"]",
            "{ weight = 2 }]",
            "{ weight = 2 }",
            "`region` is missing",
        ),
        ("at = \"5s\"\n", "", "[[fault]]", "neither `at` nor `after_writes`"),
        (CRASH, "", "[[fault]]", "this fault does no harm"),
    ]);
}

#[test]
fn an_unknown_key_is_marked_itself() {
    check(&[
        ("profile = \"aws", "profil = \"aws", "profil", "unknown key `profil`"),
        ("trials = 2", "trials = 2\nrepeats = 3", "repeats", "unknown key `repeats`"),
        ("[durability]", "[durable]", "durable", "unknown key `durable`"),
        ("{ rate_per_s = 200 }", "{ rate_per_s = 200, burst = 3 }", "burst", "unknown key `burst`"),
        ("phase2 = 2 }", "phase2 = 2, phase3 = 1 }", "phase3", "unknown key `phase3`"),
        (
            "{ leader = \"us-west-2\" }",
            "{ laeder = \"us-west-2\" }",
            "laeder",
            "unknown key `laeder`",
        ),
        ("{ count = 1000 }", "{ cuont = 1000 }", "cuont", "unknown key `cuont`"),
        ("restart_after = ", "restart_aftr = ", "restart_aftr", "unknown key `restart_aftr`"),
        (CRASH, "kill = \"r1\"", "kill", "unknown key `kill`"),
        (
            "\"us-east-1\", \"eu-west-1\"]",
            "{ region = \"us-east-1\", wieght = 2 }]",
            "wieght",
            "unknown key",
        ),
        ("reads = 0.5", "reads = 0.5\n[probe]\npatience = \"1s\"", "patience", "unknown key"),
        (
            "reads = 0.5",
            "reads = 0.5\n[smoke]\nduraton = \"1s\"",
            "duraton",
            "unknown key `duraton`",
        ),
        ("reads = 0.5", "reads = 0.5\n[network]\nlatency = 3", "latency", "unknown key `latency`"),
    ]);
}

#[test]
fn a_value_of_the_wrong_type_is_marked_itself() {
    check(&[
        ("seed = 7", "seed = -7", "-7", "does not fit"),
        ("trials = 2", "trials = \"two\"", "\"two\"", "does not fit"),
        ("\"aws-2025-07\"", "7", "7", "does not fit"),
        (CLIENTS, "clients = \"us-east-1\"", "\"us-east-1\"", "does not fit"),
        (CLIENTS, "clients = [\"us-east-1\", 3]", "3", "does not fit"),
        (CLIENTS, "clients = [{ region = 3 }]", "3", "does not fit"),
        (
            CLIENTS,
            "clients = [{ region = \"us-east-1\", weight = \"2\" }]",
            "\"2\"",
            "does not fit",
        ),
        ("rate_per_s = 200", "rate_per_s = \"fast\"", "\"fast\"", "does not fit"),
        (
            "{ poisson = { rate_per_s = 200 } }",
            "{ poison = { rate_per_s = 200 } }",
            "poison",
            "unknown value",
        ),
        (ARRIVAL, "200", "200", "does not fit"),
        (ARRIVAL, "{}", "{}", "exactly one kind"),
        ("\"10s\"", "10", "10", "does not fit"),
        ("\"10s\"", "\"10 parsecs\"", "\"10 parsecs\"", "no length of time"),
        ("count = 1000", "count = 0.5", "0.5", "does not fit"),
        ("value_bytes = 100", "value_bytes = \"100\"", "\"100\"", "does not fit"),
        ("reads = 0.5", "reads = true", "true", "does not fit"),
        ("reads = 0.5", "reads = 0.5\nconflicts = \"few\"", "\"few\"", "does not fit"),
        ("mode = \"fsync\"", "mode = \"sync\"", "\"sync\"", "unknown value `sync`"),
        ("{ classic = {} }", "\"multi\"", "\"multi\"", "`multi` stands alone"),
        ("phase1 = 4", "phase1 = \"4\"", "\"4\"", "does not fit"),
        ("phase1 = 4", "phase1 = -4", "-4", "does not fit"),
        (MAJORITY, "{ explicit = { phase1 = [[true]], phase2 = [[0]] } }", "true", "does not fit"),
        (MAJORITY, "{ explicit = { phase1 = [0], phase2 = [[0]] } }", "0", "does not fit"),
        ("at = \"5s\"", "at = 5", "5", "does not fit"),
        (CRASH, "cut = { from = 3, to = \"r1\" }", "3", "does not fit"),
        (CRASH, "crash = \"r1\"\nunsynced = \"some\"", "\"some\"", "unknown value `some`"),
        ("reads = 0.5", "reads = 0.5\n[election]\nmode = \"quick\"", "\"quick\"", "unknown value"),
        ("reads = 0.5", "reads = 0.5\n[emulation]\nawake = 1", "1", "does not fit"),
    ]);
}

#[test]
fn a_value_without_meaning_is_marked_itself() {
    check(&[
        ("\"What does it cost?\"", "\" \"", "\" \"", "`question` is empty"),
        ("trials = 2", "trials = 0", "0", "`trials` is zero"),
        ("\"aws-2025-07\"", "\"aws-2025\"", "\"aws-2025\"", "aws-2025"),
        ("\"us-west-2\", \"eu", "\"us-wset-2\", \"eu", "\"us-wset-2\"", "us-wset-2"),
        (CLIENTS, "clients = [\"us-east-1\", \"mars\"]", "\"mars\"", "mars"),
        (CLIENTS, "clients = [{ region = \"mars\" }]", "\"mars\"", "mars"),
        (CLIENTS, "clients = [{ region = \"us-east-1\", weight = 0 }]", "0", "0 is no weight"),
        (
            CLIENTS,
            "clients = [\"us-east-1\", { region = \"us-east-1\" }]",
            "\"us-east-1\"",
            "two client",
        ),
        (CLIENTS, "clients = []", "[]", "no item"),
        ("rate_per_s = 200", "rate_per_s = 0", "0", "is no rate"),
        (ARRIVAL, "{ closed = { clients = 1 } }", "1", "do not reach each"),
        ("reads = 0.5", "reads = 0.5\nconflicts = 1.5", "1.5", "conflicts = 1.5 is no share"),
        ("reads = 0.5", "conflicts = -0.5", "-0.5", "conflicts = -0.5 is no share"),
        ("\"10s\"", "\"0s\"", "\"0s\"", "`workload.duration` is zero"),
        (
            "leader = \"us-west-2\"",
            "leader = \"us-west-1\"",
            "\"us-west-1\"",
            "is no replica's region",
        ),
        ("phase1 = 4", "phase1 = 6", "6", "phase1 = 6 is no quorum size"),
        ("phase2 = 2", "phase2 = 0", "0", "phase2 = 0 is no quorum size"),
        (MAJORITY, "{ dual = { phase2 = 0 } }", "0", "phase2 = 0"),
        (MAJORITY, "{ explicit = { phase1 = [[0]], phase2 = [[0, 7]] } }", "7", "names replica 7"),
        (
            MAJORITY,
            "{ explicit = { phase1 = [[\"mars\"]], phase2 = [[0]] } }",
            "\"mars\"",
            "the member",
        ),
        (
            MAJORITY,
            "{ explicit = { phase1 = [[]], phase2 = [[0]] } }",
            "[[]]",
            "phase1 has an empty set",
        ),
        (
            "phase1 = 4",
            "phase1 = 3",
            "{ counts = { phase1 = 3, phase2 = 2 } }",
            "no replica in common",
        ),
        ("\"flex\"", "\"classic\"", "\"classic\"", "two variants are called"),
        ("crash = \"eu-west-1\"", "crash = \"eu-west-3\"", "\"eu-west-3\"", "eu-west-3"),
        ("at = \"5s\"", "at = \"50s\"", "\"50s\"", "the crash at 50s"),
        (CRASH, "crash = \"leader\"", "\"leader\"", "variant `classic` has none"),
        (CRASH, "crash = \"r1\"\npause = \"r2\"", "\"r2\"", "`crash` and `pause`"),
        (
            "reads = 0.5",
            "reads = 0.5\n[election]\nmisses = 5",
            "5",
            "`election.misses` has no effect",
        ),
        (
            "reads = 0.5",
            "reads = 0.5\n[transport]\nmtu_bytes = 9000",
            "9000",
            "`mtu_bytes` is 9000",
        ),
        ("reads = 0.5", "reads = 0.5\n[probe]\ntolerance_share = 2", "2", "is no share"),
    ]);
}

#[test]
fn a_wrong_sweep_is_marked_where_it_is_wrong() {
    let cases: [(&str, &str, &str); 16] = [
        ("workload.reads = []", "[]", "has no item"),
        ("workload.reads = 0.5", "0.5", "one value, and no list"),
        ("workload.reads = [0.5, \"no\"]", "\"no\"", "does not fit"),
        ("workload.reads = [0.5, 1.5]", "1.5", "reads = 1.5"),
        ("workload.value_bytes = { from = 5, to = 1 }", "{ from = 5, to = 1 }", "never arrives"),
        ("workload.value_bytes = { from = 1, till = 9 }", "till", "unknown key `till`"),
        ("workload.value_bytes = { from = 1 }", "{ from = 1 }", "a range without `to`"),
        ("workload.value_bytes = { from = \"a\", to = 3 }", "\"a\"", "is no number"),
        ("clients = [1, 16]", "clients", "unknown key `clients`"),
        ("durability.mod = [\"fsync\"]", "mod", "unknown key `mod`"),
        ("workload.arival.closed.clients = [1]", "arival", "unknown key `arival`"),
        (
            "workload.arrival.closed.clients = [2]",
            "closed",
            "the sweep sets `workload.arrival.closed`",
        ),
        (
            "variant.quorums.explicit.phase2 = [[[0]]]",
            "explicit",
            "no variant has `quorums.explicit`",
        ),
        ("variant.sent = [\"all\"]", "sent", "unknown key `sent`"),
        ("seed = [1, 2]", "seed", "`seed` cannot be swept"),
        ("topology.clients = [[\"us-east-1\"], [\"mars\"]]", "\"mars\"", "mars"),
    ];
    for (line, marked, said) in cases {
        let found = mistakes(&format!("{GOOD}[sweep]\n{line}\n"));
        let [(at, text, message)] = &found[..] else { panic!("{line}: {found:?}") };
        assert_eq!((*at, text.as_str()), (37, marked), "{line}: {message}");
        assert!(message.contains(said), "{line}: {message}");
    }
}

#[test]
fn a_table_in_single_brackets_is_marked_and_read_all_the_same() {
    let text = GOOD.split("[[variant]]").next().unwrap().to_owned()
        + "[variant]\nname = \"x\"\nprotocol = { classic = {} }\nquorums = { dual = { phase2 = 9 } }\n";
    let found = mistakes(&text);
    let marked: Vec<&str> = found.iter().map(|(_, marked, _)| marked.as_str()).collect();
    assert_eq!(marked, ["[variant]"], "{found:?}");
}

/// Every section has something wrong of another kind, and all of it is said at once.
#[test]
fn all_mistakes_of_a_file_are_found_in_one_round() {
    let text = GOOD
        .replace("trials = 2", "trials = \"two\"")
        .replace("seed = 7", "sede = 7")
        .replace("\"eu-west-1\"]\n", "\"mars\", \"venus\"]\n")
        .replace("duration = \"10s\"", "duraton = \"10s\"\ncolour = \"red\"\ndrain = 5")
        .replace("count = 1000", "count = 0")
        .replace("reads = 0.5", "reads = 1.5")
        .replace("mode = \"fsync\"", "mode = \"sync\"")
        .replace("protocol = { classic = {} }\n", "")
        .replace("\"flex\"", "\"q/2\"")
        + "[network]\nloss = 2\nduplication = -1\n[transport]\nmtu_bytes = 9000\nack_every = 0\n\
           [probe]\ntime = \"0s\"\n[emulation]\nspin = \"2ms\"\n[sweep]\nworkload.value_bytes = []\n";
    let marked: Vec<(usize, String)> =
        mistakes(&text).into_iter().map(|(line, marked, _)| (line, marked)).collect();
    let expected = [
        (3, "sede"),
        (4, "\"two\""),
        (9, "\"mars\""),
        (9, "\"venus\""),
        (14, "duraton"),
        (15, "colour"),
        (16, "5"),
        (17, "0"),
        (19, "1.5"),
        (22, "\"sync\""),
        (24, "[[variant]]"),
        (29, "\"q/2\""),
        (38, "2"),
        (39, "-1"),
        (41, "9000"),
        (42, "0"),
        (44, "\"0s\""),
        (46, "\"2ms\""),
        (48, "[]"),
    ];
    let expected: Vec<(usize, String)> =
        expected.into_iter().map(|(line, marked)| (line, marked.to_owned())).collect();
    assert_eq!(marked, expected);
}

#[test]
fn each_variant_and_fault_is_judged_by_itself() {
    let more = "[[variant]]\nname = \"third\"\nprotocol = { multi = { leader = \"mars\" } }\n\
                quorums = { dual = { phase2 = 9 } }\n\
                [[fault]]\nat = \"1s\"\npause = \"venus\"\n[[fault]]\nat = \"1m\"\npause = \"r1\"\n\
                [[fault]]\nat = \"1s\"\nafter_writes = 4\npause = \"r1\"\n\
                [[fault]]\nat = \"1s\"\nslow = { from = \"r1\", to = \"r2\" }\n";
    let text = GOOD.replace("phase1 = 4", "phase1 = 3") + more;
    let found: Vec<(usize, String)> =
        mistakes(&text).into_iter().map(|(line, marked, _)| (line, marked)).collect();
    let expected = [
        (30, "{ counts = { phase1 = 3, phase2 = 2 } }"),
        (38, "\"mars\""),
        (39, "9"),
        (42, "\"venus\""),
        (44, "\"1m\""),
        (48, "4"),
        (52, "{ from = \"r1\", to = \"r2\" }"),
    ];
    let expected: Vec<(usize, String)> =
        expected.into_iter().map(|(line, marked)| (line, marked.to_owned())).collect();
    assert_eq!(found, expected);
}

/// What is wrong has followers: they would be refused for what another key lacks.
#[test]
fn what_follows_from_a_mistake_is_not_told() {
    check(&[
        // Five replicas are four, where one of them is none.
        ("\"us-west-2\", \"eu", "7, \"eu", "7", "does not fit"),
        // Faults are within no time at all.
        ("duration = \"10s\"", "duration = [\"10s\"]", "[\"10s\"]", "does not fit"),
        // The variant has no leader, no quorums, no name.
        ("{ multi = { leader = \"us-west-2\" } }", "{ mulit = {} }", "mulit", "unknown value"),
        (COUNTS, "{ conuts = {} }", "conuts", "unknown value"),
        ("name = \"flex\"", "name = 7", "7", "does not fit"),
        // A crash without its replica, and a region by another word.
        ("crash = \"eu-west-1\"", "crash = 7", "7", "does not fit"),
        ("[topology]", "[topolgy]", "topolgy", "unknown key `topolgy`"),
    ]);
    let mode = "[election]\nmode = \"tiemout\"\nmisses = 5\n";
    let found = mistakes(&format!("{GOOD}{mode}"));
    assert_eq!(found.len(), 1, "misses may have an effect: {found:?}");
    let lease =
        "{ multi = { leader = \"us-west-2\", reads = { leader-lease = { length = \"1s\" } } } }";
    let leased = GOOD.replace("{ multi = { leader = \"us-west-2\" } }", lease);
    let with_bound = |bound: &str| mistakes(&format!("{leased}[clock]\nbound = \"{bound}\"\n"));
    assert_eq!(with_bound("1ms"), []);
    let found = with_bound("-1ms");
    assert_eq!(found.len(), 1, "the lease may be long enough: {found:?}");
}

#[test]
fn a_mistake_of_a_sweep_is_told_once_and_with_its_point() {
    let sweep = |lines: &str| mistakes(&format!("{GOOD}[sweep]\n{lines}\n"));
    let found = sweep("workload.reads = [0.0, 1.5, 2.5]\nworkload.value_bytes = [1, 2]");
    let messages: Vec<&str> = found.iter().map(|(_, _, message)| message.as_str()).collect();
    assert!(messages[0].ends_with("(at reads=1.5 value_bytes=1)"), "{messages:?}");
    assert!(messages[1].ends_with("(at reads=2.5 value_bytes=1)"), "{messages:?}");
    assert_eq!(messages.len(), 2);
    // What is wrong at all points is not wrong at one of them.
    let text = GOOD.replace("phase1 = 4", "phase1 = 9") + "[sweep]\nworkload.reads = [0.0, 0.1]\n";
    let found = mistakes(&text);
    assert!(found.len() == 1 && !found[0].2.contains("(at "), "{found:?}");
}

#[test]
fn so_many_mistakes_are_shown_and_the_others_counted() {
    let keys: Vec<String> = (0..25).map(|number| format!("colour{number} = 1\n")).collect();
    let keys = keys.concat();
    let text = GOOD.replace("[topology]\n", &format!("[topology]\n{keys}"));
    let source = source(&text);
    let error = Plan::from_source(&source, Size::default()).unwrap_err();
    assert_eq!(shown(&error, &source).len(), 20);
    let said = "25 mistakes in experiments/test.toml, 5 more than are shown";
    assert_eq!(error.to_string(), said);
    let (before, last) = error.apart();
    assert_eq!((before.len(), last.to_string().as_str()), (20, said));
}

#[test]
fn sections_that_are_absent_are_told_together() {
    let found = mistakes("seed = 1\n");
    let messages: Vec<&str> = found.iter().map(|(_, _, message)| message.as_str()).collect();
    for key in ["question", "prediction", "topology", "workload", "variant"] {
        let said = format!("experiments/test.toml: `{key}` is missing");
        assert!(messages.contains(&said.as_str()), "{key}: {messages:?}");
    }
    assert_eq!(messages.len(), 5, "{messages:?}");
    assert_eq!(mistakes("").len(), 5);
}

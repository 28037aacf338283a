//! The check at the end of a run must be seen to fail.

use std::io::Read;

use flexpaxos::history::{Check, ChosenReader, ChosenWriter, Options, Record, Verdict};

use super::*;

/// Two proposers, of which each needs no vote but its own.
fn split_brain() -> Site {
    let workload = r#"arrival = { poisson = { rate_per_s = 300 } }
warmup = "100ms"
duration = "500ms"
keys = { uniform = { count = 5 } }
reads = 0.5"#;
    let tables = r#"[durability]
mode = "memory"

[[variant]]
name = "split-brain"
protocol = { classic = {} }
quorums = { counts = { phase1 = 1, phase2 = 1 } }
unsafe_quorums = true
"#;
    let site = Site::new(&experiment("apart.csv", r#"["a", "b"]"#, workload, tables));
    // Each client is at its own replica, far from the other.
    let rtt_ms = |from, to| if from == to { 0 } else { 20 };
    let pairs = ["a", "b", "c"].map(|from| ["a", "b", "c"].map(|to| (from, to)));
    let rows =
        pairs.iter().flatten().map(|(from, to)| format!("{from},{to},{}\n", rtt_ms(from, to)));
    let profile = format!("from,to,rtt_ms\n{}", rows.collect::<String>());
    fs::write(site.root.path().join("apart.csv"), profile).unwrap();
    site
}

/// What clients saw shows it, whatever the logs say.
const SEEN: &str = "is not linearizable: no order of these";

#[test]
fn quorums_that_need_not_meet_are_caught_live() {
    let site = split_brain();
    let ended = site.run(&[]);
    ended.check(5, &["split-brain", "VIOLATION", SEEN, "0/1"]);
    let trial = &site.trials()[0];
    assert!(!trial.valid && trial.violation_count > Some(0), "{trial:?}");
    // The terminal prints each violation, and the notes keep the first one.
    let (_, why) = trial.notes.split_once("INVALID: ").unwrap();
    ended.check(5, &[&format!("split-brain) VIOLATION: {}", &why[..20])]);
    let numbers = [trial.issued_count, trial.acknowledged_count, trial.unknown_count];
    assert_eq!((trial.offered_per_s, trial.achieved_per_s, numbers), (None, None, [None; 3]));
    for table in ["latency.csv", "phases.csv", "percentiles.csv", "timeline.csv"] {
        // A trial that is INVALID has no numbers: the table is its header.
        assert_eq!(
            fs::read_to_string(site.out().join(table)).unwrap().lines().count(),
            1,
            "{table}"
        );
    }
    assert!(!site.out().join("trial-001.live.hlog").exists());
    // The histories are the evidence.
    assert!(site.history(1, "chosen.r1.0").exists());
    assert_eq!(site.manifest()["trials_valid"], 0);
}

/// And found again in what it leaves, by a command that knows nothing else.
#[test]
fn quorums_that_need_not_meet_are_caught_in_virtual_time_and_again() {
    let site = split_brain();
    site.run(&["--backend", "sim"]).check(5, &["split-brain", "VIOLATION", SEEN, "0/1"]);
    let notes = site.trials()[0].notes.clone();
    let (_, why) = notes.split_once("INVALID: ").unwrap();
    site.show().check(0, &[&format!("trial 1 (split-brain) INVALID: {}", &why[..20])]);
    site.verify().check(5, &["trial 1 (sim) split-brain: VIOLATED", "5 keys violated", SEEN]);
}

/// Without the permission the same quorums are refused before anything starts.
#[test]
fn quorums_that_need_not_meet_are_refused_without_permission() {
    let tables = MULTI.replace("{ majority = {} }", "{ counts = { phase1 = 1, phase2 = 1 } }");
    let site = Site::new(&small("memory", &tables));
    site.run(&[]).check(2, &["unsafe_quorums"]);
    assert!(!site.out().exists());
}

/// The log of a replica, with the digest of its last write changed if asked.
fn log(path: &Path, is_changed: bool) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let reader = ChosenReader::new(bytes.as_slice()).unwrap();
    let node = reader.node();
    let records: Vec<Record> = reader.collect::<Result<_, _>>().unwrap();
    let Record::Start(first) = records[0] else { panic!("a log begins with its start") };
    let mut entries: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Entry(entry) => Some(*entry),
            Record::Start(_) | Record::Installed(_) => None,
        })
        .collect();
    if is_changed {
        let writes = entries.iter_mut().filter_map(|entry| entry.command.as_mut());
        writes.filter(|command| command.digest != 0).last().unwrap().digest ^= 1;
    }
    let mut writer = ChosenWriter::new(node, first);
    for entry in &entries {
        writer.entry(entry);
    }
    writer.finish()
}

fn verdict(site: &Site, is_changed: bool) -> Verdict {
    let mut check: Check<'_, Box<dyn Read>> = Check::new(Options::default());
    let path = site.history(1, "history.c0");
    check.add_client(move || Ok(Box::new(fs::File::open(&path).unwrap()))).unwrap();
    for replica in 0..3 {
        let path = site.history(1, &format!("chosen.r{replica}.0"));
        let log = log(&path, is_changed && replica == 1);
        check.add_replica(Box::new(std::io::Cursor::new(log))).unwrap();
    }
    check.finish().unwrap()
}

#[test]
fn one_changed_digest_in_one_kept_log_is_caught() {
    let site = Site::new(&small("memory", MULTI));
    site.run(&["--launcher", "in-process"]).check(0, &[]);
    site.verify()
        .check(0, &["trial 1 (live) multi: linearizable", "10 by their slots, 0 by search"]);
    let unchanged = verdict(&site, false);
    assert!(unchanged.is_valid() && unchanged.acknowledged_count > 10, "{unchanged:?}");
    let changed = verdict(&site, true);
    assert_eq!(changed.violation_count, 1, "{changed:?}");
}

//! Acceptor logs that are not as they were left: what a crash explains is cut, and the rest refused.

use flexpaxos::cluster::InProcess;

use super::*;

const RESTART: &str = "\n[[fault]]\nat = \"300ms\"\ncrash = \"b\"\nrestart_after = \"200ms\"\n";

/// Changes the first segment of r1's acceptor log before its second start, in two trials of which
/// only the second is touched.
fn run_with_damage(damage: fn(&mut Vec<u8>)) -> (Site, Summary) {
    let site = Site::new(
        &small("fsync", &format!("{MULTI}{RESTART}")).replace("seed = 7", "seed = 7\ntrials = 2"),
    );
    let mut launcher = Meddling::new(InProcess::default()).on_start(|start, count| {
        // The launcher counts over all trials: the fourth is the restart of the second trial.
        if start.member.to_string() == "r1" && count == 4 {
            let path = start.folder.join("acceptor/0000000000000001.log");
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
    });
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|_| {});
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let trials = site.trials();
    assert!(trials[0].valid && trials[0].complete, "{trials:?}");
    (site, summary)
}

/// The end of what was written: behind it are zeros.
fn end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn a_log_that_no_crash_explains_keeps_its_replica_out() {
    let (site, _) = run_with_damage(|bytes| {
        let middle = end(bytes) / 2;
        bytes[middle] ^= 0x10;
    });
    let trial = &site.trials()[1];
    assert!(trial.valid && !trial.complete, "{trial:?}");
    for phrase in ["lost r1", "0000000000000001.log is damaged at byte", "delete the folder"] {
        assert!(trial.notes.contains(phrase), "{phrase:?} is missing in {}", trial.notes);
    }
    let members = site.members(2);
    assert_eq!((members["r1"].outcome.as_str(), members["r1"].start_count), ("lost", Some(1)));
    assert_eq!(members["r0"].outcome, "finished");
    // Its folder is what explains it.
    assert!(site.work(2, "r1/acceptor").exists() && !site.work(1, "r1").exists());
}

#[test]
fn a_torn_tail_is_cut_and_said_and_the_run_is_valid() {
    let (site, _) = run_with_damage(|bytes| {
        // The beginning of one more frame, as the first one begins behind the header of the file.
        let (end, torn) = (end(bytes), bytes[64..76].to_vec());
        // Frames begin at multiples of eight or where the one before ends: a little further is in it.
        bytes[end + 8..end + 8 + torn.len()].copy_from_slice(&torn);
    });
    let trial = &site.trials()[1];
    assert!(trial.valid && trial.complete, "{trial:?}");
    assert!(trial.notes.contains("r1 cut a torn frame of"), "{}", trial.notes);
    let members = site.members(2);
    assert_eq!((members["r1"].outcome.as_str(), members["r1"].start_count), ("finished", Some(2)));
    assert_eq!(members["r1"].executed_count, members["r0"].executed_count);
}

/// Whole and in its place, but for one bit of the last frame, of which others were told.
#[test]
fn a_flipped_bit_in_the_last_frame_keeps_its_replica_out_too() {
    let (site, _) = run_with_damage(|bytes| {
        let last = end(bytes) - 1;
        bytes[last] ^= 0x10;
    });
    let trial = &site.trials()[1];
    assert!(trial.valid && !trial.complete, "{trial:?}");
    for phrase in ["lost r1", "0000000000000001.log is damaged at byte", "had been durable"] {
        assert!(trial.notes.contains(phrase), "{phrase:?} is missing in {}", trial.notes);
    }
}

/// A replica that dies at its start is started once for each order, and not at all once it is lost.
#[test]
fn a_replica_that_lost_its_folder_is_refused_and_not_started_for_ever() {
    let faults = format!("{RESTART}{}", RESTART.replace("300ms", "2500ms"));
    let text = small("fsync", &format!("{MULTI}{faults}"));
    let site = Site::new(&text.replace("duration = \"800ms\"", "duration = \"3s\""));
    let starts = std::sync::atomic::AtomicUsize::new(0);
    let mut launcher = Meddling::new(InProcess::default()).on_start(|start, count| {
        if start.member.to_string() == "r1" {
            starts.store(count, std::sync::atomic::Ordering::Relaxed);
            if count == 2 {
                fs::remove_dir_all(start.folder.join("acceptor")).unwrap();
            }
        }
    });
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|_| {});
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let trial = &site.trials()[0];
    assert!(trial.valid && !trial.complete, "{trial:?}");
    for phrase in ["lost r1", "held the log of this replica", "must not rejoin"] {
        assert!(trial.notes.contains(phrase), "{phrase:?} is missing in {}", trial.notes);
    }
    assert_eq!(starts.load(std::sync::atomic::Ordering::Relaxed), 2);
}

/// Asserts that r1's disk, broken so, stops it, and that the others finish the run.
#[track_caller]
fn check_broken_disk(rule: &str, said: &[&str]) {
    let site = Site::new(&small("fsync", MULTI));
    let ended = site.run(&["--launcher", "in-process", "--break-disk", rule]);
    ended.check(3, &["lost r1", "acceptor/", "1/1"]);
    let trial = &site.trials()[0];
    assert!(trial.valid && !trial.complete, "{trial:?}");
    for phrase in said.iter().chain(&["broken on purpose", "0000000000000001.log"]) {
        assert!(trial.notes.contains(phrase), "{phrase:?} is missing in {}", trial.notes);
    }
    assert_eq!(trial.issued_count, trial.acknowledged_count);
    let members = site.members(1);
    assert_eq!(
        (members["r1"].outcome.as_str(), members["r0"].outcome.as_str()),
        ("lost", "finished")
    );
    assert!(members["r1"].cause.contains(said[0]) && members["r0"].cause.is_empty());
    let manifest = site.manifest();
    assert_eq!(manifest["ended"], "incomplete");
    assert_eq!(manifest["ended_note"], "trial 1 (multi)");
    assert_eq!(
        (&manifest["trials_finished"], &manifest["trials_complete"]),
        (&1.into(), &0.into())
    );
    assert_eq!(manifest["members_lost"][0]["member"], "r1");
    assert!(manifest["ended_at"].as_str() >= manifest["started_at"].as_str());
}

#[test]
fn a_sync_that_fails_stops_its_replica_for_good_and_the_coordinator_says_why() {
    check_broken_disk("r1:sync:10", &["storage cannot sync", "check the disk"]);
}

#[test]
fn a_disk_that_fills_up_stops_its_replica_and_the_coordinator_says_why() {
    check_broken_disk("r1:write:10", &["the disk is full", "free some space"]);
}

#[test]
fn a_disk_that_is_to_break_is_named_in_words_that_are_understood() {
    let site = Site::new(&small("fsync", MULTI));
    site.run(&["--break-disk", "r1:sometimes"]).check(2, &["breaks no disk", "r1:sync:20"]);
}

#[test]
fn a_disk_that_never_broke_is_no_control() {
    let site = Site::new(&small("fsync", MULTI));
    let ended = site.run(&["--launcher", "in-process", "--break-disk", "r1:sync:1000000"]);
    ended.check(2, &["--break-disk had no effect", "lower the number"]);
}

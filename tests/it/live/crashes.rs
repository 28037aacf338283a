//! Replicas that are killed, and those that come back: what they promised and voted is there.

use flexpaxos::cluster::{Processes, Progress};
use flexpaxos::deployment::Durability;
use flexpaxos::history::{ChosenReader, Record as Logged, digest};
use flexpaxos::paxos::{Record, Vote};
use flexpaxos::runtime::storage::{Store as AcceptorStore, Tail};

use super::*;

/// The experiment with one crash, long enough that what happened before it is written down.
fn crash(durability: &str, fault: &str) -> Site {
    Site::new(&small(durability, &format!("{MULTI}\n[[fault]]\nat = \"300ms\"\n{fault}\n")))
}

/// Asserts that the run is whole: every operation was answered once, and nobody is missing.
#[track_caller]
fn check_complete(site: &Site) {
    let trial = &site.trials()[0];
    assert!(trial.valid && trial.complete, "{trial:?}");
    assert_eq!(trial.violation_count, Some(0));
    // A peer that is dialled in vain while it is away is no stranger, and neither is one that returns.
    assert_eq!(trial.refused_frame_count, Some(0));
    assert!(!trial.notes.contains("strangers"), "{}", trial.notes);
    assert_eq!(trial.issued_count, trial.acknowledged_count, "{trial:?}");
}

#[test]
fn a_killed_replica_comes_back_with_what_it_promised_and_voted() {
    let site = crash("fsync", "crash = \"b\"\nrestart_after = \"200ms\"");
    site.run(&[]).check(0, &["1/1"]);
    check_complete(&site);
    let members = site.members(1);
    let [other, restarted] = [&members["r0"], &members["r1"]];
    assert_eq!((restarted.start_count, restarted.outcome.as_str()), (Some(2), "finished"));
    assert!(restarted.recovered_group_count > Some(0), "{restarted:?}");
    assert_eq!((other.start_count, other.recovered_group_count), (Some(1), Some(0)));
    // It caught up with what was chosen while it was away.
    assert_eq!(restarted.executed_count, other.executed_count);
    // One log for each start; the first is cut off where the process was killed.
    assert!(site.history(1, "chosen.r1.1").exists());
    // Far less than a block, and there: a replica writes it while it runs.
    let log = fs::read(site.history(1, "chosen.r1.0")).unwrap();
    assert!(log.len() < flexpaxos::history::BLOCK_BYTES);
    // The kill cut it off behind the last block.
    let records = ChosenReader::new(log.as_slice()).unwrap().map_while(Result::ok);
    assert!(records.filter(|record| matches!(record, Logged::Entry(_))).count() > 0);
}

/// What it missed is more than one message holds, and more than is sent at once of a state.
#[test]
fn a_replica_that_slept_through_megabytes_leads_and_has_them_all_in_the_end() {
    let missed = "pause = \"c\"\nlasts = \"2s\"\n[[fault]]\nat = \"2210ms\"\ncampaign = \"c\"";
    for retained in [100_000, 10] {
        let log = format!("[log]\nretained_slots = {retained}\n");
        let fault = format!("{MULTI}\n{log}[[fault]]\nat = \"200ms\"\n{missed}\n");
        let text = small("memory", &fault)
            .replace("\"800ms\"", "\"2500ms\"\ndrain = \"20s\"")
            .replace("count = 10 }", "count = 300 }")
            .replace("value_bytes = 16", "value_bytes = 131072")
            .replace("reads = 0.2", "reads = 0.0");
        let site = Site::new(&text);
        site.run(&[]).check(0, &["1/1"]);
        check_complete(&site);
        let flags = site.trials()[0].flag_codes.clone();
        assert!(!flags.contains("behind"), "{flags}");
        let members = site.members(1);
        assert_eq!(members["r2"].executed_count, members["r0"].executed_count);
    }
}

#[test]
fn a_killed_leader_comes_back_with_a_higher_ballot_and_every_request_is_executed_once() {
    let fault = "\n[[fault]]\nat = \"300ms\"\ncrash = \"leader\"\nrestart_after = \"200ms\"\n";
    let text = small("fsync", &format!("{MULTI}{fault}"));
    let site = Site::new(&text.replace("loopback", "uniform:4ms"));
    site.run(&[]).check(0, &["1/1"]);
    check_complete(&site);
    let leader = &site.members(1)["r0"];
    assert_eq!(leader.start_count, Some(2));
    assert!(leader.recovered_group_count > Some(0), "{leader:?}");
    assert!(leader.executed_count >= site.trials()[0].issued_count, "{leader:?}");
}

#[test]
fn what_a_killed_leader_cost_is_in_a_table_and_its_milestones_outlive_it() {
    let fault = "\n[[fault]]\nat = \"300ms\"\ncrash = \"leader\"\nrestart_after = \"200ms\"\n";
    let text = small("fsync", &format!("{MULTI}{fault}"));
    let text =
        text.replace("loopback", "uniform:4ms").replace("reads = 0.2", "retry_after = \"200ms\"");
    let site = Site::new(&text);
    site.run(&[]).check(0, &["1/1", "R_q1"]);
    check_complete(&site);
    let rows: Vec<RecoveryRow> = store::read_csv(&site.out().join("recovery.csv")).unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    // The one that led when it was killed said so while it lived.
    assert_eq!((row.leader.as_str(), row.new_leader.as_str()), ("r0", "r0"));
    assert_eq!((row.fault_kind.as_str(), row.target.as_str()), ("crash", "r0"));
    assert_eq!((row.target_regions.as_str(), row.new_leader_region.as_str()), ("a", "a"));
    assert!(row.ended_at_ns > Some(row.struck_at_ns), "{row:?}");
    assert!(row.phase1_ns >= row.floor_phase1_ns && row.floor_phase1_ns.is_some(), "{row:?}");
    assert!(row.leading_ns > row.phase1_ns && row.first_commit_ns.is_some(), "{row:?}");
    assert_eq!((row.recovered, row.unknown_count), (Some(true), Some(0)));
    // It answered after it led, and clients were away for at least as long as it was.
    assert!(row.first_ack_ns > row.leading_ns && row.redirect_ns.is_some(), "{row:?}");
    let down_ns = row.ended_at_ns.unwrap() - row.struck_at_ns;
    assert!(row.unavailable_ns > Some(down_ns) && row.delayed_count > Some(0), "{row:?}");
    let timeline: Vec<TimelineRow> = store::read_csv(&site.out().join("timeline.csv")).unwrap();
    assert!(timeline.iter().any(|row| row.faults == "crash r0"));
}

#[test]
fn members_in_one_process_crash_and_come_back_too() {
    let site = crash("fsync", "crash = \"c\"\nrestart_after = \"200ms\"");
    site.run(&["--launcher", "in-process"]).check(0, &["1/1"]);
    check_complete(&site);
    assert_eq!(site.members(1)["r2"].start_count, Some(2));
}

/// The others go on, forget what it missed, and give it their state when it comes back on its disk.
#[test]
fn a_replica_that_missed_what_is_forgotten_is_given_a_snapshot() {
    let fault = "[[fault]]\nat = \"300ms\"\ncrash = \"c\"\nrestart_after = \"400ms\"\n";
    let tables = format!("[log]\nretained_slots = 1\n{MULTI}\n{fault}");
    let text = small("fsync", &tables).replace("rate_per_s = 100", "rate_per_s = 400");
    let site = Site::new(&text);
    site.run(&[]).check(0, &["1/1"]);
    check_complete(&site);
    let members = site.members(1);
    assert_eq!(members["r2"].start_count, Some(2));
    assert_eq!(members["r2"].executed_count, members["r0"].executed_count);
    let log = fs::read(site.history(1, "chosen.r2.1")).unwrap();
    let records = ChosenReader::new(log.as_slice()).unwrap().map(Result::unwrap);
    let installed = records.filter(|record| matches!(record, Logged::Installed(_))).count();
    assert!(installed > 0, "it was taught value by value");
}

/// What the experiment does itself is no loss.
#[test]
fn a_replica_that_is_killed_for_good_as_asked_leaves_the_run_complete() {
    let site = crash("memory", "crash = \"c\"");
    site.run(&[]).check(0, &["1/1"]);
    check_complete(&site);
    let members = site.members(1);
    assert_eq!(members["r2"].outcome, "crashed");
    assert_eq!(members["r1"].outcome, "finished");
    site.verify().check(0, &["trial 1 (live) multi: linearizable"]);
}

#[test]
fn a_replica_that_somebody_else_kills_makes_the_results_partial() {
    let site = Site::new(&small("memory", &format!("{MULTI}\n")));
    let mut run = site.command(&["--trials", "2"]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    site.wait_for_log(2, "r1", "starts");
    send(site.agent(2, "r1"), Signal::SIGKILL);
    let output = run.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stdout}");
    assert!(stdout.contains("lost r1") && stdout.contains("SIGKILL"), "{stdout}");
    let trials = site.trials();
    let said: Vec<(bool, bool)> =
        trials.iter().map(|trial| (trial.valid, trial.complete)).collect();
    assert_eq!(said, [(true, true), (true, false)]);
    assert!(trials[1].notes.contains("lost r1"), "{}", trials[1].notes);
    assert_eq!(site.members(2)["r1"].outcome, "lost");
    assert_eq!(site.agents(), [0; 0]);
}

#[test]
fn a_client_that_is_lost_takes_its_history_along_and_accuses_nobody() {
    let workload =
        "arrival = { fixed = { rate_per_s = 100 } }\nwarmup = \"100ms\"\nduration = \"600ms\"";
    let tables = format!("[durability]\nmode = \"memory\"\n{MULTI}");
    let site = Site::new(&experiment("loopback", r#"["a", "b"]"#, workload, &tables));
    let mut launcher = Processes::new(FLEXPAXOS.into());
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|event| {
        if let Event::Stage(_, Progress::Measuring) = event {
            send(site.agent(1, "c1"), Signal::SIGKILL);
        }
    });
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let trial = &site.trials()[0];
    assert!(trial.valid && !trial.complete, "{trial:?}");
    // Its commands are in the logs of the replicas, and nobody knows what it issued.
    assert!(trial.unverified_count > Some(0), "{trial:?}");
    // Nor does anybody who has the folder alone: the table says that there was one more.
    site.verify().check(3, &["INCOMPLETE", "1 histories of clients cut off"]);
}

/// The votes in the acceptor log of a folder, by slot.
fn votes(folder: &Path) -> BTreeMap<u64, Vote> {
    let (_store, recovered) = AcceptorStore::open(Durability::Fsync, folder).unwrap();
    assert!(matches!(recovered.tail, Tail::Clean | Tail::Torn { .. }));
    let records = recovered
        .groups
        .iter()
        .flat_map(|group| postcard::from_bytes::<Vec<Record>>(group).unwrap());
    let vote = |record| match record {
        Record::Vote { slot, vote } => Some((slot.0, vote)),
        _ => None,
    };
    records.filter_map(vote).collect()
}

/// A value is chosen only if both r0 and r1 vote for it, so r1 must remember every one of them.
#[test]
fn every_vote_that_others_rely_on_outlives_a_kill() {
    let quorums = r#"
[[variant]]
name = "two-votes"
protocol = { multi = { leader = "a" } }
quorums = { explicit = { phase1 = [["a", "c"], ["b", "c"]], phase2 = [["a", "b"]] } }

[[fault]]
at = "300ms"
crash = "b"
"#;
    let site = Site::new(&small("fsync", quorums));
    let kept = site.root.path().join("kept");
    let mut launcher = Meddling::new(Processes::new(FLEXPAXOS.into())).on_killed(|_, folder| {
        // As the kill left it: the folder goes with the trial.
        fs::create_dir(&kept).unwrap();
        for file in files(&folder.join("acceptor")) {
            fs::copy(folder.join("acceptor").join(&file), kept.join(&file)).unwrap();
        }
    });
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|_| {});
    assert!(summary.error.is_none(), "{:?}", summary.error);
    assert!(site.trials()[0].valid && site.trials()[0].complete, "{:?}", site.trials());
    let votes = votes(&kept);
    let mut chosen_count = 0;
    for log in ["chosen.r0.0", "chosen.r2.0"] {
        let log = fs::read(site.history(1, log)).unwrap();
        for record in ChosenReader::new(log.as_slice()).unwrap() {
            let Logged::Entry(entry) = record.unwrap() else { continue };
            let vote =
                votes.get(&entry.slot.0).unwrap_or_else(|| panic!("{} is forgotten", entry.slot));
            let command = vote.value.command();
            assert_eq!(command.map(|command| command.request), entry.command.map(|it| it.request));
            if let (Some(command), Some(entry)) = (command, entry.command) {
                let written = match &command.operation {
                    flexpaxos::command::Operation::Put { value, .. } => digest(value),
                    _ => 0,
                };
                assert_eq!(written, entry.digest);
            }
            chosen_count += 1;
        }
    }
    assert!(chosen_count > 10, "{chosen_count}");
}

//! The probe before a trial: the network that was asked for, or no trial.
//!
//! The scenarios by name are failures of published harnesses: the emulation is broken on purpose, and
//! the probe must refuse the trial and name a link that is wrong.
//! Every break is off by 200 ms or reorders; the tolerance is 100 ms, which no honest link needs even
//! on a machine that does ten other things.

use flexpaxos::measure::rows::SummaryRow;

use super::*;

/// Links of 200 ms each way, with a wide tolerance and a short probe; so many trials.
fn emulated(trials: u32) -> Site {
    let workload = r#"arrival = { fixed = { rate_per_s = 50 } }
warmup = "0s"
duration = "200ms""#;
    let tables = format!(
        "[durability]\nmode = \"memory\"\n[probe]\ntolerance = \"100ms\"\ntime = \"600ms\"\n{MULTI}"
    );
    let text = experiment("uniform:400ms", r#"["a"]"#, workload, &tables);
    Site::new(&text.replace("seed = 7", &format!("seed = 7\ntrials = {trials}")))
}

/// Runs with this broken, and asserts that no trial was run; what is said of the worst link.
#[track_caller]
fn refused(rule: &str) -> (Site, String) {
    let site = emulated(1);
    let arguments = ["--launcher", "in-process", "--break-network", rule];
    let ended = Ended::of(site.probing_command(&arguments));
    let phrases = ["refused: ", "0/1", "directed links are not as asked in the last of 3 attempts"];
    ended.check(1, &phrases);
    ended.check(1, &["probe: 0 of 3 attempts found all links as asked (0 %)"]);
    let trial = &site.trials()[0];
    assert!(!trial.valid && trial.complete, "{trial:?}");
    assert_eq!((trial.network.as_str(), trial.issued_count), ("measured", None));
    let broken = format!("broken on purpose: {rule}");
    assert!(trial.notes.contains(&broken), "{}", trial.notes);
    let notes = trial.notes.clone();
    (site, notes)
}

/// Asserts that exactly these links are found wrong, by their members.
#[track_caller]
fn check_wrong(site: &Site, is_wrong: impl Fn(&LinkRow) -> bool) {
    let links = site.links();
    let attempts = links[0].attempt_count;
    assert_eq!(links.len(), 12 * usize::try_from(attempts).unwrap(), "{links:?}");
    for (row, link) in links.iter().enumerate() {
        assert_eq!(!link.is_within, is_wrong(link), "{link:?}");
        let attempt = u32::try_from(row / 12 + 1).unwrap();
        assert_eq!((link.attempt, link.attempt_count), (attempt, attempts));
    }
}

#[test]
fn an_honest_network_is_accepted_and_written_down() {
    let site = emulated(1);
    let ended = Ended::of(site.probing_command(&["--launcher", "in-process"]));
    ended.check(0, &["1/1", "probe: 1 of 1 attempts found all links as asked (100 %)"]);
    check_wrong(&site, |_| false);
    for link in site.links() {
        let asked = if link.sender_region == link.receiver_region { 0 } else { 200_000_000 };
        assert_eq!((link.asked_ns_p50, link.asked_ns_p99), (asked, asked));
        assert!(link.baseline_ns.is_some() && link.measured_count > 60, "{link:?}");
        let measured = i64::try_from(link.measured_ns_p50.unwrap()).unwrap();
        assert_eq!(link.error_ns_p50, Some(measured - i64::try_from(asked).unwrap()));
        assert_eq!((link.missing_count, link.tolerance_ns), (Some(0), 100_000_000));
    }
    let trial = &site.trials()[0];
    assert!(trial.valid && trial.network == "measured", "{trial:?}");
    // The client stands beside its replica, and no path takes no time.
    assert_eq!(site.links().iter().filter(|link| link.is_floored).count(), 2);
    assert!(site.latencies().iter().all(|row| row.network == "measured"));
    assert_eq!(site.members(1)["r1"].outcome, "finished");
}

#[test]
fn members_in_processes_of_their_own_are_measured_too() {
    let site = emulated(1);
    Ended::of(site.probing_command(&[])).check(0, &["1/1"]);
    check_wrong(&site, |_| false);
}

/// A link that carries one datagram at a time falls behind.
#[test]
fn delay_line_as_pipe() {
    let (site, notes) = refused("delay-line-as-pipe");
    assert!(notes.contains("took") || notes.contains("in time"), "{notes}");
    // A link without delay is a pipe that holds nothing up.
    check_wrong(&site, |link| link.asked_ns_p50 > 0);
}

/// One sleep a datagram: its delay is right, and its place is not.
#[test]
fn delay_reorders() {
    let (site, notes) = refused("delay-reorders");
    assert!(notes.contains("after one that was sent later"), "{notes}");
    check_wrong(&site, |link| link.asked_ns_p50 > 0);
    assert!(site.links().iter().any(|link| link.overtaken_count > Some(0)));
}

#[test]
fn delay_one_way_only() {
    let (site, notes) = refused("delay-one-way-only");
    assert!(notes.contains("where 200.00 was asked"), "{notes}");
    // Of two replicas the lower number dials, and a client dials every replica.
    let is_answer = |link: &LinkRow| {
        link.receiver == "c0" || link.sender > link.receiver && link.sender != "c0"
    };
    check_wrong(&site, |link| link.asked_ns_p50 > 0 && is_answer(link));
}

#[test]
fn delay_twice() {
    let (site, notes) = refused("delay-twice");
    assert!(notes.contains("where 200.00 was asked"), "{notes}");
    check_wrong(&site, |link| link.asked_ns_p50 > 0);
}

#[test]
fn delay_silently_off() {
    let (site, notes) = refused("delay-silently-off");
    assert!(notes.contains("where 200.00 was asked"), "{notes}");
    check_wrong(&site, |link| link.asked_ns_p50 > 0);
}

#[test]
fn a_refused_trial_has_no_numbers_and_the_run_goes_on() {
    let site = emulated(2);
    // Three attempts show that it is hopeless, and fewer may be asked for.
    let arguments = [
        ["--launcher", "in-process"],
        ["--break-network", "delay-twice"],
        ["--set", "probe.attempts=2"],
    ]
    .concat();
    Ended::of(site.probing_command(&arguments)).check(1, &["0/2", "trial 2 (multi) INVALID"]);
    let trials = site.trials();
    assert_eq!(trials.len(), 2);
    for trial in &trials {
        assert!(!trial.valid && trial.notes.contains("refused: "), "{trial:?}");
        assert_eq!((trial.offered_per_s, trial.achieved_per_s), (None, None));
    }
    assert!(site.latencies().is_empty());
    // Every attempt is written down.
    assert_eq!(site.links().len(), 2 * 2 * 12);
    assert_eq!(site.manifest()["probe_attempts"], 4);
    assert_eq!(site.manifest()["probe_attempts_good"], 0);
    assert_eq!(site.members(2)["r0"].outcome, "refused");
    assert_eq!(site.manifest()["trials_valid"], 0);
    // What explains it is in links.csv; the folders of the members hold nothing.
    assert!(!site.out().join("work").exists());
}

#[test]
fn without_a_probe_every_row_says_so() {
    let site = emulated(1);
    let ended = site.run(&["--launcher", "in-process", "--break-network", "delay-silently-off"]);
    // Nobody looked: this is what the probe is for.
    ended.check(0, &["1/1", "?", "broken on purpose: 1 of 1 trial (delay-silently-off)"]);
    assert_eq!(site.trials()[0].network, "unverified");
    assert!(site.latencies().iter().all(|row| row.network == "unverified"));
    assert!(!site.out().join("links.csv").exists());
}

#[test]
fn links_outlive_a_run_that_was_cut_short() {
    let site = emulated(2);
    let mut run = site.probing_command(&[]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first trial", || site.out().join("trials.csv").exists());
    send(i32::try_from(run.id()).unwrap(), Signal::SIGINT);
    run.wait_with_output().unwrap();
    let before = site.links();
    if site.trials().len() == 2 {
        // The second was quicker than the signal: there is nothing to resume.
        return;
    }
    let mut resume = Command::new(FLEXPAXOS);
    resume.arg("run").arg(site.file()).arg("--resume").arg(site.out());
    Ended::of(resume).check(0, &["2/2"]);
    // What it kept for people and for programs is of all trials, too.
    let table = fs::read_to_string(site.out().join("table.txt")).unwrap();
    assert!(table.contains("2/2") && table.contains("histories of 2 trials"), "{table}");
    let summary: Vec<SummaryRow> = store::read_csv(&site.out().join("summary.csv")).unwrap();
    assert_eq!((summary.len(), summary[0].trial_count, summary[0].valid_count), (1, 2, 2));
    let after = site.links();
    assert!(!before.is_empty() && after.len() > before.len());
    assert_eq!(after[..before.len()], before[..]);
}

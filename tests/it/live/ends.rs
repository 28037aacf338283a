//! Runs that are ended from outside: nothing of theirs goes on, and what is finished is kept.

use super::*;

#[test]
fn an_interrupted_run_keeps_its_finished_trials_and_says_so() {
    let site = Site::new(&small("memory", MULTI));
    let mut run = site.command(&["--trials", "20"]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first trial", || site.out().join("trials.csv").exists());
    send(i32::try_from(run.id()).unwrap(), Signal::SIGINT);
    let output = run.wait_with_output().unwrap();
    let stderr = words(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let finished = site.trials().len();
    assert!((1..20).contains(&finished), "{finished}");
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert!(stderr.contains(&format!("{finished} of 20 trials are finished")), "{stderr}");
    // What is finished is shown as well.
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("multi") && stdout.contains("results in"), "{stdout}");
    assert!(site.trials().iter().all(|trial| trial.valid));
    let manifest = site.manifest();
    assert_eq!(manifest["ended"], "interrupted", "{manifest}");
    assert_eq!(
        (&manifest["trials_finished"], &manifest["trials_planned"]),
        (&finished.into(), &20.into())
    );
    assert_eq!(site.agents(), [0; 0]);
    assert!(!site.out().join("work").exists());
}

/// Liveness is checked both ways: an agent that loses its coordinator stops by itself.
#[test]
fn agents_whose_coordinator_is_killed_stop_and_leave_what_they_measured() {
    let workload = r#"arrival = { fixed = { rate_per_s = 100 } }
warmup = "0s"
duration = "10m""#;
    let tables = format!("[durability]\nmode = \"memory\"\n{MULTI}");
    let site = Site::new(&experiment("loopback", r#"["a"]"#, workload, &tables));
    let mut run = site.start(&[]);
    site.wait_for_log(1, "c0", "starts");
    assert_eq!(site.agents().len(), 4);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for("the end of all agents", || site.agents().is_empty());
    let partial = site.work(1, "c0").join("partial.hlog");
    let lines = fs::read_to_string(partial).unwrap();
    let lines: Vec<&str> = lines.lines().filter(|line| line.contains("HIST")).collect();
    assert!(!lines.is_empty());
    let log = fs::read_to_string(site.work(1, "c0").join("agent.log")).unwrap();
    assert!(words(&log).contains("lost the coordinator"), "{log}");
    // Nobody said that the run ended.
    assert!(!site.out().join("manifest.json").exists());
}

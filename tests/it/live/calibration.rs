//! What is known of the machine: measured before a run, used by its simulation, watched during it.

use flexpaxos::calibration::{Calibration, Quantiles};

use super::*;

/// A machine on which everything takes this long.
fn machine(site: &Site, nanoseconds: u64) -> PathBuf {
    let times = Quantiles {
        count: 1,
        ns_p50: Some(nanoseconds),
        ns_p99: Some(nanoseconds),
        ns_max: Some(nanoseconds),
    };
    let mut calibration = Calibration { calibration_version: 1, ..Calibration::default() };
    calibration.round_trips.quic_in_one_loop = times;
    calibration.syncs.one = times;
    let path = site.root.path().join("machine.json");
    fs::write(&path, serde_json::to_vec(&calibration).unwrap()).unwrap();
    path
}

#[test]
fn a_run_in_both_worlds_is_calibrated_watched_and_simulated_on_what_was_measured() {
    let site = Site::new(&small("fsync", MULTI));
    let arguments = ["--backend", "both", "--launcher", "processes"];
    let ended = Ended::of(site.calibrating_command(&arguments));
    ended.check(0, &["calibrating this machine", "results in"]);
    let manifest = site.manifest();
    let calibration: Calibration = serde_json::from_value(manifest["calibration"].clone()).unwrap();
    assert!(calibration.is_quick && calibration.syncs.one.count > 0, "{calibration:?}");
    let service = calibration.service();
    let services = serde_json::json!([{
        "receive_ns": service.receive.0,
        "send_ns": service.send.0,
        "sync_ns": service.sync.0,
        "mebibyte_ns": service.mebibyte.0,
        "source": "run-calibration",
        "source_file": null,
    }]);
    assert_eq!(manifest["services"], services);
    assert_eq!(files(&site.out()).iter().filter(|name| name.contains("calibration")).count(), 0);

    // Every live member says how its machine did, and no simulated one does.
    for trial in site.trials() {
        let is_live = trial.backend == "live";
        assert!(trial.saturated.is_some(), "{trial:?}");
        assert_eq!(trial.no_idle_core_share.is_some(), is_live, "{trial:?}");
        let rows: Vec<MemberRow> = store::read_csv(&site.out().join("members.csv")).unwrap();
        for row in rows.iter().filter(|row| row.backend == trial.backend) {
            assert_eq!(row.timer_slip_ns_p50.is_some(), is_live, "{row:?}");
            assert_eq!(row.run_queue_ns.is_some(), is_live, "{row:?}");
            assert_eq!(row.host_busy_share.is_some(), is_live, "{row:?}");
            assert_eq!(row.cpu_ns.is_some(), is_live, "{row:?}");
        }
    }
}

#[test]
fn a_simulation_takes_what_work_costs_from_a_file_and_is_repeatable() {
    let site = Site::new(&small("fsync", MULTI));
    let path = machine(&site, 3_000_000);
    let path = path.to_str().unwrap();
    site.run(&["--backend", "sim", "--calibration", path]).check(0, &["multi"]);
    let used = &site.manifest()["services"][0];
    assert_eq!((&used["receive_ns"], &used["send_ns"]), (&1_000_000.into(), &500_000.into()));
    assert_eq!(used["sync_ns"], 3_000_000);
    assert_eq!((&used["source"], &used["source_file"]), (&"calibration-file".into(), &path.into()));
    assert!(site.manifest()["calibration"].is_null(), "nothing was measured");
    // Without a network, what is left is the work: the leader's vote waits for its disk.
    let least = site.latencies().iter().filter_map(|row| row.latency_ns_min).min().unwrap();
    assert!(least >= 3_000_000, "{least}");
}

#[test]
fn a_calibration_that_makes_no_sense_is_refused_before_anything_runs() {
    let silent = small("memory", MULTI);
    let speaking = format!("{silent}\n[service]\nsync = \"1ms\"\n");
    let site = Site::new(&silent);
    let path = machine(&site, 1000);
    let path = path.to_str().unwrap();
    let check = |arguments: &[&str], phrases: &[&str]| {
        site.run(arguments).check(2, phrases);
        assert!(!site.out().exists());
    };
    check(&["--calibration", path], &["for simulated trials alone", "--backend both"]);
    let file = site.file();
    check(
        &["--backend", "sim", "--calibration", file.to_str().unwrap()],
        &["holds no calibration", "it is no JSON", "flexpaxos calibrate --out"],
    );
    check(&["--backend", "sim", "--calibration", "absent.json"], &["cannot read absent.json"]);
    fs::write(site.file(), speaking).unwrap();
    check(
        &["--backend", "sim", "--calibration", path],
        &["the experiment says itself what work costs", "leave out `--calibration`"],
    );
}

#[test]
fn a_calibration_is_printed_or_kept_and_never_overwrites() {
    let root = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(FLEXPAXOS);
        command.arg("calibrate").args(arguments).current_dir(root.path()).env("NO_COLOR", "1");
        Ended::of(command)
    };
    let ended = command(&["--quick", "--json", "--out", "machine.json"]);
    ended.check(0, &[]);
    assert_eq!(ended.stderr, "");
    let printed: Calibration = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(Calibration::read(&root.path().join("machine.json")).unwrap(), printed);
    assert_eq!(files(root.path()), ["machine.json"]);
    let refused = command(&["--quick", "--out", "machine.json"]);
    refused.check(2, &["machine.json", "name a file that does not exist yet"]);
    assert_eq!(refused.stdout, "");
}

/// The line on stderr says that signals are taken.
#[test]
fn an_interrupt_during_a_calibration_ends_it_and_leaves_no_folder() {
    let site = Site::new(&small("fsync", MULTI));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut command = site.calibrating_command(&[]);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = std::io::BufReader::new(run.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        assert!(line.starts_with("calibrating this machine"), "{line}");
        send(i32::try_from(run.id()).unwrap(), signal);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(3), "{rest}");
        assert!(words(&rest).contains("interrupted while this machine was calibrated"), "{rest}");
        assert!(!site.out().exists());
    }
}

#[test]
fn a_place_that_a_calibration_cannot_use_is_the_request_and_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let check = |arguments: &[&str], phrases: &[&str]| {
        let mut command = Command::new(FLEXPAXOS);
        command.arg("calibrate").args(arguments).current_dir(root.path()).env("NO_COLOR", "1");
        Ended::of(command).check(2, phrases);
    };
    check(&["--quick", "--folder", "file"], &["cannot use the folder", "what is there is a file"]);
    check(
        &["--quick", "--out", "absent/a.json"],
        &["cannot write absent/a.json", "make its folder"],
    );
}

//! Runs that cannot begin: what is said, and what is left as it was.

use std::net::UdpSocket;

use flexpaxos::cluster::{Error, Processes, StartError};
use flexpaxos::run;

use super::*;

#[test]
fn a_taken_port_is_named_with_what_to_change() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let site = Site::new(&small("memory", MULTI));
    let ended = site.run(&["--listen", &taken]);
    ended.check(1, &["the coordinator cannot listen", &taken, "--listen", "0 of 1 trials"]);
    assert_eq!(site.manifest()["ended"], "failed");
    let why = site.manifest()["ended_note"].as_str().unwrap().to_owned();
    assert!(why.contains(&taken), "{why}");
    assert_eq!(site.agents(), [0; 0]);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let site = Site::new(&small("memory", MULTI));
    fs::create_dir(site.out()).unwrap();
    fs::write(site.out().join("trials.csv"), "precious").unwrap();
    let ended = site.run(&[]);
    ended.check(2, &["is not empty", "never overwritten", "--out"]);
    assert_eq!(files(&site.out()), ["trials.csv"]);
    assert_eq!(fs::read_to_string(site.out().join("trials.csv")).unwrap(), "precious");
}

#[test]
fn a_folder_below_a_file_cannot_be() {
    let site = Site::new(&small("memory", MULTI));
    fs::write(site.out(), "a file").unwrap();
    let mut command = Command::new(FLEXPAXOS);
    let out = site.out().join("below");
    command.arg("run").arg(site.file()).arg("--out").arg(&out);
    Ended::of(command).check(2, &["results go to a folder", "is a file", "--out"]);
    assert_eq!(fs::read_to_string(site.out()).unwrap(), "a file");
}

/// A limit of the size of files stands for a disk that fills up: the tables grow with every trial.
#[test]
fn a_disk_that_fills_up_ends_the_run_and_keeps_what_is_finished() {
    let site = Site::new(&small("memory", &format!("{MULTI}\n")));
    let run = site.command(&["--trials", "40", "--launcher", "in-process"]);
    // The description of the columns has 35 KiB, and must fit.
    let ended = Ended::of(limited(&run, 80));
    ended.check(1, &["cannot be written", "File too large", "make room"]);
    assert!(!site.trials().is_empty() && site.trials().iter().all(|trial| trial.valid));
    // The tables did not fit any more; the trials themselves are there, for --resume.
    let is_part = |name: &&String| Path::new(name).extension().is_some_and(|it| it == "part");
    let kept = files(&site.out()).iter().filter(is_part).count();
    assert!((site.trials().len()..40).contains(&kept), "{kept}");
    assert!(ended.stderr.contains(&format!("{kept} of 40 trials")), "{}", ended.stderr);
    assert_eq!(site.temporaries(), [""; 0]);
}

#[test]
fn a_disk_without_room_for_an_acceptor_log_is_named_before_anything_runs() {
    let site = Site::new(&small("fsync", MULTI));
    let ended = Ended::of(limited(&site.command(&[]), 512));
    ended.check(
        1,
        &[
            "failed before the trial began: the disk is full",
            "acceptor/",
            "File too large",
            "0 of 1",
        ],
    );
    assert_eq!(site.agents(), [0; 0]);
}

/// The command with a limit of the size of its files, in blocks of 512 bytes.
fn limited(run: &Command, blocks: u32) -> Command {
    let mut command = Command::new("sh");
    // The signal that comes with the error would end the process instead.
    command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
    command.arg(run.get_program()).args(run.get_args()).env("NO_COLOR", "1");
    command
}

/// An agent that does nothing at all.
struct Nobody;

impl Launcher for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn start(&mut self, _: Start) -> Result<(), StartError> {
        Ok(())
    }

    fn kill(&mut self, _: MemberName) {}

    fn pause(&mut self, _: MemberName) -> bool {
        false
    }

    fn resume(&mut self, _: MemberName) {}

    fn ended(&mut self, _: MemberName) -> Option<String> {
        None
    }

    fn stop_all(&mut self) {}
}

/// Asserts that the run ended because these never joined, and how they are said to have ended.
#[track_caller]
fn check_never_joined(launcher: &mut dyn Launcher, timeouts: Timeouts, end: Option<&str>) {
    let site = Site::new(&small("memory", MULTI));
    let summary = site.run_with(launcher, timeouts, &|_| {});
    let Some(run::Error::Trial { trial: 1, source, .. }) = &summary.error else {
        panic!("{:?}", summary.error)
    };
    let Error::NeverJoined { members, ends, .. } = &**source else { panic!("{source:?}") };
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["r0", "r1", "r2", "c0"]);
    assert_eq!(ends.values().next().map(String::as_str), end);
    let said = source.to_string();
    assert!(said.contains("never joined") && said.contains("their logs are in"), "{said}");
    assert!(end.is_none_or(|end| said.contains(end)), "{said}");
    assert!(summary.finished.is_empty());
    assert!(site.manifest()["ended_note"].as_str().unwrap().contains("never joined"));
}

#[test]
fn agents_that_never_dial_are_named() {
    let timeouts = Timeouts { join: Span::from_millis(50), ..Timeouts::default() };
    check_never_joined(&mut Nobody, timeouts, None);
}

/// The time-out is the default one, and is not waited for.
#[test]
fn agents_that_end_at_once_are_named_with_their_ends() {
    let timeouts = Timeouts { join: DEADLINE, ..Timeouts::default() };
    let mut launcher = Processes::new("/bin/false".into());
    check_never_joined(&mut launcher, timeouts, Some("exit status: 1"));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let site = Site::new(&small("memory", MULTI));
    let mut launcher = Processes::new("/nonexistent/flexpaxos".into());
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|_| {});
    let said = format!("{:?}", summary.error);
    assert!(said.contains("nonexistent"), "{said}");
    let ended = site.manifest()["ended_note"].as_str().unwrap().to_owned();
    assert!(ended.contains("cannot run /nonexistent/flexpaxos as r0"), "{ended}");
}

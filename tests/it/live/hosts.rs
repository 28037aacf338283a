//! Members on other hosts, as far as one machine without namespaces shows it; `tests/cluster/run.sh` has real
//! sshd, clocks that are hours apart, and cables that are pulled.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flexpaxos::cluster::{Home, Processes, Progress};
use flexpaxos::quorum::NodeId;
use flexpaxos::time::Time;
use flexpaxos::topology::Profile;

use super::*;

/// Members that are said to run on hosts of their own.
struct Elsewhere(Processes);

impl Launcher for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    fn home(&self, member: MemberName) -> Option<Home> {
        let (host, address) = (format!("host-of-{member}"), [127, 0, 0, 1].into());
        Some(Home { host, address, ports: None, core_count: Some(3) })
    }

    fn start(&mut self, start: Start) -> Result<(), cluster::StartError> {
        self.0.start(start)
    }

    fn kill(&mut self, member: MemberName) {
        self.0.kill(member);
    }

    fn pause(&mut self, member: MemberName) -> bool {
        self.0.pause(member)
    }

    fn resume(&mut self, member: MemberName) {
        self.0.resume(member);
    }

    fn ended(&mut self, member: MemberName) -> Option<String> {
        self.0.ended(member)
    }

    fn stop_all(&mut self) {
        self.0.stop_all();
    }
}

/// A crash and a restart, too: a member that comes back keeps the clock that it had.
#[test]
fn clocks_of_members_on_other_hosts_are_aligned() {
    let fault = "[[fault]]\nat = \"100ms\"\ncrash = \"r2\"\nrestart_after = \"100ms\"\n";
    let site = Site::new(&small("fsync", &format!("{MULTI}{fault}")));
    let mut launcher = Elsewhere(Processes::new(FLEXPAXOS.into()));
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|_| {});
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let row = &summary.finished[0].row;
    assert!(row.valid && row.complete, "{}", row.notes);
    // All of them read one clock in truth, so what is left is the error that round trips allow.
    let apart = row.clocks_apart_ns.unwrap();
    assert!(apart > 0 && apart < 1_000_000_000, "{apart}");
    let members: Vec<MemberRow> = store::read_csv(&site.out().join("members.csv")).unwrap();
    for member in members {
        assert_eq!(member.host, format!("host-of-{}", member.member));
        assert!(member.clock_error_ns.unwrap() <= apart, "{member:?}");
    }
    let recoveries: Vec<RecoveryRow> = store::read_csv(&site.out().join("recovery.csv")).unwrap();
    assert!(recoveries.iter().all(|row| row.instants_apart_ns >= Some(apart)), "{recoveries:?}");
    assert_eq!(site.verify().code, Some(0));
}

/// A machine that is lost: its member says nothing from the measurement on, and the machine is known to be lost a
/// while after that member's own connection has ended.
struct Losing {
    inner: Elsewhere,
    is_measuring: Arc<AtomicBool>,
    killed_at: Option<Time>,
}

const LOST: MemberName = MemberName::Replica(NodeId(2));

impl Launcher for Losing {
    fn name(&self) -> &'static str {
        "losing"
    }

    fn home(&self, member: MemberName) -> Option<Home> {
        self.inner.home(member)
    }

    fn silence(&self) -> Span {
        Span::from_millis(300)
    }

    fn start(&mut self, start: Start) -> Result<(), cluster::StartError> {
        self.inner.start(start)
    }

    fn kill(&mut self, member: MemberName) {
        self.inner.kill(member);
    }

    fn pause(&mut self, member: MemberName) -> bool {
        self.inner.pause(member)
    }

    fn resume(&mut self, member: MemberName) {
        self.inner.resume(member);
    }

    fn ended(&mut self, member: MemberName) -> Option<String> {
        self.inner.ended(member)
    }

    fn host_lost(&mut self, member: MemberName) -> Option<String> {
        if member != LOST || !self.is_measuring.load(Ordering::Relaxed) {
            return None;
        }
        let killed_at = *self.killed_at.get_or_insert_with(|| {
            self.inner.kill(LOST);
            clock::now()
        });
        let is_known = clock::now().since(killed_at) > Span::from_millis(900);
        is_known.then(|| "host n3 is lost: it has said nothing".to_owned())
    }

    fn stop_all(&mut self) {
        self.inner.stop_all();
    }
}

#[test]
fn a_member_is_lost_with_its_host_though_its_connection_ended_before() {
    let text = small("memory", MULTI).replace("duration = \"800ms\"", "duration = \"3s\"");
    let site = Site::new(&text);
    let is_measuring = Arc::new(AtomicBool::new(false));
    let inner = Elsewhere(Processes::new(FLEXPAXOS.into()));
    let mut launcher = Losing { inner, is_measuring: Arc::clone(&is_measuring), killed_at: None };
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|event| {
        if matches!(event, Event::Stage(_, Progress::Measuring)) {
            is_measuring.store(true, Ordering::Relaxed);
        }
    });
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let row = &summary.finished[0].row;
    assert!(!row.complete && row.notes.contains("host n3 is lost"), "{}", row.notes);
}

/// In place of ssh: a shell of this machine, in a home of its own for each host.
fn fake_ssh(site: &Site) -> PathBuf {
    let root = site.root.path();
    let path = root.join("fake-ssh");
    let text = format!(
        "#!/bin/sh\nfor next; do host=$last; last=$next; done\nexport HOME={}/home-$host SSH_CONNECTION='127.0.0.1 1 127.0.0.1 22'\n\
         unset XDG_CACHE_HOME\necho 'Welcome!'\nexec /bin/sh -c \"$last\"\n",
        root.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_run_over_ssh_has_the_folder_of_a_local_one() {
    let site = Site::new(&small("fsync", MULTI));
    let hosts = site.root.path().join("hosts.txt");
    fs::write(&hosts, "n1 region=a\nn2\n").unwrap();
    let (ssh, hosts) = (fake_ssh(&site), hosts.display().to_string());
    let ssh = ssh.display().to_string();
    let options = ["--engine", "ssh", "--hosts", &hosts, "--ssh-command", &ssh];
    let mut command = site.command(&options);
    command.arg("--listen").arg("127.0.0.1:0");
    let ended = Ended::of(command);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for phrase in ["n1: uploading the program", "n1 runs r0, c0: they share its cores"] {
        assert!(ended.stderr.contains(phrase), "{phrase:?} is missing in {}", ended.stderr);
    }
    let manifest = site.manifest();
    assert_eq!(manifest["launcher"], "ssh");
    let host = &manifest["hosts"][1];
    assert_eq!((host["host"].as_str(), host["address"].as_str()), (Some("n2"), Some("127.0.0.1")));
    let members: Vec<MemberRow> = store::read_csv(&site.out().join("members.csv")).unwrap();
    let on: Vec<&str> = members.iter().map(|member| member.host.as_str()).collect();
    assert_eq!(on, ["n1", "n2", "n2", "n1"]);
    // The program stays, and nothing else.
    for host in ["n1", "n2"] {
        let cache = site.root.path().join(format!("home-{host}/.cache/flexpaxos"));
        assert_eq!(fs::read_dir(cache.join("scratch")).unwrap().count(), 0);
        let programs = fs::read_dir(cache).unwrap().count();
        assert_eq!(programs, 2, "the program, and the folder of scratch");
    }
}

/// Links of one machine: what is measured is the profile of the run, and one that the simulator takes.
#[test]
fn links_as_they_are_become_a_profile() {
    let text = small("memory", MULTI).replace("\"loopback\"", "\"native\"");
    let site = Site::new(&text);
    let ended = site.run(&["--launcher", "in-process"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let native = site.out().join("native.csv");
    let profile = Profile::load(&native.display().to_string()).unwrap();
    for (from, to) in [("a", "b"), ("c", "a"), ("a", "a")] {
        let round_trip = profile.rtt(from, to).unwrap();
        assert!(round_trip > Span::ZERO, "{from} -> {to}: {round_trip}");
    }
    // The floors of the run know what was measured.
    let latency: Vec<LatencyRow> = store::read_csv(&site.out().join("latency.csv")).unwrap();
    assert!(latency[0].floor_ns_p50 > Some(0), "{latency:?}");
    let simulated = Site::new(&text.replace("native", &native.display().to_string()));
    assert_eq!(simulated.run(&["--backend", "sim"]).code, Some(0));
    let refused = site.run(&["--backend", "sim"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("native"), "{}", refused.stderr);
}

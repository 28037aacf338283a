//! Members with a valid certificate that do not follow the protocol: they are dropped with the
//! evidence, and the others go on.

use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::BytesMut;
use flexpaxos::cluster::{Processes, Progress};
use flexpaxos::paxos::Message;
use flexpaxos::protocol::{Ballot, Slot};
use flexpaxos::quorum::NodeId;
use flexpaxos::runtime::net::{Identity, frame};

use super::strangers::intrude;
use super::*;

/// A run in which somebody intrudes into r2, which does not lead, while it is measured.
fn run_with_intruder(
    act: impl Fn(&dyn Fn(&str) -> Identity, SocketAddr) + Sync,
) -> (Site, Summary) {
    let site = Site::new(&small("memory", MULTI));
    let identities: Mutex<BTreeMap<String, Identity>> = Mutex::default();
    let mut launcher = Meddling::new(Processes::new(FLEXPAXOS.into())).on_start(|start, _| {
        identities.lock().unwrap().insert(start.member.to_string(), start.identity.clone());
    });
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|event| {
        if let Event::Stage(_, Progress::Measuring) = event {
            let log = site.wait_for_log(1, "r2", "listens on");
            let address = log.split("listens on ").nth(1).unwrap().lines().next().unwrap();
            let identity = |member: &str| identities.lock().unwrap()[member].clone();
            act(&identity, address.parse().unwrap());
        }
    });
    assert!(summary.error.is_none(), "{:?}", summary.error);
    (site, summary)
}

#[test]
fn a_member_that_says_the_impossible_is_dropped_with_the_evidence_and_the_others_go_on() {
    let (site, summary) = run_with_intruder(|identity, replica| {
        // r1 tells r2 what r0 proposed.
        let ballot = Ballot { round: 3, proposer: NodeId(0) };
        let message = Message::Chosen { ballot, first: Slot(0), below: Slot(1 << 40) };
        let mut says = BytesMut::from(&b"p"[..]);
        frame::encode(&mut says, &message).unwrap();
        let ended = intrude(&identity("r1"), replica, "r2", &says);
        assert!(ended.to_string().contains("impossible"), "{ended}");
    });
    let ended = &summary.finished[0];
    assert_eq!(ended.violations.len(), 1, "{:?}", ended.violations);
    let words = ["r2: r1 sent `chosen (3.r0)", "speaks at ballot (3.r0), which is not its own"];
    for word in words {
        assert!(ended.violations[0].contains(word), "{}", ended.violations[0]);
    }
    // Whoever lied once may have lied before: such a trial has no numbers.
    let trial = &site.trials()[0];
    assert!(!trial.valid && trial.notes.contains("INVALID"), "{trial:?}");
    let members = site.members(1);
    assert!(members.values().all(|member| member.outcome == "finished"), "{members:?}");
    // r2 hears of what is chosen through r0 alone now, and is level with it.
    assert_eq!(members["r2"].executed_count, members["r0"].executed_count);
    let log = site.work(1, "r2").join("agent.log");
    assert!(!log.exists() || fs::read_to_string(log).unwrap().contains("impossible"));
}

#[test]
fn an_announced_frame_that_is_too_long_ends_the_connection_and_the_run_is_valid() {
    let (site, _) = run_with_intruder(|identity, replica| {
        let ended = intrude(&identity("c0"), replica, "r2", b"p\xff\xff\xff\x7f and so on");
        assert!(ended.to_string().contains("does not decode"), "{ended}");
    });
    let trial = &site.trials()[0];
    assert!(trial.valid && trial.complete, "{trial:?}");
    assert_eq!(trial.issued_count, trial.acknowledged_count);
    assert_eq!(trial.refused_frame_count, Some(1), "{trial:?}");
}

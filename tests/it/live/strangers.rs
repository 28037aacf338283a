//! Peers that do not belong: they are refused and counted, and the run goes on.

use std::net::SocketAddr;
use std::sync::Mutex;

use flexpaxos::cluster::{Processes, Progress};
use flexpaxos::runtime::net::{Authority, Identity, Transport, bind};
use quinn::ConnectionError;

use super::*;

/// Dials as `identity`, says this, and waits to be shown the door.
pub(super) fn intrude(
    identity: &Identity,
    address: SocketAddr,
    member: &str,
    says: &[u8],
) -> ConnectionError {
    // A thread of its own: the coordinator's has a runtime that runs.
    std::thread::scope(|scope| {
        scope.spawn(|| dial(identity, address, member, says)).join().unwrap()
    })
}

fn dial(identity: &Identity, address: SocketAddr, member: &str, says: &[u8]) -> ConnectionError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = "127.0.0.1:0".parse().unwrap();
        let endpoint = bind(identity, host, None, &Transport::default()).unwrap();
        let connection = match endpoint.connect(address, member, None).await {
            Ok(connection) => connection,
            Err(flexpaxos::runtime::net::endpoint::Error::Connect { source, .. }) => return source,
            Err(other) => panic!("{other}"),
        };
        if let Ok((mut send, _receive)) = connection.open_bi().await {
            // It may be refused in the middle.
            let _ = send.write_all(says).await;
            return connection.closed().await;
        }
        connection.closed().await
    })
}

/// A member of another deployment that believes ours.
fn foreigner(ours: &Identity, name: &str) -> Identity {
    let theirs = Authority::new().unwrap().issue(name).unwrap();
    Identity { authority: ours.authority.clone(), ..theirs }
}

#[test]
fn strangers_and_garbage_are_refused_and_counted_and_the_run_is_valid() {
    let site = Site::new(&small("memory", MULTI));
    // Members are started in order: the last is the client.
    let known: Mutex<Option<Identity>> = Mutex::default();
    let mut launcher = Meddling::new(Processes::new(FLEXPAXOS.into())).on_start(|start, _| {
        *known.lock().unwrap() = Some(start.identity.clone());
        if start.member.to_string() == "r0" {
            let (stranger, coordinator) = (foreigner(&start.identity, "r1"), start.coordinator);
            std::thread::spawn(move || intrude(&stranger, coordinator, "coordinator", b""));
        }
    });
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|event| {
        if !matches!(event, Event::Stage(_, Progress::Measuring)) {
            return;
        }
        let client = known.lock().unwrap().clone().unwrap();
        assert_eq!(client.member, "c0");
        let log = site.wait_for_log(1, "r0", "listens on");
        let address = log.split("listens on ").nth(1).unwrap().lines().next().unwrap();
        let replica: SocketAddr = address.parse().unwrap();
        let ended = intrude(&foreigner(&client, "c0"), replica, "r0", b"p");
        assert!(matches!(ended, ConnectionError::ConnectionClosed(_)), "{ended}");
        // A frame of 64 bytes that are no command.
        let mut garbage = b"p\x40\0\0\0".to_vec();
        garbage.extend([0xff; 64]);
        let ended = intrude(&client, replica, "r0", &garbage);
        assert!(ended.to_string().contains("does not decode"), "{ended}");
    });
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let trial = &site.trials()[0];
    assert!(trial.valid && trial.complete, "{trial:?}");
    assert_eq!(trial.issued_count, trial.acknowledged_count);
    assert_eq!(trial.refused_frame_count, Some(3), "{trial:?}");
}

/// Over emulated links there is no way to a stranger at all.
#[test]
fn a_stranger_beyond_the_emulated_links_is_left_unanswered() {
    let workload =
        "arrival = { fixed = { rate_per_s = 50 } }\nwarmup = \"100ms\"\nduration = \"500ms\"";
    let tables = format!("[durability]\nmode = \"memory\"\n{MULTI}");
    let site = Site::new(&experiment("uniform:2ms", r#"["a"]"#, workload, &tables));
    let mut launcher = Processes::new(FLEXPAXOS.into());
    let summary = site.run_with(&mut launcher, Timeouts::default(), &|event| {
        if !matches!(event, Event::Stage(_, Progress::Measuring)) {
            return;
        }
        let log = site.wait_for_log(1, "r0", "listens on");
        let address = log.split("listens on ").nth(1).unwrap().lines().next().unwrap().to_owned();
        let stranger = Authority::new().unwrap().issue("c0").unwrap();
        std::thread::spawn(move || intrude(&stranger, address.parse().unwrap(), "r0", b"p"));
    });
    assert!(summary.error.is_none(), "{:?}", summary.error);
    let trial = &site.trials()[0];
    assert!(trial.valid && trial.complete, "{trial:?}");
    assert!(trial.notes.contains("datagrams to strangers unsent"), "{trial:?}");
}

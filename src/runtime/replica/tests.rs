//! The driver with peers that are not what they should be, over real connections and a real disk.

use std::net::Ipv4Addr;

use quinn::Connection;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;

use super::*;
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::paxos::{Message, Mode, Replica};
use crate::protocol::{
    Answer, Ballot, Bounds, Config, Election, Retention, Scope, SendPolicy, Slot, Timing, Value,
};
use crate::quorum::QuorumSystem;
use crate::runtime::mesh::Mesh;
use crate::runtime::net::{Authority, Endpoint, Layout, Transport, bind};
use crate::runtime::storage::{Action, Defect, Failure, Operation as Call, Rule};
use crate::time::{Span, Time};

/// Replica 0 of three, which does not campaign, and nobody else.
struct Rig {
    authority: Authority,
    server: Endpoint,
    status: Arc<Status>,
    running: JoinHandle<Result<Report, Error>>,
    accepting: JoinHandle<()>,
    /// Endpoints of those that dialled: a connection ends with its endpoint.
    dialled: Vec<Endpoint>,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new(broken_disk: Option<Defect>) -> Self {
        Self::broken(broken_disk, None)
    }

    fn broken(broken_disk: Option<Defect>, broken_driver: Option<driver::Defect>) -> Self {
        let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
        let server = endpoint(&authority, "r0");
        let (sender, attached) = unbounded_channel();
        let peers = ["r1", "r2", "c0"].map(String::from);
        let mesh = Mesh::new(server.clone(), peers, sender);
        let accepting = tokio::spawn(mesh.accept());
        let config = Config {
            id: NodeId(0),
            quorums: QuorumSystem::majority(3),
            election: Election::Fixed,
            send: SendPolicy::All,
            nearest_first: (0..3).map(NodeId).collect(),
            retention: Retention::ALL,
            bounds: Bounds::USUAL,
            timing: Timing::for_round_trip(Span::ZERO),
        };
        let settings = Settings {
            id: NodeId(0),
            durability: Durability::Fsync,
            folder: folder.path().to_owned(),
            deployment: 7,
            has_run: false,
            broken_disk,
            broken_driver,
            retained_slots: None,
            clock: Clock::EXACT,
            output: folder.path().join("written"),
            seed: 1,
        };
        let status = Arc::new(Status::default());
        let (replica, _) = ReplicaLoop::open(
            Replica::new(Mode::multi(NodeId(1)), config),
            settings,
            Arc::clone(&status),
        )
        .unwrap();
        let window = Window { from: Time::ZERO, to: Time::ZERO };
        let running = tokio::spawn(replica.run(window, attached));
        Self { authority, server, status, running, accepting, dialled: Vec::new(), _folder: folder }
    }

    async fn dial(&mut self, member: &str) -> (Stream, Connection) {
        let endpoint = endpoint(&self.authority, member);
        let address = self.server.local_address();
        let connection = endpoint.connect(address, "r0", None).await.unwrap();
        self.dialled.push(endpoint);
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(b"p").await.unwrap();
        (Stream::quic(Layout::One, connection.clone(), send, receive), connection)
    }

    async fn finish(self) -> Result<Report, Error> {
        self.status.finish();
        let ended = self.running.await.unwrap();
        self.accepting.abort();
        ended
    }
}

fn endpoint(authority: &Authority, member: &str) -> Endpoint {
    let identity = authority.issue(member).unwrap();
    bind(&identity, (Ipv4Addr::LOCALHOST, 0).into(), None, &Transport::default()).unwrap()
}

async fn say(stream: &mut Stream, message: &impl serde::Serialize) {
    stream.put_message(message).unwrap();
    poll_fn(|cx| {
        // A peer that hangs up in the middle is found by the next read.
        let _ = stream.flush(cx);
        Poll::Ready(())
    })
    .await;
}

async fn hear<T: serde::de::DeserializeOwned>(stream: &mut Stream) -> Result<T, Closed> {
    poll_fn(|cx| {
        let received = stream.receive(cx);
        match (stream.next(), received) {
            (Ok(Some(message)), _) => Poll::Ready(Ok(message)),
            (Ok(None), Ok(())) => Poll::Pending,
            (Err(closed), _) | (_, Err(closed)) => Poll::Ready(Err(closed)),
        }
    })
    .await
}

fn phase1a(round: u64, proposer: u8) -> Message {
    let ballot = Ballot { round, proposer: NodeId(proposer) };
    Message::Phase1a { ballot, scope: Scope::From(Slot::ZERO), quorum: None }
}

fn phase2a(slot: u64) -> Message {
    let ballot = Ballot { round: 5, proposer: NodeId(1) };
    Message::Phase2a { ballot, slot: Slot(slot), value: Value::Noop, chosen_below: Slot::ZERO }
}

/// The next message that is a promise or a vote; others that a replica says by itself are passed over.
async fn answer(stream: &mut Stream) -> Result<Message, Closed> {
    loop {
        let told = hear(stream).await?;
        if matches!(told, Message::Phase1b { .. } | Message::Phase2b { .. }) {
            return Ok(told);
        }
    }
}

#[tokio::test]
async fn a_peer_that_says_what_is_impossible_is_dropped_for_good_and_the_others_go_on() {
    let mut rig = Rig::new(None);
    let (mut liar, connection) = rig.dial("r1").await;
    say(&mut liar, &phase1a(5, 1)).await;
    assert!(matches!(answer(&mut liar).await, Ok(Message::Phase1b { .. })));
    // In the name of another, and something to follow that is as it should be.
    say(&mut liar, &phase1a(6, 2)).await;
    say(&mut liar, &phase1a(7, 1)).await;
    assert_eq!(answer(&mut liar).await, Err(Closed::Gone));
    assert!(connection.closed().await.to_string().contains("a message is impossible"));
    let offences = rig.status.take_offences();
    let told = offences[0].to_string();
    assert_eq!(offences.len(), 1);
    for word in ["r1 sent `phase1a (6.r2) from slot 0`", "not its own", "dropped"] {
        assert!(told.contains(word), "{told}");
    }

    // It may dial, and is not listened to.
    let (mut again, _) = rig.dial("r1").await;
    say(&mut again, &phase1a(8, 1)).await;
    assert_eq!(answer(&mut again).await, Err(Closed::Gone));

    let (mut client, _) = rig.dial("c0").await;
    let request = RequestId { client: ClientId(9), sequence: 0 };
    let operation = Operation::Get { key: 1 };
    say(&mut client, &Command { request, settled_below: 0, operation }).await;
    assert!(hear::<Message>(&mut client).await.is_err());
    assert_eq!(rig.status.take_offences()[0].reason, "c0 asks in the name of c9");

    // What the liar said behind its lie was not handled: this is the higher ballot.
    let (mut honest, _) = rig.dial("r2").await;
    say(&mut honest, &phase1a(6, 2)).await;
    assert!(matches!(answer(&mut honest).await, Ok(Message::Phase1b { .. })));
    assert_eq!(rig.finish().await.unwrap().offence_count, 2);
}

/// It does not lead, and no other replica is there: neither is anything to a control operation.
#[tokio::test]
async fn a_control_operation_takes_no_quorum_and_no_sync() {
    let mut rig = Rig::new(None);
    let (mut client, _) = rig.dial("c0").await;
    for sequence in 0..3 {
        let request = RequestId { client: ClientId(0), sequence };
        say(&mut client, &Ask::Control(request)).await;
        assert_eq!(hear::<Answer>(&mut client).await, Ok(Answer::Control(request)));
    }
    let request = RequestId { client: ClientId(9), sequence: 3 };
    say(&mut client, &Ask::Control(request)).await;
    assert!(hear::<Answer>(&mut client).await.is_err());
    let told = rig.status.take_offences()[0].to_string();
    assert!(told.contains("c0 sent `control 3`") && told.contains("in the name of c9"), "{told}");
    let report = rig.finish().await.unwrap();
    assert_eq!((report.executed_below, report.offence_count), (0, 1));
    // What it made durable when it started: each of these was answered before the next was asked for.
    assert!(report.sync_count <= 1, "{} syncs", report.sync_count);
}

#[tokio::test]
async fn messages_about_slots_far_away_cost_neither_time_nor_memory() {
    let mut rig = Rig::new(None);
    let (mut peer, _) = rig.dial("r1").await;
    say(&mut peer, &phase1a(5, 1)).await;
    assert!(answer(&mut peer).await.is_ok());
    let ballot = Ballot { round: 5, proposer: NodeId(1) };
    // Possible from a peer that is far ahead: each would take years, or all the memory there is.
    let far = Slot(1 << 60);
    say(&mut peer, &phase2a(far.0)).await;
    say(&mut peer, &Message::Chosen { ballot, first: Slot::ZERO, below: far }).await;
    let values = vec![Value::Noop];
    say(&mut peer, &Message::Values { first: far, values, executed_below: far }).await;
    say(&mut peer, &Message::Learn { first: Slot::ZERO, below: Slot(u64::MAX) }).await;
    say(&mut peer, &phase2a(0)).await;
    let vote = Message::Phase2b { ballot, first: Slot(0), last: Slot(0) };
    assert_eq!(answer(&mut peer).await, Ok(vote));
    assert_eq!(rig.finish().await.unwrap().offence_count, 0);
}

#[tokio::test]
async fn after_a_failed_sync_no_vote_leaves_and_the_replica_stops_with_the_path_and_the_error() {
    let rule = Rule { operation: Call::Sync, nth: 4, failure: Failure::Once };
    let mut rig = Rig::new(Some(Defect::Fails(rule)));
    let (mut leader, _) = rig.dial("r1").await;
    let mut answers = 0;
    for slot in 0.. {
        say(&mut leader, &phase2a(slot)).await;
        match answer(&mut leader).await {
            Ok(_) => answers += 1,
            Err(closed) => {
                assert_eq!(closed, Closed::Gone);
                break;
            }
        }
    }
    // The reservation of rounds and each vote have a sync, unless two of them shared one.
    assert!((1..=3).contains(&answers), "{answers}");
    let error = rig.running.await.unwrap().unwrap_err();
    let Error::Storage(storage::Error::Io { action: Action::Sync, path, .. }) = &error else {
        panic!("{error}")
    };
    assert!(path.ends_with("acceptor/0000000000000001.log"), "{}", path.display());
    assert!(error.to_string().contains("cannot sync"), "{error}");
}

/// Whether a promise leaves while the sync of its record takes an hour: a second is long enough to see none.
async fn tells_what_is_not_durable(broken_driver: Option<driver::Defect>) -> bool {
    let mut rig = Rig::broken(None, broken_driver);
    rig.status.set_slow(Span::from_millis(3_600_000));
    let (mut candidate, _) = rig.dial("r1").await;
    say(&mut candidate, &phase1a(5, 1)).await;
    let told = answer(&mut candidate);
    if broken_driver.is_some() {
        return told.await.is_ok();
    }
    tokio::time::timeout(std::time::Duration::from_secs(1), told).await.is_ok()
}

#[tokio::test]
async fn a_live_driver_that_sends_before_it_persists_is_caught() {
    assert!(!tells_what_is_not_durable(None).await);
    assert!(tells_what_is_not_durable(Some(driver::Defect::SendsBeforePersist)).await);
}

/// Without timers the replica never asks again for what it missed.
#[tokio::test]
async fn a_live_driver_that_forgets_timers_never_asks_again() {
    let (honest, broken) = (Rig::new(None), Rig::broken(None, Some(driver::Defect::ForgetsTimers)));
    let asked_again = |rig: Rig| async move {
        let mut rig = rig;
        let (mut leader, _) = rig.dial("r1").await;
        let ballot = Ballot { round: 5, proposer: NodeId(1) };
        say(&mut leader, &phase1a(5, 1)).await;
        say(&mut leader, &Message::Chosen { ballot, first: Slot(0), below: Slot(1) }).await;
        let mut questions = 0;
        let listen = async {
            while questions < 2 {
                match hear(&mut leader).await {
                    Ok(Message::Learn { .. }) => questions += 1,
                    Ok(_) => {}
                    Err(closed) => panic!("{closed:?}"),
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(3), listen).await.is_ok()
    };
    assert!(asked_again(honest).await);
    assert!(!asked_again(broken).await);
}

//! What the coordinator and its agents tell each other, over one stream each.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::Schedule;
use crate::deployment::{Deployment, FaultKind, MemberName};
use crate::measure::Milestone;
use crate::quorum::NodeSet;
use crate::runtime::net::Transport;
use crate::runtime::net::frame::{self, Decoder};
use crate::runtime::probe::{Heard, Order};
use crate::runtime::replica::{Offence, Recovery};
use crate::runtime::storage::Break;
use crate::runtime::wan::Precision;
use crate::runtime::wan::sabotage::Rule;
use crate::time::{Span, Time};
use crate::trial::Report;

/// From the coordinator to an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ToAgent {
    /// What does the clock of your host read? Nothing is kept of an instant before it is aligned.
    Clock {
        /// When this was asked, by the coordinator's clock.
        asked: Time,
    },
    /// With whom do you have a stream? Nobody asks unless the mesh did not form.
    NameConnected,
    /// What you are part of.
    Assign(Box<Assignment>),
    /// Where everybody is: connect.
    Mesh(Vec<(MemberName, SocketAddr)>),
    /// Measure the links.
    Probe {
        /// When and how much.
        order: Order,
        /// What your own links are shortened by, from now on.
        baselines: Baselines,
    },
    /// Run.
    Start(Schedule),
    /// The faults of links and disks that are active from now on, and no other.
    Faults(Vec<FaultKind>),
    /// Campaign, whoever leads.
    Campaign,
    /// Stop, and hand over what you have.
    Finish,
    /// Everything has arrived: go.
    End,
}

/// What an agent is part of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    /// What your clock is aligned by; `None` on the coordinator's own host.
    pub clock_shift_ns: Option<i64>,
    /// The deployment.
    pub deployment: Deployment,
    /// The settings of QUIC.
    pub transport: Transport,
    /// How precisely links release.
    pub precision: Precision,
    /// Where to bind the socket of the deployment: a restarted member keeps its address.
    pub bind: SocketAddr,
    /// Where others are already: they may speak to it before it is told to connect.
    pub known: Vec<(MemberName, SocketAddr)>,
    /// What its own links are shortened by: a restarted member has those of the one before.
    pub baselines: Baselines,
    /// The active faults of links and disks: a member may be started again while a fault lasts.
    pub faults: Vec<FaultKind>,
    /// What is wrong with its link emulation on purpose.
    pub broken: Option<Rule>,
    /// It was ready to run before: what it had on its disk must be there.
    pub has_run: bool,
    /// Whose disk is broken on purpose, and how.
    pub broken_disk: Option<Break>,
}

/// What the links to each of these are shortened by, because the path itself takes that long.
pub(super) type Baselines = Vec<(MemberName, Span)>;

/// From an agent to the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ToCoordinator {
    /// Here I am; who, says the certificate.
    Join {
        /// The process, for messages to the user.
        pid: u32,
    },
    /// What the clock of its host reads.
    Clock {
        /// When that was asked, by the coordinator's clock.
        asked: Time,
        /// What it read.
        own: Time,
    },
    /// The names of the peers that it has a stream with.
    Connected(Vec<String>),
    /// What the replica found on its disk.
    Recovered(Recovery),
    /// It is ready to run, and its socket of the deployment is bound here.
    Ready(SocketAddr),
    /// What it heard of its peers in a probe.
    Heard {
        /// Which probe.
        run: u32,
        /// Of each peer.
        heard: Vec<Heard>,
    },
    /// What the replica said of leadership, as it does: should it be killed, this is not lost.
    Milestone(Milestone),
    /// How it goes; said again and again.
    Status(Status),
    /// The end of the trial for this member; its files follow or have gone before.
    Report(Box<Report>),
    /// A peer sent it what is impossible, and is not listened to any more.
    Offence(Offence),
    /// It cannot go on.
    Failed {
        /// Why, with its causes.
        message: String,
        /// Whether an assertion of the protocol broke.
        is_violation: bool,
        /// Whether its disk has no room.
        is_disk_full: bool,
    },
}

/// How it goes with one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    /// Members it has a stream with.
    pub connected: usize,
    /// Of a replica: slots below this are executed.
    pub executed_below: u64,
    /// Of a replica that leads: [`crate::protocol::Protocol::leadership`].
    pub leadership: Option<u64>,
    /// Of a replica that leads: [`crate::protocol::Protocol::announced`].
    pub announced: Option<NodeSet>,
    /// Of a client: operations issued.
    pub issued: u64,
    /// Of a client: operations answered.
    pub acknowledged: u64,
    /// Of a client: writes answered since the measurement began.
    pub measured_writes: u64,
    /// Of a client: it issues no more, and has all answers or waits no longer.
    pub is_drained: bool,
}

/// Why a control stream is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side is gone.
    #[error("the control stream ended")]
    Gone,
    /// What arrived is no message.
    #[error("a control message does not decode")]
    Frame(#[from] frame::Error),
}

/// Sends one message.
pub(super) async fn send<T: Serialize>(stream: &mut SendStream, message: &T) -> Result<(), Error> {
    let mut buffer = BytesMut::new();
    frame::encode(&mut buffer, message)?;
    stream.write_all(&buffer).await.map_err(|_| Error::Gone)
}

/// The receiving half of a control stream.
#[derive(Debug)]
pub(super) struct Receiver {
    stream: RecvStream,
    decoder: Decoder,
}

impl Receiver {
    /// Reads messages from `stream`.
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, decoder: Decoder::default() }
    }

    /// The next message. A call that is dropped before it ends has lost nothing.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            let mut chunk = [Bytes::new()];
            match self.stream.read_chunks(&mut chunk).await {
                Ok(Some(_)) => self.decoder.push(std::mem::take(&mut chunk[0])),
                Ok(None) | Err(_) => return Err(Error::Gone),
            }
        }
    }
}

//! One moment of a small deployment: replicas, their disks, what is in flight, what clients wait for.
//!
//! States are compared by their hash millions of times, so a part that did not change is shared with
//! the state before and not hashed again, and nothing is kept that can no longer matter.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::cover::Covers;
use super::digest::digest;
use super::ledger::Ledger;
use super::network::Network;
use crate::command::Command;
use crate::driver::Driver;
use crate::monitor::{Invariant, Told};
use crate::protocol::{Protocol, Slot, TimerId};
use crate::quorum::NodeId;
use crate::registry::{Budgets, Registration};
use crate::sabotage::Saboteur;
use crate::time::{Span, Time};

/// A message in flight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Packet<P: Protocol> {
    /// The sender.
    pub(super) from: NodeId,
    /// The receiver; never the sender: what a replica sends to itself arrives at once.
    pub(super) to: NodeId,
    /// What was sent.
    pub(super) message: P::Message,
}

/// The disk of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Disk<P: Protocol> {
    /// The last checkpoint, and the durable records behind it.
    pub(super) checkpoint: Option<P::Checkpoint>,
    pub(super) records: Vec<P::Record>,
    /// Records given and not durable yet, in order.
    pub(super) pending: Vec<P::Record>,
    /// The checkpoint that is written beside them.
    pub(super) writing: Option<Writing<P>>,
}

/// A checkpoint that is not durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Writing<P: Protocol> {
    /// How many of the records that are there, durable ones first, it stands for.
    pub(super) record_count: usize,
    /// Nothing where nobody will read it again.
    pub(super) state: Option<Box<P::Checkpoint>>,
}

impl<P: Protocol> Disk<P> {
    /// Whether a checkpoint is being written, and all that it stands for is durable.
    pub(super) fn can_finish(&self) -> bool {
        self.writing.as_ref().is_some_and(|it| it.record_count <= self.records.len())
    }
}

/// One replica and its disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node<P: Registration> {
    /// `None` while it is down.
    pub(super) driver: Option<Shared<Driver<Saboteur<P>>>>,
    pub(super) disk: Disk<P>,
    pub(super) told: Told,
    /// Its clock: how many time-outs it has heard nothing for.
    pub(super) now: Time,
    /// The leader that it has heard since the last one, where that matters.
    pub(super) hears: Option<NodeId>,
}

impl<P: Protocol> Default for Disk<P> {
    fn default() -> Self {
        Self { checkpoint: None, records: Vec::new(), pending: Vec::new(), writing: None }
    }
}

impl<P: Registration> Default for Node<P> {
    fn default() -> Self {
        Self {
            driver: None,
            disk: Disk::default(),
            told: Told::default(),
            now: Time::ZERO,
            hears: None,
        }
    }
}

impl<P: Registration> Node<P> {
    /// The replica, unless it is down.
    pub(super) fn replica(&self) -> Option<&Saboteur<P>> {
        self.driver.as_ref().map(|driver| driver.protocol())
    }

    /// A time-out passes in which it hears nothing.
    pub(super) fn pass_time(&mut self) {
        self.now = self.now + Span(1);
        self.hears = None;
    }

    /// The timers that are set.
    pub(super) fn timers(&self) -> impl Iterator<Item = TimerId> {
        self.driver.iter().flat_map(|driver| driver.timers()).map(|(timer, _)| timer)
    }

    /// Whether a record or a message waits for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.disk.pending.is_empty()
            || self.driver.as_ref().is_some_and(|driver| driver.is_waiting())
    }
}

/// A client that asks for one write after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Client {
    /// The writes before this are answered.
    pub(super) sequence: u64,
    /// It has asked for the write of this number.
    pub(super) is_asked: bool,
    /// It waits for the answer: nobody has sent it on.
    pub(super) is_waiting: bool,
    /// If it reads beside the log: what ended before it asked lies below this slot.
    pub(super) must_see: Slot,
}

/// One state of the model.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct State<P: Registration> {
    pub(super) nodes: Vec<Shared<Node<P>>>,
    pub(super) network: Network<P>,
    pub(super) clients: Vec<Client>,
    pub(super) left: Budgets,
    pub(super) ledger: Shared<Ledger>,
    /// What turned out false, and how.
    pub(super) broken: BTreeMap<Invariant, String>,
    pub(super) seen: Covers,
}

impl<P: Registration> State<P> {
    pub(super) fn node(&self, id: NodeId) -> &Node<P> {
        &self.nodes[usize::from(id.0)]
    }

    pub(super) fn shared_node(&self, id: NodeId) -> &Shared<Node<P>> {
        &self.nodes[usize::from(id.0)]
    }

    pub(super) fn set(&mut self, id: NodeId, node: Shared<Node<P>>) {
        self.nodes[usize::from(id.0)] = node;
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<P> {
        (0u8..).take(self.nodes.len()).map(NodeId)
    }

    /// What the rest of a run without faults depends on.
    pub(super) fn future(&self) -> u64 {
        digest(&(&self.nodes, &self.network, &self.clients))
    }
}

/// A few lines for the explorer, not the whole memory.
impl<P: Registration> fmt::Debug for State<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (invariant, how) in &self.broken {
            writeln!(f, "VIOLATED {invariant}: {how}")?;
        }
        for id in self.ids() {
            let node = self.node(id);
            let Some(replica) = node.replica() else {
                writeln!(f, "{id} is down")?;
                continue;
            };
            let leads = if replica.leadership().is_some() { ", leads" } else { "" };
            writeln!(
                f,
                "{id} promised {}, executed {}, {} records on their way{leads}",
                replica.promised_highest(),
                replica.progress().0,
                node.disk.pending.len()
            )?;
        }
        for packet in &self.network {
            let Packet { from, to, message } = &**packet;
            writeln!(f, "in flight {from} -> {to}  {message}")?;
        }
        for (position, value) in self.ledger.votes.all_chosen() {
            let value = value.expect("the votes of a small deployment are known");
            writeln!(f, "chosen {position}: {value}")?;
        }
        for (number, client) in self.clients.iter().enumerate() {
            let asks = if client.is_waiting { ", waits" } else { "" };
            writeln!(f, "c{number} has {} answers{asks}", client.sequence)?;
        }
        write!(f, "left: {:?}", self.left)
    }
}

/// A value that many states share, with its hash.
#[derive(Debug)]
pub(super) struct Shared<T> {
    value: Arc<T>,
    digest: u64,
}

impl<T: Hash> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        let digest = digest(&value);
        Self { value: Arc::new(value), digest }
    }

    /// Its hash.
    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), digest: self.digest }
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
            || (self.digest == other.digest && self.value == other.value)
    }
}

impl<T: Eq> Eq for Shared<T> {}

/// By value: the order in which a search takes states hangs on it, and with that its counterexample.
impl<T: Ord> Ord for Shared<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_same = Arc::ptr_eq(&self.value, &other.value);
        if is_same { Ordering::Equal } else { self.value.cmp(&other.value) }
    }
}

impl<T: Ord> PartialOrd for Shared<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// Something that can happen next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action<P: Protocol> {
    /// A message arrives.
    Deliver(Shared<Packet<P>>),
    /// A message is lost.
    Drop(Shared<Packet<P>>),
    /// A message arrives, and will arrive again.
    Duplicate(Shared<Packet<P>>),
    /// What a replica gave its disk becomes durable, and what waited for it leaves.
    Persist(NodeId),
    /// A replica makes a checkpoint durable.
    Checkpoint(NodeId),
    /// The checkpoint that a replica is writing becomes durable.
    FinishCheckpoint(NodeId),
    /// A replica crashes, and loses what was on its way to the disk.
    CrashLosing(NodeId),
    /// A replica crashes just after what was on its way is durable; what waited for it never leaves.
    CrashKeeping(NodeId),
    /// A replica is started again with what its disk holds.
    Restart(NodeId),
    /// A timer runs out.
    Timer(NodeId, TimerId),
    /// A time-out passes in which a replica hears nothing.
    Silence(NodeId),
    /// A replica is told to lead.
    Campaign(NodeId),
    /// A client asks a replica, for the first time or again.
    Ask(NodeId, Command),
}

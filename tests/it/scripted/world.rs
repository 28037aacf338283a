//! The smallest world a replica can live in: memory for a disk, a bag of messages for a network.
//!
//! It drives [`Replica`] through the public contract of `flexpaxos::protocol` and keeps the
//! driver's one obligation, unless it is told to break it.
//! It decides nothing: what is delivered, lost, persisted or crashed, and when, is for a script or
//! a seed to say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flexpaxos::paxos::{
    Ballot, Checkpoint, Config, Effects, Election, Input, Message, Mode, Record, Replica,
    Retention, Scope, SendPolicy, Timing,
};
use flexpaxos::protocol::{Advance, Envelope, Executed, Installed, Note, Protocol, Slot, TimerId};
use flexpaxos::quorum::{NodeId, NodeSet, QuorumSystem};
use flexpaxos::time::{Span, Time};

use super::clients::Clients;
use super::words;

/// How a driver is made to break its word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Driver {
    /// It keeps it.
    #[default]
    Honest,
    /// What must wait for the disk leaves at once.
    Hasty,
    /// The disk is empty after a crash.
    Forgetful,
}

/// When records become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persist {
    /// As soon as they are given.
    AtOnce,
    /// When [`World::persist`] says so.
    WhenTold,
}

/// What one deployment has alike.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) quorums: QuorumSystem,
    pub(crate) mode: Mode,
    pub(crate) election: Election,
    pub(crate) send: SendPolicy,
    pub(crate) retention: Retention,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

/// What a replica gave its driver to persist, and what waits for it, in order.
enum Waiting {
    Record(Record),
    Send(Envelope<Message>),
}

/// What a replica executed between two starts.
pub(crate) struct Segment {
    pub(crate) first: Slot,
    pub(crate) advances: Vec<Advance>,
}

/// What an acceptor has told others: it may not forget it.
#[derive(Default)]
struct Told {
    promised: Ballot,
    slots: BTreeMap<Slot, Ballot>,
}

/// One replica with its disk, its timers, and what it left in writing.
struct Node {
    config: Config,
    replica: Option<Replica>,
    checkpoint: Option<Checkpoint>,
    records: Vec<Record>,
    waiting: VecDeque<Waiting>,
    timers: BTreeMap<TimerId, Time>,
    segments: Vec<Segment>,
    told: Told,
}

/// All replicas, the network between them, and their clients.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) clients: Clients,
    pub(crate) packets: Vec<Packet>,
    pub(crate) persist: Persist,
    /// Whether what a replica sends to itself arrives before anything else happens.
    pub(crate) is_loopback_at_once: bool,
    /// What was written down, while [`Self::is_written`].
    pub(crate) transcript: Vec<String>,
    pub(crate) is_written: bool,
    /// The first thing that a correct run cannot show.
    pub(crate) violation: Option<String>,
    nodes: Vec<Node>,
    groups: Vec<NodeSet>,
    driver: Driver,
    agreed: BTreeMap<Slot, Executed>,
    applied: BTreeSet<flexpaxos::command::RequestId>,
}

impl World {
    /// Replicas that have not been started.
    pub(crate) fn new(deployment: &Deployment, driver: Driver) -> Self {
        let n = deployment.quorums.n();
        let node = |index: usize| Node {
            config: config(deployment, index),
            replica: None,
            checkpoint: None,
            records: Vec::new(),
            waiting: VecDeque::new(),
            timers: BTreeMap::new(),
            segments: Vec::new(),
            told: Told::default(),
        };
        Self {
            now: Time::ZERO,
            clients: Clients::default(),
            packets: Vec::new(),
            persist: Persist::AtOnce,
            is_loopback_at_once: true,
            transcript: Vec::new(),
            is_written: true,
            violation: None,
            nodes: (0..n).map(node).collect(),
            groups: Vec::new(),
            driver,
            agreed: BTreeMap::new(),
            applied: BTreeSet::new(),
        }
    }

    pub(crate) fn everybody(&self) -> NodeSet {
        NodeSet::all(self.nodes.len())
    }

    pub(crate) fn live(&self) -> NodeSet {
        self.everybody().iter().filter(|id| self.node(*id).replica.is_some()).collect()
    }

    /// The replica, unless it is down.
    pub(crate) fn replica(&self, id: NodeId) -> Option<&Replica> {
        self.node(id).replica.as_ref()
    }

    pub(crate) fn segments(&self, id: NodeId) -> &[Segment] {
        &self.node(id).segments
    }

    /// Timers that are set, and when they run out.
    pub(crate) fn timers(&self, id: NodeId) -> &BTreeMap<TimerId, Time> {
        &self.node(id).timers
    }

    /// How many records and messages wait for the disk.
    pub(crate) fn waiting_count(&self, id: NodeId) -> usize {
        self.node(id).waiting.len()
    }

    /// Starts a replica for the first time or again, with what its disk holds.
    pub(crate) fn start(&mut self, id: NodeId) {
        let node = &mut self.nodes[usize::from(id.0)];
        assert!(node.replica.is_none(), "{id} is started while it runs");
        if self.driver == Driver::Forgetful {
            node.records.clear();
            node.checkpoint = None;
        }
        let mut replica = Replica::new(node.config.clone());
        replica.recover(node.checkpoint.clone(), node.records.clone());
        let first = replica.executed_below();
        node.segments.push(Segment { first, advances: Vec::new() });
        node.replica = Some(replica);
        if self.driver == Driver::Honest {
            self.check_told(id);
        }
        self.handle(id, Input::Start);
    }

    /// Crashes a replica: what is not durable is lost, and so is what waited for it.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = &mut self.nodes[usize::from(id.0)];
        assert!(node.replica.take().is_some(), "{id} crashes while it is down");
        node.waiting.clear();
        node.timers.clear();
        self.packets.retain(|packet| packet.from != id || packet.to != id);
    }

    /// Crashes a replica just after its records became durable: only what waited for them is lost.
    pub(crate) fn crash_after_persist(&mut self, id: NodeId) {
        let node = &mut self.nodes[usize::from(id.0)];
        for waiting in node.waiting.drain(..) {
            if let Waiting::Record(record) = waiting {
                node.records.push(record);
            }
        }
        self.crash(id);
    }

    /// The first `count` of what waits: records become durable, messages leave.
    pub(crate) fn persist(&mut self, id: NodeId, count: usize) {
        for _ in 0..count {
            let node = &mut self.nodes[usize::from(id.0)];
            match node.waiting.pop_front() {
                Some(Waiting::Record(record)) => node.records.push(record),
                Some(Waiting::Send(envelope)) => self.transmit(id, &envelope),
                None => break,
            }
        }
        self.loop_back(id);
    }

    /// Makes a checkpoint durable, and everything given before it.
    pub(crate) fn checkpoint(&mut self, id: NodeId) {
        self.persist(id, usize::MAX);
        let node = &mut self.nodes[usize::from(id.0)];
        let Some(replica) = &node.replica else { return };
        let checkpoint = replica.checkpoint();
        let below = checkpoint.executed_below();
        node.checkpoint = Some(checkpoint);
        node.records.clear();
        self.handle(id, Input::Checkpointed(below));
    }

    /// Runs phase 1 at a replica.
    pub(crate) fn campaign(&mut self, id: NodeId) {
        self.step(id, Replica::campaign);
    }

    /// Lets a timer run out; the clock moves to it.
    pub(crate) fn fire(&mut self, id: NodeId, timer: TimerId) {
        let due = self.nodes[usize::from(id.0)].timers.remove(&timer).expect("the timer is set");
        self.now = self.now.max(due);
        self.handle(id, Input::Timer(timer));
    }

    /// Messages between different groups are lost from now on.
    pub(crate) fn partition(&mut self, groups: Vec<NodeSet>) {
        self.groups = groups;
    }

    /// Takes a message off the network and gives it to its receiver; one that is down misses it.
    pub(crate) fn deliver(&mut self, index: usize) {
        let Packet { from, to, message } = self.packets.remove(index);
        let receiver = self.nodes[usize::from(to.0)].replica.as_ref().filter(|_| from != to);
        if let Some(Err(why)) = receiver.map(|receiver| receiver.check_message(from, &message)) {
            panic!("{from} sent {to} `{message}`, which is called impossible: {why}");
        }
        self.handle(to, Input::Message { from, message });
    }

    /// Gives a replica an input; one that is down misses it.
    pub(crate) fn handle(&mut self, id: NodeId, input: Input) {
        self.step(id, |replica, now, effects| replica.handle(now, input, effects));
    }

    fn step(&mut self, id: NodeId, change: impl FnOnce(&mut Replica, Time, &mut Effects)) {
        self.now.0 += 1;
        let mut effects = Effects::default();
        let Some(replica) = &mut self.nodes[usize::from(id.0)].replica else { return };
        change(replica, self.now, &mut effects);
        self.take(id, effects);
        self.loop_back(id);
    }

    /// Delivers what a replica sent to itself.
    fn loop_back(&mut self, id: NodeId) {
        while self.is_loopback_at_once
            && let Some(index) =
                self.packets.iter().position(|packet| packet.from == id && packet.to == id)
        {
            self.deliver(index);
        }
    }

    fn take(&mut self, id: NodeId, effects: Effects) {
        let Effects { sends, records, durable_sends, timers, replies, executed, notes } = effects;
        for note in &notes {
            self.write_note(id, note);
        }
        for advance in executed {
            match &advance {
                Advance::Executed(entry) => self.observe(id, entry),
                Advance::Installed(state) => self.observe_installed(id, *state),
            }
            let node = &mut self.nodes[usize::from(id.0)];
            node.segments
                .last_mut()
                .expect("a replica that runs was started")
                .advances
                .push(advance);
        }
        let now = self.now;
        let node = &mut self.nodes[usize::from(id.0)];
        for timer in timers {
            // Chance is the driver's; these worlds have their own ways to be unfair.
            node.timers.insert(timer.id, now + timer.after);
        }
        node.waiting.extend(records.into_iter().map(Waiting::Record));
        let (at_once, later) = match self.driver {
            Driver::Hasty => (durable_sends, Vec::new()),
            Driver::Honest | Driver::Forgetful => (Vec::new(), durable_sends),
        };
        node.waiting.extend(later.into_iter().map(Waiting::Send));
        for envelope in sends.iter().chain(&at_once) {
            self.transmit(id, envelope);
        }
        for reply in replies {
            self.write(|| format!("{id} => client  {reply}"));
            self.clients.told(now, &reply);
        }
        match self.persist {
            Persist::AtOnce => self.persist(id, usize::MAX),
            Persist::WhenTold => {}
        }
    }

    fn transmit(&mut self, from: NodeId, envelope: &Envelope<Message>) {
        let others = envelope.to.without(from);
        self.note_told(from, envelope);
        let reached: NodeSet = others.iter().filter(|to| self.is_linked(from, *to)).collect();
        if !others.is_empty() {
            let lost = others.difference(reached);
            self.write(|| {
                let message = &envelope.message;
                let lost = if lost.is_empty() { String::new() } else { format!(" (lost: {lost})") };
                format!("{from} -> {}  {message}{lost}", words::nodes(others))
            });
        }
        for to in envelope.to.iter().filter(|to| *to == from || reached.contains(*to)) {
            self.packets.push(Packet { from, to, message: envelope.message.clone() });
        }
    }

    fn is_linked(&self, one: NodeId, other: NodeId) -> bool {
        self.groups.is_empty()
            || self.groups.iter().any(|group| group.contains(one) && group.contains(other))
    }

    fn observe_installed(&mut self, id: NodeId, state: Installed) {
        self.write(|| format!("{id} installs a state executed below {}", state.below.0));
    }

    fn observe(&mut self, id: NodeId, entry: &Executed) {
        let command = words::command(entry.command.as_ref());
        let repeated = if entry.command.is_some() && !entry.applied { " (again)" } else { "" };
        self.write(|| format!("{id} executes {}: {command}{repeated}", entry.slot));
        if let Some(agreed) = self.agreed.get(&entry.slot) {
            if agreed != entry {
                let other = words::command(agreed.command.as_ref());
                let slot = entry.slot;
                self.violate(format!("{slot}: {id} executed {command}, another {other}"));
            }
        } else {
            let request = entry.command.as_ref().map(|command| command.request);
            if entry.applied && !self.applied.insert(request.expect("a no-op changes nothing")) {
                self.violate(format!("{}: {command} is applied twice", entry.slot));
            }
            self.agreed.insert(entry.slot, entry.clone());
        }
    }

    fn violate(&mut self, text: String) {
        self.write(|| format!("VIOLATION {text}"));
        self.violation.get_or_insert(text);
    }

    fn note_told(&mut self, from: NodeId, envelope: &Envelope<Message>) {
        let told = &mut self.nodes[usize::from(from.0)].told;
        match envelope.message {
            Message::Phase1b { ballot, scope: Scope::From(_), .. } => {
                told.promised = told.promised.max(ballot);
            }
            Message::Phase1b { ballot, scope: Scope::Only(slot), .. } => told.slot(slot, ballot),
            Message::Phase2b { ballot, first, last } => {
                (first.0..=last.0).for_each(|slot| told.slot(Slot(slot), ballot));
            }
            _ => {}
        }
    }

    /// A promise or a vote that was told survives every crash.
    fn check_told(&mut self, id: NodeId) {
        let executed =
            |node: &Node| node.checkpoint.as_ref().map_or(Slot::ZERO, Checkpoint::executed_below);
        let by_all = self.nodes.iter().map(executed).min().unwrap_or_default();
        let node = self.node(id);
        let is_own = node.config.retention.slots.is_some();
        let trimmed_below = if is_own { executed(node) } else { by_all };
        let Some(replica) = &node.replica else { return };
        let acceptor = replica.acceptor();
        let broken = node.told.slots.range(trimmed_below..).find(|(slot, ballot)| {
            acceptor.promised(**slot) < **ballot || acceptor.promised(**slot) < node.told.promised
        });
        if let Some((slot, ballot)) = broken {
            self.violate(format!("{id} forgot the ballot {ballot} that it had promised in {slot}"));
        } else if acceptor.promised_highest() < node.told.promised {
            self.violate(format!("{id} forgot its promise of {}", node.told.promised));
        }
    }

    fn write_note(&mut self, id: NodeId, note: &Note) {
        match note {
            Note::Leading { adopted_count, filled_count, .. } => self.write(|| {
                format!("{id} leads: {adopted_count} adopted, {filled_count} filled with no-ops")
            }),
            Note::RaceLost => self.write(|| format!("{id} loses a race")),
            Note::Retransmitted => self.write(|| format!("{id} has waited long enough")),
            Note::Suspected { .. } => self.write(|| format!("{id} hears of no leader")),
            Note::Campaigning => self.write(|| format!("{id} campaigns")),
            Note::Following { leader } => self.write(|| format!("{id} follows {leader}")),
            Note::Recovered { .. } => self.write(|| format!("{id} has executed what it adopted")),
            Note::Resigned => self.write(|| format!("{id} resigns")),
            Note::SnapshotSent { .. } | Note::SnapshotInstalled { .. } | Note::Committed { .. } => {
            }
        }
    }

    fn write(&mut self, line: impl FnOnce() -> String) {
        if self.is_written {
            self.transcript.push(line());
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
    }
}

impl Told {
    fn slot(&mut self, slot: Slot, ballot: Ballot) {
        let known = self.slots.entry(slot).or_default();
        *known = (*known).max(ballot);
    }
}

/// Distances grow with the number, around a ring: r1 is nearest to r0, then r2.
fn config(deployment: &Deployment, index: usize) -> Config {
    let n = deployment.quorums.n();
    let id = |index: usize| NodeId(u8::try_from(index % n).expect("few replicas"));
    Config {
        id: id(index),
        quorums: deployment.quorums.clone(),
        mode: deployment.mode,
        election: deployment.election,
        send: deployment.send,
        nearest_first: (index..index + n).map(id).collect(),
        timing: Timing::for_round_trip(Span::from_millis(10)),
        retention: deployment.retention,
    }
}

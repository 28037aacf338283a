//! The smallest world a replica can live in: memory for a disk, a bag of messages for a network.
//!
//! It is a host of the driver that runs live.
//! It decides nothing: a script says what is delivered, lost, persisted or crashed, and when.

use std::collections::{BTreeMap, BTreeSet};

use flexpaxos::driver::{Defect, Driver, Host, Settings, Ticket};
use flexpaxos::monitor::Told;

use flexpaxos::protocol::{
    Advance, Bounds, Config, Election, Envelope, Executed, Input, Installed, Note, Position,
    Progress, Reply, Retention, SendPolicy, Statement, TimerId, Timing,
};
use flexpaxos::quorum::{NodeId, NodeSet, QuorumSystem};
use flexpaxos::registry::Registration;
use flexpaxos::time::{Clock, Span, Time};

use super::clients::Clients;
use super::words;

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
pub(crate) struct Deployment<P: Registration> {
    pub(crate) quorums: QuorumSystem,
    pub(crate) mode: P::Mode,
    pub(crate) election: Election,
    pub(crate) send: SendPolicy,
    pub(crate) retention: Retention,
    /// How every driver is broken on purpose.
    pub(crate) defect: Option<Defect>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet<P: Registration> {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: P::Message,
}

/// What a replica executed between two starts.
pub(crate) struct Segment {
    pub(crate) progress: Progress,
    pub(crate) advances: Vec<Advance>,
}

/// One replica with its disk, and what it left in writing.
struct Node<P: Registration> {
    config: Config,
    driver: Option<Driver<P>>,
    checkpoint: Option<P::Checkpoint>,
    /// How far it had executed when it made the checkpoint.
    durable: Progress,
    records: Vec<P::Record>,
    /// Given to the disk and not durable yet.
    pending: Vec<P::Record>,
    segments: Vec<Segment>,
    told: Told,
}

/// All replicas, the network between them, and their clients.
pub(crate) struct World<P: Registration> {
    mode: P::Mode,
    pub(crate) now: Time,
    pub(crate) clients: Clients,
    pub(crate) packets: Vec<Packet<P>>,
    pub(crate) persist: Persist,
    /// What was written down, while [`Self::is_written`].
    pub(crate) transcript: Vec<String>,
    pub(crate) is_written: bool,
    /// The first thing that a correct run cannot show.
    pub(crate) violation: Option<String>,
    nodes: Vec<Node<P>>,
    groups: Vec<NodeSet>,
    defect: Option<Defect>,
    agreed: BTreeMap<Position, Executed>,
    applied: BTreeSet<flexpaxos::command::RequestId>,
}

impl<P: Registration> World<P> {
    /// Replicas that have not been started.
    pub(crate) fn new(deployment: &Deployment<P>) -> Self {
        let n = deployment.quorums.n();
        let node = |index: usize| Node {
            config: config(deployment, index),
            driver: None,
            checkpoint: None,
            durable: Progress::default(),
            records: Vec::new(),
            pending: Vec::new(),
            segments: Vec::new(),
            told: Told::default(),
        };
        Self {
            mode: deployment.mode,
            now: Time::ZERO,
            clients: Clients::default(),
            packets: Vec::new(),
            persist: Persist::AtOnce,
            transcript: Vec::new(),
            is_written: true,
            violation: None,
            nodes: (0..n).map(node).collect(),
            groups: Vec::new(),
            defect: deployment.defect,
            agreed: BTreeMap::new(),
            applied: BTreeSet::new(),
        }
    }

    pub(crate) fn everybody(&self) -> NodeSet {
        NodeSet::all(self.nodes.len())
    }

    pub(crate) fn live(&self) -> NodeSet {
        self.everybody().iter().filter(|id| self.node(*id).driver.is_some()).collect()
    }

    /// The replica, unless it is down.
    pub(crate) fn replica(&self, id: NodeId) -> Option<&P> {
        self.node(id).driver.as_ref().map(Driver::protocol)
    }

    pub(crate) fn segments(&self, id: NodeId) -> &[Segment] {
        &self.node(id).segments
    }

    /// Timers that are set, and when they run out.
    pub(crate) fn timers(&self, id: NodeId) -> BTreeMap<TimerId, Time> {
        self.node(id).driver.iter().flat_map(Driver::timers).collect()
    }

    /// Whether records or messages wait for the disk.
    pub(crate) fn is_waiting(&self, id: NodeId) -> bool {
        let node = self.node(id);
        !node.pending.is_empty() || node.driver.as_ref().is_some_and(Driver::is_waiting)
    }

    /// Starts a replica for the first time or again, with what its disk holds.
    pub(crate) fn start(&mut self, id: NodeId) {
        self.now.0 += 1;
        let (now, defect, mode) = (self.now, self.defect, self.mode);
        let node = self.node_mut(id);
        assert!(node.driver.is_none(), "{id} is started while it runs");
        let mut replica = <P as Registration>::new(mode, node.config.clone());
        replica.recover(node.checkpoint.clone(), node.records.clone());
        let progress = replica.progress();
        node.segments.push(Segment { progress, advances: Vec::new() });
        self.check_told(id, &replica);
        let settings =
            Settings { id, has_disk: true, retained_slots: None, clock: Clock::default(), defect };
        self.node_mut(id).driver = Some(Driver::start(now, replica, &settings));
        self.settle(id);
    }

    /// Crashes a replica: what is not durable is lost, and so is what waited for it.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        assert!(node.driver.take().is_some(), "{id} crashes while it is down");
        node.pending.clear();
        node.told.crash();
    }

    /// Crashes a replica just after its records became durable: only what waited for them is lost.
    pub(crate) fn crash_after_persist(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.records.append(&mut node.pending);
        self.crash(id);
    }

    /// What waits for the disk becomes durable.
    pub(crate) fn persist(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.records.append(&mut node.pending);
        self.settle(id);
    }

    /// Makes a checkpoint durable, and everything given before it.
    pub(crate) fn checkpoint(&mut self, id: NodeId) {
        self.persist(id);
        self.drive(id, |driver, host| driver.checkpoint(host));
        self.persist(id);
    }

    /// Runs phase 1 at a replica.
    pub(crate) fn campaign(&mut self, id: NodeId) {
        self.handle(id, Input::Campaign);
    }

    /// Lets a timer run out; the clock moves to it.
    pub(crate) fn fire(&mut self, id: NodeId, timer: TimerId) {
        let due = *self.timers(id).get(&timer).expect("the timer is set");
        self.now = Time(self.now.0.max(due.0) + 1);
        let now = self.now;
        self.drive(id, |driver, _| assert!(driver.fire(now, timer)));
    }

    /// Messages between different groups are lost from now on.
    pub(crate) fn partition(&mut self, groups: Vec<NodeSet>) {
        self.groups = groups;
    }

    /// Takes a message off the network and gives it to its receiver; one that is down misses it.
    pub(crate) fn deliver(&mut self, index: usize) {
        let Packet { from, to, message } = self.packets.remove(index);
        if let Some(Err(why)) = self.replica(to).map(|it| it.check_message(from, &message)) {
            panic!("{from} sent {to} `{message}`, which is called impossible: {why}");
        }
        self.handle(to, Input::Message { from, message });
    }

    /// Gives a replica an input; one that is down misses it.
    pub(crate) fn handle(&mut self, id: NodeId, input: Input<P::Message>) {
        self.now.0 += 1;
        let now = self.now;
        self.drive(id, |driver, _| driver.handle(now, input));
    }

    fn settle(&mut self, id: NodeId) {
        self.drive(id, |_, _| {});
    }

    /// Does something with the driver of a replica, unless it is down, and carries out what comes of it.
    fn drive(&mut self, id: NodeId, act: impl FnOnce(&mut Driver<P>, &mut Hand<'_, P>)) {
        let Some(mut driver) = self.node_mut(id).driver.take() else { return };
        let now = self.now;
        let mut hand = Hand { world: self, id };
        act(&mut driver, &mut hand);
        driver.settle(now, &mut hand);
        self.node_mut(id).driver = Some(driver);
    }

    fn is_linked(&self, one: NodeId, other: NodeId) -> bool {
        self.groups.is_empty()
            || self.groups.iter().any(|group| group.contains(one) && group.contains(other))
    }

    fn observe_installed(&mut self, id: NodeId, state: Installed) {
        self.write(|| format!("{id} installs a state executed below {}", state.below.0));
    }

    fn observe(&mut self, id: NodeId, entry: &Executed) {
        let command = words::command(entry.command.as_deref());
        let repeated = if entry.command.is_some() && !entry.applied { " (again)" } else { "" };
        let position = P::ORDER.position(entry.slot, entry.command.as_deref());
        self.write(|| format!("{id} executes {position}: {command}{repeated}"));
        if let Some(agreed) = self.agreed.get(&position) {
            if agreed != entry {
                let other = words::command(agreed.command.as_deref());
                self.violate(format!("{position}: {id} executed {command}, another {other}"));
            }
        } else {
            let request = entry.command.as_ref().map(|command| command.request);
            if entry.applied && !self.applied.insert(request.expect("a no-op changes nothing")) {
                self.violate(format!("{position}: {command} is applied twice"));
            }
            self.agreed.insert(position, entry.clone());
        }
    }

    fn violate(&mut self, text: String) {
        self.write(|| format!("VIOLATION {text}"));
        self.violation.get_or_insert(text);
    }

    fn note_told(&mut self, from: NodeId, message: &P::Message) {
        if let Err(finding) = self.node_mut(from).told.tell(from, &P::statement(message)) {
            self.violate(finding.to_string());
        }
    }

    /// A promise or a vote that was told survives every crash.
    fn check_told(&mut self, id: NodeId, replica: &P) {
        let executed = |node: &Node<P>| P::ORDER.executed_below(node.durable);
        let learners = self.nodes.iter().filter(|node| node.config.is_learner());
        let by_all = learners.map(executed).min().unwrap_or_default();
        let node = self.node(id);
        let is_own = node.config.retention.slots.is_some() && node.config.is_learner();
        let forgettable_below = if is_own { executed(node) } else { by_all };
        let kept = node.told.check_kept(id, replica, forgettable_below);
        if let Err(finding) = kept {
            self.violate(finding.to_string());
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
            Note::SnapshotSent
            | Note::SnapshotInstalled { .. }
            | Note::Committed { .. }
            | Note::Waited { .. } => {}
        }
    }

    fn write(&mut self, line: impl FnOnce() -> String) {
        if self.is_written {
            self.transcript.push(line());
        }
    }

    fn node(&self, id: NodeId) -> &Node<P> {
        &self.nodes[usize::from(id.0)]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<P> {
        &mut self.nodes[usize::from(id.0)]
    }
}

/// The world in the hand of one replica.
struct Hand<'a, P: Registration> {
    world: &'a mut World<P>,
    id: NodeId,
}

impl<P: Registration> Host<P> for Hand<'_, P> {
    fn send(&mut self, to: NodeSet, message: P::Message) {
        let (world, from) = (&mut *self.world, self.id);
        if asks(&P::statement(&message)) {
            world.note_told(from, &message);
        }
        let reached: NodeSet = to.iter().filter(|to| world.is_linked(from, *to)).collect();
        let lost = to.difference(reached);
        world.write(|| {
            let lost = if lost.is_empty() { String::new() } else { format!(" (lost: {lost})") };
            format!("{from} -> {}  {message}{lost}", words::nodes(to))
        });
        for to in reached.iter() {
            world.packets.push(Packet { from, to, message: message.clone() });
        }
    }

    fn reply(&mut self, reply: Reply) {
        let (id, now) = (self.id, self.world.now);
        self.world.write(|| format!("{id} => client  {reply}"));
        self.world.clients.told(now, &reply);
    }

    fn persist(&mut self, records: &mut Vec<P::Record>) -> Ticket {
        let persist = self.world.persist;
        let node = self.world.node_mut(self.id);
        match persist {
            Persist::AtOnce => node.records.append(records),
            Persist::WhenTold => node.pending.append(records),
        }
        Ticket(node.pending.len() as u64)
    }

    fn checkpoint(&mut self, replica: &P) -> Ticket {
        // A checkpoint holds what every record before it says.
        let node = self.world.node_mut(self.id);
        node.checkpoint = Some(replica.checkpoint());
        node.durable = replica.progress();
        node.records.clear();
        node.pending.clear();
        Ticket::default()
    }

    fn durable(&mut self) -> Ticket {
        Ticket(if self.world.node(self.id).pending.is_empty() { u64::MAX } else { 0 })
    }

    /// Nothing here is left to chance.
    fn draw(&mut self, _: Span) -> Span {
        Span::ZERO
    }

    fn advance(&mut self, advance: Advance) {
        match &advance {
            Advance::Executed(entry) => self.world.observe(self.id, entry),
            Advance::Installed(state) => self.world.observe_installed(self.id, *state),
        }
        let segment = self.world.node_mut(self.id).segments.last_mut();
        segment.expect("a replica that runs was started").advances.push(advance);
    }

    fn note(&mut self, note: Note) {
        self.world.write_note(self.id, &note);
    }

    fn released(&mut self, envelope: &Envelope<P::Message>) {
        if !asks(&P::statement(&envelope.message)) {
            self.world.note_told(self.id, &envelope.message);
        }
    }
}

/// Questions are told when they leave, everything else when the disk releases it.
fn asks(statement: &Statement<'_>) -> bool {
    matches!(statement, Statement::Asks { .. } | Statement::Proposes { asks: Some(_), .. })
}

/// Distances grow with the number, around a ring: r1 is nearest to r0, then r2.
fn config<P: Registration>(deployment: &Deployment<P>, index: usize) -> Config {
    let n = deployment.quorums.n();
    let id = |index: usize| NodeId(u8::try_from(index % n).expect("few replicas"));
    Config {
        id: id(index),
        quorums: deployment.quorums.clone(),
        election: deployment.election,
        send: deployment.send,
        nearest_first: (index..index + n).map(id).collect(),
        timing: Timing::for_round_trip(Span::from_millis(10)),
        retention: deployment.retention,
        bounds: Bounds::USUAL,
    }
}

//! A world: replicas, clients, the network between them, and their common clock.
//!
//! It goes on from instant to instant.
//! At each, everything that arrives is handled, and then everybody who was reached has a turn: so all
//! that arrives at one member at one instant is one batch, as what arrives between two wake-ups of a
//! live one is.

mod deliver;

use std::collections::BTreeMap;

use super::client::Client;
use super::fabric::Fabric;
use super::faults::{Agenda, index};
use super::link::Mended;
use super::log::Logs;
use super::machine::{Machine, Member};
use super::network::{SimNetwork, node};
use super::node::{Node, Settings as NodeSettings};
use super::observer::Observer;
use super::outcome::{Counts, Outcome};
use super::queue::{Event, Kind, Queue};
use super::settings::Settings;
use super::spool::Spool;
use crate::client::Schedule;
use crate::command::ClientId;
use crate::deployment::{Deployment, FaultKind, MemberName};
use crate::driver::Defect;
use crate::history;
use crate::protocol::{Order, Protocol};
use crate::quiet::quietly;
use crate::quorum::NodeId;
use crate::time::{Span, Time};
use crate::topology::{Links, Site};

/// From the start of the replicas to the first operation, as in a live trial: there the order to start
/// must reach everybody.
const START_DELAY: Span = Span::from_millis(100);

/// How long replicas are given to execute as much as the one furthest ahead, as in a live trial.
const QUIESCE: Span = Span::from_millis(5_000);

/// Whoever may end a trial early is asked after so many instants.
const INSTANTS: u32 = 1024;

/// A replica makes a checkpoint after so many records, so that logs are trimmed in short trials too.
const CHECKPOINT_RECORDS: u64 = 512;

/// Replicas of a protocol, their clients, and everything around them.
pub struct World<P: Protocol> {
    /// Whoever watches.
    pub observe: Option<Box<dyn Observer<P>>>,
    pub(super) fabric: Fabric<P>,
    pub(super) nodes: Vec<Node<P>>,
    pub(super) clients: Vec<Client>,
    pub(super) agenda: Agenda,
    make: Box<dyn Fn(NodeId) -> P>,
    links: Links,
    schedule: Schedule,
    /// Members that were reached in this instant, in the order in which they were.
    reached: Vec<usize>,
    reached_clients: Vec<usize>,
    violation: Option<String>,
}

impl<P: Protocol> World<P> {
    /// A world in which nothing has happened yet: its replicas start with its first instant.
    ///
    /// `make` makes a replica that has never run; one that is started again is given back what its
    /// disk holds.
    pub fn new(
        deployment: &Deployment,
        settings: &Settings,
        make: impl Fn(NodeId) -> P + 'static,
    ) -> Self {
        let schedule = schedule(deployment);
        let client_count = deployment.links.client_regions.len();
        let node_settings = |id| NodeSettings {
            id,
            durability: deployment.durability,
            seed: deployment.seed,
            window: schedule.window(),
            checkpoint_records: CHECKPOINT_RECORDS,
            retained_slots: deployment.retention.slots,
            clock: deployment.clock(id),
            broken_driver: None,
        };
        let mut queue = Queue::default();
        let agenda = Agenda::new(deployment, &schedule, &mut queue);
        Self {
            observe: None,
            fabric: Fabric {
                now: Time::ZERO,
                queue,
                network: SimNetwork::new(deployment, settings),
                service: settings.service,
                machine: settings.host.map(|host| {
                    let n = deployment.links.replica_regions.len();
                    Machine::new(host, schedule.window(), n, client_count)
                }),
                counts: Counts::default(),
                observer: None,
                logs: Logs::new(P::ORDER, deployment.links.replica_regions.len()),
                spool: None,
            },
            nodes: deployment.links.replicas().map(|id| Node::new(node_settings(id))).collect(),
            clients: (0u32..)
                .take(client_count)
                .map(|id| Client::new(ClientId(id), deployment, schedule))
                .collect(),
            agenda,
            make: Box::new(make),
            links: deployment.links.clone(),
            schedule,
            reached: Vec::new(),
            reached_clients: Vec::new(),
            violation: None,
        }
    }

    /// The virtual time.
    pub const fn now(&self) -> Time {
        self.fabric.now
    }

    /// When clients do what.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// A replica, unless it is down.
    pub fn protocol(&self, id: NodeId) -> Option<&P> {
        self.nodes[index(id)].protocol()
    }

    /// Whether a replica is up; one that is paused is.
    pub fn is_alive(&self, id: NodeId) -> bool {
        self.protocol(id).is_some()
    }

    /// What happened so far.
    pub const fn counts(&self) -> &Counts {
        &self.fabric.counts
    }

    /// The assertion that broke, if one did: then nothing happens any more.
    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// A fault begins now.
    pub fn inject(&mut self, kind: &FaultKind, heals_after: Option<Span>) {
        self.guarded(|world| {
            world.begin_injected(*kind, heals_after);
            world.settle();
        });
    }

    /// A client issues one operation now that its plan does not have, of a kind that it draws.
    pub fn issue_another(&mut self, client: ClientId) -> history::Kind {
        let mut kind = history::Kind::Write;
        self.guarded(|world| {
            kind = world.clients[client.0 as usize].issue_another(&mut world.fabric);
            world.settle();
        });
        kind
    }

    /// Every fault ends now, replicas that are down start again, and no planned fault comes any more.
    pub fn heal_all(&mut self) {
        self.guarded(|world| {
            world.end_all();
            world.settle();
        });
    }

    /// Replicas make a checkpoint after so many records.
    pub fn set_checkpoint_records(&mut self, records: u64) {
        self.nodes.iter_mut().for_each(|node| node.set_checkpoint_records(records));
    }

    /// From now on the drivers of replicas that start are broken on purpose.
    pub fn set_broken_driver(&mut self, defect: Defect) {
        self.nodes.iter_mut().for_each(|node| node.set_broken_driver(defect));
    }

    /// From now on histories go there as they are written.
    pub(super) fn set_spool(&mut self, spool: Option<Box<dyn Spool>>) {
        self.fabric.spool = spool;
    }

    /// No replica is ever started again, so nothing that is given to a disk is kept; all else is as if it
    /// were.
    pub(super) fn forbid_restarts(&mut self) {
        self.nodes.iter_mut().for_each(Node::set_write_only_disk);
    }

    /// The next instant at which something happens; false if nothing will ever happen any more.
    pub fn step(&mut self) -> bool {
        self.guarded(Self::instant).unwrap_or(false)
    }

    /// Everything that happens up to `until`, and then it is `until`.
    pub fn run_until(&mut self, until: Time) {
        self.guarded(|world| {
            while world.fabric.queue.peek().is_some_and(|event| event.at() <= until) {
                world.instant();
            }
            world.fabric.now = world.fabric.now.max(until);
        });
    }

    /// The same, but it stops behind the first instant in which that is enough.
    pub fn run_until_enough(&mut self, until: Time, is_enough: &dyn Fn() -> bool) {
        self.guarded(|world| {
            while world.fabric.queue.peek().is_some_and(|event| event.at() <= until) {
                world.instant();
                if is_enough() {
                    return;
                }
            }
            world.fabric.now = world.fabric.now.max(until);
        });
    }

    /// The rest of the trial, as a live one ends: until [it is over](Self::is_over), and then until replicas
    /// have executed as far as the furthest, or five seconds have passed.
    pub fn run_to_end(&mut self) {
        self.run_to_end_unless(&|| false);
    }

    /// The same, unless it is enough before: then false. That is asked now and then.
    pub fn run_to_end_unless(&mut self, is_enough: &dyn Fn() -> bool) -> bool {
        let ended = self.guarded(|world| {
            let mut instants = 0_u32;
            let mut is_enough = || {
                instants = instants.wrapping_add(1);
                instants.is_multiple_of(INSTANTS) && is_enough()
            };
            while !world.is_over() && world.instant() {
                if is_enough() {
                    return false;
                }
            }
            let until = world.fabric.now + QUIESCE;
            while !world.are_replicas_level()
                && world.fabric.queue.peek().is_some_and(|event| event.at() <= until)
            {
                world.instant();
                if is_enough() {
                    return false;
                }
            }
            true
        });
        // A violation ends it too.
        ended.unwrap_or(true)
    }

    /// Ends the world where it is.
    pub fn finish(mut self) -> Outcome {
        let Mended { lost, queue_dropped } = self.fabric.network.mended();
        self.fabric.counts.lost += lost;
        self.fabric.counts.queue_dropped += queue_dropped;
        let mut outcome = Outcome {
            clients: BTreeMap::new(),
            replicas: BTreeMap::new(),
            histories: BTreeMap::new(),
            injected: self.agenda.faults.into_records(),
            violation: self.violation,
            counts: self.fabric.counts,
            processors: None,
        };
        if let Some(machine) = self.fabric.machine {
            outcome.processors = Some(machine.finish());
        }
        for (id, replica) in (0..).map(node).zip(self.nodes) {
            outcome.replicas.insert(id, replica.finish());
            outcome.histories.insert(MemberName::Replica(id), self.fabric.logs.take(id));
        }
        for (id, client) in (0..).map(ClientId).zip(self.clients) {
            let (report, history) = client.finish(self.fabric.now);
            outcome.clients.insert(id, report);
            outcome.histories.insert(MemberName::Client(id), vec![history]);
        }
        outcome
    }

    /// Whether the trial is over: its clients have what they wait for and no fault is planned, or the time
    /// for that has passed.
    pub fn is_over(&self) -> bool {
        let now = self.fabric.now;
        if now < self.schedule.measure_until {
            return false;
        }
        let are_clients_drained = || self.clients.iter().all(|client| client.is_drained(now));
        now >= self.schedule.drain_until || (self.agenda.is_empty() && are_clients_drained())
    }

    /// Whether the replicas that are up have executed equally much; without a log they never need.
    fn are_replicas_level(&self) -> bool {
        if P::ORDER != Order::Total {
            return true;
        }
        let live = self.nodes.iter().filter(|node| node.protocol().is_some());
        let mut executed = live.map(Node::progress);
        let first = executed.next();
        executed.all(|below| Some(below) == first)
    }

    /// Does `work` unless an assertion has broken; one that breaks now is the violation of this world.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.violation.is_some() {
            return None;
        }
        self.fabric.observer = self.observe.take();
        let result = quietly(|| work(self));
        self.observe = self.fabric.observer.take();
        match result {
            Ok(value) => Some(value),
            Err(violation) => {
                self.violation = Some(violation.to_string());
                None
            }
        }
    }

    /// All that happens at the next instant; false if there is none.
    fn instant(&mut self) -> bool {
        let Some(mut event) = self.fabric.queue.peek() else { return false };
        let now = event.at();
        self.fabric.now = now;
        loop {
            self.dispatch(event);
            match self.fabric.queue.peek() {
                Some(next) if next.at() == now => event = next,
                _ => break,
            }
        }
        self.settle();
        if self.agenda.faults.is_waiting() {
            self.watch();
            self.settle();
        }
        if self.agenda.faults.is_catching_up() {
            self.note_progress();
        }
        true
    }

    /// Everybody who was reached has a turn.
    fn settle(&mut self) {
        for position in 0..self.reached.len() {
            self.nodes[self.reached[position]].turn(&mut self.fabric);
        }
        self.reached.clear();
        for position in 0..self.reached_clients.len() {
            self.clients[self.reached_clients[position]].turn(&mut self.fabric);
        }
        self.reached_clients.clear();
        if self.fabric.machine.is_some() {
            self.share();
        }
    }

    /// Idle processors, and an idle disk, of the machine that all share go to those that wait for them.
    fn share(&mut self) {
        while let Some(machine) = &mut self.fabric.machine
            && let Some(member) = machine.grant()
        {
            let has_use = match member {
                Member::Replica(id) => self.nodes[index(id)].run(&mut self.fabric),
                Member::Client(id) => self.clients[id.0 as usize].run(&mut self.fabric),
                Member::Log(id) => self.nodes[index(id)].run_log(&mut self.fabric),
            };
            if !has_use && let Some(machine) = &mut self.fabric.machine {
                machine.release();
            }
        }
        while let Some(machine) = &mut self.fabric.machine
            && let Some(id) = machine.grant_disk()
        {
            self.nodes[index(id)].run_disk(&mut self.fabric);
        }
    }

    #[inline]
    pub(super) fn mark(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !node.is_dirty {
            node.is_dirty = true;
            self.reached.push(index);
        }
    }

    #[inline]
    pub(super) fn mark_client(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if !client.is_dirty {
            client.is_dirty = true;
            self.reached_clients.push(index);
        }
    }

    fn dispatch(&mut self, event: Event) {
        let source = event.source();
        let index = usize::from(source.index);
        match source.kind {
            Kind::Link => self.deliver(index, event),
            Kind::Request => self.deliver_requests(index, event),
            Kind::Reply => self.deliver_replies(index, event),
            Kind::Timer | Kind::Processor | Kind::Disk | Kind::Checkpoint => {
                self.fabric.queue.pop();
                if self.nodes[index].wake(event, &mut self.fabric) {
                    self.mark(index);
                }
            }
            Kind::Client => {
                self.fabric.queue.pop();
                if self.clients[index].wake(event) {
                    self.mark_client(index);
                }
            }
            Kind::Load => {
                self.fabric.queue.pop();
                self.clients[index].finish_work(&mut self.fabric);
                self.mark_client(index);
            }
            Kind::Agenda => {
                self.fabric.queue.pop();
                self.follow_agenda();
            }
        }
    }

    /// The first instant.
    pub(super) fn begin(&mut self) {
        (0..self.nodes.len()).for_each(|index| self.start(node(index)));
        (0..self.clients.len()).for_each(|client| self.mark_client(client));
    }

    /// Starts a replica on what its disk holds.
    pub(super) fn start(&mut self, id: NodeId) {
        let protocol = (self.make)(id);
        self.nodes[index(id)].start(protocol, &mut self.fabric);
        self.mark(index(id));
    }

    pub(super) fn round_trip(&self, client: usize, replica: NodeId) -> Span {
        self.links.round_trip(Site::Client(client), Site::Replica(replica))
    }
}

fn schedule(deployment: &Deployment) -> Schedule {
    let warmup_from = Time::ZERO + START_DELAY;
    let measure_from = warmup_from + deployment.warmup;
    let measure_until = measure_from + deployment.duration;
    let drain_until = measure_until + deployment.drain;
    Schedule { warmup_from, measure_from, measure_until, drain_until }
}

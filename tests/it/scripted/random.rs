//! The same world with dice: messages are lost, repeated and reordered, replicas crash between a
//! record and its sync, anybody campaigns, and timers run out when they like.
//!
//! Then the faults end, and everything that was asked must be answered.
//! One seed is one run, always the same; a failure names the command that replays it.
//! The negative controls are runs that break a rule: each must be caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use flexpaxos::command::{ClientId, Command, Operation, RequestId};
use flexpaxos::paxos::{Election, Input, Mode, Replica, Retention, SendPolicy};
use flexpaxos::protocol::{Advance, Protocol, Slot, TimerId};
use flexpaxos::quorum::{Family, NodeId, NodeSet, QuorumSystem};

use super::world::{Deployment, Driver, Persist, World};

const SEEDS: u64 = 200;
const STEPS: usize = 2_000;
/// A run that needs more steps than this after the faults ended makes no progress.
const CALM_STEPS: usize = 60_000;
/// A broken rule must show within this many seeds.
const CONTROL_SEEDS: u64 = 100;

const NO_PROGRESS: &str = "no progress after the faults ended";

/// `SplitMix64`: a seed is an address, so the stream must never change.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a count");
        usize::try_from(self.next() % end).expect("below a count")
    }

    fn member(&mut self, nodes: NodeSet) -> Option<NodeId> {
        (!nodes.is_empty()).then(|| nodes.iter().nth(self.below(nodes.len())).expect("below len"))
    }
}

/// The rule a run breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    Quorums,
    Driver(Driver),
}

fn deployment(dice: &mut Dice, broken: Broken) -> Deployment {
    let quorums = loop {
        let quorums = quorums(dice);
        if quorums.disjoint().is_some() == (broken == Broken::Quorums) {
            break quorums;
        }
    };
    let leader = NodeId(u8::try_from(dice.below(quorums.n())).expect("few replicas"));
    let mode = if dice.below(3) == 0 { Mode::Classic } else { Mode::Multi { leader } };
    let send = if dice.below(3) == 0 { SendPolicy::Quorum } else { SendPolicy::All };
    let (election, retention) = (Election::Fixed, Retention::ALL);
    Deployment { quorums, mode, election, send, retention }
}

fn quorums(dice: &mut Dice) -> QuorumSystem {
    let n = [1, 2, 3, 3, 4, 5, 5][dice.below(7)];
    if dice.below(3) == 0 {
        return QuorumSystem::majority(n);
    }
    let mut family = || {
        if dice.below(2) == 0 {
            return Family::Count(1 + dice.below(n));
        }
        let everybody = NodeSet::all(n).mask();
        let sets = (0..=dice.below(3)).map(|_| NodeSet::from_mask(dice.next() & everybody));
        Family::Sets(sets.map(|set| if set.is_empty() { NodeSet::all(n) } else { set }).collect())
    };
    let (phase1, phase2) = (family(), family());
    QuorumSystem::new(n, phase1, phase2).expect("members and counts are in range")
}

/// What can happen while there are faults.
#[derive(Clone, Copy)]
enum Happening {
    Deliver,
    Lose,
    Repeat,
    Partition,
    Persist,
    Ask,
    Timer,
    Crash,
    Start,
    Campaign,
    Checkpoint,
}

/// How often what happens: a run of its own kind for every seed, for if everything happened in all
/// of them, whatever needs a long calm would happen in none.
struct Weather(Vec<(Happening, usize)>);

impl Weather {
    fn of(dice: &mut Dice) -> Self {
        let mut level = |levels: [usize; 3]| levels[dice.below(3)];
        Self(vec![
            (Happening::Deliver, level([500, 1000, 2000])),
            (Happening::Lose, level([0, 10, 50])),
            (Happening::Repeat, level([0, 10, 50])),
            (Happening::Partition, level([0, 5, 20])),
            (Happening::Persist, level([100, 300, 1000])),
            (Happening::Ask, level([50, 100, 200])),
            (Happening::Timer, level([5, 20, 100])),
            (Happening::Crash, level([0, 2, 10])),
            (Happening::Start, level([5, 10, 50])),
            (Happening::Campaign, level([1, 5, 10])),
            (Happening::Checkpoint, level([0, 5, 20])),
        ])
    }

    fn happening(&self, dice: &mut Dice) -> Happening {
        let mut drawn = dice.below(self.0.iter().map(|(_, weight)| weight).sum());
        for (happening, weight) in &self.0 {
            if drawn < *weight {
                return *happening;
            }
            drawn -= weight;
        }
        unreachable!("a number below the sum of the weights")
    }
}

/// One run: a world, its dice, and clients that each have one command open.
struct Run {
    world: World,
    dice: Dice,
    deployment: Deployment,
    weather: Weather,
    clients: Vec<Option<Command>>,
}

impl Run {
    fn new(seed: u64, broken: Broken) -> Self {
        let mut dice = Dice(seed);
        let mut deployment = deployment(&mut dice, broken);
        // Every third run keeps little of the log.
        deployment.retention.slots = (seed % 3 == 1).then_some(seed % 5);
        deployment.retention.part_bytes = 64;
        let driver = if let Broken::Driver(driver) = broken { driver } else { Driver::Honest };
        let mut world = World::new(&deployment, driver);
        world.persist = Persist::WhenTold;
        world.is_loopback_at_once = dice.below(2) == 0;
        world.is_written = false;
        let clients = vec![None; 1 + dice.below(3)];
        let weather = Weather::of(&mut dice);
        Self { world, dice, deployment, weather, clients }
    }

    /// Runs to the end; what a correct run cannot show is the error.
    fn finish(&mut self) -> Result<(), String> {
        self.world.everybody().iter().for_each(|id| self.world.start(id));
        for _ in 0..STEPS {
            self.step();
            self.check()?;
        }
        self.world.partition(Vec::new());
        for id in self.world.everybody().iter() {
            if self.world.replica(id).is_none() {
                self.world.start(id);
            }
        }
        self.campaign();
        self.until(|run| run.clients.iter().all(Option::is_none) && run.is_quiet())?;
        // One more command, for its news tell those who missed the last.
        self.ask(0);
        self.until(|run| run.clients.iter().all(Option::is_none) && run.is_quiet())?;
        self.check_end()
    }

    fn until(&mut self, is_over: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..CALM_STEPS {
            if is_over(self) {
                return Ok(());
            }
            self.calm_step();
            self.check()?;
        }
        Err(NO_PROGRESS.to_owned())
    }

    /// Nothing is on its way, waits for the disk, or waits for a time-out.
    fn is_quiet(&self) -> bool {
        let is_idle =
            |id: NodeId| self.world.waiting_count(id) == 0 && self.world.timers(id).is_empty();
        self.world.packets.is_empty() && self.world.live().iter().all(is_idle)
    }

    fn check(&self) -> Result<(), String> {
        self.world.violation.clone().map_or(Ok(()), Err)
    }

    fn check_end(&self) -> Result<(), String> {
        self.check()?;
        let verdict = self.world.verdict();
        if let Some(violation) = verdict.violations.first() {
            return Err(violation.to_string());
        }
        let executed = |id| self.world.replica(id).map(Protocol::executed_below);
        let ends: Vec<Option<Slot>> = self.world.everybody().iter().map(executed).collect();
        if ends.iter().any(|end| *end != ends[0]) {
            return Err(format!("a replica stays behind: {ends:?}"));
        }
        Ok(())
    }

    fn step(&mut self) {
        let live = self.world.live();
        let someone = self.dice.member(live);
        let happening = self.weather.happening(&mut self.dice);
        match (happening, someone) {
            (Happening::Deliver, _) if !self.world.packets.is_empty() => self.deliver(),
            (Happening::Lose, _) => self.lose(),
            (Happening::Repeat, _) => self.repeat(),
            (Happening::Partition, _) => self.partition(),
            (Happening::Ask | Happening::Deliver, _) => {
                let client = self.dice.below(self.clients.len());
                self.ask(client);
            }
            (Happening::Start, _) => {
                if let Some(id) = self.dice.member(self.world.everybody().difference(live)) {
                    self.world.start(id);
                }
            }
            (Happening::Campaign, _) => self.campaign(),
            (Happening::Persist, Some(id)) => {
                let count = self.dice.below(self.world.waiting_count(id) + 1);
                self.world.persist(id, count);
            }
            (Happening::Timer, Some(id)) => self.fire(id),
            (Happening::Crash, Some(id)) if self.dice.below(2) == 0 => self.world.crash(id),
            (Happening::Crash, Some(id)) => self.world.crash_after_persist(id),
            (Happening::Checkpoint, Some(id)) => self.world.checkpoint(id),
            (_, None) => {}
        }
    }

    fn partition(&mut self) {
        let everybody = self.world.everybody();
        let one = NodeSet::from_mask(self.dice.next() & everybody.mask());
        let is_over = self.dice.below(3) == 0;
        let groups = if is_over { Vec::new() } else { vec![one, everybody.difference(one)] };
        self.world.partition(groups);
    }

    /// No faults, and time passes only when nothing else can happen.
    fn calm_step(&mut self) {
        let waiting = |id: &NodeId| self.world.waiting_count(*id) > 0;
        if !self.world.packets.is_empty() {
            let index = self.dice.below(self.world.packets.len());
            self.world.deliver(index);
        } else if let Some(id) = self.world.live().iter().find(waiting) {
            self.world.persist(id, usize::MAX);
        } else if let Some(client) = self.waiting_client() {
            // The core does not decide who campaigns; here nobody else does either.
            if self.is_quiet() && !self.has_leader() {
                self.campaign();
            }
            self.ask(client);
        } else {
            let timers = self.world.everybody().iter().flat_map(|id| {
                self.world.timers(id).iter().map(move |(timer, due)| (*due, id, *timer))
            });
            if let Some((_, id, timer)) = timers.min() {
                self.world.fire(id, timer);
            }
        }
    }

    /// A client that was sent elsewhere, or waits although nothing is under way for it.
    fn waiting_client(&mut self) -> Option<usize> {
        let count = self.clients.len();
        (0..count).for_each(|client| self.settle(client));
        let (is_hopeless, has_leader) = (self.is_quiet(), self.has_leader());
        let redirected = &self.world.clients.redirected;
        (0..count).find(|client| {
            self.clients[*client].as_ref().is_some_and(|command| {
                is_hopeless || has_leader && redirected.contains_key(&command.request)
            })
        })
    }

    fn settle(&mut self, client: usize) {
        let acknowledged = &self.world.clients.acknowledged;
        let is_over = |command: &mut Command| acknowledged.contains_key(&command.request);
        self.clients[client].take_if(is_over);
    }

    /// The client asks: something new, or the same again of whomever it was sent to, or of anybody.
    fn ask(&mut self, client: usize) {
        self.settle(client);
        let command = match &self.clients[client] {
            Some(command) => command.clone(),
            None => self.issue(client),
        };
        let hint = self.world.clients.redirected.remove(&command.request).flatten();
        let anybody = self.dice.member(self.world.live());
        let to = if self.dice.below(4) == 0 { anybody } else { hint.or(anybody) };
        if let Some(id) = to {
            self.world.handle(id, Input::Request(command));
        }
    }

    fn issue(&mut self, client: usize) -> Command {
        let key = self.dice.next() % 3;
        let value = Bytes::from(self.dice.below(1000).to_string());
        let is_read = self.dice.below(3) == 0;
        let operation =
            if is_read { Operation::Get { key } } else { Operation::Put { key, value } };
        let id = ClientId(u32::try_from(client).expect("few clients"));
        let is_own = |request: &&RequestId| request.client == id;
        let acknowledged = self.world.clients.acknowledged.keys();
        // One command is open at a time, so those answered are all below it.
        let settled_below = u64::try_from(acknowledged.filter(is_own).count()).expect("a count");
        let now = self.world.now;
        let command = self.world.clients.issue(now, id, settled_below, operation);
        self.clients[client] = Some(command.clone());
        command
    }

    /// Mostly in order, as a stream is; sometimes anything.
    fn deliver(&mut self) {
        let reach = if self.dice.below(4) == 0 { self.world.packets.len() } else { 1 };
        let index = self.dice.below(reach);
        self.world.deliver(index);
    }

    /// What a replica sends to itself is neither lost nor repeated: it has no network between.
    fn lose(&mut self) {
        if let Some(index) = self.some_sent() {
            self.world.packets.remove(index);
        }
    }

    fn repeat(&mut self) {
        if let Some(index) = self.some_sent() {
            let copy = self.world.packets[index].clone();
            self.world.packets.push(copy);
        }
    }

    fn some_sent(&mut self) -> Option<usize> {
        let packets = &self.world.packets;
        let index = (!packets.is_empty()).then(|| self.dice.below(packets.len()))?;
        (packets[index].from != packets[index].to).then_some(index)
    }

    fn fire(&mut self, id: NodeId) {
        let timers: Vec<TimerId> = self.world.timers(id).keys().copied().collect();
        if !timers.is_empty() {
            self.world.fire(id, timers[self.dice.below(timers.len())]);
        }
    }

    fn has_leader(&self) -> bool {
        let leads = |id| self.world.replica(id).is_some_and(Replica::is_leader);
        self.world.live().iter().any(leads)
    }

    fn campaign(&mut self) {
        if let Mode::Multi { .. } = self.deployment.mode
            && let Some(id) = self.dice.member(self.world.live())
        {
            self.world.campaign(id);
        }
    }
}

/// A whole run; a panic of the core is caught, for it may be what must happen.
fn outcome(seed: u64, broken: Broken) -> Result<Run, String> {
    let mut run = Run::new(seed, broken);
    match catch_unwind(AssertUnwindSafe(|| run.finish())) {
        Ok(result) => result.map(|()| run),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.unwrap_or_else(|| "a panic without words".to_owned()))
        }
    }
}

#[test]
fn random_delivery_keeps_agreement() {
    let chosen = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = chosen.map_or(0..SEEDS, |seed| seed..seed + 1);
    let (mut acknowledged, mut slots, mut repeated, mut installed) = (0, 0, 0, 0);
    for seed in seeds {
        let mut run = Run::new(seed, Broken::Nothing);
        run.world.is_written = chosen.is_some();
        let result = catch_unwind(AssertUnwindSafe(|| run.finish()));
        run.world.transcript.iter().for_each(|line| println!("{line}"));
        let result = result.unwrap_or_else(|_| Err("an assertion of the core".to_owned()));
        if let Err(violation) = result {
            panic!(
                "seed {seed}: {violation}\n{:?}\n\
                 SEED={seed} cargo test --test it random_delivery_keeps_agreement",
                run.deployment
            );
        }
        let verdict = run.world.verdict();
        acknowledged += verdict.acknowledged_count;
        slots += verdict.slot_count;
        for id in run.world.everybody().iter() {
            let advances = run.world.segments(id).iter().flat_map(|segment| &segment.advances);
            for advance in advances {
                match advance {
                    Advance::Executed(entry) if id == NodeId(0) => {
                        repeated += u64::from(entry.command.is_some() && !entry.applied);
                    }
                    Advance::Executed(_) => {}
                    Advance::Installed(_) => installed += 1,
                }
            }
        }
    }
    // The runs are not empty, and requests do get chosen twice.
    if chosen.is_none() {
        assert!(acknowledged > SEEDS * 10, "{acknowledged} operations acknowledged");
        assert!(slots > acknowledged, "{slots} slots");
        assert!(repeated > 100, "{repeated} requests chosen again");
        assert!(installed > 15, "{installed} states installed");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let transcript = |seed| {
        let mut run = Run::new(seed, Broken::Nothing);
        run.world.is_written = true;
        run.finish().expect("a correct run");
        run.world.transcript
    };
    for seed in 0..3 {
        let first = transcript(seed);
        assert!(first.len() > 50);
        assert_eq!(first, transcript(seed));
    }
}

/// How a broken rule shows; that a run merely stops does not count.
fn caught(broken: Broken) -> String {
    let violation = |seed| outcome(seed, broken).err().filter(|text| text != NO_PROGRESS);
    let found = (0..CONTROL_SEEDS).find_map(violation);
    found.unwrap_or_else(|| panic!("{broken:?} was not caught in {CONTROL_SEEDS} seeds"))
}

#[test]
fn quorums_that_do_not_meet_are_caught() {
    let violation = caught(Broken::Quorums);
    assert!(violation.contains("executed"), "{violation}");
}

#[test]
fn an_acceptor_that_forgets_is_caught() {
    let violation = caught(Broken::Driver(Driver::Forgetful));
    assert!(violation.contains("executed") || violation.contains("chosen twice"), "{violation}");
}

#[test]
fn a_driver_that_does_not_wait_for_the_disk_is_caught() {
    let violation = caught(Broken::Driver(Driver::Hasty));
    assert!(violation.contains("executed") || violation.contains("chosen twice"), "{violation}");
}

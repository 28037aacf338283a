//! The commands of a script.
//!
//! | command | what happens |
//! |---|---|
//! | `cluster n=3 phase1=2 phase2=2 mode=multi leader=r0 send=all persist=at-once` | replicas are started and come to rest, unseen; `phase1={0,1}{2,3}` lists sets; `per-ballot=2` has each ballot announce its own; also `mode=classic`, `mode=caspaxos` with or without `proposer=r0`, `election=timeout` (of 30 ms), `send=quorum`, `persist=when-told`, `witnesses=r1+r2` of these n, `observers=r3` besides them, `retain=0`, `part=64`, `unsafe`, `driver=sends-before-persist` |
//! | `submit r0 x=1`, `submit r0 x?` | a client asks to write or to read |
//! | `retry r0 x=1` | the client of that command asks again |
//! | `deliver phase2a r0->r1` | the oldest such message arrives; `any` is any message |
//! | `drop phase2a r0->r1`, `duplicate …` | it is lost; it arrives and is still on its way |
//! | `stabilize` | what is on its way arrives, what waits for the disk becomes durable, until nothing does |
//! | `persist r0` | what waits for the disk of one replica becomes durable |
//! | `checkpoint r0` | what was executed becomes durable |
//! | `crash r0`, `crash r0 after-persist` | what waits for the disk is lost, or only what waits for that |
//! | `restart r0` | it starts with what is durable |
//! | `campaign r0` | it runs phase 1 |
//! | `timer r0 retransmit` | a timer runs out: `retransmit`, `announce`, `catch-up`, `fill`, `election`, `heartbeat`, `renew`, `attempt 0`; of a register `key x` |
//! | `timers r0` | how many timers are set |
//! | `partition r0 r1 \| r2`, `heal` | messages between the groups are lost |
//! | `state r0`, `state r0 slot 0`, `state r0 key x slot 0` | what it knows |
//! | `check` | what the oracle says |

use std::collections::BTreeMap;

use bytes::Bytes;
use flexpaxos::command::{ClientId, Command, Operation};
use flexpaxos::protocol::{
    Detector, Election, Input, Log, Position, Retention, SendPolicy, Slot, TimerId,
};
use flexpaxos::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use flexpaxos::registry::Registration;
use flexpaxos::sabotage::Rule;
use flexpaxos::time::Span;
use flexpaxos::{caspaxos, paxos};

use super::world::{Deployment, Persist, World};

/// A script being run.
pub(crate) struct Script<P: Registration> {
    world: Option<World<P>>,
    /// Each command by its text, for a retry.
    commands: BTreeMap<String, Command>,
}

/// A protocol whose votes a script can show.
pub(crate) trait Shown: Registration {
    /// The last vote at a position: its value and its ballot.
    fn vote(&self, position: Position) -> Option<String>;
}

impl Shown for paxos::Replica {
    fn vote(&self, position: Position) -> Option<String> {
        let vote = self.acceptor().vote(position.slot)?;
        Some(format!("{} at {}", vote.value, vote.ballot))
    }
}

impl Shown for caspaxos::Replica {
    fn vote(&self, position: Position) -> Option<String> {
        let Log::Of(key) = position.log else { return None };
        Some(Self::vote(self, key)?.to_string())
    }
}

impl<P: Registration> Default for Script<P> {
    fn default() -> Self {
        Self { world: None, commands: BTreeMap::new() }
    }
}

impl<P: Shown> Script<P> {
    /// The world, once there is a cluster.
    pub(crate) fn world(&self) -> &World<P> {
        self.world.as_ref().expect("a script begins with `cluster`")
    }

    fn world_mut(&mut self) -> &mut World<P> {
        self.world.as_mut().expect("a script begins with `cluster`")
    }

    /// The end of a script that shows no violation.
    pub(crate) fn assert_correct(&self) {
        let world = self.world();
        assert_eq!(world.violation, None);
        let verdict = world.verdict();
        assert!(verdict.is_valid(), "{:#?}", verdict.violations);
    }

    /// Runs a block; gives what came of it.
    pub(crate) fn run(&mut self, commands: &[String]) -> Vec<String> {
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            self.command(command, &words);
        }
        let output = std::mem::take(&mut self.world_mut().transcript);
        if output.is_empty() { vec!["ok".to_owned()] } else { output }
    }

    fn command(&mut self, typed: &str, words: &[&str]) {
        match words {
            ["cluster", options @ ..] => {
                if self.world.is_some() {
                    self.assert_correct();
                }
                self.world = Some(cluster(options));
            }
            ["submit", replica, text] => self.submit(node(replica), text),
            ["retry", replica, text] => {
                let command = self.commands.get(*text).expect("a command that was submitted");
                let input = Input::Request(command.clone());
                self.world_mut().handle(node(replica), input);
            }
            ["deliver", kind, link] => {
                let index = self.find(typed, kind, link);
                self.world_mut().deliver(index);
            }
            ["drop", kind, link] => {
                let index = self.find(typed, kind, link);
                self.world_mut().packets.remove(index);
            }
            ["duplicate", kind, link] => {
                let index = self.find(typed, kind, link);
                let copy = self.world().packets[index].clone();
                self.world_mut().packets.push(copy);
                self.world_mut().deliver(index);
            }
            ["stabilize"] => self.stabilize(),
            ["persist", replica] => self.world_mut().persist(node(replica)),
            ["checkpoint", replica] => self.world_mut().checkpoint(node(replica)),
            ["crash", replica] => self.world_mut().crash(node(replica)),
            ["crash", replica, "after-persist"] => {
                self.world_mut().crash_after_persist(node(replica));
            }
            ["restart", replica] => self.world_mut().start(node(replica)),
            ["campaign", replica] => self.world_mut().campaign(node(replica)),
            ["timer", replica, kind @ ..] => {
                let (replica, timer) = (node(replica), timer(kind));
                let is_set = self.world().timers(replica).contains_key(&timer);
                assert!(is_set, "`{typed}`: that timer is not set");
                self.world_mut().fire(replica, timer);
            }
            ["timers", replica] => {
                let count = self.world().timers(node(replica)).len();
                self.world_mut().transcript.push(format!("{replica} has {count} timers"));
            }
            ["partition", groups @ ..] => {
                let groups = groups.split(|word| *word == "|");
                let groups = groups.map(|group| group.iter().map(|name| node(name)).collect());
                let groups = groups.collect();
                self.world_mut().partition(groups);
            }
            ["heal"] => self.world_mut().partition(Vec::new()),
            ["state", replica] => self.state(node(replica)),
            ["state", replica, "slot", slot] => {
                let slot = Slot(slot.parse().expect("a slot"));
                self.position_state(node(replica), Position::of(slot));
            }
            ["state", replica, "key", key, "slot", slot] => {
                let slot = Slot(slot.parse().expect("a slot"));
                let position = Position { log: Log::Of(self::key(key)), slot };
                self.position_state(node(replica), position);
            }
            ["check"] => self.check(),
            _ => panic!("`{typed}` is no command"),
        }
    }

    fn submit(&mut self, replica: NodeId, text: &str) {
        let operation = match text.split_once('=') {
            Some((name, value)) => {
                Operation::Put { key: key(name), value: Bytes::copy_from_slice(value.as_bytes()) }
            }
            None => Operation::Get { key: key(text) },
        };
        let world = self.world_mut();
        let command = world.clients.issue(world.now, ClientId(0), 0, operation);
        world.handle(replica, Input::Request(command.clone()));
        self.commands.insert(text.to_owned(), command);
    }

    fn find(&self, typed: &str, kind: &str, link: &str) -> usize {
        let (from, to) = link.split_once("->").expect("a link is written r0->r1");
        let (from, to) = (node(from), node(to));
        let found = self.world().packets.iter().position(|packet| {
            let text = packet.message.to_string();
            let is_kind = kind == "any" || text.split(' ').next() == Some(kind);
            packet.from == from && packet.to == to && is_kind
        });
        found.unwrap_or_else(|| panic!("`{typed}`: no such message is on its way"))
    }

    fn stabilize(&mut self) {
        let world = self.world_mut();
        for _ in 0..10_000 {
            if !world.packets.is_empty() {
                world.deliver(0);
            } else if let Some(id) = world.live().iter().find(|id| world.is_waiting(*id)) {
                world.persist(id);
            } else {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    fn state(&mut self, id: NodeId) {
        let text = match self.world().replica(id) {
            None => format!("{id} is down"),
            Some(replica) => format!(
                "{id} promised {}, executed below {}{}",
                replica.promised_highest(),
                replica.progress().0,
                if replica.leadership().is_some() { ", leads" } else { "" }
            ),
        };
        self.world_mut().transcript.push(text);
    }

    fn position_state(&mut self, id: NodeId, position: Position) {
        let replica = self.world().replica(id).expect("a replica that runs");
        let voted = replica.vote(position);
        let voted = voted.map_or_else(|| "no vote".to_owned(), |vote| format!("voted {vote}"));
        let chosen = replica.chosen(position).map(ToString::to_string);
        let chosen = chosen.unwrap_or_else(|| "nothing known".to_owned());
        let promised = replica.promised(position);
        let text = format!("{id} {position}: promised {promised}, {voted}, chosen: {chosen}");
        self.world_mut().transcript.push(text);
    }

    fn check(&mut self) {
        let verdict = self.world().verdict();
        let lines = &mut self.world_mut().transcript;
        if verdict.is_valid() {
            let (asked, told) = (verdict.operation_count, verdict.acknowledged_count);
            lines.push(format!("correct: {told} of {asked} operations acknowledged"));
        }
        lines.extend(verdict.violations.iter().map(|violation| format!("INVALID {violation}")));
    }
}

fn key(name: &str) -> u64 {
    u64::from(u32::from(name.chars().next().expect("a key")))
}

fn cluster<P: Registration>(options: &[&str]) -> World<P> {
    let mut named: BTreeMap<&str, &str> =
        options.iter().map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
    let n: usize = named.remove("n").expect("n=3").parse().expect("a number of replicas");
    let majority = QuorumSystem::majority(n);
    let mut phase = |name, default: &Family| named.remove(name).map_or(default.clone(), family);
    let phase1 = phase("phase1", majority.phase1());
    let phase2 = phase("phase2", majority.phase2());
    let quorums = match named.remove("per-ballot").map(str::parse) {
        Some(count) => QuorumSystem::per_ballot(n, count.expect("a number of replicas")),
        None => QuorumSystem::new(n, phase1, phase2),
    };
    let quorums = quorums.expect("a quorum system");
    let nodes = |names: &str| names.split('+').map(node).collect::<NodeSet>();
    let observers = named.remove("observers").map_or(NodeSet::EMPTY, nodes);
    let all = n + observers.len();
    let quorums = quorums.among(all, NodeSet::all(all).difference(observers));
    let quorums = match named.remove("witnesses").map(nodes) {
        Some(witnesses) => quorums.with_witnesses(witnesses),
        None => quorums,
    };
    let is_unsafe = named.remove("unsafe").is_some();
    assert_eq!(quorums.disjoint().is_some(), is_unsafe, "say `unsafe` when quorums do not meet");
    let leader = named.remove("leader").map_or(NodeId(0), node);
    let asked = match named.remove("mode") {
        Some("classic") => None,
        Some("caspaxos") => named.remove("proposer").map(node),
        Some("multi") | None => Some(leader),
        Some(other) => panic!("`{other}` is no mode"),
    };
    let send = match named.remove("send") {
        Some("quorum") => SendPolicy::Quorum,
        Some("all") | None => SendPolicy::All,
        Some(other) => panic!("`{other}` is no policy"),
    };
    let election = match named.remove("election") {
        Some("timeout") => Election::Timeout(DETECTOR),
        Some("fixed") | None => Election::Fixed,
        Some(other) => panic!("`{other}` is no election"),
    };
    let persist = match named.remove("persist") {
        Some("when-told") => Persist::WhenTold,
        Some("at-once") | None => Persist::AtOnce,
        Some(other) => panic!("`{other}` is no time to persist"),
    };
    let defect = named.remove("driver").map(|rule| {
        let rule: Rule = rule.parse().expect("a rule of the driver");
        rule.driver_defect().expect("a rule of the driver")
    });
    let slots = named.remove("retain").map(|slots| slots.parse().expect("a number of slots"));
    let part = named.remove("part").map(|bytes| bytes.parse().expect("a number of bytes"));
    let part_bytes = part.unwrap_or(Retention::ALL.part_bytes);
    let retention = Retention { slots, part_bytes };
    assert!(named.is_empty(), "unknown options: {named:?}");
    let deployment =
        Deployment { quorums, mode: P::mode(asked), election, send, retention, defect };
    let mut world = World::new(&deployment);
    world.is_written = false;
    world.everybody().iter().for_each(|id| world.start(id));
    while !world.packets.is_empty() {
        world.deliver(0);
    }
    // The time-outs of the first phase 1, so that those to come are of what the script does.
    for id in world.everybody().iter() {
        let timers: Vec<TimerId> = world.timers(id).keys().copied().collect();
        for timer in timers {
            world.fire(id, timer);
        }
    }
    world.is_written = true;
    world.persist = persist;
    world
}

/// `2`, or `{0,1}{2,3}`.
fn family(text: &str) -> Family {
    if let Ok(count) = text.parse() {
        return Family::of_size(count);
    }
    let set = |text: &str| -> NodeSet {
        text.split(',').map(|id| NodeId(id.parse().expect("a replica's number"))).collect()
    };
    let sets = text.trim_matches(['{', '}']).split("}{");
    Family::of_sets(sets.map(set).collect())
}

fn node(name: &str) -> NodeId {
    let number = name.strip_prefix('r').and_then(|number| number.parse().ok());
    NodeId(number.unwrap_or_else(|| panic!("`{name}` is no replica")))
}

/// A time-out of 30 ms.
const DETECTOR: Detector =
    Detector { heartbeat: Span::from_millis(10), misses: 3, spread: Span::from_millis(30) };

fn timer(kind: &[&str]) -> TimerId {
    TimerId(match kind {
        ["retransmit"] => 0,
        ["announce"] => 1,
        ["catch-up"] => 2,
        ["fill"] => 3,
        ["election"] => 4,
        ["heartbeat"] => 5,
        ["renew"] => 6,
        ["key", name] => key(name),
        ["attempt", slot] => 12 + slot.parse::<u64>().expect("a slot"),
        _ => panic!("`{kind:?}` is no timer"),
    })
}

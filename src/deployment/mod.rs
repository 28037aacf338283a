//! What one trial consists of: replicas, clients, the links between them, and their common
//! configuration.
//!
//! Whoever drives a trial, over QUIC or in virtual time, is told this and nothing else about it.
//! It knows nothing of transports, processes or service times.

mod fault;
pub use fault::{
    Aimed, Fault, FaultKind, InjectedFault, Scheduled, Trigger, Unsynced, disk_delay, is_disk_full,
};
mod injector;
pub use injector::{Crash, Injector, Members, Order, Skipped};
mod member;
pub use member::MemberName;
mod network;
pub use network::Network;
mod target;
pub use target::{Aim, Leader, Role, Target};

use std::collections::BTreeMap;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::ClientId;
use crate::link::streams::{self, Purpose};
use crate::protocol::{Bounds, Config, Election, Retention, SendPolicy, Timing};
use crate::quorum::{NodeId, QuorumSystem};
use crate::registry::Mode;
use crate::time::{Clock, Span, Time};
use crate::topology::{self, Floor, Links, Site};
use crate::workload::{Control, KeySpace, Workload};

/// Everything that the members of a trial have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// Which protocol runs, and how.
    pub mode: Mode,
    /// The quorum table.
    pub quorums: QuorumSystem,
    /// Who campaigns, where replicas lead.
    pub election: Election,
    /// Whom a proposer contacts first.
    pub send: SendPolicy,
    /// Where everybody is, and how long a message takes.
    pub links: Links,
    /// What links do besides delaying.
    pub network: Network,
    /// What clients ask.
    pub workload: Workload,
    /// What they ask beside it that takes no quorum, if anything.
    pub control: Option<Control>,
    /// The clock of each replica is off by this at most: by how much is drawn.
    pub clock_error: Span,
    /// Whether a replica survives a crash.
    pub durability: Durability,
    /// What a replica keeps of what it has executed.
    pub retention: Retention,
    /// Of every random stream.
    pub seed: u64,
    /// Load before the measurement.
    pub warmup: Span,
    /// The measurement.
    pub duration: Span,
    /// How long outstanding answers are waited for.
    pub drain: Span,
    /// The length of an interval of the timeline.
    pub interval: Span,
    /// A client asks again after so long without an answer; [`patience`] if `None`.
    pub retry_after: Option<Span>,
    /// What goes wrong on purpose.
    pub faults: Vec<Scheduled>,
}

/// What "durable" means.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing is written: a replica that stops has forgotten everything.
    Memory,
    /// Written and synced.
    Fsync,
}

/// The floors of every client's operations of one kind.
type Floors = fn(&Links, Mode, &QuorumSystem, SendPolicy, Span) -> Vec<Floor>;

/// How often the longest floor fits into the time after which a client asks again.
///
/// A write that meets a queue, a slow disk or one slow follower takes some floors: it must not be asked
/// for again, or retries would feed on the load that they make themselves.
const FLOORS_PER_RETRY: u64 = 4;

/// After how long a client asks again where no time-out of an election says how patient replicas are.
const PATIENCE: Span = Span::from_millis(1_000);

/// How long a client waits before it asks again, in an experiment that does not say it.
///
/// As long as a replica waits before it suspects the leader: then the client's timer is shorter than any
/// recovery, of which that wait is the first part, and clients see recoveries that differ differ.
/// Without elections that is a second, the time-out of an election that does not say it.
/// And in any case four times the longest of the floors at p99, in whole milliseconds.
/// Where a value is on the wire to all replicas for long (`transmission`), four times that is added.
pub fn patience(election: Election, floors: &[Floor], transmission: Span) -> Span {
    let suspicion = match election {
        Election::Timeout(detector) => detector.timeout(),
        Election::Fixed => PATIENCE,
    };
    let longest = floors.iter().map(|floor| floor.p99).max().unwrap_or(Span::ZERO);
    let least = Span(longest.times(FLOORS_PER_RETRY).0.next_multiple_of(1_000_000));
    suspicion.max(least) + transmission.times(FLOORS_PER_RETRY)
}

impl Deployment {
    /// Every member, replicas first.
    pub fn members(&self) -> Vec<MemberName> {
        let replicas = self.links.replicas().map(MemberName::Replica);
        let clients = (0u32..)
            .zip(&self.links.client_regions)
            .map(|(index, _)| MemberName::Client(ClientId(index)));
        replicas.chain(clients).collect()
    }

    /// The region of a member.
    pub fn region(&self, member: MemberName) -> &str {
        match member {
            MemberName::Replica(NodeId(id)) => &self.links.replica_regions[usize::from(id)],
            MemberName::Client(ClientId(id)) => &self.links.client_regions[id as usize],
        }
    }

    /// The members that `member` has a stream with.
    pub fn peers(&self, member: MemberName) -> Vec<MemberName> {
        let is_peer = |other: &MemberName| match (member, other) {
            (MemberName::Client(_), MemberName::Client(_)) => false,
            _ => *other != member,
        };
        self.members().into_iter().filter(is_peer).collect()
    }

    /// Whether `member` is the one of the two that dials.
    pub fn dials(member: MemberName, peer: MemberName) -> bool {
        match (member, peer) {
            (MemberName::Replica(own), MemberName::Replica(other)) => own < other,
            (MemberName::Client(_), _) => true,
            (MemberName::Replica(_), MemberName::Client(_)) => false,
        }
    }

    /// The configuration of one replica's protocol.
    pub fn config(&self, id: NodeId) -> Config {
        let timing = Timing::for_round_trip(self.longest_round_trip());
        let timing = timing.on(self.network.capacity(), self.transmission());
        Config {
            id,
            quorums: self.quorums.clone(),
            election: self.election,
            send: self.send,
            nearest_first: topology::nearest_first(&self.links, id),
            timing,
            retention: self.retention.on(&timing),
            bounds: Bounds::USUAL,
        }
    }

    /// What the clock of a replica shows: an error that stays, one that grows, and one that comes at a moment, which
    /// together stay below the bound.
    pub fn clock(&self, id: NodeId) -> Clock {
        let most = i64::try_from(self.clock_error.0).unwrap_or(i64::MAX);
        if most == 0 {
            return Clock::default();
        }
        let mut stream = streams::of_member(self.seed, Purpose::Clock, Site::Replica(id));
        let mut draw = |most: i64| stream.random_range(-most..=most);
        let (offset_ns, drift_ns_per_s, by) = (draw(most), draw((most / 10).max(1)), draw(most));
        let length = self.warmup + self.duration;
        let at = Time(stream.random_range(0..=length.0));
        Clock { offset_ns, drift_ns_per_s, jump: Some((at, by)), error_max: self.clock_error }
    }

    /// The replicas in the order in which a client asks them; neither witnesses nor observers are among them.
    pub fn targets(&self, client: ClientId) -> Vec<NodeId> {
        let site = Site::Client(client.0 as usize);
        let distance = |id: &NodeId| self.links.round_trip(site, Site::Replica(*id));
        let mut targets: Vec<NodeId> = self.quorums.candidates().iter().collect();
        let first = self.mode.asked();
        targets.sort_by_key(|id| match first {
            Some(first) if first == *id => (false, Span::ZERO, *id),
            _ => (true, distance(id), *id),
        });
        targets
    }

    /// The replicas in the order in which a client asks them for its reads of the keys from each of these on, where reads
    /// take another way than its writes: those with a state machine, responders of the key before others, the nearest
    /// first; else none.
    pub fn read_targets(&self, client: ClientId) -> BTreeMap<u64, Vec<NodeId>> {
        if !self.mode.reads_nearby() {
            return BTreeMap::new();
        }
        let site = Site::Client(client.0 as usize);
        let order = |from: u64| {
            let mut targets: Vec<NodeId> = self.quorums.learners().iter().collect();
            let readers = self.mode.at_key(from).readers(&self.quorums);
            targets.sort_by_key(|id| {
                (!readers.contains(*id), self.links.round_trip(site, Site::Replica(*id)), *id)
            });
            (from, targets)
        };
        self.mode.sections().into_iter().map(order).collect()
    }

    /// As [`Self::floor`], of a read.
    pub fn read_floor(&self, client: ClientId) -> Span {
        let client = client.0 as usize;
        let nearest = |among| topology::nearest_among(&self.links, among, client);
        let floor = |mode: Mode| {
            let phases = mode.read_phases(&self.quorums);
            let asked = if mode.reads_nearby() {
                nearest(mode.readers(&self.quorums))
            } else {
                mode.asked().unwrap_or_else(|| nearest(self.quorums.candidates()))
            };
            topology::median_floor(&self.links, Some(asked), &phases, client)
                + topology::safe_time_rest(&self.links, mode, &self.quorums, asked)
        };
        self.least_over_keys(client, floor)
    }

    /// The least of what the keys that a client touches have each.
    fn least_over_keys(&self, client: usize, floor: impl Fn(Mode) -> Span) -> Span {
        self.modes(client).into_iter().map(|(mode, _)| floor(mode)).min().unwrap_or_default()
    }

    /// What the commands of a client meet, and the share of them that meets it.
    fn modes(&self, client: usize) -> Vec<(Mode, f64)> {
        let keys = self.workload.key_space(client, self.links.client_regions.len());
        by_key(self.mode, &keys)
    }

    /// The least commit latency that the links allow a client, with every delay at its median; where keys have responders
    /// of their own, the least over the keys.
    ///
    /// It shifts what a session counts as achieved; what latencies are compared with is
    /// [`topology::floors`].
    pub fn floor(&self, client: ClientId) -> Span {
        let client = client.0 as usize;
        let nearest = || topology::nearest_among(&self.links, self.quorums.candidates(), client);
        self.least_over_keys(client, |mode| {
            let asked = mode.asked().unwrap_or_else(nearest);
            let phases = mode.phases(&self.quorums);
            topology::median_floor(&self.links, Some(asked), &phases, client)
                + topology::commit_wait_rest(&self.links, mode, &self.quorums)
        })
    }

    /// A request without an answer for so long is sent again: as the experiment says, or [`patience`].
    pub fn retry_after(&self) -> Span {
        self.retry_after
            .unwrap_or_else(|| patience(self.election, &self.floors_met(), self.transmission()))
    }

    /// The floors of all that the commands of any client meet.
    fn floors_met(&self) -> Vec<Floor> {
        let clients = 0..self.links.client_regions.len();
        let by_client: Vec<Vec<(Mode, f64)>> = clients.map(|client| self.modes(client)).collect();
        let mut modes: Vec<Mode> = Vec::new();
        for (mode, _) in by_client.iter().flatten() {
            if !modes.contains(mode) {
                modes.push(*mode);
            }
        }
        let kinds: [Floors; 2] = [topology::floors, topology::read_floors];
        let mut met = Vec::new();
        for mode in modes {
            let meets = |own: &[(Mode, f64)]| own.iter().any(|(other, _)| *other == mode);
            for floors in kinds {
                let memory = self.network.correlation;
                let floors = floors(&self.links, mode, &self.quorums, self.send, memory);
                let of_clients = floors.into_iter().zip(&by_client);
                met.extend(of_clients.filter(|(_, own)| meets(own)).map(|(floor, _)| floor));
            }
        }
        met
    }

    /// How long a value is on the wire to all other replicas.
    pub fn transmission(&self) -> Span {
        let others = self.links.replica_regions.len() - 1;
        self.network.capacity().takes(self.workload.value_bytes, others)
    }

    /// Who the targets of faults are.
    pub fn aim(&self) -> Aim {
        Aim::new(&self.quorums, &self.links)
    }

    /// How long a member may be silent on purpose: its longest pause, which may last to the end.
    pub fn longest_pause(&self) -> Span {
        let pauses =
            self.faults.iter().filter(|fault| matches!(fault.kind, FaultKind::Pause { .. }));
        let lasts = pauses.map(|fault| fault.heals_after.unwrap_or(self.duration + self.drain));
        lasts.max().unwrap_or(Span::ZERO)
    }

    /// Whether a fault depends on what members say of themselves: how much they wrote, and who leads.
    pub fn asks_members(&self) -> bool {
        let has_role = |target: &&Target| !target.roles.is_empty();
        self.faults.iter().any(|fault| {
            matches!(fault.trigger, Trigger::AfterWrites(_))
                || fault.kind.concerned().iter().any(has_role)
        })
    }

    /// A number that tells this deployment from another: equal ones, as those of one trial, have the
    /// same, in every process.
    pub fn fingerprint(&self) -> u64 {
        let bytes =
            postcard::to_stdvec(self).expect("a deployment has nothing that does not encode");
        let digest = Sha256::digest(bytes);
        u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
    }

    /// Whether any link has a delay that is injected, or does anything else, now or when a fault begins: if none does,
    /// nothing is emulated.
    pub fn is_emulated(&self) -> bool {
        if !self.network.is_plain() || self.faults.iter().any(|fault| fault.kind.is_of_links()) {
            return true;
        }
        if self.links.is_native() {
            return false;
        }
        let members = self.members();
        members.iter().any(|from| {
            self.peers(*from).iter().any(|to| !self.links.between(site(*from), site(*to)).is_zero())
        })
    }

    fn longest_round_trip(&self) -> Span {
        longest_round_trip(&self.links)
    }
}

/// What the commands of a client region with these keys meet, and the share of them that meets it: where replicas answer
/// for ranges of keys, each range that is touched has its own.
pub fn by_key(mode: Mode, keys: &KeySpace<'_>) -> Vec<(Mode, f64)> {
    let sections = mode.sections();
    let [_] = &sections[..] else {
        let ends = sections.iter().skip(1).map(|next| next - 1).chain([u64::MAX]);
        let parts = sections.iter().zip(ends);
        let parts = parts.map(|(first, last)| (mode.at_key(*first), keys.share(*first..=last)));
        return parts.filter(|(_, share)| *share > 0.0).collect();
    };
    vec![(mode.at_key(0), 1.0)]
}

/// The longest round trip between two replicas.
pub fn longest_round_trip(links: &Links) -> Span {
    let replicas: Vec<Site> = links.replicas().map(Site::Replica).collect();
    let pairs = replicas.iter().flat_map(|a| replicas.iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| links.round_trip(a, b)).max().unwrap_or(Span::ZERO)
}

/// Where a member is.
pub fn site(member: MemberName) -> Site {
    match member {
        MemberName::Replica(id) => Site::Replica(id),
        MemberName::Client(ClientId(id)) => Site::Client(id as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Conditions;
    use crate::protocol::Detector;
    use crate::quorum::NodeSet;
    use crate::topology::{Jitter, Profile};
    use crate::workload::{Arrival, Keys};

    /// Two clients, each at its own replica; c is far from both.
    const PROFILE: &str = "from,to,rtt_ms\n\
        a,a,0\na,b,10\na,c,40\nb,a,10\nb,b,0\nb,c,50\nc,a,40\nc,b,50\nc,c,0\n";

    fn deployment(profile: &Profile, mode: Mode) -> Deployment {
        let regions = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (replicas, clients) = (regions(&["a", "b", "c"]), regions(&["a", "b"]));
        Deployment {
            mode,
            quorums: QuorumSystem::majority(3),
            election: Election::Fixed,
            send: SendPolicy::All,
            links: Links::new(profile, &replicas, &clients, Jitter::None).unwrap(),
            network: Network::default(),
            workload: Workload {
                arrival: Arrival::Fixed { rate_per_s: 10.0 },
                keys: Keys::Uniform { count: 10 },
                value_bytes: 8,
                reads: 0.0,
                weights: Vec::new(),
                conflicts: None,
            },
            control: None,
            clock_error: Span::ZERO,
            durability: Durability::Memory,
            retention: Retention::ALL,
            seed: 1,
            warmup: Span::ZERO,
            duration: Span::from_millis(100),
            drain: Span::ZERO,
            interval: Span::from_millis(1_000),
            retry_after: None,
            faults: Vec::new(),
        }
    }

    fn apart(mode: Mode) -> Deployment {
        deployment(&Profile::from_csv("apart", PROFILE).unwrap(), mode)
    }

    const LEADER_C: Mode = Mode::multi(NodeId(2));

    fn names(members: &[MemberName]) -> Vec<String> {
        members.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_client_asks_the_leader_first_and_without_one_the_nearest() {
        let targets =
            |mode, client| apart(mode).targets(ClientId(client)).into_iter().map(|id| id.0);
        assert!(targets(Mode::CLASSIC, 0).eq([0, 1, 2]));
        assert!(targets(Mode::CLASSIC, 1).eq([1, 0, 2]));
        assert!(targets(LEADER_C, 0).eq([2, 0, 1]));
        assert!(targets(LEADER_C, 1).eq([2, 1, 0]));
    }

    #[test]
    fn clients_talk_with_replicas_only() {
        let deployment = apart(Mode::CLASSIC);
        let peers = |member| names(&deployment.peers(member));
        assert_eq!(names(&deployment.members()), ["r0", "r1", "r2", "c0", "c1"]);
        assert_eq!(peers(MemberName::Replica(NodeId(1))), ["r0", "r2", "c0", "c1"]);
        assert_eq!(peers(MemberName::Client(ClientId(1))), ["r0", "r1", "r2"]);
        assert_eq!(deployment.region(MemberName::Client(ClientId(1))), "b");
    }

    #[test]
    fn of_two_members_with_a_link_exactly_one_dials() {
        let deployment = apart(Mode::CLASSIC);
        for member in deployment.members() {
            for peer in deployment.peers(member) {
                let dials = [Deployment::dials(member, peer), Deployment::dials(peer, member)];
                assert!(dials[0] != dials[1], "{member} and {peer}: {dials:?}");
            }
        }
    }

    #[test]
    fn the_floor_is_that_of_the_mode() {
        let ms = |mode, client| apart(mode).floor(ClientId(client)).as_millis_f64();
        // Both phases with b, from a: twice ten. To c and back, and c's second vote is a's.
        assert!((ms(Mode::CLASSIC, 0) - 20.0).abs() < 1e-6);
        assert!((ms(LEADER_C, 0) - 80.0).abs() < 1e-6);
        assert!((ms(LEADER_C, 1) - 90.0).abs() < 1e-6);
    }

    #[test]
    fn without_delay_nothing_is_emulated_and_patience_is_a_second() {
        let near = deployment(&Profile::load("loopback").unwrap(), Mode::CLASSIC);
        assert!(!near.is_emulated() && apart(Mode::CLASSIC).is_emulated());
        let conditions = Conditions { loss: 0.1, ..Conditions::default() };
        let network = Network { conditions, ..Network::default() };
        assert!(Deployment { network, ..near.clone() }.is_emulated());
        let at = |kind: FaultKind| Fault { at: Span::ZERO, kind, heals_after: None }.into();
        let with = |kind| Deployment { faults: vec![at(kind)], ..near.clone() };
        let partition = with(FaultKind::Partition { side: NodeSet::only(NodeId(0)) });
        assert!(
            partition.is_emulated() && !with(FaultKind::Pause { replica: NodeId(0) }).is_emulated()
        );
        assert_eq!(near.retry_after(), Span::from_millis(1000));
        let asked = Some(Span::from_millis(300));
        let asked = Deployment { retry_after: asked, ..near.clone() };
        assert_eq!(asked.retry_after(), Span::from_millis(300));
        assert_eq!(near.floor(ClientId(0)), Span::ZERO);
    }

    #[test]
    fn patience_is_that_of_replicas_and_no_less_than_four_floors() {
        let ms = Span::from_millis;
        let detector = |misses| Detector { heartbeat: ms(100), misses, spread: ms(500) };
        let floors = [20, 90].map(|floor| Floor { p50: ms(floor), p99: ms(floor + 10) });
        let of = |election, floors: &[Floor]| patience(election, floors, Span::ZERO);
        assert_eq!(of(Election::Fixed, &floors), ms(1_000));
        assert_eq!(of(Election::Timeout(detector(20)), &floors), ms(2_000));
        assert_eq!(of(Election::Timeout(detector(5)), &floors), ms(500));
        assert_eq!(of(Election::Timeout(detector(3)), &floors), ms(400), "4 x 100 ms");
        assert_eq!(of(Election::Fixed, &[Floor::constant(ms(300))]), ms(1_200));
        assert_eq!(patience(Election::Fixed, &floors, ms(500)), ms(3_000));
    }
}

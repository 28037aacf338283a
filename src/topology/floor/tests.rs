//! Floors against an independent way: drawing what happens to many commands, one leg after the other.

use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use super::super::delay::Delay;
use super::super::{Jitter, Profile};
use super::medians::{median_floor, multi_floor, nearest_first, nearest_replica, quorum_span};
use super::*;
use crate::protocol::SnapshotTerms;
use crate::quorum::{Family, Gate, NodeId, NodeSet, QuorumSystem, Share};

const FIVE: [&str; 5] = ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];
const CLIENTS: [&str; 2] = ["us-east-1", "ca-central-1"];

fn links(jitter: Jitter, replicas: &[&str]) -> Links {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let profile = Profile::load("aws-2025-07").unwrap();
    let mut links = Links::new(&profile, &names(replicas), &names(&CLIENTS), Jitter::None).unwrap();
    if matches!(jitter, Jitter::Profile) {
        // A spread of every link that is wide against what tells the replicas apart.
        links.map(|delay| {
            let median = delay.median();
            if median == Span::ZERO {
                return delay.clone();
            }
            Delay::weibull(Span(median.0 / 10 * 7), median.0 as f64 * 0.4, 1.3)
        });
    }
    links
}

fn sets(masks: &[u64]) -> Family {
    Family::of_sets(masks.iter().copied().map(NodeSet::from_mask).collect())
}

fn systems() -> Vec<QuorumSystem> {
    vec![
        QuorumSystem::majority(5),
        QuorumSystem::counts(5, 4, 2).unwrap(),
        QuorumSystem::counts(5, 1, 5).unwrap(),
        QuorumSystem::counts(5, 5, 1).unwrap(),
        QuorumSystem::new(
            5,
            sets(&[0b00111, 0b11100, 0b01011]),
            sets(&[0b00011, 0b10100, 0b01100]),
        )
        .unwrap(),
    ]
}

const MULTI: Mode = Mode::multi(NodeId(0));

/// As long as a link remembers its delay unless it is told otherwise.
const MEMORY: Span = Span::from_millis(1_000);

/// The latency of one command, by following its messages.
struct Draw<'a> {
    links: &'a Links,
    memory: Span,
    random: Pcg64,
    /// When a link was last used, and the normal score of its delay then.
    last: BTreeMap<(Site, Site), (Span, f64)>,
}

impl Draw<'_> {
    /// The delay of what is sent `at`, so long after the command began.
    fn leg(&mut self, from: Site, to: Site, at: Span) -> Span {
        if from == to {
            return Span::ZERO;
        }
        let fresh: f64 = self.random.sample(StandardNormal);
        let score = match self.last.get(&(from, to)) {
            Some((before, score)) if self.memory > Span::ZERO => {
                let kept = (-((at - *before).0 as f64) / self.memory.0 as f64).exp();
                kept * score + (1.0 - kept * kept).sqrt() * fresh
            }
            _ => fresh,
        };
        self.last.insert((from, to), (at, score));
        let probability = libm::erfc(-score * std::f64::consts::FRAC_1_SQRT_2) / 2.0;
        self.links.between(from, to).quantile(probability)
    }

    /// How long a phase takes that begins `at`.
    fn phase(&mut self, from: NodeId, family: &Family, send: SendPolicy, at: Span) -> Span {
        let order = nearest_first(self.links, from);
        let asked = match send {
            SendPolicy::All => self.links.replicas().collect(),
            SendPolicy::Quorum => family.first_in(&order).unwrap(),
        };
        let mut answers: Vec<(Span, NodeId)> = Vec::new();
        for node in asked.iter() {
            let (here, there) = (Site::Replica(from), Site::Replica(node));
            let out = self.leg(here, there, at);
            answers.push((out + self.leg(there, here, at + out), node));
        }
        answers.sort_unstable();
        let mut met = NodeSet::EMPTY;
        for (at, node) in answers {
            met.insert(node);
            if family.contains(met) {
                return at;
            }
        }
        panic!("no quorum answered")
    }

    fn commit(
        &mut self,
        mode: Mode,
        system: &QuorumSystem,
        send: SendPolicy,
        client: usize,
    ) -> Span {
        let proposer = mode.asked().unwrap_or_else(|| nearest_replica(self.links, client));
        let (site, client) = (Site::Replica(proposer), Site::Client(client));
        self.last.clear();
        let mut at = self.leg(client, site, Span::ZERO);
        for family in mode.phases(system) {
            let wait = mode.commit_wait().map_or(Span::ZERO, |bound| bound.times(2));
            at = at + self.phase(proposer, &family, send, at).max(wait);
        }
        at + self.leg(site, client, at)
    }

    /// A read of the nearest replica, of what a leader elsewhere proposed so long before it arrives.
    fn snapshot_read(&mut self, mode: Mode, system: &QuorumSystem, client: usize) -> Span {
        let (leader, terms) = (mode.leader().unwrap(), mode.snapshot().unwrap());
        let asked = nearest_replica(self.links, client);
        assert_ne!(asked, leader);
        let (site, client) = (Site::Replica(asked), Site::Client(client));
        self.last.clear();
        let chosen = self.phase(leader, system.phase2(), SendPolicy::All, Span::ZERO);
        let known = chosen + self.leg(Site::Replica(leader), site, chosen);
        let wait = known - (terms.staleness + terms.bound.times(2));
        self.leg(client, site, Span::ZERO) + wait + self.leg(site, client, Span::ZERO)
    }
}

/// The shares of many drawn commands that are not longer than each of these.
fn shares<const N: usize>(
    links: &Links,
    (mode, system, send, client): (Mode, &QuorumSystem, SendPolicy, usize),
    memory: Span,
    limits: [Span; N],
) -> [f64; N] {
    let (random, last) = (Pcg64::seed_from_u64(7), BTreeMap::new());
    let mut draw = Draw { links, memory, random, last };
    let mut within = [0_u32; N];
    for _ in 0..DRAWS {
        let latency = draw.commit(mode, system, send, client);
        for (count, limit) in within.iter_mut().zip(limits) {
            *count += u32::from(latency <= limit);
        }
    }
    within.map(|count| f64::from(count) / f64::from(DRAWS))
}

const DRAWS: u32 = 5_000;

/// Four standard errors of a share of all draws.
fn reach(share: f64) -> f64 {
    4.0 * (share * (1.0 - share) / f64::from(DRAWS)).sqrt()
}

#[test]
fn floors_are_the_percentiles_of_drawn_commands() {
    let links = links(Jitter::Profile, &FIVE);
    for system in [0, 1, 4].map(|which| systems().swap_remove(which)) {
        for mode in [MULTI, Mode::CLASSIC] {
            for send in [SendPolicy::All, SendPolicy::Quorum] {
                for memory in [Span::ZERO, MEMORY, Span::from_millis(100_000)] {
                    let Floor { p50, p99 } = floors(&links, mode, &system, send, memory)[1];
                    assert!(p50 < p99, "{p50} {p99}");
                    let found = shares(&links, (mode, &system, send, 1), memory, [p50, p99]);
                    for (share, found) in [0.5, 0.99].into_iter().zip(found) {
                        let is_near = (found - share).abs() <= reach(share);
                        assert!(
                            is_near,
                            "{mode:?} {send:?} {system:?} {memory}: {found} for {share}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn floors_of_every_family_are_the_percentiles_of_drawn_commands() {
    let links = links(Jitter::Profile, &FIVE);
    let groups = [0b00011, 0b11100].map(NodeSet::from_mask);
    let of = |groups| Share { groups: Some(groups), members: None };
    let pairs = [0b00011, 0b01100].map(|mask| Gate::choose(2, NodeSet::from_mask(mask)));
    let systems = [
        QuorumSystem::groups(5, &groups, [of(2), of(1)]),
        QuorumSystem::weighted(&[1, 2, 1, 1, 0], [4, 2]),
        QuorumSystem::wall(5, &[2, 3]),
        QuorumSystem::tree(5, 2),
        QuorumSystem::dual(5, Family::of_gate(Gate::any(pairs.to_vec()), 5)),
    ];
    for system in systems.map(Result::unwrap) {
        for mode in [MULTI, Mode::CLASSIC] {
            let Floor { p50, p99 } = floors(&links, mode, &system, SendPolicy::All, MEMORY)[1];
            let case = (mode, &system, SendPolicy::All, 1);
            let found = shares(&links, case, MEMORY, [p50, p99]);
            for (share, found) in [0.5, 0.99].into_iter().zip(found) {
                let is_near = (found - share).abs() <= reach(share);
                assert!(is_near, "{mode:?} {system:?}: {found} for {share}");
            }
        }
    }
}

/// A wait that hides a part of the phase 2, and a staleness that hides a part of the lag.
#[test]
fn floors_with_clocks_are_the_percentiles_of_drawn_commands() {
    let links = links(Jitter::Profile, &FIVE);
    let system = QuorumSystem::majority(5);
    let leader = NodeId(2);
    let median = quorum_span(&links, leader, system.phase2());
    for hidden in [Span(median.0 / 2), Span(median.0 / 4)] {
        let (advance, has_sessions) = (None, false);
        let terms =
            SnapshotTerms { staleness: Span(median.0 / 4), advance, bound: hidden, has_sessions };
        let mode = Mode::multi(leader).with_snapshots(terms, true).unwrap();
        let of = [(false, 1), (true, 1)].map(|(is_read, client)| {
            let of = if is_read { read_floors } else { floors };
            let Floor { p50, p99 } = of(&links, mode, &system, SendPolicy::All, Span::ZERO)[client];
            let (random, last) = (Pcg64::seed_from_u64(7), BTreeMap::new());
            let mut draw = Draw { links: &links, memory: Span::ZERO, random, last };
            let mut within = [0_u32; 2];
            for _ in 0..DRAWS {
                let took = if is_read {
                    draw.snapshot_read(mode, &system, client)
                } else {
                    draw.commit(mode, &system, SendPolicy::All, client)
                };
                within[0] += u32::from(took <= p50);
                within[1] += u32::from(took <= p99);
            }
            for (share, found) in [0.5, 0.99].into_iter().zip(within) {
                let found = f64::from(found) / f64::from(DRAWS);
                let is_near = (found - share).abs() <= reach(share);
                assert!(is_near, "{hidden} {is_read}: {found} for {share}");
            }
            p50
        });
        assert!(of.into_iter().all(|floor| floor > Span::ZERO));
    }
}

/// Phase 2 of classic Paxos meets the links as its phase 1 found them: the floor of independent phases is
/// exceeded too often. One phase is the same whatever links remember.
#[test]
fn two_phases_over_links_that_remember_have_a_longer_tail() {
    let links = links(Jitter::Profile, &FIVE);
    let system = QuorumSystem::majority(5);
    let floor = |mode, memory| floors(&links, mode, &system, SendPolicy::All, memory)[0];
    let (independent, together) = (floor(Mode::CLASSIC, Span::ZERO), floor(Mode::CLASSIC, MEMORY));
    assert!(together.p99.0 > independent.p99.0 / 100 * 103, "{independent:?} {together:?}");
    let of = (Mode::CLASSIC, &system, SendPolicy::All, 0);
    let [found] = shares(&links, of, MEMORY, [independent.p99]);
    assert!(0.99 - found > 2.0 * reach(0.99), "{found}");
    assert_eq!(floor(MULTI, Span::ZERO), floor(MULTI, MEMORY));
}

/// The wrong formula must show: the k-th smallest of the medians is no median.
#[test]
fn floors_from_medians_are_not_the_percentiles_of_drawn_commands() {
    let links = links(Jitter::Profile, &FIVE);
    let system = QuorumSystem::majority(5);
    let of_medians = [
        (MULTI, multi_floor(&links, &system, NodeId(0), 0)),
        (Mode::CLASSIC, median_floor(&links, None, &[system.phase1(), system.phase2()], 0)),
    ];
    for (mode, wrong) in of_medians {
        let [found] = shares(&links, (mode, &system, SendPolicy::All, 0), MEMORY, [wrong]);
        assert!((found - 0.5).abs() > 2.0 * reach(0.5), "{mode:?}: {found}");
    }
}

#[test]
fn without_jitter_floors_are_the_closed_form_to_the_nanosecond() {
    let links = links(Jitter::None, &FIVE);
    for system in systems() {
        for send in [SendPolicy::All, SendPolicy::Quorum] {
            for leader in links.replicas() {
                let of = |client| multi_floor(&links, &system, leader, client);
                let expected = [0, 1].map(|client| Floor::constant(of(client)));
                assert_eq!(floors(&links, Mode::multi(leader), &system, send, MEMORY), expected);
            }
            let phases = [system.phase1(), system.phase2()];
            let expected =
                [0, 1].map(|client| Floor::constant(median_floor(&links, None, &phases, client)));
            assert_eq!(floors(&links, Mode::CLASSIC, &system, send, MEMORY), expected);
        }
    }
}

#[test]
fn the_floor_of_a_control_is_the_way_to_whom_a_client_asks() {
    let links = links(Jitter::None, &FIVE);
    let round_trip = |client, asked| links.round_trip(Site::Client(client), Site::Replica(asked));
    let majority = QuorumSystem::majority(5);
    for leader in links.replicas() {
        let expected = [0, 1].map(|client| Floor::constant(round_trip(client, leader)));
        assert_eq!(control_floors(&links, Mode::multi(leader), &majority), expected);
    }
    let nearest =
        [0, 1].map(|client| Floor::constant(round_trip(client, nearest_replica(&links, client))));
    assert_eq!(control_floors(&links, Mode::CLASSIC, &majority), nearest);
}

/// A leader whose own vote is a quorum answers a command when it gets it.
#[test]
fn floors_of_controls_are_the_percentiles_of_drawn_round_trips() {
    let links = links(Jitter::Profile, &FIVE);
    let alone = QuorumSystem::counts(5, 5, 1).unwrap();
    let floors = control_floors(&links, MULTI, &alone);
    for (client, Floor { p50, p99 }) in floors.into_iter().enumerate() {
        assert!(client == 0 || p50 < p99, "{p50} {p99}");
        let found = shares(&links, (MULTI, &alone, SendPolicy::All, client), MEMORY, [p50, p99]);
        for (share, found) in [0.5, 0.99].into_iter().zip(found) {
            // Beside the leader there is no delay to vary.
            let is_near = (found - share).abs() <= reach(share) || p99 == Span::ZERO;
            assert!(is_near, "client {client}: {found} for {share}");
        }
    }
}

/// A ballot announces one set, and waits for all of it whatever the others answer.
#[test]
fn a_quorum_per_ballot_has_the_floor_of_the_announced_set() {
    let links = links(Jitter::Profile, &FIVE);
    let per_ballot = QuorumSystem::per_ballot(5, 3).unwrap();
    let fixed = QuorumSystem::new(5, Family::of_size(3), sets(&[0b00111])).unwrap();
    let expected = floors(&links, MULTI, &fixed, SendPolicy::All, MEMORY);
    for send in [SendPolicy::All, SendPolicy::Quorum] {
        assert_eq!(floors(&links, MULTI, &per_ballot, send, MEMORY), expected);
    }
    let Floor { p50, p99 } = expected[1];
    let found = shares(&links, (MULTI, &fixed, SendPolicy::All, 1), MEMORY, [p50, p99]);
    for (share, found) in [0.5, 0.99].into_iter().zip(found) {
        assert!((found - share).abs() <= reach(share), "{found} for {share}");
    }
    // Any three of five answer sooner.
    let of_any = floors(&links, MULTI, &QuorumSystem::majority(5), SendPolicy::All, MEMORY);
    assert!(p99 > of_any[1].p99, "{p99} {}", of_any[1].p99);
}

/// With delays that vary, whom one waits for matters: the slowest of two chosen before is not the second
/// of five.
#[test]
fn a_thrifty_proposer_waits_longer_than_one_that_asks_all() {
    let links = links(Jitter::Profile, &FIVE);
    let system = QuorumSystem::counts(5, 3, 3).unwrap();
    let floor = |send| floors(&links, MULTI, &system, send, MEMORY)[0];
    let (all, thrifty) = (floor(SendPolicy::All), floor(SendPolicy::Quorum));
    assert!(thrifty.p50 >= all.p50 && thrifty.p99 > all.p99, "{all:?} {thrifty:?}");
}

#[test]
fn a_link_that_cannot_matter_does_not_coarsen_the_others() {
    let mut links = links(Jitter::None, &FIVE);
    let system = QuorumSystem::counts(5, 4, 2).unwrap();
    let before = floors(&links, MULTI, &system, SendPolicy::All, MEMORY);
    links.map(|delay| {
        let far = delay.median() > Span::from_millis(60);
        if far { Delay::weibull(delay.median(), 5e8, 1.0) } else { delay.clone() }
    });
    assert_eq!(floors(&links, MULTI, &system, SendPolicy::All, MEMORY), before);
}

/// With a tail of a second on every link, p50 and p99 are those of drawn commands, and as near.
#[test]
fn floors_with_heavy_tails_are_the_percentiles_of_drawn_commands() {
    let table = "from,to,rtt_ms,p90_ms,p99_ms\n";
    let pairs = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")];
    let rows = pairs.map(|(from, to)| format!("{from},{to},50,60,1000\n")).concat();
    let profile = Profile::from_csv("t.csv", &format!("{table}{rows}")).unwrap();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let [two, three] = [&["a", "b"][..], &["a", "b", "c"]]
        .map(|replicas| Links::new(&profile, &names(replicas), &names(&["a"]), Jitter::Profile));
    // Of two replicas both must answer: a commit is one round trip.
    let (two, three) = (two.unwrap(), three.unwrap());
    let [Floor { p50, p99 }] =
        floors(&two, MULTI, &QuorumSystem::majority(2), SendPolicy::All, MEMORY)[..]
    else {
        panic!("there is one client")
    };
    assert!((p50.as_millis_f64() / 50.0 - 1.0).abs() < 0.005, "{p50}");
    assert!((p99.as_millis_f64() / 1000.0 - 1.0).abs() < 0.01, "{p99}");
    for send in [SendPolicy::All, SendPolicy::Quorum] {
        let system = QuorumSystem::majority(3);
        let Floor { p50, p99 } = floors(&three, MULTI, &system, send, MEMORY)[0];
        let found = shares(&three, (MULTI, &system, send, 0), MEMORY, [p50, p99]);
        for (share, found) in [0.5, 0.99].into_iter().zip(found) {
            assert!((found - share).abs() <= reach(share), "{send:?}: {found} for {share}");
        }
    }
}

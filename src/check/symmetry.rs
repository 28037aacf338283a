//! Replicas that play the same part: of states that differ only in which of them did what, one is looked at.
//!
//! A renumbering of the replicas turns runs into runs if it leaves alone the quorums, who may crash, and every replica
//! with a part of its own: whoever clients ask, and whoever leads or may be told to.
//! Their numbers stand in ballots, and of two ballots with one round the number says which is higher; so proposers are
//! never interchangeable. The number of one that only votes is compared with nothing.
//! Where the nearest are preferred, or one is asked after the other, the order of all numbers matters, and no renumbering
//! is allowed.
//!
//! No state is renumbered, only its hash is: [`Renumbering`] hashes a state as if it were.
//! The least of these hashes stands for the state and for all that it is renumbered to, which is its orbit
//! (Ip and Dill, *Better verification through symmetry*, 1996, section 4).
//! Whatever is hashed in an order of its own numbers may only make one orbit two: equal hashes are of equal states.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::quality;

use super::digest::{Memo, digest};
use super::model::World;
use super::state::{Node, Shared, State};
use crate::protocol::{Election, Retention, SendPolicy};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::registry::{Registration, Setup};
use crate::sabotage::Rule;

/// A replica by its number, and the number that it has instead.
type Numbers = Box<[u8]>;

/// With more replicas that may change places there are more renumberings than it would pay to try.
const MOVABLE_MAX: usize = 5;

/// A thread keeps about so many digests of parts of states.
const KEPT: usize = 1 << 16;

/// The renumberings that lead from runs to runs; the first changes nothing.
#[derive(Debug)]
pub(super) struct Symmetry {
    all: Arc<[Numbers]>,
    /// The digests of parts of states, one for each renumbering.
    parts: Memo<Arc<[u64]>>,
}

/// The states that one stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orbit {
    /// The same for all of them.
    pub(super) digest: u64,
    /// How many they are.
    pub(super) size: usize,
}

impl Symmetry {
    /// The renumberings of a deployment, or why there is none.
    pub(super) fn of<P: Registration>(world: &World<P>) -> Result<Self, String> {
        let setup = &world.setup;
        if let Some(why) = ordered(setup, world.rule()) {
            return Err(format!("{why}, so it matters which replica has which number"));
        }
        let movable = movable(setup);
        if movable.len() > MOVABLE_MAX {
            return Err(format!("more than {MOVABLE_MAX} of its replicas may change places"));
        }
        let mut all = renumberings(setup.quorums.n(), movable);
        all.retain(|numbers| is_kept(numbers, setup));
        let candidates = Self::with(all.into());
        // What has happened already must be the same, too.
        let digests = candidates.digests(&world.first_state());
        let kept = candidates.all.iter().zip(&digests).filter(|(_, it)| **it == digests[0]);
        let kept: Arc<[Numbers]> = kept.map(|(numbers, _)| numbers.clone()).collect();
        if kept.len() < 2 {
            return Err("each of its replicas plays a part of its own".to_owned());
        }
        Ok(Self::with(kept))
    }

    fn with(all: Arc<[Numbers]>) -> Self {
        Self { all, parts: Memo::new(KEPT) }
    }

    /// The same for another thread.
    pub(super) fn beside(&self) -> Self {
        Self::with(Arc::clone(&self.all))
    }

    /// How many renumberings there are.
    pub(super) fn order(&self) -> usize {
        self.all.len()
    }

    /// What a state stands for.
    pub(super) fn orbit<P: Registration>(&self, state: &State<P>) -> Orbit {
        let mut digests = self.digests(state);
        digests.sort_unstable();
        digests.dedup();
        Orbit { digest: digests[0], size: digests.len() }
    }

    /// The digest of a state under each renumbering.
    fn digests<P: Registration>(&self, state: &State<P>) -> Vec<u64> {
        let parts = |part: u64, kind, of: &dyn Fn(&Numbers) -> u64| {
            self.parts.get((part, kind, 0), || self.all.iter().map(of).collect())
        };
        let node = |node: &Shared<Node<P>>| {
            parts(node.digest(), 0, &|numbers| {
                let Node { driver, disk, told, now, hears } = &**node;
                renumbered(numbers, &(driver.as_deref(), disk, told, now, hears))
            })
        };
        let nodes: Vec<_> = state.nodes.iter().map(node).collect();
        let packets = state
            .network
            .iter()
            .map(|packet| parts(packet.digest(), 1, &|numbers| renumbered(numbers, &**packet)));
        let packets: Vec<_> = packets.collect();
        let ledger = &state.ledger;
        let ledger = parts(ledger.digest(), 2, &|numbers| renumbered(numbers, &**ledger));
        let rest = digest(&(&state.clients, state.left, &state.broken));
        let mut placed = vec![0; nodes.len()];
        let digests = self.all.iter().enumerate().map(|(place, numbers)| {
            for (number, node) in numbers.iter().zip(&nodes) {
                placed[usize::from(*number)] = node[place];
            }
            // They are a set: their order is that of the numbers before.
            let in_flight = packets.iter().fold(0_u64, |sum, it| sum.wrapping_add(it[place]));
            digest(&(&placed, in_flight, ledger[place], rest))
        });
        digests.collect()
    }
}

/// Why the order of the numbers matters, if it does.
fn ordered(setup: &Setup, rule: Option<Rule>) -> Option<&'static str> {
    let Setup { quorums, election, send, budgets, retention, .. } = setup;
    if *send != SendPolicy::All || rule == Some(Rule::FixedPrefixThriftyStall) {
        Some("its proposers prefer the nearest")
    } else if quorums.announces() {
        Some("each ballot announces the nearest phase-2 quorum")
    } else if *election != Election::Fixed || budgets.timers > 0 {
        Some("after a time-out one replica is asked after the other")
    } else if *retention != Retention::ALL || budgets.checkpoints > 0 {
        Some("what is forgotten is asked of one replica after the other")
    } else {
        None
    }
}

/// The replicas without a part of their own.
fn movable(setup: &Setup) -> NodeSet {
    let asked = setup
        .clients
        .iter()
        .fold(NodeSet::EMPTY, |all, client| all.union(client.retries_at).with(client.home));
    let leads = [setup.mode.leader(), setup.mode.asked()].into_iter().flatten().collect();
    let fixed = asked.union(setup.campaigners).union(leads);
    NodeSet::all(setup.quorums.n()).difference(fixed)
}

/// All renumberings of `n` replicas that move none but these.
fn renumberings(n: usize, movable: NodeSet) -> Vec<Numbers> {
    let movable: Vec<u8> = movable.iter().map(|id| id.0).collect();
    let mut all: Vec<Numbers> = vec![(0..64).take(n).collect()];
    for (count, place) in movable.iter().enumerate() {
        // Each of those so far, and with this one in exchange for one before it.
        let exchanged = |numbers: &Numbers, other: u8| {
            let mut numbers = numbers.clone();
            numbers.swap(usize::from(*place), usize::from(other));
            numbers
        };
        let others = &movable[..count];
        let more: Vec<Numbers> = all
            .iter()
            .flat_map(|numbers| others.iter().map(move |other| exchanged(numbers, *other)))
            .collect();
        all.extend(more);
    }
    all
}

/// Whether a renumbering leaves the quorums alone, and who may crash.
fn is_kept(numbers: &[u8], setup: &Setup) -> bool {
    let Setup { quorums, crashable, .. } = setup;
    let of = |set: NodeSet| set.iter().map(|id| NodeId(numbers[usize::from(id.0)])).collect();
    let same = |set: NodeSet| set == of(set);
    let roles = [*crashable, quorums.candidates(), quorums.learners(), quorums.witnesses()];
    let is_same_quorum = |set: NodeSet| {
        let is_quorum = |set| [quorums.is_phase1(set), quorums.is_phase2(set)];
        is_quorum(set) == is_quorum(of(set))
    };
    roles.into_iter().all(same) && subsets(quorums).all(is_same_quorum)
}

fn subsets(quorums: &QuorumSystem) -> impl Iterator<Item = NodeSet> {
    (0..1_u64 << quorums.n()).map(NodeSet::from_mask)
}

/// The hash of a value in which the replicas have other numbers.
fn renumbered(numbers: &[u8], value: &impl Hash) -> u64 {
    let inner = quality::FixedState::default().build_hasher();
    let mut hasher = Renumbering { inner, numbers };
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hasher that takes each replica for another one; [`NodeId`] and [`NodeSet`] alone are hashed as signed numbers.
struct Renumbering<'a, H> {
    inner: H,
    numbers: &'a [u8],
}

impl<H> Renumbering<'_, H> {
    fn number(&self, number: u8) -> u8 {
        self.numbers.get(usize::from(number)).copied().unwrap_or(number)
    }
}

impl<H: Hasher> Hasher for Renumbering<'_, H> {
    fn finish(&self) -> u64 {
        self.inner.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.inner.write_u8(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.inner.write_u32(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.inner.write_u64(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.inner.write_usize(number);
    }

    fn write_isize(&mut self, number: isize) {
        self.inner.write_isize(number);
    }

    fn write_i8(&mut self, id: i8) {
        self.inner.write_u8(self.number(id.cast_unsigned()));
    }

    fn write_i64(&mut self, set: i64) {
        let ids = NodeSet::from_mask(set.cast_unsigned()).iter();
        let mask = ids.fold(0_u64, |mask, id| mask | 1 << self.number(id.0));
        self.inner.write_u64(mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Ballot;

    #[test]
    fn there_are_as_many_renumberings_as_orders() {
        let movable = [1, 2, 4].map(NodeId).into_iter().collect();
        let mut all = renumberings(5, movable);
        assert!(all.iter().all(|numbers| numbers[0] == 0 && numbers[3] == 3));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn replicas_are_renumbered_and_other_numbers_are_not() {
        let swapped = [0, 2, 1];
        let (r1, r2) = (NodeId(1), NodeId(2));
        let ballot = |proposer| Ballot { round: 1, proposer };
        let of =
            |id: NodeId, number: u64| (ballot(id), NodeSet::only(id), number, Some(id), [1_u8]);
        assert_eq!(renumbered(&swapped, &of(r1, 1)), renumbered(&[0, 1, 2], &of(r2, 1)));
        assert_ne!(renumbered(&swapped, &of(r1, 1)), renumbered(&[0, 1, 2], &of(r2, 2)));
        assert_ne!(renumbered(&swapped, &of(r1, 1)), renumbered(&[0, 1, 2], &of(r1, 1)));
    }
}

//! Witnesses and observers of a variant, as its file names them.

use std::ops::Range;

use super::places::Places;
use crate::experiment::file::{self, KeyRanges, Member, Roles, Spanned};
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};
use crate::protocol::{Assignment, KeyRange, MAX_RANGES};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::registry::Mode;

/// The replicas that hold a vote in a variant, in their order: the acceptors 0, 1, 2… of its quorums.
pub(super) struct Voters<'a> {
    pub(super) places: &'a Places,
    pub(super) nodes: NodeSet,
}

/// The replicas that a list names; each region in it means all of its replicas.
pub(super) fn named(
    typed: Option<&Roles>,
    places: &Places,
    mistakes: &mut Mistakes<'_>,
) -> NodeSet {
    let mut nodes = NodeSet::EMPTY;
    for name in typed.iter().flat_map(|typed| typed.get_ref()) {
        let meant = places.named_so(name.get_ref());
        if meant.is_empty() {
            mistakes.note(places.replica(name.get_ref(), "the replica", name.span()));
        }
        nodes = nodes.union(meant);
    }
    nodes
}

impl<'a> Voters<'a> {
    /// All replicas but the observers of a variant.
    pub(super) fn of(
        typed: &file::Variant,
        places: &'a Places,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Self> {
        let before = mistakes.count();
        let observers = named(typed.observers.as_ref(), places, mistakes);
        let nodes = NodeSet::all(places.n()).difference(observers);
        if nodes.is_empty()
            && let Some(typed) = &typed.observers
        {
            mistakes.refuse_at(typed.span(), Error::NobodyFull { role: "an observer" });
        }
        if mistakes.count() > before {
            // Nobody asks for the witnesses any more, and their mistakes are told at once.
            named(typed.witnesses.as_ref(), places, mistakes);
            return None;
        }
        Some(Self { places, nodes })
    }

    /// How many there are.
    pub(super) fn n(&self) -> usize {
        self.nodes.len()
    }

    /// The acceptor of a replica: its place among those that vote.
    fn acceptor(&self, node: NodeId, name: &str, at: Range<usize>) -> Result<NodeId, Refused> {
        let index = self.nodes.iter().position(|voter| voter == node);
        let acceptor = index.and_then(|index| u8::try_from(index).ok()).map(NodeId);
        acceptor.ok_or_else(|| Refused { at, error: Error::HoldsNoVote { name: name.to_owned() } })
    }

    /// The acceptor that `name` means.
    pub(super) fn named(&self, name: &str, at: Range<usize>) -> Result<NodeId, Refused> {
        let node = self.places.replica(name, "the member", at.clone())?;
        self.acceptor(node, name, at)
    }

    /// The acceptor that a set of quorums names, as a number; of a position that is none, the position.
    pub(super) fn member(&self, member: &Spanned<Member>) -> Result<usize, Refused> {
        let found = match member.get_ref() {
            Member::Index(index) if *index < self.places.n() => {
                let node = NodeId(u8::try_from(*index).expect("at most 64 replicas"));
                self.acceptor(node, &node.to_string(), member.span())
            }
            Member::Index(index) => return Ok(*index),
            Member::Region(name) => self.named(name, member.span()),
        };
        found.map(|node| usize::from(node.0))
    }
}

/// Which replicas answer reads of which key alone: `at` for all keys, or `ranges`.
pub(super) fn assignment(
    typed: (Option<&Roles>, Option<&KeyRanges>),
    reads_at: Range<usize>,
    system: &QuorumSystem,
    places: &Places,
    mistakes: &mut Mistakes<'_>,
) -> Option<Assignment> {
    match typed {
        (Some(at), None) => responders(at, system, places, mistakes).map(Assignment::AllKeys),
        (None, Some(ranges)) => by_key(ranges, system, places, mistakes),
        (_, Some(at)) => {
            mistakes.refuse_at(at.span(), Error::RespondersOnce);
            None
        }
        (None, None) => {
            mistakes.refuse_at(reads_at, Error::RespondersOnce);
            None
        }
    }
}

/// Ranges of keys that have responders of their own.
fn by_key(
    typed: &KeyRanges,
    system: &QuorumSystem,
    places: &Places,
    mistakes: &mut Mistakes<'_>,
) -> Option<Assignment> {
    let before = mistakes.count();
    let count = typed.get_ref().len();
    if count == 0 {
        mistakes.refuse_at(typed.span(), Error::NoItem { key: "ranges" });
    } else if count > MAX_RANGES {
        mistakes.refuse_at(typed.span(), Error::ManyRanges { count, most: MAX_RANGES });
    }
    let mut ranges: Vec<KeyRange> = Vec::new();
    for range in typed.get_ref() {
        let file::KeyRange { keys, at } = range.get_ref();
        let [first, last] = keys.get_ref()[..] else {
            mistakes.refuse_at(keys.span(), Error::NoKeyPair);
            continue;
        };
        let shared = |other: &KeyRange| first.max(other.first) <= last.min(other.last);
        let twice = ranges.iter().filter(|other| shared(other));
        if first > last {
            mistakes.refuse_at(keys.span(), Error::NoKeyInRange { first, last });
        } else if let Some(key) = twice.map(|other| first.max(other.first)).min() {
            mistakes.refuse_at(keys.span(), Error::KeyTwice { key });
        }
        if let Some(at) = responders(at, system, places, mistakes) {
            ranges.push(KeyRange { first, last, at });
        }
    }
    Assignment::by_key(&ranges).filter(|_| mistakes.count() == before)
}

/// The replicas that answer reads alone, each of which votes and keeps a state machine.
pub(super) fn responders(
    typed: &Roles,
    system: &QuorumSystem,
    places: &Places,
    mistakes: &mut Mistakes<'_>,
) -> Option<NodeSet> {
    let before = mistakes.count();
    let nodes = named(Some(typed), places, mistakes);
    if typed.get_ref().is_empty() {
        mistakes.refuse_at(typed.span(), Error::NoItem { key: "at" });
    }
    for node in nodes.difference(system.candidates()).iter() {
        let name = places.name(node);
        let role = if system.acceptors().contains(node) { "a witness" } else { "an observer" };
        mistakes.refuse_at(typed.span(), Error::UnfitResponder { name, role });
    }
    (mistakes.count() == before).then_some(nodes)
}

/// The system of the voters among all replicas, with its witnesses.
pub(super) fn placed(
    typed: &file::Variant,
    voters: &Voters<'_>,
    system: QuorumSystem,
    mistakes: &mut Mistakes<'_>,
) -> Option<QuorumSystem> {
    let before = mistakes.count();
    let system = system.among(voters.places.n(), voters.nodes);
    let witnesses = named(typed.witnesses.as_ref(), voters.places, mistakes);
    let Some(at) = typed.witnesses.as_ref().map(Spanned::span) else { return Some(system) };
    if let Some(both) = witnesses.difference(voters.nodes).iter().next() {
        let name = voters.places.name(both);
        mistakes.refuse_at(at, Error::BothRoles { name });
    } else if witnesses == voters.nodes {
        mistakes.refuse_at(at, Error::NobodyFull { role: "a witness" });
    } else if system.announces() && !system.is_phase1(voters.nodes.difference(witnesses)) {
        mistakes.refuse_at(at, Error::NeverSettled);
    }
    (mistakes.count() == before).then(|| system.with_witnesses(witnesses))
}

/// Refuses a protocol without these roles, and a leader that is no full replica.
pub(super) fn refuse_unfit(
    typed: &file::Variant,
    mode: Mode,
    system: &QuorumSystem,
    places: &Places,
    mistakes: &mut Mistakes<'_>,
) {
    let lists = [&typed.witnesses, &typed.observers];
    if !mode.has_roles() {
        for (typed, key) in lists.into_iter().zip(["witnesses", "observers"]) {
            if let Some(typed) = typed.as_ref().filter(|typed| !typed.get_ref().is_empty()) {
                mistakes.refuse_at(typed.span(), Error::NoRoles { key, protocol: mode.name() });
            }
        }
        return;
    }
    let Some(leader) = mode.asked().filter(|leader| !system.candidates().contains(*leader)) else {
        return;
    };
    let at = match &typed.protocol {
        file::Protocol::Multi { leader, .. } => leader.span(),
        _ => typed.quorums.span(),
    };
    let (name, role) = (places.name(leader), system.role(leader));
    mistakes.refuse_at(at, Error::Unfit { name, role });
}

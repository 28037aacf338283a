//! Presets of quorum systems with a structure: the same race for each of them.

use super::{R0, R2, R3, multi, once};
use crate::protocol::SendPolicy;
use crate::quorum::{Expression, Family, Line, NodeId, NodeSet, QuorumSystem, Share};
use crate::registry::preset::{Budgets, Cover, Prelude, Preset, Setup};

/// r0 leads, and another one campaigns: what r0 may have had chosen must survive.
///
/// Both ask a quorum, and everybody after a time-out: then any quorum may be the one that is heard first.
pub(super) fn race(
    name: &'static str,
    about: &'static str,
    quorums: QuorumSystem,
    rival: NodeId,
) -> Preset {
    let n = quorums.n();
    Preset {
        name,
        about,
        setup: Setup {
            quorums,
            send: SendPolicy::Quorum,
            clients: vec![once(R0), once(rival)],
            budgets: Budgets { campaigns: 1, timers: 1, ..Budgets::default() },
            campaigners: NodeSet::only(rival),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Adopted],
            ..multi(n)
        },
    }
}

pub(super) fn grid() -> Preset {
    let lines = [Line::OneOfEachRow, Line::Row];
    race(
        "grid",
        "two rows of two: one of each row for phase 1, a row for phase 2",
        QuorumSystem::grid(4, [2, 2], lines).expect("two by two are four"),
        R3,
    )
}

pub(super) fn groups() -> Preset {
    let groups = [0b0111, 0b1000].map(NodeSet::from_mask);
    let of = |groups| Share { groups: Some(groups), members: None };
    race(
        "groups",
        "groups of three and of one: majorities of both for phase 1, of either for phase 2",
        QuorumSystem::groups(4, &groups, [of(2), of(1)]).expect("the groups are of four replicas"),
        R3,
    )
}

pub(super) fn weighted() -> Preset {
    race(
        "weighted",
        "weights 2, 1, 1: a weight of 3 for phase 1, and of 2 for phase 2",
        QuorumSystem::weighted(&[2, 1, 1], [3, 2]).expect("3 and 2 are within 4"),
        R2,
    )
}

/// The rival, r3, holds no vote.
pub(super) fn expression() -> Preset {
    let family = |text| {
        let name = |name: &str, _| name[1..].parse().map(NodeId);
        let gate = Expression::parse(text).expect("an expression").gate(&mut { name });
        Family::of_gate(gate.expect("names are numbers"), 4)
    };
    let system =
        QuorumSystem::new(4, family("r0 * (r1 + r2) + r1 * r2"), family("majority(r0, r1, r2)"));
    race(
        "expression",
        "expressions over three of four replicas: the candidate holds no vote",
        system.expect("both are a majority of three"),
        R3,
    )
}

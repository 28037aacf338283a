//! Quorum systems: the families that a file names, over the replicas that it has.

use std::ops::Range;

use super::places::{Places, Profiles};
use super::roles::{self, Voters};
use crate::experiment::file::{
    self, GroupCounts, Line, Member, Quorum, Quorums, Sets, Source, Spanned,
};
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};
use crate::quorum::{self, Disjoint, Expression, Family, NodeId, NodeSet, QuorumSystem};
use crate::topology::Links;

/// The quorum system of each variant of a file, safe or not, and the links of its replicas.
///
/// # Errors
/// If the file is wrong in another way.
pub fn systems(source: &Source) -> Result<(Links, Vec<(String, QuorumSystem)>), file::Error> {
    let file = source.parse()?;
    let mut mistakes = Mistakes::of(source);
    let mut profiles = Profiles::beside(source.folder());
    let mut found = Vec::new();
    let places = Places::find(&file.topology, &mut profiles, &mut mistakes);
    for (variant, places) in file.variants.iter().zip(places.iter().cycle()) {
        let system = quorums(variant, places, &mut mistakes);
        found.extend(system.map(|system| (variant.name.get_ref().clone(), system)));
    }
    match (mistakes.into_error(), places) {
        (Some(error), _) => Err(error),
        (None, places) => Ok((places.expect("places without a mistake").links, found)),
    }
}

/// The quorums of a variant, of which each phase is judged by itself.
pub(super) fn quorums(
    variant: &file::Variant,
    places: &Places,
    mistakes: &mut Mistakes<'_>,
) -> Option<QuorumSystem> {
    let voters = Voters::of(variant, places, mistakes)?;
    let system = of_voters(&variant.quorums, &voters, mistakes)?;
    roles::placed(variant, &voters, system, mistakes)
}

/// The quorums over the replicas that vote.
fn of_voters(
    typed: &Spanned<Quorums>,
    places: &Voters<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<QuorumSystem> {
    let n = places.n();
    let found = match typed.get_ref() {
        Quorums::Majority {} => return Some(QuorumSystem::majority(n)),
        Quorums::Counts { phase1, phase2 } => {
            let (q1, q2) = (*phase1.get_ref(), *phase2.get_ref());
            // Both may be wrong, and both are told.
            let first = note(QuorumSystem::counts(n, q1, n), &|_| phase1.span(), mistakes);
            let second = note(QuorumSystem::counts(n, n, q2), &|_| phase2.span(), mistakes);
            first.and(second)?;
            QuorumSystem::counts(n, q1, q2)
        }
        Quorums::Dual { phase2 } => QuorumSystem::dual(n, family(phase2, places, mistakes)?),
        Quorums::PerBallot { phase2 } => {
            QuorumSystem::per_ballot_of(n, family(phase2, places, mistakes)?)
        }
        Quorums::Explicit { phase1, phase2 } => {
            return explicit([phase1, phase2], places, mistakes);
        }
        Quorums::Grid { rows, columns, phase1, phase2 } => {
            let sides = [*rows.get_ref(), *columns.get_ref()];
            QuorumSystem::grid(n, sides, [line(*phase1.get_ref()), line(*phase2.get_ref())])
        }
        Quorums::Groups { groups: typed, phase1, phase2 } => {
            let groups = groups(typed.as_ref(), places, mistakes)?;
            let share = |typed: &Spanned<GroupCounts>| {
                let GroupCounts { groups, members } = *typed.get_ref();
                quorum::Share { groups, members }
            };
            QuorumSystem::groups(n, &groups, [share(phase1), share(phase2)])
        }
        Quorums::Weighted { weights, phase1, phase2 } => {
            let weights = each(weights, n, mistakes)?;
            QuorumSystem::weighted(&weights, [*phase1.get_ref(), *phase2.get_ref()])
        }
        Quorums::Hierarchical { groups: typed, weights } => {
            let groups = groups(typed.as_ref(), places, mistakes)?;
            let weights = match weights {
                Some(weights) => each(weights, n, mistakes)?,
                None => vec![1; n],
            };
            QuorumSystem::hierarchical(&groups, &weights)
        }
        Quorums::Wall { rows } => QuorumSystem::wall(n, rows.get_ref()),
        Quorums::Tree { degree } => QuorumSystem::tree(n, *degree.get_ref()),
        Quorums::Expression { phase1, phase2 } => {
            let phase1 = expression(phase1.get_ref(), phase1.span(), places, mistakes);
            let phase2 = expression(phase2.get_ref(), phase2.span(), places, mistakes);
            QuorumSystem::new(n, phase1?, phase2?)
        }
    };
    note(found, &|error| place(typed, error), mistakes)
}

/// The system, if it is one; else the error is kept at its place.
fn note(
    system: Result<QuorumSystem, quorum::Error>,
    at: &dyn Fn(&quorum::Error) -> Range<usize>,
    mistakes: &mut Mistakes<'_>,
) -> Option<QuorumSystem> {
    mistakes.note(system.map_err(|error| Refused { at: at(&error), error: error.into() }))
}

/// Where the key stands that an error is about.
fn place(typed: &Spanned<Quorums>, error: &quorum::Error) -> Range<usize> {
    use quorum::Error as Of;
    let phase = match error {
        Of::Count { phase, .. }
        | Of::Never { phase }
        | Of::EmptySet { phase }
        | Of::TooLarge { phase, .. }
        | Of::Groups { phase, .. }
        | Of::GroupMembers { phase, .. }
        | Of::Weight { phase, .. } => Some(*phase),
        _ => None,
    };
    let of = |phase1: Range<usize>, phase2: Range<usize>| match phase {
        Some("phase1") => phase1,
        Some("phase2") => phase2,
        _ => typed.span(),
    };
    let of_groups = |groups: &Option<Sets>| groups.as_ref().map_or(typed.span(), Spanned::span);
    match (typed.get_ref(), error) {
        (Quorums::Grid { rows, .. }, Of::Grid { .. }) => rows.span(),
        (Quorums::Wall { rows }, _) => rows.span(),
        (Quorums::Tree { degree }, _) => degree.span(),
        (Quorums::Dual { phase2 } | Quorums::PerBallot { phase2 }, _) => phase2.span(),
        (Quorums::Groups { groups, .. } | Quorums::Hierarchical { groups, .. }, error)
            if phase.is_none() && !matches!(error, Of::NoWeight | Of::Undecided) =>
        {
            of_groups(groups)
        }
        (Quorums::Groups { phase1, phase2, .. }, _) => of(phase1.span(), phase2.span()),
        (Quorums::Weighted { phase1, phase2, .. }, _) => of(phase1.span(), phase2.span()),
        (Quorums::Expression { phase1, phase2 }, _) => of(phase1.span(), phase2.span()),
        _ => typed.span(),
    }
}

/// A size, or an expression.
fn family(
    typed: &Spanned<Quorum>,
    places: &Voters<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Family> {
    match typed.get_ref() {
        Quorum::Size(size) => Some(Family::of_size(*size)),
        Quorum::Expression(text) => expression(text, typed.span(), places, mistakes),
    }
}

/// What an expression says, whose text stands `at` a place in quotes.
fn expression(
    text: &str,
    at: Range<usize>,
    places: &Voters<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Family> {
    // A text with escapes, or in more quotes than one, is pointed at as a whole.
    let is_plain = at.len() == text.len() + 2;
    let within = |part: Range<usize>| {
        let begin = at.start + 1;
        if is_plain { begin + part.start..begin + part.end } else { at.clone() }
    };
    let before = mistakes.count();
    let (parsed, wrong) = Expression::read(text);
    for error in wrong {
        mistakes.refuse_at(within(error.at), Error::Expression { what: error.what });
    }
    let mut node = |name: &str, part| places.named(name, within(part));
    let gate = parsed.gate(&mut node);
    let gate = gate.map_err(|refused| refused.iter().for_each(|it| mistakes.refuse(it))).ok()?;
    (mistakes.count() == before).then(|| Family::of_gate(gate, places.n()))
}

fn explicit(
    typed: [&Sets; 2],
    places: &Voters<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<QuorumSystem> {
    let n = places.n();
    let [first, second] = typed.map(|typed| sets(typed, places, mistakes));
    let (first, second) = (first?, second?);
    let [phase1, phase2] = typed;
    let everybody = [(0..n).collect()];
    let mut of = |system, typed: &Sets| note(system, &|error| at_fault(typed, error), mistakes);
    let is_first = of(QuorumSystem::explicit(n, &first, &everybody), phase1);
    let is_second = of(QuorumSystem::explicit(n, &everybody, &second), phase2);
    is_first.and(is_second)?;
    QuorumSystem::explicit(n, &first, &second).ok()
}

/// Where the member stands that does not exist; else the sets.
fn at_fault(typed: &Sets, error: &quorum::Error) -> Range<usize> {
    let mut members = typed.get_ref().iter().flatten();
    let found = members.find(|member| {
        matches!((error, member.get_ref()), (quorum::Error::Member { node, .. } | quorum::Error::Twice { node }, Member::Index(index)) if node == index)
    });
    found.map_or_else(|| typed.span(), Spanned::span)
}

/// The sets as numbers of replicas.
fn sets(typed: &Sets, places: &Voters<'_>, mistakes: &mut Mistakes<'_>) -> Option<Vec<Vec<usize>>> {
    let mut member = |member| mistakes.note(places.member(member));
    let sets: Vec<Vec<Option<usize>>> =
        typed.get_ref().iter().map(|set| set.iter().map(&mut member).collect()).collect();
    sets.into_iter().map(|set| set.into_iter().collect()).collect()
}

/// The groups as listed; else the replicas of each region, in the order of the first of them.
fn groups(
    typed: Option<&Sets>,
    places: &Voters<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Vec<NodeSet>> {
    let Some(typed) = typed else {
        let mut groups: Vec<(&str, NodeSet)> = Vec::new();
        let regions = &places.places.links.replica_regions;
        for (index, node) in (0..).zip(places.nodes.iter()) {
            let (node, region) = (NodeId(index), &regions[usize::from(node.0)]);
            match groups.iter_mut().find(|(name, _)| name == region) {
                Some((_, group)) => *group = group.with(node),
                None => groups.push((region, NodeSet::only(node))),
            }
        }
        return Some(groups.into_iter().map(|(_, group)| group).collect());
    };
    let n = places.n();
    let listed = sets(typed, places, mistakes)?;
    let mut group = |members: Vec<usize>| -> Option<NodeSet> {
        let mut group = NodeSet::EMPTY;
        for node in members {
            let error = match u8::try_from(node).map(NodeId) {
                Ok(id) if node < n && !group.contains(id) => {
                    group.insert(id);
                    continue;
                }
                Ok(_) if node < n => quorum::Error::Twice { node },
                _ => quorum::Error::Member { phase: "a group", node, n },
            };
            mistakes.refuse_at(at_fault(typed, &error), error);
            return None;
        }
        Some(group)
    };
    listed.into_iter().map(&mut group).collect()
}

/// One weight for each replica.
fn each(typed: &Spanned<Vec<u32>>, n: usize, mistakes: &mut Mistakes<'_>) -> Option<Vec<u32>> {
    let weights = typed.get_ref();
    if weights.len() != n {
        mistakes.refuse_at(typed.span(), Error::Weights { found: weights.len(), n });
        return None;
    }
    Some(weights.clone())
}

const fn line(typed: Line) -> quorum::Line {
    match typed {
        Line::Row => quorum::Line::Row,
        Line::Column => quorum::Line::Column,
        Line::OneOfEachRow => quorum::Line::OneOfEachRow,
        Line::OneOfEachColumn => quorum::Line::OneOfEachColumn,
    }
}

/// The refusal that names the two quorums and says what would make them meet.
pub(super) fn disjoint_error(
    system: &QuorumSystem,
    disjoint: Disjoint,
    typed: &Quorums,
    places: &Places,
) -> Error {
    let change = match typed {
        Quorums::Explicit { .. } | Quorums::Expression { .. } => {
            "give the two a common replica".to_owned()
        }
        Quorums::Grid { .. } => "let the lines of one phase cross those of the other: `row` and `column`, or \
             `row` and `one-of-each-row`"
            .to_owned(),
        Quorums::Groups { .. } => {
            "raise the numbers until the groups of both phases are more than there are, and the members of \
             both more than each group has"
                .to_owned()
        }
        Quorums::Weighted { weights, .. } => {
            let total: u64 = weights.get_ref().iter().map(|weight| u64::from(*weight)).sum();
            format!("raise one of the two until phase1 + phase2 is at least {}", total + 1)
        }
        _ => format!("raise one of the two until phase1 + phase2 is at least {}", system.acceptors().len() + 1),
    };
    let named = |set| system.layout().describe(system.n(), set, &|node| places.name(node));
    Error::Disjoint {
        phase1: named(disjoint.phase1),
        phase2: named(disjoint.phase2),
        remedy: format!("{change}, or set `unsafe_quorums = true` to see what happens"),
    }
}

#[cfg(test)]
mod tests;

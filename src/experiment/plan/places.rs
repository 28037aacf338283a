//! Who stands where: profile, regions and links.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::deployment::Role;
use crate::experiment::file::{self, Client, Spanned};
use crate::nearest::nearest;
use crate::quorum::{NodeId, NodeSet};
use crate::topology::{self, Jitter, Links, NAME_MAX, NATIVE, Profile, check_name};

use super::misses;
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};

/// Instead of a leader: the replica with the least predicted latency.
pub(super) const BEST: &str = "best";

/// The places of an experiment.
pub(super) struct Places {
    /// The name of the latency profile, as given.
    pub(super) profile: String,
    /// The file of the profile, if it is one.
    pub(super) profile_file: Option<PathBuf>,
    /// The delays between all of them.
    pub(super) links: Links,
    /// The part of each client region in the load, in proportion to the others.
    pub(super) weights: Vec<f64>,
    /// What emulated round trips miss of the published percentiles, as a sentence; empty if nothing.
    pub(super) misses: String,
    /// Whether names are free: then two replicas of one name are no neighbours.
    are_names_free: bool,
}

impl Places {
    /// Looks up the profile and every region.
    pub(super) fn find(
        section: &file::Topology,
        profiles: &mut Profiles<'_>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Self> {
        let before = mistakes.count();
        let profile = mistakes.note(profiles.get(&section.profile))?;
        let replicas = replicas(&section.replicas, profile, mistakes);
        let clients = clients(&section.clients, profile, mistakes);
        let weights = weights(&section.clients, mistakes);
        let (replicas, clients) = (replicas?, clients?);
        if let file::Replicas::In(names) = section.replicas.get_ref() {
            refuse_two_meanings(names, &replicas, mistakes);
        }
        if mistakes.count() > before {
            return None;
        }
        let jitter = match section.jitter.get_ref() {
            file::Jitter::None => Jitter::None,
            file::Jitter::Profile => Jitter::Profile,
        };
        let links = Links::new(profile, &replicas, &clients, jitter).map_err(|error| Refused {
            at: missing_row(section, &error),
            error: Error::Region(error),
        });
        let links = mistakes.note(links)?;
        if jitter == Jitter::Profile && !links.vary() {
            let profile = section.profile.get_ref().clone();
            mistakes.refuse_at(section.jitter.span(), Error::NoSpread { profile });
            return None;
        }
        let misses = misses::sentence(links.misses(profile));
        let are_names_free = profile.accepts_any_region();
        Some(Self {
            profile: section.profile.get_ref().clone(),
            profile_file: profile.path().map(Path::to_owned),
            links,
            weights,
            misses,
            are_names_free,
        })
    }

    /// The number of replicas.
    pub(super) fn n(&self) -> usize {
        self.links.replica_regions.len()
    }

    /// The replicas that `name` means, in every key alike: those in the region of this name, the second of them as
    /// `us-east-1#2`, or the one of this number, as `r2`; none if it means nothing.
    ///
    /// No name means both: see [`refuse_two_meanings`].
    pub(super) fn named_so(&self, name: &str) -> NodeSet {
        let regions = &self.links.replica_regions;
        let is_there = |node: &NodeId| regions[usize::from(node.0)] == name;
        let in_region: NodeSet = self.links.replicas().filter(is_there).collect();
        if !in_region.is_empty() {
            return in_region;
        }
        let is_called = |node: &NodeId| node.to_string() == name || self.name(*node) == name;
        self.links.replicas().filter(is_called).collect()
    }

    /// The replica that `name` means; `what` says in an error what the name was given for.
    pub(super) fn replica(
        &self,
        name: &str,
        what: &'static str,
        at: Range<usize>,
    ) -> Result<NodeId, Refused> {
        let regions = &self.links.replica_regions;
        let found = self.named_so(name);
        let mut found = found.iter();
        let name = name.to_owned();
        match (found.next(), found.next()) {
            (Some(node), None) => Ok(node),
            (Some(_), Some(_)) => {
                let names = self.named_so(&name).iter().map(|node| self.name(node)).collect();
                Err(Refused { at, error: Error::Ambiguous { what, name, names } })
            }
            (None, _) => {
                let near = nearest(&name, regions).map(str::to_owned);
                let known = regions.clone();
                Err(Refused { at, error: Error::NoReplica { what, name, near, known } })
            }
        }
    }

    /// The leader in the region `name`: of several replicas in a measured region the one of the lowest
    /// number, because all of them are as far from everybody.
    pub(super) fn leader(&self, name: &str, at: Range<usize>) -> Result<NodeId, Refused> {
        let regions = &self.links.replica_regions;
        let first = self.links.replicas().find(|node| regions[usize::from(node.0)] == name);
        match first.filter(|_| !self.are_names_free) {
            Some(first) => Ok(first),
            None => self.replica(name, "the leader", at),
        }
    }

    /// What a replica is called: its region, and which of the replicas there it is, where there are several.
    pub(super) fn name(&self, node: NodeId) -> String {
        self.links.replica_name(node)
    }
}

/// Where a region stands of which the profile has no row: a client's, or else a replica's.
fn missing_row(section: &file::Topology, error: &topology::Error) -> Range<usize> {
    let topology::Error::MissingPairs { pairs, .. } = error else { return section.replicas.span() };
    let is_in = |name: &String| pairs.iter().any(|(from, to)| from == name || to == name);
    let is_everywhere =
        |name: &String| pairs.iter().all(|(from, to)| from == name || to == name) && is_in(name);
    let clients = section.clients.get_ref().iter();
    let clients: Vec<(&String, Range<usize>)> =
        clients.map(|client| (&client.get_ref().region, Client::region_at(client))).collect();
    let replicas: Vec<(&String, Range<usize>)> = match section.replicas.get_ref() {
        file::Replicas::In(names) => names.iter().map(|it| (it.get_ref(), it.span())).collect(),
        file::Replicas::Count(_) => Vec::new(),
    };
    let all = || clients.iter().chain(&replicas);
    let found = all().find(|(name, _)| is_everywhere(name));
    let found = found.or_else(|| all().find(|(name, _)| is_in(name)));
    found.map_or_else(|| section.replicas.span(), |(_, at)| at.clone())
}

/// Refuses regions of replicas whose names mean something else wherever a replica is named: another
/// replica by its number, somebody's part in a fault, or the best leader.
fn refuse_two_meanings(typed: &[Spanned<String>], regions: &[String], mistakes: &mut Mistakes<'_>) {
    for (index, name) in typed.iter().enumerate() {
        let region = name.get_ref();
        let number = (0..regions.len()).find(|number| *region == format!("r{number}"));
        let is_alone = regions.iter().filter(|other| *other == region).count() == 1;
        let other = match number {
            Some(number) if number == index && is_alone => continue,
            Some(number) => format!("the replica number {number}, which is in {}", regions[number]),
            None if region == BEST => {
                "as a leader, the replica with the least predicted latency".to_owned()
            }
            None if Role::parse(region).is_some() => {
                "in a fault, whoever has this part when it strikes".to_owned()
            }
            None => continue,
        };
        mistakes.refuse_at(name.span(), Error::TwoMeanings { name: region.clone(), index, other });
    }
}

/// The profiles of an experiment, each read once.
pub(super) struct Profiles<'a> {
    folder: &'a Path,
    read: BTreeMap<String, Profile>,
}

impl<'a> Profiles<'a> {
    /// Of a file in `folder`, to which paths are relative.
    pub(super) fn beside(folder: &'a Path) -> Self {
        Self { folder, read: BTreeMap::new() }
    }

    /// The same, with these links measured where an experiment asks for those that are there.
    pub(super) fn with_native(mut self, measured: Option<&Profile>) -> Self {
        self.read.extend(measured.map(|profile| (NATIVE.to_owned(), profile.clone())));
        self
    }

    fn get(&mut self, name: &Spanned<String>) -> Result<&Profile, Refused> {
        match self.read.entry(name.get_ref().clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(load(name, self.folder)?)),
        }
    }
}

/// The profile of this name, or else the CSV file at this path from `folder`.
fn load(name: &Spanned<String>, folder: &Path) -> Result<Profile, Refused> {
    Profile::load_beside(folder, name.get_ref())
        .map_err(|error| Refused { at: name.span(), error: Error::Profile(error) })
}

/// The regions of the replicas.
fn replicas(
    typed: &Spanned<file::Replicas>,
    profile: &Profile,
    mistakes: &mut Mistakes<'_>,
) -> Option<Vec<String>> {
    match typed.get_ref() {
        file::Replicas::In(names) => {
            let places = || names.iter().map(|name| (name.get_ref(), name.span()));
            let regions = regions(places(), "topology.replicas", typed.span(), profile, mistakes)?;
            if regions.len() > NodeSet::CAPACITY {
                let error = Error::TooManyReplicas { count: regions.len() };
                mistakes.refuse_at(typed.span(), error);
                return None;
            }
            for (region, at) in repeated(places()) {
                if !profile.has_round_trip_within(region) {
                    let (region, profile) = (region.clone(), profile.name().to_owned());
                    mistakes.refuse_at(at, Error::RegionTaken { region, profile });
                }
            }
            Some(regions)
        }
        file::Replicas::Count(count) => {
            let (at, count) = (count.span(), *count.get_ref());
            let are_names_free = profile.accepts_any_region() || profile.name() == NATIVE;
            let error = if !are_names_free {
                Error::Nameless { count, profile: profile.name().to_owned() }
            } else if count == 0 {
                Error::Zero { key: "topology.replicas.count" }
            } else if count > NodeSet::CAPACITY {
                Error::TooManyReplicas { count }
            } else {
                return Some((0..count).map(|index| format!("r{index}")).collect());
            };
            mistakes.refuse_at(at, error);
            None
        }
    }
}

/// The regions of the clients.
fn clients(
    typed: &Spanned<Vec<Spanned<Client>>>,
    profile: &Profile,
    mistakes: &mut Mistakes<'_>,
) -> Option<Vec<String>> {
    let clients = typed.get_ref();
    let places =
        || clients.iter().map(|client| (&client.get_ref().region, Client::region_at(client)));
    let regions = regions(places(), "topology.clients", typed.span(), profile, mistakes);
    for (region, at) in repeated(places()) {
        mistakes.refuse_at(at, Error::ClientTwice { region: region.clone() });
    }
    regions
}

/// What part of the load each client region has, in proportion to the others.
fn weights(typed: &Spanned<Vec<Spanned<Client>>>, mistakes: &mut Mistakes<'_>) -> Vec<f64> {
    let mut weight_of = |client: &Spanned<Client>| {
        let Some(typed) = &client.get_ref().weight else { return 1.0 };
        let weight = *typed.get_ref();
        if !(weight > 0.0 && weight.is_finite()) {
            mistakes.refuse_at(typed.span(), Error::Weight { weight });
        }
        weight
    };
    typed.get_ref().iter().map(&mut weight_of).collect()
}

/// The names in a list at this place, each of which the profile must know.
fn regions<'t>(
    list: impl ExactSizeIterator<Item = (&'t String, Range<usize>)>,
    key: &'static str,
    at: Range<usize>,
    profile: &Profile,
    mistakes: &mut Mistakes<'_>,
) -> Option<Vec<String>> {
    if list.len() == 0 {
        mistakes.refuse_at(at, Error::NoItem { key });
        return None;
    }
    let mut region = |(name, at): (&String, Range<usize>)| {
        if let Err(problem) = check_name(name) {
            let name = name.chars().take(NAME_MAX).collect();
            mistakes.refuse_at(at, Error::RegionName { name, problem });
            return None;
        }
        // A region has no delay to itself, so this fails only where the region is unknown.
        let known = profile.one_way(name, name, Jitter::None);
        mistakes.note(known.map_err(|error| Refused { at, error: Error::Region(error) }))?;
        Some(name.clone())
    };
    // All of them are looked up, also behind one that is wrong.
    let regions: Vec<Option<String>> = list.map(&mut region).collect();
    regions.into_iter().collect()
}

/// The names that stand in the list once more, and where.
fn repeated<'t>(
    names: impl Iterator<Item = (&'t String, Range<usize>)>,
) -> Vec<(&'t String, Range<usize>)> {
    let mut seen = BTreeSet::new();
    names.filter(|(name, _)| !seen.insert(*name)).collect()
}

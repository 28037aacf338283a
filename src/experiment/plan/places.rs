//! Who stands where: profile, regions and links.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::deployment::Role;
use crate::experiment::file::{self, Member};
use crate::nearest::nearest;
use crate::quorum::{NodeId, NodeSet};
use crate::topology::{Jitter, Links, NAME_MAX, Profile, check_name};

use super::error::{Error, Refused};
use super::misses;

/// Instead of a leader: the replica with the least predicted latency.
pub(super) const BEST: &str = "best";

/// The key of the client regions.
const CLIENTS: &str = "topology.clients";

/// The places of an experiment.
pub(super) struct Places {
    /// The name of the latency profile, as given.
    pub(super) profile: String,
    /// The file of the profile, if it is one.
    pub(super) profile_file: Option<PathBuf>,
    /// The delays between all of them.
    pub(super) links: Links,
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
    ) -> Result<Self, Refused> {
        let profile = profiles.get(&section.profile)?;
        let replicas = replicas(&section.replicas, profile)?;
        let clients = regions(section.clients.get_ref(), section.clients.span(), CLIENTS, profile)?;
        if replicas.len() > NodeSet::CAPACITY {
            let error = Error::TooManyReplicas { count: replicas.len() };
            return Err(Refused { at: section.replicas.span(), error });
        }
        if let file::Replicas::In(names) = section.replicas.get_ref()
            && let Some((region, at)) =
                repeated(names).find(|(region, _)| !profile.has_round_trip_within(region))
        {
            let profile = section.profile.get_ref().clone();
            return Err(Refused { at, error: Error::RegionTaken { region, profile } });
        }
        if let Some((region, at)) = repeated(section.clients.get_ref()).next() {
            return Err(Refused { at, error: Error::ClientTwice { region } });
        }
        if let file::Replicas::In(names) = section.replicas.get_ref() {
            refuse_two_meanings(names, &replicas)?;
        }
        let jitter = match section.jitter.get_ref() {
            file::Jitter::None => Jitter::None,
            file::Jitter::Profile => Jitter::Profile,
        };
        let links = Links::new(profile, &replicas, &clients, jitter).map_err(|error| Refused {
            at: section.replicas.span(),
            error: Error::Region(error),
        })?;
        if jitter == Jitter::Profile && !links.vary() {
            let profile = section.profile.get_ref().clone();
            return Err(Refused { at: section.jitter.span(), error: Error::NoSpread { profile } });
        }
        let misses = misses::sentence(links.misses(profile));
        let are_names_free = profile.accepts_any_region();
        Ok(Self {
            profile: section.profile.get_ref().clone(),
            profile_file: profile.path().map(Path::to_owned),
            links,
            misses,
            are_names_free,
        })
    }

    /// The number of replicas.
    pub(super) fn n(&self) -> usize {
        self.links.replica_regions.len()
    }

    /// The replicas that `name` means, in every key alike: those in the region of this name, or the one
    /// of this number, as `r2`; none if it means nothing.
    ///
    /// No name means both: see [`refuse_two_meanings`].
    pub(super) fn named_so(&self, name: &str) -> NodeSet {
        let regions = &self.links.replica_regions;
        let is_there = |node: &NodeId| regions[usize::from(node.0)] == name;
        let in_region: NodeSet = self.links.replicas().filter(is_there).collect();
        if !in_region.is_empty() {
            return in_region;
        }
        self.links.replicas().filter(|node| node.to_string() == name).collect()
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
            (Some(_), Some(_)) => Err(Refused { at, error: Error::Ambiguous { what, name } }),
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

    /// The replica that a set of quorums names, as a number.
    pub(super) fn member(&self, member: &Spanned<Member>) -> Result<usize, Refused> {
        match member.get_ref() {
            Member::Index(index) => Ok(*index),
            Member::Region(name) => {
                self.replica(name, "the member", member.span()).map(|node| usize::from(node.0))
            }
        }
    }

    /// `{us-east-1, eu-west-1}`.
    pub(super) fn named(&self, set: NodeSet) -> String {
        let names: Vec<&str> = set
            .iter()
            .map(|node| self.links.replica_regions[usize::from(node.0)].as_str())
            .collect();
        format!("{{{}}}", names.join(", "))
    }
}

/// Refuses a region of a replica whose name means something else wherever a replica is named: another
/// replica by its number, somebody's part in a fault, or the best leader.
fn refuse_two_meanings(typed: &[Spanned<String>], regions: &[String]) -> Result<(), Refused> {
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
        let error = Error::TwoMeanings { name: region.clone(), index, other };
        return Err(Refused::new(name.span(), error));
    }
    Ok(())
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
fn replicas(typed: &Spanned<file::Replicas>, profile: &Profile) -> Result<Vec<String>, Refused> {
    match typed.get_ref() {
        file::Replicas::In(names) => regions(names, typed.span(), "topology.replicas", profile),
        file::Replicas::Count(count) => {
            let (at, count) = (count.span(), *count.get_ref());
            let error = if !profile.accepts_any_region() {
                Error::Nameless { count, profile: profile.name().to_owned() }
            } else if count == 0 {
                Error::Zero { key: "topology.replicas.count" }
            } else if count > NodeSet::CAPACITY {
                Error::TooManyReplicas { count }
            } else {
                return Ok((0..count).map(|index| format!("r{index}")).collect());
            };
            Err(Refused { at, error })
        }
    }
}

/// The names in a list at this place, each of which the profile must know.
fn regions(
    list: &[Spanned<String>],
    at: Range<usize>,
    key: &'static str,
    profile: &Profile,
) -> Result<Vec<String>, Refused> {
    if list.is_empty() {
        return Err(Refused { at, error: Error::NoItem { key } });
    }
    let name = |region: &Spanned<String>| {
        let refused = |error| Refused { at: region.span(), error };
        let name = region.get_ref();
        check_name(name).map_err(|problem| {
            let name = name.chars().take(NAME_MAX).collect();
            refused(Error::RegionName { name, problem })
        })?;
        // A region has no delay to itself, so this fails only where the region is unknown.
        let known = profile.one_way(name, name, Jitter::None);
        known.map(|_| name.clone()).map_err(|error| refused(Error::Region(error)))
    };
    list.iter().map(name).collect()
}

/// The names that stand in the list once more, and where.
fn repeated(names: &[Spanned<String>]) -> impl Iterator<Item = (String, Range<usize>)> {
    names.iter().enumerate().filter_map(|(index, name)| {
        let is_repeated = names[..index].iter().any(|other| other.get_ref() == name.get_ref());
        is_repeated.then(|| (name.get_ref().clone(), name.span()))
    })
}

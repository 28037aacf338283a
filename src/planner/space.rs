//! Where replicas may be: the candidates, how far they are from one another, and from the clients.
//!
//! Round trips are those of medians, to the nanosecond, as in [`crate::topology::floor::medians`].
//! The candidates that every placement has come first, the others by their distance from the clients: a
//! search that meets good leaders first has good bounds early.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::quorum::{NodeId, NodeSet};
use crate::topology::{self, Jitter, Links, Profile, Site};

/// Which regions may have replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// These, each as often as it is named.
    These(Vec<String>),
    /// So many regions of these.
    Any {
        /// How many, each number by itself.
        sizes: Vec<usize>,
        /// Those that may be chosen.
        of: Vec<String>,
        /// Those that every placement has.
        must: Vec<String>,
        /// The replicas in each region.
        each: usize,
    },
}

/// Why there is nothing to search.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A region that the profile does not have, or a missing row.
    #[error(transparent)]
    Topology(#[from] topology::Error),
    /// Nobody writes.
    #[error("no client writes, so no placement is better than another")]
    NoClient,
    /// A client region twice.
    #[error("the client region {region} is named twice")]
    ClientTwice {
        /// Which.
        region: String,
    },
    /// A weight that is none.
    #[error(
        "the weight {weight:e} of the client region {region} is no number from {:e} to {:e}",
        WEIGHTS.start(),
        WEIGHTS.end()
    )]
    Weight {
        /// Whose.
        region: String,
        /// The weight given.
        weight: f64,
    },
    /// A placement of nothing, or of more regions than there are.
    #[error("{size} regions cannot be chosen of {count}")]
    Size {
        /// How many are wanted.
        size: usize,
        /// How many there are.
        count: usize,
    },
    /// More regions must be chosen than are.
    #[error("{must} regions must be in a placement of {size}")]
    Must {
        /// How many must.
        must: usize,
        /// How many are wanted.
        size: usize,
    },
    /// Too many replicas.
    #[error("a placement of {n} replicas is too large: {} are supported", NodeSet::CAPACITY)]
    Replicas {
        /// How many.
        n: usize,
    },
    /// Too many candidates.
    #[error("{count} candidate regions are too many: {CANDIDATES_MAX} are supported")]
    Candidates {
        /// How many.
        count: usize,
    },
    /// Jitter of a profile that has none.
    #[error(
        "{profile} does not say how delays vary: it has no percentiles for links between these regions"
    )]
    Calm {
        /// Which profile.
        profile: String,
    },
    /// Two replicas in a region of which only the distance to others is known.
    #[error(
        "two replicas cannot be in {region}: {profile} has no round trip within it; give its file a row \
         {region},{region},… or choose one replica for each region"
    )]
    Within {
        /// Which region.
        region: String,
        /// Of which profile.
        profile: String,
    },
}

/// The most candidates: a place among them is a byte.
pub const CANDIDATES_MAX: usize = 255;

/// What a search runs over.
#[derive(Clone, Debug)]
pub struct Space {
    profile: Profile,
    jitter: Jitter,
    regions: Vec<String>,
    fixed: usize,
    sizes: Vec<usize>,
    copies: Vec<usize>,
    client_regions: Vec<String>,
    weights: Vec<f64>,
    /// From candidate to candidate; within itself on the diagonal.
    round_trips: Vec<u64>,
    /// From candidate (row) to client (column).
    to_clients: Vec<Vec<u64>>,
    /// The mean of that over the clients.
    access: Vec<u64>,
}

impl Space {
    /// The candidates of `choice` with clients of these weights.
    pub fn new(
        profile: &Profile,
        choice: &Choice,
        clients: &[(String, f64)],
        jitter: Jitter,
    ) -> Result<Self, Error> {
        let (names, fixed, sizes) = candidates(choice);
        check_clients(clients)?;
        check_sizes(&names, fixed, &sizes, choice)?;
        let client_regions: Vec<String> = clients.iter().map(|client| client.0.clone()).collect();
        let weights: Vec<f64> = clients.iter().map(|client| client.1).collect();
        // Names that are wrong are all named in one error.
        Links::new(profile, &names, &client_regions, Jitter::None)?;
        if jitter == Jitter::Profile
            && !Links::new(profile, &names, &client_regions, jitter)?.vary()
        {
            return Err(Error::Calm { profile: profile.name().to_owned() });
        }
        let copies = |name: &String| match choice {
            Choice::These(all) => all.iter().filter(|other| *other == name).count(),
            Choice::Any { each, .. } => *each,
        };
        let beside = |name: &String| -> Result<Vec<u64>, Error> {
            let here = vec![name.clone(); copies(name)];
            let links = Links::new(profile, &here, &client_regions, Jitter::None)?;
            let to = |client| links.round_trip(Site::Replica(NodeId(0)), Site::Client(client)).0;
            Ok((0..client_regions.len()).map(to).collect())
        };
        let mut placed: Vec<(String, Vec<u64>)> = Vec::new();
        for name in &names {
            placed.push((name.clone(), beside(name)?));
        }
        let access = |to_clients: &[u64]| mean(to_clients, &weights);
        placed[fixed..].sort_by_key(|(name, to_clients)| (access(to_clients), name.clone()));
        let (regions, to_clients): (Vec<String>, Vec<Vec<u64>>) = placed.into_iter().unzip();
        let copies: Vec<usize> = regions.iter().map(copies).collect();
        for (region, copies) in regions.iter().zip(&copies) {
            if *copies > 1 && !profile.has_round_trip_within(region) {
                let (region, profile) = (region.clone(), profile.name().to_owned());
                return Err(Error::Within { region, profile });
            }
        }
        let round_trips = round_trips(profile, &regions, &copies)?;
        let access = to_clients.iter().map(|row| access(row)).collect();
        Ok(Self {
            profile: profile.clone(),
            jitter,
            regions,
            fixed,
            sizes,
            copies,
            client_regions,
            weights,
            round_trips,
            to_clients,
            access,
        })
    }

    /// The latency data.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whether percentiles are those of links whose delays vary.
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// Whether delays vary.
    pub const fn varies(&self) -> bool {
        matches!(self.jitter, Jitter::Profile)
    }

    /// The candidates.
    pub fn regions(&self) -> &[String] {
        &self.regions
    }

    /// How many of the candidates, from the first, are in every placement.
    pub const fn fixed(&self) -> usize {
        self.fixed
    }

    /// The numbers of regions of a placement, each of which is searched.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// How many replicas a placement of these candidates has in each.
    pub fn copies(&self, candidate: usize) -> usize {
        self.copies[candidate]
    }

    /// The replicas of a placement of so many regions, region by region.
    pub fn replica_sets(&self, size: usize) -> Vec<NodeSet> {
        let mut first = 0;
        let set = |region: usize| {
            let next = first + self.copies[region];
            let nodes = (first..next).map(|node| NodeId(u8::try_from(node).expect("at most 64")));
            first = next;
            nodes.collect()
        };
        // The copies of all candidates are equal, or all of them are chosen.
        (0..size).map(set).collect()
    }

    /// Whether each region has one replica.
    pub fn has_one_each(&self) -> bool {
        self.copies.iter().all(|copies| *copies == 1)
    }

    /// Where clients are.
    pub fn client_regions(&self) -> &[String] {
        &self.client_regions
    }

    /// Whether every client has the same part of the load.
    pub fn is_even(&self) -> bool {
        self.weights.iter().all(|weight| weight.total_cmp(&self.weights[0]).is_eq())
    }

    /// The part of each client in the load.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The round trip between two candidates, or within one, in nanoseconds.
    pub fn round_trip(&self, one: usize, other: usize) -> u64 {
        self.round_trips[one * self.regions.len() + other]
    }

    /// The round trips of a candidate to each client, in nanoseconds.
    pub fn to_clients(&self, candidate: usize) -> &[u64] {
        &self.to_clients[candidate]
    }

    /// Their mean by the weights of the clients.
    pub fn access(&self, candidate: usize) -> u64 {
        self.access[candidate]
    }

    /// The mean of one length for each client by their weights, to the nanosecond.
    pub fn mean(&self, lengths: &[u64]) -> u64 {
        mean(lengths, &self.weights)
    }

    /// How many placements of so many regions there are.
    pub fn placement_count(&self, size: usize) -> u128 {
        binomial(self.regions.len() - self.fixed, size - self.fixed)
    }

    /// The links of replicas at these candidates, in this order.
    pub fn links(&self, replicas: &[usize], jitter: Jitter) -> Result<Links, topology::Error> {
        let names: Vec<String> =
            replicas.iter().map(|region| self.regions[*region].clone()).collect();
        Links::new(&self.profile, &names, &self.client_regions, jitter)
    }
}

/// The candidates, each once, how many of them are fixed, and the numbers to choose.
fn candidates(choice: &Choice) -> (Vec<String>, usize, Vec<usize>) {
    let mut names: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |all: &[String]| {
        names.extend(all.iter().filter(|name| seen.insert((*name).clone())).cloned());
        names.len()
    };
    match choice {
        Choice::These(these) => {
            let count = add(these);
            (names, count, vec![count])
        }
        Choice::Any { sizes, of, must, .. } => {
            let fixed = add(must);
            add(of);
            let mut sizes = sizes.clone();
            sizes.sort_unstable();
            sizes.dedup();
            (names, fixed, sizes)
        }
    }
}

/// The weights of clients: sums of lengths in nanoseconds with these are exact enough, and never overflow.
const WEIGHTS: RangeInclusive<f64> = 1e-6..=1e6;

fn check_clients(clients: &[(String, f64)]) -> Result<(), Error> {
    if clients.is_empty() {
        return Err(Error::NoClient);
    }
    let mut seen = BTreeSet::new();
    for (region, weight) in clients {
        let region = region.clone();
        if !WEIGHTS.contains(weight) {
            return Err(Error::Weight { region, weight: *weight });
        }
        if !seen.insert(region.clone()) {
            return Err(Error::ClientTwice { region });
        }
    }
    Ok(())
}

fn check_sizes(
    names: &[String],
    fixed: usize,
    sizes: &[usize],
    choice: &Choice,
) -> Result<(), Error> {
    let count = names.len();
    if count > CANDIDATES_MAX {
        return Err(Error::Candidates { count });
    }
    for size in sizes {
        if *size == 0 || *size > count {
            return Err(Error::Size { size: *size, count });
        }
        if *size < fixed {
            return Err(Error::Must { must: fixed, size: *size });
        }
        let n = match choice {
            Choice::These(all) => all.len(),
            Choice::Any { each, .. } => size.saturating_mul(*each),
        };
        if n > NodeSet::CAPACITY {
            return Err(Error::Replicas { n });
        }
    }
    if sizes.is_empty() {
        return Err(Error::Size { size: 0, count });
    }
    Ok(())
}

fn round_trips(
    profile: &Profile,
    regions: &[String],
    copies: &[usize],
) -> Result<Vec<u64>, topology::Error> {
    let links = Links::new(profile, regions, &[], Jitter::None)?;
    let site = |index: usize| Site::Replica(NodeId(u8::try_from(index).expect("at most 255")));
    let m = regions.len();
    let mut round_trips = vec![0; m * m];
    for one in 0..m {
        for other in 0..m {
            round_trips[one * m + other] = links.round_trip(site(one), site(other)).0;
        }
        if copies[one] > 1 {
            let leg = profile.one_way(&regions[one], &regions[one], Jitter::None)?;
            round_trips[one * m + one] = leg.median().times(2).0;
        }
    }
    Ok(round_trips)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of round trips of an hour at most"
)]
fn mean(lengths: &[u64], weights: &[f64]) -> u64 {
    let sum: f64 = lengths.iter().zip(weights).map(|(it, weight)| *it as f64 * weight).sum();
    (sum / weights.iter().sum::<f64>()).round() as u64
}

pub(super) fn binomial(n: usize, k: usize) -> u128 {
    if k > n {
        return 0;
    }
    let factor = |product: u128, step: usize| {
        product.saturating_mul((n - step) as u128) / (step as u128 + 1)
    };
    (0..k.min(n - k)).fold(1, factor)
}

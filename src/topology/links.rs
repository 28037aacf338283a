//! The delays of one deployment: one distribution for each direction of each pair that talks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::quorum::NodeId;
use crate::time::Span;

use super::built_in::NATIVE;
use super::delay::Delay;
use super::error::Error;
use super::profile::{Jitter, Profile};

/// The delays between the members of one deployment.
///
/// Replicas talk with one another and with clients; clients do not talk with one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Links {
    /// Where each replica is, by its number.
    pub replica_regions: Vec<String>,
    /// Where each client is, by its index.
    pub client_regions: Vec<String>,
    /// The delays are those of the real links, so that nothing is to be injected.
    is_native: bool,
    /// From replica (row) to replica (column).
    between_replicas: Vec<Vec<Delay>>,
    /// From replica (row) to client (column).
    to_clients: Vec<Vec<Delay>>,
    /// From client (row) to replica (column).
    from_clients: Vec<Vec<Delay>>,
}

/// What the replica of this number is called in a list of all their regions.
pub fn name_in(regions: &[String], node: NodeId) -> String {
    let index = usize::from(node.0);
    let region = &regions[index];
    let there = |regions: &[String]| regions.iter().filter(|other| *other == region).count();
    if there(regions) == 1 {
        region.clone()
    } else {
        format!("{region}#{}", there(&regions[..=index]))
    }
}

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Site {
    /// A replica.
    Replica(NodeId),
    /// A load generator, by its index among the client regions.
    Client(usize),
}

impl Links {
    /// The links between replicas and clients in these regions.
    ///
    /// All unknown regions are named in one error, and so are all missing rows.
    ///
    /// Where names are free, a client whose region is that of exactly one replica stands beside it,
    /// without any delay between the two, as in a measured region of which only the round trips to
    /// others are known.
    /// Of two replicas with that name neither is the nearer one, so both are as far as any other.
    pub fn new(
        profile: &Profile,
        replicas: &[String],
        clients: &[String],
        jitter: Jitter,
    ) -> Result<Self, Error> {
        profile.check_regions(replicas.iter().chain(clients).map(String::as_str))?;
        let mut builder = Builder { profile, jitter, missing: BTreeSet::new() };
        let mut between_replicas = builder.table(replicas, replicas);
        for (node, row) in between_replicas.iter_mut().enumerate() {
            row[node] = Delay::zero();
        }
        let mut to_clients = builder.table(replicas, clients);
        let mut from_clients = builder.table(clients, replicas);
        if profile.accepts_any_region() {
            for (client, region) in clients.iter().enumerate() {
                let mut beside = (0..replicas.len()).filter(|node| replicas[*node] == *region);
                if let (Some(node), None) = (beside.next(), beside.next()) {
                    to_clients[node][client] = Delay::zero();
                    from_clients[client][node] = Delay::zero();
                }
            }
        }
        if !builder.missing.is_empty() {
            return Err(Error::MissingPairs {
                profile: profile.name().to_owned(),
                pairs: builder.missing.into_iter().collect(),
            });
        }
        Ok(Self {
            replica_regions: replicas.to_vec(),
            client_regions: clients.to_vec(),
            is_native: profile.name() == NATIVE,
            between_replicas,
            to_clients,
            from_clients,
        })
    }

    /// The delay of the link from one site to another; none from a site to itself.
    ///
    /// # Panics
    /// If a site does not exist, or both are clients: they have no link.
    pub fn between(&self, from: Site, to: Site) -> &Delay {
        let index = |node: NodeId| usize::from(node.0);
        match (from, to) {
            (Site::Replica(from), Site::Replica(to)) => {
                &self.between_replicas[index(from)][index(to)]
            }
            (Site::Replica(from), Site::Client(to)) => &self.to_clients[index(from)][to],
            (Site::Client(from), Site::Replica(to)) => &self.from_clients[from][index(to)],
            (Site::Client(from), Site::Client(to)) => {
                panic!("clients {from} and {to} have no link: clients talk with replicas only")
            }
        }
    }

    /// What a replica is called: its region; `us-east-1#2` is the second of several replicas there.
    pub fn replica_name(&self, node: NodeId) -> String {
        name_in(&self.replica_regions, node)
    }

    /// Whether these delays are those of the real links: they are known, and not injected.
    pub const fn is_native(&self) -> bool {
        self.is_native
    }

    /// Whether any link has a delay.
    pub fn has_delay(&self) -> bool {
        let tables = [&self.between_replicas, &self.to_clients, &self.from_clients];
        tables.into_iter().flatten().flatten().any(|delay| !delay.is_zero())
    }

    /// The round trip of medians: the sum of both directions'; zero from a site to itself.
    ///
    /// Where delays vary, that is slightly less than the median of round trips, which is the published
    /// one: for two exponential delays 1.39 scales beside 1.68.
    pub fn round_trip(&self, a: Site, b: Site) -> Span {
        if a == b {
            return Span::ZERO;
        }
        self.between(a, b).median() + self.between(b, a).median()
    }

    /// Whether the delay of any link varies.
    pub fn vary(&self) -> bool {
        let tables = [&self.between_replicas, &self.to_clients, &self.from_clients];
        tables.into_iter().flatten().flatten().any(|delay| !delay.is_constant())
    }

    /// How far a slow message is behind a usual one, on the link where that is most: the p99.5 of a
    /// delay above its median, because the p99 of a round trip is that of one slow leg.
    pub fn longest_tail(&self) -> Span {
        let tables = [&self.between_replicas, &self.to_clients, &self.from_clients];
        let tail = |delay: &Delay| delay.quantile(0.995) - delay.median();
        tables.into_iter().flatten().flatten().map(tail).max().unwrap_or_default()
    }

    /// Another delay for each link.
    #[cfg(test)]
    pub(super) fn map(&mut self, to: impl Fn(&Delay) -> Delay) {
        let tables = [&mut self.between_replicas, &mut self.to_clients, &mut self.from_clients];
        for delay in tables.into_iter().flatten().flatten() {
            *delay = to(delay);
        }
    }

    /// The replicas, in order.
    pub fn replicas(&self) -> impl Iterator<Item = NodeId> {
        (0..self.replica_regions.len())
            .map(|index| NodeId(u8::try_from(index).expect("a deployment has at most 64 replicas")))
    }
}

/// Looks rows up, and remembers those that are missing.
struct Builder<'a> {
    profile: &'a Profile,
    jitter: Jitter,
    missing: BTreeSet<(String, String)>,
}

impl Builder<'_> {
    fn table(&mut self, from: &[String], to: &[String]) -> Vec<Vec<Delay>> {
        from.iter().map(|from| to.iter().map(|to| self.delay(from, to)).collect()).collect()
    }

    fn delay(&mut self, from: &str, to: &str) -> Delay {
        self.profile.delay(from, to, self.jitter).unwrap_or_else(|| {
            self.missing.insert((from.to_owned(), to.to_owned()));
            Delay::zero()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R0: Site = Site::Replica(NodeId(0));
    const R1: Site = Site::Replica(NodeId(1));
    const C0: Site = Site::Client(0);

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn links(profile: &str, replicas: &[&str], clients: &[&str]) -> Links {
        let profile = Profile::load(profile).unwrap();
        Links::new(&profile, &names(replicas), &names(clients), Jitter::None).unwrap()
    }

    fn refused(csv: &str, replicas: &[&str], clients: &[&str]) -> String {
        let profile = Profile::from_csv("t.csv", csv).unwrap();
        Links::new(&profile, &names(replicas), &names(clients), Jitter::None)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn each_direction_keeps_its_own_row() {
        let links = links("aws-2025-07", &["us-east-1", "us-west-2"], &["eu-west-1"]);
        assert_eq!(links.between(R0, R1).median(), Span(32_209_500));
        assert_eq!(links.between(R1, R0).median(), Span(32_015_500));
        assert_eq!(links.between(C0, R1).median(), Span(118_550_000 / 2));
        assert_eq!(links.between(R1, C0).median(), Span(118_292_000 / 2));
        assert_eq!(links.round_trip(R0, R1), Span(64_225_000));
        assert_eq!(links.round_trip(R1, C0), links.round_trip(C0, R1));
    }

    #[test]
    fn a_site_is_at_no_distance_from_itself_but_two_sites_of_one_region_are() {
        let links = links("uniform:20ms", &["x", "x"], &["x"]);
        assert_eq!(links.round_trip(R0, R0), Span::ZERO);
        assert!(links.between(R0, R0).is_zero());
        assert_eq!(links.round_trip(C0, C0), Span::ZERO);
        assert_eq!(links.round_trip(R0, R1), Span::from_millis(20));
        assert_eq!(links.round_trip(C0, R0), Span::from_millis(20));
    }

    #[test]
    fn where_names_are_free_a_client_stands_beside_the_one_replica_of_its_name() {
        let links = links("uniform:20ms", &["r0", "r1"], &["r0", "elsewhere"]);
        assert_eq!(links.round_trip(C0, R0), Span::ZERO);
        assert!(links.between(R0, C0).is_zero() && links.between(C0, R0).is_zero());
        assert_eq!(links.round_trip(C0, R1), Span::from_millis(20));
        assert_eq!(links.round_trip(Site::Client(1), R0), Span::from_millis(20));
    }

    #[test]
    fn all_missing_rows_are_named_at_once_and_each_once() {
        let message = refused("from,to,rtt_ms\na,b,1\nb,c,1\nc,a,1\n", &["a", "b"], &["c", "c"]);
        assert!(message.contains("no row a -> c, nor b -> a, nor c -> b: add it"), "{message}");
    }

    #[test]
    fn a_pair_of_clients_needs_no_row() {
        let csv = "from,to,rtt_ms\na,r,1\nr,a,1\nb,r,2\nr,b,2\n";
        let profile = Profile::from_csv("t.csv", csv).unwrap();
        let links =
            Links::new(&profile, &names(&["r"]), &names(&["a", "b"]), Jitter::None).unwrap();
        assert_eq!(links.round_trip(Site::Client(1), R0), Span::from_millis(2));
    }

    #[test]
    fn all_unknown_regions_are_named_at_once() {
        let message =
            refused("from,to,rtt_ms\neast,west,1\n", &["east", "wset", "mars"], &["mars"]);
        assert!(message.contains("no region \"wset\" (did you mean"), "{message}");
        assert_eq!(message.matches("no region \"mars\"").count(), 1, "{message}");
    }

    #[test]
    fn links_that_were_measured_are_known_and_not_injected() {
        let csv = "from,to,rtt_ms\na,b,30\nb,a,32\na,a,0.1\n";
        let measured = Profile::from_csv(NATIVE, csv).unwrap();
        let regions = names(&["a", "b"]);
        let links = Links::new(&measured, &regions, &names(&["a"]), Jitter::None).unwrap();
        assert!(links.is_native() && links.has_delay());
        assert_eq!(links.round_trip(R0, R1), Span::from_millis(31));
        assert!(!self::links("uniform:20ms", &["a"], &["a"]).is_native());
    }

    #[test]
    fn links_survive_a_journey() {
        let profile = Profile::load("aws-2024-04").unwrap();
        let regions = names(&["us-east-1", "eu-west-1"]);
        let links = Links::new(&profile, &regions, &regions, Jitter::Profile).unwrap();
        let bytes = postcard::to_stdvec(&links).unwrap();
        assert_eq!(postcard::from_bytes::<Links>(&bytes).unwrap(), links);
        let calm = Links::new(&profile, &regions, &regions, Jitter::None).unwrap();
        assert!(links.vary() && !calm.vary());
        assert_eq!(calm.longest_tail(), Span::ZERO);
        let tail = links.longest_tail();
        assert!(tail > Span::from_millis(1) && tail < Span::from_millis(20), "{tail}");
    }
}

//! Everything that a trial runs with but its variant's own and its chance: whatever may be swept.

use std::path::PathBuf;

use crate::deployment::{Durability, Network, Scheduled};
use crate::experiment::file::Spanned;
use crate::protocol::{Election, Retention, SendPolicy};
use crate::quorum::{NodeId, QuorumSystem};
use crate::registry::Mode;
use crate::runtime::net::Transport;
use crate::runtime::wan::Precision;
use crate::sim;
use crate::time::Span;
use crate::topology::{Floor, Links, NATIVE};
use crate::trial::Probe;
use crate::workload::{Control, Workload};

use super::simulated::Simulated;
use super::{feasibility, strain};

/// The warm-up of a file that names none: leaders are elected and windows open within a second.
pub(super) const WARMUP: Span = Span::from_millis(2_000);

/// The time for outstanding operations of a file that names none: some retries at any round trip.
pub(super) const DRAIN: Span = Span::from_millis(5_000);

/// One combination of the settings that are swept, and all that follows from it.
#[derive(Clone, Debug)]
pub struct Point {
    /// `clients=16 mode=fsync`; empty where nothing is swept.
    pub label: String,
    /// What is swept: the dotted path of each key in the file, and its value here, as text.
    pub settings: Vec<(String, String)>,
    /// The latency profile, as given.
    pub profile: String,
    /// Its file, if it is one.
    pub profile_file: Option<PathBuf>,
    /// The delays between replicas and clients, and their regions.
    pub links: Links,
    /// What emulated round trips miss of the published percentiles, as a sentence; empty if nothing.
    pub misses: String,
    /// How members send to one another; of this the simulator knows the streams, a window and a time-out.
    pub transport: Transport,
    /// How precisely live links delay.
    pub precision: Precision,
    /// How the links are measured before a live trial.
    pub probe: Probe,
    /// What is compared; every point has the same number of them.
    pub variants: Vec<Variant>,
    /// What clients do.
    pub workload: Workload,
    /// What they ask beside it that takes no quorum, if anything.
    pub control: Option<Control>,
    /// The clock of each replica is off by this at most.
    pub clock_error: Span,
    /// What a replica keeps through a crash.
    pub durability: Durability,
    /// Who campaigns.
    pub election: Election,
    /// How much of the log is kept.
    pub retention: Retention,
    /// What links do besides delaying.
    pub network: Network,
    /// What the simulator is told beside the deployment.
    pub sim: sim::Settings,
    /// Whether the file itself says what work costs.
    pub has_service: bool,
    /// Whether the file itself says what work costs on a machine that members share, beside that.
    pub has_host_costs: bool,
    /// The time before the measurement.
    pub warmup: Span,
    /// The time that is measured.
    pub duration: Span,
    /// The time that outstanding operations are given after it.
    pub drain: Span,
    /// The length of an interval of the timeline.
    pub interval: Span,
    /// A client asks again after so long without an answer.
    pub retry_after: Span,
    /// What the live backend cannot do of it.
    pub(super) simulated: Option<Simulated>,
}

/// One of the things compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What it is called.
    pub name: String,
    /// Who may propose.
    pub mode: Mode,
    /// Which sets of replicas finish a phase.
    pub quorums: QuorumSystem,
    /// Whom a proposer contacts.
    pub send: SendPolicy,
    /// Whether it runs although a phase-1 and a phase-2 quorum may be disjoint.
    pub unsafe_quorums: bool,
    /// The least commit latency of each client, in the order of the client regions.
    pub floors: Vec<Floor>,
    /// The same of its reads.
    pub read_floors: Vec<Floor>,
    /// The same of its control operations.
    pub control_floors: Vec<Floor>,
    /// What goes wrong: the faults of the file, by their time, and then those by progress.
    pub faults: Vec<Scheduled>,
}

/// Whether a switch is given, and on.
pub(super) fn is_set(typed: Option<&Spanned<bool>>) -> bool {
    typed.is_some_and(|typed| *typed.get_ref())
}

impl Point {
    /// Whether nothing is injected: the links are what they are.
    pub fn is_native(&self) -> bool {
        self.profile == NATIVE
    }

    /// What is impossible, does nothing or is too much here, with the variants in which it is.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        for variant in &self.variants {
            let name = format!("`{}`", variant.name);
            for text in feasibility::of(self, variant).into_iter().chain(strain::of(self, variant))
            {
                match all.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, names)) if names.last() == Some(&name) => {}
                    Some((_, names)) => names.push(name.clone()),
                    None => all.push((text, vec![name.clone()])),
                }
            }
        }
        let line = |(text, names): (String, Vec<String>)| {
            let plural = if names.len() == 1 { "" } else { "s" };
            format!("variant{plural} {}: {text}", names.join(", "))
        };
        all.into_iter().map(line).collect()
    }

    /// The region of a replica.
    pub fn region(&self, node: NodeId) -> &str {
        &self.links.replica_regions[usize::from(node.0)]
    }
}

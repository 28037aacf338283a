//! What came of one trial: every member's report, its files, and what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{ProbedNetwork, Report, RoleReport};
use crate::client::Report as ClientReport;
use crate::deployment::{FaultKind, InjectedFault, MemberName};
use crate::measure::Milestone;
use crate::runtime::replica::{Recovery, Report as ReplicaReport};
use crate::runtime::storage::Break;
use crate::runtime::wan::sabotage::Rule;
use crate::time::Span;

/// What came of one trial.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The reports of the members that made one.
    pub reports: BTreeMap<MemberName, Report>,
    /// The files of each member: the logs of a replica, one a start; the history of a client.
    /// Those of a member that was killed or lost are what it left behind, and may be cut off.
    pub files: BTreeMap<MemberName, Vec<PathBuf>>,
    /// What each replica found on its disk, at each start.
    pub recoveries: BTreeMap<MemberName, Vec<Recovery>>,
    /// Members that were lost without being told to, and what is known of the cause.
    pub lost: BTreeMap<MemberName, String>,
    /// Of these, the members that were lost with a host whose loss is part of the experiment.
    pub expended: BTreeSet<MemberName>,
    /// What each replica said of leadership in all its starts, also those that were killed.
    pub milestones: BTreeMap<MemberName, Vec<Milestone>>,
    /// The faults that were carried out, in the order in which they began.
    pub injected: Vec<InjectedFault>,
    /// Assertions of the protocol that broke.
    pub violations: Vec<String>,
    /// What the probe found; `None` where the links were not measured.
    pub network: Option<ProbedNetwork>,
    /// What was wrong with the link emulation on purpose.
    pub broken: Option<Rule>,
    /// Whose disk was broken on purpose, and how.
    pub broken_disk: Option<Break>,
    /// How far off the coordinator's clock that of each member may have been; without those that read the same
    /// clock.
    pub clock_errors: BTreeMap<MemberName, Span>,
    /// The host of each member that did not run on the coordinator's.
    pub hosts: BTreeMap<MemberName, String>,
    /// The cores of these hosts together; `None` where all members ran on the coordinator's.
    pub core_count: Option<usize>,
    /// A fault took effect at most so long after the instant that it is said to have begun.
    pub fault_delay: Span,
    /// Strangers that the coordinator refused.
    pub refused_count: u64,
}

impl Outcome {
    /// Whether every member made its report, but for those that the experiment lets be lost.
    pub fn is_complete(&self) -> bool {
        self.lost.keys().all(|member| self.expended.contains(member)) && self.violations.is_empty()
    }

    /// How far apart two clocks of members may be whose instants are compared: what the two worst are off
    /// together; `None` where all members read one clock.
    pub fn clocks_apart(&self) -> Option<Span> {
        let mut errors: Vec<Span> = self.clock_errors.values().copied().collect();
        errors.sort_unstable_by(|one, other| other.cmp(one));
        errors.into_iter().take(2).reduce(|one, other| one + other)
    }

    /// Whether a fault let this member stand still: what it did not read meanwhile was its own doing.
    pub fn was_paused(&self, member: MemberName) -> bool {
        self.injected.iter().any(|injected| match injected.kind {
            FaultKind::Pause { replica } => MemberName::Replica(replica) == member,
            _ => false,
        })
    }

    /// Why the trial did not run, if its links kept it from doing so.
    pub fn refusal(&self) -> Option<String> {
        self.network.as_ref().and_then(ProbedNetwork::refusal)
    }

    /// The reports of the replicas.
    pub fn replicas(&self) -> impl Iterator<Item = (MemberName, &ReplicaReport)> {
        self.reports.iter().filter_map(|(member, report)| match &report.role {
            RoleReport::Replica(replica) => Some((*member, replica)),
            RoleReport::Client(_) => None,
        })
    }

    /// The reports of the client regions.
    pub fn clients(&self) -> impl Iterator<Item = (MemberName, &ClientReport)> {
        self.reports.iter().filter_map(|(member, report)| match &report.role {
            RoleReport::Client(client) => Some((*member, client)),
            RoleReport::Replica(_) => None,
        })
    }
}

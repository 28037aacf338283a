//! The two worlds in which a trial can run.
//!
//! Both answer with the same [`Outcome`], so the check, the rows and the tables know nothing of where
//! a trial ran.

use std::net::SocketAddr;
use std::path::Path;

use super::simulated::Unwritten;
use super::{deploy, simulated};
use crate::calibration::Calibration;
use crate::cluster::{self, Interrupt, Launcher, Progress, Settings, Timeouts};
use crate::deployment::{Durability, FaultKind, Scheduled};
use crate::experiment::plan::{Plan, Point, Variant};
use crate::experiment::trial::Trial;
use crate::protocol::Election;
use crate::quorum::{NodeId, NodeSet};
use crate::runtime::net::{carrier, namespace};
use crate::runtime::storage::Break;
use crate::runtime::wan::sabotage::Rule;
use crate::sim::{self, Costs, Service};
use crate::time::Span;
use crate::topology::floor::{Floor, floors, read_floors};
use crate::trial::{Backend, Outcome};
use crate::workload::Arrival;

/// In which worlds a run happens; in both, the simulation comes first.
pub struct Worlds<'a> {
    /// Virtual time, on so many threads.
    pub sim: Option<usize>,
    /// Real replicas.
    pub live: Option<Live<'a>>,
}

impl Worlds<'_> {
    /// The switches of the command line that a trial depends on, and how they are set.
    pub fn switches(&self) -> Vec<(&'static str, String)> {
        let names: Vec<&str> = self.backends().into_iter().map(Backend::name).collect();
        let mut switches = vec![("--backend", names.join("+"))];
        if let Some(live) = &self.live {
            let given = |is_given: bool| if is_given { "given" } else { "absent" }.to_owned();
            switches.extend([
                ("--launcher", live.launcher.name().to_owned()),
                ("--listen", live.listen.to_string()),
                ("--no-probe", given(!live.probes)),
                ("--break-network", word(live.broken.map(Rule::name))),
                ("--break-disk", word(live.broken_disk)),
            ]);
            let hosts: Vec<String> =
                live.launcher.hosts().into_iter().map(|(host, _)| host).collect();
            if !hosts.is_empty() {
                switches.push(("--hosts", hosts.join(" ")));
            }
        }
        switches
    }

    /// Which they are.
    pub fn backends(&self) -> Vec<Backend> {
        let sim = self.sim.map(|_| Backend::Sim);
        let live = self.live.as_ref().map(|_| Backend::Live);
        sim.into_iter().chain(live).collect()
    }
}

/// What is set, or that nothing is.
fn word(set: Option<impl ToString>) -> String {
    set.map_or_else(|| "absent".to_owned(), |set| set.to_string())
}

/// What real replicas need.
pub struct Live<'a> {
    /// Starts the members.
    pub launcher: &'a mut dyn Launcher,
    /// Where the coordinator listens.
    pub listen: SocketAddr,
    /// How long it waits for members.
    pub timeouts: Timeouts,
    /// What the machine adds by itself, for the manifest.
    pub calibration: Option<Calibration>,
    /// Whether the links are measured before each trial.
    pub probes: bool,
    /// What is wrong with the link emulation on purpose.
    pub broken: Option<Rule>,
    /// Whose disk is broken on purpose, and how.
    pub broken_disk: Option<Break>,
}

impl Live<'_> {
    /// Runs one trial; members keep their files in `work`.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        trial: &Trial,
        work: &Path,
        interrupt: &Interrupt,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Outcome, cluster::Error> {
        let deployment = deploy::deployment(plan, trial);
        let settings = Settings {
            listen: self.listen,
            folder: work,
            timeouts: self.timeouts,
            transport: plan.point(trial).transport.clone(),
            precision: plan.point(trial).precision,
            probe: self.probes.then_some(plan.point(trial).probe),
            broken: self.broken,
            broken_disk: self.broken_disk,
        };
        cluster::run_trial(&deployment, &settings, self.launcher, interrupt, progress)
    }
}

/// Whether this host can carry what the plan's live trials ask of it; leaves nothing behind.
pub fn check_host(plan: &Plan) -> Result<(), namespace::Error> {
    plan.points.iter().try_for_each(|point| carrier::check(&point.transport))
}

/// The variant, and its point, that a simulation never gets to the end of: a closed loop goes on at once where an
/// operation takes no time.
pub fn endless(plan: &Plan) -> Option<String> {
    plan.points.iter().find_map(|point| {
        let takes_time = |settings: &sim::Settings| {
            let Service { receive, send, sync, .. } = settings.service;
            let sync = if point.durability == Durability::Fsync { sync } else { Span::ZERO };
            let Costs { wake_up, packet, .. } =
                settings.host.map(|host| host.costs).unwrap_or_default();
            [receive, send, sync, wake_up, packet].iter().any(|span| *span != Span::ZERO)
        };
        let is_closed = matches!(point.workload.arrival, Arrival::Closed { .. });
        if !is_closed || takes_time(&point.sim) || point.network.capacity().is_limited() {
            return None;
        }
        let at =
            if point.label.is_empty() { String::new() } else { format!(" at {}", point.label) };
        point.variants.iter().find_map(|it| {
            if is_at_once(point, &it.floors, &it.read_floors) {
                return Some(format!("{}{at}", it.name));
            }
            let leader = leaders(point, it).find(|leader| {
                let mode = it.mode.led_by(*leader);
                let memory = point.network.correlation;
                let writes = floors(&point.links, mode, &it.quorums, it.send, memory);
                let reads = read_floors(&point.links, mode, &it.quorums, it.send, memory);
                is_at_once(point, &writes, &reads)
            })?;
            Some(format!("{}{at}, where {leader} leads after a fault,", it.name))
        })
    })
}

/// Whether some client's operations, of which these are the floors, take no time.
fn is_at_once(point: &Point, writes: &[Floor], reads: &[Floor]) -> bool {
    let share = point.workload.reads;
    writes.iter().zip(reads).any(|(write, read)| {
        (share >= 1.0 || write.p50 == Span::ZERO) && (share <= 0.0 || read.p50 == Span::ZERO)
    })
}

/// The replicas that may lead after a fault.
fn leaders(point: &Point, variant: &Variant) -> impl Iterator<Item = NodeId> {
    let is_told = |fault: &Scheduled| matches!(fault.kind, FaultKind::Campaign { .. });
    let is_elected = matches!(point.election, Election::Timeout(_)) && !variant.faults.is_empty();
    let may_change = is_elected || variant.faults.iter().any(is_told);
    let candidates = if may_change { variant.quorums.candidates() } else { NodeSet::EMPTY };
    candidates.iter()
}

/// Runs one trial in virtual time; its histories are written to `work`. Nothing came of it if the user
/// wants no more.
pub(super) fn simulate(
    plan: &Plan,
    trial: &Trial,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Option<Outcome>, Unwritten> {
    let deployment = deploy::deployment(plan, trial);
    let settings = &plan.point(trial).sim;
    let histories = simulated::Histories::begin(work)?;
    let spool = Box::new(histories.clone());
    // A disk that is full would not be less so at the end of the trial.
    let is_enough = || interrupt.is_asked() || histories.borrow().has_failed();
    let ended = sim::run_trial_unless(&deployment, settings, Some(spool), &is_enough);
    histories.borrow_mut().check()?;
    ended.map(|outcome| simulated::outcome(outcome, &histories)).transpose()
}

//! The highest rate that a machine holds: a run that decides after each trial which rate comes next.
//!
//! Every variant at every point of the experiment has a [`search`] of its own.
//! A round runs the next step of each search that goes on, one variant after the other, so a machine that
//! changes in the course of a run changes for all of them; which variant is first moves on with every round.
//! A step is a trial of a plan that grows, so its tables, histories and checks are those of any run.
//! What comes next follows from the trials that are finished and nothing else: a run that is resumed finds the
//! same steps.
//!
//! | file | content |
//! |---|---|
//! | [`search`] | the next rate, and what was found |
//! | [`held`] | whether a trial held its rate |

pub mod held;
pub mod search;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::configuration::Identity;
use super::ledger::Ledger;
use super::provenance::Provenance;
use super::worlds::Worlds;
use super::{Ending, Error, Event, Summary, Work};
use crate::cluster::Interrupt;
use crate::compare::Conclusions;
use crate::experiment::plan::{Plan, Point};
use crate::experiment::trial::Trial;
use crate::findings::Finished;
use crate::measure::rows::{CapacityRow, Flag, KneeRow};
use crate::measure::{Latencies, Store, Summary as Percentiles, store};
use crate::runtime::wan::Scheduling;
use crate::trial::Backend;
use held::{Criteria, held};
use search::{Bounds, Search, Step, is_same};

/// The table of the steps within a results folder.
pub const STEPS: &str = "capacity.csv";

/// The table of what was found.
pub const KNEES: &str = "knees.csv";

/// A trial that the probe refuses says nothing about its rate: after so many in turn the search is given up.
const REFUSALS_MAX: u32 = 3;

/// What to search, and where.
pub struct Capacity<'a> {
    /// The experiment: the open loop of each of its points is searched. Its own trials do not run.
    pub plan: &'a Plan,
    /// Where the numbers come from, for the manifest.
    pub provenance: Provenance,
    /// The folder of the results, and what is finished.
    pub ledger: Ledger,
    /// The one world in which it runs.
    pub worlds: Worlds<'a>,
    /// Whether the user wants the run to end.
    pub interrupt: Interrupt,
    /// Where the searches begin and end.
    pub bounds: Bounds,
    /// When a rate is held.
    pub criteria: Criteria,
}

/// What is told while it runs.
#[derive(Debug)]
pub enum Told<'a> {
    /// How a trial goes.
    Trial(&'a Plan, &'a Event<'a>),
    /// A step ended.
    Step(&'a CapacityRow),
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Every trial that ran, the steps of each search in their order.
    pub steps: Vec<CapacityRow>,
    /// A row for each search.
    pub knees: Vec<KneeRow>,
}

/// Writes into the folder what people read of a plan that has grown.
pub type Report<'a> = &'a dyn Fn(
    &Plan,
    &Found,
    &Store,
    &[Finished],
    &[Scheduling],
    &Conclusions,
) -> Result<(), store::Error>;

/// The search of one variant at one point of the experiment.
struct Curve<'a> {
    /// The position of the point.
    point: usize,
    variant: usize,
    search: Search,
    steps: Vec<CapacityRow>,
    /// The latencies of each step.
    latencies: Vec<Latencies>,
    /// What they are beyond the floors.
    beyond: Vec<Latencies>,
    refusals: u32,
    criteria: &'a Criteria,
}

impl Capacity<'_> {
    /// Searches; `tell` hears how it goes, and `report` writes its files before the manifest.
    pub fn run(
        self,
        tell: &(dyn Fn(&Told<'_>) + Sync),
        report: Report<'_>,
    ) -> (Summary, Plan, Found) {
        let Self { plan, provenance, mut ledger, mut worlds, interrupt, bounds, criteria } = self;
        let identity = Identity::of(plan, &provenance, &worlds);
        let mut grown = Plan { repeats: bounds.repeats + 1, ..plan.without_trials() };
        let mut curves = curves(plan, bounds, &criteria);
        let mut ended = Ok(());
        for round in 0.. {
            let steps = next_steps(plan, &mut grown, &mut curves, round);
            if steps.is_empty() {
                break;
            }
            if let Err(error) = ledger.extend(&grown, &worlds) {
                ended = Err(error.into());
                break;
            }
            (ledger, ended) = run_round(&grown, ledger, &mut worlds, &interrupt, &steps, tell);
            for (curve, step, trial) in &steps {
                let backend = worlds.backends()[0];
                let part = ledger
                    .parts()
                    .find(|part| part.trial.index == trial.index && part.backend == backend);
                if let Some(part) = part {
                    let row = curves[*curve].take(*step, &Finished::of(part));
                    tell(&Told::Step(row));
                }
            }
            // The steps that ended are on disk, however the run ends.
            let found = found(plan, &curves, &worlds);
            let written = write(ledger.store(), &found);
            ended = ended.and(written.map_err(Error::from));
            if ended.is_err() {
                break;
            }
        }
        let found = found(plan, &curves, &worlds);
        let (looks, simulation, is_fixed) = (BTreeMap::new(), None, false);
        let ending = Ending {
            plan: &grown,
            provenance,
            ledger,
            worlds,
            identity,
            looks,
            simulation,
            is_fixed,
        };
        let summary = ending.conclude(ended, &|store, finished, scheduling, conclusions| {
            report(&grown, &found, store, finished, scheduling, conclusions)
        });
        (summary, grown, found)
    }
}

/// A search for each variant at each point.
fn curves<'a>(plan: &Plan, bounds: Bounds, criteria: &'a Criteria) -> Vec<Curve<'a>> {
    let of_point = |(point, of): (usize, &Point)| {
        (0..of.variants.len()).map(move |variant| Curve {
            point,
            variant,
            search: Search::new(bounds),
            steps: Vec::new(),
            latencies: Vec::new(),
            beyond: Vec::new(),
            refusals: 0,
            criteria,
        })
    };
    plan.points.iter().enumerate().flat_map(of_point).collect()
}

/// The next step of every search that goes on, each as a trial of the plan.
fn next_steps(
    plan: &Plan,
    grown: &mut Plan,
    curves: &mut [Curve<'_>],
    round: usize,
) -> Vec<(usize, Step, Trial)> {
    let mut steps = Vec::new();
    for place in 0..curves.len() {
        let index = (place + round) % curves.len();
        let curve = &curves[index];
        let Some(step) = curve.next() else { continue };
        let point = &plan.points[curve.point];
        // The repeats of a rate have seeds of their own.
        let is_of_rate = |row: &&CapacityRow| is_same(row.asked_per_s, step.rate_per_s);
        let repeat = curve.steps.iter().filter(is_of_rate).count();
        let trial = grown.offer(point, step.rate_per_s, curve.variant, repeat);
        steps.push((index, step, trial));
    }
    steps
}

/// Runs the trials of one round that are not finished.
fn run_round(
    plan: &Plan,
    ledger: Ledger,
    worlds: &mut Worlds<'_>,
    interrupt: &Interrupt,
    steps: &[(usize, Step, Trial)],
    tell: &(dyn Fn(&Told<'_>) + Sync),
) -> (Ledger, Result<(), Error>) {
    let backend = worlds.backends()[0];
    let open = steps.iter().map(|(_, _, trial)| trial);
    let open: Vec<&Trial> = open.filter(|trial| !ledger.has(trial, backend)).collect();
    let tell = |event: &Event<'_>| tell(&Told::Trial(plan, event));
    let work = Work {
        plan,
        interrupt: interrupt.clone(),
        ledger: Mutex::new(ledger),
        tell: &tell,
        command_count: AtomicU64::new(0),
        until: None,
        looks: Mutex::default(),
    };
    let ended = match (worlds.sim, &mut worlds.live) {
        (Some(threads), _) => work.simulate_open(threads, &open),
        (None, Some(live)) => open.iter().try_for_each(|trial| work.deploy_one(live, trial)),
        (None, None) => Ok(()),
    };
    (work.into_ledger(), ended)
}

impl Curve<'_> {
    fn next(&self) -> Option<Step> {
        if self.refusals >= REFUSALS_MAX { None } else { self.search.next() }
    }

    /// Takes in how a step ended.
    fn take(&mut self, step: Step, ended: &Finished) -> &CapacityRow {
        let mut latencies = Latencies::new();
        let mut beyond = Latencies::new();
        for of_region in &ended.measured {
            latencies.merge(&of_region.load());
            beyond.merge(&of_region.load_beyond_floors());
        }
        let misses = held(ended, &latencies, self.criteria);
        if ended.row.has(Flag::Refused) {
            self.refusals += 1;
        } else {
            self.refusals = 0;
            self.search.tell(misses.is_empty());
        }
        let above_floor_ns_p50 = Percentiles::of(&beyond).p50;
        let row = row(step, ended, &latencies, &misses);
        self.steps.push(CapacityRow { above_floor_ns_p50, ..row });
        self.latencies.push(latencies);
        self.beyond.push(beyond);
        self.steps.last().expect("a row was added")
    }

    /// What was found so far.
    fn knee(&self, plan: &Plan, backend: Backend) -> KneeRow {
        let (point, knee) = (&plan.points[self.point], self.search.knee());
        let mut row = KneeRow {
            point: point.label.clone(),
            variant: point.variants[self.variant].name.clone(),
            backend: backend.name().to_owned(),
            verdict: knee.verdict.code().to_owned(),
            limit_ns_p99: self.criteria.p99_max.map(|limit| limit.0),
            within_share: self.search.within(),
            ..KneeRow::default()
        };
        let achieved = self.steps.iter().filter_map(|step| step.achieved_per_s);
        row.most_achieved_per_s = achieved.max_by(f64::total_cmp);
        if let Some(rate) = knee.missed {
            row.missed_per_s = Some(rate.per_s);
            (row.missed_count, row.missed_trial_count) = (rate.agreed, rate.count);
        }
        if let Some(rate) = knee.held {
            row.held_per_s = Some(rate.per_s);
            (row.held_count, row.held_trial_count) = (rate.agreed, rate.count);
            let merged = |of: &[Latencies]| {
                let steps = self.steps.iter().zip(of);
                let of_rate = steps.filter(|(step, _)| is_same(step.asked_per_s, rate.per_s));
                Percentiles::of(&of_rate.map(|(_, latencies)| latencies).collect())
            };
            let found = merged(&self.latencies);
            (row.latency_ns_p50, row.latency_ns_p99) = (found.p50, found.p99);
            row.above_floor_ns_p50 = merged(&self.beyond).p50;
        }
        row
    }
}

/// The row of a step.
fn row(step: Step, ended: &Finished, latencies: &Latencies, misses: &[&str]) -> CapacityRow {
    let (of, found) = (&ended.row, Percentiles::of(latencies));
    CapacityRow {
        trial: of.trial,
        variant: of.variant.clone(),
        point: of.point.clone(),
        backend: of.backend.clone(),
        stage: step.stage.code().to_owned(),
        asked_per_s: step.rate_per_s,
        repetition: of.repetition,
        held: misses.is_empty(),
        miss_codes: misses.join(";"),
        offered_per_s: of.offered_per_s,
        achieved_per_s: of.achieved_per_s,
        latency_ns_p50: found.p50,
        above_floor_ns_p50: None,
        latency_ns_p90: found.p90,
        latency_ns_p99: found.p99,
        latency_ns_p999: found.p999,
        no_idle_core_share: of.no_idle_core_share,
    }
}

/// The rows of all searches.
fn found(plan: &Plan, curves: &[Curve<'_>], worlds: &Worlds<'_>) -> Found {
    let backend = worlds.backends()[0];
    Found {
        steps: curves.iter().flat_map(|curve| curve.steps.iter().cloned()).collect(),
        knees: curves.iter().map(|curve| curve.knee(plan, backend)).collect(),
    }
}

fn write(store: &Store, found: &Found) -> Result<(), store::Error> {
    store.write_csv(STEPS, &found.steps)?;
    store.write_csv(KNEES, &found.knees)?;
    Ok(())
}

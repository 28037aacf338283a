//! `flexpaxos capacity`: the highest rate that is held, and latency against throughput.

mod options;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::output;
use super::overrides::Overrides;
use super::progress::Clock;
use super::run::{self as running, Printed};
use super::venue::{CALIBRATING, Place, Venue, unusable};
use super::{Exit, Failure};
use crate::cluster::Timeouts;
use crate::experiment::plan::Plan;
use crate::findings::Finished;
use crate::measure::rows::CapacityRow;
use crate::report::capacity as tables;
use crate::report::outline::Outline;
use crate::report::table::{Width, line};
use crate::run::capacity::search::Verdict;
use crate::run::capacity::{Capacity as Search, Found, Told, held::Criteria};
use crate::run::ledger::Ledger;
use crate::run::provenance::Provenance;
use crate::run::worlds::{Live, Worlds};
use crate::run::{Event, Summary};
use crate::time::Span;

/// Finds the highest rate that an experiment with an open loop holds, for each variant, and prints latency
/// against throughput.
///
/// The offered rate is doubled until it is not held, and then halved between the last two until they are near one
/// another. Every rate is one short trial, and the variants take turns. At last both ends are repeated: a knee
/// that the repeats contradict is `not-confirmed`. The capacity is the interval between the highest rate that was
/// held and the lowest above it that was not.
///
/// A rate is held if its trial is valid and complete, achieves 99 % of what it is offered, keeps below
/// --p99-max, and is not `saturated` for another reason, such as members that wait for a processor.
///
/// Results go to a new folder as those of `run` do, with the steps in capacity.csv and the knees in knees.csv:
/// `show`, `report`, `compare` and `verify` read it. Ctrl-C leaves the finished steps on disk, and --resume goes on
/// from there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos capacity experiments/quickstart.toml
  flexpaxos capacity experiments/quickstart.toml --p99-max 250ms --within 10%
  flexpaxos capacity experiments/quickstart.toml --backend sim --set service.receive=20us
  flexpaxos report FOLDER --figure load -o load.svg")]
pub(super) struct Capacity {
    /// The experiment file; its load must be an open loop.
    experiment: PathBuf,

    /// Where trials run.
    #[arg(long, value_enum, default_value_t = Choice::Live)]
    backend: Choice,

    /// The first rate, in operations a second over all clients; the rate of the experiment if absent.
    ///
    /// If it is not held, it is halved until one is, ten times at most.
    #[arg(long, value_name = "RATE", value_parser = options::rate)]
    from: Option<f64>,

    /// The highest rate.
    #[arg(long, value_name = "RATE", value_parser = options::rate, default_value = "1000000")]
    to: f64,

    /// How far apart the two ends of the interval may be, as a share of the lower one.
    #[arg(long, value_name = "PERCENT", value_parser = options::percent, default_value = "5%")]
    within: f64,

    /// Repeats each of the two ends this often; 0 repeats nothing.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(..=100), default_value_t = 2)]
    repeats: u16,

    /// A rate is not held if the 99th percentile of all operations is above this.
    ///
    /// With fewer than 1,000 operations, all of them must be within it.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    p99_max: Option<Duration>,

    /// A rate is held if it is achieved, even where the machine is full in another way: members wait for a
    /// processor, or datagrams leave late.
    #[arg(long)]
    achieved_only: bool,

    /// Measures each rate for so long; 3 s if absent, or as long as the experiment if that is shorter.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    step_duration: Option<Duration>,

    /// Lets each trial run for so long before; 1 s if absent, or as long as the experiment if that is shorter.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    step_warmup: Option<Duration>,

    #[command(flatten)]
    overrides: Overrides,

    #[command(flatten)]
    venue: Venue,
}

/// Where trials run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Choice {
    /// Real replicas over QUIC, in real time.
    Live,
    /// The same replicas in virtual time: what they hold is what the section [service] lets their work cost.
    Sim,
}

impl Capacity {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let (source, mut plan) = self.open()?;
        let bounds = self.bounds(&plan)?;
        self.check_options()?;
        if plan.is_native() {
            return Err(Failure::request(
                "a search for capacity needs links that are known: the profile native is measured by each run",
                "name the native.csv of a run as the profile: --set topology.profile=FILE",
            ));
        }
        let instead = (self.backend == Choice::Live).then_some("`--backend sim`");
        let asked = self.venue.asked_calibration(&plan, instead)?;
        self.venue.use_service(&mut plan, asked.as_ref())?;
        self.check_backend(&source, &plan)?;
        for warning in plan.warnings() {
            output::warn(&format!("warning: {warning}"));
        }
        plan.search = self.switches(&bounds);
        let provenance = Provenance::gather(&source, plan.seed);
        let interrupt = super::interrupt()?;
        let mut launcher = self.venue.launcher(&plan, &interrupt)?;
        let place = self.venue.place(&source, &provenance)?;
        let clock = Clock::start(self.venue.quiet);
        let calibration = match self.backend {
            Choice::Live => {
                self.venue.measured_calibration(&place, &clock, &interrupt, CALIBRATING)?
            }
            Choice::Sim => None,
        };
        let worlds = Worlds {
            sim: (self.backend == Choice::Sim).then(|| self.venue.threads()),
            live: (self.backend == Choice::Live).then(|| Live {
                launcher: launcher.as_mut(),
                listen: self.venue.listen(),
                timeouts: Timeouts::default(),
                calibration: calibration.clone(),
                probes: !self.venue.no_probe,
                broken: None,
                broken_disk: None,
            }),
        };
        let ledger = match place {
            Place::Begun(folder) => Ledger::resume(&folder, &plan, &provenance, &worlds),
            Place::New(store) => Ledger::begin(store, &plan, &provenance, &worlds),
        };
        let ledger = ledger.map_err(|error| unusable(&error))?;
        if let Some(calibration) = &calibration {
            ledger.keep_calibration(calibration).map_err(|error| unusable(&error))?;
        }
        let criteria =
            Criteria { p99_max: self.p99_max.map(Span::from), achieved_only: self.achieved_only };
        let search =
            Search { plan: &plan, provenance, ledger, worlds, interrupt, bounds, criteria };
        let tell = |told: &Told<'_>| match told {
            Told::Step(row) => clock.print(&said(row)),
            Told::Trial(plan, Event::Stage(trial, stage)) => clock.say(plan, trial, *stage),
            Told::Trial(_, Event::Ended(_)) => {}
        };
        let (summary, grown, found) =
            search.run(&tell, &|grown, found, store, finished, scheduling, conclusions| {
                let mut text = Vec::new();
                let written = tables::write(&found.steps, &found.knees, Width::Whole, &mut text);
                written.expect("memory takes what is written to it");
                let outline = Outline::from(grown);
                let printed = Printed { outline: &outline, is_of_both: false };
                printed.keep_after(text, store, finished, scheduling, conclusions)
            });
        clock.finish();
        self.conclude(summary, &grown, &found, out)
    }

    /// Prints what was found, and what is to be known of it.
    fn conclude(
        &self,
        summary: Summary,
        grown: &Plan,
        found: &Found,
        out: &mut dyn Write,
    ) -> Result<Exit, Failure> {
        let (width, finished) = (output::width(self.venue.wide), &summary.finished);
        if !finished.is_empty() {
            tables::write(&found.steps, &found.knees, width, out)?;
            for text in tables::remarks(&found.steps, &found.knees) {
                writeln!(out, "{}", line(&text, width))?;
            }
            let outline = Outline::from(grown);
            let printed = Printed { outline: &outline, is_of_both: false };
            printed.print_remarks(finished, &summary.link_scheduling, width, out)?;
        }
        writeln!(out, "results in {}", summary.folder.display())?;
        if !self.venue.no_report && !finished.is_empty() {
            match super::report::write_page(&summary.folder) {
                Ok(page) => writeln!(out, "page in {}", page.display())?,
                Err(failure) => output::warn(&format!("no page was written: {:?}", failure.report)),
            }
        }
        out.flush()?;
        if let Some(error) = summary.error {
            return Err(running::stopped(&error, finished.len(), summary.planned));
        }
        let has = |is: fn(&Finished) -> bool| finished.iter().any(is);
        let is_found =
            |verdict: Verdict| found.knees.iter().any(|knee| knee.verdict == verdict.code());
        // That a trial at too high a rate is INVALID or loses a member is what the search is for.
        Ok(if has(|ended| !ended.violations.is_empty()) {
            Exit::Unsafe
        } else if is_found(Verdict::None) || is_found(Verdict::Unfinished) {
            Exit::World
        } else {
            Exit::Done
        })
    }
}

/// `multi at 1600/s: held (1598/s, p99 3.20 ms)`: one step, for whoever waits.
fn said(row: &CapacityRow) -> String {
    let held = if row.held { "held".into() } else { format!("not held ({})", row.miss_codes) };
    let achieved = tables::rate(row.achieved_per_s);
    let p99 = row
        .latency_ns_p99
        .map_or_else(String::new, |ns| format!(", p99 {} ms", Span(ns).milliseconds()));
    let point = row.point.rsplit_once("rate_per_s=").map_or("", |(rest, _)| rest);
    let name = format!("{} {point}", row.variant);
    format!(
        "trial {}: {} at {}/s: {held}, achieved {achieved}/s{p99}",
        row.trial,
        name.trim_end(),
        tables::rate(Some(row.asked_per_s)),
    )
}

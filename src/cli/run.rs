//! `flexpaxos run`: the main job.

mod native;
mod options;
mod printed;
pub(super) use printed::Printed;
mod repeats;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::output;
use super::overrides::Overrides;
use super::progress::{Clock, Forecast, RunProgress};
use super::venue::{Place, Venue, not_measured, unusable};
use super::{Exit, Failure};
use crate::calibration::Calibration;
use crate::cluster::{self, Interrupt, Timeouts};
use crate::experiment::plan::{Plan, ServiceSource};
use crate::findings::Finished;
use crate::report::outline::Outline;
use crate::report::table::Width;
use crate::run::ledger::Ledger;
use crate::run::provenance::Provenance;
use crate::run::worlds::{self, Live, Worlds};
use crate::run::{self, Simulation, Until};
use crate::runtime::storage::Break;
use crate::runtime::wan::sabotage::Rule;
use crate::time::Span;
use crate::trial::Backend;
use repeats::Repeats;

/// Runs an experiment: deploys, loads, measures, checks, and prints the comparison.
///
/// Every variant runs in turn within each repeat.
/// Results go to a new folder; nothing is ever overwritten.
/// Ctrl-C leaves the finished trials on disk, and --resume goes on from there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos run experiments/quickstart.toml
  flexpaxos run experiments/quickstart.toml --backend sim
  flexpaxos run experiments/quickstart.toml --trials 1 --launcher in-process
  flexpaxos run experiments/quickstart.toml --engine ssh --hosts hosts.txt
  flexpaxos run experiments/quickstart.toml --engine slurm -- --nodes=6 --time=30")]
pub(super) struct Run {
    /// The experiment file.
    experiment: PathBuf,

    /// Where trials run.
    #[arg(long, value_enum, default_value_t = Choice::Live)]
    backend: Choice,

    /// Repeats every variant this often instead, or `until=2%`: until no median may differ from the first
    /// variant's by more than this without being found.
    ///
    /// A run that goes on until its intervals are narrow looks at their width after 5 repeats, 8, 12, 18 and
    /// so on, never at a difference, and ends after 200 repeats at the latest. Its verdicts pay for the
    /// looks: look k has the level 0.05 / (k (k + 1)).
    #[arg(long, value_name = "COUNT|until=PERCENT")]
    trials: Option<Repeats>,

    /// Ends a run with `--trials until=...` when it has lasted so long, with the repeat under way.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,

    /// Takes the size from the file's `[smoke]` section.
    #[arg(long)]
    smoke: bool,

    #[command(flatten)]
    overrides: Overrides,

    /// Breaks the link emulation on purpose, to see that the probe refuses the trial.
    #[arg(long, value_name = "RULE", value_parser = rules())]
    break_network: Option<Rule>,

    /// Breaks the disk of a replica on purpose, to see that it stops and says so: REPLICA:CALL:NUMBER,
    /// or to see that it forgets nothing: REPLICA:lose-unsynced.
    ///
    /// `r1:sync:20` lets the 20th sync of r1's log fail, `r1:write:20` and `r1:create:20` leave it no
    /// space from the 20th such call on. `r1:lose-unsynced` keeps what is not synced in the memory of
    /// r1's process, so that a kill loses it as a power loss does, and `r1:ignore-syncs` does not even
    /// sync. `all` stands for every replica.
    #[arg(long, value_name = "BREAK")]
    break_disk: Option<Break>,

    /// Shows which host would take which member, with every mistake of the host file, and starts nothing.
    #[arg(long = "dry-run")]
    is_rehearsal: bool,

    #[command(flatten)]
    venue: Venue,
}

/// The rules of a link emulation, by name.
fn rules() -> impl TypedValueParser<Value = Rule> {
    PossibleValuesParser::new(Rule::ALL.map(Rule::name)).try_map(|name| name.parse::<Rule>())
}

/// Where trials run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Choice {
    /// Real replicas over QUIC, in real time.
    Live,
    /// The same replicas in virtual time: quick, and the same bytes for the same seed.
    Sim,
    /// Simulated, then measured, and the two beside one another.
    Both,
}

impl Run {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let (source, mut plan) = super::open(
            &self.experiment,
            self.trials.map(Repeats::most),
            self.smoke,
            &self.overrides,
        )?;
        self.check_options(&plan)?;
        self.check_native(&plan)?;
        let instead =
            (self.backend == Choice::Live).then_some("`--backend sim` or `--backend both`");
        let asked = self.venue.asked_calibration(&plan, instead)?;
        if self.backend != Choice::Sim
            && let Some(refused) = plan.needs_simulator()
        {
            return Err(source.refused(&refused).into());
        }
        if self.backend == Choice::Sim && asked.is_none() {
            super::check_costs(&plan)?;
        }
        if self.is_rehearsal {
            self.venue.rehearse(&plan, out)?;
            return Ok(Exit::Done);
        }
        if self.backend != Choice::Sim && !self.venue.is_elsewhere() {
            let help = "nothing was started; `--backend sim` needs no network at all";
            worlds::check_host(&plan).map_err(|error| Failure::world(&error, help))?;
        }
        for warning in plan.warnings() {
            output::warn(&format!("warning: {warning}"));
        }
        let provenance = Provenance::gather(&source, plan.seed);
        let interrupt = super::interrupt()?;
        let mut launcher = self.venue.launcher(&plan, &interrupt)?;
        let place = self.venue.place(&source, &provenance)?;
        let native =
            self.measure_native(&source, &mut plan, launcher.as_mut(), &place, &interrupt)?;
        let clock = Clock::start(self.venue.quiet);
        let measured = self.measured_calibration(&plan, &place, &clock, &interrupt)?;
        self.use_service(&mut plan, asked.as_ref(), measured.as_ref())?;
        let (listen, timeouts) = (self.venue.listen(), Timeouts::default());
        let worlds = Worlds {
            sim: (self.backend != Choice::Live).then(|| self.venue.threads()),
            live: (self.backend != Choice::Sim).then(|| Live {
                launcher: launcher.as_mut(),
                listen,
                timeouts,
                calibration: measured.clone(),
                probes: !self.venue.no_probe,
                broken: self.break_network,
                broken_disk: self.break_disk,
            }),
        };
        let backends = worlds.backends();
        let ledger = match place {
            Place::Begun(folder) => Ledger::resume(&folder, &plan, &provenance, &worlds),
            Place::New(store) => Ledger::begin(store, &plan, &provenance, &worlds),
        };
        let ledger = ledger.map_err(|error| unusable(&error))?;
        if let Some(calibration) = &measured {
            ledger.keep_calibration(calibration).map_err(|error| unusable(&error))?;
        }
        if let Some(text) = &native {
            let kept = ledger.store().write_bytes(run::native::FILE, text.as_bytes());
            kept.map_err(|error| unusable(&error.into()))?;
        }
        let of_world = |backend| plan.trials.iter().map(move |trial| (trial, backend));
        let open = backends.iter().copied().flat_map(of_world);
        let open = open.filter(|(trial, backend)| !ledger.has(trial, *backend));
        let forecast = Forecast::of(&plan, open, !self.venue.no_probe);
        let progress = RunProgress::new(&plan, clock, forecast);
        let outline = Outline::from(&plan);
        let printed = Printed { outline: &outline, is_of_both: self.backend == Choice::Both };
        let until = self.until();
        let run = run::Run { plan: &plan, provenance, ledger, worlds, interrupt, until };
        let summary =
            run.run(&|event| progress.tell(event), &|store, finished, scheduling, conclusions| {
                printed.keep(store, finished, scheduling, conclusions)
            });
        progress.finish();
        if let Some(simulation) = summary.simulation.filter(|_| !self.venue.quiet) {
            eprintln!("{}", simulated(simulation));
        }
        let exit = conclude(
            &printed,
            summary,
            output::width(self.venue.wide),
            !self.venue.no_report,
            out,
        )?;
        self.check_disk_broke(exit)?;
        Ok(exit)
    }

    /// When the run has enough repeats, if it is to find out.
    fn until(&self) -> Option<Until> {
        let Some(Repeats::Until(detectable)) = self.trials else { return None };
        Some(Until { detectable, time: self.time.map(Span::from) })
    }

    /// What the machine adds by itself, measured now or when the run began.
    fn measured_calibration(
        &self,
        plan: &Plan,
        place: &Place,
        clock: &Clock,
        interrupt: &Interrupt,
    ) -> Result<Option<Calibration>, Failure> {
        if self.backend == Choice::Sim {
            return Ok(None);
        }
        let worlds = [(Backend::Sim, Choice::Both), (Backend::Live, self.backend)];
        let backends = worlds.into_iter().filter(|(_, choice)| *choice == self.backend);
        let open =
            backends.flat_map(|(backend, _)| plan.trials.iter().map(move |trial| (trial, backend)));
        let left = Forecast::of(plan, open, !self.venue.no_probe).left();
        self.venue.measured_calibration(place, clock, interrupt, left)
    }

    /// Lets simulated work cost what a calibration says, where the experiment says nothing.
    fn use_service(
        &self,
        plan: &mut Plan,
        asked: Option<&Calibration>,
        own: Option<&Calibration>,
    ) -> Result<(), Failure> {
        self.venue.use_service(plan, asked)?;
        if let (None, Some(own), Choice::Both) = (asked, own, self.backend) {
            let used = plan.use_service(&own.work(), ServiceSource::RunCalibration);
            used.map_err(not_measured)?;
        }
        Ok(())
    }
}

/// What simulating took: the speed of the simulator is for whoever waits, not for the results.
fn simulated(simulation: Simulation) -> String {
    let Simulation { command_count, cpu_s } = simulation;
    match cpu_s.filter(|cpu_s| *cpu_s > 0.0) {
        Some(cpu_s) => format!(
            "simulated {command_count} commands in {cpu_s:.2} s of processor time ({:.0}/s)",
            command_count as f64 / cpu_s
        ),
        None => format!("simulated {command_count} commands"),
    }
}

/// Prints how a run ended, and writes its page.
pub(super) fn conclude(
    printed: &Printed<'_>,
    summary: run::Summary,
    width: Width,
    with_page: bool,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let finished = &summary.finished;
    printed.print(finished, &summary.link_scheduling, &summary.conclusions, width, out)?;
    writeln!(out, "results in {}", summary.folder.display())?;
    if with_page && !finished.is_empty() {
        // The results are on disk; a page that cannot be written loses nothing.
        match super::report::write_page(&summary.folder) {
            Ok(page) => writeln!(out, "page in {}", page.display())?,
            Err(failure) => output::warn(&format!("no page was written: {:?}", failure.report)),
        }
    }
    out.flush()?;
    if let Some(error) = summary.error {
        return Err(stopped(&error, finished.len(), summary.planned));
    }
    Ok(verdict(finished))
}

/// The exit code of a run whose trials all ended.
pub(super) fn verdict(finished: &[Finished]) -> Exit {
    let has = |is: fn(&Finished) -> bool| finished.iter().any(is);
    if has(|ended| !ended.violations.is_empty()) {
        Exit::Unsafe
    } else if has(|ended| !ended.unfit.is_empty()) {
        Exit::World
    } else if has(|ended| !ended.row.complete) {
        Exit::Partial
    } else {
        Exit::Done
    }
}

/// Why a run ended early, and what is left of it.
pub(super) fn stopped(error: &run::Error, finished: usize, planned: usize) -> Failure {
    let kept = format!("{finished} of {planned} trials are finished and on disk");
    let (exit, help) = match error {
        run::Error::Trial { source, .. } => match **source {
            cluster::Error::NeverJoined { .. } => {
                (Exit::NeverJoined, "agent.log in the folder of each that is named says why")
            }
            cluster::Error::NeverMeshed { .. } => (
                Exit::NeverJoined,
                "agent.log in the folder of each that is named says whom it dialled",
            ),
            cluster::Error::Interrupted => (Exit::Partial, "go on with --resume"),
            cluster::Error::Listen(_) => (Exit::World, "choose a free port with --listen"),
            cluster::Error::Failed { .. } => {
                (Exit::World, "agent.log in the folder of that member has the whole story")
            }
            cluster::Error::Launch(cluster::StartError::HostLost(_)) => {
                (Exit::Partial, "go on with --resume when the host is back")
            }
            cluster::Error::Launch(_) => (Exit::World, "raise the limits of processes and files"),
            cluster::Error::File { .. } => (Exit::World, "then go on with --resume"),
            _ => (Exit::World, "go on with --resume when that is mended"),
        },
        run::Error::Ledger(source) => return unusable(source),
        run::Error::Threads(_) => (Exit::World, "go on with --resume and fewer --threads"),
        _ => (Exit::World, "make room, then go on with --resume"),
    };
    Failure { exit, ..Failure::world(error, format!("{kept}; {help}")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::deployment::MemberName;

    fn exit(source: cluster::Error) -> Exit {
        let error = run::Error::Trial { trial: 1, variant: "multi".into(), source: source.into() };
        let failure = stopped(&error, 1, 3);
        let report = format!("{:?}", failure.report);
        let said = report.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("trial 1 (multi)") && said.contains("1 of 3"), "{said}");
        failure.exit
    }

    #[test]
    fn each_end_has_its_exit_code() {
        let member = MemberName::parse("r1").unwrap();
        let (members, waited) = (vec![member], Span::from_millis(20_000));
        let ends: BTreeMap<_, _> = [(member, "exit status: 1".to_owned())].into();
        let folder = PathBuf::from("work");
        let never_joined = cluster::Error::NeverJoined {
            members: members.clone(),
            ends: ends.clone(),
            waited,
            folder: folder.clone(),
            hint: String::new(),
        };
        let said = never_joined.to_string();
        assert_eq!(
            said,
            "r1 (ended: exit status: 1) never joined (waited 20.0 s); their logs are in work"
        );
        assert_eq!(exit(never_joined), Exit::NeverJoined);
        let pairs = vec!["r1 and r2 cannot reach each other".to_owned()];
        let never_meshed = cluster::Error::NeverMeshed { members, pairs, ends, waited, folder };
        let said = never_meshed.to_string();
        assert!(
            said.contains("(waited 20.0 s); r1 and r2 cannot reach each other; their"),
            "{said}"
        );
        assert_eq!(exit(never_meshed), Exit::NeverJoined);
        assert_eq!(exit(cluster::Error::Interrupted), Exit::Partial);
        let lost = cluster::StartError::HostLost("host n1 is lost".into());
        assert_eq!(exit(lost.into()), Exit::Partial);
        let failed = cluster::Error::Failed { member, message: "the disk is full".into() };
        assert_eq!(exit(failed), Exit::World);
    }
}

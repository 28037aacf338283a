//! The command line: words, no logic.
//!
//! Each subcommand is a file that reads its arguments, calls the layers below and prints.
//! Tables go to stdout, progress and logs to stderr, results to files.
//! A command ends with an [`Exit`] code, or with a [`Failure`] that says what to do next.

mod agent;
mod calibrate;
mod capacity;
mod check;
mod compare;
mod completions;
mod failure;
pub use failure::{Exit, Failure, draw_whole_words};
mod fuzz;
mod history;
mod man;
mod measure_links;
mod new;
mod output;
pub use output::Output;
mod overrides;
mod plan;
mod profiles;
mod progress;
mod quorums;
mod report;
mod run;
mod schema;
mod show;
mod submit;
mod sweep;
mod trace;
mod venue;
mod verify;

use std::io::{ErrorKind, Write};
use std::path::Path;

use clap::{Parser, Subcommand};

use crate::cluster::Interrupt;
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Point, Size};
use crate::run::{provenance, worlds};
use overrides::Overrides;

/// A research benchmarking harness for Flexible Paxos.
///
/// It deploys real replicas over QUIC with any phase-1 and phase-2 quorum system, puts measured
/// cross-region latency between them, times every write, and says what a quorum choice costs and
/// buys.
#[derive(Debug, Parser)]
#[command(
    name = "flexpaxos",
    version = provenance::VERSION,
    long_version = provenance::LONG_VERSION,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Start here:
  flexpaxos plan experiments/quickstart.toml    what would run, and what is predicted
  flexpaxos run experiments/quickstart.toml     run it",
    after_long_help = "Start here:
  flexpaxos plan experiments/quickstart.toml    what would run, and what is predicted
  flexpaxos run experiments/quickstart.toml     run it

Tables go to stdout, progress and logs to stderr, results to files.

Exit codes:
  0  done
  1  the world failed: a port, a disk, the injected network
  2  the request made no sense
  3  the results are partial: a member was lost, you interrupted the run, or a
     history is missing, cut or changed
  4  the members never all joined
  5  a safety violation was found, or quorums are unsafe"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Sweep(sweep::Sweep),
    Submit(submit::Submit),
    Capacity(capacity::Capacity),
    New(new::New),
    Plan(Box<plan::Show>),
    Profiles(profiles::Profiles),
    Calibrate(calibrate::Calibrate),
    MeasureLinks(measure_links::MeasureLinks),
    Trace(trace::Show),
    Quorums(quorums::Quorums),
    Check(check::Check),
    Fuzz(fuzz::Fuzz),
    Compare(compare::Compare),
    Show(show::Show),
    Report(report::Report),
    Verify(verify::Verify),
    History(history::History),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(man::Page),
    Agent(agent::Agent),
    Supervise(agent::Supervise),
}

impl Arguments {
    /// Does what was asked, and writes the answer to `out`.
    pub fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        match &self.command {
            Command::Run(run) => run.run(out),
            Command::Sweep(sweep) => sweep.run(out),
            Command::Submit(submit) => submit.run(out),
            Command::Capacity(capacity) => capacity.run(out),
            Command::New(new) => new.run(out),
            Command::Plan(show) => show.run(out),
            Command::Profiles(profiles) => profiles.run(out),
            Command::Calibrate(calibrate) => calibrate.run(out),
            Command::MeasureLinks(measure) => measure.run(out),
            Command::Trace(show) => show.run(out),
            Command::Quorums(quorums) => quorums.run(out),
            Command::Check(check) => check.run(out),
            Command::Fuzz(fuzz) => fuzz.run(out),
            Command::Compare(compare) => compare.run(out),
            Command::Show(show) => show.run(out),
            Command::Report(report) => report.run(out),
            Command::Verify(verify) => verify.run(out),
            Command::History(history) => history.run(out),
            Command::Schema(schema) => schema.run(out),
            Command::Completions(completions) => completions.run(out),
            Command::Man(page) => page.run(out),
            Command::Agent(agent) => agent.run(),
            Command::Supervise(supervise) => supervise.run(),
        }
    }
}

/// Takes over Ctrl-C and SIGTERM for the rest of the command.
fn interrupt() -> Result<Interrupt, Failure> {
    Interrupt::install().map_err(|error| {
        Failure::world(&error, "Ctrl-C cannot be handled: raise the limit of processes")
    })
}

/// The experiment file at `path` and what it means; `trials` and `smoke` change its size, and `overrides` its
/// text.
fn open(
    path: &Path,
    trials: Option<u32>,
    smoke: bool,
    overrides: &Overrides,
) -> Result<(Source, Plan), Failure> {
    let (mut source, size) = (Source::read(path)?, Size { trials, is_smoke: smoke });
    overrides.apply(&mut source, size)?;
    let plan = Plan::from_source(&source, size)?;
    Ok((source, plan))
}

/// Refuses a simulation that would never end, and a shared machine on which nobody said what work costs.
fn check_costs(plan: &Plan) -> Result<(), Failure> {
    let is_free = |point: &Point| point.sim.host.is_some() && !point.sim.takes_processor_time();
    if plan.points.iter().any(is_free) {
        return Err(Failure::request(
            "the section [host] changes nothing: no work takes processor time",
            "say what work costs with `[service]` and `host.wake_up`, or give `--calibration FILE` with what \
             `flexpaxos calibrate --out FILE` measured",
        ));
    }
    let Some(variant) = worlds::endless(plan) else { return Ok(()) };
    Err(Failure::request(
        format!(
            "an operation of variant {variant} takes no time in the simulator, and its closed loop would go on for \
             ever at one instant"
        ),
        "say what work costs with `[service]` or --calibration, or take `poisson` arrivals",
    ))
}

/// Writes a file that the user names, over what was there.
fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    write_bytes(path, text.as_bytes())
}

/// The refusal of links whose delays only a run finds out.
fn unmeasured() -> Failure {
    Failure::request(
        "the links of `native` are real ones, and nobody has measured them here",
        "give the path of a `native.csv` that a run wrote, or another profile",
    )
}

/// The same of a file that is no text.
fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| {
        let (exit, help) = match error.kind() {
            ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::NotFound => {
                (Exit::Request, "name a file in a folder that is there")
            }
            _ => (Exit::World, "name a file in a folder that can be written, with room for it"),
        };
        let message = format!("{} cannot be written: {error}", path.display());
        Failure { exit, ..Failure::request(message, help) }
    })
}

//! The doors of this layer for callers without a runtime: a trial, and an agent.

use tokio::runtime::Builder;

use super::agent::{self, Ticket};
use super::coordinator;
use super::error::Error;
use super::launcher::Launcher;
use super::settings::{Progress, Settings};
use crate::deployment::Deployment;
use crate::runtime::interrupt::Interrupt;
use crate::trial::{Outcome, ProbedNetwork};

/// Runs one trial to its end, or until the user has enough.
pub fn run_trial(
    deployment: &Deployment,
    settings: &Settings<'_>,
    launcher: &mut dyn Launcher,
    interrupt: &Interrupt,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Outcome, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = coordinator::run(deployment, settings, launcher, progress) => outcome,
            () = interrupt.wait() => Err(Error::Interrupted),
        }
    });
    launcher.stop_all();
    outcome
}

/// Measures the links between the members of a deployment, and runs nothing.
pub fn measure_links(
    deployment: &Deployment,
    settings: &Settings<'_>,
    launcher: &mut dyn Launcher,
    interrupt: &Interrupt,
) -> Result<ProbedNetwork, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let network = runtime.block_on(async {
        tokio::select! {
            network = coordinator::measure(deployment, settings, launcher) => network,
            () = interrupt.wait() => Err(Error::Interrupted),
        }
    });
    launcher.stop_all();
    network
}

/// Runs one member until the coordinator lets it go.
///
/// One thread: with two cores for seven members, every hop between threads is a wake-up.
pub fn run_agent(ticket: Ticket) -> Result<(), agent::Error> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(agent::Error::Runtime)?;
    runtime.block_on(agent::run(ticket))
}

//! The doors of this layer for callers without a runtime: a trial, an agent, and Ctrl-C.

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::agent::{self, Ticket};
use super::coordinator;
use super::error::Error;
use super::launcher::Launcher;
use super::outcome::Outcome;
use super::settings::{Progress, Settings};
use crate::deployment::Deployment;

/// Whether the user wants the run to end; installed once, for all trials of a run.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
    /// Never sends where nothing is installed.
    _sender: Arc<watch::Sender<bool>>,
}

impl Interrupt {
    /// Takes over Ctrl-C and SIGTERM.
    pub fn install() -> std::io::Result<Self> {
        let (sender, asked) = watch::channel(false);
        let sender = Arc::new(sender);
        let told = Arc::clone(&sender);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                let (Ok(mut interrupt), Ok(mut terminate)) =
                    (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
                else {
                    return;
                };
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                told.send_replace(true);
            });
        })?;
        Ok(Self { asked, _sender: sender })
    }

    /// One that is asked for by calling what comes with it.
    pub fn by_hand() -> (Self, impl Fn() + Send + Sync) {
        let (sender, asked) = watch::channel(false);
        let sender = Arc::new(sender);
        let told = Arc::clone(&sender);
        (Self { asked, _sender: sender }, move || {
            told.send_replace(true);
        })
    }

    /// One that nobody ever asks for: for tests.
    pub fn never() -> Self {
        let (sender, asked) = watch::channel(false);
        Self { asked, _sender: Arc::new(sender) }
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    async fn wait(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

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

/// Runs one member until the coordinator lets it go.
///
/// One thread: with two cores for seven members, every hop between threads is a wake-up.
pub fn run_agent(ticket: Ticket) -> Result<(), agent::Error> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(agent::Error::Runtime)?;
    runtime.block_on(agent::run(ticket))
}

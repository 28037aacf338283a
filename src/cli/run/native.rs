//! An experiment whose links are to be as they are: they are measured first, and the plan is made of that.

use super::{Choice, Run};
use crate::cli::venue::Place;
use crate::cli::{Exit, Failure};
use crate::cluster::{self, Interrupt, Launcher};
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Size};
use crate::measure::Store;
use crate::run::native::{self, Error};

impl Run {
    /// Refuses links as they are where nothing runs on them.
    pub(super) fn check_native(&self, plan: &Plan) -> Result<(), Failure> {
        if self.backend != Choice::Sim || !plan.is_native() {
            return Ok(());
        }
        Err(Failure::request(
            "the profile native is that of real links, and this run simulates alone",
            "run it live first; its native.csv is a profile for the simulator: --set topology.profile=FILE, with \
             FILE relative to the experiment's folder",
        ))
    }

    /// Measures the links, if the plan asks for them as they are, and plans again with what they take; the text of
    /// the profile.
    pub(super) fn measure_native(
        &self,
        source: &Source,
        plan: &mut Plan,
        launcher: &mut dyn Launcher,
        place: &Place,
        interrupt: &Interrupt,
    ) -> Result<Option<String>, Failure> {
        if !plan.is_native() {
            return Ok(None);
        }
        let text = match place {
            Place::Begun(folder) => native::read(folder),
            Place::New(store) => {
                if !self.venue.quiet {
                    eprintln!("measuring the links");
                }
                let folder = store.folder().join("work").join("native");
                let text = native::measure(plan, launcher, self.venue.listen(), interrupt, &folder);
                forget(store, text.is_ok());
                text
            }
        };
        let text = text.map_err(|error| failed(&error))?;
        let profile = native::profile(&text).map_err(|error| failed(&error))?;
        let size = Size { trials: self.trials.map(super::Repeats::most), is_smoke: self.smoke };
        *plan = Plan::from_measured(source, size, &profile)?;
        Ok(Some(text))
    }
}

/// What members left while links were measured is of use if they could not be.
fn forget(store: &Store, is_measured: bool) {
    if is_measured {
        // Should it stay, it is only in the way.
        let _ = std::fs::remove_dir_all(store.folder().join("work"));
    }
}

fn failed(error: &Error) -> Failure {
    let (exit, help) = match error {
        Error::Cluster(cluster::Error::NeverJoined { .. } | cluster::Error::NeverMeshed { .. }) => {
            (Exit::NeverJoined, "agent.log in the folder of each that is named says more")
        }
        Error::Cluster(cluster::Error::Launch(cluster::StartError::HostLost(_))) => {
            (Exit::Partial, "run it again when the host is back")
        }
        Error::Cluster(cluster::Error::Interrupted) => (Exit::Partial, "no trial had begun"),
        Error::Unreadable { .. } => (Exit::Request, "leave --resume out to begin a new run"),
        Error::Lossy(_) => (Exit::World, "mend that link, or take another host"),
        Error::Cluster(_) | Error::Profile(_) => (Exit::World, "no trial had begun"),
    };
    Failure { exit, ..Failure::world(error, help) }
}

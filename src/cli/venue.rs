//! Where trials run and where their results go: what `run` and `capacity` have in common.

mod dry_run;
mod engine;
mod reached;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::progress::{Clock, Left};
use super::{Exit, Failure, calibrate, output};
use crate::calibration::{Calibration, Thoroughness};
use crate::cluster::{self, InProcess, Interrupt, Processes};
use crate::experiment::file::Source;
use crate::experiment::plan::{NotMeasured, Plan, ServiceSource};
use crate::measure::{Store, store};
use crate::run::ledger::{self, Ledger};
use crate::run::provenance::Provenance;
use engine::Hosted;
pub(super) use reached::Reached;

/// About how long the quick calibration takes.
pub(super) const CALIBRATING: Duration = Duration::from_secs(2);

/// Where the coordinator listens when nobody says where.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where trials run and where their results go.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Venue {
    /// Writes the results to this folder, which must not exist yet.
    ///
    /// Without it they go to results/NAME/ and the UTC time, with a number for the second run of a second.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Goes on with a run that was cut short, in its folder.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    resume: Option<PathBuf>,

    /// Simulates so many trials at once (not for live trials); as many as there are cores if absent.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// How live members are started; each in a process of its own if absent.
    #[arg(long, value_enum)]
    launcher: Option<Launcher>,

    /// Where the coordinator listens for live members; on any port of 127.0.0.1 if absent, and of all addresses
    /// for members on other hosts.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// Takes the service times of the simulator from this file where the experiment has none.
    ///
    /// It is what `flexpaxos calibrate --out` wrote, or the manifest.json of a live run.
    /// With --backend both they are else those measured for this run.
    #[arg(long, value_name = "FILE")]
    pub(super) calibration: Option<PathBuf>,

    /// Does not measure the machine before the first live trial; the manifest says nothing of it.
    #[arg(long)]
    no_calibrate: bool,

    /// Does not measure the links before a trial: every row says so.
    ///
    /// The emulated delay is then that of the profile, with what the path itself takes on top.
    #[arg(long)]
    pub(super) no_probe: bool,

    /// Shows no progress.
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Prints all columns of the tables, however narrow the terminal is.
    #[arg(long)]
    pub(super) wide: bool,

    /// Writes no page (`report.html`) into the results folder; `flexpaxos report` writes it later.
    #[arg(long)]
    pub(super) no_report: bool,

    #[command(flatten)]
    hosted: Hosted,
}

/// How members are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Launcher {
    /// Each in a process of its own: what is measured is what would be deployed.
    Processes,
    /// All in this process: quicker to start, and they share its processor time.
    InProcess,
}

/// Where results go.
pub(super) enum Place {
    /// A new folder.
    New(Store),
    /// That of a run that was cut short.
    Begun(PathBuf),
}

impl Venue {
    /// The first option that is given and has no effect where every trial is simulated.
    pub(super) fn of_live(&self) -> Option<&'static str> {
        let options = [
            ("--launcher", self.launcher.is_some()),
            ("--listen", self.listen.is_some()),
            ("--no-calibrate", self.no_calibrate),
            ("--no-probe", self.no_probe),
        ];
        let given = options.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name);
        given.or_else(|| self.hosted.given())
    }

    /// Whether live members run on other hosts.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.hosted.is_elsewhere()
    }

    /// Prints which host would take which member of this plan, and starts nothing.
    pub(super) fn rehearse(&self, plan: &Plan, out: &mut dyn Write) -> Result<(), Failure> {
        self.hosted.rehearse(plan, output::width(self.wide), out)
    }

    /// The same where none is.
    pub(super) fn of_simulated(&self) -> Option<&'static str> {
        self.threads.map(|_| "--threads")
    }

    pub(super) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }

    pub(super) fn listen(&self) -> SocketAddr {
        self.listen.or_else(|| self.hosted.listen()).unwrap_or(LISTEN)
    }

    /// Where the results go: a new folder, or that of the run to go on with.
    pub(super) fn place(&self, source: &Source, provenance: &Provenance) -> Result<Place, Failure> {
        let store = match (&self.resume, &self.out) {
            (Some(folder), _) => return Ok(Place::Begun(folder.clone())),
            (None, Some(folder)) => Store::create(folder),
            (None, None) => {
                let folder = Path::new("results").join(source.name());
                Store::create_new(&folder, &provenance.folder_name())
            }
        };
        store.map(Place::New).map_err(|error| unusable(&error.into()))
    }

    /// The calibration that the user names; `instead` says which backends would heed it, if none here does.
    pub(super) fn asked_calibration(
        &self,
        plan: &Plan,
        instead: Option<&str>,
    ) -> Result<Option<Calibration>, Failure> {
        let Some(path) = &self.calibration else { return Ok(None) };
        if let Some(instead) = instead {
            let help = format!("add {instead}, or leave it out");
            return Err(Failure::request("--calibration is for simulated trials alone", help));
        }
        if !plan.wants_service() {
            let help = "leave out `--calibration`, or the section [service]";
            let said = "the experiment says itself what work costs, in its section [service]";
            return Err(Failure::request(said, help));
        }
        let calibration = calibrate::read(path)?;
        if plan.wants_shared_service() && calibration.work().shared.is_none() {
            return Err(not_measured(NotMeasured));
        }
        Ok(Some(calibration))
    }

    /// Lets simulated work cost what the calibration that the user names says, where the experiment says
    /// nothing.
    pub(super) fn use_service(
        &self,
        plan: &mut Plan,
        asked: Option<&Calibration>,
    ) -> Result<(), Failure> {
        let (Some(asked), Some(path)) = (asked, &self.calibration) else { return Ok(()) };
        let source = ServiceSource::CalibrationFile(path.display().to_string());
        plan.use_service(&asked.work(), source).map_err(not_measured)
    }

    /// What the machine adds by itself before live trials, measured now or when the run began; the trials take
    /// about so long.
    pub(super) fn measured_calibration(
        &self,
        place: &Place,
        clock: &Clock,
        interrupt: &Interrupt,
        trials: Duration,
    ) -> Result<Option<Calibration>, Failure> {
        // This machine says nothing about others.
        if self.no_calibrate || self.is_elsewhere() {
            return Ok(None);
        }
        match place {
            Place::Begun(folder) => Ok(Ledger::calibration(folder)),
            Place::New(store) => {
                if clock.is_of_lines() {
                    eprintln!("calibrating this machine, about {} s", CALIBRATING.as_secs());
                }
                clock.expect(Left::about(CALIBRATING + trials));
                let folder = store.folder();
                let measured =
                    calibrate::calibrate(Thoroughness::Quick, folder, clock.bar(), interrupt);
                if measured.is_err() {
                    // Nothing began in it.
                    store.clone().abandon();
                }
                measured.map(Some)
            }
        }
    }

    /// What starts the members of this plan; hosts are reached, and each is ready.
    pub(super) fn launcher(
        &self,
        plan: &Plan,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn cluster::Launcher>, Failure> {
        self.hosted.check()?;
        if self.is_elsewhere() {
            if self.launcher.is_some() {
                let help = "leave out `--launcher`, or `--engine`";
                return Err(Failure::request("--launcher has no effect on other hosts", help));
            }
            return Ok(Box::new(self.hosted.connect(plan, interrupt, self.quiet)?));
        }
        Ok(match self.launcher.unwrap_or(Launcher::Processes) {
            Launcher::InProcess => Box::new(InProcess::default()),
            Launcher::Processes => {
                let program = std::env::current_exe().map_err(|error| {
                    let help = "this program cannot be found; use --launcher in-process";
                    Failure::world(&error, help)
                })?;
                Box::new(Processes::new(program))
            }
        })
    }
}

/// A calibration does not say what a shared machine costs.
pub(super) fn not_measured(error: NotMeasured) -> Failure {
    let help = "make a new one with `flexpaxos calibrate --out FILE`, or write [service] into the experiment";
    Failure::request(error.to_string(), help)
}

/// Why the results folder cannot be used.
pub(super) fn unusable(error: &ledger::Error) -> Failure {
    use ledger::Error::{Busy, Collected, File, NoSweep, Nothing, Other, Part, Store};
    let (exit, help) = match error {
        Nothing { .. } => (Exit::Request, "leave --resume out to begin a new run"),
        NoSweep { .. } => {
            (Exit::Request, "name the folder of a sweep that has begun, or an empty or new one")
        }
        Collected { .. } => (Exit::Request, "its tables are there; give a new sweep a new folder"),
        Busy { .. } => (Exit::Request, "wait until it has ended, or end it"),
        Other { .. } => (Exit::Request, "resume with what it was begun with, or begin a new run"),
        Store(store::Error::NotEmpty { .. } | store::Error::Exists { .. }) => {
            (Exit::Request, "choose a folder that does not exist yet with --out")
        }
        Store(store::Error::NoFolder { .. }) => {
            (Exit::Request, "name a folder that does not exist yet with --out")
        }
        Part { .. } => (Exit::World, "resume again when it is gone"),
        File { .. } => (Exit::World, "the folder must be readable, as `run` left it"),
        Store(_) => (Exit::World, "make room, or choose a folder on another disk with --out"),
    };
    Failure { exit, ..Failure::world(error, help) }
}

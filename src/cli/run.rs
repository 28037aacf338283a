//! `flexpaxos run`: the main job.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::comparison::comparison;
use super::progress::Teller;
use super::{Exit, Failure};
use crate::cluster::{self, InProcess, Interrupt, Processes, Timeouts};
use crate::experiment::plan::Plan;
use crate::experiment::provenance::Provenance;
use crate::experiment::run::{self as experiment, Finished};
use crate::measure::{Store, store};

/// Runs an experiment: deploys, loads, measures, checks, and prints the comparison.
///
/// Every variant runs in turn within each repeat.
/// Results go to a new folder; nothing is ever overwritten.
/// Ctrl-C leaves the finished trials on disk.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos run experiments/quickstart.toml
  flexpaxos run experiments/quickstart.toml --trials 1 --launcher in-process")]
pub(super) struct Run {
    /// The experiment file.
    experiment: PathBuf,

    /// Writes the results to this folder, which must not exist yet.
    ///
    /// Without it they go to results/NAME/ and the UTC time.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// How members are started.
    #[arg(long, value_enum, default_value_t = Launcher::Processes)]
    launcher: Launcher,

    /// Where the coordinator listens for members.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Repeats every variant this often instead.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,

    /// Takes the size from the file's `[smoke]` section.
    #[arg(long)]
    smoke: bool,

    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// How members are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Launcher {
    /// Each in a process of its own: what is measured is what would be deployed.
    Processes,
    /// All in this process: quicker to start, and they share its processor time.
    InProcess,
}

impl Run {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let (source, plan) = super::open(&self.experiment, self.trials, self.smoke)?;
        if let Some(refused) = plan.needs_simulator() {
            return Err(source.refused(&refused).into());
        }
        let provenance = Provenance::gather(&source, plan.seed);
        let folder = match &self.out {
            Some(folder) => folder.clone(),
            None => Path::new("results").join(source.name()).join(provenance.folder_name()),
        };
        let store = Store::create(folder).map_err(|error| unusable(&error))?;
        let interrupt = Interrupt::install().map_err(|error| {
            Failure::world(&error, "Ctrl-C cannot be handled: raise the limit of processes")
        })?;
        let mut launcher = self.launcher()?;
        let teller = Teller::new(&plan, self.quiet);
        let run = experiment::Run {
            plan: &plan,
            provenance,
            store,
            launcher: launcher.as_mut(),
            listen: self.listen,
            timeouts: Timeouts::default(),
            interrupt,
        };
        let summary = run.run(&|event| teller.tell(event));
        teller.finish();
        conclude(&plan, summary, out)
    }

    fn launcher(&self) -> Result<Box<dyn cluster::Launcher>, Failure> {
        Ok(match self.launcher {
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

fn conclude(
    plan: &Plan,
    summary: experiment::Summary,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let finished = &summary.finished;
    if !finished.is_empty() {
        writeln!(out, "{}", comparison(plan, finished))?;
        writeln!(
            out,
            "\nlatencies in ms, from the intended start to the reply; floor: network alone"
        )?;
    }
    for ended in finished {
        let name = format!("trial {} ({})", ended.trial.index, ended.row.variant);
        for violation in &ended.findings.violations {
            writeln!(out, "{name} VIOLATION: {violation}")?;
        }
        for reason in &ended.findings.unfit {
            writeln!(out, "{name} INVALID: {reason}")?;
        }
        if !ended.row.flags.is_empty() && ended.row.valid {
            writeln!(out, "{name} note: {}", ended.row.flags)?;
        }
    }
    writeln!(out, "results in {}", summary.folder.display())?;
    out.flush()?;
    if let Some(error) = summary.error {
        return Err(stopped(&error, finished.len(), plan.trials.len()));
    }
    let has = |is: fn(&Finished) -> bool| finished.iter().any(is);
    Ok(if has(|ended| !ended.findings.violations.is_empty()) {
        Exit::Unsafe
    } else if has(|ended| !ended.findings.unfit.is_empty()) {
        Exit::World
    } else if has(|ended| !ended.row.complete) {
        Exit::Partial
    } else {
        Exit::Done
    })
}

fn unusable(error: &store::Error) -> Failure {
    let exit = match error {
        store::Error::NotEmpty { .. } | store::Error::Exists { .. } => Exit::Request,
        _ => Exit::World,
    };
    Failure { exit, ..Failure::world(error, "choose another folder with --out") }
}

/// Why a run ended early, and what is left of it.
fn stopped(error: &experiment::Error, finished: usize, planned: usize) -> Failure {
    let kept = format!("{finished} of {planned} trials are finished and on disk");
    let (exit, help) = match error {
        experiment::Error::Trial { source, .. } => match **source {
            cluster::Error::NeverJoined { .. } | cluster::Error::NeverMeshed { .. } => {
                (Exit::NeverJoined, "see agent.log in the folder of each member")
            }
            cluster::Error::Interrupted => (Exit::Partial, "run it again for the others"),
            cluster::Error::Listen(_) => (Exit::World, "choose a free port with --listen"),
            _ => (Exit::World, "see agent.log in the folder of each member"),
        },
        _ => (Exit::World, "make room, or choose another folder with --out"),
    };
    Failure { exit, ..Failure::world(error, format!("{kept}; {help}")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::deployment::MemberName;
    use crate::time::Span;

    fn exit(source: cluster::Error) -> Exit {
        let error =
            experiment::Error::Trial { trial: 1, variant: "multi".into(), source: source.into() };
        let failure = stopped(&error, 1, 3);
        let report = format!("{:?}", failure.report.unwrap());
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
        };
        let said = never_joined.to_string();
        assert_eq!(
            said,
            "r1 (ended: exit status: 1) never joined (waited 20.0 s); their logs are in work"
        );
        assert_eq!(exit(never_joined), Exit::NeverJoined);
        let never_meshed = cluster::Error::NeverMeshed { members, ends, waited, folder };
        assert_eq!(exit(never_meshed), Exit::NeverJoined);
        assert_eq!(exit(cluster::Error::Interrupted), Exit::Partial);
        let failed = cluster::Error::Failed { member, message: "the disk is full".into() };
        assert_eq!(exit(failed), Exit::World);
    }
}

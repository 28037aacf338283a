//! `flexpaxos plan --search`: the best placements, leaders and quorum systems.

mod explain;
mod export;
mod options;
pub(super) use options::Options;
mod words;

use std::io::Write;
use std::path::PathBuf;

use super::super::new;
use super::super::progress::{Clock, Left};
use super::{Exit, Failure, output};
use crate::planner::search::Error;
use crate::planner::{Found, Row, Search, Space, draft, space};
use crate::report::table::{Width, counted};

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Csv,
    Json,
}

/// The width of tables where stdout is no terminal.
const COLUMNS: usize = 80;

impl Options {
    /// Searches, and prints the front.
    pub(super) fn run(
        &self,
        form: Form,
        is_wide: bool,
        out: &mut dyn Write,
    ) -> Result<Exit, Failure> {
        let file = self.file();
        if let Some(path) = file.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
            // Before the search, which may take long.
            return Err(new::exists(path));
        }
        let profile = self.profile()?;
        let choice = self.choice(&profile)?;
        let space = Space::new(&profile, &choice, &self.clients()?, self.jitter());
        let space = space.map_err(|error| refused(&error))?;
        let proposers = self.proposers();
        let n = space.sizes().iter().map(|size| words::replica_count(&space, *size)).max();
        let families = self.families(n.unwrap_or(0));
        let search = Search { space: &space, rules: self.rules(proposers)?, families, proposers };
        let found = self.watched(&search)?;
        let explained = row(&found, self.explain)?;
        let written = row(&found, self.write)?;
        match form {
            Form::Csv => export::csv(&search, &found, out)?,
            Form::Json => export::json(&search, &found, out)?,
            Form::Table => {
                let width = match output::width(is_wide) {
                    Width::Whole if !is_wide => Width::Columns(COLUMNS),
                    width => width,
                };
                words::print(&search, &found, width, out)?;
                if let Some((number, _)) = explained {
                    write!(out, "\n{}", explain::row(&search, &found, number))?;
                }
            }
        }
        if let (Some((number, row)), Some(path)) = (written, file) {
            let text = draft::text(&search, row, number, &path)?;
            new::write(&path, &text)?;
        }
        Ok(Exit::Done)
    }

    /// Searches with progress; Ctrl-C ends it.
    fn watched(&self, search: &Search<'_>) -> Result<Found, Failure> {
        let interrupt = super::super::interrupt()?;
        let clock = Clock::start(self.quiet);
        let watch = |done: u64, total: u64| {
            if done > 0 {
                let left =
                    clock.bar().elapsed().mul_f64((total - done.min(total)) as f64 / done as f64);
                clock.expect(Left::about(left));
            }
            clock.bar().set_message(format!(
                "{} of {} placements",
                words::grouped(done.into()),
                words::grouped(total.into())
            ));
            interrupt.is_asked()
        };
        let found = search.run(&watch);
        let relaxed = match &found {
            Ok(found) if found.rows.is_empty() => Some(search.relaxed(&watch)),
            _ => None,
        };
        clock.finish();
        let found = found.map_err(|error| failed(&error))?;
        match relaxed {
            None => Ok(found),
            Some(relaxed) => {
                let relaxed = relaxed.map_err(|error| failed(&error))?;
                Err(words::no_solution(&found, &relaxed))
            }
        }
    }

    fn file(&self) -> Option<PathBuf> {
        let number = self.write?;
        Some(self.out.clone().unwrap_or_else(|| format!("plan-row-{number}.toml").into()))
    }
}

/// The row of this number, from 1.
fn row(found: &Found, number: Option<u32>) -> Result<Option<(usize, &Row)>, Failure> {
    let Some(number) = number else { return Ok(None) };
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    match found.rows.get(number - 1) {
        Some(row) => Ok(Some((number, row))),
        None => Err(Failure::request(
            format!("there is no row {number}"),
            format!("the front has {}", counted(found.rows.len(), "row")),
        )),
    }
}

/// What cannot be searched.
fn refused(error: &space::Error) -> Failure {
    let help = match error {
        space::Error::Topology(_) => {
            "`flexpaxos profiles NAME` lists the regions of a profile; --of and --must-not choose among them"
        }
        space::Error::NoClient | space::Error::ClientTwice { .. } | space::Error::Weight { .. } => {
            "name client regions: `--client us-east-1=2,eu-west-1=1`"
        }
        space::Error::Size { .. } | space::Error::Must { .. } => {
            "change --any, --of, --must or --must-not"
        }
        space::Error::Replicas { .. } => "choose fewer regions, or fewer replicas in each",
        space::Error::Candidates { .. } => "name fewer regions with --of",
        space::Error::Calm { .. } => "leave --jitter out, or choose a profile with percentiles",
        space::Error::Within { .. } => {
            "`gcp-2019-09` and `ibm-2026-08` have round trips within regions"
        }
    };
    Failure::request(error.to_string(), help)
}

/// Why a search has no front.
fn failed(error: &Error) -> Failure {
    let (exit, help) = match error {
        Error::Interrupted => (
            Exit::Partial,
            "the front of a part is none; name fewer regions with --of, or fewer families",
        ),
        Error::Family(_) => (Exit::Request, "choose other families, or fewer replicas"),
        Error::Topology(_) => (Exit::Request, "choose other regions"),
        Error::Placements { .. } => {
            (Exit::Request, "name fewer regions with --of, or fix some with --must")
        }
        Error::Percentiles => (
            Exit::Request,
            "name fewer regions with --of, or search by `commit`: the table shows the percentiles of its rows",
        ),
    };
    Failure { exit, ..Failure::request(error.to_string(), help) }
}

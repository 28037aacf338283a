//! `flexpaxos compare`: differences with their intervals, and predictions judged.

mod formats;
mod self_test;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::show::unreadable;
use super::{Exit, Failure, output};
use crate::compare::contrast::{self, Family};
use crate::compare::expectations::{self, Judgement, Ruling};
use crate::compare::{Observations, QUANTITIES, Series, Verdict, stopping};
use crate::measure::Quantity;
use crate::report::folder::Results;
use crate::trial::Backend;

/// Compares variants, runs or the points of a sweep, with an interval and a verdict for each difference.
///
/// With one folder, its variants stand beside the first one, or beside the one that --baseline names. With
/// several folders, each stands beside the first. It reads the folders and nothing else, and writes nothing.
///
/// A difference is the ratio of geometric means over the repeats, with its 95 % interval by Student's t:
/// over pairs of trials of one repeat and seed, or over two samples where runs have no seeds in common.
/// The differences of one kind are a family: the probability of any false alarm in it is at most 5 % (Holm).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos compare results/quickstart/reference
  flexpaxos compare results/quickstart/reference --baseline multi --quantity p50,p90
  flexpaxos compare results/before results/after --fail-if-worse 5%
  flexpaxos compare results/quickstart/reference --format csv > differences.csv")]
pub(super) struct Compare {
    /// The results folders; with several, the first is the baseline.
    #[arg(required = true)]
    folders: Vec<PathBuf>,

    /// The variant that the others are compared with; the first of the experiment if absent.
    #[arg(long, value_name = "VARIANT")]
    baseline: Option<String>,

    /// What stands beside what; with one folder the variants, or the points if there is one variant.
    #[arg(long, value_enum)]
    across: Option<Across>,

    /// What is compared, as codes with commas between them; p50, p99, throughput, phase1, protocol and away
    /// if absent.
    ///
    /// Of latencies: p50, p90, p95, p99, p999, mean. Of closed loops: throughput. Of faults: detect, elect,
    /// phase1, transfer, commit, protocol, away, wait. More of them make a larger family, in which a
    /// difference must be clearer.
    #[arg(long, value_name = "CODES", value_delimiter = ',', value_parser = quantity)]
    quantity: Vec<Quantity>,

    /// Prints all columns, however narrow the terminal is.
    #[arg(long)]
    wide: bool,

    /// Compares trials of this backend alone.
    #[arg(long, value_enum)]
    backend: Option<World>,

    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Exits with 1 if something is worse, by its verdict and by at least this much; with 3 if nothing can be
    /// compared, or if something cannot because its trials are invalid, lost or overloaded.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_if_worse: Option<f64>,

    /// Exits with 1 if a prediction of the experiment is refuted, with 3 if one could not be judged.
    #[arg(long)]
    fail_if_refuted: bool,

    /// Tests the test itself: how often it raises a false alarm on the trials of these folders.
    ///
    /// Chance gives each interval of each trial to one of two sides, so that every difference is a false
    /// alarm; 5 % of the draws should be. Exits with 1 if clearly more are.
    #[arg(long, conflicts_with_all = ["across", "format", "fail_if_worse", "fail_if_refuted"])]
    self_test: bool,
}

/// What stands beside what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Across {
    /// The variants of one folder.
    Variants,
    /// The points of the sweep of one folder, for each variant.
    Points,
}

/// Where trials ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum World {
    /// On real replicas.
    Live,
    /// In virtual time.
    Sim,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for a terminal.
    Table,
    /// Tables of Markdown.
    Markdown,
    /// The rows of comparison.csv.
    Csv,
    /// The rows of comparison.csv and expectations.csv.
    Json,
    /// One row for each run and one column for each figure in ms, as Apache Otava reads a history of runs.
    Otava,
}

/// What was compared.
struct Compared {
    families: Vec<Family>,
    judgements: Vec<Judgement>,
    /// What else to know about the folders, a sentence each.
    remarks: Vec<String>,
}

impl Compare {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        self.check()?;
        let results = self.read()?;
        if self.self_test {
            return self_test::run(&self.folders, &results, output::width(self.wide), out);
        }
        if self.format == Format::Otava {
            formats::otava(&results, &self.quantities(), out)?;
            return Ok(Exit::Done);
        }
        let compared = self.compare(&results)?;
        formats::write(&compared, self.format, output::width(self.wide), out)?;
        Ok(self.exit(&compared))
    }

    /// Refuses what contradicts itself.
    fn check(&self) -> Result<(), Failure> {
        let has_many = self.folders.len() > 1;
        if has_many && self.baseline.is_some() {
            return Err(Failure::request(
                "--baseline names a variant of one folder, and there are several folders",
                "name the baseline folder first, or compare the variants of one folder",
            ));
        }
        if has_many && self.across.is_some() {
            return Err(Failure::request(
                "--across is about one folder, and there are several",
                "leave it out, or name one folder",
            ));
        }
        if has_many && self.fail_if_refuted {
            return Err(Failure::request(
                "--fail-if-refuted is about the predictions of one folder, and there are several",
                "leave it out, or name one folder",
            ));
        }
        if self.baseline.is_some() && self.across == Some(Across::Points) {
            return Err(Failure::request(
                "--baseline names a variant, and `--across points` compares points with the first one",
                "leave one of them out",
            ));
        }
        for (place, folder) in self.folders.iter().enumerate() {
            let path = |folder: &PathBuf| folder.canonicalize().unwrap_or_else(|_| folder.clone());
            if self.folders[..place].iter().any(|other| path(other) == path(folder)) {
                return Err(Failure::request(
                    format!("{} is named twice", folder.display()),
                    "a run does not differ from itself: leave it out once",
                ));
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<Vec<Results>, Failure> {
        let read = |folder: &PathBuf| Results::read(folder).map_err(|error| unreadable(&error));
        self.folders.iter().map(read).collect()
    }

    fn quantities(&self) -> Vec<Quantity> {
        if self.quantity.is_empty() { QUANTITIES.into() } else { self.quantity.clone() }
    }

    /// Whether a series is of the backend that is asked for.
    fn is_of_backend(&self, series: &Series) -> bool {
        match self.backend {
            None => true,
            Some(World::Live) => series.subject.backend == Backend::Live,
            Some(World::Sim) => series.subject.backend == Backend::Sim,
        }
    }

    /// The values that are asked for.
    fn observations(&self, results: &Results) -> Observations {
        let quantities = self.quantities();
        Observations::of(&results.finished).only(|series| {
            quantities.contains(&series.subject.quantity) && self.is_of_backend(series)
        })
    }

    fn compare(&self, results: &[Results]) -> Result<Compared, Failure> {
        let all: Vec<Observations> = results.iter().map(|it| self.observations(it)).collect();
        let looks = results.iter().filter_map(|it| it.origin.looks).max();
        let level = stopping::level(looks);
        let (sides, remarks) = match &all[..] {
            [one] => (self.sides_of_one(one)?, Vec::new()),
            _ => self.sides_of_many(results, &all),
        };
        let families = contrast::families(&sides, level);
        let mut judgements = Vec::new();
        for one in results {
            let whole = Observations::of(&one.finished).only(|it| self.is_of_backend(it));
            judgements.extend(expectations::judge(&one.expectations, &whole, level));
        }
        // Predictions are of one experiment; of several runs nobody could tell whose they are.
        if results.len() > 1 {
            judgements.clear();
        }
        Ok(Compared { families, judgements, remarks })
    }

    fn sides_of_one<'a>(&self, all: &'a Observations) -> Result<Vec<contrast::Sides<'a>>, Failure> {
        let variants = all.variants();
        if variants.is_empty() {
            return Err(Failure::request(
                format!("{} has nothing of what is asked for", self.folders[0].display()),
                "choose other codes with --quantity, or another --backend",
            ));
        }
        let is_of_points = self.across == Some(Across::Points)
            || (self.across.is_none() && variants.len() == 1 && all.points().len() > 1);
        if is_of_points {
            if let Some(name) = &self.baseline {
                return Err(Failure::request(
                    format!(
                        "`{name}` cannot be the baseline: this run has one variant, and its points are compared"
                    ),
                    "leave out --baseline: each point stands beside the first one",
                ));
            }
            if all.points().len() < 2 {
                return Err(Failure::request(
                    format!("{} has one point", self.folders[0].display()),
                    "only a run with a `[sweep]` has several: leave out `--across points`",
                ));
            }
            return Ok(contrast::of_points(all));
        }
        let baseline = match &self.baseline {
            None => variants[0],
            Some(name) => variants.iter().find(|it| *it == name).copied().ok_or_else(|| {
                Failure::request(
                    format!("{} has no variant `{name}`", self.folders[0].display()),
                    format!("its variants are {}", variants.join(", ")),
                )
            })?,
        };
        if variants.len() < 2 {
            return Err(Failure::request(
                format!("{} has one variant and one point", self.folders[0].display()),
                "name a second folder to compare it with",
            ));
        }
        Ok(contrast::of_variants(all, baseline))
    }

    fn sides_of_many<'a>(
        &self,
        results: &[Results],
        all: &'a [Observations],
    ) -> (Vec<contrast::Sides<'a>>, Vec<String>) {
        let names: Vec<String> = self.folders.iter().map(|folder| name(folder)).collect();
        let first = &results[0].origin;
        let (mut sides, mut remarks) = (Vec::new(), Vec::new());
        for (place, other) in results.iter().enumerate().skip(1) {
            let origin = &other.origin;
            let differs = |one: &str, two: &str| one != two || one.is_empty();
            let unpaired = differs(&first.experiment_sha256, &origin.experiment_sha256)
                .then_some("the experiments differ");
            sides.extend(contrast::of_runs(
                (&names[0], &all[0]),
                (&names[place], &all[place]),
                unpaired,
            ));
            for (what, one, two) in [
                ("machines", &first.host, &origin.host),
                ("programs", &first.commit, &origin.commit),
            ] {
                if one != two {
                    remarks.push(format!(
                        "the {what} of {} and {} differ: {one}; {two}",
                        names[0], names[place]
                    ));
                }
            }
        }
        (sides, remarks)
    }

    /// What a script wants to know.
    fn exit(&self, compared: &Compared) -> Exit {
        let mut exit = Exit::Done;
        if let Some(limit) = self.fail_if_worse {
            let mut verdicts = compared.families.iter().flat_map(|it| &it.contrasts);
            let is_worse = |it: &contrast::Contrast| {
                it.outcome.as_ref().is_ok_and(|judged| {
                    judged.verdict == Verdict::Worse
                        && judged.worse_by(it.subject.quantity) >= limit
                })
            };
            let hides = |it: &contrast::Contrast| {
                it.outcome.as_ref().is_err_and(contrast::NotComparable::hides_a_loss)
            };
            let hidden = verdicts.clone().filter(|it| hides(it)).count();
            let has_verdict = verdicts.clone().any(|it| it.outcome.is_ok());
            let count = verdicts.clone().filter(|it| is_worse(it)).count();
            if verdicts.any(is_worse) {
                eprintln!("worse by {:.1} % or more: {count}", limit * 100.0);
                exit = Exit::World;
            } else if hidden > 0 {
                eprintln!("not comparable, and perhaps worse: {hidden}");
                exit = Exit::Partial;
            } else if !has_verdict {
                eprintln!("nothing could be compared, so nothing is known to be no worse");
                exit = Exit::Partial;
            }
        }
        if self.fail_if_refuted {
            let refuted = compared.judgements.iter().filter(|it| {
                it.outcome.as_ref().is_ok_and(|found| found.ruling == Ruling::Refuted)
            });
            let count = refuted.count();
            let unjudged = compared.judgements.iter().filter(|it| it.outcome.is_err()).count();
            if count > 0 {
                eprintln!("predictions refuted: {count}");
                exit = Exit::World;
            } else if unjudged > 0 {
                eprintln!("predictions not judged: {unjudged}");
                exit = if exit == Exit::Done { Exit::Partial } else { exit };
            } else if compared.judgements.is_empty() {
                eprintln!("no prediction was judged: the experiment has no `[[expect]]`");
                exit = if exit == Exit::Done { Exit::Partial } else { exit };
            }
        }
        exit
    }
}

/// The last part of a folder's path; the one before it too where that says nothing by itself.
fn name(folder: &Path) -> String {
    let parts: Vec<_> =
        folder.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    match &parts[..] {
        [.., before, last] if last == "reference" => format!("{before}/{last}"),
        [.., last] => last.clone().into_owned(),
        [] => String::new(),
    }
}

fn quantity(code: &str) -> Result<Quantity, String> {
    Quantity::from_code(code).ok_or_else(|| {
        let known: Vec<&str> = Quantity::ALL.iter().map(|quantity| quantity.code()).collect();
        format!("the codes are {}", known.join(", "))
    })
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let share =
        number.map(|percent| percent / 100.0).filter(|share| *share >= 0.0 && *share < 10.0);
    share.ok_or_else(|| "give a difference in percent, as `5%`".to_owned())
}

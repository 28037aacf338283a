//! `flexpaxos profiles`: the latency data sets.

mod import;

use std::io::Write;

use clap::{Args, Subcommand};

use super::{Exit, Failure, output};
use crate::causes::chain;
use crate::report::table::{Column, Table, Width, fold, table};
use crate::time::Span;
use crate::topology::{Error, Misses, Profile};

/// Lists the latency profiles, or shows one.
///
/// A profile is a table of round trips between regions, with its source and date.
/// An experiment names one in `[topology] profile`.
/// The row of a region with itself is the round trip between two nodes in it; in a region without such
/// a row two nodes have no delay between them, and two replicas cannot be placed there.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  flexpaxos profiles                                    all of them
  flexpaxos profiles aws-2025-07                        its source, its fit and its regions
  flexpaxos profiles aws-2025-07 --from us-east-1       round trips from there, nearest first
  flexpaxos profiles aws-2024-04 --from us-east-1 --to eu-west-1
                                                        one pair: percentiles published and fitted
  flexpaxos profiles aws-2025-07 --csv > mine.csv       a copy to change; give its path as a profile
  flexpaxos profiles import pings.csv --out mine.csv    a profile of another table; see its --help"
)]
pub(super) struct Profiles {
    #[command(subcommand)]
    command: Option<Command>,

    /// The profile to show, or the path of a CSV file.
    name: Option<String>,

    /// Shows the round trips from this region, nearest first.
    #[arg(long, value_name = "REGION", requires = "name")]
    from: Option<String>,

    /// Shows the percentiles of the round trip from there to this region, published and fitted.
    #[arg(long, value_name = "REGION", requires = "from", conflicts_with = "csv")]
    to: Option<String>,

    /// Prints comma-separated values: of a profile all its rows and columns, as a profile is read.
    #[arg(long)]
    csv: bool,

    /// Prints all columns of the tables, however narrow the terminal is.
    #[arg(long, conflicts_with = "csv")]
    wide: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Import),
}

impl Profiles {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        if let Some(Command::Import(import)) = &self.command {
            return import.run(out);
        }
        let Some(name) = &self.name else {
            return self.list(out);
        };
        let profile = Profile::load(name).map_err(|error| refuse(&error))?;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => pair(&profile, from, to, out)?,
            (Some(from), None) => self.distances(&profile, from, out)?,
            (None, _) if self.csv => rows(&profile, None, out)?,
            (None, _) => describe(&profile, output::width(self.wide), out)?,
        }
        Ok(Exit::Done)
    }

    fn list(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let header = ["profile", "regions", "measured", "statistic"];
        let rows: Vec<Vec<String>> = Profile::built_in()
            .iter()
            .map(|profile| {
                let texts =
                    [profile.name(), &count(profile), profile.measured(), profile.statistic()];
                texts.map(str::to_owned).to_vec()
            })
            .collect();
        if self.csv {
            write_csv(out, &header, &rows)?;
        } else {
            let columns = vec![
                Column::text("profile"),
                Column::number("regions"),
                Column::text("measured").rank(2),
                Column::text("statistic").rank(1),
            ];
            writeln!(out, "{}", Table::new(columns, rows).fit(output::width(self.wide)))?;
            writeln!(out, "\n`flexpaxos profiles NAME` shows one with its source and regions")?;
        }
        Ok(Exit::Done)
    }

    fn distances(&self, profile: &Profile, from: &str, out: &mut dyn Write) -> Result<(), Failure> {
        if self.csv {
            // An unknown region is an error, and not an empty table.
            profile.rtt(from, from).or_else(known).map_err(|error| refuse(&error))?;
            return rows(profile, Some(from), out);
        }
        let mut found = Vec::new();
        for to in profile.regions() {
            match (profile.rtt(from, to), profile.rtt(to, from)) {
                (Ok(there), Ok(back)) => found.push((there, to, back)),
                (Err(error @ Error::UnknownRegions { .. }), _) => return Err(refuse(&error)),
                // A table without this pair: there is nothing to show.
                _ => {}
            }
        }
        if profile.accepts_any_region() {
            writeln!(out, "{}: {}", profile.name(), profile.statistic())?;
            return Ok(());
        }
        found.sort_unstable();
        let rows: Vec<Vec<String>> = found
            .into_iter()
            .map(|(there, to, back)| vec![to.to_owned(), there.milliseconds(), back.milliseconds()])
            .collect();
        let header = ["region", &format!("round trip from {from} (ms)"), "the other way (ms)"];
        writeln!(out, "{}", table(&header, &[1, 2], &rows))?;
        Ok(())
    }
}

fn describe(profile: &Profile, width: Width, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "profile    {}", profile.name())?;
    writeln!(out, "source     {}", fold(profile.source(), 11))?;
    writeln!(out, "statistic  {}", fold(profile.statistic(), 11))?;
    writeln!(out, "measured   {}", profile.measured())?;
    fit(profile, width, out)?;
    if profile.accepts_any_region() {
        writeln!(out, "regions    any names")?;
    } else {
        writeln!(out, "regions    {}", count(profile))?;
        for region in profile.regions() {
            writeln!(out, "  {region}")?;
        }
    }
    Ok(())
}

/// How near the emulated percentiles come to the published ones.
fn fit(profile: &Profile, width: Width, out: &mut dyn Write) -> Result<(), Failure> {
    let legs = "a delay in each direction is half of the round trip in its own row";
    if profile.accepts_any_region() {
        writeln!(out, "links      half of that in each direction, always")?;
        return Ok(());
    }
    let fits = profile.fits();
    let misses = Misses::of(&fits);
    if misses.len() < 2 {
        let text = format!("{legs}; nothing is known of how it varies, so it does not");
        writeln!(out, "links      {}", fold(&text, 11))?;
        return Ok(());
    }
    let empirical_count = fits.iter().filter(|pair| pair.fit.is_empirical()).count();
    let text = format!(
        "{legs}; with `jitter = \"profile\"` it varies such that two of them together have the \
         published percentiles: by a Weibull distribution, or for {empirical_count} of the {} rows, \
         which that would miss by more than 5 %, an empirical one:",
        fits.len()
    );
    writeln!(out, "links      {}\n", fold(&text, 11))?;
    let rows: Vec<Vec<String>> = misses
        .iter()
        .map(|level| {
            let (from, to) = &level.worst_pair;
            let worst_ms = level.worst.difference_ms();
            let is_met = worst_ms.abs() < 0.005;
            vec![
                percentile(level.probability),
                format!("{:.2}", level.p50_ms),
                percent(level.p50_relative),
                format!("{:.2}", level.p95_ms),
                percent(level.p95_relative),
                if is_met { "0.00".to_owned() } else { format!("{worst_ms:+.2}") },
                percent(level.worst.relative().abs()),
                if is_met { String::new() } else { format!("{from} to {to}") },
            ]
        })
        .collect();
    let columns = vec![
        Column::text("percentile"),
        Column::number("half are off by less (ms)"),
        Column::number("(%)").rank(1),
        Column::number("95 % are (ms)"),
        Column::number("(%)").rank(1),
        Column::number("worst (ms)"),
        Column::number("(%)").rank(1),
        Column::text("worst pair").rank(2),
    ];
    writeln!(out, "{}\n", Table::new(columns, rows).fit(width))?;
    Ok(())
}

/// The percentiles of one pair, published and fitted.
fn pair(profile: &Profile, from: &str, to: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let pair = profile.fit(from, to).map_err(|error| refuse(&error))?;
    let rows: Vec<Vec<String>> = pair
        .errors()
        .map(|error| {
            vec![
                percentile(error.probability),
                error.published.milliseconds(),
                error.fitted.milliseconds(),
                format!("{:+.2}", error.difference_ms()),
                format!("{:+.2}", error.relative() * 100.0),
            ]
        })
        .collect();
    writeln!(out, "{}, round trip from {from} to {to}:\n", profile.name())?;
    let header = ["percentile", "published (ms)", "fitted (ms)", "error (ms)", "error (%)"];
    writeln!(out, "{}", table(&header, &[1, 2, 3, 4], &rows))?;
    let leg = pair.fit.leg();
    let text = if leg.is_constant() {
        format!("each leg: {leg}; nothing is known of how it varies")
    } else {
        format!("each leg with `jitter = \"profile\"`: {leg}; without, the half of the median")
    };
    writeln!(out, "\n{}", fold(&text, 0))?;
    Ok(())
}

/// `p99`; the minimum is the percentile 0.
fn percentile(probability: f64) -> String {
    if probability <= 0.0 {
        return "min".to_owned();
    }
    // Two digits after the point, and none that are zero.
    let text = format!("{:.2}", probability * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn percent(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

/// The rows of a profile, from one region alone if it is named, in the form in which a profile is read.
fn rows(profile: &Profile, from: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let text = profile.to_csv(from).ok_or_else(|| {
        Failure::request(
            format!("profile {} has no table of pairs", profile.name()),
            "it gives every pair the same round trip; leave out `--csv`",
        )
    })?;
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// That a region has no round trip within it does not matter.
fn known(error: Error) -> Result<Span, Error> {
    match error {
        Error::MissingPairs { .. } => Ok(Span::ZERO),
        other => Err(other),
    }
}

fn write_csv(out: &mut dyn Write, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.flush()?;
    Ok(())
}

fn count(profile: &Profile) -> String {
    if profile.accepts_any_region() {
        "any".to_owned()
    } else {
        profile.regions().len().to_string()
    }
}

fn refuse(error: &Error) -> Failure {
    Failure::request(
        chain(error),
        "`flexpaxos profiles` lists the profiles, with a NAME its regions",
    )
}

//! `flexpaxos profiles`: the latency data sets.

use std::io::Write;

use clap::Args;

use super::failure::chain;
use super::table::table;
use super::{Exit, Failure};
use crate::topology::{Error, Profile};

/// Lists the latency profiles, or shows one.
///
/// A profile is a table of round trips between regions, with its source and date.
/// An experiment names one in `[topology] profile`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos profiles                                    all of them
  flexpaxos profiles aws-2025-07                        its source and its regions
  flexpaxos profiles aws-2025-07 --from us-east-1       round trips from there, nearest first
  flexpaxos profiles aws-2025-07 --csv > mine.csv       a copy to change; give its path as a profile")]
pub(super) struct Profiles {
    /// The profile to show, or the path of a CSV file.
    name: Option<String>,

    /// Shows the round trips from this region, nearest first.
    #[arg(long, value_name = "REGION", requires = "name")]
    from: Option<String>,

    /// Prints comma-separated values.
    #[arg(long)]
    csv: bool,
}

impl Profiles {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let Some(name) = &self.name else {
            return self.list(out);
        };
        let profile = Profile::load(name).map_err(|error| refuse(&error))?;
        match &self.from {
            None if self.csv => pairs(&profile, &profile.regions(), out)?,
            None => describe(&profile, out)?,
            Some(from) => self.distances(&profile, from, out)?,
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
            writeln!(out, "{}", table(&header, &[1], &rows))?;
            writeln!(out, "\n`flexpaxos profiles NAME` shows one with its source and regions")?;
        }
        Ok(Exit::Done)
    }

    fn distances(&self, profile: &Profile, from: &str, out: &mut dyn Write) -> Result<(), Failure> {
        if self.csv {
            return pairs(profile, &[from], out);
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
        let milliseconds = |span: crate::time::Span| format!("{:.2}", span.as_millis_f64());
        let rows: Vec<Vec<String>> = found
            .into_iter()
            .map(|(there, to, back)| vec![to.to_owned(), milliseconds(there), milliseconds(back)])
            .collect();
        let header = ["region", &format!("round trip from {from} (ms)"), "the other way (ms)"];
        writeln!(out, "{}", table(&header, &[1, 2], &rows))?;
        Ok(())
    }
}

fn describe(profile: &Profile, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "profile    {}", profile.name())?;
    writeln!(out, "source     {}", profile.source())?;
    writeln!(out, "statistic  {}", profile.statistic())?;
    writeln!(out, "measured   {}", profile.measured())?;
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

/// The rows of a profile from these regions, in the form in which a profile is read.
fn pairs(profile: &Profile, from: &[&str], out: &mut dyn Write) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for from in from {
        for to in profile.regions() {
            match profile.rtt(from, to) {
                Ok(rtt) => {
                    let rtt = format!("{:.3}", rtt.as_millis_f64());
                    rows.push(vec![(*from).to_owned(), to.to_owned(), rtt]);
                }
                Err(error @ Error::UnknownRegions { .. }) => return Err(refuse(&error)),
                Err(_) => {}
            }
        }
    }
    if rows.is_empty() {
        return Err(Failure::request(
            format!("profile {} has no table of pairs", profile.name()),
            "it gives every pair the same round trip; leave out `--csv`",
        ));
    }
    write_csv(out, &["from", "to", "rtt_ms"], &rows)
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

//! `flexpaxos measure-links`: what the links between hosts take, as a latency profile.

use std::cell::Cell;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output;
use super::progress::{Clock, Left};
use super::venue::Reached;
use super::{Exit, Failure};
use crate::cluster::hosts::links::MeasuredLinks;
use crate::cluster::hosts::subnet::Subnet;
use crate::report::table::{Column, Table};
use crate::time::Span;

/// Where there is no bar, a line says this often how far it is.
const LINE_INTERVAL: Span = Span::from_millis(10_000);

/// Measures the round trips between hosts, and writes them as a latency profile.
///
/// Each host pings every other one 50 times a second with UDP datagrams of 128 bytes; 50 hosts or more ping more
/// slowly. A ping without an answer within 2 s is lost. The profile has the median, the minimum, and the
/// percentiles 90 and 99 of each direction where ten pings lie beyond them; how many were answered and lost
/// stands in its comments. `[topology] profile = FILE` takes it, with `jitter = "profile"` for the percentiles.
///
/// A host is in the regions that the host file names, or in one of its own name. Ctrl-C keeps what was measured
/// so far, and the file says so.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos measure-links --hosts hosts.txt --for 10m --out links.csv
  flexpaxos plan experiments/quickstart.toml --set topology.profile=/path/to/links.csv")]
pub(super) struct MeasureLinks {
    /// The host file: one line a host, `user@host region=eu-west-1`. `@FILE` is a list of bare hosts.
    #[arg(long, value_name = "FILE")]
    hosts: String,

    /// How long to measure: 10 s give the 90th percentile, and a minute the 99th.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1m")]
    time: Duration,

    /// Writes the profile to this file, which must not exist yet; to stdout if absent.
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,

    /// What to run in place of `ssh`, such as `oarsh` or `ssh -F FILE`.
    #[arg(long, value_name = "COMMAND")]
    ssh_command: Option<String>,

    /// The address under which hosts reach this machine, if not the one from which ssh comes.
    #[arg(long, value_name = "ADDR")]
    coordinator_address: Option<IpAddr>,

    /// The subnet whose addresses are pinged, as 10.0.0.0/16, if not those that reach this machine.
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<Subnet>,

    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,

    /// Prints all columns of the table, however narrow the terminal is.
    #[arg(long)]
    wide: bool,
}

impl MeasureLinks {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        if self.time < Duration::from_secs(1) {
            let help = "give it a second at least: `--for 1m` gives 3,000 round trips a link";
            return Err(Failure::request("--for is too short to measure anything", help));
        }
        let reached = Reached {
            hosts: &self.hosts,
            ssh_command: self.ssh_command.as_deref(),
            coordinator_address: self.coordinator_address,
            subnet: self.subnet,
            is_quiet: self.quiet,
        };
        let hosts = reached.read()?;
        if hosts.names().len() < 2 {
            let help = "name two hosts at least";
            return Err(Failure::request(format!("{} has one host: no link", self.hosts), help));
        }
        if let Some(path) = self.out.as_deref().filter(|path| path.exists()) {
            let said = format!("{} exists already", path.display());
            return Err(Failure::request(said, "name a file that does not exist yet"));
        }
        let interrupt = super::interrupt()?;
        let hosts = reached.connect(hosts, &interrupt)?;
        let clock = Clock::start(self.quiet);
        clock.expect(Left::about(self.time));
        let next_line = Cell::new(LINE_INTERVAL);
        let tell = |lasted: Span, answered: u64, lost: u64| {
            let said = format!("{answered} round trips, {lost} lost");
            clock.bar().set_message(said.clone());
            if clock.is_of_lines() && lasted >= next_line.get() {
                next_line.set(lasted + LINE_INTERVAL);
                let (seconds, all) = (lasted.0 / 1_000_000_000, self.time.as_secs());
                clock.print(&format!("{seconds} of {all} s: {said}"));
            }
        };
        let measured = hosts.measure_links(Span::from(self.time), &interrupt, &tell);
        clock.finish();
        let measured = measured.map_err(|said| {
            let help = "no link was measured";
            Failure { exit: Exit::World, ..Failure::request(said, help) }
        })?;
        self.write(&measured, out)?;
        if measured.is_cut {
            let lasted = measured.lasted.as_millis_f64() / 1e3;
            output::warn(&format!(
                "interrupted after {lasted:.1} s: this is what was measured so far"
            ));
        }
        for lost in &measured.lost_hosts {
            output::warn(&format!("warning: {lost}; its links have what was measured before"));
        }
        for ((from, to), _) in measured.links.iter().filter(|(_, link)| link.round_trips.is_empty())
        {
            output::warn(&format!(
                "warning: {from} to {to} has no row: no ping was answered; let UDP pass between the two"
            ));
        }
        Ok(if measured.is_partial() { Exit::Partial } else { Exit::Done })
    }

    fn write(&self, measured: &MeasuredLinks, out: &mut dyn Write) -> Result<(), Failure> {
        let Some(path) = &self.out else {
            out.write_all(measured.csv().as_bytes())?;
            return Ok(());
        };
        super::write_file(path, &measured.csv())?;
        let cell = |span: Option<Span>| span.map_or_else(|| "-".to_owned(), Span::milliseconds);
        let rows = measured.links.iter().map(|((from, to), link)| {
            let least = (!link.round_trips.is_empty()).then_some(link.least);
            let figures =
                [least, link.percentile(0.5), link.percentile(0.9), link.percentile(0.99)];
            let counts = [link.round_trips.count().to_string(), link.lost_count.to_string()];
            [from.clone(), to.clone()].into_iter().chain(figures.map(cell)).chain(counts).collect()
        });
        let columns = vec![
            Column::text("from"),
            Column::text("to"),
            Column::number("min (ms)").rank(1),
            Column::number("p50 (ms)"),
            Column::number("p90 (ms)").rank(2),
            Column::number("p99 (ms)"),
            Column::number("answered").rank(1),
            Column::number("lost"),
        ];
        writeln!(out, "{}", Table::new(columns, rows.collect()).fit(output::width(self.wide)))?;
        writeln!(out, "\nprofile in {}", path.display())?;
        Ok(())
    }
}

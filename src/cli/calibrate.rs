//! `flexpaxos calibrate`: what this machine adds by itself.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::{Exit, Failure};
use crate::calibration::{self, Calibration, Gaps, Noise, Quantiles, Thoroughness};
use crate::cluster::Interrupt;
use crate::report::table::{Column, Table, Width, line};
use crate::sim::{Costs, Service, Shared};
use crate::time::Span;

/// Measures what this machine adds by itself: timers, round trips, syncs, the processor, the noise.
///
/// It takes some four seconds, and a run does the quick form of it before its first live trial.
/// A simulation takes its service times from it where an experiment has no `[service]`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos calibrate                          a table, and the [service] section that corresponds
  flexpaxos calibrate --out machine.json       the same, and a file for --calibration
  flexpaxos run experiments/lan.toml --backend sim --calibration machine.json")]
pub(super) struct Calibrate {
    /// Takes a second and a half.
    #[arg(long)]
    quick: bool,

    /// Prints JSON instead of the table.
    #[arg(long)]
    json: bool,

    /// Prints all columns of the table, however narrow the terminal is.
    #[arg(long)]
    wide: bool,

    /// Writes the JSON to this file, which must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Measures the disk of this folder; what is written there goes again.
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

impl Calibrate {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        // Opened before anything is measured: what cannot be kept need not be made.
        let file = self.out.as_deref().map(new_file).transpose()?;
        let thoroughness = if self.quick { Thoroughness::Quick } else { Thoroughness::Full };
        let interrupt = super::interrupt()?;
        let bar = if io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        let calibration = calibrate(thoroughness, &self.folder, &bar, &interrupt);
        bar.finish_and_clear();
        let calibration = calibration?;
        let json = serde_json::to_string_pretty(&calibration).expect("it is plain data");
        if let (Some(mut file), Some(path)) = (file, &self.out) {
            writeln!(file, "{json}").map_err(|error| {
                unwritable(path, error, Exit::World, "make room, or name a file on another disk")
            })?;
        }
        if self.json {
            writeln!(out, "{json}")?;
        } else {
            tell(&calibration, super::output::width(self.wide), out)?;
        }
        Ok(Exit::Done)
    }
}

/// Calibrates; `bar` says what is measured.
pub(super) fn calibrate(
    thoroughness: Thoroughness,
    folder: &Path,
    bar: &ProgressBar,
    interrupt: &Interrupt,
) -> Result<Calibration, Failure> {
    let tell = |what| {
        bar.set_message(format!("calibrating this machine: {what}"));
        bar.tick();
    };
    let measured = calibration::calibrate(thoroughness, folder, &tell, interrupt);
    measured.map_err(|error| {
        let (exit, help) = match &error {
            calibration::Error::Interrupted => (Exit::Partial, "nothing of it is kept"),
            calibration::Error::Folder { path, .. } if is_below_a_file(path) => {
                (Exit::Request, "name a folder: what is there is a file")
            }
            calibration::Error::Folder { .. } | calibration::Error::Disk(_) => {
                (Exit::World, "choose a folder that can be written, on the disk that runs will use")
            }
            calibration::Error::RoundTrip { .. } => (
                Exit::World,
                "the loopback interface must be up and lose nothing: see `ip link show lo`",
            ),
            _ => (Exit::World, "free some of the machine, and try again"),
        };
        Failure { exit, ..Failure::world(&error, help) }
    })
}

/// Whether a path cannot be, because something above it is no folder.
fn is_below_a_file(path: &Path) -> bool {
    path.ancestors().any(Path::is_file)
}

/// The calibration in a file that the user names.
pub(super) fn read(path: &Path) -> Result<Calibration, Failure> {
    Calibration::read(path).map_err(|error| {
        let help = "give a file that `flexpaxos calibrate --out` wrote, or the manifest.json of a \
                    live run";
        Failure { exit: Exit::Request, ..Failure::world(&error, help) }
    })
}

fn new_file(path: &Path) -> Result<File, Failure> {
    File::create_new(path).map_err(|error| {
        let (exit, help) = match error.kind() {
            ErrorKind::AlreadyExists => (Exit::Request, "name a file that does not exist yet"),
            ErrorKind::NotFound => (Exit::Request, "make its folder first, or name another file"),
            _ => (Exit::World, "name a file in a folder that can be written"),
        };
        unwritable(path, error, exit, help)
    })
}

fn unwritable(path: &Path, source: io::Error, exit: Exit, help: &str) -> Failure {
    let error = calibration::Error::Unwritten { path: path.to_owned(), source };
    Failure { exit, ..Failure::world(&error, help) }
}

fn tell(calibration: &Calibration, width: Width, out: &mut dyn Write) -> Result<(), Failure> {
    let Calibration { timers, round_trips, syncs, .. } = calibration;
    let lines = [
        ("link emulation, late", &timers.releaser, "what every emulated delay is too long by"),
        ("alarm of a member, late", &timers.alarm, "when operations start, and time-outs"),
        (
            "timer of tokio, late",
            &timers.tokio,
            "QUIC's probes and pacing; nothing that is measured",
        ),
        ("UDP round trip", &round_trips.udp, "two wake-ups: no two members are nearer"),
        ("TCP round trip", &round_trips.tcp, "in plain text, for comparison"),
        ("QUIC round trip", &round_trips.quic, "as between members, without emulation"),
        ("QUIC, one event loop", &round_trips.quic_in_one_loop, "its work alone: no wake-ups"),
        (
            "QUIC, 1 MiB there",
            &round_trips.quic_mebibyte,
            "the work of a large value, and an answer",
        ),
        ("sync of 1 record", &syncs.one, "durable writes one after the other"),
        (
            "sync of 1, of 4 logs",
            &syncs.one_in_each_of_4,
            "durable writes of four logs on one disk",
        ),
        ("sync of 64 records", &syncs.group_of_64, "durable writes side by side, 64 a time"),
        ("AES-128-GCM, 1200 B", &calibration.cipher, "sealing and opening one full datagram"),
    ];
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|(name, times, limits)| {
            let Quantiles { ns_p50, ns_p99, ns_max, .. } = **times;
            let [p50, p99, max] = [ns_p50, ns_p99, ns_max].map(micros);
            [(*name).to_owned(), p50, p99, max, (*limits).to_owned()].to_vec()
        })
        .collect();
    let columns = vec![
        Column::text("us"),
        Column::number("p50"),
        Column::number("p99"),
        Column::number("max").rank(1),
        Column::text("what it limits").rank(2),
    ];
    writeln!(out, "{}\n", Table::new(columns, rows).fit(width))?;
    writeln!(out, "scheduling  {}", timers.scheduling)?;
    writeln!(
        out,
        "processor   {:.2} ns for a multiplication and an addition",
        calibration.step_ns
    )?;
    let noise = format!("noise       {}", noise(&calibration.noise));
    writeln!(out, "{}", line(&noise, width))?;
    if calibration.is_debug_build {
        writeln!(out, "\nbuilt without optimisation: these figures are worth nothing")?;
    }
    let Service { receive, send, sync, mebibyte, .. } = calibration.service();
    let [receive, send, sync, mebibyte] = [receive, send, sync, mebibyte].map(length);
    writeln!(
        out,
        "\n[service]             # this machine, for the simulator: half of a QUIC round trip in one\n\
         receive = {receive:<12} # event loop, shared two to one\n\
         send    = {send:<12}\n\
         sync    = {sync:<12} # the median of a sync of one record\n\
         mebibyte = {mebibyte:<11} # half of what a MiB takes longer than 128 bytes"
    )?;
    let Some(Shared { service, costs }) = calibration.work().shared else {
        writeln!(out, "\n# [host]: what members cost that share this machine was not measured")?;
        return Ok(());
    };
    let Costs { wake_up, packet, sync: work, slice } = costs;
    let [receive, send, wake_up, packet, work, slice] =
        [service.receive, service.send, wake_up, packet, work, slice].map(length);
    writeln!(
        out,
        "\n[host]                # this machine, if all simulated members share it\n\
         cores   = {:<12} # with service.receive = {receive} and service.send = {send}\n\
         wake_up = {wake_up:<12} # what a turn costs by itself\n\
         packet  = {packet:<12} # a quarter of a QUIC round trip in one event loop\n\
         sync    = {work:<12} # processor time of a sync\n\
         slice   = {slice:<12} # one of two busy threads runs so long before the other one does",
        std::thread::available_parallelism().map_or(1, usize::from)
    )?;
    Ok(())
}

/// How much of the machine others took, in words.
fn noise(noise: &Noise) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let Gaps { watched_ns, count, longest_ns } = noise.gaps;
    let waited = noise.run_queue_ns.map(|waited| {
        format!("waited {} for a processor", percent(waited as f64 / noise.over_ns.max(1) as f64))
    });
    let stolen = noise.host_stolen_share.map(|share| format!("{} stolen", percent(share)));
    let gaps = format!(
        "a spinning thread stood still {count} times for more than 1 ms in {:.1} s, the longest {} us",
        watched_ns as f64 / 1e9,
        micros(Some(longest_ns))
    );
    waited.into_iter().chain(stolen).chain([gaps]).collect::<Vec<_>>().join(", ")
}

fn micros(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "-".to_owned(), |ns| format!("{:.1}", ns as f64 / 1e3))
}

/// A length of time as an experiment file has it, to a tenth of a microsecond.
fn length(Span(nanoseconds): Span) -> String {
    match nanoseconds.next_multiple_of(100) {
        ns if ns.is_multiple_of(1000) => format!("\"{}us\"", ns / 1000),
        ns => format!("\"{ns}ns\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_an_experiment_file() {
        let check = |ns, said| assert_eq!(length(Span(ns)), said);
        check(0, "\"0us\"");
        check(12_300, "\"12300ns\"");
        check(12_001, "\"12100ns\"");
        check(400_000, "\"400us\"");
    }

    #[test]
    fn the_table_names_every_measurement_and_ends_with_a_section_to_paste() {
        let times =
            Quantiles { count: 1, ns_p50: Some(60_000), ns_p99: Some(90_000), ns_max: None };
        let mut calibration = Calibration { is_debug_build: true, ..Calibration::default() };
        calibration.round_trips.quic_in_one_loop = times;
        calibration.noise.run_queue_ns = Some(5);
        calibration.noise.over_ns = 100;
        let mut text = Vec::new();
        tell(&calibration, Width::Whole, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("60.0") && text.contains("worth nothing"), "{text}");
        assert!(text.contains("waited 5.0 % for a processor, a spinning thread"), "{text}");
        let section = &text[text.find("[service]").unwrap()..];
        let section: toml::Table = toml::from_str(section).unwrap();
        assert_eq!(section["service"]["receive"].as_str(), Some("20us"));
        assert_eq!(section["service"]["send"].as_str(), Some("10us"));
        assert_eq!(section["service"]["sync"].as_str(), Some("0us"));
        assert!(!section.contains_key("host"), "{text}");

        calibration.round_trips.quic_cpu_ns = Some(66_000);
        calibration.message_cpu_ns = Some(300);
        calibration.syncs.one_in_each_of_4 = times;
        calibration.syncs.one_cpu_ns = Some(70_000);
        calibration.slice_ns = Some(4_000_000);
        let mut text = Vec::new();
        tell(&calibration, Width::Whole, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let section: toml::Table =
            toml::from_str(&text[text.find("[service]").unwrap()..]).unwrap();
        let keys = ["wake_up", "packet", "sync", "slice"];
        let host = keys.map(|key| section["host"][key].as_str().unwrap());
        assert_eq!(host, ["3us", "15us", "70us", "4000us"]);
    }
}

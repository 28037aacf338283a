//! Calibration: what this machine adds by itself, before anything is deployed on it.
//!
//! How late its timers are, how long a round trip, a sync of the disk and a sealed packet take, how
//! fast it calculates, and how much of it others take just now.
//! Every manifest of a live run has one, so that whoever doubts a number can see on what it was
//! measured; the simulator takes its service times from it where an experiment names none
//! ([`Calibration::service`]).
//!
//! It measures the product's own parts: the delay line, the alarm, QUIC, and the acceptors' log.
//! It knows nothing of experiments.

mod bound;
pub mod delay_line;
mod disk;
mod error;
mod message;
mod processor;
mod read;
mod round_trip;
mod service;
mod timers;

pub use error::Error;

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use crate::measure::Latencies;
use crate::runtime::clock;
use crate::runtime::interrupt::Interrupt;
use crate::runtime::machine::awake::Awake;
use crate::runtime::machine::cores;
use crate::runtime::machine::{cpu_s, slice_ns};
use crate::time::Span;
use bound::{Begin, STAGE_MAX, bounded};

/// The version of [`Calibration`]; it moves when a field changes its meaning.
pub const VERSION: u32 = 1;

/// What one machine adds by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`VERSION`].
    pub calibration_version: u32,
    /// Whether every measurement was cut to a third.
    pub is_quick: bool,
    /// Whether the code was built without optimisation: such figures are worth nothing.
    pub is_debug_build: bool,
    /// How late timers are.
    pub timers: Timers,
    /// Round trips of 128 bytes on loopback.
    pub round_trips: RoundTrips,
    /// From giving records to the log until they are durable.
    pub syncs: Syncs,
    /// Sealing and opening 1200 bytes with AES-128-GCM.
    pub cipher: Quantiles,
    /// A multiplication and an addition that wait for one another, in nanoseconds.
    pub step_ns: f64,
    /// Processor time that replicas and clients take for one message, without network and disk, in nanoseconds.
    #[serde(default)]
    pub message_cpu_ns: Option<u64>,
    /// How long a thread runs before another one does that waits for its processor, in nanoseconds, if both always have
    /// work.
    #[serde(default)]
    pub slice_ns: Option<u64>,
    /// How much of the machine others take just now.
    pub noise: Noise,
}

/// Quantiles of a time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How often it was measured.
    pub count: u64,
    /// The median.
    pub ns_p50: Option<u64>,
    /// The 99th percentile.
    pub ns_p99: Option<u64>,
    /// The greatest.
    pub ns_max: Option<u64>,
}

/// How late timers are, from the instant asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    /// The thread that releases datagrams.
    pub releaser: Quantiles,
    /// The scheduling that it obtained.
    pub scheduling: String,
    /// The alarm of an event loop.
    pub alarm: Quantiles,
    /// The timer of tokio, which QUIC uses.
    pub tokio: Quantiles,
}

/// Round trips of 128 bytes on loopback, between two threads with an event loop each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrips {
    /// Over UDP.
    pub udp: Quantiles,
    /// Over TCP, in plain text.
    pub tcp: Quantiles,
    /// Over one long-lived stream of QUIC, as between members.
    pub quic: Quantiles,
    /// The same with both ends in one event loop: the work alone, without wake-ups.
    pub quic_in_one_loop: Quantiles,
    /// In one event loop too: 2^20 bytes there, and 128 bytes back once all of them have come.
    #[serde(default)]
    pub quic_mebibyte: Quantiles,
    /// Processor time of a round trip over QUIC between the two threads, in nanoseconds: that of all threads.
    #[serde(default)]
    pub quic_cpu_ns: Option<u64>,
}

/// From giving records of 128 bytes to the acceptors' log until they are durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syncs {
    /// One record.
    pub one: Quantiles,
    /// A group of 64.
    pub group_of_64: Quantiles,
    /// One record, while three other logs on the disk do the same.
    #[serde(default)]
    pub one_in_each_of_4: Quantiles,
    /// Processor time of that, in nanoseconds: that of the log's thread too.
    #[serde(default)]
    pub one_cpu_ns: Option<u64>,
}

/// How much of the machine others took while it was calibrated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// How long the calibration took.
    pub over_ns: u64,
    /// How long its threads waited for a processor.
    pub run_queue_ns: Option<u64>,
    /// The share of all processors' time that was busy, the calibration included.
    pub host_busy_share: Option<f64>,
    /// The share that another virtual machine took.
    pub host_stolen_share: Option<f64>,
    /// When a spinning thread did not run.
    pub gaps: Gaps,
}

/// When a thread that does nothing but look at the clock did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// How long it looked.
    pub watched_ns: u64,
    /// Times that more than a millisecond passed between two looks.
    pub count: u64,
    /// The longest time between two looks.
    pub longest_ns: u64,
}

impl Quantiles {
    fn of(times: &Latencies) -> Self {
        let at = |share| times.quantile(share).map(|span| span.0);
        Self {
            count: times.count(),
            ns_p50: at(0.5),
            ns_p99: at(0.99),
            ns_max: times.max().map(|span| span.0),
        }
    }
}

/// How thorough a calibration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// A few seconds.
    Full,
    /// About a second and a half.
    Quick,
}

impl Thoroughness {
    /// The time for each of the measurements.
    const fn length(self) -> Span {
        match self {
            Self::Full => Span::from_millis(330),
            Self::Quick => Span::from_millis(110),
        }
    }
}

/// Measures this machine, and the disk of `folder`; `tell` hears what is measured now.
///
/// It ends early if `interrupt` is asked for, and waits for no part of it longer than half a minute.
pub fn calibrate(
    thoroughness: Thoroughness,
    folder: &Path,
    tell: &dyn Fn(&'static str),
    interrupt: &Interrupt,
) -> Result<Calibration, Error> {
    let folder = folder.to_owned();
    let work = move |begin: &Begin| measure(thoroughness, &folder, begin);
    bounded(work, STAGE_MAX, tell, interrupt)
}

/// The measurements, one after the other; `begin` is asked before each.
fn measure(thoroughness: Thoroughness, folder: &Path, begin: &Begin) -> Result<Calibration, Error> {
    let length = thoroughness.length();
    // As in a trial.
    let _awake = Awake::keep();
    let start = clock::now();
    let (threads, host) = (cores::threads(), cores::HostTimes::now());
    begin.stage("timers")?;
    let (releaser, scheduling) = timers::releaser(length)?;
    let timers = Timers {
        releaser,
        scheduling,
        alarm: timers::alarm(length)?,
        tokio: timers::tokio(length)?,
    };
    begin.stage("round trips")?;
    let (quic, quic_cpu_ns) = cpu_of(|| round_trip::quic(length))?;
    let round_trips = RoundTrips {
        udp: round_trip::udp(length)?,
        tcp: round_trip::tcp(length)?,
        quic,
        quic_cpu_ns,
        quic_in_one_loop: round_trip::quic_in_one_loop(length, round_trip::MESSAGE_BYTES)?,
        quic_mebibyte: round_trip::quic_in_one_loop(length, 1 << 20)?,
    };
    begin.stage("syncs")?;
    let mut disk = disk::Disk::open(folder, 0)?;
    let of_four = || disk::side_by_side(folder, disk::LOGS, length);
    let (one_in_each_of_4, one_cpu_ns) = cpu_of(of_four)?;
    let syncs = Syncs {
        one: disk.groups_of(1, length)?,
        one_in_each_of_4,
        one_cpu_ns,
        group_of_64: disk.groups_of(disk::GROUP, length)?,
    };
    drop(disk);
    begin.stage("processor")?;
    let (cipher, step_ns) = (processor::cipher(length), processor::arithmetic(length));
    let (message_cpu_ns, slice_ns) = (message::cpu_ns(length), slice_ns(length));
    begin.stage("noise")?;
    let gaps = processor::gaps(length);
    let shares = host.zip(cores::HostTimes::now()).and_then(|(before, now)| now.since(before));
    let waited = threads
        .zip(cores::threads())
        .map(|(before, after)| cores::waited_between(&before, &after).0);
    let noise = Noise {
        over_ns: clock::now().since(start).0,
        run_queue_ns: waited,
        host_busy_share: shares.map(|shares| shares.busy),
        host_stolen_share: shares.map(|shares| shares.stolen),
        gaps,
    };
    Ok(Calibration {
        calibration_version: VERSION,
        is_quick: thoroughness == Thoroughness::Quick,
        is_debug_build: cfg!(debug_assertions),
        timers,
        round_trips,
        syncs,
        cipher,
        step_ns,
        message_cpu_ns,
        slice_ns,
        noise,
    })
}

/// Runs a measurement; its times, and the processor time that this process took for each of them on average.
///
/// What is done once, as a handshake, is in it: some hundred microseconds among thousands of times.
fn cpu_of(
    measure: impl FnOnce() -> Result<Quantiles, Error>,
) -> Result<(Quantiles, Option<u64>), Error> {
    let before = cpu_s();
    let times = measure()?;
    let took =
        cpu_s().zip(before).map(|(after, before)| Span::from_millis_f64((after - before) * 1e3));
    let cpu_ns = took.filter(|_| times.count > 0).map(|took| took.0 / times.count);
    Ok((times, cpu_ns))
}

/// An event loop as members have one.
fn event_loop() -> Result<Runtime, Error> {
    let started: io::Result<Runtime> = Builder::new_current_thread().enable_all().build();
    started.map_err(|source| Error::Start { what: "start an event loop", source })
}

#[cfg(test)]
mod tests;

//! How exactly the delay line delays: by itself, at every delay and rate, as a table.
//!
//! `cargo bench --bench delay_line -- [--seconds N] [--spin US] [--no-realtime] [--asleep] [--neighbour]
//! [--delays MS,…] [--rates N,…]`
//!
//! `--asleep` lets idle processors sleep; `--neighbour` keeps every core busy beside it.
//! `late` is from due to release, `seen` from due to what a receiver on loopback reads, both in
//! microseconds; `CPU` is processor time of the releasing thread for a datagram, spinning included.
//!
//! The figures are counts and quantiles of the emulation's own records, so this is no criterion
//! benchmark. As a test (without `--bench` among the arguments) it runs for a moment.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flexpaxos::calibration::delay_line::{Exactness, Load, measure};
use flexpaxos::runtime::machine::cores::HostTimes;
use flexpaxos::runtime::wan::Precision;
use flexpaxos::time::Span;

struct Arguments {
    seconds: f64,
    precision: Precision,
    has_neighbour: bool,
    delays_ms: Vec<f64>,
    rates_per_s: Vec<u64>,
}

impl Arguments {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut words = std::env::args().skip(1);
        let mut read = Self {
            seconds: 0.02,
            precision: Precision::default(),
            has_neighbour: false,
            delays_ms: vec![0.2, 1.0, 5.0, 20.0, 80.0],
            rates_per_s: vec![100, 10_000, 50_000],
        };
        let (mut is_measured, mut seconds) = (false, None);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--seconds" => seconds = Some(value()?.parse()?),
                "--spin" => read.precision.spin = Span::from_micros(value()?.parse()?),
                "--no-realtime" => read.precision.realtime = false,
                "--asleep" => read.precision.awake = false,
                "--neighbour" => read.has_neighbour = true,
                "--delays" => read.delays_ms = list(&value()?)?,
                "--rates" => read.rates_per_s = list(&value()?)?,
                "--bench" => is_measured = true,
                // Other words are cargo's.
                _ => {}
            }
        }
        if is_measured {
            read.seconds = seconds.unwrap_or(2.0);
        }
        Ok(read)
    }
}

fn list<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    text.split(',').map(str::parse).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..if arguments.has_neighbour { cores } else { 0 } {
            scope.spawn(|| {
                let mut number = 1_u64;
                while !is_over.load(Ordering::Relaxed) {
                    number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
                }
            });
        }
        let ended = table(&arguments);
        is_over.store(true, Ordering::Relaxed);
        ended
    })
}

fn table(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let before = HostTimes::now();
    println!(
        "{:>8} {:>7} {:>7} {:>6} {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8}   {:>7}",
        "delay ms",
        "rate/s",
        "sent",
        "early",
        "late p50",
        "p99",
        "max",
        "seen p50",
        "p99",
        "max",
        "CPU us"
    );
    let mut scheduling = String::new();
    for delay_ms in &arguments.delays_ms {
        for rate_per_s in &arguments.rates_per_s {
            let count = (*rate_per_s as f64 * arguments.seconds).ceil().max(1.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of datagrams"
            )]
            let count = count as u64;
            let delay = Span::from_millis_f64(*delay_ms);
            let load = Load { delay, rate_per_s: *rate_per_s, count };
            let found = measure(arguments.precision, load)?;
            println!("{}", row(*delay_ms, load, &found));
            scheduling = found.emulation.scheduling.to_string();
        }
    }
    println!("{scheduling}");
    if let (Some(before), Some(after)) = (before, HostTimes::now())
        && let Some(shares) = after.since(before)
    {
        let (busy, stolen) = (shares.busy * 100.0, shares.stolen * 100.0);
        println!("the host was {busy:.0} % busy, {stolen:.1} % of its time stolen");
    }
    Ok(())
}

fn row(delay_ms: f64, load: Load, found: &Exactness) -> String {
    let micros = |span: Option<Span>| {
        span.map_or("-".into(), |Span(nanoseconds)| format!("{:.1}", nanoseconds as f64 / 1e3))
    };
    let Exactness { emulation, end_to_end, .. } = found;
    format!(
        "{delay_ms:>8} {:>7} {:>7} {:>6} {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8}   {:>7}",
        load.rate_per_s,
        found.received_count,
        emulation.early + found.early_count,
        micros(emulation.lateness_p50),
        micros(emulation.lateness_p99),
        micros(emulation.lateness_max),
        micros(end_to_end.quantile(0.5)),
        micros(end_to_end.quantile(0.99)),
        micros(end_to_end.max()),
        micros(found.cpu_per_datagram),
    )
}

//! The delay line by itself: how exactly datagrams leave, without QUIC and without replicas.
//!
//! Real datagrams go through the emulation to a receiving socket on loopback.
//! Lateness is measured where the datagram is given to the kernel, from when it was due; what a
//! receiver sees is measured by its own clock, and has the kernel and the receiver's wake-up in it.
//!
//! The sender wakes every millisecond and names the instants of the next one, so that a rate leaves
//! evenly, each datagram at an instant of its own, however late the sender wakes.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::measure::Latencies;
use crate::runtime::clock;
use crate::runtime::machine::cores;
use crate::runtime::wan::{Bare, Emulation, EmulationReport, Links, Precision, Releaser, bare};
use crate::time::{Span, Time};
use crate::topology::Delay;

/// What the sender looks ahead.
const AHEAD: Span = Span::from_millis(1);

/// The size of a datagram: an accept of 128 bytes, sealed.
const DATAGRAM_BYTES: usize = 180;

/// The receiver gives up when nothing came for so long.
const SILENCE: Duration = Duration::from_secs(2);

/// What is sent through the delay line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The one-way delay of the link.
    pub delay: Span,
    /// Datagrams a second.
    pub rate_per_s: u64,
    /// How many.
    pub count: u64,
}

/// How exactly it was delayed.
#[derive(Clone, Debug)]
pub struct Exactness {
    /// What the emulation says of itself.
    pub emulation: EmulationReport,
    /// By the receiver's clock: arrival less the instant at which it was due.
    pub end_to_end: Latencies,
    /// Datagrams that arrived.
    pub received_count: u64,
    /// Arrived before they were due: never.
    pub early_count: u64,
    /// Processor time of the releasing thread for a datagram, its spinning included.
    pub cpu_per_datagram: Option<Span>,
}

/// Sends a load through the delay line.
pub fn measure(precision: Precision, load: Load) -> io::Result<Exactness> {
    let receiver = bare::loopback()?;
    receiver.set_read_timeout(Some(SILENCE))?;
    let address = receiver.local_addr()?;
    let mut links = Links::new(1);
    links.set(address, Delay::constant(load.delay), 1);
    let releaser = Arc::new(Releaser::start(precision)?);
    let emulation = Arc::new(Emulation::new(links, releaser));
    let sender = Bare::new(Arc::clone(&emulation))?;
    let before = releasing_time();
    let receiving =
        thread::Builder::new().name("receiver".into()).spawn(move || receive(&receiver, load))?;
    send(&sender, address, load);
    let arrivals = receiving.join().map_err(|_| io::Error::other("the receiver panicked"))?;
    let emulation = emulation.report();
    let cpu_per_datagram = before.zip(releasing_time()).and_then(|(before, after)| {
        after.0.saturating_sub(before.0).checked_div(emulation.datagrams).map(Span)
    });
    Ok(Exactness {
        emulation,
        received_count: arrivals.latencies.count(),
        early_count: arrivals.early_count,
        end_to_end: arrivals.latencies,
        cpu_per_datagram,
    })
}

/// Names the instants of a load, evenly, a little ahead of time.
fn send(sender: &Bare, address: SocketAddr, load: Load) {
    let period = |index: u64| Span(u64::try_from(nanoseconds(index, load.rate_per_s)).unwrap_or(0));
    let start = clock::now() + AHEAD + AHEAD;
    let mut datagram = [0; DATAGRAM_BYTES];
    for index in 0..load.count {
        let planned = start + period(index);
        loop {
            let wait = planned.since(clock::now());
            if wait <= AHEAD {
                break;
            }
            thread::park_timeout(wait.into());
        }
        // A sender that woke too late sends now: nothing can be sent in the past.
        let at = planned.max(clock::now());
        datagram[..8].copy_from_slice(&at.0.to_le_bytes());
        sender.send_at(at, address, &datagram);
    }
}

const fn nanoseconds(index: u64, rate_per_s: u64) -> u128 {
    index as u128 * 1_000_000_000 / rate_per_s as u128
}

struct Arrivals {
    latencies: Latencies,
    early_count: u64,
}

fn receive(socket: &UdpSocket, load: Load) -> Arrivals {
    let mut arrivals = Arrivals { latencies: Latencies::new(), early_count: 0 };
    let mut datagrams = vec![0; 1 << 16];
    while arrivals.latencies.count() < load.count {
        // An end for want of datagrams shows in the counts.
        let Ok(length) = socket.recv(&mut datagrams) else { break };
        let now = clock::now();
        for datagram in datagrams[..length].chunks_exact(DATAGRAM_BYTES) {
            let Some(at) = datagram.first_chunk() else { continue };
            let due = Time(u64::from_le_bytes(*at)) + load.delay;
            arrivals.early_count += u64::from(now < due);
            arrivals.latencies.record(now.since(due));
        }
    }
    arrivals
}

/// How long releasing threads of this process have been on a processor.
fn releasing_time() -> Option<Span> {
    let threads = cores::threads()?;
    let releasers = threads.values().filter(|thread| thread.name == "link-releaser");
    Some(releasers.map(|thread| thread.ran).fold(Span::ZERO, |sum, ran| sum + ran))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_arrives_and_none_is_early() {
        let load = Load { delay: Span::from_micros(200), rate_per_s: 10_000, count: 50 };
        let found = measure(Precision::default(), load).unwrap();
        assert_eq!((found.received_count, found.early_count), (50, 0));
        assert_eq!((found.emulation.datagrams, found.emulation.early), (50, 0));
        assert!(found.cpu_per_datagram.is_some());
    }

    #[test]
    fn instants_are_even_at_any_rate() {
        let instants: Vec<u128> = (0..4).map(|index| nanoseconds(index, 3)).collect();
        assert_eq!(instants, [0, 333_333_333, 666_666_666, 1_000_000_000]);
    }
}

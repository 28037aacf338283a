//! The emulated wide area of one member: its outgoing links, and the thread that delays by them.
//!
//! It works on UDP datagrams, below QUIC, so that handshakes, acknowledgements, loss recovery and
//! congestion control all live in the emulated network.
//! Each member delays what it sends; a round trip is delayed once each way.
//! What travels is held by the sender: a member that is killed takes it along.
//! What a link loses, doubles, reorders or limits because it was asked to is counted apart from what is
//! dropped by mistake.
//!
//! It knows of QUIC only the types of its UDP library, so the next version's socket trait concerns
//! `net/socket.rs` alone.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::udp::Transmit;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::lateness::TOLERANCE;
use super::link::{Admitted, Links, Refusal};
use super::outlet::{Counters, Outlet};
use super::releaser::{Releaser, Scheduling};
use super::run::{Header, Run};
use super::sabotage::{Rule, Saboteur};
use crate::link::Conditions;
use crate::runtime::clock;
use crate::time::{Span, Time};
use crate::topology::Delay;

/// The links of one member at work.
#[derive(Debug)]
pub struct Emulation {
    links: Mutex<Links>,
    releaser: Arc<Releaser>,
    counters: Arc<Counters>,
    /// Breaks it on purpose.
    saboteur: Option<Mutex<Saboteur>>,
}

/// What the emulation did; a valid run has zero from `dropped` to `early`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmulationReport {
    /// Datagrams released after their delay.
    pub datagrams: u64,
    /// Datagrams of links without delay, sent at once.
    pub bypassed: u64,
    /// Datagrams lost as was asked for.
    pub lost: u64,
    /// Datagrams for which the queue of a wire had no room, as was asked for.
    pub queue_dropped: u64,
    /// Datagrams that were sent twice, as was asked for.
    pub duplicated: u64,
    /// Datagrams that overtook another one, as was asked for.
    pub reordered: u64,
    /// Datagrams dropped by a link that held its limit, by mistake.
    pub dropped: u64,
    /// Datagrams dropped because no link leads to their destination.
    pub unknown_destination: u64,
    /// Datagrams that the kernel refused.
    pub send_errors: u64,
    /// Times that a full socket made the thread wait.
    pub blocked: u64,
    /// Datagrams released before they were due.
    pub early: u64,
    /// The median time from due to release; `None` if nothing was released.
    pub lateness_p50: Option<Span>,
    /// Its 99th percentile.
    pub lateness_p99: Option<Span>,
    /// The longest.
    pub lateness_max: Option<Span>,
    /// The scheduling that the thread obtained.
    pub scheduling: Scheduling,
}

impl Emulation {
    /// These links, delayed by this thread, which other members of the process may share.
    pub fn new(links: Links, releaser: Arc<Releaser>) -> Self {
        let counters = Arc::default();
        Self { links: Mutex::new(links), releaser, counters, saboteur: None }
    }

    /// The same, broken on purpose.
    #[must_use]
    pub fn broken(self, rule: Rule) -> Self {
        Self { saboteur: Some(Mutex::new(Saboteur::new(rule))), ..self }
    }

    /// Sets the link to `destination`: see [`Links::set`].
    pub fn set(&self, destination: SocketAddr, delay: Delay, id: u64) {
        self.links().set(destination, delay, id);
    }

    /// What the link to `destination` does from now on: see [`Links::set_conditions`].
    pub fn set_conditions(&self, destination: SocketAddr, conditions: Conditions) -> bool {
        self.links().set_conditions(destination, conditions)
    }

    /// Lets the delay of every link go through its distribution once: see [`Links::sweep`].
    pub fn sweep(&self, from: Time, until: Time) {
        self.links().sweep(from, until);
    }

    /// Lets the link to `old` lead to `new`: see [`Links::replace`].
    pub fn replace(&self, old: SocketAddr, new: SocketAddr) -> bool {
        self.links().replace(old, new)
    }

    /// Takes the link away: see [`Links::remove`].
    pub fn remove(&self, destination: SocketAddr) -> bool {
        self.links().remove(destination)
    }

    /// The round trip to a destination whose way back is like the way there.
    pub fn expected_rtt(&self, destination: SocketAddr) -> Option<Span> {
        self.links().median(destination).map(|delay| delay.times(2))
    }

    /// What was done so far.
    pub fn report(&self) -> EmulationReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        EmulationReport {
            datagrams: read(&counters.released),
            bypassed: read(&counters.bypassed),
            lost: read(&counters.lost),
            queue_dropped: read(&counters.queue_dropped),
            duplicated: read(&counters.duplicated),
            reordered: read(&counters.reordered),
            dropped: read(&counters.dropped),
            unknown_destination: read(&counters.unknown_destination),
            send_errors: read(&counters.send_errors),
            blocked: read(&counters.blocked),
            early: read(&counters.early),
            lateness_p50: counters.lateness.quantile(0.5),
            lateness_p99: counters.lateness.quantile(0.99),
            lateness_max: counters.lateness.max(),
            scheduling: self.releaser.scheduling().clone(),
        }
    }

    /// How many datagrams were released so far, and how many of them later than [`TOLERANCE`].
    pub fn released_and_late(&self) -> (u64, u64) {
        (self.counters.released.load(Ordering::Relaxed), self.counters.lateness.late_count())
    }

    /// The sending side of a socket of this member.
    pub(in crate::runtime) fn outlet(&self, socket: &UdpSocket) -> std::io::Result<Arc<Outlet>> {
        Outlet::new(socket, Arc::clone(&self.counters)).map(Arc::new)
    }

    /// Carries what QUIC wants to send; it never blocks, and what cannot be carried is counted.
    pub(in crate::runtime) fn send(&self, outlet: &Arc<Outlet>, transmit: &Transmit<'_>) {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let bypasses = self.links().bypasses(transmit.destination);
        // Should the socket be full, the releaser waits for it.
        if bypasses && outlet.send(transmit).is_ok() {
            let datagrams = transmit.contents.len().div_ceil(size) as u64;
            self.counters.bypassed.fetch_add(datagrams, Ordering::Relaxed);
            return;
        }
        // The links are held until the runs are queued: two tasks must not swap what is sent first.
        let mut links = self.links();
        let runs = self.runs(&mut links, clock::now(), outlet, transmit, size);
        self.releaser.push(runs);
    }

    /// Carries a transmission as if it had been sent at this instant, which may be yet to come.
    pub(super) fn send_at(&self, at: Time, outlet: &Arc<Outlet>, transmit: &Transmit<'_>) {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut links = self.links();
        let runs = self.runs(&mut links, at, outlet, transmit, size);
        self.releaser.push(runs);
    }

    /// Cuts a transmission into datagrams, admits each, and joins those due at one instant.
    fn runs(
        &self,
        links: &mut Links,
        now: Time,
        outlet: &Arc<Outlet>,
        transmit: &Transmit<'_>,
        segment_size: usize,
    ) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::with_capacity(1);
        for segment in transmit.contents.chunks(segment_size) {
            let admitted = match links.admit(now, transmit.destination, segment.len()) {
                Ok(admitted) => admitted,
                Err(refusal) => {
                    self.count(refusal);
                    continue;
                }
            };
            let Admitted { due, release, place, overtakes, again } = admitted;
            self.counters.reordered.fetch_add(overtakes.into(), Ordering::Relaxed);
            self.counters.duplicated.fetch_add(again.is_some().into(), Ordering::Relaxed);
            let again = again.map(|(due, place)| (due, due, place));
            for (due, release, place) in [Some((due, release, place)), again].into_iter().flatten()
            {
                let edited = self.edited(now, transmit.destination, due);
                let release = if edited == due { release } else { edited };
                let due = edited;
                match runs.last_mut() {
                    // Nothing follows a segment that is shorter than the others.
                    Some(run) if run.due == due && run.contents.len() % segment_size == 0 => {
                        run.contents.extend_from_slice(segment);
                        run.place.join(place);
                    }
                    _ => {
                        let mut contents = self.releaser.buffer();
                        contents.extend_from_slice(segment);
                        let header = Header::of(transmit);
                        let (sequence, outlet) = (0, Arc::clone(outlet));
                        runs.push(Run {
                            due,
                            release,
                            sequence,
                            contents,
                            segment_size,
                            header,
                            place,
                            outlet,
                        });
                    }
                }
            }
        }
        runs
    }

    /// When a datagram leaves: when it is due, unless this is broken.
    fn edited(&self, now: Time, destination: SocketAddr, due: Time) -> Time {
        let Some(saboteur) = &self.saboteur else { return due };
        let mut saboteur = saboteur.lock().unwrap_or_else(PoisonError::into_inner);
        saboteur.due(now, destination, due)
    }

    fn count(&self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Unknown => &self.counters.unknown_destination,
            Refusal::Full => &self.counters.dropped,
            Refusal::Lost => &self.counters.lost,
            Refusal::QueueFull => &self.counters.queue_dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The links; a thread that panicked while it held them left them whole.
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

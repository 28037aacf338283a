//! Runs of datagrams on their way: what one send call can carry.
//!
//! The kernel takes several datagrams at once if they have one destination and one size, the last
//! may be shorter: generic segmentation offload, a third of the cost.
//! So datagrams that a link makes due at once stay together, and runs that leave at once are sent
//! together.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use quinn::udp::{EcnCodepoint, Transmit};

use super::link::Place;
use super::outlet::Outlet;
use crate::time::Time;

/// What one send call may carry: an IPv4 packet has 65,535 bytes, headers among them.
const MAX_SEND_BYTES: usize = 60_000;

/// Datagrams of one destination that are due at one instant, in their order.
#[derive(Debug)]
pub(super) struct Run {
    /// When they are due.
    pub(super) due: Time,
    /// When they are released: then, or a little later, with others.
    pub(super) release: Time,
    /// Given by the queue: what was sent first leaves first.
    pub(super) sequence: u64,
    /// All their bytes.
    pub(super) contents: Vec<u8>,
    /// The length of each but the last, which may be shorter.
    pub(super) segment_size: usize,
    /// Where to, and the marks of the packets.
    pub(super) header: Header,
    /// Their place on the link.
    pub(super) place: Place,
    /// Where they leave.
    pub(super) outlet: Arc<Outlet>,
}

/// What all datagrams of a send call have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) destination: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) source: Option<IpAddr>,
}

impl Header {
    pub(super) fn of(transmit: &Transmit<'_>) -> Self {
        Self { destination: transmit.destination, ecn: transmit.ecn, source: transmit.src_ip }
    }

    /// What to send, as the socket wants it.
    pub(super) fn transmit<'a>(&self, contents: &'a [u8], segment_size: usize) -> Transmit<'a> {
        Transmit {
            destination: self.destination,
            ecn: self.ecn,
            contents,
            segment_size: (contents.len() > segment_size).then_some(segment_size),
            src_ip: self.source,
        }
    }
}

impl Run {
    /// The length of the longest prefix of `runs` that one send call of `max_segments` can carry.
    pub(super) fn together(runs: &[Self], max_segments: usize) -> usize {
        let Some(first) = runs.first() else { return 0 };
        let mut bytes = first.contents.len();
        let size = first.segment_size;
        let follows = |run: &&Self| {
            let fits = Arc::ptr_eq(&run.outlet, &first.outlet)
                && run.header == first.header
                // What is sent so far must be whole segments, and this run segments of that size.
                && bytes % size == 0
                && (run.segment_size == size || run.contents.len() <= size)
                && bytes + run.contents.len() <= MAX_SEND_BYTES.min(max_segments * size);
            bytes += run.contents.len();
            fits
        };
        1 + runs[1..].iter().take_while(follows).count()
    }
}

/// By the time of release, then by due time, then in the order of sending.
impl Ord for Run {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |run: &Self| (run.release, run.due, run.sequence);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Run {}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::super::link::{Admitted, Links};
    use super::*;
    use crate::time::Span;
    use crate::topology::Delay;

    struct Bench {
        links: Links,
        destination: SocketAddr,
        outlet: Arc<Outlet>,
    }

    impl Bench {
        fn new() -> Self {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let destination = socket.local_addr().unwrap();
            let mut links = Links::new(1);
            links.set(destination, Delay::constant(Span::from_millis(1)), 1);
            Self {
                links,
                destination,
                outlet: Arc::new(Outlet::new(&socket, Arc::default()).unwrap()),
            }
        }

        fn run(&mut self, bytes: usize, segment_size: usize) -> Run {
            let Admitted { due, release, place, .. } =
                self.links.admit(Time::ZERO, self.destination, bytes).unwrap();
            let header = Header { destination: self.destination, ecn: None, source: None };
            let (contents, outlet) = (vec![0; bytes], Arc::clone(&self.outlet));
            Run { due, release, sequence: 0, contents, segment_size, header, place, outlet }
        }

        fn check(&mut self, runs: &[(usize, usize)], together: usize) {
            let built: Vec<_> = runs.iter().map(|(bytes, size)| self.run(*bytes, *size)).collect();
            assert_eq!(Run::together(&built, 64), together, "{runs:?}");
        }
    }

    #[test]
    fn runs_of_one_size_leave_together() {
        let mut bench = Bench::new();
        bench.check(&[], 0);
        bench.check(&[(100, 100)], 1);
        bench.check(&[(100, 100), (100, 100), (300, 100)], 3);
    }

    #[test]
    fn nothing_follows_a_shorter_segment() {
        let mut bench = Bench::new();
        bench.check(&[(100, 100), (40, 40), (100, 100)], 2);
        bench.check(&[(250, 100), (100, 100)], 1);
        bench.check(&[(40, 40), (100, 100)], 1);
        bench.check(&[(100, 100), (250, 90)], 1);
    }

    #[test]
    fn one_send_call_has_its_limits() {
        let mut bench = Bench::new();
        bench.check(&[(1452, 1452); 60], MAX_SEND_BYTES / 1452);
        bench.check(&[(10, 10); 100], 64);
        let runs = [bench.run(100, 100), bench.run(100, 100)];
        assert_eq!(Run::together(&runs, 1), 1, "segmentation offload is off");
    }

    #[test]
    fn runs_of_different_packets_leave_apart() {
        let mut bench = Bench::new();
        let mut runs = [bench.run(100, 100), bench.run(100, 100)];
        runs[1].header.ecn = Some(EcnCodepoint::Ect0);
        assert_eq!(Run::together(&runs, 64), 1);
        let mut other = Bench::new();
        assert_eq!(Run::together(&[bench.run(100, 100), other.run(100, 100)], 64), 1);
    }

    #[test]
    fn runs_are_in_order_of_due_time_then_of_sending() {
        let mut bench = Bench::new();
        let mut run = |due, sequence| Run { due: Time(due), sequence, ..bench.run(1, 1) };
        assert!(run(1, 9) < run(2, 0));
        assert!(run(1, 1) < run(1, 2));
    }
}

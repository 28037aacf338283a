//! A port that stays a member's own while it is down.
//!
//! A member that is killed binds the port it had when it is restarted, for there its peers dial it.
//! Of the ports that the kernel hands out by itself another program may meanwhile have been given that
//! one, so a member's is drawn from those that it does not hand out.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

/// The first port that is drawn: most services have theirs below.
const FIRST: u16 = 10_000;

/// Ports that are tried; others may have drawn some.
const ATTEMPTS: usize = 100;

/// What the kernel hands out, the first and the last port; both families of addresses go by it.
const HANDED_OUT: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Binds a UDP socket; for port 0 a port is drawn, and where the kernel hands out all of them, its own
/// choice is taken.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    if address.port() != 0 {
        return UdpSocket::bind(address);
    }
    let handed_out = std::fs::read_to_string(HANDED_OUT).ok().and_then(|text| range(&text));
    bind_outside(handed_out, address)
}

fn bind_outside(
    handed_out: Option<RangeInclusive<u16>>,
    address: SocketAddr,
) -> io::Result<UdpSocket> {
    let lasting: Vec<u16> = match handed_out {
        Some(range) => (FIRST..=u16::MAX).filter(|port| !range.contains(port)).collect(),
        None => Vec::new(),
    };
    let [low, high, ..] = RandomState::new().hash_one(()).to_ne_bytes();
    let first = usize::from(u16::from_ne_bytes([low, high])) % lasting.len().max(1);
    for port in lasting.iter().cycle().skip(first).take(lasting.len().min(ATTEMPTS)) {
        match UdpSocket::bind(SocketAddr::new(address.ip(), *port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound_or_refused => return bound_or_refused,
        }
    }
    UdpSocket::bind(address)
}

/// Two numbers, as the kernel writes them.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    Some(words.next()??..=words.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_drawn_port_is_one_that_the_kernel_hands_to_nobody() {
        for handed_out in [10_000..=65_000, 1_024..=60_000, 20_000..=65_535] {
            let sockets: Vec<_> =
                (0..20).map(|_| bind_outside(Some(handed_out.clone()), host(0)).unwrap()).collect();
            for socket in sockets {
                let port = socket.local_addr().unwrap().port();
                assert!(port >= FIRST && !handed_out.contains(&port), "{port} in {handed_out:?}");
            }
        }
    }

    #[test]
    fn without_such_a_port_the_kernel_chooses() {
        for handed_out in [None, Some(1_024..=65_535)] {
            let socket = bind_outside(handed_out, host(0)).unwrap();
            assert_ne!(socket.local_addr().unwrap().port(), 0);
        }
    }

    #[test]
    fn ports_that_are_taken_are_passed_over() {
        // Two ports are left, so that one of both meets the other's.
        let bound = || bind_outside(Some(10_000..=65_533), host(0)).unwrap();
        let (one, other, third) = (bound(), bound(), bound());
        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        assert_ne!(port(&one), port(&other));
        assert_ne!(port(&third), 0);
    }

    #[test]
    fn a_port_that_was_asked_for_is_bound_or_refused() {
        let holder = bind(host(0)).unwrap();
        let taken = holder.local_addr().unwrap();
        assert_eq!(bind(taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(holder);
        assert_eq!(bind(taken).unwrap().local_addr().unwrap(), taken);
    }

    #[test]
    fn the_range_is_read_as_the_kernel_writes_it() {
        assert_eq!(range("32768\t60999\n"), Some(32_768..=60_999));
        for text in ["", "32768", "a b", "1 70000"] {
            assert_eq!(range(text), None, "{text:?}");
        }
    }
}

//! Datagrams through emulated links without QUIC: to measure the emulation by itself.
//!
//! A sender may say at which instant a datagram is sent, also one that is yet to come.
//! So a rate of any height leaves evenly, although the sender is woken only now and then.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::udp::Transmit;

use super::buffers;
use super::emulation::Emulation;
use super::outlet::Outlet;
use crate::time::Time;

/// The size asked for the buffers of a socket: some hundred thousand small datagrams.
const SOCKET_BUFFER_BYTES: usize = 16 << 20;

/// A sender of bare datagrams.
#[derive(Debug)]
pub struct Bare {
    emulation: Arc<Emulation>,
    outlet: Arc<Outlet>,
}

impl Bare {
    /// Sends through these links.
    pub fn new(emulation: Arc<Emulation>) -> io::Result<Self> {
        let outlet = emulation.outlet(&loopback()?)?;
        Ok(Self { emulation, outlet })
    }

    /// Sends a datagram at this instant; links add their delay to it.
    pub fn send_at(&self, at: Time, destination: SocketAddr, datagram: &[u8]) {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: None,
        };
        self.emulation.send_at(at, &self.outlet, &transmit);
    }
}

/// A socket on loopback with large buffers, whose reads wait.
///
/// Datagrams that were sent together may be received as one read, each behind the other.
pub fn loopback() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    buffers::enlarge(&socket, SOCKET_BUFFER_BYTES)?;
    socket.set_nonblocking(false)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::clock;
    use crate::runtime::wan::{Links, Precision, Releaser};
    use crate::time::Span;
    use crate::topology::Delay;

    #[test]
    fn what_is_sent_at_an_instant_to_come_is_delayed_from_then() {
        let receiver = loopback().unwrap();
        let address = receiver.local_addr().unwrap();
        let delay = Span::from_micros(500);
        let mut links = Links::new(1);
        links.set(address, Delay::constant(delay), 1);
        let releaser = Arc::new(Releaser::start(Precision::default()).unwrap());
        let emulation = Arc::new(Emulation::new(links, releaser));
        let sender = Bare::new(Arc::clone(&emulation)).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let start = clock::now();
        for step in (0..10_u64).map(|step| Span::from_micros(300).times(step)) {
            sender.send_at(start + step, address, &step.0.to_le_bytes());
        }
        for step in (0..10_u64).map(|step| Span::from_micros(300).times(step)) {
            let mut datagram = [0; 8];
            assert_eq!(receiver.recv(&mut datagram).unwrap(), 8);
            assert!(clock::now() >= start + step + delay);
            assert_eq!(u64::from_le_bytes(datagram), step.0);
        }
        assert_eq!(emulation.report().early, 0);
        assert_eq!(emulation.released_and_late().0, 10);
    }
}

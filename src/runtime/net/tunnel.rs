//! IP packets as datagrams of the wide area: from the device of a member's TCP through its links to
//! the device of the peer's.
//!
//! A packet leaves by the same socket, links and releaser as a datagram of QUIC, so both protocols
//! meet the same delay, loss and bandwidth, with packets of the same size: the device's MTU is the
//! largest payload of a datagram.
//! What it costs beside plain TCP: an extra copy and two system calls for each packet on each side,
//! a read and a write of the device; those of the socket QUIC has too. Consecutive packets of one
//! size leave in one call, as QUIC's do.
//!
//! It knows nothing of TCP; only IPv4 between members passes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quinn::udp::{BATCH_SIZE, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::task::JoinSet;
use tun_rs::{AsyncDevice, SyncDevice};

use super::socket::EmulatedSocket;
use crate::runtime::wan::emulation::Emulation;

/// The longest IP packet, and the longest run that is received at once.
const PACKET_BYTES_MAX: usize = 1 << 16;

/// What one send call may carry.
const SEND_BYTES_MAX: usize = 60_000;

/// Packets taken from the device before others of the runtime have their turn.
const BURST: usize = 256;

/// Where the addresses of members inside lead.
pub(super) type Routes = BTreeMap<Ipv4Addr, SocketAddr>;

/// The two ways between a device and a socket; they end when this is dropped.
pub(super) struct Tunnel {
    socket: Arc<dyn AsyncUdpSocket>,
    device: Arc<AsyncDevice>,
    counters: Arc<Counters>,
    tasks: Mutex<JoinSet<()>>,
}

/// What did not pass.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Datagrams of nobody who belongs to the deployment.
    pub(super) strangers: AtomicU64,
    /// Packets that the kernel did not take from the tunnel.
    pub(super) lost: AtomicU64,
}

impl Tunnel {
    /// Between this device, which must not block, and a bound socket; nothing passes yet.
    pub(super) fn new(
        device: SyncDevice,
        socket: UdpSocket,
        emulation: Option<Arc<Emulation>>,
    ) -> io::Result<Self> {
        let socket: Arc<dyn AsyncUdpSocket> = match emulation {
            Some(emulation) => Arc::new(EmulatedSocket::new(socket, emulation)?),
            None => TokioRuntime.wrap_udp_socket(socket)?,
        };
        let device = Arc::new(AsyncDevice::new(device)?);
        Ok(Self { socket, device, counters: Arc::default(), tasks: Mutex::default() })
    }

    /// Lets packets pass between these members, from now on.
    ///
    /// What arrived before waits in the socket: nobody's first word is lost, which kernel TCP would
    /// repeat only after a second.
    pub(super) fn open(&self, routes: Routes) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
        let peers = routes.iter().map(|(inner, outer)| (canonical(*outer), *inner)).collect();
        let inward = Inward {
            socket: Arc::clone(&self.socket),
            device: Arc::clone(&self.device),
            counters: Arc::clone(&self.counters),
            peers,
        };
        let (socket, device) = (Arc::clone(&self.socket), Arc::clone(&self.device));
        tasks.spawn(outward(device, socket, routes));
        tasks.spawn(inward.run());
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Carries what TCP sends, until the device is gone.
async fn outward(device: Arc<AsyncDevice>, socket: Arc<dyn AsyncUdpSocket>, routes: Routes) {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let mut batch = Batch::default();
    while let Ok(mut length) = device.recv(&mut packet).await {
        for left in (0..BURST).rev() {
            let taken = &packet[..length];
            // The kernel also says things to neighbours that are not there.
            if let Some(to) = addresses(taken).and_then(|(_, to)| routes.get(&to)) {
                if !batch.takes(*to, length, socket.max_transmit_segments()) {
                    batch.send(&socket).await;
                }
                batch.push(*to, taken);
            }
            match (left > 0).then(|| device.try_recv(&mut packet)) {
                Some(Ok(next)) => length = next,
                Some(Err(_)) | None => break,
            }
        }
        batch.send(&socket).await;
    }
}

/// Packets that leave in one call: of one destination and size, of which the last may be shorter.
#[derive(Debug, Default)]
struct Batch {
    contents: Vec<u8>,
    to: Option<SocketAddr>,
    size: usize,
}

impl Batch {
    fn takes(&self, to: SocketAddr, length: usize, max_segments: usize) -> bool {
        let held = self.contents.len();
        self.to.is_none_or(|held_to| held_to == to)
            && (held == 0
                || (held.is_multiple_of(self.size)
                    && length <= self.size
                    && held + length <= SEND_BYTES_MAX.min(max_segments * self.size)))
    }

    fn push(&mut self, to: SocketAddr, packet: &[u8]) {
        if self.contents.is_empty() {
            (self.to, self.size) = (Some(to), packet.len());
        }
        self.contents.extend_from_slice(packet);
    }

    /// Sends what it holds, if anything; what cannot be sent is lost, as a packet may be, and counted
    /// where the socket counts.
    async fn send(&mut self, socket: &Arc<dyn AsyncUdpSocket>) {
        let Some(destination) = self.to.take() else { return };
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &self.contents,
            segment_size: (self.contents.len() > self.size).then_some(self.size),
            src_ip: None,
        };
        while let Err(error) = socket.try_send(&transmit) {
            if error.kind() != ErrorKind::WouldBlock {
                break;
            }
            let mut poller = Arc::clone(socket).create_io_poller();
            if poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.is_err() {
                break;
            }
        }
        self.contents.clear();
    }
}

/// Carries what arrives to TCP.
struct Inward {
    socket: Arc<dyn AsyncUdpSocket>,
    device: Arc<AsyncDevice>,
    counters: Arc<Counters>,
    /// The address inside of whoever sends from here.
    peers: BTreeMap<SocketAddr, Ipv4Addr>,
}

impl Inward {
    async fn run(self) {
        let mut buffers = vec![0; BATCH_SIZE * PACKET_BYTES_MAX];
        let mut meta = [RecvMeta::default(); BATCH_SIZE];
        loop {
            let received = poll_fn(|cx| {
                let mut slices: Vec<_> =
                    buffers.chunks_mut(PACKET_BYTES_MAX).map(IoSliceMut::new).collect();
                self.socket.poll_recv(cx, &mut slices, &mut meta)
            });
            let count = match received.await {
                Ok(count) => count,
                // An answer to what was sent to a member that is not there.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => continue,
                Err(_) => return,
            };
            for (meta, buffer) in meta.iter().zip(buffers.chunks(PACKET_BYTES_MAX)).take(count) {
                for packet in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    self.deliver(meta.addr, packet);
                }
            }
        }
    }

    fn deliver(&self, from: SocketAddr, packet: &[u8]) {
        let says = addresses(packet).map(|(from, _)| from);
        if says.is_none() || says.as_ref() != self.peers.get(&canonical(from)) {
            self.counters.strangers.fetch_add(1, Ordering::Relaxed);
        } else if self.device.try_send(packet).is_err() {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The source and the destination of an IPv4 packet.
fn addresses(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let at = |start: usize| {
        let octets: [u8; 4] = packet.get(start..start + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets))
    };
    let is_v4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
    if is_v4 { at(12).zip(at(16)) } else { None }
}

/// An address as a socket of both families and one of its own write it alike.
fn canonical(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn packets_of_one_size_leave_together_and_nothing_follows_a_shorter_one() {
        let mut batch = Batch::default();
        assert!(batch.takes(address(1), 1452, 1));
        batch.push(address(1), &[0; 1452]);
        assert!(!batch.takes(address(2), 1452, 64), "another destination");
        assert!(!batch.takes(address(1), 1453, 64), "longer than the first");
        assert!(!batch.takes(address(1), 1452, 1), "more than the socket sends at once");
        assert!(batch.takes(address(1), 52, 64));
        batch.push(address(1), &[0; 52]);
        assert!(!batch.takes(address(1), 52, 64), "a shorter one is the last");
    }

    #[test]
    fn only_ipv4_has_addresses() {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let [from, to] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        assert_eq!(addresses(&packet), Some((from, to)));
        assert_eq!(addresses(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!((addresses(&packet), addresses(&[])), (None, None));
    }
}

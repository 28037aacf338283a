//! Where datagrams leave: the UDP socket of one endpoint, and the counts of what became of them.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quinn::udp::{Transmit, UdpSocketState};

use super::lateness::Lateness;

/// The sending side of a UDP socket.
#[derive(Debug)]
pub(in crate::runtime) struct Outlet {
    socket: UdpSocket,
    state: UdpSocketState,
    counters: Arc<Counters>,
}

/// What became of the datagrams of one member.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Given to the kernel after their delay.
    pub(super) released: AtomicU64,
    /// Given to the kernel at once: their link has no delay.
    pub(super) bypassed: AtomicU64,
    /// Refused by a link that holds its limit.
    pub(super) dropped: AtomicU64,
    /// Lost on purpose.
    pub(super) lost: AtomicU64,
    /// Refused on purpose: the queue of a wire was full.
    pub(super) queue_dropped: AtomicU64,
    /// Copied on purpose.
    pub(super) duplicated: AtomicU64,
    /// Sent before others that were given earlier, on purpose.
    pub(super) reordered: AtomicU64,
    /// Refused for want of a link.
    pub(super) unknown_destination: AtomicU64,
    /// Refused by the kernel.
    pub(super) send_errors: AtomicU64,
    /// Times that the socket was full and the send was tried again.
    pub(super) blocked: AtomicU64,
    /// Released before they were due: never.
    pub(super) early: AtomicU64,
    /// How late they were released.
    pub(super) lateness: Lateness,
}

impl Outlet {
    /// The sending side of this socket, which stays usable for receiving.
    pub(super) fn new(socket: &UdpSocket, counters: Arc<Counters>) -> io::Result<Self> {
        let socket = socket.try_clone()?;
        Ok(Self { state: UdpSocketState::new((&socket).into())?, socket, counters })
    }

    /// Sends, or says `WouldBlock`; any other error of the kernel is counted and is the end of it:
    /// a datagram may be lost.
    pub(super) fn send(&self, transmit: &Transmit<'_>) -> Result<(), WouldBlock> {
        match self.state.try_send((&self.socket).into(), transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counters.blocked.fetch_add(1, Ordering::Relaxed);
                return Err(WouldBlock);
            }
            Err(_) => {
                let datagrams = transmit
                    .segment_size
                    .map_or(1, |size| transmit.contents.len().div_ceil(size.max(1)));
                self.counters.send_errors.fetch_add(datagrams as u64, Ordering::Relaxed);
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// How many datagrams one send call may carry; 1 once the kernel has refused more.
    pub(in crate::runtime) fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// The socket's buffer is full for now.
#[derive(Clone, Copy, Debug)]
pub(super) struct WouldBlock;

//! The UDP socket that quinn sees: the real one, with the emulated links on its sending side.
//!
//! The only place that knows the socket trait of this version of quinn.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};

use crate::runtime::wan::emulation::Emulation;
use crate::runtime::wan::outlet::Outlet;

/// A socket whose datagrams leave late.
#[derive(Debug)]
pub(super) struct EmulatedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    outlet: Arc<Outlet>,
    emulation: Arc<Emulation>,
}

impl EmulatedSocket {
    /// Wraps a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket, emulation: Arc<Emulation>) -> io::Result<Self> {
        let outlet = emulation.outlet(&socket)?;
        Ok(Self { inner: TokioRuntime.wrap_udp_socket(socket)?, outlet, emulation })
    }
}

impl AsyncUdpSocket for EmulatedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    /// Never answers `WouldBlock`: a link that is full drops, as a router does.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.emulation.send(&self.outlet, transmit);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(context, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.outlet.max_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

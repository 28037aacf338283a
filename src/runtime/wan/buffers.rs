//! The buffers of a UDP socket.

use std::io;
use std::net::UdpSocket;

use quinn::udp::UdpSocketState;

/// Asks for large socket buffers, and says how large the receiving one became.
pub(in crate::runtime) fn enlarge(socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
    let state = UdpSocketState::new(socket.into())?;
    state.set_recv_buffer_size(socket.into(), bytes)?;
    state.set_send_buffer_size(socket.into(), bytes)?;
    state.recv_buffer_size(socket.into())
}

//! A network of one member's own, in which the kernel's TCP sees nothing but emulated links.
//!
//! Loss cannot be put into a stream of bytes: kernel TCP must lose packets.
//! So it gets a network namespace with one device, a TUN, and what it sends there is ours to delay
//! and to drop; carrying it is the tunnel's business.
//!
//! A thread belongs to one namespace, and a socket to the one in which it was made, whoever uses it.
//! So a thread of its own enters the namespace and makes the sockets; the member's own thread stays
//! on the host, where the coordinator is.
//! Namespace, device and sockets end with the process, also one that is killed.
//!
//! This needs Linux, root (`CAP_SYS_ADMIN`, `CAP_NET_ADMIN`) and `/dev/net/tun`: [`check`] says what
//! is missing before anything runs.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::transport::{Congestion, Transport};

/// The device's name, in a namespace where nothing else has one.
const DEVICE: &str = "wide-area";

/// All members are in one network, so no route but the device's own is needed.
const PREFIX: u8 = 8;

/// Packets that wait for the tunnel. The kernel would drop beyond its default of 500, which would be
/// loss of the harness.
const QUEUE_PACKETS: u32 = 1 << 16;

/// The largest buffer that the kernel can double.
const BUFFER_BYTES_MAX: u64 = (1 << 30) - 1;

/// Why the kernel's TCP cannot be used over emulated links.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No thread.
    #[error("cannot start a thread: raise the limit of processes (ulimit -u)")]
    Thread(#[source] io::Error),
    /// No namespace.
    #[error(
        "cannot make a network namespace, which TCP over emulated links needs: run as root \
         (CAP_SYS_ADMIN), or use protocol = \"quic\""
    )]
    Namespace(#[source] io::Error),
    /// No device.
    #[error(
        "cannot open a TUN device, which TCP over emulated links needs: give access to \
         /dev/net/tun and CAP_NET_ADMIN, or use protocol = \"quic\""
    )]
    Device(#[source] io::Error),
    /// No such controller.
    #[error(
        "the kernel has no congestion controller {name}: load it (modprobe tcp_{name}), or choose \
         another"
    )]
    Congestion {
        /// As the kernel calls it.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No socket, or not as asked for.
    #[error("cannot set up a TCP socket in a network namespace")]
    Socket(#[source] io::Error),
}

/// A namespace with its device; it ends when this is dropped and its sockets are closed.
#[derive(Debug)]
pub(super) struct Namespace {
    requests: Sender<Request>,
}

/// What only a thread inside can do.
#[derive(Debug)]
enum Request {
    Socket(Sender<io::Result<OwnedFd>>),
    Drops(Sender<Option<u64>>),
}

/// Whether the kernel's TCP can be used with these settings; leaves nothing behind.
pub fn check(transport: &Transport) -> Result<(), Error> {
    let (namespace, _device) = Namespace::open(Ipv4Addr::new(10, 0, 0, 1), transport)?;
    namespace.socket(transport).map(drop)
}

impl Namespace {
    /// A new namespace, and the device in it with this address.
    pub(super) fn open(
        address: Ipv4Addr,
        transport: &Transport,
    ) -> Result<(Self, SyncDevice), Error> {
        let mtu = u16::try_from(transport.mtu_bytes).unwrap_or(u16::MAX);
        let (requests, received) = channel();
        let (opened, is_opened) = channel();
        thread::Builder::new()
            .name("namespace".into())
            .spawn(move || {
                // Whoever asked has gone if this cannot be sent, and so are the requests.
                let _ = opened.send(enter(address, mtu));
                serve(received);
            })
            .map_err(Error::Thread)?;
        let device = is_opened.recv().map_err(|_| Error::Thread(gone()))??;
        Ok((Self { requests }, device))
    }

    /// A TCP socket inside, with these settings.
    pub(super) fn socket(&self, transport: &Transport) -> Result<TcpStream, Error> {
        let socket = self.ask(Request::Socket).unwrap_or_else(|| Err(gone()));
        let socket = socket.map_err(Error::Socket)?;
        configure(&socket, transport)?;
        Ok(TcpStream::from(socket))
    }

    /// Packets that the device dropped because the tunnel did not take them; a valid run has none.
    pub(super) fn drops(&self) -> Option<u64> {
        self.ask(Request::Drops).flatten()
    }

    /// Waits for the thread inside, which has nothing else to do.
    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Option<T> {
        let (answer, answered) = channel();
        self.requests.send(request(answer)).ok()?;
        answered.recv().ok()
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread in the network namespace is gone")
}

/// Takes the calling thread into a namespace of its own.
fn enter(address: Ipv4Addr, mtu: u16) -> Result<SyncDevice, Error> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Namespace(errno.into()))?;
    DeviceBuilder::new()
        .name(DEVICE)
        .mtu(mtu)
        .tx_queue_len(QUEUE_PACKETS)
        .ipv4(address, PREFIX, None)
        .build_sync()
        .map_err(Error::Device)
}

fn serve(requests: Receiver<Request>) {
    for request in requests {
        // Nobody waits any more if an answer cannot be sent.
        match request {
            Request::Socket(answer) => {
                let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
                let made = socket(AddressFamily::Inet, SockType::Stream, flags, None);
                let _ = answer.send(made.map_err(io::Error::from));
            }
            Request::Drops(answer) => {
                let table = std::fs::read_to_string("/proc/thread-self/net/dev");
                let _ = answer.send(table.ok().and_then(|table| dropped_count(&table)));
            }
        }
    }
}

/// The count of packets that the device dropped on their way out, in the kernel's table.
fn dropped_count(table: &str) -> Option<u64> {
    let row = table.lines().find_map(|line| line.trim_start().strip_prefix(DEVICE))?;
    // Eight columns of what came in; then bytes, packets, errors and drops of what went out.
    row.strip_prefix(':')?.split_ascii_whitespace().nth(11)?.parse().ok()
}

/// The settings of a socket that dials or listens; who is accepted has those of the listener.
fn configure(socket: &OwnedFd, transport: &Transport) -> Result<(), Error> {
    let name = kernel_name(transport.congestion);
    setsockopt(socket, sockopt::TcpCongestion, &name.into())
        .map_err(|errno| Error::Congestion { name, source: errno.into() })?;
    set(socket, transport).map_err(|errno| Error::Socket(errno.into()))
}

fn set(socket: &impl AsFd, transport: &Transport) -> nix::Result<()> {
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(socket, sockopt::ReuseAddr, &true)?;
    let bytes = |bytes: u64| usize::try_from(bytes.min(BUFFER_BYTES_MAX)).unwrap_or(usize::MAX);
    setsockopt(socket, sockopt::RcvBufForce, &bytes(transport.stream_window_bytes))?;
    setsockopt(socket, sockopt::SndBufForce, &bytes(transport.send_window_bytes))?;
    // The kernel's words are whole seconds apart.
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let keep_alive_s = number(transport.keep_alive_ms.div_ceil(1_000)).clamp(1, 32_767);
    let count = number(transport.idle_timeout_ms / 1_000 / u64::from(keep_alive_s)).clamp(1, 127);
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &keep_alive_s)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &keep_alive_s)?;
    setsockopt(socket, sockopt::TcpKeepCount, &count)?;
    setsockopt(socket, sockopt::TcpUserTimeout, &number(transport.idle_timeout_ms))
}

/// A controller as the kernel calls it; what it does not have was refused.
const fn kernel_name(congestion: Congestion) -> &'static str {
    match congestion {
        Congestion::Fixed { .. } => "fixed",
        Congestion::Cubic => "cubic",
        Congestion::NewReno => "reno",
        Congestion::Bbr => "bbr",
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;
    use crate::runtime::net::testing::tcp_is_possible;
    use crate::runtime::net::transport::Protocol;

    fn tcp(congestion: Congestion) -> Transport {
        Transport { protocol: Protocol::Tcp, congestion, ..Transport::default() }
    }

    #[test]
    fn the_drops_of_the_device_are_found_in_the_table() {
        let table = "Inter-|   Receive                            |  Transmit\n\
             face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop\n\
             \x20   lo: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
             wide-area: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        assert_eq!(dropped_count(table), Some(12));
        assert_eq!(dropped_count("lo: 0 0"), None);
    }

    #[test]
    fn a_namespace_has_its_own_device_and_sockets_with_the_settings_asked_for() {
        if !tcp_is_possible() {
            return;
        }
        let transport = tcp(Congestion::NewReno);
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let (namespace, _device) = Namespace::open(address, &transport).unwrap();
        let socket = namespace.socket(&transport).unwrap();
        assert_eq!(getsockopt(&socket, sockopt::TcpCongestion).unwrap(), "reno");
        assert!(getsockopt(&socket, sockopt::TcpNoDelay).unwrap());
        assert_eq!(getsockopt(&socket, sockopt::RcvBuf).unwrap(), 2 * (16 << 20));
        assert_eq!(getsockopt(&socket, sockopt::SndBuf).unwrap(), 2 * (64 << 20));
        assert_eq!(namespace.drops(), Some(0));
        // The same address in two namespaces is that of two members.
        assert!(Namespace::open(address, &transport).is_ok());
    }

    #[test]
    fn a_controller_that_the_kernel_does_not_have_is_named() {
        if !tcp_is_possible() {
            return;
        }
        let error = check(&tcp(Congestion::Fixed { window_bytes: 1 << 20 })).unwrap_err();
        assert!(error.to_string().contains("congestion controller fixed"), "{error}");
        assert!(check(&tcp(Congestion::Cubic)).is_ok());
    }
}

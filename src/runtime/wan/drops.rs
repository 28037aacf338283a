//! Datagrams that the kernel dropped because nobody read them in time.
//!
//! Loss of the harness, not of the emulated network: a run that has any is not valid.
//! Linux counts them for every socket in `/proc/net/udp`.

use std::net::{IpAddr, SocketAddr};

/// How often to look for a row before believing that it is not there.
const ATTEMPTS: usize = 4;

/// The drops of the socket bound to this address; `None` where the kernel does not say.
pub(in crate::runtime) fn of(address: SocketAddr) -> Option<u64> {
    let table = match address.ip() {
        IpAddr::V4(_) => "/proc/self/net/udp",
        IpAddr::V6(_) => "/proc/self/net/udp6",
    };
    // The table is read in pieces, and a row may slip through while other sockets come and go.
    (0..ATTEMPTS).find_map(|_| find(&std::fs::read_to_string(table).ok()?, address))
}

/// Finds the last column of the row with this local address.
fn find(table: &str, address: SocketAddr) -> Option<u64> {
    let local = local(address);
    table.lines().skip(1).find_map(|row| {
        let mut columns = row.split_ascii_whitespace();
        let is_it = columns.nth(1)?.eq_ignore_ascii_case(&local);
        is_it.then(|| columns.next_back()?.parse().ok())?
    })
}

/// An address as the table writes it: words in the byte order of the machine, then the port.
fn local(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| {
        let word = <[u8; 4]>::try_from(word).expect("a chunk of four has four");
        format!("{:08X}", u32::from_ne_bytes(word))
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_socket_that_nobody_reads_drops_and_it_is_counted() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(receiver) = UdpSocket::bind(host) else { continue };
            let address = receiver.local_addr().unwrap();
            assert_eq!(of(address), Some(0));
            let sender = UdpSocket::bind(host).unwrap();
            let mut sent = 0;
            while of(address) == Some(0) && sent < 1_000_000 {
                sent += sender.send_to(&[0; 1400], address).unwrap();
            }
            assert!(of(address).unwrap() > 0, "{host}");
        }
    }

    #[test]
    fn a_socket_that_is_not_there_has_no_count() {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(of(address), None);
        assert_eq!(find("", address), None);
    }
}

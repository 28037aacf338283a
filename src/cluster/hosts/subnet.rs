//! The addresses of a host, and which of them its members listen on.

use std::fmt;
use std::net::{IpAddr, UdpSocket};
use std::str::FromStr;

use nix::ifaddrs::getifaddrs;

/// A subnet: `10.0.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    length: u8,
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no subnet: write it as 10.0.0.0/16");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let length: u8 = length.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if length > most { Err(wrong()) } else { Ok(Self { address, length }) }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Subnet {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let prefix =
            |bits: u128, width: u8| bits.checked_shr(u32::from(width - self.length)).unwrap_or(0);
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let [own, other] = [own, other].map(|it| prefix(u128::from(it.to_bits()), 32));
                own == other
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let [own, other] = [own, other].map(|it| prefix(it.to_bits(), 128));
                own == other
            }
            _ => false,
        }
    }
}

/// The addresses of all interfaces of this host.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let address = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    interfaces.filter_map(|interface| address(interface.address?)).collect()
}

/// The address of this host from which datagrams to `peer` leave; nothing is sent.
pub(super) fn address_towards(peer: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // The port is that of "discard"; a connected socket of UDP only looks up its route.
    socket.connect((peer, 9))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_holds_the_addresses_of_its_prefix() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(subnet("10.1.0.0/16").contains(address("10.1.255.3")));
        assert!(!subnet("10.1.0.0/16").contains(address("10.2.0.3")));
        assert!(subnet("0.0.0.0/0").contains(address("8.8.8.8")));
        assert!(!subnet("0.0.0.0/0").contains(address("::1")));
        assert!(subnet("10.1.0.7/32").contains(address("10.1.0.7")));
        assert!(subnet("fd00::/8").contains(address("fd12::1")));
        assert_eq!(subnet("fd00::/8").to_string(), "fd00::/8");
    }

    #[test]
    fn what_is_no_subnet_is_refused() {
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "lan"] {
            let said = text.parse::<Subnet>().unwrap_err();
            assert!(said.contains("10.0.0.0/16"), "{said}");
        }
    }

    #[test]
    fn loopback_is_reached_from_loopback_and_is_an_own_address() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(address_towards(loopback).unwrap(), loopback);
        assert!(own_addresses().contains(&loopback));
    }
}

//! What tests of this folder share.

use std::path::Path;

use super::namespace;
use super::transport::{Congestion, Protocol, Transport};

/// Whether this host lets TCP have its namespaces; where it does not, the reason is printed, and a
/// host that must is no such host.
pub(in crate::runtime) fn tcp_is_possible() -> bool {
    let congestion = Congestion::NewReno;
    let tcp = Transport { protocol: Protocol::Tcp, congestion, ..Transport::default() };
    let Err(error) = namespace::check(&tcp) else { return true };
    let may = nix::unistd::Uid::effective().is_root() && Path::new("/dev/net/tun").exists();
    assert!(!may, "root with /dev/net/tun cannot have TCP: {error}");
    eprintln!("skipped: {error}");
    false
}

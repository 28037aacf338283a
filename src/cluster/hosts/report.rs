//! What a host is: its name, its processor, its kernel, its clock, and what it had to do before.
//!
//! What cannot be found out is absent rather than guessed.

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::channel::Network;
use super::subnet::{address_towards, own_addresses};

/// What one host is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    /// As it calls itself.
    pub name: String,
    /// Where its members listen.
    pub address: IpAddr,
    /// Where its members reach the coordinator.
    pub coordinator: IpAddr,
    /// How many threads may run at once.
    pub core_count: Option<usize>,
    /// The model of the processor.
    pub cpu_model: Option<String>,
    /// The main memory.
    pub memory_bytes: Option<u64>,
    /// The release of the kernel.
    pub kernel: Option<String>,
    /// What the kernel counts time with: `tsc`, `kvm-clock`.
    pub clock_source: Option<String>,
    /// What keeps its time of day: `chrony`; absent if it is not known.
    pub clock_synchronised_by: Option<String>,
    /// How far off its time of day may be, as that says.
    pub time_of_day_error_ns: Option<u64>,
    /// The SHA-256 of the program that runs there.
    pub binary_sha256: String,
    /// The load average of a minute, before anything was started.
    pub load_before: Option<f64>,
    /// The first and the last port that the kernel gives who asks for any.
    pub port_range: Option<(u16, u16)>,
    /// Where its members keep their files.
    pub scratch: String,
    /// The file system there.
    pub scratch_filesystem: Option<String>,
}

/// Why a host cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody says where the coordinator is.
    #[error("ssh does not say where it comes from, so the coordinator's address is not known")]
    NoCoordinator,
    /// There is no way there.
    #[error("it has no route to the coordinator at {0}")]
    NoRoute(IpAddr, #[source] std::io::Error),
    /// No address of it is in the subnet.
    #[error("none of its addresses is in {subnet}: it has {}", list(addresses))]
    NotInSubnet {
        /// Which subnet.
        subnet: super::subnet::Subnet,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// Its own program cannot be read.
    #[error("it cannot read its own program")]
    Program(#[source] std::io::Error),
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

impl HostReport {
    /// That of this host.
    pub(super) fn gather(network: Network, scratch: &std::path::Path) -> Result<Self, Error> {
        let coordinator = network.coordinator.or_else(ssh_client).ok_or(Error::NoCoordinator)?;
        let towards =
            address_towards(coordinator).map_err(|source| Error::NoRoute(coordinator, source))?;
        let address = match network.subnet {
            None => towards,
            Some(subnet) => {
                let addresses = own_addresses();
                let found = addresses.iter().copied().find(|address| subnet.contains(*address));
                found.ok_or(Error::NotInSubnet { subnet, addresses })?
            }
        };
        let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let proc = |path: &str, name: &str| field(&fs::read_to_string(path).ok()?, name);
        let chrony = chrony();
        Ok(Self {
            name: line("/proc/sys/kernel/hostname").unwrap_or_default(),
            address,
            coordinator,
            core_count: available_parallelism().ok().map(usize::from),
            cpu_model: proc("/proc/cpuinfo", "model name"),
            memory_bytes: proc("/proc/meminfo", "MemTotal").and_then(|text| kilobytes(&text)),
            kernel: line("/proc/sys/kernel/osrelease"),
            clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            clock_synchronised_by: chrony.is_some().then(|| "chrony".to_owned()),
            time_of_day_error_ns: chrony,
            binary_sha256: own_binary().map_err(Error::Program)?,
            load_before: line("/proc/loadavg")
                .and_then(|text| text.split_whitespace().next()?.parse().ok()),
            port_range: line("/proc/sys/net/ipv4/ip_local_port_range")
                .and_then(|text| range(&text)),
            scratch: scratch.display().to_string(),
            scratch_filesystem: filesystem(
                &fs::read_to_string("/proc/self/mounts").unwrap_or_default(),
                &scratch.display().to_string(),
            ),
        })
    }
}

/// The address from which ssh comes, as its server says.
fn ssh_client() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split_whitespace().next()?.parse().ok()
}

/// The SHA-256 of the program that runs, in hexadecimal.
pub(super) fn own_binary() -> std::io::Result<String> {
    // The file that runs, even if another one has its name by now.
    let mut file = fs::File::open("/proc/self/exe")?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&chunk[..length]);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes what is written to it");
        text
    })
}

/// How far off the time of day may be, as chrony says; `None` where there is no chrony, or it is not
/// synchronised.
fn chrony() -> Option<u64> {
    let output = Command::new("chronyc")
        .args(["-c", "tracking"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    chrony_error(&String::from_utf8(output.stdout).ok()?)
}

/// The error bound in a line of `chronyc -c tracking`: the offset that is left, the dispersion, and half of the
/// delay to the root (chronyc's manual, under `tracking`).
fn chrony_error(line: &str) -> Option<u64> {
    let fields: Vec<&str> = line.trim().split(',').collect();
    let seconds = |index: usize| fields.get(index)?.parse::<f64>().ok();
    if *fields.get(13)? == "Not synchronised" {
        return None;
    }
    let error = seconds(4)?.abs() + seconds(11)? + seconds(10)? / 2.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a bound")]
    (error.is_finite() && error >= 0.0).then_some((error * 1e9).ceil() as u64)
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    values.next().map(str::to_owned)
}

/// `2048 kB` of `/proc/meminfo`, which counts in units of 1024 bytes.
fn kilobytes(text: &str) -> Option<u64> {
    Some(text.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let mut ports = text.split_whitespace().map(|port| port.parse().ok());
    Some((ports.next()??, ports.next()??))
}

/// The type of the file system that holds a path, from the text of `/proc/mounts`: of the mount with the
/// longest path above it.
fn filesystem(mounts: &str, path: &str) -> Option<String> {
    let above = |point: &str| {
        point == "/"
            || path == point
            || path.strip_prefix(point).is_some_and(|it| it.starts_with('/'))
    };
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    // Of two mounts at one point the later one is seen.
    let found = mounted.filter(|(point, _)| above(point)).max_by_key(|(point, _)| point.len());
    found.map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_chrony_is_what_its_manual_says() {
        let line = "C0000201,192.0.2.1,3,1700000000.0,0.000002,-0.000001,0.00003,-1.5,0.01,0.02,\
                    0.010,0.000500,64.5,Normal\n";
        assert_eq!(chrony_error(line), Some(5_502_000));
        let lost = line.replace("Normal", "Not synchronised");
        assert_eq!(chrony_error(&lost), None);
        assert_eq!(chrony_error("506 Cannot talk to daemon"), None);
    }

    #[test]
    fn a_path_is_on_the_nearest_mount_above_it() {
        let mounts = "/dev/sda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nnfs:/h /home nfs4 rw 0 0\n";
        let kind = |path| filesystem(mounts, path).unwrap();
        assert_eq!(kind("/tmp/x"), "tmpfs");
        assert_eq!(kind("/tmpx"), "ext4");
        assert_eq!(kind("/home/alice/.cache"), "nfs4");
        assert_eq!(filesystem("", "/x"), None);
    }

    #[test]
    fn this_host_reports_what_it_is() {
        let network = Network { coordinator: Some([127, 0, 0, 1].into()), subnet: None };
        let report = HostReport::gather(network, std::path::Path::new("/")).unwrap();
        assert_eq!(report.address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(report.binary_sha256.len(), 64);
        assert!(report.core_count.is_some() && report.kernel.is_some() && !report.name.is_empty());
        let subnet = "203.0.113.7/32".parse().ok();
        let refused = HostReport::gather(Network { subnet, ..network }, std::path::Path::new("/"));
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("203.0.113.7/32") && said.contains("127.0.0.1"), "{said}");
    }
}

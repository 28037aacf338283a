//! The report of one member: the same from a live trial and from a simulated one.

use serde::{Deserialize, Serialize};

use crate::client::Report as ClientReport;
use crate::runtime::machine::{Usage, Watched};
use crate::runtime::replica::Report as ReplicaReport;
use crate::runtime::wan::EmulationReport;

/// What a member hands over at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What its loop says.
    pub role: RoleReport,
    /// What its link emulation says, if it emulated.
    pub emulation: Option<EmulationReport>,
    /// Strangers that it refused.
    pub refused_count: u64,
    /// Datagrams that the kernel dropped for want of buffer.
    pub kernel_drop_count: Option<u64>,
    /// What it cost; `None` where members share a process.
    pub usage: Option<Usage>,
    /// What it saw of its machine; `None` if it saw nothing of the measurement window.
    pub watched: Option<Watched>,
    /// Files that follow, each on a stream of its own.
    pub file_count: usize,
}

/// What a member's loop says at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RoleReport {
    /// Of a replica.
    Replica(ReplicaReport),
    /// Of a client region.
    Client(ClientReport),
}

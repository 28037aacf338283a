//! What a coordinator is given beside the deployment, and what it says while it goes on.

use std::net::SocketAddr;
use std::path::Path;

use crate::runtime::net::Transport;
use crate::runtime::storage::Break;
use crate::runtime::wan::Precision;
use crate::runtime::wan::sabotage::Rule;
use crate::time::Span;
use crate::trial::Probe;

/// What the user is shown while a trial runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Agents are starting.
    Joining,
    /// Members connect to one another.
    Meshing,
    /// Members measure the links between them.
    Probing,
    /// Load before the measurement.
    WarmUp,
    /// Load under measurement.
    Measuring,
    /// Outstanding answers arrive.
    Draining,
    /// Members hand over what they have.
    Collecting,
}

/// What a coordinator is given beside the deployment.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// Where members keep their files while they run, and where what they hand over is kept.
    pub folder: &'a Path,
    /// How long it waits for what.
    pub timeouts: Timeouts,
    /// The settings of QUIC.
    pub transport: Transport,
    /// How precisely links release.
    pub precision: Precision,
    /// How the links are measured before the trial; `None`: not at all.
    pub probe: Option<Probe>,
    /// What is wrong with the link emulation on purpose.
    pub broken: Option<Rule>,
    /// Whose disk is broken on purpose, and how.
    pub broken_disk: Option<Break>,
}

/// How long the coordinator waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For members to join, with what was on their disks read.
    pub join: Span,
    /// For the mesh to form.
    pub mesh: Span,
    /// After the last answer, for replicas to execute as much as the one furthest ahead.
    pub quiesce: Span,
    /// For members to hand over what they have.
    pub collect: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            join: Span::from_millis(20_000),
            mesh: Span::from_millis(20_000),
            quiesce: Span::from_millis(5_000),
            collect: Span::from_millis(60_000),
        }
    }
}

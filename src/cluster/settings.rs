//! What a coordinator is given beside the deployment, and what it says while it goes on.

use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

use crate::runtime::net::Transport;
use crate::runtime::storage::Break;
use crate::runtime::wan::Precision;
use crate::runtime::wan::sabotage::Rule;
use crate::time::Span;

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

/// How links are measured before a trial, and how far off they may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// A link may be off by this in one direction, at the median and at the 99th percentile.
    pub tolerance: Span,
    /// Or by this share of its round trip, where that is more.
    pub tolerance_share: f64,
    /// How long it is measured, at 100 rounds a second at most; many links are measured at fewer, for longer.
    pub time: Span,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            tolerance: Span::from_micros(300),
            tolerance_share: 0.01,
            time: Span::from_millis(2_000),
        }
    }
}

impl Probe {
    /// What a link with this round trip may be off by.
    pub fn tolerance_of(&self, round_trip: Span) -> Span {
        let share = round_trip.as_millis_f64() * self.tolerance_share;
        self.tolerance.max(Span::from_millis_f64(share))
    }
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

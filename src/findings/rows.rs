//! The rows of one trial, and the medians in them that contradict their floors.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::measure::rows::{
    Flag, HistoryRow, LatencyRow, LinkRow, MemberRow, Note, PercentileRow, PhaseRow, RecoveryRow,
    TimelineRow, TrialRow,
};
use crate::measure::{Latencies, Omission, OperationKind};
use crate::runtime::wan::Scheduling;
use crate::time::Span;
use crate::topology::Floor;

/// Every row of one trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rows {
    /// Of the trial itself.
    pub trial: TrialRow,
    /// For each client region and operation.
    pub latency: Vec<LatencyRow>,
    /// For each replica and phase.
    pub phases: Vec<PhaseRow>,
    /// Of each latency, its percentiles.
    pub percentiles: Vec<PercentileRow>,
    /// For each interval.
    pub timeline: Vec<TimelineRow>,
    /// For each member.
    pub members: Vec<MemberRow>,
    /// For each directed link.
    pub links: Vec<LinkRow>,
    /// For each fault and client region.
    pub recovery: Vec<RecoveryRow>,
    /// Attempts of the probe that found every link as asked, and all of them; none if nothing was asked.
    pub probes: Option<(u32, u32)>,
    /// The scheduling that the link emulation of each member obtained.
    pub scheduling: Vec<Scheduling>,
    /// For each history.
    pub histories: Vec<HistoryRow>,
    /// By client region: what is merged for the comparison.
    pub measured: Vec<Measured>,
    /// Medians that are not where their floors say.
    pub disagreements: Vec<Disagreement>,
}

/// What the clients of one region measured in one trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// The kinds of operations that there were, each with its latencies.
    pub latencies: Vec<(OperationKind, Latencies)>,
    /// The pause of a closed loop that they do not show.
    pub omission: Option<Omission>,
    /// The least latency that each kind of operation can have with the links.
    pub floors: Vec<(OperationKind, Floor)>,
}

impl Measured {
    /// The latencies of one kind as an open loop would have measured them, if the closed loop omits a pause:
    /// operations of all kinds of the load waited for it.
    ///
    /// Control operations did not: they begin whatever the loop waits for.
    pub fn as_open_loop(&self, kind: OperationKind, of_kind: &Latencies) -> Option<Latencies> {
        let omission = self.omission.filter(|_| kind.is_load())?;
        Some(of_kind.corrected(&self.load(), omission.interval))
    }

    /// The same in as little memory as it needs: a sweep has thousands of trials.
    #[must_use]
    pub fn packed(mut self) -> Self {
        self.latencies.iter_mut().for_each(|(_, latencies)| latencies.pack());
        self
    }

    /// What all operations of the load took beyond their floors.
    pub fn load_beyond_floors(&self) -> Latencies {
        let of_load = self.latencies.iter().filter(|(kind, _)| kind.is_load());
        let mut all = Latencies::new();
        for (kind, latencies) in of_load {
            let floor = self.floors.iter().find(|(of, _)| of == kind);
            all.merge(&latencies.beyond(floor.map_or(Span::ZERO, |(_, floor)| floor.p50)));
        }
        all
    }

    /// The latencies of all operations of the load.
    pub fn load(&self) -> Latencies {
        let of_load = self.latencies.iter().filter(|(kind, _)| kind.is_load());
        of_load.map(|(_, latencies)| latencies).collect()
    }
}

/// A median that is not where its floor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disagreement {
    /// Of the clients in which region.
    pub client_region: String,
    /// Of a control operation, and not of their load.
    pub is_control: bool,
    /// What is wrong; the gravest is the least.
    pub kind: Kind,
    /// The median less its floor.
    pub residual_ns: i64,
    /// What the trial counted that a floor leaves out.
    pub left_out: LeftOut,
}

/// What is wrong with a median.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// It is faster than its network.
    Impossible,
    /// It is simulated without any cost, and not its floor.
    NotTheFloor,
    /// It is measured, and slower than the host explains.
    Unexplained,
}

/// What a trial counted that a floor leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Slots that another proposer took.
    pub race_lost_count: u64,
    /// Messages sent again after a time-out.
    pub retransmitted_count: u64,
    /// Delays change faster than a link that keeps its order can deliver: messages wait for slower ones
    /// that were sent before them.
    pub waits_for_order: bool,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Impossible => "impossible",
            Self::NotTheFloor => "not the floor",
            Self::Unexplained => "unexplained",
        }
    }
}

impl Disagreement {
    /// It as a note of its trial.
    pub fn note(&self) -> Note {
        let (region, distance, kind) = (&self.client_region, self.distance(), self.kind.name());
        let of = if self.is_control { " control" } else { "" };
        Flag::Floor.note(format!("floor: {region}{of} {distance}, {kind}"))
    }

    /// What its name means, and where to look next.
    pub fn advice(&self) -> &'static str {
        let LeftOut { race_lost_count, retransmitted_count, waits_for_order } = self.left_out;
        match self.kind {
            Kind::Impossible => {
                "impossible on the network asked for: compare the delays in links.csv"
            }
            _ if race_lost_count > 0 => {
                "races were lost, which no floor counts: see race_lost_count"
            }
            _ if retransmitted_count > 0 => {
                "messages were sent again, which no floor counts: see link_drop_count"
            }
            Kind::NotTheFloor if waits_for_order => {
                "not the floor, which draws each delay alone: with so short a `correlation` messages wait \
                 for slower ones sent before them, as links keep their order; raise `correlation`"
            }
            Kind::NotTheFloor => {
                "not the floor, though only the network takes time: try a lower rate, or `trace` it"
            }
            Kind::Unexplained if self.is_control => {
                "unexplained by the host, and no quorum is part of it: see link_late_ns in trials.csv and \
                 run_queue_share in members.csv"
            }
            Kind::Unexplained => {
                "unexplained by the host: see which phase took it in phases.csv, and link_late_ns"
            }
        }
    }

    /// `5.81ms above`.
    fn distance(&self) -> String {
        let side = if self.residual_ns < 0 { "below" } else { "above" };
        format!("{} {side}", Span(self.residual_ns.unsigned_abs()))
    }
}

/// What is wrong; [`Disagreement::advice`] says the rest.
impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.is_control { "control " } else { "" };
        write!(f, "{of}p50 {} its floor, {}", self.distance(), self.kind.name())
    }
}

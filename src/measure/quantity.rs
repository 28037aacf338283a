//! The quantities of a trial that variants are compared by, and that an experiment may predict.

use serde::{Deserialize, Serialize};

use super::OperationKind;

/// A quantity of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Quantity {
    /// The median latency.
    P50,
    /// The 90th percentile of latency.
    P90,
    /// The 95th percentile of latency.
    P95,
    /// The 99th percentile of latency.
    P99,
    /// The 99.9th percentile of latency.
    P999,
    /// The mean latency.
    Mean,
    /// Operations a second that a closed loop achieves.
    Throughput,
    /// Attempts a write, where proposers race.
    Attempts,
    /// From a fault to the suspicion of the new leader.
    Detect,
    /// From that to its last campaign.
    Elect,
    /// From the Phase1a of the new leader to its phase-1 quorum.
    Phase1,
    /// From there until all that it adopted and filled is executed.
    Transfer,
    /// From there to the first command that it proposed itself.
    Commit,
    /// From the restart of a replica until it has executed what the furthest had then.
    Catchup,
    /// The longest time of a client region without an acknowledged write, or without an acknowledged read.
    Away,
    /// From a fault until the new leader could answer a client region.
    Protocol,
    /// From there to the first acknowledgement.
    Wait,
}

/// What a quantity is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A length of time.
    Nanoseconds,
    /// A rate.
    PerSecond,
    /// A plain number.
    Count,
}

/// Which rows of a trial hold a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One for each client region and kind of operation.
    Operation,
    /// One for the trial.
    Trial,
    /// One for each fault.
    Fault,
    /// One for each fault and client region.
    FaultRegion,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::P50,
        Self::P90,
        Self::P95,
        Self::P99,
        Self::P999,
        Self::Mean,
        Self::Throughput,
        Self::Attempts,
        Self::Detect,
        Self::Elect,
        Self::Phase1,
        Self::Transfer,
        Self::Commit,
        Self::Catchup,
        Self::Away,
        Self::Protocol,
        Self::Wait,
    ];

    /// Its code, in options, tables and predictions.
    pub const fn code(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::Mean => "mean",
            Self::Throughput => "throughput",
            Self::Attempts => "attempts",
            Self::Detect => "detect",
            Self::Elect => "elect",
            Self::Phase1 => "phase1",
            Self::Transfer => "transfer",
            Self::Commit => "commit",
            Self::Catchup => "catchup",
            Self::Away => "away",
            Self::Protocol => "protocol",
            Self::Wait => "wait",
        }
    }

    /// The quantity with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quantity| quantity.code() == code)
    }

    /// Which rows hold it.
    pub const fn scope(self) -> Scope {
        match self {
            Self::P50 | Self::P90 | Self::P95 | Self::P99 | Self::P999 | Self::Mean => {
                Scope::Operation
            }
            Self::Throughput | Self::Attempts => Scope::Trial,
            Self::Detect
            | Self::Elect
            | Self::Phase1
            | Self::Transfer
            | Self::Commit
            | Self::Catchup => Scope::Fault,
            Self::Away | Self::Protocol | Self::Wait => Scope::FaultRegion,
        }
    }

    /// Whether each kind of operation has its own: latencies do, and writes and reads are away apart.
    pub const fn is_of_kind(self, kind: OperationKind) -> bool {
        match self.scope() {
            Scope::Operation => true,
            _ => matches!(self, Self::Away) && kind.is_load(),
        }
    }

    /// The kind that its rows name: all of those of a latency, and of how long clients were away the reads.
    pub fn kind_of(self, kind: OperationKind) -> Option<OperationKind> {
        let is_named = self.scope() == Scope::Operation || kind == OperationKind::Read;
        (is_named && self.is_of_kind(kind)).then_some(kind)
    }

    /// Whether a variant with less of it is the better one.
    pub const fn less_is_better(self) -> bool {
        !matches!(self, Self::Throughput)
    }

    /// What it is counted in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Throughput => Unit::PerSecond,
            Self::Attempts => Unit::Count,
            _ => Unit::Nanoseconds,
        }
    }

    /// The share of it that may be the width of a histogram's bucket: a smaller difference is none.
    pub const fn resolution(self) -> f64 {
        match self {
            Self::P50 | Self::P90 | Self::P95 | Self::P99 | Self::P999 => 1e-3,
            _ => 0.0,
        }
    }

    /// Of how many operations it is at least a figure; percentiles above the median have ten beyond them.
    pub const fn operations_min(self) -> u64 {
        match self {
            Self::P90 => 100,
            Self::P95 => 200,
            Self::P99 => 1_000,
            Self::P999 => 10_000,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_all_different_and_read_back() {
        for (number, quantity) in Quantity::ALL.into_iter().enumerate() {
            assert_eq!(quantity as usize, number, "ALL has all of them in order");
            assert_eq!(Quantity::from_code(quantity.code()), Some(quantity));
        }
        assert_eq!(Quantity::from_code("p42"), None);
        assert_eq!(Quantity::Wait as usize + 1, Quantity::ALL.len());
    }
}

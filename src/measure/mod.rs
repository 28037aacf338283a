//! Measuring: recorders, statistics, the rows of the results and the folder that holds them.
//!
//! A latency runs from the intended start of an operation to its reply, so a load generator that
//! falls behind cannot hide it (coordinated omission).
//! An operation that is never answered ranks behind all others in every percentile, and whoever merges
//! histograms merges these operations too.
//! Percentiles are never averaged: histograms are kept whole and merged late.
//! Every row of every CSV is a struct of [`rows`], and both backends write those.
//!
//! It reads no clock and knows nothing of protocols, links or processes: who measures hands in
//! times and counts.

mod histogram;
pub mod hlog;
mod milestones;
mod omission;
mod phases;
mod quantity;
mod rank;
mod recorder;
mod recording;
pub mod rows;
mod samples;
pub mod store;
mod summary;

pub use histogram::{Figure, Latencies};
pub use milestones::{Milestone, Step};
pub use omission::Omission;
pub use phases::{Phase, PhaseRecorder, PhaseRecording};
pub use quantity::{Quantity, Scope, Unit};
pub use rank::confidence_ranks;
pub use recorder::{Interval, OperationKind, Recorder, Window};
pub use recording::{Recording, TimelinePoint, log_lines, timeline, write_log};
pub use store::Store;
pub use summary::{Summary, ccdf, is_saturated};

/// Why a measurement cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no histogram.
    #[error("{length} bytes are not a histogram")]
    Histogram {
        /// How many.
        length: usize,
        /// Why.
        #[source]
        source: hdrhistogram::serialization::DeserializeError,
    },
    /// A histogram holds values that ours cannot.
    #[error("a histogram holds {max} ns; latencies up to one hour ({limit} ns) are recorded")]
    Range {
        /// Its greatest value.
        max: u64,
        /// The greatest that ours holds.
        limit: u64,
    },
    /// A histogram was recorded with another precision, so merging it would blur both.
    #[error("a histogram of {found} significant figures; ours have 3")]
    Precision {
        /// Its significant figures.
        found: u8,
    },
    /// A series of an interval log has no name.
    #[error("the tag {tag:?} cannot name a series of an interval log")]
    Tag {
        /// The name.
        tag: String,
    },
    /// An interval log cannot be written.
    #[error("an interval log cannot be written")]
    Write(#[source] std::io::Error),
    /// The text is no interval log from some place on.
    #[error("no interval log line at byte {offset}")]
    Line {
        /// Where.
        offset: usize,
    },
    /// The histogram of a line is not base64.
    #[error("the histogram of the interval at {start_s} s is not base64")]
    Base64 {
        /// Which line.
        start_s: f64,
        /// Why.
        #[source]
        source: base64::DecodeError,
    },
}

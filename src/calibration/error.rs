//! Why there is no calibration.

use std::io;
use std::path::PathBuf;

use crate::runtime::{alarm, net, storage};
use crate::time::Span;

/// Why a machine could not be calibrated, or a calibration not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No event loop, socket or thread.
    #[error("cannot {what}: raise the limits of open files and processes (ulimit -n, -u)")]
    Start {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The timer.
    #[error(transparent)]
    Alarm(#[from] alarm::Error),
    /// The round trip over loopback.
    #[error("a round trip over {protocol} on loopback failed")]
    RoundTrip {
        /// Over what.
        protocol: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The keys of the QUIC connection.
    #[error(transparent)]
    Identity(#[from] net::identity::Error),
    /// The QUIC connection.
    #[error(transparent)]
    Endpoint(#[from] net::endpoint::Error),
    /// The log that is synced.
    #[error("the disk cannot be measured")]
    Disk(#[from] storage::Error),
    /// The folder for what is synced.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A measurement that did not end.
    #[error("measuring {stage} took longer than {:.0} s and was given up", waited.as_millis_f64() / 1e3)]
    TooLong {
        /// What was measured.
        stage: &'static str,
        /// How long it was waited for.
        waited: Span,
    },
    /// A measurement that panicked; its message is on standard error.
    #[error("measuring {stage} panicked; please report the message above")]
    Panicked {
        /// What was measured.
        stage: &'static str,
    },
    /// The user wants no more.
    #[error("interrupted while this machine was calibrated")]
    Interrupted,
    /// The file of a calibration.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file that a calibration was to be written to.
    #[error("cannot write {}", path.display())]
    Unwritten {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("{} holds no calibration: {reason}", path.display())]
    NoCalibration {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
}

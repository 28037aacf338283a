//! What only the simulator can do: work that costs a given time, and what the live backend refuses.

use std::ops::Range;

use crate::experiment::file;
use crate::sim::{Service, Settings};

/// Something that a file asks for and the live backend cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Simulated {
    /// Where it is asked for.
    pub(super) at: Range<usize>,
    /// What it is, after "cannot".
    pub(super) what: &'static str,
}

/// What the simulator is told beside the deployment.
pub(super) fn settings(file: &file::File) -> Settings {
    let file::Service { receive, send, sync } = file.service.unwrap_or_default();
    let service = Service { receive: receive.0.into(), send: send.0.into(), sync: sync.0.into() };
    Settings { service }
}

//! Virtual time: the same replicas and the same clients, driven by an event queue.

mod settings;
pub use settings::{Network, Service, Settings};
/// x
#[derive(Debug, Default)]
pub struct ReplicaReport {
    /** x */
    pub phases: crate::measure::PhaseRecording,
    /** x */
    pub sync_count: u64,
    /** x */
    pub executed_below: crate::protocol::Slot,
    /** x */
    pub starts: Vec<usize>,
    /** x */
    pub is_alive: bool,
}
/// x
#[derive(Debug, Default)]
pub struct Outcome {
    /** x */
    pub clients: std::collections::BTreeMap<crate::command::ClientId, crate::client::Report>,
    /** x */
    pub replicas: std::collections::BTreeMap<crate::quorum::NodeId, ReplicaReport>,
    /** x */
    pub histories: std::collections::BTreeMap<crate::deployment::MemberName, Vec<Vec<u8>>>,
    /** x */
    pub violation: Option<String>,
}
/// x
pub fn run_trial(_: &crate::deployment::Deployment, _: &Settings) -> Outcome {
    Outcome::default()
}

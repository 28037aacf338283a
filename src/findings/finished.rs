//! One finished trial, as the tables on the terminal want it.

use super::rows::{Disagreement, Measured};
use crate::experiment::trial::Trial;
use crate::measure::rows::{RecoveryRow, TrialRow};
use crate::trial::Backend;

/// One finished trial, as the comparison wants it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which trial of the plan.
    pub trial: Trial,
    /// Where it ran.
    pub backend: Backend,
    /// Its row.
    pub row: TrialRow,
    /// What was measured, by client region; nothing if the trial is invalid.
    pub measured: Vec<Measured>,
    /// Medians that are not where their floors say.
    pub disagreements: Vec<Disagreement>,
    /// What its faults cost, for each client region.
    pub recovery: Vec<RecoveryRow>,
    /// Attempts of the probe that found every link as asked, and all of them; none without a probe.
    pub probes: Option<(u32, u32)>,
    /// Violations of safety, as sentences.
    pub violations: Vec<String>,
    /// Other reasons why the numbers cannot be believed, as sentences.
    pub unfit: Vec<String>,
}

//! The outcome of one trial judged, and turned into rows.
//!
//! | file | content |
//! |---|---|
//! | [`rows`] | the rows of one trial, and the medians in them that contradict their floors |
//! | [`tables`] | makes the rows from what the members reported |
//! | [`verify`] | whether the trial may have numbers at all |
//! | [`histories`], [`evidence`] | the histories of a trial: where they lie, and whether all are there |
//! | [`residual`] | what a median has beyond its floor, and whether that can be |
//! | `saturation` | whether the machine kept up |
//! | `links` | the delay of every link, asked for and measured |
//! | [`recovery`] | the cost of every fault |

pub mod evidence;
mod finished;
pub use finished::Finished;
pub mod histories;
mod links;
pub mod recovery;
pub mod residual;
pub mod rows;
mod saturation;
pub mod tables;
pub mod twins;
pub mod verify;
pub use verify::Findings;

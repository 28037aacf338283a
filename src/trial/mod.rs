//! One trial as every world describes it: the world it ran in, and what came out.
//!
//! No world owns these types. The cluster fills in an [`Outcome`] from the reports of real members, and a
//! simulated trial is translated into one, so nothing above has to know where a trial ran.
//!
//! | file | content |
//! |---|---|
//! | [`backend`] | the name of the world |
//! | [`number`] | trials, repeats and faults count from 1 for people |
//! | [`outcome`] | everything that came of one trial |
//! | [`report`] | the report of one member |
//! | [`probe`], [`probed`] | how the links are measured before the trial, and what was found |

pub mod backend;
pub use backend::Backend;
pub mod number;
pub mod outcome;
pub use outcome::Outcome;
pub mod probe;
pub use probe::Probe;
pub mod probed;
pub use probed::{Crossing, ProbedLink, ProbedNetwork};
pub mod report;
pub use report::{Report, RoleReport};

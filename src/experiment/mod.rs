//! An experiment: the file as typed, and the plan as meant.
//!
//! Each of these files imports only from those above it.
//!
//! | file | content |
//! |---|---|
//! | [`refusal`] | everything that can be wrong with the meaning of a file, and what to change |
//! | [`mod@file`] | the file as typed, with the place of every value in its text |
//! | `mistakes` | all that is wrong with one file |
//! | [`sweep`] | the combinations of settings that a file sweeps |
//! | [`trial`] | the order in which the trials run |
//! | [`expectation`] | a prediction in a form that can be judged |
//! | [`plan`] | everything that a run needs, checked |
//! | [`template`] | the text of a new file, from a few choices |

pub mod expectation;
pub mod file;
mod mistakes;
pub mod plan;
pub mod refusal;
pub mod sweep;
pub mod template;
pub mod trial;

#[cfg(test)]
pub(crate) mod testing;

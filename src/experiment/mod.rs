//! Experiments: the file as typed, the plan as meant, and where the numbers come from.
//!
//! [`mod@file`] reads what a user typed and keeps the place of every value.
//! [`plan`] turns it into what will run, with [`sweep`] for the order of the trials, and refuses what
//! cannot mean anything.
//! [`run`] runs it in the worlds of [`backend`], [`verify`] says whether a trial may have numbers, and
//! every row is made in `tables`, where `saturation` says whether the machine kept up; [`residual`] says
//! where a median is not what its floor allows, `recovery` what a fault cost; [`ledger`] keeps what is
//! finished, [`histories`] finds again what everybody wrote down, [`evidence`] says whether all of it is
//! there, and [`review`] checks it again.
//! [`diagram`] draws one write of a simulated trial.
//! [`configuration`] is what a run was made of, and says whether another one is the same;
//! [`provenance`] describes the code, the machine and the day, for whoever doubts the numbers.

pub mod backend;
pub mod configuration;
pub mod diagram;
pub mod evidence;
pub mod file;
pub mod histories;
pub mod ledger;
mod links;
mod live;
pub mod plan;
pub mod provenance;
pub mod recovery;
pub mod residual;
pub mod review;
pub mod run;
mod saturation;
mod simulated;
pub mod sweep;
mod tables;
pub mod verify;

#[cfg(test)]
mod testing;

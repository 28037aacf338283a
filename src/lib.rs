//! flexpaxos: a research benchmarking harness for Flexible Paxos.
//!
//! **One replica, three worlds: the same `Replica::handle` runs over QUIC, in virtual time, and
//! under every interleaving of a model checker; everything else is either how it is fed or how it
//! is measured.**
//!
//! The modules below are in layer order, and a module imports only from layers below its own.
//!
//! | layer | modules |
//! |---|---|
//! | L0 | [`time`], [`quorum`], [`command`], [`protocol`], [`seed`], [`quiet`], [`causes`], [`nearest`], [`statistics`] |
//! | L1 | [`paxos`], [`caspaxos`], [`driver`] |
//! | L2 | [`workload`], [`history`], [`measure`], [`sabotage`], [`monitor`], [`trace`] |
//! | L3 | [`registry`] |
//! | L4 | [`topology`] |
//! | L5 | [`link`] |
//! | L6 | [`deployment`], [`client`] |
//! | L7 | [`runtime`], [`sim`], [`check`] |
//! | L8 | [`trial`] |
//! | L9 | [`cluster`], [`fuzz`], [`calibration`] |
//! | L10 | [`experiment`] |
//! | L11 | [`findings`], [`planner`] |
//! | L12 | [`compare`] |
//! | L13 | [`run`] |
//! | L14 | [`report`] |
//! | L15 | [`cli`] |

pub mod causes;
pub mod command;
pub mod nearest;
pub mod protocol;
pub mod quiet;
pub mod quorum;
pub mod seed;
pub mod statistics;
pub mod time;

pub mod caspaxos;
pub mod driver;
pub mod paxos;

pub mod history;
pub mod measure;
pub mod monitor;
pub mod sabotage;
pub mod trace;
pub mod workload;

pub mod registry;

pub mod topology;

pub mod link;

pub mod client;
pub mod deployment;

pub mod check;
pub mod runtime;
pub mod sim;

pub mod trial;

pub mod calibration;
pub mod cluster;
pub mod fuzz;

pub mod experiment;

pub mod findings;
pub mod planner;

pub mod compare;

pub mod run;

pub mod report;

pub mod cli;

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
//! | L0 | [`time`], [`quorum`], [`command`], [`protocol`], [`seed`], [`quiet`], [`causes`], [`nearest`] |
//! | L1 | [`paxos`], [`driver`] |
//! | L2 | [`topology`], [`workload`], [`history`], [`measure`], [`sabotage`], [`trace`] |
//! | L3 | [`link`] |
//! | L4 | [`deployment`], [`client`] |
//! | L5 | [`runtime`], [`sim`], [`check`] |
//! | L6 | [`trial`] |
//! | L7 | [`cluster`], [`fuzz`], [`calibration`] |
//! | L8 | [`experiment`] |
//! | L9 | [`findings`] |
//! | L10 | [`run`] |
//! | L11 | [`report`] |
//! | L12 | [`cli`] |

pub mod causes;
pub mod command;
pub mod nearest;
pub mod protocol;
pub mod quiet;
pub mod quorum;
pub mod seed;
pub mod time;

pub mod driver;
pub mod paxos;

pub mod history;
pub mod measure;
pub mod sabotage;
pub mod topology;
pub mod trace;
pub mod workload;

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

pub mod run;

pub mod report;

pub mod cli;

//! The planner: which regions, which leader, which quorums, and what each choice costs.
//!
//! With counts and one leader the least commit latency is no search: it is the leader nearest to the clients
//! and the replicas nearest to it.
//! A search is what the other figures make of it, which want something else: a quick takeover, whichever
//! region is lost; phases that survive; a low load; few messages.
//! So the answer is no point but a [`front`]: all points that no other point beats.
//!
//! | file | content |
//! |---|---|
//! | [`objective`] | the figures, how they are compared, and the limits that they keep to |
//! | [`space`] | the candidates and their distances |
//! | [`system`], [`families`] | the quorum systems, each as two tables of bits |
//! | [`front`] | what no other point beats, and how many points share a value |
//! | `counting` | systems by size with one replica a region: exact, with bounds |
//! | `general` | any system; one proposer for each client |
//! | `percentiles` | p50 and p99 over jittered links as objectives |
//! | [`search`] | all of it on all cores |
//! | [`relax`] | what to relax where nothing keeps to all limits |
//! | [`row`], [`draft`] | a point with all its figures, and as an experiment file |
//!
//! # Definitions
//!
//! r(a, b) is the round trip of medians, r(a, a) = 0; R(v, F, V) is the time until the replicas of V that
//! have answered v, and v itself at once, contain a quorum of the family F.
//!
//! - **commit** of a leader v: the mean over the clients c, by their weights, of r(c, v) + R(v, Q2, all).
//!   Without a leader v is the replica nearest to c, and R(v, Q1, all) is added.
//! - **takeover**: let a region z be lost, and V be the replicas elsewhere. The next leader is some v of V,
//!   and its phase 1 takes R(v, Q1, V); it never ends if V contains no quorum. `takeover` is that of the
//!   slowest v, `takeover-mean` the mean over all v of V, `takeover-best` that of the fastest; each in the
//!   worst case over the regions z of the placement. How long the loss takes to be detected, what the new
//!   leader has to catch up with and its first phase 2 come on top.
//! - **after-loss**, without a leader: the commit latency over V, in the worst case over z.
//! - **p50**, **p99**: percentiles of the commit latency over the writes of all clients. With jitter they
//!   are those of [`crate::topology::load_floor`].
//!
//! The search reads no clock, draws no random number and writes no file.

mod counting;
pub mod draft;
pub mod families;
pub mod front;
mod general;
pub mod objective;
mod percentiles;
pub mod relax;
pub mod row;
pub mod search;
pub mod space;
pub mod system;
#[cfg(test)]
mod tests;

pub use families::Family;
pub use objective::{Limit, Objective, Rules};
pub use row::Row;
pub use search::{Found, Proposers, Search};
pub use space::{Choice, Space};

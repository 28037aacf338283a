//! The tables that a person reads, and what stands below them.
//!
//! | file | content |
//! |---|---|
//! | [`comparison`] | a line for each variant, client region and kind of operation |
//! | [`side_by_side`] | the same predicted, simulated and measured |
//! | [`failover`] | the cost of every fault |
//! | [`judged`] | the verdicts on the histories, in one line |
//! | [`table`] | columns, figures and folded text |

pub mod comparison;
pub mod failover;
pub mod judged;
pub mod side_by_side;
pub mod table;

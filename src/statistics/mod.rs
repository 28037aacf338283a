//! Statistics over trials: a mean with its interval, what it could have detected, and many of them at once.
//!
//! The unit is the trial. Operations of one trial share a machine, an hour and links that remember their
//! delay, so intervals over operations are too narrow for a statement about two variants.
//! Student's t holds its level at every number of trials; a bootstrap over five trials raises a false alarm
//! in one comparison of six (Kalibera and Jones 2013; Georges, Buytaert and Eeckhout 2007).
//!
//! | file | content |
//! |---|---|
//! | [`estimate`] | a mean difference of pairs, or of two samples: interval and p-value |
//! | [`power`] | how often a test finds a true difference; the least that it finds; how many trials it needs |
//! | [`family`] | Holm's correction of several tests at once |
//! | [`quantile`](mod@quantile) | smoothed quantiles of small samples |
//! | [`exact`] | the sign-flip test and the Hodges-Lehmann estimate, which assume no normal distribution |

pub mod estimate;
pub mod exact;
pub mod family;
pub mod power;
pub mod quantile;

pub use estimate::Estimate;
pub use quantile::harrell_davis;

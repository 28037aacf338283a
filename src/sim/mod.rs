//! Virtual time: the same replicas and the same clients, driven by an event queue.
//!
//! A [`World`] drives any [`Protocol`](crate::protocol::Protocol) as the live event loop does, with the
//! same obligation, and carries the same client sessions; links have the same delays.
//! What it adds is that nothing is left to chance but what the seed draws, that every fault can be
//! asked for, and that all of it takes as long as the work of the replicas takes, not as long as their
//! messages travel.
//!
//! Virtual time is in nanoseconds and begins at 0, when the replicas start; the first operation is
//! issued 100 ms later, as in a live trial.
//!
//! What it does not do: it encodes nothing (a message travels as a value), and knows of packets only what
//! a [`Connection`] makes of their loss.

mod client;
mod connection;
pub use connection::Connection;
mod disk;
mod fabric;
mod faults;
mod link;
pub use link::{LEAST_DELAY, OVERHEAD_BYTES};
mod log;
mod machine;
pub use machine::{Costs, Host};
mod network;
mod node;
mod observer;
pub use observer::{Observer, Sent};
mod outcome;
pub use outcome::{Counts, Outcome, Processors, ReplicaReport};
mod queue;
mod settings;
mod spool;
pub use settings::{Service, Settings, Shared, Work};
pub use spool::Spool;
#[cfg(test)]
mod tests;
mod world;
pub use world::World;

use crate::deployment::{Deployment, Scheduled};
use crate::registry::{Registration, Visitor};

/// Runs one trial.
pub fn run_trial(deployment: &Deployment, settings: &Settings) -> Outcome {
    run_trial_unless(deployment, settings, None, &|| false).expect("nobody ends it early")
}

/// Runs one trial, whose histories the spool takes if there is one, unless it is enough before its end; that is
/// asked now and then.
pub fn run_trial_unless(
    deployment: &Deployment,
    settings: &Settings,
    spool: Option<Box<dyn Spool>>,
    is_enough: &dyn Fn() -> bool,
) -> Option<Outcome> {
    deployment.mode.visit(Run { deployment, settings, spool, is_enough })
}

struct Run<'a> {
    deployment: &'a Deployment,
    settings: &'a Settings,
    spool: Option<Box<dyn Spool>>,
    is_enough: &'a dyn Fn() -> bool,
}

impl Visitor for Run<'_> {
    type Output = Option<Outcome>;

    fn visit<P: Registration>(self, mode: P::Mode) -> Option<Outcome> {
        let Self { deployment, settings, spool, is_enough } = self;
        let of = deployment.clone();
        let make = move |id| <P as Registration>::new(mode, of.config(id));
        let mut world = World::new(deployment, settings, make);
        world.set_spool(spool);
        let stops = |fault: &Scheduled| fault.kind.stopped().is_some();
        if !deployment.faults.iter().any(stops) {
            world.forbid_restarts();
        }
        world.run_to_end_unless(is_enough).then(|| world.finish())
    }
}

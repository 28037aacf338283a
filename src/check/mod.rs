//! Every interleaving of a small deployment: the third world of the replica.
//!
//! A search looks at all that can happen to a handful of [`Saboteur`]s, honest ones by default, breadth first, so that
//! a counterexample is a shortest one. The same model can be walked by hand in stateright's explorer.
//! Messages in flight are a set: they arrive in any order, or never, and what the budgets of a
//! [`Preset`](crate::registry::Preset) allow goes wrong at every moment: losses, duplicates, crashes with and without what was
//! on its way to the disk, timers, campaigns, retries.
//!
//! What keeps the number of states small, and why nothing is missed by it:
//! time stands still, and which timer runs out is a choice;
//! what a replica sends to itself arrives at once;
//! records are durable at once where nobody may crash any more, for then to wait is only to be late (a
//! checkpoint waits for a choice even then, because others rely on it);
//! an answer that changes nothing when it could arrive is forgotten, for then it never will.
//!
//! Besides the invariants about every state ([`INVARIANTS`]), what must be seen ([`Cover`](crate::registry::Cover)) shows that the
//! check was not idle; and every rule that can be broken ([`Rule`](crate::sabotage::Rule)) is found
//! out by some preset.
//! Reads, time-outs of a certain length and deployments of a real size are not here.
//!
//! [`Saboteur`]: crate::sabotage::Saboteur

mod breadth;
mod cover;
mod diagram;
mod digest;
mod event;
mod fair;
mod ledger;
mod memo;
mod model;
mod network;
mod prelude;
mod search;
mod spent;
mod state;
mod step;
mod symmetry;

pub use cover::INVARIANTS;
pub use search::{Counterexample, Glimpse, Outcome, Search};

//! Where replicas and clients are, and how long a message takes between them.
//!
//! A [`Profile`] is a table of round trips, measured and published by others or made up.
//! [`Links`] are the delays of one deployment, taken from a profile once, so that what travels to the
//! members needs no profile any more.
//! [`floor`] says from the links alone what no implementation can be faster than.
//!
//! A row `from,to,rtt_ms` is the round trip that `from` saw.
//! The one-way delay from `a` to `b` is half of the row (a, b), so the emulated round trip between two
//! nodes is the mean of both directions' rows: nobody publishes one-way delays, and this is the split
//! that uses both figures and favours neither.
//! Where delays vary, each direction is one of the two legs to which its own row is [fitted](Fit).
//! Tables are asymmetric and break the triangle inequality, as the Internet does; nothing here repairs them.
//!
//! This folder draws no random number and sends nothing; it reads a file only in [`Profile::load`].

mod built_in;
pub use built_in::NATIVE;
mod delay;
pub use delay::Delay;
mod empirical;
mod error;
pub use error::{Error, RowProblem, UnknownRegion};
mod fields;
mod fit;
pub use fit::{Fit, MISS_MAX, SHAPE_DEFAULT};
pub mod floor;
pub use floor::medians::{
    best_leader, best_leader_by, commit_wait_rest, median_floor, multi_floor, nearest_among,
    nearest_first, nearest_replica, phase1_span_among, quorum_span, quorum_span_among,
    recovery_phase1_span, safe_time_rest,
};
pub use floor::{
    Floor, control_floors, floors, floors_by_key, load_floor, read_floors, read_floors_by_key,
};
mod links;
pub use links::{Links, Site, name_in};
mod import;
pub use import::{ImportError, Imported, Shape, Unit, import};
mod matrix;
mod misses;
pub use misses::Miss;
mod pair;
pub use pair::{LevelError, Misses, Pair};
mod profile;
pub use profile::{Jitter, Profile};
mod region;
pub use region::{NAME_MAX, NameProblem, check_name};
mod sum;
pub mod worth;

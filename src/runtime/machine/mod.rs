//! The machine that members run on, as this process sees it: its cores, its threads and what they cost.
//!
//! | file | content |
//! |---|---|
//! | [`cores`] | how long threads ran and waited for a core, and how busy the cores of the host are |
//! | [`awake`] | keeps idle cores from going to sleep |
//! | [`slice_ns`] | how long a busy thread runs while another one waits for its core |
//! | [`usage`] | processor time and memory of this process |
//! | [`watch`] | all of that, and the lateness of timers and links, over one measurement window |

pub mod awake;
pub mod cores;
mod slice;
pub use slice::slice_ns;
pub mod usage;
pub use usage::{Usage, cpu_s};
pub mod watch;
pub use watch::Watched;

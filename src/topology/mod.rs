//! Where replicas and clients are, and how long a message takes between them.

mod delay;
pub use delay::Delay;

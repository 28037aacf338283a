//! Virtual time: the same replicas and the same clients, driven by an event queue.

mod settings;
pub use settings::{Network, Service, Settings};

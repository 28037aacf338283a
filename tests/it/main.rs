//! The integration tests: one binary.

mod scripted;

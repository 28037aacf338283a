//! The integration tests: one binary, a module for each part of the house.

mod cli;
mod hlog;
mod scripted;
mod tidy;

//! The integration tests: one binary, a module for each part of the house.

mod check;
mod cli;
mod hlog;
mod live;
mod scripted;
mod tidy;

//! The integration tests: one binary, a module for each part of the house.

mod backends;
mod check;
mod cli;
mod fuzz;
mod hlog;
mod live;
mod measured;
mod program;
mod scenarios;
mod scripted;
mod sim;
mod tidy;

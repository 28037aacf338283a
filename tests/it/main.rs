//! The integration tests: one binary, a module for each part of the house.

mod backends;
mod capacity;
mod check;
mod cli;
mod columns;
mod compare;
mod documentation;
mod families;
mod fuzz;
mod hlog;
mod live;
mod measured;
mod new;
mod page;
mod planned;
mod program;
mod scenarios;
mod scripted;
mod search;
mod sim;
mod snapshots;
mod sweep;
mod tidy;
mod verdicts;

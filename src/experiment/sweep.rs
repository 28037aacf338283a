//! Every combination of the settings that a file sweeps.
//!
//! A sweep is an overlay of the file: each combination of its values is put into the text's tree, and
//! the whole is read and judged again, so a swept value may be anything that a typed one may be.

mod grid;
pub(super) use grid::Sweep;
pub use grid::short;
mod range;

#[cfg(test)]
mod tests;

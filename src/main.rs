//! The `flexpaxos` command.

fn main() {}

//! How a script writes what has no words of its own.

use flexpaxos::command::Command;
use flexpaxos::quorum::NodeSet;

/// `r0 r2`.
pub(crate) fn nodes(nodes: NodeSet) -> String {
    let names: Vec<String> = nodes.iter().map(|node| node.to_string()).collect();
    names.join(" ")
}

/// The command executed in a slot, or `no-op`.
pub(crate) fn command(command: Option<&Command>) -> String {
    command.map_or_else(|| "no-op".to_owned(), ToString::to_string)
}

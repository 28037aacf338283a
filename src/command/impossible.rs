//! Commands that no client that follows its own rules ever asks for.

use super::{ClientId, Command, Operation, VALUE_BYTES_MAX};

/// No client comes so far.
const SEQUENCE_MAX: u64 = 1 << 62;
/// A client has fewer requests open: each costs a replica a hundred bytes.
pub(crate) const OPEN_MAX: u64 = 1 << 24;

/// Why nobody asks for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// A command of somebody else.
    #[error("c{} asks in the name of c{}", .from.0, .named.0)]
    Client {
        /// Who asks.
        from: ClientId,
        /// In whose name.
        named: ClientId,
    },
    /// A request that is settled, or too far from the first open one.
    #[error("request {sequence} is asked with all below {settled_below} settled")]
    Open {
        /// Which.
        sequence: u64,
        /// What is settled.
        settled_below: u64,
    },
    /// A value that is too long.
    #[error("a value has {length} bytes; the longest has {VALUE_BYTES_MAX}")]
    Value {
        /// Its length.
        length: usize,
    },
}

impl Command {
    /// Whether a client that follows its own rules may have asked for this.
    pub fn check_request(&self, from: ClientId) -> Result<(), Impossible> {
        let named = self.request.client;
        if named == from { self.check() } else { Err(Impossible::Client { from, named }) }
    }

    /// The same of any client.
    pub fn check(&self) -> Result<(), Impossible> {
        let (sequence, settled_below) = (self.request.sequence, self.settled_below);
        let open = sequence.checked_sub(settled_below);
        if sequence > SEQUENCE_MAX || open.is_none_or(|open| open >= OPEN_MAX) {
            return Err(Impossible::Open { sequence, settled_below });
        }
        match &self.operation {
            Operation::Put { value, .. } if value.len() > VALUE_BYTES_MAX => {
                Err(Impossible::Value { length: value.len() })
            }
            Operation::Put { .. } | Operation::Get { .. } | Operation::GetSince { .. } => Ok(()),
        }
    }
}

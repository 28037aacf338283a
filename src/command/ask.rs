//! What a client sends to a replica.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ClientId, Command, Impossible, Operation, RequestId, payload};

/// What a client asks of a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Encoded", into = "Encoded")]
pub enum Ask {
    /// A command, which the protocol orders and the state machine executes.
    Command(Command),
    /// A control operation: whoever gets it answers at once, without a quorum, a log or a disk, so its latency
    /// is that of the way and of the host alone.
    ///
    /// A client numbers these for themselves, so that they leave the numbers of its commands as they are.
    Control(RequestId),
}

impl Ask {
    /// Whether a client that follows its own rules may have asked for this control operation.
    pub fn check_control(from: ClientId, request: RequestId) -> Result<(), Impossible> {
        let named = request.client;
        if named == from { Ok(()) } else { Err(Impossible::Client { from, named }) }
    }
}

/// As the [`Command`], or `control 3`.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => fmt::Display::fmt(command, f),
            Self::Control(request) => write!(f, "control {}", request.sequence),
        }
    }
}

/// The encoding: that of a command, whose operation has one kind more.
///
/// So a command takes as many bytes as if there were no control operations, and without them a trial is the
/// same to the byte.
#[derive(Serialize, Deserialize)]
struct Encoded {
    request: RequestId,
    settled_below: u64,
    operation: EncodedOperation,
}

#[derive(Serialize, Deserialize)]
enum EncodedOperation {
    Put {
        key: u64,
        #[serde(deserialize_with = "payload::deserialize")]
        value: Bytes,
    },
    Get {
        key: u64,
    },
    GetSince {
        key: u64,
        since: u64,
    },
    Control,
}

impl From<Ask> for Encoded {
    fn from(ask: Ask) -> Self {
        let Command { request, settled_below, operation } = match ask {
            Ask::Command(command) => command,
            Ask::Control(request) => {
                return Self { request, settled_below: 0, operation: EncodedOperation::Control };
            }
        };
        let operation = match operation {
            Operation::Put { key, value } => EncodedOperation::Put { key, value },
            Operation::Get { key } => EncodedOperation::Get { key },
            Operation::GetSince { key, since } => EncodedOperation::GetSince { key, since },
        };
        Self { request, settled_below, operation }
    }
}

impl From<Encoded> for Ask {
    fn from(encoded: Encoded) -> Self {
        let Encoded { request, settled_below, operation } = encoded;
        let operation = match operation {
            EncodedOperation::Put { key, value } => Operation::Put { key, value },
            EncodedOperation::Get { key } => Operation::Get { key },
            EncodedOperation::GetSince { key, since } => Operation::GetSince { key, since },
            EncodedOperation::Control => return Self::Control(request),
        };
        Self::Command(Command { request, settled_below, operation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: RequestId = RequestId { client: ClientId(3), sequence: 700 };

    #[test]
    fn a_command_is_encoded_as_itself() {
        let put = Operation::Put { key: 9, value: Bytes::from_static(b"value") };
        let since = Operation::GetSince { key: 9, since: 1 << 40 };
        for operation in [put, Operation::Get { key: 1 << 40 }, since] {
            let command = Command { request: REQUEST, settled_below: 300, operation };
            let bytes = postcard::to_stdvec(&Ask::Command(command.clone())).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&command).unwrap());
            assert_eq!(postcard::from_bytes::<Ask>(&bytes).unwrap(), Ask::Command(command));
        }
    }

    #[test]
    fn a_control_operation_is_no_command_to_whoever_decodes_it() {
        let bytes = postcard::to_stdvec(&Ask::Control(REQUEST)).unwrap();
        assert_eq!(postcard::from_bytes::<Ask>(&bytes).unwrap(), Ask::Control(REQUEST));
        assert!(postcard::from_bytes::<Command>(&bytes).is_err());
    }

    #[test]
    fn nobody_asks_in_the_name_of_another_client() {
        assert_eq!(Ask::check_control(ClientId(3), REQUEST), Ok(()));
        let named = Ask::check_control(ClientId(4), REQUEST).unwrap_err();
        assert_eq!(named.to_string(), "c4 asks in the name of c3");
    }
}

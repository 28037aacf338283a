//! What a replica sends to a client.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Reply, Slot};
use crate::command::{Outcome, RequestId};
use crate::quorum::NodeId;

/// What a client gets from a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Encoded", into = "Encoded")]
pub enum Answer {
    /// What the protocol says of a command.
    Reply(Reply),
    /// The replica has got this control operation: its driver says so, whatever the protocol does.
    Control(RequestId),
}

impl Answer {
    /// What is answered.
    pub const fn request(&self) -> RequestId {
        match self {
            Self::Reply(reply) => reply.request(),
            Self::Control(request) => *request,
        }
    }
}

/// The encoding: that of a reply, which has one kind more.
///
/// So a reply takes as many bytes as if there were no control operations, and without them a trial is the
/// same to the byte.
#[derive(Serialize, Deserialize)]
enum Encoded {
    Executed { request: RequestId, slot: Slot, outcome: Outcome },
    Read { request: RequestId, below: Slot, value: Option<Bytes> },
    NotLeader { request: RequestId, leader: Option<NodeId> },
    Control { request: RequestId },
}

impl From<Answer> for Encoded {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Reply(Reply::Executed { request, slot, outcome }) => {
                Self::Executed { request, slot, outcome }
            }
            Answer::Reply(Reply::Read { request, below, value }) => {
                Self::Read { request, below, value }
            }
            Answer::Reply(Reply::NotLeader { request, leader }) => {
                Self::NotLeader { request, leader }
            }
            Answer::Control(request) => Self::Control { request },
        }
    }
}

impl From<Encoded> for Answer {
    fn from(encoded: Encoded) -> Self {
        match encoded {
            Encoded::Executed { request, slot, outcome } => {
                Self::Reply(Reply::Executed { request, slot, outcome })
            }
            Encoded::Read { request, below, value } => {
                Self::Reply(Reply::Read { request, below, value })
            }
            Encoded::NotLeader { request, leader } => {
                Self::Reply(Reply::NotLeader { request, leader })
            }
            Encoded::Control { request } => Self::Control(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClientId;

    const REQUEST: RequestId = RequestId { client: ClientId(2), sequence: 300 };

    #[test]
    fn a_reply_is_encoded_as_itself() {
        let outcome = Outcome::Read(Some(Bytes::from_static(b"value")));
        let executed = Reply::Executed { request: REQUEST, slot: Slot(900), outcome };
        let refused = Reply::NotLeader { request: REQUEST, leader: Some(NodeId(4)) };
        let value = Some(Bytes::from_static(b"value"));
        let read = Reply::Read { request: REQUEST, below: Slot(9), value };
        for reply in [executed, read, refused] {
            let bytes = postcard::to_stdvec(&Answer::Reply(reply.clone())).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&reply).unwrap());
            assert_eq!(postcard::from_bytes::<Answer>(&bytes).unwrap(), Answer::Reply(reply));
        }
    }

    #[test]
    fn an_answered_control_is_no_reply_of_a_protocol() {
        let answer = Answer::Control(REQUEST);
        let bytes = postcard::to_stdvec(&answer).unwrap();
        assert_eq!(postcard::from_bytes::<Answer>(&bytes).unwrap(), answer);
        assert!(postcard::from_bytes::<Reply>(&bytes).is_err());
        assert_eq!(answer.request(), REQUEST);
    }
}

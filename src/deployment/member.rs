//! Members of a deployment, by the name in their certificates.

use serde::{Deserialize, Serialize};

use crate::command::ClientId;
use crate::quorum::{NodeId, NodeSet};

/// The name of a member in its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberName {
    /// `r3`.
    Replica(NodeId),
    /// `c0`: the load generator of a client region.
    Client(ClientId),
}

impl MemberName {
    /// The member of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let number = name.get(1..)?;
        match name.as_bytes().first()? {
            b'r' => {
                let id: u8 = number.parse().ok()?;
                (usize::from(id) < NodeSet::CAPACITY).then_some(Self::Replica(NodeId(id)))
            }
            b'c' => Some(Self::Client(ClientId(number.parse().ok()?))),
            _ => None,
        }
    }
}

impl std::fmt::Display for MemberName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Replica(id) => write!(f, "r{}", id.0),
            Self::Client(id) => write!(f, "c{}", id.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_what_its_name_says() {
        for member in [MemberName::Replica(NodeId(63)), MemberName::Client(ClientId(12))] {
            assert_eq!(MemberName::parse(&member.to_string()), Some(member));
        }
        for stranger in ["", "r", "r64", "c-1", "coordinator", "rx"] {
            assert_eq!(MemberName::parse(stranger), None, "{stranger}");
        }
    }
}

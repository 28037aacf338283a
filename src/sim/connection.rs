//! What carries messages between two members: a connection that sends again what its link lost.
//!
//! A live link loses datagrams, and QUIC (or TCP) above it hides that: what was lost is sent again when
//! later packets tell, and on one stream everything behind it waits; a datagram that comes twice is
//! dropped, and one that overtakes waits for those before it.
//! So a message between simulated members arrives once and in order too, only later: by nine eighths of
//! a round trip for each time that it is lost (RFC 9002, 6.1.2), and, where bandwidth is limited, when
//! its wire has carried what was sent before it.
//! What finds a router's queue full waits at its sender.
//!
//! A link that is cut carries nothing, and the connection holds what it is given, up to its window.
//! Once the link is whole, the next word that is acknowledged tells that all of it was lost, and it is
//! sent again: a round trip after the cut is over.
//! A cut that lasts longer than the idle time-out loses the connection and all that it holds; so does
//! the crash of either end.
//!
//! Left out: the bits of what is sent again take no time on a wire that is not cut; a message is lost
//! as a whole, however many datagrams it fills; the sender is assumed to send something soon after a
//! cut (an idle connection finds out with its next probe); a cut in one direction leaves the other
//! direction alone, also beyond the idle time-out; a lost connection is made again at once.
//!
//! Without a connection messages are on their own, and what a link loses, doubles or disorders is lost,
//! doubled and disordered: the protocols must stand that as well, and `fuzz` sees to it.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// A connection between two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Whether all messages share one stream, so that each waits for those before it.
    pub is_ordered: bool,
    /// The most bytes that it holds while its link carries nothing; what is beyond that is lost.
    pub window_bytes: u64,
    /// It is lost with all that it holds when its link carries nothing for longer than this.
    pub idle_timeout: Span,
}

/// The least time after which a connection takes something for lost (RFC 9002, `kGranularity`).
const GRANULARITY: Span = Span::from_millis(1);

impl Connection {
    /// A loss on a link with this round trip is found out and mended so long after it was sent.
    pub(super) fn mends_after(round_trip: Span) -> Span {
        Span(round_trip.0.saturating_mul(9) / 8).max(GRANULARITY)
    }
}

//! The `[transport]` section of an experiment file, as typed.

use super::{Length, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[transport]`: how members send to one another; the simulator knows messages only.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// What carries the streams; QUIC if absent.
    pub protocol: Option<Spanned<Carrier>>,
    /// How messages share a connection; one stream if absent.
    pub streams: Option<Spanned<Streams>>,
    /// The congestion controller; a fixed window if absent, and the kernel's cubic with TCP.
    pub congestion: Option<Spanned<Congestion>>,
    /// The size of the fixed window.
    pub congestion_window_bytes: Option<Spanned<u64>>,
    /// Bytes that a peer may send on one stream before they are read; with TCP, of the receive buffer.
    pub stream_window_bytes: Option<Spanned<u64>>,
    /// Bytes that may be unacknowledged on one connection; with TCP, of the send buffer.
    pub send_window_bytes: Option<Spanned<u64>>,
    /// The largest payload of a UDP datagram; with TCP, the largest IP packet, which travels in one.
    pub mtu_bytes: Option<Spanned<u64>>,
    /// The round trip that a connection expects; the link's own if absent.
    pub initial_rtt: Option<Spanned<Length>>,
    /// Both sides say a word after so long without one.
    pub keep_alive: Option<Spanned<Length>>,
    /// A connection is lost after so long without a word of the peer.
    pub idle_timeout: Option<Spanned<Length>>,
    /// An acknowledgement is wanted at the latest after so many packets.
    pub ack_every: Option<Spanned<u32>>,
    /// An acknowledgement is wanted at the latest after so long.
    pub ack_delay: Option<Spanned<Length>>,
}

/// What carries the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// RFC 9000.
    Quic,
    /// The kernel's, with TLS 1.3.
    Tcp,
}

/// How messages share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Streams {
    /// One stream each way, in order.
    One,
    /// A stream for each message.
    PerMessage,
    /// A datagram for each message that one holds.
    Datagrams,
}

/// The congestion controller of every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Congestion {
    /// A window that never shrinks: the latency is that of the links and of the protocol.
    Fixed,
    /// RFC 9438.
    Cubic,
    /// RFC 6582; the kernel calls it reno.
    NewReno,
    /// Bottleneck bandwidth and round-trip time.
    Bbr,
}

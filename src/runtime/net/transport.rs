//! The settings of the transport, with defaults for consensus over a wide area.
//!
//! The library's own defaults are for downloads: with 8192 commands outstanding on an emulated WAN
//! of 21 ms they make it 81 ms (flow control), and 273 ms at p99 (slow start).
//!
//! | setting | default | why |
//! |---|---|---|
//! | `protocol` | QUIC | TCP is the comparison |
//! | `streams` | one | 20 µs a round trip on loopback, against 22 for a stream a message; datagrams equal it and lose |
//! | `congestion` | a fixed window | emulated links have no congestion to avoid, and slow start would be measured: 273 ms at p99 where a fixed window has 27 |
//! | `congestion_window_bytes` | 8 GiB | above `u32::MAX` nothing is paced either; pacing waits on a timer of a millisecond |
//! | `stream_window_bytes`, `send_window_bytes` | 16 and 64 MiB | what 8192 commands outstanding need; then flow control never waits |
//! | `mtu_bytes` | 1452 | a 1500-byte path less IPv6 and UDP headers; ten segments stay under 64 KiB |
//! | `initial_rtt` | the link's own | a guess too high delays the first retransmission, one too low makes a needless one |
//! | `keep_alive`, `idle_timeout` | 2 s, 10 s | below half, so that one lost word loses no connection |
//! | `ack_every`, `ack_delay` | off | at most 5 to 10 % of processor time is gained by fewer acknowledgements |

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn::{AckFrequencyConfig, IdleTimeout, TransportConfig, VarInt};
use serde::{Deserialize, Serialize};

use super::congestion::FixedWindow;
use crate::time::Span;

/// Messages of one direction that may be under way at once where each has a stream of its own.
///
/// At 4096 commands outstanding a leader sends each follower fewer; a connection keeps 32 bytes for
/// each that may come, used or not.
pub const STREAMS_MAX: u32 = 1 << 14;

/// The round trip that is expected when neither the file nor a link says one.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Room for datagrams that travel beside the messages, where none is one: some trains of them.
const DATAGRAM_BUFFER_BYTES: usize = 256 << 10;

/// What may be set of the transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transport {
    /// What carries the streams.
    pub protocol: Protocol,
    /// How messages share a connection.
    pub streams: Layout,
    /// Bytes that a peer may send on one stream before they are read.
    pub stream_window_bytes: u64,
    /// Bytes that may be unacknowledged on one connection.
    pub send_window_bytes: u64,
    /// How much of that may be in flight.
    pub congestion: Congestion,
    /// The largest UDP payload. It is not discovered, so every link must carry it.
    pub mtu_bytes: u64,
    /// Whether consecutive datagrams are given to the kernel as one (generic segmentation offload).
    pub segmentation_offload: bool,
    /// A connection is lost after so long without a word of the peer.
    pub idle_timeout_ms: u64,
    /// Both sides say a word after so long without one; below half of the idle time-out.
    pub keep_alive_ms: u64,
    /// The round trip that every connection expects, instead of its link's own.
    pub initial_rtt: Option<Span>,
    /// The peer is asked to acknowledge at the latest after so many packets.
    pub ack_every: Option<u32>,
    /// The peer is asked to acknowledge at the latest after so long.
    pub ack_delay: Option<Span>,
    /// The size asked for the socket's buffers; the kernel cuts it to its own limit.
    pub socket_buffer_bytes: usize,
}

/// What carries the streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// RFC 9000.
    #[default]
    Quic,
    /// The kernel's, with TLS 1.3: for comparison.
    Tcp,
}

/// How messages share a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One stream each way, in order.
    #[default]
    One,
    /// A stream for each message, in any order.
    PerMessage,
    /// A datagram for each message that one holds, and a stream for each that is longer.
    Datagrams,
}

/// Who decides how much may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Congestion {
    /// Nobody: a fixed window.
    Fixed {
        /// Its size; above `u32::MAX` there is no pacing either, whose timer is a millisecond late.
        window_bytes: u64,
    },
    /// RFC 9438.
    Cubic,
    /// RFC 6582.
    NewReno,
    /// BBR, version 1.
    Bbr,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            protocol: Protocol::Quic,
            streams: Layout::One,
            stream_window_bytes: 16 << 20,
            send_window_bytes: 64 << 20,
            congestion: Congestion::Fixed { window_bytes: 1 << 33 },
            mtu_bytes: 1452,
            segmentation_offload: true,
            idle_timeout_ms: 10_000,
            keep_alive_ms: 2_000,
            initial_rtt: None,
            ack_every: None,
            ack_delay: None,
            socket_buffer_bytes: 16 << 20,
        }
    }
}

/// Why settings make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Beyond what the protocol can say, or of no use.
    #[error("`{setting}` is {value}{unit}: take {least} to {most}")]
    Range {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The unit, after a space; none for a number.
        unit: &'static str,
        /// The least that makes sense.
        least: u64,
        /// The most.
        most: u64,
    },
    /// One lost word would lose the connection.
    #[error(
        "`keep_alive` is {keep_alive} ms: take less than half of the idle time-out of {idle} ms"
    )]
    KeepAlive {
        /// The interval.
        keep_alive: u64,
        /// The time-out.
        idle: u64,
    },
    /// Something that TCP does not have.
    #[error("`{setting} = {value}` is not for TCP")]
    NotOfTcp {
        /// Which setting.
        setting: &'static str,
        /// What was asked for.
        value: &'static str,
    },
}

impl Error {
    /// The setting that is wrong.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Range { setting, .. } | Self::NotOfTcp { setting, .. } => setting,
            Self::KeepAlive { .. } => "keep_alive",
        }
    }
}

impl Transport {
    /// Whether the settings make sense.
    pub fn check(&self) -> Result<(), Error> {
        let most = VarInt::MAX.into_inner();
        let range = |setting, value: u64, unit, (least, most): (u64, u64)| {
            let fits = (least..=most).contains(&value);
            fits.then_some(()).ok_or(Error::Range { setting, value, unit, least, most })
        };
        range("stream_window_bytes", self.stream_window_bytes, "", (1 << 12, most))?;
        range("send_window_bytes", self.send_window_bytes, "", (1 << 12, most))?;
        range("idle_timeout", self.idle_timeout_ms, " ms", (10, 3_600_000))?;
        // QUIC demands 1200; ten segments of 6400 would exceed what one send can carry.
        range("mtu_bytes", self.mtu_bytes, "", (1_200, 6_400))?;
        if let Some(rtt) = self.initial_rtt {
            range("initial_rtt", rtt.0 / 1_000, " µs", (100, 60_000_000))?;
        }
        if let Some(count) = self.ack_every {
            range("ack_every", count.into(), "", (1, 1 << 16))?;
        }
        if let Some(delay) = self.ack_delay {
            // The library's timers, and what it says to its peer, are no finer.
            range("ack_delay", delay.0 / 1_000, " µs", (1_000, 1_000_000))?;
        }
        if let Congestion::Fixed { window_bytes } = self.congestion {
            range("congestion_window_bytes", window_bytes, "", (1 << 14, most))?;
        }
        let (keep_alive, idle) = (self.keep_alive_ms, self.idle_timeout_ms);
        if keep_alive == 0 || keep_alive.saturating_mul(2) >= idle {
            return Err(Error::KeepAlive { keep_alive, idle });
        }
        match self.protocol {
            Protocol::Quic => Ok(()),
            Protocol::Tcp => self.check_tcp(),
        }
    }

    fn check_tcp(&self) -> Result<(), Error> {
        let not = |setting, value| Err(Error::NotOfTcp { setting, value });
        match (self.streams, self.congestion) {
            (Layout::PerMessage, _) => not("streams", "per-message"),
            (Layout::Datagrams, _) => not("streams", "datagrams"),
            (Layout::One, Congestion::Fixed { .. }) => not("congestion", "fixed"),
            (Layout::One, _) => Ok(()),
        }
    }

    /// What ran, for a table: `quic/one/fixed`.
    pub fn label(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Quic => "quic",
            Protocol::Tcp => "tcp",
        };
        let streams = match self.streams {
            Layout::One => "one",
            Layout::PerMessage => "per-message",
            Layout::Datagrams => "datagrams",
        };
        format!("{protocol}/{streams}/{}", self.congestion.name())
    }

    /// These settings for a connection whose link's round trip is this long.
    ///
    /// They must have been checked.
    pub(super) fn config(&self, link_rtt: Option<Span>) -> TransportConfig {
        let bytes = |bytes: u64| VarInt::try_from(bytes).unwrap_or(VarInt::MAX);
        let idle = IdleTimeout::from(bytes(self.idle_timeout_ms));
        let rtt = self.initial_rtt.or(link_rtt).map_or(INITIAL_RTT, Duration::from);
        let mut config = TransportConfig::default();
        config
            .stream_receive_window(bytes(self.stream_window_bytes))
            // Over all streams: a peer that opens streams nobody reads fills no more than this, and
            // one with the same settings never sends more before it is read.
            .receive_window(bytes(self.send_window_bytes.max(self.stream_window_bytes)))
            .send_window(self.send_window_bytes)
            .congestion_controller_factory(self.congestion.factory())
            .initial_mtu(u16::try_from(self.mtu_bytes).unwrap_or(u16::MAX))
            .mtu_discovery_config(None)
            .enable_segmentation_offload(self.segmentation_offload)
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(Duration::from_millis(self.keep_alive_ms)))
            // A round trip of zero would make every acknowledgement late.
            .initial_rtt(rtt.max(Duration::from_millis(1)))
            .ack_frequency_config(self.acknowledgements())
            .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES));
        if self.streams != Layout::One {
            config.max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX));
        }
        if self.streams == Layout::Datagrams {
            // What is not read in time is thrown away and counted, so there is room for as much as
            // on a stream.
            let buffer = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
            config
                .datagram_receive_buffer_size(Some(buffer(self.stream_window_bytes)))
                .datagram_send_buffer_size(buffer(self.send_window_bytes));
        }
        config
    }

    fn acknowledgements(&self) -> Option<AckFrequencyConfig> {
        if self.ack_every.is_none() && self.ack_delay.is_none() {
            return None;
        }
        let mut config = AckFrequencyConfig::default();
        if let Some(count) = self.ack_every {
            // The library counts the packets that may stay unacknowledged.
            config.ack_eliciting_threshold(VarInt::from_u32(count.saturating_sub(1)));
        }
        config.max_ack_delay(self.ack_delay.map(Duration::from));
        Some(config)
    }
}

impl Congestion {
    /// Its name in experiment files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fixed { .. } => "fixed",
            Self::Cubic => "cubic",
            Self::NewReno => "new-reno",
            Self::Bbr => "bbr",
        }
    }

    fn factory(self) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Fixed { window_bytes } => Arc::new(FixedWindow { bytes: window_bytes }),
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::NewReno => Arc::new(NewRenoConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_every_setting_may_be_left_out() {
        assert_eq!(Transport::default().check(), Ok(()));
        assert_eq!(toml::from_str::<Transport>("").unwrap(), Transport::default());
        let cubic: Transport = toml::from_str("congestion = 'cubic'").unwrap();
        assert_eq!(cubic.congestion, Congestion::Cubic);
        assert!(toml::from_str::<Transport>("mtu = 1200").is_err());
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let settings = [
            Transport { mtu_bytes: 8900, ..Transport::default() },
            Transport { stream_window_bytes: u64::MAX, ..Transport::default() },
            Transport { congestion: Congestion::Fixed { window_bytes: 0 }, ..Transport::default() },
            Transport { keep_alive_ms: 5_000, ..Transport::default() },
            Transport { keep_alive_ms: 0, ..Transport::default() },
            Transport { idle_timeout_ms: 0, ..Transport::default() },
            Transport { initial_rtt: Some(Span::ZERO), ..Transport::default() },
            Transport { ack_every: Some(0), ..Transport::default() },
            Transport { ack_delay: Some(Span::from_micros(10)), ..Transport::default() },
            Transport { protocol: Protocol::Tcp, ..Transport::default() },
        ];
        for transport in settings {
            assert!(transport.check().is_err(), "{transport:?}");
        }
    }

    #[test]
    fn tcp_has_one_stream_and_a_controller_of_the_kernel() {
        let congestion = Congestion::NewReno;
        let tcp = Transport { protocol: Protocol::Tcp, congestion, ..Transport::default() };
        assert_eq!((tcp.check(), tcp.label().as_str()), (Ok(()), "tcp/one/new-reno"));
        let layouts = Transport { streams: Layout::Datagrams, ..tcp };
        assert_eq!(layouts.check().unwrap_err().setting(), "streams");
    }

    #[test]
    fn acknowledgements_are_the_libraries_own_unless_asked_for() {
        assert!(Transport::default().acknowledgements().is_none());
        let asked = Transport { ack_every: Some(10), ..Transport::default() };
        assert!(asked.acknowledgements().is_some() && asked.check().is_ok());
    }
}

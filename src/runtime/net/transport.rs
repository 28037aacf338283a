//! The settings of QUIC, with defaults for consensus over a wide area.
//!
//! The library's own defaults are for downloads: with 8192 commands outstanding on an emulated WAN
//! of 21 ms they make it 81 ms (flow control), and 273 ms at p99 (slow start).

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use serde::{Deserialize, Serialize};

use super::congestion::FixedWindow;
use crate::time::Span;

/// Datagrams that arrived and were not read: a few trains of the probe.
const DATAGRAM_BUFFER_BYTES: usize = 256 << 10;

/// What may be set of the transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transport {
    /// Bytes that a peer may send on one stream before they are read.
    pub stream_window_bytes: u64,
    /// Bytes that may be unacknowledged on one connection.
    pub send_window_bytes: u64,
    /// How much of that may be in flight.
    pub congestion: Congestion,
    /// The largest UDP payload. It is not discovered, so every link must carry it.
    pub mtu_bytes: u16,
    /// Whether consecutive datagrams are given to the kernel as one (generic segmentation offload).
    pub segmentation_offload: bool,
    /// A connection is lost after so long without a word of the peer.
    pub idle_timeout_ms: u64,
    /// Both sides say a word after so long without one; below half of the idle time-out.
    pub keep_alive_ms: u64,
    /// The round trip that a connection expects when nobody knows better.
    pub initial_rtt_ms: u64,
    /// The size asked for the socket's buffers; the kernel cuts it to its own limit.
    pub socket_buffer_bytes: usize,
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
            stream_window_bytes: 16 << 20,
            send_window_bytes: 64 << 20,
            congestion: Congestion::Fixed { window_bytes: 1 << 33 },
            // A 1500-byte path less IPv6 and UDP headers; ten segments stay under 64 KiB.
            mtu_bytes: 1452,
            segmentation_offload: true,
            idle_timeout_ms: 10_000,
            keep_alive_ms: 2_000,
            initial_rtt_ms: 100,
            socket_buffer_bytes: 16 << 20,
        }
    }
}

/// Why settings make no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Beyond what QUIC can say.
    #[error("{setting} = {value} is out of range: take {least} to {most}")]
    Range {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The least that makes sense.
        least: u64,
        /// The most.
        most: u64,
    },
    /// One lost word would lose the connection.
    #[error("keep_alive_ms = {keep_alive} must be below half of idle_timeout_ms = {idle}")]
    KeepAlive {
        /// The interval.
        keep_alive: u64,
        /// The time-out.
        idle: u64,
    },
}

impl Transport {
    /// Whether the settings make sense.
    pub fn check(&self) -> Result<(), Error> {
        let most = VarInt::MAX.into_inner();
        let range = |setting, value: u64, least, most| {
            let fits = (least..=most).contains(&value);
            fits.then_some(()).ok_or(Error::Range { setting, value, least, most })
        };
        range("stream_window_bytes", self.stream_window_bytes, 1 << 12, most)?;
        range("send_window_bytes", self.send_window_bytes, 1 << 12, most)?;
        range("idle_timeout_ms", self.idle_timeout_ms, 1, most)?;
        range("initial_rtt_ms", self.initial_rtt_ms, 1, 60_000)?;
        // QUIC demands 1200; ten segments of 6400 would exceed what one send can carry.
        range("mtu_bytes", self.mtu_bytes.into(), 1_200, 6_400)?;
        if let Congestion::Fixed { window_bytes } = self.congestion {
            range("window_bytes", window_bytes, 1 << 14, most)?;
        }
        let (keep_alive, idle) = (self.keep_alive_ms, self.idle_timeout_ms);
        if keep_alive == 0 || keep_alive.saturating_mul(2) >= idle {
            return Err(Error::KeepAlive { keep_alive, idle });
        }
        Ok(())
    }

    /// These settings for a connection whose round trip is expected to be this long.
    ///
    /// They must have been checked.
    pub(super) fn config(&self, expected_rtt: Option<Span>) -> TransportConfig {
        let bytes = |bytes: u64| VarInt::try_from(bytes).unwrap_or(VarInt::MAX);
        let idle = IdleTimeout::from(bytes(self.idle_timeout_ms));
        let rtt = expected_rtt.map_or(Duration::from_millis(self.initial_rtt_ms), Duration::from);
        let mut config = TransportConfig::default();
        config
            .stream_receive_window(bytes(self.stream_window_bytes))
            .send_window(self.send_window_bytes)
            .congestion_controller_factory(self.congestion.factory())
            .initial_mtu(self.mtu_bytes)
            .mtu_discovery_config(None)
            .enable_segmentation_offload(self.segmentation_offload)
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(Duration::from_millis(self.keep_alive_ms)))
            // A round trip of zero would make every acknowledgement late.
            .initial_rtt(rtt.max(Duration::from_millis(1)))
            // The probe sends trains of datagrams, which show their order; nothing else does.
            .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES));
        config
    }
}

impl Congestion {
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
        ];
        for transport in settings {
            assert!(transport.check().is_err(), "{transport:?}");
        }
    }
}

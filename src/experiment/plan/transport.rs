//! How members send to one another: settings that make sense, with the defaults of
//! [`crate::runtime::net::transport`].

use std::ops::Range;

use crate::experiment::file::{self, Carrier, Length, Spanned, Streams};
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::Error;
use crate::runtime::net::{Congestion, Layout, Protocol, Transport};
use crate::time::Span;

/// The transport of a file.
pub(super) fn transport(typed: &file::Transport, mistakes: &mut Mistakes<'_>) -> Transport {
    let default = Transport::default();
    let protocol = match typed.protocol.as_ref().map(Spanned::get_ref) {
        None | Some(Carrier::Quic) => Protocol::Quic,
        Some(Carrier::Tcp) => Protocol::Tcp,
    };
    let streams = match typed.streams.as_ref().map(Spanned::get_ref) {
        None | Some(Streams::One) => Layout::One,
        Some(Streams::PerMessage) => Layout::PerMessage,
        Some(Streams::Datagrams) => Layout::Datagrams,
    };
    let idle_timeout_ms = typed.idle_timeout.as_ref().map_or(default.idle_timeout_ms, millis);
    let mut transport = Transport {
        protocol,
        streams,
        stream_window_bytes: number(typed.stream_window_bytes.as_ref())
            .unwrap_or(default.stream_window_bytes),
        send_window_bytes: number(typed.send_window_bytes.as_ref())
            .unwrap_or(default.send_window_bytes),
        congestion: congestion(typed, protocol, mistakes),
        mtu_bytes: number(typed.mtu_bytes.as_ref()).unwrap_or(default.mtu_bytes),
        idle_timeout_ms,
        // A shorter idle time-out has words in proportion.
        keep_alive_ms: typed
            .keep_alive
            .as_ref()
            .map_or(default.keep_alive_ms.min(idle_timeout_ms / 5).max(1), millis),
        initial_rtt: typed.initial_rtt.as_ref().map(span),
        ack_every: typed.ack_every.as_ref().map(|count| *count.get_ref()),
        ack_delay: typed.ack_delay.as_ref().map(span),
        ..default
    };
    if protocol == Protocol::Tcp {
        refuse_what_tcp_lacks(typed, mistakes);
    }
    while let Err(error) = transport.check() {
        let setting = error.setting();
        mistakes.refuse_at(place(typed, setting), error);
        // The next one is found when this one is as if it were absent.
        if !reset(&mut transport, setting) {
            break;
        }
    }
    transport
}

/// Gives a setting its default; false if it is none of those that have a range.
fn reset(transport: &mut Transport, setting: &str) -> bool {
    let default = Transport::default();
    match setting {
        "stream_window_bytes" => transport.stream_window_bytes = default.stream_window_bytes,
        "send_window_bytes" => transport.send_window_bytes = default.send_window_bytes,
        "idle_timeout" | "keep_alive" => {
            transport.idle_timeout_ms = default.idle_timeout_ms;
            transport.keep_alive_ms = default.keep_alive_ms;
        }
        "mtu_bytes" => transport.mtu_bytes = default.mtu_bytes,
        "initial_rtt" => transport.initial_rtt = None,
        "ack_every" => transport.ack_every = None,
        "ack_delay" => transport.ack_delay = None,
        "streams" => transport.streams = Layout::One,
        "congestion" => transport.congestion = Congestion::Cubic,
        "congestion_window_bytes" => transport.congestion = default.congestion,
        _ => return false,
    }
    true
}

/// The controller, whose default depends on the protocol.
fn congestion(
    typed: &file::Transport,
    protocol: Protocol,
    mistakes: &mut Mistakes<'_>,
) -> Congestion {
    let Congestion::Fixed { window_bytes } = Transport::default().congestion else {
        unreachable!("the default is a fixed window, and a test holds it")
    };
    let window_bytes = number(typed.congestion_window_bytes.as_ref()).unwrap_or(window_bytes);
    let congestion = match (typed.congestion.as_ref().map(Spanned::get_ref), protocol) {
        (Some(file::Congestion::Fixed), _) | (None, Protocol::Quic) => {
            Congestion::Fixed { window_bytes }
        }
        (Some(file::Congestion::Cubic), _) | (None, Protocol::Tcp) => Congestion::Cubic,
        (Some(file::Congestion::NewReno), _) => Congestion::NewReno,
        (Some(file::Congestion::Bbr), _) => Congestion::Bbr,
    };
    let is_fixed = matches!(congestion, Congestion::Fixed { .. });
    if let Some(window) = typed.congestion_window_bytes.as_ref().filter(|_| !is_fixed) {
        let with = match congestion {
            Congestion::NewReno => "congestion = \"new-reno\"",
            Congestion::Bbr => "congestion = \"bbr\"",
            Congestion::Cubic if typed.congestion.is_none() => "protocol = \"tcp\"",
            Congestion::Cubic | Congestion::Fixed { .. } => "congestion = \"cubic\"",
        };
        let error = Error::NotOfTransport { key: "congestion_window_bytes", with };
        mistakes.refuse_at(window.span(), error);
    }
    congestion
}

/// Keys that the kernel has no setting for.
fn refuse_what_tcp_lacks(typed: &file::Transport, mistakes: &mut Mistakes<'_>) {
    for key in ["initial_rtt", "ack_every", "ack_delay"] {
        if let Some(at) = given(typed, key) {
            let with = "protocol = \"tcp\"";
            mistakes.refuse_at(at, Error::NotOfTransport { key, with });
        }
    }
}

/// Where the setting stands that is wrong; one that follows from others is wrong because of those.
fn place(typed: &file::Transport, setting: &'static str) -> Range<usize> {
    let cause = match setting {
        "keep_alive" => given(typed, "idle_timeout"),
        "congestion" => given(typed, "protocol"),
        _ => None,
    };
    given(typed, setting).or(cause).unwrap_or(0..0)
}

/// Where a key stands in the file, if it does.
fn given(typed: &file::Transport, key: &'static str) -> Option<Range<usize>> {
    fn at<T>(typed: Option<&Spanned<T>>) -> Option<Range<usize>> {
        typed.map(Spanned::span)
    }
    match key {
        "protocol" => at(typed.protocol.as_ref()),
        "streams" => at(typed.streams.as_ref()),
        "congestion" => at(typed.congestion.as_ref()),
        "congestion_window_bytes" => at(typed.congestion_window_bytes.as_ref()),
        "stream_window_bytes" => at(typed.stream_window_bytes.as_ref()),
        "send_window_bytes" => at(typed.send_window_bytes.as_ref()),
        "mtu_bytes" => at(typed.mtu_bytes.as_ref()),
        "initial_rtt" => at(typed.initial_rtt.as_ref()),
        "keep_alive" => at(typed.keep_alive.as_ref()),
        "idle_timeout" => at(typed.idle_timeout.as_ref()),
        "ack_every" => at(typed.ack_every.as_ref()),
        "ack_delay" => at(typed.ack_delay.as_ref()),
        _ => None,
    }
}

fn number(typed: Option<&Spanned<u64>>) -> Option<u64> {
    typed.map(|number| *number.get_ref())
}

fn span(typed: &Spanned<Length>) -> Span {
    typed.get_ref().0.into()
}

fn millis(typed: &Spanned<Length>) -> u64 {
    u64::try_from(typed.get_ref().0.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::{Plan, Size};
    use crate::experiment::testing::{GOOD, assert_says, source};

    /// The good file with these keys in its section, which begins at line 1 of what is added.
    fn read(keys: &str) -> Result<Transport, file::Error> {
        let source = source(&format!("{GOOD}\n[transport]\n{keys}\n"));
        let plan = Plan::from_source(&source, Size::default())?;
        Ok(plan.points[0].transport.clone())
    }

    /// Asserts what is said about the first key of the section, at its place.
    #[track_caller]
    fn check(keys: &str, phrases: &[&str]) {
        let error = read(keys).unwrap_err();
        let line = GOOD.lines().count() + 3;
        assert_says(&error, &[&format!("test.toml:{line}:")]);
        assert_says(&error, phrases);
    }

    #[test]
    fn what_is_absent_is_as_measured_to_be_best() {
        assert_eq!(read("").unwrap(), Transport::default());
        assert_eq!(read("").unwrap().label(), "quic/one/fixed");
        let tcp = read("protocol = \"tcp\"").unwrap();
        assert_eq!(tcp.label(), "tcp/one/cubic");
    }

    #[test]
    fn every_key_arrives() {
        let keys = r#"protocol = "quic"
streams = "per-message"
congestion = "fixed"
congestion_window_bytes = 1_000_000
stream_window_bytes = 2_000_000
send_window_bytes = 3_000_000
mtu_bytes = 1300
initial_rtt = "3ms"
keep_alive = "1s"
idle_timeout = "4s"
ack_every = 10
ack_delay = "2ms""#;
        let expected = Transport {
            protocol: Protocol::Quic,
            streams: Layout::PerMessage,
            congestion: Congestion::Fixed { window_bytes: 1_000_000 },
            stream_window_bytes: 2_000_000,
            send_window_bytes: 3_000_000,
            mtu_bytes: 1300,
            initial_rtt: Some(Span::from_millis(3)),
            keep_alive_ms: 1_000,
            idle_timeout_ms: 4_000,
            ack_every: Some(10),
            ack_delay: Some(Span::from_millis(2)),
            ..Transport::default()
        };
        assert_eq!(read(keys).unwrap(), expected);
    }

    #[test]
    fn a_short_idle_time_out_has_words_in_proportion() {
        let transport = read("idle_timeout = \"1s\"").unwrap();
        assert_eq!((transport.idle_timeout_ms, transport.keep_alive_ms), (1_000, 200));
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_places() {
        check("mtu_bytes = 9000", &["`mtu_bytes` is 9000", "1200 to 6400"]);
        check("mtu_bytes = 70000", &["`mtu_bytes` is 70000"]);
        check("stream_window_bytes = 1", &["`stream_window_bytes` is 1", "default"]);
        check("send_window_bytes = 1", &["`send_window_bytes` is 1"]);
        check("congestion_window_bytes = 1", &["`congestion_window_bytes` is 1"]);
        check("initial_rtt = \"0s\"", &["`initial_rtt` is 0 µs"]);
        check("idle_timeout = \"0s\"", &["`idle_timeout` is 0 ms"]);
        check("keep_alive = \"6s\"", &["`keep_alive` is 6000 ms", "10000 ms", "idle_timeout"]);
        check("ack_every = 0", &["`ack_every` is 0", "1 to 65536"]);
        check("ack_delay = \"10us\"", &["`ack_delay` is 10 µs"]);
        check("streams = \"two\"", &["unknown value `two`", "one, per-message, datagrams"]);
        check("protocol = \"sctp\"", &["unknown value `sctp`", "quic, tcp"]);
        check("congestion = \"vegas\"", &["unknown value `vegas`", "fixed, cubic, new-reno, bbr"]);
    }

    #[test]
    fn what_tcp_does_not_have_is_refused() {
        let tcp = |key: &str| format!("{key}\nprotocol = \"tcp\"");
        check(&tcp("congestion = \"fixed\""), &["not for TCP", "`cubic`, `new-reno` and `bbr`"]);
        check(&tcp("streams = \"datagrams\""), &["`streams = datagrams`", "one stream"]);
        check(&tcp("streams = \"per-message\""), &["`streams = per-message`"]);
        check(
            &tcp("initial_rtt = \"3ms\""),
            &["`initial_rtt` does not go with `protocol = \"tcp\"`"],
        );
        check(&tcp("ack_every = 4"), &["`ack_every` does not go with"]);
        check(&tcp("congestion_window_bytes = 100000"), &["does not go with `protocol = \"tcp\"`"]);
        let window = "congestion_window_bytes = 100000\ncongestion = \"bbr\"";
        check(window, &["does not go with `congestion = \"bbr\"`", "leave one of the two out"]);
    }

    #[test]
    fn transports_are_swept_like_any_other_key() {
        let sweep = "[sweep]\ntransport.streams = [\"one\", \"datagrams\"]\n";
        let source = source(&format!("{GOOD}\n{sweep}"));
        let plan = Plan::from_source(&source, Size::default()).unwrap();
        let labels: Vec<_> = plan.points.iter().map(|point| point.transport.label()).collect();
        assert_eq!(labels, ["quic/one/fixed", "quic/datagrams/fixed"]);
    }
}

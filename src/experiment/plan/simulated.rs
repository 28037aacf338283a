//! What only the simulator can do: work that costs a given time, and links that do more than delay.

use std::ops::Range;

use toml::Spanned;

use crate::experiment::file;
use crate::sim::{Network, Service, Settings};
use crate::time::Span;

use super::error::{Error, Refused};

/// Something that a file asks for and the live backend cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Simulated {
    /// Where it is asked for.
    pub(super) at: Range<usize>,
    /// What it is, after "cannot".
    pub(super) what: &'static str,
}

/// What the simulator is told beside the deployment.
pub(super) fn settings(file: &file::File) -> Result<Settings, Refused> {
    let file::Service { receive, send, sync } = file.service.unwrap_or_default();
    let service = Service { receive: receive.0.into(), send: send.0.into(), sync: sync.0.into() };
    let typed = &file.network;
    let network = Network {
        bandwidth_bits_per_s: typed.bandwidth_mbit_per_s.as_ref().map(bandwidth).transpose()?,
        uplink_bits_per_s: typed.uplink_mbit_per_s.as_ref().map(bandwidth).transpose()?,
        loss: typed.loss.as_ref().map_or(Ok(0.0), |loss| share(loss, "network.loss"))?,
        duplication: typed
            .duplication
            .as_ref()
            .map_or(Ok(0.0), |duplication| share(duplication, "network.duplication"))?,
        reordering: typed.reordering.as_ref().map_or(Span::ZERO, |most| most.get_ref().0.into()),
    };
    Ok(Settings { service, network })
}

/// The first thing in `[network]` that the live backend cannot do, if it is asked for at all.
pub(super) fn network(file: &file::File, settings: &Settings) -> Option<Simulated> {
    let (typed, meant) = (&file.network, &settings.network);
    let keys = [
        (typed.bandwidth_mbit_per_s.as_ref().map(Spanned::span), true, "limit bandwidth"),
        (typed.uplink_mbit_per_s.as_ref().map(Spanned::span), true, "limit bandwidth"),
        (typed.loss.as_ref().map(Spanned::span), meant.loss > 0.0, "lose messages"),
        (
            typed.duplication.as_ref().map(Spanned::span),
            meant.duplication > 0.0,
            "duplicate messages",
        ),
        (
            typed.reordering.as_ref().map(Spanned::span),
            meant.reordering > Span::ZERO,
            "reorder messages",
        ),
    ];
    keys.into_iter().find_map(|(at, is_asked, what)| {
        let at = at.filter(|_| is_asked)?;
        Some(Simulated { at, what })
    })
}

/// A share from 0 to 1.
pub(super) fn share(typed: &Spanned<f64>, key: &'static str) -> Result<f64, Refused> {
    let share = *typed.get_ref();
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(Refused::new(typed.span(), Error::Share { key, share }))
}

/// A bandwidth in bits a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is at least one, and what is too large is as good as unlimited"
)]
fn bandwidth(typed: &Spanned<f64>) -> Result<u64, Refused> {
    let mbit_per_s = *typed.get_ref();
    let bits_per_s = (mbit_per_s * 1e6).round();
    if bits_per_s.is_finite() && bits_per_s >= 1.0 {
        return Ok(bits_per_s as u64);
    }
    Err(Refused::new(typed.span(), Error::Bandwidth { mbit_per_s }))
}

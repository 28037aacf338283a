//! What links do besides delaying, in both worlds.

use toml::Spanned;

use crate::deployment::Network;
use crate::experiment::file;
use crate::link::{CORRELATION, Conditions};
use crate::time::Span;
use crate::topology::Links;

use crate::experiment::refusal::{Error, Refused};

/// A link that remembers its delay for so many of its longest tails has the delays that were asked for.
///
/// Links keep their order, so what follows a slow message waits for it; with this memory that is rare
/// beside the slow messages themselves. With 50, 60 and 1000 ms at p50, p90 and p99 and a message every
/// 100 ms the simulated p99 is 8 % above 1000 ms with ten tails, and 3 % with thirty.
const TAILS: u64 = 30;

/// A trial over links with a heavy tail should see so many moments of each: a hundredth of them is one.
const MOMENTS: u64 = 100;

/// What `[network]` and the correlation in `[topology]` mean on these links.
pub(super) fn network(file: &file::File, links: &Links) -> Result<Network, Refused> {
    let typed = &file.network;
    let bandwidth_bits_per_s = typed.bandwidth_mbit_per_s.as_ref().map(bandwidth).transpose()?;
    let uplink_bits_per_s = typed.uplink_mbit_per_s.as_ref().map(bandwidth).transpose()?;
    if let Some(queue) = &typed.queue_bytes
        && bandwidth_bits_per_s.or(uplink_bits_per_s).is_none()
    {
        return Err(Refused::new(queue.span(), Error::NoWire));
    }
    let share_of = |typed: &Option<Spanned<f64>>, key| {
        typed.as_ref().map_or(Ok(0.0), |typed| share(typed, key))
    };
    let conditions = Conditions {
        loss: share_of(&typed.loss, "network.loss")?,
        loss_burst: typed.loss_burst.as_ref().map_or(Ok(1.0), |burst| {
            if typed.loss.is_none() {
                return Err(Refused::new(burst.span(), Error::NoLoss));
            }
            loss_burst(burst)
        })?,
        duplication: share_of(&typed.duplication, "network.duplication")?,
        reordering: typed.reordering.as_ref().map_or(Span::ZERO, |most| most.get_ref().0.into()),
        bandwidth_bits_per_s,
        queue_bytes_max: typed.queue_bytes.as_ref().map(|bytes| *bytes.get_ref()),
        ..Conditions::default()
    };
    let correlation = file.topology.correlation.as_ref();
    let correlation = correlation
        .map_or_else(|| CORRELATION.max(memory(links)), |typed| typed.get_ref().0.into());
    Ok(Network { conditions, uplink_bits_per_s, correlation })
}

/// How long links must remember their delay to have the delays that were asked for, in whole tenths of a
/// second.
fn memory(links: &Links) -> Span {
    let tenth = Span::from_millis(100);
    tenth.times(links.longest_tail().times(TAILS).0.div_ceil(tenth.0))
}

/// What a memory that does not fit a heavy tail does to latencies; empty if it fits.
pub(super) fn memory_misfit(network: &Network, links: &Links, duration: Span) -> String {
    let (memory, tail) = (memory(links), links.longest_tail());
    let text = |span: Span| humantime::format_duration(span.into()).to_string();
    if network.correlation < memory {
        return format!(
            "links keep their order, so messages wait for slower ones sent before them: delays are up to \
             {:.1} ms above their median, and links remember them for {} only, so latencies are longer \
             than the profile says; raise `topology.correlation` to {}, or leave it out",
            tail.as_millis_f64(),
            text(network.correlation),
            text(memory),
        );
    }
    let least = network.correlation.times(MOMENTS);
    if memory <= CORRELATION || duration >= least {
        return String::new();
    }
    format!(
        "delays are up to {:.1} ms above their median, so links remember them for {}: a trial of {} sees \
         few of them, and its percentiles are those of its moments; raise `workload.duration` to {}, or \
         run more trials",
        tail.as_millis_f64(),
        text(network.correlation),
        text(duration),
        text(least),
    )
}

/// A share from 0 to 1.
pub(super) fn share(typed: &Spanned<f64>, key: &'static str) -> Result<f64, Refused> {
    let share = *typed.get_ref();
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(Refused::new(typed.span(), Error::Share { key, share }))
}

/// How many are lost in a row in the mean.
fn loss_burst(typed: &Spanned<f64>) -> Result<f64, Refused> {
    let burst = *typed.get_ref();
    if burst >= 1.0 && burst.is_finite() {
        return Ok(burst);
    }
    Err(Refused::new(typed.span(), Error::Burst { burst }))
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

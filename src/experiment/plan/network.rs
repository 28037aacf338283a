//! What links do besides delaying, in both worlds.

use crate::deployment::Network;
use crate::experiment::file::{self, Spanned};
use crate::link::{CORRELATION, Conditions};
use crate::time::Span;
use crate::topology::Links;

use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};

/// A link that remembers its delay for so many of its longest tails has the delays that were asked for.
///
/// Links keep their order, so what follows a slow message waits for it; with this memory that is rare
/// beside the slow messages themselves. With 50, 60 and 1000 ms at p50, p90 and p99 and a message every
/// 100 ms the simulated p99 is 8 % above 1000 ms with ten tails, and 3 % with thirty.
const TAILS: u64 = 30;

/// A trial over links with a heavy tail should see so many moments of each: a hundredth of them is one.
const MOMENTS: u64 = 100;

/// What `[network]` and the correlation in `[topology]` mean on these links; none if that cannot be told.
///
/// Keys that need another one are judged where the section says all that it was meant to say.
pub(super) fn network(
    file: &file::File,
    links: Option<&Links>,
    is_whole: bool,
    mistakes: &mut Mistakes<'_>,
) -> Option<Network> {
    let (typed, before) = (&file.network, mistakes.count());
    let bandwidth_of = |typed: &Option<Spanned<f64>>, mistakes: &mut Mistakes<'_>| {
        typed.as_ref().and_then(|typed| mistakes.note(bandwidth(typed)))
    };
    let bandwidth_bits_per_s = bandwidth_of(&typed.bandwidth_mbit_per_s, mistakes);
    let uplink_bits_per_s = bandwidth_of(&typed.uplink_mbit_per_s, mistakes);
    let has_wire = typed.bandwidth_mbit_per_s.is_some() || typed.uplink_mbit_per_s.is_some();
    if let Some(queue) = typed.queue_bytes.as_ref().filter(|_| is_whole && !has_wire) {
        mistakes.refuse_at(queue.span(), Error::NoWire);
    }
    let mut share_of = |typed: &Option<Spanned<f64>>, key| {
        typed.as_ref().map_or(Some(0.0), |typed| mistakes.note(share(typed, key)))
    };
    let loss = share_of(&typed.loss, "network.loss");
    let duplication = share_of(&typed.duplication, "network.duplication");
    let loss_burst = typed.loss_burst.as_ref().map_or(Some(1.0), |burst| {
        if is_whole && typed.loss.is_none() {
            mistakes.refuse_at(burst.span(), Error::NoLoss);
        }
        mistakes.note(loss_burst(burst))
    });
    if mistakes.count() > before || !is_whole {
        return None;
    }
    let conditions = Conditions {
        loss: loss?,
        loss_burst: loss_burst?,
        duplication: duplication?,
        reordering: typed.reordering.as_ref().map_or(Span::ZERO, |most| most.get_ref().0.into()),
        bandwidth_bits_per_s,
        queue_bytes_max: typed.queue_bytes.as_ref().map(|bytes| *bytes.get_ref()),
        ..Conditions::default()
    };
    let correlation = match &file.topology.correlation {
        Some(typed) => typed.get_ref().0.into(),
        None => usual_correlation(links?),
    };
    Some(Network { conditions, uplink_bits_per_s, correlation })
}

/// How long links remember their delay if a file does not say it.
pub fn usual_correlation(links: &Links) -> Span {
    CORRELATION.max(memory(links))
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

//! How the links are measured before a live trial: figures that make sense.

use toml::Spanned;

use crate::cluster::Probe;
use crate::experiment::file;
use crate::time::Span;

use super::error::{Error, Refused};
use super::simulated::share;

/// The `[probe]` section of a file.
pub(super) fn probe(typed: &file::Probe) -> Result<Probe, Refused> {
    let default = Probe::default();
    let tolerance_share = typed.tolerance_share.as_ref();
    let share = tolerance_share.map(|typed| share(typed, "probe.tolerance_share")).transpose()?;
    Ok(Probe {
        tolerance: above_zero(typed.tolerance.as_ref(), "probe.tolerance", default.tolerance)?,
        tolerance_share: share.unwrap_or(default.tolerance_share),
        time: above_zero(typed.time.as_ref(), "probe.time", default.time)?,
    })
}

fn above_zero(
    typed: Option<&Spanned<file::Length>>,
    key: &'static str,
    default: Span,
) -> Result<Span, Refused> {
    let Some(typed) = typed else { return Ok(default) };
    let length = Span::from(typed.get_ref().0);
    if length == Span::ZERO {
        return Err(Refused::new(typed.span(), Error::Zero { key }));
    }
    Ok(length)
}

//! How the links are measured before a live trial: figures that make sense.

use crate::experiment::file::{self, Spanned};
use crate::time::Span;
use crate::trial::Probe;

use super::network::share as share_of;
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};

/// The `[probe]` section of a file.
pub(super) fn probe(typed: &file::Probe, mistakes: &mut Mistakes<'_>) -> Option<Probe> {
    let default = Probe::default();
    let share = typed.tolerance_share.as_ref();
    let share = share.map(|typed| share_of(typed, "probe.tolerance_share")).transpose();
    let time = Error::Zero { key: "probe.time" };
    let tolerance = above_zero(typed.tolerance.as_ref(), Error::NoTolerance, default.tolerance);
    let time = above_zero(typed.time.as_ref(), time, default.time);
    let attempts = match &typed.attempts {
        Some(typed) if *typed.get_ref() == 0 => {
            Err(Refused::new(typed.span(), Error::Zero { key: "probe.attempts" }))
        }
        typed => Ok(typed.as_ref().map_or(default.attempts, |typed| *typed.get_ref())),
    };
    let (tolerance, time) = (mistakes.note(tolerance), mistakes.note(time));
    let attempts = mistakes.note(attempts);
    let tolerance_share = mistakes.note(share)?.unwrap_or(default.tolerance_share);
    Some(Probe { tolerance: tolerance?, tolerance_share, time: time?, attempts: attempts? })
}

fn above_zero(
    typed: Option<&Spanned<file::Length>>,
    error: Error,
    default: Span,
) -> Result<Span, Refused> {
    let Some(typed) = typed else { return Ok(default) };
    let length = Span::from(typed.get_ref().0);
    if length == Span::ZERO {
        return Err(Refused::new(typed.span(), error));
    }
    Ok(length)
}

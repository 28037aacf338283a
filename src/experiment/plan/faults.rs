//! What goes wrong, and when: faults that hit a replica that exists, in time to be seen.

use toml::Spanned;

use crate::deployment::Durability;
use crate::experiment::file::{self, Length};
use crate::experiment::sweep::Point;
use crate::paxos::Mode;
use crate::time::Span;

use super::error::{Error, Refused};
use super::places::Places;
use super::{Fault, Target, Variant};

/// The word that means whoever leads.
const LEADER: &str = "leader";

/// The faults of an experiment, by their time.
pub(super) fn faults(
    file: &file::File,
    places: &Places,
    variants: &[Variant],
    points: &[Point],
) -> Result<Vec<Fault>, Refused> {
    let duration = file.workload.duration.get_ref().0.into();
    let fault = |typed: &file::Fault| {
        let target = target(&typed.crash, places, variants)?;
        let at = within(&typed.at, Span::ZERO, "crash", duration)?;
        let restart_after = match &typed.restart_after {
            None => None,
            Some(after) => {
                if points.iter().any(|point| point.durability == Durability::Memory) {
                    return Err(Refused { at: after.span(), error: Error::Amnesia });
                }
                within(after, at, "restart", duration)?;
                Some(after.get_ref().0.into())
            }
        };
        Ok(Fault { at, target, restart_after })
    };
    let mut faults = file.faults.iter().map(fault).collect::<Result<Vec<_>, _>>()?;
    faults.sort_by_key(|fault| fault.at);
    Ok(faults)
}

fn target(
    typed: &Spanned<String>,
    places: &Places,
    variants: &[Variant],
) -> Result<Target, Refused> {
    if typed.get_ref() != LEADER {
        let node = places.replica(typed.get_ref(), "the crashing replica", typed.span())?;
        return Ok(Target::Replica(node));
    }
    match variants.iter().find(|variant| variant.mode == Mode::Classic) {
        None => Ok(Target::Leader),
        Some(classic) => {
            let error = Error::NoLeader { variant: classic.name.clone() };
            Err(Refused { at: typed.span(), error })
        }
    }
}

/// The moment `after` a start, which must be before the end.
fn within(
    after: &Spanned<Length>,
    start: Span,
    what: &'static str,
    duration: Span,
) -> Result<Span, Refused> {
    let at = start + after.get_ref().0.into();
    if at < duration {
        return Ok(at);
    }
    let text = |span: Span| humantime::format_duration(span.into()).to_string();
    let error = Error::FaultTooLate { what, at: text(at), duration: text(duration) };
    Err(Refused { at: after.span(), error })
}

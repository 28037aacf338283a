//! What goes wrong, and when: faults that hit a replica that exists, in time to be seen.

use toml::Spanned;

use crate::deployment::{Durability, Fault, Harm, Unsynced};
use crate::experiment::file::{self, Length};
use crate::paxos::Mode;
use crate::quorum::NodeId;
use crate::time::Span;

use super::Variant;
use super::error::{Error, Refused};
use super::places::Places;

/// The word that means whoever leads.
const LEADER: &str = "leader";

/// The faults of one variant, by their time.
pub(super) fn faults(
    file: &file::File,
    places: &Places,
    variant: &Variant,
    durability: Durability,
) -> Result<Vec<Fault>, Refused> {
    let duration = file.workload.duration.get_ref().0.into();
    let fault = |typed: &file::Fault| {
        let replica = target(&typed.crash, places, variant)?;
        let at = within(&typed.at, Span::ZERO, "crash", duration)?;
        let heals_after = match &typed.restart_after {
            None => None,
            Some(after) => {
                if durability == Durability::Memory {
                    return Err(Refused { at: after.span(), error: Error::Amnesia });
                }
                within(after, at, "restart", duration)?;
                Some(after.get_ref().0.into())
            }
        };
        let harm = Harm::Crash { replica, unsynced: Unsynced::default() };
        Ok(Fault { at, harm, heals_after })
    };
    let mut faults = file.faults.iter().map(fault).collect::<Result<Vec<_>, _>>()?;
    faults.sort_by_key(|fault| fault.at);
    Ok(faults)
}

fn target(typed: &Spanned<String>, places: &Places, variant: &Variant) -> Result<NodeId, Refused> {
    if typed.get_ref() != LEADER {
        return places.replica(typed.get_ref(), "the crashing replica", typed.span());
    }
    match variant.mode {
        Mode::Multi { leader } => Ok(leader),
        Mode::Classic => {
            let error = Error::NoLeader { variant: variant.name.clone() };
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

//! How precisely live links delay.

use crate::experiment::file;
use crate::runtime::wan::Precision;
use crate::time::Span;

use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::Error;

/// A thread that spins longer than this takes more from the members than it gives to their links.
pub(super) const SPIN_MAX: Span = Span::from_millis(1);

/// Links that put off by more than this would show in what is measured.
pub(super) const QUANTUM_MAX: Span = Span::from_micros(256);

/// The precision of a file.
pub(super) fn precision(file: &file::File, mistakes: &mut Mistakes<'_>) -> Precision {
    let file::Emulation { spin, realtime, awake, quantum } = &file.emulation;
    let default = Precision::default();
    if let Some(typed) = spin
        && Span::from(typed.get_ref().0) > SPIN_MAX
    {
        let spin = humantime::format_duration(typed.get_ref().0).to_string();
        mistakes.refuse_at(typed.span(), Error::Spin { spin });
    }
    if let Some(typed) = quantum
        && Span::from(typed.get_ref().0) > QUANTUM_MAX
    {
        let quantum = humantime::format_duration(typed.get_ref().0).to_string();
        mistakes.refuse_at(typed.span(), Error::Quantum { quantum });
    }
    Precision {
        spin: spin.as_ref().map_or(default.spin, |typed| typed.get_ref().0.into()),
        realtime: realtime.unwrap_or(default.realtime),
        awake: awake.unwrap_or(default.awake),
        quantum: quantum.as_ref().map_or(default.quantum, |typed| typed.get_ref().0.into()),
    }
}

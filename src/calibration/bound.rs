//! The bound of a calibration: it ends, whatever it measures with, and when the user wants it to.
//!
//! The measurements run in a thread of their own, because a disk that hangs and a socket that hears
//! nothing answer to nobody.
//! A thread that does not end in time is left behind, and goes with the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::Error;
use crate::runtime::clock;
use crate::runtime::interrupt::Interrupt;
use crate::time::Span;

/// The longest that one stage may take: the longest of them takes two seconds on an idle machine.
pub(super) const STAGE_MAX: Span = Span::from_millis(30_000);

/// How long a measurement that is under way may go on when the user wants no more: it removes its files.
const GRACE: Span = Span::from_millis(2_000);

/// How often the clock and the user are asked; rarely, because this is part of the noise.
const TICK: Duration = Duration::from_millis(50);

/// What the thread that measures says.
enum Said<T> {
    /// It begins with this.
    Stage(&'static str),
    /// This came of it.
    Ended(Result<T, Error>),
}

/// Asked before each stage whether it may begin.
pub(super) struct Begin {
    is_enough: Arc<AtomicBool>,
    tell: Box<dyn Fn(&'static str)>,
}

impl Begin {
    /// Says that a stage begins, unless the user wants no more.
    pub(super) fn stage(&self, what: &'static str) -> Result<(), Error> {
        if self.is_enough.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        (self.tell)(what);
        Ok(())
    }
}

/// Does `work` in a thread of its own, each stage of it within `stage_max`.
pub(super) fn bounded<T: Send + 'static>(
    work: impl FnOnce(&Begin) -> Result<T, Error> + Send + 'static,
    stage_max: Span,
    tell: &dyn Fn(&'static str),
    interrupt: &Interrupt,
) -> Result<T, Error> {
    let (sender, said) = mpsc::channel();
    let is_enough = Arc::new(AtomicBool::new(interrupt.is_asked()));
    let asked = Arc::clone(&is_enough);
    thread::Builder::new()
        .name("calibration".into())
        .spawn(move || {
            let stages = sender.clone();
            // Whoever waits no more hears nothing, and misses nothing.
            let tell = Box::new(move |what| drop(stages.send(Said::Stage(what))));
            let result = work(&Begin { is_enough: asked, tell });
            let _ = sender.send(Said::Ended(result));
        })
        .map_err(|source| Error::Start { what: "start a thread", source })?;
    let (mut stage, mut begun, mut asked_at) = ("nothing", clock::now(), None);
    loop {
        match said.recv_timeout(TICK) {
            Ok(Said::Stage(what)) => {
                (stage, begun) = (what, clock::now());
                tell(what);
            }
            Ok(Said::Ended(result)) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Panicked { stage }),
        }
        let now = clock::now();
        if interrupt.is_asked() {
            is_enough.store(true, Ordering::Relaxed);
            if now.since(*asked_at.get_or_insert(now)) > GRACE {
                return Err(Error::Interrupted);
            }
        }
        if now.since(begun) > stage_max {
            return Err(Error::TooLong { stage, waited: now.since(begun) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Span = Span::from_millis(1);

    /// Measures something for ever.
    fn stuck(begin: &Begin) -> Result<(), Error> {
        begin.stage("syncs")?;
        loop {
            thread::park();
        }
    }

    #[test]
    fn a_measurement_that_never_ends_is_given_up_by_name() {
        let refused = bounded(stuck, MS, &|_| {}, &Interrupt::never()).unwrap_err();
        assert!(matches!(refused, Error::TooLong { stage: "syncs", .. }), "{refused}");
        assert!(refused.to_string().starts_with("measuring syncs took longer"), "{refused}");
    }

    #[test]
    fn a_stuck_measurement_ends_when_the_user_wants_it() {
        let (interrupt, ask) = Interrupt::by_hand();
        // Asked for while it is under way.
        let refused = bounded(stuck, STAGE_MAX, &|_| ask(), &interrupt).unwrap_err();
        assert!(matches!(refused, Error::Interrupted), "{refused}");
        // Asked for before: nothing begins.
        let refused = bounded(stuck, STAGE_MAX, &|what| panic!("{what} began"), &interrupt);
        assert!(matches!(refused, Err(Error::Interrupted)));
    }

    #[test]
    fn stages_are_told_in_order_and_what_came_of_them_is_returned() {
        let told = std::cell::RefCell::new(Vec::new());
        let work = |begin: &Begin| {
            begin.stage("one")?;
            begin.stage("two")?;
            Ok(7)
        };
        let tell = |what| told.borrow_mut().push(what);
        assert_eq!(bounded(work, STAGE_MAX, &tell, &Interrupt::never()).unwrap(), 7);
        assert_eq!(told.into_inner(), ["one", "two"]);
    }
}

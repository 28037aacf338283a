//! Assertions that break, as values: for whoever runs replicas that may trip one.
//!
//! The panic hook of a process is one for all threads.
//! The one here asks whether its own thread is inside a quiet call, and leaves every other panic to
//! the hook before it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// How many quiet calls this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic of a quiet call was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// An assertion that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What it said.
    pub message: String,
    /// Where it stands: file, line and column.
    pub place: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.place)
    }
}

/// Runs `work`; if it panics, nothing is printed.
///
/// Whatever `work` was changing is left as it was at the panic: throw it away.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, Broken> {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                before(info);
                return;
            }
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            PLACE.set(place);
        }));
    });
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        let message = text.unwrap_or_else(|| "an assertion without a message".into());
        Broken { message, place: PLACE.take() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_with_its_message_and_its_place() {
        assert_eq!(quietly(|| 7), Ok(7));
        let slot = 3;
        let broken = quietly(|| assert!(slot > 3, "slot {slot} is chosen twice")).unwrap_err();
        assert_eq!(broken.message, "slot 3 is chosen twice");
        assert!(broken.place.starts_with("src/quiet.rs:"), "{broken}");
        assert_eq!(quietly(|| assert!(slot > 3, "fixed")).unwrap_err().message, "fixed");
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn a_quiet_call_within_another_leaves_the_outer_one_quiet() {
        let outer = quietly(|| {
            let inner = quietly(|| panic!("inner"));
            assert!(inner.is_err() && DEPTH.get() == 1);
            panic!("outer")
        });
        assert!(outer.is_err_and(|broken: Broken| broken.message == "outer"));
    }
}

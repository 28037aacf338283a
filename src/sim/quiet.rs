//! Assertions that break in a simulated world become its violation, and say nothing on stderr.
//!
//! The panic hook of a process is one for all threads.
//! The one here asks whether its own thread is inside a simulated world, and leaves every other panic
//! to the hook before it.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// How many guarded calls this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic of a guarded call was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Runs `work`; a panic in it comes back as its message and its place.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
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
        let text = text.unwrap_or_else(|| "an assertion broke".into());
        format!("{text} ({})", PLACE.take())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_with_its_message_and_its_place() {
        assert_eq!(guarded(|| 7), Ok(7));
        let slot = 3;
        let message = guarded(|| assert!(slot > 3, "slot {slot} is chosen twice")).unwrap_err();
        assert!(message.starts_with("slot 3 is chosen twice (src/sim/quiet.rs:"), "{message}");
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn a_guarded_call_within_another_leaves_the_outer_one_guarded() {
        let outer = guarded(|| {
            let inner = guarded(|| panic!("inner"));
            assert!(inner.is_err() && DEPTH.get() == 1);
            panic!("outer")
        });
        assert!(outer.is_err_and(|message: String| message.starts_with("outer")));
    }
}

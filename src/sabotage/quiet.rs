//! Assertions of the core as values, for whoever runs replicas that are expected to trip them.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic on this thread is about to be caught, and is not to be printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; if it panics, the message, and nothing is printed.
///
/// Whatever `work` was changing is left as it was at the panic: throw it away.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                loud(panic);
            }
        }));
    });
    let was_quiet = IS_QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_QUIET.set(was_quiet);
    result.map_err(|payload| message(payload.as_ref()))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(quietly(|| 7), Ok(7));
        let slot = 3;
        assert_eq!(quietly(|| assert!(slot == 4, "slot {slot}")), Err("slot 3".to_owned()));
        assert_eq!(quietly(|| assert!(slot == 4, "fixed")), Err("fixed".to_owned()));
        assert!(!IS_QUIET.get());
    }
}

//! Failures: panics that are caught and kept as values.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The condition that did not hold, and its place in the code that is checked.
    pub message: String,
}

impl Failure {
    /// Two failures of the same cause share the place, and the words without numbers.
    pub fn signature(&self) -> String {
        self.message.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
    }
}

thread_local! {
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let caught = CAUGHT.with_borrow_mut(|caught| {
                let Some(message) = caught else { return false };
                let place = info
                    .location()
                    .map_or(String::new(), |at| format!("{}:{}: ", at.file(), at.line()));
                let payload = info.payload();
                let text = payload.downcast_ref::<&str>().copied();
                let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                let text = text.unwrap_or("a panic without words");
                *message = format!("{place}{text}");
                true
            });
            if !caught {
                usual(info);
            }
        }));
    });
    CAUGHT.set(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    let message = CAUGHT.take().unwrap_or_default();
    result.map_err(|_| Failure { message })
}

//! Whose work a thread does at the moment, for the log: `[orders|task-0] `.
//!
//! Set by who runs the work, read by the logger. A guard puts the former text back, so contexts nest.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

thread_local! {
    static CURRENT: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// The text for this thread, until it is dropped.
#[derive(Debug)]
#[must_use = "the context ends when the guard is dropped"]
pub struct LogContext {
    former: Option<Arc<str>>,
    // The text belongs to the thread that set it.
    _not_send: PhantomData<*const ()>,
}

impl LogContext {
    /// Sets the text, which ends with a blank (`[orders|task-0] `), for this thread.
    pub fn enter(text: &Arc<str>) -> LogContext {
        let former = CURRENT.with(|current| current.replace(Some(Arc::clone(text))));
        LogContext { former, _not_send: PhantomData }
    }

    /// Calls `show` with the text of this thread; empty outside of any context.
    pub fn with<T>(show: impl FnOnce(&str) -> T) -> T {
        // Cloned, so that `show` may log again. `try_with`: a thread that is ending may still log.
        let text = CURRENT.try_with(|current| current.borrow().clone()).unwrap_or_default();
        show(text.as_deref().unwrap_or_default())
    }
}

impl Drop for LogContext {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.former.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_nest_and_end() {
        let shown = || LogContext::with(str::to_owned);
        assert_eq!(shown(), "");
        {
            let _outer = LogContext::enter(&"[a|task-0] ".into());
            {
                let _inner = LogContext::enter(&"[a|task-0|offsets] ".into());
                assert_eq!(shown(), "[a|task-0|offsets] ");
            }
            assert_eq!(shown(), "[a|task-0] ");
        }
        assert_eq!(shown(), "");
    }
}

//! What a panic said, for whoever outlives it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The text that a panic carried, as far as it carried one.
pub fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words")
}

/// Runs code of a plug-in, or other code that nobody can answer for.
///
/// # Errors
/// It panicked: what it said.
pub fn caught<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| words(&*panic).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_words() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("of the test")), Err::<(), _>("of the test".to_owned()));
        assert_eq!(caught(|| panic!("number {}", 2)), Err::<(), _>("number 2".to_owned()));
        assert_eq!(caught(|| std::panic::panic_any(3)), Err::<(), _>("no words".to_owned()));
    }
}

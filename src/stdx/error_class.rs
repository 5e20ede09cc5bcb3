//! What a caller can do about an error. Errors at the seams between parts say it; nobody reads their text for it.

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// May go away by itself or with help from outside: try again.
    Retriable,
    /// Trying again cannot help.
    Fatal,
    /// Must not happen: a fault of this program.
    Bug,
}

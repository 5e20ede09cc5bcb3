//! The pass that shows the server behind the door that a request came through the door.
//!
//! The door and that server talk over a Unix socket in the abstract namespace, to which any local process may
//! connect. So each request carries a secret of this process, and the number of the client's connection.

use openssl::error::ErrorStack;
use openssl::memcmp;
use openssl::rand::rand_bytes;

/// The header field of the pass. A client's own field of that name is dropped at the door.
pub(crate) const PASS_FIELD: &str = "x-herdsman-door";

const SECRET_BYTES: usize = 16;
/// The number that says: no client, only the proof that somebody answers.
const PROOF: u64 = u64::MAX;

/// The secret of one door. Not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Pass {
    secret: String,
}

/// Whom a pass was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// The client connection of that number.
    Connection(u64),
    /// The door itself.
    Proof,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pass")
    }
}

impl Pass {
    /// A new secret.
    pub(crate) fn random() -> Result<Self, ErrorStack> {
        random_hex().map(|secret| Pass { secret })
    }

    /// Appends the header line for a request of that connection.
    pub(super) fn write_line(&self, connection: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(PASS_FIELD.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(self.secret.as_bytes());
        out.extend_from_slice(format!("{connection:x}\r\n").as_bytes());
    }

    /// A whole request that the server behind the door answers by itself.
    pub(super) fn proof_request(&self) -> String {
        format!("OPTIONS * HTTP/1.1\r\n{PASS_FIELD}: {}{PROOF:x}\r\n\r\n", self.secret)
    }

    /// Whose pass the value of the header field is; `None` if it was not given out by this door.
    pub(crate) fn check(&self, value: &str) -> Option<Bearer> {
        let (secret, number) = value.as_bytes().split_at_checked(self.secret.len())?;
        if !memcmp::eq(secret, self.secret.as_bytes()) {
            return None;
        }
        match u64::from_str_radix(str::from_utf8(number).ok()?, 16).ok()? {
            PROOF => Some(Bearer::Proof),
            connection => Some(Bearer::Connection(connection)),
        }
    }
}

/// So many random bytes as hexadecimal digits that nobody guesses them.
pub(crate) fn random_hex() -> Result<String, ErrorStack> {
    let mut bytes = [0; SECRET_BYTES];
    rand_bytes(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passes_of_this_door_are_good() {
        let pass = Pass::random().unwrap();
        let mut line = Vec::new();
        pass.write_line(0x2a, &mut line);
        let line = String::from_utf8(line).unwrap();
        let value = line.strip_prefix("x-herdsman-door: ").unwrap().trim_end();
        assert_eq!(pass.check(value), Some(Bearer::Connection(0x2a)));
        assert_eq!(Pass::random().unwrap().check(value), None);
        for other in ["", "2a", &value[1..], &value[..32], &format!("{value}g"), &format!("é{value}")] {
            assert_eq!(pass.check(other), None, "{other:?}");
        }
        assert!(!format!("{pass:?}").contains(&value[..32]));
    }
}

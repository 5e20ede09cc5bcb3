//! What a topic may be called.

/// The longest name of a topic that Kafka takes.
const BYTES_MAX: usize = 249;

/// Checks the name of a topic. Clients of Kafka take other names in part, and fail late or badly.
///
/// # Errors
/// What is wrong, with what is allowed.
pub fn check(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let right = (1..=BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
    if right && name != "." && name != ".." {
        return Ok(());
    }
    let shown: String = name.chars().take(BYTES_MAX).collect();
    let more = if shown.len() < name.len() { "…" } else { "" };
    Err(format!(
        "'{shown}{more}' is no name of a topic: those have 1 to {BYTES_MAX} of the characters a-z A-Z 0-9 . _ -"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kafka_takes() {
        let longest = "t".repeat(BYTES_MAX);
        for name in ["t", "a.B_c-9", "...", &longest] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", "a\0b", "a\n", &format!("{longest}t")] {
            assert!(check(name).is_err(), "{name}");
        }
        assert!(check(&"ä".repeat(60_000)).unwrap_err().len() < 1000);
    }
}

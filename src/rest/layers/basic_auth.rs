//! Name and password, as Apache's `BasicAuthSecurityRestExtension` asks for them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::api::config_def::Password;
use crate::rest::http::HttpRequest;

/// Who may use the API.
#[derive(Debug, Clone, Default)]
pub struct BasicAuth {
    /// Passwords by user name. Without any, everybody may, as in Apache.
    pub users: BTreeMap<String, Password>,
}

impl BasicAuth {
    /// Whether the request comes from a user.
    pub(in crate::rest) fn permits(&self, request: &HttpRequest) -> bool {
        if self.users.is_empty() {
            return true;
        }
        let credentials = request.header("Authorization").and_then(credentials);
        credentials.is_some_and(|(user, password)| {
            let expected = self.users.get(&user).map(Password::expose);
            expected.is_some_and(|expected| is_equal(expected.as_bytes(), password.as_bytes()))
        })
    }
}

/// Compares in a time that does not tell how much was right.
fn is_equal(expected: &[u8], given: &[u8]) -> bool {
    expected.len() == given.len() && openssl::memcmp::eq(expected, given)
}

/// User and password of an `Authorization` header; `None` if it holds none.
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::test_support::get;

    fn permits(authorization: Option<&str>) -> bool {
        let users = [("ann".to_owned(), Password::new("p:w")), ("bob".to_owned(), Password::new("x"))];
        let mut request = get("/");
        request.headers.extend(authorization.map(|value| ("authorization".to_owned(), value.to_owned())));
        BasicAuth { users: users.into() }.permits(&request)
    }

    #[test]
    fn only_users_may_ask() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(permits(Some(&basic("ann:p:w"))));
        assert!(permits(Some(&basic("bob:x").replace("Basic", "bASIC"))));
        let table = [basic("ann:p"), basic("bob:p:w"), basic("eve:x"), basic("bob"), basic(":")];
        for refused in &table {
            assert!(!permits(Some(refused)), "{refused}");
        }
        for refused in ["", "Basic", "Basic !!!", "Bearer abc", "Basic /w=="] {
            assert!(!permits(Some(refused)), "{refused}");
        }
        assert!(!permits(None));
    }

    #[test]
    fn without_users_everybody_may() {
        assert!(BasicAuth::default().permits(&get("/")));
    }
}

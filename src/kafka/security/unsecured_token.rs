//! The unsecured token of OAUTHBEARER that librdkafka makes by itself from `sasl.oauthbearer.config`, so that all
//! clients of the worker log in alike. It is signed by nobody: for development only.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

const SETTING: &str = "sasl.oauthbearer.config";

/// What the token says. Made anew for each login.
#[derive(Clone, PartialEq, Eq)]
pub struct UnsecuredToken {
    principal_claim: String,
    principal: String,
    scope_claim: String,
    scopes: Vec<String>,
    life_seconds: i64,
    extensions: Vec<(String, String)>,
}

impl fmt::Debug for UnsecuredToken {
    /// Who knows the claims can make the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsecuredToken")
    }
}

impl UnsecuredToken {
    /// Parses `name=value` pairs between blanks: `principal` (needed), `principalClaimName` (`sub`), `scope` (a list
    /// with commas), `scopeClaimName` (`scope`), `lifeSeconds` (3600) and any `extension_NAME`.
    ///
    /// # Errors
    /// What is wrong, as text that names the setting.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut claims: [(&str, Option<&str>); 5] =
            ["principal", "principalClaimName", "scope", "scopeClaimName", "lifeSeconds"]
                .map(|name| (name, None));
        let mut extensions = Vec::new();
        for pair in text.split(' ').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(extension) = name.strip_prefix("extension_") {
                check_extension(extension, value)?;
                extensions.push((extension.to_owned(), value.to_owned()));
                continue;
            }
            let Some((_, claim)) = claims.iter_mut().find(|(known, _)| *known == name) else {
                return Err(format!("{SETTING}: {name} is not known"));
            };
            if value.is_empty() || value.contains(['"', '\\']) {
                return Err(format!("{SETTING}: {name} needs a value without quotes"));
            }
            if claim.replace(value).is_some() {
                return Err(format!("{SETTING}: {name} is there twice"));
            }
        }
        let [principal, principal_claim, scope, scope_claim, life] = claims.map(|(_, value)| value);
        let life_seconds = life.map_or(Ok(3600), str::parse::<i32>).ok().filter(|seconds| *seconds > 0);
        let mut seen = BTreeSet::new();
        let scopes =
            scope.unwrap_or_default().split(',').filter(|scope| !scope.is_empty() && seen.insert(*scope));
        Ok(UnsecuredToken {
            principal: principal.ok_or_else(|| format!("{SETTING}: principal=NAME is missing"))?.to_owned(),
            principal_claim: principal_claim.unwrap_or("sub").to_owned(),
            scope_claim: scope_claim.unwrap_or("scope").to_owned(),
            scopes: scopes.map(str::to_owned).collect(),
            life_seconds: life_seconds
                .ok_or_else(|| format!("{SETTING}: lifeSeconds must be a number of seconds above 0"))?
                .into(),
            extensions,
        })
    }

    /// The token in its compact form, issued now.
    pub(super) fn compact(&self, now: Timestamp) -> String {
        let seconds = |at: i64| format!("{}.{:03}", at.div_euclid(1000), at.rem_euclid(1000));
        let issued = now.as_millisecond();
        let mut claims = format!(
            r#"{{"{}":"{}","iat":{},"exp":{}"#,
            self.principal_claim,
            self.principal,
            seconds(issued),
            seconds(issued + self.life_seconds * 1000)
        );
        if !self.scopes.is_empty() {
            claims.push_str(&format!(r#","{}":["{}"]"#, self.scope_claim, self.scopes.join(r#"",""#)));
        }
        claims.push('}');
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
    }

    /// Further pairs that the broker is told.
    pub(super) fn extensions(&self) -> Vec<(&str, &str)> {
        self.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// As RFC 7628 allows: letters, and visible characters for the value. `auth` is the token itself.
fn check_extension(name: &str, value: &str) -> Result<(), String> {
    let is_name = !name.is_empty() && name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_name && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!(
        "{SETTING}: extension_{name} needs a name of letters other than auth, and a value of visible characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_claims_of_librdkafka() {
        let token = UnsecuredToken::parse(
            "principalClaimName=azp principal=admin  scopeClaimName=roles scope=role1,,role2,role1 lifeSeconds=600 \
             extension_traceId=123",
        )
        .unwrap();
        let text = token.compact(Timestamp::from_millisecond(1_549_251_467_046).unwrap());
        let parts: Vec<_> = text.split('.').collect();
        let [header, claims, ""] = parts[..] else { panic!("{text}") };
        assert_eq!(header, "eyJhbGciOiJub25lIn0");
        assert_eq!(
            String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap(),
            r#"{"azp":"admin","iat":1549251467.046,"exp":1549252067.046,"roles":["role1","role2"]}"#
        );
        assert_eq!(token.extensions(), [("traceId", "123")]);
        let short = UnsecuredToken::parse("principal=a").unwrap();
        assert_eq!((short.principal_claim.as_str(), short.life_seconds), ("sub", 3600));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("", "principal=NAME"),
            ("principal=", "principal needs"),
            ("principal=a\"b", "principal needs"),
            ("principal=a principal=b", "principal is there twice"),
            ("principal=a who=b", "who is not known"),
            ("principal=a lifeSeconds=0", "lifeSeconds"),
            ("principal=a lifeSeconds=x", "lifeSeconds"),
            ("principal=a extension_auth=x", "extension_auth"),
            ("principal=a extension_=x", "extension_"),
            ("principal=a extension_a1=x", "extension_a1"),
        ] {
            let told = UnsecuredToken::parse(text).unwrap_err();
            assert!(told.starts_with(SETTING) && told.contains(named), "{text}: {told}");
        }
    }
}

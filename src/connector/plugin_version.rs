//! Which versions of a plug-in a user wants: one version, or ranges as Maven writes them (KIP-891).

use std::cmp::Ordering;

/// A text that is no version and no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It opens a range and does not close it.
    #[error("Unbounded range: {0}")]
    Unbounded(String),
    /// It is malformed in another way.
    #[error("Invalid version specification: {0}")]
    Malformed(String),
}

/// What versions are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionRange {
    /// Any; of several, the latest.
    Latest,
    /// Those within one of these intervals.
    Within(Vec<Interval>),
}

/// Versions between two bounds; no bound is open to that side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    low: Option<Bound>,
    high: Option<Bound>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    version: String,
    included: bool,
}

impl VersionRange {
    /// Reads `latest`, `4.3.1`, `[4.0,5.0)`, `(,4.3]` or several of the latter, separated by commas.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let text = text.trim();
        if text.is_empty() || text.eq_ignore_ascii_case("latest") {
            return Ok(VersionRange::Latest);
        }
        if !text.starts_with(['[', '(']) {
            return match text.contains([',', ']', ')', '[', '(']) {
                true => Err(VersionError::Malformed(text.to_owned())),
                false => Ok(VersionRange::Within(vec![Interval::exactly(text)])),
            };
        }
        let mut intervals = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find([']', ')']).ok_or_else(|| VersionError::Unbounded(text.to_owned()))?;
            let (interval, after) = rest.split_at(end + 1);
            intervals
                .push(Interval::parse(interval).ok_or_else(|| VersionError::Malformed(text.to_owned()))?);
            rest = after.trim_start();
            rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
        }
        Ok(VersionRange::Within(intervals))
    }

    /// Whether `version` is wanted.
    pub fn contains(&self, version: &str) -> bool {
        match self {
            VersionRange::Latest => true,
            VersionRange::Within(intervals) => intervals.iter().any(|interval| interval.contains(version)),
        }
    }
}

impl std::fmt::Display for VersionRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let VersionRange::Within(intervals) = self else { return f.write_str("latest") };
        for (index, Interval { low, high }) in intervals.iter().enumerate() {
            let version =
                |bound: &Option<Bound>| bound.as_ref().map_or("", |bound| &bound.version).to_owned();
            let included = |bound: &Option<Bound>| bound.as_ref().is_some_and(|bound| bound.included);
            let comma = if index > 0 { "," } else { "" };
            let open = if included(low) { '[' } else { '(' };
            let close = if included(high) { ']' } else { ')' };
            write!(f, "{comma}{open}{},{}{close}", version(low), version(high))?;
        }
        Ok(())
    }
}

impl Interval {
    fn exactly(version: &str) -> Self {
        let bound = Some(Bound { version: version.to_owned(), included: true });
        Interval { low: bound.clone(), high: bound }
    }

    /// Reads what begins and ends with a bracket.
    fn parse(text: &str) -> Option<Self> {
        let from = text.strip_prefix('[').map(|rest| (rest, true));
        let (rest, low_included) = from.or_else(|| text.strip_prefix('(').map(|rest| (rest, false)))?;
        let until = rest.strip_suffix(']').map(|inner| (inner, true));
        let (inner, high_included) = until.or_else(|| rest.strip_suffix(')').map(|inner| (inner, false)))?;
        let bound = |version: &str, included| {
            let version = version.trim().to_owned();
            (!version.is_empty()).then_some(Bound { version, included })
        };
        match inner.split_once(',') {
            // `[1.0]` is one version; `(1.0)` would be none.
            None => (low_included && high_included && !inner.trim().is_empty())
                .then(|| Interval::exactly(inner.trim())),
            Some((low, high)) if !high.contains([',', '[', '(']) => {
                Some(Interval { low: bound(low, low_included), high: bound(high, high_included) })
            }
            Some(_) => None,
        }
    }

    fn contains(&self, version: &str) -> bool {
        let fits = |bound: &Option<Bound>, outside: Ordering| {
            bound.as_ref().is_none_or(|Bound { version: bound, included }| {
                let order = compare(version, bound);
                order != outside && (*included || order != Ordering::Equal)
            })
        };
        fits(&self.low, Ordering::Less) && fits(&self.high, Ordering::Greater)
    }
}

/// Compares versions part by part: numbers as numbers, a missing part as zero.
fn compare(left: &str, right: &str) -> Ordering {
    let mut left = left.split(['.', '-']);
    let mut right = right.split(['.', '-']);
    loop {
        let (a, b) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => (a.unwrap_or("0"), b.unwrap_or("0")),
        };
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            // A word marks what comes before a release.
            (Ok(_), Err(_)) => Ordering::Greater,
            (Err(_), Ok(_)) => Ordering::Less,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_versions() {
        let table = [
            ("4.3.1", true),
            ("4.3", false),
            ("[4.3.1]", true),
            ("[4.0,5.0)", true),
            ("[4.0,4.3.1)", false),
            ("[4.0,4.3.1]", true),
            ("(4.3.1,)", false),
            ("[4.3.1,)", true),
            ("(,4.3]", false),
            ("(,4.10]", true),
            ("[1,2),[4,5)", true),
            ("[1,2), (5,6)", false),
            ("[4.3.1-SNAPSHOT,)", true),
            ("latest", true),
            ("", true),
        ];
        for (text, expected) in table {
            assert_eq!(VersionRange::parse(text).unwrap().contains("4.3.1"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["[9", "(1,2", "[1,2),(3"] {
            assert_eq!(VersionRange::parse(text), Err(VersionError::Unbounded(text.to_owned())));
        }
        for text in ["1,2", "(1.0)", "[]", "[1,2,3]", "9]"] {
            assert_eq!(VersionRange::parse(text), Err(VersionError::Malformed(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_single_version_is_shown_as_a_range() {
        assert_eq!(VersionRange::parse("9.9").unwrap().to_string(), "[9.9,9.9]");
        assert_eq!(VersionRange::parse("(,2)").unwrap().to_string(), "(,2)");
    }
}

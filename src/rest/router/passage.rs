//! What a request that changes something says about its way: how often workers passed it on already (`forward`), and
//! how long it may wait for a group that is being rearranged (`wait`, which Apache has not).

use std::time::Duration;

use super::query::Query;
use super::{Refusal, path};

/// How often a request was forwarded, as its parameter `forward` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rest) enum Forwarded {
    /// It comes from a client.
    Never,
    /// `forward=true`: it may go on once more.
    Once,
    /// `forward=false`, or any other value: it goes no further.
    Twice,
}

impl Forwarded {
    /// What the parameter says on the way to the next worker; `None` if there is none.
    pub(in crate::rest) fn next(self) -> Option<bool> {
        match self {
            Forwarded::Never => Some(true),
            Forwarded::Once => Some(false),
            Forwarded::Twice => None,
        }
    }
}

/// The way of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rest) struct Passage {
    /// How often it was forwarded.
    pub(in crate::rest) forwarded: Forwarded,
    /// How long it may wait until it can be done; zero is not at all.
    pub(in crate::rest) wait: Duration,
}

/// Reads the way of a request from its target.
pub(in crate::rest) fn passage(target: &str) -> Result<Passage, Refusal> {
    let (_, query) = path::split_target(target);
    let query = Query::parse(query);
    let forwarded = match query.first("forward") {
        None => Forwarded::Never,
        Some(_) if query.flag("forward") => Forwarded::Once,
        Some(_) => Forwarded::Twice,
    };
    let wait = match query.first("wait").map(|text| (text, text.parse())) {
        None => Duration::ZERO,
        Some((_, Ok(milliseconds))) => Duration::from_millis(milliseconds),
        Some((text, Err(_))) => {
            let message = format!(
                "The parameter wait must be a number of milliseconds, such as 5000, and not '{text}'"
            );
            return Err(Refusal::BadRequest(message));
        }
    };
    Ok(Passage { forwarded, wait })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_request_is_in_its_query() {
        let table = [
            ("/connectors", Forwarded::Never, 0),
            ("/connectors?forward=true", Forwarded::Once, 0),
            ("/connectors?forward=TRUE&wait=250", Forwarded::Once, 250),
            ("/connectors?forward=false", Forwarded::Twice, 0),
            ("/connectors?forward=", Forwarded::Twice, 0),
            ("/connectors?forward", Forwarded::Twice, 0),
            ("/connectors?forward=xyz", Forwarded::Twice, 0),
            ("/connectors?forward=false&forward=true", Forwarded::Twice, 0),
            ("/connectors?Forward=true&Wait=1", Forwarded::Never, 0),
            ("/connectors?wait=0", Forwarded::Never, 0),
        ];
        for (target, forwarded, milliseconds) in table {
            let wait = Duration::from_millis(milliseconds);
            assert_eq!(passage(target), Ok(Passage { forwarded, wait }), "{target}");
        }
        for text in ["", "-1", "1.5", "2s", "99999999999999999999999"] {
            let refused = passage(&format!("/connectors?wait={text}"));
            let Err(Refusal::BadRequest(message)) = refused else { panic!("{text}: {refused:?}") };
            assert!(message.ends_with(&format!("and not '{text}'")), "{message}");
        }
    }

    #[test]
    fn a_request_passes_two_workers_at_most() {
        let next = [Forwarded::Never, Forwarded::Once, Forwarded::Twice].map(Forwarded::next);
        assert_eq!(next, [Some(true), Some(false), None]);
    }
}

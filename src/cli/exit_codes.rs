//! The page `docs/reference/exit-codes.md`, made from [`Exit`]. The test fails when it is stale; run it with
//! `HERDSMAN_UPDATE_DOCS=1` to write the page again.

use std::iter::successors;

use super::Exit;
use crate::config::reference::{MADE, check_page};

/// The next row of the table; a new variant has to find its place here.
fn after(exit: Exit) -> Option<Exit> {
    match exit {
        Exit::Done => Some(Exit::Broken),
        Exit::Broken => Some(Exit::Unhealthy),
        Exit::Unhealthy => Some(Exit::BadConfig),
        Exit::BadConfig => Some(Exit::Starting),
        Exit::Starting => Some(Exit::StartFailed),
        Exit::StartFailed => Some(Exit::NoAnswer),
        Exit::NoAnswer => Some(Exit::Signal(0)),
        Exit::Signal(_) => None,
    }
}

fn page() -> String {
    let mut page = format!(
        "{MADE}\n\n# Exit codes\n\n\
         Those that Apache Kafka Connect has too are the same. What went wrong is told on standard error.\n\n\
         | Code | What it means |\n|---|---|\n"
    );
    for exit in successors(Some(Exit::Done), |exit| after(*exit)) {
        let number = if matches!(exit, Exit::Signal(_)) { " + its number" } else { "" };
        page.push_str(&format!("| {}{number} | {} |\n", exit.code(), exit.describe()));
    }
    page
}

#[test]
fn the_page_of_exit_codes_is_fresh() {
    check_page("exit-codes.md", &page());
}

#[test]
fn the_rows_stand_in_the_order_of_their_codes() {
    let codes: Vec<u8> = successors(Some(Exit::Done), |exit| after(*exit)).map(Exit::code).collect();
    assert!(codes.is_sorted(), "{codes:?}");
}

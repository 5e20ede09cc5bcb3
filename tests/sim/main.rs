//! Simulation of the worker: herders and all that surrounds them on one thread, time a number, everything that happens
//! decided by one seed.
//!
//! `standalone` is one worker, `cluster` a group of them. `cargo test --test sim` runs 2,000 seeds of each;
//! `HERDSMAN_SIM_SEEDS=N` runs N of them, and `HERDSMAN_SIM_SEED=S` one. A failure prints its seed, how to run it again,
//! and what happened last.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a simulation that cannot go on has failed")]

mod calls;
mod clients;
mod cluster;
mod fakes;
mod instances;
mod random;
mod schedule;
mod standalone;
mod trace;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use trace::Trace;

const SEEDS: u64 = 2_000;

#[test]
fn standalone() {
    check_all("standalone", standalone::run);
}

#[test]
fn cluster() {
    check_all("cluster", cluster::run);
}

fn check_all(test: &str, run: fn(u64, &Trace)) {
    match number("HERDSMAN_SIM_SEED") {
        Some(seed) => check(test, seed, run),
        None => {
            let seeds = number("HERDSMAN_SIM_SEEDS").unwrap_or(SEEDS);
            (0..seeds).for_each(|seed| check(test, seed, run));
        }
    }
}

/// Runs one seed. One that fails runs once more with a trace, which is printed.
fn check(test: &str, seed: u64, run: fn(u64, &Trace)) {
    if let Err(failure) = catch_unwind(|| run(seed, &Trace::off())) {
        let trace = Trace::on();
        let again = catch_unwind(AssertUnwindSafe(|| run(seed, &trace)));
        eprintln!("{trace}");
        if again.is_ok() {
            eprintln!("the seed passed when it was run again: the simulation is not deterministic");
        }
        eprintln!(
            "seed {seed} failed; again: HERDSMAN_SIM_SEED={seed} cargo test --test sim {test} -- --nocapture"
        );
        resume_unwind(failure);
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

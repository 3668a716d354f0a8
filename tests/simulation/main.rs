//! The operator in a world where everything goes wrong, and the proof that it comes through.
//!
//! ```text
//!   people, strangers ───────────────► Cluster ◄── its controllers        one thread, one seed,
//!                                         ▲                               a clock that jumps
//!   operator 1 ── wire ──┐   ┌────────────┴───────────┐
//!   operator 2 ── wire ──┼──►│ weather, faults, judge │
//!   operator 3 ── wire ──┘   └────────────────────────┘
//! ```
//!
//! Everything that happens follows from one number. So what went wrong once can be looked at again, line by line:
//! `make simulate SEED=…`. In the tradition of FoundationDB's simulation, of Sieve and of Acto.
//!
//! | what must hold | where it is looked at |
//! |---|---|
//! | eventually everything is as it should be, and then nothing is written | [`truth`], [`run`] |
//! | nobody writes but the holder of the Lease | [`world`] |
//! | nothing is deleted that is not ours, no orphan is left, what strangers wrote survives | [`world`], [`truth`] |
//! | pods are restarted as often as what they run has changed | [`rolls`] |
//! | no key is asked about in a hot loop; tasks are bounded, and end with their operator | [`world`], [`run`] |
//! | of what is gone nothing is left in an operator's queue and metrics | [`run`], [`gauges`] |
//! | no value of a Secret is in any request, object, log line or metric | [`timeline`] |
//!
//! Reading order: [`run`] (a seed's course), [`people`] (what happens) and [`chance`] (when), [`wire`] and [`world`] (how requests travel, and
//! who judges them), [`truth`] and [`rolls`] (what should be), [`timeline`] (what is told); then [`sieve`], which leaves
//! nothing to chance, and [`scenes`], for which chance would take too long.

mod chance;
mod gauges;
mod instance;
mod people;
mod rolls;
mod run;
mod scenes;
mod sieve;
mod timeline;
mod truth;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use run::{Outcome, on_all_cores};

/// The seeds of `make test`: enough to see every kind of trouble.
const FIXED: std::ops::RangeInclusive<u64> = 5..=20;

#[test]
fn whatever_happens_the_operator_brings_everything_to_where_it_should_be_and_rests() {
    let outcomes = on_all_cores(FIXED.collect(), |seed| Some(run::seed(seed)));
    let strikes = total(&outcomes);
    for kind in ["Crash", "Outage", "CutOff", "Stop", "cut-watches", "stall-watches", "lose-answer", "Compact", "rolls"]
    {
        assert!(strikes.get(kind).is_some_and(|times| *times > 0), "no {kind} in these seeds: {strikes:?}");
    }
    if let Some(failed) = outcomes.iter().find(|outcome| !outcome.timeline.violations().is_empty()) {
        tell(failed);
        panic!("seed {}: {}", failed.seed, failed.timeline.violations().join("\n"));
    }
}

/// Otherwise a seed would be good for nothing.
#[test]
fn a_seed_repeats_itself_line_by_line() {
    for seed in [3, 20] {
        let (first, second) = (run::seed(seed).timeline.lines(), run::seed(seed).timeline.lines());
        for (first, second) in first.iter().zip(&second) {
            assert_eq!(first, second);
        }
        assert_eq!(first.len(), second.len());
    }
}

/// `make simulate`: `SEEDS` of them from `FIRST` on, or the one `SEED`, with its timeline.
#[test]
#[ignore = "it takes as long as it is told to: make simulate SEEDS=10000, make simulate SEED=7"]
fn simulate() {
    let number = |name: &str| -> Option<u64> {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number; for example: make simulate {name}=7")))
    };
    if let Some(seed) = number("SEED") {
        let outcome = run::seed(seed);
        tell(&outcome);
        assert!(outcome.timeline.violations().is_empty(), "seed {seed} went wrong");
        return;
    }
    let (first, count) = (number("FIRST").unwrap_or(1), number("SEEDS").unwrap_or(1000));
    let (began, done) = (Instant::now(), AtomicU64::new(0));
    let outcomes = on_all_cores((first..first + count).collect(), |seed| {
        let mut outcome = run::seed(seed);
        if outcome.timeline.violations().is_empty() {
            // Ten thousand timelines are a few gigabytes.
            outcome.timeline.forget();
        } else {
            println!("seed {seed} went wrong: {}", outcome.timeline.violations()[0]);
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(1000) {
            println!("{done} seeds, {:.1} per second", per_second(done, began.elapsed()));
        }
        Some(outcome)
    });
    let requests: u64 = outcomes.iter().map(|outcome| outcome.requests).sum();
    println!(
        "{count} seeds in {:.0?}, {:.1} per second; {requests} requests. What happened in them, and how often:",
        began.elapsed(),
        per_second(count, began.elapsed())
    );
    for (kind, times) in total(&outcomes) {
        println!("  {kind:<20} {times}");
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.timeline.violations().is_empty()).collect();
    if let Some(first) = failed.first() {
        tell(first);
        let seeds: Vec<u64> = failed.iter().map(|outcome| outcome.seed).collect();
        panic!(
            "{} of {count} seeds went wrong: {seeds:?}; to see one again: make simulate SEED={}",
            seeds.len(),
            seeds[0]
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody runs so many")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// How often each kind of thing happened in all of them.
fn total(outcomes: &[Outcome]) -> BTreeMap<String, u64> {
    let mut total = BTreeMap::new();
    for (kind, times) in outcomes.iter().flat_map(|outcome| &outcome.strikes) {
        *total.entry(kind.clone()).or_default() += times;
    }
    total
}

/// Prints the timeline of a seed, and what is wrong in it.
fn tell(outcome: &Outcome) {
    println!("seed {}: seconds, who, what", outcome.seed);
    for line in outcome.timeline.lines() {
        println!("{line}");
    }
    for violation in outcome.timeline.violations() {
        println!("VIOLATION  {violation}");
    }
}

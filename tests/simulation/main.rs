//! The operator in a world where everything goes wrong, and the proof that it comes through.
//!
//! ```text
//!   people, strangers ───────────────► Cluster ◄── its controllers        one thread, one seed,
//!                                         ▲                               a clock that jumps
//!   operator 1 ── wire ──┐   ┌────────────┴──────────┐
//!   operator 2 ── wire ──┼──►│ weather, faults, judge │
//!   operator 3 ── wire ──┘   └───────────────────────┘
//! ```
//!
//! Everything that happens follows from one number. So what went wrong once can be looked at again, line by line:
//! `make simulate SEED=…`. In the tradition of FoundationDB's simulation, of Sieve and of Acto.
//!
//! Reading order: [`run`] (a seed's course), [`people`] (what happens), [`wire`] and [`world`] (how requests travel, and
//! who judges them), [`truth`] and [`rolls`] (what should be), [`timeline`] (what is told).

mod instance;
mod people;
mod rolls;
mod run;
mod timeline;
mod truth;
mod wire;
mod world;

#[test]
fn probe() {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let count = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1u64);
    let mut bad = 0;
    let began = std::time::Instant::now();
    let mut requests = 0;
    for seed in first..first + count {
        let outcome = run::seed(seed);
        requests += outcome.requests;
        let violations = outcome.timeline.violations();
        if !violations.is_empty() {
            bad += 1;
            println!("seed {seed}: {} violations, first: {}", violations.len(), violations[0]);
        }
        if count == 1 {
            for line in outcome.timeline.lines() { println!("{line}"); }
            println!("{:?}", outcome.strikes);
            for line in violations { println!("VIOLATION {line}"); }
        }
    }
    println!("{count} seeds, {bad} bad, {requests} requests, {:?}", began.elapsed());
}

//! The verdict of `make soak`, whose own program is a benchmark and has no tests.

#[path = "../benches/operator/soak/verdict.rs"]
mod verdict;

use std::time::Duration;

use verdict::{Finding, Measured, Sample, judge};

/// A sample every five seconds, for so many minutes.
fn memory(minutes: u64, mib: impl Fn(f64) -> f64) -> Vec<Sample> {
    let moments = (1..=minutes * 12).map(|sample| Duration::from_secs(sample * 5));
    moments.map(|at| Sample { at, mib: mib(at.as_secs_f64() / 60.0) }).collect()
}

fn measured(memory: &[Sample]) -> Measured<'_> {
    Measured {
        memory,
        changes: 1000,
        unwritten: 0,
        queue: 0,
        drained: Duration::from_millis(300),
        p99: Some(Duration::from_millis(80)),
        p99_limit: Duration::from_secs(1),
        panics: 0,
    }
}

fn of_memory(samples: &[Sample]) -> Finding {
    judge(&measured(samples)).remove(0)
}

#[test]
fn an_operator_that_stays_as_it_is_passes_and_is_told_the_numbers() {
    let memory = memory(10, |_| 70.0);
    let said: Vec<String> = judge(&measured(&memory)).iter().map(ToString::to_string).collect();
    let expected = [
        "good     memory +0.00 % over the last 300 s, from 70.0 MiB; up to 5 % are flat",
        "good     all 1000 changes written, 0.3 s after the last one the queue was empty",
        "good     99 of 100 changes written within 80.0 ms; 1000 ms are good enough",
    ];
    assert_eq!(said, expected);
}

#[test]
fn memory_that_finds_its_size_and_then_goes_up_and_down_is_flat() {
    let settles = |minute: f64| if minute < 5.0 { 40.0 + 6.0 * minute } else { 70.0 };
    assert!(matches!(of_memory(&memory(10, settles)), Finding::Good(_)));
    let waves = |minute: f64| 70.0 + 5.0 * (minute * 9.0).sin();
    assert!(matches!(of_memory(&memory(10, waves)), Finding::Good(_)));
    assert!(matches!(of_memory(&memory(10, |minute| 70.0 - minute)), Finding::Good(_)));
}

#[test]
fn a_leak_is_found_and_a_slower_one_in_a_longer_time() {
    let leaks = |minute: f64| 70.0 + minute;
    assert!(matches!(of_memory(&memory(10, leaks)), Finding::Bad(_)));
    let slowly = |minute: f64| 70.0 + 0.1 * minute + (minute * 9.0).sin();
    assert!(matches!(of_memory(&memory(10, slowly)), Finding::Good(_)));
    assert!(matches!(of_memory(&memory(120, slowly)), Finding::Bad(_)));
}

#[test]
fn a_few_minutes_say_nothing_about_memory() {
    for samples in [memory(0, |_| 70.0), memory(3, |minute| 70.0 + 100.0 * minute)] {
        let Finding::Unknown(text) = of_memory(&samples) else { panic!("too short to tell") };
        assert_eq!(text, "whether memory is flat: it takes 5 minutes to tell");
    }
    assert!(matches!(of_memory(&memory(5, |_| 70.0)), Finding::Good(_)));
}

#[test]
fn what_is_left_over_or_late_or_panicked_does_not_pass() {
    let memory = memory(10, |_| 70.0);
    let good = || measured(&memory);
    for (bad, expected) in [
        (Measured { unwritten: 2, ..good() }, "BAD      after 0 s, 2 of 1000 changes are not written, 0 keys queued"),
        (Measured { queue: 7, ..good() }, "BAD      after 0 s, 0 of 1000 changes are not written, 7 keys queued"),
        (
            Measured { p99: Some(Duration::from_millis(1001)), ..good() },
            "BAD      99 of 100 changes written within 1001.0 ms; 1000 ms are good enough",
        ),
        (Measured { panics: 1, ..good() }, "BAD      1 reconciles panicked"),
    ] {
        let bad: Vec<String> =
            judge(&bad).iter().filter(|finding| matches!(finding, Finding::Bad(_))).map(ToString::to_string).collect();
        assert_eq!(bad, [expected]);
    }
    let nothing = judge(&Measured { changes: 0, p99: None, ..good() });
    assert_eq!(nothing[2], Finding::Unknown("no change was written".to_owned()));
}

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::events::EventType;
use crate::object::{Resource, Uid};

const SERVERS: Resource =
    Resource { group: "mcp.mcp.dev", version: "v1alpha1", plural: "mcpservers", kind: "MCPServer" };

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn correlator() -> (Correlator, Instant) {
    let now = Instant::now();
    (Correlator::new("smooth-operator-0", now), now)
}

fn server(name: &str, uid: &str) -> Regarding {
    Regarding { resource: SERVERS, key: ObjectKey::new("default", name), uid: Uid::from(uid) }
}

fn created(note: &str) -> Event {
    Event { event_type: EventType::Normal, reason: "DeploymentCreated", action: "Reconcile", note: note.to_owned() }
}

fn at(regarding: &Regarding, event: &Event, wall: &str) -> Occurrence {
    let what = What { regarding: regarding.clone(), event: event.clone() };
    Occurrence { what, at: wall.parse().unwrap() }
}

fn occurrence(note: &str) -> Occurrence {
    at(&server("example-server", "1"), &created(note), "2026-11-22T20:00:00Z")
}

/// The Event that is created; panics if there is none.
fn made(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Create(event) => serde_json::to_value(event).unwrap(),
        Verdict::Patch(..) | Verdict::Nothing => panic!("no new event: {verdict:?}"),
    }
}

fn count(verdict: &Verdict) -> Option<i32> {
    match verdict {
        Verdict::Patch(_, series) => Some(series.count),
        Verdict::Create(_) => Some(1),
        Verdict::Nothing => None,
    }
}

/// As an API server accepted it: `events/create` among the recorded exchanges.
#[test]
fn the_first_occurrence_makes_an_event_that_the_api_server_takes() {
    let (mut correlator, t0) = correlator();
    let regarding = server("example-server", "24757909-805d-4314-b8f3-aa2c2c242ba9");
    let event = created("created Deployment example-server");
    let made = made(correlator.correlate(&at(&regarding, &event, "2026-11-22T20:00:00Z"), t0));
    assert_eq!(
        made,
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": "example-server.18ea766a35b18000", "namespace": "default"},
            "eventTime": "2026-11-22T20:00:00.000000Z",
            "reportingController": "mcp.mcp.dev/smooth-operator",
            "reportingInstance": "smooth-operator-0",
            "action": "Reconcile",
            "reason": "DeploymentCreated",
            "regarding": {
                "apiVersion": "mcp.mcp.dev/v1alpha1", "kind": "MCPServer", "namespace": "default",
                "name": "example-server", "uid": "24757909-805d-4314-b8f3-aa2c2c242ba9",
            },
            "note": "created Deployment example-server",
            "type": "Normal",
        })
    );
}

/// As an API server accepted it: `events/patch-series` among the recorded exchanges.
#[test]
fn a_repetition_counts_on_in_the_same_event() {
    let (mut correlator, t0) = correlator();
    let (regarding, event) = (server("example-server", "1"), created("x"));
    let first = made(correlator.correlate(&at(&regarding, &event, "2026-11-22T20:00:00Z"), t0));
    let again = at(&regarding, &event, "2026-11-22T20:00:09Z");
    let Verdict::Patch(key, series) = correlator.correlate(&again, t0 + secs(9)) else { panic!("a new event") };
    assert_eq!((key.namespace(), key.name()), ("default", first["metadata"]["name"].as_str().unwrap()));
    assert_eq!(
        serde_json::to_value(series).unwrap(),
        json!({"count": 2, "lastObservedTime": "2026-11-22T20:00:09.000000Z"})
    );
    assert_eq!(count(&correlator.correlate(&again, t0 + secs(10))), Some(3));
}

#[test]
fn after_six_minutes_of_quiet_a_new_event_begins() {
    let (mut correlator, t0) = correlator();
    made(correlator.correlate(&occurrence("x"), t0));
    assert_eq!(count(&correlator.correlate(&occurrence("x"), t0 + secs(359))), Some(2));
    // Six minutes from the last one, not from the first.
    assert_eq!(count(&correlator.correlate(&occurrence("x"), t0 + secs(700))), Some(3));
    made(correlator.correlate(&occurrence("x"), t0 + secs(700 + 360)));
}

#[test]
fn what_differs_in_anything_is_another_event() {
    let (mut correlator, t0) = correlator();
    let event = created("x");
    let variants = [
        (server("a", "1"), event.clone()),
        (server("a", "2"), event.clone()),
        (server("b", "1"), event.clone()),
        (server("a", "1"), Event { event_type: EventType::Warning, ..event.clone() }),
        (server("a", "1"), Event { reason: "Other", ..event.clone() }),
        (server("a", "1"), Event { action: "Other", ..event.clone() }),
        (server("a", "1"), Event { note: "y".into(), ..event }),
    ];
    for (regarding, event) in &variants {
        made(correlator.correlate(&at(regarding, event, "2026-11-22T20:00:00Z"), t0));
    }
}

#[test]
fn an_object_writes_25_times_in_a_row_and_then_once_in_five_minutes() {
    let (mut correlator, t0) = correlator();
    let writes = |correlator: &mut Correlator, from: u64, to: u64| {
        (from..to)
            .filter(|second| {
                let occurrence = occurrence(&format!("at {second}"));
                correlator.correlate(&occurrence, t0 + secs(*second)) != Verdict::Nothing
            })
            .count()
    };
    assert_eq!(writes(&mut correlator, 0, 300), 25);
    assert_eq!(writes(&mut correlator, 300, 3_300), 10);
    // Another object has its own bucket.
    let other = at(&server("other", "2"), &created("x"), "2026-11-22T20:00:00Z");
    made(correlator.correlate(&other, t0 + secs(3_300)));
}

/// More objects than were remembered evicted each other in turn, and each came back with a full bucket.
#[test]
fn an_object_that_has_said_too_much_is_silent_however_many_others_speak() {
    let (mut correlator, t0) = correlator();
    for second in 0..25 {
        made(correlator.correlate(&occurrence(&format!("at {second}")), t0));
    }
    for other in 0..3_000 {
        let other = at(&server(&format!("other-{other}"), "2"), &created("x"), "2026-11-22T20:00:00Z");
        made(correlator.correlate(&other, t0));
    }
    assert_eq!(correlator.correlate(&occurrence("again"), t0), Verdict::Nothing);
}

/// A thousand servers that say three things each: no more than a few hundred kilobytes.
#[test]
fn what_is_remembered_of_a_series_is_small_and_holds_no_text() {
    assert!(size_of::<Series>() <= 32 && !std::mem::needs_drop::<Series>());
}

#[test]
fn a_repetition_that_could_not_be_paid_is_counted_in_the_next_one_that_can() {
    let (mut correlator, t0) = correlator();
    for second in 0..100 {
        let verdict = correlator.correlate(&occurrence("x"), t0 + secs(second));
        assert_eq!(verdict == Verdict::Nothing, second >= 25, "at {second}");
    }
    assert_eq!(count(&correlator.correlate(&occurrence("x"), t0 + secs(301))), Some(101));
}

#[test]
fn an_event_that_could_not_be_made_is_made_by_the_next_occurrence() {
    let (mut correlator, t0) = correlator();
    made(correlator.correlate(&occurrence("x"), t0));
    correlator.forget(&occurrence("x"));
    made(correlator.correlate(&occurrence("x"), t0));
    assert_eq!(count(&correlator.correlate(&occurrence("x"), t0)), Some(2));
}

#[test]
fn names_never_repeat_though_the_clock_stands_still() {
    let (mut correlator, t0) = correlator();
    let names: BTreeSet<_> = (0..20)
        .map(|number| made(correlator.correlate(&occurrence(&number.to_string()), t0))["metadata"]["name"].to_string())
        .collect();
    assert_eq!(names.len(), 20);
}

#[test]
fn an_events_name_is_a_dns_subdomain_however_long_the_objects_name_is() {
    for length in 1..=253 {
        let (mut correlator, t0) = correlator();
        let object: String = "a-.b".chars().cycle().take(length).collect();
        let occurrence = at(&server(&object, "1"), &created("x"), "2026-11-22T20:00:00Z");
        let event = made(correlator.correlate(&occurrence, t0));
        let name = event["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 253);
        let (object, stamp) = name.rsplit_once('.').unwrap();
        assert!(!object.ends_with(['-', '.']), "{name}");
        assert!(stamp.len() == 16 && stamp.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()));
    }
}

//! What happens next, drawn from a seed: it looks at nothing but the random numbers.

use playground::cluster::Propagation;
use playground::faults::{Age, Answer, Break, Fault, Moment, Quota, Rule, Verb};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use tokio::time::Duration;

use crate::people::{Act, Drift, Place};
use crate::world::{CHILDREN, DEPLOYMENTS, LEASES, NAMESPACES};

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
const SECRET_NAMES: [&str; 2] = ["keys", "token"];
const WATCHED: [&str; 6] =
    ["mcpservers", "deployments", "secrets", "services", "horizontalpodautoscalers", "poddisruptionbudgets"];

fn place(random: &mut StdRng, names: &[&'static str]) -> Place {
    // Most in one namespace, so that they meet.
    let namespace = NAMESPACES[usize::from(random.random_bool(0.25))];
    Place { namespace, name: names.choose(random).expect("there are names") }
}

/// A spec that the API server accepts.
pub(crate) fn spec(random: &mut StdRng) -> Value {
    let mut spec = json!({"image": image(random), "replicas": random.random_range(0..3), "mcp": verify(random)});
    if random.random_bool(0.6) {
        spec["secretName"] = json!(SECRET_NAMES.choose(random));
    }
    if random.random_bool(0.3) {
        spec["port"] = json!(9000);
    }
    if random.random_bool(0.3) {
        spec["args"] = json!(["--verbose"]);
    }
    if random.random_bool(0.2) {
        spec["disruptionBudget"] = json!({"maxUnavailable": 1});
    }
    if random.random_bool(0.2) {
        spec["networkPolicy"] = json!({});
    }
    if random.random_bool(0.15) {
        spec["autoscaling"] = json!({"minReplicas": 2, "maxReplicas": 4});
    }
    spec
}

fn verify(random: &mut StdRng) -> Value {
    if random.random_bool(0.5) { json!({"verify": "Off"}) } else { json!({"interval": "20s"}) }
}

fn image(random: &mut StdRng) -> String {
    let kind = random.random_range(0..20);
    let version = random.random_range(1..5);
    match kind {
        0 => "example.com/does-not-exist:1".to_owned(),
        1 => "example.com/never-ready:1".to_owned(),
        2 => "example.com/crash:1".to_owned(),
        3 => "example.com/flaky:1".to_owned(),
        4 => "example.com/speaks-legacy/mcp:1".to_owned(),
        5 => "example.com/speaks-html/mcp:1".to_owned(),
        6 => "example.com/speaks-login/mcp:1".to_owned(),
        _ => format!("example.com/mcp:{version}"),
    }
}

fn edit(random: &mut StdRng) -> Value {
    match random.random_range(0..13) {
        12 => json!({"mcp": verify(random)}),
        0..=3 => json!({"image": image(random)}),
        4..=5 => json!({"replicas": random.random_range(0..3)}),
        6 => json!({"secretName": SECRET_NAMES.choose(random)}),
        7 => json!({"secretName": null}),
        8 => json!({"args": if random.random_bool(0.5) { json!(["--quiet"]) } else { Value::Null }}),
        9 => {
            json!({"disruptionBudget": if random.random_bool(0.5) { json!({"maxUnavailable": 1}) } else { Value::Null }})
        }
        10 => {
            json!({"autoscaling": if random.random_bool(0.5) { json!({"minReplicas": 2, "maxReplicas": 4}) } else { Value::Null }})
        }
        _ => json!({"suspend": random.random_bool(0.5)}),
    }
}

/// What happens next.
pub(crate) fn draw(random: &mut StdRng, instances: usize) -> Act {
    let number = random.random_range(1..1000);
    match random.random_range(0..100) {
        0..12 => Act::Server(place(random, &NAMES), spec(random)),
        12..28 => Act::Edit(place(random, &NAMES), edit(random)),
        30..35 => {
            let how = if random.random_bool(0.3) { Propagation::Foreground } else { Propagation::Background };
            Act::DeleteServer(place(random, &NAMES), how)
        }
        35..44 => Act::Secret(place(random, &SECRET_NAMES), random.random_range(1..4)),
        44..46 => Act::TouchSecret(place(random, &SECRET_NAMES), number),
        46..49 => Act::DeleteSecret(place(random, &SECRET_NAMES)),
        49..53 => Act::Annotate(CHILDREN[random.random_range(0..5)], place(random, &NAMES), number),
        53..60 => Act::Drift(drift(random), place(random, &NAMES)),
        60..63 => Act::DeleteChild(CHILDREN[random.random_range(0..5)], place(random, &NAMES)),
        63..65 => Act::Restart(place(random, &NAMES), number),
        65..67 => Act::Squat(CHILDREN[random.random_range(0..5)], place(random, &NAMES)),
        67..68 => Act::Unsquat(CHILDREN[random.random_range(0..5)], place(random, &NAMES)),
        68..70 => Act::DeletePod(place(random, &NAMES)),
        28..29 => Act::ChangeTools,
        29..30 => Act::SilentPods(Duration::from_secs(random.random_range(1..30))),
        70..77 => Act::Fault(Box::new(rule(random))),
        77..79 => Act::NoFaults,
        79..80 => Act::Latency(Duration::from_millis(*[1, 10, 200, 2000].choose(random).expect("there are some"))),
        80..82 => Act::Unseen(Box::new(unseen(random))),
        82..84 => Act::Late(
            WATCHED[random.random_range(0..WATCHED.len())],
            Duration::from_millis(random.random_range(0..3000)),
        ),
        84..89 => {
            let resource = random.random_bool(0.5).then(|| WATCHED[random.random_range(0..WATCHED.len())]);
            Act::Break(resource, watch_break(random))
        }
        89..91 => Act::Compact,
        91..92 => Act::Outage(Duration::from_secs(random.random_range(1..20))),
        92..94 => Act::CutOff(random.random_range(1..=instances), Duration::from_secs(random.random_range(1..25))),
        94..99 => Act::Crash(random.random_range(1..=instances), random.random_range(0..6), random.random_bool(0.5)),
        _ => Act::Stop(random.random_range(1..=instances)),
    }
}

/// What is easily missed when no event tells of it.
pub(crate) fn unseen(random: &mut StdRng) -> Act {
    match random.random_range(0..10) {
        0..5 => Act::DeleteChild(CHILDREN[random.random_range(0..5)], place(random, &NAMES)),
        5..6 => Act::Drift(drift(random), place(random, &NAMES)),
        6..7 => Act::Edit(place(random, &NAMES), edit(random)),
        7..8 => Act::Secret(place(random, &SECRET_NAMES), random.random_range(1..4)),
        8..9 => Act::DeleteSecret(place(random, &SECRET_NAMES)),
        _ => Act::DeleteServer(place(random, &NAMES), Propagation::Background),
    }
}

fn drift(random: &mut StdRng) -> Drift {
    *[Drift::Replicas, Drift::Image, Drift::Label, Drift::Port, Drift::Owner].choose(random).expect("there are some")
}

fn watch_break(random: &mut StdRng) -> Break {
    let gone = Break::Error(Answer::Gone);
    let kinds =
        [Break::Cut, Break::End, Break::Stall, Break::HalfLine, Break::Garbage, gone, Break::Error(Answer::Internal)];
    *kinds.choose(random).expect("there are some")
}

fn rule(random: &mut StdRng) -> Rule {
    let retry_after = random.random_range(1..4);
    let fault = match random.random_range(0..11) {
        0..=1 => Fault::LoseRequest,
        2..=3 => Fault::LoseAnswer,
        4 => Fault::Answer(Answer::Conflict),
        5 => Fault::Answer(Answer::Gone),
        6 => Fault::Answer(Answer::TooManyRequests { retry_after }),
        7 => Fault::Answer(Answer::Internal),
        8 => Fault::Answer(Answer::Unavailable),
        9 => Fault::Stale(Age::Behind(random.random_range(1..20))),
        _ => {
            return Rule::watch(watch_break(random), Moment::Lines(random.random_range(0..5))).chance(0.5);
        }
    };
    if random.random_bool(0.1) {
        let quota = Quota { name: "few".to_owned(), used: 3, limit: 3 };
        return Rule::new(Fault::Quota(quota)).resource(DEPLOYMENTS).next(random.random_range(1..4));
    }
    // The leader can't renew, and everything else works: nothing but its own clock stops it.
    if random.random_bool(0.1) {
        return Rule::new(fault).resource(LEASES).verb(Verb::Write).next(random.random_range(3..12));
    }
    // The election has to survive, too; but without a leader for most of the time nothing would be tested.
    let rule = Rule::new(fault);
    let rule = if random.random_bool(0.5) { rule.verb(Verb::Write) } else { rule };
    if random.random_bool(0.5) { rule.next(random.random_range(1..8)) } else { rule.chance(0.25) }
}

use super::*;
use serde_json::json;

const PACE: Duration = Duration::from_millis(300);

fn pod(image: &str) -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {
            "nodeName": NODE,
            "securityContext": {"runAsNonRoot": true},
            "containers": [{"name": "c", "image": image}],
        },
        "status": {"phase": "Pending"},
    })
}

fn at(image: &str, age: Duration) -> (Value, Option<Duration>) {
    let since: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let address = Ipv4Addr::new(127, 1, 0, 1);
    next(
        &pod(image),
        &Moment { age, since, now: since, address, ready_delay: PACE, blocked: None, failing: BTreeSet::new() },
    )
}

/// Plays a pod for a while; returns (waiting or terminated reason or "running", ready, restarts) at each change.
fn story(image: &str, length: Duration) -> Vec<(String, bool, i64)> {
    let mut age = Duration::ZERO;
    let mut story = Vec::new();
    loop {
        let (status, again) = at(image, age);
        let container = &status["containerStatuses"][0];
        let reason = ["waiting", "terminated"].iter().find_map(|key| container["state"][key]["reason"].as_str());
        let ready = container["ready"] == true;
        story.push((reason.unwrap_or("running").to_owned(), ready, container["restartCount"].as_i64().unwrap()));
        match again {
            Some(again) if age + again <= length => age += again,
            _ => return story,
        }
    }
}

fn told(story: &[(&str, bool, i64)]) -> Vec<(String, bool, i64)> {
    story.iter().map(|(reason, ready, restarts)| ((*reason).to_owned(), *ready, *restarts)).collect()
}

#[test]
fn a_good_image_is_ready_after_the_delay_and_stays_so() {
    let whole = story("good:1", Duration::from_secs(3600));
    assert_eq!(whole, told(&[("ContainerCreating", false, 0), ("running", true, 0)]));
}

#[test]
fn an_image_that_is_nowhere_backs_off_in_the_kubelets_words() {
    let whole = story("does-not-exist:1", Duration::from_secs(60));
    assert_eq!(
        whole,
        told(&[("ContainerCreating", false, 0), ("ErrImagePull", false, 0), ("ImagePullBackOff", false, 0)])
    );
    let (status, _) = at("invalid.example/a/b:2", PACE);
    let message = status["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message
            .ends_with("https://invalid.example/v2/a/b/manifests/2\": dial tcp: lookup invalid.example: no such host")
    );
    assert_eq!(status["phase"], "Pending");
}

#[test]
fn a_crashing_container_restarts_ever_more_slowly() {
    let whole = story("crash:1", Duration::from_secs(12));
    assert_eq!(
        whole,
        told(&[
            ("ContainerCreating", false, 0),
            ("running", false, 0),
            ("Error", false, 0),
            ("running", false, 1),
            ("CrashLoopBackOff", false, 1),
            ("running", false, 2),
            ("CrashLoopBackOff", false, 2),
        ])
    );
    let (status, _) = at("crash:1", Duration::from_secs(60));
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(waiting["message"], "back-off 40s restarting failed container=c pod=p_n(u)");
    assert_eq!(status["phase"], "Running");
    let (status, _) = at("oom:1", Duration::from_secs(2));
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(137), &json!("OOMKilled")));
}

#[test]
fn a_flaky_container_is_ready_and_then_not() {
    let whole = story("flaky", Duration::from_secs(7));
    assert_eq!(
        whole,
        told(&[("ContainerCreating", false, 0), ("running", true, 0), ("running", false, 0), ("running", true, 0),])
    );
}

#[test]
fn an_image_of_root_starts_only_where_root_is_let_in() {
    let (status, again) = at("root-image", Duration::from_secs(1));
    assert_eq!(again, None);
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(
        waiting["message"],
        "container has runAsNonRoot and image will run as root (pod: \"p_n(u)\", container: c)"
    );
    let mut lenient = pod("root-image");
    lenient["spec"]["securityContext"] = json!({});
    let scene = script::scene(&lenient, &lenient["spec"]["containers"][0], Duration::from_secs(1), PACE);
    assert!(matches!(scene.state, script::State::Running { ready: true, .. }));
}

#[test]
fn the_same_moment_gives_the_same_status() {
    let since: Timestamp = "2026-01-01T00:00:00.999999Z".parse().unwrap();
    let later: Timestamp = "2026-01-01T00:00:09Z".parse().unwrap();
    let address = Ipv4Addr::new(127, 1, 0, 1);
    let moment =
        |age, now| Moment { age, since, now, address, ready_delay: PACE, blocked: None, failing: BTreeSet::new() };
    let mut pod = pod("good");
    let (status, _) = next(&pod, &moment(PACE, since));
    pod["status"] = status.clone();
    let (again, _) = next(&pod, &moment(Duration::from_secs(9), later));
    assert_eq!(again, status);
}

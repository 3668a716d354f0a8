//! What a container does, told by the name of its image.
//!
//! | the image's name contains | what happens |
//! |---|---|
//! | `does-not-exist`, `no-such-image` | ErrImagePull, then ImagePullBackOff: not found |
//! | registry `invalid.example` | the same: no such host |
//! | `root-image` | CreateContainerConfigError, where the pod insists on `runAsNonRoot` |
//! | `crash` | ends with exit code 1, again and again: CrashLoopBackOff |
//! | `oom` | is killed for its memory, exit code 137, again and again |
//! | `never-ready` | runs, and is never ready |
//! | `flaky` | is ready for ten times the ready delay, unready for as long, and so on |
//! | `unschedulable` | the pod finds no node |
//! | anything else | works |
//!
//! What a server speaks whose container runs is told by another word in the name: see [`crate::mcp::behaviour`].
//!
//! The back-off of a crash loop is the kubelet's own, 10 s doubling up to 5 min; only the pace before is the ready delay.

use serde_json::Value;
use tokio::time::Duration;

use crate::controllers::meta::text;

const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// How a container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: i64,
    /// `Error` or `OOMKilled`.
    pub reason: &'static str,
}

/// A container at one moment. Times are ages of the pod on its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It doesn't run, for this reason.
    Waiting {
        /// `ContainerCreating`, `ImagePullBackOff` ...
        reason: &'static str,
        /// What the kubelet says about it; empty for nothing.
        message: String,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Duration,
        /// And is ready.
        ready: bool,
    },
    /// It has just ended.
    Terminated {
        /// When it started.
        since: Duration,
        /// When it ended.
        until: Duration,
        /// How.
        exit: Exit,
    },
}

/// A container at one moment, with its past and the next moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// What it does.
    pub state: State,
    /// How it ended the last time: start, end, exit.
    pub last: Option<(Duration, Duration, Exit)>,
    /// How often it was started again.
    pub restarts: u32,
    /// The age at which this changes; `None`: never by itself.
    pub until: Option<Duration>,
}

impl Scene {
    fn first(state: State, until: Option<Duration>) -> Self {
        Self { state, last: None, restarts: 0, until }
    }
}

/// Does one of the pod's images find no node?
pub fn is_unschedulable(pod: &Value) -> bool {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.into_iter().any(|container| text(container, &["image"]).contains("unschedulable"))
}

/// The container's scene at an age.
pub fn scene(pod: &Value, container: &Value, age: Duration, pace: Duration) -> Scene {
    let image = text(container, &["image"]);
    let has = |word: &str| image.contains(word);
    if age < pace {
        let creating = State::Waiting { reason: "ContainerCreating", message: String::new() };
        return Scene::first(creating, Some(pace));
    }
    if has("does-not-exist") || has("no-such-image") || image.starts_with("invalid.example/") {
        return pull(image, age, pace);
    }
    if has("root-image") && must_not_be_root(pod, container) {
        let message = format!(
            "container has runAsNonRoot and image will run as root (pod: \"{}\", container: {})",
            full_name(pod),
            text(container, &["name"])
        );
        return Scene::first(State::Waiting { reason: "CreateContainerConfigError", message }, None);
    }
    if has("crash") {
        return crash(pod, container, Exit { code: 1, reason: "Error" }, age, pace);
    }
    if has("oom") {
        return crash(pod, container, Exit { code: 137, reason: "OOMKilled" }, age, pace);
    }
    if has("flaky") {
        return flaky(age, pace);
    }
    Scene::first(State::Running { since: pace, ready: !has("never-ready") }, None)
}

/// `name_namespace(uid)`, as the kubelet calls a pod.
fn full_name(pod: &Value) -> String {
    let of = |key| text(pod, &["metadata", key]);
    format!("{}_{}({})", of("name"), of("namespace"), of("uid"))
}

/// The container's own word on users counts, then the pod's.
fn must_not_be_root(pod: &Value, container: &Value) -> bool {
    let contexts = [&container["securityContext"], &pod["spec"]["securityContext"]];
    let first = |key: &str| contexts.iter().map(|context| &context[key]).find(|value| !value.is_null());
    first("runAsNonRoot").is_some_and(|value| value == true) && first("runAsUser").is_none()
}

fn pull(image: &str, age: Duration, pace: Duration) -> Scene {
    let (host, path) = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) => (host, path.to_owned()),
        Some(_) => ("docker.io", image.to_owned()),
        None => ("docker.io", format!("library/{image}")),
    };
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, tag),
        None => (path.as_str(), "latest"),
    };
    let full = format!("{host}/{repository}:{tag}");
    let cause = if host == "invalid.example" {
        let url = format!("https://{host}/v2/{repository}/manifests/{tag}");
        format!("failed to do request: Head \"{url}\": dial tcp: lookup {host}: no such host")
    } else {
        format!("{full}: not found")
    };
    let error = format!("failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": {cause}");
    if age < 2 * pace {
        return Scene::first(State::Waiting { reason: "ErrImagePull", message: error }, Some(2 * pace));
    }
    let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {error}");
    Scene::first(State::Waiting { reason: "ImagePullBackOff", message }, None)
}

/// Runs for a while, ends, is restarted at once the first time and after a growing pause from then on.
fn crash(pod: &Value, container: &Value, exit: Exit, age: Duration, pace: Duration) -> Scene {
    let run = pace.max(Duration::from_millis(1));
    let (mut start, mut restarts, mut last, mut backoff) = (run, 0, None, FIRST_BACKOFF);
    loop {
        let end = start + run;
        if age < end {
            let state = State::Running { since: start, ready: false };
            return Scene { state, last, restarts, until: Some(end) };
        }
        let ended = (start, end, exit);
        if restarts == 0 {
            // For a moment it can be seen dead; then it runs again.
            if age < end + run {
                let state = State::Terminated { since: start, until: end, exit };
                return Scene { state, last, restarts, until: Some(end + run) };
            }
            start = end + run;
        } else {
            if age < end + backoff {
                let message = format!(
                    "back-off {} restarting failed container={} pod={}",
                    go_duration(backoff),
                    text(container, &["name"]),
                    full_name(pod)
                );
                let state = State::Waiting { reason: "CrashLoopBackOff", message };
                return Scene { state, last: Some(ended), restarts, until: Some(end + backoff) };
            }
            start = end + backoff;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
        last = Some(ended);
        restarts += 1;
    }
}

/// `10s`, `2m40s`, as Go prints them.
fn go_duration(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

fn flaky(age: Duration, pace: Duration) -> Scene {
    let phase = (10 * pace).max(Duration::from_millis(1));
    let turns = u32::try_from(age.saturating_sub(pace).as_nanos() / phase.as_nanos()).unwrap_or(u32::MAX - 1);
    let state = State::Running { since: pace, ready: turns.is_multiple_of(2) };
    Scene::first(state, Some(pace + phase.saturating_mul(turns + 1)))
}

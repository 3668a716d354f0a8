//! What the kubelet says when a pod's status changes: Pulled, Created, Started, and what goes wrong.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::controllers::meta::text;
use crate::controllers::recorder::Word;

/// The words on the way from one status to the next, each about a container. `failures` says whose probes fail, and why.
pub(super) fn words(pod: &Value, status: &Value, failures: &BTreeMap<String, String>) -> Vec<(String, Word)> {
    let list = |status: &Value| status["containerStatuses"].as_array().cloned().unwrap_or_default();
    let before = list(&pod["status"]);
    let mut said = Vec::new();
    for container in list(status) {
        let name = text(&container, &["name"]);
        let same = before.iter().find(|other| text(other, &["name"]) == name);
        let state = same.map_or(&Value::Null, |before| &before["state"]);
        for word in of_container(pod, &container, state) {
            let failure = failures.get(name).filter(|_| word.reason == "Started");
            said.push((name.to_owned(), word));
            said.extend(failure.map(|failure| (name.to_owned(), Word::warning("Unhealthy", failure))));
        }
    }
    said
}

fn of_container(pod: &Value, container: &Value, before: &Value) -> Vec<Word> {
    let (image, state) = (text(container, &["image"]), &container["state"]);
    if state == before {
        return Vec::new();
    }
    let started = text(state, &["running", "startedAt"]);
    if !started.is_empty() {
        return vec![
            Word::normal(
                "Pulled",
                format!("Container image \"{image}\" already present on machine and can be accessed by the pod"),
            ),
            Word::normal("Created", "Container created"),
            Word::normal("Started", "Container started"),
        ];
    }
    let message = text(state, &["waiting", "message"]);
    match text(state, &["waiting", "reason"]) {
        "ErrImagePull" => vec![
            Word::normal("Pulling", format!("Pulling image \"{image}\"")),
            Word::warning("Failed", format!("Failed to pull image \"{image}\": {message}")),
            Word::warning("Failed", "Error: ErrImagePull"),
        ],
        "ImagePullBackOff" => vec![
            Word::normal("BackOff", format!("Back-off pulling image \"{image}\"")),
            Word::warning("Failed", "Error: ImagePullBackOff"),
        ],
        "CreateContainerConfigError" => vec![Word::warning("Failed", format!("Error: {message}"))],
        "CrashLoopBackOff" => {
            let of = |key| text(pod, &["metadata", key]);
            let name = text(container, &["name"]);
            let pod = format!("{}_{}({})", of("name"), of("namespace"), of("uid"));
            vec![Word::warning("BackOff", format!("Back-off restarting failed container {name} in pod {pod}"))]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reasons(before: &Value, after: &Value) -> Vec<&'static str> {
        let status = |state: &Value| json!({"containerStatuses": [{"name": "c", "image": "i", "state": state}]});
        let pod = json!({"metadata": {"name": "p"}, "status": status(before)});
        words(&pod, &status(after), &BTreeMap::new()).into_iter().map(|(_, word)| word.reason).collect()
    }

    #[test]
    fn each_change_of_a_container_has_its_words_and_what_stays_is_not_said_again() {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let backing_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "m"}});
        assert_eq!(reasons(&Value::Null, &creating), Vec::<&str>::new());
        assert_eq!(reasons(&creating, &running), ["Pulled", "Created", "Started"]);
        assert_eq!(reasons(&running, &running), Vec::<&str>::new());
        assert_eq!(reasons(&running, &backing_off), ["BackOff"]);
    }
}

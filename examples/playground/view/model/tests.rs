use std::sync::Arc;

use serde_json::json;

use super::*;

pub(crate) const AT: Duration = Duration::from_secs(1);

pub(crate) fn signs() -> Signs {
    Signs {
        exports: vec![
            "export KUBECONFIG=/home/somebody/smooth-operator/target/playground/kubeconfig".to_owned(),
            "export KUBECONFIG=$PWD/target/playground/kubeconfig".to_owned(),
            "KUBECONFIG=target/playground/kubeconfig".to_owned(),
        ],
        log: "target/playground/operator.log".to_owned(),
    }
}

pub(crate) fn event(kind: EventKind, object: Value) -> WatchEvent {
    WatchEvent { kind, object: Arc::new(object), revision: 1 }
}

/// A server in the namespace `default`, created at the beginning of time.
pub(crate) fn server(name: &str, phase: &str, ready: i64, wanted: i64) -> Value {
    let url = (phase == "Running").then(|| format!("http://{name}.default.svc:8080/mcp"));
    let conditions = [json!({"type": "Ready", "status": "True"})];
    json!({
        "metadata": {"namespace": "default", "name": name, "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {"image": format!("example.com/{name}:1"), "replicas": wanted},
        "status": {
            "phase": phase, "readyReplicas": ready, "availableReplicas": ready, "url": url, "conditions": conditions,
        },
    })
}

impl Model {
    /// The model after this object was created.
    pub(crate) fn with(mut self, kind: &'static str, object: Value) -> Self {
        self.changed(kind, &event(EventKind::Added, object), AT);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.changed("MCPServer", &event(EventKind::Deleted, server(name, "", 0, 0)), AT);
        self
    }

    /// The model after this operator has started.
    pub(crate) fn with_operator(mut self, number: usize, identity: &str) -> Self {
        self.lived(number, Life::Up(identity.to_owned()), AT);
        self
    }

    /// The model with these servers, in any order.
    pub(crate) fn with_servers(names: &[&str]) -> Self {
        names.iter().fold(Self::new(signs()), |model, name| model.with("MCPServer", server(name, "Running", 1, 1)))
    }
}

/// The Lease, renewed five seconds after the beginning of time, for six.
pub(crate) fn lease(holder: &str) -> Value {
    json!({
        "metadata": {"namespace": "default", "name": "smooth-operator"},
        "spec": {"holderIdentity": holder, "renewTime": "1970-01-01T00:00:05.000000Z", "leaseDurationSeconds": 6},
    })
}

fn selected(model: &Model) -> Option<&str> {
    model.selected().map(|((_, name), _)| name.as_str())
}

fn texts(model: &Model) -> Vec<&str> {
    model.newest().map(|line| line.text.as_str()).collect()
}

#[test]
fn the_first_server_is_selected_until_somebody_selects_another_one() {
    let mut model = Model::with_servers(&["b", "a"]);
    assert_eq!(selected(&model), Some("b"), "it does not move when a server appears above it");
    model.select(-1);
    assert_eq!(selected(&model), Some("a"));
}

#[test]
fn the_selection_stops_at_both_ends() {
    let mut model = Model::with_servers(&["a", "b", "c"]);
    model.select(9);
    assert_eq!(selected(&model), Some("c"));
    model.select(-9);
    assert_eq!(selected(&model), Some("a"));
    let mut empty = Model::new(signs());
    empty.select(1);
    assert_eq!(selected(&empty), None);
}

#[test]
fn when_the_selected_server_is_deleted_its_neighbour_is_selected() {
    let mut model = Model::with_servers(&["a", "b", "c"]);
    model.select(1);
    let model = model.without("b");
    assert_eq!(selected(&model), Some("c"));
    let model = model.without("c");
    assert_eq!(selected(&model), Some("a"), "the last one has only a neighbour above");
    assert_eq!(selected(&model.without("a")), None);
}

#[test]
fn the_last_event_about_a_server_is_remembered_until_the_server_is_gone() {
    let event = |reason: &str| {
        json!({
            "metadata": {"namespace": "default", "name": "a.1"},
            "regarding": {"kind": "MCPServer", "namespace": "default", "name": "a"},
            "eventTime": "1970-01-01T00:00:01.000000Z", "type": "Warning", "reason": reason, "note": "why",
        })
    };
    let key = ("default".to_owned(), "a".to_owned());
    let model = Model::with_servers(&["a"]).with("Event", event("First")).with("Event", event("Second"));
    let at = Timestamp::from_second(1).ok();
    let second = Spoken { at, reason: "Second".to_owned(), note: "why".to_owned(), warns: true };
    assert_eq!(model.spoken(&key), Some(&second));
    assert_eq!(model.without("a").spoken(&key), None);
}

#[test]
fn the_leader_is_the_operator_that_the_lease_names() {
    let model = Model::new(signs()).with_operator(0, "x").with_operator(1, "y").with(LEASE_KIND, lease("y"));
    assert_eq!(model.leader(), Leader::Operator(1));
    assert_eq!(model.standing_by().collect::<Vec<_>>(), [0]);
    assert_eq!(texts(&model), ["operator 2 leads", "started", "started"]);
}

#[test]
fn a_killed_leader_holds_the_lease_until_it_expires_even_when_it_lives_again() {
    let mut model = Model::new(signs()).with_operator(0, "x").with(LEASE_KIND, lease("x"));
    model.lived(0, Life::Killed, AT);
    let dead = Leader::Dead(Timestamp::from_second(11).ok());
    assert_eq!(model.leader(), dead);
    let model = model.with_operator(0, "z");
    assert_eq!(model.leader(), dead);
    assert_eq!(model.with(LEASE_KIND, lease("z")).leader(), Leader::Operator(0));
}

#[test]
fn a_lease_that_is_only_renewed_is_not_told_about() {
    let model = Model::new(signs()).with_operator(0, "x").with(LEASE_KIND, lease("x")).with(LEASE_KIND, lease("x"));
    assert_eq!(texts(&model), ["operator 1 leads", "started"]);
}

#[test]
fn nobody_leads_without_a_holder_and_a_stranger_may() {
    let model = Model::new(signs()).with_operator(0, "x").with(LEASE_KIND, lease(""));
    assert_eq!(model.leader(), Leader::Nobody);
    assert_eq!(model.with(LEASE_KIND, lease("who")).leader(), Leader::Stranger);
}

#[test]
fn the_story_forgets_its_oldest_lines() {
    let mut model = Model::new(signs());
    for number in 0..=STORY {
        model.tell(Line { at: AT, kind: "You", name: String::new(), text: number.to_string() });
    }
    let texts = texts(&model);
    assert_eq!((texts.len(), texts[0], texts[STORY - 1]), (STORY, "500", "1"));
}

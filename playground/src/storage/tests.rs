use bytes::Bytes;
use serde_json::json;

use super::{Draft, EventKind, Expired, Key, Refused, Store};

fn draft(name: &str, n: u64) -> Draft {
    let value = json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": name, "namespace": "a"}, "n": n});
    Draft { value, managed: Bytes::new(), fields: Vec::new() }
}

fn numbers(store: &Store, at: u64) -> Vec<(String, u64)> {
    let snapshot = store.list_at("things", None, at).unwrap();
    let pairs = snapshot.objects.iter().map(|object| (object.key.name.clone(), object.value()["n"].as_u64().unwrap()));
    pairs.collect()
}

fn three_writes_and_a_delete() -> Store {
    let mut store = Store::default();
    let (x, y) = (Key::new("a", "x"), Key::new("a", "y"));
    store.commit("things", &x, None, draft("x", 1)).unwrap();
    store.commit("things", &y, None, draft("y", 1)).unwrap();
    store.commit("things", &x, Some(1), draft("x", 2)).unwrap();
    store.remove("things", &y, 2, draft("y", 1)).unwrap();
    store
}

#[test]
fn a_list_at_an_older_revision_shows_what_stood_then() {
    let store = three_writes_and_a_delete();
    assert_eq!(numbers(&store, 1), [("x".to_owned(), 1)]);
    assert_eq!(numbers(&store, 2), [("x".to_owned(), 1), ("y".to_owned(), 1)]);
    assert_eq!(numbers(&store, 3), [("x".to_owned(), 2), ("y".to_owned(), 1)]);
    assert_eq!(numbers(&store, 4), [("x".to_owned(), 2)]);
}

#[test]
fn a_write_based_on_an_old_read_is_refused_and_leaves_no_trace() {
    let mut store = three_writes_and_a_delete();
    let x = Key::new("a", "x");
    assert_eq!(store.commit("things", &x, Some(1), draft("x", 9)).unwrap_err(), Refused::Changed);
    assert_eq!(store.commit("things", &x, None, draft("x", 9)).unwrap_err(), Refused::Changed);
    assert_eq!(store.remove("things", &x, 1, draft("x", 9)).unwrap_err(), Refused::Changed);
    assert_eq!(store.revision(), 4);
    assert_eq!(numbers(&store, 4), [("x".to_owned(), 2)]);
}

#[test]
fn events_come_in_order_and_in_batches_without_a_gap() {
    let store = three_writes_and_a_delete();
    let (first, complete) = store.events("things", 0, 3).unwrap();
    assert_eq!(complete, 3, "a full batch is complete only up to its last event");
    let (rest, complete) = store.events("things", complete, 3).unwrap();
    let kinds: Vec<_> = first.iter().chain(&rest).map(|event| (event.revision, event.kind)).collect();
    assert_eq!(
        kinds,
        [(1, EventKind::Added), (2, EventKind::Added), (3, EventKind::Modified), (4, EventKind::Deleted)]
    );
    assert_eq!(complete, 4);
}

#[test]
fn compaction_takes_the_past_and_nothing_else() {
    let mut store = three_writes_and_a_delete();
    store.compact();
    assert_eq!(store.events("things", 3, 10).unwrap_err(), Expired { floor: 4 });
    assert_eq!(store.events("others", 3, 10).unwrap_err(), Expired { floor: 4 });
    assert_eq!(store.list_at("things", None, 3).unwrap_err(), Expired { floor: 4 });
    assert!(store.events("things", 4, 10).unwrap().0.is_empty());
    assert_eq!(numbers(&store, 4), [("x".to_owned(), 2)]);
}

#[test]
fn the_derived_forms_are_slices_of_the_one_text() {
    let mut store = Store::default();
    let object = store.commit("things", &Key::new("a", "x"), None, draft("x", 1)).unwrap();
    let text = std::str::from_utf8(object.json()).unwrap();
    assert!(text.starts_with(r#"{"kind":"Thing","apiVersion":"v1","metadata":{"#), "{text}");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(object.metadata_json()).unwrap(),
        json!({"name": "x", "namespace": "a", "resourceVersion": "1"})
    );
    let item: serde_json::Value = serde_json::from_slice(&[b"{", object.members_after_head()].concat()).unwrap();
    assert_eq!(item, json!({"metadata": {"name": "x", "namespace": "a", "resourceVersion": "1"}, "n": 1}));
}

#[test]
fn a_namespace_is_a_contiguous_part_of_the_table() {
    let mut store = Store::default();
    for (namespace, name) in [("a", "x"), ("ab", "x"), ("a", "y"), ("b", "x")] {
        store.commit("things", &Key::new(namespace, name), None, draft(name, 1)).unwrap();
    }
    let names: Vec<_> = store.list("things", Some("a")).objects.iter().map(|o| o.key.name.clone()).collect();
    assert_eq!(names, ["x", "y"]);
    assert_eq!(store.list("things", None).objects.len(), 4);
}

#[test]
fn a_restore_takes_back_objects_events_and_the_counter() {
    let mut store = three_writes_and_a_delete();
    assert_eq!(store.restore(5), Err(Expired { floor: 0 }), "that is yet to come");
    store.restore(2).unwrap();
    assert_eq!((store.revision(), store.epoch()), (2, 1));
    assert_eq!(numbers(&store, 2), [("x".to_owned(), 1), ("y".to_owned(), 1)]);
    assert_eq!(store.events("things", 0, 10).unwrap().0.len(), 2);
    store.commit("things", &Key::new("a", "x"), Some(1), draft("x", 7)).unwrap();
    assert_eq!((store.revision(), numbers(&store, 3)), (3, vec![("x".to_owned(), 7), ("y".to_owned(), 1)]));
    store.compact();
    assert_eq!(store.restore(2), Err(Expired { floor: 3 }));
}

#[test]
fn the_managed_fields_stand_in_their_place_and_not_in_the_parsed_form() {
    let entries = json!([{"manager": "a", "operation": "Update"}]);
    for (metadata, there) in
        [(json!({"name": "x", "labels": {"a": "b"}}), true), (json!({}), true), (json!(null), false)]
    {
        let value = json!({"kind": "Thing", "metadata": metadata, "n": 1});
        let object = Draft { value: value.clone(), managed: entries.to_string().into(), fields: Vec::new() };
        let object = object.dry(Key::new("a", "x"));
        let mut full = value.clone();
        if there {
            full["metadata"]["managedFields"] = entries.clone();
            assert_eq!(object.managed_json(), entries.to_string());
        }
        assert_eq!((object.full(), (*object.value()).clone()), (full.clone(), value.clone()));
        // As it is once nobody holds the parsed form any more.
        assert_eq!(*object.value(), value);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(object.metadata_json()).unwrap(), full["metadata"]);
    }
}

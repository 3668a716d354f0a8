//! The names of a definition: those of its group that nobody else has are its own, and it is served once all are.
//!
//! Two definitions of one group can't both be asked for by `th`, nor can their lists be of one kind. Who comes first has
//! the name; the other says in its status what is taken, and is served when it is free (the naming and establishing
//! controllers of apiextensions). What is served once goes on being served, whatever its names become.

use serde_json::{Map, Value, json};

const ACCEPTED: &str = "NamesAccepted";
const ESTABLISHED: &str = "Established";

/// Whether all names of a definition with this status are its own.
pub(super) fn are_accepted(status: &Value) -> bool {
    is(status, ACCEPTED)
}

/// Whether a definition with this status is served.
pub(in crate::cluster) fn is_established(status: &Value) -> bool {
    is(status, ESTABLISHED)
}

fn is(status: &Value, condition: &str) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == condition && one["status"] == "True")
}

/// Gives a definition the names it asks for, as far as the others of its group, whose names are `taken`, leave them.
pub(super) fn settle(status: &mut Value, asked: &Value, taken: &[Value], now: &str) {
    let held = status["acceptedNames"].clone();
    let (accepted, conflict) = choose(asked, &held, taken);
    status["acceptedNames"] = accepted;
    let (free, reason, message) = match &conflict {
        None => (true, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => (false, *reason, message.as_str()),
    };
    set_condition(status, ACCEPTED, free, reason, message, now);
    match (free, is_established(status)) {
        (true, false) => {
            set_condition(
                status,
                ESTABLISHED,
                true,
                "InitialNamesAccepted",
                "the initial names have been accepted",
                now,
            );
        }
        (false, false) => set_condition(status, ESTABLISHED, false, "NotAccepted", "not all names are accepted", now),
        (_, true) => {}
    }
}

type Conflict = (&'static str, String);

/// What of the names is free, and the last conflict; a name that is not free stays what it was.
fn choose(asked: &Value, held: &Value, taken: &[Value]) -> (Value, Option<Conflict>) {
    let used = |fields: &[&str], name: &Value| {
        let of = |names: &Value| fields.iter().any(|field| &names[*field] == name);
        let short = |names: &Value| fields.contains(&"plural") && texts(&names["shortNames"]).contains(name);
        taken.iter().any(|names| of(names) || short(names))
    };
    let resource = |name: &Value| used(&["plural", "singular"], name);
    let kind = |name: &Value| used(&["kind", "listKind"], name);
    let in_use = |name: &Value| format!("{name} is already in use");
    let mut accepted = Map::from_iter([("plural".to_owned(), json!("")), ("kind".to_owned(), json!(""))]);
    accepted.extend(held.as_object().cloned().unwrap_or_default());
    let mut conflict = None;
    let mut one = |field: &str, reason: &'static str, is_used: bool| {
        if is_used {
            conflict = Some((reason, in_use(&asked[field])));
        } else if !asked[field].is_null() {
            accepted.insert(field.to_owned(), asked[field].clone());
        }
    };
    one("plural", "PluralConflict", resource(&asked["plural"]));
    one("singular", "SingularConflict", resource(&asked["singular"]));
    let shorts: Vec<String> = texts(&asked["shortNames"]).iter().filter(|name| resource(name)).map(in_use).collect();
    one("shortNames", "ShortNamesConflict", !shorts.is_empty());
    one("kind", "KindConflict", kind(&asked["kind"]));
    one("listKind", "ListKindConflict", kind(&asked["listKind"]));
    one("categories", "", false);
    if let Some(("ShortNamesConflict", message)) = &mut conflict {
        *message = if let [single] = shorts.as_slice() { single.clone() } else { format!("[{}]", shorts.join(", ")) };
    }
    (accepted.into(), conflict)
}

/// A condition that says the same as before keeps its time.
fn set_condition(status: &mut Value, name: &str, holds: bool, reason: &str, message: &str, now: &str) {
    let holds = if holds { "True" } else { "False" };
    let mut condition =
        json!({"type": name, "status": holds, "lastTransitionTime": now, "reason": reason, "message": message});
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|known| known["type"] == name) {
        Some(known) => {
            if known["status"] == holds {
                condition["lastTransitionTime"] = known["lastTransitionTime"].take();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}

fn texts(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

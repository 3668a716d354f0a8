//! One kind, several forms.
//!
//! A custom resource served in several versions (conversion strategy `None`) differs in its apiVersion alone. An Event
//! is one object with two faces: `events.k8s.io/v1`, which is what is stored, and the older core `v1`, which is what
//! `kubectl describe` asks for. The mapping is that of `pkg/apis/core/v1/conversion.go` and its generated neighbours.

use serde_json::Value;

use super::{Resource, autoscaler};

/// How the form that a version serves differs from the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Not at all.
    Stored,
    /// In the apiVersion only: another version of the same custom resource.
    Renamed,
    /// The core group's Event.
    CoreEvent,
    /// The HorizontalPodAutoscaler of `autoscaling/v1`, which knows one metric.
    Autoscaler,
}

/// (name in `events.k8s.io/v1`, name in core `v1`)
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// The field selectors of a core Event, from the stored form: both forms select in one table.
pub fn core_event_fields(stored: &Value) -> Vec<(String, String)> {
    let registry = super::builtin::CORE_EVENT.iter();
    let found = registry.map(|(label, path)| {
        let value = path.split('.').fold(stored, |value, part| &value[part]);
        ((*label).to_owned(), value.as_str().unwrap_or_default().to_owned())
    });
    found.collect()
}

impl Resource {
    /// Turns an object as stored into one of this version.
    pub fn to_served(&self, stored: &mut Value) {
        match self.form {
            Form::Stored => {}
            Form::Renamed => self.stamp(stored),
            Form::CoreEvent => {
                rename(stored, EVENT_FIELDS.iter().copied());
                self.stamp(stored);
            }
            Form::Autoscaler => {
                autoscaler::to_first(stored);
                self.stamp(stored);
            }
        }
    }

    /// Turns an object of this version into the form that is stored. `stored_as` is the stored apiVersion.
    pub fn to_stored(&self, served: &mut Value, stored_as: &str) {
        match self.form {
            Form::Stored => {}
            Form::Renamed => served["apiVersion"] = stored_as.into(),
            Form::CoreEvent => {
                rename(served, EVENT_FIELDS.iter().map(|(modern, core)| (*core, *modern)));
                served["apiVersion"] = stored_as.into();
            }
            Form::Autoscaler => {
                autoscaler::to_second(served);
                served["apiVersion"] = stored_as.into();
            }
        }
    }

    fn stamp(&self, object: &mut Value) {
        object["apiVersion"] = self.api_version().into();
    }
}

fn rename<'a>(object: &mut Value, fields: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(map) = object.as_object_mut() else { return };
    for (from, to) in fields {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::resources::Registry;

    #[test]
    fn an_event_survives_the_way_to_the_core_group_and_back() {
        let core = Registry::default().find("", "v1", "events").unwrap();
        let stored = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "n", "regarding": {"name": "x"},
            "reportingController": "c", "deprecatedSource": {}, "reason": "R"});
        let mut object = stored.clone();
        core.to_served(&mut object);
        assert_eq!(object["involvedObject"]["name"], "x");
        assert_eq!(object["message"], "n");
        assert_eq!(object["apiVersion"], "v1");
        core.to_stored(&mut object, "events.k8s.io/v1");
        assert_eq!(object, stored);
    }
}

//! The columns of Events, whose name comes last: it says nothing to people.

use serde_json::Value;

use super::super::table::since;
use super::{Printer, made, number};

/// An Event is stored in the form of `events.k8s.io`.
pub(super) const EVENT: &Printer = &[
    made("Last Seen", 0, "The time at which the most recent occurrence of this event was recorded.", |object, now| {
        let seen = [
            &object["series"]["lastObservedTime"],
            &object["deprecatedLastTimestamp"],
            &object["deprecatedFirstTimestamp"],
            &object["eventTime"],
        ];
        since(first(&seen), now).into()
    }),
    made("Type", 0, "Type of this event.", |object, _| object["type"].clone()),
    made("Reason", 0, "The reason for the transition.", |object, _| object["reason"].clone()),
    made("Object", 0, "The object that this event is about.", |object, _| {
        let kind = first(&[&object["regarding"]["kind"]]).to_lowercase();
        match first(&[&object["regarding"]["name"]]) {
            "" => kind.into(),
            name => format!("{kind}/{name}").into(),
        }
    }),
    made("Subobject", 1, "What of the object this event is about.", |object, _| {
        first(&[&object["regarding"]["fieldPath"]]).into()
    }),
    made("Source", 1, "The component reporting this event.", |object, _| {
        let source = &object["deprecatedSource"];
        let component = first(&[&source["component"], &object["reportingController"]]);
        match first(&[&source["host"], &object["reportingInstance"]]) {
            "" => component.into(),
            instance => format!("{component}, {instance}").into(),
        }
    }),
    made("Message", 0, "A human-readable description of the status of this operation.", |object, _| {
        first(&[&object["note"]]).trim().into()
    }),
    made("First Seen", 1, "The time at which the event was first recorded.", |object, now| {
        since(first(&[&object["deprecatedFirstTimestamp"], &object["eventTime"]]), now).into()
    }),
    made("Count", 1, "The number of times this event has occurred.", |object, _| {
        let counts = [&object["series"]["count"], &object["deprecatedCount"]];
        counts.into_iter().map(number).find(|count| *count > 0).unwrap_or(1).into()
    }),
];

/// The first of them that says something.
fn first<'a>(values: &[&'a Value]) -> &'a str {
    values.iter().filter_map(|value| value.as_str()).find(|text| !text.is_empty()).unwrap_or_default()
}

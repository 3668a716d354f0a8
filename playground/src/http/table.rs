//! `Table`: rows and columns, made by the server so that kubectl can print kinds it has never heard of.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::columns::{self, Cell, Printer};
use super::json_path;
use crate::resources::{Column, Resource};
use crate::storage::Revision;

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although \
    some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily \
    intended for creation idempotence and configuration definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
pub(super) const CREATED_DESCRIPTION: &str = "CreationTimestamp is a timestamp representing the server time when this object was \
    created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this \
    value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More \
    info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// How the objects of one resource become rows.
pub(super) struct Table<'a> {
    columns: Vec<Value>,
    /// The name of an Event says nothing to people: it comes last, and only where all is asked for.
    name_last: bool,
    cells: Cells<'a>,
    now: Timestamp,
    include_object: &'a str,
}

enum Cells<'a> {
    Custom(&'a [Column]),
    Builtin(&'static Printer),
}

impl<'a> Table<'a> {
    /// `include_object`: `None`, `Metadata` (or nothing), `Object`.
    pub(super) fn new(resource: &'a Resource, now: Timestamp, include_object: &'a str) -> Self {
        let Some(custom) = resource.custom() else {
            return Self::printed(columns::printer(resource), resource.kind == "Event", now, include_object);
        };
        let (columns, cells) = (custom_columns(&custom.columns), Cells::Custom(custom.columns.as_slice()));
        Self { columns, name_last: false, cells, now, include_object }
    }

    /// The same for Scales, which have columns of their own whatever it is that they scale.
    pub(super) fn of_scales(now: Timestamp, include_object: &'a str) -> Self {
        Self::printed(columns::SCALE, false, now, include_object)
    }

    fn printed(printer: &'static Printer, name_last: bool, now: Timestamp, include_object: &'a str) -> Self {
        let mut columns = builtin_columns(printer);
        columns.rotate_left(usize::from(name_last));
        if let (true, Some(name)) = (name_last, columns.last_mut()) {
            name["priority"] = 1.into();
        }
        Self { columns, name_last, cells: Cells::Builtin(printer), now, include_object }
    }

    /// The table of these (stored) objects.
    pub(super) fn of(&self, objects: &[Value], revision: Option<Revision>) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object)).collect();
        let metadata = revision.map_or_else(|| json!({}), |revision| json!({"resourceVersion": revision.to_string()}));
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": self.columns,
            "rows": rows,
        })
    }

    fn row(&self, object: &Value) -> Value {
        let mut cells = vec![object["metadata"]["name"].clone()];
        match &self.cells {
            Cells::Custom([]) => cells.push(age(object, self.now)),
            Cells::Custom(columns) => cells.extend(columns.iter().map(|column| custom_cell(column, object, self.now))),
            Cells::Builtin(printer) => cells.extend(printer.iter().map(|column| match &column.cell {
                Cell::Age => age(object, self.now),
                Cell::Made(make) => make(object, self.now),
            })),
        }
        cells.rotate_left(usize::from(self.name_last));
        match self.include_object {
            "None" => json!({"cells": cells, "object": null}),
            "Object" => json!({"cells": cells, "object": object}),
            _ => {
                let object = json!({
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": object["metadata"],
                });
                json!({"cells": cells, "object": object})
            }
        }
    }
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

fn name_column() -> Value {
    definition("Name", "string", "name", NAME_DESCRIPTION, 0)
}

fn custom_columns(columns: &[Column]) -> Vec<Value> {
    let mut definitions = vec![name_column()];
    if columns.is_empty() {
        definitions.push(definition("Age", "date", "", CREATED_DESCRIPTION, 0));
    }
    definitions.extend(columns.iter().map(|column| {
        let standard = || format!("Custom resource definition column (in JSONPath format): {}", column.json_path);
        let description = if column.description.is_empty() { standard() } else { column.description.clone() };
        definition(&column.name, &column.kind, &column.format, &description, column.priority)
    }));
    definitions
}

fn builtin_columns(printer: &Printer) -> Vec<Value> {
    let mut definitions = vec![name_column()];
    definitions.extend(printer.iter().map(|column| {
        let description = match column.cell {
            Cell::Age => CREATED_DESCRIPTION,
            Cell::Made(_) => column.description,
        };
        definition(column.name, column.kind, "", description, column.priority)
    }));
    definitions
}

fn custom_cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let found = json_path::find(&column.json_path, object);
    let Some(first) = found.first() else { return Value::Null };
    match column.kind.as_str() {
        "integer" => first.as_i64().map_or(Value::Null, Value::from),
        "number" => first.as_f64().map_or(Value::Null, Value::from),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => first.as_str().map_or(Value::Null, |time| since(time, now).into()),
        _ => found.iter().map(|value| json_path::text(value)).collect::<Vec<_>>().join(",").into(),
    }
}

fn age(object: &Value, now: Timestamp) -> Value {
    let created = object["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    since(created, now).into()
}

/// The time since then, as people read it.
pub(super) fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => human(now.as_second() - time.as_second()),
        Err(_) if time.is_empty() => "<unknown>".into(),
        Err(_) => "<invalid>".into(),
    }
}

/// `duration.HumanDuration` of apimachinery: two units at most, the coarser the longer.
fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |major: i64, unit: char, minor: i64, small: char| {
        if minor == 0 { format!("{major}{unit}") } else { format!("{major}{unit}{minor}{small}") }
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn ages_are_printed_as_kubectl_prints_them() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3600, "60m"),
            (10_860, "3h1m"),
            (100_000, "27h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }
}

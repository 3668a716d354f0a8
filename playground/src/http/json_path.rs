//! The part of JSONPath that printer columns use: `.a.b`, `['a']`, `[0]`, `[*]`, `[?(@.type=="Ready")].status`.
//!
//! Paths are evaluated leniently: what is not there, or not understood, yields nothing, and the column stays empty.

use serde_json::Value;

/// All values that a path finds.
pub(super) fn find<'a>(path: &str, root: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![root];
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        let (step, after) = next_step(rest);
        let Some(step) = step else { return Vec::new() };
        found = found.into_iter().flat_map(|value| step.apply(value)).collect();
        rest = after;
    }
    found
}

enum Step<'a> {
    Member(String),
    Index(i64),
    All,
    Filter { path: &'a str, equal: bool, value: String },
}

impl Step<'_> {
    fn apply<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match self {
            Self::Member(name) => value.get(name.as_str()).into_iter().collect(),
            Self::Index(index) => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = if *index < 0 { length + index } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            Self::All => match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            },
            Self::Filter { path, equal, value: wanted } => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let holds = |item: &&Value| {
                    let found = find(path, item).first().map(|value| text(value));
                    (found.as_deref() == Some(wanted)) == *equal
                };
                items.iter().filter(holds).collect()
            }
        }
    }
}

/// A value as a bare word: strings without quotes.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn next_step(path: &str) -> (Option<Step<'_>>, &str) {
    if let Some(inside) = path.strip_prefix('[') {
        let end = closing(inside);
        let after = inside.get(end + 1..).unwrap_or_default();
        return (bracket(inside.get(..end).unwrap_or_default().trim()), after);
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    if path.starts_with('[') {
        return next_step(path);
    }
    let (name, after) = member(path);
    let step = match name.as_str() {
        "" => None,
        "*" => Some(Step::All),
        _ => Some(Step::Member(name)),
    };
    (step, after)
}

/// A name ends at a dot or bracket, unless that is escaped.
fn member(path: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = path.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &path[at..]),
            _ => name.push(character),
        }
    }
    (name, "")
}

/// Where the bracket closes; brackets within quotes don't count.
fn closing(inside: &str) -> usize {
    let mut quote = None;
    let mut depth = 0;
    for (at, character) in inside.char_indices() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return at,
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    inside.len()
}

fn bracket(inside: &str) -> Option<Step<'_>> {
    let unquote = |text: &str| text.trim().trim_matches(['\'', '"']).to_owned();
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        let (left, right, equal) = match filter.split_once("==") {
            Some((left, right)) => (left, right, true),
            None => filter.split_once("!=").map(|(left, right)| (left, right, false))?,
        };
        let path = left.trim().strip_prefix('@')?;
        return Some(Step::Filter { path, equal, value: unquote(right) });
    }
    if inside.starts_with(['\'', '"']) {
        return Some(Step::Member(unquote(inside)));
    }
    inside.parse().ok().map(Step::Index)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::find;

    #[test]
    fn the_paths_of_printer_columns_are_understood() {
        let object = json!({
            "status": {"conditions": [{"type": "A", "status": "x"}, {"type": "Ready", "status": "True"}], "n": 2},
            "metadata": {"labels": {"a.b/c": "v"}},
            "list": [1, 2, 3],
        });
        for (path, expected) in [
            (".status.n", vec![json!(2)]),
            (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
            (".status.conditions[?(@.type!='Ready')].status", vec![json!("x")]),
            (".status.conditions[*].type", vec![json!("A"), json!("Ready")]),
            (".list[0]", vec![json!(1)]),
            (".list[-1]", vec![json!(3)]),
            (".metadata.labels['a.b/c']", vec![json!("v")]),
            (".metadata.labels.a\\.b/c", vec![json!("v")]),
            (".status.gone.deeper", vec![]),
            (".list[", vec![]),
        ] {
            let found: Vec<Value> = find(path, &object).into_iter().cloned().collect();
            assert_eq!(found, expected, "{path}");
        }
    }
}

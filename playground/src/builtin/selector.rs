//! Label selectors of the object form (`matchLabels`, `matchExpressions`).

use serde_json::Value;

/// Do `labels` satisfy `selector` (a `LabelSelector` object)? An empty selector takes all.
pub fn matches(selector: &Value, labels: &Value) -> bool {
    let of = |key: &str| labels.get(key).and_then(Value::as_str);
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let all = wanted.into_iter().flatten();
    let mut expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    all.into_iter().all(|(key, value)| of(key) == value.as_str())
        && expressions.all(|expression| satisfied(expression, of))
}

fn satisfied<'a>(expression: &Value, of: impl Fn(&str) -> Option<&'a str>) -> bool {
    let text = |key: &str| expression.get(key).and_then(Value::as_str);
    let found = of(text("key").unwrap_or_default());
    let listed = || {
        let values = expression.get("values").and_then(Value::as_array);
        let mut values = values.into_iter().flatten();
        found.is_some_and(|label| values.any(|value| value == label))
    };
    match text("operator") {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use serde_json::json;

    #[test]
    fn every_requirement_must_hold() {
        let labels = json!({"a": "1", "b": "2"});
        let yes = |selector| assert!(matches(&selector, &labels), "{selector}");
        let no = |selector| assert!(!matches(&selector, &labels), "{selector}");
        yes(json!({}));
        yes(json!({"matchLabels": {"a": "1"}}));
        no(json!({"matchLabels": {"a": "1", "c": "3"}}));
        yes(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["0", "1"]}]}));
        no(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}));
        yes(json!({"matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["1"]}]}));
        yes(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}));
        no(json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}));
    }
}

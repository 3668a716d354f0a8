//! Conditions in CEL that are held against plain values, as a webhook's `matchConditions`.
//!
//! No schema stands behind them: a member is reached by the name that it has.

use kube_cel::KubeCelExt;
use kube_cel::cel::Context;
use serde_json::Value;

use super::cel::{self, Expression, Failure};

/// Whether a condition holds for these variables. The error says why it gives no answer.
pub fn condition_holds(source: &str, variables: &[(&str, &Value)]) -> Result<bool, String> {
    let expression = Expression::parse(source)?;
    let mut context = Context::default().with_all();
    for (name, value) in variables {
        context.add_variable_from_value(*name, cel::plain(value));
    }
    expression.test(&context).map_err(|failure| match failure {
        Failure::NoOverload => "no such overload".to_owned(),
        Failure::Other(why) => why,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_sees_members_by_their_own_names() {
        let object = json!({"metadata": {"namespace": "a", "labels": {"x/y-z": "1"}}});
        let holds = |source: &str| condition_holds(source, &[("object", &object)]);
        assert_eq!(holds("object.metadata.labels['x/y-z'] == '1'"), Ok(true));
        assert_eq!(holds("has(object.spec)"), Ok(false));
        assert_eq!(holds("object.spec.x == 1"), Err("no such key: spec".into()));
        assert!(holds("object ==").unwrap_err().contains("Syntax error"));
    }
}

//! What a change changed, without its secrets.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::redact::redact;

/// The members that differ, each as `{before, after}` with secrets replaced (see [`redact`]); one that was not there
/// is null. Values that are no objects differ as a whole, under the name `value`.
pub fn changes(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before == after {
            return json!({});
        }
        return redact(&json!({ "value": { "before": before, "after": after } }));
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut found = Map::new();
    for name in names {
        let was = old.get(name).unwrap_or(&Value::Null);
        let is = new.get(name).unwrap_or(&Value::Null);
        if was != is {
            // Redacted under its own name: the name says whether it is a secret.
            let hide = |value: &Value| redact(&json!({ name: value }))[name].clone();
            found.insert(name.clone(), json!({ "before": hide(was), "after": hide(is) }));
        }
    }
    Value::Object(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_and_no_secret() {
        let before = json!({"a": 1, "b": 2, "client_secret": "old"});
        let after = json!({"a": 1, "b": 3, "c": 4, "client_secret": "new"});
        assert_eq!(
            changes(&before, &after),
            json!({
                "b": {"before": 2, "after": 3},
                "c": {"before": null, "after": 4},
                "client_secret": {"before": "[redacted]", "after": "[redacted]"},
            })
        );
        assert_eq!(changes(&after, &after), json!({}));
        assert_eq!(changes(&Value::Null, &json!(1)), json!({"value": {"before": null, "after": 1}}));
    }
}

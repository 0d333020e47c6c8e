//! What a finished job changed, out of its result: the counts that say so.

use serde_json::{Map, Value};

/// Last words of the members that count changes, such as `documents_added`.
const CHANGES: [&str; 9] =
    ["added", "updated", "deleted", "removed", "purged", "archived", "quarantined", "entries", "erased"];

/// The members of a result that count something that changed; `None` when nothing did.
pub fn changes_of(result: &Value) -> Option<Value> {
    let counted = |name: &str, value: &Value| {
        let last = name.rsplit('_').next().unwrap_or(name);
        CHANGES.contains(&last) && value.as_u64().is_some_and(|count| count > 0)
    };
    let found: Map<String, Value> = result
        .as_object()?
        .iter()
        .filter(|(name, value)| counted(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (!found.is_empty()).then_some(Value::Object(found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_counts_of_changes_are_kept() {
        let result = json!({
            "full_enumeration": true, "items": 40, "provider_calls": 3, "documents_added": 2, "documents_updated": 0,
            "quarantined": 1, "withheld": null, "removed": "many",
        });
        assert_eq!(changes_of(&result), Some(json!({ "documents_added": 2, "quarantined": 1 })));
        for nothing in
            [json!(null), json!({ "skipped": "unknown" }), json!({ "added": 0, "items": 9 }), json!([1])]
        {
            assert_eq!(changes_of(&nothing), None, "{nothing}");
        }
    }
}

//! What the annotations cannot say of the document, or say wrongly.

use serde_json::{Map, Value, json};

const PROBLEM: &str = "#/components/schemas/ProblemBody";

/// Sets right what holds for the whole document.
pub(super) fn tidy(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        merge(schema.1, &schemas);
    }
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            operation["operationId"] = json!(operation_id(method, path));
            optional_body(operation);
            for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                problem_type(response);
            }
        }
    }
}

/// The handler's name is that of many others; OpenAPI asks for one of its own.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(['/', '.', '-', '{', '}']).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// A problem is sent as what it is.
fn problem_type(response: &mut Value) {
    let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { return };
    let is_problem = |body: &Value| body["schema"]["$ref"] == PROBLEM;
    if content.get("application/json").is_some_and(is_problem)
        && let Some(body) = content.remove("application/json")
    {
        content.insert("application/problem+json".to_owned(), body);
    }
}

/// `Option<T>` says that the body may be left out, not that it may be null.
fn optional_body(operation: &mut Value) {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let Some(choices) = schema["oneOf"].as_array() else { return };
    let null = |choice: &&Value| choice["type"] == "null";
    if !choices.iter().any(|choice| null(&choice)) {
        return;
    }
    if let Some(body) = choices.iter().find(|choice| !null(choice)).cloned() {
        operation["requestBody"]["content"]["application/json"]["schema"] = body;
        operation["requestBody"]["required"] = json!(false);
    }
}

/// Fields flattened into a body that refuses unknown ones are one object: `allOf` of two that each refuse the other's
/// fields accepts nothing.
fn merge(schema: &mut Value, schemas: &Value) {
    let Some(parts) = schema["allOf"].as_array() else { return };
    let resolved = |part: &Value| -> Value {
        let name = part["$ref"].as_str().and_then(|text| text.rsplit('/').next());
        name.map_or_else(|| part.clone(), |name| schemas[name].clone())
    };
    let parts: Vec<Value> = parts.iter().map(resolved).collect();
    if !parts.iter().any(|part| part["additionalProperties"] == false) {
        return;
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in &parts {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let description = schema["description"].clone();
    *schema = json!({
        "type": "object", "description": description, "properties": properties, "required": required,
        "additionalProperties": false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_bodies_and_flattened_fields_are_said_rightly() {
        let mut document = json!({
            "components": { "schemas": {
                "Inner": { "properties": { "a": {} }, "additionalProperties": false },
                "Outer": { "allOf": [{ "$ref": "#/components/schemas/Inner" },
                    { "properties": { "b": {} }, "required": ["b"] }], "description": "x" },
                "Open": { "allOf": [{ "properties": { "c": {} } }] },
            } },
            "paths": { "/x": { "post": {
                "requestBody": { "content": { "application/json": { "schema": {
                    "oneOf": [{ "$ref": "#/components/schemas/Outer" }, { "type": "null" }] } } } },
                "responses": {
                    "404": { "content": { "application/json": { "schema": { "$ref": PROBLEM } } } },
                    "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Open" } } } },
                    "204": { "description": "none" },
                },
            } } },
        });
        tidy(&mut document);
        let post = &document["paths"]["/x"]["post"];
        assert_eq!(
            post["requestBody"],
            json!({ "required": false, "content": { "application/json": { "schema": {
                "$ref": "#/components/schemas/Outer" } } } })
        );
        assert!(post["responses"]["404"]["content"]["application/problem+json"].is_object(), "{post}");
        assert_eq!(post["responses"]["204"], json!({ "description": "none" }));
        assert!(post["responses"]["200"]["content"]["application/json"].is_object(), "{post}");
        let outer = &document["components"]["schemas"]["Outer"];
        assert_eq!((&outer["required"], &outer["additionalProperties"]), (&json!(["b"]), &json!(false)));
        assert_eq!(outer["properties"], json!({ "a": {}, "b": {} }));
        assert!(document["components"]["schemas"]["Open"]["allOf"].is_array());
    }
}
